//! Trains a character-level RNN, GRU or LSTM on a text.
//!
//! ```text
//! cargo run --release --example char_rnn -- --text book.txt --cell lstm --hidden 128 --optimizer adam --lr 0.003
//! ```
//!
//! Step `s` takes the characters from `p = s·B·T` on (modulo the whole steps in the text); chunk `j` of the batch is
//! the `T` characters from `p + j·T`, its targets are shifted by one. The hidden state is zero at every step unless
//! `--carry`. The loss is the sum over time of the batch mean of the cross-entropy. Outputs go to `--out`: a
//! checkpoint to `--resume` from, the loss curve, and the weights.
//!
//! `--mode compiled` compiles the whole step, optimiser included (with the feature `staging`); `--print program` shows
//! the program that it is, `--print graph`, `llvm` and `assembly` the same in other forms. `--compare` says how a
//! training went beside an earlier one.
//!
//! Several processes train together, which divide the batch (with the feature `mpi`):
//! `mpirun -n 2 target/release/examples/char_rnn --mode compiled --batch 20`. The first of them prints and writes.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use antiphon::data::{Batches, Text};
use antiphon::io::save_npz;
use antiphon::nn::{Recurrent, Rng};
use antiphon::optim::{AnyOptimizer, OptState, Optimizer, clip_by_value};
use antiphon::{
    Gradient, IntTensor, NdArray, Params, Real, Result, Tensor, TrainingStep, Var, value_and_grad_aux,
};
use clap::{Parser, ValueEnum};
use common::char_model::{self, CharGru, CharLstm, CharModel, CharRnn};
use common::cli::{clip, positive, size};
use common::files::{checksum, elements};
use common::mode::{Array, Form, Precision, code, training_step};
use common::ranks::Ranks;
use common::report::Report;
use common::session::{Learnt, RunFlags, Session, Unit, mean};
use common::training::{Training, check_loss};
use common::{cli, corpus, memory};
use serde::{Deserialize, Serialize};

/// Trains a character-level RNN, GRU or LSTM on a text.
#[derive(Parser)]
#[command(args_override_self = true)]
#[command(mut_arg("steps", |arg| arg.default_value("1000")))]
#[command(mut_arg("init", |arg| {
    arg.help("Initial weights: an .npz file with Wx, Wh, b, Wy, by (and bhn for gru)")
}))]
#[command(mut_arg("grads", |arg| {
    arg.help("Write the first step's gradients, before clipping, to this .npz file")
}))]
#[command(mut_arg("checkpoint_every", |arg| arg.default_value("100")))]
#[command(mut_arg("sample_every", |arg| {
    arg.help("Steps from one sample of text to the next").default_value("250")
}))]
struct Flags {
    /// The text; without it, the source and documentation of this project
    #[arg(long)]
    text: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(clap::Args, Serialize)]
struct Given {
    /// Kind of recurrent cell [default: rnn]
    #[arg(long)]
    cell: Option<Cell>,
    /// Size of the hidden state [default: 50]
    #[arg(long, value_parser = size)]
    hidden: Option<usize>,
    /// Characters in a chunk [default: 20]
    #[arg(long, value_parser = size)]
    seq: Option<usize>,
    /// Chunks in a step [default: 20]
    #[arg(long, value_parser = size)]
    batch: Option<usize>,
    /// sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw [default: adagrad]
    #[arg(long)]
    optimizer: Option<String>,
    /// Learning rate [default: 0.1]
    #[arg(long, value_parser = positive)]
    lr: Option<f64>,
    /// Largest magnitude of an element of a gradient; 0 for no limit [default: 5]
    #[arg(long, value_parser = clip)]
    clip: Option<f64>,
    /// Precision of all numbers [default: f32]
    #[arg(long)]
    precision: Option<Precision>,
    /// Seed of the initial weights and of the samples [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Carry the hidden state from step to step
    #[arg(long)]
    carry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

#[derive(Clone, Serialize, Deserialize)]
struct Settings {
    cell: Cell,
    hidden: usize,
    seq: usize,
    batch: usize,
    optimizer: String,
    lr: f64,
    clip: f64,
    precision: Precision,
    seed: u64,
    carry: bool,
}

impl Cell {
    fn name(self) -> &'static str {
        match self {
            Cell::Rnn => "rnn",
            Cell::Gru => "gru",
            Cell::Lstm => "lstm",
        }
    }

    /// How many times as wide as the state its products are.
    fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }
}

/// What a step changes: the model, what the optimiser remembers of it, and with `--carry` the state after the last
/// step.
type Trained<T, M> = (M, OptState<M>, Vec<T>);

/// What a step reads: symbols and the symbols after them, both `[time, batch]`, and the learning rate.
type Batch<T> = (<T as Real>::Int, <T as Real>::Int, T);

