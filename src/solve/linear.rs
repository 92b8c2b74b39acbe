//! Systems of linear equations `∂g/∂x·z = b`, mostly without the matrix: how they are solved, and their derivative.

use std::marker::PhantomData;

use crate::forward::Dual;
use crate::language::custom::CustomOperator;
use crate::language::tensor::Tensor;
use crate::linalg::{Asked, Factors};
use crate::reverse::Var;
use crate::solve::converged::{Converged, Named};
use crate::solve::krylov;
use crate::solve::system::{System, along, dot, gradient_by};

/// How a system of linear equations with the matrix `M = ∂g/∂x`, or its transpose, is solved. All but the first two
/// only take products with it, forward or reverse derivatives of `g`. They end when the residual is at most
/// `tolerance` times the right side, in Euclidean norms; that they do not within their steps is an error.
#[derive(Clone, Debug, PartialEq)]
pub enum LinearMethod {
    /// The matrix, by a batch of derivatives or [what the problem knows](crate::solve::Problem::matrix), and
    /// elimination.
    Direct,
    /// The same with Cholesky's factors, in half the time, for symmetric positive definite matrices: minima.
    Cholesky,
    /// Conjugate gradients, for symmetric positive definite matrices: minima (Hestenes & Stiefel 1952).
    ConjugateGradients(LinearLimit),
    /// Stabilised biconjugate gradients (van der Vorst 1992).
    BiCgStab(LinearLimit),
    /// Generalised minimal residuals (Saad & Schultz 1986), begun again after so many steps.
    Gmres {
        /// How many steps before it begins again: how many vectors it keeps.
        restart: usize,
        /// When it ends; a step is a round of `restart` products.
        limit: LinearLimit,
    },
    /// `z ← z + (b − M·z)`: of a fixed point, where `M = I − A`, the sum `Σ Aⁱ·b`, which converges where the iteration
    /// does. In reverse it is the adjoint fixed point `u ← Aᵀu + x̄`.
    Neumann(LinearLimit),
    /// For the implicit derivative of a method that keeps factors of the matrix where its last step began, as Newton's
    /// with a dense matrix: [`BiCgStab`](LinearMethod::BiCgStab) with those in front, which takes one or two steps. No
    /// matrix is made at the solution.
    LastFactors(LinearLimit),
}

impl LinearMethod {
    /// Which factors of a matrix it takes, if any.
    pub(super) fn factors(&self) -> Option<Factors> {
        match self {
            LinearMethod::Direct => Some(Factors::Lu),
            LinearMethod::Cholesky => Some(Factors::Cholesky),
            _ => None,
        }
    }
}

impl Default for LinearMethod {
    /// [`Gmres`](LinearMethod::Gmres) with 20 vectors.
    fn default() -> LinearMethod {
        LinearMethod::Gmres { restart: 20, limit: LinearLimit::default() }
    }
}

/// When a method for linear equations ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearLimit {
    /// The largest residual beside the right side; 10⁻¹², and in single precision never less than 2·10⁻⁶.
    pub tolerance: f64,
    /// The largest number of steps; 1,000.
    pub steps: usize,
}

impl Default for LinearLimit {
    fn default() -> LinearLimit {
        LinearLimit { tolerance: 1e-12, steps: 1000 }
    }
}

/// The solution `z` of `M·z = b` with `M = ∂g/∂x(x, θ)`, or `Mᵀ·z = b`. Its operands are `b`, `x` and `θ`, and factors
/// if there are any. The derivative does not go through the steps that compute it: `dz = M⁻¹(db − dM·z)`, and in
/// reverse `b̄ = M⁻ᵀz̄`, `M̄ = −b̄·zᵀ`, each of which is such a system again, so that it has derivatives of every
/// order.
#[derive(Clone, Debug)]
pub(super) struct LinearSystem<S> {
    pub(super) system: S,
    pub(super) method: LinearMethod,
    /// Which kind of factors is the last operand: those of the matrix, for a direct method, and else of one that is
    /// near to it.
    pub(super) kept: Option<Factors>,
    pub(super) transposed: bool,
    /// Who asks: for errors.
    pub(super) solver: &'static str,
}

impl<S: System> LinearSystem<S> {
    /// The solution, for operands after the right side.
    pub(super) fn solve<T: Tensor>(&self, b: &T, operands: &[&T]) -> T {
        let operands: Vec<&T> = std::iter::once(b).chain(operands.iter().copied()).collect();
        T::custom(self, &operands)
    }

