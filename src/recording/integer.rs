//! [`RecordedInt`] and [`RecordedBool`]: recorded integers and truth values.

use std::ops::{Add, Mul, Neg, Range, Sub};

use antiphon_staging::{self as staging, Binary, Comparison, ProbeKind, Scalar, Unary};

use super::tensor::{array_constant, slice};
use super::{Recorded, RecordedBool, RecordedInt, emit, probe, recorder, shape_of, unknown, value_of};
use crate::continuation::unwinding::OrRaise;
use crate::error::{At, Result};
use crate::language::real::{Int, Mask, Real};
use crate::language::shape::{self, Shape};
use crate::language::tensor::{IntTensor, MaskTensor, Tensor};

super::operators! {
    Add add RecordedInt; Sub sub RecordedInt; Mul mul RecordedInt;
}

impl Mask for RecordedBool {
    #[track_caller]
    fn and(&self, other: &Self) -> Self {
        self.connective(Binary::And, other)
    }
    #[track_caller]
    fn or(&self, other: &Self) -> Self {
        self.connective(Binary::Or, other)
    }
    #[track_caller]
    fn not(&self) -> Self {
        RecordedBool(emit(staging::Expr::Unary(Unary::Not, value_of(self.0))))
    }
    #[track_caller]
    fn known(&self) -> Option<bool> {
        unknown()
    }
    #[track_caller]
    fn any(&self) -> Self {
        Recorded::from_mask(self).sum(..).greater(&Recorded::constant(0.5))
    }
    fn lengths(&self) -> Shape {
        shape_of(self.0)
    }
}

impl RecordedBool {
    #[track_caller]
    fn connective(&self, op: Binary, other: &Self) -> Self {
        shape::broadcast(op.name(), &shape_of(self.0), &shape_of(other.0)).or_raise();
        RecordedBool(emit(staging::Expr::Binary(op, value_of(self.0), value_of(other.0))))
    }
}

impl MaskTensor for RecordedBool {
    #[track_caller]
    fn shape(&self) -> Shape {
        shape_of(self.0)
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&shape_of(self.0), shape).or_raise();
        RecordedBool(emit(staging::Expr::Reshape(value_of(self.0), shape.into())))
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        RecordedBool(slice(self.0, axis, range, 1))
    }
}

/// Integers with one that is known.
macro_rules! with_numbers {
    ($($Op:ident $op:ident;)*) => { $(
        impl $Op<i64> for RecordedInt {
            type Output = Self;
            #[track_caller]
            fn $op(self, rhs: i64) -> Self {
                self.$op(Self::constant(rhs))
            }
        }
    )* };
}
with_numbers! { Add add; Sub sub; Mul mul; }

impl RecordedInt {
    #[track_caller]
    fn compare(&self, op: Comparison, other: &Self) -> RecordedBool {
        shape::broadcast(op.name(), &shape_of(self.0), &shape_of(other.0)).or_raise();
        RecordedBool(emit(staging::Expr::Compare(op, value_of(self.0), value_of(other.0))))
    }
}

impl Neg for RecordedInt {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        RecordedInt(emit(staging::Expr::Unary(Unary::Neg, value_of(self.0))))
    }
}

impl Int for RecordedInt {
    type Bool = RecordedBool;
    #[track_caller]
    fn floor_divide(&self, divisor: &Self) -> Self {
        shape::broadcast("floor_divide", &shape_of(self.0), &shape_of(divisor.0)).or_raise();
        let (a, b) = (value_of(self.0), value_of(divisor.0));
        RecordedInt(emit(staging::Expr::Binary(Binary::FloorDivide, a, b)))
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> RecordedBool {
        self.compare(Comparison::LessEqual, other)
    }
    #[track_caller]
    fn named(self, name: &str) -> Self {
        recorder().builder.name(value_of(self.0), name);
        self
    }
    fn print(&self, name: &str, at: At) {
        probe(ProbeKind::Print(name.into()), self.0, at);
    }
    #[track_caller]
    fn constant(value: i64) -> Self {
        RecordedInt(emit(staging::Expr::literal(Scalar::I64(value))))
    }
    #[track_caller]
    fn less(&self, other: &Self) -> RecordedBool {
        self.compare(Comparison::Less, other)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> RecordedBool {
        self.compare(Comparison::Equal, other)
    }
    #[track_caller]
    fn select(mask: &RecordedBool, then: &Self, otherwise: &Self) -> Self {
        let values = shape::broadcast("select", &then.shape(), &otherwise.shape()).or_raise();
        shape::broadcast("select", &shape_of(mask.0), &values).or_raise();
        let (mask, then, otherwise) = (value_of(mask.0), value_of(then.0), value_of(otherwise.0));
        RecordedInt(emit(staging::Expr::Select { mask, then, otherwise }))
    }
    #[track_caller]
    fn known(&self) -> Option<i64> {
        unknown()
    }
}

impl IntTensor for RecordedInt {
    #[track_caller]
    fn shape(&self) -> Shape {
        shape_of(self.0)
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[i64]) -> Result<Self> {
        Ok(RecordedInt(array_constant(shape, elements.len(), elements.to_vec())?))
    }
    #[track_caller]
    fn elements(&self) -> Option<Vec<i64>> {
        unknown()
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&shape_of(self.0), shape).or_raise();
        RecordedInt(emit(staging::Expr::Reshape(value_of(self.0), shape.into())))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &Self) -> Self {
        shape::gather_rows(&shape_of(self.0), &shape_of(indices.0)).or_raise();
        RecordedInt(emit(staging::Expr::GatherRows { x: value_of(self.0), indices: value_of(indices.0) }))
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        RecordedInt(slice(self.0, axis, range, 1))
    }
}

crate::language::state::index_state! { RecordedInt, RecordedBool; }
