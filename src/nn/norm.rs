//! Normalisation of each row by itself.

use crate::Params;
use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::tensor::Tensor;
use crate::nn::batch_norm::channels_first;

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
    /// Raises [`Error::Shape`] if the last axis of `x` does not fit the gain's.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        x.standardize(-1, self.epsilon) * &self.gain + &self.bias
    }
}

/// `y = (x − mean)/√(variance + ε)·gain + bias` of `[batch, channels, ..]`, over all elements of a group of channels of
/// each sample (Wu & He, *Group normalization*, 2018, §3.1; `torch.nn.GroupNorm`). With one group for each channel it
/// is instance normalisation.
#[derive(Clone, Debug, Params)]
pub struct GroupNorm<T> {
    /// `[channels]`.
    pub gain: T,
    /// `[channels]`.
    pub bias: T,
    /// How many groups the channels are divided into.
    pub groups: usize,
    /// Keeps constant groups finite.
    pub epsilon: f64,
}

impl<T: Tensor> GroupNorm<T> {
    /// Gain one, bias zero, ε = 1e-5.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if the channels cannot be divided into so many groups.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> GroupNorm<T> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            let reason = format!("{channels} channels are not {groups} groups");
            raise(Error::Argument { op: "group_norm", reason, at: At::caller() });
        }
        GroupNorm { gain: T::ones(&[channels]), bias: T::zeros(&[channels]), groups, epsilon: 1e-5 }
    }

    /// `[batch, channels, ..]` to the same shape.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if `x` has not these channels as its second axis.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let column = channels_first("group_norm", x, self.gain.size());
        let shape = x.shape();
        let of_group = shape[1..].iter().product::<usize>() / self.groups.max(1);
        let grouped = x.reshape(&[shape[0], self.groups, of_group]);
        let y = grouped.standardize(-1, self.epsilon).reshape(&shape);
        y * self.gain.reshape(&column) + self.bias.reshape(&column)
    }
}

/// `y = x/√(mean x² + ε)·gain` over the last axis (Zhang & Sennrich, *Root mean square layer normalization*, 2019, §3;
/// `torch.nn.RMSNorm`).
#[derive(Clone, Debug, Params)]
pub struct RmsNorm<T> {
    /// `[features]`.
    pub gain: T,
    /// Keeps features that are all zero finite.
    pub epsilon: f64,
}

impl<T: Tensor> RmsNorm<T> {
    /// Gain one, ε = 1e-6.
    #[track_caller]
    pub fn new(features: usize) -> RmsNorm<T> {
        RmsNorm { gain: T::ones(&[features]), epsilon: 1e-6 }
    }

    /// `[.., features]` to the same shape.
    ///
    /// # Errors
    /// Raises [`Error::Shape`] if the last axis of `x` does not fit the gain's.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        x.divide_by_rms(-1, self.epsilon) * &self.gain
    }
}
