//! What is cumulative along an axis.

use super::recurrences::{self, Along, Associative};
use crate::continuation::unwinding::OrRaise;
use crate::language::shape;
use crate::language::tensor::Tensor;

/// Up to so many elements of an array are combined by operators of their own, which compiled code has in place; a call
/// of the host costs as much as some hundred of these.
const FEW: usize = 64;
/// So many along the axis.
const SHORT: usize = 16;

/// `y_i = x_0 ∘ … ∘ x_i` along an axis.
#[track_caller]
pub fn cumulative<T: Tensor>(op: &'static str, x: &T, axis: isize, operator: Associative) -> T {
    let whole = x.shape();
    let axis = shape::axis(op, &whole, axis).or_raise();
    let n = whole[axis];
    if n < 2 || shape::size(&whole) == 0 {
        return x.clone();
    }
    if n <= SHORT && shape::size(&whole) <= FEW {
        return one_by_one(x, n, axis as isize, operator);
    }
    let outer: usize = whole[..axis].iter().product();
    let columns = x.reshape(&[outer, n, whole[axis + 1..].iter().product()]);
    T::host(&Along::of(op, operator), &[&columns]).reshape(&whole)
}

/// In their order, as the host does it.
#[track_caller]
fn one_by_one<T: Tensor>(x: &T, n: usize, axis: isize, operator: Associative) -> T {
    let mut parts = vec![x.slice(axis, 0..1)];
    for i in 1..n {
        parts.push(recurrences::combined(operator, &parts[i - 1], &x.slice(axis, i..i + 1)));
    }
    T::concat(&parts, axis)
}
