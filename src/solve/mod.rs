//! Iterative algorithms whose derivative is a choice.

mod anderson;
mod bound;
mod converged;
mod fixed_point;
mod iteration;
mod krylov;
mod linear;
mod options;
mod problem;
mod system;

pub use fixed_point::{FixedPointMethod, fixed_point};
pub use linear::{Limit, LinearMethod};
pub use options::{Derivative, Estimate, Info, NotConverged, Options, Solution};
pub use problem::{Over, Problem, Structured};
