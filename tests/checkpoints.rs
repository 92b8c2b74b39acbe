//! What checkpoints keep: stack and heap of long chains. One test, since the stack's size is the process's.

#[path = "support/counting.rs"]
mod counting;

use antiphon::control::Checkpoints;
use antiphon::{Control, Error, NdArray, Real, Result, Tensor, Var, grad, stack};
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
        [Checkpoints::SquareRoot, Checkpoints::Count(100), Checkpoints::Count(12), Checkpoints::Bytes(400)]
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
}
