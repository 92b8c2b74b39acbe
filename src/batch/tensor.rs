//! Array operators: with the rows' axis in front, or folded into an axis that the operator goes through one by one.

use std::ops::Range;

use super::adjoint::exchanged;
use super::control::{Way, count};
use super::custom::OfRows;
use super::forest;
use super::index::{offset, shifted};
use super::{Batch, BatchAdjoint, BatchBool, BatchInt, common_rows, with_rows};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Fill, Leaves, Site};
use crate::language::control::{TreeArrays, fold_arrays};
use crate::language::custom::CustomOperator;
use crate::language::host::{self, HostOperator};
use crate::language::real::Int;
use crate::language::real::Real;
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::state::State;
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::Internal;

impl<T: Tensor> Batch<T> {
    /// An operator of which the rank of the result is not the operand's: `f` gets the shape before that of the result.
    #[track_caller]
    fn shaped(&self, shape: &[usize], f: impl FnOnce(&T, &[usize]) -> T) -> Self {
        operator(At::caller(), || match self.rows() {
            Some(rows) => Batch::of_rows(f(&self.value, &with_rows(rows, shape))),
            None => Self::lift(&f(&self.value, shape)),
        })
    }

    /// A reduction over axes of each row.
    #[track_caller]
    fn reduce(&self, op: &'static str, axes: Axes, f: impl FnOnce(&T, Axes) -> T) -> Self {
        let resolved = shape::axes(op, &axes, &self.row_shape()).or_raise();
        self.map(|x| f(x, Axes::Some(resolved.iter().map(|&axis| self.along(axis)).collect())))
    }

    /// An axis of a row as one of the value.
    fn along(&self, axis: usize) -> isize {
        (axis + usize::from(self.batched)) as isize
    }

    /// An axis by its name as one of the value.
    #[track_caller]
    fn axis(&self, op: &'static str, axis: isize) -> isize {
        self.along(shape::axis(op, &self.row_shape(), axis).or_raise())
    }

    /// An operator that goes through the first axis of its operand one by one: rows are folded into it.
    #[track_caller]
    fn folded(&self, f: impl FnOnce(&T) -> T) -> Self {
        operator(At::caller(), || match self.rows() {
            Some(rows) => Batch::of_rows(unfold(&f(&fold(&self.value)), rows, self.row_shape()[0])),
            None => Self::lift(&f(&self.value)),
        })
    }

    /// The value of one row.
    fn row(&self, i: usize) -> T {
        if self.batched { self.value.index(0, i) } else { self.value.clone() }
    }

    /// An operator of two operands, row by row.
    fn each_row(&self, other: &Self, like: &[usize], f: impl Fn(&T, &T) -> T) -> Self {
        let rows = common_rows(&[self, other]).expect("something differs from row to row");
        if rows == 0 {
            return Batch::of_rows(T::zeros(&with_rows(0, like)));
        }
        let results: Vec<T> = (0..rows).map(|i| f(&self.row(i), &other.row(i))).collect();
        Batch::of_rows(T::stack(&results, 0))
    }
}

/// `[n, rows, ..]` for arrays of `[n, ..]`.
fn rows_second(shape: &[usize], rows: usize) -> Shape {
    with_rows(shape[0], &with_rows(rows, &shape[1..]))
}

/// `[rows, n, ..]` as `[rows·n, ..]`.
fn fold<T: Tensor>(x: &T) -> T {
    let shape = x.shape();
    x.reshape(&with_rows(shape[0] * shape[1], &shape[2..]))
}

/// `[rows·n, ..]` as `[rows, n, ..]`.
fn unfold<T: Tensor>(x: &T, rows: usize, n: usize) -> T {
    x.reshape(&with_rows(rows, &with_rows(n, &x.shape()[1..])))
}

/// `[n, rows·m, ..]` as `[rows, n, m, ..]`.
fn unfold_second<T: Tensor>(x: &T, rows: usize, m: usize) -> T {
    let shape = x.shape();
    let split: Shape = [shape[0], rows, m].into_iter().chain(shape[2..].iter().copied()).collect();
    exchanged(&x.reshape(&split))
}

