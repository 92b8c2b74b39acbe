//! Operators on variables that follow from others, and those that let plain values in as constants.

use super::Var;
use crate::language::operators::{
    operators_on_numbers, operators_on_references, operators_that_lift_references,
};
use crate::language::real::Real;

operators_on_references!(['r, T: Real] Var<'r, T>);
operators_on_numbers!(['r, T: Real] Var<'r, T>);
crate::operators_in_place!(['r, T: Real] Var<'r, T>);
operators_that_lift_references!(['r, T: Real] Var<'r, T>, Var::lift, T);

impl<T: Real> From<T> for Var<'_, T> {
    #[inline]
    fn from(value: T) -> Self {
        Self::from_value(value)
    }
}

impl<T: Real> From<&T> for Var<'_, T> {
    #[inline]
    fn from(value: &T) -> Self {
        Self::lift(value)
    }
}
