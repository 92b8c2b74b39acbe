//! One table of functions with derivatives in closed form, and every way the library has to differentiate them.

mod array_case;
mod case;
mod compare;
mod differences;
mod explicit;
mod list;

mod aliasing;
mod binary;
mod composition;
mod control;
mod elementary;
mod polynomial;
mod strong_zero;
mod transcendental;

mod elementwise;
mod image;
mod indexing;
mod matrix;
mod reduction;
mod vector;

mod array_modes;
mod array_table;
mod batched;
mod modes;
mod nested;
mod replayed;
mod table;

use array_case::ArrayVisitor;
use case::ScalarVisitor;

/// Shows every scalar case of the table to the visitor.
fn for_each_scalar_case(visitor: &mut impl ScalarVisitor) {
    elementary::for_each(visitor);
    transcendental::for_each(visitor);
    strong_zero::for_each(visitor);
    binary::for_each(visitor);
    polynomial::for_each(visitor);
    aliasing::for_each(visitor);
    composition::for_each(visitor);
    control::for_each(visitor);
}

/// Shows every array case of the table to the visitor.
fn for_each_array_case(visitor: &mut impl ArrayVisitor) {
    elementwise::for_each(visitor);
    reduction::for_each(visitor);
    vector::for_each(visitor);
    matrix::for_each(visitor);
    indexing::for_each(visitor);
    image::for_each(visitor);
}
