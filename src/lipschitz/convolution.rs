//! Spectral norms of convolutions.

use faer::Mat;
use ndarray::{ArrayD, Ix4};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use super::certificate::{frobenius, toward_one};
use super::constant::LipschitzConstant;
use super::matrix::{norm, norm_at_most};
use super::power::{SingularValue, singular_values};
use crate::array::NdArray;
use crate::error::{At, Error, Result};
use crate::language::real::Real;
use crate::language::shape::Window2d;
use crate::language::tensor::Tensor;

/// The most elements of the smaller side of a convolution's matrix, and of all of it, that it is written down for.
const DENSE: [usize; 2] = [1024, 1 << 24];

/// The most elements that all transforms of a kernel have together: a gigabyte.
const LARGEST: usize = 1 << 26;

/// A kernel `[out, in, kh, kw]` and an image's size.
struct Kernel<'a> {
    elements: ndarray::ArrayView4<'a, f64>,
    size: [usize; 2],
}

impl<'a> Kernel<'a> {
    fn new(op: &'static str, at: At, kernel: &'a ArrayD<f64>, size: [usize; 2]) -> Result<Kernel<'a>> {
        let bad = |reason: String| Err(Error::Argument { op, reason, at });
        let Ok(elements) = kernel.view().into_dimensionality::<Ix4>() else {
            return bad(format!("a kernel {:?}, which has to be [out, in, height, width]", kernel.shape()));
        };
        if elements.is_empty() || size.contains(&0) {
            return bad(format!("a kernel {:?} on images {size:?}", kernel.shape()));
        }
        if let Some((place, x)) = elements.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return bad(format!("the element {place:?} of the kernel is {x}"));
        }
        Ok(Kernel { elements, size })
    }

    /// The matrix of the convolution, each of whose elements is one of the kernel.
    fn matrix(&self, window: Window2d, counts: [usize; 2]) -> Mat<f64> {
        let (out, channels, kh, kw) = self.elements.dim();
        let [h, w] = self.size;
        let mut matrix = Mat::zeros(out * counts[0] * counts[1], channels * h * w);
        for ((o, c, u, v), &x) in self.elements.indexed_iter() {
            debug_assert!(u < kh && v < kw);
            for r in 0..counts[0] {
                for s in 0..counts[1] {
                    let row = (r * window.stride[0] + u).checked_sub(window.padding[0]);
                    let column = (s * window.stride[1] + v).checked_sub(window.padding[1]);
                    if let (Some(row), Some(column)) = (row, column)
                        && row < h
                        && column < w
                    {
                        // Pixels first, so that what is near to the diagonal is near in the image.
                        let (to, from) = (r * counts[1] + s, row * w + column);
                        matrix[(to * out + o, from * channels + c)] = x;
                    }
                }
            }
        }
        matrix
    }

    /// # Errors
    /// If the transforms on a torus have too many elements.
    fn check_size(&self, op: &'static str, at: At, [h, w]: [usize; 2]) -> Result<()> {
        let (out, channels, ..) = self.elements.dim();
        let elements = [out, channels, h, w].into_iter().fold(1, usize::saturating_mul);
        if elements <= LARGEST {
            return Ok(());
        }
        let reason =
            format!("the transforms of {out}·{channels} kernels on images {:?} are too large", self.size);
        Err(Error::Argument { op, reason, at })
    }

    /// The largest norm over all frequencies of the kernel on a torus, computed, and how much larger it may be.
    fn of_frequencies(&self, [h, w]: [usize; 2]) -> [f64; 2] {
        let (out, channels, kh, kw) = self.elements.dim();
        // Near one, so that sums are numbers.
        let scale = toward_one(self.elements.iter().fold(0.0, |most, x| x.abs().max(most)));
        let mut planner = FftPlanner::new();
        let (rows, columns) = (planner.plan_fft_forward(w), planner.plan_fft_forward(h));
        // The transform of each pair of channels: [pair, frequency].
        let transform = |o: usize, c: usize| {
            let mut image = vec![Complex::new(0.0, 0.0); h * w];
            for u in 0..kh {
                for v in 0..kw {
                    image[(u % h) * w + v % w] += self.elements[(o, c, u, v)] * scale;
                }
            }
            rows.process(&mut image);
            let mut column = vec![Complex::new(0.0, 0.0); h];
            for j in 0..w {
                (0..h).for_each(|i| column[i] = image[i * w + j]);
                columns.process(&mut column);
                (0..h).for_each(|i| image[i * w + j] = column[i]);
            }
            image
        };
        let pairs = (0..out).flat_map(|o| (0..channels).map(move |c| (o, c)));
        let transforms: Vec<Vec<Complex<f64>>> = pairs.map(|(o, c)| transform(o, c)).collect();
        // Of a real kernel opposite frequencies are conjugate.
        let norm_at = |k: usize| {
            let part = |row: usize, column: usize| transforms[row * channels + column][k];
            // [re, −im; im, re] has the same norm.
            let real = Mat::from_fn(2 * out, 2 * channels, |i, j| {
                let z = part(i % out, j % channels);
                match (i < out, j < channels) {
                    (true, false) => -z.im,
                    (false, true) => z.im,
                    _ => z.re,
                }
            });
            if out == 1 && channels == 1 { part(0, 0).norm() } else { norm(real.as_ref()) }
        };
        let norms = (0..h * w).filter(|k| k / w <= h / 2).map(norm_at);
        // What is not found bounds nothing.
        let larger = |most: f64, norm: f64| if norm.is_nan() { f64::INFINITY } else { most.max(norm) };
        let largest = norms.fold(0.0, larger) / scale;
        // A transform of N numbers is wrong by about log₂N·u of its Euclidean norm (Higham, *Accuracy and stability of
        // numerical algorithms*, 2002, theorem 24.2), which is √N times the kernel's: sixteen times as much, for mixed
        // radices, and for the wraps' sums and the norms themselves.
        let elements = Mat::from_fn(out * channels, kh * kw, |i, j| {
            self.elements[(i / channels, i % channels, j / kw, j % kw)]
        });
        let n = (h * w) as f64;
        let part = 16.0 * (n.log2() + 2.0) * f64::EPSILON;
        let side = 16.0 * (out.max(channels)) as f64 * f64::EPSILON;
        [largest, part * n.sqrt() * frobenius(elements.as_ref()) + side * largest + f64::MIN_POSITIVE]
    }
}

