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

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use antiphon::data::{Batches, Text};
use antiphon::error::Error;
use antiphon::io::{Metadata, Stored, load_checkpoint, load_npz, read_metadata, save_checkpoint, save_npz};
use antiphon::nn::{Recurrent, Rng};
use antiphon::optim::{AnyOptimizer, OptState, Optimizer, clip_by_value};
use antiphon::{
    Gradient, IntTensor, NdArray, Params, Real, Result, Tensor, TrainingStep, Var, value_and_grad,
};
use clap::{Parser, ValueEnum};
use common::char_model::{self, CharGru, CharLstm, CharModel, CharRnn};
use common::cli::{bad, clip, count, positive, size};
use common::comparison::Earlier;
use common::files::{check_finite, check_places, checksum, elements, steps_seen};
use common::mode::{Array, Form, Mode, Precision, code, training_step};
use common::report::{LossUnit, Report, median_ms};
use common::training::{Plan, Training, check_loss, print, train};
use common::{cli, corpus, curve, memory};
use serde::{Deserialize, Serialize};

/// Trains a character-level RNN, GRU or LSTM on a text.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// The text; without it, the source and documentation of this project
    #[arg(long)]
    text: Option<PathBuf>,
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
    /// How many steps to train, those before a resumption included
    #[arg(long, value_parser = count, default_value = "1000")]
    steps: usize,
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
    /// Initial weights: an .npz file with Wx, Wh, b, Wy, by (and bhn for gru)
    #[arg(long, conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Write the weights to this .npz file at the end
    #[arg(long)]
    save: Option<PathBuf>,
    /// Go on from this checkpoint, with its settings
    #[arg(long)]
    resume: Option<PathBuf>,
    /// Write a report to this file
    #[arg(long)]
    report: Option<PathBuf>,
    /// Say how this training compares with another one, whose report this is
    #[arg(long, value_name = "REPORT")]
    compare: Option<PathBuf>,
    /// How steps are run
    #[arg(long, default_value = "eager")]
    mode: Mode,
    /// Instead of training, make one step and print what it was compiled to
    #[arg(long, value_name = "FORM")]
    print: Option<Form>,
    /// Directory for the checkpoint and the loss curve
    #[arg(long, default_value = "out/char_rnn")]
    out: PathBuf,
    /// Write the first step's gradients, before clipping, to this .npz file
    #[arg(long, conflicts_with = "resume")]
    grads: Option<PathBuf>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_parser = count, default_value = "100")]
    checkpoint_every: usize,
    /// Steps from one sample of text to the next
    #[arg(long, value_parser = count, default_value = "250")]
    sample_every: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

/// What a checkpoint has to have in common with the run that goes on from it.
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
    /// Length and checksum.
    text: (usize, u64),
}

impl Settings {
    /// Those of a new run.
    fn of(flags: &Flags, text: (usize, u64)) -> Settings {
        Settings {
            cell: flags.cell.unwrap_or(Cell::Rnn),
            hidden: flags.hidden.unwrap_or(50),
            seq: flags.seq.unwrap_or(20),
            batch: flags.batch.unwrap_or(20),
            optimizer: flags.optimizer.clone().unwrap_or("adagrad".into()),
            lr: flags.lr.unwrap_or(0.1),
            clip: flags.clip.unwrap_or(5.0),
            precision: flags.precision.unwrap_or(Precision::F32),
            seed: flags.seed.unwrap_or(0),
            carry: flags.carry,
            text,
        }
    }

