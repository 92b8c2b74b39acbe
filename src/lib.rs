//! Antiphon (call and response): differentiable programming with delimited continuations.

// The derive's code names this crate by its name, inside of it too.
extern crate self as antiphon;

pub mod control;
pub mod data;
pub mod error;
pub mod io;
pub mod nn;
pub mod optim;
pub mod params;
pub mod real;
mod scalar;
pub mod shape;
pub mod stack;
pub mod state;
pub mod tensor;

pub use antiphon_derive::Params;
pub use control::Control;
pub use error::{Error, OrRaise, Result, raise};
pub use params::Params;
pub use real::{Int, Mask, Real};
pub use shape::{Axes, Padding, Shape, Window2d};
pub use state::State;
pub use tensor::{IntTensor, MaskTensor, Tensor};
