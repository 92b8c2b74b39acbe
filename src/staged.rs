//! Staging: [`Expr`], the interpretation that records a model instead of running it.
//!
//! Running a model once with `Expr` writes a [`Program`]. The derivative rules run as usual, over `Expr`, so what is
//! recorded of `grad` is already the forward and the backward pass, interleaved.

mod adjoint;
mod control;
mod plain;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::{Add, Div, Mul, Neg, Range, Sub};
use std::rc::Rc;
use std::sync::Arc;

use antiphon_staging::{
    self as staging, Binary, Block, Builder, Comparison, Data, Dtype, Program, Reduction, Scalar, Unary,
    Update, Value,
};

pub use adjoint::ExprAdjoint;
pub use plain::Plain;
pub(crate) use plain::{from_tensor, to_tensor, zeros};

use crate::error::{At, Error, OrRaise, Result, catch, raise};
use crate::params::Path;
use crate::real::{Int, Mask, Real};
use crate::recorded::leaves;
use crate::shape::{self, Axes, Padding, Shape, Window2d};
use crate::stack;
use crate::state::{Leaf, State};
use crate::structure::Structure;
use crate::tensor::{IntTensor, MaskTensor, Tensor};

/// A real number or array of a program that is being recorded.
#[derive(Clone, Copy)]
pub struct Expr(Recorded);

/// An integer or array of integers of a program that is being recorded.
#[derive(Clone, Copy)]
pub struct IntExpr(Recorded);

/// A truth value or array of them of a program that is being recorded.
#[derive(Clone, Copy)]
pub struct BoolExpr(Recorded);

/// A value and the recording that it belongs to.
#[derive(Clone, Copy)]
struct Recorded {
    value: Value,
    recording: u64,
}

struct Recorder {
    id: u64,
    dtype: Dtype,
    builder: Builder,
    /// The blocks that may or may not run when what encloses them does.
    conditional: RefCell<HashSet<Block>>,
}

thread_local! {
    /// The recordings under way, the innermost last.
    static RECORDERS: RefCell<Vec<Rc<Recorder>>> = const { RefCell::new(Vec::new()) };
    static RECORDINGS: Cell<u64> = const { Cell::new(0) };
}

fn recorder() -> Rc<Recorder> {
    RECORDERS.with_borrow(|stack| stack.last().cloned()).unwrap_or_else(|| misplaced())
}

#[track_caller]
fn misplaced() -> ! {
    let reason = "a recorded value was used outside of the recording that it belongs to";
    raise(Error::OutsideReset { reason, at: At::caller() })
}

impl Recorder {
    /// The value, if it is of this recording.
    #[track_caller]
    fn own(&self, x: Recorded) -> Value {
        if x.recording == self.id { x.value } else { misplaced() }
    }

    /// Begins a block that may or may not run.
    fn begin_arm(&self) {
        self.builder.begin();
        self.conditional.borrow_mut().insert(self.here());
    }

    /// The innermost open block.
    fn here(&self) -> Block {
        *self.builder.open().last().expect("the program's body is open until it is finished")
    }

    fn wrap(&self, value: Value) -> Recorded {
        Recorded { value, recording: self.id }
    }

    #[track_caller]
    fn emit(&self, expr: staging::Expr) -> Recorded {
        let at = At::caller();
        match self.builder.emit(expr) {
            Ok(value) => self.wrap(value),
            Err(error) => raise(Error::Recording { reason: error.to_string(), at }),
        }
    }
}

/// Records `f` as a program of the components of `example`, whose values are of no account.
///
/// ```
/// use antiphon::{NdArray, Real, grad, staged};
/// let cube = |x: staged::Expr| grad(|y| y.clone() * &y * &y, &x).unwrap();
/// let mut program = staged::record("slope", cube, &NdArray::scalar(2.0f64))?;
/// staged::optimise(&mut program, &Default::default());
/// assert_eq!(staged::interpret(&program, &NdArray::scalar(2.0f64))?, [NdArray::scalar(12.0)]);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What `f` raises: shapes that do not fit are found while recording, with the user's line.
#[track_caller]
pub fn record<T, P, Q>(name: &str, f: impl FnOnce(P::With<Expr>) -> Q, example: &P) -> Result<Program>
where
    T: Plain,
    P: Structure<T>,
    Q: State<Expr>,
{
    trace(name, f, example).map(|(program, _)| program)
}

