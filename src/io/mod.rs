//! Files: parameters as `.safetensors` and `.npz`, and checkpoints of a training run.
//!
//! Every leaf of a structure is stored under its name (see [`Params`]). Loading fills a structure that is already
//! there, and is all or nothing: names, shapes and types of numbers are compared first, and the error lists what
//! differs. Values are converted to the structure's own precision, so an `f64` file loads into an `f32` model and the
//! other way round; other types of numbers are refused. [`Import`] is for files of other programs, pretrained weights
//! say: it maps names and axes, takes parts, and reports what it took and what it left.
//!
//! Saving is atomic: whoever reads the file, at any moment and after any crash, finds the old contents or the new,
//! whole. If the disk is full the old file stays. It writes arrays piece by piece, so that it takes no memory for them.
//!
//! # Files of strangers
//!
//! Nothing in a file is believed. Only regular files are opened; of these, headers of limited size are read and
//! compared with the structure, and then as many bytes as the structure has. What a file claims beyond that, in its
//! lengths, shapes, counts or compressed streams, costs no memory; names that occur twice and entries of an archive
//! that share bytes are refused. So loading takes memory for the structure once more, and for headers: of `.npz`
//! 64 KiB each, of `.safetensors` 4 MiB in the file, and some times as much while they are compared.
//!
//! Damage is noticed as far as a format allows it. A checkpoint ends in an error whichever bits of it have changed,
//! since it carries a checksum (BLAKE3) of the whole file; `.npz` carries one (CRC-32) of each array; `.safetensors`
//! has none, so that a changed element loads as if it had been saved.

mod atomic;
mod checkpoint;
mod header;
mod import;
mod imported;
mod npy;
mod npz;
mod safetensors;
mod stored;
mod wanted;

pub use atomic::write_atomically;
pub use checkpoint::{Metadata, load_checkpoint, read_metadata, save_checkpoint};
pub use import::Import;
pub use imported::{ImportReport, Imported, StoredArray};
pub use npz::{load_npz, save_npz};
pub use safetensors::{load_safetensors, save_safetensors};
pub use stored::{Stored, Values};

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::Path;

use antiphon_system::file::{Access, replace_with};

use crate::error::{Error, Result};
use crate::language::params::{self, Params};

/// The arrays of a file by name.
type Arrays<'a> = BTreeMap<String, Values<'a>>;

/// The leaves of a structure by name, under a prefix. An array shares its elements with its leaf.
fn named_leaves<P: Params<Leaf: Stored>>(
    path: &Path,
    prefix: &str,
    params: &P,
) -> Result<BTreeMap<String, P::Leaf>> {
    let (mut leaves, mut twice) = (BTreeMap::new(), None);
    params.visit(&mut |name, leaf| {
        let name = format!("{prefix}{name}");
        if leaves.insert(name.clone(), leaf.clone()).is_some() {
            twice = Some(name);
        }
    });
    match twice {
        None => Ok(leaves),
        Some(name) => Err(format_error(path, format!("two parameters are named {name}"))),
    }
}

/// The values of leaves, not copied.
fn values_of<L: Stored>(leaves: &BTreeMap<String, L>) -> Arrays<'_> {
    leaves.iter().map(|(name, leaf)| (name.clone(), leaf.to_values())).collect()
}

/// Replaces a file, atomically, by what is written piece by piece.
///
/// # Errors
/// [`Error::Io`] if the system refuses any of it; [`Error::Format`] if `write` finds that it cannot be written.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), Box<dyn StdError + Send + Sync>>,
) -> Result<()> {
    replace_with(path, Access::Umask, write).map_err(|error| {
        let mut causes = std::iter::successors(Some(&*error as &dyn StdError), |&error| error.source());
        match causes.find_map(|cause| cause.downcast_ref::<io::Error>()) {
            Some(refused) => io_error(path, copy_of(refused)),
            None => unwritable(path, error),
        }
    })
}

/// Moves arrays that were found to be those that are wanted into a structure.
fn fill<P: Params<Leaf: Stored>>(prefix: &str, params: &mut P, arrays: &mut Arrays<'_>) {
    params.visit_mut(&mut params::Path::default(), &mut |name, leaf| {
        let values =
            arrays.remove(&format!("{prefix}{name}")).expect("a file holds what is wanted, each name once");
        *leaf = P::Leaf::from_values(values);
    });
}

/// Opens a file for reading, if it is a regular one.
pub(crate) fn open(path: &Path) -> Result<File> {
    antiphon_system::file::open(path).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.into(), source }
}

/// An error of which others keep the original.
fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn unwritable(path: &Path, reason: impl Display) -> Error {
    format_error(path, format!("cannot be written: {reason}"))
}

fn format_error(path: &Path, reason: String) -> Error {
    Error::Format { path: path.into(), reason }
}
