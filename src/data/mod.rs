//! Data for training: one module a format, generators for when there is no file, and [`Loader`], which makes batches.

mod digits;
mod glove;
mod grammar;
pub mod idx;
mod images;
mod loader;
pub mod text;
pub mod treebank;

pub use glove::read_glove;
pub use images::Images;
pub use loader::{Epoch, Loader};
pub use text::{Batches, Text, TextBatch};
pub use treebank::{Content, SentimentTree, Treebank};

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::io::open;

/// Calls `f` on each line, with its number from one; without what ends it. A line of more bytes than `longest` is an
/// error.
fn read_lines(path: &Path, longest: usize, mut f: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    let failed = |source| Error::Io { path: path.into(), source };
    let mut reader = BufReader::new(open(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        // One byte more, to see whether there is one.
        let mut limited = (&mut reader).take((longest as u64).saturating_add(1));
        if limited.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        if line.len() > longest {
            return Err(wrong_line(path, number, format!("longer than {longest} bytes")));
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
