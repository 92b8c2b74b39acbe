//! Operators that move elements: the result's elements are the operand's, or zero.

use crate::interpret::elementwise::add_at;
use crate::interpret::index::{broadcast_positions, each_index, position, strides};
use crate::ir::error::{Error, Result};
use crate::ir::expr::{Expr, Padding};
use crate::ir::tensor::{ConcreteTensor, Data, with_elements};
use crate::ir::types::{Type, size};

/// Value of a structural expression.
///
/// # Errors
/// [`Error::Index`] if an index is out of range.
pub fn apply(expr: &Expr, operands: &[&ConcreteTensor], ty: &Type) -> Result<ConcreteTensor> {
    let x = operands[0];
    let own = strides(x.shape());
    match expr {
        Expr::Reshape(..) => Ok(pick(x, ty, (0..x.size()).map(Some))),
        Expr::Permute(_, order) => {
            Ok(rearrange(x, ty, |index| Some(order.iter().zip(index).map(|(&axis, i)| i * own[axis]).sum())))
        }
        Expr::Broadcast(_, shape) => {
            Ok(pick(x, ty, broadcast_positions(x.shape(), shape).into_iter().map(Some)))
        }
        Expr::Slice { axis, start, step, .. } => Ok(rearrange(x, ty, |index| {
            Some(position(index, &own) + (start + index[*axis] * (step - 1)) * own[*axis])
        })),
        Expr::Flip(_, axis) => {
            let last = x.shape()[*axis].saturating_sub(1);
            Ok(rearrange(x, ty, |index| {
                let mut index = crate::ir::types::Shape::from_slice(index);
                index[*axis] = last - index[*axis];
                Some(position(&index, &own))
            }))
        }
        Expr::Pad { axis, padding, .. } => {
            let n = x.shape()[*axis];
            Ok(rearrange(x, ty, |index| {
                let mut index = crate::ir::types::Shape::from_slice(index);
                index[*axis] = unpadded(index[*axis], n, *padding)?;
                Some(position(&index, &own))
            }))
        }
        Expr::Concat(_, axis) => Ok(concat(operands, *axis, ty)),
        Expr::GatherRows { .. } => row(x, operands[1], ty),
        Expr::ScatterRows { .. } => {
            let places = row_places("scatter_rows", operands[1], &ty.shape)?;
            let mut sum = ConcreteTensor::zeros(ty);
            add_at(&mut sum, x, |i| places[i]);
            Ok(sum)
        }
        Expr::GatherLast { .. } => {
            let n = x.shape().last().copied().unwrap_or(1);
            let rows = checked("gather_last", operands[1], n)?.into_iter().enumerate();
            Ok(pick(x, ty, rows.map(|(row, i)| Some(row * n + i))))
        }
        Expr::ScatterLast { length, .. } => {
            let columns = checked("scatter_last", operands[1], *length)?;
            let places = (0..ty.size()).map(|i| (columns[i / length] == i % length).then_some(i / length));
            Ok(pick(x, ty, places))
        }
        Expr::Unfold2d { kernel, window, .. } => {
            let [h, w] = [x.shape()[2], x.shape()[3]];
            Ok(rearrange(x, ty, |index| {
                let &[batch, channel, tap, row, column] = index else {
                    unreachable!("windows have five axes")
                };
                let r = (row * window.stride[0] + tap / kernel[1]).checked_sub(window.padding[0])?;
                let c = (column * window.stride[1] + tap % kernel[1]).checked_sub(window.padding[1])?;
                (r < h && c < w).then(|| position(&[batch, channel, r, c], &own))
            }))
        }
        _ => unreachable!("{} is not structural", expr.name()),
    }
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

/// The rows that indices name.
pub fn row(x: &ConcreteTensor, indices: &ConcreteTensor, ty: &Type) -> Result<ConcreteTensor> {
    let places = row_places("gather_rows", indices, x.shape())?;
    Ok(pick(x, ty, places.into_iter().map(Some)))
}

/// The array whose elements are those at the given positions; zero or false where there is none.
fn pick(x: &ConcreteTensor, ty: &Type, places: impl Iterator<Item = Option<usize>>) -> ConcreteTensor {
    let data: Data = with_elements!(x.data(), xs => {
        places.map(|place| place.map_or_else(Default::default, |i| xs[i])).collect::<Vec<_>>().into()
    });
    ConcreteTensor::new(&ty.shape, data).expect("one place for each index")
}

fn concat(parts: &[&ConcreteTensor], axis: usize, ty: &Type) -> ConcreteTensor {
    let mut places = Vec::new();
    each_index(&ty.shape, |index| {
        let mut index = crate::ir::types::Shape::from_slice(index);
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

/// Indices, each in `0..length`.
fn checked(op: &'static str, indices: &ConcreteTensor, length: usize) -> Result<Vec<usize>> {
    let Data::I64(indices) = indices.data() else {
        unreachable!("indices are integers, in a verified program")
    };
    let in_range = |&index: &i64| usize::try_from(index).ok().filter(|&i| i < length);
    indices.iter().map(|index| in_range(index).ok_or(Error::Index { op, index: *index, length })).collect()
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
