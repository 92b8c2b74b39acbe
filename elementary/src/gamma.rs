//! The logarithm of the gamma function.

use crate::lanes::{Lanes, pick, polynomial};
use crate::polynomials::{
    LGAMMA_1_F32, LGAMMA_1_F64, LGAMMA_2_F32, LGAMMA_2_F64, SINPI_F32, SINPI_F64, STIRLING_F32, STIRLING_F64,
};
use crate::powers;

/// `ln |Γ(x)|`: infinite at 0 and at negative integers. Of positive numbers the error is a relative one; of negative
/// ones it is a few units of the larger of the value and 1, for between integers there are zeros.
#[inline(always)]
pub fn lgamma<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let (zero, one, infinity) = (l.number(0.0), l.number(1.0), l.number(f64::INFINITY));
    let size = l.abs(x);
    // Near zero the sign does not matter: Γ(x) = Γ(1 + x)/x.
    let reflected = l.less(x, l.number(-0.25));
    let a = l.select(reflected, size, x);
    let positive = of_positive(l, a);
    // Γ(−a)·Γ(a) = −π/(a·sin πa).
    let rest = l.sub(size, l.trunc(size));
    let d = l.select(l.less(l.number(0.5), rest), l.sub(one, rest), rest);
    let sine = l.mul(d, polynomial(l, l.mul(d, d), SINPI_F32, SINPI_F64));
    let product = l.mul(size, sine);
    let product = l.select(reflected, product, one);
    let log = l.log(l.div(l.number(std::f64::consts::PI), product));
    let negative = l.select(l.equal(d, zero), infinity, l.sub(log, positive));
    let y = l.select(reflected, negative, positive);
    let y = l.select(l.equal(size, infinity), infinity, l.select(l.equal(size, zero), infinity, y));
    l.select(l.equal(x, x), y, x)
}

/// Of numbers above −¼.
#[inline(always)]
fn of_positive<L: Lanes>(l: &L, x: L::Real) -> L::Real {
    let (zero, one) = (l.number(0.0), l.number(1.0));
    let below = |edge: f64| l.less(x, l.number(edge));
    let (large, less_than_3) = (l.less(l.number(8.0), x), below(3.0));
    // From 3 to 8, Γ(x) = (x − 1)·(x − 2)·…·Γ(y) for the y from 2 to 3.
    let (mut product, mut y) = (one, x);
    for _ in 0..5 {
        let further = l.less(y, l.number(3.0));
        let next = l.sub(y, one);
        product = l.select(further, product, l.mul(product, next));
        y = l.select(further, y, next);
    }
    // Γ(x) = Γ(1 + x)/x below ¾.
    let small = below(0.75);
    let argument = l.select(large, x, l.select(small, l.abs(x), product));
    let argument = l.select(l.equal(argument, zero), one, argument);
    let [log, lost] = powers::log(l, argument);
    // The distance to 2, or to 1, of y or of 1 + x.
    let to_one = l.select(below(0.5), l.number(1.0), l.select(small, zero, l.select(below(1.5), one, zero)));
    let near_one = l.equal(to_one, one);
    let from = l.select(below(0.5), zero, l.select(below(1.5), one, l.number(2.0)));
    let u = l.sub(l.select(less_than_3, x, y), from);
    let of_two = polynomial(l, u, LGAMMA_2_F32, LGAMMA_2_F64);
    let of_one = polynomial(l, u, LGAMMA_1_F32, LGAMMA_1_F64);
    let of_u = l.mul(u, l.select(near_one, of_one, of_two));
    let added = l.select(small, l.neg(log), l.select(less_than_3, zero, log));
    let near = l.add(added, of_u);
    // Stirling's formula; the product beyond the numbers is infinite, as the value is.
    let before = l.sub(x, l.number(0.5));
    let main = l.mul(before, log);
    let main_lost = l.fma(before, lost, l.fused(before, log, l.neg(main)));
    let main_lost = l.select(l.less(main, l.number(f64::INFINITY)), main_lost, zero);
    let inverse = l.div(one, x);
    let tail = l.mul(inverse, polynomial(l, l.mul(inverse, inverse), STIRLING_F32, STIRLING_F64));
    let constant = pick(l, 0.918_938_517_570_495_6, 0.918_938_533_204_672_7);
    let low = l.add(l.add(tail, main_lost), constant);
    let far = l.add(l.sub(main, x), low);
    l.select(large, far, near)
}
