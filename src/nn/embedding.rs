//! Rows by index.

use crate::Params;
use crate::language::tensor::Tensor;
use crate::nn::init::{Init, Rng};

/// A vector of `dim` numbers for each of `rows` symbols: `[..]` integers to `[.., dim]`.
///
/// It equals the product of one-hot rows with the table, without forming either.
#[derive(Clone, Debug, Params)]
pub struct Embedding<T> {
    /// One row a symbol, `[rows, dim]`.
    pub table: T,
}

impl<T: Tensor> Embedding<T> {
    /// Standard normal, as PyTorch's `nn.Embedding` starts.
    #[track_caller]
    pub fn new(rng: &mut Rng, rows: usize, dim: usize) -> Embedding<T> {
        Embedding { table: Init::Normal { mean: 0.0, std: 1.0 }.sample(&[rows, dim], rng) }
    }

    /// The rows of the given symbols.
    ///
    /// # Errors
    /// Raises [`Error::Index`](crate::Error::Index) for a symbol outside of `0..rows`.
    #[track_caller]
    pub fn apply(&self, symbols: &T::Int) -> T {
        self.table.gather_rows(symbols)
    }
}
