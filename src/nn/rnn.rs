//! The simple recurrent cell.

use crate::Params;
use crate::language::tensor::Tensor;
use crate::nn::init::Rng;
use crate::nn::recurrent::{Recurrent, Weights, of_torch};

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
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, hidden: usize) -> Rnn<T> {
        let Weights { wx, wh, b } = Weights::new(rng, inputs, hidden, 1);
        Rnn { wx, wh, b }
    }

    /// From the weights of PyTorch's `nn.RNN`: `weight_ih: [hidden, in]`, `weight_hh: [hidden, hidden]`,
    /// `bias_ih` and `bias_hh: [hidden]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) or [`Error::Operand`](crate::Error::Operand) if the biases do not
    /// fit.
    #[track_caller]
    pub fn from_torch(wx: &T, wh: &T, bx: &T, bh: &T) -> Rnn<T> {
        let [wx, wh] = of_torch(wx, wh);
        Rnn { wx, wh, b: bx.clone() + bh }
    }
}

impl<T: Tensor> Recurrent<T> for Rnn<T> {
    type State = T;

    fn weights(&self) -> Weights<&T> {
        Weights { wx: &self.wx, wh: &self.wh, b: &self.b }
    }
    fn initial(&self, batch: usize) -> T {
        T::zeros(&[batch, self.hidden()])
    }
    fn output(state: &T) -> &T {
        state
    }
    fn advance(&self, h: &T, x: &T) -> T {
        (h.matmul(&self.wh) + x).tanh().named("h")
    }
}
