//! What compiled code may assume and take.

use std::path::PathBuf;
use std::time::Duration;

use crate::jit::cache;
use crate::jit::interrupt::Interrupt;
use crate::lower::asm::processor::Processor;
use crate::optimise::OptimiseOptions;

/// Instructions of a function unless asked otherwise: so many take LLVM some ten seconds.
const INSTRUCTIONS: usize = 1 << 16;
/// Instructions of a program unless asked otherwise: in functions of ordinary size, so many take LLVM about a minute.
const PROGRAM_INSTRUCTIONS: usize = 1 << 20;
/// Operators of a program that is recorded unless asked otherwise.
const OPERATORS: usize = 1 << 19;

/// How a program is compiled and run.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The processor that code is generated for; this machine's own by default.
    pub target: Processor,
    /// Passes to run on the program first, if any.
    pub optimise: Option<OptimiseOptions>,
    /// Whether every result must be the interpreter's bit for bit. Otherwise sums and products may be computed in
    /// another order and rounded less often, and elementary functions differ from the C library's in the last bits.
    pub strict: bool,
    /// Whether denormal numbers count as zeros while the program runs: operations on them are many times slower. Off
    /// by default, since it changes results near zero, and with them derivatives that are checked by differences.
    pub flush_denormals: bool,
    /// How many threads large operators are made for: [`antiphon_system::threads::count`] by default. With one, no work
    /// is cut into parts. How many threads do it is decided when it runs; the results are the same bits in any case.
    pub threads: usize,
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
    /// How many operators a program may have while it is recorded, in all its branches and functions: 524,288 by
    /// default. Each takes some 190 bytes. Recording reads this; whoever compiles a program has recorded it already.
    pub operators: usize,
    /// How many of LLVM's instructions a function may have that a program becomes, so that compiling ends in reasonable
    /// time: 65,536 by default. LLVM takes a time that grows with the square of a function's instructions. Long code
    /// over numbers is cut into functions of some hundreds; what may become too large is one loop into which very many
    /// operators on arrays are fused, some two thousand elementary functions.
    pub instructions: usize,
    /// How many of them all functions of the program may become together, of which each counts for 32 more: 1,048,576
    /// by default, more than a hundred thousand operators on numbers become. A program may have as many operators, and
    /// four times as many as it was recorded. Functions inside of functions, and very many that are inlined, cost the
    /// optimiser more: three operators count as an instruction for each function around them. (In the derivative of
    /// loops that follow each other, the later ones are inside of functions of the earlier ones: some 550 loops are too
    /// much.)
    pub program_instructions: usize,
    /// Whether the program looks at what each operator on reals computes, forward and backward, and ends at the first
    /// NaN or infinity with the operator and the line that recorded it. Off by default; nothing is slower then.
    /// Recording reads this.
    pub check_finite: bool,
    /// A handle that ends recording and compiling.
    ///
    /// Who waits for it is told within milliseconds. What LLVM has begun it ends all the same, in a thread that nobody
    /// waits for, but for the process when it exits: LLVM cannot be stopped, and must not run any more while the
    /// process is taken down. It looks at the handle before each pass and function, and before each of LLVM's phases,
    /// of which the longest takes as long as [`instructions`](CompileOptions::instructions) and
    /// [`program_instructions`](CompileOptions::program_instructions) allow: about a minute by default, mostly much
    /// less.
    pub interrupt: Option<Interrupt>,
    /// How long it may take before it is ended as by [`interrupt`](CompileOptions::interrupt); any time by default. It
    /// counts from the call on: with a name for the code in the cache, and, where a model is recorded first, with that.
    /// Recording looks at the time before each operator, so what the model computes otherwise it does not end.
    pub time_limit: Option<Duration>,
    /// Outputs that are written over inputs, as `(output, input)`; see
    /// [`run_into`](crate::jit::CompiledProgram::run_into).
    pub updates: Vec<(usize, usize)>,
}

impl Default for CompileOptions {
    fn default() -> CompileOptions {
        CompileOptions {
            target: Processor::host(),
            optimise: None,
            strict: false,
            flush_denormals: false,
            threads: antiphon_system::threads::count(),
            stack_bytes: None,
            arena_bytes: None,
            cache: None,
            cache_limits: cache::Limits::default(),
            operators: OPERATORS,
            instructions: INSTRUCTIONS,
            program_instructions: PROGRAM_INSTRUCTIONS,
            check_finite: false,
            interrupt: None,
            time_limit: None,
            updates: Vec::new(),
        }
    }
}
