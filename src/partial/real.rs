//! Scalar operators: computed if their operands are known, kept as steps if not.

use std::ops::{Add, Div, Mul, Neg, Sub};

use smallvec::SmallVec;

use super::{Partial, PartialAdjoint};
use crate::continuation::unwinding::OrRaise;
use crate::error::{At, Result};
use crate::language::custom::Hook;
use crate::language::derivative_rules::{self, binary_names, for_each_binary, for_each_unary, unary_names};
use crate::language::real::{Mask, Real};
use crate::language::shape::{self, Shape};
use crate::language::state::Leaf;
use crate::sealed::Internal;

impl<T: Real> Partial<T> {
    /// An elementwise operator of two operands.
    #[inline]
    #[track_caller]
    fn elementwise(&self, op: &'static str, other: &Self, f: impl Fn(T, &T) -> T + 'static) -> Self {
        let shape = match self.known().and(other.known()) {
            Some(_) => Shape::new(),
            None => shape::broadcast(op, &self.dims(), &other.dims()).or_raise(),
        };
        self.zip(other, || shape, f)
    }
}

macro_rules! operators {
    ($($Trait:ident $name:ident;)*) => { $(
        impl<T: Real> $Trait<&Partial<T>> for Partial<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                self.elementwise(stringify!($name), rhs, |a, b| $Trait::$name(a, b))
            }
        }
        impl<T: Real> $Trait for Partial<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        /// With a plain number.
        impl<T: Real> $Trait<f64> for Partial<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    )* };
}
operators! { Add add; Sub sub; Mul mul; Div div; }

impl<T: Real> Neg for Partial<T> {
    type Output = Self;
    #[inline]
    #[track_caller]
    fn neg(self) -> Self {
        self.alike(|x| -x.clone())
    }
}

macro_rules! unary {
    ($name:ident) => {
        #[inline]
        #[track_caller]
        fn $name(&self) -> Self {
            self.alike(|x| x.$name())
        }
    };
}

macro_rules! binary {
    ($name:ident) => {
        #[inline]
        #[track_caller]
        fn $name(&self, other: &Self) -> Self {
            self.elementwise(stringify!($name), other, |a, b| a.$name(b))
        }
    };
}

macro_rules! comparisons {
    ($($name:ident)*) => { $(
        #[inline]
        #[track_caller]
        fn $name(&self, other: &Self) -> T::Bool {
            self.demand(stringify!($name)).$name(other.demand(stringify!($name)))
        }
    )* };
}

impl<T: Real> Real for Partial<T> {
    type Bool = T::Bool;
    type Int = T::Int;
    type Adjoint = PartialAdjoint<T>;
    type Node<V: Real> = T::Node<V>;
    const NESTING: u64 = T::NESTING << 2 | 1;
    const ALLOCATES: bool = T::ALLOCATES;

    for_each_unary!(unary_names);
    for_each_binary!(binary_names);
    comparisons! { less less_equal equal }

