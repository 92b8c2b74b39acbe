//! Sparse Jacobians and Hessians against dense ones: of every operator, and of functions whose patterns are known.

mod case;
mod colorings;
mod formulas;
mod models;
#[path = "../batch/operators.rs"]
mod operators;
#[path = "../eager/operators/table.rs"]
mod table;
mod usage;
