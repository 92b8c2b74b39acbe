//! Functions of square matrices: powers, exponential, logarithm and square root.

use std::fmt::Debug;

use faer::{Mat, MatRef};
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::definite;
use super::exponential::exponential;
use super::kernel::{Factorization, Field, finite, rows, run, side};
use super::lu::inverse;
use super::parts::{eye, identity, last, square};
use super::schur::{logarithm, square_root};
use crate::language::host::{HostElement, HostOperator};
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;

/// The power of square matrices `[.., n, n]` with a whole exponent, by repeated squares; of a negative one, the
/// inverse's.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, or has no inverse that is needed.
#[track_caller]
pub fn matrix_power<T: Tensor>(a: &T, exponent: i64) -> T {
    let n = square("matrix_power", a);
    let mut square = if exponent < 0 { inverse("matrix_power", a) } else { a.clone() };
    let mut rest = exponent.unsigned_abs();
    let mut product: Option<T> = None;
    loop {
        if rest % 2 == 1 {
            product = Some(match product {
                Some(product) => product.matmul(&square),
                None => square.clone(),
            });
        }
        rest /= 2;
        if rest == 0 {
            return product.unwrap_or_else(|| eye::<T>(n).broadcast_to(&a.shape()));
        }
        square = square.matmul(&square);
    }
}

/// The exponential `Σ Aᵏ/k!` of square matrices `[.., n, n]`, by scaling, a Padé approximation of order 13, and
/// repeated squares (Al-Mohy & Higham 2009), in double precision.
///
/// The derivative in a direction `E` is the part above the diagonal of `exp([[A, E], [0, A]])` (Najfeld & Havel 1995),
/// and in reverse the same for `Aᵀ`.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, an element is not finite, or
/// elements are beyond some 10¹⁴⁰.
///
/// ```
/// use antiphon::linalg::expm;
/// use antiphon::{NdArray, Tensor};
/// let rotation = expm(&NdArray::<f64>::from_elements(&[2, 2], &[0.0, -1.0, 1.0, 0.0])?);
/// assert!((rotation.index(0, 0).index(0, 0).item() - 1f64.cos()).abs() < 1e-15);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[track_caller]
pub fn expm<T: Tensor>(a: &T) -> T {
    square("expm", a);
    T::host(&Function(Exp), &[a])
}

/// The principal logarithm of square matrices `[.., n, n]`, none of whose eigenvalues is zero or negative, in double
/// precision. Of symmetric matrices it is made of eigenvalues, which are found to their own last digits where the
/// matrix's condition is that of its scaling; of others, of their Schur form by inverse scaling and squaring (Al-Mohy &
/// Higham 2012). Derivatives are those of [`expm`], and of symmetric matrices as exact as values, at equal eigenvalues
/// as well: what is subtracted there are powers less one. Of a matrix far from normal, whose Schur form has large
/// elements above its diagonal, digits are lost in the measure of the logarithm's condition.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, has an element that is not finite,
/// or no principal logarithm, as has a symmetric one that is not positive definite.
#[track_caller]
pub fn logm<T: Tensor>(a: &T) -> T {
    square("logm", a);
    T::host(&Function(Log), &[a])
}

/// The principal square root of square matrices `[.., n, n]`, none of whose eigenvalues is zero or negative, in double
/// precision. Of symmetric matrices it is made of eigenvalues, as [`logm`]; of others, of their Schur form (Björck &
/// Hammarling 1983). Derivatives are those of [`expm`]; of symmetric matrices they are sums of quotients by sums of
/// roots, in which nothing cancels, at every order.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, has an element that is not finite,
/// or no principal square root, as has a symmetric one that is not positive definite.
#[track_caller]
pub fn sqrtm<T: Tensor>(a: &T) -> T {
    square("sqrtm", a);
    T::host(&Function(Sqrt), &[a])
}

/// Which function it is.
trait Kind: Copy + Debug + Send + Sync + 'static {
    const NAME: &'static str;

    /// # Errors
    /// Why there is no such matrix.
    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String>;
}

#[derive(Clone, Copy, Debug)]
struct Exp;

impl Kind for Exp {
    const NAME: &'static str = "expm";

    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
        exponential(a)
    }
}

#[derive(Clone, Copy, Debug)]
struct Log;

impl Kind for Log {
    const NAME: &'static str = "logm";

    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
        if definite::is_symmetric(a) { definite::function(a, f64::ln) } else { logarithm(a) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sqrt;

impl Kind for Sqrt {
    const NAME: &'static str = "sqrtm";

    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
        if definite::is_symmetric(a) { definite::function(a, f64::sqrt) } else { square_root(a) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Function<K>(K);

impl<K: Kind> Factorization for Function<K> {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let a = operands[0];
        finite(a)?;
        let n = side(a.len());
        if n == 0 {
            return Ok(());
        }
        let double: Vec<f64> = a.iter().map(|x| x.to_f64().expect("a number")).collect();
        let value = K::of(rows(&double, [n, n]))?;
        for i in 0..n {
            for j in 0..n {
                result[i * n + j] = F::nearest(value[(i, j)]);
            }
        }
        Ok(())
    }
}

impl<K: Kind> HostOperator for Function<K> {
    const NAME: &'static str = K::NAME;
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(self.derivative(&x[0].transpose(), y_bar))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| self.derivative(&x[0], da))
    }
}

impl<K: Kind> Function<K> {
    /// In a direction.
    fn derivative<T: Tensor>(self, a: &T, direction: &T) -> T {
        let n = last(a);
        let (own, other) = (a.shape(), direction.shape());
        let longer: Shape = if own.len() > other.len() { own } else { other };
        let a = a.broadcast_to(&longer);
        let direction = direction.broadcast_to(&longer);
        let above = T::concat(&[a.clone(), direction], -1);
        let below = T::concat(&[T::zeros(&longer), a], -1);
        let whole = T::host(&self, &[&T::concat(&[above, below], -2)]);
        whole.slice(-2, 0..n).slice(-1, n..2 * n)
    }
}
