//! Spectral norms that can be differentiated.

use faer::Mat;
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

use super::super::matrix::norm_at_most;
use crate::language::host::{HostElement, HostOperator};
use crate::language::shape::Window2d;
use crate::language::tensor::Tensor;
use crate::linalg;

/// The largest singular value of matrices: `[.., m, n]` gives `[..]`. In evaluation it is an upper bound, by a few
/// units in the last place more than the norm.
///
/// Its derivative is `u₁ᵀ·dW·v₁` with the singular vectors that belong to it; where the largest singular value has
/// several, it is that of one pair, and there is no second derivative.
///
/// ```
/// use antiphon::lipschitz::spectral_norm;
/// use antiphon::{NdArray, grad};
/// let w = NdArray::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
/// assert!((spectral_norm(&w).item() - 5.464985704219043).abs() < 1e-12);
/// let slope: NdArray<f64> = grad(|w| spectral_norm(&w), &w)?;
/// assert!((slope.view()[[1, 1]] - 0.747538215559223).abs() < 1e-12);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if it has fewer than two axes, and from its second derivative
/// where the largest singular value is a multiple one.
#[track_caller]
pub fn spectral_norm<T: Tensor>(w: &T) -> T {
    T::host(&SpectralNorm, &[w])
}

/// A matrix as faer has it.
fn matrix<E: HostElement>(x: &ArrayViewD<'_, E>) -> Mat<f64> {
    Mat::from_fn(x.shape()[0], x.shape()[1], |i, j| x[[i, j]].to_f64().unwrap_or(f64::NAN))
}

#[derive(Clone, Copy, Debug)]
struct SpectralNorm;

impl HostOperator for SpectralNorm {
    const NAME: &'static str = "spectral_norm";
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(Vec::new())
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        y[IxDyn(&[])] = nearest_above(norm_at_most(matrix(&x[0]).as_ref()));
        Ok(())
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let (u, v) = vectors(&x[0]);
        vec![Some(u.matmul(&v.transpose()) * y_bar.unsqueeze(-1).unsqueeze(-1))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        let (u, v) = vectors(&x[0]);
        tangents[0].as_ref().map(|dw| number(&u.transpose().matmul(dw).matmul(&v)))
    }
}

/// Matrices of one element as numbers.
fn number<T: Tensor>(x: &T) -> T {
    x.sum(&[-1, -2][..])
}

/// The number of a precision that is not less.
fn nearest_above<E: HostElement>(x: f64) -> E {
    let nearest = E::nearest(x);
    let back = nearest.to_f64().unwrap_or(f64::INFINITY);
    if back < x { nearest + nearest * E::epsilon() } else { nearest }
}

/// The singular vectors of the largest singular value as columns: `[.., m, 1]` and `[.., n, 1]`.
#[track_caller]
fn vectors<T: Tensor>(w: &T) -> (T, T) {
    let shape = w.shape();
    let [m, n] = [shape[shape.len() - 2], shape[shape.len() - 1]];
    parts(&T::host(&SingularVectors, &[w]), m, n)
}

fn parts<T: Tensor>(both: &T, m: usize, n: usize) -> (T, T) {
    (both.slice(-1, 0..m).unsqueeze(-1), both.slice(-1, m..m + n).unsqueeze(-1))
}

/// Both singular vectors of the largest singular value, one after the other: of one sign or of the other one.
///
/// With `b = σ·dW·v + W·dWᵀ·u`, `(σ²I − WWᵀ)·du` is what of `b` is orthogonal to `u`; the like is so for `v`.
#[derive(Clone, Copy, Debug)]
struct SingularVectors;

/// What the rules share.
struct Resolvent<'a, T> {
    w: &'a T,
    u: T,
    v: T,
    norm: T,
}

