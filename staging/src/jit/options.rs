//! What compiled code may assume and take.

use std::path::PathBuf;
use std::time::Duration;

use crate::jit::cache;
use crate::jit::interrupt::Interrupt;
use crate::jit::target::Target;
use crate::optimise::Options;

/// Instructions of a function unless asked otherwise: so many take LLVM some ten seconds.
const INSTRUCTIONS: usize = 1 << 16;

/// How a program is compiled and run.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The processor that code is generated for; this machine's own by default.
    pub target: Target,
    /// Passes to run on the program first, if any.
    pub optimise: Option<Options>,
    /// Whether every result must be the interpreter's bit for bit. Otherwise sums and products may be computed in
    /// another order and rounded less often, and elementary functions differ from the C library's in the last bits.
    pub strict: bool,
    /// Whether denormal numbers count as zeros while the program runs: operations on them are many times slower. Off
    /// by default, since it changes results near zero, and with them derivatives that are checked by differences.
    pub flush_denormals: bool,
    /// Bytes of stack that recursive functions may use; if none are said, what the memory of the process allows, see
    /// [`budget`](antiphon_system::budget).
    pub stack_bytes: Option<usize>,
    /// Bytes that the arrays of recursive functions, and what loops keep for the way back, may take; if none are said,
    /// as above.
    pub arena_bytes: Option<usize>,
    /// Directory of the cache of object code, if one is wanted; see [`cache`] for who must own it.
    pub cache: Option<PathBuf>,
    /// How much may lie in the cache, and how long.
    pub cache_limits: cache::Limits,
    /// How many of LLVM's instructions a function of the program may become, so that compiling ends in reasonable time:
    /// 65,536 by default, some two thousand elementary functions of numbers. LLVM takes a time that grows with the
    /// square of a function's instructions. It does not bound how many functions there are (thousands of them
    /// take long as well), and bounds operators on arrays only once they are lowered. A function may have as many operators, and four times as many as it was recorded.
    pub instructions: usize,
    /// A handle that ends compiling.
    ///
    /// Who waits for the compilation is told within milliseconds. What LLVM has begun it ends all the same, in
    /// a thread that nobody waits for, but for the process when it exits.
    pub interrupt: Option<Interrupt>,
    /// How long compiling may take before it is ended as by [`interrupt`](CompileOptions::interrupt); any time by
    /// default.
    pub time_limit: Option<Duration>,
    /// Outputs that are written over inputs, as `(output, input)`; see
    /// [`run_into`](crate::jit::Compiled::run_into).
    pub updates: Vec<(usize, usize)>,
}

impl Default for CompileOptions {
    fn default() -> CompileOptions {
        CompileOptions {
            target: Target::host(),
            optimise: None,
            strict: false,
            flush_denormals: false,
            stack_bytes: None,
            arena_bytes: None,
            cache: None,
            cache_limits: cache::Limits::default(),
            instructions: INSTRUCTIONS,
            interrupt: None,
            time_limit: None,
            updates: Vec::new(),
        }
    }
}
