//! The rules of reductions over axes.

use crate::error::CpsResult as Result;
use crate::language::derivative_rules::shares;
use crate::language::shape::{self, Axes};
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::reverse::cps::operator;

/// `y = Σ x` over axes; `x̄ += ȳ` repeated along them.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
#[track_caller]
pub fn sum<T: Tensor, R>(
    x: &Var<'_, T>,
    axes: impl Into<Axes>,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let axes = axes.into();
    let shape = x.primal().shape();
    let keep = shape::reduce_keep(&shape, &shape::axes("sum", &axes, &shape)?);
    operator("sum", x.level(), x.primal().sum(axes), k, |_, y_bar| {
        x.accumulate(y_bar.reshape(&keep).broadcast_to(&x.primal().shape()))
    })
}

/// `y = max x` over axes; `x̄ += ȳ`, shared equally by the elements that attain the maximum.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if there is no such axis, or nothing on it.
#[track_caller]
pub fn max<T: Tensor, R>(
    x: &Var<'_, T>,
    axes: impl Into<Axes>,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let axes = axes.into();
    let shape = x.primal().shape();
    let resolved = shape::axes("max", &axes, &shape)?;
    shape::reduce_nonempty("max", &shape, &resolved)?;
    let keep = shape::reduce_keep(&shape, &resolved);
    operator("max", x.level(), x.primal().max(axes.clone()), k, |y, y_bar| {
        let attains = T::from_mask(&x.primal().equal(&y.reshape(&keep)));
        let each = y_bar / attains.sum(axes);
        x.accumulate(attains * each.reshape(&keep))
    })
}

/// `y = ln Σ eˣ` over axes; `x̄ += e^(x−y)·ȳ`, nothing where `y = −∞`.
///
/// # Errors
/// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
#[track_caller]
pub fn logsumexp<T: Tensor, R>(
    x: &Var<'_, T>,
    axes: impl Into<Axes>,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let axes = axes.into();
    let shape = x.primal().shape();
    let keep = shape::reduce_keep(&shape, &shape::axes("logsumexp", &axes, &shape)?);
    operator("logsumexp", x.level(), x.primal().logsumexp(axes), k, |y, y_bar| {
        x.accumulate(shares(x.primal(), y.reshape(&keep)) * y_bar.reshape(&keep))
    })
}
