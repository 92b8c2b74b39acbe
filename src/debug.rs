//! Looking into models while they run: what they [print](crate::Real::printed), and where numbers stop to be finite.

use crate::continuation::unwinding::catch;
use crate::error::Result;
use crate::finite::Looking;

/// What `f` returns, and the lines that models print in this thread meanwhile, which go nowhere else.
///
/// ```
/// use antiphon::{Real, debug};
/// let ((), lines) = debug::collect_printed(|| drop(2f64.printed("x")));
/// assert!(lines[0].ends_with("] x = 2.0"), "[src/model.rs:7:5] x = 2.0");
/// ```
pub fn collect_printed<R>(f: impl FnOnce() -> R) -> (R, Vec<String>) {
    antiphon_system::print::collected(f)
}

/// Runs `f`, and looks at what operators on arrays compute in this thread meanwhile, forward and backward: the first
/// NaN or infinity ends it.
///
/// Elsewhere nothing is looked at, and that costs nothing. Models over plain numbers, which Rust itself computes, are
/// not looked at: run them over [`NdArray::scalar`](crate::NdArray::scalar), or compiled, with the option
/// [`CompileOptions::check_finite`](antiphon_staging::jit::CompileOptions::check_finite) in place of this.
///
/// ```
/// use antiphon::{Error, NdArray, Real, debug, error::Direction, grad};
/// let x = NdArray::scalar(0.0f64);
/// // √x is finite at 0, and its derivative is not.
/// let error = debug::check_finite(|| grad(|x| x.sqrt(), &x)).unwrap_err();
/// assert!(matches!(error, Error::NotFinite { op: "sqrt", direction: Direction::Backward, .. }));
/// assert!(error.to_string().starts_with("sqrt: inf in the backward pass ("), "and the line of the root");
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite) with the operator, the pass, and the user's line; what `f` returns or
/// raises; [`Error::Argument`](crate::Error::Argument) if it differentiates a function of plain numbers.
pub fn check_finite<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let _looking = Looking::begin(true);
    catch(f)
}
