//! [`Recorded`] as real numbers: the elementwise operators.

use std::rc::Rc;

use std::ops::{Add, Div, Mul, Neg, Sub};

use antiphon_staging::{self as staging, Binary, Comparison, ProbeKind, Scalar, Unary, Update};

use super::tensor::HookAgain;
use super::{
    Recorded, RecordedAdjoint, RecordedBool, RecordedInt, emit, probe, recorder, shape_of, value_of,
};
use crate::continuation::unwinding::{OrRaise, blame};
use crate::error::{At, Result};
use crate::forward::Dual;
use crate::language::custom::Hook;
use crate::language::node::SharedNode;
use crate::language::operators::{operators_on_numbers, operators_on_references, operators_that_lift};
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::{MaskTensor, Tensor};
use crate::reverse::Var;
use crate::sealed::Internal;

super::operators! {
    Add add Recorded; Sub sub Recorded; Mul mul Recorded; Div div Recorded;
}

macro_rules! number_operators {
    ($($Trait:ident $name:ident;)*) => { $(
        impl $Trait<f64> for Recorded {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, Recorded::constant(rhs))
            }
        }
    )* };
}
number_operators! { Add add; Sub sub; Mul mul; Div div; }
operators_on_references!([] Recorded);
operators_on_numbers!([] Recorded);
crate::operators_in_place!([] Recorded);
operators_that_lift!(['r] Var<'r, Recorded>, Var::lift, Recorded);
operators_that_lift!([] Dual<Recorded>, Dual::lift, Recorded);

impl Neg for Recorded {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}

impl Recorded {
    #[track_caller]
    fn unary(&self, op: Unary) -> Self {
        Recorded(emit(staging::Expr::Unary(op, value_of(self.0))))
    }
    #[track_caller]
    fn binary(&self, op: Binary, other: &Self) -> Self {
        shape::broadcast(op.name(), &shape_of(self.0), &shape_of(other.0)).or_raise();
        Recorded(emit(staging::Expr::Binary(op, value_of(self.0), value_of(other.0))))
    }
    #[track_caller]
    fn compare(&self, op: Comparison, other: &Self) -> RecordedBool {
        shape::broadcast(op.name(), &shape_of(self.0), &shape_of(other.0)).or_raise();
        RecordedBool(emit(staging::Expr::Compare(op, value_of(self.0), value_of(other.0))))
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

impl Real for Recorded {
    type Bool = RecordedBool;
    type Int = RecordedInt;
    type Adjoint = RecordedAdjoint;
    type Node<V: Real> = SharedNode<V>;

    #[track_caller]
    fn constant(value: f64) -> Self {
        let recorder = recorder();
        recorder.at(blame(At::caller()));
        Recorded(recorder.wrap(recorder.builder.real(recorder.dtype, value)))
    }
    #[track_caller]
    fn detach(&self) -> Self {
        recorder().detached(*self)
    }
    fn is_recorded(_: Internal) -> bool {
        true
    }
    fn is_in_region(_: Internal) -> bool {
        recorder().is_inside()
    }
    fn placeholder(&self, _: Internal, shape: Option<&[usize]>) -> Self {
        recorder().placeholder(*self, shape)
    }
    fn home(_: Internal) -> usize {
        recorder().builder.depth()
    }
    fn at_home(_: Internal, home: usize, f: &mut dyn FnMut()) {
        let recorder = recorder();
        let home = recorder.builder.open()[home - 1];
        recorder.in_block(home, || recorder.builder.at_front(f));
    }
    #[track_caller]
    fn hook<H: Hook>(self, hook: &H) -> Self {
        recorder().with_rule(self, &[&self], || Rc::new(HookAgain(hook.clone())))
    }
    fn after(&self, _: Internal, token: &Self) -> Self {
        Recorded(emit(staging::Expr::After(value_of(self.0), value_of(token.0))))
    }
    #[track_caller]
    fn name_with(&self, name: &dyn Fn() -> String) {
        recorder().builder.name(value_of(self.0), &name());
    }
    fn print(&self, name: &str, at: At) {
        probe(ProbeKind::Print(name.into()), self.0, at);
    }
    fn adjoint(&self) -> RecordedAdjoint {
        RecordedAdjoint::empty(&recorder(), *self)
    }
    fn accumulate(adjoint: &RecordedAdjoint, g: Self) {
        adjoint.update(|recorder| Update::Add(recorder.value_of(g.0)));
    }
    fn accumulate_all(adjoint: &RecordedAdjoint, from: RecordedAdjoint) {
        adjoint.absorb(from);
    }
    fn take_adjoint(adjoint: &RecordedAdjoint) -> Option<Self> {
        adjoint.take()
    }
    fn with_adjoint(adjoint: &RecordedAdjoint, pull: impl FnOnce(Self)) {
        adjoint.pull(pull);
    }
    fn widen_adjoint(adjoint: &RecordedAdjoint, axis: usize, length: usize) {
        adjoint.widen(axis, length);
    }
    fn place() -> usize {
        recorder().builder.depth()
    }
    fn leave_for(self, place: usize) -> RecordedAdjoint {
        RecordedAdjoint::left_for(&recorder(), self, place)
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        shape::broadcast(op, &lhs.shape(), &rhs.shape()).map(drop)
    }
    fn lengths(&self, _: Internal) -> Shape {
        self.shape()
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
    #[track_caller]
    fn full_like(&self, value: f64) -> Self {
        Self::full(&self.shape(), value)
    }

    unary_methods! {
        erfc Erfc; exp2 Exp2; log2 Log2; log10 Log10; cbrt Cbrt; sinh Sinh; cosh Cosh; asin Asin; acos Acos;
        atan Atan; asinh Asinh; acosh Acosh; atanh Atanh; lgamma Lgamma; i0 I0; i1 I1; floor Floor; ceil
        Ceil; round Round; trunc Trunc;
    }
    unary_methods! {
        recip Recip; abs Abs; sign Sign; exp Exp; expm1 Expm1; log Log; log1p Log1p; sqrt Sqrt; sin Sin; cos Cos;
        tan Tan; tanh Tanh; sigmoid Sigmoid; softplus Softplus; relu Relu; erf Erf;
    }
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        Recorded(emit(staging::Expr::Powi(value_of(self.0), n)))
    }
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        let [low, high] = [low, high].map(|x| Scalar::of(recorder().dtype, x));
        Recorded(emit(staging::Expr::Clamp { x: value_of(self.0), low, high }))
    }
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self {
        self.binary(Binary::Pow, exponent)
    }
    #[track_caller]
    fn atan2(&self, x: &Self) -> Self {
        self.binary(Binary::Atan2, x)
    }
    #[track_caller]
    fn hypot(&self, other: &Self) -> Self {
        self.binary(Binary::Hypot, other)
    }
    #[track_caller]
    fn fmod(&self, divisor: &Self) -> Self {
        self.binary(Binary::Fmod, divisor)
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
    fn less(&self, other: &Self) -> RecordedBool {
        self.compare(Comparison::Less, other)
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> RecordedBool {
        self.compare(Comparison::LessEqual, other)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> RecordedBool {
        self.compare(Comparison::Equal, other)
    }
    #[track_caller]
    fn select(mask: &RecordedBool, then: &Self, otherwise: &Self) -> Self {
        let values = shape::broadcast("select", &then.shape(), &otherwise.shape()).or_raise();
        shape::broadcast("select", &mask.shape(), &values).or_raise();
        let (mask, then, otherwise) = (value_of(mask.0), value_of(then.0), value_of(otherwise.0));
        Recorded(emit(staging::Expr::Select { mask, then, otherwise }))
    }
    #[track_caller]
    fn from_int(value: &RecordedInt) -> Self {
        Recorded(emit(staging::Expr::Convert(value_of(value.0), recorder().dtype)))
    }
    #[track_caller]
    fn to_int(&self) -> RecordedInt {
        RecordedInt(emit(staging::Expr::Convert(value_of(self.0), staging::Dtype::I64)))
    }
}
