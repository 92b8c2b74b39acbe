//! Trains a convolutional network on digits: conv 5×5 1→10, pool, relu, conv 5×5 10→20, pool, relu, 320→50, relu,
//! dropout, 50→10. The convolutions have no bias, the pools take the maximum of 2 × 2.
//!
//! ```text
//! cargo run --release --example cnn -- --images train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz
//! ```
//!
//! Without files it draws its digits itself. The loss is the mean cross-entropy of a batch.

mod common;

use std::process::ExitCode;

use antiphon::nn::{Dropout, Rng};
use antiphon::{NdArray, Result};
use clap::Parser;
use common::convolutional::Convolutional;
use common::mode::{Array, Precision};
use common::network::{Learning, LearningFlags, NetworkRun, Steps, network_steps};
use common::pictures::{DIGITS, ImageFlags, PartFlags, Parts, Pictures};
use common::session::{RunFlags, Session};
use common::{cli, memory};
use serde::{Deserialize, Serialize};

/// Trains a convolutional network on digits.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    images: ImageFlags,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(clap::Args, Serialize)]
struct Given {
    #[command(flatten)]
    #[serde(flatten)]
    part: PartFlags,
    #[command(flatten)]
    #[serde(flatten)]
    learning: LearningFlags,
    /// Probability of dropping a feature before the last layer [default: 0]
    #[arg(long, value_parser = dropout)]
    dropout: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Settings {
    #[serde(flatten)]
    part: Parts,
    #[serde(flatten)]
    learning: Learning,
    dropout: f64,
}

fn dropout(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|&rate| Dropout::new(rate).is_ok());
    rate.ok_or("should be a number from 0 on and below 1".into())
}

fn run(flags: Flags) -> Result<()> {
    let defaults =
        Settings { part: Parts::default(), learning: Learning::new(100, "sgd", 0.05), dropout: 0.0 };
    let (session, settings) = Session::new("cnn", &flags.run, &defaults, &flags.given)?;
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
    steps: Steps<'a, T, Convolutional<T>>,
) -> Result<()> {
    let learning = &settings.learning;
    let pictures = Pictures::load(&flags.images, &settings.part, learning.batch, learning.seed)?;
    let model = Convolutional::<T>::new(&mut Rng::new(learning.seed), Dropout::new(settings.dropout)?);
    NetworkRun::train(session, learning, model, pictures, DIGITS, steps)
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
