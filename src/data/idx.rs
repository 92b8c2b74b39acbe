//! IDX, the format of MNIST's files: arrays of bytes, compressed by gzip or not.
//!
//! A file is two zero bytes, the type of its elements (8: bytes without a sign), the number of axes, the length of each
//! axis as 32 bits in big-endian order, and the elements in row-major order (LeCun, Cortes & Burges, *The MNIST database
//! of handwritten digits*).

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::wrong_file;
use crate::error::{Error, Result};
use crate::io::write_atomically;

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
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] with the byte for a file that does not begin as an IDX file
    /// of bytes with `rank` axes, that is truncated, or longer than it says.
    pub fn open(path: impl AsRef<Path>, rank: usize) -> Result<Idx> {
        let path = path.as_ref();
        let failed = |source| Error::Io { path: path.into(), source };
        let mut bytes = fs::read(path).map_err(failed)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            let outcome = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain);
            outcome.map_err(|error| {
                wrong_file(path, format!("gzip, broken after byte {} of its contents: {error}", plain.len()))
            })?;
            bytes = plain;
        }
        Idx::parse(&bytes, rank).map_err(|reason| wrong_file(path, reason))
    }

    fn parse(bytes: &[u8], rank: usize) -> Result<Idx, String> {
        let header = 4 + 4 * rank;
        let magic = &bytes[..bytes.len().min(4)];
        if magic.len() == 4 && magic != [MAGIC[0], MAGIC[1], MAGIC[2], rank as u8] {
            return Err(format!(
                "byte 0: the file begins with {magic:02x?}, but an IDX file of bytes with {rank} axes with [00, 00, \
                 08, {rank:02x}]"
            ));
        }
        if bytes.len() < header {
            return Err(format!("byte {}: the file ends within its header of {header} bytes", bytes.len()));
        }
        let axes = bytes[4..header].chunks_exact(4);
        let shape: Vec<usize> = axes.map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
        let size = shape.iter().try_fold(1usize, |size, &n| size.checked_mul(n));
        let elements = &bytes[header..];
        match size {
            Some(size) if size == elements.len() => Ok(Idx { shape, elements: elements.to_vec() }),
            Some(size) if size < elements.len() => Err(format!(
                "byte {}: {} bytes more than an array of {shape:?} has",
                header + size,
                elements.len() - size
            )),
            _ => Err(format!(
                "byte {}: the file ends after {} of the elements of {shape:?}",
                bytes.len(),
                elements.len()
            )),
        }
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
