//! Object code on disk, so that the next process need not generate it.
//!
//! What is read here is *run*. So the directory must be [this user's alone](antiphon_system::private): it belongs to
//! the effective user, nobody else can write it, and nobody else can exchange it or a directory above it; the same
//! holds for each file, which must be a regular one. Otherwise the code is compiled, and a line on the standard error
//! stream says so, once for each directory: the only place where this library prints. Within that, a file is either
//! whole and right or not used. It is replaced as a whole, and a hash covers its contents and the key that
//! they were made for.
//!
//! The hash finds what was damaged or misplaced. It is no signature: whoever can write as this user can have
//! his code run, here as anywhere else.

mod entry;
mod key;
mod limits;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use antiphon_system::private::{Private, Refusal};

pub use entry::{Object, decode, encode};
pub use key::key;
pub(crate) use key::key_while;
pub use limits::Limits;

/// How long ago code was last used, so that its file is marked as used again. Less often than at each start, since it
/// is a write to the disk.
const MARK: Duration = Duration::from_secs(3600);

/// The directory for compiled code of this user, if there is one: what the environment variable `ANTIPHON_CACHE` names,
/// none if it is `off`; else `antiphon` in the directory for caches, `$XDG_CACHE_HOME` or `~/.cache`.
pub fn directory() -> Option<PathBuf> {
    if let Some(named) = env::var_os("ANTIPHON_CACHE") {
        return (named != "off" && !named.is_empty()).then(|| named.into());
    }
    let absolute = |name, below: &str| {
        let directory = PathBuf::from(env::var_os(name)?);
        directory.is_absolute().then(|| directory.join(below))
    };
    absolute("XDG_CACHE_HOME", "antiphon").or_else(|| absolute("HOME", ".cache/antiphon"))
}

/// An open cache.
#[derive(Debug)]
pub struct Cache {
    directory: Private,
    limits: Limits,
}

impl Cache {
    /// Opens the cache in a directory, which is made if it is missing. There is none where it cannot be made, and none
    /// where somebody else can change it; that is said once.
    pub fn open(directory: &Path, limits: Limits) -> Option<Cache> {
        match Private::open(directory) {
            Ok(directory) => Some(Cache { directory, limits }),
            Err(refusal) => {
                notice(directory, &refusal);
                None
            }
        }
    }

    /// What is stored under a key, if it is there, intact and nobody else's.
    pub fn read(&self, key: &str) -> Option<Object> {
        let (mut file, length) = match self.directory.file(file_name(key).as_ref()) {
            Ok(found) => found?,
            Err(refusal) => {
                notice(self.directory.path(), &refusal);
                return None;
            }
        };
        let object = entry::read(key, &mut file, length)?;
        let now = SystemTime::now();
        let used = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(now);
        if now.duration_since(used).is_ok_and(|ago| ago > MARK) {
            // If it cannot be marked, it is evicted earlier than need be.
            let _ = file.set_modified(now);
        }
        Some(object)
    }

    /// Stores something under a key, and evicts what is too old or too much. Whoever reads meanwhile finds all of it or
    /// nothing. An object that is larger than all that the cache may hold is not stored.
    ///
    /// # Errors
    /// Those of the file system; nothing is then stored.
    pub fn write(&self, key: &str, object: &Object) -> io::Result<()> {
        let Some(bytes) = encode(key, object).filter(|bytes| bytes.len() as u64 <= self.limits.bytes) else {
            return Ok(());
        };
        self.directory.replace(file_name(key).as_ref(), &bytes)?;
        limits::after_write(&self.directory, self.limits, bytes.len() as u64)
    }
}

/// Ending of the names of all files that hold code.
const ENDING: &str = ".o";

fn file_name(key: &str) -> String {
    format!("{key}{ENDING}")
}

/// Says that a cache is not used since it cannot be trusted, once for each directory. What cannot be opened at all is
/// nobody's danger, and nothing is said of it.
fn notice(directory: &Path, refusal: &Refusal) {
    if matches!(refusal, Refusal::Untrusted { .. }) {
        say_once(
            directory,
            format_args!(
                "compiled code is not taken from the cache, since {refusal}: make it yours alone, \
                 or name another directory in ANTIPHON_CACHE, or set that to `off`"
            ),
        );
    }
}

/// Prints a line on the standard error stream, unless one was printed about the same thing. Nothing else prints.
fn say_once(about: &Path, line: fmt::Arguments<'_>) {
    static SAID: Mutex<BTreeMap<PathBuf, ()>> = Mutex::new(BTreeMap::new());
    // A thread that panicked while it held the lock cannot have left it half changed.
    let mut said = SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if said.insert(about.into(), ()).is_none() {
        // Where nobody can be told, the program goes on all the same.
        let _ = writeln!(io::stderr(), "antiphon: {line}");
    }
}
