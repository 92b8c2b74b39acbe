//! What can be stored: arrays of `f32` or `f64`, and what holds one.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};

use half::{bf16, f16};
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
    /// The same elements, copied, with axis `i` of the result being axis `order[i]` of these.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no room for them.
    pub(super) fn permuted(&self, order: &[usize]) -> io::Result<Values<'static>> {
        fn copy<E: Copy>(array: &CowArray<'_, E, IxDyn>, order: &[usize]) -> io::Result<ArrayD<E>> {
            let view = array.view().permuted_axes(IxDyn(order));
            let mut elements = room(view.len())?;
            elements.extend(view.iter().copied());
            let shape = view.raw_dim();
            ArrayD::from_shape_vec(shape, elements)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
        }
        Ok(match self {
            Values::F32(array) => Values::F32(copy(array, order)?.into()),
            Values::F64(array) => Values::F64(copy(array, order)?.into()),
        })
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
    F16,
    Bf16,
    F32,
    F64,
    /// Zero and one; what is not zero is one.
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
}

impl Number {
    /// Bytes of one.
    pub fn width(self) -> usize {
        match self {
            Number::Bool | Number::I8 | Number::U8 => 1,
            Number::F16 | Number::Bf16 | Number::I16 | Number::U16 => 2,
            Number::F32 | Number::I32 | Number::U32 => 4,
            Number::F64 | Number::I64 | Number::U64 => 8,
        }
    }

    /// Whether it is a real number, which a leaf takes without being asked.
    pub fn is_real(self) -> bool {
        matches!(self, Number::F16 | Number::Bf16 | Number::F32 | Number::F64)
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

/// The kind of error that a finite number is one of which the nearest `f32` is infinite.
pub(super) const TOO_LARGE: ErrorKind = ErrorKind::Unsupported;

/// Reads as many elements as a shape has, which is a leaf's, as the numbers that the leaf wants: of `f32` or `f64` the
/// nearest.
///
/// # Errors
/// Those of the file; `OutOfMemory` if there is no room for them; [`TOO_LARGE`] if a finite number is none as an `f32`.
pub(super) fn read_values(
    file: &mut impl Read,
    shape: &[usize],
    encoding: Encoding,
    wanted: Number,
) -> io::Result<Values<'static>> {
    fn elements_of<E, const N: usize>(
        file: &mut impl Read,
        shape: &[usize],
        encoding: Encoding,
        number: impl Fn([u8; N]) -> E,
    ) -> io::Result<ArrayD<E>> {
        let impossible = || io::Error::new(ErrorKind::InvalidData, "its shape has too many elements");
        let count = elements(shape).ok_or_else(impossible)?;
        let mut elements = room(count)?;
        let mut chunk = [0; CHUNK];
        while elements.len() < count {
            let bytes = &mut chunk[..N * (CHUNK / N).min(count - elements.len())];
            file.read_exact(bytes)?;
            elements.extend(bytes.as_chunks().0.iter().map(|&bytes| number(bytes)));
        }
        let shape = IxDyn(shape).set_f(encoding.column_major);
        ArrayD::from_shape_vec(shape, elements).map_err(|_| impossible())
    }
    /// A type of numbers: how its bytes are read, and what becomes of it in both precisions.
    macro_rules! read {
        ($N:ty, |$x:ident| $single:expr, $double:expr) => {
            match (wanted, encoding.big_endian) {
                (Number::F32, false) => Values::F32(
                    elements_of(file, shape, encoding, |bytes| {
                        let $x = <$N>::from_le_bytes(bytes);
                        $single
                    })?
                    .into(),
                ),
                (Number::F32, true) => Values::F32(
                    elements_of(file, shape, encoding, |bytes| {
                        let $x = <$N>::from_be_bytes(bytes);
                        $single
                    })?
                    .into(),
                ),
                (_, false) => Values::F64(
                    elements_of(file, shape, encoding, |bytes| {
                        let $x = <$N>::from_le_bytes(bytes);
                        $double
                    })?
                    .into(),
                ),
                (_, true) => Values::F64(
                    elements_of(file, shape, encoding, |bytes| {
                        let $x = <$N>::from_be_bytes(bytes);
                        $double
                    })?
                    .into(),
                ),
            }
        };
    }
    Ok(match encoding.number {
        Number::F16 => read!(f16, |x| x.to_f32(), x.to_f64()),
        Number::Bf16 => read!(bf16, |x| x.to_f32(), x.to_f64()),
        Number::F32 => read!(f32, |x| x, f64::from(x)),
        Number::F64 => {
            let too_large = Cell::new(None);
            let single = |x: f64| {
                let nearest = x as f32;
                if nearest.is_infinite() && x.is_finite() {
                    too_large.set(Some(x));
                }
                nearest
            };
            let values = read!(f64, |x| single(x), x);
            if let Some(x) = too_large.get() {
                let why = format!("{x:e} is more than a number of single precision can be");
                return Err(io::Error::new(TOO_LARGE, why));
            }
            values
        }
        Number::Bool => read!(u8, |x| f32::from(x != 0), f64::from(x != 0)),
        Number::I8 => read!(i8, |x| f32::from(x), f64::from(x)),
        Number::U8 => read!(u8, |x| f32::from(x), f64::from(x)),
        Number::I16 => read!(i16, |x| f32::from(x), f64::from(x)),
        Number::U16 => read!(u16, |x| f32::from(x), f64::from(x)),
        Number::I32 => read!(i32, |x| x as f32, f64::from(x)),
        Number::U32 => read!(u32, |x| x as f32, f64::from(x)),
        Number::I64 => read!(i64, |x| x as f32, x as f64),
        Number::U64 => read!(u64, |x| x as f32, x as f64),
    })
}

/// Room for so many elements, or an error where there is none.
fn room<E>(count: usize) -> io::Result<Vec<E>> {
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    Ok(elements)
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
