//! Sums, maxima and `ln Σ eˣ` over axes.

use pulp::NullaryFnOnce;
use smallvec::SmallVec;

use super::buffer::{Storage, contiguous, from_vec, memory};
use super::elementwise::{Add, Exp, Maximum, Sub};
use super::float::Float;
use super::kernel::{self, Zip, dispatch};
use super::{NdArray, NdInt};
use crate::continuation::unwinding::OrRaise;
use crate::language::shape::{self, Axes, Shape};
use crate::memory::{collected, repeated, room, zeros};

/// An operand seen as `[outer, n, inner]`, row-major, of which the middle is reduced.
struct Reduction<E> {
    data: Storage<E>,
    outer: usize,
    n: usize,
    inner: usize,
    /// Shape of the result.
    shape: Shape,
}

impl<E: Float> Reduction<E> {
    /// For resolved axes. Neighbouring reduced axes are one; anything more scattered is brought together by a copy.
    #[track_caller]
    fn new(x: &Storage<E>, axes: &[usize]) -> Reduction<E> {
        let shape = shape::reduce(x.shape(), axes);
        let (first, end) = (axes.first().copied().unwrap_or(0), axes.last().map_or(0, |last| last + 1));
        let data = if end - first == axes.len() { contiguous(x) } else { Reduction::gather(x, axes) };
        let at = if end - first == axes.len() { first } else { shape.len() };
        let n = shape::size(&data.shape()[at..at + axes.len()]);
        let (outer, inner) = (shape::size(&shape[..at]), shape::size(&shape[at..]));
        Reduction { data, outer, n, inner, shape }
    }

    /// Like [`new`](Reduction::new), with the reduced axes last: `inner` is 1.
    #[track_caller]
    fn rows(x: &Storage<E>, axes: &[usize]) -> Reduction<E> {
        let shape = shape::reduce(x.shape(), axes);
        let last = axes.iter().copied().eq(shape.len()..x.ndim());
        let data = if last { contiguous(x) } else { Reduction::gather(x, axes) };
        let n = shape::size(&data.shape()[shape.len()..]);
        Reduction { data, outer: shape::size(&shape), n, inner: 1, shape }
    }

    /// A copy with the reduced axes moved to the end.
    #[track_caller]
    fn gather(x: &Storage<E>, axes: &[usize]) -> Storage<E> {
        let kept = (0..x.ndim()).filter(|axis| !axes.contains(axis));
        let order: SmallVec<[usize; 6]> = kept.chain(axes.iter().copied()).collect();
        contiguous(&super::index::permute(x, &order))
    }

    /// The results, one for each of `[outer, inner]`: rows go through `fold`; of columns, many at once are folded by
    /// `combine`. `nothing` is the result over an empty axis.
    #[track_caller]
    fn run<C: Zip<E, Output = E>, F: Fold<E>>(self, combine: C, fold: F, nothing: E) -> NdArray<E> {
        let size = self.outer * self.inner;
        if size == 0 || self.n == 0 {
            return NdArray::from_vec(&self.shape, repeated(size, nothing));
        }
        let data = memory(&self.data);
        let mut elements;
        if self.inner == 1 {
            elements = zeros(size);
            dispatch(Rows(fold, data, self.n, &mut elements));
        } else {
            elements = room(size);
            for block in data.chunks_exact(self.n * self.inner) {
                let (first, rest) = block.split_at(self.inner);
                let start = elements.len();
                elements.extend_from_slice(first);
                dispatch(Columns(combine, &mut elements[start..], rest));
            }
        }
        NdArray::from_vec(&self.shape, elements)
    }
}

/// Folds the rows of a matrix into one row.
struct Columns<'a, F, E>(F, &'a mut [E], &'a [E]);

impl<E: Float, F: Zip<E, Output = E>> NullaryFnOnce for Columns<'_, F, E> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        for row in self.2.chunks_exact(self.1.len()) {
            fold_row(self.0, self.1, row);
        }
    }
}

#[inline(always)]
fn fold_row<E: Float, F: Zip<E, Output = E>>(f: F, folded: &mut [E], row: &[E]) {
    for (y, &x) in folded.iter_mut().zip(row) {
        *y = f.apply(*y, x);
    }
}

/// A number from a slice.
trait Fold<E>: Copy {
    /// Its value.
    fn apply(self, xs: &[E]) -> E;
}

/// The number of each row of a matrix with rows of the given length.
struct Rows<'a, F, E>(F, &'a [E], usize, &'a mut [E]);

impl<E: Float, F: Fold<E>> NullaryFnOnce for Rows<'_, F, E> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        for (row, y) in self.1.chunks_exact(self.2).zip(self.3) {
            *y = self.0.apply(row);
        }
    }
}

/// Partial results that are computed side by side.
const LANES: usize = 32;

