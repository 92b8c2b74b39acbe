//! `.npz`: the archives of `numpy.savez`, to exchange weights with NumPy.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::read::DeflateDecoder;
use ndarray_npy::WriteNpyExt;
use rawzip::path::EntryPath;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
    ZipArchiveWriter,
};

use super::npy::{Described, read_header};
use super::safetensors::unread;
use super::stored::read_values;
use super::wanted::Wanted;
use super::{Arrays, Stored, Values, fill, format_error, named_leaves, open, values_of, write_file};
use crate::error::{Error, Result};
use crate::language::params::Params;

/// Saves all leaves of a structure under their names, as `numpy.savez(path, Wx=…, Wh=…)` does.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written; [`Error::Format`](crate::Error::Format) if two leaves
/// have the same name.
pub fn save_npz<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &P) -> Result<()> {
    let path = path.as_ref();
    let leaves = named_leaves(path, "", params)?;
    write_file(path, |file| write_archive(file, &values_of(&leaves)))
}

/// Fills a structure from a file that holds exactly its leaves; compressed archives and both memory orders are
/// understood.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Format`](crate::Error::Format), naming file and
/// leaves, if it is not a `.npz` file, is truncated, has entries of the same name or in the same place, if the checksum
/// of an array is not that of the archive, or if leaves are missing, left over, or of another shape or type. The
/// structure is as before then.
pub fn load_npz<P: Params<Leaf: Stored>>(path: impl AsRef<Path>, params: &mut P) -> Result<()> {
    let path = path.as_ref();
    let wanted = Wanted::of(path).and("", params)?;
    let mut arrays = Archive::open(path, &wanted)?.read(&wanted)?;
    fill("", params, &mut arrays);
    Ok(())
}

fn write_archive(
    file: &mut File,
    arrays: &Arrays<'_>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut archive = ZipArchiveWriter::new(BufWriter::new(file));
    for (name, values) in arrays {
        let name = format!("{name}.npy");
        // As it is. What is not ASCII needs the flag that says so, and such names are normalised: `a//b` becomes `a/b`.
        let entry = match name.is_ascii() {
            true => EntryPath::verbatim(name.as_bytes()),
            false if name.contains(['/', '\\']) => return Err(format!("{name} names a directory").into()),
            false => EntryPath::conformant(&*name),
        };
        let (mut entry, config) = archive.new_file(entry).start()?;
        let mut contents = config.wrap(&mut entry);
        match values {
            Values::F32(array) => array.write_npy(&mut contents)?,
            Values::F64(array) => array.write_npy(&mut contents)?,
        }
        let (_, sizes) = contents.finish()?;
        entry.finish(sizes)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// An archive, of which only the directory has been read.
struct Archive<'p> {
    path: &'p Path,
    zip: ZipArchive<FileReader>,
    /// The entries that are wanted.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
    /// Where its local header begins.
    start: u64,
}

impl<'p> Archive<'p> {
    /// Reads the directory and the headers of the arrays, and compares both with what is wanted.
    fn open(path: &'p Path, wanted: &Wanted<'_>) -> Result<Archive<'p>> {
        let unreadable =
            |error: rawzip::Error| format_error(path, format!("truncated, or not a .npz file ({error})"));
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let zip = ZipArchive::from_file(open(path)?, &mut buffer).map_err(unreadable)?;
        let mut comparison = wanted.compare();
        let (mut entries, mut count) = (BTreeMap::new(), 0);
        let mut directory = zip.entries(&mut buffer);
        while let Some(record) = directory.next_entry().map_err(unreadable)? {
            count += 1;
            let raw = record.file_path();
            let name = String::from_utf8_lossy(raw.as_ref());
            let name = name.strip_suffix(".npy").unwrap_or(&name);
            if wanted.leaf(name).is_none() {
                comparison.array(name, &[], None);
                continue;
            }
            let (place, method) = (record.wayfinder(), record.compression_method());
            let encrypted = record.flags().is_encrypted();
            let entry = Entry { place, method, encrypted, start: record.local_header_offset() };
            if entries.insert(name.to_string(), entry).is_some() {
                comparison.twice(name);
            }
        }
        if count != zip.entries_hint() {
            let said = zip.entries_hint();
            return Err(format_error(path, format!("damaged: it has {count} entries, but says {said}")));
        }
        let archive = Archive { path, zip, entries };
        archive.check_places()?;
        for name in archive.entries.keys() {
            let described = archive.open_array(name)?.0;
            let foreign = described.encoding.as_ref().err();
            comparison.array(name, &described.shape, foreign.map(|holds| [holds.as_str(), "'<f4' or '<f8'"]));
        }
        comparison.finish()?;
        Ok(archive)
    }

    /// Fails unless each entry has bytes of its own, before the directory: a few bytes could stand for a great many
    /// else.
    fn check_places(&self) -> Result<()> {
        let mut places = Vec::new();
        for (name, entry) in &self.entries {
            let local =
                self.zip.get_entry(entry.place).map_err(|error| self.damaged(name, &error.to_string()))?;
            places.push((entry.start, local.compressed_data_range().1, name));
        }
        places.sort();
        let starts = places.iter().skip(1).map(|place| place.0).chain([self.zip.directory_offset()]);
        for (&(_, end, name), next) in places.iter().zip(starts) {
            if end > next {
                return Err(self.damaged(name, "it overlaps what follows it in the archive"));
            }
        }
        Ok(())
    }

    /// The header of an array, and its elements, which are compared with their checksum when the last one is read.
    fn open_array(&self, name: &str) -> Result<(Described, Box<dyn Read + '_>)> {
        let Entry { place, method, encrypted, .. } = self.entries[name];
        let local = self.zip.get_entry(place).map_err(|error| self.damaged(name, &error.to_string()))?;
        let mut contents: Box<dyn Read + '_> = match method {
            _ if encrypted => return Err(self.damaged(name, "it is encrypted")),
            CompressionMethod::STORE => Box::new(local.verifying_reader(BufReader::new(local.reader()))),
            CompressionMethod::DEFLATE => {
                Box::new(local.verifying_reader(DeflateDecoder::new(local.reader())))
            }
            _ => return Err(self.damaged(name, "it is compressed in another way than NumPy does it")),
        };
        let described = read_header(&mut contents).map_err(|reason| self.damaged(name, &reason))?;
        Ok((described, contents))
    }

    /// The arrays, which were found to be those that are wanted.
    fn read(&self, wanted: &Wanted<'_>) -> Result<Arrays<'static>> {
        let mut arrays = Arrays::new();
        for name in self.entries.keys() {
            let (described, mut contents) = self.open_array(name)?;
            let (Some((shape, number)), Ok(encoding)) = (wanted.leaf(name), described.encoding) else {
                return Err(self.damaged(name, "it is another array than before"));
            };
            let values = read_values(&mut contents, shape, encoding, number);
            let values = values.map_err(|error| unread(self.path, name, error))?;
            match contents.read(&mut [0]) {
                Ok(0) => arrays.insert(name.clone(), values),
                Ok(_) => return Err(self.damaged(name, "it has more bytes than elements")),
                Err(error) => return Err(unread(self.path, name, error)),
            };
        }
        Ok(arrays)
    }

    fn damaged(&self, name: &str, reason: &str) -> Error {
        format_error(self.path, format!("{name} is damaged: {reason}"))
    }
}
