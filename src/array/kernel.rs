//! The loops of elementwise operators, compiled for each instruction set and chosen at run time.
//!
//! A loop is a plain one over slices, in a function that is inlined into one compiled for AVX-512, AVX2, NEON or
//! the baseline, where LLVM vectorises it. So an operator is one scalar function, and there is no intrinsic here.

use std::mem::MaybeUninit;

use antiphon_system::threads;
use pulp::{Arch, NullaryFnOnce};

use super::buffer::{Storage, memory, write_vec};
use super::layout::Loops;
use crate::language::shape;
use crate::memory::room;

/// A function of one element.
pub(super) trait Map<A>: Copy + Sync {
    /// What it gives.
    type Output: Copy + Send;
    /// Its value.
    fn apply(self, x: A) -> Self::Output;
}

/// A function of two elements.
pub(super) trait Zip<A>: Copy + Sync {
    /// What it gives.
    type Output: Copy + Send;
    /// Its value.
    fn apply(self, x: A, y: A) -> Self::Output;
}

/// Runs a loop in the version for the best instruction set that this machine has.
#[inline(always)]
pub(super) fn dispatch<K: NullaryFnOnce>(kernel: K) -> K::Output {
    Arch::new().dispatch(kernel)
}

/// Elements that a thread takes of an operator at least: ten microseconds or more.
const LEAST: usize = 1 << 15;

/// How many elements a thread takes of an operator on so many; all if they are too few for several.
fn piece(elements: usize) -> usize {
    if elements < 2 * LEAST { elements } else { threads::piece(elements, 64, LEAST) }
}

/// Elements that are computed together, so that a remainder costs one vector and not a scalar loop of long
/// polynomials.
const LANES: usize = 16;

/// Whole chunks in one long loop; the rest as one chunk, filled up.
#[inline(always)]
fn map_lanes<A: Copy + Default, F: Map<A>>(f: F, src: &[A], dst: &mut [MaybeUninit<F::Output>]) {
    let whole = src.len() - src.len() % LANES;
    let (xs, rest) = src.split_at(whole);
    let (ys, out_rest) = dst.split_at_mut(whole);
    map_all(f, xs, ys);
    if !rest.is_empty() {
        let mut xs = [A::default(); LANES];
        let mut ys = [MaybeUninit::uninit(); LANES];
        xs[..rest.len()].copy_from_slice(rest);
        map_all(f, &xs, &mut ys);
        out_rest.copy_from_slice(&ys[..rest.len()]);
    }
}

/// A function of its own, so that LLVM knows from its arguments that they do not overlap.
#[inline(always)]
fn map_all<A: Copy, F: Map<A>>(f: F, xs: &[A], ys: &mut [MaybeUninit<F::Output>]) {
    for (x, y) in xs.iter().zip(ys) {
        y.write(f.apply(*x));
    }
}

struct MapLoop<'a, A, F: Map<A>>(F, &'a [A], &'a mut [MaybeUninit<F::Output>]);

impl<A: Copy + Default, F: Map<A>> NullaryFnOnce for MapLoop<'_, A, F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        map_lanes(self.0, self.1, self.2);
    }
}

/// `f` of each element of a slice.
#[inline]
#[track_caller]
pub(super) fn map<A: Copy + Default + Sync, F: Map<A>>(f: F, src: &[A]) -> Vec<F::Output> {
    // SAFETY: `map_lanes` writes as many elements as `src` has, in whole chunks and a rest.
    unsafe {
        write_vec(src.len(), |dst| {
            let size = piece(dst.len());
            if size >= dst.len() {
                return dispatch(MapLoop(f, src, dst));
            }
            threads::pieces(dst, size, |from, dst| dispatch(MapLoop(f, &src[from..][..dst.len()], dst)));
        })
    }
}

struct MapInPlaceLoop<'a, A, F>(F, &'a mut [A]);

impl<A: Copy + Default, F: Map<A, Output = A>> NullaryFnOnce for MapInPlaceLoop<'_, A, F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let whole = self.1.len() - self.1.len() % LANES;
        let (chunks, rest) = self.1.split_at_mut(whole);
        for x in chunks {
            *x = self.0.apply(*x);
        }
        if !rest.is_empty() {
            let mut xs = [A::default(); LANES];
            xs[..rest.len()].copy_from_slice(rest);
            for x in &mut xs {
                *x = self.0.apply(*x);
            }
            rest.copy_from_slice(&xs[..rest.len()]);
        }
    }
}