/// [`record`]; also the result, for its structure.
#[track_caller]
pub(crate) fn trace<T, P, Q>(
    name: &str,
    f: impl FnOnce(P::With<Expr>) -> Q,
    example: &P,
) -> Result<(Program, Q)>
where
    T: Plain,
    P: Structure<T>,
    Q: State<Expr>,
{
    let at = At::caller();
    RECORDINGS.set(RECORDINGS.get() + 1);
    let recorder = Rc::new(Recorder {
        id: RECORDINGS.get(),
        dtype: T::DTYPE,
        builder: Builder::new(name),
        conditional: RefCell::default(),
    });
    let (result, outputs) = catch(|| -> Result<_> {
        let _recording = Recording::begin(Rc::clone(&recorder));
        stack::on_reserved(|| {
            let mut input = |path: &Path, leaf: Leaf<T>| {
                let path = path.to_string();
                let name = if path.is_empty() { "x" } else { &path };
                let input = recorder.wrap(recorder.builder.input(name, T::ty(&leaf)));
                match leaf {
                    Leaf::Real(_) => Leaf::Real(Expr(input)),
                    Leaf::Int(_) => Leaf::Int(IntExpr(input)),
                    Leaf::Bool(_) => Leaf::Bool(BoolExpr(input)),
                }
            };
            let result = f(example.map_components(&mut Path::default(), &mut input));
            let outputs = recorder.values(&leaves(&result));
            Ok((result, outputs))
        })
    })?;
    let recorder = Rc::into_inner(recorder).expect("no recorded value holds on to its recorder");
    let program = recorder.builder.finish(&outputs);
    Ok((program.map_err(|error| Error::Recording { reason: error.to_string(), at })?, result))
}

/// Makes a recorder the innermost one, until dropped.
struct Recording;

impl Recording {
    fn begin(recorder: Rc<Recorder>) -> Recording {
        RECORDERS.with_borrow_mut(|stack| stack.push(recorder));
        Recording
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDERS.with_borrow_mut(|stack| stack.pop());
    }
}

#[track_caller]
pub(crate) fn recording_error(error: staging::Error) -> Error {
    Error::Recording { reason: error.to_string(), at: At::caller() }
}

pub use antiphon_staging::{Options, optimise};

/// Runs a recorded program in the reference interpreter: slow and obvious. Returns its results in order.
///
/// # Errors
/// [`Error::Recording`] if `inputs` do not have the shapes that the program was recorded for, an index is out of
/// range, or a result is not real: [`interpret_components`] gives those of other kinds.
#[track_caller]
pub fn interpret<T: Plain>(program: &Program, inputs: &impl Structure<T>) -> Result<Vec<T>> {
    let at = At::caller();
    let real = |leaf| match leaf {
        Leaf::Real(x) => Ok(x),
        Leaf::Int(_) | Leaf::Bool(_) => {
            Err(Error::Recording { reason: "a result of the program is not real".into(), at })
        }
    };
    interpret_components(program, inputs)?.into_iter().map(real).collect()
}

/// [`interpret`] for results of any kind.
///
/// # Errors
/// [`Error::Recording`] if `inputs` do not have the shapes that the program was recorded for, or an index is out of
/// range.
#[track_caller]
pub fn interpret_components<T: Plain>(program: &Program, inputs: &impl Structure<T>) -> Result<Vec<Leaf<T>>> {
    let inputs: Vec<staging::Tensor> = leaves(inputs).into_iter().map(to_tensor).collect();
    let outputs = staging::interpret(program, &inputs).map_err(recording_error)?;
    outputs.iter().map(from_tensor).collect()
}

/// Names of the components of a structure; a single one is `x`.
pub(crate) fn leaf_names<T: Plain>(structure: &impl Structure<T>) -> Vec<String> {
    let mut names = Vec::new();
    structure.map_components::<T>(&mut Path::default(), &mut |path, leaf| {
        names.push(path.to_string());
        leaf
    });
    names
}

