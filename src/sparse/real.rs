//! Scalar operators: an element of the result depends on what those that it is computed of depend on.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::rc::Rc;

use super::set::{Set, sets_of, union};
use super::{Traced, TracedAdjoint};
use crate::array::{Float, NdArray, NdBool, NdInt};
use crate::continuation::unwinding::operator;
use crate::error::{At, Result};
use crate::language::control::Control;
use crate::language::derivative_rules::{binary_names, for_each_binary, for_each_unary, unary_names};
use crate::language::node::StackNode;
use crate::language::real::Real;
use crate::language::shape;
use crate::language::tensor::Tensor;
use crate::scalar::Slot;

impl<E: Float> Traced<E> {
    /// An elementwise operator of two operands. A constant zero on a side that `vanishes` names makes it a constant.
    #[track_caller]
    fn zip(
        &self,
        other: &Self,
        vanishes: [bool; 2],
        f: impl FnOnce(NdArray<E>, &NdArray<E>) -> NdArray<E>,
    ) -> Self {
        operator(At::caller(), || {
            let value = f(self.value.clone(), &other.value);
            if self.sets.is_none() && other.sets.is_none() {
                return Self::lift(&value);
            }
            let [a, b] = [self, other].map(|x| x.broadcast_to(&value.shape()));
            let mut sets: Vec<Set> = a.sets().iter().zip(&b.sets()).map(|(a, b)| union([a, b])).collect();
            for operand in
                [a, b].iter().zip(vanishes).filter_map(|(operand, vanishes)| vanishes.then_some(operand))
            {
                sets.iter_mut()
                    .zip(operand.zeros())
                    .filter(|(_, zero)| *zero)
                    .for_each(|(set, _)| *set = None);
            }
            Traced { value, sets: sets_of(sets) }
        })
    }
    /// A value of this one's shape that changes where this one does, and has no derivative.
    fn flat(&self, value: NdArray<E>) -> Self {
        let sets = self.sets();
        Self::without_derivative(value, |i| sets[i].is_some())
    }
}

macro_rules! operators {
    ($($Trait:ident $name:ident $vanishes:expr;)*) => { $(
        impl<E: Float> $Trait<&Traced<E>> for Traced<E> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                self.zip(rhs, $vanishes, |a, b| $Trait::$name(a, b))
            }
        }
        impl<E: Float> $Trait for Traced<E> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        /// With a plain number.
        impl<E: Float> $Trait<f64> for Traced<E> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    )* };
}
operators! {
    Add add [false, false];
    Sub sub [false, false];
    Mul mul [true, true];
    Div div [true, false];
}

impl<E: Float> Neg for Traced<E> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        self.map(|x| -x.clone())
    }
}

macro_rules! unary {
    ($name:ident) => {
        #[track_caller]
        fn $name(&self) -> Self {
            self.map(|x| x.$name())
        }
    };
}
macro_rules! binary {
    // A constant zero makes it a constant, as it does a product.
    (strong_mul) => {};
    ($name:ident) => {
        #[track_caller]
        fn $name(&self, other: &Self) -> Self {
            self.zip(other, [false; 2], |a, b| a.$name(b))
        }
    };
}
macro_rules! comparisons {
    ($($name:ident)*) => { $(
        #[track_caller]
        fn $name(&self, other: &Self) -> NdBool {
            self.value.$name(&other.value)
        }
    )* };
}

impl<E: Float> Real for Traced<E> {
    type Bool = NdBool;
    type Int = NdInt;
    type Adjoint = TracedAdjoint<E>;
    type Node<V: Real> = StackNode<V>;

    for_each_unary!(unary_names);
    for_each_binary!(binary_names);
    comparisons! { less less_equal equal }

    fn constant(value: f64) -> Self {
        Self::lift(&NdArray::constant(value))
    }
    fn detach(&self) -> Self {
        self.flat(self.value.clone())
    }
    fn print(&self, name: &str, at: At) {
        self.value.print(name, at);
    }
    fn adjoint(&self) -> TracedAdjoint<E> {
        TracedAdjoint(Slot::new())
    }
    #[track_caller]
    fn accumulate(adjoint: &TracedAdjoint<E>, g: Self) {
        adjoint.0.accumulate(g);
    }
    fn take_adjoint(adjoint: &TracedAdjoint<E>) -> Option<Self> {
        adjoint.0.take()
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        NdArray::check_broadcast(op, &lhs.value, &rhs.value)
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        NdArray::same_shape(&a.value, &b.value)
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        self.value.check_scalar(op)
    }
    #[track_caller]
    fn broadcast_like(&self, like: &Self) -> Self {
        self.broadcast_to(&like.shape())
    }
    #[track_caller]
    fn unbroadcast(self, like: &Self) -> Self {
        let (from, to) = (self.shape(), like.shape());
        if from == to {
            return self;
        }
        self.sum(shape::repeated_axes(&from, &to).as_slice()).reshape(&to)
    }
    fn full_like(&self, value: f64) -> Self {
        Self::lift(&self.value.full_like(value))
    }
    #[track_caller]
    fn sign(&self) -> Self {
        operator(At::caller(), || self.flat(self.value.sign()))
    }
    #[track_caller]
    fn floor(&self) -> Self {
        operator(At::caller(), || self.flat(self.value.floor()))
    }
    #[track_caller]
    fn ceil(&self) -> Self {
        operator(At::caller(), || self.flat(self.value.ceil()))
    }
    #[track_caller]
    fn round(&self) -> Self {
        operator(At::caller(), || self.flat(self.value.round()))
    }
    #[track_caller]
    fn trunc(&self) -> Self {
        operator(At::caller(), || self.flat(self.value.trunc()))
    }
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        match n {
            0 => operator(At::caller(), || Self::lift(&self.value.powi(0))),
            n => self.map(|x| x.powi(n)),
        }
    }
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        self.map(|x| x.clamp(low, high))
    }
    /// Of both: for another input the mask may be another.
    #[track_caller]
    fn select(mask: &NdBool, then: &Self, otherwise: &Self) -> Self {
        operator(At::caller(), || {
            let value = NdArray::select(mask, &then.value, &otherwise.value);
            let [then, otherwise] = [then, otherwise].map(|x| x.broadcast_to(&value.shape()).sets());
            let changes: Set = Some(Rc::from([]));
            let sets = then.iter().zip(&otherwise).map(|(a, b)| union([&changes, a, b])).collect();
            Traced { value, sets: sets_of(sets) }
        })
    }
    fn none_zero(&self) -> bool {
        self.value.none_zero()
    }
    fn all_finite(&self) -> bool {
        self.value.all_finite()
    }
    fn from_int(value: &NdInt) -> Self {
        Self::without_derivative(NdArray::from_int(value), |_| true)
    }
    #[track_caller]
    fn to_int(&self) -> NdInt {
        self.value.to_int()
    }
}

impl<E: Float> Control for Traced<E> {}
