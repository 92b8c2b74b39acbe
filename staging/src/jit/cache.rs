//! Object code on disk. A file is either whole and right or not used: it is written under another name and renamed, and
//! its contents carry a checksum, of the key that they belong to as well.

use std::env;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ir::Program;
use crate::jit::CompileOptions;

/// First bytes of every file.
const MAGIC: &[u8; 8] = b"ANTIPHO2";

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
    key_for(&compiler(), program, options)
}

/// What makes the code: versions of this crate and of LLVM, and a checksum of this crate's source.
fn compiler() -> String {
    format!("{} {:?}", env!("ANTIPHON_STAGING_SOURCE"), inkwell::support::get_llvm_version())
}

fn key_for(compiler: &str, program: &Program, options: &CompileOptions) -> String {
    let CompileOptions { target, optimise, updates, .. } = options;
    let math = options.math();
    let mut hash = Hash::new();
    fmt::write(
        &mut hash,
        format_args!("{compiler} {target:?} {optimise:?} {math:?} {updates:?} {program:?}"),
    )
    .expect("hashing does not fail");
    format!("{:032x}", hash.0)
}

/// The checksum of a file: of its contents and the key that they were made for.
fn checksum(key: &str, contents: &[u8]) -> [u8; 16] {
    let mut hash = Hash::new();
    hash.add(key.as_bytes());
    hash.add(contents);
    hash.0.to_le_bytes()
}

fn path(directory: &Path, key: &str) -> PathBuf {
    directory.join(format!("{key}.o"))
}

/// What is stored under a key, if it is there and intact.
pub fn read(directory: &Path, key: &str) -> Option<Object> {
    let bytes = fs::read(path(directory, key)).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    if checksum(key, rest) != *sum {
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
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(MAGIC)?;
        file.write_all(&checksum(key, &contents))?;
        file.write_all(&contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path(directory, key))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::jit::target::Target;
    use crate::optimise::Options;
    use crate::types::{Dtype, Type};

    fn scaled(factor: f64, dtype: Dtype) -> Program {
        let b = Builder::new("scaled");
        let x = b.input("x", Type::new(dtype, &[3]));
        let y = b.mul(x, b.real(dtype, factor)).unwrap();
        b.finish(&[y]).unwrap()
    }

    #[test]
    fn a_key_depends_on_all_that_decides_what_the_code_is_and_on_nothing_else() {
        let (program, options) = (scaled(2.0, Dtype::F64), CompileOptions::default());
        let with = |change: &dyn Fn(&mut CompileOptions)| {
            let mut changed = options.clone();
            change(&mut changed);
            key(&program, &changed)
        };
        let target = |change: &dyn Fn(&mut Target)| with(&|options| change(&mut options.target));
        let keys = [
            key(&program, &options),
            key(&scaled(2.0f64.next_up(), Dtype::F64), &options),
            key(&scaled(0.0, Dtype::F64), &options),
            key(&scaled(-0.0, Dtype::F64), &options),
            key(&scaled(2.0, Dtype::F32), &options),
            with(&|options| options.strict = true),
            with(&|options| options.updates = vec![(0, 0)]),
            with(&|options| options.optimise = Some(Options { reassociate: false })),
            with(&|options| options.optimise = Some(Options { reassociate: true })),
            target(&|target| target.triple += "-other"),
            target(&|target| target.cpu += "-v9"),
            target(&|target| target.features += ",-avx512f"),
            target(&|target| target.vector_bits /= 2),
            target(&|target| target.vector_registers /= 2),
            key_for("0.0.9-0000000000000000 (19, 1, 7)", &program, &options),
            key_for("0.0.9-0000000000000001 (19, 1, 7)", &program, &options),
            key_for("0.0.9-0000000000000000 (20, 1, 0)", &program, &options),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "key {i}");
        }
        // What is read when code runs does not count.
        let run = with(&|options| {
            options.cache = Some("elsewhere".into());
            (options.stack_bytes, options.arena_bytes, options.flush_denormals) =
                (Some(1 << 20), Some(1 << 20), true);
        });
        assert_eq!(run, keys[0]);
        let (major, minor, _) = inkwell::support::get_llvm_version();
        assert!(compiler().starts_with(concat!(env!("CARGO_PKG_VERSION"), "-")), "{}", compiler());
        assert!(compiler().contains(&format!("({major}, {minor}, ")), "{}", compiler());
    }
}
