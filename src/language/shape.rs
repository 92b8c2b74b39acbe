//! The shape rules of `antiphon-shape`, each with the operator that asked and the user's line in its error: all
//! interpretations ask these, so they accept and refuse the same programs.
//!
//! Broadcasting follows NumPy: shapes are aligned at their last axes; a dimension of length one stretches.

use std::ops::Range;

use antiphon_shape::Refused;
pub use antiphon_shape::{
    Axes, LARGEST, MOST_AXES, Padding, Shape, Window2d, inverse_permutation, reduce, reduce_keep,
    repeated_axes, shorter_step, size,
};
use smallvec::SmallVec;

use crate::error::{At, Error, Result};

/// What a rule gives, with what it refuses as an error of the operator at the caller's line.
#[inline]
#[track_caller]
fn located<T>(op: &'static str, result: antiphon_shape::Result<T>) -> Result<T> {
    match result {
        Ok(shape) => Ok(shape),
        Err(refused) => Err(error(op, refused, At::caller())),
    }
}

#[cold]
fn error(op: &'static str, refused: Refused, at: At) -> Error {
    match refused {
        Refused::Shapes { lhs, rhs } => Error::Shape { op, lhs, rhs, at },
        Refused::Operand { shape, reason } => Error::Operand { op, shape, reason, at },
        Refused::Argument(reason) => Error::Argument { op, reason, at },
    }
}

