//! Directories that this user alone can change, and their files.
//!
//! Who can write a file decides what is in it. So a directory is used only if it belongs to the effective user and
//! nobody else can write it, and if nobody else can put another one in its place either: each directory above it
//! belongs to the user or to root, and is writable by its owner alone or sticky, as `/tmp` is. That is found out on the
//! way down from the root, on open descriptors, each opened by its name in the one before. Links on that way are
//! followed only where they belong to the user or to root; the directory itself must be none.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::file::{Access, replace};

/// Flags with which everything is opened: no link is followed, and a pipe without a writer is not waited for.
const OPEN: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Flags for a directory on the way, which need not be readable.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PASS: OFlags = OPEN.union(OFlags::DIRECTORY).union(OFlags::PATH);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PASS: OFlags = OPEN.union(OFlags::DIRECTORY);

/// Links that are followed on the way to a directory before it is given up.
const LINKS: usize = 40;

/// Why a directory or a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Somebody else could have put it there, or could change it; or it is not what it should be.
    #[error("{} {reason}", path.display())]
    Untrusted {
        /// The directory or file; it may be one above the directory that was asked for.
        path: PathBuf,
        /// What is wrong with it: "belongs to user 65534".
        reason: String,
    },
    /// The operating system would not.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// An open directory that this user alone can change.
#[derive(Debug)]
pub struct Private {
    directory: OwnedFd,
    /// Where it is, without links. Nobody else can change what this path means.
    path: PathBuf,
}

/// A regular file of a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last modified.
    pub modified: SystemTime,
}

impl Private {
    /// Opens a directory, or makes it with whatever is missing above it, for this user alone whatever the umask.
    ///
    /// # Errors
    /// [`Refusal::Untrusted`] if somebody else can change it; [`Refusal::Io`] if it cannot be opened or made.
    pub fn open(path: &Path) -> Result<Private, Refusal> {
        let absolute =
            std::path::absolute(path).map_err(|source| Refusal::Io { path: path.into(), source })?;
        let mut walk = Walk::from_root()?;
        walk.push(&absolute);
        while let Some(name) = walk.pending.pop() {
            walk.enter(&name)?;
        }
        walk.arrive()
    }

    /// Where it is, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file of this user that nobody else can write, and its length; `None` if there is none.
    ///
    /// # Errors
    /// [`Refusal::Untrusted`] if it is something else, such as a link or a pipe, or others can write it;
    /// [`Refusal::Io`] if it cannot be opened.
    pub fn file(&self, name: &OsStr) -> Result<Option<(File, u64)>, Refusal> {
        let path = || self.path.join(name);
        let file =
            match fs::openat(&self.directory, name, OPEN | OFlags::RDONLY | OFlags::NOCTTY, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP) => return Err(untrusted(path(), "is a link")),
                Err(error) => return Err(failed(path(), error)),
            };
        let stat = fs::fstat(&file).map_err(|error| failed(path(), error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(untrusted(path(), "is not a regular file"));
        }
        own(&stat).map_err(|reason| untrusted(path(), reason))?;
        Ok(Some((file.into(), length(&stat))))
    }

    /// Replaces or creates a file, as [`replace`] does with [`Access::Private`].
    ///
    /// # Errors
    /// As [`replace`].
    pub fn replace(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        // The path was walked down to this directory, and nobody else can make it lead anywhere else.
        replace(&self.path.join(name), bytes, Access::Private)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// If there is none, or it cannot be removed.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    /// The regular files whose names `wanted` is true of, of the first `most` names that the system lists.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn entries(&self, most: usize, wanted: impl Fn(&OsStr) -> bool) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for listed in Dir::read_from(&self.directory)?.take(most) {
            let name = OsString::from_vec(listed?.file_name().to_bytes().to_vec());
            if !wanted(&name) {
                continue;
            }
            // What was removed in the meantime is no entry any more.
            let Ok(stat) = fs::statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                entries.push(Entry { name, bytes: length(&stat), modified: modified(&stat) });
            }
        }
        Ok(entries)
    }
}

/// The way down from the root to a directory.
struct Walk {
    /// The directory that was reached.
    directory: OwnedFd,
    /// Its path, without links.
    path: PathBuf,
    /// Names still to come, the next one last.
    pending: Vec<OsString>,
    links: usize,
}

