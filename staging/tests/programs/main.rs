//! Programs: what they are, what they mean, and what the optimiser makes of them.

#[path = "../common/mod.rs"]
mod common;
#[path = "../fuzz/mod.rs"]
mod fuzz;

mod operators;
mod optimise;
mod properties;
mod regrouping;
mod wellformed;
