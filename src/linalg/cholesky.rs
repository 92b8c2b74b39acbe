//! The Cholesky factor of symmetric positive definite matrices.

use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::division;
use super::kept::{Asked, in_step};
use super::kernel::{
    Factorization, Field, ONE, columns_mut, rows, rows_mut, run, run_on_elements, scratch, side,
    symmetric_part,
};
use super::parts::{identity, lower, square, symmetric};
use super::right::Right;
use super::small;
use super::triangular::{Triangle, solve, solve_from_right};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The lower triangular `L` with a positive diagonal and `L·Lᵀ = A`, of symmetric positive definite matrices
/// `[.., n, n]`. What is factored is the symmetric part `½(A + Aᵀ)`, as in JAX: so the derivative is symmetric.
///
/// With `Φ` for what is not above the diagonal, which is halved: `dL = L·Φ(L⁻¹·dA·L⁻ᵀ)`, and in reverse
/// `Ā = L⁻ᵀ·Φ(LᵀL̄)·L⁻¹`, of which it is the symmetric part (Murray 2016, "Differentiation of the Cholesky
/// decomposition").
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, or its symmetric part is not
/// positive definite.
///
/// ```
/// use antiphon::linalg::cholesky;
/// use antiphon::{NdArray, Tensor};
/// let a = NdArray::<f64>::from_elements(&[2, 2], &[4.0, 2.0, 2.0, 10.0])?;
/// assert_eq!(cholesky(&a), NdArray::from_elements(&[2, 2], &[2.0, 0.0, 1.0, 3.0])?);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[track_caller]
pub fn cholesky<T: Tensor>(a: &T) -> T {
    square("cholesky", a);
    T::host(&Cholesky, &[a])
}

/// The solution `X` of `A·X = B` from `A`'s [Cholesky factor](cholesky) `L`: `[.., n, n]` and `[.., n, k]` give
/// `[.., n, k]`; a vector `[n]` is a column, and gives one.
///
/// # Errors
/// As [`solve_triangular`](crate::linalg::solve_triangular).
#[track_caller]
pub fn cholesky_solve<T: Tensor>(l: &T, b: &T) -> T {
    let n = square("cholesky_solve", l);
    let right = Right::of("cholesky_solve", n, l, b);
    let op = "cholesky_solve";
    right.back(solve(op, l, &solve(op, l, &right.columns, Triangle::LOWER), Triangle::LOWER.t()))
}

/// [`cholesky`], whose errors say who asked.
pub(crate) fn cholesky_in_step<T: Tensor>(a: &T, asked: &Asked<T>) -> T {
    T::host(&CholeskyInStep { solver: asked.solver }, &asked.operands(a))
}

#[derive(Clone, Copy, Debug)]
struct CholeskyInStep {
    solver: &'static str,
}

impl HostOperator for CholeskyInStep {
    const NAME: &'static str = Cholesky::NAME;
    const RANKS: &'static [usize] = &[2, 0, 0];

    fn name(&self) -> &'static str {
        self.solver
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(Cholesky, &x[..1], y).map_err(|reason| in_step(reason, x))
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        if operand == 0 { identity(shape) } else { vec![1.0] }
    }
    fn pull<T: Tensor>(&self, x: &[T], l: &T, l_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        Cholesky.pull(&x[..1], l, l_bar, &wanted[..1]).into_iter().chain([None, None]).collect()
    }
    fn push<T: Tensor>(&self, x: &[T], l: &T, tangents: &[Option<T>]) -> Option<T> {
        Cholesky.push(&x[..1], l, &tangents[..1])
    }
}

#[derive(Clone, Copy, Debug)]
struct Cholesky;

impl Factorization for Cholesky {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let n = side(result.len());
        if n == 0 {
            return Ok(());
        }
        let refuse = |row: usize| {
            format!("the matrix is not positive definite: its leading part of {} rows is not", row + 1)
        };
        if small::is_small(n) {
            symmetric_part(operands[0], result);
            return small::cholesky(result, n).map_err(refuse);
        }
        // The symmetric part, of which faer reads what is below the diagonal, by columns.
        let (a, half) = (operands[0], F::nearest(0.5));
        for j in 0..n {
            for i in j..n {
                let (x, y) = (a[j * n + i], a[i * n + j]);
                // Of equal numbers, which may be too small to be halved, the mean is themselves.
                result[j * n + i] = if x == y { x } else { half * x + half * y };
            }
        }
        scratch(cholesky_in_place_scratch::<F>(n, ONE, Default::default()), |stack| {
            let into = columns_mut(result, [n, n]);
            cholesky_in_place(into, Default::default(), ONE, stack, Default::default())
        })
        .map_err(|LltError::NonPositivePivot { index }| refuse(index))?;
        // By columns, it stands below the diagonal.
        for i in 0..n {
            for j in 0..i {
                result[i * n + j] = std::mem::replace(&mut result[j * n + i], F::zero());
            }
        }
        Ok(())
    }
}

/// `X` of `L·Lᵀ·X = B`, of elements in row-major order.
///
/// # Errors
/// If an element of the diagonal is 0.
pub(super) fn cholesky_solution<F: Field>(l: &[F], b: &[F], result: &mut [F]) -> Result<(), String> {
    let n = side(l.len());
    result.copy_from_slice(b);
    if let Some(i) = (0..n).find(|&i| l[i * n + i] == F::zero()) {
        return Err(format!("the matrix is singular: element {i} of its factor's diagonal is 0"));
    }
    let x = rows_mut(result, [n, b.len() / n]);
    if !(0..n).all(|i| division::is_regular(l[i * n + i])) {
        let l = rows(l, [n, n]);
        division::substitute(l, true, false, x);
        division::substitute(l.transpose(), false, false, rows_mut(result, [n, b.len() / n]));
        return Ok(());
    }
    let columns = b.len() / n;
    scratch(solve_in_place_scratch::<F>(n, columns, ONE), |stack| {
        solve_in_place(rows(l, [n, n]), x, ONE, stack);
    });
    Ok(())
}

/// What is not above the diagonal, which is halved.
fn half<T: Tensor>(x: &T) -> T {
    lower(x, 0.5)
}

impl HostOperator for Cholesky {
    const NAME: &'static str = "cholesky";
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn value_of_elements<E: HostElement>(&self, x: &[&[E]], y: &mut [E]) -> Option<Result<(), String>> {
        Some(run_on_elements(*self, x, y))
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, _x: &[T], l: &T, l_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let inner = half(&l.transpose().matmul(l_bar));
        let left = solve(Self::NAME, l, &inner, Triangle::LOWER.t());
        vec![Some(symmetric(&solve_from_right(Self::NAME, &left, l, Triangle::LOWER)))]
    }
    fn push<T: Tensor>(&self, _x: &[T], l: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let left = solve(Self::NAME, l, &symmetric(da), Triangle::LOWER);
            l.matmul(&half(&solve_from_right(Self::NAME, &left, l, Triangle::LOWER.t())))
        })
    }
}
