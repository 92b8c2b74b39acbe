//! Two-dimensional convolution: windows are unfolded into a matrix, and matrices multiplied.

use std::mem::MaybeUninit;

use super::NdArray;
use super::buffer::{memory, write_vec};
use super::contract::{Matrix, add_product, set_product};
use super::float::Float;
use crate::error::{At, Error, OrRaise, raise};
use crate::shape::{self, Shape, Window2d};

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

    /// The matrix `[taps, count]` of an image, zero where windows reach into the padding. `matrix` has to be zero there.
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

/// Geometry for an image and a kernel of the given shapes, whose convolution has the shape `y`.
#[track_caller]
fn geometry(
    op: &'static str,
    image: &[usize],
    kernel: &[usize],
    y: Option<&[usize]>,
    window: Window2d,
) -> Geometry {
    let expected = shape::conv2d(image, kernel, window).or_raise();
    if let Some(y) = y
        && y != expected.as_slice()
    {
        raise(Error::Shape { op, lhs: y.into(), rhs: expected.to_vec(), at: At::caller() });
    }
    Geometry {
        channels: image[1],
        image: [image[2], image[3]],
        kernel: [kernel[2], kernel[3]],
        windows: [expected[2], expected[3]],
        window,
    }
}

/// The rank-four shape of an operand, or the error that it is none.
#[track_caller]
fn rank_four(op: &'static str, lhs: &[usize], rhs: &[usize]) -> ([usize; 4], [usize; 4]) {
    match (lhs.try_into(), rhs.try_into()) {
        (Ok(lhs), Ok(rhs)) => (lhs, rhs),
        _ => raise(Error::Shape { op, lhs: lhs.into(), rhs: rhs.into(), at: At::caller() }),
    }
}

/// See [`Tensor::conv2d`](crate::Tensor::conv2d).
#[track_caller]
pub(super) fn conv2d<E: Float>(x: &NdArray<E>, kernel: &NdArray<E>, window: Window2d) -> NdArray<E> {
    let g = geometry("conv2d", x.0.shape(), kernel.0.shape(), None, window);
    let (batch, out) = (x.0.shape()[0], kernel.0.shape()[0]);
    let (x, kernel) = (x.row_major(), kernel.row_major());
    let mut matrix = vec![E::ZERO; g.taps() * g.count()];
    let shape = [batch, out, g.windows[0], g.windows[1]];
    let (size, y_size) = (shape::size(&shape), out * g.count());
    // SAFETY: each of the `batch` products writes its `y_size` elements, and these are all.
    let elements = unsafe {
        write_vec(size, |dst: &mut [MaybeUninit<E>]| {
            for n in 0..batch {
                g.unfold(&memory(&x)[n * g.image_size()..(n + 1) * g.image_size()], &mut matrix);
                set_product(
                    &mut dst[n * y_size..(n + 1) * y_size],
                    Matrix::row_major(memory(&kernel), out, g.taps()),
                    Matrix::row_major(&matrix, g.taps(), g.count()),
                );
            }
        })
    };
    NdArray::from_vec(&shape, elements)
}

/// See [`Tensor::conv2d_image`](crate::Tensor::conv2d_image).
#[track_caller]
pub(super) fn conv2d_image<E: Float>(
    y_bar: &NdArray<E>,
    kernel: &NdArray<E>,
    [h, w]: [usize; 2],
    window: Window2d,
) -> NdArray<E> {
    let ([batch, ..], [out, channels, ..]) = rank_four("conv2d_image", y_bar.0.shape(), kernel.0.shape());
    let shape = [batch, channels, h, w];
    let g = geometry("conv2d_image", &shape, kernel.0.shape(), Some(y_bar.0.shape()), window);
    let (y_bar, kernel) = (y_bar.row_major(), kernel.row_major());
    let mut elements = vec![E::ZERO; shape::size(&shape)];
    let y_size = out * g.count();
    for n in 0..batch {
        let mut matrix = vec![E::ZERO; g.taps() * g.count()];
        add_product(
            &mut matrix,
            Matrix::row_major(memory(&kernel), out, g.taps()).transposed(),
            Matrix::row_major(&memory(&y_bar)[n * y_size..(n + 1) * y_size], out, g.count()),
        );
        g.fold(&matrix, &mut elements[n * g.image_size()..(n + 1) * g.image_size()]);
    }
    NdArray::from_vec(&shape, elements)
}