impl<T: Tensor> Tensor for Batch<T> {
    #[track_caller]
    fn record_rows(
        internal: Internal,
        at: Site,
        shape: &[usize],
        fill: Fill<'_, Self>,
    ) -> (Self, Leaves<Self>) {
        let (rows, way) = (count::<T>(at.at), Way::OF_ROWS);
        let (ys, rest) = T::record_rows(internal, at, &rows_second(shape, rows), &mut |put| {
            way.components(at, fill(&|index, row: Self| put(&index.value, row.spread(rows))))
        });
        (Batch::of_rows(exchanged(&ys)), way.values(rest))
    }
    #[track_caller]
    fn open_adjoint(shape: &[usize]) -> BatchAdjoint<T> {
        BatchAdjoint::open(&rows_second(shape, count::<T>(At::caller())))
    }
    fn with_adjoint_row(adjoint: &BatchAdjoint<T>, index: &BatchInt<T::Int>, pull: impl FnOnce(Self)) {
        T::with_adjoint_row(adjoint.opened(), &index.value, |row| pull(Batch::of_rows(row)));
    }
    fn adjoint_row(adjoint: &BatchAdjoint<T>, index: &BatchInt<T::Int>) -> Self {
        Batch::of_rows(T::adjoint_row(adjoint.opened(), &index.value))
    }
    fn shape(&self) -> Shape {
        self.row_shape()
    }
    #[track_caller]
    fn full(shape: &[usize], value: f64) -> Self {
        Self::lift(&T::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        T::from_elements(shape, elements).map(|value| Self::lift(&value))
    }
    #[track_caller]
    fn from_mask(mask: &BatchBool<T::Bool>) -> Self {
        Batch { value: T::from_mask(&mask.value), batched: mask.batched }
    }
    #[track_caller]
    fn uniform(shape: &[usize], seed: &BatchInt<T::Int>) -> Self {
        shape::uniform(shape, &seed.row_shape()).or_raise();
        operator(At::caller(), || {
            let Some(rows) = seed.rows() else { return Self::lift(&T::uniform(shape, &seed.value)) };
            if rows == 0 {
                return Batch::of_rows(T::zeros(&with_rows(0, shape)));
            }
            let seeds = seed.value.reshape(&[rows]);
            let row = |i| T::uniform(shape, &seeds.slice(0, i..i + 1).reshape(&[]));
            Batch::of_rows(T::stack(&(0..rows).map(row).collect::<Vec<T>>(), 0))
        })
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&self.row_shape(), shape).or_raise();
        self.shaped(shape, T::reshape)
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        shape::permute(&self.row_shape(), order).or_raise();
        let first = self.batched.then_some(0);
        let order: Shape =
            first.into_iter().chain(order.iter().map(|&axis| axis + usize::from(self.batched))).collect();
        self.map(|x| x.permute(&order))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        shape::broadcast_to(&self.row_shape(), shape).or_raise();
        let aligned = self.aligned(shape.len());
        self.shaped(shape, |_, to| aligned.broadcast_to(to))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("sum", axes.into(), |x, axes| x.sum(axes))
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let (axes, shape) = (axes.into(), self.row_shape());
        let resolved = shape::axes("max", &axes, &shape).or_raise();
        shape::reduce_nonempty("max", &shape, &resolved).or_raise();
        self.guarded().reduce("max", axes, |x, axes| x.max(axes))
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        self.guarded().reduce("logsumexp", axes.into(), |x, axes| x.logsumexp(axes))
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> BatchInt<T::Int> {
        let shape = self.row_shape();
        let axis = shape::axis("argmax", &shape, axis).or_raise();
        shape::reduce_nonempty("argmax", &shape, &[axis]).or_raise();
        operator(At::caller(), || BatchInt {
            value: self.value.argmax(self.along(axis)),
            batched: self.batched,
        })
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        let (a, b) = (self.row_shape(), rhs.row_shape());
        shape::matmul(&a, &b).or_raise();
        let rank = a.len().max(b.len());
        let (lhs, rhs) = (self.guarded(), rhs.guarded());
        operator(At::caller(), || {
            let (x, y) = (lhs.aligned(rank), rhs.aligned(rank));
            // What is one column times one row, as the gradient of a weight for each sample, has no sums in it.
            let outer = lhs.batched && rhs.batched && a[a.len() - 1] == 1;
            // Not `batch_matmul`: a matrix that is the same for all rows is multiplied by all of them at once.
            let value = if outer { x * y } else { x.matmul(&y) };
            Batch { value, batched: lhs.batched || rhs.batched }
        })
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let shapes: Vec<Shape> = parts.iter().map(Batch::row_shape).collect();
        let along = match shapes.first() {
            Some(first) => shape::axis("concat", first, axis).or_raise(),
            None => 0,
        };
        shape::concat(shapes.iter().map(|shape| shape.as_slice()), along).or_raise();
        let rows = parts.iter().find_map(Batch::rows);
        operator(At::caller(), || {
            let values: Vec<T> = parts
                .iter()
                .map(|part| rows.map_or_else(|| part.value.clone(), |rows| part.spread(rows)))
                .collect();
            Batch { value: T::concat(&values, (along + rows.iter().len()) as isize), batched: rows.is_some() }
        })
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        let shape = self.row_shape();
        let axis = shape::axis("slice", &shape, axis).or_raise();
        shape::slice(&shape, axis, &range, step).or_raise();
        self.map(|x| x.slice_step(self.along(axis), range, step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        let axis = self.axis("pad", axis);
        self.map(|x| x.pad(axis, padding))
    }
    #[track_caller]
    fn host<O: HostOperator>(op: &O, operands: &[&Self]) -> Self {
        let call = host::Call::of(op, &host::shapes(operands)).or_raise();
        let batched = operands.iter().any(|x| x.batched);
        operator(At::caller(), || {
            let aligned = |(number, x): (usize, &&Self)| {
                call.of_account(op, number, *x).aligned(call.batch.len() + O::RANKS[number])
            };
            let operands: Vec<T> = operands.iter().enumerate().map(aligned).collect();
            Batch { value: T::host(op, &operands.iter().collect::<Vec<_>>()), batched }
        })
    }
    #[track_caller]
    fn custom<O: CustomOperator>(op: &O, operands: &[&Self]) -> Self {
        let Some(rows) = operands.iter().find_map(|x| x.rows()) else {
            let values: Vec<&T> = operands.iter().map(|x| &x.value).collect();
            return Batch { value: T::custom(op, &values), batched: false };
        };
        let of_rows = OfRows { op: op.clone(), rows, batched: operands.iter().map(|x| x.batched).collect() };
        let values: Vec<&T> = operands.iter().map(|x| &x.value).collect();
        Batch::of_rows(T::custom(&of_rows, &values))
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        let axis = self.axis("flip", axis);
        self.map(|x| x.flip(axis))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &BatchInt<T::Int>) -> Self {
        let shape = self.row_shape();
        shape::gather_rows(&shape, &indices.row_shape()).or_raise();
        operator(At::caller(), || {
            let indices = indices.guarded();
            let Some(rows) = self.rows() else {
                return Batch { value: self.value.gather_rows(&indices.value), batched: indices.batched };
            };
            let indices = offset("gather_rows", &indices, rows, shape[0]);
            Batch::of_rows(fold(&self.value).gather_rows(&indices))
        })
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &BatchInt<T::Int>, rows: usize) -> Self {
        shape::scatter_rows(&self.row_shape(), &indices.row_shape(), rows).or_raise();
        operator(At::caller(), || {
            let indices = indices.guarded();
            let Some(batch) = self.rows().or(indices.rows()) else {
                return Self::lift(&self.value.scatter_rows(&indices.value, rows));
            };
            let indices = offset("scatter_rows", &indices, batch, rows);
            Batch::of_rows(unfold(&self.spread(batch).scatter_rows(&indices, batch * rows), batch, rows))
        })
    }
    #[track_caller]
    fn fold_tree<S: State<Self>>(
        tree: &TreeArrays<BatchInt<T::Int>>,
        leaf: impl Fn(&BatchInt<T::Int>) -> S,
        inner: impl Fn(&BatchInt<T::Int>, S, S) -> S,
    ) -> S {
        let site = Site::caller("fold_tree");
        forest::fold(site, tree, &leaf, &inner).unwrap_or_else(|| fold_arrays(site, tree, leaf, inner))
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &BatchInt<T::Int>, rows: &Self) -> Self {
        let shape = self.row_shape();
        shape::write_rows(&shape, axes, &indices.row_shape(), &rows.row_shape()).or_raise();
        operator(At::caller(), || {
            let indices = indices.guarded();
            let Some(batch) = self.rows().or(indices.rows()).or(rows.rows()) else {
                return Self::lift(&self.value.write_rows(write, axes, &indices.value, &rows.value));
            };
            let all = offset(write.name(), &indices, batch, shape::size(&shape[..axes]));
            // The same index of several rows names different elements.
            let x = if self.batched { self.value } else { self.spread(batch) };
            Batch::of_rows(x.write_rows(write, axes + 1, &all, &rows.spread(batch)))
        })
    }
    #[track_caller]
    fn gather_last(&self, indices: &BatchInt<T::Int>) -> Self {
        let shape = self.row_shape();
        shape::gather_last(&shape, &indices.row_shape()).or_raise();
        operator(At::caller(), || {
            let indices = indices.guarded();
            match (self.rows(), indices.rows()) {
                (None, None) => Self::lift(&self.value.gather_last(&indices.value)),
                (Some(rows), _) => Batch::of_rows(self.value.gather_last(&indices.spread(rows))),
                (None, Some(_)) => {
                    let [outer @ .., n] = &shape[..] else { unreachable!("the operand has a last axis") };
                    let flat = self.value.reshape(&[shape::size(&shape)]);
                    let indices = shifted("gather_last", &indices.value, outer, shape::size(outer), *n);
                    Batch::of_rows(flat.gather_rows(&indices))
                }
            }
        })
    }
    #[track_caller]
    fn scatter_last(&self, indices: &BatchInt<T::Int>, n: usize) -> Self {
        shape::scatter_last(&self.row_shape(), &indices.row_shape(), n).or_raise();
        operator(At::caller(), || {
            let indices = indices.guarded();
            match self.rows().or(indices.rows()) {
                None => Self::lift(&self.value.scatter_last(&indices.value, n)),
                Some(rows) => Batch::of_rows(self.spread(rows).scatter_last(&indices.spread(rows), n)),
            }
        })
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        let shape = shape::conv2d(&self.row_shape(), &kernel.row_shape(), window).or_raise();
        let (this, kernel) = (self.guarded(), kernel.guarded());
        let kernel = &*kernel;
        match (this.rows(), kernel.rows()) {
            (_, None) => this.folded(|x| x.conv2d(&kernel.value, window)),
            // The rows' kernels are channels of one.
            (None, Some(rows)) => operator(At::caller(), || {
                Batch::of_rows(unfold_second(
                    &this.value.conv2d(&fold(&kernel.value), window),
                    rows,
                    shape[1],
                ))
            }),
            _ => operator(At::caller(), || this.each_row(kernel, &shape, |x, w| x.conv2d(w, window))),
        }
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        let shape = shape::conv2d_image(&self.row_shape(), &kernel.row_shape(), size, window).or_raise();
        let (this, kernel) = (self.guarded(), kernel.guarded());
        let kernel = &*kernel;
        match kernel.rows() {
            None => this.folded(|g| g.conv2d_image(&kernel.value, size, window)),
            Some(_) => operator(At::caller(), || {
                this.each_row(kernel, &shape, |g, w| g.conv2d_image(w, size, window))
            }),
        }
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        let shape = shape::conv2d_kernel(&self.row_shape(), &y_bar.row_shape(), size, window).or_raise();
        let (this, y_bar) = (self.guarded(), y_bar.guarded());
        let y_bar = &*y_bar;
        operator(At::caller(), || match (this.rows(), y_bar.rows()) {
            (None, None) => Self::lift(&this.value.conv2d_kernel(&y_bar.value, size, window)),
            // The rows' adjoints are channels of one.
            (None, Some(rows)) => {
                // `[rows, n, out, ..]` as `[n, rows·out, ..]`.
                let g = exchanged(&y_bar.value);
                let shape = g.shape();
                let merged = with_rows(shape[0], &with_rows(shape[1] * shape[2], &shape[3..]));
                let kernels = this.value.conv2d_kernel(&g.reshape(&merged), size, window);
                Batch::of_rows(unfold(&kernels, rows, shape[2]))
            }
            _ => this.each_row(y_bar, &shape, |x, g| x.conv2d_kernel(g, size, window)),
        })
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        shape::unfold2d(&self.row_shape(), kernel, window).or_raise();
        self.folded(|x| x.unfold2d(kernel, window))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        shape::fold2d(&self.row_shape(), size, kernel, window).or_raise();
        self.folded(|x| x.fold2d(size, kernel, window))
    }

    #[track_caller]
    fn accumulate_matmul(adjoint: &BatchAdjoint<T>, a: &Self, b: &Self) {
        match adjoint.only_same() {
            Some(same) if !a.batched && !b.batched => T::accumulate_matmul(same, &a.value, &b.value),
            _ => Self::accumulate(adjoint, a.batch_matmul(b)),
        }
    }
    #[track_caller]
    fn accumulate_parts(
        adjoint: &BatchAdjoint<T>,
        operand: &Self,
        axes: usize,
        indices: &BatchInt<T::Int>,
        g: Self,
    ) {
        let shape = operand.row_shape();
        let n = shape::size(&shape[..axes]);
        let guarded = indices.guarded();
        match adjoint.only_same() {
            Some(same) if !guarded.batched && !g.batched => {
                T::accumulate_parts(same, &operand.value, axes, &guarded.value, g.value);
            }
            _ => match adjoint.rows_for(&[operand.rows(), guarded.rows(), g.rows()]) {
                // What one row's index names is another element than what another row's does. Not by taking what there
                // is: that may be recorded where it is not run.
                Some((each, rows)) => {
                    let all = offset(Write::Add.name(), &guarded, rows, n);
                    T::accumulate_parts(each, &operand.spread(rows), axes + 1, &all, g.spread(rows));
                }
                None => Self::accumulate(adjoint, g.scatter_rows(indices, n).reshape(&shape)),
            },
        }
    }
    fn accumulate_rows(adjoint: &BatchAdjoint<T>, operand: &Self, indices: &BatchInt<T::Int>, g: Self) {
        match adjoint.only_same() {
            Some(same) if !indices.batched && !g.batched => {
                T::accumulate_rows(same, &operand.value, &indices.value, g.value);
            }
            _ => Self::accumulate(adjoint, g.scatter_rows(indices, operand.row_shape()[0])),
        }
    }
}
