//! `+ − × ÷` of arrays: with arrays by value and by reference, and with plain numbers.

use std::ops;

use super::NdArray;
use super::elementwise::{Add, Div, Mul, Neg, Sub, WithNumber};
use super::float::Float;

macro_rules! operator {
    ($($Op:ident $method:ident;)*) => { $(
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

operator! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
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
