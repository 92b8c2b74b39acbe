//! Models and steps of training as compiled code.

#[cfg(feature = "staging")]
mod model;
#[cfg(feature = "staging")]
mod signature;
mod step;

#[cfg(feature = "staging")]
pub use antiphon_staging::jit::{CompileOptions, Compiled, Interrupt};
#[cfg(feature = "staging")]
pub use model::{Staged, stage, stage_with};
pub use step::TrainingStep;