/// The number of windows along each axis, if there are any.
fn counts(kernel: &Kernel<'_>, window: Window2d) -> Option<[usize; 2]> {
    let (_, _, kh, kw) = kernel.elements.dim();
    let count = |i: usize, k: usize| {
        let padded = kernel.size[i].checked_add(window.padding[i].checked_mul(2)?)?;
        Some(padded.checked_sub(k)?.checked_div(window.stride[i])? + 1)
    };
    Some([count(0, kh)?, count(1, kw)?])
}

/// The largest singular value of a convolution with zeros around the image, [`Tensor::conv2d`], of a kernel
/// `[out, in, height, width]` and images of a size, and its vectors `[1, out, h′, w′]` and `[1, in, h, w]`: without its
/// matrix, up to about 10⁻¹².
///
/// # Errors
/// [`Error::Argument`] if the kernel has not four axes, if it is empty or not finite, or if no window fits.
#[track_caller]
pub fn convolution_norm(kernel: &NdArray<f64>, size: [usize; 2], window: Window2d) -> Result<SingularValue> {
    let (op, at) = ("convolution_norm", At::caller());
    let elements = kernel.view().to_owned();
    let parts = Kernel::new(op, at, &elements, size)?;
    if counts(&parts, window).is_none() {
        return Err(no_window(op, at, &parts, window));
    }
    let channels = parts.elements.dim().1;
    let convolved = singular_values(
        |x| x.conv2d(&crate::reverse::Var::lift(kernel), window),
        &[1, channels, size[0], size[1]],
        1,
    );
    Ok(convolved?.remove(0))
}

fn no_window(op: &'static str, at: At, kernel: &Kernel<'_>, window: Window2d) -> Error {
    let (_, _, kh, kw) = kernel.elements.dim();
    let reason = format!("no window [{kh}, {kw}] of {window:?} fits images {:?}", kernel.size);
    Error::Argument { op, reason, at }
}

/// An upper bound of the norm of a convolution with zeros around the image, rounding counted: of its matrix, if its
/// smaller side has 1,024 elements at most, which is its norm up to about 10⁻¹²; else that on a torus that the image
/// and its padding fit on, of stride one, which is larger. (The norm of the reshaped kernel is another number, by
/// which the norm may be larger by up to `√(height·width)`.)
///
/// # Errors
/// As [`convolution_norm`], and as [`circular_convolution_norm`] on the torus.
#[track_caller]
pub fn convolution_norm_bound(
    kernel: &NdArray<f64>,
    size: [usize; 2],
    window: Window2d,
) -> Result<LipschitzConstant> {
    let (op, at) = ("convolution_norm_bound", At::caller());
    let elements = kernel.view().to_owned();
    let kernel = Kernel::new(op, at, &elements, size)?;
    let (out, channels, kh, kw) = kernel.elements.dim();
    let Some(counts) = counts(&kernel, window) else { return Err(no_window(op, at, &kernel, window)) };
    let product = |numbers: [usize; 3]| numbers.into_iter().fold(1, usize::saturating_mul);
    let (rows, columns) = (product([out, counts[0], counts[1]]), product([channels, size[0], size[1]]));
    if rows.min(columns) <= DENSE[0] && rows.saturating_mul(columns) <= DENSE[1] {
        let matrix = kernel.matrix(window, counts);
        return Ok(LipschitzConstant::upper("matrix of the convolution", norm_at_most(matrix.as_ref())));
    }
    // Any torus that is large enough will do: powers of two are transformed the most exactly.
    let torus =
        [(size[0], kh), (size[1], kw)].map(|(n, k)| n.saturating_add(k - 1).checked_next_power_of_two());
    let torus = torus.map(|n| n.unwrap_or(usize::MAX));
    kernel.check_size(op, at, torus)?;
    let [largest, more] = kernel.of_frequencies(torus);
    Ok(LipschitzConstant::upper("Fourier transform", largest + more))
}

/// The norm of a convolution on a torus, circular padding and stride one, as an upper bound: the largest norm of the
/// kernel's Fourier transform, `[out, in]`, over all frequencies, and what that may be rounded by, about 10⁻¹² of it
/// (Sedghi, Gupta & Long, *The singular values of convolutional layers*, 2019).
///
/// # Errors
/// [`Error::Argument`] if the kernel has not four axes, if it or the image is empty, if it is not finite, or if its
/// transforms have more than 2²⁶ elements.
#[track_caller]
pub fn circular_convolution_norm(kernel: &NdArray<f64>, size: [usize; 2]) -> Result<LipschitzConstant> {
    let elements = kernel.view().to_owned();
    let (op, at) = ("circular_convolution_norm", At::caller());
    let kernel = Kernel::new(op, at, &elements, size)?;
    kernel.check_size(op, at, size)?;
    let [largest, more] = kernel.of_frequencies(size);
    Ok(LipschitzConstant::upper("Fourier transform", largest + more))
}
