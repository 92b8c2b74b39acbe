//! What runs as the model calls it: arrays, derivatives, continuations, layers, optimisers, data, files, and what goes
//! wrong.
//!
//! One program: a test is a program of its own only if it needs a process of its own.

mod array;
mod composed;
mod contractions;
mod custom;
#[path = "../support/custom.rs"]
mod custom_operators;
#[cfg(feature = "data")]
mod data;
mod derive;
mod destructors;
mod elementwise;
#[path = "../support/elementwise.rs"]
mod elementwise_reference;
mod errors;
mod formulas;
mod host;
#[path = "../support/host.rs"]
mod host_operators;
mod in_place;
mod io;
mod linalg;
mod linalg_numbers;
mod linearize;
mod names;
mod nn;
mod operators;
mod optim;
mod random;
mod shift_reset;
mod soundness;
#[cfg(feature = "data")]
mod text;
mod transform;
#[path = "../support/in_place.rs"]
mod writing;
