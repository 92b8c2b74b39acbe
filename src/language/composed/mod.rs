//! Bodies of [`Real`](crate::Real)'s and [`Tensor`]'s methods that are composed of others, by subject. Derivatives,
//! batches and compiled code follow from what they are composed of.

pub(crate) mod convolutions;
pub(crate) mod cumulative;
pub(crate) mod einsum;
pub(crate) mod elementwise;
pub(crate) mod masks;
pub(crate) mod norms;
pub(crate) mod orders;
pub(crate) mod recurrences;
pub(crate) mod reductions;
pub(crate) mod shapes;

use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::shape::{self, Axes, Shape};
use crate::language::tensor::Tensor;

/// Leaves the model with an error of the caller's line.
#[track_caller]
fn refuse(op: &'static str, reason: String) -> ! {
    raise(Error::Argument { op, reason, at: At::caller() })
}

/// An array whose axes to be reduced are merged into its last one, and the lengths of its others.
#[track_caller]
fn merged<T: Tensor>(op: &'static str, x: &T, axes: &Axes) -> (T, Shape) {
    let whole = x.shape();
    let axes = shape::axes(op, axes, &whole).or_raise();
    let kept = shape::reduce(&whole, &axes);
    let count = axes.iter().map(|&axis| whole[axis]).product();
    let order: Shape =
        (0..whole.len()).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
    let together: Shape = kept.iter().copied().chain([count]).collect();
    (in_order(x, &order).reshape(&together), kept)
}

/// [`Tensor::permute`], where it changes anything.
#[track_caller]
fn in_order<T: Tensor>(x: &T, order: &[usize]) -> T {
    if order.is_sorted() { x.clone() } else { x.permute(order) }
}

/// The order of axes in which one of them has changed places with the last. It is its own inverse.
fn exchanged(rank: usize, axis: usize) -> Shape {
    let mut order: Shape = (0..rank).collect();
    order.swap(axis, rank - 1);
    order
}

/// How many elements a reduction takes together.
#[track_caller]
fn count<T: Tensor>(op: &'static str, x: &T, axes: &Axes) -> usize {
    let whole = x.shape();
    shape::axes(op, axes, &whole).or_raise().iter().map(|&axis| whole[axis]).product()
}