/// The loss, its gradients, and the state after the last step.
fn gradients<T, M>(
    ranks: &Ranks,
    trained: &Trained<T, M>,
    batch: &Batch<T>,
) -> Result<(T, Gradient<M>, Vec<T>)>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    let ((model, _, carried), (inputs, targets, _)) = (trained, batch);
    let (mut loss, last, mut gradients) = value_and_grad_aux(
        |model| {
            let carried: Vec<_> = carried.iter().map(Var::lift).collect();
            // The gradients of the output weights are there before those of the cell.
            char_model::loss_with_head(&model, &carried, inputs, targets, |model| {
                model.map_head(|name, x| ranks.early(name, x))
            })
        },
        model,
    )?;
    ranks.mean_gradients(&mut loss, &mut gradients)?;
    Ok((loss, gradients, last))
}

/// The gradients of a step, each parameter's.
fn leaves<T, M>(ranks: &Ranks, trained: &Trained<T, M>, batch: &Batch<T>) -> Result<Vec<T>>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    Ok(gradients(ranks, trained, batch)?.1.leaves())
}

/// A step of training; the loss.
fn step<T, M>(ranks: &Ranks, settings: &Settings, trained: &mut Trained<T, M>, batch: &Batch<T>) -> Result<T>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    let (loss, mut gradients, last) = gradients(ranks, trained, batch)?;
    if settings.clip > 0.0 {
        clip_by_value(&mut gradients, settings.clip);
    }
    let ((model, state, carried), (_, _, lr)) = (trained, batch);
    settings.optimizer.parse::<AnyOptimizer>()?.update(state, model, &gradients, lr)?;
    if settings.carry {
        *carried = last;
    }
    Ok(loss)
}

/// A model in training.
struct Run<'a, T: Tensor, M: CharModel<T>> {
    session: &'a Session<'a>,
    ranks: &'a Ranks,
    settings: &'a Settings,
    /// Which text it is.
    data: String,
    text: &'a Text,
    batches: Batches<'a>,
    step: TrainingStep<'a, Trained<T, M>, Batch<T>, T>,
    losses: Vec<f64>,
}

impl<T: Tensor, M: CharModel<T>> Run<'_, T, M> {
    /// The batch of the next step.
    fn batch(&self) -> Result<Batch<T>> {
        let batch = self.batches.at(self.losses.len() as u64);
        let symbols = |symbols| T::Int::from_elements(&batch.shape, symbols);
        Ok((symbols(&batch.inputs)?, symbols(&batch.targets)?, T::constant(self.settings.lr)))
    }
}

impl<T: Array, M: CharModel<T>> Training for Run<'_, T, M> {
    fn step(&mut self) -> Result<()> {
        let loss = elements(&self.step.call(&self.batch()?)?)[0];
        check_loss(self.losses.len(), loss)?;
        self.losses.push(loss);
        Ok(())
    }

    fn compile_time(&self) -> Duration {
        self.step.compile_time()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn code(&self, form: Form) -> Result<String> {
        code(&self.step, form)
    }

    fn examples_per_step(&self) -> usize {
        self.settings.batch * self.settings.seq
    }

    fn sample(&self) -> Result<String> {
        // A stream of its own for each sample: samples change nothing about the training.
        let mut rng = Rng::new(self.settings.seed.wrapping_add(self.losses.len() as u64));
        let prompt = &self.batches.at(0).inputs[..1];
        let symbols = char_model::generate(&self.step.state().0, prompt, 200, 0.7, &mut rng, elements)?;
        Ok(String::from_utf8_lossy(&self.text.decode(&symbols)?).into_owned())
    }

    fn save_checkpoint(&self, path: &Path) -> Result<()> {
        let (model, state, carried) = self.step.state();
        // Each rank has the states of its part of the batch; a checkpoint has all.
        let carried: Vec<T> = carried.iter().map(|rows| self.ranks.all_gather(rows)).collect();
        self.ranks.check_same("what was trained", &(model.clone(), state.clone()))?;
        if !self.ranks.is_first() {
            return Ok(());
        }
        self.session.save_checkpoint(path, &self.data, &model, (state, carried), &self.losses)
    }

    fn rescue(&self, path: &Path) -> Result<()> {
        // Carried states are on ranks that are no longer there.
        if self.ranks.have_failed()
            && self.ranks.is_first()
            && !self.settings.carry
            && !self.losses.is_empty()
        {
            let (model, state, carried) = self.step.state();
            self.session.save_checkpoint(path, &self.data, &model, (state, carried), &self.losses)?;
            eprintln!("a checkpoint of {} steps is at {}", self.losses.len(), path.display());
        }
        Ok(())
    }
}

