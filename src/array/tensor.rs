//! Arrays as an instance of [`Tensor`].

use std::ops::Range;

use super::accumulator::Accumulator;
use super::buffer::{self, exclusive};
use super::float::Float;
use super::{NdArray, NdBool, NdInt, Storage, index, kernel};
use crate::continuation::unwinding::{OrRaise, blame, raise};
use crate::error::{At, Error, Result};
use crate::finite;
use crate::language::at::Write;
use crate::language::host::{self, HostOperator};
use crate::language::real::Real;
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::tensor::Tensor;
use crate::memory;
use crate::sealed::Internal;

impl<E: Float> Tensor for NdArray<E> {
    #[inline]
    fn shape(&self) -> Shape {
        self.0.shape().into()
    }
    fn full(shape: &[usize], value: f64) -> Self {
        E::full(shape, value)
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        E::from_elements(shape, elements)
    }
    fn from_mask(mask: &NdBool) -> Self {
        E::from_mask(mask)
    }
    /// Uniform samples of `[0, 1)`. Element `i`, counted from 0 in row-major order, is, in wrapping 64-bit arithmetic,
    ///
    /// ```text
    /// word(i)    = mix(mix(seed + G) + (i + 1)·G)          G = 0x9e3779b97f4a7c15
    /// mix(z):      z ← (z ⊕ z≫30)·0xbf58476d1ce4e5b9;  z ← (z ⊕ z≫27)·0x94d049bb133111eb;  z ⊕ z≫31
    /// element(i) = (word(i) ≫ 40)·2⁻²⁴ in f32,  (word(i) ≫ 11)·2⁻⁵³ in f64
    /// ```
    ///
    /// The seed is hashed first, so that the sequences of different seeds are not shifts of each other.
    #[track_caller]
    fn uniform(shape: &[usize], seed: &NdInt) -> Self {
        E::uniform(shape, seed)
    }

    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        E::reshape(self, shape)
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        NdArray(E::permute(&self.0, order))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        if self.0.shape() == shape { self.clone() } else { E::broadcast_to(self, shape) }
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        E::sum(self, axes.into()).checked("sum")
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        E::max(self, axes.into()).checked("max")
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        E::logsumexp(self, axes.into()).checked("logsumexp")
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> NdInt {
        E::argmax(self, axis)
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        E::batch_matmul(self, rhs).checked("matmul")
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        E::concat(parts, axis)
    }
    #[inline]
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        NdArray(index::slice(&self.0, axis, range, step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        E::pad(self, axis, padding)
    }
    #[track_caller]
    fn host<O: HostOperator>(operator: &O, operands: &[&Self]) -> Self {
        let call = host::Call::of(operator, &host::shapes(operands)).or_raise();
        let operands: Vec<Storage<E>> = operands.iter().map(|x| x.row_major()).collect();
        let elements: Vec<&[E]> =
            operands.iter().map(|x| x.as_slice().expect("in row-major order")).collect();
        let shape = call.result();
        let mut result: Vec<E> = memory::zeros(shape::size(&shape));
        if let Err(reason) = E::run_host(&call, operator, &elements, &mut result) {
            raise(Error::Argument { op: operator.name(), reason, at: blame(At::caller()) });
        }
        NdArray::from_vec(&shape, result)
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        E::flip(self, axis)
    }
    #[track_caller]
    fn gather_rows(&self, indices: &NdInt) -> Self {
        shape::gather_rows(self.0.shape(), indices.0.shape()).or_raise();
        NdArray(E::read_rows(&self.0, 1, indices))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &NdInt, rows: usize) -> Self {
        E::scatter_rows(self, indices, rows).checked("scatter_rows")
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &NdInt, rows: &Self) -> Self {
        E::write_rows(self, write, axes, indices, rows).checked(write.name())
    }
    #[track_caller]
    fn read_rows(&self, axes: usize, indices: &NdInt) -> Self {
        NdArray(E::read_rows(&self.0, axes, indices))
    }
    fn stays_alike(&self, _: Internal, _rows: &Self) -> bool {
        true
    }
    #[track_caller]
    fn gather_last(&self, indices: &NdInt) -> Self {
        E::gather_last(self, indices)
    }
    #[track_caller]
    fn scatter_last(&self, indices: &NdInt, n: usize) -> Self {
        E::scatter_last(self, indices, n)
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        E::conv2d(self, kernel, window).checked("conv2d")
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        E::conv2d_image(self, kernel, size, window).checked("conv2d_image")
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        E::conv2d_kernel(self, y_bar, size, window).checked("conv2d_kernel")
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        E::unfold2d(self, kernel, window)
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        E::fold2d(self, size, kernel, window).checked("fold2d")
    }

    fn accumulate_matmul(adjoint: &Accumulator<E>, a: &Self, b: &Self) {
        // Products are collected, and looked at one by one.
        if finite::looks() {
            return Self::accumulate(adjoint, a.batch_matmul(b));
        }
        E::accumulate_product(adjoint, a, b);
    }
    fn accumulate_slice(
        adjoint: &Accumulator<E>,
        operand: &Self,
        axis: usize,
        range: Range<usize>,
        step: usize,
        g: Self,
    ) {
        E::accumulate_slice(adjoint, operand.0.shape(), axis, range.start, step, &g);
    }
    fn accumulate_parts(adjoint: &Accumulator<E>, operand: &Self, axes: usize, indices: &NdInt, g: Self) {
        // In place.
        let sum = Self::take_adjoint(adjoint).unwrap_or_else(|| operand.zeros_like());
        Self::accumulate(adjoint, sum.write_rows(Write::Add, axes, indices, &g));
    }
    fn accumulate_rows(adjoint: &Accumulator<E>, operand: &Self, indices: &NdInt, g: Self) {
        E::accumulate_rows(adjoint, operand.0.shape(), indices, &g);
    }
}

impl<E: Float> NdArray<E> {
    /// What an operator gave. Where it is looked for what is not finite, it raises that.
    #[inline]
    #[track_caller]
    pub(super) fn checked(self, op: &'static str) -> Self {
        // In a destructor of a body that is given up already, nothing more is raised.
        if finite::looks() && !self.all_finite() && !std::thread::panicking() {
            let value = self.0.iter().map(|x| x.to_f64()).find(|x| !x.is_finite());
            raise(finite::not_finite(op, value.unwrap_or(f64::NAN), blame(At::caller())));
        }
        self
    }
    /// The elements for writing, row-major; copied first if they are shared or in another order.
    #[track_caller]
    pub(super) fn elements_mut(&mut self) -> &mut [E] {
        if exclusive(&mut self.0).is_none() {
            self.0 = buffer::from_vec(&Shape::from(self.0.shape()), kernel::copy(&self.0));
        }
        exclusive(&mut self.0).expect("a fresh copy is exclusive and row-major")
    }
}

/// An array of one number. Its shape may be too large.
#[track_caller]
pub(super) fn full<E: Float>(shape: &[usize], value: f64) -> NdArray<E> {
    let size = shape::elements("full", shape).or_raise();
    // +0 and no other number is all zero bits.
    let elements = match value.to_bits() {
        0 => memory::zeros(size),
        _ => memory::repeated(size, E::from_f64(value)),
    };
    NdArray::from_vec(shape, elements)
}

/// The numbers, in row-major order.
#[track_caller]
pub(super) fn from_elements<E: Float>(shape: &[usize], elements: &[f64]) -> Result<NdArray<E>> {
    shape::from_elements(shape, elements.len())?;
    Ok(NdArray::from_vec(shape, memory::collected(elements.iter().map(|&x| E::from_f64(x)))))
}
