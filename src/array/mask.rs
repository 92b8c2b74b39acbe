//! [`NdBool`]: arrays of truth values.

use std::fmt;
use std::ops::Range;

use ndarray::{Array, ArrayD, ArrayViewD, Dimension};

use super::buffer::{self, Storage, memory};
use super::elementwise::{map, zip};
use super::index;
use super::kernel::{Map, Zip};
use crate::continuation::unwinding::OrRaise;
use crate::language::real::Mask;
use crate::language::shape::{self, Shape};
use crate::language::tensor::MaskTensor;

/// An array of truth values; what comparisons of [`NdArray`](crate::NdArray)s give.
#[derive(Clone, PartialEq)]
pub struct NdBool(pub(super) Storage<bool>);

impl NdBool {
    /// An array of rank zero.
    pub fn scalar(value: bool) -> NdBool {
        NdBool(buffer::from_vec(&[], vec![value]))
    }
    /// The elements, for reading, as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, bool> {
        self.0.view()
    }
    /// The elements as an owned `ndarray` array; copied only if they are shared.
    pub fn into_array(self) -> ArrayD<bool> {
        self.0.into_owned()
    }
}

impl<D: Dimension> From<Array<bool, D>> for NdBool {
    fn from(array: Array<bool, D>) -> NdBool {
        NdBool(buffer::forward(array.into_dyn().into_shared()))
    }
}

impl From<Vec<bool>> for NdBool {
    fn from(elements: Vec<bool>) -> NdBool {
        NdBool(buffer::from_vec(&[elements.len()], elements))
    }
}

impl From<bool> for NdBool {
    fn from(value: bool) -> NdBool {
        NdBool::scalar(value)
    }
}

impl fmt::Debug for NdBool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NdBool{:?} ", self.0.shape())?;
        fmt::Display::fmt(&self.0, f)
    }
}

#[derive(Clone, Copy)]
struct And;
impl Zip<bool> for And {
    type Output = bool;
    #[inline(always)]
    fn apply(self, x: bool, y: bool) -> bool {
        x & y
    }
}

#[derive(Clone, Copy)]
struct Or;
impl Zip<bool> for Or {
    type Output = bool;
    #[inline(always)]
    fn apply(self, x: bool, y: bool) -> bool {
        x | y
    }
}

#[derive(Clone, Copy)]
struct Not;
impl Map<bool> for Not {
    type Output = bool;
    #[inline(always)]
    fn apply(self, x: bool) -> bool {
        !x
    }
}

impl Mask for NdBool {
    #[track_caller]
    fn and(&self, other: &NdBool) -> NdBool {
        NdBool(zip("and", And, &self.0, &other.0))
    }
    #[track_caller]
    fn or(&self, other: &NdBool) -> NdBool {
        NdBool(zip("or", Or, &self.0, &other.0))
    }
    fn not(&self) -> NdBool {
        NdBool(map(Not, &self.0))
    }
    fn known(&self) -> Option<bool> {
        (self.0.len() == 1).then(|| memory(&self.0)[0])
    }
    fn all_known(&self) -> Option<bool> {
        Some(self.0.iter().all(|&holds| holds))
    }
    fn any(&self) -> NdBool {
        NdBool::scalar(self.0.iter().any(|&x| x))
    }
    fn lengths(&self) -> Shape {
        self.0.shape().into()
    }
}

impl MaskTensor for NdBool {
    fn shape(&self) -> Shape {
        self.0.shape().into()
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> NdBool {
        shape::reshape(self.0.shape(), shape).or_raise();
        NdBool(buffer::reshape(&self.0, shape))
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> NdBool {
        NdBool(index::slice(&self.0, axis, range, 1))
    }
}
