//! Elementwise functions in compiled code, against NumPy and SciPy, special values included.

use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{Control, Int, NdArray, NdInt, OrRaise, Real, compile, compile_with, grad};
use antiphon_staging::CompileOptions;

use crate::elementwise_reference::{apply, apply_to_integers, is_right, reference};

/// Strictly, and for speed.
fn options() -> [CompileOptions; 2] {
    [true, false].map(|strict| CompileOptions { strict, ..CompileOptions::default() })
}

#[test]
fn reals_are_numpys() {
    let mut wrong = Vec::new();
    for (name, ([xs, ys], zs)) in reference().0 {
        let points = (NdArray::from(xs.clone()), NdArray::from(ys.clone()));
        for options in options() {
            let function = |(x, y): (Recorded, Recorded)| apply(name, &x, &y);
            let mut function = compile_with(name, function, &points, &options).unwrap();
            let found = function.call(&points).unwrap();
            for ((x, y), (found, z)) in xs.iter().zip(&ys).zip(found.view().iter().zip(&zs)) {
                if !is_right(name, *found, *z, f64::EPSILON) {
                    wrong.push(format!("{name}({x:?}, {y:?}), {}: {found:?}, not {z:?}", options.strict));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Powers, tangents and remainders, which have formulas on vectors: with special values, and arguments for which these
/// are not.
#[test]
fn powers_tangents_and_remainders_are_those_of_numbers() {
    let sizes =
        [0.0, 0.3, 1.0, 1.5, 2.0, 3.0, 710.25, 1e5, 3e6, 1e17, 5e-324, 1e300, f64::INFINITY, f64::NAN];
    let numbers: Vec<f64> = sizes.iter().flat_map(|&x| [x, -x]).collect();
    let pairs: Vec<(f64, f64)> = numbers.iter().flat_map(|&x| numbers.iter().map(move |&y| (x, y))).collect();
    let (xs, ys): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let points = (NdArray::from(xs), NdArray::from(ys));
    let all = |(x, y): (Recorded, Recorded)| (x.pow(&y), x.tan(), x.fmod(&y));
    let (powers, tangents, remainders) = compile("all", all, &points).unwrap().call(&points).unwrap();
    let same = |a: f64, b: f64| {
        (a.is_nan() && b.is_nan()) || (a == b && a.is_sign_negative() == b.is_sign_negative())
    };
    for (i, (x, y)) in pairs.into_iter().enumerate() {
        let [power, tangent, remainder] = [&powers, &tangents, &remainders].map(|found| found.view()[[i]]);
        let close = |a: f64, b: f64, bound: f64| same(a, b) || (a / b - 1.0).abs() <= bound;
        assert!(close(power, x.powf(y), 3e-16), "{x}^{y}: {power:e}, not {:e}", x.powf(y));
        assert!(close(tangent, x.tan(), 6e-16), "tan {x}: {tangent:e}, not {:e}", x.tan());
        assert!(same(remainder, x % y), "{x} % {y}: {remainder:e}, not {:e}", x % y);
    }
}

/// No quotient ends the process, not even those that the processor has no result for.
#[test]
fn quotients_of_integers_are_numpys() {
    for (name, ([xs, ys], zs)) in reference().1 {
        let points = (NdInt::from(xs), NdInt::from(ys));
        for options in options() {
            let function = |(x, y): (RecordedInt, RecordedInt)| apply_to_integers(name, &x, &y);
            let mut function = compile_with::<NdArray<f64>, _, _>(name, function, &points, &options).unwrap();
            assert_eq!(function.call(&points).unwrap(), NdInt::from(zs.clone()), "{name}");
        }
    }
}

/// All of them in an arm, of which the second derivative is taken of the program.
fn in_an_arm<T: Control>(x: &T) -> T {
    let all = || {
        let mut y = x.erfc() + x.exp2() + x.log2() + x.log10() + x.cbrt() + x.sinh() + x.cosh() + x.sinc();
        y += x.asin() + x.acos() + x.atan() + x.asinh() + x.clone().offset(2.0).acosh() + x.atanh();
        y += x.lgamma() + x.digamma() + x.i0() + x.i1();
        y += (x.floor() + x.ceil() + x.clone().scale(5.0).round() + x.clone().scale(7.0).trunc()) * x;
        let z = x.clone().scale(2.0).offset(-0.5);
        y += x.atan2(&z) + x.hypot(&z) + x.logaddexp(&z) + x.xlogy(x) + z.fmod(x) * x + (-z).remainder(x) * x;
        let i = x.clone().scale(9.0).to_int();
        y + T::from_int(
            &(i.floor_divide(&T::Int::constant(-2)) + i.remainder(&T::Int::constant(3)) - -i.abs()),
        ) * x
    };
    T::cond(&x.less(&T::constant(1.0)), all, || x.square())
}

#[test]
fn second_derivatives_in_arms_are_those_of_eager_runs() {
    fn second<T: Control>(x: &T) -> T {
        grad(|x| grad(|x| in_an_arm(&x), &x).or_raise().square(), x).or_raise()
    }
    let mut compiled = compile("second", |x: Recorded| second(&x), &0.5f64).unwrap();
    for x in [0.3f64, 0.45, 0.8, 2.0] {
        let (found, expected): (f64, f64) = (compiled.call(&x).unwrap(), second(&x));
        assert!((found - expected).abs() <= 1e-11 * expected.abs(), "at {x}: {found}, not {expected}");
    }
}
