//! A checksum of this crate's source, by which code that another version of it has made is told from its own.

use std::fs;
use std::path::Path;

/// FNV-1a of the files below a directory, and of their names, in order.
fn add(directory: &Path, hash: &mut u64) -> std::io::Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            add(&path, hash)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        for &byte in name.iter().chain(&fs::read(&path)?) {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    add(Path::new("src"), &mut hash)?;
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=ANTIPHON_STAGING_SOURCE={}-{hash:016x}", env!("CARGO_PKG_VERSION"));
    Ok(())
}
