//! Long short-term memory.

use crate::Params;
use crate::language::tensor::Tensor;
use crate::nn::init::Rng;
use crate::nn::recurrent::{Recurrent, Weights, of_torch};

/// Long short-term memory (Hochreiter & Schmidhuber 1997; with the forget gate of Gers, Schmidhuber & Cummins,
/// *Learning to forget*, 2000, §3):
///
/// ```text
/// i f g o = x·Wx + h·Wh + b
/// c′ = σ(f)·c + σ(i)·tanh(g)
/// h′ = σ(o)·tanh(c′)
/// ```
///
/// The gates stand side by side in the order input, forget, candidate, output; one bias serves both products.
#[derive(Clone, Debug, Params)]
pub struct Lstm<T> {
    /// Input weights, `[in, 4·hidden]`.
    #[params(name = "Wx")]
    pub wx: T,
    /// Recurrent weights, `[hidden, 4·hidden]`.
    #[params(name = "Wh")]
    pub wh: T,
    /// Bias, `[4·hidden]`.
    pub b: T,
}

/// What an [`Lstm`] carries from step to step.
#[derive(Clone, Debug, Params)]
pub struct LstmState<T> {
    /// The output, `[batch, hidden]`.
    pub h: T,
    /// The memory, `[batch, hidden]`.
    pub c: T,
}

impl<T: Tensor> Lstm<T> {
    /// Everything uniform on `±1/√hidden`, as PyTorch's `nn.LSTM` starts.
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, hidden: usize) -> Lstm<T> {
        let Weights { wx, wh, b } = Weights::new(rng, inputs, hidden, 4);
        Lstm { wx, wh, b }
    }

    /// From the weights of PyTorch's `nn.LSTM`: `weight_ih: [4·hidden, in]`, `weight_hh: [4·hidden, hidden]`,
    /// `bias_ih` and `bias_hh: [4·hidden]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) or [`Error::Operand`](crate::Error::Operand) if the biases do not
    /// fit.
    #[track_caller]
    pub fn from_torch(wx: &T, wh: &T, bx: &T, bh: &T) -> Lstm<T> {
        let [wx, wh] = of_torch(wx, wh);
        Lstm { wx, wh, b: bx.clone() + bh }
    }
}

impl<T: Tensor> Recurrent<T> for Lstm<T> {
    type State = LstmState<T>;

    fn weights(&self) -> Weights<&T> {
        Weights { wx: &self.wx, wh: &self.wh, b: &self.b }
    }
    fn initial(&self, batch: usize) -> LstmState<T> {
        let zeros = T::zeros(&[batch, self.hidden()]);
        LstmState { h: zeros.clone(), c: zeros }
    }
    fn output(state: &LstmState<T>) -> &T {
        &state.h
    }
    fn advance(&self, state: &LstmState<T>, x: &T) -> LstmState<T> {
        let gates = state.h.matmul(&self.wh) + x;
        let n = self.hidden();
        // Not by a closure: it would not know its caller.
        let i = gates.slice(-1, 0..n).sigmoid().named("i");
        let f = gates.slice(-1, n..2 * n).sigmoid().named("f");
        let g = gates.slice(-1, 2 * n..3 * n).tanh().named("g");
        let o = gates.slice(-1, 3 * n..4 * n).sigmoid().named("o");
        let c = (f * &state.c + i * g).named("c");
        LstmState { h: (o * c.tanh()).named("h"), c }
    }
}
