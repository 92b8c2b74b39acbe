//! Layer normalisation.

use crate::Params;
use crate::language::tensor::Tensor;

/// `y = (x − mean)/√(variance + ε)·gain + bias` over the last axis (Ba, Kiros & Hinton, *Layer normalization*,
/// 2016, §3). The variance is divided by the number of features.
#[derive(Clone, Debug, Params)]
pub struct LayerNorm<T> {
    /// `[features]`.
    pub gain: T,
    /// `[features]`.
    pub bias: T,
    /// Keeps constant features finite.
    pub epsilon: f64,
}

impl<T: Tensor> LayerNorm<T> {
    /// Gain one, bias zero, ε = 1e-5.
    #[track_caller]
    pub fn new(features: usize) -> LayerNorm<T> {
        LayerNorm { gain: T::ones(&[features]), bias: T::zeros(&[features]), epsilon: 1e-5 }
    }

    /// `[.., features]` to the same shape.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the last axis of `x` does not fit the gain's.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let centred = x.clone() - x.mean(-1).unsqueeze(-1);
        let variance = centred.square().mean(-1).unsqueeze(-1);
        centred / (variance + self.epsilon).sqrt() * &self.gain + &self.bias
    }
}