impl Walk {
    fn from_root() -> Result<Walk, Refusal> {
        let path = PathBuf::from("/");
        let directory = fs::open(&path, PASS, Mode::empty()).map_err(|error| failed(path.clone(), error))?;
        let walk = Walk { directory, path, pending: Vec::new(), links: 0 };
        walk.passable()?;
        Ok(walk)
    }

    /// Adds the names of a path to those that come next.
    fn push(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.pending.push(name.into()),
                Component::ParentDir => self.pending.push("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    /// Goes on to what has this name: a directory, one that is made if there is none, or where a link leads.
    fn enter(&mut self, name: &OsStr) -> Result<(), Refusal> {
        let path =
            if name == ".." { self.path.parent().unwrap_or(&self.path).into() } else { self.path.join(name) };
        match fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                return self.follow(name, path, &stat);
            }
            Ok(_) => {}
            Err(Errno::NOENT) => self.make(name, &path)?,
            Err(error) => return Err(failed(path, error)),
        }
        let last = self.pending.is_empty();
        let flags = if last { OPEN | OFlags::DIRECTORY | OFlags::RDONLY } else { PASS };
        self.directory = match fs::openat(&self.directory, name, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(untrusted(path, "is not a directory")),
            Err(error) => return Err(failed(path, error)),
        };
        self.path = path;
        if last { Ok(()) } else { self.passable() }
    }

    fn make(&self, name: &OsStr, path: &Path) -> Result<(), Refusal> {
        let made = match fs::mkdirat(&self.directory, name, Mode::RWXU) {
            // Nobody else can rename what this user made, and the umask may have left nothing of its mode.
            Ok(()) => fs::chmodat(&self.directory, name, Mode::RWXU, AtFlags::empty()),
            // Another process made it in the meantime.
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error),
        };
        made.map_err(|error| failed(path.into(), error))
    }

    fn follow(&mut self, name: &OsStr, path: PathBuf, stat: &Stat) -> Result<(), Refusal> {
        if self.pending.is_empty() {
            return Err(untrusted(path, "is a link"));
        }
        owned_by_user_or_root(stat).map_err(|reason| untrusted(path.clone(), reason))?;
        self.links += 1;
        if self.links > LINKS {
            return Err(untrusted(path, "is one of too many links"));
        }
        let target =
            fs::readlinkat(&self.directory, name, Vec::new()).map_err(|error| failed(path, error))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            let Walk { directory, path, .. } = Walk::from_root()?;
            (self.directory, self.path) = (directory, path);
        }
        self.push(&target);
        Ok(())
    }

    /// That nobody else can exchange what is in the directory that was reached.
    fn passable(&self) -> Result<(), Refusal> {
        let stat = fs::fstat(&self.directory).map_err(|error| failed(self.path.clone(), error))?;
        let sticky = Mode::from_raw_mode(stat.st_mode).contains(Mode::SVTX);
        let trusted =
            owned_by_user_or_root(&stat).and_then(|()| if sticky { Ok(()) } else { unwritable(&stat) });
        trusted.map_err(|reason| untrusted(self.path.clone(), reason))
    }

    /// That the directory that was reached belongs to this user alone.
    fn arrive(self) -> Result<Private, Refusal> {
        let stat = fs::fstat(self.directory.as_fd()).map_err(|error| failed(self.path.clone(), error))?;
        own(&stat).map_err(|reason| untrusted(self.path.clone(), reason))?;
        Ok(Private { directory: self.directory, path: self.path })
    }
}

fn untrusted(path: PathBuf, reason: impl Into<String>) -> Refusal {
    Refusal::Untrusted { path, reason: reason.into() }
}

fn failed(path: PathBuf, error: Errno) -> Refusal {
    Refusal::Io { path, source: error.into() }
}

/// That something belongs to this user and nobody else can write it.
fn own(stat: &Stat) -> Result<(), String> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(format!("belongs to user {}", stat.st_uid));
    }
    unwritable(stat)
}

fn owned_by_user_or_root(stat: &Stat) -> Result<(), String> {
    match stat.st_uid {
        0 => Ok(()),
        user if user == rustix::process::geteuid().as_raw() => Ok(()),
        other => Err(format!("belongs to user {other}")),
    }
}

/// That only its owner can write something. An access control list that lets others write shows in the group's bits.
fn unwritable(stat: &Stat) -> Result<(), String> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Err(format!("can be written by other users (its mode is {:o})", mode.as_raw_mode()));
    }
    Ok(())
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn modified(stat: &Stat) -> SystemTime {
    // A time before 1970 counts as that year's.
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}