/// See [`Tensor::conv2d_kernel`](crate::Tensor::conv2d_kernel).
#[track_caller]
pub(super) fn conv2d_kernel<E: Float>(
    x: &NdArray<E>,
    y_bar: &NdArray<E>,
    [kh, kw]: [usize; 2],
    window: Window2d,
) -> NdArray<E> {
    let ([batch, channels, ..], [_, out, ..]) = rank_four("conv2d_kernel", x.0.shape(), y_bar.0.shape());
    let shape = [out, channels, kh, kw];
    let g = geometry("conv2d_kernel", x.0.shape(), &shape, Some(y_bar.0.shape()), window);
    let (x, y_bar) = (x.row_major(), y_bar.row_major());
    let mut elements = vec![E::ZERO; shape::size(&shape)];
    let mut matrix = vec![E::ZERO; g.taps() * g.count()];
    let y_size = out * g.count();
    for n in 0..batch {
        g.unfold(&memory(&x)[n * g.image_size()..(n + 1) * g.image_size()], &mut matrix);
        add_product(
            &mut elements,
            Matrix::row_major(&memory(&y_bar)[n * y_size..(n + 1) * y_size], out, g.count()),
            Matrix::row_major(&matrix, g.taps(), g.count()).transposed(),
        );
    }
    NdArray::from_vec(&shape, elements)
}

/// Geometry of all windows of an image `[batch, channels, h, w]`, and the shape of its unfolding.
#[track_caller]
fn unfolding(image: &[usize], kernel: [usize; 2], window: Window2d) -> (Geometry, Shape) {
    let unfolded = shape::unfold2d(image, kernel, window).or_raise();
    let g = Geometry {
        channels: image[1],
        image: [image[2], image[3]],
        kernel,
        windows: [unfolded[3], unfolded[4]],
        window,
    };
    (g, unfolded)
}

/// See [`Tensor::unfold2d`](crate::Tensor::unfold2d).
#[track_caller]
pub(super) fn unfold2d<E: Float>(x: &NdArray<E>, kernel: [usize; 2], window: Window2d) -> NdArray<E> {
    let (g, unfolded) = unfolding(x.0.shape(), kernel, window);
    let x = x.row_major();
    let mut elements = vec![E::ZERO; shape::size(&unfolded)];
    let matrix = g.taps() * g.count();
    for n in 0..unfolded[0] {
        g.unfold(
            &memory(&x)[n * g.image_size()..(n + 1) * g.image_size()],
            &mut elements[n * matrix..(n + 1) * matrix],
        );
    }
    NdArray::from_vec(&unfolded, elements)
}

/// See [`Tensor::fold2d`](crate::Tensor::fold2d).
#[track_caller]
pub(super) fn fold2d<E: Float>(
    x: &NdArray<E>,
    [h, w]: [usize; 2],
    kernel: [usize; 2],
    window: Window2d,
) -> NdArray<E> {
    let &[batch, channels, ..] = x.0.shape() else {
        raise(Error::Shape {
            op: "fold2d",
            lhs: x.0.shape().into(),
            rhs: [h, w][..].into(),
            at: At::caller(),
        });
    };
    let image = [batch, channels, h, w];
    let (g, unfolded) = unfolding(&image, kernel, window);
    if x.0.shape() != unfolded.as_slice() {
        raise(Error::Shape {
            op: "fold2d",
            lhs: x.0.shape().into(),
            rhs: unfolded.to_vec(),
            at: At::caller(),
        });
    }
    let x = x.row_major();
    let mut elements = vec![E::ZERO; shape::size(&image)];
    let matrix = g.taps() * g.count();
    for n in 0..batch {
        g.fold(
            &memory(&x)[n * matrix..(n + 1) * matrix],
            &mut elements[n * g.image_size()..(n + 1) * g.image_size()],
        );
    }
    NdArray::from_vec(&image, elements)
}
