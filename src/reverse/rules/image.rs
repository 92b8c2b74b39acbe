//! The rules of convolutions and windows of images.

use crate::error::CpsResult as Result;
use crate::language::shape::{self, Window2d};
use crate::language::tensor::Tensor;
use crate::reverse::cps::operator;
use crate::reverse::{Var, common_level};

/// `y = x ⋆ w` (see [`Tensor::conv2d`]); `x̄ += conv2d_image(ȳ, w)`, `w̄ += conv2d_kernel(x, ȳ)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
#[track_caller]
pub fn conv2d<T: Tensor, R>(
    x: &Var<'_, T>,
    w: &Var<'_, T>,
    window: Window2d,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let level = common_level(x.level(), w.level())?;
    shape::conv2d(&x.primal().shape(), &w.primal().shape(), window)?;
    operator("conv2d", level, x.primal().conv2d(w.primal(), window), k, |_, y_bar| {
        x.accumulate_with(|x_bar, x| {
            T::accumulate(x_bar, y_bar.conv2d_image(w.primal(), image_size(x), window))
        });
        w.accumulate_with(|w_bar, w| {
            T::accumulate(w_bar, x.primal().conv2d_kernel(&y_bar, image_size(w), window))
        });
    })
}

/// `y =` the image's adjoint in a convolution, linear in `g` and in `w`:
/// `ḡ += conv2d(ȳ, w)`, `w̄ += conv2d_kernel(ȳ, g)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
#[track_caller]
pub fn conv2d_image<T: Tensor, R>(
    g: &Var<'_, T>,
    w: &Var<'_, T>,
    size: [usize; 2],
    window: Window2d,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let level = common_level(g.level(), w.level())?;
    shape::conv2d_image(&g.primal().shape(), &w.primal().shape(), size, window)?;
    operator("conv2d_image", level, g.primal().conv2d_image(w.primal(), size, window), k, |_, y_bar| {
        g.accumulate_with(|g_bar, _| T::accumulate(g_bar, y_bar.conv2d(w.primal(), window)));
        w.accumulate_with(|w_bar, w| {
            T::accumulate(w_bar, y_bar.conv2d_kernel(g.primal(), image_size(w), window))
        });
    })
}

/// `y =` the kernel's adjoint in a convolution, linear in `x` and in `g`:
/// `x̄ += conv2d_image(g, ȳ)`, `ḡ += conv2d(x, ȳ)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
#[track_caller]
pub fn conv2d_kernel<T: Tensor, R>(
    x: &Var<'_, T>,
    g: &Var<'_, T>,
    size: [usize; 2],
    window: Window2d,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    let level = common_level(x.level(), g.level())?;
    shape::conv2d_kernel(&x.primal().shape(), &g.primal().shape(), size, window)?;
    operator("conv2d_kernel", level, x.primal().conv2d_kernel(g.primal(), size, window), k, |_, y_bar| {
        x.accumulate_with(|x_bar, x| {
            T::accumulate(x_bar, g.primal().conv2d_image(&y_bar, image_size(x), window))
        });
        g.accumulate_with(|g_bar, _| T::accumulate(g_bar, x.primal().conv2d(&y_bar, window)));
    })
}

/// `y =` all windows of an image; `x̄ +=` the windows of `ȳ` added up.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the window does not fit.
#[track_caller]
pub fn unfold2d<T: Tensor, R>(
    x: &Var<'_, T>,
    kernel: [usize; 2],
    window: Window2d,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    shape::unfold2d(&x.primal().shape(), kernel, window)?;
    operator("unfold2d", x.level(), x.primal().unfold2d(kernel, window), k, |_, y_bar| {
        x.accumulate(y_bar.fold2d(image_size(x.primal()), kernel, window))
    })
}

/// `y =` windows added up to an image; `x̄ +=` the windows of `ȳ`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the windows do not fit.
#[track_caller]
pub fn fold2d<T: Tensor, R>(
    x: &Var<'_, T>,
    size: [usize; 2],
    kernel: [usize; 2],
    window: Window2d,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    shape::fold2d(&x.primal().shape(), size, kernel, window)?;
    operator("fold2d", x.level(), x.primal().fold2d(size, kernel, window), k, |_, y_bar| {
        x.accumulate(y_bar.unfold2d(kernel, window))
    })
}

/// The last two dimensions.
fn image_size<T: Tensor>(x: &T) -> [usize; 2] {
    let shape = x.shape();
    [shape[shape.len() - 2], shape[shape.len() - 1]]
}
