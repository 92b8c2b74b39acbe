//! The rules of what moves elements or repeats them: shapes, axes, ranges.

use std::ops::Range;

use crate::error::CpsResult as Result;
use crate::language::shape::{self, Padding, Shape};
use crate::language::tensor::Tensor;
use crate::reverse::cps::operator;
use crate::reverse::{Var, common_level};

/// `y = x` in another shape; `x̄ += ȳ` in `x`'s.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the number of elements changes.
#[track_caller]
pub fn reshape<T: Tensor, R>(
    x: &Var<'_, T>,
    shape: &[usize],
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    shape::reshape(&x.primal().shape(), shape)?;
    operator("reshape", x.level(), x.primal().reshape(shape), k, |_, y_bar| {
        x.accumulate(y_bar.reshape(&x.primal().shape()))
    })
}

/// `y = x` with its axes in another order; `x̄ += ȳ` with them put back.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if `order` is not a permutation.
#[track_caller]
pub fn permute<T: Tensor, R>(
    x: &Var<'_, T>,
    order: &[usize],
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    shape::permute(&x.primal().shape(), order)?;
    operator("permute", x.level(), x.primal().permute(order), k, |_, y_bar| {
        x.accumulate(y_bar.permute(&shape::inverse_permutation(order)))
    })
}

/// `y = x` repeated; `x̄ += ȳ` summed over the repetitions.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if `x` does not broadcast to the shape.
#[track_caller]
pub fn broadcast_to<T: Tensor, R>(
    x: &Var<'_, T>,
    shape: &[usize],
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    shape::broadcast_to(&x.primal().shape(), shape)?;
    operator("broadcast_to", x.level(), x.primal().broadcast_to(shape), k, |_, y_bar| {
        x.accumulate(y_bar.unbroadcast(x.primal()))
    })
}

/// `y = x₁ ‖ x₂ ‖ …` along an axis; each `x̄ᵢ` gets its part of `ȳ`. Variables of nested continuations are
/// brought to one brand by [`Var::shorten`].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the parts differ in another axis,
/// [`Error::Operand`](crate::Error::Operand) if there are none.
#[track_caller]
pub fn concat<T: Tensor, R>(
    parts: &[Var<'_, T>],
    axis: isize,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let shapes: Vec<Shape> = parts.iter().map(|part| part.primal().shape()).collect();
    let along = match shapes.first() {
        Some(first) => shape::axis("concat", first, axis)?,
        None => 0,
    };
    shape::concat(shapes.iter().map(|shape| shape.as_slice()), along)?;
    let mut level = None;
    for part in parts {
        level = common_level(level, part.level())?;
    }
    let values: Vec<T> = parts.iter().map(|part| part.primal().clone()).collect();
    operator("concat", level, T::concat(&values, along as isize), k, |_, y_bar| {
        let mut start = 0;
        for (part, shape) in parts.iter().zip(&shapes) {
            let end = start + shape[along];
            if part.is_active() {
                part.accumulate(y_bar.slice(along as isize, start..end));
            }
            start = end;
        }
    })
}

/// `y =` every `step`-th element of a range of an axis; `x̄ += ȳ` at these places.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if the range does not fit the axis.
#[track_caller]
pub fn slice_step<T: Tensor, R>(
    x: &Var<'_, T>,
    axis: isize,
    range: Range<usize>,
    step: usize,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let shape = x.primal().shape();
    let along = shape::axis("slice", &shape, axis)?;
    shape::slice(&shape, along, &range, step)?;
    let step = shape::shorter_step(&range, step);
    operator("slice_step", x.level(), x.primal().slice_step(axis, range.clone(), step), k, |_, y_bar| {
        x.accumulate_with(|x_bar, x| T::accumulate_slice(x_bar, x, along, range, step, y_bar))
    })
}

/// `y = x` with zeros around and between; `x̄ += ȳ` without them.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
#[track_caller]
pub fn pad<T: Tensor, R>(
    x: &Var<'_, T>,
    axis: isize,
    padding: Padding,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let shape = x.primal().shape();
    let along = shape::axis("pad", &shape, axis)?;
    shape::pad(&shape, along, padding)?;
    operator("pad", x.level(), x.primal().pad(axis, padding), k, |y, y_bar| {
        let inner = padding.before..y.shape()[along] - padding.after;
        x.accumulate(y_bar.slice_step(axis, inner, padding.interior.saturating_add(1)))
    })
}

/// `y = x` in the reverse order along an axis; likewise `x̄ += ȳ`.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
#[track_caller]
pub fn flip<T: Tensor, R>(
    x: &Var<'_, T>,
    axis: isize,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    shape::axis("flip", &x.primal().shape(), axis)?;
    operator("flip", x.level(), x.primal().flip(axis), k, |_, y_bar| x.accumulate(y_bar.flip(axis)))
}
