//! [`SparseMatrix`]: the entries of a matrix that has few.

use super::Sparsity;
use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::language::shape;
use crate::language::tensor::{IntTensor, Tensor};

/// A matrix in compressed sparse rows, as SciPy's `csr_matrix`: a [`Sparsity`], `indptr` and `indices` there, and an
/// array of the entries' values `[nnz]`, there `data`. Further entries are zero.
#[derive(Clone, Debug)]
pub struct SparseMatrix<T> {
    pattern: Sparsity,
    values: T,
}

impl<T: Tensor> SparseMatrix<T> {
    /// The values `[nnz]` of the pattern's entries, in order: as a compiled function gives them, say.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are not as many as the entries.
    #[track_caller]
    pub fn new(pattern: &Sparsity, values: T) -> Result<SparseMatrix<T>> {
        let (shape, nnz) = (values.shape(), pattern.nnz());
        if shape.as_slice() != [nnz] {
            let reason = format!("values {shape:?} for {nnz} entries");
            return Err(Error::Argument { op: "SparseMatrix", reason, at: At::caller() });
        }
        Ok(SparseMatrix { pattern: pattern.clone(), values })
    }

    pub(super) fn of(pattern: &Sparsity, values: T) -> SparseMatrix<T> {
        SparseMatrix { pattern: pattern.clone(), values }
    }

    /// Which entries there are.
    pub fn pattern(&self) -> &Sparsity {
        &self.pattern
    }

    /// The numbers of rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.pattern.shape()
    }

    /// Where the entries of each row begin, and, last, their number.
    pub fn row_pointers(&self) -> &[usize] {
        self.pattern.row_pointers()
    }

    /// The column of each entry, row by row.
    pub fn column_indices(&self) -> &[usize] {
        self.pattern.column_indices()
    }

    /// The values `[nnz]` of the entries, row by row.
    pub fn values(&self) -> &T {
        &self.values
    }

    /// The values alone: an array, which can be what a compiled function returns.
    pub fn into_values(self) -> T {
        self.values
    }

    /// The array `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Operand`] if no array can be so large, [`Error::Memory`] if there is no memory for it.
    #[track_caller]
    pub fn to_dense(&self) -> Result<T> {
        let [rows, columns] = self.shape();
        let size = shape::elements("to_dense", &[rows, columns])?;
        catch(|| {
            operator(At::caller(), || {
                let places: Vec<i64> =
                    self.pattern.entries().map(|(i, j)| (i * columns + j) as i64).collect();
                let places = T::Int::from_elements(&[places.len()], &places)?;
                Ok(self.values.scatter_rows(&places, size).reshape(&[rows, columns]))
            })
        })
    }
}
