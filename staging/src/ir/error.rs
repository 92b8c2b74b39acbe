//! What can be wrong with a program, and with running it.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use antiphon_system::budget::Limit;

use crate::ir::types::Type;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a program's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the function.
    pub function: String,
    /// The statement's text, one line.
    pub statement: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}, at `{}`", self.function, self.statement)
    }
}

/// Everything that can be wrong with a program or with running it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operator does not accept operands of these types.
    #[error("{op} of {operands}: {reason}", operands = list(operands))]
    Operands {
        /// The operator.
        op: &'static str,
        /// Types of its operands.
        operands: Vec<Type>,
        /// What it requires.
        reason: String,
    },
    /// Values have other types, or are more or fewer, than what is required of them.
    #[error("{what}: expected ({expected}), found ({found})", expected = list(expected), found = list(found))]
    Types {
        /// What they are: "results of `if`".
        what: String,
        /// What is required.
        expected: Vec<Type>,
        /// What there is.
        found: Vec<Type>,
    },
    /// A value, cell, function or continuation is used where it is not in scope.
    #[error("{entity} is not in scope")]
    OutOfScope {
        /// Its name.
        entity: String,
    },
    /// A value, cell or function is defined more than once.
    #[error("{entity} is defined twice")]
    Redefined {
        /// Its name.
        entity: String,
    },
    /// A function that takes continuations was passed as a continuation.
    #[error("{function} takes continuations and cannot be one")]
    NotAContinuation {
        /// Its name.
        function: String,
    },
    /// Blocks were begun and not ended, or ended and not begun.
    #[error("a block was {problem}")]
    Unbalanced {
        /// "left open" or "ended twice".
        problem: &'static str,
    },
    /// Another error, and where in the program it is.
    #[error("{source} ({place})")]
    At {
        /// Where.
        place: Place,
        /// What.
        source: Box<Error>,
    },
    /// An index outside of the dimension that it indexes.
    #[error("{op}: index {index} is out of range for a dimension of length {length}")]
    Index {
        /// The operator.
        op: &'static str,
        /// The offending index.
        index: i64,
        /// The length of the dimension.
        length: usize,
        /// The line of the source that the operator is of, if it is known.
        at: Option<&'static Location<'static>>,
    },
    /// What the program ensures does not hold.
    #[error("{message} ({at})")]
    Ensure {
        /// What does not hold, in the words of the source.
        message: String,
        /// The line of the source.
        at: &'static Location<'static>,
    },
    /// A function of the host could not compute its result.
    #[error("{op}: {reason} ({at})")]
    Host {
        /// The function.
        op: &'static str,
        /// Why, in its words.
        reason: String,
        /// The line of the source that calls it.
        at: &'static Location<'static>,
    },
    /// An operator's result is not finite, and that is looked for.
    #[error("{op}: {value} ({at})")]
    NotFinite {
        /// The operator.
        op: &'static str,
        /// Whether it is part of the backward pass.
        backward: bool,
        /// The first element that is not finite.
        value: f64,
        /// The line of the source.
        at: &'static Location<'static>,
    },
    /// More calls were nested than the interpreter was allowed to.
    #[error("more than {limit} nested calls and branches")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// A function is so large that compiling it would take unreasonably long.
    #[error(
        "{function} has {operators} operators, which become at least {instructions} instructions, and more than \
         {limit} in one function take too long to compile: write what is unrolled as a loop, with `scan` or \
         `while_loop`, or raise `CompileOptions::instructions`"
    )]
    TooLarge {
        /// Its name.
        function: String,
        /// How many operators it has.
        operators: usize,
        /// How many of LLVM's instructions they become, as far as is known.
        instructions: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A program's functions are so many, so large, or nested so deep, that compiling it would take unreasonably long.
    #[error(
        "{program} has {operators} operators in {functions} functions, as much work to compile as {instructions} \
         instructions or more, and more than {limit} take too long: write what is unrolled as a loop, with `scan` or \
         `while_loop`, or raise `CompileOptions::program_instructions`"
    )]
    ProgramTooLarge {
        /// Its name.
        program: String,
        /// How many operators it has.
        operators: usize,
        /// How many functions, itself included.
        functions: usize,
        /// As many of LLVM's instructions are as much work, as far as is known.
        instructions: usize,
        /// How many they may be.
        limit: usize,
    },
    /// Compiling was ended by [`CompileOptions::interrupt`](crate::CompileOptions::interrupt) or took longer than
    /// [`CompileOptions::time_limit`](crate::CompileOptions::time_limit).
    #[error("compiling was interrupted after {:.1} s", after.as_secs_f64())]
    Interrupted {
        /// How long it had taken.
        after: Duration,
    },
    /// LLVM refused.
    #[error("LLVM: {0}")]
    Llvm(String),
    /// A program cannot be code for C.
    #[error("it cannot be exported: {0}")]
    Export(String),
    /// This machine does not run such code.
    #[error("{0}")]
    Target(String),
    /// The system granted no address space.
    #[error("cannot reserve {bytes} bytes of address space")]
    Reserve {
        /// How much was asked for.
        bytes: usize,
    },
    /// The system has no memory for arrays.
    #[error("cannot allocate {bytes} bytes for arrays")]
    Memory {
        /// How much was asked for; `usize::MAX` if it was more than that.
        bytes: usize,
    },
    /// A compiled recursion went deeper than its memory reaches.
    #[error("recursion used up the {what} of {bytes} bytes; {advice}", advice = advice(what, *by))]
    StackExhausted {
        /// "stack" or "arena".
        what: &'static str,
        /// How large it was.
        bytes: usize,
        /// What ended it.
        by: Limit,
    },
}

/// What ended a stack or an arena, or what is to be done about it.
fn advice(what: &str, by: Limit) -> String {
    match by {
        Limit::Size => format!("`CompileOptions::{what}_bytes` sets its size"),
        Limit::Share => format!(
            "all stacks and arenas have half of the process's memory, `CompileOptions::{what}_bytes` allows more"
        ),
        Limit::Memory { available } => format!("the process has {available} bytes of memory left"),
        Limit::AddressSpace => "the process's address space is used up".into(),
    }
}

impl Error {
    /// This error, at a place, unless it already has one.
    pub(crate) fn at(self, place: impl FnOnce() -> Place) -> Error {
        match self {
            Error::At { .. } => self,
            _ => Error::At { place: place(), source: Box::new(self) },
        }
    }
}

fn list(types: &[Type]) -> String {
    types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ")
}
