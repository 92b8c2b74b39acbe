//! Programs that would take too long to compile, and compilations that are ended.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::{f64s, scalar};
use antiphon_staging::*;

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
fn functions_of_sines(n: usize) -> Program {
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

/// `n` loops as `while_loop` records them, one after another.
fn loops(n: usize) -> Program {
    let b = Builder::new("loops");
    let one = |name| Signature::new(name, &[scalar()], &[scalar()]);
    let y = (0..n).try_fold(b.input("x", scalar()), |x, _| -> Result<Value> {
        let f = b.function(one("f"), &[], |f, xs, _| {
            let more = b.less(xs[0], b.real(Dtype::F64, 2.0))?;
            let again = || b.call(Target::Func(f), &[b.mul(xs[0], xs[0])?], &[]);
            b.if_else(more, again, || Ok(vec![xs[0]]))
        })?;
        Ok(b.call(Target::Func(f), &[x], &[])?[0])
    });
    b.finish(&[y.unwrap()]).unwrap()
}

/// `n` functions, each defined in the one before, which calls it twice.
fn nested(n: usize) -> Program {
    fn within(b: &Builder, x: Value, n: usize) -> Result<Value> {
        if n == 0 {
            return b.unary(Unary::Exp, x);
        }
        let f = b.function(Signature::new("f", &[scalar()], &[scalar()]), &[], |_, xs, _| {
            Ok(vec![within(b, b.mul(xs[0], xs[0])?, n - 1)?])
        })?;
        let y = b.call(Target::Func(f), &[x], &[])?[0];
        Ok(b.call(Target::Func(f), &[y], &[])?[0])
    }
    let b = Builder::new("nested");
    let y = within(&b, b.input("x", scalar()), n).unwrap();
    b.finish(&[y]).unwrap()
}

fn optimised() -> CompileOptions {
    CompileOptions { optimise: Some(OptimiseOptions { reassociate: true }), ..CompileOptions::default() }
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
    // Elementwise operators on arrays become one loop, with as much in it.
    for n in [3000, 10_000] {
        assert_eq!(refused(&sines(f64s(&[64]), n), &CompileOptions::default()), ("sines".into(), n));
    }
    let error = compile(&sines(f64s(&[64]), 10_000), &optimised()).map(drop).unwrap_err().to_string();
    for part in ["sines has 10000 operators", "`scan`", "`while_loop`", "`CompileOptions::instructions`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_unrolled_loop_over_numbers_takes_a_time_in_proportion_to_its_length() {
    let run = |program: &Program| compile(program, &optimised()).unwrap().run(&[0.5.into()]).unwrap();
    // An exact adjoint of a chain that is computed in many functions.
    let slope = |n: usize| {
        let mut values = vec![0.5f64];
        (0..n).for_each(|i| values.push(values[i].sin()));
        values[..n].iter().rev().fold(values[n], |g, x| g * x.cos())
    };
    for n in [10, 3000] {
        let found = run(&slopes(n))[0].at(0).real().unwrap();
        assert!((found / slope(n) - 1.0).abs() < 1e-9, "{found} is not {}", slope(n));
    }
    // A hundred thousand operators are not too many.
    let seconds = [4000, 34_000].map(|n| {
        let start = Instant::now();
        let compiled = compile(&slopes(n), &optimised()).unwrap();
        assert!(compiled.program().exprs().len() >= 3 * n);
        start.elapsed().as_secs_f64()
    });
    assert!(seconds[1] < 25.0 * seconds[0], "{seconds:?}");
    let largest = |n: usize| {
        let text = jit::llvm_ir(&slopes(n), &optimised()).unwrap();
        text.split("\n}\n").map(|function| function.lines().count()).max()
    };
    assert!(largest(10_000).is_some_and(|lines| lines < 2000), "{:?}", largest(10_000));
}

#[test]
fn a_program_of_numbers_is_refused_as_a_whole() {
    let limited = CompileOptions { program_instructions: 50_000, ..optimised() };
    // As it was recorded, before it is optimised.
    let (program, operators, functions, _) = refused_whole(&slopes(100_000), &limited);
    assert_eq!((program.as_str(), operators, functions), ("slopes", 500_002, 1));
    // By what it becomes.
    let (_, operators, _, instructions) = refused_whole(&slopes(10_000), &limited);
    assert!((30_000..40_000).contains(&operators) && instructions > 50_000, "{operators}, {instructions}");
}

/// The program that was refused as a whole, how many operators and functions it has, and as how much work.
#[track_caller]
fn refused_whole(program: &Program, options: &CompileOptions) -> (String, usize, usize, usize) {
    match compile(program, options).map(drop) {
        Err(Error::ProgramTooLarge { program, operators, functions, instructions, limit }) => {
            assert!(
                instructions > limit && limit == options.program_instructions,
                "{instructions} > {limit}"
            );
            (program, operators, functions, instructions)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_of_very_many_functions_is_refused_whatever_each_of_them_is() {
    // As it was recorded.
    let (program, operators, functions, _) = refused_whole(&loops(200_000), &optimised());
    assert_eq!((program.as_str(), operators, functions), ("loops", 1_000_000, 200_001));
    // By how deep they are nested. What they call they call twice, so that they are not inlined.
    let limited = |program_instructions| CompileOptions { program_instructions, ..optimised() };
    let (_, operators, functions, _) = refused_whole(&nested(500), &limited(20_000));
    assert_eq!((operators, functions), (1501, 501));
    let error = compile(&nested(500), &limited(20_000)).map(drop).unwrap_err().to_string();
    let parts = [
        "nested has 1501 operators in 501 functions",
        "`scan`",
        "`while_loop`",
        "`CompileOptions::program_instructions`",
    ];
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
    // By what they become: before they are lowered, if that is so for sure, and else after it.
    let (program, operators, functions, instructions) = refused_whole(&functions_of_sines(20), &limited(400));
    assert_eq!((program.as_str(), operators, functions), ("functions", 440, 21));
    assert_eq!(instructions, 20 * (20 + 2));
    let (.., instructions) = refused_whole(&functions_of_sines(20), &limited(500));
    assert!(instructions > 500);
    assert!(compile(&functions_of_sines(20), &limited(10_000)).is_ok(), "the limit can be set");
    assert!(compile(&loops(100), &CompileOptions::default()).is_ok());
}

#[test]
fn no_more_than_1024_loops_become_part_of_one_function() {
    let text = |n| jit::llvm_ir(&loops(n), &optimised()).unwrap();
    // Straight code that calls nothing but functions which became part of it is in parts.
    let functions =
        |n| text(n).lines().filter(|line| line.starts_with("define") && !line.contains("@part")).count();
    let one = functions(1);
    assert_eq!([functions(1024), functions(1034)], [one, one + 10]);
    let options = CompileOptions { strict: true, ..optimised() };
    let run = |n| compile(&loops(n), &options).unwrap().run(&[1.5.into()]).unwrap();
    assert_eq!(run(1034), run(1));
}

#[test]
fn operators_on_arrays_are_refused_before_they_are_lowered() {
    let error = compile(&sines(f64s(&[64]), 20_000), &optimised()).map(drop);
    let Err(Error::TooLarge { operators: 20_000, instructions, .. }) = error else { panic!("{error:?}") };
    // Of an operator that is not lowered it is only known what it becomes at least.
    assert_eq!(instructions, 20_000 * 12);
}

#[test]
fn what_counts_is_the_largest_function_and_what_it_becomes() {
    let limited = |instructions| CompileOptions { instructions, ..optimised() };
    // Sixty sines in three functions are less than thirty in one, and those of many are calls.
    assert!(compile(&functions_of_sines(3), &limited(1000)).is_ok());
    let mut many = compile(&functions_of_sines(20), &limited(1000)).unwrap();
    assert_eq!(many.program().exprs().len(), 400);
    assert!(many.run(&[1.0.into()]).is_ok());
    assert_eq!(refused(&sines(scalar(), 30), &limited(1000)), ("sines".into(), 30));
    assert_eq!(refused(&functions_of_sines(2), &limited(500)), ("twenty".into(), 20));
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
    let y: Vec<ConcreteTensor> = compiled.unwrap().join().unwrap().unwrap();
    let Data::F64(y) = y[0].data() else { panic!("{y:?}") };
    assert_eq!(y[0], (0..10_000).fold(1.0001, |y, _| y * 1.0001));
}

/// What takes LLVM seconds.
fn long() -> Program {
    sines(f64s(&[64]), 800)
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
fn the_time_counts_from_the_call_on_even_if_there_is_code_already() {
    let directory = tempfile::tempdir().unwrap();
    let kept = CompileOptions { cache: Some(directory.path().into()), ..optimised() };
    let sine = sines(scalar(), 1);
    assert!(compile(&sine, &kept).is_ok_and(|compiled| !compiled.was_cached()));
    assert!(compile(&sine, &kept).is_ok_and(|compiled| compiled.was_cached()));
    let late = CompileOptions { time_limit: Some(Duration::ZERO), ..kept };
    assert!(matches!(compile(&sine, &late).map(drop), Err(Error::Interrupted { .. })));
    // Recording began a while ago.
    let late = CompileOptions { time_limit: Some(Duration::from_millis(10)), ..late };
    let stop = jit::Stop::of(&late);
    thread::sleep(Duration::from_millis(20));
    let error = jit::compile_until(sine.into(), &late, &stop).map(drop);
    assert!(matches!(error, Err(Error::Interrupted { after }) if after >= Duration::from_millis(20)));
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
