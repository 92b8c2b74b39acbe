//! Elementwise operators that are composed of others, so that each interpretation has them with all derivatives: the
//! formulas behind methods of [`Real`]. Each is smooth, or has the derivative that its method states, on either side of
//! every `select` in it; what is not taken gets an operand for which it is harmless.

use crate::continuation::unwinding::OrRaise;
use crate::language::real::{Mask, Real};

/// `c₀ + c₁x + c₂x² + …`.
#[track_caller]
pub(crate) fn polynomial<T: Real>(x: &T, coefficients: &[f64]) -> T {
    let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    let mut sum = T::constant(*last);
    for &c in rest.iter().rev() {
        sum = (sum * x).offset(c);
    }
    sum
}

/// `ln(eᵃ + eᵇ)`: the larger operand, and the softplus of how much smaller the other one is.
#[track_caller]
pub(crate) fn logaddexp<T: Real>(a: &T, b: &T) -> T {
    T::check_broadcast("logaddexp", a, b).or_raise();
    let [infinite, nothing] = [f64::INFINITY, f64::NEG_INFINITY].map(T::constant);
    let first = a.greater_equal(b);
    let difference = T::select(&first, &(b.clone() - a), &(a.clone() - b));
    // Of equal infinities the difference is not a number.
    let alike = a.equal(b).and(&a.equal(&infinite).or(&a.equal(&nothing)));
    let difference = T::select(&alike, &nothing, &difference);
    let larger = T::select(&first, a, b);
    // The logarithm of nothing has no derivative.
    let larger = T::select(&larger.equal(&nothing), &nothing, &larger);
    larger + difference.softplus()
}

/// `x·ln y`, and 0 where `x = 0`: there the logarithm is that of 1 if the one of `y` is infinite or undefined.
#[track_caller]
pub(crate) fn xlogy<T: Real>(x: &T, y: &T) -> T {
    T::check_broadcast("xlogy", x, y).or_raise();
    let zero = T::constant(0.0);
    let unusual = y.less_equal(&zero).or(&y.equal(&T::constant(f64::INFINITY)));
    let vanishes = x.equal(&zero).and(&unusual);
    x.strong_mul(&T::select(&vanishes, &T::constant(1.0), y).log())
}

/// The remainder with the sign of the divisor, from the one with the sign of the dividend.
#[track_caller]
pub(crate) fn remainder<T: Real>(a: &T, b: &T) -> T {
    T::check_broadcast("remainder", a, b).or_raise();
    let zero = T::constant(0.0);
    let rest = a.fmod(b);
    let below = rest.less(&zero).and(&b.greater(&zero));
    let above = rest.greater(&zero).and(&b.less(&zero));
    T::select(&below.or(&above), &(rest.clone() + b), &rest)
}

/// `(−1)ᵏ/(2k+1)!`, as far as `sin(z)/z` needs them where `|z| ≤ π/2`.
const SINC: [f64; 13] = {
    let mut coefficients = [1.0; 13];
    let mut k = 1;
    while k < 13 {
        coefficients[k] = -coefficients[k - 1] / ((2 * k) * (2 * k + 1)) as f64;
        k += 1;
    }
    coefficients
};

/// `sin(πx)/(πx)`: a series where `|x| ≤ ½`; else the sine of `π` times what `x` is more than an even integer.
#[track_caller]
pub(crate) fn sinc<T: Real>(x: &T) -> T {
    let pi = std::f64::consts::PI;
    let near = x.abs().less_equal(&T::constant(0.5));
    let small = T::select(&near, x, &T::constant(0.0)).scale(pi);
    let large = T::select(&near, &T::constant(1.0), x);
    let period = large.clone().scale(0.5).round().scale(2.0);
    let far = (large.clone() - period).scale(pi).sin() / large.scale(pi);
    T::select(&near, &polynomial(&small.square(), &SINC), &far)
}

/// Numbers in the place of NaN and infinities.
#[track_caller]
pub(crate) fn nan_to_num<T: Real>(x: &T, nan: f64, positive: f64, negative: f64) -> T {
    let y = T::select(&x.equal(x), x, &T::constant(nan));
    let y = T::select(&x.equal(&T::constant(f64::INFINITY)), &T::constant(positive), &y);
    T::select(&x.equal(&T::constant(f64::NEG_INFINITY)), &T::constant(negative), &y)
}

/// `1/(2·4ᵏ·k!·(k+1)!)`, as far as `I₁(x)/x` needs them where `|x| < 1`.
const I1_OVER_X: [f64; 10] = {
    let mut coefficients = [0.5; 10];
    let mut k = 1;
    while k < 10 {
        coefficients[k] = coefficients[k - 1] / (4 * k * (k + 1)) as f64;
        k += 1;
    }
    coefficients
};

/// `I₁(x)/x` for the value `y` of `I₁` at `x`: a series where `|x| < 1`.
#[track_caller]
pub(crate) fn i1_over_x<T: Real>(x: &T, y: &T) -> T {
    let near = x.abs().less(&T::constant(1.0));
    let small = T::select(&near, x, &T::constant(0.0));
    let large = T::select(&near, &T::constant(1.0), x);
    T::select(&near, &polynomial(&small.square(), &I1_OVER_X), &(y.clone() / large))
}

/// `√(a² + b²)` as a divisor: infinite at the origin, so that what is divided by it is 0 there, with all derivatives.
#[track_caller]
pub(crate) fn as_divisor<T: Real>(length: T) -> T {
    if length.none_zero() {
        return length;
    }
    T::select(&length.equal(&T::constant(0.0)), &T::constant(f64::INFINITY), &length)
}
