//! What can be stored: arrays of `f32` or `f64`, and what holds one.

use std::io::{self, ErrorKind, Read, Write};

use ndarray::{ArrayD, CowArray, IxDyn, ShapeBuilder, arr0};

use crate::array::NdArray;
use crate::language::real::Real;

/// An array as it lies in a file: one of its own, or a leaf's.
#[derive(Clone, Debug, PartialEq)]
pub enum Values<'a> {
    /// Single precision.
    F32(CowArray<'a, f32, IxDyn>),
    /// Double precision.
    F64(CowArray<'a, f64, IxDyn>),
}

impl Values<'_> {
    /// Lengths of the axes; a scalar has none.
    pub fn shape(&self) -> &[usize] {
        match self {
            Values::F32(array) => array.shape(),
            Values::F64(array) => array.shape(),
        }
    }
    /// How many elements there are.
    pub(super) fn elements(&self) -> usize {
        match self {
            Values::F32(array) => array.len(),
            Values::F64(array) => array.len(),
        }
    }
    /// The type of its numbers.
    pub(super) fn number(&self) -> Number {
        match self {
            Values::F32(_) => Number::F32,
            Values::F64(_) => Number::F64,
        }
    }
    /// Writes the elements as [`Encoding::plain`], in small pieces.
    pub(super) fn write(&self, file: &mut impl Write) -> io::Result<()> {
        fn numbers<'e, E: Copy + 'e, const N: usize>(
            file: &mut impl Write,
            mut elements: impl ExactSizeIterator<Item = &'e E>,
            bytes: impl Fn(E) -> [u8; N],
        ) -> io::Result<()> {
            let mut chunk = [0; CHUNK];
            while elements.len() > 0 {
                let count = elements.len().min(CHUNK / N);
                for (place, &x) in chunk.as_chunks_mut().0[..count].iter_mut().zip(&mut elements) {
                    *place = bytes(x);
                }
                file.write_all(&chunk[..N * count])?;
            }
            Ok(())
        }
        // `iter` is in row-major order, whatever the memory's.
        match self {
            Values::F32(array) => match array.as_slice() {
                Some(row_major) => numbers(file, row_major.iter(), f32::to_le_bytes),
                None => numbers(file, array.iter(), f32::to_le_bytes),
            },
            Values::F64(array) => match array.as_slice() {
                Some(row_major) => numbers(file, row_major.iter(), f64::to_le_bytes),
                None => numbers(file, array.iter(), f64::to_le_bytes),
            },
        }
    }
    /// In single precision, rounded to the nearest where it was double.
    pub fn into_f32(self) -> ArrayD<f32> {
        match self {
            Values::F32(array) => array.into_owned(),
            Values::F64(array) => array.mapv(|x| x as f32),
        }
    }
    /// In double precision; exact.
    pub fn into_f64(self) -> ArrayD<f64> {
        match self {
            Values::F32(array) => array.mapv(f64::from),
            Values::F64(array) => array.into_owned(),
        }
    }
}

/// Bytes that are converted at once, on the stack.
const CHUNK: usize = 1 << 13;

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

/// Reads as many elements as a shape has, which is a leaf's, as the numbers that the leaf wants.
///
/// # Errors
/// Those of the file; `OutOfMemory` if there is no room for them.
pub(super) fn read_values(
    file: &mut impl Read,
    shape: &[usize],
    encoding: Encoding,
    wanted: Number,
) -> io::Result<Values<'static>> {
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
        let mut chunk = [0; CHUNK];
        while elements.len() < count {
            let bytes = &mut chunk[..N * (CHUNK / N).min(count - elements.len())];
            file.read_exact(bytes)?;
            elements.extend(bytes.as_chunks().0.iter().map(|&bytes| number(bytes)));
        }
        let shape = IxDyn(shape).set_f(encoding.column_major);
        ArrayD::from_shape_vec(shape, elements).map_err(|_| impossible())
    }
    let values = match (encoding.number, wanted) {
        (Number::F32, Number::F32) => {
            Values::F32(numbers(file, shape, encoding, [f32::from_le_bytes, f32::from_be_bytes])?.into())
        }
        (Number::F64, Number::F64) => {
            Values::F64(numbers(file, shape, encoding, [f64::from_le_bytes, f64::from_be_bytes])?.into())
        }
        (Number::F32, Number::F64) => {
            let number = [|x| f32::from_le_bytes(x).into(), |x| f32::from_be_bytes(x).into()];
            Values::F64(numbers(file, shape, encoding, number)?.into())
        }
        (Number::F64, Number::F32) => {
            let number = [|x| f64::from_le_bytes(x) as f32, |x| f64::from_be_bytes(x) as f32];
            Values::F32(numbers(file, shape, encoding, number)?.into())
        }
    };
    Ok(values)
}

/// Leaves whose values are known and can be stored: numbers and arrays of them.
pub trait Stored: Real {
    /// The values, which an array lends and does not copy.
    fn to_values(&self) -> Values<'_>;
    /// The leaf with such values, converted to its own precision. Loading has compared the shapes.
    ///
    /// # Panics
    /// A scalar leaf, if there is no element to take.
    fn from_values(values: Values<'_>) -> Self;
}

const SCALAR: &str = "an array of rank zero";

impl Stored for f32 {
    fn to_values(&self) -> Values<'_> {
        Values::F32(arr0(*self).into_dyn().into())
    }
    fn from_values(values: Values<'_>) -> f32 {
        values.into_f32().into_iter().next().expect(SCALAR)
    }
}

impl Stored for f64 {
    fn to_values(&self) -> Values<'_> {
        Values::F64(arr0(*self).into_dyn().into())
    }
    fn from_values(values: Values<'_>) -> f64 {
        values.into_f64().into_iter().next().expect(SCALAR)
    }
}

impl Stored for NdArray<f32> {
    fn to_values(&self) -> Values<'_> {
        Values::F32(self.view().into())
    }
    fn from_values(values: Values<'_>) -> NdArray<f32> {
        values.into_f32().into()
    }
}

impl Stored for NdArray<f64> {
    fn to_values(&self) -> Values<'_> {
        Values::F64(self.view().into())
    }
    fn from_values(values: Values<'_>) -> NdArray<f64> {
        values.into_f64().into()
    }
}
