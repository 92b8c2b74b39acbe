//! What lowering makes of programs, seen in the modules that it writes.
#![cfg(feature = "llvm")]

mod common;

use antiphon_staging::jit::llvm_ir;
use antiphon_staging::*;
use common::f64s;

/// `n` layers `x ← tanh(x·w + b)`, all with the same weights.
fn layers(n: usize) -> Program {
    let b = Builder::new("layers");
    let (mut x, w, bias) =
        (b.input("x", f64s(&[8, 20])), b.input("w", f64s(&[20, 20])), b.input("b", f64s(&[20])));
    for _ in 0..n {
        let y = b.add(b.emit(Expr::Matmul(x, w)).unwrap(), bias).unwrap();
        x = b.unary(Unary::Tanh, y).unwrap();
    }
    b.finish(&[x]).unwrap()
}

/// How many functions of a module do what loop nests do.
fn nests(program: &Program) -> usize {
    let text = llvm_ir(program, &CompileOptions::default()).unwrap();
    text.lines().filter(|line| line.starts_with("define private") && line.contains("@nest")).count()
}

#[test]
fn the_same_nest_at_many_places_is_one_function() {
    assert_eq!([nests(&layers(1)), nests(&layers(2)), nests(&layers(30))], [1, 1, 1]);
    let (program, random) = (layers(5), |i: usize| (i * 37 % 19) as f64 * 0.1 - 0.9);
    let array = |shape: &[usize]| {
        Tensor::new(shape, (0..shape.iter().product()).map(random).collect::<Vec<f64>>()).unwrap()
    };
    let inputs = [array(&[8, 20]), array(&[20, 20]), array(&[20])];
    let strict = CompileOptions { strict: true, ..CompileOptions::default() };
    let found = compile(&program, &strict).unwrap().run(&inputs);
    assert_eq!(found, interpret(&program, &inputs));
}
