//! Array operators: computed if their operands are known, kept as steps if not.

use std::ops::Range;

use super::program::{Operand, Program};
use super::{Kind, Partial, PartialAdjoint};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Fill, Leaves, Site};
use crate::language::custom::CustomOperator;
use crate::language::host::{Call, HostOperator};
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::state::Leaf;
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::Internal;

impl<T: Tensor> Partial<T> {
    /// The shape of a reduction.
    #[track_caller]
    fn reduced(&self, op: &'static str, axes: &Axes) -> Shape {
        let shape = self.dims();
        shape::reduce(&shape, &shape::axes(op, axes, &shape).or_raise())
    }

    #[track_caller]
    fn along(&self, op: &'static str, axis: isize) -> usize {
        shape::axis(op, &self.dims(), axis).or_raise()
    }
}

impl<T: Tensor> Tensor for Partial<T> {
    #[track_caller]
    fn record_rows(
        internal: Internal,
        at: Site,
        shape: &[usize],
        fill: Fill<'_, Self>,
    ) -> (Self, Leaves<Self>) {
        let (rows, rest) = T::record_rows(internal, at, shape, &mut |put| {
            super::control::known(at, fill(&|index, row| put(index, super::control::known_value(at, row))))
        });
        (Self::from_value(rows), super::control::lifted(rest))
    }
    fn shape(&self) -> Shape {
        self.dims()
    }
    #[track_caller]
    fn full(shape: &[usize], value: f64) -> Self {
        Self::from_value(T::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        T::from_elements(shape, elements).map(Self::from_value)
    }
    #[track_caller]
    fn from_mask(mask: &T::Bool) -> Self {
        Self::from_value(T::from_mask(mask))
    }
    #[track_caller]
    fn uniform(shape: &[usize], seed: &T::Int) -> Self {
        Self::from_value(T::uniform(shape, seed))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        let result = shape::reshape(&self.dims(), shape).or_raise();
        let shape = Shape::from_slice(shape);
        self.map(|| result, move |x| x.reshape(&shape))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        let result = shape::permute(&self.dims(), order).or_raise();
        let order = Shape::from_slice(order);
        self.map(|| result, move |x| x.permute(&order))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        let result = shape::broadcast_to(&self.dims(), shape).or_raise();
        let shape = Shape::from_slice(shape);
        self.map(|| result, move |x| x.broadcast_to(&shape))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let result = self.reduced("sum", &axes);
        self.map(|| result, move |x| x.sum(axes.clone()))
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let result = self.reduced("max", &axes);
        self.map(|| result, move |x| x.max(axes.clone()))
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let result = self.reduced("logsumexp", &axes);
        self.map(|| result, move |x| x.logsumexp(axes.clone()))
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> T::Int {
        self.demand("argmax").argmax(axis)
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        let result = shape::matmul(&self.dims(), &rhs.dims()).or_raise();
        self.zip(rhs, || result, |a, b| a.batch_matmul(b))
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let at = At::caller();
        let Some(program) = Program::common(parts.iter().filter_map(Partial::program), at) else {
            let mut known = Vec::with_capacity(parts.len());
            for part in parts {
                known.push(part.demand("concat").clone());
            }
            return operator(at, || Self::from_value(T::concat(&known, axis)));
        };
        let shapes: Vec<Shape> = parts.iter().map(Partial::dims).collect();
        let along = shape::axis("concat", &shapes[0], axis).or_raise();
        let result = shape::concat(shapes.iter().map(|shape| shape.as_slice()), along).or_raise();
        let count = parts.len();
        Self::step(parts.iter().map(Partial::operand).collect(), &program, result, move |args| {
            let parts: Vec<T> = (0..count).map(|_| args.real()).collect();
            T::concat(&parts, axis)
        })
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        let result = shape::slice(&self.dims(), self.along("slice", axis), &range, step).or_raise();
        self.map(|| result, move |x| x.slice_step(axis, range.clone(), step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        let result = shape::pad(&self.dims(), self.along("pad", axis), padding).or_raise();
        self.map(|| result, move |x| x.pad(axis, padding))
    }
    #[track_caller]
    fn host<O: HostOperator>(op: &O, operands: &[&Self]) -> Self {
        let at = At::caller();
        let Some(program) = Program::common(operands.iter().filter_map(|x| x.program()), at) else {
            let known: Vec<T> = operands.iter().map(|x| x.demand(op.name()).clone()).collect();
            return operator(at, || Self::from_value(T::host(op, &known.iter().collect::<Vec<_>>())));
        };
        let shapes: Vec<Shape> = operands.iter().map(|x| x.dims()).collect();
        let result = Call::of(op, &shapes).or_raise().result();
        let (op, count) = (op.clone(), operands.len());
        Self::step(operands.iter().map(|x| x.operand()).collect(), &program, result, move |args| {
            let operands: Vec<T> = (0..count).map(|_| args.real()).collect();
            T::host(&op, &operands.iter().collect::<Vec<_>>())
        })
    }
    #[track_caller]
    fn custom<O: CustomOperator>(op: &O, operands: &[&Self]) -> Self {
        let at = At::caller();
        let Some(program) = Program::common(operands.iter().filter_map(|x| x.program()), at) else {
            let known: Vec<T> = operands.iter().map(|x| x.demand(O::NAME).clone()).collect();
            return operator(at, || Self::from_value(T::custom(op, &known.iter().collect::<Vec<_>>())));
        };
        // Its shape is that of its value, for which there is none but by computing it.
        let tried: Vec<T> = operands.iter().map(|x| T::zeros(&x.dims())).collect();
        let result = op.value(&tried).shape();
        let (op, count) = (op.clone(), operands.len());
        Self::step(operands.iter().map(|x| x.operand()).collect(), &program, result, move |args| {
            let operands: Vec<T> = (0..count).map(|_| args.real()).collect();
            T::custom(&op, &operands.iter().collect::<Vec<_>>())
        })
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        self.along("flip", axis);
        self.alike(move |x| x.flip(axis))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &T::Int) -> Self {
        let result = shape::gather_rows(&self.dims(), &indices.shape()).or_raise();
        self.map_with(Leaf::Int(indices.clone()), || result, |x, i| x.gather_rows(&i.int()))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &T::Int, rows: usize) -> Self {
        let result = shape::scatter_rows(&self.dims(), &indices.shape(), rows).or_raise();
        self.map_with(Leaf::Int(indices.clone()), || result, move |x, i| x.scatter_rows(&i.int(), rows))
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &T::Int, rows: &Self) -> Self {
        let result = shape::write_rows(&self.dims(), axes, &indices.shape(), &rows.dims()).or_raise();
        let at = At::caller();
        let Some(program) = Program::common([&self, rows].into_iter().filter_map(Partial::program), at)
        else {
            let Kind::Known(x) = self.0 else { unreachable!("nothing of it is unknown") };
            let rows = rows.demand(write.name());
            return operator(at, || Self::from_value(x.write_rows(write, axes, indices, rows)));
        };
        let operands = [self.operand(), rows.operand(), Operand::Known(Leaf::Int(indices.clone()))];
        Self::step(operands.into_iter().collect(), &program, result, move |args| {
            let (x, rows) = (args.real(), args.real());
            x.write_rows(write, axes, &args.leaf().int(), &rows)
        })
    }
    #[track_caller]
    fn gather_last(&self, indices: &T::Int) -> Self {
        let result = shape::gather_last(&self.dims(), &indices.shape()).or_raise();
        self.map_with(Leaf::Int(indices.clone()), || result, |x, i| x.gather_last(&i.int()))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &T::Int, n: usize) -> Self {
        let result = shape::scatter_last(&self.dims(), &indices.shape(), n).or_raise();
        self.map_with(Leaf::Int(indices.clone()), || result, move |x, i| x.scatter_last(&i.int(), n))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        let result = shape::conv2d(&self.dims(), &kernel.dims(), window).or_raise();
        self.zip(kernel, || result, move |x, w| x.conv2d(w, window))
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        let result = shape::conv2d_image(&self.dims(), &kernel.dims(), size, window).or_raise();
        self.zip(kernel, || result, move |g, w| g.conv2d_image(w, size, window))
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        let result = shape::conv2d_kernel(&self.dims(), &y_bar.dims(), size, window).or_raise();
        self.zip(y_bar, || result, move |x, g| x.conv2d_kernel(g, size, window))
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        let result = shape::unfold2d(&self.dims(), kernel, window).or_raise();
        self.map(|| result, move |x| x.unfold2d(kernel, window))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        let result = shape::fold2d(&self.dims(), size, kernel, window).or_raise();
        self.map(|| result, move |x| x.fold2d(size, kernel, window))
    }

    fn accumulate_matmul(adjoint: &PartialAdjoint<T>, a: &Self, b: &Self) {
        adjoint.add_in_place(&[a, b], [], T::zeros, |sum, _, args| {
            let a = args.real();
            T::accumulate_matmul(sum, &a, &args.real());
        });
    }
    fn accumulate_slice(
        adjoint: &PartialAdjoint<T>,
        _operand: &Self,
        axis: usize,
        range: Range<usize>,
        step: usize,
        g: Self,
    ) {
        adjoint.add_in_place(&[&g], [], T::zeros, move |sum, operand, args| {
            T::accumulate_slice(sum, operand, axis, range.clone(), step, args.real());
        });
    }
    fn accumulate_rows(adjoint: &PartialAdjoint<T>, _operand: &Self, indices: &T::Int, g: Self) {
        let indices = Operand::Known(Leaf::Int(indices.clone()));
        adjoint.add_in_place(&[&g], [indices], T::zeros, |sum, operand, args| {
            let g = args.real();
            T::accumulate_rows(sum, operand, &args.int(), g);
        });
    }
}
