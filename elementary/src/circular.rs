//! Inverses of circular functions, and lengths.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use crate::lanes::{Lanes, pick, polynomial};
use crate::polynomials::{ASIN_F32, ASIN_F64, ATAN_F32, ATAN_F64};

/// What rounding π/2 has lost, in single and in double precision.
const LOST: [f64; 2] = [-4.371_139_000_186_241e-8, 6.123_233_995_736_766e-17];

/// `tan(π/8)` and `tan(3π/8)`, between which `(a − 1)/(a + 1)` is smaller than `a` and `1/a`.
const EIGHTH: [f64; 2] = [std::f64::consts::SQRT_2 - 1.0, std::f64::consts::SQRT_2 + 1.0];

/// `s` and a correction where `asin(s + …) = s + correction`: `s = a` where `a ≤ ½`, else `√((1 − a)/2)`.
#[inline(always)]
fn arc<L: Lanes>(l: &L, a: L::Real, small: L::Mask) -> (L::Real, L::Real) {
    let (half, zero) = (l.number(0.5), l.number(0.0));
    let half_rest = l.fma(a, l.neg(half), half);
    let z = l.select(small, l.mul(a, a), half_rest);
    let s = l.select(small, a, l.sqrt(half_rest));
    // What rounding the square root has lost.
    let lost = l.div(l.fused(l.neg(s), s, half_rest), l.add(s, s));
    let positive = l.less(zero, s);
    let lost = l.select(small, zero, l.select(positive, lost, zero));
    (s, l.fma(l.mul(s, z), polynomial(l, z, ASIN_F32, ASIN_F64), lost))
}

/// The inverse of `sin`, in `−π/2 ..= π/2`.
#[inline(always)]
pub fn asin<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let a = l.abs(x);
    let small = l.less(a, l.number(0.5));
    let (s, correction) = arc(l, a, small);
    let near = l.add(s, correction);
    let low = l.sub(pick(l, LOST[0], LOST[1]), l.add(correction, correction));
    let far = l.add(l.sub(l.number(FRAC_PI_2), l.add(s, s)), low);
    l.copysign(l.select(small, near, far), x)
}

/// The inverse of `cos`, in `0 ..= π`.
#[inline(always)]
pub fn acos<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let a = l.abs(x);
    let small = l.less(a, l.number(0.5));
    let (s, correction) = arc(l, a, small);
    let (lost, twice_lost) = (pick(l, LOST[0], LOST[1]), pick(l, 2.0 * LOST[0], 2.0 * LOST[1]));
    let near = l.sub(l.sub(l.number(FRAC_PI_2), x), l.sub(l.copysign(correction, x), lost));
    let (doubled, twice) = (l.add(s, s), l.add(correction, correction));
    let right = l.add(doubled, twice);
    let left = l.sub(l.sub(l.number(PI), doubled), l.sub(twice, twice_lost));
    let far = l.select(l.less(x, l.number(0.0)), left, right);
    l.select(small, near, far)
}

/// The arctangent of `a/b`, of which neither is negative: a multiple of π/4, and that of what is at most `√2 − 1`.
#[inline(always)]
fn arctangent<L: Lanes>(l: &L, a: L::Real, b: L::Real) -> L::Real {
    let beyond = l.less(l.mul(b, l.number(EIGHTH[1])), a);
    let middle = l.less(l.mul(b, l.number(EIGHTH[0])), a);
    let numerator = l.select(beyond, l.neg(b), l.select(middle, l.sub(a, b), a));
    let denominator = l.select(beyond, a, l.select(middle, l.add(a, b), b));
    let t = l.div(numerator, denominator);
    let z = l.mul(t, t);
    let correction = l.mul(l.mul(t, z), polynomial(l, z, ATAN_F32, ATAN_F64));
    let zero = l.number(0.0);
    let base = l.select(beyond, l.number(FRAC_PI_2), l.select(middle, l.number(FRAC_PI_4), zero));
    let (half, whole) = (pick(l, 0.5 * LOST[0], 0.5 * LOST[1]), pick(l, LOST[0], LOST[1]));
    let lost = l.select(beyond, whole, l.select(middle, half, zero));
    l.add(base, l.add(l.add(correction, lost), t))
}

/// The inverse of `tan`, in `−π/2 ..= π/2`.
#[inline(always)]
pub fn atan<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    l.copysign(arctangent(l, l.abs(x), l.number(1.0)), x)
}

/// The angle of the point `(x, y)`, in `−π ..= π`, with the signs of zeros as in C.
#[inline(always)]
pub fn atan2<L: Lanes>(l: &L, y: L::Real, x: L::Real) -> L::Real {
    let (zero, one) = (l.number(0.0), l.number(1.0));
    let (a, b) = (l.abs(y), l.abs(x));
    let first = l.less(b, a);
    let (most, least) = (l.select(first, a, b), l.select(first, b, a));
    // Where both are 0 the quotient is 0, where both are infinite 1.
    let infinite = l.equal(least, l.number(f64::INFINITY));
    let (a, b) = (l.select(infinite, one, a), l.select(infinite, one, b));
    let b = l.select(l.equal(most, zero), one, b);
    // Smaller where their sum may overflow, larger where they may be subnormal.
    let down = l.select(l.less(pick(l, 1e30, 1e290), most), pick(l, 2f64.powi(-60), 2f64.powi(-600)), one);
    let scale = l.select(l.less(most, pick(l, 1e-30, 1e-290)), pick(l, 2f64.powi(60), 2f64.powi(600)), down);
    let angle = arctangent(l, l.mul(a, scale), l.mul(b, scale));
    let left = l.less(l.copysign(one, x), zero);
    let rest = l.add(l.sub(l.number(PI), angle), pick(l, 2.0 * LOST[0], 2.0 * LOST[1]));
    let angle = l.copysign(l.select(left, rest, angle), y);
    l.select(l.equal(x, x), l.select(l.equal(y, y), angle, y), x)
}

/// `√(a² + b²)` without overflow; infinite if either is, also where the other one is not a number.
#[inline(always)]
pub fn hypot<L: Lanes>(l: &L, a: L::Real, b: L::Real) -> L::Real {
    let (zero, one, infinity) = (l.number(0.0), l.number(1.0), l.number(f64::INFINITY));
    let (a, b) = (l.abs(a), l.abs(b));
    let first = l.less(b, a);
    let (most, least) = (l.select(first, a, b), l.select(first, b, a));
    let q = l.div(least, l.select(l.equal(most, zero), one, most));
    let square = l.mul(q, q);
    let lost = l.fused(q, q, l.neg(square));
    let y = l.mul(most, l.sqrt(l.add(one, l.add(square, lost))));
    let y = l.select(l.equal(a, infinity), infinity, y);
    l.select(l.equal(b, infinity), infinity, y)
}
