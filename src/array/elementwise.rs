//! Elementwise operators: each a scalar function, and the one way in which all of them are applied to arrays.

use std::marker::PhantomData;

use antiphon_elementary as elementary;

use super::buffer::{self, Storage, exclusive, memory};
use super::float::Float;
use super::kernel::{self, Map, Zip};
use super::{NdArray, NdBool, NdInt};
use crate::continuation::unwinding::OrRaise;
use crate::language::shape::{self, Shape};
use crate::memory::room;

/// Unit structs with a function of one element.
macro_rules! maps {
    ($($name:ident: $x:ident => $y:expr;)*) => { $(
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl<E: Float> Map<E> for $name {
            type Output = E;
            #[inline(always)]
            fn apply(self, $x: E) -> E {
                $y
            }
        }
    )* };
}

maps! {
    Neg: x => -x;
    Recip: x => E::ONE / x;
    Abs: x => x.abs();
    Sign: x => x.sign();
    Exp: x => x.exp();
    Expm1: x => x.expm1();
    Log: x => x.log();
    Log1p: x => x.log1p();
    Sqrt: x => x.sqrt();
    Sin: x => x.sin();
    Cos: x => x.cos();
    Tan: x => x.tan();
    Tanh: x => x.tanh();
    Sigmoid: x => {
        // e^−|x| never overflows.
        let e = (-x.abs()).exp();
        (if x < E::ZERO { e } else { E::ONE }) / (E::ONE + e)
    };
    Softplus: x => x.relu() + (-x.abs()).exp().log1p();
    Relu: x => x.relu();
    Erf: x => Float::erf(x);
    Exp2: x => elementary::exp2(&E::LANES, x);
    Log2: x => elementary::log2(&E::LANES, x);
    Log10: x => elementary::log10(&E::LANES, x);
    Cbrt: x => elementary::cbrt(&E::LANES, x);
    Sinh: x => elementary::sinh(&E::LANES, x);
    Cosh: x => elementary::cosh(&E::LANES, x);
    Asin: x => elementary::asin(&E::LANES, x);
    Acos: x => elementary::acos(&E::LANES, x);
    Atan: x => elementary::atan(&E::LANES, x);
    Asinh: x => elementary::asinh(&E::LANES, x);
    Acosh: x => elementary::acosh(&E::LANES, x);
    Atanh: x => elementary::atanh(&E::LANES, x);
    I0: x => elementary::i0(&E::LANES, x);
    I1: x => elementary::i1(&E::LANES, x);
    Erfc: x => elementary::erfc(&E::LANES, x, Float::erf(x));
    // libm's, one by one.
    Lgamma: x => elementary::lgamma(&E::LANES, x);
    Floor: x => x.floor();
    Ceil: x => x.ceil();
    Round: x => x.round();
    Trunc: x => x.trunc();
}

/// `xⁿ`.
#[derive(Debug, Clone, Copy)]
pub struct Powi(pub i32);

impl<E: Float> Map<E> for Powi {
    type Output = E;
    #[inline(always)]
    fn apply(self, x: E) -> E {
        x.powi(self.0)
    }
}

/// `x` limited to `low ..= high`.
#[derive(Debug, Clone, Copy)]
pub struct Clamp {
    pub low: f64,
    pub high: f64,
}

impl<E: Float> Map<E> for Clamp {
    type Output = E;
    #[inline(always)]
    fn apply(self, x: E) -> E {
        x.limit(self.low, self.high)
    }
}

/// Unit structs with a function of two elements.
macro_rules! zips {
    ($($name:ident: ($x:ident, $y:ident) -> $O:ty => $z:expr;)*) => { $(
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl<E: Float> Zip<E> for $name {
            type Output = $O;
            #[inline(always)]
            fn apply(self, $x: E, $y: E) -> $O {
                $z
            }
        }
    )* };
}

