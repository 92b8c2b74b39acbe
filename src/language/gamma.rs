//! Derivatives of the logarithm of the gamma function, composed of other operators.
//!
//! For positive `x` by recurrence as far as the asymptotic series is exact, and by reflection for negative `x`
//! (Abramowitz & Stegun 1964, 6.3.5, 6.3.7, 6.3.18 and 6.4.6, 6.4.7, 6.4.11).

use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::composed::elementwise::polynomial;
use crate::language::real::Real;

/// Bernoulli's numbers `B₂, B₄, …`.
const BERNOULLI: [f64; 9] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2_730.0,
    7.0 / 6.0,
    -3_617.0 / 510.0,
    43_867.0 / 798.0,
];

/// Steps of the recurrence of ψ: from there on the series ends below the last place.
const STEPS: u32 = 10;

/// The largest order of [`polygamma`].
const ORDERS: u32 = 30;

/// What the recurrence is applied to, `x` or `1 − x`, and `x` less the nearest integer where that was reflected.
#[track_caller]
fn reflected<T: Real>(x: &T) -> (T::Bool, T, T) {
    let negative = x.less(&T::constant(0.0));
    let positive = T::select(&negative, &(T::constant(1.0) - x), x);
    let fraction = T::select(&negative, &(x.clone() - x.round()), &T::constant(0.25));
    (negative, positive, fraction)
}

/// `cot πx`. Not by the tangent, which is infinite where this is zero: derivatives would be differences of large
/// numbers there.
#[track_caller]
fn cotangent_of_pi_times<T: Real>(x: &T) -> T {
    let angle = x.clone().scale(std::f64::consts::PI);
    angle.cos() / angle.sin()
}

/// `ψ(x) = d/dx ln Γ(x)`.
#[track_caller]
pub(super) fn digamma<T: Real>(x: &T) -> T {
    let (negative, positive, fraction) = reflected(x);
    let mut steps = positive.recip();
    for k in 1..STEPS {
        steps += positive.clone().offset(k.into()).recip();
    }
    let z = positive.offset(STEPS.into());
    let inverse = z.recip();
    let mut coefficients = [0.0; BERNOULLI.len()];
    for (k, b) in BERNOULLI.iter().enumerate() {
        coefficients[k] = b / (2 * k + 2) as f64;
    }
    let square = inverse.square();
    let series = polynomial(&square, &coefficients) * square;
    let y = z.log() - inverse.scale(0.5) - series - steps;
    let cotangent = cotangent_of_pi_times(&fraction).scale(std::f64::consts::PI);
    T::select(&negative, &(y.clone() - cotangent), &y)
}

/// `dⁿ/dxⁿ ψ(x)`.
#[track_caller]
pub(super) fn polygamma<T: Real>(x: &T, order: u32) -> T {
    if order == 0 {
        return digamma(x);
    }
    if order > ORDERS {
        let reason = format!("the order is {order}, and may be {ORDERS} at most");
        raise(Error::Argument { op: "polygamma", reason, at: At::caller() });
    }
    let (negative, positive, fraction) = reflected(x);
    let power = -(order as i32) - 1;
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    // Of the absolute value: all terms have one sign.
    let count = STEPS + order;
    let mut sum = positive.powi(power);
    for k in 1..count {
        sum += positive.clone().offset(k.into()).powi(power);
    }
    let z = positive.offset(count.into());
    let inverse = z.recip();
    // (n−1)! + n!/(2z) + Σ B₂ₖ (2k+n−1)!/(2k)! z⁻²ᵏ, all over zⁿ.
    let mut coefficients = [0.0; BERNOULLI.len()];
    for (k, b) in (1..).zip(&BERNOULLI) {
        let quotient: f64 = (2 * k + 1..2 * k + order).map(f64::from).product();
        coefficients[k as usize - 1] = b * quotient;
    }
    let square = inverse.square();
    let series = polynomial(&square, &coefficients) * square;
    let series = (series + inverse.clone().scale(0.5 * factorial(order))).offset(factorial(order - 1));
    let size = sum.scale(factorial(order)) + series * inverse.powi(order as i32);
    let y = if order % 2 == 1 { size.clone() } else { -size.clone() };
    // (−1)ⁿ ψₙ(1 − x) − ψₙ(x) = π dⁿ/dxⁿ cot(πx), a polynomial of the cotangent c, since c′ = −π(1 + c²).
    let pi = std::f64::consts::PI;
    let mut derivative = vec![0.0, pi];
    for _ in 0..order {
        let mut next = vec![0.0; derivative.len() + 1];
        for (k, c) in derivative.iter().enumerate().skip(1) {
            next[k - 1] -= pi * k as f64 * c;
            next[k + 1] -= pi * k as f64 * c;
        }
        derivative = next;
    }
    // It is infinite at the poles, of which nothing may come where they are not taken.
    let cotangent = cotangent_of_pi_times(&fraction);
    let mut sum_of_powers = T::constant(derivative[order as usize + 1]);
    for &c in derivative[..=order as usize].iter().rev() {
        sum_of_powers = sum_of_powers.strong_mul(&cotangent).offset(c);
    }
    // Of the reflected argument, (−1)ⁿ ψₙ is −size.
    T::select(&negative, &(-size - sum_of_powers), &y)
}
