//! A function as the list of its operators (a Wengert list), from running it once with [`Listed`] arrays. That list
//! is then run as the explicit spelling is written by hand, each operator with the rest of the program as its
//! continuation. Numbers are arrays without axes.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use antiphon::at::Write;
use antiphon::cps::{self, Return};
use antiphon::node::StackNode;
use antiphon::shape::{Axes, Shape};
use antiphon::{Control, Mask, NdArray, NdBool, NdInt, Padding, Real, Result, Tensor, Var, Window2d};

type Array = NdArray<f64>;

macro_rules! steps {
    ($($Numbers:ident($($number:ty),*),)* ; $($Arrays:ident($($array:ty),*),)*) => {
        /// One operator; operands are positions in the list.
        pub enum Step {
            $($Numbers($($number),*),)*
            $($Arrays($($array),*),)*
        }

        impl Step {
            /// The names of the operators that only arrays have.
            pub const ON_ARRAYS: &[&str] = &[$(stringify!($Arrays)),*];

            pub fn name(&self) -> &'static str {
                match self {
                    $(Step::$Numbers(..) => stringify!($Numbers),)*
                    $(Step::$Arrays(..) => stringify!($Arrays),)*
                }
            }
        }
    };
}
steps! {
    Input(usize),
    Constant(Array),
    Detach(usize),
    Sign(usize),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Powi(usize, i32),
    Clamp(usize, f64, f64),
    Select(NdBool, usize, usize),
    ;
    Reshape(usize, Shape),
    Permute(usize, Shape),
    Broadcast(usize, Shape),
    Sum(usize, Axes),
    Max(usize, Axes),
    Logsumexp(usize, Axes),
    BatchMatmul(usize, usize),
    Concat(Vec<usize>, isize),
    Slice(usize, isize, Range<usize>, usize),
    Pad(usize, isize, Padding),
    Flip(usize, isize),
    GatherRows(usize, NdInt),
    ScatterRows(usize, NdInt, usize),
    WriteRows(usize, Write, usize, NdInt, usize),
    ReadRows(usize, usize, NdInt),
    GatherLast(usize, NdInt),
    ScatterLast(usize, NdInt, usize),
    Conv2d(usize, usize, Window2d),
    Conv2dImage(usize, usize, [usize; 2], Window2d),
    Conv2dKernel(usize, usize, [usize; 2], Window2d),
    Unfold2d(usize, [usize; 2], Window2d),
    Fold2d(usize, [usize; 2], [usize; 2], Window2d),
}

