//! Scalar operators: of all rows at once.

use std::borrow::Cow;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::control::count;
use super::{Batch, BatchAdjoint, BatchBool, BatchInt, with_rows};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::finite;
use crate::language::control::rows;
use crate::language::custom::Hook;
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;
use crate::sealed::Internal;

impl<T: Tensor> Batch<T> {
    /// An elementwise operator of one's own: `f` takes an array of all rows, or what is the same for all of them.
    #[inline]
    #[track_caller]
    pub fn map(&self, f: impl FnOnce(&T) -> T) -> Self {
        operator(At::caller(), || Batch { value: f(&self.value), batched: self.batched })
    }
    /// An elementwise operator of two operands.
    #[inline]
    #[track_caller]
    pub(super) fn zip(&self, op: &'static str, other: &Self, f: impl FnOnce(T, &T) -> T) -> Self {
        let rank = common_rank(op, &self.row_shape(), &other.row_shape());
        operator(At::caller(), || Batch {
            value: f(self.aligned(rank), &other.aligned(rank)),
            batched: self.batched || other.batched,
        })
    }
    /// A comparison.
    #[track_caller]
    fn compare(
        &self,
        op: &'static str,
        other: &Self,
        f: impl FnOnce(&T, &T) -> T::Bool,
    ) -> BatchBool<T::Bool> {
        let rank = common_rank(op, &self.row_shape(), &other.row_shape());
        operator(At::caller(), || BatchBool {
            value: f(&self.aligned(rank), &other.aligned(rank)),
            batched: self.batched || other.batched,
        })
    }
    /// An operand of an operator that is linear.
    fn operand(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }
    /// An operand of an operator that is not linear: see [`rows::of_account`]. Without derivatives inside it does not
    /// matter what the other rows compute, unless somebody looks whether it is finite.
    #[track_caller]
    pub(super) fn guarded(&self) -> Cow<'_, Self> {
        if T::NESTING.is_power_of_two() && !finite::looks() {
            return Cow::Borrowed(self);
        }
        rows::of_account(self).map_or(Cow::Borrowed(self), Cow::Owned)
    }
}

/// The rank of what an elementwise operator gives.
#[track_caller]
pub(super) fn common_rank(op: &'static str, lhs: &Shape, rhs: &Shape) -> usize {
    shape::broadcast(op, lhs, rhs).or_raise().len()
}

macro_rules! operators {
    ($($Trait:ident $name:ident $operand:ident;)*) => { $(
        impl<T: Tensor> $Trait<&Batch<T>> for Batch<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                self.$operand().zip(stringify!($name), &rhs.$operand(), |a, b| $Trait::$name(a, b))
            }
        }
        impl<T: Tensor> $Trait for Batch<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        /// On arrays: with a plain number.
        impl<T: Tensor> $Trait<f64> for Batch<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                self.map(|x| $Trait::$name(x.clone(), rhs))
            }
        }
    )* };
}
operators! { Add add operand; Sub sub operand; Mul mul guarded; Div div guarded; }

impl<T: Tensor> Neg for Batch<T> {
    type Output = Self;
    #[inline]
    #[track_caller]
    fn neg(self) -> Self {
        self.map(|x| -x.clone())
    }
}

macro_rules! unary {
    ($($name:ident)*) => { $(
        #[track_caller]
        fn $name(&self) -> Self {
            self.guarded().map(|x| x.$name())
        }
    )* };
}

impl<T: Tensor> Real for Batch<T> {
    type Bool = BatchBool<T::Bool>;
    type Int = BatchInt<T::Int>;
    type Adjoint = BatchAdjoint<T>;
    type Node<V: Real> = T::Node<V>;
    const NESTING: u64 = T::NESTING << 2;
    const ALLOCATES: bool = T::ALLOCATES;

    #[track_caller]
    fn constant(value: f64) -> Self {
        Self::lift(&T::constant(value))
    }
    #[track_caller]
    fn detach(&self) -> Self {
        self.map(T::detach)
    }
    fn print(&self, name: &str, at: At) {
        self.value.print(name, at);
    }
    fn is_recorded(internal: Internal) -> bool {
        T::is_recorded(internal)
    }
    fn is_in_region(internal: Internal) -> bool {
        T::is_in_region(internal)
    }
    /// It differs from row to row even if the value does not, since its adjoint may.
    fn placeholder(&self, internal: Internal, shape: Option<&[usize]>) -> Self {
        let row = shape.map_or_else(|| self.row_shape(), Shape::from_slice);
        let all = with_rows(count::<T>(At::caller()), &row);
        Batch::of_rows(self.value.placeholder(internal, Some(&all)))
    }
    fn perturbed(self, internal: Internal, name: &str, at: At) -> Self {
        Batch { value: self.value.perturbed(internal, name, at), batched: self.batched }
    }
    fn home(internal: Internal) -> usize {
        T::home(internal)
    }
    fn at_home(internal: Internal, home: usize, f: &mut dyn FnMut()) {
        T::at_home(internal, home, f);
    }
    #[track_caller]
    fn hook<H: Hook>(self, hook: &H) -> Self {
        Batch { value: self.value.hook(hook), batched: self.batched }
    }
    fn after(&self, internal: Internal, token: &Self) -> Self {
        Batch { value: self.value.after(internal, &token.value), batched: self.batched }
    }
    fn name_with(&self, name: &dyn Fn() -> String) {
        self.value.name_with(name);
    }

