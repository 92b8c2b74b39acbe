//! Checkpoints in compiled code: what they keep, and that they are computed again.

use antiphon::control::Checkpoints;
use antiphon::recording::{OptimiseOptions, Recorded, optimise, record};
use antiphon::state::Index;
use antiphon::{
    Control, Error, IntTensor, NdArray, OrRaise, Real, Result, Tensor, Var, compile_with, grad, hvp,
};
use antiphon_staging::jit::CompileOptions;
use antiphon_staging::{Expr, Unary};

type Array = NdArray<f64>;

/// `x ← x·w` with `w` near one, so often: a state is a kibibyte.
fn chain<T: Tensor>((x, w): (T, T), steps: usize, checkpoints: Option<Checkpoints>) -> T {
    match checkpoints {
        Some(checkpoints) => T::checkpointed_loop(steps, &w, x, checkpoints, |_, w, x: T| x * w),
        None => {
            let end = T::constant(steps as f64);
            T::while_loop(
                (T::constant(0.0), x),
                |(i, _)| i.less(&end),
                |(i, x)| (i + T::constant(1.0), x * &w),
            )
            .1
        }
    }
    .sum(..)
}

fn gradient(steps: usize, checkpoints: Option<Checkpoints>, bytes: usize) -> Result<(Array, Array)> {
    let x = (Array::full(&[128], 2.0), Array::full(&[128], 1.0 + 1e-7));
    let options = CompileOptions {
        stack_bytes: Some(bytes / 8),
        arena_bytes: Some(bytes - bytes / 8),
        ..Default::default()
    };
    let f = |x: (Recorded, Recorded)| grad(|x| chain(x, steps, checkpoints), &x).or_raise();
    compile_with("chain", f, &x, &options)?.call(&x)
}

#[test]
fn a_million_steps_in_sixteen_mebibytes() {
    let (steps, room) = (1_000_000, 16 << 20);
    for checkpoints in [Checkpoints::SquareRoot, Checkpoints::Bytes(room)] {
        assert_of_a_million(&gradient(steps, Some(checkpoints), room).unwrap());
    }
    // Without them it has no room, nor has a hundredth of the steps.
    let error = gradient(steps / 50, None, room).unwrap_err();
    assert!(matches!(error, Error::StackExhausted { .. }), "{error}");
}

/// The derivatives of a million steps: (1 + 1e−7)^1e6, and 2·1e6 of that less one step.
#[track_caller]
fn assert_of_a_million((by_x, by_w): &(Array, Array)) {
    let w = 1.0f64 + 1e-7;
    let expected = (1e6 * w.ln()).exp();
    for (x, w_bar) in by_x.view().iter().zip(by_w.view()) {
        assert!((x - expected).abs() < 1e-9 * expected, "{x} {expected}");
        assert!((w_bar / (2e6 * expected / w) - 1.0).abs() < 1e-9, "{w_bar}");
    }
}

/// Less than two roots of the number of steps: loops in loops in loops.
#[test]
fn a_million_steps_in_a_mebibyte() {
    let (steps, room) = (1_000_000, 1 << 20);
    let error = gradient(steps, Some(Checkpoints::SquareRoot), room).unwrap_err();
    assert!(matches!(error, Error::StackExhausted { .. }), "{error}");
    for checkpoints in [Checkpoints::Bytes(room), Checkpoints::Count(150)] {
        assert_of_a_million(&gradient(steps, Some(checkpoints), room).unwrap());
    }
}

