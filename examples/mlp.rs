//! Trains a multi-layer perceptron on digits: 784-256-128-10 with `relu` between the layers.
//!
//! ```text
//! cargo run --release --example mlp -- --images train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz
//! ```
//!
//! Without files it draws its digits itself. The loss is the mean cross-entropy of a batch.

mod common;

use std::process::ExitCode;

use antiphon::nn::Rng;
use antiphon::{NdArray, Result};
use clap::Parser;
use common::mode::{Array, Precision};
use common::network::{Learning, LearningFlags, NetworkRun, Steps, network_steps};
use common::perceptron::Perceptron;
use common::pictures::{DIGITS, ImageFlags, PartFlags, Parts, Pictures};
use common::session::{RunFlags, Session};
use common::{cli, memory};
use serde::{Deserialize, Serialize};

/// Trains a multi-layer perceptron on digits.
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
}

#[derive(Serialize, Deserialize)]
struct Settings {
    #[serde(flatten)]
    part: Parts,
    #[serde(flatten)]
    learning: Learning,
}

fn run(flags: Flags) -> Result<()> {
    let defaults = Settings { part: Parts::default(), learning: Learning::new(64, "sgd", 0.1) };
    let (session, settings) = Session::new("mlp", &flags.run, &defaults, &flags.given)?;
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
    steps: Steps<'a, T, Perceptron<T>>,
) -> Result<()> {
    let learning = &settings.learning;
    let pictures = Pictures::load(&flags.images, &settings.part, learning.batch, learning.seed)?;
    let model = Perceptron::<T>::new(&mut Rng::new(learning.seed));
    NetworkRun::train(session, learning, model, pictures, DIGITS, steps)
}

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(run)
}
