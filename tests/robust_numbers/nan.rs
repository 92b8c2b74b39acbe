//! Data may hold any NaN: none of them means anything else.

use antiphon::recording::{Recorded, interpret, record};
use antiphon::{Dual, NdArray, Real, Tensor, Var, cps, grad, value_and_grad, vjp};
use antiphon::{OrRaise, Window2d, compile};

/// The NaNs that stand, or stood, for what is absent; and their likes.
fn doubles() -> impl Iterator<Item = f64> {
    let payloads = [
        0x7ff5_15ab_5e17_ab5e,
        0x7ffd_15ab_5e17_ab5e,
        0x7ff0_0000_0000_0001,
        u64::MAX,
        0xfff5_15ab_5e17_ab5e,
    ];
    payloads.into_iter().map(f64::from_bits)
}

fn singles() -> impl Iterator<Item = f32> {
    [0x7f91_5ab5, 0x7fd1_5ab5, 0x7f80_0001, u32::MAX, 0xff91_5ab5].into_iter().map(f32::from_bits)
}

#[test]
fn the_value_of_a_function_may_be_any_nan() {
    for x in doubles() {
        let (value, slope) = value_and_grad(|x: Var<'_, f64>| x, &x).unwrap();
        assert!(value.is_nan() && slope == 1.0, "{:x}", x.to_bits());
        let (value, slope) = value_and_grad(|(x, y): (Var<'_, f64>, Var<'_, f64>)| x * y, &(x, 2.0)).unwrap();
        assert!(value.is_nan() && slope.0 == 2.0 && slope.1.is_nan(), "{:x}", x.to_bits());
    }
    for x in singles() {
        let (value, slope) = value_and_grad(|x: Var<'_, f32>| x, &x).unwrap();
        assert!(value.is_nan() && slope == 1.0, "{:x}", x.to_bits());
    }
}

#[test]
fn an_adjoint_may_be_any_nan_and_stays_one() {
    for y_bar in doubles() {
        // Passed on as it is, negated, and added to.
        assert!(vjp(|x: Var<'_, f64>| x, &1.0, &y_bar).unwrap().1.is_nan(), "{:x}", y_bar.to_bits());
        assert!(vjp(|x: Var<'_, f64>| -x, &1.0, &y_bar).unwrap().1.is_nan(), "{:x}", y_bar.to_bits());
        assert!(vjp(|x: Var<'_, f64>| x.clone() + x, &1.0, &y_bar).unwrap().1.is_nan());
        let twice = vjp(|x: Var<'_, f64>| x.clone().offset(1.0) - x.square().scale(0.0), &1.0, &y_bar);
        assert!(twice.unwrap().1.is_nan());
        // From a rule of the user's, twice and then once more.
        let rule = cps::grad(&2.0, |x, k| cps::custom([x, x], 1.0, |_, _| [y_bar, 1.0], k)).unwrap();
        assert!(rule.is_nan(), "{:x}", y_bar.to_bits());
        let rule = cps::grad(&2.0, |x, k| cps::custom([x, x], 1.0, |_, _| [1.0, y_bar], k)).unwrap();
        assert!(rule.is_nan(), "{:x}", y_bar.to_bits());
    }
    for y_bar in singles() {
        assert!(vjp(|x: Var<'_, f32>| x.clone() + x, &1.0, &y_bar).unwrap().1.is_nan());
        assert!(vjp(|x: Var<'_, f32>| -x, &1.0, &y_bar).unwrap().1.is_nan());
    }
}

#[test]
fn the_same_through_nested_derivatives_arrays_and_compiled_code() {
    for nan in doubles() {
        let nested = grad(
            |x: Var<'_, f64>| grad(|y| y.clone() * &y * &Var::lift(&x), &Var::constant(nan)).or_raise(),
            &1.0,
        );
        assert!(nested.unwrap().is_nan());
        let (_, tangent) = antiphon::jvp(|x: Dual<f64>| x.clone() * x, &1.0, &nan).unwrap();
        assert!(tangent.is_nan());
        let x = NdArray::from(vec![nan, 1.0]);
        let (value, slope) = value_and_grad(|x| (x.clone() * x).sum(..), &x).unwrap();
        assert!(value.item().is_nan() && slope.view()[[0]].is_nan() && slope.view()[[1]] == 2.0);
        let model = |x: Recorded| {
            let slope = grad(
                |x| {
                    let positive = x.greater(&Var::constant(0.0));
                    antiphon::Control::cond(&positive, || x.clone() * &x, || x.clone() * &x * &x)
                },
                &x,
            );
            slope.or_raise() * x
        };
        let program = record("f", model, &1.0).unwrap();
        assert!(interpret(&program, &nan).unwrap()[0].is_nan());
        assert!(compile("f", model, &1.0).unwrap().call(&nan).unwrap().is_nan());
    }
}

/// Padding is left out of a convolution, and not multiplied: a kernel that is not finite counts inside of the image
/// only.
#[test]
fn padding_does_not_multiply() {
    let window = Window2d { stride: [1, 1], padding: [1, 1] };
    let y = |x: &NdArray<f64>, w: &NdArray<f64>| x.conv2d(w, window);
    for odd in [f64::INFINITY, f64::NAN] {
        let x = NdArray::<f64>::ones(&[8, 1, 2, 2]);
        // In the only window, its first element is over a corner of the padding.
        let mut kernel = vec![1.0; 16];
        kernel[0] = odd;
        let w = NdArray::from_elements(&[1, 1, 4, 4], &kernel).unwrap();
        let expected = y(&x, &w);
        assert_eq!(expected.shape()[..], [8, 1, 1, 1]);
        assert!(expected.view().iter().all(|&y| y == 4.0), "{expected:?}");
        let gradient = |x: &NdArray<f64>, w: &NdArray<f64>| {
            grad(|(x, w): (Var<'_, _>, Var<'_, _>)| x.conv2d(&w, window).sum(..), &(x.clone(), w.clone()))
                .unwrap()
        };
        let (x_bar, w_bar) = gradient(&x, &w);
        assert!(x_bar.view().iter().all(|&x| x == 1.0), "{x_bar:?}");
        let program = |(x, w): (Recorded, Recorded)| {
            let y = x.conv2d(&w, window);
            (y, grad(|(x, w): (Var<'_, _>, Var<'_, _>)| x.conv2d(&w, window).sum(..), &(x, w)).or_raise())
        };
        let nothing = NdArray::<f64>::ones(&[1, 1, 0, 2]);
        assert_eq!(
            nothing.conv2d(&w, Window2d { padding: [2, 1], ..window }),
            NdArray::from_elements(&[1, 1, 1, 1], &[0.0]).unwrap()
        );
        let mut compiled = compile("padding", program, &(x.clone(), w.clone())).unwrap();
        assert_eq!(compiled.call(&(x.clone(), w.clone())).unwrap(), (expected, (x_bar, w_bar)));
    }
}
