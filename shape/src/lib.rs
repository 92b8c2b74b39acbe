//! Shape inference: what every tensor operator requires of its operands' shapes, and the shape of its result.
//!
//! Each rule is written once, with what it refuses as data: all interpretations of the calculus and the recorded
//! programs ask the same functions, so they accept and refuse the same operands. Broadcasting follows NumPy: shapes are
//! aligned at their last axes; a dimension of length one stretches.

use std::ops::{Range, RangeFull};

use smallvec::SmallVec;

mod window;

pub use window::{Window2d, conv2d, conv2d_image, conv2d_kernel, fold2d, unfold2d};

/// The lengths of an array's axes; rank 0 is a scalar. Kept inline up to six axes.
pub type Shape = SmallVec<[usize; 6]>;

/// An array has at most so many elements, 2⁴⁰, or 8 TiB of `f64`: no number of elements, of bytes or of operations
/// overflows then. Axes of length zero are left out of account, since strides are products of the others.
pub const LARGEST: usize = 1 << 40;

/// The most axes that an array can have, in every interpretation: 32.
pub const MOST_AXES: usize = 32;

/// Number of elements of an array of this shape; `usize::MAX` if that is not enough.
pub fn size(shape: &[usize]) -> usize {
    shape.iter().fold(1, |size: usize, &length| size.saturating_mul(length))
}

/// Number of elements of an array of this shape, which an operator is asked for.
///
/// # Errors
/// [`Refused::Operand`] if there are more than an array [can have](LARGEST); [`Refused::Argument`] if it has more
/// [axes](MOST_AXES).
pub fn elements(shape: &[usize]) -> Result<usize> {
    if shape.len() > MOST_AXES {
        let reason = format!("{} axes are more than the {MOST_AXES} that an array can have", shape.len());
        return Err(Refused::Argument(reason));
    }
    let most = shape.iter().fold(1, |size: usize, &length| size.saturating_mul(length.max(1)));
    if most <= LARGEST {
        return Ok(size(shape));
    }
    Err(operand(shape, "no array has so many elements".into()))
}

/// A shape that an operator gives, if an array can have it.
fn possible(shape: Shape) -> Result<Shape> {
    elements(&shape)?;
    Ok(shape)
}

/// Which axes a reduction runs over: `..` for all, one axis, or an array of axes. Negative axes count from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axes {
    /// All of them.
    All,
    /// These.
    Some(SmallVec<[isize; 4]>),
}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Axes {
        Axes::All
    }
}

macro_rules! axes_from {
    ($($int:ty)*) => { $(
        impl From<$int> for Axes {
            fn from(axis: $int) -> Axes {
                Axes::from(&[axis][..])
            }
        }
        impl<const N: usize> From<[$int; N]> for Axes {
            fn from(axes: [$int; N]) -> Axes {
                Axes::from(&axes[..])
            }
        }
        impl From<&[$int]> for Axes {
            fn from(axes: &[$int]) -> Axes {
                // What is too large to be counted from the front must not be counted from the end.
                Axes::Some(axes.iter().map(|&axis| isize::try_from(axis).unwrap_or(isize::MAX)).collect())
            }
        }
    )* };
}
axes_from!(i32 isize usize);

impl Axes {
    /// The axes as positions `0..rank`, ascending.
    ///
    /// # Errors
    /// [`Refused::Operand`] if an axis is out of range or named twice.
    pub fn resolve(&self, shape: &[usize]) -> Result<SmallVec<[usize; 6]>> {
        let Axes::Some(axes) = self else {
            return Ok((0..shape.len()).collect());
        };
        let mut resolved = SmallVec::new();
        for &axis in axes {
            resolved.push(self::axis(shape, axis)?);
        }
        resolved.sort_unstable();
        if resolved.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(operand(shape, format!("an axis is named twice in {axes:?}")));
        }
        Ok(resolved)
    }
}

/// Zeros added by [`pad`]: before the first element, after the last, and between neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Zeros before the first element.
    pub before: usize,
    /// Zeros after the last element.
    pub after: usize,
    /// Zeros between each two neighbours.
    pub interior: usize,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Two shapes do not fit each other.
    Shapes {
        /// The left one.
        lhs: Vec<usize>,
        /// The right one.
        rhs: Vec<usize>,
    },
    /// Something is wrong with one operand, or with the result that is asked for.
    Operand {
        /// Its shape.
        shape: Vec<usize>,
        /// What is wrong.
        reason: String,
    },
    /// Something is wrong with another argument.
    Argument(String),
}

