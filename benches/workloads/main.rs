//! Training steps of all workloads, eager and compiled: `cargo bench --bench workloads --features staging`, perhaps
//! with part of a name: `-- LSTM`. A table comes last. Without the feature nothing is compiled.
//!
//! The models are those of the examples. `TREES=FILE` gives the trees of the Tree-LSTM; else they are generated.
//! `make peers` compares the same steps with other libraries.

#[path = "../../examples/common/mod.rs"]
mod common;
mod table;

use antiphon::data::{SentimentTree, Treebank};
use antiphon::nn::{Dropout, Init, Rng};
use antiphon::optim::{Adagrad, AnyOptimizer, Optimizer};
use antiphon::{IntTensor, NdArray, NdInt, Real, Tensor, TrainingStep};
use common::char_model::{self, CharGru, CharLstm, CharModel, CharRnn};
use common::convolutional::Convolutional;
use common::mode::{Mode, training_step};
use common::network::{self, Batch, Learning, Network, StepOf};
use common::perceptron::Perceptron;
use common::sentiment::Reader;
use common::transformer::{Sizes, Transformer};
use common::trees::{self, Data, Room, Sentences, Trained};
use table::Table;

type Array = NdArray<f32>;

/// A step on a tree; the loss, and what becomes of its words.
type TreeStep = antiphon::Result<TrainingStep<'static, Trained<Array>, Data<Array>, (Array, Array, Array)>>;

/// Different symbols of a text.
const SYMBOLS: usize = 26;
/// How many trees a figure is the mean of.
const TREES: usize = 100;

macro_rules! char_network {
    ($($Model:ident)*) => { $(
        impl<T: Tensor> Network<T> for $Model<T> {
            fn loss(&self, batch: &Batch<T>) -> T {
                char_model::loss(self, &batch.reals, &batch.integers, &batch.labels).0
            }
        }
    )* };
}
char_network!(CharRnn CharGru CharLstm);

/// Numbers below `end` without a pattern.
fn integers(rng: &mut Rng, shape: &[usize], end: usize) -> NdInt {
    let count = shape.iter().product();
    let numbers: Vec<i64> = (0..count).map(|_| (rng.uniform() * end as f64) as i64).collect();
    NdInt::from_elements(shape, &numbers).expect("as many as the shape says")
}

/// Measures a model's steps on one batch.
macro_rules! network {
    ($table:expr, $name:expr, $model:expr, $learning:expr, $batch:expr) => {
        for &mode in $table.modes($name) {
            let (mut rng, learning) = (Rng::new(1), $learning);
            let model = $model(&mut rng);
            let state = learning.optimizer.parse::<AnyOptimizer>().expect("an optimiser").init(&model);
            let data = ($batch(&mut rng), Array::scalar(learning.lr as f32));
            let step: antiphon::Result<StepOf<'_, Array, _, Array>> =
                training_step!(mode, (model, state), |trained, data| network::step(&learning, trained, data));
            $table.measure($name, mode, step.expect("a mode that is built"), &[data]);
        }
    };
}

/// A character model at `[hidden, time, batch]`.
macro_rules! characters {
    ($table:expr, $name:literal, $Model:ident, $size:expr) => {
        let [hidden, time, batch] = $size;
        let name = format!("{} {hidden}/{time}/{batch}", $name);
        network!(
            $table,
            &name,
            |rng: &mut Rng| $Model::<Array>::new(rng, SYMBOLS, hidden),
            Learning { clip: 5.0, ..Learning::new(batch, "adagrad", 0.1) },
            |rng: &mut Rng| Batch {
                reals: Vec::new(),
                integers: integers(rng, &[time, batch], SYMBOLS),
                labels: integers(rng, &[time, batch], SYMBOLS),
            }
        );
    };
}

fn pictures(rng: &mut Rng, batch: usize) -> Batch<Array> {
    let images = Init::Uniform { low: 0.0, high: 1.0 }.sample(&[batch, 784], rng);
    Batch { reals: vec![images], integers: NdInt::scalar(0), labels: integers(rng, &[batch], 10) }
}

fn tree_lstm(table: &mut Table, name: &str, batch: usize) {
    let bank = match std::env::var_os("TREES") {
        Some(path) => Treebank::open(path).expect("trees"),
        None => Treebank::generate(TREES, 1),
    };
    let (words, trees) = (bank.words().len(), &bank.trees()[..TREES.min(bank.trees().len())]);
    for &mode in table.modes(name) {
        let mut rng = Rng::new(1);
        let reader = Reader::new(&mut rng, 300, 150);
        let emb: Array = Init::Normal { mean: 0.0, std: 0.3 }.sample(&[words, 300], &mut rng);
        let sums = emb.zeros_like();
        let batches: Vec<Vec<&SentimentTree>> =
            trees.chunks_exact(batch).map(|trees| trees.iter().collect()).collect();
        let room_of = |trees: &Vec<&SentimentTree>| Room::of(trees.iter().copied());
        let room = Room::for_each(batches.iter().map(room_of));
        let data: Vec<Data<Array>> = batches
            .iter()
            .map(|trees| Sentences::new(trees, if mode == Mode::Compiled { room } else { room_of(trees) }))
            .map(|sentences| Data::new(&sentences.expect("sentences"), &emb, &sums, 0.05))
            .collect();
        let state = Adagrad::default().init(&reader);
        let step: TreeStep = training_step!(mode, (reader, state), trees::step);
        table.measure(name, mode, step.expect("a mode that is built"), &data);
    }
}

fn main() {
    common::memory::keep_freed();
    let mut table = Table::new();
    characters!(table, "char-RNN", CharRnn, [50, 20, 20]);
    characters!(table, "GRU", CharGru, [50, 20, 20]);
    characters!(table, "LSTM", CharLstm, [50, 20, 20]);
    characters!(table, "LSTM", CharLstm, [256, 50, 32]);
    tree_lstm(&mut table, "TreeLSTM", 1);
    tree_lstm(&mut table, "TreeLSTM x25", 25);
    let dropout = || Dropout::new(0.0).expect("a probability");
    network!(
        table,
        "CNN, batch 100",
        |rng: &mut Rng| Convolutional::<Array>::new(rng, dropout()),
        Learning::new(100, "sgd", 0.05),
        |rng: &mut Rng| pictures(rng, 100)
    );
    network!(
        table,
        "MLP, batch 64",
        Perceptron::<Array>::new,
        Learning::new(64, "sgd", 0.1),
        |rng: &mut Rng| pictures(rng, 64)
    );
    let sizes = Sizes { vocabulary: SYMBOLS, time: 64, width: 64, heads: 4, layers: 2 };
    network!(
        table,
        "transformer 64/64/16",
        |rng: &mut Rng| Transformer::<Array>::new(rng, sizes),
        Learning::new(16, "adam", 1e-3),
        |rng: &mut Rng| Batch {
            reals: Vec::new(),
            integers: integers(rng, &[16, 64], SYMBOLS),
            labels: integers(rng, &[16, 64], SYMBOLS),
        }
    );
    table.print();
}
