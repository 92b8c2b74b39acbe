//! The experiments of *One-step differentiation of iterative algorithms* (Bolte, Pauwels & Vaiter, NeurIPS 2023).
//!
//! ```text
//! cargo run --release --features staging --example one_step -- --experiment logistic
//! ```
//!
//! `logistic` is Newton's method for weighted logistic regression, `qp` an interior-point method for quadratic programs,
//! `ridge` gradient descent with the curves of four derivatives, and `bilevel` outer descent on a hyperparameter. Each
//! prints its table, writes its numbers to `--report` and its picture to `--out`.

#[path = "iterative/bilevel.rs"]
mod bilevel;
mod common;
#[path = "iterative/logistic.rs"]
mod logistic;
#[path = "iterative/picture.rs"]
mod picture;
#[path = "iterative/quadratic.rs"]
mod quadratic;
#[path = "iterative/ridge.rs"]
mod ridge;
#[path = "iterative/timing.rs"]
mod timing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use clap::{Parser, ValueEnum};
use common::cli;

/// The experiments of "One-step differentiation of iterative algorithms".
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// Which one.
    #[arg(long, value_enum, default_value = "logistic")]
    experiment: Experiment,
    /// Where the numbers go, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long, default_value = "out/one_step")]
    out: PathBuf,
    /// Data of a logistic regression: X [n, p], y ±1 [n], w [n], lambda, beta0 [p].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The sizes: unknowns of the regression or of the program.
    #[arg(long, value_delimiter = ',', value_parser = cli::size)]
    sizes: Vec<usize>,
    /// How often each is run; the least time counts.
    #[arg(long, default_value_t = 5, value_parser = cli::count)]
    runs: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Experiment {
    /// Newton's method for logistic regression.
    Logistic,
    /// An interior-point method for quadratic programs.
    Qp,
    /// Gradient descent for ridge regression.
    Ridge,
    /// Descent on a hyperparameter.
    Bilevel,
}

fn run(flags: Flags) -> Result<()> {
    let sizes =
        |default: &[usize]| if flags.sizes.is_empty() { default.to_vec() } else { flags.sizes.clone() };
    if flags.data.is_some() && !matches!(flags.experiment, Experiment::Logistic) {
        return Err(cli::bad("--data", "is for --experiment logistic"));
    }
    let report = match flags.experiment {
        Experiment::Logistic => match &flags.data {
            Some(path) => logistic::of_file(path, flags.runs)?,
            None => logistic::of_sizes(&sizes(&[50, 100, 200, 500, 1000]), flags.runs, &flags.out)?,
        },
        Experiment::Qp => quadratic::of_sizes(&sizes(&[100, 200, 500, 1000]), flags.runs, &flags.out)?,
        Experiment::Ridge => ridge::curves(&flags.out)?,
        Experiment::Bilevel => bilevel::descent(&flags.out)?,
    };
    if let Some(path) = &flags.report {
        save(path, &report)?;
    }
    Ok(())
}

/// Writes numbers as JSON.
fn save(path: &Path, report: &serde_json::Value) -> Result<()> {
    let json = serde_json::to_string_pretty(report).map_err(|error| Error::User(error.into()))?;
    write_atomically(path, json.as_bytes())
}

fn main() -> ExitCode {
    cli::main(run)
}
