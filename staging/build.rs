//! A checksum of this crate's source, by which code that another version of it has made is told from its own.

use std::fs;
use std::path::Path;

/// Adds the files below a directory to a hash, and their names, in order.
fn add(directory: &Path, hash: &mut blake3::Hasher) -> std::io::Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            add(&path, hash)?;
            continue;
        }
        for part in [path.as_os_str().as_encoded_bytes(), &fs::read(&path)?] {
            // With their lengths, or a name could begin where another ends.
            hash.update(&part.len().to_le_bytes()).update(part);
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut hash = blake3::Hasher::new();
    add(Path::new("src"), &mut hash)?;
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=ANTIPHON_STAGING_SOURCE={}-{}", env!("CARGO_PKG_VERSION"), hash.finalize());
    Ok(())
}
