//! Iterative algorithms whose derivative is a choice: fixed points, roots, minima, least squares, quadratic programs,
//! optimal transport and initial value problems, over every interpretation.
//!
//! A [`Problem`] is a function of an unknown and of parameters. [`fixed_point`], [`root`], [`minimize`] and
//! [`least_squares`] solve it by a method of their own, with the same [`Options`]: tolerances, the largest number of
//! steps, and the [`Derivative`] of what they find, which is that of all steps, of the equation that is solved, of the
//! last step, or of the last few. The page `docs/iterative.md` says which to choose.
//!
//! # Warm starts
//! Each takes a first guess: the solution of a problem nearby is one. It has no part in the derivative unless that is
//! unrolled.

mod anderson;
mod bound;
mod bracket;
mod broyden;
mod converged;
mod descent;
mod event;
mod fixed_point;
mod integrate;
mod iteration;
mod krylov;
mod lbfgs;
mod least_squares;
mod linear;
mod minimize;
mod newton;
mod ode;
mod options;
mod problem;
mod proximal;
mod quadratic;
mod quasi;
mod root;
mod system;
mod tableau;
mod transport;

pub use event::{Event, integrate_until};
pub use fixed_point::{FixedPointMethod, fixed_point};
pub use integrate::{Adjoint, Between, Integration, Trajectory, integrate};
pub use least_squares::{LeastSquaresMethod, least_squares};
pub use linear::{LinearLimit, LinearMethod};
pub use minimize::{MinimizeMethod, minimize};
pub use ode::VectorField;
pub use options::{Derivative, Estimate, Info, NotConverged, Options, Solution};
pub use problem::{Over, Problem, Structured};
pub use proximal::{proximal_gradient, soft_threshold};
pub use quadratic::{QuadraticProgram, QuadraticSolution, quadratic_program};
pub use root::{RootMethod, root};
pub use tableau::Stepper;
pub use transport::{Transport, newton_schulz, sinkhorn};
