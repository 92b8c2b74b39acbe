//! Native code of programs.
#![cfg(feature = "llvm")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../fuzz/mod.rs"]
mod fuzz;

mod aligned;
mod bounded;
mod collected;
mod convolution;
mod loops;
mod lowering;
mod math;
mod random;
mod runs;