zips! {
    Add: (x, y) -> E => x + y;
    Sub: (x, y) -> E => x - y;
    Mul: (x, y) -> E => x * y;
    Div: (x, y) -> E => x / y;
    Pow: (x, y) -> E => elementary::pow(&E::LANES, x, y);
    Atan2: (y, x) -> E => elementary::atan2(&E::LANES, y, x);
    Hypot: (x, y) -> E => elementary::hypot(&E::LANES, x, y);
    Fmod: (x, y) -> E => x.fmod(y);
    // Without a branch, unlike those of single numbers, so that reductions vectorise as well.
    Maximum: (x, y) -> E => {
        let larger = if x > y { x } else { y };
        if x.is_nan() { x } else { larger }
    };
    Minimum: (x, y) -> E => {
        let smaller = if x < y { x } else { y };
        if x.is_nan() { x } else { smaller }
    };
    Less: (x, y) -> bool => x < y;
    LessEqual: (x, y) -> bool => x <= y;
    Equal: (x, y) -> bool => x == y;
}

/// The function with its arguments exchanged.
#[derive(Clone, Copy)]
pub(super) struct Swapped<F>(F);

impl<A, F: Zip<A>> Zip<A> for Swapped<F> {
    type Output = F::Output;
    #[inline(always)]
    fn apply(self, x: A, y: A) -> F::Output {
        self.0.apply(y, x)
    }
}

/// `f` of each element.
#[inline]
#[track_caller]
pub(super) fn map<A: Copy + Default + Sync, F: Map<A>>(f: F, x: &Storage<A>) -> Storage<F::Output> {
    if x.is_standard_layout() {
        buffer::from_vec(x.shape(), kernel::map(f, memory(x)))
    } else {
        buffer::from_vec(x.shape(), kernel::map(f, &kernel::copy(x)))
    }
}

/// `f` of each pair of elements of two arrays that broadcast.
#[inline]
#[track_caller]
pub(super) fn zip<A: Copy + Sync, F: Zip<A>>(
    op: &'static str,
    f: F,
    x: &Storage<A>,
    y: &Storage<A>,
) -> Storage<F::Output> {
    if x.shape() == y.shape() {
        return buffer::from_vec(x.shape(), kernel::zip(f, x.shape(), x, y));
    }
    let shape = shape::broadcast(op, x.shape(), y.shape()).or_raise();
    buffer::from_vec(&shape, kernel::zip(f, &shape, x, y))
}

/// Whether an array of shape `y` broadcasts to `x` without changing it.
#[inline]
fn stretches_to(y: &[usize], x: &[usize]) -> bool {
    y.len() <= x.len() && y.iter().rev().zip(x.iter().rev()).all(|(&m, &n)| m == n || m == 1)
}

/// Like [`zip`], in the place of `x` if nobody else holds it and the result fits.
#[inline]
#[track_caller]
pub(super) fn zip_into<A: Copy + Sync, F: Zip<A, Output = A>>(
    op: &'static str,
    f: F,
    mut x: Storage<A>,
    y: &Storage<A>,
) -> Storage<A> {
    if update(f, &mut x, y) { x } else { zip(op, f, &x, y) }
}

/// Like [`zip`], in the place of either operand if nobody else holds it and the result fits.
#[inline]
#[track_caller]
pub(super) fn zip_owned<A: Copy + Sync, F: Zip<A, Output = A>>(
    op: &'static str,
    f: F,
    mut x: Storage<A>,
    mut y: Storage<A>,
) -> Storage<A> {
    if update(f, &mut x, &y) {
        x
    } else if update(Swapped(f), &mut y, &x) {
        y
    } else {
        zip(op, f, &x, &y)
    }
}

/// Replaces `x` by `f(x, y)` in place, if that is possible.
#[inline]
fn update<A: Copy, F: Zip<A, Output = A>>(f: F, x: &mut Storage<A>, y: &Storage<A>) -> bool {
    if !stretches_to(y.shape(), x.shape()) {
        return false;
    }
    let shape = Shape::from_slice(x.shape());
    let Some(elements) = exclusive(x) else {
        return false;
    };
    kernel::update(f, &shape, elements, y);
    true
}

/// `f` of each element.
#[track_caller]
pub(super) fn map_array<E: Float, F: Map<E, Output = E>>(f: F, x: &NdArray<E>) -> NdArray<E> {
    if x.0.is_standard_layout() {
        return NdArray(map(f, &x.0));
    }
    let mut elements = kernel::copy(&x.0);
    kernel::map_in_place(f, &mut elements);
    NdArray::from_vec(x.0.shape(), elements)
}

