//! Modified Bessel functions of the first kind.

use crate::lanes::{Lanes, limit, pick, polynomial};
use crate::polynomials::{
    SERIES_I0_F32, SERIES_I0_F64, SERIES_I1_F32, SERIES_I1_F64, TAIL_I0_F32, TAIL_I0_F64, TAIL_I1_F32,
    TAIL_I1_F64,
};

/// Where the series ends.
const EDGE: f64 = 8.0;

/// `√x·e⁻ˣ` times the function, as `tail` gives it by `8/|x|`, for `|x| ≥ 8`: without overflow before that of the
/// result.
#[inline(always)]
fn beyond<L: Lanes>(l: &L, size: L::Real, tail: impl FnOnce(L::Real) -> L::Real) -> L::Real {
    let a = limit(l, size, l.number(EDGE), pick(l, 100.0, 720.0));
    let p = l.div(tail(l.div(l.number(EDGE), a)), l.sqrt(a));
    let (n, r) = l.exp_parts(a);
    let half = l.nearest(l.mul(n, l.number(0.5)));
    l.mul(l.mul(p, l.exp_scaled(r, half)), l.exp_scaled(l.number(0.0), l.sub(n, half)))
}

/// `I₀(x)`.
#[inline(always)]
pub fn i0<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let size = l.abs(x);
    let quarter = l.mul(l.mul(x, x), l.number(0.25));
    let near = polynomial(l, quarter, SERIES_I0_F32, SERIES_I0_F64);
    let far = beyond(l, size, |t| polynomial(l, t, TAIL_I0_F32, TAIL_I0_F64));
    l.select(l.less(l.number(EDGE), size), far, near)
}

/// `I₁(x)`.
#[inline(always)]
pub fn i1<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let size = l.abs(x);
    let half = l.mul(x, l.number(0.5));
    let near = l.mul(half, polynomial(l, l.mul(half, half), SERIES_I1_F32, SERIES_I1_F64));
    let far = beyond(l, size, |t| polynomial(l, t, TAIL_I1_F32, TAIL_I1_F64));
    l.select(l.less(l.number(EDGE), size), l.copysign(far, x), near)
}
