//! Scalar operators: the derivatives of the table, applied to tangents.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Dual, DualAdjoint, plus};
use crate::continuation::unwinding::part_of_operator;
use crate::error::{At, Result};
use crate::language::custom::{Hook, assert_linear};
use crate::language::derivative_rules::{self, for_each_binary, for_each_unary};
use crate::language::real::Real;
use crate::language::shape::Shape;
use crate::sealed::{INTERNAL, Internal};

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident($x:ident) -> $y:ident, $dy:ident: $rule:expr;)*) => {
        $(unary_methods!(@method $name $x $y $dy $rule);)*
    };
    (@method neg $x:ident $y:ident $dy:ident $rule:expr) => {};
    (@method $name:ident $x:ident $y:ident $dy:ident $rule:expr) => {
        #[inline]
        #[track_caller]
        #[allow(unused_variables, reason = "not every rule needs operand and result")]
        fn $name(&self) -> Self {
            part_of_operator(T::ALLOCATES, At::caller(), || {
                let $x = &self.primal;
                let y = T::$name($x);
                let tangent = self.tangent.clone().map(|$dy| {
                    let $y = &y;
                    $rule
                });
                Dual { primal: y, tangent }
            })
        }
    };
}

/// The body of a binary operator: each operand's tangent through its partial derivative.
macro_rules! binary_body {
    ($lhs:expr, $rhs:expr, |$a:ident, $b:ident, $y:ident, $dy:ident| $value:expr, $da:expr, $db:expr) => {{
        let (lhs, rhs): (&Dual<T>, &Dual<T>) = ($lhs, $rhs);
        part_of_operator(T::ALLOCATES, At::caller(), || {
            let ($a, $b) = (&lhs.primal, &rhs.primal);
            let y: T = $value;
            let $y = &y;
            let from_a = lhs.tangent.clone().map(|$dy| $da.broadcast_like($y));
            let from_b = rhs.tangent.clone().map(|$dy| $db.broadcast_like($y));
            let tangent = plus(from_a, from_b);
            Dual { primal: y, tangent }
        })
    }};
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => {
        $(binary_methods!(@method $name $a $b $y $dy [$da] [$db]);)*
    };
    (@method add $($rest:tt)*) => {};
    (@method sub $($rest:tt)*) => {};
    (@method mul $($rest:tt)*) => {};
    (@method div $($rest:tt)*) => {};
    (@method $name:ident $a:ident $b:ident $y:ident $dy:ident [$da:expr] [$db:expr]) => {
        #[inline]
        #[track_caller]
        #[allow(unused_variables, reason = "not every rule needs operands and result")]
        fn $name(&self, other: &Self) -> Self {
            binary_body!(self, other, |$a, $b, $y, $dy| T::$name($a, $b), $da, $db)
        }
    };
}

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => {
        $(operators!(@operator $name $a $b $y $dy [$da] [$db]);)*
    };
    (@operator add $($rest:tt)*) => { operators!(@implement Add add $($rest)*); };
    (@operator sub $($rest:tt)*) => { operators!(@implement Sub sub $($rest)*); };
    (@operator mul $($rest:tt)*) => { operators!(@implement Mul mul $($rest)*); };
    (@operator div $($rest:tt)*) => { operators!(@implement Div div $($rest)*); };
    (@operator $name:ident $($rest:tt)*) => {};
    (@implement $Trait:ident $name:ident $a:ident $b:ident $y:ident $dy:ident [$da:expr] [$db:expr]) => {
        impl<T: Real> $Trait<&Dual<T>> for Dual<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            #[allow(unused_variables, reason = "not every rule needs operands and result")]
            fn $name(self, rhs: &Self) -> Self {
                binary_body!(&self, rhs, |$a, $b, $y, $dy| $Trait::$name($a.clone(), $b), $da, $db)
            }
        }
        impl<T: Real> $Trait for Dual<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        /// With a plain number.
        impl<T: Real> $Trait<f64> for Dual<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    };
}
for_each_binary!(operators);

