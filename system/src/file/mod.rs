//! Opening regular files only, and replacing a file as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

mod temporary;

/// Opens a file for reading, if it is a regular one.
///
/// Its length is not to be believed all the same: it may change, and files of `/proc` say zero.
///
/// # Errors
/// If it cannot be opened, or is a directory, a device, a pipe or a socket. Nothing waits for the other end of a pipe.
pub fn open(path: &Path) -> io::Result<File> {
    // Opening some devices has effects, so what is known not to be a file is not opened.
    only_regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe that has taken the file's place since does not make the call wait.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    only_regular(&file.metadata()?)?;
    Ok(file)
}

fn only_regular(metadata: &fs::Metadata) -> io::Result<()> {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => Ok(()),
        (false, true) => Err(io::ErrorKind::IsADirectory.into()),
        (false, false) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

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
/// nothing else; the next call for a file in that directory removes it.
///
/// # Errors
/// If any of this fails (the directory does not exist, the disk is full, …): then the old file is as it was. Something
/// that is not a regular file, as `/dev/null`, is refused.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    replace_with(path, access, |file| file.write_all(bytes))
}

/// As [`replace`], with what `write` writes to the new file, which is empty.
///
/// # Errors
/// Those of [`replace`], and those of `write`: then the old file is as it was.
pub fn replace_with<E: From<io::Error>>(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let (target, old) = match access {
        Access::Umask => {
            let target = match fs::canonicalize(path) {
                Ok(target) => target,
                // A link to what is not there is not replaced by what it was to lead to.
                Err(error) if fs::symlink_metadata(path).is_ok() => return Err(error.into()),
                Err(_) => path.into(),
            };
            let old = fs::metadata(&target).ok();
            (target, old)
        }
        Access::Private => (path.to_owned(), fs::symlink_metadata(path).ok().filter(|old| !old.is_symlink())),
    };
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into());
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    temporary::sweep(directory);
    let mut file = temporary::create(directory, access)?;
    write(file.as_file_mut())?;
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