impl<'a, T: Tensor> Resolvent<'a, T> {
    #[track_caller]
    fn of(w: &'a T, both: &T) -> Resolvent<'a, T> {
        let shape = w.shape();
        let (u, v) = parts(both, shape[shape.len() - 2], shape[shape.len() - 1]);
        let norm = u.transpose().matmul(w).matmul(&v);
        Resolvent { w, u, v, norm }
    }
    /// `(σ²I − AAᵀ)⁻¹·x` among what is orthogonal to a singular vector `q` of `A`.
    #[track_caller]
    fn solve(&self, a: &T, q: &T, x: &T) -> T {
        let shape = a.shape();
        let n = shape[shape.len() - 2];
        let square = self.norm.square();
        // (Where it is singular, which `q` alone would make it.)
        let apart = T::ones(&[n]).diag(0) + q.matmul(&q.transpose());
        let across = x.clone() - q.matmul(&q.transpose().matmul(x));
        linalg::solve(&(apart * &square - a.matmul(&a.transpose())), &across)
    }
    #[track_caller]
    fn solve_left(&self, x: &T) -> T {
        self.solve(self.w, &self.u, x)
    }
    #[track_caller]
    fn solve_right(&self, x: &T) -> T {
        self.solve(&self.w.transpose(), &self.v, x)
    }
}

impl HostOperator for SingularVectors {
    const NAME: &'static str = "spectral_norm";
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![operands[0][0] + operands[0][1]])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let w = matrix(&x[0]);
        if w.nrows() == 0 || w.ncols() == 0 {
            return Ok(());
        }
        let failed = |_| "the singular vectors were not found".to_string();
        let svd = w.thin_svd().map_err(failed)?;
        let columns = svd.U().col(0).iter().chain(svd.V().col(0).iter());
        y.iter_mut().zip(columns).for_each(|(y, &x)| *y = E::nearest(x));
        Ok(())
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let all = Resolvent::of(&x[0], y);
        let shape = x[0].shape();
        let (u_bar, v_bar) = parts(y_bar, shape[shape.len() - 2], shape[shape.len() - 1]);
        let (left, right) = (all.solve_left(&u_bar), all.solve_right(&v_bar));
        let by_v = left.clone() * &all.norm + all.w.matmul(&right);
        let by_u = right * &all.norm + all.w.transpose().matmul(&left);
        vec![Some(by_v.matmul(&all.v.transpose()) + all.u.matmul(&by_u.transpose()))]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|dw| {
            let all = Resolvent::of(&x[0], y);
            let (along_v, along_u) = (dw.matmul(&all.v), dw.transpose().matmul(&all.u));
            let du = all.solve_left(&(along_v.clone() * &all.norm + all.w.matmul(&along_u)));
            let dv = all.solve_right(&(along_u * &all.norm + all.w.transpose().matmul(&along_v)));
            let flat = |x: &T| x.sum(-1);
            T::concat(&[flat(&du), flat(&dv)], -1)
        })
    }
}

/// An upper bound of the norm of the convolution with a kernel `[out, channels, kh, kw]` of images of a size: the lesser
/// of that of the kernel as a matrix times the root of the number of windows of an element, and of the root of the
/// largest sum of absolute values of a row of the convolution's matrix times that of a column (Schur's test).
pub(super) fn convolution_norm<T: Tensor>(kernel: &T, size: [usize; 2], window: Window2d) -> T {
    let shape = kernel.shape();
    let [out, channels, height, width] = [shape[0], shape[1], shape[2], shape[3]];
    let matrix = kernel.reshape(&[out, channels * height * width]);
    let image = [1, channels, size[0], size[1]];
    let most = super::linear::overlap(&image, [height, width], window).sqrt();
    let by_windows = spectral_norm(&matrix) * most;
    let sizes = kernel.abs();
    let rows = sizes.sum(&[1, 2, 3][..]).max(0);
    let columns = sizes.sum(&[0, 2, 3][..]).max(0);
    by_windows.minimum(&(rows * columns).sqrt())
}
