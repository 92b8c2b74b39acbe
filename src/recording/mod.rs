//! Recording: [`Recorded`], the interpretation that records a model instead of running it.
//!
//! Running a model once with `Recorded` writes a [`Program`]. The derivative rules run as usual, over `Recorded`, so
//! what is recorded of `grad` is already the forward and the backward pass, interleaved.

mod adjoint;
mod control;
mod integer;
mod interpret;
mod pair;
mod plain;
mod real;
mod recorder;
mod region;
mod replay;
mod tensor;
mod transcript;

pub use antiphon_staging::ir::print::graphviz;
pub use antiphon_staging::jit::{CompileOptions, CompiledProgram, Interrupt};
use antiphon_staging::{self as staging, ProbeKind, Value};
pub use antiphon_staging::{OptimiseOptions, Program, optimise};

pub use adjoint::RecordedAdjoint;
pub use interpret::{interpret, interpret_components};
pub(crate) use pair::{Saved, TracedPair, trace_pair};
pub use plain::Plain;
pub(crate) use plain::zeros;
pub(crate) use recorder::{Located, Traced, from_staging, trace};
use recorder::{Recorder, recorder, recorder_of, unknown};
pub use recorder::{record, record_with};
pub(crate) use transcript::Transcript;

use crate::continuation::unwinding::OrRaise;
use crate::error::At;
use crate::language::shape::Shape;

/// A real number or array of a program that is being recorded.
#[derive(Debug, Clone, Copy)]
pub struct Recorded(Handle);

/// An integer or array of integers of a program that is being recorded.
#[derive(Debug, Clone, Copy)]
pub struct RecordedInt(Handle);

/// A truth value or array of them of a program that is being recorded.
#[derive(Debug, Clone, Copy)]
pub struct RecordedBool(Handle);

/// A value and the recording that it belongs to.
#[derive(Debug, Clone, Copy)]
struct Handle {
    value: Value,
    recording: u64,
}

/// Appends an operator to the recording under way.
#[track_caller]
fn emit(expr: staging::Expr) -> Handle {
    recorder().emit(expr)
}

/// Has the program look at a value whenever it comes by.
fn probe(kind: ProbeKind, x: Handle, at: At) {
    let recorder = recorder();
    recorder.builder.probe(kind, recorder.value_of(x), at.location()).located().or_raise();
}

/// The value, if it is of the recording under way.
#[track_caller]
fn value_of(x: Handle) -> Value {
    recorder().value_of(x)
}

#[track_caller]
fn shape_of(x: Handle) -> Shape {
    let recorder = recorder();
    recorder.builder.ty(recorder.value_of(x)).shape
}

/// Arithmetic by value and by reference on the right.
macro_rules! operators {
    ($($Trait:ident $name:ident $Wrapper:ident;)*) => { $(
        impl $Trait for $Wrapper {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                shape::broadcast(stringify!($name), &shape_of(self.0), &shape_of(rhs.0)).or_raise();
                $Wrapper(emit(staging::Expr::Binary(staging::Binary::$Trait, value_of(self.0), value_of(rhs.0))))
            }
        }
        impl $Trait<&$Wrapper> for $Wrapper {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                $Trait::$name(self, *rhs)
            }
        }
    )* };
}
use operators;
