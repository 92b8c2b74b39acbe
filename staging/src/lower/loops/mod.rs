//! Loop nests: a graph of elementwise operators over affine accesses, and the code that it becomes.
//!
//! | module | |
//! |---|---|
//! | [`nest`] | the graph |
//! | [`emit`] | its code, vectorised |
//! | [`outline`] | nests that occur again and again, as functions |
//! | [`parallel`] | nests in parts, for several threads |
//! | [`transpose`] | transpositions, in blocks that are turned in registers |

pub mod emit;
pub mod nest;
mod outline;
mod parallel;
pub mod transpose;
