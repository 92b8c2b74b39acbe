//! What the methods share that have no Newton step of their own to be differentiated.

use crate::language::tensor::Tensor;
use crate::solve::linear::{LinearMethod, LinearSystem};
use crate::solve::system::System;

/// `x − (∂g/∂x)⁻¹·g`: exact at the solution to the first order, and of an error that is the square of `x`'s elsewhere.
pub(super) fn newton_step<S: System, T: Tensor>(
    solver: &'static str,
    system: &S,
    method: &LinearMethod,
    x: &T,
    theta: &[T],
) -> T {
    let (system, method) = (system.clone(), method.clone());
    let g = system.residual(x, theta);
    let operands: Vec<&T> = std::iter::once(x).chain(theta).collect();
    x.clone() - LinearSystem { system, method, kept: None, transposed: false, solver }.solve(&g, &operands)
}

/// An iteration whose equations are those of its field `system`.
macro_rules! equations_of_system {
    ($Type:ident, $Bound:ident, $name:literal) => {
        impl<S: crate::solve::system::$Bound> crate::solve::converged::Named for $Type<S> {
            const NAME: &'static str = $name;
        }
        impl<S: crate::solve::system::$Bound> crate::solve::system::System for $Type<S> {
            const SYMMETRIC: bool = S::SYMMETRIC;

            fn residual<T: crate::Tensor>(&self, x: &T, theta: &[T]) -> T {
                self.system.residual(x, theta)
            }
            fn matrix<T: crate::Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
                self.system.matrix(x, theta)
            }
        }
    };
}
pub(super) use equations_of_system;
