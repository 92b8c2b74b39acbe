//! Two-dimensional convolution: windows are unfolded into a matrix, and matrices multiplied.

use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

use super::NdArray;
use super::buffer::{memory, write_vec};
use super::contract::{Matrix, add_product, set_product};
use super::float::Float;
use crate::continuation::unwinding::{OrRaise, catch, raise};
use crate::error::Error;
use crate::language::shape::{self, Window2d};
use crate::memory::zeros;
use antiphon_system::threads;

/// The windows of one image `[channels, h, w]`.
struct Geometry {
    channels: usize,
    /// Size of the image.
    image: [usize; 2],
    /// Size of a window.
    kernel: [usize; 2],
    /// How many windows there are, down and across.
    windows: [usize; 2],
    window: Window2d,
}

impl Geometry {
    /// Elements of the image.
    fn image_size(&self) -> usize {
        self.channels * self.image[0] * self.image[1]
    }
    /// Rows of the unfolded matrix: elements of a window.
    fn taps(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }
    /// Columns of the unfolded matrix: windows.
    fn count(&self) -> usize {
        self.windows[0] * self.windows[1]
    }
    /// Elements of the unfolded matrix, `usize::MAX` if that is not enough: it may be larger than operands and result.
    fn matrix_size(&self) -> usize {
        self.taps().saturating_mul(self.count())
    }

    /// Calls `f(run in the image, run in the unfolded matrix, length)` for all elements of windows that lie inside of
    /// the image; with stride `s`, neighbours in the matrix's run are `s` apart in the image's.
    fn for_each_run(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([h, w], [kh, kw], [rows, columns]) = (self.image, self.kernel, self.windows);
        let ([down, across], [top, left]) = (self.window.stride, self.window.padding);
        for channel in 0..self.channels {
            for u in 0..kh {
                for v in 0..kw {
                    let tap = (channel * kh + u) * kw + v;
                    // Windows whose element `v` lies in `0..w`: left ≤ c·across + v < w + left.
                    let first = left.saturating_sub(v).div_ceil(across);
                    let end = (w + left).saturating_sub(v).div_ceil(across).min(columns);
                    if first >= end {
                        continue;
                    }
                    for r in 0..rows {
                        let Some(y) = (r * down + u).checked_sub(top).filter(|&y| y < h) else {
                            continue;
                        };
                        let x = first * across + v - left;
                        f((channel * h + y) * w + x, (tap * rows + r) * columns + first, end - first);
                    }
                }
            }
        }
    }

    /// The matrix `[taps, count]` of an image, zero where windows reach into the padding. `matrix` has to be zero
    /// there.
    fn unfold<E: Float>(&self, image: &[E], matrix: &mut [E]) {
        let step = self.window.stride[1];
        self.for_each_run(|from, to, length| {
            let run = &mut matrix[to..to + length];
            if step == 1 {
                run.copy_from_slice(&image[from..from + length]);
            } else {
                for (i, x) in run.iter_mut().enumerate() {
                    *x = image[from + i * step];
                }
            }
        });
    }

    /// Calls `f(element of the image, tap, window)` for all elements of windows that lie inside of the image.
    fn for_each_inside(&self, mut f: impl FnMut(usize, usize, usize)) {
        let (step, count) = (self.window.stride[1], self.count());
        self.for_each_run(|from, to, length| {
            (0..length).for_each(|i| f(from + i * step, to / count, to % count + i));
        });
    }

    fn is_padded(&self) -> bool {
        self.window.padding != [0, 0]
    }

    /// Adds each element of the matrix to the element of the image that it came from.
    fn fold<E: Float>(&self, matrix: &[E], image: &mut [E]) {
        let step = self.window.stride[1];
        self.for_each_run(|to, from, length| {
            for (i, &x) in matrix[from..from + length].iter().enumerate() {
                let sum = &mut image[to + i * step];
                *sum = *sum + x;
            }
        });
    }
}

/// Geometry of an image and a kernel of these shapes, which fit.
fn geometry(image: &[usize], kernel: &[usize], windows: [usize; 2], window: Window2d) -> Geometry {
    Geometry {
        channels: image[1],
        image: [image[2], image[3]],
        kernel: [kernel[2], kernel[3]],
        windows,
        window,
    }
}

