//! Operators on dual numbers that follow from others, and those that let plain values in as constants.

use super::Dual;
use crate::language::operators::{
    operators_on_numbers, operators_on_references, operators_that_lift_references,
};
use crate::language::real::Real;

operators_on_references!([T: Real] Dual<T>);
operators_on_numbers!([T: Real] Dual<T>);
crate::operators_in_place!([T: Real] Dual<T>);
operators_that_lift_references!([T: Real] Dual<T>, Dual::lift, T);

impl<T: Real> From<T> for Dual<T> {
    #[inline]
    fn from(value: T) -> Self {
        Self::constant_of(value)
    }
}

impl<T: Real> From<&T> for Dual<T> {
    #[inline]
    fn from(value: &T) -> Self {
        Self::lift(value)
    }
}
