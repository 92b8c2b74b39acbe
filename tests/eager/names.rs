//! Adjoints of intermediate values by name.

use std::collections::BTreeMap;

use antiphon::control::Checkpoints;
use antiphon::{
    Batch, Control, Error, NdArray, OrRaise, Real, Tensor, Var, grad, hvp, jvp, linearize,
    value_and_grad_named, vmap,
};

type Array = NdArray<f64>;

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} {expected}");
}

#[test]
fn of_numbers_and_arrays() {
    // y = sin(x²)·x with h = x².
    let x = 0.7f64;
    let (y, slope, adjoints) = value_and_grad_named(|x| x.square().named("h").sin() * x, &x, &["h"]).unwrap();
    near(y, (x * x).sin() * x);
    near(slope, (x * x).cos() * 2.0 * x * x + (x * x).sin());
    near(adjoints["h"], (x * x).cos() * x);

    // A value that nothing uses has the adjoint zero; several uses add up.
    fn model<T: Tensor>(x: T) -> T {
        let _unused = x.square().named("unused");
        let h = x.exp().named("h");
        (h.clone() * &h * &x).sum(..)
    }
    let x = Array::from(vec![0.5, -1.0]);
    let (_, _, adjoints) = value_and_grad_named(|x| model(x), &x, &["unused", "h"]).unwrap();
    assert_eq!(adjoints["unused"], Array::zeros(&[2]));
    let apart = adjoints["h"].clone() - x.exp() * &x * 2.0;
    assert!(apart.abs().max(..).item() < 1e-15);
    assert_eq!(adjoints.len(), 2);
}

/// The bits of values are as without names that are asked for.
#[test]
fn values_are_the_same() {
    let of_zero = |names: &[&str]| {
        value_and_grad_named(|x| (x * -0.0).named("zero").recip().tanh(), &1.0, names).unwrap().0
    };
    assert_eq!([of_zero(&["zero"]), of_zero(&[])], [-1.0, -1.0]);
}

/// Values of one name: the sum, of one shape.
#[test]
fn in_loops() {
    // h ← h·x, three times: ∂/∂hᵢ of the last is x^(3 − i).
    fn rounds<T: Control>(x: &T, how: usize) -> T {
        let round = |h: T, x: &T| (h * x).named("h");
        let begin = (x.zeros_like(), x.clone());
        match how {
            0 => (0..2).fold(x.clone(), |h, _| round(h, x)),
            1 => {
                let goes_on = |(i, _): &(T, T)| i.less(&T::constant(2.0));
                T::while_loop(begin, goes_on, |(i, h)| (i.offset(1.0), round(h, x))).1
            }
            2 => T::checkpoint((x.clone(), x.clone()), move |(h, x): (T, T)| {
                (0..2).fold(h, |h, _| (h * &x).named("h"))
            }),
            3 => T::checkpoint((x.clone(), x.clone()), move |(h, x): (T, T)| {
                let h = T::checkpoint((h, x.clone()), |(h, x): (T, T)| (h * x).named("h"));
                (h * x).named("h")
            }),
            _ => T::checkpointed_loop(2, x, x.clone(), Checkpoints::Count(how - 3), |_, x, h: T| {
                (h * x).named("h")
            }),
        }
    }
    let x = 1.5f64;
    for how in 0..6 {
        let (y, slope, adjoints) = value_and_grad_named(|x| rounds(&x, how).square(), &x, &["h"]).unwrap();
        near(y, x.powi(6));
        near(slope, 6.0 * x.powi(5));
        // y = h₂², h₂ = h₁·x.
        near(adjoints["h"], 2.0 * x.powi(3) * (1.0 + x));
        // Differentiated once more.
        fn of_h<T: Control>(x: &T, how: usize) -> T {
            value_and_grad_named(|x| rounds(&x, how).square(), x, &["h"]).or_raise().2["h"].clone()
        }
        near(grad(|x| of_h(&x, how), &x).unwrap(), 6.0 * x * x + 8.0 * x.powi(3));
        let (_, forward) = jvp(|x| of_h(&x, how), &x, &1.0).unwrap();
        near(forward, 6.0 * x * x + 8.0 * x.powi(3));
    }
    // Of different shapes.
    let error =
        value_and_grad_named(|x| x.square().named("h").sum(..).named("h"), &Array::zeros(&[2]), &["h"])
            .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("[2] and []") && error.contains("names.rs:"), "{error}");
}

/// In a checkpoint whose result has no adjoint, they are zeros.
#[test]
fn in_checkpoints_of_no_account() {
    fn model<T: Control>(x: T) -> T {
        let _unused = T::checkpoint(x.clone(), |x: T| x.sin().named("h"));
        x.square()
    }
    assert_eq!(value_and_grad_named(|x| model(x), &2.0, &["h"]).unwrap().2["h"], 0.0);
}