/// That components have the types of a program's inputs.
#[track_caller]
pub(crate) fn same_types<T: Plain>(
    names: &[String],
    expected: &[staging::Type],
    found: &[Leaf<T>],
) -> Result<()> {
    let at = At::caller();
    if found.len() != expected.len() {
        let reason = format!("{} components, but the example has {}", found.len(), expected.len());
        return Err(Error::Recording { reason, at });
    }
    for ((name, expected), found) in names.iter().zip(expected).zip(found) {
        let found = T::ty(found);
        if found != *expected {
            let name = if name.is_empty() { "the input" } else { name };
            let reason = format!("{name} is {found}, but it was {expected} in the example");
            return Err(Error::Recording { reason, at });
        }
    }
    Ok(())
}

/// Appends an operator to the recording under way.
#[track_caller]
fn put(expr: staging::Expr) -> Recorded {
    recorder().emit(expr)
}

/// The value, if it is of the recording under way.
#[track_caller]
fn own(x: Recorded) -> Value {
    recorder().own(x)
}

fn shape_of(x: Recorded) -> Shape {
    let recorder = recorder();
    recorder.builder.ty(recorder.own(x)).shape
}

macro_rules! operators {
    ($($Trait:ident $name:ident $Wrapper:ident;)*) => { $(
        impl $Trait for $Wrapper {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                shape::broadcast(stringify!($name), &shape_of(self.0), &shape_of(rhs.0)).or_raise();
                $Wrapper(put(staging::Expr::Binary(Binary::$Trait, own(self.0), own(rhs.0))))
            }
        }
        impl $Trait<&$Wrapper> for $Wrapper {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                $Trait::$name(self, *rhs)
            }
        }
    )* };
}
operators! {
    Add add Expr; Sub sub Expr; Mul mul Expr; Div div Expr;
    Add add IntExpr; Sub sub IntExpr; Mul mul IntExpr;
}

macro_rules! number_operators {
    ($($Trait:ident $name:ident;)*) => { $(
        impl $Trait<f64> for Expr {
            type Output = Self;
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, Expr::constant(rhs))
            }
        }
    )* };
}
number_operators! { Add add; Sub sub; Mul mul; Div div; }

impl Neg for Expr {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}

impl Mask for BoolExpr {
    #[track_caller]
    fn and(&self, other: &Self) -> Self {
        BoolExpr(put(staging::Expr::Binary(Binary::And, own(self.0), own(other.0))))
    }
    #[track_caller]
    fn or(&self, other: &Self) -> Self {
        BoolExpr(put(staging::Expr::Binary(Binary::Or, own(self.0), own(other.0))))
    }
    fn not(&self) -> Self {
        BoolExpr(put(staging::Expr::Unary(Unary::Not, own(self.0))))
    }
    fn known(&self) -> Option<bool> {
        None
    }
}

impl MaskTensor for BoolExpr {
    fn shape(&self) -> Shape {
        shape_of(self.0)
    }
}

impl IntExpr {
    #[track_caller]
    fn compare(&self, op: Comparison, other: &Self) -> BoolExpr {
        BoolExpr(put(staging::Expr::Compare(op, own(self.0), own(other.0))))
    }
}

impl Int for IntExpr {
    type Bool = BoolExpr;
    fn constant(value: i64) -> Self {
        IntExpr(put(staging::Expr::literal(Scalar::I64(value))))
    }
    #[track_caller]
    fn less(&self, other: &Self) -> BoolExpr {
        self.compare(Comparison::Less, other)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> BoolExpr {
        self.compare(Comparison::Equal, other)
    }
    fn known(&self) -> Option<i64> {
        None
    }
}

impl IntTensor for IntExpr {
    fn shape(&self) -> Shape {
        shape_of(self.0)
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[i64]) -> Result<Self> {
        Ok(IntExpr(array_constant(shape, elements.len(), elements.to_vec())?))
    }
    fn elements(&self) -> Option<Vec<i64>> {
        None
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&shape_of(self.0), shape).or_raise();
        IntExpr(put(staging::Expr::Reshape(own(self.0), shape.into())))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &Self) -> Self {
        shape::gather_rows(&shape_of(self.0), &shape_of(indices.0)).or_raise();
        IntExpr(put(staging::Expr::GatherRows { x: own(self.0), indices: own(indices.0) }))
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        IntExpr(slice(self.0, axis, range, 1))
    }
}