/// `f` of each element, in place if nobody else holds the array.
#[track_caller]
pub(super) fn map_array_into<E: Float, F: Map<E, Output = E>>(f: F, mut x: NdArray<E>) -> NdArray<E> {
    match exclusive(&mut x.0) {
        Some(elements) => {
            kernel::map_in_place(f, elements);
            x
        }
        None => map_array(f, &x),
    }
}

/// `then` where the mask holds, else `otherwise`; the three broadcast.
#[track_caller]
pub(super) fn choose<E: Float>(mask: &NdBool, then: &NdArray<E>, otherwise: &NdArray<E>) -> NdArray<E> {
    NdArray(select(mask, &then.0, &otherwise.0))
}

/// `then` where the mask holds, else `otherwise`, of elements of any kind.
#[inline]
#[track_caller]
pub(super) fn select<E: Copy>(mask: &NdBool, x: &Storage<E>, y: &Storage<E>) -> Storage<E> {
    let m = &mask.0;
    let shape = shape::broadcast("select", x.shape(), y.shape()).or_raise();
    let shape = shape::broadcast("select", m.shape(), &shape).or_raise();
    let mut elements = room(shape::size(&shape));
    if elements.capacity() > 0 {
        let operands = [(m.shape(), m.strides()), (x.shape(), x.strides()), (y.shape(), y.strides())];
        let loops = super::layout::Loops::new(&shape, operands);
        let (ms, xs, ys) = (memory(m), memory(x), memory(y));
        let ((rows, row), (columns, [cm, cx, cy])) = (loops.rows, loops.columns);
        loops.for_each(|offsets| {
            for r in 0..rows {
                let [om, ox, oy]: [usize; 3] = std::array::from_fn(|i| offsets[i] + r * row[i]);
                let (ms, xs, ys) = (&ms[om..], &xs[ox..], &ys[oy..]);
                elements.extend((0..columns).map(|c| if ms[c * cm] { xs[c * cx] } else { ys[c * cy] }));
            }
        });
    }
    buffer::from_vec(&shape, elements)
}

/// An integer, as a real.
#[derive(Clone, Copy, Default)]
struct FromInt<E>(PhantomData<E>);

impl<E: Float> Map<i64> for FromInt<E> {
    type Output = E;
    #[inline(always)]
    fn apply(self, i: i64) -> E {
        E::from_i64(i)
    }
}

/// One for true, zero for false.
#[derive(Clone, Copy, Default)]
struct FromBool<E>(PhantomData<E>);

impl<E: Float> Map<bool> for FromBool<E> {
    type Output = E;
    #[inline(always)]
    fn apply(self, holds: bool) -> E {
        if holds { E::ONE } else { E::ZERO }
    }
}

/// A real, as an integer.
#[derive(Clone, Copy)]
struct ToInt;

impl<E: Float> Map<E> for ToInt {
    type Output = i64;
    #[inline(always)]
    fn apply(self, x: E) -> i64 {
        x.to_i64()
    }
}

/// Reals, as integers.
#[track_caller]
pub(super) fn to_int<E: Float>(x: &NdArray<E>) -> NdInt {
    NdInt(map(ToInt, &x.0))
}

/// Integers, as reals.
#[track_caller]
pub(super) fn from_int<E: Float>(x: &NdInt) -> NdArray<E> {
    NdArray(map(FromInt(PhantomData), &x.0))
}

/// Ones where the mask holds, zeros elsewhere.
#[track_caller]
pub(super) fn from_mask<E: Float>(mask: &NdBool) -> NdArray<E> {
    NdArray(map(FromBool(PhantomData), &mask.0))
}

/// A function of two elements with its second argument fixed.
#[derive(Debug, Clone, Copy)]
pub struct WithNumber<F, E>(pub(super) F, pub(super) E);

impl<E: Float, F: Zip<E>> Map<E> for WithNumber<F, E> {
    type Output = F::Output;
    #[inline(always)]
    fn apply(self, x: E) -> F::Output {
        self.0.apply(x, self.1)
    }
}
