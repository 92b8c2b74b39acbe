//! Batches: every operator, control flow and the nests with derivatives against a loop over the rows.

mod case;
mod composed;
mod control;
mod forest;
#[cfg(feature = "staging")]
mod higher;
mod jacobian;
mod operators;
mod usage;
