//! Shapes of convolutions and of windows of images.

use super::{LARGEST, Refused, Result, Shape, mismatch, operand, possible};

/// Stride and zero padding of a two-dimensional convolution or pooling window, as `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window2d {
    /// Distance between neighbouring windows; at least one.
    pub stride: [usize; 2],
    /// Zeros added on each of the two sides of an axis.
    pub padding: [usize; 2],
}

impl Default for Window2d {
    /// Stride one, no padding.
    fn default() -> Window2d {
        Window2d { stride: [1, 1], padding: [0, 0] }
    }
}

/// Number of windows on each axis of an image that is padded on both sides.
///
/// # Errors
/// [`Refused::Shapes`] if the window does not fit or the stride is zero; [`Refused::Operand`] if the padding is longer
/// than an array can be.
fn windows(image: &[usize], kernel: &[usize], window: Window2d) -> Result<[usize; 2]> {
    let mut counts = [0; 2];
    for i in 0..2 {
        let padded = image[i].saturating_add(window.padding[i].saturating_mul(2));
        if padded > LARGEST {
            return Err(operand(image, format!("{window:?} is too much")));
        }
        if kernel[i] == 0 || kernel[i] > padded || window.stride[i] == 0 {
            return Err(mismatch(image, kernel));
        }
        counts[i] = (padded - kernel[i]) / window.stride[i] + 1;
    }
    Ok(counts)
}

/// Shape of a convolution: image `[batch, channels, height, width]`, kernel `[out, channels, kh, kw]`
/// gives `[batch, out, rows, columns]`.
///
/// # Errors
/// [`Refused::Shapes`] if the ranks are not four, the channels differ or the kernel does not fit; [`Refused::Operand`]
/// if the padding, or the result, is larger than an array can be.
pub fn conv2d(image: &[usize], kernel: &[usize], window: Window2d) -> Result<Shape> {
    convolved(image, kernel, window)
}

fn convolved(image: &[usize], kernel: &[usize], window: Window2d) -> Result<Shape> {
    let (&[batch, channels, h, w], &[out, inner, kh, kw]) = (image, kernel) else {
        return Err(mismatch(image, kernel));
    };
    match windows(&[h, w], &[kh, kw], window) {
        Ok([rows, columns]) if channels == inner => {
            possible([batch, out, rows, columns].into_iter().collect())
        }
        Err(error @ Refused::Operand { .. }) => Err(error),
        _ => Err(mismatch(image, kernel)),
    }
}

/// Checks that a convolution of an image with a kernel has the shape of its adjoint.
fn adjoint(y_bar: &[usize], image: &[usize], kernel: &[usize], window: Window2d) -> Result<()> {
    let y = convolved(image, kernel, window)?;
    if y.as_slice() == y_bar { Ok(()) } else { Err(mismatch(y_bar, &y)) }
}

/// Shape of the image's adjoint in a convolution: `[batch, channels, height, width]`, of a result's adjoint
/// `[batch, out, rows, columns]` and a kernel `[out, channels, kh, kw]`.
///
/// # Errors
/// [`Refused::Shapes`] if such an image and the kernel do not give such a result; [`Refused::Operand`] if an image
/// cannot be so large.
pub fn conv2d_image(y_bar: &[usize], kernel: &[usize], size: [usize; 2], window: Window2d) -> Result<Shape> {
    let (&[batch, ..], &[_, channels, ..]) = (y_bar, kernel) else {
        return Err(mismatch(y_bar, kernel));
    };
    let image = possible([batch, channels, size[0], size[1]].into_iter().collect())?;
    adjoint(y_bar, &image, kernel, window)?;
    Ok(image)
}

/// Shape of the kernel's adjoint in a convolution: `[out, channels, kh, kw]`, of an image
/// `[batch, channels, height, width]` and a result's adjoint `[batch, out, rows, columns]`.
///
/// # Errors
/// [`Refused::Shapes`] if the image and such a kernel do not give such a result; [`Refused::Operand`] if a kernel
/// cannot be so large.
pub fn conv2d_kernel(image: &[usize], y_bar: &[usize], size: [usize; 2], window: Window2d) -> Result<Shape> {
    let (&[_, channels, ..], &[_, out, ..]) = (image, y_bar) else {
        return Err(mismatch(image, y_bar));
    };
    let kernel = possible([out, channels, size[0], size[1]].into_iter().collect())?;
    adjoint(y_bar, image, &kernel, window)?;
    Ok(kernel)
}

/// Shape of all windows of an image: `[batch, channels, height, width]` gives
/// `[batch, channels, kh·kw, rows, columns]`.
///
/// # Errors
/// [`Refused::Shapes`] if the rank is not four or the window does not fit; [`Refused::Operand`] if the padding, or the
/// result, is larger than an array can be.
pub fn unfold2d(image: &[usize], kernel: [usize; 2], window: Window2d) -> Result<Shape> {
    unfolded(image, kernel, window)
}

fn unfolded(image: &[usize], kernel: [usize; 2], window: Window2d) -> Result<Shape> {
    let &[batch, channels, h, w] = image else {
        return Err(mismatch(image, &kernel));
    };
    let [rows, columns] = windows(&[h, w], &kernel, window)?;
    let taps = kernel[0].saturating_mul(kernel[1]);
    possible([batch, channels, taps, rows, columns].into_iter().collect())
}

/// Shape of windows `[batch, channels, kh·kw, rows, columns]` added up to an image: `[batch, channels, height, width]`.
///
/// # Errors
/// [`Refused::Shapes`] if these are not the windows of such an image; [`Refused::Operand`] if an image cannot be so
/// large.
pub fn fold2d(x: &[usize], size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Result<Shape> {
    let &[batch, channels, ..] = x else {
        return Err(mismatch(x, &size));
    };
    let image = possible([batch, channels, size[0], size[1]].into_iter().collect())?;
    let windows = unfolded(&image, kernel, window)?;
    if windows.as_slice() == x { Ok(image) } else { Err(mismatch(x, &windows)) }
}
