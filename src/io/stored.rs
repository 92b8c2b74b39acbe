//! What can be stored: arrays of `f32` or `f64`, and what holds one.

use std::io::{self, ErrorKind, Read};

use ndarray::{ArrayD, IxDyn, ShapeBuilder, arr0};

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

/// The types of numbers that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    F32,
    F64,
}

impl Number {
    /// Bytes of one.
    pub fn width(self) -> usize {
        match self {
            Number::F32 => 4,
            Number::F64 => 8,
        }
    }
}

/// How an array's elements lie in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoding {
    pub number: Number,
    pub big_endian: bool,
    pub column_major: bool,
}

impl Encoding {
    /// Row-major and little-endian.
    pub fn plain(number: Number) -> Encoding {
        Encoding { number, big_endian: false, column_major: false }
    }
}

/// How many elements a shape has, if so many can be counted: an axis without elements makes it none, however long the
/// others are.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n))
}

/// Reads as many elements as a shape has, which is a leaf's.
///
/// # Errors
/// Those of the file; `OutOfMemory` if there is no room for them.
pub(super) fn read_values(file: &mut impl Read, shape: &[usize], encoding: Encoding) -> io::Result<Values> {
    fn numbers<E, const N: usize>(
        file: &mut impl Read,
        shape: &[usize],
        encoding: Encoding,
        number: [fn([u8; N]) -> E; 2],
    ) -> io::Result<ArrayD<E>> {
        let impossible = || io::Error::new(ErrorKind::InvalidData, "its shape has too many elements");
        let (count, number) =
            (elements(shape).ok_or_else(impossible)?, number[usize::from(encoding.big_endian)]);
        let mut elements = Vec::new();
        elements.try_reserve_exact(count).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        let mut chunk = [0; 1 << 13];
        while elements.len() < count {
            let bytes = &mut chunk[..N * ((1 << 13) / N).min(count - elements.len())];
            file.read_exact(bytes)?;
            elements.extend(bytes.as_chunks().0.iter().map(|&bytes| number(bytes)));
        }
        let shape = IxDyn(shape).set_f(encoding.column_major);
        ArrayD::from_shape_vec(shape, elements).map_err(|_| impossible())
    }
    match encoding.number {
        Number::F32 => {
            let number = [f32::from_le_bytes, f32::from_be_bytes];
            Ok(Values::F32(numbers(file, shape, encoding, number)?))
        }
        Number::F64 => {
            let number = [f64::from_le_bytes, f64::from_be_bytes];
            Ok(Values::F64(numbers(file, shape, encoding, number)?))
        }
    }
}

/// Leaves whose values are known and can be stored: numbers and arrays of them.
pub trait Stored: Real {
    /// The values, in row-major order.
    fn to_values(&self) -> Values;
    /// Lengths of the axes of these values.
    fn stored_shape(&self) -> Vec<usize> {
        self.to_values().shape().to_vec()
    }
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
    fn stored_shape(&self) -> Vec<usize> {
        self.view().shape().to_vec()
    }
    fn from_values(values: Values) -> NdArray<f32> {
        values.into_f32().into()
    }
}

impl Stored for NdArray<f64> {
    fn to_values(&self) -> Values {
        Values::F64(self.view().to_owned())
    }
    fn stored_shape(&self) -> Vec<usize> {
        self.view().shape().to_vec()
    }
    fn from_values(values: Values) -> NdArray<f64> {
        values.into_f64().into()
    }
}
