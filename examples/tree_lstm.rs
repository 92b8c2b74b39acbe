//! Trains a Tree-LSTM to label every phrase of a sentence with its sentiment.
//!
//! ```text
//! cargo run --release --example tree_lstm -- --trees sst_dev.txt
//! ```
//!
//! Trees are binary, one a line in brackets with labels from 0 to 4: `(3 (2 good) (2 film))`. Without a file, sentences
//! are generated whose sentiment has to be composed: *not very good*. One tree a step, in the order of the file; the
//! loss is the sum over its nodes of the cross-entropy; Adagrad. Nine of eleven trees are for training, the last two
//! held out.
//!
//! The word vectors are parameters too (Tai et al. 2015, §5.2, tune them): of a step only the rows of its words change,
//! and only these are updated. For Adagrad that is the same as updating all, since a gradient of zero changes nothing.
//! `--fixed-embeddings` leaves them as they are.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use antiphon::data::{SentimentTree, Treebank, read_glove};
use antiphon::io::save_npz;
use antiphon::nn::{Init, Rng};
use antiphon::optim::{Adagrad, Optimizer};
use antiphon::{NdArray, Params, Result, Tensor, TrainingStep};
use clap::Parser;
use common::cli::{bad, count, examples, positive, size};
use common::files::{checksum, elements};
use common::mode::{Form, Mode, Precision, code, training_step};
use common::sentiment::{Reader, TreeLstm};
use common::session::{Learnt, RunFlags, Session, Unit};
use common::training::{Training, check_loss};
use common::trees::{Data, Room, Sentences, Table, Trained, leaves, step};
use common::{cli, memory};
use serde::{Deserialize, Serialize};

/// Trains a Tree-LSTM to label every phrase of a sentence with its sentiment.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// Trees in brackets, one a line; without it, generated ones
    #[arg(long)]
    trees: Option<PathBuf>,
    /// Word vectors in GloVe's format; words that it lacks, and all without it, are drawn from the seed
    #[arg(long, conflicts_with = "init")]
    glove: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(clap::Args, Serialize)]
struct Given {
    /// Size of the hidden state [default: 150]
    #[arg(long, value_parser = size)]
    hidden: Option<usize>,
    /// Size of a word's vector [default: 300]
    #[arg(long, value_parser = size)]
    embedding: Option<usize>,
    /// How many of the first trees to train on [default: nine of eleven]
    #[arg(long, value_parser = count)]
    train: Option<usize>,
    /// How many trees to generate [default: 1100]
    #[arg(long, value_parser = examples)]
    generate: Option<usize>,
    /// Leave the word vectors as they are
    #[arg(long)]
    fixed_embeddings: bool,
    /// How many trees a step reads, all nodes that are ready at a time [default: 1]
    #[arg(long, value_parser = size)]
    batch: Option<usize>,
    /// Learning rate [default: 0.05]
    #[arg(long, value_parser = positive)]
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
    batch: usize,
    lr: f64,
    precision: Precision,
    seed: u64,
}

/// A step on a model in training, with some result.
type StepOf<T, R> = TrainingStep<'static, Trained<T>, Data<T>, R>;

/// A model in training.
struct Run<'a, T: Table> {
    session: &'a Session<'a>,
    settings: &'a Settings,
    data: String,
    training: Vec<Sentences<T>>,
    held_out: Vec<Sentences<T>>,
    step: StepOf<T, (T, T, T)>,
    emb: T,
    /// Adagrad's sums of squares for the word vectors.
    emb_sum: T,
    losses: Vec<f64>,
}

impl<T: Table> Run<'_, T> {
    /// What the next step reads.
    fn data(&self) -> Data<T> {
        let sentences = &self.training[self.losses.len() % self.training.len()];
        Data::new(sentences, &self.emb, &self.emb_sum, self.settings.lr)
    }

    fn model(&self) -> TreeLstm<T> {
        TreeLstm { emb: self.emb.clone(), reader: self.step.state().0 }
    }
}

impl<T: Table> Training for Run<'_, T> {
    fn step(&mut self) -> Result<()> {
        let step = self.losses.len();
        let (loss, words, sums) = self.step.call(&self.data())?;
        let loss = elements(&loss)[0];
        check_loss(step, loss)?;
        if !self.settings.fixed_embeddings {
            let distinct = &self.training[step % self.training.len()].distinct;
            self.emb.put_rows(distinct, &words);
            self.emb_sum.put_rows(distinct, &sums);
        }
        self.losses.push(loss);
        Ok(())
    }

    fn compile_time(&self) -> Duration {
        self.step.compile_time()
    }

    fn compilations(&self) -> usize {
        self.step.compilations()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn code(&self, form: Form) -> Result<String> {
        code(&self.step, form)
    }

    fn examples_per_step(&self) -> usize {
        self.settings.batch
    }

    fn sample(&self) -> Result<String> {
        let parts =
            self.accuracy()?.into_iter().map(|(what, share)| format!("{what} {:.1} %", 100.0 * share));
        Ok(parts.collect::<Vec<_>>().join(", "))
    }

    fn save_checkpoint(&self, path: &Path) -> Result<()> {
        let state = (self.step.state().1, self.emb_sum.clone());
        self.session.save_checkpoint(path, &self.data, &self.model(), state, &self.losses)
    }
}

