//! [`NdInt`]: arrays of integers.

use std::fmt;
use std::ops::{self, Range};

use antiphon_elementary::numbers;
use antiphon_system::print::print;
use ndarray::{Array, ArrayD, ArrayViewD, Dimension};

use super::buffer::{self, Storage, memory};
use super::elementwise::{Add, Equal, Less, Mul, Sub, map, select, zip, zip_into, zip_owned};
use super::kernel::{Map, Zip};
use super::{NdBool, index};
use crate::continuation::unwinding::OrRaise;
use crate::error::{At, Result};
use crate::language::real::Int;
use crate::language::shape::{self, Shape};
use crate::language::tensor::IntTensor;
use crate::memory::collected;

/// An array of integers (token ids, labels, children of tree nodes); the companion of [`NdArray`](crate::NdArray).
///
/// Sums and products wrap around on overflow.
#[derive(Clone, PartialEq)]
pub struct NdInt(pub(super) Storage<i64>);

impl NdInt {
    /// An array of rank zero.
    pub fn scalar(value: i64) -> NdInt {
        NdInt(buffer::from_vec(&[], vec![value]))
    }
    /// The value of an array with one element.
    ///
    /// # Panics
    /// If there is not exactly one.
    #[track_caller]
    pub fn item(&self) -> i64 {
        assert!(self.0.len() == 1, "item: an array of shape {:?} is not a single integer", self.0.shape());
        memory(&self.0)[0]
    }
    /// The elements, for reading, as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, i64> {
        self.0.view()
    }
    /// The elements as an owned `ndarray` array; copied only if they are shared.
    pub fn into_array(self) -> ArrayD<i64> {
        self.0.into_owned()
    }
}

impl<D: Dimension> From<Array<i64, D>> for NdInt {
    fn from(array: Array<i64, D>) -> NdInt {
        NdInt(buffer::forward(array.into_dyn().into_shared()))
    }
}

impl From<Vec<i64>> for NdInt {
    fn from(elements: Vec<i64>) -> NdInt {
        NdInt(buffer::from_vec(&[elements.len()], elements))
    }
}

impl From<i64> for NdInt {
    fn from(value: i64) -> NdInt {
        NdInt::scalar(value)
    }
}

impl fmt::Debug for NdInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NdInt{:?} ", self.0.shape())?;
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for NdInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

macro_rules! integer_zips {
    ($($name:ident: ($x:ident, $y:ident) -> $O:ty => $z:expr;)*) => { $(
        impl Zip<i64> for $name {
            type Output = $O;
            #[inline(always)]
            fn apply(self, $x: i64, $y: i64) -> $O {
                $z
            }
        }
    )* };
}

integer_zips! {
    Add: (x, y) -> i64 => x.wrapping_add(y);
    Sub: (x, y) -> i64 => x.wrapping_sub(y);
    Mul: (x, y) -> i64 => x.wrapping_mul(y);
    FloorDivide: (x, y) -> i64 => numbers::floor_divide(x, y);
    Less: (x, y) -> bool => x < y;
    Equal: (x, y) -> bool => x == y;
}

macro_rules! operator {
    ($($Op:ident $method:ident;)*) => { $(
        impl ops::$Op for NdInt {
            type Output = NdInt;
            #[track_caller]
            fn $method(self, rhs: NdInt) -> NdInt {
                NdInt(zip_owned(stringify!($method), $Op, self.0, rhs.0))
            }
        }
        impl ops::$Op<&NdInt> for NdInt {
            type Output = NdInt;
            #[track_caller]
            fn $method(self, rhs: &NdInt) -> NdInt {
                NdInt(zip_into(stringify!($method), $Op, self.0, &rhs.0))
            }
        }
        impl ops::$Op<i64> for NdInt {
            type Output = NdInt;
            #[track_caller]
            fn $method(self, rhs: i64) -> NdInt {
                self.$method(NdInt::scalar(rhs))
            }
        }
    )* };
}

operator! {
    Add add;
    Sub sub;
    Mul mul;
}

/// A quotient, rounded down.
#[derive(Clone, Copy)]
struct FloorDivide;

/// `−x`, wrapping around.
#[derive(Clone, Copy)]
struct Negative;
impl Map<i64> for Negative {
    type Output = i64;
    #[inline(always)]
    fn apply(self, x: i64) -> i64 {
        x.wrapping_neg()
    }
}

impl ops::Neg for NdInt {
    type Output = NdInt;
    #[track_caller]
    fn neg(self) -> NdInt {
        NdInt(map(Negative, &self.0))
    }
}

impl Int for NdInt {
    type Bool = NdBool;
    #[track_caller]
    fn floor_divide(&self, divisor: &NdInt) -> NdInt {
        NdInt(zip("floor_divide", FloorDivide, &self.0, &divisor.0))
    }
    fn constant(value: i64) -> NdInt {
        NdInt::scalar(value)
    }
    fn print(&self, name: &str, at: At) {
        let elements: Vec<i64> = self.0.iter().copied().collect();
        print(name, at.location(), self.0.shape(), &elements);
    }
    #[track_caller]
    fn less(&self, other: &NdInt) -> NdBool {
        NdBool(zip("less", Less, &self.0, &other.0))
    }
    #[track_caller]
    fn equal(&self, other: &NdInt) -> NdBool {
        NdBool(zip("equal", Equal, &self.0, &other.0))
    }
    #[track_caller]
    fn select(mask: &NdBool, then: &NdInt, otherwise: &NdInt) -> NdInt {
        NdInt(select(mask, &then.0, &otherwise.0))
    }
    fn known(&self) -> Option<i64> {
        (self.0.len() == 1).then(|| memory(&self.0)[0])
    }
}

impl IntTensor for NdInt {
    fn shape(&self) -> Shape {
        self.0.shape().into()
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[i64]) -> Result<NdInt> {
        shape::from_elements(shape, elements.len())?;
        Ok(NdInt(buffer::from_vec(shape, collected(elements.iter().copied()))))
    }
    fn elements(&self) -> Option<Vec<i64>> {
        Some(super::kernel::copy(&self.0))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> NdInt {
        shape::reshape(self.0.shape(), shape).or_raise();
        NdInt(buffer::reshape(&self.0, shape))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &NdInt) -> NdInt {
        NdInt(index::gather_rows(&self.0, indices))
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> NdInt {
        NdInt(index::slice(&self.0, axis, range, 1))
    }
}

crate::language::state::index_state! { NdInt, NdBool; }
