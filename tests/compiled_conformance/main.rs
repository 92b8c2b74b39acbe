//! The conformance table and every operator in five ways: eagerly, and recorded, in the interpreter and compiled, each
//! as recorded and as optimised.
//!
//! Of each function one program is recorded: its value, its gradient in reverse and its derivatives forward. All runs
//! of it give the same bits, except that code which is compiled for speed may round differently, and so may the eager
//! kernels; see [`ways::Bound`].

#[path = "../conformance/array_case.rs"]
#[allow(dead_code, reason = "the closed forms")]
mod array_case;
#[path = "../conformance/case.rs"]
#[allow(dead_code, reason = "as above")]
mod case;

#[path = "../conformance/aliasing.rs"]
mod aliasing;
#[path = "../conformance/binary.rs"]
mod binary;
#[path = "../conformance/composition.rs"]
mod composition;
#[path = "../conformance/control.rs"]
mod control;
#[path = "../conformance/elementary.rs"]
mod elementary;
#[path = "../conformance/polynomial.rs"]
mod polynomial;
#[path = "../conformance/strong_zero.rs"]
mod strong_zero;
#[path = "../conformance/transcendental.rs"]
mod transcendental;

#[path = "../conformance/elementwise.rs"]
mod elementwise;
#[path = "../conformance/image.rs"]
mod image;
#[path = "../conformance/indexing.rs"]
mod indexing;
#[path = "../conformance/matrix.rs"]
mod matrix;
#[path = "../conformance/reduction.rs"]
mod reduction;
#[path = "../conformance/vector.rs"]
mod vector;

#[path = "../eager/operators/table.rs"]
mod operators;

mod arrays;
mod scalars;
mod ways;
