//! Layers: structs of parameters, generic in the interpretation, with the function that uses them.
//!
//! Nothing here is privileged: a layer is a struct with `#[derive(Params)]` and a method written over
//! `T: Tensor`, as a user's own would be. Matrices of weights are laid out `[in, out]` and multiply from the
//! right, `y = x·W + b`; the last axis of an array is its features, the ones before are batches.
//!
//! Layers are made by `new(rng, sizes…)`, with the initial values that their documentation states, from an
//! explicit [`init::Rng`]; or written down as what they are, a struct of arrays.

mod attention;
mod batch_norm;
mod conv;
pub mod ctc;
mod dropout;
mod embedding;
mod gru;
pub mod init;
mod linear;
pub mod loss;
mod lstm;
mod nonexpansive;
mod norm;
mod position;
mod recurrent;
mod rnn;
mod summary;

pub use attention::{MultiHeadAttention, attention, causal, of_keys, within};
pub use batch_norm::{BatchNorm, BatchStatistics};
pub use conv::{Conv2d, Pool2d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use gru::Gru;
pub use init::{Init, Rng};
pub use linear::Linear;
pub use lstm::{Lstm, LstmState};
pub use nonexpansive::{AlmostOrthogonal, Orthogonal, OrthogonalLinear, Sandwich, SdpResidual};
pub use norm::{GroupNorm, LayerNorm, RmsNorm};
pub use position::{LearnedPositions, Rotary, sinusoidal};
pub use recurrent::{Outputs, Recurrent, Weights, stacked, stacked_both_ways};
pub use rnn::Rnn;
pub use summary::summary;
