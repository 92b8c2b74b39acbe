//! Array operators: what moves elements moves their sets, what adds them up unites them.

use std::ops::Range;

use super::Traced;
use super::set::{Set, moved, numbered, sets_of, union, united};
use crate::array::{Float, NdArray, NdBool, NdInt};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::at::Write;
use crate::language::custom::CustomOperator;
use crate::language::host::{Call, HostOperator, shapes};
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::tensor::Tensor;

impl<E: Float> Traced<E> {
    /// A reduction.
    #[track_caller]
    fn reduce(&self, op: &'static str, axes: Axes, f: impl FnOnce(&NdArray<E>, Axes) -> NdArray<E>) -> Self {
        let shape = self.shape();
        let keep = shape::reduce_keep(&shape, &shape::axes(op, &axes, &shape).or_raise());
        self.united(|x| f(x, axes), |places| places.reshape(&keep).broadcast_to(&shape))
    }

    /// The value of an operator on images, with the sets of a product that it amounts to.
    #[track_caller]
    fn as_product(
        operands: [&Self; 2],
        f: impl FnOnce(&NdArray<E>, &NdArray<E>) -> NdArray<E>,
        product: impl FnOnce() -> Self,
    ) -> Self {
        operator(At::caller(), || {
            let value = f(&operands[0].value, &operands[1].value);
            let constant = operands.iter().all(|operand| operand.sets.is_none());
            Traced { value, sets: if constant { None } else { product().sets } }
        })
    }
}

/// An operator that moves elements.
macro_rules! moved {
    ($self:ident, |$x:ident| $f:expr) => {
        $self.moved(|$x| $f, |$x| $f)
    };
}

