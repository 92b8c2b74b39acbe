//! Files: parameters as `.safetensors` and `.npz`, and checkpoints of a training.
//!
//! Every leaf of a structure is stored under its name (see [`Params`]). Loading fills a structure that is already
//! there, and is all or nothing: names and shapes are compared first, and the error lists everything that differs.
//! Values are converted to the structure's own precision, so an `f64` file loads into an `f32` model and the other
//! way round; other types of numbers are refused.
//!
//! Saving is atomic: whoever reads the file, at any moment and after any crash, finds the old contents or the new,
//! whole. If the disk is full the old file stays.

mod atomic;
mod checkpoint;
mod npz;
mod safetensors;
mod stored;

pub use atomic::write_atomically;
pub use checkpoint::{Metadata, load_checkpoint, read_metadata, save_checkpoint};
pub use npz::{load_npz, save_npz};
pub use safetensors::{load_safetensors, save_safetensors};
pub use stored::{Stored, Values};

use std::collections::BTreeMap;
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

/// What of a file's arrays does not fit a structure whose leaves' names start with the prefix.
fn differences<P: Params<Leaf: Stored>>(prefix: &str, params: &P, arrays: &Arrays) -> Vec<String> {
    let mut differences = Vec::new();
    let mut expected = Vec::new();
    params.visit(&mut |name, leaf| {
        let name = format!("{prefix}{name}");
        let shape = leaf.to_values().shape().to_vec();
        match arrays.get(&name) {
            None => differences.push(format!("{name} is missing")),
            Some(found) if found.shape() != shape => {
                differences.push(format!("{name} has shape {:?} but should have {shape:?}", found.shape()));
            }
            Some(_) => {}
        }
        expected.push(name);
    });
    let extra = arrays.keys().filter(|name| name.starts_with(prefix) && !expected.contains(name));
    differences.extend(extra.map(|name| format!("{name} is not a parameter")));
    differences
}

/// Fails with the list of differences, if there are any.
fn refuse(path: &Path, differences: Vec<String>) -> Result<()> {
    if differences.is_empty() { Ok(()) } else { Err(format_error(path, differences.join("; "))) }
}

/// Moves arrays that were found to fit into a structure.
fn fill<P: Params<Leaf: Stored>>(prefix: &str, params: &mut P, arrays: &mut Arrays) {
    params.visit_mut(&mut params::Path::default(), &mut |name, leaf| {
        let values = arrays.remove(&format!("{prefix}{name}")).expect("compared by `differences`");
        *leaf = P::Leaf::from_values(values);
    });
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })
}

fn format_error(path: &Path, reason: String) -> Error {
    Error::Format { path: path.into(), reason }
}
