//! Operators on batches that follow from others, and those that let plain values in as the same for all rows.

use super::Batch;
use crate::language::operators::{
    operators_on_numbers, operators_on_references, operators_that_lift_references,
};
use crate::language::tensor::Tensor;

operators_on_references!([T: Tensor] Batch<T>);
operators_on_numbers!([T: Tensor] Batch<T>);
crate::operators_in_place!([T: Tensor] Batch<T>);
operators_that_lift_references!([T: Tensor] Batch<T>, Batch::lift, T);

impl<T: Tensor> From<T> for Batch<T> {
    #[inline]
    fn from(value: T) -> Self {
        Self::lift(&value)
    }
}

impl<T: Tensor> From<&T> for Batch<T> {
    #[inline]
    fn from(value: &T) -> Self {
        Self::lift(value)
    }
}
