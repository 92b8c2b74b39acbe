//! Norms of linear operators, and ranges of products.

use super::range::{Range, largest};
use super::{Factor, tensor};
use crate::language::shape::Window2d;
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::INTERNAL;

/// How often the most frequent of some indices occurs; their number, where they are not known yet.
pub(super) fn multiplicity<I: IntTensor>(indices: &I) -> f64 {
    let count = match indices.elements() {
        Some(mut elements) => {
            elements.sort_unstable();
            elements.chunk_by(|a, b| a == b).map(<[i64]>::len).max().unwrap_or(0)
        }
        None => indices.shape().iter().product(),
    };
    count.max(1) as f64
}

/// A matrix operand that a batch of the other operand's repeats so many times.
pub(super) struct Repeated {
    pub times: usize,
}

impl Repeated {
    /// The norm of the product with matrices, as a function of the operand.
    pub fn norm<T: Tensor>(&self, matrices: &T) -> Factor<T> {
        let norm = tensor::largest_norm(matrices);
        Factor::Value(if self.times > 1 { norm.scale((self.times as f64).sqrt()) } else { norm })
    }
}

/// The range of a product that is linear in both operands, each element of which is a sum of so many terms.
pub(super) fn product<T: Tensor>(
    a: &Range<T>,
    b: &Range<T>,
    f: impl Fn(&T, &T) -> T,
    terms: usize,
) -> Range<T> {
    let half = |range: &Range<T>| {
        let middle = (range.low.clone() + &range.high) * 0.5;
        let radius = (range.high.clone() - &middle).maximum(&(middle.clone() - &range.low));
        (middle, radius)
    };
    let ((x, dx), (y, dy)) = (half(a), half(b));
    let middle = f(&x, &y);
    // |ab − xy| ≤ |x|·dy + dx·(|y| + dy)
    let (size_x, size_y) = (x.abs(), y.abs());
    let radius = f(&size_x, &dy) + f(&dx, &(size_y.clone() + &dy));
    let error = |radius: &T| {
        let units = 2.0 * (terms as f64 + 4.0) * T::precision(INTERNAL);
        (f(&size_x, &size_y) + radius) * units
    };
    Range::within(middle.clone() - &radius, middle + &radius, true, || {
        let error = error(&radius);
        (error.clone(), error)
    })
}

/// How many windows an element of an image is in, at most: along an axis of `n`, of windows of `k` elements.
pub(super) fn overlap(image: &[usize], kernel: [usize; 2], window: Window2d) -> f64 {
    let along = |axis: usize| {
        let n = image.get(2 + axis).copied().unwrap_or(0);
        let (k, stride, padding) = (kernel[axis], window.stride[axis].max(1), window.padding[axis]);
        let windows = (n + 2 * padding).checked_sub(k).map_or(0, |room| room / stride + 1);
        let mut inside = vec![0usize; n];
        for start in (0..windows).map(|i| i * stride) {
            for place in start..start + k {
                if let Some(count) = place.checked_sub(padding).and_then(|place| inside.get_mut(place)) {
                    *count += 1;
                }
            }
        }
        inside.into_iter().max().unwrap_or(0)
    };
    (along(0) * along(1)).max(1) as f64
}

/// The norm of a convolution as a function of its image of a size.
pub(super) fn convolution<T: Tensor>(kernel: &T, size: [usize; 2], window: Window2d) -> Factor<T> {
    Factor::Value(super::spectral::of_convolution(kernel, size, window))
}

/// The norm of a convolution as a function of its kernel: of the matrix of all windows of the image.
pub(super) fn of_kernel<T: Tensor>(image: &T, kernel: [usize; 2], window: Window2d) -> Factor<T> {
    let windows = image.unfold2d(kernel, window).permute(&[0, 3, 4, 1, 2]);
    let shape = windows.shape();
    let matrix = windows.reshape(&[shape[..3].iter().product(), shape[3..].iter().product()]);
    Factor::Value(largest(&super::spectral_norm(&matrix)))
}

/// The norm of the adjoint of a convolution as a function of its kernel, by the adjoint of its result.
pub(super) fn by_kernel<T: Tensor>(
    y_bar: &T,
    kernels: &[usize],
    image: &[usize],
    window: Window2d,
) -> Factor<T> {
    // Each window's adjoint is a row of a product, and what windows share is added up.
    let shape = y_bar.shape();
    let matrix = y_bar.permute(&[1, 0, 2, 3]).reshape(&[shape[1], shape[0] * shape[2] * shape[3]]);
    let most = overlap(image, [kernels[2], kernels[3]], window).sqrt();
    Factor::Value(largest(&super::spectral_norm(&matrix)) * most)
}
