//! Broyden's method.

use crate::language::tensor::Tensor;
use crate::linalg::inv;
use crate::solve::iteration::Iteration;
use crate::solve::linear::LinearMethod;
use crate::solve::quasi::{equations_of_system, newton_step};
use crate::solve::system::{System, dot, norm};

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

impl<S: System> Iteration for Broyden<S> {
    /// `x`, the residual's norm, `g(x)` and `B`.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let g = self.residual(x, theta);
        vec![x.clone(), norm(&g), g, inv(&self.system.jacobian(x, theta))]
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
        newton_step(&self.system, &self.method, x, theta)
    }
}
