//! `+ − × ÷` of arrays: with arrays by value and by reference, and with plain numbers.

use std::ops;

use super::NdArray;
use super::elementwise::{Add, Div, Mul, Neg, Sub, zip, zip_into, zip_owned};
use super::float::Float;

macro_rules! operator {
    ($($Op:ident $method:ident;)*) => { $(
        impl<E: Float> ops::$Op for NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: NdArray<E>) -> NdArray<E> {
                NdArray(zip_owned(stringify!($method), $Op, self.0, rhs.0))
            }
        }
        impl<E: Float> ops::$Op<&NdArray<E>> for NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: &NdArray<E>) -> NdArray<E> {
                NdArray(zip_into(stringify!($method), $Op, self.0, &rhs.0))
            }
        }
        impl<E: Float> ops::$Op<&NdArray<E>> for &NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: &NdArray<E>) -> NdArray<E> {
                NdArray(zip(stringify!($method), $Op, &self.0, &rhs.0))
            }
        }
        impl<E: Float> ops::$Op<f64> for NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: f64) -> NdArray<E> {
                self.map_into(WithNumber($Op, E::from_f64(rhs)))
            }
        }
        impl<E: Float> ops::$Op<f64> for &NdArray<E> {
            type Output = NdArray<E>;
            #[inline]
            #[track_caller]
            fn $method(self, rhs: f64) -> NdArray<E> {
                self.map(WithNumber($Op, E::from_f64(rhs)))
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

/// A function of two elements with its second argument fixed.
#[derive(Clone, Copy)]
struct WithNumber<F, E>(F, E);

impl<E: Float, F: super::kernel::Zip<E>> super::kernel::Map<E> for WithNumber<F, E> {
    type Output = F::Output;
    #[inline(always)]
    fn apply(self, x: E) -> F::Output {
        self.0.apply(x, self.1)
    }
}

impl<E: Float> ops::Neg for NdArray<E> {
    type Output = NdArray<E>;
    #[inline]
    #[track_caller]
    fn neg(self) -> NdArray<E> {
        self.map_into(Neg)
    }
}

impl<E: Float> ops::Neg for &NdArray<E> {
    type Output = NdArray<E>;
    #[inline]
    #[track_caller]
    fn neg(self) -> NdArray<E> {
        self.map(Neg)
    }
}
