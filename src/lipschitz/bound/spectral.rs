//! Spectral norms that can be differentiated.

use faer::{Mat, MatRef, Scale, Side};
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

use super::super::convolution::{convolution_norm, convolution_norm_bound};
use super::super::matrix::norm_at_most;
use super::range;
use crate::array::NdArray;
use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
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
/// use antiphon::{NdArray, Tensor, grad};
/// let w = NdArray::<f64>::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
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

/// Matrices whose spectral norm is at most this: those that it is more of are multiplied by what makes it that. Applied
/// to weights after each step of a training, it is the projection of Gouk et al., *Regularisation of neural networks by
/// enforcing Lipschitz continuity*, 2021.
///
/// # Errors
/// As [`spectral_norm`].
#[track_caller]
pub fn limit_spectral_norm<T: Tensor>(w: &T, most: f64) -> T {
    let part = (spectral_norm(w).recip() * most).minimum(&T::constant(1.0));
    w.clone() * part.unsqueeze(-1).unsqueeze(-1)
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
    if back < x { nearest + (nearest * E::epsilon()).max(E::min_positive_value()) } else { nearest }
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

/// Both vectors, from the eigenvectors of the smaller one of `WWᵀ` and `WᵀW`; none of what is not finite. Of a matrix
/// of zeros they are any.
fn singular_vectors(w: MatRef<'_, f64>) -> Option<Vec<f64>> {
    if w.nrows() < w.ncols() {
        let mut found = singular_vectors(w.transpose())?;
        found.rotate_left(w.ncols());
        return Some(found);
    }
    if w.ncols() == 0 {
        return Some(vec![0.0; w.nrows()]);
    }
    let largest = w.norm_max();
    if !largest.is_finite() {
        return None;
    }
    // Near one, so that squares are numbers.
    let w = w * Scale(if largest > 0.0 { largest.recip() } else { 1.0 });
    let gram = w.transpose() * &w;
    let values = gram.self_adjoint_eigen(Side::Lower).ok()?;
    let unit = |x: Mat<f64>| -> Mat<f64> {
        let size = x.norm_l2();
        if size > 0.0 {
            x * Scale(size.recip())
        } else {
            Mat::from_fn(x.nrows(), 1, |i, _| f64::from(i == 0))
        }
    };
    let right = Mat::from_fn(w.ncols(), 1, |i, _| values.U()[(i, w.ncols() - 1)]);
    let left = unit(&w * right);
    let right = unit(w.transpose() * &left);
    Some(left.col(0).iter().chain(right.col(0).iter()).copied().collect())
}

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
        let found = singular_vectors(w.as_ref()).ok_or("the singular vectors were not found")?;
        y.iter_mut().zip(found).for_each(|(y, x)| *y = E::nearest(x));
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

/// The norm of the convolution with a kernel `[out, channels, kh, kw]` of images of a size: an upper bound in
/// evaluation; else it is computed up to about 10⁻¹².
#[track_caller]
pub(super) fn of_convolution<T: Tensor>(kernel: &T, size: [usize; 2], window: Window2d) -> T {
    T::host(&ConvolutionNorm { size, window, bounds: range::is_rounded::<T>() }, &[kernel])
}

#[derive(Clone, Copy, Debug)]
struct ConvolutionNorm {
    size: [usize; 2],
    window: Window2d,
    /// Whether it is to be an upper bound, which takes longer.
    bounds: bool,
}

/// An array of the host's as one of this crate's, in double precision.
fn array<E: HostElement>(x: &ArrayViewD<'_, E>) -> NdArray<f64> {
    x.mapv(|x| x.to_f64().unwrap_or(f64::NAN)).into()
}

impl HostOperator for ConvolutionNorm {
    const NAME: &'static str = "convolution_norm";
    const RANKS: &'static [usize] = &[4];

    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(Vec::new())
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let (kernel, &ConvolutionNorm { size, window, bounds }) = (array(&x[0]), self);
        let found = match bounds {
            true => convolution_norm_bound(&kernel, size, window).map(|bound| bound.value),
            false => convolution_norm(&kernel, size, window).map(|found| found.value),
        };
        y[IxDyn(&[])] = nearest_above(found.map_err(|error| error.to_string())?);
        Ok(())
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let (image, result) = self.vectors(&x[0]);
        let shape = x[0].shape();
        let slope = image.conv2d_kernel(&result, [shape[2], shape[3]], self.window);
        vec![Some(slope * y_bar)]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        let (image, result) = self.vectors(&x[0]);
        tangents[0].as_ref().map(|dk| (image.conv2d(dk, self.window) * result).sum(..))
    }
}

impl ConvolutionNorm {
    /// The singular vectors of the largest singular value: an image, and what it is convolved to by its norm.
    #[track_caller]
    fn vectors<T: Tensor>(&self, kernel: &T) -> (T, T) {
        let image = T::host(&ConvolutionVector(*self), &[kernel]);
        let result = image.conv2d(kernel, self.window);
        let size = result.square().sum(..).sqrt().detach();
        (image, result / (size + f64::MIN_POSITIVE))
    }
}

/// The image `[1, channels, h, w]` that a convolution makes longest, of those of norm 1.
#[derive(Clone, Copy, Debug)]
struct ConvolutionVector(ConvolutionNorm);

impl HostOperator for ConvolutionVector {
    const NAME: &'static str = "convolution_norm";
    const RANKS: &'static [usize] = &[4];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![1, operands[0][1], self.0.size[0], self.0.size[1]])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let found = convolution_norm(&array(&x[0]), self.0.size, self.0.window);
        let right = found.map_err(|error| error.to_string())?.right;
        y.iter_mut().zip(right.view()).for_each(|(y, &x)| *y = E::nearest(x));
        Ok(())
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        raise(second_derivative(At::caller()))
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        raise(second_derivative(At::caller()))
    }
}

fn second_derivative(at: At) -> Error {
    let reason = "the norm of a convolution has no second derivative here: that of its matrix has".into();
    Error::Argument { op: "convolution_norm", reason, at }
}
