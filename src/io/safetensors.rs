//! `.safetensors`: arrays by name, and a map of strings.

use std::cmp::Reverse;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};

use super::checkpoint::Metadata;
use super::header::{self, Header};
use super::stored::{Encoding, Number, TOO_LARGE, elements, read_values};
use super::wanted::{Wanted, shown};
use super::{
    Arrays, Stored, Values, fill, format_error, io_error, named_leaves, open, unwritable, values_of,
    write_file,
};
use crate::error::{Error, Result};
use crate::language::params::Params;

/// Saves all leaves of a structure under their names.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written; [`Error::Format`](crate::Error::Format) if two leaves
/// have the same name.
pub fn save_safetensors<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &P) -> Result<()> {
    let path = path.as_ref();
    let leaves = named_leaves(path, "", params)?;
    let arrays = values_of(&leaves);
    let encoded = Encoded::of(path, &arrays, None)?;
    write_file(path, |file| {
        let mut file = BufWriter::with_capacity(BUFFER, file);
        encoded.write(&mut file)?;
        Ok(file.flush()?)
    })
}

/// Fills a structure from a file that holds exactly its leaves.
///
/// Half precision (`F16`, `BF16`) is read too. Files that hold more or less than the leaves, under other names or with
/// other orders of axes, are for [`Import`](super::Import).
///
/// The format has no checksum: an element that has changed since it was saved is not noticed.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and
/// leaves, if it is not a `.safetensors` file, is truncated, or if leaves are missing, left over, or of another shape
/// or type. The structure is as before then.
pub fn load_safetensors<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &mut P) -> Result<()> {
    let path = path.as_ref();
    let mut file = BufReader::new(open(path)?);
    let header = Header::read(path, &mut file)?;
    let wanted = Wanted::of(path).and("", params)?;
    let mut arrays = read_arrays(path, &header, &wanted, &mut file)?;
    fill("", params, &mut arrays);
    Ok(())
}

/// Bytes that go to the system at once. Hashing is fastest with some ten thousand, too.
pub(super) const BUFFER: usize = 1 << 16;

/// What a file will hold.
pub(super) struct Encoded<'a> {
    /// The header, with its length before it.
    pub header: Vec<u8>,
    /// The arrays after it, in their order there.
    arrays: Vec<&'a Values<'a>>,
}

impl<'a> Encoded<'a> {
    /// Double precision first and then by name, as the `safetensors` crate orders them, so that all are aligned.
    pub fn of(path: &Path, arrays: &'a Arrays<'a>, metadata: Option<&Metadata>) -> Result<Encoded<'a>> {
        if arrays.contains_key(header::METADATA) {
            let reason =
                format!("an array cannot be called {}, which the format has for itself", header::METADATA);
            return Err(format_error(path, reason));
        }
        let metadata = metadata.map(|map| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        let mut in_order: Vec<_> = arrays.iter().collect();
        in_order.sort_by_key(|(_, values)| Reverse(values.number().width()));
        let mut end = 0;
        let mut info = |values: &Values<'_>| {
            let start = end;
            end += values.elements() * values.number().width();
            let dtype = match values {
                Values::F32(_) => Dtype::F32,
                Values::F64(_) => Dtype::F64,
            };
            TensorInfo { dtype, shape: values.shape().to_vec(), data_offsets: (start, end) }
        };
        let infos = in_order.iter().map(|(name, values)| (name.to_string(), info(values))).collect();
        let described =
            safetensors::tensor::Metadata::new(metadata, infos).map_err(|error| unwritable(path, error))?;
        let mut header = vec![0; 8];
        serde_json::to_writer(&mut header, &described).map_err(|error| unwritable(path, error))?;
        // Spaces after it, so that arrays begin at multiples of eight bytes.
        header.resize(header.len().next_multiple_of(8), b' ');
        let length = (header.len() - 8) as u64;
        if length > header::LIMIT {
            let limit = header::LIMIT;
            let reason =
                format!("names and metadata take {length} bytes, of which {limit} could be read again");
            return Err(unwritable(path, reason));
        }
        header[..8].copy_from_slice(&length.to_le_bytes());
        Ok(Encoded { header, arrays: in_order.into_iter().map(|(_, values)| values).collect() })
    }

    /// Writes all of it, in small pieces.
    pub fn write(&self, file: &mut impl Write) -> io::Result<()> {
        file.write_all(&self.header)?;
        self.arrays.iter().try_for_each(|values| values.write(file))
    }
}

/// The arrays after a header, if they are those that are wanted and nothing follows them.
pub(super) fn read_arrays(
    path: &Path,
    header: &Header,
    wanted: &Wanted<'_>,
    file: &mut impl Read,
) -> Result<Arrays<'static>> {
    let mut comparison = wanted.compare();
    for (name, TensorInfo { dtype, shape, .. }) in &header.arrays {
        let foreign = number(*dtype).is_none_or(|number| !number.is_real()).then(|| dtype.to_string());
        comparison.array(name, shape, foreign.as_deref().map(|holds| [holds, REALS]));
    }
    comparison.finish()?;
    let mut arrays = Arrays::new();
    for (name, info) in in_order(path, header)? {
        let (Some(number), Some((_, wanted))) = (number(info.dtype), wanted.leaf(name)) else {
            return Err(format_error(path, format!("damaged: {} is of no known type", shown(name))));
        };
        let values = read_values(file, &info.shape, Encoding::plain(number), wanted);
        arrays.insert(name.clone(), values.map_err(|error| unread(path, name, error))?);
    }
    at_end(path, file)?;
    Ok(arrays)
}

/// The types of reals, for messages.
pub(super) const REALS: &str = "F16, BF16, F32 or F64";

/// The arrays of a header in the order in which they lie, if each begins where the one before it ends, and is as long
/// as its shape and its type of numbers make it.
pub(super) fn in_order<'h>(path: &Path, header: &'h Header) -> Result<Vec<(&'h String, &'h TensorInfo)>> {
    let mut arrays: Vec<_> = header.arrays.iter().collect();
    arrays.sort_by_key(|(_, info)| info.data_offsets);
    let mut start = 0usize;
    for (name, info) in &arrays {
        let bits = elements(&info.shape).and_then(|count| count.checked_mul(info.dtype.bitsize()));
        let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        let end = bytes.and_then(|bytes| start.checked_add(bytes));
        if end.is_none_or(|end| info.data_offsets != (start, end)) {
            let reason = "does not lie where the array before it ends, or has another size than its shape";
            return Err(format_error(path, format!("damaged: {} {reason}", shown(name))));
        }
        start = info.data_offsets.1;
    }
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
        TOO_LARGE => format_error(path, format!("{}: {error}", shown(name))),
        _ => io_error(path, error),
    }
}

/// The type of numbers, if it is one that is read.
pub(super) fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::BOOL => Number::Bool,
        Dtype::I8 => Number::I8,
        Dtype::U8 => Number::U8,
        Dtype::I16 => Number::I16,
        Dtype::U16 => Number::U16,
        Dtype::I32 => Number::I32,
        Dtype::U32 => Number::U32,
        Dtype::I64 => Number::I64,
        Dtype::U64 => Number::U64,
        _ => return None,
    })
}
