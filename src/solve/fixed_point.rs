//! Fixed points `x = F(x, θ)`: the plain iteration, and Anderson's.

use crate::continuation::unwinding::raise;
use crate::error::{Error, Result};
use crate::language::tensor::Tensor;
use crate::solve::anderson::Anderson;
use crate::solve::converged::Named;
use crate::solve::iteration::{Iteration, iterate};
use crate::solve::options::{Options, Solution};
use crate::solve::problem::{Over, Problem};
use crate::solve::system::{FixedPointOf, System, norm, solved};

/// How a fixed point is sought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FixedPointMethod {
    /// `x ← x + damping·(F(x) − x)`; 1 is not damped. The step that is differentiated never is.
    Picard {
        /// From 0, excluded, to 1, or more where steps are too short.
        damping: f64,
    },
    /// `x ← Σ αᵢ·(xᵢ + damping·(F(xᵢ) − xᵢ))` of the last states, with `Σ αᵢ = 1` such that `‖Σ αᵢ·(F(xᵢ) − xᵢ)‖` is
    /// least (Anderson, *Iterative procedures for nonlinear integral equations*, 1965; Walker & Ni, *Anderson
    /// acceleration for fixed-point iterations*, 2011).
    Anderson {
        /// How many states are remembered.
        memory: usize,
        /// As Picard's.
        damping: f64,
    },
}

impl FixedPointMethod {
    /// The plain iteration.
    pub const PICARD: FixedPointMethod = FixedPointMethod::Picard { damping: 1.0 };
}

/// The `x` with `x = F(x, θ)`, from a first guess, which has no part in the derivative unless that is unrolled.
///
/// ```
/// use antiphon::solve::{Derivative, FixedPointMethod, Options, Problem, fixed_point};
/// use antiphon::{NdArray, OrRaise, Tensor, Var, grad};
///
/// /// `½(x + θ/x)`, whose fixed point is `√θ`.
/// #[derive(Clone, Debug)]
/// struct Root;
///
/// impl Problem for Root {
///     type Unknown = NdArray<f64>;
///     type Parameters = NdArray<f64>;
///     type Value = NdArray<f64>;
///     fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
///         (x.clone() + theta.clone() / x) * 0.5
///     }
/// }
///
/// let options = Options::default().derivative(Derivative::OneStep);
/// let slope = grad(
///     |theta: Var<'_, NdArray<f64>>| {
///         let begin = theta.ones_like();
///         fixed_point(&Root, FixedPointMethod::PICARD, &begin, &theta, &options).or_raise().x
///     },
///     &NdArray::scalar(2.0),
/// )?;
/// assert!((slope.item() - 0.5 / 2f64.sqrt()).abs() < 1e-12);
/// # use antiphon::Real;
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises; [`Error::Argument`](crate::Error::Argument) if it gives another structure than it takes,
/// and where the iteration does not converge.
#[track_caller]
pub fn fixed_point<P: Problem<Value = <P as Problem>::Unknown>, T: Tensor>(
    problem: &P,
    method: FixedPointMethod,
    x: &Over<P::Unknown, T>,
    theta: &Over<P::Parameters, T>,
    options: &Options,
) -> Result<Solution<Over<P::Unknown, T>, T>> {
    solved("fixed_point", problem, x, theta, |packed, x, theta| {
        let at = packed.at;
        let (FixedPointMethod::Picard { damping } | FixedPointMethod::Anderson { damping, .. }) = method;
        if !(damping > 0.0 && damping.is_finite()) {
            let reason = format!("a damping of {damping}, which has to be a positive number");
            raise(Error::Argument { op: "fixed_point", reason, at });
        }
        match method {
            FixedPointMethod::Picard { damping } => {
                iterate(&Picard { system: FixedPointOf(packed), damping }, options, at, x, theta)
            }
            FixedPointMethod::Anderson { memory, damping } => {
                let anderson = Anderson::new(FixedPointOf(packed), memory, damping, at);
                iterate(&anderson, options, at, x, theta)
            }
        }
    })
}

#[derive(Clone, Debug)]
struct Picard<P: Problem> {
    system: FixedPointOf<P>,
    damping: f64,
}

impl<P: Problem> Named for Picard<P> {
    const NAME: &'static str = "picard";
}

impl<P: Problem> System for Picard<P> {
    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.system.residual(x, theta)
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        self.system.matrix(x, theta)
    }
}

impl<P: Problem> Iteration for Picard<P> {
    /// `x`, the residual's norm and `F(x)`.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let next = self.attached(x, theta);
        vec![x.clone(), norm(&(next.clone() - x)), next]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        let [x, _, next] = &state[..] else { unreachable!("a state of three") };
        let x = match self.damping {
            1.0 => next.clone(),
            damping => x.clone() + (next.clone() - x) * damping,
        };
        self.start(&x, theta)
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.system.0.value_like_unknown(x, theta)
    }
}
