//! Object code on disk. A file is either whole and right or not used: it is written under another name and renamed, and
//! its contents carry a checksum.

use std::env;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ir::Program;
use crate::jit::CompileOptions;

/// First bytes of every file.
const MAGIC: &[u8; 8] = b"ANTIPHO1";

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

/// Object code and the arena that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The object.
    pub code: Vec<u8>,
    /// Bytes of arena.
    pub arena: u64,
}

/// FNV-1a, 128 bits wide (Fowler, Noll & Vo).
struct Hash(u128);

impl Hash {
    fn new() -> Hash {
        Hash(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

/// A key for everything that decides what the code is: the program as it was recorded, so that who finds its code here
/// need not even optimise it, what is done to it, the processor, LLVM, and this crate's own source.
pub fn key(program: &Program, options: &CompileOptions) -> String {
    let CompileOptions { target, optimise, updates, .. } = options;
    let math = options.math();
    let mut hash = Hash::new();
    let llvm = inkwell::support::get_llvm_version();
    fmt::write(
        &mut hash,
        format_args!(
            "{} {llvm:?} {target:?} {optimise:?} {math:?} {updates:?} {program:?}",
            env!("ANTIPHON_STAGING_SOURCE")
        ),
    )
    .expect("hashing does not fail");
    format!("{:032x}", hash.0)
}

fn path(directory: &Path, key: &str) -> PathBuf {
    directory.join(format!("{key}.o"))
}

/// What is stored under a key, if it is there and intact.
pub fn read(directory: &Path, key: &str) -> Option<Object> {
    let bytes = fs::read(path(directory, key)).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    let mut hash = Hash::new();
    hash.add(rest);
    if hash.0.to_le_bytes() != *sum {
        return None;
    }
    let (arena, code) = rest.split_first_chunk::<8>()?;
    Some(Object { code: code.to_vec(), arena: u64::from_le_bytes(*arena) })
}

/// Stores something under a key. Whoever reads meanwhile finds all of it or nothing.
///
/// # Errors
/// Those of the file system; nothing is then stored.
pub fn write(directory: &Path, key: &str, object: &Object) -> std::io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(directory)?;
    let own = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!("{key}.{}.{own}.tmp", std::process::id()));
    let mut contents = object.arena.to_le_bytes().to_vec();
    contents.extend(&object.code);
    let mut hash = Hash::new();
    hash.add(&contents);
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(MAGIC)?;
        file.write_all(&hash.0.to_le_bytes())?;
        file.write_all(&contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path(directory, key))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