impl<T: Table> Learnt<TreeLstm<T>> for Run<'_, T> {
    fn parameters(&self) -> TreeLstm<T> {
        self.model()
    }

    /// Fine: of five labels. Binary: of nodes that are not neutral, whether the positive labels or the negative ones
    /// are the more likely.
    fn accuracy(&self) -> Result<BTreeMap<String, f64>> {
        let mut shares: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let TreeLstm { emb, reader } = self.model();
        for Sentences { trees, distinct, arrays } in &self.held_out {
            let tree = &trees[0];
            let words = emb.rows(distinct, distinct.len()).gather_rows(&arrays.local);
            let probabilities = elements(&reader.logits(tree, &words).softmax(-1));
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
        batch: 1,
        lr: 0.05,
        precision: Precision::F32,
        seed: 0,
    };
    let (session, settings) = Session::new("tree_lstm", &flags.run, &defaults, &flags.given)?;
    let mode = session.flags.mode;
    macro_rules! train {
        ($E:ty) => {
            train::<NdArray<$E>>(
                &flags,
                &session,
                &settings,
                |trained| training_step!(mode, trained, |trained, data| step(trained, data)),
                |trained| training_step!(mode, trained, |trained, data| leaves(trained, data)),
            )
        };
    }
    match session.precision() {
        Precision::F32 => train!(f32),
        Precision::F64 => train!(f64),
    }
}

/// [`run`] for a precision, with steps and gradients that start from a state.
fn train<T: Table>(
    flags: &Flags,
    session: &Session,
    settings: &Settings,
    step: impl FnOnce(Trained<T>) -> Result<StepOf<T, (T, T, T)>>,
    gradients: impl FnOnce(Trained<T>) -> Result<StepOf<T, Vec<T>>>,
) -> Result<()> {
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
    let (hidden, embedding) = (settings.hidden as f64, settings.embedding as f64);
    let numbers = 10.0 * hidden * hidden + embedding * (3.0 * hidden + bank.words().len() as f64);
    memory::check_room(numbers, 0.0)?;
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
    let mut state = (Adagrad::default().init(&model.reader), <T as Tensor>::zeros(&shape));
    let data = format!("{:016x}", checksum(bank.to_text().into_bytes()));
    let losses = session.start(&data, &mut model, &mut state)?;
    let (training, held_out) = bank.trees().split_at(train);
    if settings.batch > train {
        return Err(bad("batch", format!("there are only {train} trees for training")));
    }
    // The last step of a pass takes what it lacks from the first ones.
    let batches: Vec<Vec<&SentimentTree>> = (0..train.div_ceil(settings.batch))
        .map(|step| (0..settings.batch).map(|i| &training[(step * settings.batch + i) % train]).collect())
        .collect();
    let room = |trees: &[&SentimentTree]| Room::of(trees.iter().copied());
    // What is compiled is compiled once, for the largest of them.
    let common = Some(Room::for_each(batches.iter().map(|trees| room(trees))))
        .filter(|_| session.flags.mode == Mode::Compiled);
    let sentences = |trees: &[&SentimentTree]| Sentences::new(trees, common.unwrap_or(room(trees)));
    let training: Vec<_> = batches.iter().map(|trees| sentences(trees)).collect::<Result<_>>()?;
    let held_out =
        held_out.iter().map(|tree| Sentences::new(&[tree], room(&[tree]))).collect::<Result<_>>()?;
    let passes = 3 * training.len();
    let TreeLstm { emb, reader } = model;
    let trained = (reader, state.0);
    let step = step(trained.clone())?;
    let mut run = Run { session, settings, data, training, held_out, step, emb, emb_sum: state.1, losses };
    if let Some(path) = &session.flags.grads {
        let mut bars = gradients(trained.clone())?.call(&run.data())?;
        let (words_bar, mut emb) = (bars.remove(0), run.emb.zeros_like());
        if !settings.fixed_embeddings {
            emb.put_rows(&run.training[0].distinct, &words_bar);
        }
        save_npz(path, &TreeLstm { emb, reader: trained.0.with_leaves(bars)? })?;
    }
    session.train(&mut run, Unit { one: "a tree", many: "trees", terms: 1 }, passes)
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
