//! The examples as the programs that they are, in both modes.

#[path = "../support/mod.rs"]
mod support;

mod examples;
mod lipschitz;
mod pictures;
mod reference;
mod resume;
mod solvers;
mod workloads;
