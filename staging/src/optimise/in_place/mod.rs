//! Arrays that are written row by row are kept in one cell, and written where they lie.
//!
//! `y = set_rows(x, i, g)` is an array of its own, and `x` stays what it was. Where nobody needs `x` any more, `y` can
//! have its memory; but if the array is the state of a loop, or of a recursion, memory is handed from activation to
//! activation, as a parameter on the way forward, and, where it is an adjoint, as a result on the way back. So this
//! pass looks for the *classes* of arrays that hand on to each other: operand and result of a write, argument and
//! parameter, result of a function and of its call, yield and result of a branch. One cell, outside of all functions
//! concerned, takes the place of such a class, if whoever reads an array of it does so while the cell holds just that
//! one, which `flow.rs` finds out. Parameters and results disappear with it, and what is left of a loop is often
//! scalars alone.
//!
//! What cannot be done so stays as it is, and copies.

mod cells;
mod classes;
mod flow;
mod rewrite;

use std::collections::HashSet;

use crate::ir::Program;
use crate::optimise::{OptimiseOptions, dead};

/// Runs the pass.
pub fn run(program: &mut Program, options: &OptimiseOptions) -> bool {
    if !classes::writes_rows(program) {
        return false;
    }
    cells::become_values(program);
    let mut changed = false;
    // A class that cannot be in a cell is known by the writes in it.
    let mut tried = HashSet::new();
    // Parameters and results are known by their positions, which are others when some have disappeared.
    while let Some(class) = classes::of(program).into_iter().find(|class| !tried.contains(&class.first)) {
        tried.insert(class.first);
        if let Some(rewritten) = flow::in_one_cell(program, &class) {
            rewritten.apply(program, &class);
            changed = true;
        }
    }
    if changed {
        // What was read of arrays that are in cells now.
        dead::run(program, options);
    }
    changed
}
