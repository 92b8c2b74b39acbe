//! Factors that are kept as an array, without a derivative: for those who know that of what they solve.

use ndarray::{ArrayViewD, ArrayViewMutD};

use super::cholesky::cholesky;
use super::kernel::{Factorization, Field, run, side};
use super::lu::{self, Unpacked, packed_identity};
use super::triangular::{Triangle, solve_triangular};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// Which factors they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factors {
    /// Of elimination with row exchanges.
    Lu,
    /// Cholesky's, of a symmetric positive definite matrix.
    Cholesky,
}

impl Factors {
    /// How many numbers the factors of a matrix of `n` rows are.
    pub(crate) fn size(self, n: usize) -> usize {
        match self {
            Factors::Lu => n * n + n,
            Factors::Cholesky => n * n,
        }
    }
    /// The factors of a matrix `[n, n]`, as a vector.
    pub(crate) fn of<T: Tensor>(self, a: &T) -> T {
        let a = a.detach();
        match self {
            Factors::Lu => lu::packed(&a),
            Factors::Cholesky => cholesky(&a).reshape(&[a.size()]),
        }
    }
    /// The solution of a system of equations with the matrix, or the transposed one, of these factors: `[n]`. It is
    /// linear in `b`, and knows no derivative by the factors.
    pub(crate) fn solve<T: Tensor>(self, factors: &T, b: &T, transposed: bool) -> T {
        let n = b.size();
        match self {
            Factors::Lu => T::host(&SolveKept { transposed }, &[factors, &b.unsqueeze(-1)]).reshape(&[n]),
            Factors::Cholesky => {
                let l = factors.reshape(&[n, n]);
                solve_triangular(&l, &solve_triangular(&l, b, Triangle::LOWER), Triangle::LOWER.t())
            }
        }
    }
}

/// `X` of `A·X = B`, or `Aᵀ·X = B`, from the factors and `B`.
#[derive(Clone, Copy, Debug)]
struct SolveKept {
    transposed: bool,
}

impl Factorization for SolveKept {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let [packed, b] = operands else { unreachable!("two operands") };
        if packed.is_empty() {
            return Ok(());
        }
        let factors = Unpacked::of(packed, side(packed.len()));
        if let Some(i) = factors.zero() {
            return Err(format!("the matrix is singular: pivot {i} is 0"));
        }
        factors.solve(self.transposed, b, result);
        Ok(())
    }
}

impl HostOperator for SolveKept {
    const NAME: &'static str = "solve";
    const RANKS: &'static [usize] = &[1, 2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[1].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        match operand {
            0 => packed_identity(shape[0]),
            _ => vec![1.0; shape.iter().product()],
        }
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None, Some(T::host(&SolveKept { transposed: !self.transposed }, &[&x[0], y_bar]))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[1].as_ref().map(|b| T::host(self, &[&x[0], b]))
    }
}
