//! Equations `g(x, θ) = 0`.

use crate::continuation::unwinding::raise;
use crate::error::{Error, Result};
use crate::language::tensor::Tensor;
use crate::solve::bracket::{Bisection, Brent};
use crate::solve::broyden::Broyden;
use crate::solve::iteration::iterate;
use crate::solve::linear::LinearMethod;
use crate::solve::newton::Newton;
use crate::solve::options::{Options, Solution};
use crate::solve::problem::{Over, Problem};
use crate::solve::system::{RootOf, solved};

/// How equations are solved.
#[derive(Clone, Debug, PartialEq)]
pub enum RootMethod {
    /// `x ← x − damping·(∂g/∂x)⁻¹·g`, with the matrix or, by a method that only takes products with it, without
    /// (Newton–Krylov). The step that is differentiated is not damped.
    Newton {
        /// How the equations of each step are solved.
        linear: LinearMethod,
        /// From 0, excluded, to 1.
        damping: f64,
    },
    /// Broyden's (1965): the inverse matrix once, and changes of it by what the steps find out. The step that is
    /// differentiated is Newton's.
    Broyden {
        /// How the equations of that step are solved.
        linear: LinearMethod,
    },
    /// Halves an interval, for one unknown. The step that is differentiated is Newton's.
    Bisection {
        /// Both ends, at which the function has different signs.
        bracket: [f64; 2],
    },
    /// Brent's (1973), which is as sure as bisection and mostly much faster, for one unknown. The step that is
    /// differentiated is Newton's.
    Brent {
        /// Both ends, at which the function has different signs.
        bracket: [f64; 2],
    },
}

impl RootMethod {
    /// Newton's, with the matrix.
    pub const NEWTON: RootMethod = RootMethod::Newton { linear: LinearMethod::Direct, damping: 1.0 };
}

/// The `x` with `g(x, θ) = 0`, from a first guess, which has no part in the derivative unless that is unrolled (and
/// none at all where there is a bracket).
///
/// ```
/// use antiphon::solve::{Options, Problem, RootMethod, root};
/// use antiphon::{NdArray, OrRaise, Real, Tensor, Var, grad};
///
/// /// Kepler's equation `E − e·sin E = M`, of the eccentricity and the mean anomaly.
/// #[derive(Clone, Debug)]
/// struct Kepler;
///
/// impl Problem for Kepler {
///     type Unknown = NdArray<f64>;
///     type Parameters = (NdArray<f64>, NdArray<f64>);
///     type Value = NdArray<f64>;
///     fn value<T: Tensor>(&self, x: &T, (e, m): &(T, T)) -> T {
///         x.clone() - x.sin() * e - m
///     }
/// }
///
/// let (e, m) = (NdArray::scalar(0.5), NdArray::scalar(1.0));
/// let found = root(&Kepler, &RootMethod::NEWTON, &m, &(e.clone(), m.clone()), &Options::default())?.x.item();
/// assert!((found - 0.5 * found.sin() - 1.0).abs() < 1e-12);
/// // dE/dM = 1/(1 − e·cos E).
/// let slope = grad(
///     |m: Var<'_, NdArray<f64>>| {
///         root(&Kepler, &RootMethod::NEWTON, &m, &(Var::lift(&e), m.clone()), &Options::default()).or_raise().x
///     },
///     &m,
/// )?;
/// assert!((slope.item() - 1.0 / (1.0 - 0.5 * found.cos())).abs() < 1e-12);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises; [`Error::Argument`] if it gives another structure than it takes, where a matrix is
/// singular, and where the iteration does not converge; [`Error::Ensure`] if the ends of a bracket have one sign.
#[track_caller]
pub fn root<P: Problem<Value = <P as Problem>::Unknown>, T: Tensor>(
    problem: &P,
    method: &RootMethod,
    x: &Over<P::Unknown, T>,
    theta: &Over<P::Parameters, T>,
    options: &Options,
) -> Result<Solution<Over<P::Unknown, T>, T>> {
    solved("root", problem, x, theta, |packed, x, theta| {
        let at = packed.at;
        let unknowns = packed.unknown.size();
        let system = RootOf(packed);
        if let RootMethod::Bisection { .. } | RootMethod::Brent { .. } = method
            && unknowns != 1
        {
            let reason = format!("{method:?} of {unknowns} unknowns: it is for one");
            raise(Error::Argument { op: "root", reason, at });
        }
        match method {
            RootMethod::Newton { linear, damping } => {
                let newton = Newton::new(system, linear, *damping, at);
                iterate(&newton, options, at, x, theta)
            }
            RootMethod::Broyden { linear } => {
                iterate(&Broyden { system, method: linear.clone() }, options, at, x, theta)
            }
            RootMethod::Bisection { bracket } => {
                iterate(&Bisection { system, bracket: *bracket, at }, options, at, x, theta)
            }
            RootMethod::Brent { bracket } => {
                iterate(&Brent { system, bracket: *bracket, at }, options, at, x, theta)
            }
        }
    })
}