/// Folds a slice in [`LANES`] partial results that begin with `neutral`, and these in a tree.
#[inline(always)]
fn fold<E: Float, F: Zip<E, Output = E>>(f: F, neutral: E, xs: &[E]) -> E {
    let mut lanes = [neutral; LANES];
    let (chunks, rest) = xs.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = f.apply(*lane, x);
        }
    }
    if !rest.is_empty() {
        let mut padded = [neutral; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        for (lane, &x) in lanes.iter_mut().zip(&padded) {
            *lane = f.apply(*lane, x);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = f.apply(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// Blocks in partial sums, the blocks' sums in f64: so the error hardly grows with the length.
#[derive(Clone, Copy)]
struct Sum;

impl<E: Float> Fold<E> for Sum {
    #[inline(always)]
    fn apply(self, xs: &[E]) -> E {
        let mut total = 0.0;
        for block in xs.chunks(1024) {
            total += fold(Add, E::ZERO, block).to_f64();
        }
        E::from_f64(total)
    }
}

/// NaN if there is one.
#[derive(Clone, Copy)]
struct Max;

impl<E: Float> Fold<E> for Max {
    #[inline(always)]
    fn apply(self, xs: &[E]) -> E {
        fold(Maximum, E::NEG_INFINITY, xs)
    }
}

/// `m + ln s`; where the maximum `m` is infinite or NaN, it is the result itself.
#[derive(Clone, Copy)]
struct AddLog;

impl<E: Float> Zip<E> for AddLog {
    type Output = E;
    #[inline(always)]
    fn apply(self, m: E, s: E) -> E {
        let y = m + s.log();
        if m.is_nan() || m.abs() == E::INFINITY { m } else { y }
    }
}

/// Sum over axes.
#[track_caller]
pub(super) fn sum<E: Float>(x: &NdArray<E>, axes: Axes) -> NdArray<E> {
    let axes = shape::axes("sum", &axes, x.0.shape()).or_raise();
    Reduction::new(&x.0, &axes).run(Add, Sum, E::ZERO)
}

/// Maximum over axes.
#[track_caller]
pub(super) fn max<E: Float>(x: &NdArray<E>, axes: Axes) -> NdArray<E> {
    let axes = shape::axes("max", &axes, x.0.shape()).or_raise();
    shape::reduce_nonempty("max", x.0.shape(), &axes).or_raise();
    Reduction::new(&x.0, &axes).run(Maximum, Max, E::NEG_INFINITY)
}

/// `ln Σ eˣ` over axes; −∞ over nothing.
#[track_caller]
pub(super) fn logsumexp<E: Float>(x: &NdArray<E>, axes: Axes) -> NdArray<E> {
    let axes = shape::axes("logsumexp", &axes, x.0.shape()).or_raise();
    let Reduction { data, outer, n, shape, .. } = Reduction::rows(&x.0, &axes);
    if outer == 0 || n == 0 {
        return NdArray::from_vec(&shape, repeated(outer, E::NEG_INFINITY));
    }
    // m + ln Σ eˣ⁻ᵐ, the maximum m of a row being a column. One operator after the other: each is one long loop.
    let mut max = zeros(outer);
    dispatch(Rows(Max, memory(&data), n, &mut max));
    let max = from_vec(&[outer, 1], max);
    let rows = super::buffer::reshape(&data, &[outer, n]);
    let mut exps = kernel::zip(Sub, &[outer, n], &rows, &max);
    kernel::map_in_place(Exp, &mut exps);
    let mut sums = zeros(outer);
    dispatch(Rows(Sum, &exps, n, &mut sums));
    NdArray::from_vec(&shape, kernel::zip(AddLog, &[outer, 1], &max, &from_vec(&[outer, 1], sums)))
}

/// Whether all elements have a property. All of them are looked at, in vectors, which takes less than to stop at the
/// first that has not.
fn all<E: Float>(x: &Storage<E>, property: impl Fn(E) -> bool) -> bool {
    match x.as_slice_memory_order() {
        Some(elements) => elements.iter().fold(true, |all, x| all & property(*x)),
        None => x.iter().all(|x| property(*x)),
    }
}
/// Whether no element is zero or not a number.
pub(super) fn none_zero<E: Float>(x: &Storage<E>) -> bool {
    all(x, |x| (x > E::ZERO) | (x < E::ZERO))
}
/// Whether all elements are finite.
pub(super) fn all_finite<E: Float>(x: &Storage<E>) -> bool {
    all(x, |x| (x < E::INFINITY) & (x > E::NEG_INFINITY))
}

/// Index of the first maximum along an axis; NaN counts as the largest.
#[track_caller]
pub(super) fn argmax<E: Float>(x: &NdArray<E>, axis: isize) -> NdInt {
    let along = shape::axis("argmax", x.0.shape(), axis).or_raise();
    let shape = shape::reduce_nonempty("argmax", x.0.shape(), &[along]).or_raise();
    let rows = Reduction::rows(&x.0, &[along]);
    let largest = |row: &[E]| {
        let (mut at, mut max) = (0, row[0]);
        for (i, &x) in row.iter().enumerate() {
            if x > max || (x.is_nan() && !max.is_nan()) {
                (at, max) = (i, x);
            }
        }
        at as i64
    };
    NdInt(from_vec(&shape, collected(memory(&rows.data).chunks_exact(rows.n).map(largest))))
}

/// Sums to another shape, which broadcasts to this one.
#[track_caller]
pub(super) fn unbroadcast<E: Float>(x: NdArray<E>, to: &[usize]) -> NdArray<E> {
    let sum = sum(&x, shape::repeated_axes(x.0.shape(), to).as_slice().into());
    if sum.0.shape() == to { sum } else { super::index::reshape(&sum, to) }
}
