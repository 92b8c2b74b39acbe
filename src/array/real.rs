//! Arrays as an instance of [`Real`].

use super::accumulator::Accumulator;
use super::elementwise::*;
use super::float::Float;
use super::{NdArray, NdBool, NdInt};
use antiphon_system::print::print;

use crate::error::{At, Result};
use crate::language::movable::MovableNode;
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;
use crate::sealed::Internal;

macro_rules! map_methods {
    ($($method:ident: $F:expr;)*) => { $(
        #[inline]
        #[track_caller]
        fn $method(&self) -> Self {
            E::map($F, self).checked(stringify!($method))
        }
    )* };
}

impl<E: Float> Real for NdArray<E> {
    type Bool = NdBool;
    type Int = NdInt;
    type Adjoint = Accumulator<E>;
    type Node<V: Real> = MovableNode<V>;

    fn constant(value: f64) -> Self {
        NdArray::scalar(E::from_f64(value))
    }
    fn precision(_: Internal) -> f64 {
        if size_of::<E>() == size_of::<f32>() { f32::EPSILON.into() } else { f64::EPSILON }
    }
    fn least(_: Internal) -> f64 {
        if size_of::<E>() == size_of::<f32>() { f32::MIN_POSITIVE.into() } else { f64::MIN_POSITIVE }
    }
    #[inline]
    fn detach(&self) -> Self {
        self.clone()
    }
    fn print(&self, name: &str, at: At) {
        let elements: Vec<E> = self.0.iter().copied().collect();
        print(name, at.location(), self.0.shape(), &elements);
    }
    #[inline]
    fn adjoint(&self) -> Self::Adjoint {
        Accumulator::new()
    }
    #[inline]
    fn accumulate(adjoint: &Self::Adjoint, g: Self) {
        E::accumulate(adjoint, g);
    }
    #[inline]
    fn take_adjoint(adjoint: &Self::Adjoint) -> Option<Self> {
        E::take_adjoint(adjoint)
    }
    #[inline]
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        if lhs.0.shape() == rhs.0.shape() {
            return Ok(());
        }
        shape::broadcast(op, lhs.0.shape(), rhs.0.shape()).map(drop)
    }
    fn lengths(&self, _: Internal) -> Shape {
        self.shape()
    }
    #[inline]
    fn same_shape(a: &Self, b: &Self) -> bool {
        a.0.shape() == b.0.shape()
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        shape::scalar(op, self.0.shape())
    }
    #[inline]
    #[track_caller]
    fn broadcast_like(&self, like: &Self) -> Self {
        if Self::same_shape(self, like) { self.clone() } else { self.broadcast_to(like.0.shape()) }
    }
    #[inline]
    fn unbroadcast(self, like: &Self) -> Self {
        if Self::same_shape(&self, like) { self } else { E::unbroadcast(self, like.0.shape()) }
    }

    map_methods! {
        recip: Recip;
        abs: Abs;
        sign: Sign;
        exp: Exp;
        expm1: Expm1;
        log: Log;
        log1p: Log1p;
        sqrt: Sqrt;
        sin: Sin;
        cos: Cos;
        tan: Tan;
        tanh: Tanh;
        sigmoid: Sigmoid;
        softplus: Softplus;
        relu: Relu;
        erf: Erf;
        erfc: Erfc;
        exp2: Exp2;
        log2: Log2;
        log10: Log10;
        cbrt: Cbrt;
        sinh: Sinh;
        cosh: Cosh;
        asin: Asin;
        acos: Acos;
        atan: Atan;
        asinh: Asinh;
        acosh: Acosh;
        atanh: Atanh;
        lgamma: Lgamma;
        i0: I0;
        i1: I1;
        floor: Floor;
        ceil: Ceil;
        round: Round;
        trunc: Trunc;
    }
    fn powi(&self, n: i32) -> Self {
        E::map(Powi(n), self).checked("powi")
    }
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self {
        NdArray(E::zip("pow", Pow, &self.0, &exponent.0)).checked("pow")
    }
    #[track_caller]
    fn atan2(&self, x: &Self) -> Self {
        NdArray(E::zip("atan2", Atan2, &self.0, &x.0)).checked("atan2")
    }
    #[track_caller]
    fn hypot(&self, other: &Self) -> Self {
        NdArray(E::zip("hypot", Hypot, &self.0, &other.0)).checked("hypot")
    }
    #[track_caller]
    fn fmod(&self, divisor: &Self) -> Self {
        NdArray(E::zip("fmod", Fmod, &self.0, &divisor.0)).checked("fmod")
    }
    #[track_caller]
    fn maximum(&self, other: &Self) -> Self {
        NdArray(E::zip("maximum", Maximum, &self.0, &other.0))
    }
    #[track_caller]
    fn minimum(&self, other: &Self) -> Self {
        NdArray(E::zip("minimum", Minimum, &self.0, &other.0))
    }
    fn clamp(&self, low: f64, high: f64) -> Self {
        E::map(Clamp { low, high }, self)
    }
    #[track_caller]
    fn less(&self, other: &Self) -> NdBool {
        NdBool(E::zip("less", Less, &self.0, &other.0))
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> NdBool {
        NdBool(E::zip("less_equal", LessEqual, &self.0, &other.0))
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> NdBool {
        NdBool(E::zip("equal", Equal, &self.0, &other.0))
    }
    #[track_caller]
    fn select(mask: &NdBool, then: &Self, otherwise: &Self) -> Self {
        E::choose(mask, then, otherwise)
    }
    fn none_zero(&self) -> bool {
        E::none_zero(&self.0)
    }
    fn all_finite(&self) -> bool {
        E::all_finite(&self.0)
    }
    fn from_int(value: &NdInt) -> Self {
        E::from_int(value)
    }
    #[track_caller]
    fn to_int(&self) -> NdInt {
        E::to_int(self)
    }
    fn full_like(&self, value: f64) -> Self {
        Self::full(self.0.shape(), value)
    }
}
