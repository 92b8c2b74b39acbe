//! Modified Bessel functions of the first kind.

use crate::exponential::scaled;
use crate::lanes::{Lanes, compensated, limit, pick};
use crate::polynomials::{
    SERIES_I0_F32, SERIES_I0_F64, SERIES_I1_F32, SERIES_I1_F64, TAIL_I0_F32, TAIL_I0_F64, TAIL_I1_F32,
    TAIL_I1_F64,
};

/// Where the series ends.
const EDGE: f64 = 8.0;

/// The function for `|x| ≥ 8`, of which `√x·e⁻ˣ` times it is a polynomial in `8/|x| − ½`: without overflow before that
/// of the result.
#[inline(always)]
fn beyond<L: Lanes>(l: &L, size: L::Real, single: &[f64], double: &[f64]) -> L::Real {
    let a = limit(l, size, l.number(EDGE), pick(l, 100.0, 720.0));
    let t = l.sub(l.div(l.number(EDGE), a), l.number(0.5));
    let ((p, p_lost), root) = (compensated(l, t, single, double), l.sqrt(a));
    let root_lost = l.div(l.fused(l.neg(root), root, a), l.add(root, root));
    let q = l.div(p, root);
    let rest = l.add(p_lost, l.fma(l.neg(q), root_lost, l.fused(l.neg(q), root, p)));
    let (n, r) = l.exp_parts(a);
    scaled(l, q, l.div(rest, root), r, n)
}

/// `I₀(x)`.
#[inline(always)]
pub fn i0<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let size = l.abs(x);
    let quarter = l.mul(l.mul(x, x), l.number(0.25));
    let (sum, lost) = compensated(l, quarter, SERIES_I0_F32, SERIES_I0_F64);
    let near = l.add(sum, lost);
    let far = beyond(l, size, TAIL_I0_F32, TAIL_I0_F64);
    l.select(l.less(l.number(EDGE), size), far, near)
}

/// `I₁(x)`.
#[inline(always)]
pub fn i1<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let size = l.abs(x);
    let half = l.mul(x, l.number(0.5));
    let (sum, lost) = compensated(l, l.mul(half, half), SERIES_I1_F32, SERIES_I1_F64);
    let near = l.fma(half, sum, l.mul(half, lost));
    let far = beyond(l, size, TAIL_I1_F32, TAIL_I1_F64);
    l.select(l.less(l.number(EDGE), size), l.copysign(far, x), near)
}
