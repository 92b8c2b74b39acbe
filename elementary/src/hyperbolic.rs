//! Hyperbolic functions and their inverses.

use crate::lanes::{Lanes, limit, pick, polynomial};
use crate::polynomials::{ASINH_F32, ASINH_F64, ATANH_F32, ATANH_F64};

/// `1/3!, 1/5!, …` as far as the precision needs them where `|x| ≤ 1`.
const SINH_F64: &[f64] = &[
    1.0 / 6.0,
    1.0 / 120.0,
    1.0 / 5_040.0,
    1.0 / 362_880.0,
    1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
    1.0 / 121_645_100_408_832_000.0,
];
const SINH_F32: &[f64] = &[1.0 / 6.0, 1.0 / 120.0, 1.0 / 5_040.0, 1.0 / 362_880.0, 1.0 / 39_916_800.0];

/// `½e^|x|`.
#[inline(always)]
fn half_exp<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let a = limit(l, l.abs(x), l.number(0.0), pick(l, 90.0, 711.0));
    let (n, r) = l.exp_parts(a);
    l.exp_scaled(r, l.sub(n, l.number(1.0)))
}

/// `(eˣ − e⁻ˣ)/2`.
#[inline(always)]
pub fn sinh<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let z = l.mul(x, x);
    let near = l.fma(l.mul(x, z), polynomial(l, z, SINH_F32, SINH_F64), x);
    let half = half_exp(l, x);
    let far = l.copysign(l.sub(half, l.div(l.number(0.25), half)), x);
    l.select(l.less(l.abs(x), l.number(1.0)), near, far)
}

/// `(eˣ + e⁻ˣ)/2`.
#[inline(always)]
pub fn cosh<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let half = half_exp(l, x);
    l.add(half, l.div(l.number(0.25), half))
}

/// The inverse of `sinh`: `sign(x)·ln(|x| + √(x² + 1))`.
#[inline(always)]
pub fn asinh<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let (one, a) = (l.number(1.0), l.abs(x));
    let z = l.mul(x, x);
    let near = l.fma(l.mul(x, z), polynomial(l, z, ASINH_F32, ASINH_F64), x);
    // Beyond this 1 is lost in the square, and the square may overflow.
    let large = l.less(pick(l, 1e4, 1e9), a);
    let root = l.sqrt(l.fma(a, a, one));
    let argument = l.select(large, a, l.add(a, root));
    let log = l.log(argument);
    let far = l.select(large, l.add(log, l.number(std::f64::consts::LN_2)), log);
    l.copysign(l.select(l.less(a, l.number(0.75)), near, far), x)
}

/// The inverse of `cosh` on `x ≥ 1`: `ln(x + √(x² − 1))`.
#[inline(always)]
pub fn acosh<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let one = l.number(1.0);
    let t = l.sub(x, one);
    let large = l.less(pick(l, 1e4, 1e9), x);
    let root = l.sqrt(l.mul(t, l.add(x, one)));
    let log = l.log1p(l.select(large, t, l.add(t, root)));
    let y = l.select(large, l.add(log, l.number(std::f64::consts::LN_2)), log);
    l.select(l.less(x, one), l.number(f64::NAN), y)
}

/// The inverse of `tanh` on `|x| ≤ 1`: `½ ln((1 + x)/(1 − x))`.
#[inline(always)]
pub fn atanh<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let (one, a) = (l.number(1.0), l.abs(x));
    let z = l.mul(x, x);
    let near = l.fma(l.mul(x, z), polynomial(l, z, ATANH_F32, ATANH_F64), x);
    let quotient = l.div(l.add(one, a), l.sub(one, a));
    let far = l.copysign(l.mul(l.number(0.5), l.log(quotient)), x);
    l.select(l.less(a, l.number(0.5)), near, far)
}
