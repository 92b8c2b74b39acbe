//! Iterative algorithms whose derivative is a choice: values, theorems, both modes, and what goes wrong.

mod fixed_points;
mod problems;
#[cfg(feature = "staging")]
mod text;
