//! The header of a `.safetensors` file: what it holds, as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::Path;

use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::checkpoint::Metadata;
use super::wanted::shown;
use super::{format_error, io_error};
use crate::error::Result;

/// The entry of a header that is no array.
pub(super) const METADATA: &str = "__metadata__";

/// More bytes than this are no header: they would be of some thirty thousand arrays. What they describe takes several
/// times as much memory.
pub(super) const LIMIT: u64 = 1 << 22;

/// How the file's first bytes are read: its length, and JSON of that length.
pub(super) struct Header {
    /// The bytes themselves, with their length before them.
    pub bytes: Vec<u8>,
    pub metadata: Metadata,
    pub arrays: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// Reads as many bytes as there are, and no more than a header may have.
    pub fn read(path: &Path, file: &mut impl Read) -> Result<Header> {
        let refused = |reason: String| format_error(path, format!("{reason}, or not a .safetensors file"));
        let mut bytes = Vec::new();
        take(path, file, 8, &mut bytes)?;
        let length = match bytes.as_slice().try_into().map(u64::from_le_bytes) {
            Ok(length) if length <= LIMIT => length,
            Ok(length) => return Err(refused(format!("damaged (a header of {length} bytes)"))),
            Err(_) => return Err(refused(format!("truncated after {} bytes", bytes.len()))),
        };
        take(path, file, length, &mut bytes)?;
        if (bytes.len() as u64) < 8 + length {
            return Err(refused(format!("truncated in its header of {length} bytes")));
        }
        let parsed: Parsed = serde_json::from_slice(&bytes[8..]).map_err(|error| {
            format_error(path, format!("not a .safetensors file ({})", shown(&error.to_string())))
        })?;
        Ok(Header { bytes, metadata: parsed.metadata, arrays: parsed.arrays })
    }

    /// Where the last array ends, counted from the end of the header; believed by nobody.
    pub fn end(&self) -> u64 {
        self.arrays.values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0)
    }
}

/// Appends up to so many bytes: the buffer grows with what comes, not with what is asked for.
fn take(path: &Path, file: &mut impl Read, length: u64, bytes: &mut Vec<u8>) -> Result<()> {
    file.take(length).read_to_end(bytes).map(drop).map_err(|source: io::Error| io_error(path, source))
}

struct Parsed {
    metadata: Metadata,
    arrays: BTreeMap<String, TensorInfo>,
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Parsed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of arrays")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
                let (mut metadata, mut arrays) = (None, Unique(BTreeMap::new()));
                while let Some(name) = map.next_key::<String>()? {
                    if name != METADATA {
                        arrays.insert(name, map.next_value()?)?;
                    } else if metadata.replace(map.next_value::<Unique<String>>()?).is_some() {
                        return Err(A::Error::custom("two maps of metadata"));
                    }
                }
                Ok(Parsed { metadata: metadata.map(|map| map.0).unwrap_or_default(), arrays: arrays.0 })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A map of which JSON has each key once: `serde_json` keeps the last of several, and other programs another one.
struct Unique<V>(BTreeMap<String, V>);

impl<V> Unique<V> {
    fn insert<E: serde::de::Error>(&mut self, key: String, value: V) -> Result<(), E> {
        match self.0.insert(key.clone(), value) {
            None => Ok(()),
            Some(_) => Err(E::custom(format!("{} is there twice", shown(&key)))),
        }
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Unique<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
                let mut entries = Unique(BTreeMap::new());
                while let Some((key, value)) = map.next_entry()? {
                    entries.insert(key, value)?;
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}