    /// Those of a checkpoint, and how many steps it has seen. Flags may repeat them, but not contradict them.
    fn resumed(flags: &Flags, checkpoint: &Path, text: (usize, u64)) -> Result<(Settings, usize)> {
        let metadata = read_metadata(checkpoint)?;
        let foreign =
            || Error::Format { path: checkpoint.into(), reason: "not a checkpoint of char_rnn".into() };
        let settings = metadata.get("settings").ok_or_else(foreign)?;
        let settings: Settings = serde_json::from_str(settings).map_err(|_| foreign())?;
        let steps = steps_seen(checkpoint, &metadata).ok_or_else(foreign)?;
        fn same<T: PartialEq>(name: &'static str, flag: &Option<T>, checkpoint: &T) -> Result<()> {
            match flag {
                Some(value) if value != checkpoint => Err(bad(name, "the checkpoint has another value")),
                _ => Ok(()),
            }
        }
        same("cell", &flags.cell, &settings.cell)?;
        same("hidden", &flags.hidden, &settings.hidden)?;
        same("seq", &flags.seq, &settings.seq)?;
        same("batch", &flags.batch, &settings.batch)?;
        same("optimizer", &flags.optimizer, &settings.optimizer)?;
        same("lr", &flags.lr, &settings.lr)?;
        same("clip", &flags.clip, &settings.clip)?;
        same("precision", &flags.precision, &settings.precision)?;
        same("seed", &flags.seed, &settings.seed)?;
        same("carry", &flags.carry.then_some(true), &settings.carry)?;
        same("text", &Some(text), &settings.text)?;
        Ok((settings, steps))
    }
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
fn gradients<T, M>(trained: &Trained<T, M>, batch: &Batch<T>) -> Result<(T, Gradient<M>, Vec<T>)>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    let ((model, _, carried), (inputs, targets, _)) = (trained, batch);
    let mut last = Vec::new();
    let (loss, gradients) = value_and_grad(
        |model| {
            let carried: Vec<_> = carried.iter().map(Var::lift).collect();
            let (loss, state) = char_model::loss(&model, &carried, inputs, targets);
            last = state.iter().map(|x| x.value().clone()).collect();
            loss
        },
        model,
    )?;
    Ok((loss, gradients, last))
}

/// The gradients of a step, each parameter's.
fn leaves<T, M>(trained: &Trained<T, M>, batch: &Batch<T>) -> Result<Vec<T>>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    Ok(gradients(trained, batch)?.1.leaves())
}

/// A step of training; the loss.
fn step<T, M>(settings: &Settings, trained: &mut Trained<T, M>, batch: &Batch<T>) -> Result<T>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    let (loss, mut gradients, last) = gradients(trained, batch)?;
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
    settings: &'a Settings,
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
        let step = self.losses.len();
        let (model, state, carried) = self.step.state();
        check_finite(&model, step)?;
        let settings = serde_json::to_string(self.settings).map_err(|error| Error::User(error.into()))?;
        let metadata = Metadata::from([("settings".into(), settings), ("steps".into(), step.to_string())]);
        let losses = T::from_elements(&[step], &self.losses)?;
        save_checkpoint(path, &model, &(state, carried, losses), &metadata)
    }
}

/// Takes everything over from a checkpoint that has seen so many steps; the losses so far.
fn resume<T, M>(
    (model, state, carried): &mut Trained<T, M>,
    checkpoint: &Path,
    steps: usize,
) -> Result<Vec<f64>>
where
    T: Tensor + Stored,
    M: CharModel<T>,
{
    let mut all = (state.clone(), carried.clone(), T::zeros(&[steps]));
    load_checkpoint(checkpoint, model, &mut all)?;
    (*state, *carried) = (all.0, all.1);
    Ok(elements(&all.2))
}

