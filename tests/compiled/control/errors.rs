//! What cannot be recorded, and errors while recording.

use antiphon::recording::{Recorded, interpret, record};
use antiphon::{Control, Error, OrRaise, Real, Tensor, Var, compile_derivative, grad, pullback, raise};

use super::{Array, constant};

#[test]
fn what_cannot_be_recorded_is_an_error() {
    let x = Array::scalar(0.5);
    let positive = |x: &Recorded| x.greater(&constant(0.0));
    // Arms of different types.
    let different = |x: Recorded| Recorded::cond(&positive(&x), || x, || Recorded::zeros(&[2]));
    let error = record("f", different, &x).unwrap_err().to_string();
    assert!(error.contains("different types: (f64) and (f64[2])"), "{error}");
    assert!(error.contains("tests/compiled/control/errors.rs"), "{error}");
    let different = |x: Recorded| {
        grad(|y| Var::cond(&positive(&x), || y.clone(), || Var::zeros(&[2]) + y.clone()).sum(..), &x)
            .or_raise()
    };
    let error = record("f", different, &x).unwrap_err().to_string();
    assert!(error.contains("different types: (f64) and (f64[2])"), "{error}");
    assert!(error.contains("tests/compiled/control/errors.rs"), "{error}");
    // A recursion without an end.
    let error =
        record("f", |x: Recorded| Recorded::fix(x, |f: &dyn Fn(Recorded) -> Recorded, x| f(x) * x), &x)
            .unwrap_err();
    assert!(matches!(&error, Error::Recording { reason, .. } if reason.contains("calls itself")), "{error}");
    // A value that leaves its arm by another way than as the result.
    let smuggled = |x: Recorded| {
        let mut kept = x;
        let square = || {
            kept = x * x;
            x
        };
        Recorded::cond(&positive(&x), square, || x);
        kept
    };
    let error = record("f", smuggled, &x).unwrap_err();
    assert!(error.to_string().contains("not in scope"), "{error}");
}

#[test]
fn an_error_in_an_arm_can_be_handled_while_recording() {
    let fail = |x: &Recorded| x.matmul(&Recorded::zeros(&[3, 4]));
    let handled = |x: Recorded| {
        let wrong = grad(
            |y| {
                let bad = Var::zeros(&[2, 2]).matmul(&Var::zeros(&[3, 3]));
                Var::cond(&x.greater(&constant(0.0)), || y.clone() * &y, || y.clone() * &bad)
            },
            &x,
        );
        assert!(wrong.is_err());
        let within = |wrong: bool| {
            grad(
                |y| {
                    let bad = || if wrong { y.matmul(&Var::zeros(&[3, 4])) } else { y.exp() };
                    let arm = || Var::cond(&x.less(&constant(3.0)), || y.square(), bad);
                    let y = Var::cond(&x.greater(&constant(0.0)), arm, || y.sin());
                    if wrong { y } else { y.clone() * &y }
                },
                &x,
            )
        };
        assert!(within(true).is_err());
        let after = grad(
            |y| {
                let y = Var::cond(&x.greater(&constant(0.0)), || y.square(), || y.sin());
                y.matmul(&Var::zeros(&[3, 4]))
            },
            &x,
        );
        assert!(after.is_err());
        within(false).or_raise()
    };
    let program = record("f", handled, &Array::scalar(1.0)).unwrap();
    assert_eq!(interpret(&program, &Array::scalar(2.0)).unwrap(), [Array::scalar(4.0 * 8.0)]);
    assert!(record("f", |x: Recorded| fail(&x), &Array::scalar(1.0)).is_err());
}

/// Rows of docs/writing-models.md: what works eagerly and is an error when it is recorded.
#[test]
fn what_is_an_error_only_when_it_is_recorded_says_so() {
    let x = Array::scalar(4.1);
    // An arm that is not taken is run to be written down.
    let raises = |x: Recorded| {
        let refuse = || raise(Error::Structure("negative".into()));
        Recorded::cond(&x.greater(&constant(0.0)), || x, refuse)
    };
    let error = record("f", raises, &x).unwrap_err().to_string();
    assert!(error.contains("negative"), "{error}");
    let mut pair = compile_derivative(
        "pair",
        |x: Recorded| pullback::<_, (Recorded, Option<Recorded>)>(|x| (x.sin(), Some(x.cos())), &x),
        &x,
    )
    .unwrap();
    pair.linearize(&x).unwrap();
    let error = pair.apply(&(x.clone(), None)).unwrap_err().to_string();
    assert!(error.contains("is missing") && error.contains("tests/compiled/control/errors.rs"), "{error}");
}