/// A shape, or why there is none.
pub type Result<T> = std::result::Result<T, Refused>;

fn operand(shape: &[usize], reason: String) -> Refused {
    Refused::Operand { shape: shape.into(), reason }
}

fn mismatch(lhs: &[usize], rhs: &[usize]) -> Refused {
    Refused::Shapes { lhs: lhs.into(), rhs: rhs.into() }
}

/// Checks that a shape is that of a single number.
///
/// # Errors
/// [`Refused::Operand`] if it has axes.
pub fn scalar(shape: &[usize]) -> Result<()> {
    if shape.is_empty() {
        return Ok(());
    }
    let reason = "the function has to return a scalar; reduce it, with sum(..) for instance".into();
    Err(operand(shape, reason))
}

/// One axis as a position `0..rank`; negative ones count from the end.
///
/// # Errors
/// [`Refused::Operand`] if there is no such axis.
pub fn axis(shape: &[usize], axis: isize) -> Result<usize> {
    let rank = shape.len() as isize;
    let position = if axis < 0 { axis + rank } else { axis };
    if (0..rank).contains(&position) {
        Ok(position as usize)
    } else {
        Err(operand(shape, format!("axis {axis} is out of range for rank {rank}")))
    }
}

/// The common shape of two operands of an elementwise operator, by NumPy's broadcasting.
///
/// # Errors
/// [`Refused::Shapes`] if two aligned dimensions differ and neither is one.
pub fn broadcast(lhs: &[usize], rhs: &[usize]) -> Result<Shape> {
    if lhs == rhs {
        return Ok(lhs.into());
    }
    let rank = lhs.len().max(rhs.len());
    let dim = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |j| shape[j]);
    let mut joined = Shape::with_capacity(rank);
    for i in 0..rank {
        match (dim(lhs, i), dim(rhs, i)) {
            (a, b) if a == b || b == 1 => joined.push(a),
            (1, b) => joined.push(b),
            _ => return Err(mismatch(lhs, rhs)),
        }
    }
    possible(joined)
}

/// Checks that `from` can be stretched to exactly `to`.
///
/// # Errors
/// [`Refused::Shapes`] otherwise.
pub fn broadcast_to(from: &[usize], to: &[usize]) -> Result<Shape> {
    match broadcast(from, to) {
        Ok(joined) if joined.as_slice() == to => Ok(joined),
        Err(error @ Refused::Operand { .. }) => Err(error),
        _ => Err(mismatch(from, to)),
    }
}

/// The axes of `from` along which [`broadcast_to`]`(to, from)` repeated values: summing over them undoes it.
/// Leading axes that `to` lacks are included.
pub fn repeated_axes(from: &[usize], to: &[usize]) -> SmallVec<[usize; 6]> {
    let lead = from.len().saturating_sub(to.len());
    (0..from.len()).filter(|&i| i < lead || (to[i - lead] == 1 && from[i] != 1)).collect()
}

/// Shape of a reduction over resolved axes, which disappear.
pub fn reduce(shape: &[usize], axes: &[usize]) -> Shape {
    shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &n)| n).collect()
}

/// Shape of a reduction over resolved axes, each kept with length one.
pub fn reduce_keep(shape: &[usize], axes: &[usize]) -> Shape {
    shape.iter().enumerate().map(|(i, &n)| if axes.contains(&i) { 1 } else { n }).collect()
}

/// Like [`reduce`], for reductions that have no value over nothing (`"max"`, `"argmax"`).
///
/// # Errors
/// [`Refused::Operand`] if a reduced axis is empty.
pub fn reduce_nonempty(reduction: &str, shape: &[usize], axes: &[usize]) -> Result<Shape> {
    match axes.iter().find(|&&axis| shape[axis] == 0) {
        Some(axis) => Err(operand(shape, format!("axis {axis} is empty and has no {reduction}"))),
        None => Ok(reduce(shape, axes)),
    }
}

