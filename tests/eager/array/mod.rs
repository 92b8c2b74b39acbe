//! Arrays compute what their definitions, written out index by index, say.

mod errors;
mod math;
mod operators;
pub mod reference;
mod structure;
