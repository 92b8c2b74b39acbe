//! What can go wrong, as data. How it leaves a model: see [`raise`](crate::raise).

use std::fmt;
use std::panic::Location;
use std::path::PathBuf;

use antiphon_system::budget::Limit;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The result of continuation-passing code, where one lies in every frame: with the error in a box, so that frames
/// are small. `?` converts between the two kinds of result, both ways.
pub type CpsResult<R> = std::result::Result<R, Box<Error>>;

impl From<Box<Error>> for Error {
    fn from(error: Box<Error>) -> Error {
        *error
    }
}

/// A place in the user's source: the line that called the operator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct At(&'static Location<'static>);

impl At {
    /// The caller's source line.
    #[track_caller]
    pub fn caller() -> At {
        At(Location::caller())
    }
    /// A line that a recorded program remembers.
    #[cfg(feature = "staging")]
    pub(crate) fn of(location: &'static Location<'static>) -> At {
        At(location)
    }
    /// The line, for what knows nothing of this crate.
    pub(crate) fn location(self) -> &'static Location<'static> {
        self.0
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.0.file(), self.0.line(), self.0.column())
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A pass of a model and its derivative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The model itself.
    Forward,
    /// Its adjoints.
    Backward,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        })
    }
}

/// Everything that can go wrong. `at` is the line of the user's source that called the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two operands whose shapes do not fit each other.
    #[error("{op}: cannot {} {lhs:?} {} {rhs:?} ({at}){}", wording(op)[0], wording(op)[1], rule(op, lhs, rhs))]
    Shape {
        /// The operator.
        op: &'static str,
        /// Shape of the left operand.
        lhs: Vec<usize>,
        /// Shape of the right operand.
        rhs: Vec<usize>,
        /// Where it was called.
        at: At,
    },
    /// One operand that the operator does not accept.
    #[error("{op}: {shape:?}: {reason} ({at})")]
    Operand {
        /// The operator.
        op: &'static str,
        /// Shape of the operand.
        shape: Vec<usize>,
        /// What is wrong with it.
        reason: String,
        /// Where it was called.
        at: At,
    },
    /// What an operator was given, other than an operand of some shape, is not accepted.
    #[error("{op}: {reason} ({at})")]
    Argument {
        /// The operator.
        op: &'static str,
        /// What is wrong.
        reason: String,
        /// Where it was called.
        at: At,
    },
    /// The system has no memory for an array.
    #[error("cannot allocate {bytes} bytes for an array ({at})")]
    Memory {
        /// How much was asked for; `usize::MAX` if it was more than that.
        bytes: usize,
        /// Where the operator was called.
        at: At,
    },
    /// An index outside of the dimension that it indexes.
    #[error("{op}: {} ({at})", out_of_range(*index, *len))]
    Index {
        /// The operator.
        op: &'static str,
        /// The offending index.
        index: i64,
        /// The length of the dimension.
        len: usize,
        /// Where it was called.
        at: At,
    },
    /// A continuation or a variable was used where its `reset` is not running, or two variables of different
    /// derivatives met in one operator.
    #[error("{reason} ({at})")]
    OutsideReset {
        /// What is wrong, and what to do instead.
        reason: &'static str,
        /// Where it was called.
        at: At,
    },
    /// The reserved native stack ended, or the memory of what was to be remembered on it.
    #[error("{}", stack_exhausted(*limit, *depth, *by))]
    StackExhausted {
        /// Bytes that the stack had.
        limit: usize,
        /// How many operators were nested when it ended; `None` in compiled code, which does not count.
        depth: Option<usize>,
        /// What ended it.
        by: Limit,
    },
    /// The operating system would not reserve a stack.
    #[error("cannot reserve a stack of {size} bytes: {source}")]
    StackReserve {
        /// The size asked for, in bytes.
        size: usize,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The first number that is not finite, where one is [looked for](crate::debug::check_finite).
    #[error("{op}: {value} in the {direction} pass ({at})")]
    NotFinite {
        /// The operator that computed it, or in whose backward half it was computed.
        op: &'static str,
        /// The pass in which it was.
        direction: Direction,
        /// NaN, or an infinity.
        value: f64,
        /// Where the operator was called.
        at: At,
    },
    /// What a model [ensures](crate::Control::ensure) does not hold.
    #[error("{message} ({at})")]
    Ensure {
        /// The model's message.
        message: String,
        /// Where the model ensures it.
        at: At,
    },
    /// A training goes wrong: a value that has to be finite is not.
    #[error("{what} is {value}")]
    Diverged {
        /// What was not finite, and where: "loss at step 17".
        what: String,
        /// Its value.
        value: f64,
    },
    /// Two structures of parameters that should be alike are not.
    #[error("parameters differ: {0}")]
    Structure(String),
    /// A derivative disagrees with the one it was checked against.
    #[error("gradient check failed: {what}: {got:e} but expected {expected:e} (relative error {error:e})")]
    GradientCheck {
        /// Which mode, order and input.
        what: String,
        /// The derivative under test.
        got: f64,
        /// What it should have been.
        expected: f64,
        /// Their relative difference.
        error: f64,
    },
    /// The operating system failed to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        reason: String,
    },
    /// A program that cannot be recorded or run.
    #[error("{reason} ({at})")]
    Recording {
        /// What is wrong.
        reason: String,
        /// Where it was recorded or run.
        at: At,
    },
    /// Compiling was interrupted, or took longer than it may, as the step's
    /// [options](crate::TrainingStep::configure) say.
    #[error("compiling was interrupted after {:.1} s ({at})", after.as_secs_f64())]
    Interrupted {
        /// How long it had taken.
        after: std::time::Duration,
        /// Where the step was run.
        at: At,
    },
    /// A setting outside of its range.
    #[error("{name}: {reason}")]
    Config {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A rank of a distributed training has failed, and with it all others.
    #[cfg(feature = "mpi")]
    #[error("rank {rank}: {reason}")]
    Rank {
        /// The rank.
        rank: usize,
        /// What it says.
        reason: String,
    },
    /// An error of the user's own, raised inside of a model with [`raise`](crate::raise) or
    /// [`OrRaise::or_raise`](crate::OrRaise::or_raise).
    #[error(transparent)]
    User(Box<dyn std::error::Error + Send + Sync>),
}

