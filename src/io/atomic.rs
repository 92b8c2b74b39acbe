//! Replacing a file as a whole.

use std::path::Path;

use antiphon_system::file::{Access, replace};

use crate::error::{Error, Result};

/// Replaces a file's contents, or creates it: at any moment the file is the old one or the new one, whole.
///
/// The bytes go to a temporary file in the same directory and to the disk, then the temporary file takes the name,
/// then the directory goes to the disk. A link is followed; permissions stay as they were. A process killed in the
/// middle may leave a file `.antiphon-….tmp` behind, and nothing else; the next save in that directory removes it.
///
/// # Errors
/// [`Error::Io`] if any of this fails (the directory does not exist, the disk is full, …): then the old file is as
/// it was. Something that is not a regular file, as `/dev/null`, is refused.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    replace(path, bytes, Access::Umask).map_err(|source| Error::Io { path: path.into(), source })
}
