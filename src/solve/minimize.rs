//! Minima of a number `f(x, θ)`.

use crate::continuation::unwinding::raise;
use crate::error::{Error, Result};
use crate::language::tensor::Tensor;
use crate::solve::descent::{Accelerated, Backtracking, GradientDescent};
use crate::solve::iteration::iterate;
use crate::solve::lbfgs::LimitedMemory;
use crate::solve::linear::LinearMethod;
use crate::solve::newton::Newton;
use crate::solve::options::{Options, Solution};
use crate::solve::problem::{Over, Problem};
use crate::solve::system::{GradientOf, solved};

/// How a minimum is sought: where the gradient is zero.
#[derive(Clone, Debug, PartialEq)]
pub enum MinimizeMethod {
    /// `x ← x − damping·(∇²f)⁻¹·∇f`. The step that is differentiated is not damped.
    Newton {
        /// How the equations of each step are solved: [`LinearMethod::Cholesky`] where the second derivative is
        /// positive definite.
        linear: LinearMethod,
        /// From 0, excluded, to 1.
        damping: f64,
    },
    /// `x ← x − length·∇f`, which contracts by `1 − 1/κ` if the length is 1/L, and by `(κ − 1)/(κ + 1)` if it is
    /// `2/(L + μ)`.
    GradientDescent {
        /// The length of each step.
        length: f64,
    },
    /// Gradient descent whose lengths are halved until the value falls enough (Armijo 1966). The step that is
    /// differentiated is Newton's, by conjugate gradients.
    Backtracking {
        /// The largest length.
        first: f64,
    },
    /// Nesterov's method, begun again where it leads uphill. The step that is differentiated is one of gradient
    /// descent.
    Accelerated {
        /// The length of each step, at most 1/L.
        length: f64,
    },
    /// L-BFGS with so many pairs (Liu & Nocedal 1989). The step that is differentiated is Newton's, by conjugate
    /// gradients.
    Lbfgs {
        /// How many steps are remembered.
        memory: usize,
    },
}

impl MinimizeMethod {
    /// Newton's, with Cholesky's factors.
    pub const NEWTON: MinimizeMethod =
        MinimizeMethod::Newton { linear: LinearMethod::Cholesky, damping: 1.0 };
}

/// The `x` where `f(x, θ)` is least, from a first guess, which has no part in the derivative unless that is unrolled.
/// What is found is a zero of the gradient, whose norm is the residual.
///
/// ```
/// use antiphon::solve::{MinimizeMethod, Options, Problem, minimize};
/// use antiphon::{NdArray, OrRaise, Real, Tensor, Var, grad};
///
/// /// `Σ exp(x) − θ·x`, least at `ln θ`.
/// #[derive(Clone, Debug)]
/// struct Poisson;
///
/// impl Problem for Poisson {
///     type Unknown = NdArray<f64>;
///     type Parameters = NdArray<f64>;
///     type Value = NdArray<f64>;
///     fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
///         (x.exp() - x.clone() * theta).sum(..)
///     }
/// }
///
/// let theta = NdArray::from(vec![1.0, 2.0, 4.0]);
/// let slope = grad(
///     |theta: Var<'_, NdArray<f64>>| {
///         let begin = theta.zeros_like();
///         let found = minimize(&Poisson, &MinimizeMethod::NEWTON, &begin, &theta, &Options::default());
///         found.or_raise().x.sum(..)
///     },
///     &theta,
/// )?;
/// for (found, expected) in slope.view().iter().zip([1.0, 0.5, 0.25]) {
///     assert!((found - expected).abs() < 1e-12);
/// }
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises; [`Error::Argument`] if it gives anything but one number, where a matrix is singular or,
/// for Cholesky's factors, not positive definite, and where the iteration does not converge.
#[track_caller]
pub fn minimize<P: Problem, T: Tensor>(
    problem: &P,
    method: &MinimizeMethod,
    x: &Over<P::Unknown, T>,
    theta: &Over<P::Parameters, T>,
    options: &Options,
) -> Result<Solution<Over<P::Unknown, T>, T>> {
    solved("minimize", problem, x, theta, |packed, x, theta| {
        let at = packed.at;
        let system = GradientOf(packed);
        let length = match *method {
            MinimizeMethod::GradientDescent { length } | MinimizeMethod::Accelerated { length } => length,
            MinimizeMethod::Backtracking { first } => first,
            _ => 1.0,
        };
        let refuse = |reason| raise(Error::Argument { op: "minimize", reason, at });
        if !(length > 0.0 && length.is_finite()) {
            refuse(format!("{method:?}: the length of a step has to be a positive number"));
        }
        match *method {
            MinimizeMethod::Newton { ref linear, damping } => {
                iterate(&Newton::new(system, linear, damping, at), options, at, x, theta)
            }
            MinimizeMethod::GradientDescent { length } => {
                iterate(&GradientDescent { system, length }, options, at, x, theta)
            }
            MinimizeMethod::Backtracking { first } => {
                iterate(&Backtracking { system, first }, options, at, x, theta)
            }
            MinimizeMethod::Accelerated { length } => {
                iterate(&Accelerated { system, length }, options, at, x, theta)
            }
            MinimizeMethod::Lbfgs { memory: 0 } => refuse("L-BFGS with a memory of no steps".into()),
            MinimizeMethod::Lbfgs { memory } => {
                iterate(&LimitedMemory { system, memory }, options, at, x, theta)
            }
        }
    })
}
