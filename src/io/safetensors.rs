//! `.safetensors`: arrays by name, and a map of strings.

use std::borrow::Cow;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, View};

use super::checkpoint::Metadata;
use super::{
    Arrays, Stored, Values, collect, differences, fill, format_error, read, refuse, write_atomically,
};
use crate::error::Result;
use crate::params::Params;

/// Saves all leaves of a structure under their names.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written; [`Error::Format`](crate::Error::Format) if two leaves have the same name.
pub fn save_safetensors<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &P) -> Result<()> {
    let path = path.as_ref();
    let mut arrays = Arrays::new();
    collect(path, "", params, &mut arrays)?;
    write(path, &arrays, None)
}

/// Fills a structure from a file that holds exactly its leaves.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and leaves, if it is not a
/// `.safetensors` file, is truncated, or if leaves are missing, left over, or of another shape or type. The
/// structure is as before then.
pub fn load_safetensors<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &mut P) -> Result<()> {
    let path = path.as_ref();
    let (mut arrays, _) = parse(path, &read(path)?)?;
    refuse(path, differences("", params, &arrays))?;
    fill("", params, &mut arrays);
    Ok(())
}

/// Writes the file.
pub(super) fn write(path: &Path, arrays: &Arrays, metadata: Option<&Metadata>) -> Result<()> {
    let metadata = metadata.map(|map| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
    let bytes = safetensors::serialize(arrays.iter(), metadata)
        .map_err(|error| format_error(path, format!("cannot be written: {error}")))?;
    write_atomically(path, &bytes)
}

/// The arrays and the metadata of a file's bytes.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<(Arrays, Metadata)> {
    let (tensors, metadata) = SafeTensors::deserialize(bytes)
        .and_then(|tensors| Ok((tensors, SafeTensors::read_metadata(bytes)?.1)))
        .map_err(|error| format_error(path, describe(&error)))?;
    let mut arrays = Arrays::new();
    for (name, view) in tensors.iter() {
        arrays.insert(
            name.into(),
            decode(&view).map_err(|reason| format_error(path, format!("{name} {reason}")))?,
        );
    }
    let metadata = metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok((arrays, metadata))
}

fn describe(error: &SafeTensorError) -> String {
    use SafeTensorError as E;
    match error {
        E::HeaderTooSmall | E::InvalidHeaderLength | E::HeaderTooLarge => {
            format!("truncated, or not a .safetensors file ({error})")
        }
        E::MetadataIncompleteBuffer => {
            "truncated or extended: the header describes another number of bytes".to_string()
        }
        E::InvalidHeader(_) | E::InvalidHeaderDeserialization(_) | E::JsonError(_) => {
            format!("not a .safetensors file ({error})")
        }
        _ => format!("damaged: {error}"),
    }
}

fn decode(view: &TensorView<'_>) -> Result<Values, String> {
    fn numbers<E, const N: usize>(view: &TensorView<'_>, number: fn([u8; N]) -> E) -> ArrayD<E> {
        let (elements, _) = view.data().as_chunks::<N>();
        let elements = elements.iter().map(|&bytes| number(bytes)).collect();
        ArrayD::from_shape_vec(IxDyn(view.shape()), elements)
            .expect("the header was checked against the data")
    }
    match view.dtype() {
        Dtype::F32 => Ok(Values::F32(numbers(view, f32::from_le_bytes))),
        Dtype::F64 => Ok(Values::F64(numbers(view, f64::from_le_bytes))),
        other => Err(format!("holds {other} numbers, but should hold F32 or F64")),
    }
}

impl View for &Values {
    fn dtype(&self) -> Dtype {
        match self {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
        }
    }
    fn shape(&self) -> &[usize] {
        Values::shape(self)
    }
    fn data(&self) -> Cow<'_, [u8]> {
        // `iter` is in row-major order, whatever the memory's.
        match self {
            Values::F32(array) => array.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::F64(array) => array.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
    fn data_len(&self) -> usize {
        match self {
            Values::F32(array) => array.len() * 4,
            Values::F64(array) => array.len() * 8,
        }
    }
}
