//! Trains Deep Speech 2 in small on words of tones: a spectrogram goes in, letters come out, and where each letter is
//! spoken nobody says.
//!
//! ```text
//! cargo run --release --features staging --example speech -- --mode compiled
//! ```
//!
//! Words are made: each letter is two tones for a while, with pauses, in noise. The loss is the mean CTC loss of a
//! batch. Words that are held out are read greedily and by a search.

mod common;

use std::process::ExitCode;

use antiphon::nn::Rng;
use antiphon::{NdArray, Result};
use clap::Parser;
use common::cli::size;
use common::deep_speech::{DeepSpeech, Sizes};
use common::mode::{Array, Precision};
use common::network::{Learning, LearningFlags, NetworkRun, Steps, network_steps};
use common::session::{RunFlags, Session, Unit};
use common::speech::{BINS, LETTERS, Speech, TIME};
use common::{cli, memory};
use serde::{Deserialize, Serialize};

/// Trains Deep Speech 2 in small on words of tones.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(clap::Args, Serialize)]
struct Given {
    /// Channels of each convolution [default: 8]
    #[arg(long, value_parser = size)]
    channels: Option<usize>,
    /// Units of each direction of a recurrent layer [default: 48]
    #[arg(long, value_parser = size)]
    hidden: Option<usize>,
    /// Recurrent layers [default: 2]
    #[arg(long, value_parser = size)]
    layers: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    learning: LearningFlags,
}

#[derive(Clone, Serialize, Deserialize)]
struct Settings {
    channels: usize,
    hidden: usize,
    layers: usize,
    #[serde(flatten)]
    learning: Learning,
}

fn run(flags: Flags) -> Result<()> {
    let learning = Learning { clip: 1.0, ..Learning::new(16, "adam", 4e-3) };
    let defaults = Settings { channels: 8, hidden: 48, layers: 2, learning };
    let (session, settings) = Session::new("speech", &flags.run, &defaults, &flags.given)?;
    let (mode, learning) = (session.flags.mode, &settings.learning);
    match session.precision() {
        Precision::F32 => train::<NdArray<f32>>(&session, &settings, network_steps!(mode, learning)),
        Precision::F64 => train::<NdArray<f64>>(&session, &settings, network_steps!(mode, learning)),
    }
}

/// [`run`] for a precision.
fn train<'a, T: Array>(
    session: &'a Session,
    settings: &'a Settings,
    steps: Steps<'a, T, DeepSpeech<T>>,
) -> Result<()> {
    let &Settings { channels, hidden, layers, ref learning } = settings;
    let classes = 1 + LETTERS.len();
    let sizes = Sizes { bins: BINS, channels, hidden, layers, classes };
    let (c, h) = (channels as f64, hidden as f64);
    let parameters = c * (25.0 + 15.0 * c) + 6.0 * h * (4.0 * c + h) + layers as f64 * 12.0 * h * h;
    memory::check_room(
        parameters,
        (learning.batch * TIME) as f64 * (c * BINS as f64 + 20.0 * layers as f64 * h),
    )?;
    let source = Speech { batch: learning.batch, seed: learning.seed };
    let model = DeepSpeech::<T>::new(&mut Rng::new(learning.seed), sizes);
    let unit = Unit { one: "a word", many: "words", terms: 1 };
    NetworkRun::train(session, learning, model, source, (unit, 300), steps)
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
