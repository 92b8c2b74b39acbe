//! How long the phases of a compilation take.

use std::fmt;
use std::time::{Duration, Instant};

/// Time that each phase of a compilation took; all zero for code from the cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    /// Verifying the program, and [passes](crate::jit::CompileOptions::optimise) over it.
    pub optimising: Duration,
    /// From the program to LLVM's intermediate language.
    pub lowering: Duration,
    /// LLVM's passes over it.
    pub passes: Duration,
    /// From there to object code.
    pub generation: Duration,
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let [a, b, c, d] = [self.optimising, self.lowering, self.passes, self.generation].map(ms);
        write!(
            f,
            "{a:.1} ms optimising, {b:.1} ms lowering, {c:.1} ms LLVM's passes, {d:.1} ms code generation"
        )
    }
}

/// Runs something, and adds the time that it takes.
pub(super) fn timed<R>(time: &mut Duration, f: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = f();
    *time += start.elapsed();
    result
}
