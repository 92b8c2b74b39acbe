//! Operators on bounds that follow from others, and those that let plain values in as constants.

use super::Bound;
use crate::language::operators::{
    operators_on_numbers, operators_on_references, operators_that_lift_references,
};
use crate::language::tensor::Tensor;

operators_on_references!([T: Tensor] Bound<T>);
operators_on_numbers!([T: Tensor] Bound<T>);
crate::operators_in_place!([T: Tensor] Bound<T>);
operators_that_lift_references!([T: Tensor] Bound<T>, Bound::lift, T);

impl<T: Tensor> From<T> for Bound<T> {
    fn from(value: T) -> Self {
        Self::lift(&value)
    }
}

impl<T: Tensor> From<&T> for Bound<T> {
    fn from(value: &T) -> Self {
        Self::lift(value)
    }
}
