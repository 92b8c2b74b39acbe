//! `.safetensors`: arrays by name, and a map of strings.

use std::borrow::Cow;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo, View};

use super::checkpoint::Metadata;
use super::header::{self, Header};
use super::stored::{Encoding, Number, elements, read_values};
use super::wanted::{Wanted, shown};
use super::{Arrays, Stored, Values, collect, fill, format_error, io_error, open, write_atomically};
use crate::error::{Error, Result};
use crate::params::Params;

/// Saves all leaves of a structure under their names.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written; [`Error::Format`](crate::Error::Format) if two leaves have the same name.
pub fn save_safetensors<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &P) -> Result<()> {
    let path = path.as_ref();
    let mut arrays = Arrays::new();
    collect(path, "", params, &mut arrays)?;
    write_atomically(path, &encode(path, &arrays, None)?)
}

/// Fills a structure from a file that holds exactly its leaves.
///
/// The format has no checksum: an element that has changed since it was saved is not noticed.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and leaves, if it is not a
/// `.safetensors` file, is truncated, or if leaves are missing, left over, or of another shape or type. The
/// structure is as before then.
pub fn load_safetensors<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &mut P) -> Result<()> {
    let path = path.as_ref();
    let mut file = BufReader::new(open(path)?);
    let header = Header::read(path, &mut file)?;
    let wanted = Wanted::of(path).and("", params)?;
    let mut arrays = read_arrays(path, &header, &wanted, &mut file)?;
    fill("", params, &mut arrays);
    Ok(())
}

/// The bytes of a file.
pub(super) fn encode(path: &Path, arrays: &Arrays, metadata: Option<&Metadata>) -> Result<Vec<u8>> {
    let unwritable = |reason: String| format_error(path, format!("cannot be written: {reason}"));
    let metadata = metadata.map(|map| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
    let bytes =
        safetensors::serialize(arrays.iter(), metadata).map_err(|error| unwritable(error.to_string()))?;
    match bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) {
        Some(length) if length > header::LIMIT => Err(unwritable(format!(
            "names and metadata take {length} bytes, of which {} could be read again",
            header::LIMIT
        ))),
        _ => Ok(bytes),
    }
}

/// The arrays after a header, if they are those that are wanted and nothing follows them.
pub(super) fn read_arrays(
    path: &Path,
    header: &Header,
    wanted: &Wanted<'_>,
    file: &mut impl Read,
) -> Result<Arrays> {
    let mut comparison = wanted.compare();
    for (name, TensorInfo { dtype, shape, .. }) in &header.arrays {
        let foreign = number(*dtype).is_none().then(|| dtype.to_string());
        comparison.array(name, shape, foreign.as_deref().map(|holds| [holds, "F32 or F64"]));
    }
    comparison.finish()?;
    let mut in_order: Vec<_> = header.arrays.iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut arrays = Arrays::new();
    let mut start = 0usize;
    for (name, info) in in_order {
        let damaged = |reason: &str| format_error(path, format!("damaged: {} {reason}", shown(name)));
        let Some(number) = number(info.dtype) else { return Err(damaged("is of no known type")) };
        let end =
            elements(&info.shape).and_then(|count| start.checked_add(count.checked_mul(number.width())?));
        if end.is_none_or(|end| info.data_offsets != (start, end)) {
            return Err(damaged(
                "does not lie where the array before it ends, or has another size than its shape",
            ));
        }
        start = info.data_offsets.1;
        let values = read_values(file, &info.shape, Encoding::plain(number));
        arrays.insert(name.clone(), values.map_err(|error| unread(path, name, error))?);
    }
    at_end(path, file)?;
    Ok(arrays)
}

/// Fails if there are more bytes.
pub(super) fn at_end(path: &Path, file: &mut impl Read) -> Result<()> {
    match file.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(format_error(path, "extended: there are bytes after its last array".into())),
        Err(source) => Err(io_error(path, source)),
    }
}

/// What it means that an array could not be read.
pub(super) fn unread(path: &Path, name: &str, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            format_error(path, format!("truncated: the file ends within {}", shown(name)))
        }
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            format_error(path, format!("{} is damaged: {error}", shown(name)))
        }
        _ => io_error(path, error),
    }
}

/// The type of numbers, if it is one that is read.
fn number(dtype: Dtype) -> Option<Number> {
    match dtype {
        Dtype::F32 => Some(Number::F32),
        Dtype::F64 => Some(Number::F64),
        _ => None,
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
