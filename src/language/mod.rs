//! The language that models are written in: traits over numbers, arrays and control flow, and what goes with them. Each
//! type that implements the traits interprets it.

pub mod at;
pub(crate) mod composed;
pub mod control;
pub mod custom;
pub(crate) mod derivative_rules;
pub(crate) mod gamma;
pub mod host;
pub(crate) mod linear;
mod maps;
pub(crate) mod movable;
#[doc(hidden)]
pub mod node;
pub mod number;
pub(crate) mod operators;
pub mod params;
pub mod random;
pub mod real;
pub mod shape;
pub mod state;
pub mod structure;
pub mod tensor;
