//! What recurrent cells have in common, and whole sequences.

use crate::Params;
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::control::scan;
use crate::language::state::State;
use crate::language::tensor::Tensor;
use crate::nn::init::{Init, Rng};

/// The weights that every cell has: of the input, `[in, gates·hidden]`, of the state, `[hidden, gates·hidden]`, and the
/// bias, `[gates·hidden]`.
#[derive(Debug)]
pub struct Weights<W> {
    /// Input weights.
    pub wx: W,
    /// Recurrent weights.
    pub wh: W,
    /// Bias.
    pub b: W,
}

impl<T: Tensor> Weights<T> {
    /// Everything uniform on `±1/√hidden`, as PyTorch's recurrent layers start.
    #[track_caller]
    pub(super) fn new(rng: &mut Rng, inputs: usize, hidden: usize, gates: usize) -> Weights<T> {
        let (init, columns) = (initial(hidden), gates.saturating_mul(hidden));
        Weights {
            wx: init.sample(&[inputs, columns], rng),
            wh: init.sample(&[hidden, columns], rng),
            b: init.sample(&[columns], rng),
        }
    }
}

/// Uniform on `±1/√hidden`.
pub(super) fn initial(hidden: usize) -> Init {
    let limit = 1.0 / (hidden.max(1) as f64).sqrt();
    Init::Uniform { low: -limit, high: limit }
}

/// A recurrent cell: from a state and an input to the next state.
///
/// All cells begin with `x·Wx + b`. It is the argument of [`advance`](Recurrent::advance), so that a whole sequence
/// can be projected at once, and a symbol can enter as a row of the weights in place of a product with a one-hot
/// vector.
pub trait Recurrent<T: Tensor>: Params<Leaf = T> {
    /// What is carried from step to step.
    type State: State<T>;

    /// The weights that every cell has.
    fn weights(&self) -> Weights<&T>;
    /// The state before the first step: zeros, for a batch of this size.
    #[track_caller]
    fn initial(&self, batch: usize) -> Self::State;
    /// What the layer above sees of a state, `[batch, hidden]`.
    fn output(state: &Self::State) -> &T;
    /// The next state, given `x·Wx + b`, `[batch, gates·hidden]`.
    #[track_caller]
    fn advance(&self, state: &Self::State, x: &T) -> Self::State;

    /// The length of a state.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if the recurrent weights are no matrix.
    #[track_caller]
    fn hidden(&self) -> usize {
        let shape = self.weights().wh.shape();
        match shape[..] {
            [hidden, _] => hidden,
            _ => raise(no_weights(&shape, At::caller())),
        }
    }
    /// What an input puts into [`advance`](Recurrent::advance): `x·Wx + b` for `x: [.., in]`.
    #[track_caller]
    fn project(&self, x: &T) -> T {
        let Weights { wx, b, .. } = self.weights();
        x.matmul(wx) + b
    }
    /// The same for symbols of `0..in`.
    #[track_caller]
    fn project_symbols(&self, symbols: &T::Int) -> T {
        let Weights { wx, b, .. } = self.weights();
        wx.gather_rows(symbols) + b
    }

    /// The next state, given the input `x: [batch, in]`.
    #[track_caller]
    fn step(&self, state: &Self::State, x: &T) -> Self::State {
        self.advance(state, &self.project(x))
    }

    /// The next state, given one symbol of `0..in` for each of the batch, `[batch]`.
    #[track_caller]
    fn step_symbols(&self, state: &Self::State, symbols: &T::Int) -> Self::State {
        self.advance(state, &self.project_symbols(symbols))
    }

    /// The outputs of all steps of a sequence `xs: [time, batch, in]`, as `[time, batch, hidden]`, and the last
    /// state. The input weights are applied to the whole sequence in one product.
    ///
    /// # Errors
    /// Raises [`Error::Shape`] if the shapes do not fit, and
    /// [`Error::Operand`] for a sequence of no steps.
    #[track_caller]
    fn sequence(&self, state: Self::State, xs: &T) -> (T, Self::State) {
        self.unroll(state, &self.project(xs))
    }

    /// The same for a sequence of symbols of `0..in`, `[time, batch]`: one gathering of rows for all of it.
    ///
    /// # Errors
    /// As [`sequence`](Recurrent::sequence), and [`Error::Index`] for a number that is no
    /// symbol.
    #[track_caller]
    fn sequence_symbols(&self, state: Self::State, symbols: &T::Int) -> (T, Self::State) {
        self.unroll(state, &self.project_symbols(symbols))
    }

    /// The recurrence over `x·Wx + b` of all steps, `[time, batch, gates·hidden]`.
    ///
    /// # Errors
    /// As [`sequence`](Recurrent::sequence).
    #[track_caller]
    fn unroll(&self, state: Self::State, projected: &T) -> (T, Self::State) {
        let shape = projected.shape();
        let Some(&steps @ 1..) = shape.first() else { raise(no_steps(&shape, At::caller())) };
        let mut state = state;
        let mut outputs = Vec::new();
        for t in 0..steps {
            state = self.advance(&state, &projected.index(0, t));
            outputs.push(Self::output(&state).clone());
        }
        (T::stack(&outputs, 0), state)
    }

    /// The same recurrence as one loop: where a model is recorded, its code does not grow with the length of the
    /// sequence, which [`unroll`](Recurrent::unroll) does; see [`scan`].
    ///
    /// # Errors
    /// As [`sequence`](Recurrent::sequence).
    #[track_caller]
    fn scan(&self, state: Self::State, projected: &T) -> (T, Self::State) {
        let step = |state, x: T| {
            let state = self.advance(&state, &x);
            let output = Self::output(&state).clone();
            (state, output)
        };
        let (state, outputs) = scan(state, projected, step).or_raise();
        (outputs, state)
    }
}

fn no_weights(shape: &[usize], at: At) -> Error {
    let reason = "recurrent weights are [hidden, gates·hidden]".into();
    Error::Operand { op: "recurrent", shape: shape.into(), reason, at }
}

fn no_steps(shape: &[usize], at: At) -> Error {
    Error::Operand { op: "unroll", shape: shape.into(), reason: "a sequence of no steps".into(), at }
}
