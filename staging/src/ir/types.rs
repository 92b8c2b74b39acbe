//! Static types of values, and single elements.

use std::fmt;
use std::hash::{Hash, Hasher};

pub use antiphon_shape::{Shape, size};
use smallvec::SmallVec;

/// Positions of axes.
pub type AxisList = SmallVec<[usize; 6]>;

/// What the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// Single-precision reals.
    F32,
    /// Double-precision reals.
    F64,
    /// Integers; arithmetic wraps around.
    I64,
    /// Truth values.
    Bool,
}

impl Dtype {
    /// Whether the elements are reals.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F64)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
            Dtype::I64 => "i64",
            Dtype::Bool => "bool",
        })
    }
}

/// Type of a value: what its elements are, and the lengths of its axes. Printed as `f32[20, 50]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// What the elements are.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Shape,
}

impl Type {
    /// An array type.
    pub fn new(dtype: Dtype, shape: &[usize]) -> Type {
        Type { dtype, shape: shape.into() }
    }
    /// A type of rank 0.
    pub fn scalar(dtype: Dtype) -> Type {
        Type::new(dtype, &[])
    }
    /// Number of elements.
    pub fn size(&self) -> usize {
        size(&self.shape)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dtype)?;
        if !self.shape.is_empty() {
            write!(f, "{:?}", self.shape.as_slice())?;
        }
        Ok(())
    }
}

/// One element. Two are equal if their bits are: NaN equals itself, and 0 differs from −0.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// A single-precision real.
    F32(f32),
    /// A double-precision real.
    F64(f64),
    /// An integer.
    I64(i64),
    /// A truth value.
    Bool(bool),
}

impl Scalar {
    /// The element of `dtype` nearest to a number; a truth value is whether it differs from zero.
    pub fn of(dtype: Dtype, value: f64) -> Scalar {
        match dtype {
            Dtype::F32 => Scalar::F32(value as f32),
            Dtype::F64 => Scalar::F64(value),
            Dtype::I64 => Scalar::I64(value as i64),
            Dtype::Bool => Scalar::Bool(value != 0.0),
        }
    }
    /// What it is.
    pub fn dtype(self) -> Dtype {
        match self {
            Scalar::F32(_) => Dtype::F32,
            Scalar::F64(_) => Dtype::F64,
            Scalar::I64(_) => Dtype::I64,
            Scalar::Bool(_) => Dtype::Bool,
        }
    }
    /// Its value as a real, if it is one.
    pub fn real(self) -> Option<f64> {
        match self {
            Scalar::F32(x) => Some(x.into()),
            Scalar::F64(x) => Some(x),
            _ => None,
        }
    }
    /// Whether it is exactly this number: for zeros the sign counts.
    pub fn is(self, value: f64) -> bool {
        self == Scalar::of(self.dtype(), value) && self.dtype() != Dtype::Bool
    }
    /// Its bits.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Scalar::F32(x) => x.to_bits().into(),
            Scalar::F64(x) => x.to_bits(),
            Scalar::I64(x) => x as u64,
            Scalar::Bool(x) => x.into(),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.dtype() == other.dtype() && self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.dtype(), self.bits()).hash(state);
    }
}

impl fmt::Display for Scalar {
    /// As a Rust literal: `0.5`, `0.5f32`, `3`, `true`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::F32(x) => write!(f, "{x:?}f32"),
            Scalar::F64(x) => write!(f, "{x:?}"),
            Scalar::I64(x) => write!(f, "{x}"),
            Scalar::Bool(x) => write!(f, "{x}"),
        }
    }
}
