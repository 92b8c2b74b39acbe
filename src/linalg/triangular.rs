//! Systems with a triangular matrix.

use faer::linalg::triangular_solve as faer_solve;
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::division;
use super::kernel::{Factorization, Field, ONE, rows, rows_mut, run, run_on_elements, side};
use super::parts::{identity, lower, square, sum, times_transposed};
use super::right::Right;
use super::small::{self, Substitution};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// Which part of a square matrix is read, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triangle {
    /// What is not above the diagonal, or else what is not below it.
    pub lower: bool,
    /// Its transpose stands for it.
    pub transposed: bool,
    /// The diagonal is not read: it is ones.
    pub unit_diagonal: bool,
}

impl Triangle {
    /// What is not above the diagonal.
    pub const LOWER: Triangle = Triangle { lower: true, transposed: false, unit_diagonal: false };
    /// What is not below the diagonal.
    pub const UPPER: Triangle = Triangle { lower: false, transposed: false, unit_diagonal: false };

    /// The same, transposed.
    #[must_use]
    pub const fn t(self) -> Triangle {
        Triangle { transposed: !self.transposed, ..self }
    }
    /// The same, with ones on the diagonal.
    #[must_use]
    pub const fn unit(self) -> Triangle {
        Triangle { unit_diagonal: true, ..self }
    }
}

/// The solution `X` of `A·X = B` for a matrix of which only a triangle is read: `[.., n, n]` and `[.., n, k]` give
/// `[.., n, k]`; a vector `[n]` is a column, and gives one. Axes before these are of a batch, and broadcast.
///
/// The derivative is `dX = A⁻¹(dB − dA·X)`; of what is not read it is zero (Giles 2008).
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square or has a zero on its diagonal, and
/// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
///
/// ```
/// use antiphon::linalg::{Triangle, solve_triangular};
/// use antiphon::{NdArray, Tensor};
/// let a = NdArray::from_elements(&[2, 2], &[2.0, 0.0, 1.0, 4.0])?;
/// let b = NdArray::from(vec![2.0, 9.0]);
/// assert_eq!(solve_triangular(&a, &b, Triangle::LOWER), NdArray::from(vec![1.0, 2.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
#[track_caller]
pub fn solve_triangular<T: Tensor>(a: &T, b: &T, triangle: Triangle) -> T {
    let n = square("solve_triangular", a);
    let right = Right::of("solve_triangular", n, a, b);
    right.back(solve("solve_triangular", a, &right.columns, triangle))
}

/// Of matrices on both sides, for a function that is called so.
#[track_caller]
pub(super) fn solve<T: Tensor>(op: &'static str, a: &T, b: &T, triangle: Triangle) -> T {
    T::host(&SolveTriangular { op, triangle }, &[a, b])
}

/// `B·A⁻¹`.
pub(super) fn solve_from_right<T: Tensor>(op: &'static str, b: &T, a: &T, triangle: Triangle) -> T {
    solve(op, a, &b.transpose(), triangle.t()).transpose()
}

#[derive(Clone, Copy, Debug)]
struct SolveTriangular {
    op: &'static str,
    triangle: Triangle,
}

impl SolveTriangular {
    /// What of a matrix the triangle is.
    fn part<T: Tensor>(self, x: &T) -> T {
        let diagonal = if self.triangle.unit_diagonal { 0.0 } else { 1.0 };
        match self.triangle.lower {
            true => lower(x, diagonal),
            false => lower(&x.transpose(), diagonal).transpose(),
        }
    }
}

impl Factorization for SolveTriangular {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let [a, b] = operands else { unreachable!("two operands") };
        let n = side(a.len());
        result.copy_from_slice(b);
        if n == 0 {
            return Ok(());
        }
        let Triangle { lower, transposed, unit_diagonal } = self.triangle;
        if !unit_diagonal && let Some(i) = (0..n).find(|&i| a[i * n + i] == F::zero()) {
            return Err(format!("the matrix is singular: element {i} of its diagonal is 0"));
        }
        if small::is_small(n) {
            let (lower, by_columns) = (lower != transposed, transposed);
            small::substitute(a, n, Substitution { lower, unit: unit_diagonal, by_columns }, result);
            return Ok(());
        }
        let x = rows_mut(result, [n, b.len() / n]);
        let regular = unit_diagonal || (0..n).all(|i| division::is_regular(a[i * n + i]));
        let a = rows(a, [n, n]);
        let a = if transposed { a.transpose() } else { a };
        if !regular {
            division::substitute(a, lower != transposed, false, x);
            return Ok(());
        }
        match (lower != transposed, unit_diagonal) {
            (true, false) => faer_solve::solve_lower_triangular_in_place(a, x, ONE),
            (true, true) => faer_solve::solve_unit_lower_triangular_in_place(a, x, ONE),
            (false, false) => faer_solve::solve_upper_triangular_in_place(a, x, ONE),
            (false, true) => faer_solve::solve_unit_upper_triangular_in_place(a, x, ONE),
        }
        Ok(())
    }
}

impl HostOperator for SolveTriangular {
    const NAME: &'static str = "solve_triangular";
    const RANKS: &'static [usize] = &[2, 2];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[1].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn value_of_elements<E: HostElement>(&self, x: &[&[E]], y: &mut [E]) -> Option<Result<(), String>> {
        Some(run_on_elements(*self, x, y))
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        if operand == 0 { identity(shape) } else { vec![1.0; shape.iter().product()] }
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let b_bar = solve(self.op, &x[0], y_bar, self.triangle.t());
        let a_bar = wanted[0].then(|| {
            let outer = match self.triangle.transposed {
                false => times_transposed(&-b_bar.clone(), y),
                true => times_transposed(&-y.clone(), &b_bar),
            };
            self.part(&outer)
        });
        vec![a_bar, Some(b_bar)]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let moved = tangents[0].as_ref().map(|da| {
            let da = self.part(da);
            let da = if self.triangle.transposed { da.transpose() } else { da };
            -da.matmul(y)
        });
        sum([tangents[1].clone(), moved]).map(|right| solve(self.op, &x[0], &right, self.triangle))
    }
}