    #[inline]
    #[track_caller]
    fn constant(value: f64) -> Self {
        Self::from_value(T::constant(value))
    }
    #[track_caller]
    fn detach(&self) -> Self {
        self.alike(|x| x.detach())
    }
    fn perturbed(self, internal: Internal, name: &str, at: At) -> Self {
        match self.known() {
            Some(value) => Self::from_value(value.clone().perturbed(internal, name, at)),
            None => self,
        }
    }
    fn home(internal: Internal) -> usize {
        T::home(internal)
    }
    fn at_home(internal: Internal, home: usize, f: &mut dyn FnMut()) {
        T::at_home(internal, home, f);
    }
    #[track_caller]
    fn hook<H: Hook>(self, hook: &H) -> Self {
        let hook = hook.clone();
        self.alike(move |x| x.clone().hook(&hook))
    }
    fn is_recorded(internal: Internal) -> bool {
        T::is_recorded(internal)
    }
    fn is_in_region(internal: Internal) -> bool {
        T::is_in_region(internal)
    }
    #[track_caller]
    fn placeholder(&self, internal: Internal, shape: Option<&[usize]>) -> Self {
        Self::from_value(self.demand("linearize").placeholder(internal, shape))
    }
    fn lengths(&self, _: Internal) -> Shape {
        self.dims()
    }
    fn name_with(&self, name: &dyn Fn() -> String) {
        if let Some(value) = self.known() {
            value.name_with(name);
        }
    }
    fn print(&self, name: &str, at: At) {
        // What is not known yet is no value of the model.
        if let Some(value) = self.known() {
            value.print(name, at);
        }
    }
    fn adjoint(&self) -> PartialAdjoint<T> {
        PartialAdjoint::empty(self)
    }
    fn accumulate(adjoint: &PartialAdjoint<T>, g: Self) {
        adjoint.add(g);
    }
    fn quiet(self) -> Self {
        match self.known() {
            Some(value) => Self::from_value(value.clone().quiet()),
            None => self,
        }
    }
    #[track_caller]
    fn take_adjoint(adjoint: &PartialAdjoint<T>) -> Option<Self> {
        adjoint.take()
    }
    fn widen_adjoint(adjoint: &PartialAdjoint<T>, axis: usize, length: usize) {
        adjoint.widen(axis, length);
    }
    fn place() -> usize {
        T::place()
    }
    fn leave_for(self, place: usize) -> PartialAdjoint<T> {
        PartialAdjoint::left_for(self, place)
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        shape::broadcast(op, &lhs.dims(), &rhs.dims()).map(drop)
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        a.dims() == b.dims()
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        match self.known() {
            Some(value) => value.check_scalar(op),
            None => shape::scalar(op, &self.dims()),
        }
    }
    #[track_caller]
    fn broadcast_like(&self, like: &Self) -> Self {
        if Self::same_shape(self, like) {
            return self.clone();
        }
        self.zip(like, || like.dims(), |x, like| x.broadcast_like(like))
    }
    #[track_caller]
    fn unbroadcast(self, like: &Self) -> Self {
        if Self::same_shape(&self, like) {
            return self;
        }
        self.zip(like, || like.dims(), |x, like| x.unbroadcast(like))
    }
    #[track_caller]
    fn full_like(&self, value: f64) -> Self {
        self.alike(move |x| x.full_like(value))
    }
    #[track_caller]
    fn sign(&self) -> Self {
        self.alike(|x| x.sign())
    }
    #[track_caller]
    fn floor(&self) -> Self {
        self.alike(|x| x.floor())
    }
    #[track_caller]
    fn ceil(&self) -> Self {
        self.alike(|x| x.ceil())
    }
    #[track_caller]
    fn round(&self) -> Self {
        self.alike(|x| x.round())
    }
    #[track_caller]
    fn trunc(&self) -> Self {
        self.alike(|x| x.trunc())
    }
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        self.alike(move |x| x.powi(n))
    }
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        self.alike(move |x| x.clamp(low, high))
    }
    fn is_of_rows(&self) -> bool {
        self.known().is_some_and(T::is_of_rows)
    }
    fn none_zero(&self) -> bool {
        self.known().is_some_and(T::none_zero)
    }
    fn all_finite(&self) -> bool {
        self.known().is_some_and(T::all_finite)
    }
    #[track_caller]
    fn strong_quotient(self, divisor: &Self) -> Self {
        match self.known() {
            Some(_) => derivative_rules::quotient(self, divisor),
            None if divisor.none_zero() => self / divisor,
            None => self.elementwise("div", divisor, |dy, d| dy.strong_quotient(d)),
        }
    }
    #[track_caller]
    fn strong_factor(&self, slope: Self) -> Self {
        match (self.known(), slope.known()) {
            (Some(_), Some(_)) => derivative_rules::factor(self, slope),
            (None, _) if slope.all_finite() => slope,
            _ => self.elementwise("mul", &slope, |dy, slope| dy.strong_factor(slope.clone())),
        }
    }
    #[track_caller]
    fn select(mask: &T::Bool, then: &Self, otherwise: &Self) -> Self {
        let at = At::caller();
        if let (Some(then), Some(otherwise)) = (then.known(), otherwise.known()) {
            return Self::from_value(T::select(mask, then, otherwise));
        }
        let values = shape::broadcast("select", &then.dims(), &otherwise.dims()).or_raise();
        let shape = shape::broadcast("select", &mask.lengths(), &values).or_raise();
        let program = super::Program::common([then, otherwise].into_iter().filter_map(Partial::program), at)
            .expect("one of them is unknown");
        let mask = super::Operand::Known(Leaf::Bool(mask.clone()));
        let operands = SmallVec::from_iter([mask, then.operand(), otherwise.operand()]);
        Self::step(operands, &program, shape, |args| {
            let mask = args.leaf().bool();
            let then = args.real();
            T::select(&mask, &then, &args.real())
        })
    }
    fn from_int(value: &T::Int) -> Self {
        Self::from_value(T::from_int(value))
    }
    #[track_caller]
    fn to_int(&self) -> T::Int {
        self.demand("to_int").to_int()
    }
}
