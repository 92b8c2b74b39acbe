//! [`Recorded`] as arrays: shapes, reductions, products, indexing, windows.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use antiphon_staging::{
    self as staging, Data, Dtype, Elements, ElementsMut, HostFunction, Reduction, Scalar, Type, Update,
};
use smallvec::SmallVec;

use super::{
    Handle, Located, Recorded, RecordedAdjoint, RecordedBool, RecordedInt, emit, recorder, shape_of, value_of,
};
use crate::continuation::unwinding::{OrRaise, blame, operator};
use crate::error::{At, Error, Result};
use crate::finite;
use crate::forward::Dual;
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Fill, Leaves, Site};
use crate::language::custom::{CustomOperator, Hook, assert_linear};
use crate::language::host::{self, HostOperator};
use crate::language::real::Real;
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::tensor::{IntTensor, Tensor};
use crate::memory::collected;
use crate::reverse::Var;
use crate::sealed::Internal;

#[track_caller]
pub(super) fn slice(x: Handle, axis: isize, range: Range<usize>, step: usize) -> Handle {
    let shape = shape_of(x);
    let axis = shape::axis("slice", &shape, axis).or_raise();
    shape::slice(&shape, axis, &range, step).or_raise();
    let step = shape::shorter_step(&range, step);
    emit(staging::Expr::Slice { x: value_of(x), axis, start: range.start, end: range.end, step })
}

/// What compiled code has the host compute.
fn run<O: HostOperator>(
    call: &host::Call,
    operator: &O,
    operands: &[Elements<'_>],
    result: ElementsMut<'_>,
) -> std::result::Result<(), String> {
    macro_rules! all {
        ($Kind:ident) => {
            operands
                .iter()
                .map(|x| if let Elements::$Kind(x) = x { Some(*x) } else { None })
                .collect::<Option<SmallVec<[_; 4]>>>()
        };
    }
    let found = match result {
        ElementsMut::F32(y) => all!(F32).map(|x| call.run(operator, &x, y)),
        ElementsMut::F64(y) => all!(F64).map(|x| call.run(operator, &x, y)),
        ElementsMut::I64(_) | ElementsMut::Bool(_) => None,
    };
    found.expect("recorded arrays of reals are all of one type")
}

/// An operator of the host, or one with a rule of the user's, that is written again over other interpretations.
pub(super) trait Again {
    fn recorded(&self, operands: &[&Recorded]) -> Recorded;
    fn dual(&self, operands: &[&Dual<Recorded>]) -> Dual<Recorded>;
    fn variable<'r>(&self, operands: &[&Var<'r, Recorded>]) -> Var<'r, Recorded>;
}

impl<O: HostOperator> Again for O {
    fn recorded(&self, operands: &[&Recorded]) -> Recorded {
        Tensor::host(self, operands)
    }
    fn dual(&self, operands: &[&Dual<Recorded>]) -> Dual<Recorded> {
        Tensor::host(self, operands)
    }
    fn variable<'r>(&self, operands: &[&Var<'r, Recorded>]) -> Var<'r, Recorded> {
        Tensor::host(self, operands)
    }
}

/// A function with a derivative of its own.
struct CustomAgain<O>(O);

/// A hook, of its one operand.
pub(super) struct HookAgain<H>(pub(super) H);

impl<O: CustomOperator> Again for CustomAgain<O> {
    fn recorded(&self, operands: &[&Recorded]) -> Recorded {
        Tensor::custom(&self.0, operands)
    }
    fn dual(&self, operands: &[&Dual<Recorded>]) -> Dual<Recorded> {
        assert_linear(O::NAME, O::LINEAR);
        Tensor::custom(&self.0, operands)
    }
    fn variable<'r>(&self, operands: &[&Var<'r, Recorded>]) -> Var<'r, Recorded> {
        Tensor::custom(&self.0, operands)
    }
}