/// Shape of `reshape`.
///
/// # Errors
/// [`Refused::Shapes`] if the number of elements changes; [`Refused::Operand`] if no array can have the shape.
pub fn reshape(from: &[usize], to: &[usize]) -> Result<Shape> {
    if size(from) == size(to) { possible(to.into()) } else { Err(mismatch(from, to)) }
}

/// Shape after reordering the axes: axis `i` of the result is axis `order[i]` of the operand.
///
/// # Errors
/// [`Refused::Operand`] if `order` is not a permutation of the axes.
pub fn permute(shape: &[usize], order: &[usize]) -> Result<Shape> {
    let mut seen: SmallVec<[bool; 6]> = SmallVec::from_elem(false, shape.len());
    let valid = order.len() == shape.len()
        && order.iter().all(|&axis| axis < seen.len() && !std::mem::replace(&mut seen[axis], true));
    if valid {
        Ok(order.iter().map(|&axis| shape[axis]).collect())
    } else {
        Err(operand(shape, format!("{order:?} is not a permutation of its axes")))
    }
}

/// The order that undoes `order`.
pub fn inverse_permutation(order: &[usize]) -> SmallVec<[usize; 6]> {
    let mut inverse = SmallVec::from_elem(0, order.len());
    for (position, &axis) in order.iter().enumerate() {
        inverse[axis] = position;
    }
    inverse
}

/// Shape of a matrix product of two operands of rank two or more; leading axes are a batch and broadcast.
/// `[.., m, k] × [.., k, n] → [.., m, n]`.
///
/// # Errors
/// [`Refused::Shapes`] if the inner dimensions differ or the batches do not broadcast.
pub fn matmul(lhs: &[usize], rhs: &[usize]) -> Result<Shape> {
    let fail = || mismatch(lhs, rhs);
    let ([batch_l @ .., m, k], [batch_r @ .., inner, n]) = (lhs, rhs) else {
        return Err(fail());
    };
    if k != inner {
        return Err(fail());
    }
    let mut shape = broadcast(batch_l, batch_r).map_err(|_| fail())?;
    shape.extend([*m, *n]);
    possible(shape)
}

/// Checks that parts of these lengths make up a resolved axis.
///
/// # Errors
/// [`Refused::Operand`] if they do not add up to its length.
pub fn split(shape: &[usize], along: usize, lengths: &[usize]) -> Result<()> {
    if lengths.iter().try_fold(0usize, |sum, &length| sum.checked_add(length)) == Some(shape[along]) {
        return Ok(());
    }
    Err(operand(shape, format!("{lengths:?} do not add up to axis {along}")))
}

/// Shape of the concatenation along a resolved axis.
///
/// # Errors
/// [`Refused::Argument`] if there is nothing to concatenate; [`Refused::Shapes`] if two parts differ in another axis;
/// [`Refused::Operand`] if together they are longer than an array can be.
pub fn concat<'a>(mut parts: impl Iterator<Item = &'a [usize]>, along: usize) -> Result<Shape> {
    let Some(first) = parts.next() else {
        let reason = "there is nothing to concatenate".into();
        return Err(Refused::Argument(reason));
    };
    let mut joined: Shape = first.into();
    for part in parts {
        let alike = part.len() == first.len() && (0..part.len()).all(|i| i == along || part[i] == first[i]);
        if !alike {
            return Err(mismatch(first, part));
        }
        joined[along] = joined[along].saturating_add(part[along]);
    }
    possible(joined)
}

/// Shape of every `step`-th element of `range` along a resolved axis.
///
/// # Errors
/// [`Refused::Operand`] if the range leaves the axis or the step is zero.
pub fn slice(shape: &[usize], along: usize, range: &Range<usize>, step: usize) -> Result<Shape> {
    if step == 0 || range.start > range.end || range.end > shape[along] {
        let reason = format!("{range:?} by {step} does not fit axis {along}");
        return Err(operand(shape, reason));
    }
    let mut sliced: Shape = shape.into();
    sliced[along] = range.len().div_ceil(step);
    Ok(sliced)
}

/// A step that picks the same elements of a range and is no longer than the range: beyond its end are none.
pub fn shorter_step(range: &Range<usize>, step: usize) -> usize {
    step.min(range.len().max(1))
}

