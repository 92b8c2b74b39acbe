//! The functions of Tangent's test suite, each in the spelling of this crate, in ten modes.
//!
//! Tangent (van Merriënboer, Moldovan, Wiltschko 2018, "Tangent: automatic differentiation using source-code
//! transformation for dynamically typed array programming") tests its derivatives with a list of functions of NumPy and
//! TensorFlow, on scalars from −2 to 2, on vectors, matrices and images. [`programs`] has those of scalars, with their
//! branches, loops, lists and dictionaries, [`arrays`] those of arrays, [`numpy`] the functions of NumPy that Tangent
//! has rules for. Each stands beside the same function of plain numbers, which its values are compared with, and whose
//! differences its derivatives are; the modes are compared with each other as well.

mod arrays;
mod function;
mod images;
mod modes;
mod numpy;
mod programs;
mod surgery;

use function::Function;

/// All of them.
fn functions() -> Vec<Function> {
    [programs::all(), arrays::all(), images::all(), numpy::all()].concat()
}

#[test]
fn all_functions_are_there_once() {
    let mut names: Vec<&str> = functions().iter().map(|f| f.name).collect();
    let total = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), total, "two functions of one name");
    assert!(total >= 150, "{total}");
}
