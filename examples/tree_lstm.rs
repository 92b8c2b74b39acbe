//! Trains a Tree-LSTM to label every phrase of a sentence with its sentiment.
//!
//! ```text
//! cargo run --release --example tree_lstm -- --trees sst_dev.txt
//! ```
//!
//! Trees are binary, one a line in brackets with labels from 0 to 4: `(3 (2 good) (2 film))`. Without a file, sentences are
//! generated whose sentiment has to be composed: *not very good*. One tree a step, in the order of the file; the loss is
//! the sum over its nodes of the cross-entropy; Adagrad. Nine of eleven trees are for training, the last two held out.
//!
//! The word vectors are parameters too (Tai et al. 2015, §5.2, tune them): of a step only the rows of its words change,
//! and only these are updated. For Adagrad that is the same as updating all, since a gradient of zero changes nothing.
//! `--fixed-embeddings` leaves them as they are.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use antiphon::data::{SentimentTree, Treebank, read_glove};
use antiphon::io::{Stored, save_npz};
use antiphon::nn::{Init, Rng};
use antiphon::optim::{Adagrad, OptState, Optimizer, Step};
use antiphon::{IntTensor, NdArray, Result, Tensor, Var, value_and_grad};
use clap::Parser;
use common::cli::{bad, count, positive};
use common::sentiment::{Reader, TreeLstm};
use common::session::{Learnt, Precision, RunFlags, Session, elements, fingerprint};
use common::training::{Training, check_loss};
use common::{cli, memory};
use ndarray::Axis;
use serde::{Deserialize, Serialize};

/// Trains a Tree-LSTM to label every phrase of a sentence with its sentiment.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// Trees in brackets, one a line; without it, generated ones
    #[arg(long)]
    trees: Option<PathBuf>,
    /// Word vectors in GloVe's format; words that it lacks, and all without it, are drawn from the seed
    #[arg(long)]
    glove: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(clap::Args, Serialize)]
struct Given {
    /// Size of the hidden state [default: 150]
    #[arg(long, value_parser = count)]
    hidden: Option<usize>,
    /// Size of a word's vector [default: 300]
    #[arg(long, value_parser = count)]
    embedding: Option<usize>,
    /// How many of the first trees to train on [default: nine of eleven]
    #[arg(long, value_parser = count)]
    train: Option<usize>,
    /// How many trees to generate [default: 1100]
    #[arg(long, value_parser = count)]
    generate: Option<usize>,
    /// Leave the word vectors as they are
    #[arg(long)]
    fixed_embeddings: bool,
    /// Learning rate [default: 0.05]
    #[arg(long, value_parser = positive, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Precision of all numbers [default: f32]
    #[arg(long)]
    precision: Option<Precision>,
    /// Seed of the initial weights and of generated trees [default: 0]
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Settings {
    hidden: usize,
    embedding: usize,
    train: Option<usize>,
    generate: usize,
    fixed_embeddings: bool,
    lr: f64,
    precision: Precision,
    seed: u64,
}

/// A tree with its words: row `local[i]` of the vectors of the words `distinct` is that of leaf `i`.
struct Sentence<T: Tensor> {
    tree: SentimentTree,
    distinct: Vec<usize>,
    local: T::Int,
}

impl<T: Tensor> Sentence<T> {
    fn new(tree: &SentimentTree) -> Result<Sentence<T>> {
        let words = tree.words();
        let mut distinct = words.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |word| distinct.binary_search(word).expect("one of them") as i64;
        let places: Vec<i64> = words.iter().map(place).collect();
        let local = T::Int::from_elements(&[places.len()], &places)?;
        Ok(Sentence { tree: tree.clone(), distinct, local })
    }
}

/// A model in training.
struct Run<'a, T: Table> {
    session: &'a Session<'a>,
    settings: &'a Settings,
    data: String,
    training: Vec<Sentence<T>>,
    held_out: Vec<Sentence<T>>,
    model: TreeLstm<T>,
    reader_state: OptState<Reader<T>>,
    /// Adagrad's sums of squares for the word vectors.
    emb_sum: T,
    losses: Vec<f64>,
}

/// An array of which single rows are read and written.
trait Table: Tensor + Stored + 'static {
    fn rows(&self, rows: &[usize]) -> Self;
    /// In place.
    fn put_rows(&mut self, rows: &[usize], new: &Self);
}

macro_rules! table {
    ($($E:ty)*) => { $(
        impl Table for NdArray<$E> {
            fn rows(&self, rows: &[usize]) -> Self {
                self.view().select(Axis(0), rows).into()
            }
            fn put_rows(&mut self, rows: &[usize], new: &Self) {
                let mut array = std::mem::replace(self, NdArray::scalar(0.0)).into_array();
                for (&row, new) in rows.iter().zip(new.view().outer_iter()) {
                    array.index_axis_mut(Axis(0), row).assign(&new);
                }
                *self = array.into();
            }
        }
    )* };
}
table!(f32 f64);

