//! Array data: constants of programs, and the values of the interpreter.

use std::hash::{Hash, Hasher};

use crate::ir::error::{Error, Result};
use crate::ir::types::{Dtype, Scalar, Shape, Type, size};

/// Elements in row-major order.
#[derive(Clone, Debug)]
pub enum Data {
    /// Single-precision reals.
    F32(Vec<f32>),
    /// Double-precision reals.
    F64(Vec<f64>),
    /// Integers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// Elements in row-major order that are read.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// Single-precision reals.
    F32(&'a [f32]),
    /// Double-precision reals.
    F64(&'a [f64]),
    /// Integers.
    I64(&'a [i64]),
    /// Truth values.
    Bool(&'a [bool]),
}

/// Elements in row-major order that are written.
#[derive(Debug)]
pub enum ElementsMut<'a> {
    /// Single-precision reals.
    F32(&'a mut [f32]),
    /// Double-precision reals.
    F64(&'a mut [f64]),
    /// Integers.
    I64(&'a mut [i64]),
    /// Truth values.
    Bool(&'a mut [bool]),
}

impl<'a> From<&'a Data> for Elements<'a> {
    fn from(data: &'a Data) -> Elements<'a> {
        match data {
            Data::F32(xs) => Elements::F32(xs),
            Data::F64(xs) => Elements::F64(xs),
            Data::I64(xs) => Elements::I64(xs),
            Data::Bool(xs) => Elements::Bool(xs),
        }
    }
}

impl<'a> From<&'a mut Data> for ElementsMut<'a> {
    fn from(data: &'a mut Data) -> ElementsMut<'a> {
        match data {
            Data::F32(xs) => ElementsMut::F32(xs),
            Data::F64(xs) => ElementsMut::F64(xs),
            Data::I64(xs) => ElementsMut::I64(xs),
            Data::Bool(xs) => ElementsMut::Bool(xs),
        }
    }
}

/// An array. Two are equal if their types and all bits are.
#[derive(Clone, Debug)]
pub struct ConcreteTensor {
    shape: Shape,
    data: Data,
}

/// Runs an expression with `$xs` bound to the vector of elements, whatever they are.
macro_rules! with_elements {
    ($data:expr, $xs:ident => $body:expr) => {
        match $data {
            $crate::ir::tensor::Data::F32($xs) => $body,
            $crate::ir::tensor::Data::F64($xs) => $body,
            $crate::ir::tensor::Data::I64($xs) => $body,
            $crate::ir::tensor::Data::Bool($xs) => $body,
        }
    };
}
pub(crate) use with_elements;

macro_rules! data_from {
    ($($E:ty => $Kind:ident),*) => { $(
        impl From<Vec<$E>> for Data {
            fn from(elements: Vec<$E>) -> Data {
                Data::$Kind(elements)
            }
        }
        impl From<$E> for ConcreteTensor {
            fn from(element: $E) -> ConcreteTensor {
                ConcreteTensor { shape: Shape::new(), data: Data::$Kind(vec![element]) }
            }
        }
    )* };
}
data_from!(f32 => F32, f64 => F64, i64 => I64, bool => Bool);

/// That there is memory for so many elements: whoever allocates them next gets it, or the process ends.
///
/// # Errors
/// [`Error::Memory`] if there is none.
pub(crate) fn look_for_memory(elements: usize) -> Result<()> {
    /// Less is always there, or nothing is.
    const LITTLE: usize = 1 << 17;
    let enough = elements <= LITTLE || Vec::<f64>::new().try_reserve_exact(elements).is_ok();
    if enough { Ok(()) } else { Err(Error::Memory { bytes: elements.saturating_mul(size_of::<f64>()) }) }
}

impl ConcreteTensor {
    /// An array from its elements in row-major order; `None` if their number is not the shape's.
    pub fn new(shape: &[usize], data: impl Into<Data>) -> Option<ConcreteTensor> {
        let data = data.into();
        let len = with_elements!(&data, xs => xs.len());
        (len == size(shape)).then(|| ConcreteTensor { shape: shape.into(), data })
    }
    /// An array filled with one element.
    pub fn fill(shape: &[usize], value: Scalar) -> ConcreteTensor {
        let n = size(shape);
        let data = match value {
            Scalar::F32(x) => Data::F32(vec![x; n]),
            Scalar::F64(x) => Data::F64(vec![x; n]),
            Scalar::I64(x) => Data::I64(vec![x; n]),
            Scalar::Bool(x) => Data::Bool(vec![x; n]),
        };
        ConcreteTensor { shape: shape.into(), data }
    }
    /// Zeros (or `false`) of a type.
    pub fn zeros(ty: &Type) -> ConcreteTensor {
        ConcreteTensor::fill(&ty.shape, Scalar::of(ty.dtype, 0.0))
    }
    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
    /// The elements in row-major order.
    pub fn data(&self) -> &Data {
        &self.data
    }
    pub(crate) fn data_mut(&mut self) -> &mut Data {
        &mut self.data
    }
    /// What the elements are.
    pub fn dtype(&self) -> Dtype {
        match self.data {
            Data::F32(_) => Dtype::F32,
            Data::F64(_) => Dtype::F64,
            Data::I64(_) => Dtype::I64,
            Data::Bool(_) => Dtype::Bool,
        }
    }
    /// Its type.
    pub fn ty(&self) -> Type {
        Type { dtype: self.dtype(), shape: self.shape.clone() }
    }
    /// Number of elements.
    pub fn size(&self) -> usize {
        size(&self.shape)
    }
    /// The `i`-th element in row-major order.
    ///
    /// # Panics
    /// If there is none.
    pub fn at(&self, i: usize) -> Scalar {
        match &self.data {
            Data::F32(xs) => Scalar::F32(xs[i]),
            Data::F64(xs) => Scalar::F64(xs[i]),
            Data::I64(xs) => Scalar::I64(xs[i]),
            Data::Bool(xs) => Scalar::Bool(xs[i]),
        }
    }
    /// The one element that the whole array is filled with, if it is and is not empty.
    pub fn uniform(&self) -> Option<Scalar> {
        let first = (self.size() > 0).then(|| self.at(0))?;
        (1..self.size()).all(|i| self.at(i) == first).then_some(first)
    }
    /// Whether two arrays agree bit for bit, where any NaN agrees with any other.
    pub fn same(&self, other: &ConcreteTensor) -> bool {
        let nan = |x: Scalar| x.real().is_some_and(f64::is_nan);
        self.ty() == other.ty()
            && (0..self.size()).all(|i| self.at(i) == other.at(i) || (nan(self.at(i)) && nan(other.at(i))))
    }
}

impl PartialEq for ConcreteTensor {
    fn eq(&self, other: &ConcreteTensor) -> bool {
        self.ty() == other.ty() && (0..self.size()).all(|i| self.at(i) == other.at(i))
    }
}

impl Eq for ConcreteTensor {}

impl Hash for ConcreteTensor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ty().hash(state);
        (0..self.size()).for_each(|i| self.at(i).hash(state));
    }
}