    fn adjoint(&self) -> BatchAdjoint<T> {
        BatchAdjoint::empty(self)
    }
    #[track_caller]
    fn accumulate(adjoint: &BatchAdjoint<T>, g: Self) {
        adjoint.add(g);
    }
    fn quiet(self) -> Self {
        Batch { value: self.value.quiet(), batched: self.batched }
    }
    #[track_caller]
    fn take_adjoint(adjoint: &BatchAdjoint<T>) -> Option<Self> {
        adjoint.take()
    }
    #[track_caller]
    fn accumulate_all(adjoint: &BatchAdjoint<T>, from: BatchAdjoint<T>) {
        adjoint.absorb(from);
    }
    #[track_caller]
    fn with_adjoint(adjoint: &BatchAdjoint<T>, pull: impl FnOnce(Self)) {
        adjoint.pull(pull);
    }
    fn widen_adjoint(adjoint: &BatchAdjoint<T>, axis: usize, length: usize) {
        adjoint.widen(axis, length);
    }
    fn place() -> usize {
        T::place()
    }
    fn leave_for(self, place: usize) -> BatchAdjoint<T> {
        BatchAdjoint::left_for(self, place)
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        shape::broadcast(op, &lhs.row_shape(), &rhs.row_shape()).map(drop)
    }
    fn lengths(&self, _: Internal) -> Shape {
        self.row_shape()
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        a.row_shape() == b.row_shape()
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        shape::scalar(op, &self.row_shape())
    }
    #[track_caller]
    fn broadcast_like(&self, like: &Self) -> Self {
        if Self::same_shape(self, like) { self.clone() } else { self.broadcast_to(&like.row_shape()) }
    }
    #[track_caller]
    fn unbroadcast(self, like: &Self) -> Self {
        let (from, to) = (self.row_shape(), like.row_shape());
        if from == to {
            return self;
        }
        self.sum(shape::repeated_axes(&from, &to).as_slice()).reshape(&to)
    }
    #[track_caller]
    fn full_like(&self, value: f64) -> Self {
        Self::full(&self.row_shape(), value)
    }

    unary! { erfc exp2 log2 log10 cbrt sinh cosh asin acos atan asinh acosh atanh lgamma i0 i1 floor ceil round trunc }
    unary! { abs sign sin cos tanh sigmoid softplus relu erf recip exp expm1 log log1p sqrt tan }
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        self.guarded().map(|x| x.powi(n))
    }
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self {
        self.guarded().zip("pow", &exponent.guarded(), |a, b| a.pow(b))
    }
    #[track_caller]
    fn atan2(&self, x: &Self) -> Self {
        self.guarded().zip("atan2", &x.guarded(), |a, b| a.atan2(b))
    }
    #[track_caller]
    fn hypot(&self, other: &Self) -> Self {
        self.guarded().zip("hypot", &other.guarded(), |a, b| a.hypot(b))
    }
    #[track_caller]
    fn fmod(&self, divisor: &Self) -> Self {
        self.guarded().zip("fmod", &divisor.guarded(), |a, b| a.fmod(b))
    }
    #[track_caller]
    fn strong_mul(&self, other: &Self) -> Self {
        self.guarded().zip("strong_mul", &other.guarded(), |a, b| a.strong_mul(b))
    }
    #[track_caller]
    fn maximum(&self, other: &Self) -> Self {
        self.zip("maximum", other, |a, b| a.maximum(b))
    }
    #[track_caller]
    fn minimum(&self, other: &Self) -> Self {
        self.zip("minimum", other, |a, b| a.minimum(b))
    }
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        self.map(|x| x.clamp(low, high))
    }
    #[track_caller]
    fn less(&self, other: &Self) -> BatchBool<T::Bool> {
        self.compare("less", other, T::less)
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> BatchBool<T::Bool> {
        self.compare("less_equal", other, T::less_equal)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> BatchBool<T::Bool> {
        self.compare("equal", other, T::equal)
    }
    #[track_caller]
    fn select(mask: &BatchBool<T::Bool>, then: &Self, otherwise: &Self) -> Self {
        let values = shape::broadcast("select", &then.row_shape(), &otherwise.row_shape()).or_raise();
        let rank = shape::broadcast("select", &mask.row_shape(), &values).or_raise().len();
        operator(At::caller(), || Batch {
            value: T::select(&mask.aligned(rank), &then.aligned(rank), &otherwise.aligned(rank)),
            batched: mask.batched || then.batched || otherwise.batched,
        })
    }
    fn is_of_rows(&self) -> bool {
        self.batched || self.value.is_of_rows()
    }
    fn none_zero(&self) -> bool {
        self.value.none_zero()
    }
    fn all_finite(&self) -> bool {
        self.value.all_finite()
    }
    #[track_caller]
    fn from_int(value: &BatchInt<T::Int>) -> Self {
        operator(At::caller(), || Batch { value: T::from_int(&value.value), batched: value.batched })
    }
    #[track_caller]
    fn to_int(&self) -> BatchInt<T::Int> {
        operator(At::caller(), || BatchInt { value: self.value.to_int(), batched: self.batched })
    }
}
