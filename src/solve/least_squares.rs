//! Least squares: `½Σ r(x, θ)²`.

use crate::continuation::unwinding::raise;
use crate::error::{Error, Result};
use crate::language::tensor::Tensor;
use crate::linalg::{Asked, cholesky_in_step, cholesky_solve};
use crate::solve::iteration::{Iteration, iterate};
use crate::solve::linear::LinearMethod;
use crate::solve::options::{Options, Solution};
use crate::solve::problem::{Over, Problem};
use crate::solve::quasi::newton_step;
use crate::solve::system::{SquaresOf, System, dot, epsilon, eye, norm, solved};
use crate::solve::{converged::Named, system::Objective};

/// How a sum of squares is made least: where its gradient `Jᵀr` is zero. The step that is differentiated is Newton's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeastSquaresMethod {
    /// `x ← x − (JᵀJ)⁻¹·Jᵀr`.
    GaussNewton,
    /// `x ← x − (JᵀJ + λI)⁻¹·Jᵀr`, where `λ` is made smaller after steps that make the sum smaller, and larger where
    /// they do not, which are not made (Levenberg 1944; Marquardt 1963; Nielsen 1999 for the factors).
    LevenbergMarquardt {
        /// The first `λ`.
        damping: f64,
    },
}

/// The `x` where `½Σ r(x, θ)²` is least, from a first guess, which has no part in the derivative unless that is
/// unrolled. The value of the problem is `r`, of any structure.
///
/// # Errors
/// What the function raises; [`Error::Argument`](crate::Error::Argument) where `JᵀJ` is singular, and where the
/// iteration does not converge.
#[track_caller]
pub fn least_squares<P: Problem, T: Tensor>(
    problem: &P,
    method: LeastSquaresMethod,
    x: &Over<P::Unknown, T>,
    theta: &Over<P::Parameters, T>,
    options: &Options,
) -> Result<Solution<Over<P::Unknown, T>, T>> {
    solved("least_squares", problem, x, theta, |packed, x, theta| {
        let at = packed.at;
        let system = SquaresOf(packed);
        if let LeastSquaresMethod::LevenbergMarquardt { damping } = method
            && !(damping > 0.0 && damping.is_finite())
        {
            let reason = format!("{method:?}: the first damping has to be a positive number");
            raise(Error::Argument { op: "least_squares", reason, at });
        }
        match method {
            LeastSquaresMethod::GaussNewton => iterate(&GaussNewton { system }, options, at, x, theta),
            LeastSquaresMethod::LevenbergMarquardt { damping } => {
                iterate(&LevenbergMarquardt { system, damping }, options, at, x, theta)
            }
        }
    })
}

macro_rules! named {
    ($($Type:ident $name:literal;)*) => { $(
        impl<P: Problem> Named for $Type<P> {
            const NAME: &'static str = $name;
        }
        impl<P: Problem> System for $Type<P> {
            const SYMMETRIC: bool = true;

            fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
                self.system.residual(x, theta)
            }
            fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
                self.system.matrix(x, theta)
            }
        }
    )* };
}
named! { GaussNewton "gauss-newton"; LevenbergMarquardt "levenberg-marquardt"; }

/// `(JᵀJ + λI)⁻¹·Jᵀr`.
fn correction<P: Problem, T: Tensor>(
    system: &SquaresOf<P>,
    asked: &Asked<T>,
    x: &T,
    theta: &[T],
    gradient: &T,
    damping: Option<&T>,
) -> T {
    let j = system.residuals_matrix(x, theta);
    let mut matrix = j.transpose().matmul(&j);
    if let Some(damping) = damping {
        matrix += eye::<T>(x.size()) * damping;
    }
    cholesky_solve(&cholesky_in_step(&matrix, asked), gradient)
}

#[derive(Clone, Debug)]
struct GaussNewton<P: Problem> {
    system: SquaresOf<P>,
}

impl<P: Problem> Iteration for GaussNewton<P> {
    /// `x`, the gradient's norm, and the gradient.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let gradient = self.residual(x, theta);
        vec![x.clone(), norm(&gradient), gradient]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T> {
        let (x, gradient) = (&state[0], &state[2]);
        let asked = Asked::by_step(Self::NAME, number, &state[1]);
        self.start(&(x.clone() - correction(&self.system, &asked, x, theta, gradient, None)), theta)
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        newton_step(Self::NAME, &self.system, &LinearMethod::Direct, x, theta)
    }
}

#[derive(Clone, Debug)]
struct LevenbergMarquardt<P: Problem> {
    system: SquaresOf<P>,
    damping: f64,
}

impl<P: Problem> Iteration for LevenbergMarquardt<P> {
    /// `x`, the gradient's norm, the gradient, the sum of squares, `λ`, and by how much that grows next.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let gradient = self.residual(x, theta);
        let value = self.system.objective(x, theta);
        let (damping, growth) = (T::constant(self.damping), T::constant(2.0));
        vec![x.clone(), norm(&gradient), gradient, value, damping, growth]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T> {
        let [x, _, gradient, value, damping, growth] = &state[..] else { unreachable!("a state of six") };
        let asked = Asked::by_step(Self::NAME, number, &state[1]);
        let step = -correction(&self.system, &asked, x, theta, gradient, Some(damping));
        let tried = x.clone() + &step;
        let tried_value = self.system.objective(&tried, theta);
        // What the linear model promises is ½·δᵀ(λδ − Jᵀr).
        let promised = (dot(&step, &(step.clone() * damping - gradient)) * 0.5).detach();
        // Up to rounding, no change is not worse; and of a promise that is less than that, nothing is known but the
        // model, which is believed.
        let rounding = value.detach().abs() * (epsilon::<T>() * 50.0);
        let better = tried_value.detach().less_equal(&(value.detach() + &rounding));
        let is_known = promised.greater(&rounding);
        let fell = (value.clone() - &tried_value).detach();
        let share = fell / T::select(&is_known, &promised, &T::constant(1.0));
        let share = T::select(&is_known, &share, &T::constant(1.0)).clamp(0.0, 1.0);
        let less = (-(share * 2.0 - 1.0).powi(3) + 1.0).maximum(&T::constant(1.0 / 3.0));
        let pick = |x: &T, y: &T| T::select(&better, x, y);
        let next_damping = pick(&(damping.clone() * less), &(damping.clone() * growth)).detach();
        let growth = pick(&T::constant(2.0), &(growth.clone() * 2.0));
        let (next, value) = (pick(&tried, x), pick(&tried_value, value));
        let gradient = self.residual(&next, theta);
        vec![next, norm(&gradient), gradient, value, next_damping, growth]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        newton_step(Self::NAME, &self.system, &LinearMethod::Direct, x, theta)
    }
}
