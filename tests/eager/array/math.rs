//! Elementary functions against libm in double precision, in units in the last place.

use antiphon::{NdArray, Real};
use ndarray::Array1;

/// Distance of `got` from the exact value in units of the last place of f32, subnormal ones included.
fn ulps_f32(got: f32, exact: f64) -> f64 {
    if got.is_nan() || exact.is_nan() {
        return if got.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.is_infinite() || (exact as f32).is_infinite() {
        return if got == exact as f32 { 0.0 } else { f64::INFINITY };
    }
    let exponent = exact.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor() as i32;
    (f64::from(got) - exact).abs() / f64::powi(2.0, exponent - 23)
}

/// Distance in units of the last place of f64 of a reference that is itself rounded.
fn ulps_f64(got: f64, reference: f64) -> f64 {
    if got == reference || (got.is_nan() && reference.is_nan()) {
        return 0.0;
    }
    if !got.is_finite() || !reference.is_finite() || got.signum() != reference.signum() {
        return f64::INFINITY;
    }
    got.to_bits().abs_diff(reference.to_bits()) as f64
}

/// Numbers of all magnitudes and both signs, and the special ones; 197 is coprime to everything in sight.
fn all_f32() -> Vec<f32> {
    let special = [0.0, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN];
    (0..=u32::MAX).step_by(9973).map(f32::from_bits).chain(special).collect()
}

fn spread_f64() -> Vec<f64> {
    let special = [0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN];
    let bits = (0..200_000u64).map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    // Most bit patterns are enormous or tiny: half of the samples lie where the functions do something.
    let moderate = (0..200_000).map(|i| (f64::from(i) / 100_000.0 - 1.0).powi(3) * 750.0);
    bits.chain(moderate).chain(special).collect()
}

type F32 = (&'static str, fn(&NdArray<f32>) -> NdArray<f32>, fn(f64) -> f64, f64);
type Bounded = (&'static str, fn(&NdArray<f64>) -> NdArray<f64>, f64);
type F64 = (&'static str, fn(&NdArray<f64>) -> NdArray<f64>, fn(f64) -> f64, f64);

fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

fn softplus(x: f64) -> f64 {
    if x.is_nan() { x } else { x.max(0.0) + libm::log1p(libm::exp(-x.abs())) }
}

#[test]
fn f32_functions_are_within_three_units_in_the_last_place() {
    let functions: [F32; 29] = [
        ("exp", |x| x.exp(), libm::exp, 3.0),
        ("expm1", |x| x.expm1(), libm::expm1, 3.0),
        ("log", |x| x.log(), libm::log, 3.0),
        ("log1p", |x| x.log1p(), libm::log1p, 3.0),
        ("tanh", |x| x.tanh(), libm::tanh, 3.0),
        ("sigmoid", |x| x.sigmoid(), sigmoid, 3.0),
        ("softplus", |x| x.softplus(), softplus, 3.0),
        ("sqrt", |x| x.sqrt(), f64::sqrt, 0.51),
        ("sin", |x| x.sin(), libm::sin, 1.0),
        ("cos", |x| x.cos(), libm::cos, 1.0),
        ("tan", |x| x.tan(), libm::tan, 1.5),
        ("erf", |x| x.erf(), libm::erf, 2.0),
        ("erfc", |x| x.erfc(), libm::erfc, 4.0),
        ("exp2", |x| x.exp2(), f64::exp2, 1.5),
        ("log2", |x| x.log2(), f64::log2, 1.5),
        ("log10", |x| x.log10(), f64::log10, 1.5),
        ("cbrt", |x| x.cbrt(), f64::cbrt, 1.0),
        ("sinh", |x| x.sinh(), f64::sinh, 1.5),
        ("cosh", |x| x.cosh(), f64::cosh, 1.5),
        ("asin", |x| x.asin(), f64::asin, 2.0),
        ("acos", |x| x.acos(), f64::acos, 1.5),
        ("atan", |x| x.atan(), f64::atan, 2.0),
        ("asinh", |x| x.asinh(), libm::asinh, 2.5),
        ("acosh", |x| x.acosh(), |x| Real::acosh(&x), 2.5),
        ("atanh", |x| x.atanh(), libm::atanh, 1.5),
        ("i0", |x| x.i0(), |x| Real::i0(&x), 5.0),
        ("i1", |x| x.i1(), |x| Real::i1(&x), 5.0),
        ("floor", |x| x.floor(), f64::floor, 0.0),
        ("round", |x| x.round(), f64::round_ties_even, 0.0),
    ];
    let xs = all_f32();
    let array = NdArray::from(Array1::from(xs.clone()));
    for (name, f, exact, limit) in functions {
        let ys = f(&array).into_array();
        let mut worst = (0.0, 0.0);
        for (&x, &y) in xs.iter().zip(&ys) {
            let error = ulps_f32(y, exact(f64::from(x)));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{name} f32: {:.2} ulp at {:e}", worst.0, worst.1);
        assert!(worst.0 <= limit, "{name}: {} ulp at {:e}", worst.0, worst.1);
    }
}

#[test]
fn f64_functions_are_within_two_units_in_the_last_place() {
    // One more than the bound of 2 because the reference has an error of its own.
    let functions: [F64; 21] = [
        ("exp", |x| x.exp(), libm::exp, 2.0),
        ("expm1", |x| x.expm1(), libm::expm1, 3.0),
        ("log", |x| x.log(), libm::log, 2.0),
        ("log1p", |x| x.log1p(), libm::log1p, 2.0),
        ("tanh", |x| x.tanh(), libm::tanh, 4.0),
        ("sigmoid", |x| x.sigmoid(), sigmoid, 3.0),
        ("softplus", |x| x.softplus(), softplus, 3.0),
        ("erf", |x| x.erf(), libm::erf, 2.0),
        ("erfc", |x| x.erfc(), libm::erfc, 6.0),
        ("exp2", |x| x.exp2(), f64::exp2, 2.0),
        ("log2", |x| x.log2(), f64::log2, 2.0),
        ("log10", |x| x.log10(), f64::log10, 3.0),
        ("cbrt", |x| x.cbrt(), f64::cbrt, 1.0),
        ("sinh", |x| x.sinh(), f64::sinh, 3.0),
        ("cosh", |x| x.cosh(), f64::cosh, 3.0),
        ("asin", |x| x.asin(), f64::asin, 2.0),
        ("acos", |x| x.acos(), f64::acos, 2.0),
        ("atan", |x| x.atan(), f64::atan, 2.0),
        ("asinh", |x| x.asinh(), libm::asinh, 4.0),
        ("acosh", |x| x.acosh(), |x| Real::acosh(&x), 4.0),
        ("atanh", |x| x.atanh(), libm::atanh, 3.0),
    ];
    let xs = spread_f64();
    let array = NdArray::from(Array1::from(xs.clone()));
    for (name, f, exact, limit) in functions {
        let ys = f(&array).into_array();
        let mut worst = (0.0, 0.0);
        for (&x, &y) in xs.iter().zip(&ys) {
            let error = ulps_f64(y, exact(x));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{name} f64: {:.2} ulp at {:e}", worst.0, worst.1);
        assert!(worst.0 <= limit, "{name}: {} ulp at {:e}", worst.0, worst.1);
    }
}

/// Against values in 40 digits (`tests/reference/elementary.py`), each the sum of two numbers.
#[test]
fn errors_are_what_the_formulas_page_says() {
    let functions: [Bounded; 16] = [
        ("exp2", |x| x.exp2(), 1.0),
        ("log2", |x| x.log2(), 1.4),
        ("log10", |x| x.log10(), 1.4),
        ("cbrt", |x| x.cbrt(), 0.8),
        ("sinh", |x| x.sinh(), 1.5),
        ("cosh", |x| x.cosh(), 1.5),
        ("asinh", |x| x.asinh(), 2.2),
        ("acosh", |x| x.acosh(), 2.2),
        ("atanh", |x| x.atanh(), 2.2),
        ("asin", |x| x.asin(), 1.5),
        ("acos", |x| x.acos(), 1.5),
        ("atan", |x| x.atan(), 1.9),
        ("erfc", |x| x.erfc(), 2.0),
        ("lgamma", |x| x.lgamma(), 2.0),
        ("i0", |x| x.i0(), 2.5),
        ("i1", |x| x.i1(), 2.5),
    ];
    let mut found = 0;
    for line in include_str!("../../reference/elementary.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [high, low] = [2, 3].map(|i| words[i].parse::<f64>().unwrap());
        let operands: Vec<f64> = words[1].split(',').map(|x| x.parse().unwrap()).collect();
        let x = operands[0];
        let (y, limit) = match operands.get(1) {
            Some(&exponent) => (NdArray::from(x).pow(&exponent.into()).item(), &1.2),
            None => {
                let (_, f, limit) = functions.iter().find(|(name, ..)| *name == words[0]).unwrap();
                (f(&x.into()).item(), limit)
            }
        };
        let size = high.abs().max(f64::MIN_POSITIVE);
        let error = ((y - high) - low).abs() / (size.next_up() - size);
        assert!(error <= *limit, "{}({x:e}) is {y:e}, not {high:e}: {error} ulp", words[0]);
        found += 1;
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn the_sign_of_zero_survives_odd_functions() {
    let zeros = NdArray::from(Array1::from(vec![0.0f32, -0.0]));
    let more =
        [zeros.sinh(), zeros.asin(), zeros.atan(), zeros.asinh(), zeros.atanh(), zeros.cbrt(), zeros.i1()];
    for y in [zeros.tanh(), zeros.expm1(), zeros.log1p(), zeros.sin()].into_iter().chain(more) {
        let y = y.into_array();
        assert!(y[0].is_sign_positive() && y[1].is_sign_negative());
    }
}

#[test]
fn a_value_does_not_depend_on_its_position_in_the_array() {
    let xs: Vec<f32> = (0..67).map(|i| (i as f32 - 33.0) * 0.37).collect();
    for n in 0..xs.len() {
        let y = NdArray::from(Array1::from(xs[n..].to_vec())).tanh().into_array();
        let z = NdArray::from(xs[n]).tanh().item();
        assert_eq!(y[0].to_bits(), z.to_bits());
    }
}

/// What C's functions say of powers and remainders of zeros, infinities and what is not a number; and signs of gamma
/// functions' poles.
#[test]
fn special_values_of_functions_of_two_numbers() {
    const INF: f64 = f64::INFINITY;
    let numbers = [0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 1e17, 9007199254740993.0, 5e-324, 1e300, INF, f64::NAN];
    let numbers: Vec<f64> = numbers.iter().flat_map(|&x| [x, -x]).collect();
    let same = |a: f64, b: f64| {
        (a.is_nan() && b.is_nan()) || (a == b && a.is_sign_negative() == b.is_sign_negative())
    };
    for &x in &numbers {
        for &y in &numbers {
            let found = NdArray::from(x).pow(&y.into()).item();
            let expected = x.powf(y);
            assert!(
                same(found, expected) || (found / expected - 1.0).abs() < 1e-15,
                "{x}^{y}: {found}, not {expected}"
            );
            let found = NdArray::from(x as f32).pow(&(y as f32).into()).item();
            let expected = (x as f32).powf(y as f32);
            let close = (found / expected - 1.0).abs() < 2e-7;
            assert!(same(found.into(), expected.into()) || close, "{x}^{y} in f32: {found}, not {expected}");
        }
        let found = NdArray::from(x).lgamma().item();
        let expected = libm::lgamma(x);
        assert!(
            same(found, expected) || (found - expected).abs() <= 4e-15 * expected.abs(),
            "lgamma {x}: {found}"
        );
    }
    // Between negative integers, by the larger of the value and 1.
    for i in 1..3000 {
        let x = -0.01 * f64::from(i) - 0.0037;
        let (found, expected) = (NdArray::from(x).lgamma().item(), libm::lgamma(x));
        assert!(
            (found - expected).abs() <= 1e-15 * (1.0 + expected.abs()),
            "lgamma {x}: {found}, not {expected}"
        );
        let (found, expected) = (NdArray::from(x as f32).lgamma().item(), libm::lgamma((x as f32).into()));
        assert!((f64::from(found) - expected).abs() <= 6e-7 * (1.0 + expected.abs()), "lgamma {x}: {found}");
    }
}