impl<H: Hook> Again for HookAgain<H> {
    fn recorded(&self, operands: &[&Recorded]) -> Recorded {
        operands[0].hook(&self.0)
    }
    fn dual(&self, operands: &[&Dual<Recorded>]) -> Dual<Recorded> {
        assert_linear("hook", H::LINEAR);
        operands[0].clone().hook(&self.0)
    }
    fn variable<'r>(&self, operands: &[&Var<'r, Recorded>]) -> Var<'r, Recorded> {
        operands[0].clone().hook(&self.0)
    }
}

/// A constant array, of as many elements as its shape has.
#[track_caller]
pub(super) fn array_constant(shape: &[usize], len: usize, elements: impl Into<Data>) -> Result<Handle> {
    shape::from_elements(shape, len)?;
    match staging::ConcreteTensor::new(shape, elements) {
        Some(tensor) => Ok(emit(staging::Expr::Array(Arc::new(tensor)))),
        None => {
            let at = At::caller();
            Err(Error::Shape { op: "from_elements", lhs: vec![len], rhs: shape.to_vec(), at })
        }
    }
}

impl Recorded {
    #[track_caller]
    fn reduce(&self, name: &'static str, op: Reduction, axes: Axes) -> Self {
        let shape = shape_of(self.0);
        let axes = shape::axes(name, &axes, &shape).or_raise();
        if op == Reduction::Max {
            shape::reduce_nonempty(name, &shape, &axes).or_raise();
        }
        Recorded(emit(staging::Expr::Reduce(op, value_of(self.0), axes)))
    }
}
impl Tensor for Recorded {
    #[track_caller]
    fn shape(&self) -> Shape {
        shape_of(self.0)
    }
    #[track_caller]
    fn full(shape: &[usize], value: f64) -> Self {
        shape::elements("full", shape).or_raise();
        let value = Scalar::of(recorder().dtype, value);
        Recorded(emit(staging::Expr::Fill { value, shape: shape.into() }))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        let recorded = match recorder().dtype {
            Dtype::F32 => {
                let elements = collected(elements.iter().map(|&x| x as f32));
                array_constant(shape, elements.len(), elements)?
            }
            _ => array_constant(shape, elements.len(), elements.to_vec())?,
        };
        Ok(Recorded(recorded))
    }
    #[track_caller]
    fn from_mask(mask: &RecordedBool) -> Self {
        Recorded(emit(staging::Expr::Convert(value_of(mask.0), recorder().dtype)))
    }
    #[track_caller]
    fn uniform(shape: &[usize], seed: &RecordedInt) -> Self {
        shape::uniform(shape, &seed.shape()).or_raise();
        // A single integer, of whatever rank.
        let seed = if seed.shape().is_empty() { *seed } else { seed.reshape(&[]) };
        let (seed, dtype) = (value_of(seed.0), recorder().dtype);
        Recorded(emit(staging::Expr::Uniform { seed, dtype, shape: shape.into() }))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&self.shape(), shape).or_raise();
        Recorded(emit(staging::Expr::Reshape(value_of(self.0), shape.into())))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        shape::permute(&self.shape(), order).or_raise();
        Recorded(emit(staging::Expr::Permute(value_of(self.0), order.into())))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        shape::broadcast_to(&self.shape(), shape).or_raise();
        Recorded(emit(staging::Expr::Broadcast(value_of(self.0), shape.into())))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("sum", Reduction::Sum, axes.into())
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("max", Reduction::Max, axes.into())
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        self.reduce("logsumexp", Reduction::LogSumExp, axes.into())
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> RecordedInt {
        let shape = self.shape();
        let axis = shape::axis("argmax", &shape, axis).or_raise();
        shape::reduce_nonempty("argmax", &shape, &[axis]).or_raise();
        RecordedInt(emit(staging::Expr::Argmax(value_of(self.0), axis)))
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        shape::matmul(&self.shape(), &rhs.shape()).or_raise();
        Recorded(emit(staging::Expr::Matmul(value_of(self.0), value_of(rhs.0))))
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let mut shapes: Vec<Shape> = Vec::with_capacity(parts.len());
        for part in parts {
            shapes.push(part.shape());
        }
        // No closures here: they would not know their caller.
        let along = match shapes.first() {
            Some(first) => shape::axis("concat", first, axis).or_raise(),
            None => 0,
        };
        shape::concat(shapes.iter().map(|shape| shape.as_slice()), along).or_raise();
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            values.push(value_of(part.0));
        }
        Recorded(emit(staging::Expr::Concat(values, along)))
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        Recorded(slice(self.0, axis, range, step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        let shape = self.shape();
        let axis = shape::axis("pad", &shape, axis).or_raise();
        shape::pad(&shape, axis, padding).or_raise();
        // Between no neighbours any number of zeros is none.
        let interior = if shape[axis] > 1 { padding.interior } else { 0 };
        let padding = Padding { interior, ..padding };
        Recorded(emit(staging::Expr::Pad { x: value_of(self.0), axis, padding }))
    }
    #[track_caller]
    fn host<O: HostOperator>(operator: &O, operands: &[&Self]) -> Self {
        let call = host::Call::of(operator, &host::shapes(operands)).or_raise();
        let recorder = recorder();
        let at = blame(At::caller());
        recorder.at(at);
        let result = Type { dtype: recorder.dtype, shape: call.result() };
        let operator = operator.clone();
        let again: Rc<dyn Again> = Rc::new(operator.clone());
        let function = HostFunction {
            name: operator.name(),
            version: O::VERSION,
            identity: host::identity(&operator),
            acts: O::ACTS,
            code: Arc::new(move |operands, result| run(&call, &operator, operands, result)),
        };
        let values: Vec<_> = operands.iter().map(|x| recorder.value_of(x.0)).collect();
        let (y, host) = recorder.builder.host(&function, &values, result, at.location()).located().or_raise();
        recorder.hosts.borrow_mut().entry(host).or_insert(again);
        Recorded(recorder.wrap(y))
    }
    #[track_caller]
    fn custom<O: CustomOperator>(operator: &O, operands: &[&Self]) -> Self {
        let owned: Vec<Self> = operands.iter().map(|&&x| x).collect();
        let y = operator.value(&owned);
        recorder().with_rule(y, operands, || Rc::new(CustomAgain(operator.clone())))
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        let axis = shape::axis("flip", &self.shape(), axis).or_raise();
        Recorded(emit(staging::Expr::Flip(value_of(self.0), axis)))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &RecordedInt) -> Self {
        shape::gather_rows(&self.shape(), &indices.shape()).or_raise();
        Recorded(emit(staging::Expr::GatherRows { x: value_of(self.0), indices: value_of(indices.0) }))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &RecordedInt, rows: usize) -> Self {
        shape::scatter_rows(&self.shape(), &indices.shape(), rows).or_raise();
        Recorded(emit(staging::Expr::ScatterRows { x: value_of(self.0), indices: value_of(indices.0), rows }))
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &RecordedInt, rows: &Self) -> Self {
        shape::write_rows(&self.shape(), axes, &indices.shape(), &rows.shape()).or_raise();
        let (x, indices, rows) = (value_of(self.0), value_of(indices.0), value_of(rows.0));
        Recorded(emit(staging::Expr::WriteRows { x, indices, rows, axes, add: write == Write::Add }))
    }
    #[track_caller]
    fn gather_last(&self, indices: &RecordedInt) -> Self {
        shape::gather_last(&self.shape(), &indices.shape()).or_raise();
        Recorded(emit(staging::Expr::GatherLast { x: value_of(self.0), indices: value_of(indices.0) }))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &RecordedInt, n: usize) -> Self {
        shape::scatter_last(&self.shape(), &indices.shape(), n).or_raise();
        Recorded(emit(staging::Expr::ScatterLast {
            x: value_of(self.0),
            indices: value_of(indices.0),
            length: n,
        }))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        shape::conv2d(&self.shape(), &kernel.shape(), window).or_raise();
        let (image, kernel, window) = (value_of(self.0), value_of(kernel.0), shortened(window));
        Recorded(emit(staging::Expr::Conv2d { image, kernel, window }))
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        shape::conv2d_image(&self.shape(), &kernel.shape(), size, window).or_raise();
        let (y_bar, kernel, window) = (value_of(self.0), value_of(kernel.0), shortened(window));
        Recorded(emit(staging::Expr::Conv2dImage { y_bar, kernel, size, window }))
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        shape::conv2d_kernel(&self.shape(), &y_bar.shape(), size, window).or_raise();
        let (image, y_bar, window) = (value_of(self.0), value_of(y_bar.0), shortened(window));
        Recorded(emit(staging::Expr::Conv2dKernel { image, y_bar, size, window }))
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        shape::unfold2d(&self.shape(), kernel, window).or_raise();
        Recorded(emit(staging::Expr::Unfold2d { image: value_of(self.0), kernel, window: shortened(window) }))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        shape::fold2d(&self.shape(), size, kernel, window).or_raise();
        Recorded(emit(staging::Expr::Fold2d { x: value_of(self.0), size, kernel, window: shortened(window) }))
    }

    fn accumulate_matmul(adjoint: &RecordedAdjoint, a: &Self, b: &Self) {
        // What a cell adds up is looked at one by one.
        if finite::looks() {
            return Self::accumulate(adjoint, a.batch_matmul(b));
        }
        adjoint.update(|recorder| Update::Matmul(recorder.value_of(a.0), recorder.value_of(b.0)));
    }
    fn accumulate_slice(
        adjoint: &RecordedAdjoint,
        _operand: &Self,
        axis: usize,
        range: Range<usize>,
        step: usize,
        g: Self,
    ) {
        let count = g.shape()[axis];
        let step = shape::shorter_step(&range, step);
        let g = g.0;
        adjoint.update(|recorder| Update::Slice {
            axis,
            start: range.start,
            step,
            count,
            g: recorder.value_of(g),
        });
    }
    #[track_caller]
    fn record_rows(_: Internal, site: Site, shape: &[usize], fill: Fill<'_, Self>) -> (Self, Leaves<Self>) {
        // An accumulator that each row is added to once. −0 is what every number can be added to without a change.
        let zeros = operator(site.at, || Self::full(shape, -0.0));
        let recorder = recorder();
        let (builder, at) = (&recorder.builder, site.at);
        let rows = builder.cell(Type::new(recorder.dtype, shape));
        builder.name_cell(rows, "ys_rows");
        recorder.regions.rows.borrow_mut().insert(rows);
        builder.accumulate(rows, value_of(zeros.0)).located().or_raise();
        let rest = fill(&|index, row| {
            let update = Update::Rows { indices: recorder.value_of(index.0), g: recorder.value_of(row.0) };
            builder.update(rows, update).located().or_raise();
        });
        recorder.at(at);
        let ys = builder.take(rows);
        builder.name(ys, "ys");
        (Recorded(recorder.wrap(ys)), rest)
    }
    fn with_adjoint_row(adjoint: &RecordedAdjoint, index: &RecordedInt, pull: impl FnOnce(Self)) {
        adjoint.pull_row(*index, pull);
    }
    fn adjoint_row(adjoint: &RecordedAdjoint, index: &RecordedInt) -> Self {
        adjoint.row(*index)
    }
    fn open_adjoint(shape: &[usize]) -> RecordedAdjoint {
        let recorder = recorder();
        RecordedAdjoint::open(&recorder, Type::new(recorder.dtype, shape))
    }
    fn accumulate_parts(
        adjoint: &RecordedAdjoint,
        _operand: &Self,
        axes: usize,
        indices: &RecordedInt,
        g: Self,
    ) {
        adjoint.update(|recorder| Update::Write {
            indices: recorder.value_of(indices.0),
            g: recorder.value_of(g.0),
            axes,
            add: true,
        });
    }
    fn accumulate_rows(adjoint: &RecordedAdjoint, _operand: &Self, indices: &RecordedInt, g: Self) {
        adjoint.update(|recorder| Update::Rows {
            indices: recorder.value_of(indices.0),
            g: recorder.value_of(g.0),
        });
    }
}

/// A stride that is longer than any image is one window.
fn shortened(window: Window2d) -> Window2d {
    Window2d { stride: window.stride.map(|n| n.min(shape::LARGEST)), ..window }
}
