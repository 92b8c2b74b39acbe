//! Programs as documents.

mod dot;
mod loops;
mod names;
mod passes;
mod text;

pub use dot::graphviz;
pub use names::Names;
