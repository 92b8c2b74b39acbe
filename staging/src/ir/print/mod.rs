//! Programs as documents.

mod dot;
mod names;
mod passes;
mod text;

pub use dot::graphviz;
pub use names::Names;
