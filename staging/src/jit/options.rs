//! What compiled code may assume and take.

use std::path::PathBuf;

use crate::jit::target::Target;
use crate::optimise::Options;

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
    /// Directory of the cache of object code, if one is wanted.
    pub cache: Option<PathBuf>,
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
            updates: Vec::new(),
        }
    }
}
