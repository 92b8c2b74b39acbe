//! Eigenvalues and eigenvectors of symmetric matrices.

use faer::linalg::evd;
use faer::{Mat, MatRef};
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::kernel::{
    Factorization, Field, ONE, Size, finite, rows, rows_mut, run, scratch, side, symmetric_part,
};
use super::parts::{
    diagonal, identity, inverse_differences, last, pack, square, symmetric, times_diagonal, unpack,
};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The eigenvalues `w`, ascending, and orthonormal eigenvectors, the columns of `V`, of symmetric matrices:
/// `[.., n, n]` gives `[.., n]` and `[.., n, n]`, `A = V·diag(w)·Vᵀ`. What is decomposed is the symmetric part
/// `½(A + Aᵀ)`: so the derivative is symmetric. An eigenvector's sign is not defined.
///
/// With `Fᵢⱼ = 1/(wⱼ − wᵢ)`: `dw = diag(VᵀdA·V)`, `dV = V·(F ∘ VᵀdA·V)` (Giles 2008).
///
/// Where eigenvalues are equal, `F` is zero: the derivative is right for symmetric functions of the eigenvalues, as
/// their sum, and for projections on all eigenvectors of a value. It is not for what weighs eigenvectors of equal
/// values by functions of these, as `V·f(w)·Vᵀ`, which [`logm`](crate::linalg::logm) and
/// [`sqrtm`](crate::linalg::sqrtm) are right for. Where eigenvalues are close, derivatives of eigenvectors are large,
/// and inexact.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square or an element is not finite.
#[track_caller]
pub fn eigh<T: Tensor>(a: &T) -> (T, T) {
    square("eigh", a);
    both("eigh", a)
}

/// Both, for a function that is called so.
#[track_caller]
fn both<T: Tensor>(op: &'static str, a: &T) -> (T, T) {
    let n = last(a);
    let [w, v] = unpack(&T::host(&Eigh { op }, &[a]), [&[n], &[n, n]]);
    (w, v)
}

/// The eigenvalues of symmetric matrices, ascending: `[.., n, n]` gives `[.., n]`; see [`eigh`].
///
/// # Errors
/// As [`eigh`].
#[track_caller]
pub fn eigvalsh<T: Tensor>(a: &T) -> T {
    square("eigvalsh", a);
    both("eigvalsh", a).0
}

/// Both of a symmetric matrix, of which what is above the diagonal is not read: values, and vectors as columns.
///
/// # Errors
/// If they are not found.
pub(super) fn decompose<F: Field>(a: MatRef<'_, F>) -> Result<(Vec<F>, Mat<F>), String> {
    let n = a.nrows();
    // Of what is far from one, squares are no numbers.
    let lower: Vec<F> = (0..n).flat_map(|i| (0..=i).map(move |j| a[(i, j)])).collect();
    let size = Size::of_squares(&lower);
    let scaled = size.is_scaled().then(|| Mat::from_fn(n, n, |i, j| size.shrink(a[(i, j)])));
    let a = scaled.as_ref().map_or(a, |scaled| scaled.as_ref());
    let mut vectors = Mat::<F>::zeros(n, n);
    let mut values = Mat::<F>::zeros(n, 1);
    if n > 0 {
        let needed =
            evd::self_adjoint_evd_scratch::<F>(n, evd::ComputeEigenvectors::Yes, ONE, Default::default());
        scratch(needed, |stack| {
            let values = values.as_mut().col_mut(0).as_diagonal_mut();
            evd::self_adjoint_evd(a, values, Some(vectors.as_mut()), ONE, stack, Default::default())
        })
        .map_err(|_| "the eigenvalues were not found".to_string())?;
    }
    Ok(((0..n).map(|i| size.grow(values[(i, 0)])).collect(), vectors))
}

#[derive(Clone, Copy, Debug)]
struct Eigh {
    op: &'static str,
}

impl Factorization for Eigh {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let a = operands[0];
        finite(a)?;
        let n = side(a.len());
        let mut symmetric = vec![F::zero(); a.len()];
        symmetric_part(a, &mut symmetric);
        let (values, vectors) = decompose(rows(&symmetric, [n, n]))?;
        let (w, v) = result.split_at_mut(n);
        w.copy_from_slice(&values);
        rows_mut(v, [n, n]).copy_from(&vectors);
        Ok(())
    }
}

impl HostOperator for Eigh {
    const NAME: &'static str = "eigh";
    const RANKS: &'static [usize] = &[2];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        let n = operands[0][0];
        Ok(vec![n + n * n])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let n = last(&x[0]);
        let [w, v] = unpack(y, [&[n], &[n, n]]);
        let [w_bar, v_bar] = unpack(y_bar, [&[n], &[n, n]]);
        let across = v.transpose().matmul(&v_bar) * inverse_differences(&w);
        let inner = times_diagonal(&v, &w_bar) + v.matmul(&across);
        vec![Some(symmetric(&inner.matmul(&v.transpose())))]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let n = last(&x[0]);
            let [w, v] = unpack(y, [&[n], &[n, n]]);
            let inner = v.transpose().matmul(&symmetric(da).matmul(&v));
            pack([(&diagonal(&inner), 1), (&v.matmul(&(inverse_differences(&w) * &inner)), 2)])
        })
    }
}
