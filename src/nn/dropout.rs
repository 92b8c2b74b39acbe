//! Dropout.

use crate::error::{Error, Result};
use crate::language::tensor::Tensor;

/// Zeroes each element with a probability and scales the others up, so that the expectation stays (Srivastava et
/// al., *Dropout*, 2014, §10). It has no parameters; which elements is a function of the seed given at each use.
/// Outside of training, leave it out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// Dropout at this probability.
    ///
    /// # Errors
    /// [`Error::Config`] unless `0 ≤ rate < 1`.
    pub fn new(rate: f64) -> Result<Dropout> {
        if (0.0..1.0).contains(&rate) {
            Ok(Dropout { rate })
        } else {
            Err(Error::Config {
                name: "dropout",
                reason: format!("the rate is {rate}, but should be at least 0 and below 1"),
            })
        }
    }

    /// `x·mask/(1 − rate)`.
    #[track_caller]
    pub fn apply<T: Tensor>(&self, x: &T, seed: &T::Int) -> T {
        if self.rate == 0.0 { x.clone() } else { x.dropout(self.rate, seed) }
    }
}
