//! Training on several processes: tests that run on so many ranks of an MPI, which are this program again.

mod agreement;
mod gradients;
mod job;
mod operators;
#[path = "../support/mod.rs"]
mod support;
mod training;
