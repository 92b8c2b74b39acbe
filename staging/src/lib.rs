//! Recorded programs: what a model becomes when it is recorded instead of run.
//!
//! A [`Builder`] records pure tensor operators, adjoint [cells](Cell), branches, local functions and
//! continuations into an arena [`Program`] of static shapes and dtypes. The crate knows nothing of differentiation: a
//! recorded derivative is an ordinary program, in which the backward half of every operator follows the call of its
//! continuation.
//!
//! | module | |
//! |---|---|
//! | [`ir`] | programs: expressions, types, ids; recording, type inference and well-formedness; text and picture |
//! | [`mod@interpret`] | the reference semantics: slow and obvious |
//! | [`mod@optimise`] | passes, each checked against the interpreter |
//! | `analysis` | what is known of programs without running them |
//! | `lower` | programs as LLVM modules, with the feature `llvm` |
//! | `jit` | native code by LLVM, with the feature `llvm` |

// The generators of random programs name this crate by its name.
#[cfg(all(test, feature = "llvm"))]
extern crate self as antiphon_staging;
#[cfg(all(test, feature = "llvm"))]
#[allow(dead_code, unused_imports, reason = "the tests of this crate's own use a part")]
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;

mod analysis;
pub mod interpret;
pub mod ir;
#[cfg(feature = "llvm")]
pub mod jit;
#[cfg(feature = "llvm")]
mod lower;
pub mod optimise;

pub use antiphon_system::budget::Limit;
pub use interpret::interpret;
pub use ir::build::{Builder, Signature};
pub use ir::error::{Error, Result};
pub use ir::expr::{Binary, Class, Comparison, Expr, Padding, Reduction, Unary, Window2d};
pub use ir::host::{HostCode, HostData, HostFunction};
pub use ir::ids::{Block, Cell, Cont, Func, Host, Probe, Value};
pub use ir::probe::{ProbeData, ProbeKind};
pub use ir::tensor::{ConcreteTensor, Data, Elements, ElementsMut};
pub use ir::types::{Dtype, Scalar, Shape, Type};
pub use ir::verify::verify;
pub use ir::{Name, Origin, Program, Stmt, Target, Update};
#[cfg(feature = "llvm")]
pub use jit::{CompileOptions, CompiledProgram, Interrupt, compile};
pub use optimise::{OptimiseOptions, optimise};
