//! Systems of linear equations `∂g/∂x·z = b`, mostly without the matrix: how they are solved, and their derivative.

use std::marker::PhantomData;

use crate::language::custom::CustomOperator;
use crate::language::host::HostOperator;
use crate::language::tensor::Tensor;
use crate::linalg::solve;
use crate::solve::converged::{Converged, Named};
use crate::solve::krylov;
use crate::solve::system::{System, along, dot, gradient_by};

/// How a system of linear equations with the matrix `M = ∂g/∂x`, or its transpose, is solved. All but the first only
/// take products with it, forward or reverse derivatives of `g`. They end when the residual is at most `tolerance` times
/// the right side, in Euclidean norms; that they do not within their steps is an error.
#[derive(Clone, Debug, PartialEq)]
pub enum LinearMethod {
    /// The matrix, by a batch of derivatives or [what the problem knows](crate::solve::Problem::matrix), and
    /// elimination.
    Direct,
    /// Conjugate gradients, for symmetric positive definite matrices: minima (Hestenes & Stiefel 1952).
    ConjugateGradients(Limit),
    /// Stabilised biconjugate gradients (van der Vorst 1992).
    BiCgStab(Limit),
    /// Generalised minimal residuals (Saad & Schultz 1986), begun again after so many steps.
    Gmres {
        /// How many steps before it begins again: how many vectors it keeps.
        restart: usize,
        /// When it ends; a step is a round of `restart` products.
        limit: Limit,
    },
    /// `z ← z + (b − M·z)`: of a fixed point, where `M = I − A`, the sum `Σ Aⁱ·b`, which converges where the iteration
    /// does. In reverse it is the adjoint fixed point `u ← Aᵀu + x̄`.
    Neumann(Limit),
}

impl Default for LinearMethod {
    /// [`Gmres`](LinearMethod::Gmres) with 20 vectors.
    fn default() -> LinearMethod {
        LinearMethod::Gmres { restart: 20, limit: Limit::default() }
    }
}

/// When a method for linear equations ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The largest residual beside the right side; 10⁻¹². In single precision, about 10⁻⁵ can be had.
    pub tolerance: f64,
    /// The largest number of steps; 1,000.
    pub steps: usize,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { tolerance: 1e-12, steps: 1000 }
    }
}

/// The solution `z` of `M·z = b` with `M = ∂g/∂x(x, θ)`, or `Mᵀ·z = b`. Its operands are `b`, `x` and `θ`. The derivative
/// does not go through the steps that compute it: `dz = M⁻¹(db − dM·z)`, and in reverse `b̄ = M⁻ᵀz̄`, `M̄ = −b̄·zᵀ`, each of
/// which is such a system again, so that it has derivatives of every order.
#[derive(Clone, Debug)]
pub(super) struct LinearSystem<S> {
    pub(super) system: S,
    pub(super) transposed: bool,
    pub(super) method: LinearMethod,
}

impl<S: System> LinearSystem<S> {
    pub(super) fn solve<T: Tensor>(&self, b: &T, x: &T, theta: &[T]) -> T {
        let operands: Vec<&T> = [b, x].into_iter().chain(theta).collect();
        T::custom(self, &operands)
    }

    fn transposed(&self, transposed: bool) -> Self {
        LinearSystem { transposed, ..self.clone() }
    }
}

impl<S: System> CustomOperator for LinearSystem<S> {
    const NAME: &'static str = "implicit derivative";

    fn value<T: Tensor>(&self, operands: &[T]) -> T {
        let [b, x, theta @ ..] = operands else { unreachable!("a right side and a point") };
        let transposed = self.transposed && !S::SYMMETRIC;
        if self.method == LinearMethod::Direct {
            let matrix = self.system.jacobian(x, theta);
            return solve(&if transposed { matrix.transpose() } else { matrix }, b);
        }
        self.system.with_products(transposed, x, theta, |product| match self.method {
            LinearMethod::ConjugateGradients(limit) => krylov::conjugate_gradients(product, b, limit),
            LinearMethod::BiCgStab(limit) => krylov::bi_cg_stab(product, b, limit),
            LinearMethod::Gmres { restart, limit } => krylov::gmres(product, b, restart, limit),
            LinearMethod::Neumann(limit) => krylov::neumann(product, b, limit),
            LinearMethod::Direct => unreachable!("done above"),
        })
    }

    fn pull<T: Tensor>(&self, operands: &[T], z: &T, z_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let (point, theta) = (&operands[1], &operands[2..]);
        let u = self.transposed(!self.transposed).solve(z_bar, point, theta);
        // −⟨u, M·z⟩, or with Mᵀ −⟨z, M·u⟩, of which only M varies.
        let (left, right) = if self.transposed { (z, &u) } else { (&u, z) };
        let of_matrix = gradient_by(&operands[1..], &wanted[1..], |point| {
            use crate::reverse::Var;
            let product = self.system.product(false, &point[0], &point[1..], &Var::lift(right));
            -dot(&product, &Var::lift(left))
        });
        std::iter::once(wanted[0].then_some(u)).chain(of_matrix).collect()
    }

    fn push<T: Tensor>(&self, operands: &[T], z: &T, tangents: &[Option<T>]) -> Option<T> {
        let of_matrix = along(&operands[1..], &tangents[1..], |point| {
            use crate::forward::Dual;
            self.system.product(self.transposed, &point[0], &point[1..], &Dual::lift(z))
        });
        let right = match (tangents[0].clone(), of_matrix) {
            (Some(b), Some(change)) => b - change,
            (Some(b), None) => b,
            (None, change) => -change?,
        };
        Some(self.solve(&right, &operands[1], &operands[2..]))
    }
}

/// Raises, in all modes, unless the residual is small enough: gives `z`.
pub(super) fn converged<N: Named, T: Tensor>(z: T, steps: &T, residual: &T, enough: &T) -> T {
    let n = z.size();
    let report = [steps, residual, enough].map(|number| number.reshape(&[1]));
    let [steps, residual, enough] = report;
    let report = T::concat(&[z, steps, residual, enough], 0);
    let check = Converged::<N> { fixed: false, of: PhantomData };
    debug_assert_eq!(Converged::<N>::RANKS, &[1]);
    T::host(&check, &[&report]).slice(0, 0..n)
}
