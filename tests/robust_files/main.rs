//! Files of strangers: whatever their bytes are, they are read or refused with an error that names them, in little
//! memory, and without a panic.
//!
//! `CASES=100000 cargo test --test robust_files` tries more mutations of each format than by default.

#[path = "../support/refusing.rs"]
mod refusing;

mod data;
mod mutated;
mod npz;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
#[path = "../support/onnx.rs"]
mod onnx_messages;
mod tensors;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::{Error, NdArray, Result, Tensor};
use tempfile::TempDir;

/// What files of parameters are loaded into.
type Model = Vec<NdArray<f64>>;

/// Arrays of several ranks, one of which has no elements.
fn model() -> Model {
    let numbers: Vec<f64> = (0..12).map(|i| 0.1 * f64::from(i) - 0.5).collect();
    vec![
        NdArray::from_elements(&[3, 4], &numbers).unwrap(),
        NdArray::scalar(7.25),
        NdArray::from_elements(&[0, 5], &[]).unwrap(),
        vec![1.0, -2.0].into(),
    ]
}

fn state() -> OptState<Model> {
    Adam::default().init(&model())
}

struct Directory(TempDir);

impl Directory {
    fn new() -> Directory {
        Directory(tempfile::tempdir().expect("a temporary directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.at(name), bytes).expect("the temporary directory can be written");
        self.at(name)
    }
}

/// The message of an error about a file, which names it, is of one line, and no longer than somebody reads.
#[track_caller]
fn message<T>(result: Result<T>, path: &Path) -> String {
    let error = result.err().expect("an error");
    assert!(matches!(error, Error::Format { .. } | Error::Io { .. }), "{error:?}");
    let message = error.to_string();
    let one_line = !message.contains(|c: char| c.is_control());
    assert!(message.starts_with(path.to_str().unwrap()) && one_line && message.len() < 4000, "{message}");
    message
}

/// The error has to say all of this.
#[track_caller]
fn refused<T>(result: Result<T>, path: &Path, parts: &[&str]) {
    let message = message(result, path);
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    refusing::assert_nothing_was_refused();
}

/// So many zeros, compressed by what `encoder` makes, never all at once.
fn zeros<W: Write>(mut encoder: W, count: usize) -> W {
    let chunk = vec![0; 1 << 16];
    for start in (0..count).step_by(chunk.len()) {
        encoder.write_all(&chunk[..chunk.len().min(count - start)]).unwrap();
    }
    encoder
}