/// Replaces each element by `f` of it.
#[inline]
pub(super) fn map_in_place<A: Copy + Default + Send, F: Map<A, Output = A>>(f: F, elements: &mut [A]) {
    let size = piece(elements.len());
    if size >= elements.len() {
        return dispatch(MapInPlaceLoop(f, elements));
    }
    threads::pieces(elements, size, |_, elements| dispatch(MapInPlaceLoop(f, elements)));
}

/// The elements of an array in row-major order.
#[track_caller]
pub(super) fn copy<T: Copy>(array: &Storage<T>) -> Vec<T> {
    repeat(array, array.shape())
}

/// The elements, in row-major order, of an array stretched to a shape that it broadcasts to.
#[track_caller]
pub(super) fn repeat<T: Copy>(array: &Storage<T>, shape: &[usize]) -> Vec<T> {
    let mut elements = room(shape::size(shape));
    if elements.capacity() == 0 {
        return elements;
    }
    let data = memory(array);
    let loops = Loops::new(shape, [(array.shape(), array.strides())]);
    let ((rows, [row]), (columns, [column])) = (loops.rows, loops.columns);
    loops.for_each(|[offset]| {
        for r in 0..rows {
            let line = &data[offset + r * row..];
            match column {
                0 => elements.resize(elements.len() + columns, line[0]),
                1 => elements.extend_from_slice(&line[..columns]),
                _ => elements.extend((0..columns).map(|c| line[c * column])),
            }
        }
    });
    elements
}

/// An operand: its memory, and the strides of its rows and columns.
type Operand<'a, A> = (&'a [A], usize, usize);

#[inline(always)]
fn zip_row<A: Copy, F: Zip<A>>(
    f: F,
    dst: &mut [MaybeUninit<F::Output>],
    (x, cx): (&[A], usize),
    (y, cy): (&[A], usize),
) {
    let n = dst.len();
    match (cx, cy) {
        (1, 1) => {
            for ((z, &x), &y) in dst.iter_mut().zip(&x[..n]).zip(&y[..n]) {
                z.write(f.apply(x, y));
            }
        }
        (1, 0) => {
            let y = y[0];
            for (z, &x) in dst.iter_mut().zip(&x[..n]) {
                z.write(f.apply(x, y));
            }
        }
        (0, 1) => {
            let x = x[0];
            for (z, &y) in dst.iter_mut().zip(&y[..n]) {
                z.write(f.apply(x, y));
            }
        }
        _ => {
            for (i, z) in dst.iter_mut().enumerate() {
                z.write(f.apply(x[i * cx], y[i * cy]));
            }
        }
    }
}

struct ZipLoop<'a, A, F: Zip<A>> {
    f: F,
    columns: usize,
    dst: &'a mut [MaybeUninit<F::Output>],
    x: Operand<'a, A>,
    y: Operand<'a, A>,
}

impl<A: Copy, F: Zip<A>> NullaryFnOnce for ZipLoop<'_, A, F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let ((x, rx, cx), (y, ry, cy)) = (self.x, self.y);
        for (r, dst) in self.dst.chunks_exact_mut(self.columns).enumerate() {
            zip_row(self.f, dst, (&x[r * rx..], cx), (&y[r * ry..], cy));
        }
    }
}