/// Indices below that stand for positions along several axes of which one is out of range.
pub(crate) const NOWHERE: i64 = -(1 << 58);

fn out_of_range(index: i64, len: usize) -> String {
    match index {
        ..NOWHERE => {
            format!("a position along one of several axes, which have {len} together, is out of range")
        }
        _ => format!("index {index} is out of range for a dimension of length {len}"),
    }
}

/// What an operator was asked to do with the left operand, and how the right one follows.
fn wording(op: &str) -> [&'static str; 2] {
    match op {
        "matmul" => ["multiply", "by"],
        "reshape" | "broadcast_to" => ["turn", "into"],
        "at(…).set" => ["fill", "with"],
        _ => ["combine", "with"],
    }
}

/// The rule that two shapes break, and what would keep it, where there is one thing to say.
fn rule(op: &str, lhs: &[usize], rhs: &[usize]) -> String {
    match (op, lhs, rhs) {
        ("matmul", [], _) | ("matmul", _, []) => ": a number multiplies with `*`".into(),
        ("matmul", [.., columns], [.., rows, _] | [rows]) if columns != rows => {
            let transposed = match (lhs, rhs) {
                (_, [.., last]) if last == columns && rhs.len() > 1 => {
                    "; the right one would fit transposed, as `.transpose()`"
                }
                ([.., first, _], _) if first == rows => {
                    "; the left one would fit transposed, as `.transpose()`"
                }
                _ => "",
            };
            format!(": {columns} columns on the left meet {rows} rows on the right{transposed}")
        }
        ("reshape", ..) => {
            let size = |shape: &[usize]| shape.iter().map(|&n| n as u128).fold(1, u128::saturating_mul);
            format!(": {} elements do not become {}", size(lhs), size(rhs))
        }
        ("broadcast_to", ..) => ": it repeats axes of length 1, and adds axes in front".into(),
        (
            "add" | "sub" | "mul" | "div" | "pow" | "maximum" | "minimum" | "less" | "less_equal" | "equal"
            | "select" | "and" | "or",
            ..,
        ) => {
            let differs = |(a, b): &(&usize, &usize)| a != b && **a != 1 && **b != 1;
            let Some((a, b)) = lhs.iter().rev().zip(rhs.iter().rev()).find(differs) else {
                return String::new();
            };
            let (short, long, side) =
                if lhs.len() < rhs.len() { (lhs, rhs, "left") } else { (rhs, lhs, "right") };
            let aligned = if short.len() < long.len() && long.starts_with(short) {
                format!("; the {side} one would meet the first axes as `.unsqueeze(-1)`")
            } else {
                String::new()
            };
            format!(
                ": from the last axis on, lengths are equal or one of them is 1, and {a} meets {b}{aligned}"
            )
        }
        _ => String::new(),
    }
}

/// What ended, after how much, and what can be done about it.
fn stack_exhausted(limit: usize, depth: Option<usize>, by: Limit) -> String {
    let after = depth
        .filter(|&depth| depth > 0)
        .map_or_else(String::new, |depth| format!(" after {depth} nested operators"));
    match by {
        Limit::Size => format!(
            "the stack of {limit} bytes is exhausted{after}: \
             raise it with antiphon::stack::configure, or make the program shorter"
        ),
        Limit::Share => format!(
            "the stacks of this process have half of its memory{after}, this one {limit} bytes: \
             set a size with antiphon::stack::configure to go further, or make the program shorter"
        ),
        Limit::Memory { available } => format!(
            "the memory of this process is nearly used up{after}, with a stack of {limit} bytes: {available} bytes \
             are left of what the machine or its container allows; give it more, or make the program shorter"
        ),
        Limit::AddressSpace => format!(
            "the address space of this process is used up{after}, with a stack of {limit} bytes: \
             raise its limit (ulimit -v, ulimit -d), or make the program shorter"
        ),
    }
}

impl Error {
    /// The same error, one operator further out: a [`StackExhausted`](Error::StackExhausted) counts the operators
    /// that it returns through.
    #[cold]
    pub(crate) fn deeper(mut self: Box<Error>) -> Box<Error> {
        if let Error::StackExhausted { depth, .. } = &mut *self {
            *depth = depth.map(|depth| depth + 1);
        }
        self
    }

    /// [`relocate`](Error::relocate), apart from the operators' frames, which have no room for an error.
    #[cold]
    #[inline(never)]
    pub(crate) fn relocated(mut self: Box<Error>, place: At) -> Box<Error> {
        self.move_to(place);
        self
    }

    /// The same error, seen from the user's line instead of from inside of this crate.
    pub(crate) fn relocate(mut self, place: At) -> Error {
        self.move_to(place);
        self
    }

    fn move_to(&mut self, place: At) {
        match self {
            Error::Shape { at, .. }
            | Error::Operand { at, .. }
            | Error::Argument { at, .. }
            | Error::Memory { at, .. }
            | Error::Index { at, .. }
            | Error::OutsideReset { at, .. } => *at = place,
            _ => {}
        }
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::User(error)
    }
}