impl<T: Table> Training for Run<'_, T> {
    fn step(&mut self) -> Result<()> {
        let step = self.losses.len();
        let Sentence { tree, distinct, local } = &self.training[step % self.training.len()];
        let words = self.model.emb.rows(distinct);
        let (loss, (reader_bar, words_bar)) = if self.settings.fixed_embeddings {
            let (loss, bar) = value_and_grad(
                |reader| reader.loss(tree, &Var::lift(&words.gather_rows(local))),
                &self.model.reader,
            )?;
            (loss, (bar, None))
        } else {
            let at = (self.model.reader.clone(), words.clone());
            let (loss, (bar, words_bar)) =
                value_and_grad(|(reader, words)| reader.loss(tree, &words.gather_rows(local)), &at)?;
            (loss, (bar, Some(words_bar)))
        };
        let loss = elements(&loss)[0];
        check_loss(step, loss)?;
        if let Some(path) = self.session.flags.grads.as_ref().filter(|_| step == 0) {
            let mut emb = self.model.emb.zeros_like();
            if let Some(words_bar) = &words_bar {
                emb.put_rows(distinct, words_bar);
            }
            save_npz(path, &TreeLstm { emb, reader: reader_bar.clone() })?;
        }
        let (adagrad, lr) = (Adagrad::default(), T::constant(self.settings.lr));
        adagrad.update(&mut self.reader_state, &mut self.model.reader, &reader_bar, &lr)?;
        if let Some(words_bar) = words_bar {
            let mut sums = [self.emb_sum.rows(distinct)];
            let count = self.reader_state.count().clone();
            let words = adagrad.rule(words, words_bar, &mut sums, &Step { lr: &lr, count: &count });
            self.model.emb.put_rows(distinct, &words);
            self.emb_sum.put_rows(distinct, &sums[0]);
        }
        self.losses.push(loss);
        Ok(())
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn examples_per_step(&self) -> usize {
        1
    }

    fn sample(&self) -> Result<String> {
        let parts =
            self.accuracy()?.into_iter().map(|(what, share)| format!("{what} {:.1} %", 100.0 * share));
        Ok(parts.collect::<Vec<_>>().join(", "))
    }

    fn save_checkpoint(&self, path: &Path) -> Result<()> {
        let state = (self.reader_state.clone(), self.emb_sum.clone());
        self.session.save_checkpoint(path, &self.data, &self.model, state, &self.losses)
    }
}

impl<T: Table> Learnt<TreeLstm<T>> for Run<'_, T> {
    fn parameters(&self) -> &TreeLstm<T> {
        &self.model
    }

    /// Fine: of five labels. Binary: of nodes that are not neutral, whether the positive labels or the negative ones are
    /// the more likely.
    fn accuracy(&self) -> Result<BTreeMap<String, f64>> {
        let mut shares: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for Sentence { tree, distinct, local } in &self.held_out {
            let words = self.model.emb.rows(distinct).gather_rows(local);
            let probabilities = elements(&self.model.reader.logits(tree, &words).softmax(-1));
            let labels = tree.labels();
            for (i, (p, &label)) in probabilities.chunks(5).zip(&labels).enumerate() {
                let best = (0..5).fold(0, |best, k| if p[k] > p[best] { k } else { best });
                let positive = p[3] + p[4] > p[0] + p[1];
                let root = i == labels.len() - 1;
                for what in ["all nodes", "roots"].into_iter().filter(|&what| what == "all nodes" || root) {
                    let mut tally = |kind: &str, right: bool| {
                        let tally = shares.entry(format!("{what}, {kind}")).or_default();
                        tally.0 += usize::from(right);
                        tally.1 += 1;
                    };
                    tally("fine", best == usize::from(label));
                    if label != 2 {
                        tally("binary", positive == (label > 2));
                    }
                }
            }
        }
        Ok(shares.into_iter().map(|(what, (right, all))| (what, right as f64 / all as f64)).collect())
    }
}

fn run(flags: Flags) -> Result<()> {
    let defaults = Settings {
        hidden: 150,
        embedding: 300,
        train: None,
        generate: 1100,
        fixed_embeddings: false,
        lr: 0.05,
        precision: Precision::F32,
        seed: 0,
    };
    let (session, settings) = Session::new("tree_lstm", &flags.run, &defaults, &flags.given)?;
    match session.precision() {
        Precision::F32 => train::<NdArray<f32>>(&flags, &session, &settings),
        Precision::F64 => train::<NdArray<f64>>(&flags, &session, &settings),
    }
}

fn train<T: Table>(flags: &Flags, session: &Session, settings: &Settings) -> Result<()> {
    let bank = match &flags.trees {
        Some(path) => Treebank::open(path)?,
        None => Treebank::generate(settings.generate, settings.seed),
    };
    let count = bank.trees().len();
    let train = settings.train.unwrap_or((count * 9 / 11).max(1));
    if train > count {
        return Err(bad("train", format!("there are only {count} trees")));
    }
    println!("{count} trees over {} words, the first {train} for training", bank.words().len());
    let mut rng = Rng::new(settings.seed);
    let reader = Reader::new(&mut rng, settings.embedding, settings.hidden);
    let shape = [bank.words().len(), settings.embedding];
    let mut vectors = Init::Normal { mean: 0.0, std: 0.3 }.elements(&shape, &mut rng);
    if let Some(path) = &flags.glove {
        let found = read_glove(path, settings.embedding, bank.words())?;
        println!("{} of the words have vectors in {}", found.iter().flatten().count(), path.display());
        for (vector, found) in vectors.chunks_mut(settings.embedding).zip(&found) {
            if let Some(found) = found {
                vector.copy_from_slice(found);
            }
        }
    }
    let mut model = TreeLstm { emb: T::from_elements(&shape, &vectors)?, reader };
    let mut state = (Adagrad::default().init(&model.reader), T::zeros(&shape));
    let data = fingerprint(bank.to_text().into_bytes());
    let losses = session.start(&data, &mut model, &mut state)?;
    let mut sentences: Vec<Sentence<T>> = bank.trees().iter().map(Sentence::new).collect::<Result<_>>()?;
    let held_out = sentences.split_off(train);
    let mut run = Run {
        session,
        settings,
        data,
        training: sentences,
        held_out,
        model,
        reader_state: state.0,
        emb_sum: state.1,
        losses,
    };
    session.train(&mut run, "trees", 3 * train)
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