impl<E: Float> Tensor for Traced<E> {
    fn shape(&self) -> Shape {
        self.value.shape()
    }
    #[track_caller]
    fn full(shape: &[usize], value: f64) -> Self {
        Self::lift(&NdArray::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        NdArray::from_elements(shape, elements).map(|value| Self::lift(&value))
    }
    fn from_mask(mask: &NdBool) -> Self {
        Self::without_derivative(NdArray::from_mask(mask), |_| true)
    }
    #[track_caller]
    fn uniform(shape: &[usize], seed: &NdInt) -> Self {
        Self::lift(&NdArray::uniform(shape, seed))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        self.map(|x| x.reshape(shape))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        moved!(self, |x| x.permute(order))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        if self.shape().as_slice() == shape {
            return self.clone();
        }
        moved!(self, |x| x.broadcast_to(shape))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("sum", axes.into(), |x, axes| x.sum(axes))
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("max", axes.into(), |x, axes| x.max(axes))
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("logsumexp", axes.into(), |x, axes| x.logsumexp(axes))
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> NdInt {
        self.value.argmax(axis)
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        operator(At::caller(), || {
            let value = self.value.batch_matmul(&rhs.value);
            if self.sets.is_none() && rhs.sets.is_none() {
                return Self::lift(&value);
            }
            let shape = value.shape();
            let (batch, sizes) = shape.split_at(shape.len() - 2);
            let (m, n, inner) = (sizes[0], sizes[1], self.shape()[self.rank() - 1]);
            let a = self.broadcast_to(&[batch, &[m, inner]].concat());
            let b = rhs.broadcast_to(&[batch, &[inner, n]].concat());
            let factors = [a.sets(), b.sets()];
            let zeros = [a.zeros(), b.zeros()];
            let element = |i: usize| {
                let (row, column) = (i / n * inner, i / (m * n) * inner * n + i % n);
                let pairs = (0..inner).map(|k| (row + k, column + k * n));
                let terms = pairs.filter(|&(left, right)| !zeros[0][left] && !zeros[1][right]);
                union(terms.flat_map(|(left, right)| [&factors[0][left], &factors[1][right]]))
            };
            let sets: Vec<Set> = (0..value.size()).map(element).collect();
            Traced { value, sets: sets_of(sets) }
        })
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        operator(At::caller(), || {
            let values: Vec<NdArray<E>> = parts.iter().map(|part| part.value.clone()).collect();
            let value = NdArray::concat(&values, axis);
            let sets: Vec<Set> = parts.iter().flat_map(Traced::sets).collect();
            let mut start = 0;
            let places: Vec<NdArray<f64>> = parts
                .iter()
                .map(|part| {
                    let places = numbered(&part.shape(), part.size()) + start as f64;
                    start += part.size();
                    places
                })
                .collect();
            Traced { value, sets: moved(&sets, &NdArray::concat(&places, axis)) }
        })
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        moved!(self, |x| x.slice_step(axis, range.clone(), step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        moved!(self, |x| x.pad(axis, padding))
    }
    #[track_caller]
    fn host<O: HostOperator>(op: &O, operands: &[&Self]) -> Self {
        let call = Call::of(op, &shapes(operands)).or_raise();
        operator(At::caller(), || {
            let values: Vec<NdArray<E>> = operands.iter().map(|x| x.value.clone()).collect();
            let value = NdArray::host(op, &values.iter().collect::<Vec<_>>());
            let owned: Vec<Self> = operands.iter().map(|&x| x.clone()).collect();
            if let Some(composed) = op.composed(&owned) {
                return Traced { value, sets: composed.sets };
            }
            // Within an element of the batch, each element of the result depends on all of the operands.
            let all = operands.iter().zip(O::RANKS).map(|(x, &rank)| {
                let own: Vec<isize> = (0..rank as isize).map(|axis| axis - rank as isize).collect();
                x.sum(own.as_slice())
            });
            let Some(all) = all.reduce(|a, b| a + b) else { return Self::lift(&value) };
            let mut one_of_each = call.batch.clone();
            one_of_each.resize(value.shape().len(), 1);
            let sets = all.reshape(&one_of_each).broadcast_to(&value.shape()).sets;
            Traced { value, sets }
        })
    }
    #[track_caller]
    fn custom<O: CustomOperator>(op: &O, operands: &[&Self]) -> Self {
        operator(At::caller(), || {
            let values: Vec<NdArray<E>> = operands.iter().map(|x| x.value.clone()).collect();
            let value = NdArray::custom(op, &values.iter().collect::<Vec<_>>());
            // Its rule is not known: each element may depend on all.
            let Some(all) = operands.iter().map(|x| x.sum(..)).reduce(|a, b| a + b) else {
                return Self::lift(&value);
            };
            Traced { sets: all.broadcast_to(&value.shape()).sets, value }
        })
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        moved!(self, |x| x.flip(axis))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &NdInt) -> Self {
        moved!(self, |x| x.gather_rows(indices))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &NdInt, rows: usize) -> Self {
        self.united(|x| x.scatter_rows(indices, rows), |places| places.gather_rows(indices))
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &NdInt, rows: &Self) -> Self {
        operator(At::caller(), || {
            let (shape, size) = (self.shape(), self.size());
            let value = self.value.clone().write_rows(write, axes, indices, &rows.value);
            if self.sets.is_none() && rows.sets.is_none() {
                return Self::lift(&value);
            }
            // What was there has the numbers from 0 on, and after these comes what is written.
            let sets: Vec<Set> = self.sets().into_iter().chain(rows.sets()).collect();
            let places = numbered(&shape, size);
            let sets = match write {
                Write::Set { .. } => {
                    let rows = numbered(&rows.shape(), rows.size()) + size as f64;
                    moved(&sets, &places.write_rows(write, axes, indices, &rows))
                }
                Write::Add => {
                    let rows = places.read_rows(axes, indices);
                    let into = NdArray::concat(&[places.reshape(&[size]), rows.reshape(&[rows.size()])], 0);
                    united(&sets, &into, size)
                }
            };
            Traced { value, sets }
        })
    }
    #[track_caller]
    fn gather_last(&self, indices: &NdInt) -> Self {
        moved!(self, |x| x.gather_last(indices))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &NdInt, n: usize) -> Self {
        moved!(self, |x| x.scatter_last(indices, n))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        let product = || {
            let ([out, channels, height, width], [batch, ..]) = (four(kernel), four(self));
            let windows = windows(self, [height, width], window);
            let filters = kernel.reshape(&[out, channels * height * width]);
            let y = windows.batch_matmul(&filters.transpose());
            // `[batch·rows·columns, out]`, of which the batch is the first axis.
            y.reshape(&[batch, windows.shape()[0] / batch.max(1), out]).permute(&[0, 2, 1])
        };
        Self::as_product([self, kernel], |x, w| x.conv2d(w, window), product)
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        let product = || {
            let [out, channels, height, width] = four(kernel);
            let [batch, _, rows, columns] = four(self);
            let y_bar = self.permute(&[0, 2, 3, 1]).reshape(&[batch * rows * columns, out]);
            let windows = y_bar.batch_matmul(&kernel.reshape(&[out, channels * height * width]));
            let windows = windows.reshape(&[batch, rows, columns, channels, height * width]);
            windows.permute(&[0, 3, 4, 1, 2]).fold2d(size, [height, width], window)
        };
        Self::as_product([self, kernel], |g, w| g.conv2d_image(w, size, window), product)
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        let product = || {
            let [batch, out, rows, columns] = four(y_bar);
            let y_bar = y_bar.permute(&[1, 0, 2, 3]).reshape(&[out, batch * rows * columns]);
            y_bar.batch_matmul(&windows(self, size, window))
        };
        Self::as_product([self, y_bar], |x, g| x.conv2d_kernel(g, size, window), product)
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        moved!(self, |x| x.unfold2d(kernel, window))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        self.united(|x| x.fold2d(size, kernel, window), |places| places.unfold2d(kernel, window))
    }
}

/// The lengths of an array's four axes.
fn four<T: Tensor>(x: &T) -> [usize; 4] {
    x.shape().as_slice().try_into().expect("an image and a kernel have four axes")
}

/// The windows of an image as rows: `[batch·rows·columns, channels·kh·kw]`.
fn windows<T: Tensor>(image: &T, kernel: [usize; 2], window: Window2d) -> T {
    let windows = image.unfold2d(kernel, window).permute(&[0, 3, 4, 1, 2]);
    let shape = windows.shape();
    windows.reshape(&[shape[..3].iter().product(), shape[3..].iter().product()])
}
