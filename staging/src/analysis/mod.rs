//! What is known of a program without running it.
//!
//! | module | |
//! |---|---|
//! | [`captures`] | who owns and who captures what, and which functions may be active more than once at a time |
//! | [`liveness`] | calls of a function by itself, and what it still needs when they return |
//! | [`effects`] | which cells functions read, empty and add to |
//! | [`components`] | which nodes of a graph lead to each other |

#[cfg(feature = "llvm")]
pub mod captures;
pub mod components;
pub mod effects;
#[cfg(feature = "llvm")]
pub mod liveness;
