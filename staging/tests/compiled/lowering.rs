//! What lowering makes of programs, seen in the modules that it writes.

use crate::common::{f64s, scalar};
use antiphon_staging::jit::llvm_ir;
use antiphon_staging::*;

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
    strictly_agrees(&layers(5));
}

/// That strictly compiled code computes what the interpreter does.
fn strictly_agrees(program: &Program) {
    let random = |i: usize| (i * 37 % 19) as f64 * 0.1 - 0.9;
    let array = |v: &Value| {
        let ty = program.ty(*v);
        ConcreteTensor::new(&ty.shape, (0..ty.size()).map(random).collect::<Vec<f64>>()).unwrap()
    };
    let inputs: Vec<ConcreteTensor> = program.funcs[program.entry].params.iter().map(array).collect();
    let strict = CompileOptions { strict: true, ..CompileOptions::default() };
    let found = compile(program, &strict).unwrap().run(&inputs);
    assert_eq!(found, interpret(program, &inputs));
}

/// Four gates of a common factor side by side, for each of `n` steps below one another, and all of it turned.
fn gates(n: usize) -> Program {
    let b = Builder::new("gates");
    let (mut x, y) = (b.input("x", f64s(&[3, 17])), b.input("y", f64s(&[3, 17])));
    let mut steps = Vec::new();
    for _ in 0..n {
        let common = b.add(x, y).unwrap();
        let gate = |op| b.mul(common, b.unary(op, x).unwrap()).unwrap();
        let parts = [Unary::Sigmoid, Unary::Tanh, Unary::Neg, Unary::Abs].map(gate);
        steps.push(b.emit(Expr::Concat(parts.to_vec(), 1)).unwrap());
        x = parts[1];
    }
    let all = b.emit(Expr::Concat(steps.clone(), 0)).unwrap();
    let turned = b.emit(Expr::Permute(all, [1, 0].as_slice().into())).unwrap();
    b.finish(&[all, turned, steps[0], x]).unwrap()
}

#[test]
fn parts_of_a_concatenation_are_computed_where_they_end_up() {
    (1..4).for_each(|n| strictly_agrees(&gates(n)));
    // The gates of every step are the same loop.
    assert_eq!(nests(&gates(5)), nests(&gates(4)));
}

/// `x·yⁿ`, multiplied by `y` before the function calls itself, or after it has returned.
fn power(after: bool) -> Program {
    let b = Builder::new("power");
    let [x, y] = ["x", "y"].map(|name| b.input(name, scalar()));
    let n = b.input("n", Type::scalar(Dtype::I64));
    let signature = Signature::new("turn", &[scalar(), Type::scalar(Dtype::I64)], &[scalar()]);
    let turn = b.function(signature, &[], |turn, given, _| {
        let more = b.less(b.literal(Scalar::I64(0)), given[1])?;
        let again = |x| {
            let fewer = b.binary(Binary::Sub, given[1], b.literal(Scalar::I64(1)))?;
            Ok(b.call(Target::Func(turn), &[x, fewer], &[])?[0])
        };
        let step = || Ok(vec![if after { b.mul(again(given[0])?, y)? } else { again(b.mul(given[0], y)?)? }]);
        b.if_else(more, step, || Ok(vec![given[0]]))
    });
    let z = b.call(Target::Func(turn.unwrap()), &[x, n], &[]).unwrap();
    b.finish(&z).unwrap()
}

#[test]
fn a_function_of_scalars_that_calls_itself_is_a_loop_with_records_of_what_it_needs_later() {
    let deep = |n: i64| [ConcreteTensor::from(3.0), 1.0.into(), n.into()];
    for after in [false, true] {
        let program = power(after);
        let text = llvm_ir(&program, &CompileOptions::default()).unwrap();
        assert!(!text.contains("call fastcc"), "{text}");
        let inputs = [3.0.into(), 2.0.into(), 10i64.into()];
        assert_eq!(
            compile(&program, &CompileOptions::default()).unwrap().run(&inputs).unwrap()[0],
            3072.0.into()
        );
        // Nothing is needed after a call that is the last thing that happens; else a record of eight bytes.
        let options = CompileOptions { arena_bytes: Some(8 * 1000), ..CompileOptions::default() };
        let mut small = compile(&program, &options).unwrap();
        for _ in 0..3 {
            let result = small.run(&deep(2_000_000));
            match after {
                true => {
                    assert!(matches!(result, Err(Error::StackExhausted { what: "arena", .. })), "{result:?}")
                }
                false => assert_eq!(result, Ok(vec![3.0.into()])),
            }
            assert_eq!(small.run(&deep(999)), Ok(vec![3.0.into()]));
        }
    }
}

#[test]
fn elementary_functions_of_numbers_that_occur_often_are_called_and_give_the_same_bits() {
    use Unary::*;
    let elementary = [Exp, Expm1, Log, Log1p, Sin, Cos, Tanh, Sigmoid, Softplus, Erf];
    // Of as many numbers each.
    let program = |dtype: Dtype, n: usize| {
        let b = Builder::new("often");
        let x = b.input("x", Type::scalar(dtype));
        let mut results = Vec::new();
        for i in 0..n {
            let shifted = b.add(x, b.real(dtype, i as f64 / 16.0)).unwrap();
            results.extend(elementary.map(|op| b.unary(op, shifted).unwrap()));
        }
        b.finish(&results).unwrap()
    };
    let options = CompileOptions::default();
    for dtype in [Dtype::F32, Dtype::F64] {
        let calls = |n: usize| {
            let text = llvm_ir(&program(dtype, n), &options).unwrap();
            elementary
                .map(|op| text.matches(&format!("call fastcc {} @{}_{dtype}(", ty(dtype), op.name())).count())
        };
        assert_eq!(calls(128), [0; 10]);
        assert_eq!(calls(129), [129; 10]);
        let x = if dtype == Dtype::F32 { ConcreteTensor::from(0.3f32) } else { ConcreteTensor::from(0.3) };
        let run = |n| compile(&program(dtype, n), &options).unwrap().run(std::slice::from_ref(&x)).unwrap();
        let (inline, called) = (run(128), run(129));
        assert!(inline.iter().zip(&called).all(|(inline, called)| inline.same(called)));
    }
}

/// What LLVM calls a type of numbers.
fn ty(dtype: Dtype) -> &'static str {
    if dtype == Dtype::F32 { "float" } else { "double" }
}
