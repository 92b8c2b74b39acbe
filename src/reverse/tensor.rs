//! The rules of the array operators, and the same in direct style.

use std::ops::Range;

use super::direct::{direct, level2};
use super::{Var, common_level};
use crate::error::{At, OrRaise};
use crate::recorded::PutRow;
use crate::shape::{self, Axes, Padding, Shape, Window2d};
use crate::tensor::Tensor;

/// Rules of the array operators; re-exported by [`cps`](super::cps).
pub mod rules {
    use super::*;
    use crate::error::CpsResult as Result;
    use crate::reverse::cps::operator;

    /// `y = x` in another shape; `x̄ += ȳ` in `x`'s.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the number of elements changes.
    #[track_caller]
    pub fn reshape<T: Tensor, R>(
        x: &Var<'_, T>,
        shape: &[usize],
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        shape::reshape(&x.value().shape(), shape)?;
        operator(x.level(), x.value().reshape(shape), k, |_, y_bar| {
            x.accumulate(y_bar.reshape(&x.value().shape()))
        })
    }

    /// `y = x` with its axes in another order; `x̄ += ȳ` with them put back.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if `order` is not a permutation.
    #[track_caller]
    pub fn permute<T: Tensor, R>(
        x: &Var<'_, T>,
        order: &[usize],
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        shape::permute(&x.value().shape(), order)?;
        operator(x.level(), x.value().permute(order), k, |_, y_bar| {
            x.accumulate(y_bar.permute(&shape::inverse_permutation(order)))
        })
    }

    /// `y = x` repeated; `x̄ += ȳ` summed over the repetitions.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if `x` does not broadcast to the shape.
    #[track_caller]
    pub fn broadcast_to<T: Tensor, R>(
        x: &Var<'_, T>,
        shape: &[usize],
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        shape::broadcast_to(&x.value().shape(), shape)?;
        operator(x.level(), x.value().broadcast_to(shape), k, |_, y_bar| {
            x.accumulate(y_bar.unbroadcast(x.value()))
        })
    }

    /// `y = Σ x` over axes; `x̄ += ȳ` repeated along them.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
    #[track_caller]
    pub fn sum<T: Tensor, R>(
        x: &Var<'_, T>,
        axes: impl Into<Axes>,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let axes = axes.into();
        let shape = x.value().shape();
        let keep = shape::reduce_keep(&shape, &axes.resolve("sum", &shape)?);
        operator(x.level(), x.value().sum(axes), k, |_, y_bar| {
            x.accumulate(y_bar.reshape(&keep).broadcast_to(&x.value().shape()))
        })
    }

    /// `y = max x` over axes; `x̄ += ȳ`, shared equally by the elements that attain the maximum.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if there is no such axis, or nothing on it.
    #[track_caller]
    pub fn max<T: Tensor, R>(
        x: &Var<'_, T>,
        axes: impl Into<Axes>,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let axes = axes.into();
        let shape = x.value().shape();
        let resolved = axes.resolve("max", &shape)?;
        shape::reduce_nonempty("max", &shape, &resolved)?;
        let keep = shape::reduce_keep(&shape, &resolved);
        operator(x.level(), x.value().max(axes.clone()), k, |y, y_bar| {
            let attains = T::from_mask(&x.value().equal(&y.reshape(&keep)));
            let each = y_bar / attains.sum(axes);
            x.accumulate(attains * each.reshape(&keep))
        })
    }

    /// `y = ln Σ eˣ` over axes; `x̄ += e^(x−y)·ȳ`.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
    #[track_caller]
    pub fn logsumexp<T: Tensor, R>(
        x: &Var<'_, T>,
        axes: impl Into<Axes>,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let axes = axes.into();
        let shape = x.value().shape();
        let keep = shape::reduce_keep(&shape, &axes.resolve("logsumexp", &shape)?);
        operator(x.level(), x.value().logsumexp(axes), k, |y, y_bar| {
            x.accumulate((x.value().clone() - y.reshape(&keep)).exp() * y_bar.reshape(&keep))
        })
    }

