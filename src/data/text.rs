//! A text as a sequence of byte symbols, cut into batches in a fixed order.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};
use crate::io::open;

/// A file of text has no more bytes than this (4 GiB).
const LIMIT: u64 = 1 << 32;

/// A text whose symbols are its distinct bytes, numbered in ascending order.
#[derive(Clone, Debug)]
pub struct Text {
    source: PathBuf,
    vocabulary: Vec<u8>,
    symbols: Vec<u8>,
}

impl Text {
    /// Reads a file. Its bytes may be anything.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read or is no regular file, [`Error::Format`] if it is empty or has more than 4
    /// GiB.
    pub fn open(path: impl AsRef<Path>) -> Result<Text> {
        let path = path.as_ref();
        let io_error = |source| Error::Io { path: path.into(), source };
        let too_long = || Error::Format { path: path.into(), reason: format!("longer than {LIMIT} bytes") };
        let file = open(path)?;
        if file.metadata().map_err(io_error)?.len() > LIMIT {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(io_error)?;
        if bytes.len() as u64 > LIMIT {
            return Err(too_long());
        }
        Text::of(path.into(), bytes)
    }

    /// A text from memory; `source` is what error messages call it.
    ///
    /// # Errors
    /// [`Error::Format`] if it is empty; [`Error::Memory`] if there is none for a copy.
    #[track_caller]
    pub fn new(source: impl Into<PathBuf>, bytes: &[u8]) -> Result<Text> {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(bytes.len()).is_err() {
            return Err(Error::Memory { bytes: bytes.len(), at: At::caller() });
        }
        copy.extend_from_slice(bytes);
        Text::of(source.into(), copy)
    }

    /// A text of these bytes, which become its symbols.
    fn of(source: PathBuf, mut bytes: Vec<u8>) -> Result<Text> {
        if bytes.is_empty() {
            return Err(Error::Format { path: source, reason: "the text is empty".into() });
        }
        let mut seen = [false; 256];
        bytes.iter().for_each(|&byte| seen[byte as usize] = true);
        let vocabulary: Vec<u8> = (0..=255u8).filter(|&byte| seen[byte as usize]).collect();
        let mut number = [0u8; 256];
        vocabulary.iter().zip(0..=255).for_each(|(&byte, symbol)| number[byte as usize] = symbol);
        bytes.iter_mut().for_each(|byte| *byte = number[*byte as usize]);
        Ok(Text { source, vocabulary, symbols: bytes })
    }

    /// The byte of each symbol, ascending: symbol `i` stands for `vocabulary()[i]`.
    pub fn vocabulary(&self) -> &[u8] {
        &self.vocabulary
    }

    /// Length in bytes; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// The symbols of some bytes.
    ///
    /// # Errors
    /// [`Error::Format`] naming the first byte that does not occur in the text.
    pub fn encode(&self, bytes: &[u8]) -> Result<Vec<i64>> {
        let symbol = |byte: &u8| match self.vocabulary.binary_search(byte) {
            Ok(symbol) => Ok(symbol as i64),
            Err(_) => Err(Error::Format {
                path: self.source.clone(),
                reason: format!("the text has no character '{}'", byte.escape_ascii()),
            }),
        };
        bytes.iter().map(symbol).collect()
    }

    /// The bytes of some symbols.
    ///
    /// # Errors
    /// [`Error::Format`] naming the first number that is no symbol.
    pub fn decode(&self, symbols: &[i64]) -> Result<Vec<u8>> {
        let byte = |&symbol: &i64| {
            usize::try_from(symbol).ok().and_then(|symbol| self.vocabulary.get(symbol)).copied().ok_or_else(
                || Error::Format {
                    path: self.source.clone(),
                    reason: format!("{symbol} is not one of the text's {} symbols", self.vocabulary.len()),
                },
            )
        };
        symbols.iter().map(byte).collect()
    }

    /// The text in steps of `batch` chunks of `time` characters; see [`Batches`].
    ///
    /// # Errors
    /// [`Error::Config`] if one of the two is zero, and [`Error::Format`] if the text is too short for one step.
    pub fn batches(&self, batch: usize, time: usize) -> Result<Batches<'_>> {
        if batch == 0 || time == 0 {
            return Err(Error::Config {
                name: "batch",
                reason: format!("a step needs at least one chunk of one character, not {batch} of {time}"),
            });
        }
        // Each step takes B·T characters, and the last target lies one beyond them.
        let taken = batch.checked_mul(time).filter(|taken| *taken < self.len());
        match taken {
            Some(taken) => {
                Ok(Batches { text: self, batch, time, steps: (self.len() - 1) / taken, chunks: (0, batch) })
            }
            None => Err(Error::Format {
                path: self.source.clone(),
                reason: format!(
                    "the text has {} bytes, but one step of batch {batch} × {time} characters needs {}",
                    self.len(),
                    batch as u128 * time as u128 + 1,
                ),
            }),
        }
    }
}

/// The steps of a [`Text`], in a fixed order.
///
/// With batch size B, chunks of T characters and a text of `len` bytes there are `S = ⌊(len − 1)/(B·T)⌋` steps.
/// Step `s` takes the characters from `p = (s mod S)·B·T` on: chunk `j` is the T characters from `p + j·T`, and its
/// targets are the T characters from `p + j·T + 1`.
#[derive(Clone, Copy, Debug)]
pub struct Batches<'a> {
    text: &'a Text,
    batch: usize,
    time: usize,
    steps: usize,
    /// The first of the chunks that are wanted, and how many.
    chunks: (usize, usize),
}

/// What one step trains on: both arrays are `[time, batch]` in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextBatch {
    /// `[time, batch]`.
    pub shape: [usize; 2],
    /// The symbols; element `[t, j]` is character `t` of chunk `j`.
    pub inputs: Vec<i64>,
    /// The symbol that follows each.
    pub targets: Vec<i64>,
}

impl Batches<'_> {
    /// How many steps there are before they repeat; at least one.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The `rank`-th of `ranks` parts of each step, with as many of its chunks in each: for processes that divide the
    /// batches.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such part, or the parts would not be equal.
    pub fn shard(self, rank: usize, ranks: usize) -> Result<Self> {
        if rank >= ranks || !self.batch.is_multiple_of(ranks) {
            let reason = format!("{} chunks for part {rank} of {ranks}, which have to be equal", self.batch);
            return Err(Error::Config { name: "batch", reason });
        }
        let width = self.batch / ranks;
        Ok(Batches { chunks: (rank * width, width), ..self })
    }

    /// The batch of a step, counted from zero without end.
    pub fn at(&self, step: u64) -> TextBatch {
        let p = (step % self.steps as u64) as usize * self.batch * self.time;
        let (first, width) = self.chunks;
        let gather = |shift: usize| {
            (0..self.time * width)
                .map(|k| (k / width, first + k % width))
                .map(|(t, j)| i64::from(self.text.symbols[p + j * self.time + t + shift]))
                .collect()
        };
        TextBatch { shape: [self.time, width], inputs: gather(0), targets: gather(1) }
    }
}