impl<T: Real> Neg for Dual<T> {
    type Output = Self;
    #[inline]
    #[track_caller]
    fn neg(self) -> Self {
        part_of_operator(T::ALLOCATES, At::caller(), || Dual {
            primal: -self.primal,
            tangent: self.tangent.map(|dx| -dx),
        })
    }
}

impl<T: Real> Real for Dual<T> {
    type Bool = T::Bool;
    type Int = T::Int;
    type Adjoint = DualAdjoint<T>;
    type Node<V: Real> = T::Node<V>;
    const NESTING: u64 = T::NESTING << 2 | 2;
    const ALLOCATES: bool = T::ALLOCATES;

    for_each_unary!(unary_methods);
    for_each_binary!(binary_methods);

    #[inline]
    fn constant(value: f64) -> Self {
        Self::constant_of(T::constant(value))
    }
    fn detach(&self) -> Self {
        Self::constant_of(self.primal.detach())
    }
    #[inline]
    fn is_recorded(internal: Internal) -> bool {
        T::is_recorded(internal)
    }
    fn is_in_region(internal: Internal) -> bool {
        T::is_in_region(internal)
    }
    fn placeholder(&self, internal: Internal, shape: Option<&[usize]>) -> Self {
        let [primal, tangent] = [&self.primal; 2].map(|x| x.placeholder(internal, shape));
        Dual { primal, tangent: Some(tangent) }
    }
    fn perturbed(self, internal: Internal, name: &str, at: At) -> Self {
        Dual { primal: self.primal.perturbed(internal, name, at), tangent: self.tangent }
    }
    fn home(internal: Internal) -> usize {
        T::home(internal)
    }
    fn at_home(internal: Internal, home: usize, f: &mut dyn FnMut()) {
        T::at_home(internal, home, f);
    }
    #[track_caller]
    fn hook<H: Hook>(self, hook: &H) -> Self {
        assert_linear("hook", H::LINEAR || self.tangent.is_none() || !T::is_in_region(INTERNAL));
        self.linear(|x| x.clone().hook(hook))
    }
    fn after(&self, internal: Internal, token: &Self) -> Self {
        let primal = self.primal.after(internal, &token.primal);
        let tangent = self.tangent.as_ref().map(|tangent| tangent.after(internal, &token.primal));
        Dual { primal, tangent }
    }
    #[inline]
    fn name_with(&self, name: &dyn Fn() -> String) {
        self.primal.name_with(name);
        if let Some(tangent) = &self.tangent {
            tangent.name_with(&|| name() + "_dot");
        }
    }
    fn print(&self, name: &str, at: At) {
        self.primal.print(name, at);
    }
    fn adjoint(&self) -> DualAdjoint<T> {
        DualAdjoint { primal: self.primal.adjoint(), tangent: self.primal.adjoint() }
    }
    fn accumulate(adjoint: &DualAdjoint<T>, g: Self) {
        T::accumulate(&adjoint.primal, g.primal);
        if let Some(tangent) = g.tangent {
            T::accumulate(&adjoint.tangent, tangent);
        }
    }
    fn accumulate_quiet(adjoint: &DualAdjoint<T>, g: Self) {
        T::accumulate_quiet(&adjoint.primal, g.primal);
        if let Some(tangent) = g.tangent {
            T::accumulate_quiet(&adjoint.tangent, tangent);
        }
    }
    fn quiet(self) -> Self {
        Dual { primal: self.primal.quiet(), tangent: self.tangent.map(T::quiet) }
    }
    fn take_adjoint(adjoint: &DualAdjoint<T>) -> Option<Self> {
        let primal = T::take_adjoint(&adjoint.primal);
        let tangent = T::take_adjoint(&adjoint.tangent);
        primal.map(|primal| Dual { primal, tangent })
    }
    fn accumulate_all(adjoint: &DualAdjoint<T>, from: DualAdjoint<T>) {
        T::accumulate_all(&adjoint.primal, from.primal);
        T::accumulate_all(&adjoint.tangent, from.tangent);
    }
    fn with_adjoint(adjoint: &DualAdjoint<T>, pull: impl FnOnce(Self)) {
        T::with_adjoint(&adjoint.primal, |primal| {
            pull(Dual { primal, tangent: T::take_adjoint(&adjoint.tangent) })
        });
    }
    fn widen_adjoint(adjoint: &DualAdjoint<T>, axis: usize, length: usize) {
        T::widen_adjoint(&adjoint.primal, axis, length);
        T::widen_adjoint(&adjoint.tangent, axis, length);
    }
    fn place() -> usize {
        T::place()
    }
    fn leave_for(self, place: usize) -> DualAdjoint<T> {
        let tangent = match self.tangent {
            Some(tangent) => tangent.leave_for(place),
            None => self.primal.adjoint(),
        };
        DualAdjoint { primal: self.primal.leave_for(place), tangent }
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        T::check_broadcast(op, &lhs.primal, &rhs.primal)
    }
    fn lengths(&self, internal: Internal) -> Shape {
        self.primal.lengths(internal)
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        T::same_shape(&a.primal, &b.primal)
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        self.primal.check_scalar(op)
    }
    fn broadcast_like(&self, like: &Self) -> Self {
        self.linear(|x| x.broadcast_like(&like.primal))
    }
    fn unbroadcast(self, like: &Self) -> Self {
        self.linear(|x| x.clone().unbroadcast(&like.primal))
    }
    fn full_like(&self, value: f64) -> Self {
        Self::constant_of(self.primal.full_like(value))
    }
    fn sign(&self) -> Self {
        Self::constant_of(self.primal.sign())
    }
    fn floor(&self) -> Self {
        Self::constant_of(self.primal.floor())
    }
    fn ceil(&self) -> Self {
        Self::constant_of(self.primal.ceil())
    }
    fn round(&self) -> Self {
        Self::constant_of(self.primal.round())
    }
    fn trunc(&self) -> Self {
        Self::constant_of(self.primal.trunc())
    }
    fn powi(&self, n: i32) -> Self {
        part_of_operator(T::ALLOCATES, At::caller(), || {
            let tangent = self.tangent.clone().map(|dx| derivative_rules::powi(&self.primal, n, dx));
            Dual { primal: self.primal.powi(n), tangent }
        })
    }
    fn clamp(&self, low: f64, high: f64) -> Self {
        part_of_operator(T::ALLOCATES, At::caller(), || {
            let tangent = self.tangent.clone().map(|dx| derivative_rules::clamp(&self.primal, low, high, dx));
            Dual { primal: self.primal.clamp(low, high), tangent }
        })
    }
    #[track_caller]
    fn less(&self, other: &Self) -> T::Bool {
        self.primal.less(&other.primal)
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> T::Bool {
        self.primal.less_equal(&other.primal)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> T::Bool {
        self.primal.equal(&other.primal)
    }
    #[inline]
    fn is_of_rows(&self) -> bool {
        self.primal.is_of_rows()
    }
    #[inline]
    fn none_zero(&self) -> bool {
        self.primal.none_zero()
    }
    #[inline]
    fn all_finite(&self) -> bool {
        self.primal.all_finite()
    }
    #[track_caller]
    fn select(mask: &T::Bool, then: &Self, otherwise: &Self) -> Self {
        let primal = T::select(mask, &then.primal, &otherwise.primal);
        let tangent = match (&then.tangent, &otherwise.tangent) {
            (None, None) => None,
            (a, b) => {
                let zero = T::constant(0.0);
                let chosen = T::select(mask, a.as_ref().unwrap_or(&zero), b.as_ref().unwrap_or(&zero));
                Some(chosen.broadcast_like(&primal))
            }
        };
        Dual { primal, tangent }
    }
    fn from_int(value: &T::Int) -> Self {
        Self::constant_of(T::from_int(value))
    }
    fn to_int(&self) -> T::Int {
        self.primal.to_int()
    }
}
