//! Operators on traced arrays that follow from others, and those that let plain arrays in as constants.

use super::Traced;
use crate::array::{Float, NdArray};
use crate::language::operators::{
    operators_on_numbers, operators_on_references, operators_that_lift_references,
};

operators_on_references!([E: Float] Traced<E>);
operators_on_numbers!([E: Float] Traced<E>);
crate::operators_in_place!([E: Float] Traced<E>);
operators_that_lift_references!([E: Float] Traced<E>, Traced::lift, NdArray<E>);

impl<E: Float> From<NdArray<E>> for Traced<E> {
    fn from(value: NdArray<E>) -> Self {
        Self::lift(&value)
    }
}

impl<E: Float> From<&NdArray<E>> for Traced<E> {
    fn from(value: &NdArray<E>) -> Self {
        Self::lift(value)
    }
}
