//! Models and steps of training as compiled code.

#[cfg(feature = "staging")]
mod components;
#[cfg(feature = "staging")]
mod derivative;
#[cfg(feature = "staging")]
mod model;
mod step;

#[cfg(feature = "staging")]
pub use antiphon_staging::jit::{CompileOptions, CompiledProgram, Interrupt};
#[cfg(feature = "staging")]
pub use derivative::{CompiledDerivative, CompiledDerivativeOf, compile_derivative, compile_derivative_with};
#[cfg(feature = "staging")]
pub use model::{CompiledFunction, compile, compile_with};
pub use step::TrainingStep;
