//! Powers with real exponents, and remainders.

use crate::lanes::{Lanes, limit, pick, polynomial};

/// `2/5, 2/7, …`: what follows `2s + 2/3·s³` in `ln((1 + s)/(1 − s))`, by `s²`, as far as the precision needs it where
/// `|s| ≤ 3 − 2√2`.
const LOG_F64: &[f64] = &[
    2.0 / 5.0,
    2.0 / 7.0,
    2.0 / 9.0,
    2.0 / 11.0,
    2.0 / 13.0,
    2.0 / 15.0,
    2.0 / 17.0,
    2.0 / 19.0,
    2.0 / 21.0,
    2.0 / 23.0,
];
const LOG_F32: &[f64] = &[2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0];

/// A number, and what rounding it has lost.
type Two<R> = [R; 2];

/// `a·b` of two such numbers.
#[inline(always)]
fn product<L: Lanes>(l: &L, a: Two<L::Real>, b: Two<L::Real>) -> Two<L::Real> {
    let high = l.mul(a[0], b[0]);
    let lost = l.fused(a[0], b[0], l.neg(high));
    [high, l.add(lost, l.fma(a[0], b[1], l.mul(a[1], b[0])))]
}

/// `a + b`, of which the first is larger, or zero.
#[inline(always)]
fn sum<L: Lanes>(l: &L, a: L::Real, b: L::Real) -> Two<L::Real> {
    let high = l.add(a, b);
    [high, l.sub(b, l.sub(high, a))]
}

/// `ln a` of a positive finite number, with some ten digits more than the precision has.
#[inline(always)]
pub(crate) fn log<L: Lanes>(l: &L, a: L::Real) -> Two<L::Real> {
    let (zero, one, two) = (l.number(0.0), l.number(1.0), l.number(2.0));
    let (k, _) = l.log_parts(a);
    // Of a = 2ᵏ·m; 2⁻ᵏ itself may be no number.
    let half = l.nearest(l.mul(k, l.number(0.5)));
    let m = l.mul(l.mul(a, l.exp_scaled(zero, l.neg(half))), l.exp_scaled(zero, l.sub(half, k)));
    let f = l.sub(m, one);
    let d = l.add(f, two);
    let d_lost = l.sub(f, l.sub(d, two));
    let high = l.div(f, d);
    let rest = l.fma(l.neg(high), d_lost, l.fused(l.neg(high), d, f));
    let s = [high, l.div(rest, d)];
    let z = product(l, s, s);
    // 2/3 and what is small beside it.
    let tail = l.mul(z[0], polynomial(l, z[0], LOG_F32, LOG_F64));
    let [third, third_lost] = [
        pick(l, 0.666_666_686_534_881_6, 0.666_666_666_666_666_6),
        pick(l, -1.986_821_492_513_021e-8, 3.700_743_415_417_188e-17),
    ];
    let q = sum(l, third, tail);
    let v = product(l, product(l, s, z), [q[0], l.add(q[1], third_lost)]);
    // Products of k with the first part of ln 2 are exact.
    let high = pick(l, 0.693_115_234_375, 0.693_147_180_559_890_3);
    let low = pick(l, 3.194_618_494_53e-5, 5.497_923_018_708_371e-14);
    let first = sum(l, l.mul(k, high), l.add(s[0], s[0]));
    let all = sum(l, first[0], v[0]);
    let lost = l.add(l.add(first[1], all[1]), l.fma(k, low, l.fma(two, s[1], v[1])));
    sum(l, all[0], lost)
}

/// `xʸ`, with the special values of C's `pow`.
#[inline(always)]
pub fn pow<L: Lanes>(l: &L, x: L::Real, y: L::Real) -> L::Real {
    let (zero, one, infinity) = (l.number(0.0), l.number(1.0), l.number(f64::INFINITY));
    let a = l.abs(x);
    let (is_zero, is_infinite) = (l.equal(a, zero), l.equal(a, infinity));
    let [log, lost] = log(l, l.select(is_zero, one, l.select(is_infinite, one, a)));
    // Beyond this exponent, powers of the numbers next to 1 are zero or infinite.
    let most = pick(l, 2f64.powi(36), 2f64.powi(66));
    let exponent = limit(l, y, l.neg(most), most);
    let p = l.mul(log, exponent);
    let p_lost = l.fma(lost, exponent, l.fused(log, exponent, l.neg(p)));
    let far = l.copysign(l.number(1e4), y);
    let p = l.select(is_zero, l.neg(far), l.select(is_infinite, far, p));
    let within = l.less(l.abs(p), l.number(2e3));
    let p_lost = l.select(within, p_lost, zero);
    let (n, r) = l.exp_parts(limit(l, p, pick(l, -104.0, -746.0), pick(l, 89.0, 710.0)));
    let size = l.exp_scaled(l.add(r, p_lost), n);
    // y = 0 gives 1 as well: its logarithm was finite, or is replaced here.
    let size = l.select(l.equal(y, zero), one, size);
    let half = l.mul(y, l.number(0.5));
    let whole = l.equal(l.trunc(y), y);
    let even = l.equal(l.trunc(half), half);
    let negative = l.less(l.copysign(one, x), zero);
    let signed = l.select(
        whole,
        l.select(even, size, l.neg(size)),
        l.select(l.less(x, zero), l.number(f64::NAN), size),
    );
    let signed = l.select(l.equal(x, l.neg(infinity)), l.select(whole, signed, size), signed);
    let value = l.select(negative, signed, size);
    // Of what is not a number only two powers are.
    let known = l.select(l.equal(x, x), l.select(l.equal(y, y), value, y), x);
    l.select(l.equal(y, zero), one, l.select(l.equal(x, one), one, known))
}

/// Whether [`fmod`] is right for two numbers: where their quotient has no more digits than a number.
#[inline(always)]
pub fn fmod_is_near<L: Lanes>(l: &L, a: L::Real, b: L::Real) -> L::Mask {
    // Infinite divisors are far, as any number times zero is: the product with them is not below.
    let b = l.abs(b);
    let finite = l.select(l.less(b, l.number(f64::INFINITY)), b, l.number(0.0));
    l.less(l.abs(a), l.mul(finite, pick(l, 2f64.powi(22), 2f64.powi(51))))
}

/// The remainder of `a/b`, exactly, with the sign of `a`; where the two are [near](fmod_is_near).
#[inline(always)]
pub fn fmod<L: Lanes>(l: &L, a: L::Real, b: L::Real) -> L::Real {
    let (size, divisor) = (l.abs(a), l.abs(b));
    // One more than the whole part if the quotient was rounded up to it.
    let quotient = l.trunc(l.div(size, divisor));
    let rest = l.fused(l.neg(quotient), divisor, size);
    let rest = l.select(l.less(rest, l.number(0.0)), l.add(rest, divisor), rest);
    l.copysign(rest, a)
}
