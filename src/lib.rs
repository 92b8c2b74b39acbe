//! Antiphon (call and response): differentiable programming with delimited continuations.

// The derive's code names this crate by its name, inside of it too.
extern crate self as antiphon;

mod array;
mod check;
pub mod control;
pub mod data;
mod delimited;
mod elementwise;
pub mod error;
mod forward;
pub mod io;
mod memory;
pub mod nn;
pub mod optim;
pub mod params;
pub mod real;
mod recorded;
mod reverse;
mod scalar;
mod sealed;
pub mod shape;
pub mod stack;
#[cfg(feature = "staging")]
mod stage;
#[cfg(feature = "staging")]
pub mod staged;
pub mod state;
mod step;
pub mod structure;
pub mod tensor;
mod transform;

pub use antiphon_derive::{Params, Structure};
pub use array::{Float, NdArray, NdBool, NdInt};
pub use check::{Differentiable, Forward, Program, Reverse, check_gradients};
pub use control::Control;
pub use delimited::{Continuation, Prompt, reset, shift};
pub use error::{Error, OrRaise, Result, raise};
pub use forward::Dual;
pub use params::Params;
pub use real::{Int, Mask, Real};
pub use reverse::{Var, cps, node};
pub use shape::{Axes, Padding, Shape, Window2d};
#[cfg(feature = "staging")]
pub use stage::{Staged, stage, stage_with};
pub use state::{Flag, Index, State};
pub use step::TrainingStep;
pub use structure::Structure;
pub use tensor::{IntTensor, MaskTensor, Tensor};
pub use transform::{Function, Gradient, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp};

/// The code in the README and the documentation, compiled and run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/architecture.md")]
    mod architecture {}
    #[doc = include_str!("../docs/adding-an-operator.md")]
    mod adding_an_operator {}
}