/// `f` of the elements of two arrays that broadcast to `shape`, in row-major order.
#[inline]
#[track_caller]
pub(super) fn zip<A: Copy + Sync, F: Zip<A>>(
    f: F,
    shape: &[usize],
    x: &Storage<A>,
    y: &Storage<A>,
) -> Vec<F::Output> {
    let n = shape::size(shape);
    if n == 0 {
        return Vec::new();
    }
    let (xs, ys) = (memory(x), memory(y));
    let same = |a: &Storage<A>| a.shape() == shape && a.is_standard_layout();
    if same(x) && same(y) {
        // SAFETY: the one row of `columns = n` elements is the whole destination.
        return unsafe {
            write_vec(n, |dst| {
                let size = piece(n);
                if size >= n {
                    return dispatch(ZipLoop { f, columns: n, dst, x: (xs, 0, 1), y: (ys, 0, 1) });
                }
                threads::pieces(dst, size, |from, dst| {
                    let columns = dst.len();
                    let [x, y] = [xs, ys].map(|all| (&all[from..], 0, 1));
                    dispatch(ZipLoop { f, columns, dst, x, y });
                });
            })
        };
    }
    let loops = Loops::new(shape, [(x.shape(), x.strides()), (y.shape(), y.strides())]);
    let ((rows, [rx, ry]), (columns, [cx, cy])) = (loops.rows, loops.columns);
    // SAFETY: there are `n / (rows·columns)` matrices, each of which takes its part off the destination and writes
    // all rows of it.
    unsafe {
        write_vec(n, |mut rest| {
            loops.for_each(|[ox, oy]| {
                let (dst, tail) = std::mem::take(&mut rest).split_at_mut(rows * columns);
                rest = tail;
                dispatch(ZipLoop { f, columns, dst, x: (&xs[ox..], rx, cx), y: (&ys[oy..], ry, cy) });
            });
            assert!(rest.is_empty());
        })
    }
}

struct UpdateLoop<'a, A, F> {
    f: F,
    rows: usize,
    columns: usize,
    dst: &'a mut [A],
    /// Distance of the rows of `dst`, of which the first `columns` elements are updated.
    stride: usize,
    y: Operand<'a, A>,
}

#[inline(always)]
fn update_row<A: Copy, F: Zip<A, Output = A>>(f: F, dst: &mut [A], y: &[A], cy: usize) {
    let n = dst.len();
    match cy {
        1 => {
            for (x, &y) in dst.iter_mut().zip(&y[..n]) {
                *x = f.apply(*x, y);
            }
        }
        0 => {
            let y = y[0];
            for x in dst {
                *x = f.apply(*x, y);
            }
        }
        _ => {
            for (i, x) in dst.iter_mut().enumerate() {
                *x = f.apply(*x, y[i * cy]);
            }
        }
    }
}

impl<A: Copy, F: Zip<A, Output = A>> NullaryFnOnce for UpdateLoop<'_, A, F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let (y, ry, cy) = self.y;
        for (r, dst) in self.dst.chunks_mut(self.stride).take(self.rows).enumerate() {
            update_row(self.f, &mut dst[..self.columns], &y[r * ry..], cy);
        }
    }
}

/// Replaces each element `x` of `dst`, row-major of this shape, by `f(x, y)`, where `y` broadcasts to the shape.
#[inline]
pub(super) fn update<A: Copy, F: Zip<A, Output = A>>(f: F, shape: &[usize], dst: &mut [A], y: &Storage<A>) {
    if dst.is_empty() {
        return;
    }
    let ys = memory(y);
    if y.shape() == shape && y.is_standard_layout() {
        return dispatch(UpdateLoop {
            f,
            rows: 1,
            columns: dst.len(),
            stride: dst.len(),
            dst,
            y: (ys, 0, 1),
        });
    }
    let loops = Loops::new(shape, [(y.shape(), y.strides())]);
    let ((rows, [ry]), (columns, [cy])) = (loops.rows, loops.columns);
    let mut blocks = dst.chunks_exact_mut(rows * columns);
    loops.for_each(|[offset]| {
        let dst = blocks.next().expect("as many blocks as matrices");
        dispatch(UpdateLoop { f, rows, columns, stride: columns, dst, y: (&ys[offset..], ry, cy) });
    });
}

/// Replaces each element `x` of the first `columns` of each `stride` of `dst` by `f(x, y)`, where `y` is the row-major
/// matrix of as many rows and columns.
#[inline]
pub(super) fn update_rows<A: Copy, F: Zip<A, Output = A>>(
    f: F,
    dst: &mut [A],
    stride: usize,
    columns: usize,
    y: &[A],
) {
    if columns > 0 && !y.is_empty() {
        dispatch(UpdateLoop { f, rows: y.len() / columns, columns, stride, dst, y: (y, columns, 1) });
    }
}
