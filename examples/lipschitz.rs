//! All bounds of a network's Lipschitz constant, what each takes, and where it comes from; and the structure of the tables
//! of *Lipschitz regularity of deep neural networks: analysis and efficient estimation* (Virmaux & Scaman, NeurIPS 2018).
//!
//! ```text
//! cargo run --release --example lipschitz -- --weights weights.npz --report report.json
//! cargo run --release --features staging --example lipschitz -- --table depth --mode compiled
//! ```
//!
//! A file of weights has the arrays `W1`, `b1`, `W2`, `b2`, …: weights `[in, out]` and biases `[out]`, which may be left
//! out, of layers with ReLU between them.

#[path = "lipschitz/chart.rs"]
mod chart;
mod common;
#[path = "lipschitz/convolutional.rs"]
mod convolutional;
#[path = "lipschitz/models.rs"]
mod models;
#[path = "iterative/picture.rs"]
mod picture;
#[path = "lipschitz/report.rs"]
mod report;
#[path = "lipschitz/tables.rs"]
mod tables;
#[path = "lipschitz/training.rs"]
mod training;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use clap::{Parser, ValueEnum};
use common::cli;
use common::mode::Mode;

/// Bounds of the Lipschitz constant of a network.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// A network's weights: arrays W1, b1, W2, b2, … of a .npz file, weights [in, out].
    #[arg(long, conflicts_with_all = ["model", "table"])]
    weights: Option<PathBuf>,
    /// A network of its own: "absolute", "cosines:2-8-8-2" or "random:784-50-10".
    #[arg(long, conflicts_with = "table")]
    model: Option<String>,
    /// The structure of one of the paper's tables, instead of one network.
    #[arg(long, value_enum)]
    table: Option<Table>,
    /// How the networks of a table are trained.
    #[arg(long, value_enum, default_value = "eager")]
    mode: Mode,
    /// How many steps they are trained, instead of the table's own number.
    #[arg(long, value_parser = cli::count)]
    steps: Option<usize>,
    /// What random numbers begin with.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How long each method may take, in seconds.
    #[arg(long, default_value_t = 60.0, value_parser = cli::positive)]
    time_limit: f64,
    /// Where the numbers go, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long, default_value = "out/lipschitz")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Table {
    /// Networks of 4 to 10 layers of 20 neurons, trained on a function of two numbers.
    Depth,
    /// Two layers whose singular values fall off more and more.
    Spectrum,
    /// Convolutional networks of 4 to 10 layers, trained on digits.
    Networks,
    /// Networks that learn digits with a penalty on the bound, and without.
    Penalties,
}

/// How long anything may take: longer is for ever.
const LONGEST: f64 = 1e9;

fn run(flags: Flags) -> Result<()> {
    let limit = Duration::from_secs_f64(flags.time_limit.min(LONGEST));
    let report = match flags.table {
        Some(Table::Depth) => tables::depth(flags.mode, flags.steps, flags.seed, limit, &flags.out)?,
        Some(Table::Networks) => convolutional::networks(flags.mode, flags.steps, flags.seed, &flags.out)?,
        Some(Table::Penalties) => {
            training::penalties(flags.mode, flags.steps, flags.seed, limit, &flags.out)?
        }
        Some(Table::Spectrum) => tables::spectrum(flags.seed, &flags.out)?,
        None => {
            let (name, network) = match (&flags.weights, &flags.model) {
                (Some(path), _) => (path.display().to_string(), models::of_file(path)?),
                (None, Some(model)) => (model.clone(), models::built_in(model, flags.seed)?),
                (None, None) => return Err(cli::bad("--weights", "or --model or --table is needed")),
            };
            report::of_network(&name, &network, limit, &flags.out)?
        }
    };
    if let Some(path) = &flags.report {
        let json = serde_json::to_string_pretty(&report).map_err(|error| Error::User(error.into()))?;
        write_atomically(path, json.as_bytes())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    cli::main(run)
}
