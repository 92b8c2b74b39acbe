//! One table of functions with derivatives in closed form, and every way the library has to differentiate them.

mod case;
mod compare;
mod differences;

mod aliasing;
mod binary;
mod composition;
mod control;
mod elementary;
mod polynomial;

mod table;

use case::ScalarVisitor;

/// Shows every scalar case of the table to the visitor.
fn for_each_scalar_case(visitor: &mut impl ScalarVisitor) {
    elementary::for_each(visitor);
    binary::for_each(visitor);
    polynomial::for_each(visitor);
    aliasing::for_each(visitor);
    composition::for_each(visitor);
    control::for_each(visitor);
}
