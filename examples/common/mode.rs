//! How steps are run: eagerly or compiled.

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
    Staged,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Eager => "eager",
            Mode::Staged => "staged",
        }
    }
}

/// Arrays that the examples train on, in either mode: those of which compiled code is known to work.
#[cfg(feature = "staging")]
pub trait Array: Tensor + Stored + antiphon::staged::Plain + 'static {}
#[cfg(feature = "staging")]
impl<T: Tensor + Stored + antiphon::staged::Plain + 'static> Array for T {}

/// Arrays that the examples train on.
#[cfg(not(feature = "staging"))]
pub trait Array: Tensor<Int: Send, Bool: Send> + Stored + Send + 'static {}
#[cfg(not(feature = "staging"))]
impl<T: Tensor<Int: Send, Bool: Send> + Stored + Send + 'static> Array for T {}

/// `TrainingStep` in a mode, from a state on: `training_step!(mode, state, |state, data| step(state, data))`. The function
/// has to exist over every interpretation.
#[allow(unused_macros)] // every example uses its part
macro_rules! training_step {
    ($mode:expr, $state:expr, $step:expr) => {
        match $mode {
            $crate::common::mode::Mode::Eager => Ok(antiphon::TrainingStep::eager($state, $step)),
            #[cfg(feature = "staging")]
            $crate::common::mode::Mode::Staged => Ok(antiphon::TrainingStep::staged($state, $step)),
            #[cfg(not(feature = "staging"))]
            $crate::common::mode::Mode::Staged => Err($crate::common::mode::not_built()),
        }
    };
}
#[allow(unused_imports)]
pub(crate) use training_step;

/// What to do where compiled training was asked for and is not there.
#[cfg(not(feature = "staging"))]
pub fn not_built() -> antiphon::Error {
    super::cli::bad(
        "mode",
        "staged training needs LLVM 19 (`make demo` installs it) and the feature `staging`: \
         cargo run --release --features staging --example <name> -- --mode staged",
    )
}
