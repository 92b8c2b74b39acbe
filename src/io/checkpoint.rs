//! Checkpoints: a training run that can go on where it was.

use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::header::Header;
use super::safetensors::{BUFFER, Encoded, at_end, read_arrays};
use super::wanted::{Wanted, shown};
use super::{Stored, fill, format_error, io_error, named_leaves, open, values_of, write_file};
use crate::error::Result;
use crate::language::params::Params;

/// Whatever else has to be known to go on: the step, the settings, the vocabulary. All of it strings.
pub type Metadata = BTreeMap<String, String>;

const FORMAT_KEY: &str = "antiphon";
const FORMAT: &str = "checkpoint 2";

/// The key of the checksum, BLAKE3 of the whole file in which the digits of the checksum itself are zeros.
const CHECKSUM_KEY: &str = "antiphon.checksum";
/// How many hexadecimal digits it has.
const DIGITS: usize = 2 * blake3::OUT_LEN;

/// Saves parameters, the state of the training and metadata as one `.safetensors` file, atomically.
///
/// The state is any structure: an optimiser's [`OptState`](crate::optim::OptState), or a tuple of it and the hidden
/// state that is carried from step to step. Leaves are named `params.…` and `state.…`. Two keys of the metadata are
/// written here, whatever they were: `antiphon` marks the file as a checkpoint, and `antiphon.checksum` is a checksum
/// of all of it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written (the previous checkpoint is intact then);
/// [`Error::Format`](crate::Error::Format) if two leaves have the same name, or names and metadata take more than 4
/// MiB.
pub fn save_checkpoint<P, S>(path: impl AsRef<Path>, params: &P, state: &S, metadata: &Metadata) -> Result<()>
where
    P: Params<Leaf: Stored>,
    S: Params<Leaf: Stored>,
{
    let path = path.as_ref();
    let (params, state) = (named_leaves(path, "params.", params)?, named_leaves(path, "state.", state)?);
    let mut arrays = values_of(&params);
    arrays.append(&mut values_of(&state));
    let mut metadata = metadata.clone();
    metadata.insert(FORMAT_KEY.into(), FORMAT.into());
    metadata.insert(CHECKSUM_KEY.into(), "0".repeat(DIGITS));
    let encoded = Encoded::of(path, &arrays, Some(&metadata))?;
    let digits = digits(&encoded.header).expect("a checksum that has just been written");
    write_file(path, |file| {
        let hashed = Hashed { inner: &mut *file, hasher: blake3::Hasher::new() };
        let mut buffer = BufWriter::with_capacity(BUFFER, hashed);
        encoded.write(&mut buffer)?;
        buffer.flush()?;
        let checksum = buffer.get_ref().hasher.finalize().to_hex();
        drop(buffer);
        file.seek(SeekFrom::Start(digits.start as u64))?;
        Ok(file.write_all(checksum.as_bytes())?)
    })
}

/// Fills parameters and state from a checkpoint and returns its metadata.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and
/// leaves, if it is no checkpoint, is truncated or damaged in any bit, or is of another model or optimiser. Nothing is
/// changed then.
pub fn load_checkpoint<P, S>(path: impl AsRef<Path>, params: &mut P, state: &mut S) -> Result<Metadata>
where
    P: Params<Leaf: Stored>,
    S: Params<Leaf: Stored>,
{
    let path = path.as_ref();
    let wanted = Wanted::of(path).and("params.", params)?.and("state.", state)?;
    let mut checkpoint = Checkpoint::open(path)?;
    let mut arrays = read_arrays(path, &checkpoint.header, &wanted, &mut checkpoint.data)?;
    let metadata = checkpoint.finish()?;
    fill("params.", params, &mut arrays);
    fill("state.", state, &mut arrays);
    Ok(metadata)
}

/// The metadata of a checkpoint, to find out which model to build before loading it. All of the file is read, to
/// compare it with its checksum.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format) if it is no
/// checkpoint, or is truncated or damaged in any bit.
pub fn read_metadata(path: impl AsRef<Path>) -> Result<Metadata> {
    let path = path.as_ref();
    let mut checkpoint = Checkpoint::open(path)?;
    let end = checkpoint.header.end();
    let copied = io::copy(&mut (&mut checkpoint.data).take(end), &mut io::sink());
    if copied.map_err(|source| io_error(path, source))? < end {
        return Err(format_error(path, "truncated: the file ends within its arrays".into()));
    }
    checkpoint.finish()
}

/// A checkpoint of which the header has been read.
struct Checkpoint<'p> {
    path: &'p Path,
    header: Header,
    checksum: String,
    data: Hashed<BufReader<std::fs::File>>,
}

impl<'p> Checkpoint<'p> {
    fn open(path: &'p Path) -> Result<Checkpoint<'p>> {
        let mut file = BufReader::new(open(path)?);
        let mut header = Header::read(path, &mut file)?;
        match header.metadata.remove(FORMAT_KEY) {
            Some(format) if format == FORMAT => {}
            Some(format) => {
                let reason = format!("is {:?}, but should be {FORMAT:?}", shown(&format));
                return Err(format_error(path, reason));
            }
            None => return Err(format_error(path, "a .safetensors file, but not a checkpoint".into())),
        }
        let checksum = header.metadata.remove(CHECKSUM_KEY);
        let (Some(checksum), Some(digits)) = (checksum, digits(&header.bytes)) else {
            return Err(format_error(path, "damaged: a checkpoint without its checksum".into()));
        };
        header.bytes[digits].fill(b'0');
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header.bytes);
        Ok(Checkpoint { path, header, checksum, data: Hashed { inner: file, hasher } })
    }

    /// Its metadata, when all its bytes have been read, if they are those that were written.
    fn finish(mut self) -> Result<Metadata> {
        at_end(self.path, &mut self.data)?;
        match self.data.hasher.finalize().to_hex().as_str() == self.checksum {
            true => Ok(self.header.metadata),
            false => {
                Err(format_error(self.path, "damaged: its contents are not those of its checksum".into()))
            }
        }
    }
}

/// Where the digits of the checksum are in a checkpoint's bytes. Nothing else looks like this in JSON: quotes within a
/// string have a backslash before them.
fn digits(bytes: &[u8]) -> Option<Range<usize>> {
    let before = format!("\"{CHECKSUM_KEY}\":\"");
    let start = bytes.windows(before.len()).position(|part| part == before.as_bytes())? + before.len();
    (start + DIGITS <= bytes.len()).then_some(start..start + DIGITS)
}

/// A reader or writer that keeps the hash of what it has read or written.
struct Hashed<F> {
    inner: F,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
