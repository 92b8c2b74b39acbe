//! What a file of the cache looks like: a header of fixed length, and object code. All numbers are little-endian.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `ANTIPHON` |
//! | 4 | version of this format |
//! | 4 | zero |
//! | 8 | bytes of object code that follow the header |
//! | 8 | bytes of arena that the code needs |
//! | 32 | BLAKE3 of the key, of the header before this, and of the code |

use std::io::Read;

const MAGIC: &[u8; 8] = b"ANTIPHON";
const VERSION: u32 = 3;
const HASH: usize = 32;
/// Length of the header without the hash.
const FIELDS: usize = 32;
const HEADER: usize = FIELDS + HASH;

/// No code is larger than this: 256 MiB. A file that says so was not made here.
const MOST_CODE: u64 = 256 << 20;
/// No file is larger than this.
pub(super) const MOST_BYTES: u64 = HEADER as u64 + MOST_CODE;
/// No arena is larger than this: 1 TiB, some ten times what can be reserved by default.
const MOST_ARENA: u64 = 1 << 40;

/// Object code and the arena that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The object.
    pub code: Vec<u8>,
    /// Bytes of arena.
    pub arena: u64,
}

fn fields(object: &Object) -> [u8; FIELDS] {
    let mut fields = [0; FIELDS];
    fields[..8].copy_from_slice(MAGIC);
    fields[8..12].copy_from_slice(&VERSION.to_le_bytes());
    fields[16..24].copy_from_slice(&(object.code.len() as u64).to_le_bytes());
    fields[24..].copy_from_slice(&object.arena.to_le_bytes());
    fields
}

fn hash(key: &str, fields: &[u8; FIELDS], code: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    // With its length, since what follows could otherwise belong to it.
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes()).update(fields).update(code);
    hasher.finalize()
}

/// The contents of a file that holds an object under a key; `None` if the object is larger than any file's.
pub fn encode(key: &str, object: &Object) -> Option<Vec<u8>> {
    if object.code.len() as u64 > MOST_CODE || object.arena > MOST_ARENA {
        return None;
    }
    let fields = fields(object);
    let hash = hash(key, &fields, &object.code);
    Some([&fields[..], hash.as_bytes(), &object.code].concat())
}

/// The object that the contents of a file hold, if they are what [`encode`] makes for this key.
pub fn decode(key: &str, mut bytes: &[u8]) -> Option<Object> {
    let length = bytes.len() as u64;
    read(key, &mut bytes, length)
}

/// The object in a file of so many bytes, if they are what [`encode`] makes for this key. Lengths are compared before
/// memory is asked for.
pub(super) fn read(key: &str, from: &mut impl Read, length: u64) -> Option<Object> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).ok()?;
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let (size, arena) = (number(16), number(24));
    if size > MOST_CODE || arena > MOST_ARENA || Some(size) != length.checked_sub(HEADER as u64) {
        return None;
    }
    let mut object = Object { code: Vec::new(), arena };
    let mut expected = fields(&object);
    expected[16..24].copy_from_slice(&size.to_le_bytes());
    if header[..FIELDS] != expected {
        return None;
    }
    object.code = vec![0; usize::try_from(size).ok()?];
    from.read_exact(&mut object.code).ok()?;
    let found: [u8; HASH] = header[FIELDS..].try_into().expect("the rest of the header");
    (hash(key, &expected, &object.code) == found).then_some(object)
}
