//! The affine map.

use crate::Params;
use crate::language::tensor::Tensor;
use crate::nn::init::{Init, Rng};

/// `y = x·W + b`: `[.., in]` to `[.., out]`.
#[derive(Clone, Debug, Params)]
pub struct Linear<T> {
    /// Weights, `[in, out]`.
    pub w: T,
    /// Bias, `[out]`, if there is one.
    pub b: Option<T>,
}

impl<T: Tensor> Linear<T> {
    /// Weights by [`Init::GlorotUniform`], bias zero.
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, outputs: usize) -> Linear<T> {
        Linear { b: Some(T::zeros(&[outputs])), ..Linear::without_bias(rng, inputs, outputs) }
    }

    /// Weights by [`Init::GlorotUniform`], no bias.
    #[track_caller]
    pub fn without_bias(rng: &mut Rng, inputs: usize, outputs: usize) -> Linear<T> {
        Linear { w: Init::GlorotUniform.sample(&[inputs, outputs], rng), b: None }
    }

    /// `x·W + b` for `x: [.., in]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the last axis of `x` is not `in`.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let y = x.matmul(&self.w);
        match &self.b {
            Some(b) => y + b,
            None => y,
        }
    }
}
