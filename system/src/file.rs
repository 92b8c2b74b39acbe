//! Replacing a file as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Who may read and write a file that [`replace`] creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the user's umask lets, as with any other new file. A file that is there keeps its permissions.
    Umask,
    /// This user alone, whatever the umask and whatever was there. A symbolic link is replaced, not followed.
    Private,
}

/// Replaces a file's contents, or creates it: at any moment the file is the old one or the new one, whole.
///
/// The bytes go to a temporary file in the same directory and to the disk, then the temporary file takes the name,
/// then the directory goes to the disk. A process killed in the middle may leave a file `.antiphon-….tmp` behind, and
/// nothing else.
///
/// # Errors
/// If any of this fails (the directory does not exist, the disk is full, …): then the old file is as it was. Something
/// that is not a regular file, as `/dev/null`, is refused.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let (target, old) = match access {
        Access::Umask => {
            let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
            let old = fs::metadata(&target).ok();
            (target, old)
        }
        Access::Private => (path.to_owned(), fs::symlink_metadata(path).ok().filter(|old| !old.is_symlink())),
    };
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
        // A new file gets what the user's umask leaves of this.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(match access {
            Access::Umask => 0o666,
            Access::Private => 0o600,
        }));
    }
    let mut file = builder.tempfile_in(directory)?;
    file.as_file_mut().write_all(bytes)?;
    if let (Access::Umask, Some(old)) = (access, old) {
        file.as_file().set_permissions(old.permissions())?;
    }
    #[cfg(unix)]
    if access == Access::Private {
        // Whatever the umask has left of it.
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}
