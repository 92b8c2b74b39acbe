//! The rule of operators of the host, which says what their own rules are.

use crate::error::CpsResult as Result;
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
    operator(O::NAME, level, T::host(op, &references), k, |y, y_bar| {
        let wanted: Vec<bool> = operands.iter().map(Var::is_active).collect();
        let adjoints = op.pull(&values, y, &y_bar, &wanted);
        for (operand, adjoint) in operands.iter().zip(adjoints) {
            if let (true, Some(adjoint)) = (operand.is_active(), adjoint) {
                operand.accumulate(adjoint.unbroadcast(operand.primal()));
            }
        }
    })
}
