//! What each pass makes of a program.

mod cells;
mod constants;
mod dead;
mod expressions;
mod functions;
mod hoist;

use crate::common::{f64s, scalar};
use antiphon_staging::optimise::PASSES;
use antiphon_staging::*;

/// A program of inputs `x, y: f64`, `a: f64[2, 3]`, `c: bool`.
fn program(record: impl FnOnce(&Builder, [Value; 4]) -> Result<Vec<Value>>) -> Program {
    let b = Builder::new("f");
    let inputs = [scalar(), scalar(), f64s(&[2, 3]), Type::scalar(Dtype::Bool)];
    let mut names = ["x", "y", "a", "c"].into_iter();
    let inputs = inputs.map(|ty| b.input(names.next().expect("four names"), ty));
    let results = record(&b, inputs).expect("a well-formed program");
    b.finish(&results).expect("a well-formed program")
}

/// One run of a pass.
fn run(pass: &str, program: &mut Program, options: &OptimiseOptions) {
    let (_, run) = PASSES.iter().find(|(name, _)| *name == pass).expect("a pass of this name");
    assert!(run(program, options), "{pass} had nothing to do");
    verify(program).expect("passes keep programs well-formed");
}

/// The body of such a [`program`] after one run of a pass.
fn after(
    pass: &str,
    options: OptimiseOptions,
    record: impl FnOnce(&Builder, [Value; 4]) -> Result<Vec<Value>>,
) -> String {
    let mut program = program(record);
    run(pass, &mut program, &options);
    body(&program)
}

/// The body of a program after some passes, once each.
fn after_all(passes: &[&str], mut program: Program) -> String {
    for pass in passes {
        run(pass, &mut program, &OptimiseOptions::default());
    }
    body(&program)
}

fn body(program: &Program) -> String {
    let text = program.to_string();
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    lines[1..lines.len() - 1].join("\n")
}

fn exact(pass: &str, record: impl FnOnce(&Builder, [Value; 4]) -> Result<Vec<Value>>) -> String {
    after(pass, OptimiseOptions::default(), record)
}

fn real(b: &Builder, value: f64) -> Value {
    b.real(Dtype::F64, value)
}
