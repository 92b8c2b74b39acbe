//! Compiled programs mean what the interpreter says.
#![cfg(feature = "llvm")]

mod common;

use std::sync::LazyLock;

use antiphon_staging::fuzz::{Case, choices, generate, shrink};
use antiphon_staging::jit::target::Target as Processor;
use antiphon_staging::*;

/// Random programs; `CASES=10000 cargo test` makes a long run of it.
static CASES: LazyLock<u64> =
    LazyLock::new(|| std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150));

/// Every bit as the interpreter's.
fn strict() -> CompileOptions {
    CompileOptions { strict: true, ..CompileOptions::default() }
}

fn run(program: &Program, options: &CompileOptions, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    compile(program, options)?.run(inputs)
}

/// What compiled code says that the interpreter does not, if anything.
fn disagreement(stream: &[u32], options: &CompileOptions, optimised: bool) -> Option<String> {
    let Case { mut program, inputs } = generate(stream).expect("the generator's programs verify");
    let expected = interpret(&program, &inputs);
    if optimised {
        optimise(&mut program, &Options::default());
    }
    let found = run(&program, options, &inputs);
    let same = match (&expected, &found) {
        (Ok(expected), Ok(found)) => expected.iter().zip(found).all(|(a, b)| a.same(b)),
        (a, b) => a == b,
    };
    (!same).then(|| format!("{program}\n{inputs:?}\nexpected {expected:?}\nfound {found:?}"))
}

fn agrees(options: &CompileOptions, optimised: bool, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let stream = choices(seed, 400);
        if disagreement(&stream, options, optimised).is_some() {
            let smallest = shrink(stream, |stream| disagreement(stream, options, optimised).is_some());
            let report = disagreement(&smallest, options, optimised);
            panic!("seed {seed}: {}", report.expect("shrinking keeps the disagreement"));
        }
    }
}

#[test]
fn random_programs_give_every_bit_of_the_interpreters_results() {
    agrees(&strict(), false, 0..*CASES);
}

#[test]
fn optimised_random_programs_give_every_bit_of_the_interpreters_results() {
    agrees(&strict(), true, *CASES..2 * *CASES);
}

#[test]
fn random_programs_give_the_same_on_any_processor_of_the_architecture() {
    let options = CompileOptions { target: Processor::portable(), ..strict() };
    agrees(&options, true, 2 * *CASES..2 * *CASES + *CASES / 2);
}
