//! Replacing a file as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Replaces a file's contents, or creates it: at any moment the file is the old one or the new one, whole.
///
/// The bytes go to a temporary file in the same directory and to the disk, then the temporary file takes the name,
/// then the directory goes to the disk. A link is followed; permissions stay as they were. A process killed in the
/// middle may leave a file `.antiphon-….tmp` behind, and nothing else.
///
/// # Errors
/// [`Error::Io`] if any of this fails (the directory does not exist, the disk is full, …): then the old file is as
/// it was. Something that is not a regular file, as `/dev/null`, is refused.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    replace(path, bytes).map_err(|source| Error::Io { path: path.into(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".antiphon-").suffix(".tmp");
    #[cfg(unix)]
    {
        // A new file gets what the user's umask leaves of this, as any other new file does.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(directory)?;
    file.as_file_mut().write_all(bytes)?;
    if let Some(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}
