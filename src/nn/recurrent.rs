//! What recurrent cells have in common, and whole sequences.

use crate::Params;
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::control::scan;
use crate::language::real::{Int, Mask};
use crate::language::state::{State, chosen};
use crate::language::tensor::{IntTensor, Tensor};
use crate::nn::init::{Init, Rng};
use crate::sealed::INTERNAL;

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

/// What a layer of several cells gives: the outputs of all steps, and the last state of each cell.
pub type Outputs<T, S> = (T, Vec<S>);

/// Cells upon each other, each over the outputs of the one before (`torch.nn.LSTM` and the like with `num_layers`), on
/// a padded batch `xs: [time, batch, in]` of sequences whose lengths, `[batch]`, are data: the outputs of the last
/// cell, `[time, batch, hidden]`, zero behind the end of each sequence, and the state of each cell at its end.
///
/// It is recorded as a loop for each cell.
///
/// # Errors
/// Raises [`Error::Shape`] if the shapes do not fit, [`Error::Operand`] if `xs` is not of rank three, has no steps,
/// or there is no cell, and [`Error::Ensure`] if a length is negative or more than there are steps.
#[track_caller]
pub fn stacked<T: Tensor, C: Recurrent<T>>(cells: &[C], xs: &T, lengths: &T::Int) -> Outputs<T, C::State> {
    let active = active(cells.is_empty(), xs, lengths, At::caller());
    let (mut outputs, mut states) = (without_padding(xs, &active), Vec::with_capacity(cells.len()));
    for cell in cells {
        let (next, state) = masked(cell, &outputs, &active, false);
        outputs = next;
        states.push(state);
    }
    (outputs, states)
}

/// [`stacked`] with two cells in each layer (`bidirectional=True`), of which the second goes from the end of each
/// sequence to its beginning: outputs of both side by side, `[time, batch, 2·hidden]`, which is what the next layer
/// takes.
///
/// # Errors
/// As [`stacked`].
#[track_caller]
pub fn stacked_both_ways<T: Tensor, C: Recurrent<T>>(
    cells: &[(C, C)],
    xs: &T,
    lengths: &T::Int,
) -> Outputs<T, (C::State, C::State)> {
    let active = active(cells.is_empty(), xs, lengths, At::caller());
    let (mut outputs, mut states) = (without_padding(xs, &active), Vec::with_capacity(cells.len()));
    for (forward, back) in cells {
        let (there, last) = masked(forward, &outputs, &active, false);
        let (and_back, first) = masked(back, &outputs, &active, true);
        outputs = T::concat(&[there, and_back], -1);
        states.push((last, first));
    }
    (outputs, states)
}

/// One where a step is before the end of its sequence, else zero: `[time, batch, 1]`.
#[track_caller]
fn active<T: Tensor>(no_cell: bool, xs: &T, lengths: &T::Int, at: At) -> T {
    let shape = xs.shape();
    let (time, batch) = match shape[..] {
        [0, ..] => raise(no_steps(&shape, at)),
        [time, batch, _] if !no_cell => (time, batch),
        _ => {
            let reason = if no_cell { "no cell" } else { "should be [time, batch, in]" };
            raise(Error::Operand { op: "stacked", shape: shape[..].into(), reason: reason.into(), at })
        }
    };
    let of_lengths = lengths.shape();
    if of_lengths[..] != [batch] {
        raise(Error::Shape { op: "stacked", lhs: shape[..].into(), rhs: of_lengths[..].into(), at });
    }
    let [none, all] = [0, time as i64].map(T::Int::constant);
    let fit = lengths.less(&none).or(&all.less(lengths)).not();
    T::ensure_at(INTERNAL, at, &fit, "the lengths of sequences are numbers of steps, from none to all");
    let steps: Vec<i64> = (0..time as i64).collect();
    let steps = T::Int::from_elements(&[time, 1, 1], &steps).or_raise();
    T::from_mask(&steps.less(&lengths.reshape(&[1, batch, 1])))
}

/// Zeros in place of what comes after the end of a sequence, whatever that is: nothing of it meets a weight.
#[track_caller]
fn without_padding<T: Tensor>(xs: &T, active: &T) -> T {
    T::select(&active.greater(&T::constant(0.5)), xs, &T::constant(0.0))
}

/// The recurrence over all steps, in which the rows of a batch whose sequences have ended, or, on the way back, have
/// not begun, keep their state and give zeros.
#[track_caller]
fn masked<T: Tensor, C: Recurrent<T>>(cell: &C, xs: &T, active: &T, back: bool) -> (T, C::State) {
    let initial = cell.initial(xs.shape()[1]);
    let step = |state: C::State, (x, active): (T, T)| {
        let mask = active.greater(&T::constant(0.5));
        let next = chosen(&mask, &cell.advance(&state, &x), &state);
        let output = T::select(&mask, C::output(&next), &T::constant(0.0));
        (next, output)
    };
    let rows = (cell.project(xs), active.clone());
    let (state, outputs) = match back {
        false => T::scan_rows(initial, &rows, step),
        true => T::scan_rows_back(initial, &rows, step),
    }
    .or_raise();
    (outputs, state)
}

/// Weights as PyTorch's recurrent layers have them, `[gates·hidden, in]`, `[gates·hidden, hidden]` and two biases
/// `[gates·hidden]`: the transposed matrices.
#[track_caller]
pub(super) fn of_torch<T: Tensor>(wx: &T, wh: &T) -> [T; 2] {
    [wx.transpose(), wh.transpose()]
}

fn no_weights(shape: &[usize], at: At) -> Error {
    let reason = "recurrent weights are [hidden, gates·hidden]".into();
    Error::Operand { op: "recurrent", shape: shape.into(), reason, at }
}

fn no_steps(shape: &[usize], at: At) -> Error {
    Error::Operand { op: "unroll", shape: shape.into(), reason: "a sequence of no steps".into(), at }
}
