//! Checkpoints in compiled code: what they keep, and that they are computed again.

use antiphon::control::Checkpoints;
use antiphon::recording::{OptimiseOptions, Recorded, optimise, record};
use antiphon::{Control, Error, NdArray, OrRaise, Result, Tensor, compile_with, grad};
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
    let (by_x, by_w) = gradient(steps, Some(Checkpoints::SquareRoot), room).unwrap();
    // (1 + 1e−7)^1e6, and 2·1e6 of that less one step.
    let w = 1.0f64 + 1e-7;
    let expected = (1e6 * w.ln()).exp();
    for (x, w_bar) in by_x.view().iter().zip(by_w.view()) {
        assert!((x - expected).abs() < 1e-9 * expected, "{x} {expected}");
        assert!((w_bar / (2e6 * expected / w) - 1.0).abs() < 1e-9, "{w_bar}");
    }
    // Without them it has no room, nor has a hundredth of the steps.
    let error = gradient(steps / 50, None, room).unwrap_err();
    assert!(matches!(error, Error::StackExhausted { .. }), "{error}");
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