#[track_caller]
fn slice(x: Recorded, axis: isize, range: Range<usize>, step: usize) -> Recorded {
    let shape = shape_of(x);
    let axis = shape::axis("slice", &shape, axis).or_raise();
    shape::slice(&shape, axis, &range, step).or_raise();
    put(staging::Expr::Slice { x: own(x), axis, start: range.start, end: range.end, step })
}

/// A constant array, of as many elements as its shape has.
#[track_caller]
fn array_constant(shape: &[usize], len: usize, elements: impl Into<Data>) -> Result<Recorded> {
    match staging::Tensor::new(shape, elements) {
        Some(tensor) => Ok(put(staging::Expr::Array(Arc::new(tensor)))),
        None => {
            let at = At::caller();
            Err(Error::Shape { op: "from_elements", lhs: vec![len], rhs: shape.to_vec(), at })
        }
    }
}

crate::state::index_state! { IntExpr, BoolExpr; }

impl Expr {
    #[track_caller]
    fn unary(&self, op: Unary) -> Self {
        Expr(put(staging::Expr::Unary(op, own(self.0))))
    }
    #[track_caller]
    fn binary(&self, op: Binary, other: &Self) -> Self {
        shape::broadcast(op.name(), &shape_of(self.0), &shape_of(other.0)).or_raise();
        Expr(put(staging::Expr::Binary(op, own(self.0), own(other.0))))
    }
    #[track_caller]
    fn compare(&self, op: Comparison, other: &Self) -> BoolExpr {
        shape::broadcast(op.name(), &shape_of(self.0), &shape_of(other.0)).or_raise();
        BoolExpr(put(staging::Expr::Compare(op, own(self.0), own(other.0))))
    }
    #[track_caller]
    fn reduce(&self, name: &'static str, op: Reduction, axes: Axes) -> Self {
        let shape = shape_of(self.0);
        let axes = axes.resolve(name, &shape).or_raise();
        if op == Reduction::Max {
            shape::reduce_nonempty(name, &shape, &axes).or_raise();
        }
        Expr(put(staging::Expr::Reduce(op, own(self.0), axes)))
    }
}

macro_rules! unary_methods {
    ($($name:ident $Op:ident;)*) => { $(
        #[track_caller]
        fn $name(&self) -> Self {
            self.unary(Unary::$Op)
        }
    )* };
}

impl Real for Expr {
    type Bool = BoolExpr;
    type Int = IntExpr;
    type Adjoint = ExprAdjoint;

    fn constant(value: f64) -> Self {
        let recorder = recorder();
        Expr(recorder.wrap(recorder.builder.real(recorder.dtype, value)))
    }
    fn detach(&self) -> Self {
        *self
    }
    fn adjoint(&self) -> ExprAdjoint {
        ExprAdjoint::empty(&recorder(), *self)
    }
    fn accumulate(adjoint: &ExprAdjoint, g: Self) {
        adjoint.update(|recorder| Update::Add(recorder.own(g.0)));
    }
    fn accumulate_all(adjoint: &ExprAdjoint, from: ExprAdjoint) {
        adjoint.absorb(from);
    }
    fn take_adjoint(adjoint: &ExprAdjoint) -> Option<Self> {
        adjoint.take()
    }
    fn with_adjoint(adjoint: &ExprAdjoint, pull: impl FnOnce(Self)) {
        adjoint.pull(pull);
    }
    fn place() -> usize {
        recorder().builder.depth()
    }
    fn leave_for(self, place: usize) -> ExprAdjoint {
        ExprAdjoint::left_for(&recorder(), self, place)
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        shape::broadcast(op, &lhs.shape(), &rhs.shape()).map(drop)
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        a.shape() == b.shape()
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        shape::scalar(op, &self.shape())
    }
    #[track_caller]
    fn broadcast_like(&self, like: &Self) -> Self {
        if Self::same_shape(self, like) { *self } else { self.broadcast_to(&like.shape()) }
    }
    fn unbroadcast(self, like: &Self) -> Self {
        let (from, to) = (self.shape(), like.shape());
        if from == to {
            return self;
        }
        self.sum(shape::repeated_axes(&from, &to).as_slice()).reshape(&to)
    }
    fn full_like(&self, value: f64) -> Self {
        Self::full(&self.shape(), value)
    }

