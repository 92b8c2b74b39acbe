//! Data for training.

pub mod text;

pub use text::{Batch, Batches, Text};
