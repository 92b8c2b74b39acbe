//! How much lies in a cache, and how long.
//!
//! Files are evicted when others are written, and only then: those first that were used the longest ago. Looking at
//! all of them costs a few microseconds each, so a process does it at its first write and then each time that it has
//! written a sixteenth of the limit.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use antiphon_system::private::{Entry, Private};

use super::entry::MOST_BYTES;
use super::{ENDING, say_once};

/// Name of the environment variable for [`Limits::bytes`].
const VARIABLE: &str = "ANTIPHON_CACHE_LIMIT";
/// Files that a cache may have, and that are looked at.
const MOST_FILES: usize = 1 << 16;
/// Files take whole blocks of the disk.
const BLOCK: u64 = 4096;

/// How much may lie in a cache, and how long. When it is more, files are removed down to three quarters of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together: 1 GiB by default. There are at most 65,536 files, too.
    pub bytes: u64,
    /// Time since a file was last used, to the hour: 90 days by default.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 1 << 30, age: Duration::from_secs(90 * 24 * 3600) }
    }
}

impl Limits {
    /// The default limits, with the number of bytes that the environment variable `ANTIPHON_CACHE_LIMIT` says, if it
    /// says one: `536870912`, or with a unit of 1024, 1024² or 1024³ bytes `512M`.
    pub fn from_environment() -> Limits {
        let usual = Limits::default();
        let Some(said) = env::var_os(VARIABLE) else { return usual };
        match said.to_str().and_then(parse) {
            Some(bytes) => Limits { bytes, ..usual },
            None => {
                let line = format_args!("{VARIABLE} is no size such as `512M`: the cache may have 1G");
                say_once(Path::new(VARIABLE), line);
                usual
            }
        }
    }
}

fn parse(text: &str) -> Option<u64> {
    let (digits, unit) = match text.trim().split_at_checked(text.trim().len().checked_sub(1)?)? {
        (digits, "K" | "k") => (digits, 1 << 10),
        (digits, "M" | "m") => (digits, 1 << 20),
        (digits, "G" | "g") => (digits, 1 << 30),
        _ => (text.trim(), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Evicts, if it is time, after so many bytes were written.
pub(super) fn after_write(directory: &Private, limits: Limits, bytes: u64) -> io::Result<()> {
    /// For each cache, what this process has written to it since it last looked.
    static WRITTEN: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());
    {
        // A thread that panicked while it held the lock cannot have left it half changed.
        let mut written = WRITTEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match written.get_mut(directory.path()) {
            Some(sum) if *sum + bytes <= limits.bytes / 16 => {
                *sum += bytes;
                return Ok(());
            }
            Some(sum) => *sum = 0,
            None => drop(written.insert(directory.path().into(), 0)),
        }
    }
    evict(directory, limits, SystemTime::now())
}

fn evict(directory: &Private, limits: Limits, now: SystemTime) -> io::Result<()> {
    let mut entries = directory.entries(2 * MOST_FILES, is_code)?;
    // What bears a time in the future has just been used.
    let age = |entry: &Entry| now.duration_since(entry.modified).unwrap_or_default();
    entries.retain(|entry| {
        let kept = age(entry) <= limits.age && entry.bytes <= MOST_BYTES;
        if !kept {
            remove(directory, entry);
        }
        kept
    });
    let size = |entry: &Entry| entry.bytes.next_multiple_of(BLOCK);
    let (mut bytes, mut files) = (entries.iter().map(size).sum::<u64>(), entries.len());
    if bytes <= limits.bytes && files <= MOST_FILES {
        return Ok(());
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(age(entry)));
    // The newest one is what was just written.
    entries.pop();
    for entry in entries {
        if bytes <= limits.bytes / 4 * 3 && files <= MOST_FILES / 4 * 3 {
            break;
        }
        remove(directory, &entry);
        bytes -= size(&entry);
        files -= 1;
    }
    Ok(())
}

fn remove(directory: &Private, entry: &Entry) {
    // Another process may have removed it, and what cannot be removed stays.
    let _ = directory.remove(&entry.name);
}

/// Whether a file holds code.
fn is_code(name: &OsStr) -> bool {
    name.to_str().and_then(|name| name.strip_suffix(ENDING)).is_some_and(is_key)
}

/// Whether a text is a hash, this version's or an earlier one's.
fn is_key(text: &str) -> bool {
    matches!(text.len(), 32 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
