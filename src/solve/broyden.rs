//! Broyden's method.

use crate::language::tensor::Tensor;
use crate::linalg::{Asked, Factors};
use crate::solve::converged::Named;
use crate::solve::iteration::Iteration;
use crate::solve::linear::LinearMethod;
use crate::solve::quasi::{equations_of_system, newton_step};
use crate::solve::system::{System, dot, eye, norm};

/// The "good" method of Broyden (*A class of methods for solving nonlinear simultaneous equations*, 1965): `x ← x −
/// B·g`, where `B` is at first the inverse of the matrix, and then changed by as little as makes it map the last
/// change of `g` to that of `x`.
#[derive(Clone, Debug)]
pub(super) struct Broyden<S> {
    pub(super) system: S,
    /// How the equations of the step that is differentiated are solved.
    pub(super) method: LinearMethod,
}

equations_of_system!(Broyden, System, "broyden");

/// The inverse of a matrix, with its derivative: a step `B ← B(2I − A·B)` of Newton and Schulz's from what has none.
fn inverse<T: Tensor>(a: &T, solver: &'static str) -> T {
    let n = a.shape()[0];
    let factors = Factors::Lu.of(a, &Asked::at_the_start(solver));
    let b = Factors::Lu.solve_columns(&factors, &eye::<T>(n));
    b.clone() * 2.0 - b.matmul(&a.matmul(&b))
}

impl<S: System> Iteration for Broyden<S> {
    /// `x`, the residual's norm, `g(x)` and `B`.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let g = self.residual(x, theta);
        vec![x.clone(), norm(&g), g, inverse(&self.system.jacobian(x, theta), Self::NAME)]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        let [x, _, g, b] = &state[..] else { unreachable!("a state of four") };
        let s = -b.matmul(g);
        let next = x.clone() + &s;
        let next_g = self.residual(&next, theta);
        let b_y = b.matmul(&(next_g.clone() - g));
        let row = s.matmul(b);
        let scale = dot(&s, &b_y);
        // No change of g tells nothing.
        let none = scale.equal(&T::constant(0.0));
        let factor =
            T::select(&none, &T::constant(0.0), &T::select(&none, &T::constant(1.0), &scale).recip());
        let change = (s - b_y).unsqueeze(-1) * row.unsqueeze(0) * factor;
        vec![next, norm(&next_g), next_g, b.clone() + change]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        newton_step(Self::NAME, &self.system, &self.method, x, theta)
    }
}
