//! Connectionist temporal classification: a sequence of labels whose places in the input are not known (Graves,
//! Fernández, Gomez & Schmidhuber, *Connectionist temporal classification*, 2006). [`Ctc`] is the loss; [`greedy`] and
//! [`PrefixBeamSearch`] read labels from what a trained network gives.

mod decode;
mod loss;

pub use decode::{PrefixBeamSearch, Transcript, greedy};
pub use loss::Ctc;
