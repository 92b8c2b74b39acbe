//! Newton's method, for all that has equations.

use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::tensor::Tensor;
use crate::linalg::{Asked, Factors};
use crate::solve::converged::Named;
use crate::solve::iteration::{Iteration, Newtonian};
use crate::solve::linear::{LinearMethod, LinearSystem};
use crate::solve::system::{System, norm};

/// `x ← x − damping·(∂g/∂x)⁻¹·g(x)`.
#[derive(Clone, Debug)]
pub(super) struct Newton<S> {
    pub(super) system: S,
    pub(super) method: LinearMethod,
    pub(super) damping: f64,
}

impl<S: System> Newton<S> {
    pub(super) fn new(system: S, linear: &LinearMethod, damping: f64, at: At) -> Newton<S> {
        let refuse = |reason| raise(Error::Argument { op: Self::NAME, reason, at });
        if !(damping > 0.0 && damping <= 1.0) {
            refuse(format!("a damping of {damping}, which has to be more than 0 and at most 1"));
        }
        if let LinearMethod::LastFactors(_) = linear {
            refuse("LastFactors is for the derivative: each step needs factors of its own".into());
        }
        Newton { system, method: linear.clone(), damping }
    }

    /// What Newton's step subtracts, and the factors of the matrix. Its derivative is that of the solution of the
    /// equations, whatever the factors are.
    fn correction<T: Tensor>(&self, asked: &Asked<T>, x: &T, theta: &[T], g: &T) -> (T, Option<T>) {
        let (system, method) = (self.system.clone(), self.method.clone());
        let Some(kind) = self.method.factors() else {
            let operands: Vec<&T> = std::iter::once(x).chain(theta).collect();
            let solver = asked.solver;
            let equations = LinearSystem { system, method, kept: None, transposed: false, solver };
            return (equations.solve(g, &operands), None);
        };
        let constants: Vec<T> = theta.iter().map(|leaf| leaf.detach()).collect();
        let factors = self.system.factors(kind, asked, &x.detach(), &constants);
        (newton_correction(&system, &method, asked.solver, x, theta, [g, &factors]), Some(factors))
    }
}

/// The solution of `∂g/∂x·z = b` by factors of the matrix, with its derivative.
pub(super) fn newton_correction<S: System, T: Tensor>(
    system: &S,
    method: &LinearMethod,
    solver: &'static str,
    x: &T,
    theta: &[T],
    [b, factors]: [&T; 2],
) -> T {
    let (system, method) = (system.clone(), method.clone());
    let operands: Vec<&T> = std::iter::once(x).chain(theta).chain([factors]).collect();
    LinearSystem { kept: method.factors(), system, method, transposed: false, solver }.solve(b, &operands)
}

impl<S: System> Named for Newton<S> {
    const NAME: &'static str = "newton";
}

impl<S: System> System for Newton<S> {
    const SYMMETRIC: bool = S::SYMMETRIC;

    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.system.residual(x, theta)
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        self.system.matrix(x, theta)
    }
    fn factors<T: Tensor>(&self, kind: Factors, asked: &Asked<T>, x: &T, theta: &[T]) -> T {
        self.system.factors(kind, asked, x, theta)
    }
    fn factors_size(&self, kind: Factors, unknowns: usize) -> usize {
        self.system.factors_size(kind, unknowns)
    }
    fn solve_factored<T: Tensor>(
        &self,
        kind: Factors,
        factors: &T,
        theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        self.system.solve_factored(kind, factors, theta, transposed, b)
    }
    fn nearly_solve_factored<T: Tensor>(
        &self,
        kind: Factors,
        factors: &T,
        theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        self.system.nearly_solve_factored(kind, factors, theta, transposed, b)
    }
}

impl<S: System> Iteration for Newton<S> {
    /// `x`, the residual's norm, `g(x)`, where the last step began, and the factors there.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let g = self.residual(x, theta);
        let mut state = vec![x.clone(), norm(&g), g, x.detach()];
        state.extend(self.method.factors().map(|kind| T::zeros(&[self.factors_size(kind, x.size())])));
        state
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T> {
        let (x, g) = (&state[0], &state[2]);
        let asked = Asked::by_step(Self::NAME, number, &state[1]);
        let (correction, factors) = self.correction(&asked, x, theta, g);
        let next = x.clone() - if self.damping == 1.0 { correction } else { correction * self.damping };
        let g = self.residual(&next, theta);
        [next, norm(&g), g, x.detach()].into_iter().chain(factors).collect()
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        let asked = Asked::by_derivative(Self::NAME);
        x.clone() - self.correction(&asked, x, theta, &self.residual(x, theta)).0
    }
    fn newton(&self) -> Option<Newtonian> {
        Some(Newtonian { method: self.method.clone(), damping: self.damping, plain: true })
    }
}
