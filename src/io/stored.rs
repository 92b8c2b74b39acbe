//! What can be stored: arrays of `f32` or `f64`, and what holds one.

use ndarray::{ArrayD, arr0};

use crate::array::NdArray;
use crate::real::Real;

/// An array as it lies in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(ArrayD<f32>),
    /// Double precision.
    F64(ArrayD<f64>),
}

impl Values {
    /// Lengths of the axes; a scalar has none.
    pub fn shape(&self) -> &[usize] {
        match self {
            Values::F32(array) => array.shape(),
            Values::F64(array) => array.shape(),
        }
    }
    /// In single precision, rounded to the nearest where it was double.
    pub fn into_f32(self) -> ArrayD<f32> {
        match self {
            Values::F32(array) => array,
            Values::F64(array) => array.mapv(|x| x as f32),
        }
    }
    /// In double precision; exact.
    pub fn into_f64(self) -> ArrayD<f64> {
        match self {
            Values::F32(array) => array.mapv(f64::from),
            Values::F64(array) => array,
        }
    }
}

/// Leaves whose values are known and can be stored: numbers and arrays of them.
pub trait Stored: Real {
    /// The values, in row-major order.
    fn to_values(&self) -> Values;
    /// The leaf with such values, converted to its own precision. Loading has compared the shapes.
    ///
    /// # Panics
    /// A scalar leaf, if there is no element to take.
    fn from_values(values: Values) -> Self;
}

const SCALAR: &str = "an array of rank zero";

impl Stored for f32 {
    fn to_values(&self) -> Values {
        Values::F32(arr0(*self).into_dyn())
    }
    fn from_values(values: Values) -> f32 {
        values.into_f32().into_iter().next().expect(SCALAR)
    }
}

impl Stored for f64 {
    fn to_values(&self) -> Values {
        Values::F64(arr0(*self).into_dyn())
    }
    fn from_values(values: Values) -> f64 {
        values.into_f64().into_iter().next().expect(SCALAR)
    }
}

impl Stored for NdArray<f32> {
    fn to_values(&self) -> Values {
        Values::F32(self.view().to_owned())
    }
    fn from_values(values: Values) -> NdArray<f32> {
        values.into_f32().into()
    }
}

impl Stored for NdArray<f64> {
    fn to_values(&self) -> Values {
        Values::F64(self.view().to_owned())
    }
    fn from_values(values: Values) -> NdArray<f64> {
        values.into_f64().into()
    }
}
