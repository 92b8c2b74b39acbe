//! How steps are run: eagerly or compiled, and in which precision.

use antiphon::Tensor;
use antiphon::io::Stored;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// `--mode`.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each operator runs as the model calls it.
    Eager,
    /// The whole step is compiled (with the feature `staging`).
    #[value(alias = "staged")]
    Compiled,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Eager => "eager",
            Mode::Compiled => "compiled",
        }
    }
}

/// `--precision`, of all numbers.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    F64,
}

/// Arrays that the examples train on, in either mode: those of which compiled code is known to work.
#[cfg(feature = "staging")]
pub trait Array: Tensor + Stored + antiphon::recording::Plain + 'static {}
#[cfg(feature = "staging")]
impl<T: Tensor + Stored + antiphon::recording::Plain + 'static> Array for T {}

/// Arrays that the examples train on.
#[cfg(not(feature = "staging"))]
pub trait Array: Tensor<Int: Send, Bool: Send> + Stored + Send + 'static {}
#[cfg(not(feature = "staging"))]
impl<T: Tensor<Int: Send, Bool: Send> + Stored + Send + 'static> Array for T {}

/// `TrainingStep` in a mode, from a state on: `training_step!(mode, state, |state, data| step(state, data))`. The
/// function has to exist over every interpretation.
#[allow(unused_macros, reason = "every example uses its part")]
macro_rules! training_step {
    ($mode:expr, $state:expr, $step:expr) => {
        match $mode {
            $crate::common::mode::Mode::Eager => {
                antiphon::Result::<_>::Ok(antiphon::TrainingStep::eager($state, $step))
            }
            #[cfg(feature = "staging")]
            $crate::common::mode::Mode::Compiled => Ok(antiphon::TrainingStep::compiled($state, $step)),
            #[cfg(not(feature = "staging"))]
            $crate::common::mode::Mode::Compiled => Err($crate::common::mode::not_built()),
        }
    };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use training_step;

/// `--print`: what a compiled step consists of.
#[derive(Clone, Copy, ValueEnum)]
pub enum Form {
    /// Its program, optimised.
    Program,
    /// The same as a picture, for Graphviz.
    Graph,
    /// LLVM's intermediate language.
    Llvm,
    /// Assembly.
    Assembly,
}

/// The code that the last call of a step ran.
#[cfg(feature = "staging")]
pub fn code<S, D, R>(step: &antiphon::TrainingStep<'_, S, D, R>, form: Form) -> antiphon::Result<String> {
    let compiled = step
        .program()
        .ok_or_else(|| super::cli::bad("print", "only a step with --mode compiled has code"))?;
    let printed = match form {
        Form::Program => Ok(compiled.program().to_string()),
        Form::Graph => Ok(antiphon::recording::graphviz(compiled.program())),
        Form::Llvm => compiled.llvm_ir(),
        Form::Assembly => compiled.assembly(),
    };
    printed.map_err(|error| antiphon::Error::User(error.into()))
}
#[cfg(not(feature = "staging"))]
pub fn code<S, D, R>(_: &antiphon::TrainingStep<'_, S, D, R>, _: Form) -> antiphon::Result<String> {
    Err(not_built())
}

/// What to do where compiled training was asked for and is not there.
#[cfg(not(feature = "staging"))]
pub fn not_built() -> antiphon::Error {
    super::cli::bad(
        "mode",
        "compiled training needs LLVM 19 (`make demo` installs it) and the feature `staging`: \
         cargo run --release --features staging --example <name> -- --mode compiled",
    )
}
