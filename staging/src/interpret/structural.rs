//! Operators that move elements: the result's elements are the operand's, or zero.

use crate::interpret::elementwise::{add_at, set_at};
use crate::interpret::index::{broadcast_positions, each_index, position, strides};
use crate::ir::error::{Error, Result};
use crate::ir::expr::{Padding, Window2d};
use crate::ir::tensor::{ConcreteTensor, Data, with_elements};
use crate::ir::types::{Shape, Type, size};

/// The same elements in another shape.
pub fn reshape(x: &ConcreteTensor, ty: &Type) -> ConcreteTensor {
    pick(x, ty, (0..x.size()).map(Some))
}

/// Axis `i` of the result is axis `order[i]`.
pub fn permute(x: &ConcreteTensor, order: &[usize], ty: &Type) -> ConcreteTensor {
    let own = strides(x.shape());
    rearrange(x, ty, |index| Some(order.iter().zip(index).map(|(&axis, i)| i * own[axis]).sum()))
}

/// Axes of length one repeated and leading ones added.
pub fn broadcast(x: &ConcreteTensor, ty: &Type) -> ConcreteTensor {
    pick(x, ty, broadcast_positions(x.shape(), &ty.shape).into_iter().map(Some))
}

/// Every `step`-th element of an axis from `start` on.
pub fn slice(x: &ConcreteTensor, axis: usize, start: usize, step: usize, ty: &Type) -> ConcreteTensor {
    pick(x, ty, slice_places(x.shape(), &ty.shape, axis, start, step).into_iter().map(Some))
}

/// The order along an axis reversed.
pub fn flip(x: &ConcreteTensor, axis: usize, ty: &Type) -> ConcreteTensor {
    let last = x.shape()[axis].saturating_sub(1);
    along(x, axis, ty, |i| Some(last - i))
}

/// Zeros before, after and between the elements of an axis.
pub fn pad(x: &ConcreteTensor, axis: usize, padding: Padding, ty: &Type) -> ConcreteTensor {
    let n = x.shape()[axis];
    along(x, axis, ty, |i| unpadded(i, n, padding))
}

/// `sum[indices[i]] += x[i]` in zeros.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn scatter_rows(x: &ConcreteTensor, indices: &ConcreteTensor, ty: &Type) -> Result<ConcreteTensor> {
    let places = row_places("scatter_rows", indices, &ty.shape)?;
    let mut sum = ConcreteTensor::zeros(ty);
    add_at(&mut sum, x, |i| places[i]);
    Ok(sum)
}

/// `x` with rows in place of those that indices name, or added to them; its first `axes` axes count as one.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn write_rows(
    x: &ConcreteTensor,
    indices: &ConcreteTensor,
    rows: &ConcreteTensor,
    axes: usize,
    add: bool,
) -> Result<ConcreteTensor> {
    let op = if add { "add_rows" } else { "set_rows" };
    let places = row_places(op, indices, &merged(x.shape(), axes))?;
    let mut written = x.clone();
    if add {
        add_at(&mut written, rows, |i| places[i])
    } else {
        set_at(&mut written, rows, |i| places[i])
    }
    Ok(written)
}

/// Of each row of `[.., n]` the element at an index.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn gather_last(x: &ConcreteTensor, indices: &ConcreteTensor, ty: &Type) -> Result<ConcreteTensor> {
    let n = x.shape().last().copied().unwrap_or(1);
    let rows = checked("gather_last", indices, n)?.into_iter().enumerate();
    Ok(pick(x, ty, rows.map(|(row, i)| Some(row * n + i))))
}

/// Rows of `length` that are zero but for the element at an index.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn scatter_last(
    x: &ConcreteTensor,
    indices: &ConcreteTensor,
    length: usize,
    ty: &Type,
) -> Result<ConcreteTensor> {
    let columns = checked("scatter_last", indices, length)?;
    let places = (0..ty.size()).map(|i| (columns[i / length] == i % length).then_some(i / length));
    Ok(pick(x, ty, places))
}

/// All windows of images.
pub fn unfold2d(x: &ConcreteTensor, kernel: [usize; 2], window: Window2d, ty: &Type) -> ConcreteTensor {
    let [h, w] = [x.shape()[2], x.shape()[3]];
    let own = strides(x.shape());
    rearrange(x, ty, |index| {
        let &[batch, channel, tap, row, column] = index else { unreachable!("windows have five axes") };
        let r = (row * window.stride[0] + tap / kernel[1]).checked_sub(window.padding[0])?;
        let c = (column * window.stride[1] + tap % kernel[1]).checked_sub(window.padding[1])?;
        (r < h && c < w).then(|| position(&[batch, channel, r, c], &own))
    })
}