    unary_methods! {
        recip Recip; abs Abs; sign Sign; exp Exp; expm1 Expm1; log Log; log1p Log1p; sqrt Sqrt; sin Sin; cos Cos;
        tan Tan; tanh Tanh; sigmoid Sigmoid; softplus Softplus; relu Relu; erf Erf;
    }
    fn powi(&self, n: i32) -> Self {
        Expr(put(staging::Expr::Powi(own(self.0), n)))
    }
    fn clamp(&self, low: f64, high: f64) -> Self {
        let [low, high] = [low, high].map(|x| Scalar::of(recorder().dtype, x));
        Expr(put(staging::Expr::Clamp { x: own(self.0), low, high }))
    }
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self {
        self.binary(Binary::Pow, exponent)
    }
    #[track_caller]
    fn maximum(&self, other: &Self) -> Self {
        self.binary(Binary::Maximum, other)
    }
    #[track_caller]
    fn minimum(&self, other: &Self) -> Self {
        self.binary(Binary::Minimum, other)
    }
    #[track_caller]
    fn less(&self, other: &Self) -> BoolExpr {
        self.compare(Comparison::Less, other)
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> BoolExpr {
        self.compare(Comparison::LessEqual, other)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> BoolExpr {
        self.compare(Comparison::Equal, other)
    }
    #[track_caller]
    fn select(mask: &BoolExpr, then: &Self, otherwise: &Self) -> Self {
        let values = shape::broadcast("select", &then.shape(), &otherwise.shape()).or_raise();
        shape::broadcast("select", &mask.shape(), &values).or_raise();
        let (mask, then, otherwise) = (own(mask.0), own(then.0), own(otherwise.0));
        Expr(put(staging::Expr::Select { mask, then, otherwise }))
    }
    fn from_int(value: &IntExpr) -> Self {
        Expr(put(staging::Expr::Convert(own(value.0), recorder().dtype)))
    }
}

impl Tensor for Expr {
    fn shape(&self) -> Shape {
        shape_of(self.0)
    }
    fn full(shape: &[usize], value: f64) -> Self {
        let value = Scalar::of(recorder().dtype, value);
        Expr(put(staging::Expr::Fill { value, shape: shape.into() }))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        let recorded = match recorder().dtype {
            Dtype::F32 => {
                let elements: Vec<f32> = elements.iter().map(|&x| x as f32).collect();
                array_constant(shape, elements.len(), elements)?
            }
            _ => array_constant(shape, elements.len(), elements.to_vec())?,
        };
        Ok(Expr(recorded))
    }
    fn from_mask(mask: &BoolExpr) -> Self {
        Expr(put(staging::Expr::Convert(own(mask.0), recorder().dtype)))
    }
    fn uniform(shape: &[usize], seed: &IntExpr) -> Self {
        let (seed, dtype) = (own(seed.0), recorder().dtype);
        Expr(put(staging::Expr::Uniform { seed, dtype, shape: shape.into() }))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&self.shape(), shape).or_raise();
        Expr(put(staging::Expr::Reshape(own(self.0), shape.into())))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        shape::permute(&self.shape(), order).or_raise();
        Expr(put(staging::Expr::Permute(own(self.0), order.into())))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        shape::broadcast_to(&self.shape(), shape).or_raise();
        Expr(put(staging::Expr::Broadcast(own(self.0), shape.into())))
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
    fn argmax(&self, axis: isize) -> IntExpr {
        let shape = self.shape();
        let axis = shape::axis("argmax", &shape, axis).or_raise();
        shape::reduce_nonempty("argmax", &shape, &[axis]).or_raise();
        IntExpr(put(staging::Expr::Argmax(own(self.0), axis)))
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        shape::matmul(&self.shape(), &rhs.shape()).or_raise();
        Expr(put(staging::Expr::Matmul(own(self.0), own(rhs.0))))
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let shapes: Vec<Shape> = parts.iter().map(Tensor::shape).collect();
        let along = shapes.first().map_or(0, |first| shape::axis("concat", first, axis).or_raise());
        shape::concat(shapes.iter().map(|shape| shape.as_slice()), along).or_raise();
        let parts = parts.iter().map(|part| own(part.0)).collect();
        Expr(put(staging::Expr::Concat(parts, along)))
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        Expr(slice(self.0, axis, range, step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        let axis = shape::axis("pad", &self.shape(), axis).or_raise();
        let Padding { before, after, interior } = padding;
        let padding = staging::Padding { before, after, interior };
        Expr(put(staging::Expr::Pad { x: own(self.0), axis, padding }))
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        let axis = shape::axis("flip", &self.shape(), axis).or_raise();
        Expr(put(staging::Expr::Flip(own(self.0), axis)))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &IntExpr) -> Self {
        shape::gather_rows(&self.shape(), &indices.shape()).or_raise();
        Expr(put(staging::Expr::GatherRows { x: own(self.0), indices: own(indices.0) }))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &IntExpr, rows: usize) -> Self {
        shape::scatter_rows(&self.shape(), &indices.shape(), rows).or_raise();
        Expr(put(staging::Expr::ScatterRows { x: own(self.0), indices: own(indices.0), rows }))
    }
    #[track_caller]
    fn gather_last(&self, indices: &IntExpr) -> Self {
        shape::gather_last(&self.shape(), &indices.shape()).or_raise();
        Expr(put(staging::Expr::GatherLast { x: own(self.0), indices: own(indices.0) }))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &IntExpr, n: usize) -> Self {
        shape::scatter_last(&self.shape(), &indices.shape(), n).or_raise();
        Expr(put(staging::Expr::ScatterLast { x: own(self.0), indices: own(indices.0), length: n }))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        shape::conv2d(&self.shape(), &kernel.shape(), window).or_raise();
        let (image, kernel, window) = (own(self.0), own(kernel.0), to_window(window));
        Expr(put(staging::Expr::Conv2d { image, kernel, window }))
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        let (y_bar, kernel, window) = (own(self.0), own(kernel.0), to_window(window));
        Expr(put(staging::Expr::Conv2dImage { y_bar, kernel, size, window }))
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        let (image, y_bar, window) = (own(self.0), own(y_bar.0), to_window(window));
        Expr(put(staging::Expr::Conv2dKernel { image, y_bar, size, window }))
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        shape::unfold2d(&self.shape(), kernel, window).or_raise();
        Expr(put(staging::Expr::Unfold2d { image: own(self.0), kernel, window: to_window(window) }))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        Expr(put(staging::Expr::Fold2d { x: own(self.0), size, kernel, window: to_window(window) }))
    }

    fn accumulate_matmul(adjoint: &ExprAdjoint, a: &Self, b: &Self) {
        adjoint.update(|recorder| Update::Matmul(recorder.own(a.0), recorder.own(b.0)));
    }
    fn accumulate_slice(
        adjoint: &ExprAdjoint,
        _operand: &Self,
        axis: usize,
        range: Range<usize>,
        step: usize,
        g: Self,
    ) {
        let count = g.shape()[axis];
        let g = g.0;
        adjoint.update(|recorder| Update::Slice {
            axis,
            start: range.start,
            step,
            count,
            g: recorder.own(g),
        });
    }
    fn accumulate_rows(adjoint: &ExprAdjoint, _operand: &Self, indices: &IntExpr, g: Self) {
        adjoint.update(|recorder| Update::Rows { indices: recorder.own(indices.0), g: recorder.own(g.0) });
    }
}

fn to_window(window: Window2d) -> staging::Window2d {
    staging::Window2d { stride: window.stride, padding: window.padding }
}
