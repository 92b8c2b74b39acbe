//! A convolutional network for images of 28 × 28 pixels (after LeCun et al., *Gradient-based learning applied to
//! document recognition*, 1998).

use antiphon::nn::{Dropout, Init, Pool2d, Rng};
use antiphon::{Params, Tensor, Window2d};

use super::network::{Batch, Network};
use super::pictures::Classifier;

/// Two convolutions, each pooled and rectified, and two layers.
#[derive(Clone, Params)]
pub struct Convolutional<T> {
    /// `[10, 1, 5, 5]`.
    pub w1: T,
    /// `[20, 10, 5, 5]`.
    pub w2: T,
    /// `[320, 50]`.
    pub f1: T,
    /// `[50]`.
    pub b1: T,
    /// `[50, 10]`.
    pub f2: T,
    /// `[10]`.
    pub b2: T,
    /// Between the two layers, while training.
    pub dropout: Dropout,
}

impl<T: Tensor> Convolutional<T> {
    pub fn new(rng: &mut Rng, dropout: Dropout) -> Convolutional<T> {
        let mut weights = |shape: &[usize]| Init::HeUniform.sample(shape, rng);
        Convolutional {
            w1: weights(&[10, 1, 5, 5]),
            w2: weights(&[20, 10, 5, 5]),
            f1: weights(&[320, 50]),
            b1: T::zeros(&[50]),
            f2: weights(&[50, 10]),
            b2: T::zeros(&[10]),
            dropout,
        }
    }

    /// What the last layer sees, `[batch, 50]`.
    fn features(&self, images: &T) -> T {
        let batch = images.shape()[0];
        let pool = Pool2d::new([2, 2]);
        let x = images.reshape(&[batch, 1, 28, 28]);
        let x = pool.max(&x.conv2d(&self.w1, Window2d::default())).relu();
        let x = pool.max(&x.conv2d(&self.w2, Window2d::default())).relu();
        (x.reshape(&[batch, 320]).matmul(&self.f1) + &self.b1).relu()
    }

    fn output(&self, features: &T) -> T {
        features.matmul(&self.f2) + &self.b2
    }
}

impl<T: Tensor> Classifier<T> for Convolutional<T> {
    fn logits(&self, images: &T) -> T {
        self.output(&self.features(images))
    }
}

impl<T: Tensor> Network<T> for Convolutional<T> {
    fn loss(&self, batch: &Batch<T>) -> T {
        let features = self.dropout.apply(&self.features(&batch.reals[0]), &batch.integers);
        self.output(&features).cross_entropy(&batch.labels).mean(..)
    }
}
