//! The text that ships with the project: its own source and documentation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use antiphon::Result;
use antiphon::error::Error;

/// The README, `docs/*.md` and `src/**/*.rs` of this project, in the order of their paths.
pub fn own_source() -> Result<Vec<u8>> {
    // Of the examples or of the tests.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|directory| directory.join("README.md").exists()).unwrap_or(package);
    let mut files = vec![root.join("README.md")];
    for directory in ["docs", "src"] {
        collect(&root.join(directory), &mut files)?;
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md" || extension == "rs"));
    files.sort();
    let mut text = Vec::new();
    for file in &files {
        text.extend(read(file)?);
    }
    Ok(text)
}

/// The contents of a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| failed(path, source))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|source| failed(directory, source))?;
    for entry in entries {
        let path = entry.map_err(|source| failed(directory, source))?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.into(), source }
}