/// The name belongs to the derivative that asked, whichever of those around it that is.
#[test]
fn nested() {
    // Inner: d/dv (x·v)³ = 3·x³·v², with u = x·v.
    fn inner<T: Real>(x: &T, v: &T) -> T {
        grad(|v| (v * Var::lift(x)).named("u").powi(3), v).or_raise()
    }
    let (x, v) = (1.25, 0.5);
    // The outer one asks: of the inner slope z = 3u²·x, ∂z/∂u = 6u·x.
    let (y, slope, adjoints) = value_and_grad_named(|x| inner(&x, &Var::lift(&v)), &x, &["u"]).unwrap();
    near(y, 3.0 * x * x * x * v * v);
    near(slope, 9.0 * x * x * v * v);
    near(adjoints["u"], 6.0 * x * v * x);
    // The inner one asks, and the outer one differentiates what it got: ∂u³/∂u = 3·(x·v)².
    fn of_inner<T: Real>(x: &T, v: &T) -> T {
        value_and_grad_named(|v| (v * Var::lift(x)).named("u").powi(3), v, &["u"]).or_raise().2["u"].clone()
    }
    near(grad(|x| of_inner(&x, &Var::lift(&v)), &x).unwrap(), 6.0 * x * v * v);
    // Both ask, and each gets its own.
    let (_, _, outer) = value_and_grad_named(|x| of_inner(&x, &Var::lift(&v)), &x, &["u"]).unwrap();
    near(outer["u"], 6.0 * x * v);
    // Forward over it.
    let (slope, product) = hvp(|x| x.square().named("h").sin(), &x, &1.0).unwrap();
    near(slope, (x * x).cos() * 2.0 * x);
    near(product, (x * x).cos() * 2.0 - (x * x).sin() * 4.0 * x * x);
}

#[test]
fn on_batches() {
    let rows = Array::from(vec![0.5, -1.0, 2.0]);
    let named = |x: Batch<Array>| {
        value_and_grad_named(|x| x.square().named("h").sin(), &x, &["h"]).or_raise().2["h"].clone()
    };
    assert_eq!(vmap(named, &rows).unwrap(), rows.square().cos());
    // The derivative of a batch asks: the values of all rows are one array.
    let (_, _, adjoints): (_, _, BTreeMap<String, Array>) =
        value_and_grad_named(|x| vmap(|x| x.square().named("h").sin(), &x).or_raise().sum(..), &rows, &["h"])
            .unwrap();
    assert_eq!(adjoints["h"], rows.square().cos());
    let (_, by_parts) = linearize(
        |x| {
            value_and_grad_named(|x| x.square().named("h").sin().sum(..), &x, &["h"]).or_raise().2["h"]
                .clone()
        },
        &rows,
    )
    .unwrap();
    let ones = Array::full(&[3], 1.0);
    assert_eq!(by_parts.apply(&ones).unwrap(), -(rows.square().sin() * &rows * 2.0));
}

#[test]
fn names_that_are_not_there() {
    let error = value_and_grad_named(|x| x.sin().named("a").exp().named("b"), &1.0, &["a", "c"]).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }));
    let text = error.to_string();
    assert!(text.contains("named \"c\"") && text.contains("have: \"a\", \"b\""), "{text}");
    let none = value_and_grad_named(|x| x, &1.0, &["a"]).unwrap_err().to_string();
    assert!(none.contains("have: none"), "{none}");
    let twice = value_and_grad_named(|x| x.named("a"), &1.0, &["a", "b", "a"]).unwrap_err().to_string();
    assert!(twice.contains("\"a\" is asked for twice") && twice.contains("names.rs"), "{twice}");
    // A constant has no adjoint.
    let twice = |names: &[&str]| value_and_grad_named(|x| x * Var::lift(&2.0).named("two"), &1.0, names);
    let text = twice(&["two"]).unwrap_err().to_string();
    assert!(
        text.contains("\"two\"") && text.contains("is a constant") && text.contains("names.rs:"),
        "{text}"
    );
    assert_eq!(twice(&[]).unwrap().1, 2.0);
    // What one derivative asked for is forgotten, also after an error.
    assert_eq!(grad(|x| x * Var::lift(&2.0).named("two"), &1.0).unwrap(), 2.0);
    let raised = value_and_grad_named(
        |x| x.named("h").matmul(&Var::lift(&Array::zeros(&[7]))),
        &Array::zeros(&[2]),
        &["h"],
    );
    assert!(matches!(raised, Err(Error::Shape { .. })), "{raised:?}");
    assert_eq!(grad(|x| x * Var::lift(&2.0).named("h"), &1.0).unwrap(), 2.0);
}
