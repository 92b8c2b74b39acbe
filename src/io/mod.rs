//! Files: parameters as `.safetensors` and `.npz`, and checkpoints of a training run.
//!
//! Every leaf of a structure is stored under its name (see [`Params`]). Loading fills a structure that is already
//! there, and is all or nothing: names, shapes and types of numbers are compared first, and the error lists what
//! differs. Values are converted to the structure's own precision, so an `f64` file loads into an `f32` model and the
//! other way round; other types of numbers are refused.
//!
//! Saving is atomic: whoever reads the file, at any moment and after any crash, finds the old contents or the new,
//! whole. If the disk is full the old file stays.
//!
//! # Files of strangers
//!
//! Nothing in a file is believed. Only regular files are opened; of these, headers of limited size are read and
//! compared with the structure, and then as many bytes as the structure has. What a file claims beyond that, in its
//! lengths, shapes, counts or compressed streams, costs no memory; names that occur twice and entries of an archive
//! that share bytes are refused. So loading takes memory for the structure once more, and for headers: of `.npz`
//! 64 KiB each, of `.safetensors` 16 MiB in the file, and some times as much while they are compared.
//!
//! Damage is noticed as far as a format allows it. A checkpoint ends in an error whichever bits of it have changed,
//! since it carries a checksum (BLAKE3) of the whole file; `.npz` carries one (CRC-32) of each array; `.safetensors`
//! has none, so that a changed element loads as if it had been saved.

mod atomic;
mod checkpoint;
mod header;
mod npy;
mod npz;
mod safetensors;
mod stored;
mod wanted;

pub use atomic::write_atomically;
pub use checkpoint::{Metadata, load_checkpoint, read_metadata, save_checkpoint};
pub use npz::{load_npz, save_npz};
pub use safetensors::{load_safetensors, save_safetensors};
pub use stored::{Stored, Values};

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};
use crate::params::{self, Params};

/// The arrays of a file by name.
type Arrays = BTreeMap<String, Values>;

/// The leaves of a structure by name, under a prefix.
fn collect<P: Params<Leaf: Stored>>(
    path: &Path,
    prefix: &str,
    params: &P,
    arrays: &mut Arrays,
) -> Result<()> {
    let mut twice = None;
    params.visit(&mut |name, leaf| {
        let name = format!("{prefix}{name}");
        if arrays.insert(name.clone(), leaf.to_values()).is_some() {
            twice = Some(name);
        }
    });
    match twice {
        None => Ok(()),
        Some(name) => Err(format_error(path, format!("two parameters are named {name}"))),
    }
}

/// Moves arrays that were found to be those that are wanted into a structure.
fn fill<P: Params<Leaf: Stored>>(prefix: &str, params: &mut P, arrays: &mut Arrays) {
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

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.into(), source }
}

fn format_error(path: &Path, reason: String) -> Error {
    Error::Format { path: path.into(), reason }
}
