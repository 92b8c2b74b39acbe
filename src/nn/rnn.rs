//! The simple recurrent cell.

use crate::Params;
use crate::nn::init::{Init, Rng};
use crate::nn::recurrent::Recurrent;
use crate::tensor::Tensor;

/// `h′ = tanh(x·Wx + h·Wh + b)` (Elman, *Finding structure in time*, 1990). The state is `h: [batch, hidden]`.
#[derive(Clone, Debug, Params)]
pub struct Rnn<T> {
    /// Input weights, `[in, hidden]`.
    #[params(name = "Wx")]
    pub wx: T,
    /// Recurrent weights, `[hidden, hidden]`.
    #[params(name = "Wh")]
    pub wh: T,
    /// Bias, `[hidden]`.
    pub b: T,
}

impl<T: Tensor> Rnn<T> {
    /// Everything uniform on `±1/√hidden`, as PyTorch's `nn.RNN` starts.
    pub fn new(rng: &mut Rng, inputs: usize, hidden: usize) -> Rnn<T> {
        let init = recurrent_init(hidden);
        Rnn {
            wx: init.sample(&[inputs, hidden], rng),
            wh: init.sample(&[hidden, hidden], rng),
            b: init.sample(&[hidden], rng),
        }
    }
}

/// Uniform on `±1/√hidden`.
pub(super) fn recurrent_init(hidden: usize) -> Init {
    let limit = 1.0 / (hidden.max(1) as f64).sqrt();
    Init::Uniform { low: -limit, high: limit }
}

impl<T: Tensor> Recurrent<T> for Rnn<T> {
    type State = T;

    fn input_weights(&self) -> &T {
        &self.wx
    }
    fn bias(&self) -> &T {
        &self.b
    }
    fn initial(&self, batch: usize) -> T {
        T::zeros(&[batch, self.wh.shape()[0]])
    }
    fn output(state: &T) -> &T {
        state
    }
    fn advance(&self, h: &T, x: &T) -> T {
        (h.matmul(&self.wh) + x).tanh().named("h")
    }
}
