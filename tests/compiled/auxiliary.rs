//! What a loss gives besides: values that leave it after any control flow, eagerly and compiled.

use antiphon::control::scan;
use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{
    Control, Int, NdArray, NdInt, OrRaise, Real, Result, Tensor, TrainingStep, Var, compile, grad, jvp,
    value_and_grad, value_and_grad_aux, vjp,
};

type Array = NdArray<f64>;
type State<T> = (T, T);

/// A step of a recurrence from a carried state: a running `h ← tanh(w·h + x)`; the loss is `Σ h²`.
fn step<T: Tensor>((w, h): &mut State<T>, (xs,): &(T,)) -> Result<(T, T)> {
    let (loss, (last, hs), slope) = value_and_grad_aux(
        |w| {
            let (last, hs) = scan(Var::lift(h), &Var::lift(xs), |h, x| {
                let h = (w.clone() * &h + x).tanh();
                (h.clone(), h)
            })
            .or_raise();
            let positive = last.greater(&Var::constant(0.0));
            let last = Var::cond(&positive, || last.clone() * 0.5, || last.square());
            (hs.square().sum(..) + &last, (last, hs))
        },
        w,
    )?;
    *w = w.clone() - slope * 0.1;
    *h = last;
    Ok((loss, hs))
}

#[test]
fn the_state_of_a_recurrence_leaves_a_compiled_loss() {
    let xs = (Array::from(vec![0.5, -0.25, 1.0]),);
    let start = || (Array::scalar(0.5), Array::scalar(0.1));
    let mut eager = TrainingStep::eager(start(), step);
    let mut compiled = TrainingStep::compiled(start(), step);
    for _ in 0..3 {
        let (loss, hs) = eager.call(&xs).unwrap();
        let (compiled_loss, compiled_hs) = compiled.call(&xs).unwrap();
        let near = |a: &Array, b: &Array| assert!((a.clone() - b).abs().sum(..).item() < 1e-14, "{a} {b}");
        near(&loss, &compiled_loss);
        near(&hs, &compiled_hs);
        near(&eager.state().0, &compiled.state().0);
        near(&eager.state().1, &compiled.state().1);
    }
}

#[test]
fn what_is_auxiliary_has_no_part_in_the_gradient_and_keeps_outer_derivatives() {
    let (loss, (y, n), slope): (f64, (f64, i64), f64) =
        value_and_grad_aux(|x| (x.square(), (x.powi(3), 7)), &2.0).unwrap();
    assert_eq!((loss, y, n, slope), (4.0, 8.0, 7, 4.0));
    // d/dx of the auxiliary x³ of an inner derivative.
    fn sum<T: Real>(a: T, b: T) -> T {
        a + b
    }
    let outer = |x: f64| {
        grad(
            |x| {
                let (_, (cube,), slope) = value_and_grad_aux(|y| (y.square(), (y.powi(3),)), &x).or_raise();
                sum(cube, slope)
            },
            &x,
        )
    };
    assert_eq!(outer(2.0).unwrap(), 12.0 + 2.0);
}

/// Polar coordinates as plane ones, by a branch that changes nothing.
fn polar<T: Tensor>(r: &T, t: &T) -> (T, T) {
    T::cond(
        &r.less(&T::constant(1.0)),
        || (r.clone() * t.cos(), r.clone() * t.sin()),
        || (t.cos() * r, t.sin() * r),
    )
}

#[test]
fn products_with_the_jacobian_of_several_results() {
    let (r, t) = (Array::scalar(2.0), Array::scalar(0.3));
    let x = ((r.clone(), t.clone()), (Array::scalar(1.0), Array::scalar(10.0)));
    let both = |(x, v): ((Array, Array), (Array, Array))| {
        let ((_, _), (dr, dt)) = vjp(|(r, t)| polar(&r, &t), &x, &v).unwrap();
        let ((a, b), (da, db)) = jvp(|(r, t)| polar(&r, &t), &x, &v).unwrap();
        vec![dr, dt, a, b, da, db]
    };
    let (s, c) = (0.3f64.sin(), 0.3f64.cos());
    let expected = [c + 10.0 * s, -2.0 * s + 20.0 * c, 2.0 * c, 2.0 * s, c - 20.0 * s, s + 20.0 * c];
    let mut compiled = compile(
        "both",
        |(x, v): ((_, _), (_, _))| {
            let ((_, _), (dr, dt)) = vjp(|(r, t)| polar(&r, &t), &x, &v).or_raise();
            let ((a, b), (da, db)) = jvp(|(r, t)| polar(&r, &t), &x, &v).or_raise();
            vec![dr, dt, a, b, da, db]
        },
        &x,
    )
    .unwrap();
    for found in [both(x.clone()), compiled.call(&x).unwrap()] {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.item() - expected).abs() < 1e-14, "{found} {expected}");
        }
    }
    // An adjoint that is absent, and one of what the function does not give.
    let (_, slope) = vjp(|x| (x.square(), Some(x.powi(3))), &2.0, &(1.0, None::<f64>)).unwrap();
    assert_eq!(slope, 4.0);
    let error = vjp(|x| (x.square(), None), &2.0, &(1.0, Some(1.0))).unwrap_err().to_string();
    assert!(error.contains("an adjoint of \"1\""), "{error}");
}

#[test]
fn a_value_that_leaves_by_a_variable_of_the_callers_is_an_error_that_says_what_to_write() {
    fn smuggling<T: Tensor>((w, h): &mut State<T>, (xs,): &(T,)) -> Result<T> {
        let mut last = None;
        let (loss, slope) = value_and_grad(
            |w| {
                let (h, hs) = scan(Var::lift(h), &Var::lift(xs), |h, x| {
                    let h = (w.clone() * &h + x).tanh();
                    (h.clone(), h)
                })
                .or_raise();
                last = Some(h.value().clone());
                hs.square().sum(..)
            },
            w,
        )?;
        *w = w.clone() - slope * 0.1;
        *h = last.unwrap();
        Ok(loss)
    }
    let start = (Array::scalar(0.5), Array::scalar(0.1));
    let mut step: TrainingStep<'_, State<Array>, (Array,), Array> = TrainingStep::compiled(start, smuggling);
    let error = step.call(&(Array::from(vec![0.5, -0.25, 1.0]),)).unwrap_err().to_string();
    assert!(error.contains("value_and_grad_aux"), "{error}");
    assert!(error.contains("tests/compiled/auxiliary.rs"), "{error}");
}

#[test]
fn an_integer_after_control_flow_is_an_error() {
    let f = |(x, n): (Recorded, RecordedInt)| {
        let (_, count, slope) = value_and_grad_aux(
            |x| {
                let (i, y) = Var::while_loop(
                    (Int::constant(0), x),
                    |(i, _): &(RecordedInt, _)| i.less(&n),
                    |(i, y): (RecordedInt, Var<'_, _>)| (i + RecordedInt::constant(1), y.square()),
                );
                (y, i)
            },
            &x,
        )
        .or_raise();
        let _: RecordedInt = count;
        slope
    };
    let error = compile("f", f, &(Array::scalar(0.5), NdInt::constant(2))).unwrap_err().to_string();
    assert!(error.contains("from_int"), "{error}");
}
