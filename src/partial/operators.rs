//! Operators on partly known values that follow from others, and those that let plain values in as known.

use super::Partial;
use crate::language::operators::{
    operators_on_numbers, operators_on_references, operators_that_lift_references,
};
use crate::language::real::Real;

operators_on_references!([T: Real] Partial<T>);
operators_on_numbers!([T: Real] Partial<T>);
crate::operators_in_place!([T: Real] Partial<T>);
operators_that_lift_references!([T: Real] Partial<T>, Partial::lift, T);

impl<T: Real> From<T> for Partial<T> {
    #[inline]
    fn from(value: T) -> Self {
        Self::from_value(value)
    }
}

impl<T: Real> From<&T> for Partial<T> {
    #[inline]
    fn from(value: &T) -> Self {
        Self::lift(value)
    }
}
