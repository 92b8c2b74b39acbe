//! Recorded programs: what a model becomes when it is staged instead of run.
//!
//! A [`Builder`] records pure tensor operators, adjoint [cells](ids::Cell), branches, local functions and
//! continuations into an arena [`Program`] of static shapes and dtypes. The crate knows nothing of differentiation: a
//! recorded derivative is an ordinary program, in which the backward half of every operator follows the call of its
//! continuation.
//!
//! | module | |
//! |---|---|
//! | [`ir`], [`expr`], [`types`], [`ids`] | what programs are |
//! | [`build`] | recording them |
//! | [`mod@verify`] | well-scoped, well-typed, continuations only downward |
//! | [`print`](mod@print) | as text (`Display`) and as a picture (Graphviz) |
//! | [`mod@interpret`] | the reference semantics: slow and obvious |
//! | [`mod@optimise`] | passes, each checked against the interpreter |
//! | `jit` | native code by LLVM, with the feature `llvm` |

// The generators of random programs name this crate by its name.
#[cfg(all(test, feature = "llvm"))]
extern crate self as antiphon_staging;
#[cfg(all(test, feature = "llvm"))]
#[allow(dead_code, unused_imports, reason = "the tests of this crate's own use a part")]
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;

pub mod build;
mod components;
pub mod error;
pub mod expr;
pub mod ids;
pub mod infer;
pub mod interpret;
pub mod ir;
#[cfg(feature = "llvm")]
pub mod jit;
#[cfg(feature = "llvm")]
mod lower;
pub mod optimise;
pub mod print;
pub mod tensor;
pub mod types;
pub mod verify;

pub use antiphon_system::budget::Limit;
pub use build::{Builder, Signature};
pub use error::{Error, Result};
pub use expr::{Binary, Comparison, Expr, Padding, Reduction, Unary, Window2d};
pub use ids::{Block, Cell, Cont, Func, Value};
pub use interpret::interpret;
pub use ir::{Name, Program, Stmt, Target, Update};
#[cfg(feature = "llvm")]
pub use jit::{CompileOptions, Compiled, Interrupt, compile};
pub use optimise::{Options, optimise};
pub use tensor::{Data, Tensor};
pub use types::{Dtype, Scalar, Shape, Type};
pub use verify::verify;
