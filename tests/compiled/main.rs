//! What is recorded as a program, interpreted and compiled.

#[path = "../conformance/case.rs"]
#[allow(dead_code, reason = "kinks and third derivatives")]
mod case;

mod auxiliary;
mod captures;
mod checkpoints;
mod control;
mod custom;
#[path = "../support/custom.rs"]
mod custom_operators;
mod destructors;
mod elementwise;
#[path = "../support/elementwise.rs"]
mod elementwise_reference;
mod escape;
mod examples;
mod export;
mod host;
#[path = "../support/host.rs"]
mod host_operators;
mod in_place;
mod linearize;
mod mistakes;
mod models;
mod names;
mod probes;
mod random;
mod rounds;
mod scan;
mod semantics;
mod strong_zeros;
mod text;
mod training;
mod variants;
#[path = "../support/in_place.rs"]
mod writing;
