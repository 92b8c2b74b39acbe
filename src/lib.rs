//! Antiphon (call and response): differentiable programming with delimited continuations.

mod array;
pub mod control;
pub mod error;
pub mod params;
pub mod real;
mod scalar;
pub mod shape;
pub mod stack;
pub mod state;
pub mod tensor;

pub use array::{Float, NdArray, NdBool, NdInt};
pub use control::Control;
pub use error::{Error, OrRaise, Result, raise};
pub use params::Params;
pub use real::{Int, Mask, Real};
pub use shape::{Axes, Padding, Shape, Window2d};
pub use state::State;
pub use tensor::{IntTensor, MaskTensor, Tensor};