    /// The point, the parameters and the factors.
    fn parts<'o, T>(&self, operands: &'o [T]) -> (&'o T, &'o [T], Option<&'o T>) {
        let (factors, rest) = match self.kept {
            Some(_) => operands.split_last().map(|(last, rest)| (Some(last), rest)).expect("factors"),
            None => (None, operands),
        };
        (&rest[1], &rest[2..], factors)
    }

    /// Which operands, after the right side, are not factors: the others have no derivative.
    fn varies<B: Clone>(&self, of_operands: &[B], none: B) -> Vec<B> {
        let mut varies = of_operands[1..].to_vec();
        if let (Some(_), Some(last)) = (self.kept, varies.last_mut()) {
            *last = none;
        }
        varies
    }
}

impl<S: System> CustomOperator for LinearSystem<S> {
    const NAME: &'static str = "solve";

    fn value<T: Tensor>(&self, operands: &[T]) -> T {
        let (x, theta, factors) = self.parts(operands);
        let (b, transposed) = (&operands[0], self.transposed && !S::SYMMETRIC);
        if let Some(kind) = self.method.factors() {
            let factors = match factors {
                Some(factors) => factors.clone(),
                None => self.system.factors(kind, &Asked::by_derivative(self.solver), x, theta),
            };
            return self.system.solve_factored(kind, &factors, theta, transposed, b);
        }
        let nearly = |v: &T| match (self.kept, factors) {
            (Some(kind), Some(factors)) => {
                self.system.nearly_solve_factored(kind, factors, theta, transposed, v)
            }
            _ => v.clone(),
        };
        self.system.with_products(transposed, x, theta, |product| match self.method {
            LinearMethod::ConjugateGradients(limit) => krylov::conjugate_gradients(product, b, limit),
            LinearMethod::BiCgStab(limit) | LinearMethod::LastFactors(limit) => {
                krylov::bi_cg_stab(product, &nearly, b, limit)
            }
            LinearMethod::Gmres { restart, limit } => krylov::gmres(product, b, restart, limit),
            LinearMethod::Neumann(limit) => krylov::neumann(product, b, limit),
            LinearMethod::Direct | LinearMethod::Cholesky => unreachable!("done above"),
        })
    }

    fn pull<T: Tensor>(&self, operands: &[T], z: &T, z_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let other = LinearSystem { transposed: !self.transposed, ..self.clone() };
        let u = other.solve(z_bar, &operands[1..].iter().collect::<Vec<_>>());
        // −⟨u, M·z⟩, or with Mᵀ −⟨z, M·u⟩, of which only M varies.
        let (left, right) = if self.transposed { (z, &u) } else { (&u, z) };
        let of_matrix = gradient_by(&operands[1..], &self.varies(wanted, false), |varied| {
            let theta = &varied[1..self.parts(operands).1.len() + 1];
            let product = self.system.product(false, &varied[0], theta, &Var::lift(right));
            -dot(&product, &Var::lift(left))
        });
        std::iter::once(wanted[0].then_some(u)).chain(of_matrix).collect()
    }

    fn push<T: Tensor>(&self, operands: &[T], z: &T, tangents: &[Option<T>]) -> Option<T> {
        let of_matrix = along(&operands[1..], &self.varies(tangents, None), |varied| {
            let theta = &varied[1..self.parts(operands).1.len() + 1];
            self.system.product(self.transposed, &varied[0], theta, &Dual::lift(z))
        });
        let right = match (tangents[0].clone(), of_matrix) {
            (Some(b), Some(change)) => b - change,
            (Some(b), None) => b,
            (None, change) => -change?,
        };
        Some(self.solve(&right, &operands[1..].iter().collect::<Vec<_>>()))
    }
}

/// Raises, in all modes, unless the residual is small enough: gives `z`.
pub(super) fn converged<N: Named, T: Tensor>(z: T, steps: &T, residual: &T, enough: &T) -> T {
    let n = z.size();
    let report = [steps, residual, enough].map(|number| number.reshape(&[1]));
    let [steps, residual, enough] = report;
    let report = T::concat(&[z, steps, residual, enough], 0);
    let check = Converged::<N> { fixed: false, of: PhantomData };
    T::host(&check, &[&report]).slice(0, 0..n)
}
