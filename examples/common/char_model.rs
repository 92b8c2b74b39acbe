//! Character-level language models: a recurrent cell between a table of characters and a linear layer.

use antiphon::nn::{Gru, Init, Lstm, Recurrent, Rng, Rnn};
use antiphon::state::{Leaf, State};
use antiphon::{IntTensor, Params, Result, Tensor};

/// A recurrent cell whose outputs become logits of the next character.
pub trait CharModel<T: Tensor>: Params<Leaf = T> + Clone {
    /// The recurrence.
    type Cell: Recurrent<T>;
    /// Initial parameters.
    fn new(rng: &mut Rng, vocabulary: usize, hidden: usize) -> Self;
    /// The cell.
    fn cell(&self) -> &Self::Cell;
    /// The same model with other output weights, those of `f(name, weights)`.
    fn map_head(&self, f: impl Fn(&str, &T) -> T) -> Self;
    /// Logits `[.., vocabulary]` from the cell's outputs `[.., hidden]`.
    fn logits(&self, outputs: &T) -> T;
}

macro_rules! char_model {
    ($(#[$doc:meta])* $Name:ident, $Cell:ident) => {
        $(#[$doc])*
        #[derive(Clone, Params)]
        pub struct $Name<T> {
            /// `Wx`, `Wh`, `b`, …
            #[params(flatten)]
            pub cell: $Cell<T>,
            /// Output weights, `[hidden, vocabulary]`.
            #[params(name = "Wy")]
            pub wy: T,
            /// Output bias, `[vocabulary]`.
            pub by: T,
        }

        impl<T: Tensor> CharModel<T> for $Name<T> {
            type Cell = $Cell<T>;
            fn new(rng: &mut Rng, vocabulary: usize, hidden: usize) -> Self {
                let limit = 1.0 / (hidden as f64).sqrt();
                $Name {
                    cell: $Cell::new(rng, vocabulary, hidden),
                    wy: Init::Uniform { low: -limit, high: limit }.sample(&[hidden, vocabulary], rng),
                    by: T::zeros(&[vocabulary]),
                }
            }
            fn cell(&self) -> &Self::Cell {
                &self.cell
            }
            fn map_head(&self, f: impl Fn(&str, &T) -> T) -> Self {
                $Name { cell: self.cell.clone(), wy: f("Wy", &self.wy), by: f("by", &self.by) }
            }
            fn logits(&self, outputs: &T) -> T {
                outputs.matmul(&self.wy) + &self.by
            }
        }
    };
}
char_model!(
    /// With the simple cell.
    CharRnn,
    Rnn
);
char_model!(
    /// With gated recurrent units.
    CharGru,
    Gru
);
char_model!(
    /// With long short-term memory.
    CharLstm,
    Lstm
);

/// The loss of one step, and the components of the state after it: over time the sum, over the batch the mean, of
/// the cross-entropy of `targets` after `inputs`, both `[time, batch]`. No `carried` components mean zeros.
pub fn loss<T: Tensor, M: CharModel<T>>(
    model: &M,
    carried: &[T],
    inputs: &T::Int,
    targets: &T::Int,
) -> (T, Vec<T>) {
    loss_with_head(model, carried, inputs, targets, M::clone)
}

/// The same where the output weights are those of `head(model)`, which is called when the cell's outputs are there.
pub fn loss_with_head<T: Tensor, M: CharModel<T>>(
    model: &M,
    carried: &[T],
    inputs: &T::Int,
    targets: &T::Int,
    head: impl FnOnce(&M) -> M,
) -> (T, Vec<T>) {
    let batch = inputs.shape()[1];
    let zeros = model.cell().initial(batch);
    let state = match carried {
        [] => zeros,
        _ => zeros.rebuild(&mut carried.iter().cloned().map(Leaf::Real)),
    };
    let (outputs, last) = model.cell().sequence_symbols(state, inputs);
    let loss = head(model).logits(&outputs).cross_entropy(targets).sum(..) * (1.0 / batch as f64);
    (loss, components(&last))
}

/// The arrays that a state consists of.
pub fn components<T: Tensor>(state: &impl State<T>) -> Vec<T> {
    let mut leaves = Vec::new();
    state.flatten(&mut leaves);
    let reals = leaves.into_iter().filter_map(|leaf| match leaf {
        Leaf::Real(x) => Some(x),
        Leaf::Int(_) | Leaf::Bool(_) => None,
    });
    reals.collect()
}

/// Continues `prompt` by `length` symbols drawn from the model's distribution, sharpened: logits are divided by
/// `temperature`. `elements` reads an array.
pub fn generate<T: Tensor, M: CharModel<T>>(
    model: &M,
    prompt: &[i64],
    length: usize,
    temperature: f64,
    rng: &mut Rng,
    elements: impl Fn(&T) -> Vec<f64>,
) -> Result<Vec<i64>> {
    let mut state = model.cell().initial(1);
    let mut text = prompt.to_vec();
    for position in 0..(prompt.len() + length).saturating_sub(1) {
        let symbol = T::Int::from_elements(&[1], &text[position..=position])?;
        state = model.cell().step_symbols(&state, &symbol);
        if position + 1 < prompt.len() {
            continue;
        }
        let logits = model.logits(M::Cell::output(&state)) * (1.0 / temperature);
        let probabilities = elements(&logits.softmax(-1));
        let mut left = rng.uniform() * probabilities.iter().sum::<f64>();
        let drawn = probabilities.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        text.push(drawn.unwrap_or(probabilities.len() - 1) as i64);
    }
    Ok(text.split_off(prompt.len()))
}
