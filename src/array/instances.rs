//! The operators on arrays, compiled here for both types of elements.
//!
//! A generic function is compiled again in each crate that uses it, and an operator is long: a loop for each
//! instruction set. So generic code of other crates does not call the generic functions of this folder, but functions
//! of traits that `f32` and `f64` implement: these are compiled once, with this crate, and elsewhere an operator is a
//! call.

use super::accumulator::Accumulator;
use super::buffer::Storage;
use super::elementwise::*;
use super::{NdArray, NdBool, NdInt, contract, conv, index, random, reduce, tensor};
use crate::error::Result;
use crate::language::at::Write;
use crate::language::shape::{Axes, Padding, Window2d};

/// Elements that have the operator `F` of one operand.
pub trait Mapped<F>: Sized {
    #[track_caller]
    fn map(f: F, x: &NdArray<Self>) -> NdArray<Self>;
    #[track_caller]
    fn map_into(f: F, x: NdArray<Self>) -> NdArray<Self>;
}

/// Elements that have the operator `F` of two operands.
pub trait Zipped<F>: Sized {
    type Output;
    #[track_caller]
    fn zip(op: &'static str, f: F, x: &Storage<Self>, y: &Storage<Self>) -> Storage<Self::Output>;
}

/// Elements that have the operator `F` of two operands, one of which it may overwrite.
pub trait Updated<F>: Sized {
    #[track_caller]
    fn zip_into(op: &'static str, f: F, x: Storage<Self>, y: &Storage<Self>) -> Storage<Self>;
    #[track_caller]
    fn zip_owned(op: &'static str, f: F, x: Storage<Self>, y: Storage<Self>) -> Storage<Self>;
}

macro_rules! mapped {
    ($E:ident: $($F:ty),*) => { $(
        impl Mapped<$F> for $E {
            #[track_caller]
            fn map(f: $F, x: &NdArray<$E>) -> NdArray<$E> {
                map_array(f, x)
            }
            #[track_caller]
            fn map_into(f: $F, x: NdArray<$E>) -> NdArray<$E> {
                map_array_into(f, x)
            }
        }
    )* };
}

macro_rules! zipped {
    ($E:ident: $($F:ident -> $O:ident),*) => { $(
        impl Zipped<$F> for $E {
            type Output = $O;
            #[track_caller]
            fn zip(op: &'static str, f: $F, x: &Storage<$E>, y: &Storage<$E>) -> Storage<$O> {
                zip(op, f, x, y)
            }
        }
    )* };
}

macro_rules! updated {
    ($E:ident: $($F:ident),*) => { $(
        impl Updated<$F> for $E {
            #[track_caller]
            fn zip_into(op: &'static str, f: $F, x: Storage<$E>, y: &Storage<$E>) -> Storage<$E> {
                zip_into(op, f, x, y)
            }
            #[track_caller]
            fn zip_owned(op: &'static str, f: $F, x: Storage<$E>, y: Storage<$E>) -> Storage<$E> {
                zip_owned(op, f, x, y)
            }
        }
    )* };
}

/// The trait of elements that have all of this, and its implementations.
macro_rules! instances {
    (@trait map($($map:ident)*) arithmetic($($op:ident)*) zip($($zip:ident)*) compare($($compare:ident)*)
        $(fn $name:ident($($x:ident: $X:ty),* $(,)?) $(-> $Y:ty)? = $function:expr;)*
    ) => {
        /// Elements of arrays that have all operators.
        pub trait Instances: Sized
            $(+ Mapped<$map>)*
            $(+ Zipped<$op, Output = Self> + Updated<$op> + Mapped<WithNumber<$op, Self>>)*
            $(+ Zipped<$zip, Output = Self>)*
            $(+ Zipped<$compare, Output = bool>)*
        {
            $(
                #[track_caller]
                fn $name($($x: $X),*) $(-> $Y)?;
            )*
        }
    };
    (@impl $E:ident map($($map:ident)*) arithmetic($($op:ident)*) zip($($zip:ident)*) compare($($compare:ident)*)
        $(fn $name:ident($($x:ident: $X:ty),* $(,)?) $(-> $Y:ty)? = $function:expr;)*
    ) => {
        mapped! { $E: $($map,)* $(WithNumber<$op, $E>),* }
        zipped! { $E: $($op -> $E,)* $($zip -> $E,)* $($compare -> bool),* }
        updated! { $E: $($op),* }
        impl Instances for $E {
            $(
                #[track_caller]
                fn $name($($x: $X),*) $(-> $Y)? {
                    $function($($x),*)
                }
            )*
        }
    };
    ($($list:tt)*) => {
        instances!(@trait $($list)*);
        instances!(@impl f32 $($list)*);
        instances!(@impl f64 $($list)*);
    };
}

instances! {
    map(
        Neg Recip Abs Sign
        Exp Expm1 Log Log1p Sqrt
        Sin Cos Tan Tanh
        Sigmoid Softplus
        Relu Erf
        Erfc Exp2 Log2 Log10 Cbrt
        Sinh Cosh Asin Acos Atan Asinh Acosh Atanh
        Lgamma I0 I1
        Floor Ceil Round Trunc
        Powi Clamp
    )
    arithmetic(Add Sub Mul Div)
    zip(Pow Atan2 Hypot Fmod Maximum Minimum)
    compare(Less LessEqual Equal)

    fn from_int(x: &NdInt) -> NdArray<Self> = from_int;
    fn to_int(x: &NdArray<Self>) -> NdInt = to_int;
    fn from_mask(mask: &NdBool) -> NdArray<Self> = from_mask;
    fn choose(mask: &NdBool, then: &NdArray<Self>, otherwise: &NdArray<Self>) -> NdArray<Self> = choose;
    fn full(shape: &[usize], value: f64) -> NdArray<Self> = tensor::full;
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<NdArray<Self>> = tensor::from_elements;
    fn uniform(shape: &[usize], seed: &NdInt) -> NdArray<Self> = random::uniform;

    fn reshape(x: &NdArray<Self>, shape: &[usize]) -> NdArray<Self> = index::reshape;
    fn permute(x: &Storage<Self>, order: &[usize]) -> Storage<Self> = index::permute;
    fn broadcast_to(x: &NdArray<Self>, shape: &[usize]) -> NdArray<Self> = index::broadcast_to;
    fn concat(parts: &[NdArray<Self>], axis: isize) -> NdArray<Self> = index::concat;
    fn pad(x: &NdArray<Self>, axis: isize, padding: Padding) -> NdArray<Self> = index::pad;
    fn flip(x: &NdArray<Self>, axis: isize) -> NdArray<Self> = index::flip;
    fn scatter_rows(x: &NdArray<Self>, indices: &NdInt, rows: usize) -> NdArray<Self> = index::scatter_rows;
    fn write_rows(
        x: NdArray<Self>,
        write: Write,
        axes: usize,
        indices: &NdInt,
        rows: &NdArray<Self>,
    ) -> NdArray<Self> = index::write_rows;
    fn read_rows(x: &Storage<Self>, axes: usize, indices: &NdInt) -> Storage<Self> = index::read_rows;
    fn gather_last(x: &NdArray<Self>, indices: &NdInt) -> NdArray<Self> = index::gather_last;
    fn scatter_last(x: &NdArray<Self>, indices: &NdInt, n: usize) -> NdArray<Self> = index::scatter_last;

    fn sum(x: &NdArray<Self>, axes: Axes) -> NdArray<Self> = reduce::sum;
    fn max(x: &NdArray<Self>, axes: Axes) -> NdArray<Self> = reduce::max;
    fn logsumexp(x: &NdArray<Self>, axes: Axes) -> NdArray<Self> = reduce::logsumexp;
    fn argmax(x: &NdArray<Self>, axis: isize) -> NdInt = reduce::argmax;
    fn none_zero(x: &Storage<Self>) -> bool = reduce::none_zero;
    fn all_finite(x: &Storage<Self>) -> bool = reduce::all_finite;
    fn batch_matmul(a: &NdArray<Self>, b: &NdArray<Self>) -> NdArray<Self> = contract::batch_matmul;
    fn conv2d(x: &NdArray<Self>, kernel: &NdArray<Self>, window: Window2d) -> NdArray<Self> = conv::conv2d;
    fn conv2d_image(
        y_bar: &NdArray<Self>,
        kernel: &NdArray<Self>,
        size: [usize; 2],
        window: Window2d
    ) -> NdArray<Self> = conv::conv2d_image;
    fn conv2d_kernel(
        x: &NdArray<Self>,
        y_bar: &NdArray<Self>,
        size: [usize; 2],
        window: Window2d
    ) -> NdArray<Self> = conv::conv2d_kernel;
    fn unfold2d(x: &NdArray<Self>, kernel: [usize; 2], window: Window2d) -> NdArray<Self> = conv::unfold2d;
    fn fold2d(
        x: &NdArray<Self>,
        size: [usize; 2],
        kernel: [usize; 2],
        window: Window2d
    ) -> NdArray<Self> = conv::fold2d;

    fn unbroadcast(x: NdArray<Self>, to: &[usize]) -> NdArray<Self> = reduce::unbroadcast;
    fn accumulate(adjoint: &Accumulator<Self>, g: NdArray<Self>) = Accumulator::add;
    fn accumulate_product(adjoint: &Accumulator<Self>, a: &NdArray<Self>, b: &NdArray<Self>)
        = Accumulator::add_product;
    fn accumulate_slice(
        adjoint: &Accumulator<Self>,
        shape: &[usize],
        axis: usize,
        start: usize,
        step: usize,
        g: &NdArray<Self>
    ) = Accumulator::add_slice;
    fn accumulate_rows(adjoint: &Accumulator<Self>, shape: &[usize], indices: &NdInt, g: &NdArray<Self>)
        = Accumulator::add_rows;
    fn take_adjoint(adjoint: &Accumulator<Self>) -> Option<NdArray<Self>> = Accumulator::take;
}
