//! The gated recurrent unit.

use crate::Params;
use crate::language::tensor::Tensor;
use crate::nn::init::Rng;
use crate::nn::recurrent::{Recurrent, Weights, initial, of_torch};

/// The gated recurrent unit (Cho et al., *Learning phrase representations using RNN encoder–decoder*, 2014,
/// §2.3), in PyTorch's form, where the reset gate multiplies the product `h·Whn` and not `h`:
///
/// ```text
/// r = σ(x·Wxr + h·Whr + br)
/// z = σ(x·Wxz + h·Whz + bz)
/// n = tanh(x·Wxn + bn + r·(h·Whn + bhn))
/// h′ = (1 − z)·n + z·h
/// ```
///
/// The gates stand side by side in the order reset, update, candidate. PyTorch has a second bias for the
/// recurrent product; in `r` and `z` the two only ever add up, so here there is one, and `bhn` for the candidate.
/// The state is `h: [batch, hidden]`.
#[derive(Clone, Debug, Params)]
pub struct Gru<T> {
    /// Input weights, `[in, 3·hidden]`.
    #[params(name = "Wx")]
    pub wx: T,
    /// Recurrent weights, `[hidden, 3·hidden]`.
    #[params(name = "Wh")]
    pub wh: T,
    /// Bias, `[3·hidden]`.
    pub b: T,
    /// Bias of the recurrent part of the candidate, `[hidden]`.
    pub bhn: T,
}

impl<T: Tensor> Gru<T> {
    /// Everything uniform on `±1/√hidden`, as PyTorch's `nn.GRU` starts.
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, hidden: usize) -> Gru<T> {
        let Weights { wx, wh, b } = Weights::new(rng, inputs, hidden, 3);
        Gru { wx, wh, b, bhn: initial(hidden).sample(&[hidden], rng) }
    }

    /// From the weights of PyTorch's `nn.GRU`: `weight_ih: [3·hidden, in]`, `weight_hh: [3·hidden, hidden]`,
    /// `bias_ih` and `bias_hh: [3·hidden]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) or [`Error::Operand`](crate::Error::Operand) if the biases do not
    /// fit.
    #[track_caller]
    pub fn from_torch(wx: &T, wh: &T, bx: &T, bh: &T) -> Gru<T> {
        let hidden = wh.shape().last().copied().unwrap_or(0);
        let [wx, wh] = of_torch(wx, wh);
        // The candidate's second bias stays one of its own.
        let (rz, bhn) = (bh.slice(0, 0..2 * hidden), bh.slice(0, 2 * hidden..3 * hidden));
        Gru { wx, wh, b: bx.clone() + T::concat(&[rz, T::zeros(&[hidden])], 0), bhn }
    }
}

impl<T: Tensor> Recurrent<T> for Gru<T> {
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
        let hidden = self.hidden();
        let h_part = h.matmul(&self.wh);
        let rz = (x.slice(-1, 0..2 * hidden) + h_part.slice(-1, 0..2 * hidden)).sigmoid().named("rz");
        let (r, z) = (rz.slice(-1, 0..hidden), rz.slice(-1, hidden..2 * hidden));
        let candidate = 2 * hidden..3 * hidden;
        let n = (x.slice(-1, candidate.clone()) + r * (h_part.slice(-1, candidate) + &self.bhn))
            .tanh()
            .named("n");
        // (1 − z)·n + z·h with one product less.
        (n.clone() + z * (h.clone() - &n)).named("h")
    }
}
