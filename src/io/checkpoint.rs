//! Checkpoints: a training that can go on where it was.

use std::collections::BTreeMap;
use std::path::Path;

use super::safetensors::{parse, write};
use super::{Arrays, Stored, collect, differences, fill, format_error, read, refuse};
use crate::error::Result;
use crate::params::Params;

/// Whatever else has to be known to go on: the step, the settings, the vocabulary. All of it strings.
pub type Metadata = BTreeMap<String, String>;

const FORMAT_KEY: &str = "antiphon";
const FORMAT: &str = "checkpoint 1";

/// Saves parameters, the state of the training and metadata as one `.safetensors` file, atomically.
///
/// The state is any structure: an optimiser's [`OptState`](crate::optim::OptState), or a tuple of it and the hidden
/// state that is carried from step to step. Leaves are named `params.…` and `state.…`. The key `antiphon` of the
/// metadata marks the file as a checkpoint.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written (the previous checkpoint is intact then);
/// [`Error::Format`](crate::Error::Format) if two leaves have the same name.
pub fn save_checkpoint<P, S>(path: impl AsRef<Path>, params: &P, state: &S, metadata: &Metadata) -> Result<()>
where
    P: Params<Leaf: Stored>,
    S: Params<Leaf: Stored>,
{
    let path = path.as_ref();
    let mut arrays = Arrays::new();
    collect(path, "params.", params, &mut arrays)?;
    collect(path, "state.", state, &mut arrays)?;
    let mut metadata = metadata.clone();
    metadata.insert(FORMAT_KEY.into(), FORMAT.into());
    write(path, &arrays, Some(&metadata))
}

/// Fills parameters and state from a checkpoint and returns its metadata.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and leaves, if it is no
/// checkpoint, is truncated, or is of another model or optimiser. Nothing is changed then.
pub fn load_checkpoint<P, S>(path: impl AsRef<Path>, params: &mut P, state: &mut S) -> Result<Metadata>
where
    P: Params<Leaf: Stored>,
    S: Params<Leaf: Stored>,
{
    let path = path.as_ref();
    let (mut arrays, metadata) = checkpoint(path)?;
    let mut all = differences("params.", params, &arrays);
    all.extend(differences("state.", state, &arrays));
    let foreign = arrays.keys().filter(|name| !name.starts_with("params.") && !name.starts_with("state."));
    all.extend(foreign.map(|name| format!("{name} is neither a parameter nor state")));
    refuse(path, all)?;
    fill("params.", params, &mut arrays);
    fill("state.", state, &mut arrays);
    Ok(metadata)
}

/// The metadata of a checkpoint, to find out which model to build before loading it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format) if it is no checkpoint or is truncated.
pub fn read_metadata(path: impl AsRef<Path>) -> Result<Metadata> {
    checkpoint(path.as_ref()).map(|(_, metadata)| metadata)
}

fn checkpoint(path: &Path) -> Result<(Arrays, Metadata)> {
    let (arrays, mut metadata) = parse(path, &read(path)?)?;
    match metadata.remove(FORMAT_KEY) {
        Some(format) if format == FORMAT => Ok((arrays, metadata)),
        Some(format) => Err(format_error(path, format!("is {format:?}, but should be {FORMAT:?}"))),
        None => Err(format_error(path, "a .safetensors file, but not a checkpoint".into())),
    }
}