/// Rules for operators of several names.
macro_rules! named {
    ($($(#[$doc:meta])* $rule:ident($($argument:ident: $Type:ty),*) -> $Result:ty;)*) => { $(
        $(#[$doc])*
        #[track_caller]
        pub fn $rule(op: &'static str, $($argument: $Type),*) -> $Result {
            located(op, antiphon_shape::$rule($($argument),*))
        }
    )* };
}
named! {
    /// Number of elements of an array of this shape, which an operator is asked for.
    ///
    /// # Errors
    /// [`Error::Operand`] if there are more than an array [can have](LARGEST); [`Error::Argument`] if it has more
    /// [axes](MOST_AXES).
    elements(shape: &[usize]) -> Result<usize>;
    /// Checks that a shape is that of a single number.
    ///
    /// # Errors
    /// [`Error::Operand`] if it has axes.
    scalar(shape: &[usize]) -> Result<()>;
    /// One axis as a position `0..rank`; negative ones count from the end.
    ///
    /// # Errors
    /// [`Error::Operand`] if there is no such axis.
    axis(shape: &[usize], axis: isize) -> Result<usize>;
    /// The common shape of two operands of an elementwise operator, by NumPy's broadcasting.
    ///
    /// # Errors
    /// [`Error::Shape`] if two aligned dimensions differ and neither is one.
    broadcast(lhs: &[usize], rhs: &[usize]) -> Result<Shape>;
}

/// Rules for the operator that has the rule's name.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident($($argument:ident: $Type:ty),*) -> $Result:ty;)*) => { $(
        $(#[$doc])*
        #[track_caller]
        pub fn $rule($($argument: $Type),*) -> $Result {
            located(stringify!($rule), antiphon_shape::$rule($($argument),*))
        }
    )* };
}
rules! {
    /// Checks that `from` can be stretched to exactly `to`.
    ///
    /// # Errors
    /// [`Error::Shape`] otherwise.
    broadcast_to(from: &[usize], to: &[usize]) -> Result<Shape>;
    /// Shape of `reshape`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of elements changes; [`Error::Operand`] if no array can have the shape.
    reshape(from: &[usize], to: &[usize]) -> Result<Shape>;
    /// Shape after reordering the axes: axis `i` of the result is axis `order[i]` of the operand.
    ///
    /// # Errors
    /// [`Error::Operand`] if `order` is not a permutation of the axes.
    permute(shape: &[usize], order: &[usize]) -> Result<Shape>;
    /// Shape of a matrix product of two operands of rank two or more; leading axes are a batch and broadcast.
    /// `[.., m, k] × [.., k, n] → [.., m, n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the inner dimensions differ or the batches do not broadcast.
    matmul(lhs: &[usize], rhs: &[usize]) -> Result<Shape>;
    /// Checks that parts of these lengths make up a resolved axis.
    ///
    /// # Errors
    /// [`Error::Operand`] if they do not add up to its length.
    split(shape: &[usize], along: usize, lengths: &[usize]) -> Result<()>;
    /// Shape of every `step`-th element of `range` along a resolved axis.
    ///
    /// # Errors
    /// [`Error::Operand`] if the range leaves the axis or the step is zero.
    slice(shape: &[usize], along: usize, range: &Range<usize>, step: usize) -> Result<Shape>;
    /// Shape after adding zeros along a resolved axis. An empty axis has no interior.
    ///
    /// # Errors
    /// [`Error::Operand`] if the padded axis would be longer than an array can be.
    pad(shape: &[usize], along: usize, padding: Padding) -> Result<Shape>;
    /// Shape of `x.gather_rows(indices)`: `[rows, rest..]` by indices of any shape gives `[indices.., rest..]`.
    ///
    /// # Errors
    /// [`Error::Operand`] if the operand is a scalar, or no array can have so many rows.
    gather_rows(shape: &[usize], indices: &[usize]) -> Result<Shape>;
    /// Shape of `x.scatter_rows(indices, rows)`, the adjoint of [`gather_rows`]: `[indices.., rest..]` gives `[rows,
    /// rest..]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the operand does not begin with the indices' shape; [`Error::Operand`] if no array can have
    /// so many rows.
    scatter_rows(shape: &[usize], indices: &[usize], rows: usize) -> Result<Shape>;
    /// Shape of `x` with rows written, which is its own: its first `axes` axes count as one, of which the indices are.
    ///
    /// # Errors
    /// [`Error::Operand`] if it has fewer axes, or none are to count; [`Error::Shape`] if the rows are not
    /// `[indices.., rest..]`.
    write_rows(shape: &[usize], axes: usize, indices: &[usize], rows: &[usize]) -> Result<Shape>;
    /// Shape of `x.gather_last(indices)`: one element from each row, `[.., n]` by `[..]` gives `[..]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the indices' shape is not the operand's without its last axis.
    gather_last(shape: &[usize], indices: &[usize]) -> Result<Shape>;
    /// Shape of `x.scatter_last(indices, n)`, the adjoint of [`gather_last`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the operand and the indices differ in shape; [`Error::Operand`] if no array can have such
    /// rows.
    scatter_last(shape: &[usize], indices: &[usize], n: usize) -> Result<Shape>;
    /// Checks that there are as many elements as a shape has.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are more or fewer; [`Error::Operand`] if no array can have the shape.
    from_elements(shape: &[usize], len: usize) -> Result<()>;
    /// Checks that the seed of random numbers of a shape is a single integer.
    ///
    /// # Errors
    /// [`Error::Operand`] if it is not, or if no array can have the shape.
    uniform(shape: &[usize], seed: &[usize]) -> Result<Shape>;
    /// Shape of a convolution: image `[batch, channels, height, width]`, kernel `[out, channels, kh, kw]`
    /// gives `[batch, out, rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the ranks are not four, the channels differ or the kernel does not fit; [`Error::Operand`]
    /// if the padding, or the result, is larger than an array can be.
    conv2d(image: &[usize], kernel: &[usize], window: Window2d) -> Result<Shape>;
    /// Shape of the image's adjoint in a convolution: `[batch, channels, height, width]`, of a result's adjoint
    /// `[batch, out, rows, columns]` and a kernel `[out, channels, kh, kw]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if such an image and the kernel do not give such a result; [`Error::Operand`] if an image
    /// cannot be so large.
    conv2d_image(y_bar: &[usize], kernel: &[usize], size: [usize; 2], window: Window2d) -> Result<Shape>;
    /// Shape of the kernel's adjoint in a convolution: `[out, channels, kh, kw]`, of an image
    /// `[batch, channels, height, width]` and a result's adjoint `[batch, out, rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the image and such a kernel do not give such a result; [`Error::Operand`] if a kernel cannot
    /// be so large.
    conv2d_kernel(image: &[usize], y_bar: &[usize], size: [usize; 2], window: Window2d) -> Result<Shape>;
    /// Shape of all windows of an image: `[batch, channels, height, width]` gives
    /// `[batch, channels, kh·kw, rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the rank is not four or the window does not fit; [`Error::Operand`] if the padding, or the
    /// result, is larger than an array can be.
    unfold2d(image: &[usize], kernel: [usize; 2], window: Window2d) -> Result<Shape>;
    /// Shape of windows `[batch, channels, kh·kw, rows, columns]` added up to an image: `[batch, channels, height,
    /// width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if these are not the windows of such an image; [`Error::Operand`] if an image cannot be so
    /// large.
    fold2d(x: &[usize], size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Result<Shape>;
}

/// Shape of the concatenation along a resolved axis.
///
/// # Errors
/// [`Error::Argument`] if there is nothing to concatenate; [`Error::Shape`] if two parts differ in another axis;
/// [`Error::Operand`] if together they are longer than an array can be.
#[track_caller]
pub fn concat<'a>(parts: impl Iterator<Item = &'a [usize]>, along: usize) -> Result<Shape> {
    located("concat", antiphon_shape::concat(parts, along))
}

/// Like [`reduce`], for reductions that have no value over nothing (max, argmax).
///
/// # Errors
/// [`Error::Operand`] if a reduced axis is empty.
#[track_caller]
pub fn reduce_nonempty(op: &'static str, shape: &[usize], axes: &[usize]) -> Result<Shape> {
    located(op, antiphon_shape::reduce_nonempty(op, shape, axes))
}

/// The axes of a reduction as positions `0..rank`, ascending.
///
/// # Errors
/// [`Error::Operand`] if an axis is out of range or named twice.
#[track_caller]
pub fn axes(op: &'static str, axes: &Axes, shape: &[usize]) -> Result<SmallVec<[usize; 6]>> {
    located(op, axes.resolve(shape))
}

/// The error of a product of a vector with something that does not fit, with the shapes as the user wrote them.
#[track_caller]
pub(crate) fn mismatch_matmul<T>(lhs: &[usize], rhs: &[usize]) -> Result<T> {
    located("matmul", Err(Refused::Shapes { lhs: lhs.into(), rhs: rhs.into() }))
}
