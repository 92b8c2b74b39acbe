//! IDX, the format of MNIST's files: arrays of bytes, compressed by gzip or not.
//!
//! A file is two zero bytes, the type of its elements (8: bytes without a sign), the number of axes, the length of each
//! axis as 32 bits in big-endian order, and the elements in row-major order (LeCun, Cortes & Burges, *The MNIST
//! database of handwritten digits*).

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::wrong_file;
use crate::error::{Error, Result};
use crate::io::{open, write_atomically};

/// An array has no more elements than this (1 GiB): twenty times as many as MNIST's largest file.
const LIMIT: u64 = 1 << 30;

/// A compressed file holds no more than so many times its own size, or than what may be all zeros.
const RATIO: u64 = 100;
const ZEROS: u64 = 1 << 24;

/// An array of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub elements: Vec<u8>,
}

/// The two zeros and the type that files of bytes begin with.
const MAGIC: [u8; 3] = [0, 0, 8];

impl Idx {
    /// Reads a file of this many axes: 3 for images, 1 for labels.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] with the byte for a file that does not begin as an IDX
    /// file of bytes with `rank` axes, that is truncated, or longer than it says, or that says it has more than a GiB,
    /// or, if it is compressed, more than 16 MiB and 100 times its size.
    pub fn open(path: impl AsRef<Path>, rank: usize) -> Result<Idx> {
        Opened::open(path.as_ref(), rank)?.read()
    }

    /// Writes the array, not compressed; atomically.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    ///
    /// # Panics
    /// If an axis is longer than 2³² − 1, or there are more than 255.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(u8::try_from(self.shape.len()).expect("at most 255 axes"));
        for &n in &self.shape {
            bytes.extend(u32::try_from(n).expect("an axis below 2³²").to_be_bytes());
        }
        bytes.extend(&self.elements);
        write_atomically(path.as_ref(), &bytes)
    }
}

/// A file of which the header has been read.
pub(super) struct Opened<'p> {
    path: &'p Path,
    pub shape: Vec<usize>,
    size: usize,
    contents: Box<dyn Read>,
    /// Whether the contents are those of a compressed file.
    compressed: bool,
}

impl<'p> Opened<'p> {
    pub fn open(path: &'p Path, rank: usize) -> Result<Opened<'p>> {
        let failed = |source| Error::Io { path: path.into(), source };
        let file = open(path)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut file = BufReader::new(file);
        let compressed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let limit = if compressed { LIMIT.min(ZEROS.max(length.saturating_mul(RATIO))) } else { LIMIT };
        let contents: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut opened = Opened { path, shape: Vec::new(), size: 0, contents, compressed };
        let mut header = Vec::new();
        let length = 4 + 4 * rank;
        opened.take(length, 0, &mut header)?;
        opened.shape = parse(&header, rank).map_err(|reason| wrong_file(path, reason))?;
        let size = opened.shape.iter().try_fold(1u64, |size, &n| size.checked_mul(n as u64));
        let size = size.filter(|&size| size <= limit).ok_or_else(|| {
            let than = if limit < LIMIT {
                format!("{limit}, which is much for so small a file")
            } else {
                limit.to_string()
            };
            wrong_file(path, format!("byte 4: an array of {:?} has more elements than {than}", opened.shape))
        })?;
        opened.size = size as usize;
        Ok(opened)
    }

    /// The array: exactly as many bytes as the header says.
    pub fn read(mut self) -> Result<Idx> {
        let header = 4 + 4 * self.shape.len();
        let mut elements = Vec::new();
        self.take(self.size, header, &mut elements)?;
        let (shape, count) = (&self.shape, elements.len());
        if count < self.size {
            let reason =
                format!("byte {}: the file ends after {count} of the elements of {shape:?}", header + count);
            return Err(wrong_file(self.path, reason));
        }
        let mut more = Vec::new();
        self.take(1, header + count, &mut more)?;
        match more.is_empty() {
            true => Ok(Idx { shape: self.shape, elements }),
            false => {
                let reason =
                    format!("byte {}: more bytes than an array of {:?} has", header + count, self.shape);
                Err(wrong_file(self.path, reason))
            }
        }
    }

    /// Appends up to so many bytes; `position` is how many came before.
    fn take(&mut self, count: usize, position: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let outcome = (&mut self.contents).take(count as u64).read_to_end(bytes);
        outcome.map(drop).map_err(|source: io::Error| match self.compressed {
            true => {
                let at = position + bytes.len();
                wrong_file(self.path, format!("gzip, broken after byte {at} of its contents: {source}"))
            }
            false => Error::Io { path: self.path.into(), source },
        })
    }
}

/// The shape that a header says.
fn parse(header: &[u8], rank: usize) -> Result<Vec<usize>, String> {
    let magic = &header[..header.len().min(4)];
    if magic.len() == 4 && magic != [MAGIC[0], MAGIC[1], MAGIC[2], rank as u8] {
        return Err(format!(
            "byte 0: the file begins with {magic:02x?}, but an IDX file of bytes with {rank} axes with [00, 00, 08, \
             {rank:02x}]"
        ));
    }
    let length = 4 + 4 * rank;
    if header.len() < length {
        return Err(format!("byte {}: the file ends within its header of {length} bytes", header.len()));
    }
    let axes = header[4..].chunks_exact(4);
    Ok(axes.map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect())
}
