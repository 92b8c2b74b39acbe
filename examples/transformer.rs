//! Trains a small decoder-only transformer on the characters of a text.
//!
//! ```text
//! cargo run --release --example transformer -- --text book.txt --width 128 --layers 4
//! ```
//!
//! The order of the data is that of `char_rnn`: step `s` takes the characters from `p = s·B·T` on; row `j` of the batch
//! is the `T` characters from `p + j·T`, its targets are shifted by one. The last tenth of the text is held out. The
//! loss is the mean over all characters of the cross-entropy.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use antiphon::data::Text;
use antiphon::io::Stored;
use antiphon::nn::Rng;
use antiphon::{IntTensor, NdArray, Result, Tensor};
use clap::Parser;
use common::cli::{bad, size};
use common::files::{checksum, elements};
use common::mode::{Array, Precision};
use common::network::{Batch, Learning, LearningFlags, NetworkRun, Source, Steps, network_steps};
use common::session::{RunFlags, Session, Unit};
use common::transformer::{Sizes, Transformer};
use common::{cli, corpus, memory};
use serde::{Deserialize, Serialize};

/// Trains a small decoder-only transformer on the characters of a text.
#[derive(Parser)]
#[command(args_override_self = true)]
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
    /// Characters in a row of the batch [default: 64]
    #[arg(long, value_parser = size)]
    seq: Option<usize>,
    /// Features [default: 64]
    #[arg(long, value_parser = size)]
    width: Option<usize>,
    /// Heads of each attention [default: 4]
    #[arg(long, value_parser = size)]
    heads: Option<usize>,
    /// Layers [default: 2]
    #[arg(long, value_parser = size)]
    layers: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    learning: LearningFlags,
}

#[derive(Clone, Serialize, Deserialize)]
struct Settings {
    seq: usize,
    width: usize,
    heads: usize,
    layers: usize,
    #[serde(flatten)]
    learning: Learning,
}

/// A text in two parts with one vocabulary.
struct Characters {
    /// The whole text; its vocabulary counts.
    whole: Text,
    training: Vec<u8>,
    held_out: Vec<u8>,
    batch: usize,
    time: usize,
    seed: u64,
}

impl Characters {
    /// Rows of the batch that begins with character `p`: inputs and targets, `[batch, time]`.
    fn rows<T: Tensor>(&self, part: &[u8], p: usize) -> Result<Batch<T>> {
        let length = self.batch * self.time;
        let symbols = self.whole.encode(&part[p..=p + length])?;
        let shape = [self.batch, self.time];
        let integers = T::Int::from_elements(&shape, &symbols[..length])?;
        Ok(Batch { reals: Vec::new(), integers, labels: T::Int::from_elements(&shape, &symbols[1..])? })
    }
}

impl<T: Tensor + Stored> Source<T, Transformer<T>> for Characters {
    fn batch(&self, step: usize) -> Result<Batch<T>> {
        let length = self.batch * self.time;
        self.rows(&self.training, step % ((self.training.len() - 1) / length) * length)
    }

    fn accuracy(&self, model: &Transformer<T>) -> Result<BTreeMap<String, f64>> {
        let length = self.batch * self.time;
        let (mut right, mut all) = (0, 0);
        for p in (0..self.held_out.len().saturating_sub(length)).step_by(length).take(8) {
            let batch: Batch<T> = self.rows(&self.held_out, p)?;
            let guesses = model.logits(&batch.integers).argmax(-1).elements();
            let pairs = guesses.into_iter().flatten().zip(batch.labels.elements().into_iter().flatten());
            right += pairs.filter(|(guess, target)| guess == target).count();
            all += length;
        }
        let share =
            (all > 0).then(|| ("next character of the held-out text".into(), right as f64 / all as f64));
        Ok(share.into_iter().collect())
    }

    fn sample(&self, model: &Transformer<T>) -> Result<String> {
        let mut rng = Rng::new(self.seed);
        let mut symbols = self.whole.encode(&self.training[..1])?;
        for _ in 0..200 {
            let seen = &symbols[symbols.len().saturating_sub(self.time)..];
            let logits = model.logits(&T::Int::from_elements(&[1, seen.len()], seen)?);
            let last = logits.index(0, 0).index(0, seen.len() - 1) * (1.0 / 0.7);
            let probabilities = elements(&last.softmax(-1));
            let mut left = rng.uniform() * probabilities.iter().sum::<f64>();
            let drawn = probabilities.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            symbols.push(drawn.unwrap_or(probabilities.len() - 1) as i64);
        }
        Ok(String::from_utf8_lossy(&self.whole.decode(&symbols)?).into_owned())
    }

    fn examples(&self) -> usize {
        self.batch * self.time
    }

    fn fingerprint(&self) -> String {
        format!("{:016x}", checksum(self.training.iter().chain(&self.held_out).copied()))
    }
}

fn run(flags: Flags) -> Result<()> {
    let defaults =
        Settings { seq: 64, width: 64, heads: 4, layers: 2, learning: Learning::new(16, "adam", 1e-3) };
    let (session, settings) = Session::new("transformer", &flags.run, &defaults, &flags.given)?;
    if settings.width % settings.heads != 0 {
        return Err(bad("heads", format!("{} do not divide the width {}", settings.heads, settings.width)));
    }
    let (mode, learning) = (session.flags.mode, &settings.learning);
    match session.precision() {
        Precision::F32 => train::<NdArray<f32>>(&flags, &session, &settings, network_steps!(mode, learning)),
        Precision::F64 => train::<NdArray<f64>>(&flags, &session, &settings, network_steps!(mode, learning)),
    }
}

/// [`run`] for a precision.
fn train<'a, T: Array>(
    flags: &Flags,
    session: &'a Session,
    settings: &'a Settings,
    steps: Steps<'a, T, Transformer<T>>,
) -> Result<()> {
    let (source, mut training) = match &flags.text {
        Some(path) => (path.clone(), corpus::read(path)?),
        None => ("the project's own source".into(), corpus::own_source()?),
    };
    let whole = Text::new(source.clone(), &training)?;
    let held_out = training.split_off(training.len() - training.len() / 10);
    let learning = &settings.learning;
    // Says what is missing if the part is too short.
    Text::new(source, &training)?.batches(learning.batch, settings.seq)?;
    let sizes = Sizes {
        vocabulary: whole.vocabulary().len(),
        time: settings.seq,
        width: settings.width,
        heads: settings.heads,
        layers: settings.layers,
    };
    let source = Characters {
        whole,
        training,
        held_out,
        batch: learning.batch,
        time: settings.seq,
        seed: learning.seed,
    };
    let (width, time) = (sizes.width as f64, sizes.time as f64);
    let parameters = width * (12.0 * sizes.layers as f64 * width + 2.0 * sizes.vocabulary as f64 + time);
    let scores = (sizes.layers * sizes.heads * learning.batch) as f64 * time * time;
    memory::check_room(parameters, scores)?;
    let model = Transformer::<T>::new(&mut Rng::new(learning.seed), sizes);
    NetworkRun::train(
        session,
        learning,
        model,
        source,
        (Unit { one: "a character", many: "characters", terms: 1 }, 1000),
        steps,
    )
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
