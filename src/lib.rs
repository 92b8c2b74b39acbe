//! Antiphon (call and response): differentiable programming with delimited continuations.

// The derive's code names this crate by its name, inside of it too.
extern crate self as antiphon;

mod array;
mod batch;
pub mod check;
pub mod compiled;
mod continuation;
#[cfg(feature = "data")]
pub mod data;
pub mod debug;
#[cfg(feature = "mpi")]
pub mod distributed;
pub mod error;
mod finite;
mod forward;
pub mod io;
mod jacobian;
mod language;
pub mod linalg;
mod linearize;
pub mod lipschitz;
mod memory;
mod named;
pub mod nn;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod optim;
mod partial;
#[cfg(feature = "staging")]
pub mod recording;
mod reverse;
mod scalar;
mod sealed;
pub mod solve;
mod sparse;
pub mod threads;
mod transforms;

/// Derivatives that a model says itself: adjoints changed on their way back, and functions with rules of their own.
pub mod custom {
    pub use crate::language::custom::*;
    pub use crate::transforms::transposed;
}

pub use antiphon_derive::{Params, Structure};
pub use array::{Float, NdArray, NdBool, NdInt};
pub use batch::{Batch, BatchAdjoint, BatchBool, BatchInt, vmap, vmap_axes};
pub use check::check_gradients;
pub use compiled::TrainingStep;
#[cfg(feature = "staging")]
pub use compiled::{CompiledDerivative, CompiledFunction, compile, compile_derivative, compile_with};
pub use continuation::unwinding::{OrRaise, raise};
pub use continuation::{Continuation, Prompt, reset, shift, stack};
pub use error::{Error, Result};
pub use forward::Dual;
pub use jacobian::{hessian, hessian_blocks, jacobian};
pub use language::composed::convolutions::{Border, Convolution};
pub use language::composed::einsum::einsum;
pub use language::composed::norms::Norm;
pub use language::composed::orders::Side;
pub use language::control::Control;
pub use language::linear::LinearFunction;
pub use language::number::Number;
pub use language::params::Params;
pub use language::real::{Int, Mask, Real};
pub use language::shape::{Axes, Padding, Shape, Window2d};
pub use language::state::State;
pub use language::structure::Structure;
pub use language::tensor::{IntTensor, MaskTensor, Tensor};
pub use language::{at, control, host, node, number, params, random, real, shape, state, structure, tensor};
pub use linearize::{Linearized, Pullback, ValueAndLinearized, linearize, pullback};
pub use named::{Adjoints, value_and_grad_named};
pub use partial::{Partial, PartialAdjoint};
pub use reverse::{Var, cps};
pub use sparse::{
    SparseMatrix, Sparsity, Traced, TracedAdjoint, hessian_sparsity, jacobian_sparsity, sparse_hessian,
    sparse_jacobian,
};
pub use transforms::{
    Function, FunctionAux, FunctionTo, Gradient, RepeatedFunction, ValueAndTangent, function, grad, hvp, jvp,
    value_and_grad, value_and_grad_aux, vjp,
};

/// The code in the README and the documentation, compiled and run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/architecture.md")]
    mod architecture {}
    #[doc = include_str!("../docs/batching.md")]
    mod batching {}
    #[cfg(all(feature = "mpi", feature = "data"))]
    #[doc = include_str!("../docs/distributed.md")]
    mod distributed {}
    #[doc = include_str!("../docs/iterative.md")]
    mod iterative {}
    #[doc = include_str!("../docs/lipschitz.md")]
    mod lipschitz {}
    #[doc = include_str!("../docs/linearizing.md")]
    mod linearizing {}
    #[cfg(all(feature = "onnx", feature = "staging"))]
    #[doc = include_str!("../docs/onnx.md")]
    mod onnx {}
    #[doc = include_str!("../docs/sparse.md")]
    mod sparse {}
    #[doc = include_str!("../docs/writing-models.md")]
    mod writing_models {}
    #[doc = include_str!("../docs/adding-an-operator.md")]
    mod adding_an_operator {}
}