/// Shape after adding zeros along a resolved axis. An empty axis has no interior.
///
/// # Errors
/// [`Refused::Operand`] if the padded axis would be longer than an array can be.
pub fn pad(shape: &[usize], along: usize, padding: Padding) -> Result<Shape> {
    let n = shape[along];
    let interior = n.saturating_sub(1).saturating_mul(padding.interior);
    let mut padded: Shape = shape.into();
    padded[along] = [padding.before, interior, padding.after].into_iter().fold(n, usize::saturating_add);
    match elements(&padded) {
        Ok(_) => Ok(padded),
        Err(_) => Err(operand(shape, format!("{padding:?} is too much"))),
    }
}

/// Shape of `x.gather_rows(indices)`: `[rows, rest..]` by indices of any shape gives `[indices.., rest..]`.
///
/// # Errors
/// [`Refused::Operand`] if the operand is a scalar, or no array can have so many rows.
pub fn gather_rows(shape: &[usize], indices: &[usize]) -> Result<Shape> {
    match shape {
        [] => Err(operand(shape, "a scalar has no rows".into())),
        [_, rest @ ..] => possible(indices.iter().chain(rest).copied().collect()),
    }
}

/// Shape of `x.scatter_rows(indices, rows)`, the adjoint of [`gather_rows`]: `[indices.., rest..]` gives `[rows,
/// rest..]`.
///
/// # Errors
/// [`Refused::Shapes`] if the operand does not begin with the indices' shape; [`Refused::Operand`] if no array can have
/// so many rows.
pub fn scatter_rows(shape: &[usize], indices: &[usize], rows: usize) -> Result<Shape> {
    match shape.strip_prefix(indices) {
        Some(rest) => possible(std::iter::once(rows).chain(rest.iter().copied()).collect()),
        None => Err(mismatch(shape, indices)),
    }
}

/// Shape of `x` with rows written, which is its own: its first `axes` axes count as one, of which the indices are.
///
/// # Errors
/// [`Refused::Operand`] if it has fewer axes, or none are to count; [`Refused::Shapes`] if the rows are not
/// `[indices.., rest..]`.
pub fn write_rows(shape: &[usize], axes: usize, indices: &[usize], rows: &[usize]) -> Result<Shape> {
    if axes == 0 || axes > shape.len() {
        return Err(operand(shape, format!("there are no {axes} axes whose elements an index could name")));
    }
    match rows.strip_prefix(indices) {
        Some(rest) if *rest == shape[axes..] => Ok(shape.into()),
        _ => {
            let wanted: Shape = indices.iter().chain(&shape[axes..]).copied().collect();
            Err(mismatch(rows, &wanted))
        }
    }
}

/// Shape of `x.gather_last(indices)`: one element from each row, `[.., n]` by `[..]` gives `[..]`.
///
/// # Errors
/// [`Refused::Shapes`] if the indices' shape is not the operand's without its last axis.
pub fn gather_last(shape: &[usize], indices: &[usize]) -> Result<Shape> {
    match shape {
        [rows @ .., _] if rows == indices => Ok(indices.into()),
        _ => Err(mismatch(shape, indices)),
    }
}

/// Shape of `x.scatter_last(indices, n)`, the adjoint of [`gather_last`].
///
/// # Errors
/// [`Refused::Shapes`] if the operand and the indices differ in shape; [`Refused::Operand`] if no array can have such
/// rows.
pub fn scatter_last(shape: &[usize], indices: &[usize], n: usize) -> Result<Shape> {
    if shape == indices {
        possible(shape.iter().copied().chain([n]).collect())
    } else {
        Err(mismatch(shape, indices))
    }
}

/// Checks that there are as many elements as a shape has.
///
/// # Errors
/// [`Refused::Shapes`] if there are more or fewer; [`Refused::Operand`] if no array can have the shape.
pub fn from_elements(shape: &[usize], len: usize) -> Result<()> {
    if elements(shape)? == len {
        return Ok(());
    }
    Err(mismatch(&[len], shape))
}

/// Checks that the seed of random numbers of a shape is a single integer.
///
/// # Errors
/// [`Refused::Operand`] if it is not, or if no array can have the shape.
pub fn uniform(shape: &[usize], seed: &[usize]) -> Result<Shape> {
    if size(seed) != 1 {
        return Err(operand(seed, "the seed is not a single integer".into()));
    }
    possible(shape.into())
}
