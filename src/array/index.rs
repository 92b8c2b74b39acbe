//! Moving elements: slices, joins, padding, and access by index.

use std::ops::Range;

use ndarray::{Axis, IxDyn, Slice};

use super::buffer::{Storage, contiguous, from_vec, memory};
use super::elementwise::Add;
use super::float::Float;
use super::{NdArray, NdInt, kernel};
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::at::Write;
use crate::language::shape::{self, Padding, Shape};
use crate::memory::{collected, room, zeros};

/// Every `step`-th element of `range` along an axis: a view.
#[inline]
#[track_caller]
pub(super) fn slice<T: Copy>(x: &Storage<T>, axis: isize, range: Range<usize>, step: usize) -> Storage<T> {
    let along = shape::axis("slice", x.shape(), axis).or_raise();
    if step != 1 || range.start > range.end || range.end > x.shape()[along] {
        shape::slice(x.shape(), along, &range, step).or_raise();
    }
    let mut view = x.clone();
    let step = shape::shorter_step(&range, step);
    let part = Slice { start: range.start as isize, end: Some(range.end as isize), step: step as isize };
    view.slice_axis_inplace(Axis(along), part);
    view
}

/// The same elements in another shape of as many.
#[track_caller]
pub(super) fn reshape<E: Float>(x: &NdArray<E>, shape: &[usize]) -> NdArray<E> {
    shape::reshape(x.0.shape(), shape).or_raise();
    NdArray(super::buffer::reshape(&x.0, shape))
}

/// Stretched to a shape that it broadcasts to.
#[track_caller]
pub(super) fn broadcast_to<E: Float>(x: &NdArray<E>, shape: &[usize]) -> NdArray<E> {
    shape::broadcast_to(x.0.shape(), shape).or_raise();
    NdArray::from_vec(shape, kernel::repeat(&x.0, shape))
}

/// Reordered axes: a view.
#[track_caller]
pub(super) fn permute<T: Copy>(x: &Storage<T>, order: &[usize]) -> Storage<T> {
    shape::permute(x.shape(), order).or_raise();
    x.clone().permuted_axes(IxDyn(order))
}

/// Number of elements before, along and after an axis: the array as `[outer, n, inner]`.
fn lengths_around(shape: &[usize], along: usize) -> (usize, usize, usize) {
    (shape::size(&shape[..along]), shape[along], shape::size(&shape[along + 1..]))
}

/// The arrays joined along an axis.
#[track_caller]
pub(super) fn concat<E: Float>(parts: &[NdArray<E>], axis: isize) -> NdArray<E> {
    let first = parts.first().map_or(&[][..], |part| part.0.shape());
    let along = if parts.is_empty() { 0 } else { shape::axis("concat", first, axis).or_raise() };
    let joined = shape::concat(parts.iter().map(|part| part.0.shape()), along).or_raise();
    let parts: Vec<_> = parts.iter().map(NdArray::row_major).collect();
    let outer = shape::size(&joined[..along]);
    let mut elements = room(shape::size(&joined));
    for i in 0..outer {
        for part in &parts {
            let run = part.len() / outer;
            elements.extend_from_slice(&memory(part)[i * run..(i + 1) * run]);
        }
    }
    NdArray::from_vec(&joined, elements)
}

/// Zeros around and between the elements of an axis.
#[track_caller]
pub(super) fn pad<E: Float>(x: &NdArray<E>, axis: isize, padding: Padding) -> NdArray<E> {
    let along = shape::axis("pad", x.0.shape(), axis).or_raise();
    let padded = shape::pad(x.0.shape(), along, padding).or_raise();
    let mut elements = zeros(shape::size(&padded));
    add_slice(&mut elements, &padded, along, padding.before, padding.interior.saturating_add(1), x);
    NdArray::from_vec(&padded, elements)
}

/// `dst[.., start + i·step, ..] += g[.., i, ..]`, where `dst` is row-major of this shape.
#[track_caller]
pub(super) fn add_slice<E: Float>(
    dst: &mut [E],
    shape: &[usize],
    along: usize,
    start: usize,
    step: usize,
    g: &NdArray<E>,
) {
    let g = g.row_major();
    let (outer, count, inner) = lengths_around(g.shape(), along);
    if g.is_empty() {
        return;
    }
    let period = shape[along] * inner;
    let source = memory(&g);
    if step == 1 || count == 1 {
        kernel::update_rows(Add, &mut dst[start * inner..], period, count * inner, source);
        return;
    }
    for o in 0..outer {
        let dst = &mut dst[o * period + start * inner..(o + 1) * period];
        kernel::update_rows(
            Add,
            dst,
            step * inner,
            inner,
            &source[o * count * inner..(o + 1) * count * inner],
        );
    }
}

/// Reversed order along an axis.
#[track_caller]
pub(super) fn flip<E: Float>(x: &NdArray<E>, axis: isize) -> NdArray<E> {
    let along = shape::axis("flip", x.0.shape(), axis).or_raise();
    let row_major = x.row_major();
    let (outer, n, inner) = lengths_around(x.0.shape(), along);
    let data = memory(&row_major);
    let mut elements = room(data.len());
    for o in 0..outer {
        for i in (0..n).rev() {
            let at = (o * n + i) * inner;
            elements.extend_from_slice(&data[at..at + inner]);
        }
    }
    NdArray::from_vec(x.0.shape(), elements)
}

