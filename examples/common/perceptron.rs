//! A multi-layer perceptron for images of 28 × 28 pixels.

use antiphon::nn::{Init, Rng};
use antiphon::{Params, Tensor};

use super::network::{Batch, Network};
use super::pictures::Classifier;

/// `relu(relu(x·w1 + b1)·w2 + b2)·w3 + b3`.
#[derive(Clone, Params)]
pub struct Perceptron<T> {
    /// `[784, 256]`.
    pub w1: T,
    /// `[256]`.
    pub b1: T,
    /// `[256, 128]`.
    pub w2: T,
    /// `[128]`.
    pub b2: T,
    /// `[128, 10]`.
    pub w3: T,
    /// `[10]`.
    pub b3: T,
}

impl<T: Tensor> Perceptron<T> {
    pub fn new(rng: &mut Rng) -> Perceptron<T> {
        let mut weights = |shape: [usize; 2]| Init::HeUniform.sample(&shape, rng);
        Perceptron {
            w1: weights([784, 256]),
            b1: T::zeros(&[256]),
            w2: weights([256, 128]),
            b2: T::zeros(&[128]),
            w3: weights([128, 10]),
            b3: T::zeros(&[10]),
        }
    }
}

impl<T: Tensor> Classifier<T> for Perceptron<T> {
    fn logits(&self, images: &T) -> T {
        let x = (images.matmul(&self.w1) + &self.b1).relu();
        let x = (x.matmul(&self.w2) + &self.b2).relu();
        x.matmul(&self.w3) + &self.b3
    }
}

impl<T: Tensor> Network<T> for Perceptron<T> {
    fn loss(&self, batch: &Batch<T>) -> T {
        self.logits(&batch.reals[0]).cross_entropy(&batch.labels).mean(..)
    }
}
