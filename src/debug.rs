//! Looking into models while they run: what they [print](crate::Real::printed).

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
