//! What checkpoints keep: stack and heap of long chains. One test, since the stack's size is the process's.

#[path = "support/counting.rs"]
mod counting;

use antiphon::control::Checkpoints;
use antiphon::{Control, Error, NdArray, OrRaise, Real, Result, Tensor, Var, grad, stack};
use counting::peak;

const STEPS: usize = 10_000;

/// `x ← sin(x)·w`, so often.
fn chain<T: Control>((x, w): (T, T), checkpoints: Option<Checkpoints>) -> T {
    match checkpoints {
        Some(checkpoints) => T::checkpointed_loop(STEPS, &w, x, checkpoints, |_, w, x: T| x.sin() * w),
        None => (0..STEPS).fold(x, |x, _| x.sin() * &w),
    }
}

fn of_arrays<T: Tensor>(x: T, w: T, steps: usize, checkpoints: Option<Checkpoints>) -> T {
    match checkpoints {
        Some(checkpoints) => T::checkpointed_loop(steps, &w, x, checkpoints, |_, w, x: T| x.sin() * w),
        None => (0..steps).fold(x, |x, _| x.sin() * &w),
    }
    .sum(..)
}

/// A step of a scan.
fn next<T: Tensor>(w: &T, x: T, row: T) -> (T, T) {
    let x = x.sin() * w + row;
    (x.clone(), x.square().sum(..))
}

/// The derivative by hand.
fn slopes(steps: usize, x: f64, w: f64) -> (f64, f64) {
    let step = |(y, by_x, by_w): (f64, f64, f64), _| {
        let slope = y.cos() * w;
        (y.sin() * w, slope * by_x, slope * by_w + y.sin())
    };
    let (_, by_x, by_w) = (0..steps).fold((x, 1.0, 0.0), step);
    (by_x, by_w)
}

fn assert_near(found: Result<(f64, f64)>, expected: (f64, f64)) {
    let found = found.unwrap();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-9);
    assert!(near(found.0, expected.0) && near(found.1, expected.1), "{found:?} {expected:?}");
}

#[test]
fn long_chains_in_little_memory() {
    stack::configure(stack::MIN_SIZE).unwrap();
    let x = (0.3, 1.01);
    let expected = slopes(STEPS, x.0, x.1);
    // A mebibyte does not do for all steps.
    let plain = grad(|x| chain(x, None), &x);
    assert!(matches!(plain, Err(Error::StackExhausted { .. })), "{plain:?}");
    for checkpoints in
        [Checkpoints::SquareRoot, Checkpoints::Count(100), Checkpoints::Count(12), Checkpoints::Bytes(40_000)]
    {
        assert_near(grad(|x| chain(x, Some(checkpoints)), &x), expected);
    }
    // A quarter, since each state that is kept has its frame.
    let online = grad(
        |(x, w)| {
            let begin = (x.clone(), x.zeros_like());
            Control::checkpointed_while(
                &w,
                begin,
                Checkpoints::SquareRoot,
                |_, (_, steps)| steps.less(&Real::constant((STEPS / 4) as f64)),
                |w, (x, steps)| (x.sin() * w, steps.offset(1.0)),
            )
            .0
        },
        &x,
    );
    assert_near(online, slopes(STEPS / 4, x.0, x.1));

    stack::configure(None).unwrap();
    // Of arrays: a state is a kibibyte, and with what a step computes some more.
    let (steps, state, w) = (400, NdArray::<f64>::full(&[128], 0.3), NdArray::full(&[128], 1.01));
    let peak_of = |checkpoints: Option<Checkpoints>| {
        let run = || {
            drop(grad(|x| of_arrays(x, Var::lift(&w), steps, checkpoints), &state).unwrap());
        };
        run();
        peak(run)
    };
    let [plain, root, few] = [None, Some(Checkpoints::SquareRoot), Some(Checkpoints::Count(8))].map(peak_of);
    assert!(plain > 2 * steps * 1024, "{plain}");
    assert!(root < 8 * 20 * 1024, "{root}");
    assert!(few < 40 * 1024, "{few}");
    // A budget in bytes is kept, on the heap and the stack together, by which nodes and frames count.
    let budget = 256 << 10;
    let bytes = peak_of(Some(Checkpoints::Bytes(budget)));
    assert!(bytes > budget / 4 && bytes < budget, "{bytes}");

    // Scans: of what the steps give, which is kept, each row is a number.
    let rows = NdArray::from((0..steps).map(|i| (i as f64 * 0.1).sin()).collect::<Vec<_>>());
    let scanned = |checkpoints: Option<Checkpoints>| {
        grad(
            |(x, w, rows)| {
                #[expect(
                    clippy::redundant_closure,
                    reason = "a function of these variables is not `'static`"
                )]
                let (x, ys): (_, Var<'_, NdArray<f64>>) = match checkpoints {
                    None => Tensor::scan_rows(x, &rows, |x, row| next(&w, x, row)),
                    Some(checkpoints) => {
                        Tensor::checkpointed_scan(&w, x, &rows, checkpoints, |w, x, row| next(w, x, row))
                    }
                }
                .or_raise();
                x.sum(..) + (ys.clone() * &ys).sum(..)
            },
            &(state.clone(), w.clone(), rows.clone()),
        )
        .unwrap()
    };
    let expected = scanned(None);
    let peak_of = |checkpoints| peak(|| drop(scanned(checkpoints)));
    let plain = peak_of(None);
    assert!(plain > 2 * steps * 1024, "{plain}");
    for (checkpoints, most) in [
        (Checkpoints::SquareRoot, plain / 10),
        (Checkpoints::Count(30), plain / 10),
        (Checkpoints::Bytes(128 << 10), plain / 10),
        (Checkpoints::Count(1), plain / 10),
        (Checkpoints::Count(1000), usize::MAX),
    ] {
        // Sums over the steps have another order.
        let found = scanned(Some(checkpoints));
        for (found, expected) in [(&found.0, &expected.0), (&found.1, &expected.1), (&found.2, &expected.2)] {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b.abs();
            assert!(found.view().iter().zip(expected.view()).all(near), "{checkpoints:?}");
        }
        let peak = peak_of(Some(checkpoints));
        assert!(peak < most, "{checkpoints:?} {peak} {plain}");
    }
}
