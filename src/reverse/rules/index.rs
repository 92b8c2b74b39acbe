//! The rules of rows and elements picked by index.

use crate::error::CpsResult as Result;
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::reverse::cps::operator;

/// `y[i..] = x[indices[i]..]`; `x̄[indices[i]..] += ȳ[i..]`.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if `x` is a scalar; raises
/// [`Error::Index`](crate::Error::Index) if an index is out of range.
#[track_caller]
pub fn gather_rows<T: Tensor, R>(
    x: &Var<'_, T>,
    indices: &T::Int,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    operator("gather_rows", x.level(), x.lend(|x| x.gather_rows(indices)), k, |_, y_bar| {
        x.accumulate_with(|x_bar, x| T::accumulate_rows(x_bar, x, indices, y_bar))
    })
}

/// `y[indices[i]..] += x[i..]` in zeros; `x̄[i..] += ȳ[indices[i]..]`.
///
/// # Errors
/// Raises [`Error::Shape`](crate::Error::Shape) if the shapes do not fit and
/// [`Error::Index`](crate::Error::Index) if an index is out of range.
#[track_caller]
pub fn scatter_rows<T: Tensor, R>(
    x: &Var<'_, T>,
    indices: &T::Int,
    rows: usize,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    operator("scatter_rows", x.level(), x.primal().scatter_rows(indices, rows), k, |_, y_bar| {
        x.accumulate(y_bar.gather_rows(indices))
    })
}

/// `y[i..] = x[indices[i]..]`, where the first `axes` axes of `x` count as one; `x̄[indices[i]..] += ȳ[i..]`.
///
/// # Errors
/// As [`Tensor::read_rows`], raised.
#[track_caller]
pub fn read_rows<T: Tensor, R>(
    x: &Var<'_, T>,
    axes: usize,
    indices: &T::Int,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    operator("read_rows", x.level(), x.lend(|x| x.read_rows(axes, indices)), k, |_, y_bar| {
        x.accumulate_with(|x_bar, x| {
            if axes == 1 {
                return T::accumulate_rows(x_bar, x, indices, y_bar);
            }
            T::accumulate_parts(x_bar, x, axes, indices, y_bar);
        });
    })
}

/// `y[i] = x[i, indices[i]]`; `x̄[i, indices[i]] += ȳ[i]`.
///
/// # Errors
/// Raises [`Error::Shape`](crate::Error::Shape) if the shapes do not fit and
/// [`Error::Index`](crate::Error::Index) if an index is out of range.
#[track_caller]
pub fn gather_last<T: Tensor, R>(
    x: &Var<'_, T>,
    indices: &T::Int,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    operator("gather_last", x.level(), x.primal().gather_last(indices), k, |_, y_bar| {
        let n = *x.primal().shape().last().expect("has a last axis, or the gather would have failed");
        x.accumulate(y_bar.scatter_last(indices, n))
    })
}

/// `y[i, indices[i]] = x[i]` in zeros; `x̄[i] += ȳ[i, indices[i]]`.
///
/// # Errors
/// Raises [`Error::Shape`](crate::Error::Shape) if the shapes do not fit and
/// [`Error::Index`](crate::Error::Index) if an index is out of range.
#[track_caller]
pub fn scatter_last<T: Tensor, R>(
    x: &Var<'_, T>,
    indices: &T::Int,
    n: usize,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    operator("scatter_last", x.level(), x.primal().scatter_last(indices, n), k, |_, y_bar| {
        x.accumulate(y_bar.gather_last(indices))
    })
}