/// Calls `f` with pieces of a slice on several threads, and raises here what one of them raises.
#[track_caller]
fn in_pieces<T: Send>(elements: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let failed = Mutex::new(None);
    threads::pieces(elements, size, |from, piece| {
        if let Err(error) = catch::<_, Error>(|| {
            f(from, piece);
            Ok(())
        }) {
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        raise(error);
    }
}

/// How many images a thread takes, each of which takes so many multiplications.
fn images_of_a_piece(batch: usize, multiplications: usize) -> usize {
    threads::piece(batch, 1, (1usize << 18).div_ceil(multiplications.max(1)))
}

/// See [`Tensor::conv2d`](crate::Tensor::conv2d).
#[track_caller]
pub(super) fn conv2d<E: Float>(x: &NdArray<E>, kernel: &NdArray<E>, window: Window2d) -> NdArray<E> {
    let shape = shape::conv2d(x.0.shape(), kernel.0.shape(), window).or_raise();
    let (size, batch, out) = (shape::size(&shape), shape[0], shape[1]);
    if size == 0 {
        return NdArray::from_vec(&shape, Vec::new());
    }
    let g = geometry(x.0.shape(), kernel.0.shape(), [shape[2], shape[3]], window);
    let (x, kernel) = (x.row_major(), kernel.row_major());
    let y_size = out * g.count();
    if g.is_padded() && !memory(&kernel).iter().all(|x| x.to_f64().is_finite()) {
        // A product would multiply them by the zeros of the padding.
        let mut elements = zeros(size);
        for (n, y) in elements.chunks_exact_mut(y_size).enumerate() {
            let image = &memory(&x)[n * g.image_size()..(n + 1) * g.image_size()];
            for (y, kernel) in y.chunks_exact_mut(g.count()).zip(memory(&kernel).chunks_exact(g.taps())) {
                g.for_each_inside(|at, tap, window| y[window] = y[window] + kernel[tap] * image[at]);
            }
        }
        return NdArray::from_vec(&shape, elements);
    }
    let images = images_of_a_piece(batch, y_size * g.taps());
    // SAFETY: each of the `batch` products writes its `y_size` elements, and these are all.
    let elements = unsafe {
        write_vec(size, |dst: &mut [MaybeUninit<E>]| {
            in_pieces(dst, images * y_size, |from, dst| {
                let mut matrix = zeros(g.matrix_size());
                for (n, y) in (from / y_size..).zip(dst.chunks_exact_mut(y_size)) {
                    g.unfold(&memory(&x)[n * g.image_size()..(n + 1) * g.image_size()], &mut matrix);
                    set_product(
                        y,
                        Matrix::row_major(memory(&kernel), out, g.taps()),
                        Matrix::row_major(&matrix, g.taps(), g.count()),
                    );
                }
            });
        })
    };
    NdArray::from_vec(&shape, elements)
}

/// See [`Tensor::conv2d_image`](crate::Tensor::conv2d_image).
#[track_caller]
pub(super) fn conv2d_image<E: Float>(
    y_bar: &NdArray<E>,
    kernel: &NdArray<E>,
    size: [usize; 2],
    window: Window2d,
) -> NdArray<E> {
    let shape = shape::conv2d_image(y_bar.0.shape(), kernel.0.shape(), size, window).or_raise();
    let mut elements = zeros(shape::size(&shape));
    if elements.is_empty() || y_bar.0.is_empty() {
        return NdArray::from_vec(&shape, elements);
    }
    let &[_, out, rows, columns] = y_bar.0.shape() else { unreachable!("a result has four axes") };
    let g = geometry(&shape, kernel.0.shape(), [rows, columns], window);
    let (y_bar, kernel) = (y_bar.row_major(), kernel.row_major());
    let y_size = out * g.count();
    let images = images_of_a_piece(shape[0], y_size * g.taps());
    in_pieces(&mut elements, images * g.image_size(), |from, elements| {
        let y_bar = &memory(&y_bar)[from / g.image_size() * y_size..];
        for (image, y_bar) in elements.chunks_exact_mut(g.image_size()).zip(y_bar.chunks_exact(y_size)) {
            let mut matrix = zeros(g.matrix_size());
            add_product(
                &mut matrix,
                Matrix::row_major(memory(&kernel), out, g.taps()).transposed(),
                Matrix::row_major(y_bar, out, g.count()),
            );
            g.fold(&matrix, image);
        }
    });
    NdArray::from_vec(&shape, elements)
}

/// See [`Tensor::conv2d_kernel`](crate::Tensor::conv2d_kernel).
#[track_caller]
pub(super) fn conv2d_kernel<E: Float>(
    x: &NdArray<E>,
    y_bar: &NdArray<E>,
    size: [usize; 2],
    window: Window2d,
) -> NdArray<E> {
    let shape = shape::conv2d_kernel(x.0.shape(), y_bar.0.shape(), size, window).or_raise();
    let mut elements = zeros(shape::size(&shape));
    if elements.is_empty() || x.0.is_empty() {
        return NdArray::from_vec(&shape, elements);
    }
    let &[_, out, rows, columns] = y_bar.0.shape() else { unreachable!("a result has four axes") };
    let g = geometry(x.0.shape(), &shape, [rows, columns], window);
    let (x, y_bar) = (x.row_major(), y_bar.row_major());
    let y_size = out * g.count();
    let mut matrix = zeros(g.matrix_size());
    let pairs = || memory(&x).chunks_exact(g.image_size()).zip(memory(&y_bar).chunks_exact(y_size));
    for (image, y_bar) in pairs() {
        g.unfold(image, &mut matrix);
        add_product(
            &mut elements,
            Matrix::row_major(y_bar, out, g.count()),
            Matrix::row_major(&matrix, g.taps(), g.count()).transposed(),
        );
    }
    if g.is_padded() && elements.iter().any(|w| w.is_nan()) {
        // The zeros of the padding may have been multiplied by what is not finite.
        elements.fill(E::from_f64(0.0));
        for (image, y_bar) in pairs() {
            for (sums, y_bar) in elements.chunks_exact_mut(g.taps()).zip(y_bar.chunks_exact(g.count())) {
                g.for_each_inside(|at, tap, window| sums[tap] = sums[tap] + y_bar[window] * image[at]);
            }
        }
    }
    NdArray::from_vec(&shape, elements)
}

/// Geometry of the windows of one image, given the shape of all of them, `[batch, channels, kh·kw, rows, columns]`.
fn unfolding(image: &[usize], unfolded: &[usize], kernel: [usize; 2], window: Window2d) -> Geometry {
    Geometry {
        channels: image[1],
        image: [image[2], image[3]],
        kernel,
        windows: [unfolded[3], unfolded[4]],
        window,
    }
}

/// See [`Tensor::unfold2d`](crate::Tensor::unfold2d).
#[track_caller]
pub(super) fn unfold2d<E: Float>(x: &NdArray<E>, kernel: [usize; 2], window: Window2d) -> NdArray<E> {
    let shape = shape::unfold2d(x.0.shape(), kernel, window).or_raise();
    let mut elements = zeros(shape::size(&shape));
    if elements.is_empty() || x.0.is_empty() {
        return NdArray::from_vec(&shape, elements);
    }
    let g = unfolding(x.0.shape(), &shape, kernel, window);
    let x = x.row_major();
    let windows = elements.chunks_exact_mut(g.matrix_size());
    for (image, windows) in memory(&x).chunks_exact(g.image_size()).zip(windows) {
        g.unfold(image, windows);
    }
    NdArray::from_vec(&shape, elements)
}

/// See [`Tensor::fold2d`](crate::Tensor::fold2d).
#[track_caller]
pub(super) fn fold2d<E: Float>(
    x: &NdArray<E>,
    size: [usize; 2],
    kernel: [usize; 2],
    window: Window2d,
) -> NdArray<E> {
    let shape = shape::fold2d(x.0.shape(), size, kernel, window).or_raise();
    let mut elements = zeros(shape::size(&shape));
    if elements.is_empty() || x.0.is_empty() {
        return NdArray::from_vec(&shape, elements);
    }
    let g = unfolding(&shape, x.0.shape(), kernel, window);
    let x = x.row_major();
    let windows = memory(&x).chunks_exact(g.matrix_size());
    for (image, windows) in elements.chunks_exact_mut(g.image_size()).zip(windows) {
        g.fold(windows, image);
    }
    NdArray::from_vec(&shape, elements)
}
