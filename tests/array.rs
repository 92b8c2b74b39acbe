//! Arrays compute what their definitions, written out index by index, say.

#[path = "array/errors.rs"]
mod errors;
#[path = "array/math.rs"]
mod math;
#[path = "array/operators.rs"]
mod operators;
#[path = "array/reference.rs"]
mod reference;
#[path = "array/structure.rs"]
mod structure;