thread_local! {
    static LIST: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

/// An array that writes down the operators applied to it.
#[derive(Clone)]
pub struct Listed {
    value: Array,
    position: usize,
}

impl Listed {
    fn new(value: Array, step: Step) -> Listed {
        LIST.with_borrow_mut(|list| {
            list.push(step);
            Listed { value, position: list.len() - 1 }
        })
    }

    fn lift(value: Array) -> Listed {
        Listed::new(value.clone(), Step::Constant(value))
    }
}

/// A function's operators at a point, and which of them is the result.
pub struct List {
    steps: Vec<Step>,
    result: usize,
}

impl List {
    pub fn of(f: impl FnOnce(&[Listed]) -> Listed, x: &[Array]) -> List {
        LIST.with_borrow_mut(Vec::clear);
        let input = |(i, x): (usize, &Array)| Listed::new(x.clone(), Step::Input(i));
        let inputs: Vec<Listed> = x.iter().enumerate().map(input).collect();
        let result = f(&inputs).position;
        List { steps: LIST.take(), result }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The derivative by input `i`, in the explicit spelling; the other inputs are constants.
    pub fn derivative<T: Explicit>(&self, x: &[T], i: usize) -> Result<T> {
        cps::grad(&x[i], |xi, k| {
            let input = |(j, x)| if i == j { xi.shorten() } else { Var::lift(x) };
            let inputs: Vec<Var<'_, T>> = x.iter().enumerate().map(input).collect();
            run(&self.steps, &inputs, &[], self.result, k)
        })
    }
}

/// What a list can be run with.
pub trait Explicit: Real {
    /// An array of the list.
    fn lift(value: &Array) -> Self;
    /// One operator, whose continuation is the rest of the program.
    fn apply(step: &Step, values: &[Var<'_, Self>], next: Return<'_, Self>) -> cps::Result<()>;
}

/// Runs the rest of a list with the values so far; each operator's continuation is the rest after it.
fn run<T: Explicit>(
    list: &[Step],
    inputs: &[Var<'_, T>],
    values: &[Var<'_, T>],
    result: usize,
    k: Return<'_, T>,
) -> cps::Result<()> {
    let Some((step, rest)) = list.split_first() else {
        return k(&values[result]);
    };
    let mut next = |y: &Var<'_, T>| {
        let before = values.iter().map(|value| value.shorten());
        let values: Vec<Var<'_, T>> = before.chain([y.shorten()]).collect();
        run(rest, inputs, &values, result, k)
    };
    match step {
        Step::Input(i) => next(&inputs[*i]),
        Step::Constant(value) => next(&Var::lift(&T::lift(value))),
        step => T::apply(step, values, &mut next),
    }
}

/// Numbers.
macro_rules! explicit_number {
    ($Number:ty, $lift:expr) => {
        impl Explicit for $Number {
            fn lift(value: &Array) -> Self {
                let elements: Vec<f64> = value.view().iter().copied().collect();
                assert_eq!(elements.len(), 1, "a number");
                $lift(elements[0])
            }
            fn apply(step: &Step, values: &[Var<'_, Self>], next: Return<'_, Self>) -> cps::Result<()> {
                match step {
                    Step::Select(mask, x, y) => {
                        let mask = mask.known().expect("the truth value of a number");
                        cps::select(&mask, &values[*x], &values[*y], next)
                    }
                    step => apply_elementwise(step, values, next),
                }
            }
        }
    };
}
explicit_number!(f64, f64::constant);
explicit_number!(antiphon::Dual<f64>, antiphon::Dual::constant);

/// Arrays.
macro_rules! explicit_array {
    ($Array:ty, $lift:expr) => {
        impl Explicit for $Array {
            fn lift(value: &Array) -> Self {
                $lift(value)
            }
            fn apply(step: &Step, values: &[Var<'_, Self>], next: Return<'_, Self>) -> cps::Result<()> {
                apply_array(step, values, next)
            }
        }
    };
}
explicit_array!(Array, Array::clone);
explicit_array!(antiphon::Dual<Array>, antiphon::Dual::lift);

fn apply_array<T: Tensor<Bool = NdBool, Int = NdInt>>(
    step: &Step,
    values: &[Var<'_, T>],
    next: Return<'_, T>,
) -> cps::Result<()> {
    let at = |position: &usize| &values[*position];
    match step {
        Step::Select(mask, x, y) => cps::select(mask, at(x), at(y), next),
        Step::Reshape(x, shape) => cps::reshape(at(x), shape, next),
        Step::Permute(x, order) => cps::permute(at(x), order, next),
        Step::Broadcast(x, shape) => cps::broadcast_to(at(x), shape, next),
        Step::Sum(x, axes) => cps::sum(at(x), axes.clone(), next),
        Step::Max(x, axes) => cps::max(at(x), axes.clone(), next),
        Step::Logsumexp(x, axes) => cps::logsumexp(at(x), axes.clone(), next),
        Step::BatchMatmul(x, y) => cps::batch_matmul(at(x), at(y), next),
        Step::Concat(parts, axis) => {
            let parts: Vec<Var<'_, T>> = parts.iter().map(|part| at(part).shorten()).collect();
            cps::concat(&parts, *axis, next)
        }
        Step::Slice(x, axis, range, step) => cps::slice_step(at(x), *axis, range.clone(), *step, next),
        Step::Pad(x, axis, padding) => cps::pad(at(x), *axis, *padding, next),
        Step::Flip(x, axis) => cps::flip(at(x), *axis, next),
        Step::GatherRows(x, indices) => cps::gather_rows(at(x), indices, next),
        Step::ScatterRows(x, indices, rows) => cps::scatter_rows(at(x), indices, *rows, next),
        Step::WriteRows(x, write, axes, indices, rows) => {
            cps::write_rows(at(x), *write, *axes, indices, at(rows), next)
        }
        Step::ReadRows(x, axes, indices) => cps::read_rows(at(x), *axes, indices, next),
        Step::GatherLast(x, indices) => cps::gather_last(at(x), indices, next),
        Step::ScatterLast(x, indices, n) => cps::scatter_last(at(x), indices, *n, next),
        Step::Conv2d(x, w, window) => cps::conv2d(at(x), at(w), *window, next),
        Step::Conv2dImage(g, w, size, window) => cps::conv2d_image(at(g), at(w), *size, *window, next),
        Step::Conv2dKernel(x, g, size, window) => cps::conv2d_kernel(at(x), at(g), *size, *window, next),
        Step::Unfold2d(x, kernel, window) => cps::unfold2d(at(x), *kernel, *window, next),
        Step::Fold2d(x, size, kernel, window) => cps::fold2d(at(x), *size, *kernel, *window, next),
        step => apply_elementwise(step, values, next),
    }
}

macro_rules! elementwise {
    (unary: $($Unary:ident $unary:ident)*; binary: $($Binary:ident $binary:ident)*; methods: $($Method:ident $method:ident)*) => {
        #[derive(Clone, Copy)]
        pub enum Unary { $($Unary),* }

        #[derive(Clone, Copy)]
        pub enum Binary { $($Binary),* }

        fn apply_elementwise<T: Real>(
            step: &Step,
            values: &[Var<'_, T>],
            next: Return<'_, T>,
        ) -> cps::Result<()> {
            let at = |position: &usize| &values[*position];
            match step {
                Step::Detach(x) => next(&Var::lift(&at(x).value().detach())),
                Step::Sign(x) => next(&Var::lift(&at(x).value().sign())),
                $(Step::Unary(Unary::$Unary, x) => cps::$unary(at(x), next),)*
                $(Step::Binary(Binary::$Binary, x, y) => cps::$binary(at(x), at(y), next),)*
                Step::Powi(x, n) => cps::powi(at(x), *n, next),
                Step::Clamp(x, low, high) => cps::clamp(at(x), *low, *high, next),
                _ => panic!("not an operator on numbers"),
            }
        }

        impl Real for Listed {
            type Bool = NdBool;
            type Int = NdInt;
            type Adjoint = ();
            type Node<V: Real> = StackNode<V>;

            fn constant(value: f64) -> Self {
                Listed::lift(Array::constant(value))
            }
            fn detach(&self) -> Self {
                Listed::new(self.value.clone(), Step::Detach(self.position))
            }
            fn adjoint(&self) {}
            fn accumulate((): &(), _: Self) {
                panic!("a recorded array is not differentiated");
            }
            fn take_adjoint((): &()) -> Option<Self> {
                None
            }
            fn full_like(&self, value: f64) -> Self {
                Listed::lift(self.value.full_like(value))
            }
            $(elementwise!(@unary $Unary $unary);)*
            fn sign(&self) -> Self {
                Listed::new(self.value.sign(), Step::Sign(self.position))
            }
            // What has no derivative anywhere is a constant of the list.
            fn floor(&self) -> Self {
                Listed::lift(self.value.floor())
            }
            fn ceil(&self) -> Self {
                Listed::lift(self.value.ceil())
            }
            fn round(&self) -> Self {
                Listed::lift(self.value.round())
            }
            fn trunc(&self) -> Self {
                Listed::lift(self.value.trunc())
            }
            fn powi(&self, n: i32) -> Self {
                Listed::new(self.value.powi(n), Step::Powi(self.position, n))
            }
            $(fn $method(&self, other: &Self) -> Self {
                let value = Real::$method(&self.value, &other.value);
                Listed::new(value, Step::Binary(Binary::$Method, self.position, other.position))
            })*
            fn clamp(&self, low: f64, high: f64) -> Self {
                Listed::new(self.value.clamp(low, high), Step::Clamp(self.position, low, high))
            }
            fn less(&self, other: &Self) -> NdBool {
                self.value.less(&other.value)
            }
            fn less_equal(&self, other: &Self) -> NdBool {
                self.value.less_equal(&other.value)
            }
            fn equal(&self, other: &Self) -> NdBool {
                self.value.equal(&other.value)
            }
            fn select(mask: &NdBool, then: &Self, otherwise: &Self) -> Self {
                let value = Array::select(mask, &then.value, &otherwise.value);
                Listed::new(value, Step::Select(mask.clone(), then.position, otherwise.position))
            }
            fn from_int(value: &NdInt) -> Self {
                Listed::lift(Array::from_int(value))
            }
            fn to_int(&self) -> NdInt {
                self.value.to_int()
            }
        }
    };
    (@unary Neg neg) => {};
    (@unary $Unary:ident $unary:ident) => {
        fn $unary(&self) -> Self {
            Listed::new(self.value.$unary(), Step::Unary(Unary::$Unary, self.position))
        }
    };
}

elementwise! {
    unary: Neg neg Recip recip Abs abs Exp exp Expm1 expm1 Log log Log1p log1p Sqrt sqrt Sin sin Cos cos Tan tan
        Tanh tanh Sigmoid sigmoid Softplus softplus Relu relu Erf erf Erfc erfc Exp2 exp2 Log2 log2 Log10 log10
        Cbrt cbrt Sinh sinh Cosh cosh Asin asin Acos acos Atan atan Asinh asinh Acosh acosh Atanh atanh
        Lgamma lgamma I0 i0 I1 i1;
    binary: Add add Sub sub Mul mul Div div Pow pow Maximum maximum Minimum minimum StrongMul strong_mul
        Atan2 atan2 Hypot hypot Fmod fmod;
    methods: Pow pow Maximum maximum Minimum minimum StrongMul strong_mul Atan2 atan2 Hypot hypot Fmod fmod
}

impl Neg for Listed {
    type Output = Listed;
    fn neg(self) -> Listed {
        Listed::new(-self.value, Step::Unary(Unary::Neg, self.position))
    }
}

macro_rules! operators {
    ($($Trait:ident $name:ident)*) => { $(
        impl $Trait<&Listed> for Listed {
            type Output = Listed;
            fn $name(self, other: &Listed) -> Listed {
                let value = $Trait::$name(self.value, &other.value);
                Listed::new(value, Step::Binary(Binary::$Trait, self.position, other.position))
            }
        }
        impl $Trait for Listed {
            type Output = Listed;
            fn $name(self, other: Listed) -> Listed {
                $Trait::$name(self, &other)
            }
        }
        impl $Trait<f64> for Listed {
            type Output = Listed;
            fn $name(self, other: f64) -> Listed {
                $Trait::$name(self, &Listed::constant(other))
            }
        }
    )* };
}
operators! { Add add Sub sub Mul mul Div div }
antiphon::operators_in_place!([] Listed);

impl Control for Listed {}

impl Tensor for Listed {
    fn shape(&self) -> Shape {
        self.value.shape()
    }
    fn full(shape: &[usize], value: f64) -> Self {
        Listed::lift(Array::full(shape, value))
    }
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        Array::from_elements(shape, elements).map(Listed::lift)
    }
    fn from_mask(mask: &NdBool) -> Self {
        Listed::lift(Array::from_mask(mask))
    }
    fn uniform(shape: &[usize], seed: &NdInt) -> Self {
        Listed::lift(Array::uniform(shape, seed))
    }
    fn reshape(&self, shape: &[usize]) -> Self {
        Listed::new(self.value.reshape(shape), Step::Reshape(self.position, shape.into()))
    }
    fn permute(&self, order: &[usize]) -> Self {
        Listed::new(self.value.permute(order), Step::Permute(self.position, order.into()))
    }
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        Listed::new(self.value.broadcast_to(shape), Step::Broadcast(self.position, shape.into()))
    }
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        Listed::new(self.value.sum(axes.clone()), Step::Sum(self.position, axes))
    }
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        Listed::new(self.value.max(axes.clone()), Step::Max(self.position, axes))
    }
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        Listed::new(self.value.logsumexp(axes.clone()), Step::Logsumexp(self.position, axes))
    }
    fn argmax(&self, axis: isize) -> NdInt {
        self.value.argmax(axis)
    }
    fn batch_matmul(&self, rhs: &Self) -> Self {
        Listed::new(self.value.batch_matmul(&rhs.value), Step::BatchMatmul(self.position, rhs.position))
    }
    fn concat(parts: &[Self], axis: isize) -> Self {
        let values: Vec<Array> = parts.iter().map(|part| part.value.clone()).collect();
        let positions = parts.iter().map(|part| part.position).collect();
        Listed::new(Array::concat(&values, axis), Step::Concat(positions, axis))
    }
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        let value = self.value.slice_step(axis, range.clone(), step);
        Listed::new(value, Step::Slice(self.position, axis, range, step))
    }
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        Listed::new(self.value.pad(axis, padding), Step::Pad(self.position, axis, padding))
    }
    fn flip(&self, axis: isize) -> Self {
        Listed::new(self.value.flip(axis), Step::Flip(self.position, axis))
    }
    fn gather_rows(&self, indices: &NdInt) -> Self {
        Listed::new(self.value.gather_rows(indices), Step::GatherRows(self.position, indices.clone()))
    }
    fn scatter_rows(&self, indices: &NdInt, rows: usize) -> Self {
        let value = self.value.scatter_rows(indices, rows);
        Listed::new(value, Step::ScatterRows(self.position, indices.clone(), rows))
    }
    fn write_rows(self, write: Write, axes: usize, indices: &NdInt, rows: &Self) -> Self {
        let value = self.value.write_rows(write, axes, indices, &rows.value);
        Listed::new(value, Step::WriteRows(self.position, write, axes, indices.clone(), rows.position))
    }
    fn read_rows(&self, axes: usize, indices: &NdInt) -> Self {
        Listed::new(self.value.read_rows(axes, indices), Step::ReadRows(self.position, axes, indices.clone()))
    }
    fn gather_last(&self, indices: &NdInt) -> Self {
        Listed::new(self.value.gather_last(indices), Step::GatherLast(self.position, indices.clone()))
    }
    fn scatter_last(&self, indices: &NdInt, n: usize) -> Self {
        let value = self.value.scatter_last(indices, n);
        Listed::new(value, Step::ScatterLast(self.position, indices.clone(), n))
    }
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        let value = self.value.conv2d(&kernel.value, window);
        Listed::new(value, Step::Conv2d(self.position, kernel.position, window))
    }
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        let value = self.value.conv2d_image(&kernel.value, size, window);
        Listed::new(value, Step::Conv2dImage(self.position, kernel.position, size, window))
    }
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        let value = self.value.conv2d_kernel(&y_bar.value, size, window);
        Listed::new(value, Step::Conv2dKernel(self.position, y_bar.position, size, window))
    }
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        Listed::new(self.value.unfold2d(kernel, window), Step::Unfold2d(self.position, kernel, window))
    }
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        let value = self.value.fold2d(size, kernel, window);
        Listed::new(value, Step::Fold2d(self.position, size, kernel, window))
    }
}