/// The element of an axis of `n` that a padded position shows, if it is not padding.
fn unpadded(i: usize, n: usize, padding: Padding) -> Option<usize> {
    let i = i.checked_sub(padding.before)?;
    let pitch = padding.interior + 1;
    (i.is_multiple_of(pitch) && i / pitch < n).then_some(i / pitch)
}

fn rearrange(x: &ConcreteTensor, ty: &Type, place: impl Fn(&[usize]) -> Option<usize>) -> ConcreteTensor {
    let mut places = Vec::with_capacity(size(&ty.shape));
    each_index(&ty.shape, |index| places.push(place(index)));
    pick(x, ty, places.into_iter())
}

/// The array whose elements lie where the operand's do, but for their place along an axis; zero or false where there is
/// none.
fn along(
    x: &ConcreteTensor,
    axis: usize,
    ty: &Type,
    place: impl Fn(usize) -> Option<usize>,
) -> ConcreteTensor {
    let own = strides(x.shape());
    rearrange(x, ty, |index| {
        let mut index = Shape::from_slice(index);
        index[axis] = place(index[axis])?;
        Some(position(&index, &own))
    })
}

/// The rows that indices name.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn gather_rows(x: &ConcreteTensor, indices: &ConcreteTensor, ty: &Type) -> Result<ConcreteTensor> {
    rows(x, indices, 1, ty)
}

/// The rows that indices name, where the first `axes` axes count as one.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn rows(x: &ConcreteTensor, indices: &ConcreteTensor, axes: usize, ty: &Type) -> Result<ConcreteTensor> {
    let places = row_places("gather_rows", indices, &merged(x.shape(), axes))?;
    Ok(pick(x, ty, places.into_iter().map(Some)))
}

/// The array whose elements are those at the given positions; zero or false where there is none.
fn pick(x: &ConcreteTensor, ty: &Type, places: impl Iterator<Item = Option<usize>>) -> ConcreteTensor {
    let data: Data = with_elements!(x.data(), xs => {
        places.map(|place| place.map_or_else(Default::default, |i| xs[i])).collect::<Vec<_>>().into()
    });
    ConcreteTensor::new(&ty.shape, data).expect("one place for each index")
}

/// Parts joined along an axis.
pub fn concat(parts: &[&ConcreteTensor], axis: usize, ty: &Type) -> ConcreteTensor {
    let mut places = Vec::new();
    each_index(&ty.shape, |index| {
        let mut index = Shape::from_slice(index);
        let mut part = 0;
        while index[axis] >= parts[part].shape()[axis] {
            index[axis] -= parts[part].shape()[axis];
            part += 1;
        }
        places.push((part, position(&index, &strides(parts[part].shape()))));
    });
    macro_rules! join {
        ($Kind:ident) => {{
            let part = |part: usize| match parts[part].data() {
                Data::$Kind(xs) => xs,
                _ => unreachable!("parts have one dtype, in a verified program"),
            };
            Data::$Kind(places.iter().map(|&(p, i)| part(p)[i]).collect())
        }};
    }
    let data = match parts[0].data() {
        Data::F32(_) => join!(F32),
        Data::F64(_) => join!(F64),
        Data::I64(_) => join!(I64),
        Data::Bool(_) => join!(Bool),
    };
    ConcreteTensor::new(&ty.shape, data).expect("one place for each index")
}

/// A shape whose first axes are one.
fn merged(shape: &[usize], axes: usize) -> Shape {
    std::iter::once(size(&shape[..axes])).chain(shape[axes..].iter().copied()).collect()
}

/// Indices, each in `0..length`.
fn checked(op: &'static str, indices: &ConcreteTensor, length: usize) -> Result<Vec<usize>> {
    let Data::I64(indices) = indices.data() else {
        unreachable!("indices are integers, in a verified program")
    };
    let in_range = |&index: &i64| usize::try_from(index).ok().filter(|&i| i < length);
    indices
        .iter()
        .map(|index| in_range(index).ok_or(Error::Index { op, index: *index, length, at: None }))
        .collect()
}

/// Positions in an array `[rows, rest..]` of all elements of the rows that indices name, in the order of the indices.
pub fn row_places(op: &'static str, indices: &ConcreteTensor, shape: &[usize]) -> Result<Vec<usize>> {
    let width = size(&shape[1..]);
    let rows = checked(op, indices, shape[0])?;
    Ok(rows.into_iter().flat_map(|row| row * width..(row + 1) * width).collect())
}

/// Positions in an array of the elements of a slice, in the slice's order.
pub fn slice_places(shape: &[usize], slice: &[usize], axis: usize, start: usize, step: usize) -> Vec<usize> {
    let strides = strides(shape);
    let mut places = Vec::with_capacity(size(slice));
    each_index(slice, |index| {
        places.push(position(index, &strides) + (start + index[axis] * (step - 1)) * strides[axis]);
    });
    places
}
