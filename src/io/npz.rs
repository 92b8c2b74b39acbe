//! `.npz`: the archives of `numpy.savez`, to exchange weights with NumPy.

use std::io::Cursor;
use std::path::Path;

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, NpzWriter, ReadNpyError, ReadNpzError, WriteNpzError};

use super::{
    Arrays, Stored, Values, collect, differences, fill, format_error, read, refuse, write_atomically,
};
use crate::error::Result;
use crate::params::Params;

/// Saves all leaves of a structure under their names, as `numpy.savez(path, Wx=…, Wh=…)` does.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written; [`Error::Format`](crate::Error::Format) if two leaves have the same name.
pub fn save_npz<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &P) -> Result<()> {
    let path = path.as_ref();
    let mut arrays = Arrays::new();
    collect(path, "", params, &mut arrays)?;
    let bytes = encode(&arrays).map_err(|error| format_error(path, format!("cannot be written: {error}")))?;
    write_atomically(path, &bytes)
}

/// Fills a structure from a file that holds exactly its leaves; compressed archives and both memory orders are
/// understood.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and leaves, if it is not a `.npz`
/// file, is truncated, or if leaves are missing, left over, or of another shape or type. The structure is as
/// before then.
pub fn load_npz<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &mut P) -> Result<()> {
    let path = path.as_ref();
    let mut arrays = parse(path, &read(path)?)?;
    refuse(path, differences("", params, &arrays))?;
    fill("", params, &mut arrays);
    Ok(())
}

fn encode(arrays: &Arrays) -> Result<Vec<u8>, WriteNpzError> {
    let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
    for (name, values) in arrays {
        match values {
            Values::F32(array) => npz.add_array(name.as_str(), array)?,
            Values::F64(array) => npz.add_array(name.as_str(), array)?,
        }
    }
    Ok(npz.finish()?.into_inner())
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Arrays> {
    let archive =
        |error: ReadNpzError| format_error(path, format!("truncated, or not a .npz file ({error})"));
    let mut npz = NpzReader::new(Cursor::new(bytes)).map_err(archive)?;
    let names = npz.names().map_err(archive)?;
    let mut arrays = Arrays::new();
    for (i, name) in names.into_iter().enumerate() {
        let values = decode(&mut npz, i).map_err(|error| match error {
            ReadNpzError::Npy(ReadNpyError::WrongDescriptor(found)) => {
                format_error(path, format!("{name} holds {found} numbers, but should hold '<f4' or '<f8'"))
            }
            error => format_error(path, format!("{name} is damaged: {error}")),
        })?;
        arrays.insert(name, values);
    }
    Ok(arrays)
}

/// Array `i` in whichever precision it has.
fn decode(npz: &mut NpzReader<Cursor<&[u8]>>, i: usize) -> Result<Values, ReadNpzError> {
    match npz.by_index::<OwnedRepr<f64>, IxDyn>(i) {
        Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => {
            let array: ArrayD<f32> = npz.by_index(i)?;
            Ok(Values::F32(array))
        }
        other => other.map(Values::F64),
    }
}
