//! What trainings write: where it goes, and what it must be.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use antiphon::error::Error;
use antiphon::io::{Metadata, Stored};
use antiphon::{Params, Result, Tensor};

use super::cli::bad;

/// Files that are written when the training is over have to have places of their own: better to know before. `out` is
/// made.
pub fn check_places(files: [&Option<PathBuf>; 3], out: &Path) -> Result<()> {
    for (i, path) in files.iter().enumerate() {
        if let Some(path) = path.as_ref().filter(|_| files[..i].contains(path)) {
            return Err(bad("files", format!("{} would be written twice", path.display())));
        }
    }
    for path in files.into_iter().flatten() {
        let failed = |source| Error::Io { path: path.clone(), source };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(directory) = directory.filter(|directory| *directory != out)
            && !fs::metadata(directory).map_err(failed)?.is_dir()
        {
            return Err(failed(ErrorKind::NotADirectory.into()));
        }
        if path.is_dir() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
    }
    Ok(())
}

/// How many steps a checkpoint says it has seen. The loss of each is in the file: more than it has bytes are not true,
/// and there would be no room for them.
pub fn steps_seen(checkpoint: &Path, metadata: &Metadata) -> Option<usize> {
    let bytes = fs::metadata(checkpoint).ok()?.len();
    metadata.get("steps")?.parse().ok().filter(|&steps: &usize| steps as u64 <= bytes)
}

/// Fails unless all parameters are finite: a checkpoint of others would take the place of a good one.
pub fn check_finite<T: Tensor + Stored>(params: &impl Params<Leaf = T>, steps: usize) -> Result<()> {
    let mut finite = Ok(());
    params.visit(&mut |name, leaf| {
        // The sum is finite unless an element is not, or it overflows: only then it is worth to look closer.
        if !elements(&leaf.sum(..))[0].is_finite()
            && let Some(&value) = elements(leaf).iter().find(|x| !x.is_finite())
        {
            finite = Err(Error::Diverged { what: format!("{name} after {steps} steps"), value });
        }
    });
    finite
}

/// The elements of an array in row-major order.
pub fn elements<T: Stored>(x: &T) -> Vec<f64> {
    x.to_values().into_f64().into_iter().collect()
}

/// A checksum (FNV-1a) by which other data is noticed.
pub fn checksum(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}
