//! Programs that would take too long to compile, and compilations that are ended.
#![cfg(feature = "llvm")]

mod common;

use std::thread;
use std::time::Duration;

use antiphon_staging::*;
use common::{f64s, scalar};

/// `n` sines one after another, each of the one before.
fn sines(ty: Type, n: usize) -> Program {
    let b = Builder::new("sines");
    let x = b.input("x", ty);
    let y = (0..n).try_fold(x, |y, _| b.unary(Unary::Sin, y)).unwrap();
    b.finish(&[y]).unwrap()
}

/// The derivative of `n` sines, one after another.
fn slopes(n: usize) -> Program {
    let b = Builder::new("slopes");
    let mut values = vec![b.input("x", scalar())];
    let mut cells = vec![b.cell(scalar())];
    for i in 0..n {
        values.push(b.unary(Unary::Sin, values[i]).unwrap());
        cells.push(b.cell(scalar()));
    }
    b.accumulate(cells[n], values[n]).unwrap();
    for i in (0..n).rev() {
        let (g, cos) = (b.take(cells[i + 1]), b.unary(Unary::Cos, values[i]).unwrap());
        b.accumulate(cells[i], b.mul(g, cos).unwrap()).unwrap();
    }
    let g = b.take(cells[0]);
    b.finish(&[g]).unwrap()
}

/// `n` functions of twenty sines, each called twice.
fn functions(n: usize) -> Program {
    let b = Builder::new("functions");
    let mut y = b.input("x", scalar());
    for _ in 0..n {
        let twenty = Signature::new("twenty", &[scalar()], &[scalar()]);
        let sines =
            |_, xs: &[Value], _: &[_]| Ok(vec![(0..20).try_fold(xs[0], |y, _| b.unary(Unary::Sin, y))?]);
        let f = b.function(twenty, &[], sines).unwrap();
        y = b.call(Target::Func(f), &[y], &[]).unwrap()[0];
        y = b.call(Target::Func(f), &[y], &[]).unwrap()[0];
    }
    b.finish(&[y]).unwrap()
}

fn optimised() -> CompileOptions {
    CompileOptions { optimise: Some(Options { reassociate: true }), ..CompileOptions::default() }
}

/// The function that was refused, and how many operators it has.
#[track_caller]
fn refused(program: &Program, options: &CompileOptions) -> (String, usize) {
    match compile(program, options).map(drop) {
        Err(Error::TooLarge { function, operators, instructions, limit }) => {
            assert!(instructions > limit && limit == options.instructions, "{instructions} > {limit}");
            (function, operators)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unrolled_loop_is_refused_with_its_number_of_operators_and_what_to_write_instead() {
    for n in [3000, 10_000, 300_000] {
        assert_eq!(refused(&sines(scalar(), n), &CompileOptions::default()), ("sines".into(), n));
    }
    // Elementwise operators on arrays become one loop, with as much in it.
    assert_eq!(refused(&sines(f64s(&[64]), 3000), &optimised()), ("sines".into(), 3000));
    let (function, operators) = refused(&slopes(2000), &optimised());
    assert!(function == "slopes" && (6000..7000).contains(&operators), "{operators} of {function}");
    // As it was recorded, before it takes the optimiser hours.
    assert_eq!(refused(&slopes(100_000), &optimised()), ("slopes".into(), 500_002));
    let error = compile(&sines(scalar(), 10_000), &optimised()).map(drop).unwrap_err().to_string();
    for part in ["sines has 10000 operators", "`scan`", "`while_loop`", "`CompileOptions::instructions`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_counts_is_the_largest_function_and_what_it_becomes() {
    let limited = |instructions| CompileOptions { instructions, ..optimised() };
    // Forty sines in two calls, of which each has twenty, are less than thirty in one function.
    let mut many = compile(&functions(20), &limited(1000)).unwrap();
    assert_eq!(many.program().exprs().len(), 400);
    assert!(many.run(&[1.0.into()]).is_ok());
    assert_eq!(refused(&sines(scalar(), 30), &limited(1000)), ("sines".into(), 30));
    assert_eq!(refused(&functions(2), &limited(500)), ("twenty".into(), 20));
    assert!(compile(&sines(scalar(), 30), &limited(2000)).is_ok(), "the limit can be set");
    // Products of matrices are calls.
    let b = Builder::new("products");
    let x = b.input("x", f64s(&[8, 8]));
    let y = (0..2000).try_fold(x, |y, _| b.emit(Expr::Matmul(y, x))).unwrap();
    assert!(compile(&b.finish(&[y]).unwrap(), &optimised()).is_ok());
}

#[test]
fn operands_of_operands_without_end_are_compiled_whatever_stack_the_caller_has() {
    let b = Builder::new("chain");
    let x = b.input("x", scalar());
    let y = (0..10_000).try_fold(x, |y, _| b.mul(y, x)).unwrap();
    let program = b.finish(&[y]).unwrap();
    let caller = thread::Builder::new().stack_size(128 << 10);
    let compiled = caller.spawn(move || {
        let options = CompileOptions { strict: true, ..CompileOptions::default() };
        compile(&program, &options).unwrap().run(&[1.0001.into()])
    });
    let y: Vec<Tensor> = compiled.unwrap().join().unwrap().unwrap();
    let Data::F64(y) = y[0].data() else { panic!("{y:?}") };
    assert_eq!(y[0], (0..10_000).fold(1.0001, |y, _| y * 1.0001));
}

/// What takes LLVM a second or more.
fn long() -> Program {
    sines(scalar(), 800)
}

#[test]
fn compiling_is_interrupted_from_another_thread_and_goes_on_when_that_is_over() {
    let interrupt = Interrupt::default();
    let options = CompileOptions { interrupt: Some(interrupt.clone()), ..optimised() };
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            // Long enough for LLVM to have begun to generate code, which nothing stops.
            thread::sleep(Duration::from_millis(500));
            interrupt.raise();
        });
        compile(&long(), &options).map(drop)
    });
    assert!(matches!(&result, Err(Error::Interrupted { .. })), "{result:?}");
    assert!(matches!(compile(&sines(scalar(), 1), &options), Err(Error::Interrupted { .. })));
    interrupt.clear();
    let mut sine = compile(&sines(scalar(), 1), &options).unwrap();
    assert_eq!(sine.run(&[0.0.into()]), Ok(vec![0.0.into()]));
    // The thread that is still in LLVM is waited for when this process exits.
}

#[test]
fn compiling_ends_when_it_has_taken_as_long_as_it_may() {
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let options = CompileOptions { time_limit: Some(limit), ..optimised() };
        match compile(&long(), &options).map(drop) {
            Err(Error::Interrupted { after }) => assert!(after > limit),
            other => panic!("{other:?}"),
        }
    }
    let options = CompileOptions { time_limit: Some(Duration::from_secs(3600)), ..optimised() };
    let mut sine = compile(&sines(scalar(), 1), &options).unwrap();
    assert_eq!(sine.run(&[0.0.into()]), Ok(vec![0.0.into()]));
}

#[test]
fn errors_of_a_compilation_that_may_be_interrupted_are_the_usual_ones() {
    let options = CompileOptions { interrupt: Some(Interrupt::default()), instructions: 100, ..optimised() };
    assert_eq!(refused(&sines(scalar(), 30), &options), ("sines".into(), 30));
    let mut wrong = sines(scalar(), 1);
    let entry = wrong.entry;
    wrong.funcs[entry].results.clear();
    let usual = compile(&wrong, &optimised()).map(drop).unwrap_err();
    assert_eq!(compile(&wrong, &options).map(drop), Err(usual));
}
