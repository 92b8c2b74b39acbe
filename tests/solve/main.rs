//! Iterative algorithms whose derivative is a choice: values, theorems, both modes, and what goes wrong.

mod edges;
mod errors;
mod fixed_points;
mod integration;
mod misuse;
mod orders;
mod problems;
mod programs;
mod solvers;
#[cfg(feature = "staging")]
mod text;
mod values;
