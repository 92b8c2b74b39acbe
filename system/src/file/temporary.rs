//! Temporary files, each locked by its writer for as long as that lives: one that can be locked was left behind.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

use super::Access;

const PREFIX: &str = ".antiphon-";
const SUFFIX: &str = ".tmp";
/// Bad luck is rare; more of it than this is somebody's will.
const ATTEMPTS: usize = 100;

/// A new file in the directory, locked.
pub(super) fn create(directory: &Path, access: Access) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // A new file gets what the user's umask leaves of this.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(match access {
            Access::Umask => 0o666,
            Access::Private => 0o600,
        }));
    }
    #[cfg(not(unix))]
    let _ = access;
    for _ in 0..ATTEMPTS {
        let file = builder.tempfile_in(directory)?;
        // Between the two calls another writer may have taken it for a leftover.
        if !taken(file.as_file()) {
            return Ok(file);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "temporary files here are locked by others as soon as they exist",
    ))
}

#[cfg(unix)]
fn taken(file: &fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match file.try_lock() {
        // Where there are no locks, nobody can lock it to sweep it either.
        Ok(()) | Err(fs::TryLockError::Error(_)) => file.metadata().is_ok_and(|found| found.nlink() == 0),
        Err(fs::TryLockError::WouldBlock) => true,
    }
}

#[cfg(not(unix))]
fn taken(_: &fs::File) -> bool {
    false
}

/// Removes what killed writers of this user have left in a directory. What cannot be removed stays: saving is what
/// the caller is here for.
pub(super) fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            remove_leftover(&entry.path());
        }
    }
}

#[cfg(unix)]
fn remove_leftover(path: &Path) {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    // SAFETY: has no preconditions and touches no memory.
    let user = unsafe { libc::geteuid() };
    let ours = |found: &fs::Metadata| found.is_file() && found.uid() == user;
    if !fs::symlink_metadata(path).is_ok_and(|found| ours(&found)) {
        return;
    }
    let Ok(file) = options.open(path) else { return };
    if file.try_lock().is_err() {
        return;
    }
    // Its writer may have ended, and given it its name, before the lock was there.
    let (Ok(locked), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return };
    if ours(&locked) && (locked.dev(), locked.ino()) == (named.dev(), named.ino()) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(not(unix))]
fn remove_leftover(_: &Path) {}