impl<T: Array, M: CharModel<T>> Learnt<M> for Run<'_, T, M> {
    fn parameters(&self) -> M {
        self.step.state().0
    }

    fn accuracy(&self) -> Result<BTreeMap<String, f64>> {
        Ok(BTreeMap::new())
    }

    fn cell(&self) -> Option<&'static str> {
        Some(self.settings.cell.name())
    }

    fn title(&self, example: &str) -> String {
        format!("{example}: {}, {} hidden units", self.settings.cell.name(), self.settings.hidden)
    }

    fn introduction(&self, _: Unit) -> String {
        format!(
            "{} bytes of text, {} different; a {:?} of {} hidden units, {} parameters; {} steps to go through the \
             text once",
            self.text.len(),
            self.text.vocabulary().len(),
            self.settings.cell,
            self.settings.hidden,
            self.parameters().count(),
            self.batches.steps(),
        )
    }

    fn summary(&self, report: &Report) -> String {
        let losses = report.loss_unit.measure(&report.losses);
        let recent = &losses[losses.len().saturating_sub(100)..];
        let fell = format!(
            "Trained {} steps. The loss fell from {:.2} to {:.2} {} (mean of the last {}).\n",
            losses.len(),
            losses[0],
            mean(recent),
            report.loss_unit.name,
            recent.len(),
        );
        match report.step_ms_median {
            Some(ms) => {
                format!("{fell}A step of {} characters took {ms:.2} ms (median).\n", self.examples_per_step())
            }
            None => fell,
        }
    }
}

fn run(flags: Flags, ranks: &Ranks) -> Result<()> {
    let defaults = Settings {
        cell: Cell::Rnn,
        hidden: 50,
        seq: 20,
        batch: 20,
        optimizer: "adagrad".into(),
        lr: 0.1,
        clip: 5.0,
        precision: Precision::F32,
        seed: 0,
        carry: false,
    };
    let (session, settings) = Session::new("char_rnn", &flags.run, &defaults, &flags.given)?;
    let session = session.with_ranks(ranks);
    let mode = session.flags.mode;
    macro_rules! run_with {
        ($E:ty, $Model:ident) => {
            run_with::<NdArray<$E>, $Model<_>>(
                flags.text.as_deref(),
                &session,
                ranks,
                &settings,
                |trained| {
                    training_step!(mode, trained, |trained, batch| step(ranks, &settings, trained, batch))
                },
                |trained| training_step!(mode, trained, |trained, batch| leaves(ranks, trained, batch)),
            )
        };
    }
    match (settings.precision, settings.cell) {
        (Precision::F32, Cell::Rnn) => run_with!(f32, CharRnn),
        (Precision::F32, Cell::Gru) => run_with!(f32, CharGru),
        (Precision::F32, Cell::Lstm) => run_with!(f32, CharLstm),
        (Precision::F64, Cell::Rnn) => run_with!(f64, CharRnn),
        (Precision::F64, Cell::Gru) => run_with!(f64, CharGru),
        (Precision::F64, Cell::Lstm) => run_with!(f64, CharLstm),
    }
}

/// A step on a model in training, with some result.
type StepOf<'a, T, M, R> = TrainingStep<'a, Trained<T, M>, Batch<T>, R>;

/// [`run`] for a precision and a cell, whose step, and gradients, start from a state.
fn run_with<'a, T: Array, M: CharModel<T>>(
    text: Option<&Path>,
    session: &Session,
    ranks: &'a Ranks,
    settings: &'a Settings,
    step: impl FnOnce(Trained<T, M>) -> Result<StepOf<'a, T, M, T>>,
    gradients: impl FnOnce(Trained<T, M>) -> Result<StepOf<'a, T, M, Vec<T>>>,
) -> Result<()> {
    let (source, bytes) = match text {
        Some(path) => (path.to_path_buf(), corpus::read(path)?),
        None => ("the project's own source".into(), corpus::own_source()?),
    };
    let text = Text::new(source, &bytes)?;
    let data = format!("{:016x}", checksum(bytes));
    let optimizer: AnyOptimizer = settings.optimizer.parse()?;
    let share = ranks.share(settings.batch)?;
    let batches = text.batches(settings.batch, settings.seq)?.shard(ranks.rank(), ranks.size())?;
    let (hidden, gates) = (settings.hidden as f64, settings.cell.gates() as f64);
    let vocabulary = text.vocabulary().len() as f64;
    let outputs = (settings.seq * share) as f64 * (gates * hidden + vocabulary);
    memory::check_room(hidden * (gates * (hidden + vocabulary) + vocabulary), outputs)?;
    let mut model = M::new(&mut Rng::new(settings.seed), text.vocabulary().len(), settings.hidden);
    let mut carried = char_model::components(&model.cell().initial(settings.batch));
    carried.retain(|_| settings.carry);
    let mut state = (optimizer.init(&model), carried);
    let losses = session.start(&data, &mut model, &mut state)?;
    ranks.check_same("the initial state", &(model.clone(), state.0.clone(), state.1.clone()))?;
    let rows = ranks.rank() * share..(ranks.rank() + 1) * share;
    let carried: Vec<T> = state.1.iter().map(|states| states.slice(0, rows.clone())).collect();
    let trained = (model, state.0, carried);
    let step = ranks.over(step(trained.clone())?);
    let mut run = Run { session, ranks, settings, data, text: &text, batches, step, losses };
    if let Some(path) = &session.flags.grads {
        let gradients = gradients(trained.clone())?.call(&run.batch()?)?;
        if ranks.is_first() {
            save_npz(path, &trained.0.with_leaves(gradients)?)?;
        }
    }
    session.train(&mut run, Unit { one: "a character", many: "characters", terms: settings.seq }, 1000)
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main_of_ranks(|flags| Ranks::run(|ranks| run(flags, ranks)))
}
