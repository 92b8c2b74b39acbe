//! Writes the data that the examples make for themselves, for other programs: drawn digits in MNIST's format, generated
//! trees in brackets.
//!
//! ```text
//! cargo run --release --example make_data -- --images images.idx --labels labels.idx --trees trees.txt --count 1000
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use antiphon::Result;
use antiphon::data::{Images, Treebank};
use antiphon::io::write_atomically;
use clap::Parser;
use common::cli;

/// Writes the data that the examples make for themselves.
#[derive(Parser)]
struct Flags {
    /// File for drawn digits
    #[arg(long, requires = "labels")]
    images: Option<PathBuf>,
    /// File for their labels
    #[arg(long, requires = "images")]
    labels: Option<PathBuf>,
    /// File for generated trees
    #[arg(long)]
    trees: Option<PathBuf>,
    /// How many
    #[arg(long, value_parser = cli::examples, default_value = "1000")]
    count: usize,
    /// Seed
    #[arg(long, default_value = "0")]
    seed: u64,
}

fn run(flags: Flags) -> Result<()> {
    if let (Some(images), Some(labels)) = (&flags.images, &flags.labels) {
        Images::draw(flags.count, flags.seed).save(images, labels)?;
    }
    if let Some(path) = &flags.trees {
        write_atomically(path, Treebank::generate(flags.count, flags.seed).to_text().as_bytes())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    cli::main(run)
}