    /// `y = a × b` for ranks of at least two; `ā += ȳ × bᵀ`, `b̄ += aᵀ × ȳ`, summed where a batch was repeated.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
    #[track_caller]
    pub fn batch_matmul<T: Tensor, R>(
        a: &Var<'_, T>,
        b: &Var<'_, T>,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let level = common_level(a.level(), b.level())?;
        let (va, vb) = (a.value(), b.value());
        let (sa, sb) = (va.shape(), vb.shape());
        let batch = shape::matmul(&sa, &sb)?;
        let batch = &batch[..batch.len() - 2];
        operator(level, va.batch_matmul(vb), k, |_, y_bar| {
            a.accumulate_with(|a_bar, va| match &sa[..sa.len() - 2] == batch {
                true => T::accumulate_matmul(a_bar, &y_bar, &vb.transpose()),
                false => T::accumulate(a_bar, y_bar.batch_matmul(&vb.transpose()).unbroadcast(va)),
            });
            b.accumulate_with(|b_bar, vb| match &sb[..sb.len() - 2] == batch {
                true => T::accumulate_matmul(b_bar, &va.transpose(), &y_bar),
                false => T::accumulate(b_bar, va.transpose().batch_matmul(&y_bar).unbroadcast(vb)),
            });
        })
    }

    /// `y = x₁ ‖ x₂ ‖ …` along an axis; each `x̄ᵢ` gets its part of `ȳ`. Variables of nested continuations are
    /// brought to one brand by [`Var::shorten`].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the parts differ in another axis,
    /// [`Error::Operand`](crate::Error::Operand) if there are none.
    #[track_caller]
    pub fn concat<T: Tensor, R>(
        parts: &[Var<'_, T>],
        axis: isize,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let shapes: Vec<Shape> = parts.iter().map(|part| part.value().shape()).collect();
        let along = match shapes.first() {
            Some(first) => shape::axis("concat", first, axis)?,
            None => 0,
        };
        shape::concat(shapes.iter().map(|shape| shape.as_slice()), along)?;
        let mut level = None;
        for part in parts {
            level = common_level(level, part.level())?;
        }
        let values: Vec<T> = parts.iter().map(|part| part.value().clone()).collect();
        operator(level, T::concat(&values, along as isize), k, |_, y_bar| {
            let mut start = 0;
            for (part, shape) in parts.iter().zip(&shapes) {
                let end = start + shape[along];
                if part.is_active() {
                    part.accumulate(y_bar.slice(along as isize, start..end));
                }
                start = end;
            }
        })
    }

    /// `y =` every `step`-th element of a range of an axis; `x̄ += ȳ` at these places.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if the range does not fit the axis.
    #[track_caller]
    pub fn slice_step<T: Tensor, R>(
        x: &Var<'_, T>,
        axis: isize,
        range: Range<usize>,
        step: usize,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let shape = x.value().shape();
        let along = shape::axis("slice", &shape, axis)?;
        shape::slice(&shape, along, &range, step)?;
        operator(x.level(), x.value().slice_step(axis, range.clone(), step), k, |_, y_bar| {
            x.accumulate_with(|x_bar, x| T::accumulate_slice(x_bar, x, along, range, step, y_bar))
        })
    }

    /// `y = x` with zeros around and between; `x̄ += ȳ` without them.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
    #[track_caller]
    pub fn pad<T: Tensor, R>(
        x: &Var<'_, T>,
        axis: isize,
        padding: Padding,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let shape = x.value().shape();
        let along = shape::axis("pad", &shape, axis)?;
        shape::pad(&shape, along, padding)?;
        operator(x.level(), x.value().pad(axis, padding), k, |y, y_bar| {
            let inner = padding.before..y.shape()[along] - padding.after;
            x.accumulate(y_bar.slice_step(axis, inner, padding.interior + 1))
        })
    }

    /// `y = x` in the reverse order along an axis; likewise `x̄ += ȳ`.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if there is no such axis.
    #[track_caller]
    pub fn flip<T: Tensor, R>(
        x: &Var<'_, T>,
        axis: isize,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        shape::axis("flip", &x.value().shape(), axis)?;
        operator(x.level(), x.value().flip(axis), k, |_, y_bar| x.accumulate(y_bar.flip(axis)))
    }

    /// `y[i..] = x[indices[i]..]`; `x̄[indices[i]..] += ȳ[i..]`.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) if `x` is a scalar; raises
    /// [`Error::Index`](crate::Error::Index) if an index is out of range.
    #[track_caller]
    pub fn gather_rows<T: Tensor, R>(
        x: &Var<'_, T>,
        indices: &T::Int,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        operator(x.level(), x.value().gather_rows(indices), k, |_, y_bar| {
            x.accumulate_with(|x_bar, x| T::accumulate_rows(x_bar, x, indices, y_bar))
        })
    }

    /// `y[indices[i]..] += x[i..]` in zeros; `x̄[i..] += ȳ[indices[i]..]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the shapes do not fit and
    /// [`Error::Index`](crate::Error::Index) if an index is out of range.
    #[track_caller]
    pub fn scatter_rows<T: Tensor, R>(
        x: &Var<'_, T>,
        indices: &T::Int,
        rows: usize,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        operator(x.level(), x.value().scatter_rows(indices, rows), k, |_, y_bar| {
            x.accumulate(y_bar.gather_rows(indices))
        })
    }

    /// `y[i] = x[i, indices[i]]`; `x̄[i, indices[i]] += ȳ[i]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the shapes do not fit and
    /// [`Error::Index`](crate::Error::Index) if an index is out of range.
    #[track_caller]
    pub fn gather_last<T: Tensor, R>(
        x: &Var<'_, T>,
        indices: &T::Int,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        operator(x.level(), x.value().gather_last(indices), k, |_, y_bar| {
            let n = *x.value().shape().last().expect("has a last axis, or the gather would have failed");
            x.accumulate(y_bar.scatter_last(indices, n))
        })
    }

    /// `y[i, indices[i]] = x[i]` in zeros; `x̄[i] += ȳ[i, indices[i]]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the shapes do not fit and
    /// [`Error::Index`](crate::Error::Index) if an index is out of range.
    #[track_caller]
    pub fn scatter_last<T: Tensor, R>(
        x: &Var<'_, T>,
        indices: &T::Int,
        n: usize,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        operator(x.level(), x.value().scatter_last(indices, n), k, |_, y_bar| {
            x.accumulate(y_bar.gather_last(indices))
        })
    }

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
        shape::conv2d(&x.value().shape(), &w.value().shape(), window)?;
        operator(level, x.value().conv2d(w.value(), window), k, |_, y_bar| {
            x.accumulate_with(|x_bar, x| {
                T::accumulate(x_bar, y_bar.conv2d_image(w.value(), image_size(x), window))
            });
            w.accumulate_with(|w_bar, w| {
                T::accumulate(w_bar, x.value().conv2d_kernel(&y_bar, image_size(w), window))
            });
        })
    }

