//! Arrays as an instance of [`Real`].

use super::accumulator::Accumulator;
use super::elementwise::*;
use super::float::Float;
use super::kernel::Zip;
use super::{NdArray, NdBool, NdInt};
use crate::error::Result;
use crate::language::node::StackNode;
use crate::language::real::Real;
use crate::language::shape;
use crate::language::tensor::Tensor;

macro_rules! map_methods {
    ($($method:ident: $F:expr;)*) => { $(
        #[inline]
        #[track_caller]
        fn $method(&self) -> Self {
            self.map($F)
        }
    )* };
}

impl<E: Float> Real for NdArray<E> {
    type Bool = NdBool;
    type Int = NdInt;
    type Adjoint = Accumulator<E>;
    type Node<V: Real> = StackNode<V>;

    fn constant(value: f64) -> Self {
        NdArray::scalar(E::from_f64(value))
    }
    #[inline]
    fn detach(&self) -> Self {
        self.clone()
    }
    #[inline]
    fn adjoint(&self) -> Self::Adjoint {
        Accumulator::new()
    }
    #[inline]
    fn accumulate(adjoint: &Self::Adjoint, g: Self) {
        adjoint.add(g);
    }
    #[inline]
    fn take_adjoint(adjoint: &Self::Adjoint) -> Option<Self> {
        adjoint.take()
    }
    #[inline]
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        if lhs.0.shape() == rhs.0.shape() {
            return Ok(());
        }
        shape::broadcast(op, lhs.0.shape(), rhs.0.shape()).map(drop)
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
        let (from, to) = (self.0.shape(), like.0.shape());
        if from == to {
            return self;
        }
        let sum = self.sum(shape::repeated_axes(from, to).as_slice());
        if sum.0.shape() == to { sum } else { sum.reshape(to) }
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
    }
    fn powi(&self, n: i32) -> Self {
        self.map(Powi(n))
    }
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self {
        NdArray(zip("pow", Pow, &self.0, &exponent.0))
    }
    #[track_caller]
    fn maximum(&self, other: &Self) -> Self {
        NdArray(zip("maximum", Maximum, &self.0, &other.0))
    }
    #[track_caller]
    fn minimum(&self, other: &Self) -> Self {
        NdArray(zip("minimum", Minimum, &self.0, &other.0))
    }
    fn clamp(&self, low: f64, high: f64) -> Self {
        self.map(Clamp { low, high })
    }
    #[track_caller]
    fn less(&self, other: &Self) -> NdBool {
        compare("less", Less, self, other)
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> NdBool {
        compare("less_equal", LessEqual, self, other)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> NdBool {
        compare("equal", Equal, self, other)
    }
    #[track_caller]
    fn select(mask: &NdBool, then: &Self, otherwise: &Self) -> Self {
        NdArray::choose(mask, then, otherwise)
    }
    fn from_int(value: &NdInt) -> Self {
        NdArray(map(FromInt::<E>::default(), &value.0))
    }
    fn full_like(&self, value: f64) -> Self {
        Self::full(self.0.shape(), value)
    }
}

#[track_caller]
fn compare<E: Float, F: Zip<E, Output = bool>>(
    op: &'static str,
    f: F,
    x: &NdArray<E>,
    y: &NdArray<E>,
) -> NdBool {
    NdBool(zip(op, f, &x.0, &y.0))
}