/// What is not recorded is refused with what to write, and the line.
#[test]
fn values_in_checkpoints() {
    let x = Array::full(&[4], 0.5);
    let f = |x: Recorded| {
        grad(|x| Control::checkpoint(x, |x: Var<'_, _>| Var::lift(x.value()) * 2.0).sum(..), &x).or_raise()
    };
    let error = compile_with("f", f, &x, &CompileOptions::default()).unwrap_err().to_string();
    assert!(error.contains("compiled checkpoints") && error.contains("`detach`"), "{error}");
    assert!(error.contains("checkpoints.rs:"), "{error}");
}

/// As many exponentials as there are, with and without: none of what is computed again is taken from the first time.
#[test]
fn what_is_computed_again_is_not_shared() {
    let exponentials = |again: bool| {
        fn twice<T: Control>(x: T) -> T {
            x.exp().exp()
        }
        fn model<T: Control>(x: T, again: bool) -> T {
            if again { T::checkpoint(x, |x: T| twice(x)) } else { twice(x) }.square()
        }
        let f = |x: Recorded| grad(|x| model(x, again).sum(..), &x).or_raise();
        let mut program = record("f", f, &Array::full(&[4], 0.5)).unwrap();
        optimise(&mut program, &OptimiseOptions::default());
        program.exprs().iter().filter(|expr| matches!(expr, Expr::Unary(Unary::Exp, _))).count()
    };
    assert_eq!((exponentials(false), exponentials(true)), (2, 4));
}

/// How often each of two exponentials, of which one is in a checkpoint in the other's, stands in the program: of `n`
/// checkpoints in each other, what is in the innermost one `n + 1` times.
#[test]
fn checkpoints_in_checkpoints_are_computed_again() {
    fn nested<T: Control>(x: T, depth: usize) -> T {
        match depth {
            0 => x.exp(),
            _ => T::checkpoint(x, move |x: T| nested(x, depth - 1)).sin(),
        }
    }
    for depth in 0..4 {
        let f = |x: Recorded| grad(|x| nested(x, depth).square().sum(..), &x).or_raise();
        let x = Array::full(&[4], 0.5);
        let mut program = record("f", f, &x).unwrap();
        optimise(&mut program, &OptimiseOptions::default());
        let exponential = |expr: &&&Expr| matches!(expr, Expr::Unary(Unary::Exp, _));
        assert_eq!(program.exprs().iter().filter(exponential).count(), depth + 1, "{depth}");
        let found = compile_with("f", f, &x, &CompileOptions::default()).unwrap().call(&x).unwrap();
        let expected = grad(|x| nested(x, depth).square().sum(..), &x).unwrap();
        assert!((found - expected).abs().max(..).item() < 1e-14, "{depth}");
    }
}

/// Every number of levels, of numbers of steps that are no powers, to the second order in both ways.
#[test]
fn loops_in_loops() {
    fn chain<T: Tensor>((x, w): (T, T), steps: usize, checkpoints: Option<Checkpoints>) -> T {
        match checkpoints {
            Some(checkpoints) => T::checkpointed_loop(steps, &w, x, checkpoints, |i, w, x: T| {
                (x * w).sin() + T::from_int(i) * 0.1
            }),
            None => (0..steps).fold(x, |x, i| (x * &w).sin() + T::constant(i as f64) * 0.1),
        }
        .sum(..)
    }
    fn derivatives<T: Tensor>(x: &(T, T), steps: usize, checkpoints: Option<Checkpoints>) -> Vec<T> {
        let (a, b) = grad(|x| chain(x, steps, checkpoints), x).or_raise();
        let (c, d) = hvp(|x| chain(x, steps, checkpoints), x, x).or_raise().1;
        let twice = grad(
            |x| {
                let (a, b) = grad(|x| chain(x, steps, checkpoints), &x).or_raise();
                (a * &b).sum(..)
            },
            x,
        );
        let (e, f) = twice.or_raise();
        vec![a, b, c, d, e, f]
    }
    let x = (Array::from(vec![0.3, -0.8]), Array::from(vec![1.1, 0.9]));
    for steps in [1, 2, 7, 40] {
        let expected = derivatives(&x, steps, None);
        let ways =
            [Checkpoints::SquareRoot, Checkpoints::Count(1), Checkpoints::Count(16), Checkpoints::Count(64)];
        for checkpoints in ways {
            let f = |x: (Recorded, Recorded)| derivatives(&x, steps, Some(checkpoints));
            let found = compile_with("f", f, &x, &CompileOptions::default()).unwrap().call(&x).unwrap();
            let eager = derivatives(&x, steps, Some(checkpoints));
            for ((found, eager), expected) in found.iter().zip(&eager).zip(&expected) {
                for found in [found, eager] {
                    let apart = (found.clone() - expected).abs().max(..).item();
                    assert!(apart < 1e-12, "{steps} {checkpoints:?}: {found} {expected}");
                }
            }
        }
    }
}

/// Of rows and integers, with a rest and without one: as the scan, which keeps all.
fn scanned<T: Tensor>((x, w, rows): (T, T, T), checkpoints: Option<Checkpoints>) -> T {
    let places = T::Int::from_elements(&[rows.shape()[0]], &(0..rows.shape()[0] as i64).collect::<Vec<_>>());
    let xs = (rows, Index::<T>(places.or_raise()));
    let step = |w: &T, x: T, (row, place): (T, Index<T>)| {
        let x = (x * w + row).sin() + T::from_int(&place.0) * 1e-2;
        (x.clone(), (x.square(), x.sum(..)))
    };
    let (x, (squares, sums)): (T, (T, T)) = match checkpoints {
        None => T::scan_rows(x, &xs, |x, row| step(&w, x, row)),
        Some(checkpoints) => T::checkpointed_scan(&w, x, &xs, checkpoints, step),
    }
    .or_raise();
    x.sum(..) + squares.square().sum(..) + sums.exp().sum(..)
}

#[test]
fn scans_of_parts() {
    for n in [0, 1, 7, 36, 50] {
        let elements: Vec<f64> = (0..3 * n).map(|i| (i as f64 * 0.7).cos()).collect();
        let rows = Array::from_elements(&[n, 3], &elements).unwrap();
        let x = (Array::full(&[3], 0.3), Array::from(vec![0.9, -1.1, 0.5]), rows);
        let expected = grad(|x| scanned(x, None), &x).unwrap();
        let moved = hvp(|x| scanned(x, None), &x, &x).unwrap().1;
        for checkpoints in
            [Checkpoints::SquareRoot, Checkpoints::Count(9), Checkpoints::Count(1), Checkpoints::Bytes(2000)]
        {
            let near = |found: &(Array, Array, Array), expected: &(Array, Array, Array)| {
                let apart = |a: &Array, b: &Array| {
                    a.view().iter().zip(b.view()).all(|(a, b)| (a - b).abs() <= 1e-11 * (1.0 + b.abs()))
                };
                apart(&found.0, &expected.0) && apart(&found.1, &expected.1) && apart(&found.2, &expected.2)
            };
            // Sums over the steps have another order.
            let found = grad(|x| scanned(x, Some(checkpoints)), &x).unwrap();
            assert!(near(&found, &expected), "{n} {checkpoints:?}");
            let gradient = |x| grad(|x| scanned(x, Some(checkpoints)), &x).or_raise();
            let mut code =
                antiphon::compile("scan", |x: (Recorded, Recorded, Recorded)| gradient(x), &x).unwrap();
            assert!(near(&code.call(&x).unwrap(), &expected), "{n} {checkpoints:?}");
            let second = |x: (Recorded, Recorded, Recorded)| {
                hvp(|x| scanned(x, Some(checkpoints)), &x, &x).or_raise().1
            };
            let found = antiphon::compile("scan_hvp", second, &x).unwrap().call(&x).unwrap();
            assert!(near(&found, &moved), "{n} {checkpoints:?}");
        }
    }
}
