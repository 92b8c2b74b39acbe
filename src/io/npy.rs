//! `.npy`: an array of NumPy's, which is a header and its elements.

use std::io::Read;

use ndarray_npy::npy::header::Header;

use super::stored::{Encoding, Number};
use super::wanted::shown;

/// More bytes than this are no header of an array of numbers, whose own length is believed up to here. (NumPy reads up
/// to 10,000.)
const LIMIT: usize = 1 << 16;

/// Brackets in a header are nested so deep: a dictionary, a tuple, and a list of fields for what is not read.
const DEEPEST: usize = 8;

/// What a header says.
pub(super) struct Described {
    pub shape: Vec<usize>,
    /// How the elements lie, or of which other type they are.
    pub encoding: Result<Encoding, String>,
}

/// Reads a header, or says what is wrong with it; the elements come next.
pub(super) fn read_header(contents: &mut impl Read) -> Result<Described, String> {
    let mut bytes = Vec::new();
    // The magic string, a version of two bytes, and the length of the dictionary that follows in two bytes or, since
    // the second version, four.
    let mut take = |length: usize| -> Result<Vec<u8>, String> {
        let before = bytes.len();
        contents.take(length as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        match bytes.len() - before == length {
            true => Ok(bytes[before..].to_vec()),
            false => Err("it ends within its header".into()),
        }
    };
    let version = take(8)?[6];
    let length = match version {
        1 => usize::from(u16::from_le_bytes(take(2)?.try_into().expect("two bytes"))),
        _ => u32::from_le_bytes(take(4)?.try_into().expect("four bytes")) as usize,
    };
    if length > LIMIT {
        return Err(format!("it claims a header of {length} bytes"));
    }
    if nesting(&take(length)?) > DEEPEST {
        return Err("its header is nested".into());
    }
    let header = Header::from_reader(&mut &bytes[..]).map_err(|error| shown(&error.to_string()))?;
    let column_major = header.layout.is_fortran();
    let descriptor = header.type_descriptor.to_string();
    let encoding = |number, big_endian| Ok(Encoding { number, big_endian, column_major });
    let encoding = match header.type_descriptor.as_string().map(String::as_str) {
        Some("<f4") => encoding(Number::F32, false),
        Some(">f4") => encoding(Number::F32, true),
        Some("<f8") => encoding(Number::F64, false),
        Some(">f8") => encoding(Number::F64, true),
        _ => Err(descriptor),
    };
    Ok(Described { shape: header.shape, encoding })
}

/// How deep brackets are nested, those in strings counted too: what parses them calls itself so often.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