/// An index, checked.
#[inline]
#[track_caller]
fn position(op: &'static str, index: i64, len: usize) -> usize {
    match usize::try_from(index) {
        Ok(position) if position < len => position,
        _ => raise(Error::Index { op, index, len, at: At::caller() }),
    }
}

/// Checks all indices before anything is done with one of them.
#[track_caller]
fn check(op: &'static str, indices: &[i64], len: usize) {
    for &index in indices {
        position(op, index, len);
    }
}

/// `[rows, rest..]` by `[indices..]` gives `[indices.., rest..]`.
#[track_caller]
pub(super) fn gather_rows<T: Copy>(x: &Storage<T>, indices: &NdInt) -> Storage<T> {
    shape::gather_rows(x.shape(), indices.0.shape()).or_raise();
    read_rows(x, 1, indices)
}

/// The adjoint of [`gather_rows`].
#[track_caller]
pub(super) fn scatter_rows<E: Float>(x: &NdArray<E>, indices: &NdInt, rows: usize) -> NdArray<E> {
    let scattered = shape::scatter_rows(x.0.shape(), indices.0.shape(), rows).or_raise();
    check("scatter_rows", &kernel::copy(&indices.0), rows);
    let mut elements = zeros(shape::size(&scattered));
    add_rows(&mut elements, &scattered, indices, x);
    NdArray::from_vec(&scattered, elements)
}

/// `dst[indices[i]] += g[i]`, where `dst` is row-major of this shape.
#[track_caller]
pub(super) fn add_rows<E: Float>(dst: &mut [E], shape: &[usize], indices: &NdInt, g: &NdArray<E>) {
    let (g, indices) = (g.row_major(), contiguous(&indices.0));
    let inner = shape::size(&shape[1..]);
    check("scatter_rows", memory(&indices), shape[0]);
    if inner == 0 {
        return;
    }
    for (&index, g) in memory(&indices).iter().zip(memory(&g).chunks_exact(inner)) {
        let at = index as usize * inner;
        kernel::update_rows(Add, &mut dst[at..at + inner], inner, inner, g);
    }
}

/// `x` with rows in place of those that indices name, or added to them, in its own memory if nobody else holds it; the
/// first `axes` axes count as one.
#[track_caller]
pub(super) fn write_rows<E: Float>(
    x: NdArray<E>,
    write: Write,
    axes: usize,
    indices: &NdInt,
    rows: &NdArray<E>,
) -> NdArray<E> {
    shape::write_rows(x.0.shape(), axes, indices.0.shape(), rows.0.shape()).or_raise();
    let count = shape::size(&x.0.shape()[..axes]);
    let (rows, indices) = (rows.row_major(), contiguous(&indices.0));
    let (rows, indices) = (memory(&rows), memory(&indices));
    check(write.name(), indices, count);
    let mut x = x;
    let elements = x.elements_mut();
    if elements.is_empty() {
        return x;
    }
    let inner = elements.len() / count;
    for (&index, row) in indices.iter().zip(rows.chunks_exact(inner)) {
        let at = index as usize * inner;
        let to = &mut elements[at..at + inner];
        match write {
            Write::Set { .. } => to.copy_from_slice(row),
            Write::Add => kernel::update_rows(Add, to, inner, inner, row),
        }
    }
    x
}

/// The rows that [`write_rows`] writes to.
#[track_caller]
pub(super) fn read_rows<T: Copy>(x: &Storage<T>, axes: usize, indices: &NdInt) -> Storage<T> {
    let part: Shape =
        indices.0.shape().iter().chain(x.shape().get(axes..).unwrap_or_default()).copied().collect();
    shape::write_rows(x.shape(), axes, indices.0.shape(), &part).or_raise();
    let inner = shape::size(&x.shape()[axes..]);
    let (x, indices) = (contiguous(x), contiguous(&indices.0));
    let (data, indices) = (memory(&x), memory(&indices));
    check("gather_rows", indices, shape::size(&x.shape()[..axes]));
    let mut elements = room(shape::size(&part));
    for &index in indices {
        let at = index as usize * inner;
        elements.extend_from_slice(&data[at..at + inner]);
    }
    from_vec(&part, elements)
}

/// `[.., n]` by `[..]` gives `[..]`.
#[track_caller]
pub(super) fn gather_last<E: Float>(x: &NdArray<E>, indices: &NdInt) -> NdArray<E> {
    let gathered = shape::gather_last(x.0.shape(), indices.0.shape()).or_raise();
    let (x, indices) = (x.row_major(), contiguous(&indices.0));
    let n = x.shape()[x.ndim() - 1];
    let (data, indices) = (memory(&x), memory(&indices));
    check("gather_last", indices, n);
    let elements = indices.iter().enumerate().map(|(row, &index)| data[row * n + index as usize]);
    NdArray::from_vec(&gathered, collected(elements))
}

/// The adjoint of [`gather_last`].
#[track_caller]
pub(super) fn scatter_last<E: Float>(x: &NdArray<E>, indices: &NdInt, n: usize) -> NdArray<E> {
    let scattered = shape::scatter_last(x.0.shape(), indices.0.shape(), n).or_raise();
    let (x, indices) = (x.row_major(), contiguous(&indices.0));
    let (data, indices) = (memory(&x), memory(&indices));
    check("scatter_last", indices, n);
    let mut elements = zeros(shape::size(&scattered));
    for (row, (&index, &g)) in indices.iter().zip(data).enumerate() {
        elements[row * n + index as usize] = g;
    }
    NdArray::from_vec(&scattered, elements)
}
