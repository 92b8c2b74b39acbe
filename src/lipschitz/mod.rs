//! Lipschitz constants.
mod bound;
mod certificate;
mod matrix;
pub use bound::*;