fn run(flags: Flags) -> Result<()> {
    check_places([&flags.save, &flags.report, &flags.grads], &flags.out)?;
    let (source, bytes) = match &flags.text {
        Some(path) => (path.clone(), corpus::read(path)?),
        None => ("the project's own source".into(), corpus::own_source()?),
    };
    let text = Text::new(source, &bytes)?;
    let fingerprint = (bytes.len(), checksum(bytes));
    let (settings, resumed) = match &flags.resume {
        Some(checkpoint) => {
            let (settings, steps) = Settings::resumed(&flags, checkpoint, fingerprint)?;
            (settings, Some((checkpoint.as_path(), steps)))
        }
        None => (Settings::of(&flags, fingerprint), None),
    };
    fs::create_dir_all(&flags.out).map_err(|source| Error::Io { path: flags.out.clone(), source })?;
    macro_rules! run_with {
        ($E:ty, $Model:ident) => {
            run_with::<NdArray<$E>, $Model<_>>(
                &flags,
                &settings,
                &text,
                resumed,
                |trained| {
                    training_step!(flags.mode, trained, |trained, batch| step(&settings, trained, batch))
                },
                |trained| training_step!(flags.mode, trained, |trained, batch| leaves(trained, batch)),
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
    flags: &Flags,
    settings: &'a Settings,
    text: &'a Text,
    resumed: Option<(&Path, usize)>,
    step: impl FnOnce(Trained<T, M>) -> Result<StepOf<'a, T, M, T>>,
    gradients: impl FnOnce(Trained<T, M>) -> Result<StepOf<'a, T, M, Vec<T>>>,
) -> Result<()> {
    let earlier = flags
        .compare
        .as_deref()
        .map(|path| Earlier::read(path, "char_rnn", Some(settings.cell.name()), settings.precision));
    let earlier = earlier.transpose()?;
    let optimizer: AnyOptimizer = settings.optimizer.parse()?;
    let batches = text.batches(settings.batch, settings.seq)?;
    let (hidden, gates) = (settings.hidden as f64, settings.cell.gates() as f64);
    let vocabulary = text.vocabulary().len() as f64;
    let outputs = (settings.seq * settings.batch) as f64 * (gates * hidden + vocabulary);
    memory::check_room(hidden * (gates * (hidden + vocabulary) + vocabulary), outputs)?;
    let mut model = M::new(&mut Rng::new(settings.seed), text.vocabulary().len(), settings.hidden);
    if let Some(path) = &flags.init {
        load_npz(path, &mut model)?;
    }
    let mut carried = char_model::components(&model.cell().initial(settings.batch));
    carried.retain(|_| settings.carry);
    let mut trained = (model.clone(), optimizer.init(&model), carried);
    let losses = match resumed {
        Some((checkpoint, steps)) => resume(&mut trained, checkpoint, steps)?,
        None => Vec::new(),
    };
    let mut run = Run { settings, text, batches, step: step(trained.clone())?, losses };
    if let Some(path) = &flags.grads {
        save_npz(path, &model.with_leaves(gradients(trained)?.call(&run.batch()?)?)?)?;
    }
    if let Some(form) = flags.print {
        return print(&mut run, form);
    }
    let plan = Plan {
        steps: flags.steps,
        checkpoint: flags.out.join("checkpoint.safetensors"),
        checkpoint_every: flags.checkpoint_every,
        sample_every: flags.sample_every,
        unit: "characters",
        loss_unit: LossUnit { terms: settings.seq, ..LossUnit::nats("a character") },
    };
    introduce(settings, text, &run);
    let times = train(&mut run, &plan)?;
    finish(flags, settings, &run, &plan, &times, earlier)
}

fn introduce<T: Tensor, M: CharModel<T>>(settings: &Settings, text: &Text, run: &Run<'_, T, M>) {
    println!(
        "{} bytes of text, {} different; a {:?} of {} hidden units, {} parameters; {} steps to go through the text \
         once",
        text.len(),
        text.vocabulary().len(),
        settings.cell,
        settings.hidden,
        run.step.state().0.count(),
        run.batches.steps(),
    );
    if !run.losses.is_empty() {
        println!("going on after {} steps", run.losses.len());
    }
}

/// Writes what was asked for, and says where it lies.
fn finish<T, M>(
    flags: &Flags,
    settings: &Settings,
    run: &Run<'_, T, M>,
    plan: &Plan,
    times: &[Duration],
    earlier: Option<Earlier>,
) -> Result<()>
where
    T: Array,
    M: CharModel<T>,
{
    let picture = flags.out.join("loss.svg");
    let (cell, losses) = (settings.cell.name(), &run.losses);
    let title = format!("char_rnn: {cell}, {} hidden units", settings.hidden);
    curve::draw(&picture, &title, &plan.loss_unit, losses)?;
    let report = Report {
        model: "char_rnn".into(),
        cell: Some(cell.into()),
        mode: flags.mode,
        precision: settings.precision,
        steps: losses.len(),
        compile_ms: run.compile_time().as_secs_f64() * 1e3,
        step_ms_median: median_ms(times),
        step_ms_mean: None,
        accuracy: BTreeMap::new(),
        loss_unit: plan.loss_unit.clone(),
        losses: losses.clone(),
    };
    if let Some(path) = &flags.report {
        report.save(path)?;
    }
    if let Some(path) = &flags.save {
        save_npz(path, &run.step.state().0)?;
    }
    let losses = plan.loss_unit.measure(losses);
    let recent = &losses[losses.len().saturating_sub(100)..];
    println!(
        "Trained {} steps. The loss fell from {:.2} to {:.2} {} (mean of the last {}).",
        losses.len(),
        losses[0],
        recent.iter().sum::<f64>() / recent.len() as f64,
        plan.loss_unit.name,
        recent.len(),
    );
    if let Some(ms) = report.step_ms_median {
        println!("A step of {} characters took {ms:.2} ms (median).", settings.batch * settings.seq);
    }
    println!(
        "Loss curve: {}\nCheckpoint: {} (go on with --resume)",
        picture.display(),
        plan.checkpoint.display()
    );
    for (what, path) in [("Report", &flags.report), ("Weights", &flags.save)] {
        if let Some(path) = path {
            println!("{what}: {}", path.display());
        }
    }
    if let Some(earlier) = earlier {
        earlier.tell(&report, &flags.out)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
