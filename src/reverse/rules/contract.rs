//! The rule of products of matrices.

use crate::error::CpsResult as Result;
use crate::language::shape;
use crate::language::tensor::Tensor;
use crate::reverse::cps::operator;
use crate::reverse::{Var, common_level};

/// `y = a × b` for ranks of at least two; `ā += ȳ × bᵀ`, `b̄ += aᵀ × ȳ`, summed where a batch was repeated.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
#[track_caller]
pub fn batch_matmul<T: Tensor, R>(
    a: &Var<'_, T>,
    b: &Var<'_, T>,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let level = common_level(a.level(), b.level())?;
    let (va, vb) = (a.primal(), b.primal());
    let (sa, sb) = (va.shape(), vb.shape());
    let batch = shape::matmul(&sa, &sb)?;
    let batch = &batch[..batch.len() - 2];
    operator("matmul", level, va.batch_matmul(vb), k, |_, y_bar| {
        a.accumulate_with(|a_bar, va| match &sa[..sa.len() - 2] == batch {
            true => T::accumulate_matmul(a_bar, &y_bar, &vb.transpose()),
            false => T::accumulate(a_bar, y_bar.batch_matmul(&vb.transpose()).unbroadcast(va)),
        });
        b.accumulate_with(|b_bar, vb| match &sb[..sb.len() - 2] == batch {
            true => T::accumulate_matmul(b_bar, &va.transpose(), &y_bar),
            false => T::accumulate(b_bar, va.transpose().batch_matmul(&y_bar).unbroadcast(vb)),
        });
    })
}
