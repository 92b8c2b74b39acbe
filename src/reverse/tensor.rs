//! The array operators in direct style: each is `shift` to its rule.

use std::ops::Range;

use super::real::{direct, level2};
use super::{Kind, Var, common_level, rules};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::At;
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Fill, Leaves, Site};
use crate::language::custom::CustomOperator;
use crate::language::host::{Call, HostOperator, shapes};
use crate::language::real::Int;
use crate::language::shape::{Axes, Padding, Shape, Window2d};
use crate::language::tensor::Tensor;
use crate::sealed::Internal;

/// The operator of the same name, suspended: its rule owns clones of the operands.
macro_rules! direct_unary {
    ($self:ident, |$x:ident, $k:ident| $rule:expr) => {{
        let $x = $self.operand();
        direct($x.level(), At::caller(), move |$k| $rule)
    }};
}
/// A product of a kind.
macro_rules! direct_product {
    ($self:ident, $rhs:ident, |$a:ident, $b:ident, $k:ident| $rule:expr) => {{
        let ($a, $b) = ($self.of_account(), $rhs.of_account());
        direct(level2(&$a, &$b), At::caller(), move |$k| $rule)
    }};
}

impl<T: Tensor> Tensor for Var<'_, T> {
    #[track_caller]
    fn record_rows(
        internal: Internal,
        at: Site,
        shape: &[usize],
        fill: Fill<'_, Self>,
    ) -> (Self, Leaves<Self>) {
        super::control::record_rows(internal, at, shape, fill)
    }
    fn shape(&self) -> Shape {
        self.lend(T::shape)
    }
    fn full(shape: &[usize], value: f64) -> Self {
        Self::from_value(T::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> crate::Result<Self> {
        T::from_elements(shape, elements).map(Self::from_value)
    }
    fn from_mask(mask: &T::Bool) -> Self {
        Self::from_value(T::from_mask(mask))
    }
    fn uniform(shape: &[usize], seed: &T::Int) -> Self {
        Self::from_value(T::uniform(shape, seed))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        if self.shape().as_slice() == shape {
            return self.operand();
        }
        let shape = Shape::from_slice(shape);
        direct_unary!(self, |x, k| rules::reshape(&x, &shape, k))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        let order = Shape::from_slice(order);
        direct_unary!(self, |x, k| rules::permute(&x, &order, k))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        let shape = Shape::from_slice(shape);
        direct_unary!(self, |x, k| rules::broadcast_to(&x, &shape, k))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        direct_unary!(self, |x, k| rules::sum(&x, axes, k))
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let x = self.of_account();
        direct_unary!(x, |x, k| rules::max(&x, axes, k))
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let x = self.of_account();
        direct_unary!(x, |x, k| rules::logsumexp(&x, axes, k))
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> T::Int {
        self.primal().argmax(axis)
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        direct_product!(self, rhs, |a, b, k| rules::batch_matmul(&a, &b, k))
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let at = At::caller();
        let parts: Vec<Self> = parts.iter().map(Var::operand).collect();
        let mut level = None;
        for part in &parts {
            level = common_level(level, part.level()).or_raise();
        }
        direct(level, at, move |k| rules::concat(&parts, axis, k))
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        direct_unary!(self, |x, k| rules::slice_step(&x, axis, range, step, k))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        direct_unary!(self, |x, k| rules::pad(&x, axis, padding, k))
    }
    #[track_caller]
    fn host<O: HostOperator>(op: &O, operands: &[&Self]) -> Self {
        let at = At::caller();
        let call = Call::of(op, &shapes(operands)).or_raise();
        let mut owned: Vec<Self> = Vec::with_capacity(operands.len());
        let mut level = None;
        for (number, &operand) in operands.iter().enumerate() {
            let operand = call.of_account(op, number, operand).into_operand();
            level = common_level(level, operand.level()).or_raise();
            owned.push(operand);
        }
        let op = op.clone();
        direct(level, at, move |k| rules::host(&op, &owned, k))
    }
    #[track_caller]
    fn custom<O: CustomOperator>(op: &O, operands: &[&Self]) -> Self {
        let at = At::caller();
        let operands: Vec<Self> = operands.iter().map(|x| x.operand()).collect();
        let mut level = None;
        for operand in &operands {
            level = common_level(level, operand.level()).or_raise();
        }
        let op = op.clone();
        direct(level, at, move |k| rules::custom_operator(&op, &operands, k))
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        direct_unary!(self, |x, k| rules::flip(&x, axis, k))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &T::Int) -> Self {
        let indices = indices.guarded();
        direct_unary!(self, |x, k| rules::gather_rows(&x, &indices, k))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &T::Int, rows: usize) -> Self {
        let indices = indices.guarded();
        direct_unary!(self, |x, k| rules::scatter_rows(&x, &indices, rows, k))
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &T::Int, rows: &Self) -> Self {
        let at = At::caller();
        let (x, rows) = (self.into_operand(), rows.operand());
        let level = common_level(x.level(), rows.level()).or_raise();
        if level.is_none() {
            let x = match x.0 {
                Kind::Constant(x) => x,
                Kind::Active(..) => x.lend(T::clone),
            };
            return operator(at, || Var::from_value(x.write_rows(write, axes, indices, rows.primal())));
        }
        let indices = indices.clone();
        direct(level, at, move |k| rules::write_rows(&x, write, axes, &indices, &rows, k))
    }
    #[track_caller]
    fn read_rows(&self, axes: usize, indices: &T::Int) -> Self {
        let indices = indices.clone();
        direct_unary!(self, |x, k| rules::read_rows(&x, axes, &indices, k))
    }
    fn stays_alike(&self, internal: Internal, rows: &Self) -> bool {
        (self.is_active() || !rows.is_active())
            && self.lend(|x| rows.lend(|rows| x.stays_alike(internal, rows)))
    }
    #[track_caller]
    fn gather_last(&self, indices: &T::Int) -> Self {
        let indices = indices.guarded();
        direct_unary!(self, |x, k| rules::gather_last(&x, &indices, k))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &T::Int, n: usize) -> Self {
        let indices = indices.guarded();
        direct_unary!(self, |x, k| rules::scatter_last(&x, &indices, n, k))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        direct_product!(self, kernel, |x, w, k| rules::conv2d(&x, &w, window, k))
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        direct_product!(self, kernel, |g, w, k| rules::conv2d_image(&g, &w, size, window, k))
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        direct_product!(self, y_bar, |x, g, k| rules::conv2d_kernel(&x, &g, size, window, k))
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        direct_unary!(self, |x, k| rules::unfold2d(&x, kernel, window, k))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        direct_unary!(self, |x, k| rules::fold2d(&x, size, kernel, window, k))
    }
}
