//! What all solvers are told, and what they give: [`Options`], [`Derivative`], [`Solution`].

use crate::language::control::Checkpoints;
use crate::language::real::Real;
use crate::solve::linear::LinearMethod;

/// How the derivative of what an iteration `xᵢ = F(xᵢ₋₁, θ)` has found is taken. With `A = ∂F/∂x` and `B = ∂F/∂θ` at
/// the last step, and `ρ` a bound of `‖A‖`:
///
/// | | Jacobian | memory |
/// |---|---|---|
/// | [`Unrolled`](Derivative::Unrolled) | `Jᵢ = A·Jᵢ₋₁ + B`, of all steps | all states, or √ of that |
/// | [`Implicit`](Derivative::Implicit) | `(I − A)⁻¹·B`, by one system of linear equations | one state |
/// | [`OneStep`](Derivative::OneStep) | `B`, with a relative error of at most `ρ` at the solution | one state |
/// | [`KSteps`](Derivative::KSteps) | the last `K` steps unrolled, with an error of `ρᴷ` | `K` states |
///
/// After Bolte, Pauwels & Vaiter, *One-step differentiation of iterative algorithms* (NeurIPS 2023). Of a method that
/// converges faster than linearly, as Newton's, `A = 0` at the solution, and one step is exact there.
#[derive(Clone, Debug, PartialEq)]
pub enum Derivative {
    /// Of every step, the state before the first one included.
    Unrolled {
        /// Which states are kept for the way back: all if none is said. One of a fixed number of steps is a
        /// [`checkpointed_loop`](crate::Control::checkpointed_loop), one that ends by a tolerance a
        /// [`checkpointed_while`](crate::Control::checkpointed_while).
        checkpoints: Option<Checkpoints>,
    },
    /// By the implicit function theorem at the last state: `∂g/∂x·J = −∂g/∂θ`, where `g(x, θ) = 0` is what the
    /// iteration solves.
    Implicit(LinearMethod),
    /// Of the last step only, whose state before it counts as a constant.
    OneStep,
    /// Of so many last steps.
    KSteps(usize),
}

impl Default for Derivative {
    fn default() -> Derivative {
        Derivative::Implicit(LinearMethod::default())
    }
}

/// What becomes of an iteration that has not converged when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotConverged {
    /// An error, with the step and the residual there.
    #[default]
    Error,
    /// The last state, and 0 in [`Info::converged`].
    Flagged,
}

/// How [`Info::rho`] and [`Info::one_step_error_bound`] are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// From all singular values of the Jacobians, as matrices: exact, for small problems.
    Dense,
    /// By so many rounds of the power method on `AᵀA`, each a product with `A` and one with `Aᵀ`, from a random vector.
    /// The result is enlarged so that it is less than the norm with a probability of at most 10⁻⁶ (Kuczyński &
    /// Woźniakowski, *Estimating the largest eigenvalue by the power and Lanczos algorithms with a random start*, 1992,
    /// theorem 4.1): by a factor of 1.09 for 1,000 unknowns and 100 rounds.
    Power {
        /// The number of rounds, two or more.
        rounds: usize,
    },
}

/// What every solver is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// An iteration ends when the Euclidean norm of its residual is at most `absolute + relative·‖x‖`. If both are
    /// zero it makes [`max_steps`](Options::max_steps) steps, whatever the residual is.
    pub absolute: f64,
    /// See [`absolute`](Options::absolute).
    pub relative: f64,
    /// The largest number of steps.
    pub max_steps: usize,
    /// What happens if the residual is larger then, or not finite.
    pub not_converged: NotConverged,
    /// How the derivative is taken.
    pub derivative: Derivative,
    /// Whether and how the error of the one-step derivative is estimated.
    pub estimate: Option<Estimate>,
}

impl Default for Options {
    /// An error where the residual is more than 10⁻¹⁰ after 1,000 steps, and the implicit derivative.
    fn default() -> Options {
        Options {
            absolute: 1e-10,
            relative: 0.0,
            max_steps: 1000,
            not_converged: NotConverged::Error,
            derivative: Derivative::default(),
            estimate: None,
        }
    }
}

impl Options {
    /// A fixed number of steps.
    pub fn steps(steps: usize) -> Options {
        Options { absolute: 0.0, relative: 0.0, max_steps: steps, ..Options::default() }
    }
    /// The same with another tolerance.
    #[must_use]
    pub fn absolute(self, absolute: f64) -> Options {
        Options { absolute, ..self }
    }
    /// The same with another largest number of steps.
    #[must_use]
    pub fn max_steps(self, max_steps: usize) -> Options {
        Options { max_steps, ..self }
    }
    /// The same with another derivative.
    #[must_use]
    pub fn derivative(self, derivative: Derivative) -> Options {
        Options { derivative, ..self }
    }
    /// The same with an estimate of the one-step derivative's error.
    #[must_use]
    pub fn estimate(self, estimate: Estimate) -> Options {
        Options { estimate: Some(estimate), ..self }
    }
    /// The same, with the last state as the result where there is no convergence.
    #[must_use]
    pub fn flagged(self) -> Options {
        Options { not_converged: NotConverged::Flagged, ..self }
    }
}

/// How an iteration went. All are constants: no derivative flows through them.
#[derive(Clone, Debug, crate::Params)]
pub struct Info<T: Real> {
    /// The number of steps, those that are differentiated included.
    pub steps: T,
    /// The Euclidean norm of the residual at the last state that was not differentiated: of `x − F(x)`, `g(x)` or the
    /// gradient.
    pub residual: T,
    /// 1 if that is as small as it has to be, else 0.
    pub converged: T,
    /// An upper bound of `ρ = ‖∂F/∂x‖`, if [it was asked for](Options::estimate).
    pub rho: Option<T>,
    /// An upper bound `ρ·L/(1 − ρ)`, with `L = ‖∂F/∂θ‖`, of the difference of the one-step and the implicit Jacobian at
    /// the state before the last step, in the norm of matrices; infinite unless `ρ < 1`.
    pub one_step_error_bound: Option<T>,
}

/// What a solver gives.
#[derive(Clone, Debug)]
pub struct Solution<X, T: Real> {
    /// What was sought; also where to [begin](crate::solve#warm-starts) the next time.
    pub x: X,
    /// How it was found.
    pub info: Info<T>,
}
