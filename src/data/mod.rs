//! Data for training: one module a format, and generators for when there is no file.

mod digits;
mod glove;
mod grammar;
pub mod idx;
mod images;
pub mod text;
pub mod treebank;

pub use glove::read_glove;
pub use images::Images;
pub use text::{Batch, Batches, Text};
pub use treebank::{Content, SentimentTree, Treebank};

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::error::{Error, Result};

/// Calls `f` on each line, with its number from one; without what ends it.
fn read_lines(path: &Path, mut f: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    let failed = |source| Error::Io { path: path.into(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        f(number, &line[..end])?;
    }
    Ok(())
}

fn wrong_line(path: &Path, number: usize, reason: String) -> Error {
    wrong_file(path, format!("line {number}: {reason}"))
}

/// A piece of a file for an error message: of a long one the beginning.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 32;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn wrong_file(path: &Path, reason: String) -> Error {
    Error::Format { path: path.into(), reason }
}
