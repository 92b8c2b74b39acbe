//! Determinants, and their logarithms.

use ndarray::{ArrayViewD, ArrayViewMutD};

use super::cofactors;
use super::kernel::{Factorization, Field, run, side};
use super::lu::{Factors, Unpacked, packed_identity};
use super::parts::{eye, identity, last, square};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The determinant of square matrices: `[.., n, n]` gives `[..]`.
///
/// The derivative is the matrix of cofactors, `det A·A⁻ᵀ` where there is an inverse; it and the second derivative are
/// those of the polynomial that a determinant is, where there is none as well. The third derivative wants an inverse.
/// An adjoint's product with the cofactors is made without them, so that these may be beyond the numbers; of a
/// determinant that is itself, take [`slogdet`].
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, and from its third derivative if it
/// is singular.
#[track_caller]
pub fn det<T: Tensor>(a: &T) -> T {
    square("det", a);
    of_factors(a, &Factors::of("det", a).packed)
}

/// The determinant, from the matrix and its factors.
pub(super) fn of_factors<T: Tensor>(a: &T, packed: &T) -> T {
    T::host(&Determinant, &[a, packed])
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
    let both = T::host(&LogDeterminant, &[a, &Factors::of("slogdet", a).packed]);
    (both.index(-1, 0).detach(), both.index(-1, 1))
}

/// The determinant, from the matrix and its factors.
#[derive(Clone, Copy, Debug)]
struct Determinant;

impl Factorization for Determinant {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        result[0] = Unpacked::of(operands[1], side(operands[0].len())).determinant().by(F::one());
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
        vec![Some(cofactors::scaled(&x[0], &x[1], y_bar)), None]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| cofactors::along(&x[0], &x[1], da))
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
        let factors = Factors { op: Self::NAME, a: &x[0], packed: x[1].clone() };
        let inverse = factors.solve(&eye(last(&x[0])), true);
        vec![Some(inverse * y_bar.index(-1, 1).unsqueeze(-1).unsqueeze(-1)), None]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let factors = Factors { op: Self::NAME, a: &x[0], packed: x[1].clone() };
            let log = (factors.solve(&eye(last(&x[0])), true) * da).sum([-2, -1]);
            T::stack(&[log.zeros_like(), log], -1)
        })
    }
}
