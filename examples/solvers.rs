//! What solvers with a chosen derivative are for: seven small programs, each of which prints what it found, writes its
//! numbers to `--report` and a picture to `--out`. The page `docs/solver-examples.md` shows what comes out.
//!
//! ```text
//! cargo run --release --features staging --example solvers -- --example deq --mode compiled
//! ```

mod common;
#[path = "iterative/equilibrium.rs"]
mod equilibrium;
#[path = "iterative/hyperparameter.rs"]
mod hyperparameter;
#[path = "iterative/meta.rs"]
mod meta;
#[path = "iterative/picture.rs"]
mod picture;
#[path = "iterative/program_layer.rs"]
mod program_layer;
#[path = "iterative/projectile.rs"]
mod projectile;
#[path = "iterative/spiral.rs"]
mod spiral;
#[path = "iterative/transport.rs"]
mod transport;

use std::path::PathBuf;
use std::process::ExitCode;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use clap::{Parser, ValueEnum};
use common::cli;
use common::mode::Mode;

/// Seven examples of solvers whose derivative is a choice.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// Which one.
    #[arg(long, value_enum)]
    example: Example,
    #[command(flatten)]
    run: Run,
    /// Where the numbers go, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// What all of them are told.
#[derive(clap::Args)]
pub(crate) struct Run {
    /// How steps are run.
    #[arg(long, value_enum, default_value = "eager")]
    pub mode: Mode,
    /// How many steps are made, instead of the example's own number.
    #[arg(long, value_parser = cli::count)]
    pub steps: Option<usize>,
    /// What random numbers begin with.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where the picture goes.
    #[arg(long, default_value = "out/solvers")]
    pub out: PathBuf,
}

impl Run {
    fn steps(&self, default: usize) -> usize {
        self.steps.unwrap_or(default)
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Example {
    /// The regularisation of a logistic regression, by what it does on other data.
    Hyperparameters,
    /// A layer whose output is its own input, on digits of 8 × 8 pixels.
    Deq,
    /// A neural differential equation that learns a spiral, with steps that follow the error.
    Spiral,
    /// The costs and limits of quadratic programs, learnt from their solutions.
    Qp,
    /// Where to begin, so that a few steps fit any sinusoid.
    Meta,
    /// A projectile that bounces, fitted to where and when it does.
    Projectile,
    /// Points that move to others, downhill on the cost of transport.
    Transport,
}

fn run(flags: Flags) -> Result<()> {
    let of = match flags.example {
        Example::Hyperparameters => hyperparameter::run,
        Example::Deq => equilibrium::run,
        Example::Spiral => spiral::run,
        Example::Qp => program_layer::run,
        Example::Meta => meta::run,
        Example::Projectile => projectile::run,
        Example::Transport => transport::run,
    };
    let report = of(&flags.run)?;
    if let Some(path) = &flags.report {
        let json = serde_json::to_string(&report).map_err(|error| Error::User(error.into()))?;
        write_atomically(path, json.as_bytes())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    common::memory::keep_freed();
    cli::main(run)
}