    /// `y =` the image's adjoint in a convolution, linear in `g` and in `w`:
    /// `ḡ += conv2d(ȳ, w)`, `w̄ += conv2d_kernel(ȳ, g)`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
    #[track_caller]
    pub fn conv2d_image<T: Tensor, R>(
        g: &Var<'_, T>,
        w: &Var<'_, T>,
        size: [usize; 2],
        window: Window2d,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let level = common_level(g.level(), w.level())?;
        operator(level, g.value().conv2d_image(w.value(), size, window), k, |_, y_bar| {
            g.accumulate_with(|g_bar, _| T::accumulate(g_bar, y_bar.conv2d(w.value(), window)));
            w.accumulate_with(|w_bar, w| {
                T::accumulate(w_bar, y_bar.conv2d_kernel(g.value(), image_size(w), window))
            });
        })
    }

    /// `y =` the kernel's adjoint in a convolution, linear in `x` and in `g`:
    /// `x̄ += conv2d_image(g, ȳ)`, `ḡ += conv2d(x, ȳ)`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
    #[track_caller]
    pub fn conv2d_kernel<T: Tensor, R>(
        x: &Var<'_, T>,
        g: &Var<'_, T>,
        size: [usize; 2],
        window: Window2d,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        let level = common_level(x.level(), g.level())?;
        operator(level, x.value().conv2d_kernel(g.value(), size, window), k, |_, y_bar| {
            x.accumulate_with(|x_bar, x| {
                T::accumulate(x_bar, g.value().conv2d_image(&y_bar, image_size(x), window))
            });
            g.accumulate_with(|g_bar, _| T::accumulate(g_bar, x.value().conv2d(&y_bar, window)));
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
        shape::unfold2d(&x.value().shape(), kernel, window)?;
        operator(x.level(), x.value().unfold2d(kernel, window), k, |_, y_bar| {
            x.accumulate(y_bar.fold2d(image_size(x.value()), kernel, window))
        })
    }

    /// `y =` windows added up to an image; `x̄ +=` the windows of `ȳ`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the windows do not fit.
    #[track_caller]
    pub fn fold2d<T: Tensor, R>(
        x: &Var<'_, T>,
        size: [usize; 2],
        kernel: [usize; 2],
        window: Window2d,
        k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    ) -> Result<R> {
        operator(x.level(), x.value().fold2d(size, kernel, window), k, |_, y_bar| {
            x.accumulate(y_bar.unfold2d(kernel, window))
        })
    }

    /// The last two dimensions.
    fn image_size<T: Tensor>(x: &T) -> [usize; 2] {
        let shape = x.shape();
        [shape[shape.len() - 2], shape[shape.len() - 1]]
    }
}

/// The operator of the same name, suspended: its rule owns clones of the operands.
macro_rules! direct_unary {
    ($self:ident, |$x:ident, $k:ident| $rule:expr) => {{
        let $x = $self.clone();
        direct($x.level(), At::caller(), move |$k| $rule)
    }};
}
macro_rules! direct_binary {
    ($self:ident, $rhs:ident, |$a:ident, $b:ident, $k:ident| $rule:expr) => {{
        let ($a, $b) = ($self.clone(), $rhs.clone());
        direct(level2(&$a, &$b), At::caller(), move |$k| $rule)
    }};
}

impl<T: Tensor> Tensor for Var<'_, T> {
    #[track_caller]
    fn record_rows(shape: &[usize], fill: &mut dyn FnMut(PutRow<'_, Self>)) -> Self {
        super::control::record_rows(shape, fill)
    }
    fn shape(&self) -> Shape {
        self.value().shape()
    }
    fn full(shape: &[usize], value: f64) -> Self {
        Self::from_value(T::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> crate::Result<Self> {
        T::from_elements(shape, elements).map(Self::from_value)
    }
    fn from_mask(mask: &T::Bool) -> Self {
        Self::from_value(T::from_mask(mask))
    }
    fn uniform(shape: &[usize], seed: &T::Int) -> Self {
        Self::from_value(T::uniform(shape, seed))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        if self.shape().as_slice() == shape {
            return self.clone();
        }
        let shape = Shape::from_slice(shape);
        direct_unary!(self, |x, k| rules::reshape(&x, &shape, k))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        let order = Shape::from_slice(order);
        direct_unary!(self, |x, k| rules::permute(&x, &order, k))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        let shape = Shape::from_slice(shape);
        direct_unary!(self, |x, k| rules::broadcast_to(&x, &shape, k))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        direct_unary!(self, |x, k| rules::sum(&x, axes, k))
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        direct_unary!(self, |x, k| rules::max(&x, axes, k))
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        direct_unary!(self, |x, k| rules::logsumexp(&x, axes, k))
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> T::Int {
        self.value().argmax(axis)
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        direct_binary!(self, rhs, |a, b, k| rules::batch_matmul(&a, &b, k))
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let at = At::caller();
        let mut level = None;
        for part in parts {
            level = common_level(level, part.level()).or_raise();
        }
        let parts = parts.to_vec();
        direct(level, at, move |k| rules::concat(&parts, axis, k))
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        direct_unary!(self, |x, k| rules::slice_step(&x, axis, range, step, k))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        direct_unary!(self, |x, k| rules::pad(&x, axis, padding, k))
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        direct_unary!(self, |x, k| rules::flip(&x, axis, k))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &T::Int) -> Self {
        let indices = indices.clone();
        direct_unary!(self, |x, k| rules::gather_rows(&x, &indices, k))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &T::Int, rows: usize) -> Self {
        let indices = indices.clone();
        direct_unary!(self, |x, k| rules::scatter_rows(&x, &indices, rows, k))
    }
    #[track_caller]
    fn gather_last(&self, indices: &T::Int) -> Self {
        let indices = indices.clone();
        direct_unary!(self, |x, k| rules::gather_last(&x, &indices, k))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &T::Int, n: usize) -> Self {
        let indices = indices.clone();
        direct_unary!(self, |x, k| rules::scatter_last(&x, &indices, n, k))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        direct_binary!(self, kernel, |x, w, k| rules::conv2d(&x, &w, window, k))
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        direct_binary!(self, kernel, |g, w, k| rules::conv2d_image(&g, &w, size, window, k))
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        direct_binary!(self, y_bar, |x, g, k| rules::conv2d_kernel(&x, &g, size, window, k))
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        direct_unary!(self, |x, k| rules::unfold2d(&x, kernel, window, k))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        direct_unary!(self, |x, k| rules::fold2d(&x, size, kernel, window, k))
    }
}
