//! Right sides: columns, or one.

use crate::continuation::unwinding::{OrRaise, blame, raise};
use crate::error::{At, Error};
use crate::language::shape;
use crate::language::tensor::Tensor;

/// The right side of systems of equations as a matrix.
pub(super) struct Right<T> {
    /// `[.., n, k]`.
    pub(super) columns: T,
    vector: bool,
}

impl<T: Tensor> Right<T> {
    /// Of a vector `[n]`, or of `[.., n, k]`, for a matrix with `n` rows.
    ///
    /// # Errors
    /// Raises [`Error::Shape`] if it has not `n` rows, or its batch does not broadcast with the matrix's, and
    /// [`Error::Argument`] if it is a scalar.
    #[track_caller]
    pub(super) fn of(op: &'static str, n: usize, a: &T, b: &T) -> Right<T> {
        let (lhs, rhs) = (a.shape(), b.shape());
        let rows = match rhs.as_slice() {
            [] => {
                let reason =
                    "the right side is a scalar; it has to be a vector, or a matrix of columns".into();
                raise(Error::Argument { op, reason, at: blame(At::caller()) })
            }
            [rows] | [.., rows, _] => *rows,
        };
        if rows != n {
            raise(Error::Shape { op, lhs: lhs.to_vec(), rhs: rhs.to_vec(), at: blame(At::caller()) });
        }
        let vector = rhs.len() == 1;
        if !vector {
            shape::broadcast(op, &lhs[..lhs.len() - 2], &rhs[..rhs.len() - 2]).or_raise();
        }
        Right { columns: if vector { b.unsqueeze(-1) } else { b.clone() }, vector }
    }

    /// What was found for the columns, as the right side was given.
    pub(super) fn back(&self, x: T) -> T {
        if !self.vector {
            return x;
        }
        let shape = x.shape();
        x.reshape(&shape[..shape.len() - 1])
    }
}
