//! Arrays that are known whatever the network's inputs are: shapes, axes, indices, constants; and the elements of a
//! file's tensors.

use std::sync::Arc;

use half::{bf16, f16};

use super::proto::{self, TensorProto, data_type};
use crate::language::shape::{self, Shape};

/// What is wrong, without the node and the line: those are added further out.
pub type Outcome<R> = Result<R, String>;

/// An array that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub shape: Shape,
    pub elements: Elements,
}

/// Its elements in row-major order. All integers are of 64 bits, and reals of double precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    Reals(Arc<[f64]>),
    Ints(Arc<[i64]>),
    Bools(Arc<[bool]>),
}

impl Known {
    /// A vector of integers.
    pub fn vector(elements: impl IntoIterator<Item = i64>) -> Known {
        let elements: Arc<[i64]> = elements.into_iter().collect();
        Known { shape: Shape::from_slice(&[elements.len()]), elements: Elements::Ints(elements) }
    }
    /// A single integer.
    pub fn int(value: i64) -> Known {
        Known { shape: Shape::new(), elements: Elements::Ints([value].into()) }
    }
    /// A single real.
    pub fn real(value: f64) -> Known {
        Known { shape: Shape::new(), elements: Elements::Reals([value].into()) }
    }
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match &self.elements {
            Elements::Reals(elements) => elements.len(),
            Elements::Ints(elements) => elements.len(),
            Elements::Bools(elements) => elements.len(),
        }
    }
}

/// The lengths of a tensor's axes, if an array can have them.
pub fn lengths(dims: &[i64]) -> Outcome<Shape> {
    let mut lengths = Shape::new();
    if dims.len() > shape::MOST_AXES {
        return Err(format!("{} axes, of which an array can have {}", dims.len(), shape::MOST_AXES));
    }
    for &dim in dims {
        match usize::try_from(dim) {
            Ok(length) if length <= shape::LARGEST => lengths.push(length),
            _ => return Err(format!("an axis of {dim} elements")),
        }
    }
    shape::elements("shape", &lengths).map_err(|_| format!("no array has the shape {dims:?}"))?;
    Ok(lengths)
}

/// The numbers of a raw tensor, which has so many.
fn raw<const N: usize, R>(bytes: &[u8], count: usize, number: impl Fn([u8; N]) -> R) -> Outcome<Vec<R>> {
    let (numbers, rest) = bytes.as_chunks::<N>();
    if numbers.len() != count || !rest.is_empty() {
        return Err(format!("{} bytes for {count} elements of {N} bytes", bytes.len()));
    }
    Ok(numbers.iter().map(|&bytes| number(bytes)).collect())
}

/// The numbers of a tensor's own list, which has so many.
fn listed<A: Copy, R>(list: &[A], count: usize, number: impl Fn(A) -> R) -> Outcome<Vec<R>> {
    if list.len() != count {
        return Err(format!("{} numbers for {count} elements", list.len()));
    }
    Ok(list.iter().map(|&x| number(x)).collect())
}

/// What a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Real,
    Int,
    Bool,
}

/// What elements of an ONNX type are here.
pub fn kind(element_type: i32) -> Outcome<Kind> {
    use data_type::*;
    Ok(match element_type {
        FLOAT | DOUBLE | FLOAT16 | BFLOAT16 => Kind::Real,
        INT8 | INT16 | INT32 | INT64 | UINT8 | UINT16 | UINT32 | UINT64 => Kind::Int,
        BOOL => Kind::Bool,
        STRING => return Err("strings are not read".into()),
        other => return Err(format!("elements of type {other} are not read")),
    })
}

/// Checks that the elements of a tensor are in it.
fn check_inside(tensor: &TensorProto) -> Outcome<()> {
    if tensor.data_location == proto::EXTERNAL || !tensor.external_data.is_empty() {
        return Err("its elements are in another file, which is not read: save the model as one file".into());
    }
    Ok(())
}

/// The real elements of a tensor as numbers of another type, and its shape.
pub fn reals<R>(tensor: &TensorProto, number: impl Fn(f64) -> R) -> Outcome<(Shape, Vec<R>)> {
    check_inside(tensor)?;
    let shape = lengths(&tensor.dims)?;
    let count = shape::size(&shape);
    let half = |bits: u16, brain: bool| match brain {
        true => bf16::from_bits(bits).to_f64(),
        false => f16::from_bits(bits).to_f64(),
    };
    let brain = tensor.data_type == data_type::BFLOAT16;
    let elements = match (tensor.data_type, &tensor.raw_data) {
        (data_type::FLOAT, Some(bytes)) => raw(bytes, count, |x| number(f32::from_le_bytes(x).into())),
        (data_type::FLOAT, None) => listed(&tensor.float_data, count, |x| number(x.into())),
        (data_type::DOUBLE, Some(bytes)) => raw(bytes, count, |x| number(f64::from_le_bytes(x))),
        (data_type::DOUBLE, None) => listed(&tensor.double_data, count, number),
        (_, Some(bytes)) => raw(bytes, count, |x| number(half(u16::from_le_bytes(x), brain))),
        (_, None) => listed(&tensor.int32_data, count, |x| number(half(x as u16, brain))),
    };
    Ok((shape, elements?))
}

/// A tensor as an array that is known.
pub fn known(tensor: &TensorProto) -> Outcome<Known> {
    let kind = kind(tensor.data_type)?;
    if kind == Kind::Real {
        let (shape, elements) = reals(tensor, |x| x)?;
        return Ok(Known { shape, elements: Elements::Reals(elements.into()) });
    }
    check_inside(tensor)?;
    let shape = lengths(&tensor.dims)?;
    let count = shape::size(&shape);
    if kind == Kind::Bool {
        let elements = match &tensor.raw_data {
            Some(bytes) => raw(bytes, count, |[x]: [u8; 1]| x != 0),
            None => listed(&tensor.int32_data, count, |x| x != 0),
        };
        return Ok(Known { shape, elements: Elements::Bools(elements?.into()) });
    }
    use data_type::*;
    let elements = match (tensor.data_type, &tensor.raw_data) {
        (INT8, Some(bytes)) => raw(bytes, count, |x| i8::from_le_bytes(x).into()),
        (UINT8, Some(bytes)) => raw(bytes, count, |x| u8::from_le_bytes(x).into()),
        (INT16, Some(bytes)) => raw(bytes, count, |x| i16::from_le_bytes(x).into()),
        (UINT16, Some(bytes)) => raw(bytes, count, |x| u16::from_le_bytes(x).into()),
        (INT32, Some(bytes)) => raw(bytes, count, |x| i32::from_le_bytes(x).into()),
        (UINT32, Some(bytes)) => raw(bytes, count, |x| u32::from_le_bytes(x).into()),
        (INT64 | UINT64, Some(bytes)) => raw(bytes, count, i64::from_le_bytes),
        (INT64, None) => listed(&tensor.int64_data, count, |x| x),
        (UINT32 | UINT64, None) => listed(&tensor.uint64_data, count, |x| x as i64),
        (_, None) => listed(&tensor.int32_data, count, i64::from),
        (other, Some(_)) => return Err(format!("elements of type {other} are not read")),
    };
    Ok(Known { shape, elements: Elements::Ints(elements?.into()) })
}
