//! The rules of operators of the host, and of those of users, which say what they are.

use crate::error::CpsResult as Result;
use crate::language::custom::{CustomOperator, adjoints_of};
use crate::language::host::{Call, HostOperator, shapes};
use crate::language::tensor::Tensor;
use crate::reverse::cps::operator;
use crate::reverse::{Var, common_level};

/// What a function of the host computes (see [`Tensor::host`]); the adjoints are those of
/// [`HostOperator::pull`]. The operands are brought to one brand by [`Var::shorten`].
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if the operator is not defined for the operands.
#[track_caller]
pub fn host<O: HostOperator, T: Tensor, R>(
    op: &O,
    operands: &[Var<'_, T>],
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let mut level = None;
    for operand in operands {
        level = common_level(level, operand.level())?;
    }
    let values: Vec<T> = operands.iter().map(|x| x.primal().clone()).collect();
    let references: Vec<&T> = values.iter().collect();
    Call::of(op, &shapes(&references))?;
    operator(op.name(), level, T::host(op, &references), k, |y, y_bar| {
        add(op.name(), operands, &values, |wanted| op.pull(&values, y, &y_bar, wanted));
    })
}

/// A function with a derivative of its own (see [`Tensor::custom`]); the adjoints are those of
/// [`CustomOperator::pull`].
///
/// # Errors
/// Those of its value.
#[track_caller]
pub fn custom_operator<O: CustomOperator, T: Tensor, R>(
    op: &O,
    operands: &[Var<'_, T>],
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let mut level = None;
    for operand in operands {
        level = common_level(level, operand.level())?;
    }
    let values: Vec<T> = operands.iter().map(|x| x.primal().clone()).collect();
    let y = T::custom(op, &values.iter().collect::<Vec<_>>());
    operator(O::NAME, level, y, k, |y, y_bar| {
        add(O::NAME, operands, &values, |wanted| op.pull(&values, y, &y_bar, wanted));
    })
}

/// Adds adjoints, of which some are not wanted, and others are not there.
#[track_caller]
fn add<T: Tensor>(
    op: &'static str,
    operands: &[Var<'_, T>],
    values: &[T],
    pull: impl FnOnce(&[bool]) -> Vec<Option<T>>,
) {
    let wanted: Vec<bool> = operands.iter().map(Var::is_active).collect();
    for (operand, adjoint) in operands.iter().zip(adjoints_of(op, values, pull(&wanted))) {
        if let (true, Some(adjoint)) = (operand.is_active(), adjoint) {
            operand.accumulate(adjoint);
        }
    }
}
