//! What is cumulative along an axis.

use crate::continuation::unwinding::OrRaise;
use crate::language::shape;
use crate::language::tensor::Tensor;

/// An associative operator.
#[derive(Clone, Copy)]
pub enum Associative {
    Sum,
    Product,
    Maximum,
    Minimum,
}

impl Associative {
    #[track_caller]
    fn of<T: Tensor>(self, a: T, b: &T) -> T {
        match self {
            Associative::Sum => a + b,
            Associative::Product => a * b,
            Associative::Maximum => a.maximum(b),
            Associative::Minimum => a.minimum(b),
        }
    }
}

/// `y_i = x_0 ∘ … ∘ x_i` along an axis.
#[track_caller]
pub fn cumulative<T: Tensor>(op: &'static str, x: &T, axis: isize, operator: Associative) -> T {
    let axis = shape::axis(op, &x.shape(), axis).or_raise();
    through(x, axis, operator)
}

/// Of pairs of neighbours first: that is every other element of the result, and the others are one step from these
/// (Blelloch 1990, "Prefix sums and their applications"). It is some 2n operations in 2·log₂ n operators.
#[track_caller]
fn through<T: Tensor>(x: &T, axis: usize, operator: Associative) -> T {
    let whole = x.shape();
    let (n, along) = (whole[axis], axis as isize);
    if n < 2 || shape::size(&whole) == 0 {
        return x.clone();
    }
    let (pairs, odd) = (n / 2, n % 2);
    let (first, second) = (x.slice_step(along, 0..n, 2), x.slice_step(along, 1..n, 2));
    let to_second = through(&operator.of(first.slice(along, 0..pairs), &second), axis, operator);
    let mut to_first = vec![first.slice(along, 0..1)];
    if pairs + odd > 1 {
        let before = to_second.slice(along, 0..pairs + odd - 1);
        to_first.push(operator.of(before, &first.slice(along, 1..pairs + odd)));
    }
    let to_first = T::concat(&to_first, along);
    let mut even = whole.clone();
    even[axis] = 2 * pairs;
    let both = T::stack(&[to_first.slice(along, 0..pairs), to_second], along + 1).reshape(&even);
    match odd {
        0 => both,
        _ => T::concat(&[both, to_first.slice(along, pairs..pairs + 1)], along),
    }
}
