//! Determinants, and their logarithms.

use faer::traits::math_utils::{one, zero};
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::kernel::{Factorization, Field, rows_mut, run, side};
use super::lu::{Factors, Unpacked, packed_identity};
use super::parts::{eye, identity, last, square};
use super::svd;
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The determinant of square matrices: `[.., n, n]` gives `[..]`.
///
/// The derivative is the matrix of cofactors, `det A·A⁻ᵀ` where there is an inverse, and exact where there is none. The
/// second derivative wants an inverse.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square.
#[track_caller]
pub fn det<T: Tensor>(a: &T) -> T {
    square("det", a);
    T::host(&Determinant, &[a, &Factors::of(a).packed])
}

/// The sign of the determinant, and the logarithm of its absolute value: `[.., n, n]` gives two arrays `[..]`; 0 and
/// −∞ for a singular matrix.
///
/// The derivative of the logarithm is `A⁻ᵀ`, which wants an inverse.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, and from its derivative if it is
/// singular.
#[track_caller]
pub fn slogdet<T: Tensor>(a: &T) -> (T, T) {
    square("slogdet", a);
    let both = T::host(&LogDeterminant, &[a, &Factors::of(a).packed]);
    (both.index(-1, 0).detach(), both.index(-1, 1))
}

/// The determinant, from the matrix and its factors.
#[derive(Clone, Copy, Debug)]
struct Determinant;

impl Factorization for Determinant {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        result[0] = Unpacked::of(operands[1], side(operands[0].len())).determinant();
        Ok(())
    }
}

impl HostOperator for Determinant {
    const NAME: &'static str = "det";
    const RANKS: &'static [usize] = &[2, 1];

    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(Vec::new())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        if operand == 0 { identity(shape) } else { packed_identity(shape[0]) }
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let cofactors = T::host(&Cofactors, &[&x[0], &x[1]]);
        vec![Some(cofactors * y_bar.unsqueeze(-1).unsqueeze(-1)), None]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| (T::host(&Cofactors, &[&x[0], &x[1]]) * da).sum([-2, -1]))
    }
}

/// The matrix of cofactors, from the matrix and its factors.
#[derive(Clone, Copy, Debug)]
struct Cofactors;

impl Factorization for Cofactors {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let n = side(operands[0].len());
        let factors = Unpacked::of(operands[1], n);
        if n == 0 {
            return Ok(());
        }
        if factors.zero().is_none() {
            let det = factors.determinant();
            let unit: Vec<F> = identity(&[n, n]).into_iter().map(F::nearest).collect();
            factors.solve(true, &unit, result);
            result.iter_mut().for_each(|x| *x *= det);
            return Ok(());
        }
        // U·diag(s)·Vᵀ has the cofactors det(U)·det(V)·U·diag(∏ of the other s)·Vᵀ.
        let (mut u, s, v) = svd::decompose(operands[0], [n, n])?;
        let sign = u.determinant() * v.determinant();
        let sign = if sign < zero() { -one::<F>() } else { one::<F>() };
        for j in 0..n {
            let others = (0..n).filter(|&i| i != j).fold(sign, |product, i| product * s[i]);
            u.as_mut().col_mut(j).iter_mut().for_each(|x| *x *= others);
        }
        rows_mut(result, [n, n]).copy_from(u.as_ref() * v.as_ref().transpose());
        Ok(())
    }
}

impl HostOperator for Cofactors {
    const NAME: &'static str = "cofactors";
    const RANKS: &'static [usize] = &[2, 1];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        Determinant.harmless(operand, shape)
    }
    // C = det A·A⁻ᵀ: dC = tr(A⁻¹dA)·C − A⁻ᵀ·dAᵀ·C.
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let factors = Factors { a: &x[0], packed: x[1].clone() };
        let along = (y.clone() * y_bar).sum([-2, -1]).unsqueeze(-1).unsqueeze(-1);
        let inverse = factors.solve(&eye(last(&x[0])), true);
        let across = y.matmul(&factors.solve(y_bar, false).transpose());
        vec![Some(inverse * along - across), None]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let factors = Factors { a: &x[0], packed: x[1].clone() };
            let trace = (factors.solve(&eye(last(&x[0])), true) * da).sum([-2, -1]);
            y.clone() * trace.unsqueeze(-1).unsqueeze(-1) - factors.solve(&da.transpose().matmul(y), true)
        })
    }
}

/// The determinant's sign, and the logarithm of its absolute value, from the matrix and its factors.
#[derive(Clone, Copy, Debug)]
struct LogDeterminant;

impl Factorization for LogDeterminant {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let factors = Unpacked::of(operands[1], side(operands[0].len()));
        let n = factors.order.len();
        let diagonal = (0..n).map(|i| factors.lu[(i, i)]);
        let (mut sign, mut log) = (factors.sign(), F::zero());
        for x in diagonal {
            if x == F::zero() {
                (result[0], result[1]) = (F::zero(), F::neg_infinity());
                return Ok(());
            }
            sign *= x.signum();
            log += x.abs().ln();
        }
        (result[0], result[1]) = (sign, log);
        Ok(())
    }
}

impl HostOperator for LogDeterminant {
    const NAME: &'static str = "slogdet";
    const RANKS: &'static [usize] = &[2, 1];

    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![2])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        Determinant.harmless(operand, shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let factors = Factors { a: &x[0], packed: x[1].clone() };
        let inverse = factors.solve(&eye(last(&x[0])), true);
        vec![Some(inverse * y_bar.index(-1, 1).unsqueeze(-1).unsqueeze(-1)), None]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let factors = Factors { a: &x[0], packed: x[1].clone() };
            let log = (factors.solve(&eye(last(&x[0])), true) * da).sum([-2, -1]);
            T::stack(&[log.zeros_like(), log], -1)
        })
    }
}
