//! [`LinearFunction`]: derivatives at a point, as functions that can be compiled.

use crate::error::Result;
use crate::language::control::Control;
use crate::language::state::State;
use crate::language::structure::Structure;
use crate::sealed::Internal;

/// What [`linearize`](crate::linearize) and [`pullback`](crate::pullback) give, as a function that is linear in its
/// argument: to compile it.
pub trait LinearFunction {
    /// What the argument's and the result's numbers are.
    type Leaf: Control;
    /// What it is applied to.
    type Argument: Structure<Self::Leaf>;
    /// What it gives.
    type Result: State<Self::Leaf>;

    /// Something of the argument's structure.
    #[doc(hidden)]
    fn argument(&self, _: Internal) -> &Self::Argument;
    /// The function, applied.
    ///
    /// # Errors
    /// If the argument does not fit.
    #[doc(hidden)]
    fn apply_to(&self, _: Internal, argument: &Self::Argument) -> Result<Self::Result>;
}
