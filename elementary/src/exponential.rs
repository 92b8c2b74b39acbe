//! Powers of two, logarithms in other bases, cube roots, and the complement of the error function.

use crate::lanes::{Lanes, limit, pick, polynomial};
use crate::polynomials::{ERFC_F32, ERFC_F64};

/// `2ˣ`.
#[inline(always)]
pub fn exp2<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let x = limit(l, x, pick(l, -151.0, -1076.0), pick(l, 129.0, 1025.0));
    let n = l.nearest(x);
    l.exp_scaled(l.mul(l.sub(x, n), l.number(std::f64::consts::LN_2)), n)
}

/// `y`, the logarithm of a positive and finite number, or what that of another number is.
#[inline(always)]
fn of_any<L: Lanes>(l: &L, x: L::Real, y: L::Real) -> L::Real {
    let (zero, infinity) = (l.number(0.0), l.number(f64::INFINITY));
    let y = l.select(l.less(x, infinity), y, x);
    let y = l.select(l.equal(x, zero), l.neg(infinity), y);
    l.select(l.less(x, zero), l.number(f64::NAN), y)
}

/// `log₂ x`; of a power of two exactly its exponent.
#[inline(always)]
pub fn log2<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    // 1/ln 2 in two parts, of which the second is what rounding the first has lost.
    let (high, low) = if l.is_double() {
        (std::f64::consts::LOG2_E, 2.035_527_374_093_103_3e-17)
    } else {
        (1.442_695_021_629_333_5, 1.925_962_991_126_617_5e-8)
    };
    let (k, log) = l.log_parts(x);
    // Where k is not 0 this is at most half of the result: then the rounding of the product is lost in it.
    let product = l.mul(log, l.number(high));
    let rest = l.fma(log, l.number(low), l.fused(log, l.number(high), l.neg(product)));
    let sum = l.add(k, product);
    of_any(l, x, l.add(sum, l.add(l.sub(product, l.sub(sum, k)), rest)))
}

/// `log₁₀ x`; of a power of ten exactly its exponent.
#[inline(always)]
pub fn log10<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    // 1/ln 10 and log₁₀ 2 in two parts; products of k with the first part of the latter are exact.
    let ([e_high, e_low], [two_high, two_low]) = if l.is_double() {
        (
            [std::f64::consts::LOG10_E, 1.098_319_650_216_765e-17],
            [0.301_029_995_663_839_14, 1.420_502_322_726_61e-13],
        )
    } else {
        (
            [0.434_294_492_006_301_9, -1.010_305_005_223_168_3e-8],
            [0.301_025_390_625, 4.605_038_981_195_214e-6],
        )
    };
    let (k, log) = l.log_parts(x);
    let product = l.mul(log, l.number(e_high));
    let rest = l.fma(log, l.number(e_low), l.fused(log, l.number(e_high), l.neg(product)));
    let whole = l.mul(k, l.number(two_high));
    let sum = l.add(whole, product);
    // The larger of the two stands first, or both are 0: the rounding of the sum is exact.
    let lost = l.sub(product, l.sub(sum, whole));
    of_any(l, x, l.add(sum, l.add(lost, l.fma(k, l.number(two_low), rest))))
}

/// `∛x`.
#[inline(always)]
pub fn cbrt<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let size = l.abs(x);
    let third = l.number(1.0 / 3.0);
    let y = l.exp(l.mul(l.log(size), third));
    // Squares are not subnormal: those of the cube roots of subnormal numbers are far from that.
    let y = l.sub(y, l.mul(l.sub(y, l.div(size, l.mul(y, y))), third));
    let positive = l.less(l.number(0.0), size);
    let finite = l.less(size, l.number(f64::INFINITY));
    let y = l.select(finite, l.copysign(y, x), x);
    l.select(positive, y, x)
}

/// `(q + lost)·eʳ·2ⁿ`, with one rounding that counts: the factors of the power are multiplied last, so that nothing is
/// subnormal before.
#[inline(always)]
pub(crate) fn scaled<L: Lanes>(l: &L, q: L::Real, lost: L::Real, r: L::Real, n: L::Real) -> L::Real {
    let less = l.exp_less_one(r);
    let y = l.add(q, l.fma(q, less, l.fma(lost, less, lost)));
    let (zero, half) = (l.number(0.0), l.nearest(l.mul(n, l.number(0.5))));
    l.mul(l.mul(y, l.exp_scaled(zero, half)), l.exp_scaled(zero, l.sub(n, half)))
}

/// `1 − erf x`, with a small relative error also where that is small.
#[inline(always)]
pub fn erfc<L: Lanes>(l: &L, x: L::Real, erf: L::Real) -> L::Real {
    let (one, two, size) = (l.number(1.0), l.number(2.0), l.abs(x));
    let near = l.sub(one, erf);
    let a = limit(l, size, pick(l, 0.46, 0.46), pick(l, 10.5, 27.5));
    let t = l.div(l.sub(a, l.number(4.0)), l.add(a, l.number(4.0)));
    let divisor = l.fma(two, a, one);
    let divisor_lost = l.fma(two, a, l.sub(one, divisor));
    let p = polynomial(l, t, ERFC_F32, ERFC_F64);
    let q = l.div(p, divisor);
    let rest = l.fma(l.neg(q), divisor_lost, l.fused(l.neg(q), divisor, p));
    let square = l.mul(a, a);
    let lost = l.fused(a, a, l.neg(square));
    // e^(−a²) = e^(−square)·(1 − lost).
    let (n, r) = l.exp_parts(l.neg(square));
    let tail = scaled(l, q, l.fma(l.neg(lost), q, l.div(rest, divisor)), r, n);
    let far = l.select(l.less(x, l.number(0.0)), l.sub(two, tail), tail);
    l.select(l.less(size, l.number(0.46)), near, l.select(l.equal(x, x), far, x))
}
