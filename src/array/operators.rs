//! `+ − × ÷` of arrays: with arrays by value and by reference, and with plain numbers.

use std::ops;

use super::NdArray;
use super::elementwise::{Add, Div, Mul, Neg, Sub, WithNumber};
use super::float::Float;
use crate::continuation::unwinding::OrRaise;
use crate::forward::Dual;
use crate::language::operators::{operators_on_numbers, operators_that_lift};
use crate::language::real::Real;
use crate::reverse::Var;

impl<E: Float> NdArray<E> {
    /// The array, of which an empty one is left: an operator that gets it writes the result in its place.
    fn take(&mut self) -> NdArray<E> {
        std::mem::replace(self, NdArray::from_vec(&[0], Vec::new()))
    }
}

macro_rules! operator {
    ($($Op:ident $method:ident $OpAssign:ident $assign:ident;)*) => { $(
        impl<E: Float> ops::$OpAssign for NdArray<E> {
            #[track_caller]
            fn $assign(&mut self, rhs: NdArray<E>) {
                Self::check_broadcast(stringify!($method), self, &rhs).or_raise();
                *self = ops::$Op::$method(self.take(), rhs);
            }
        }
        impl<E: Float> ops::$OpAssign<&NdArray<E>> for NdArray<E> {
            #[track_caller]
            fn $assign(&mut self, rhs: &NdArray<E>) {
                Self::check_broadcast(stringify!($method), self, rhs).or_raise();
                *self = ops::$Op::$method(self.take(), rhs);
            }
        }
        impl<E: Float> ops::$OpAssign<f64> for NdArray<E> {
            #[track_caller]
            fn $assign(&mut self, rhs: f64) {
                *self = ops::$Op::$method(self.take(), rhs);
            }
        }
        impl<E: Float> ops::$Op for NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: NdArray<E>) -> NdArray<E> {
                NdArray(E::zip_owned(stringify!($method), $Op, self.0, rhs.0)).checked(stringify!($method))
            }
        }
        impl<E: Float> ops::$Op<&NdArray<E>> for NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: &NdArray<E>) -> NdArray<E> {
                NdArray(E::zip_into(stringify!($method), $Op, self.0, &rhs.0)).checked(stringify!($method))
            }
        }
        impl<E: Float> ops::$Op<&NdArray<E>> for &NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: &NdArray<E>) -> NdArray<E> {
                NdArray(E::zip(stringify!($method), $Op, &self.0, &rhs.0)).checked(stringify!($method))
            }
        }
        impl<E: Float> ops::$Op<NdArray<E>> for &NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: NdArray<E>) -> NdArray<E> {
                NdArray(E::zip(stringify!($method), $Op, &self.0, &rhs.0))
            }
        }
        impl<E: Float> ops::$Op<f64> for NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: f64) -> NdArray<E> {
                E::map_into(WithNumber($Op, E::from_f64(rhs)), self).checked(stringify!($method))
            }
        }
        impl<E: Float> ops::$Op<f64> for &NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: f64) -> NdArray<E> {
                E::map(WithNumber($Op, E::from_f64(rhs)), self).checked(stringify!($method))
            }
        }
    )* };
}

operators_on_numbers!([E: Float] NdArray<E>);
operators_that_lift!(['r, E: Float] Var<'r, NdArray<E>>, Var::lift, NdArray<E>);
operators_that_lift!([E: Float] Dual<NdArray<E>>, Dual::lift, NdArray<E>);

operator! {
    Add add AddAssign add_assign;
    Sub sub SubAssign sub_assign;
    Mul mul MulAssign mul_assign;
    Div div DivAssign div_assign;
}

impl<E: Float> ops::Neg for NdArray<E> {
    type Output = NdArray<E>;
    #[inline]
    #[track_caller]
    fn neg(self) -> NdArray<E> {
        E::map_into(Neg, self)
    }
}

impl<E: Float> ops::Neg for &NdArray<E> {
    type Output = NdArray<E>;
    #[inline]
    #[track_caller]
    fn neg(self) -> NdArray<E> {
        E::map(Neg, self)
    }
}
