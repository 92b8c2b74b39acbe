//! The example `char_rnn` against an independent implementation, written by hand in NumPy
//! (`tests/reference/char_rnn.py`), from the same initial weights.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Arrays, example, losses, python, read_npz, succeed, write_text};
use tempfile::TempDir;

/// Gradients in f64 agree to this, relative to the largest element of their array.
const GRADIENTS: f64 = 1e-10;
/// Losses of 50 steps in f64 agree to this.
const LOSSES: f64 = 1e-9;

/// Both programs, from the same weights with the same flags.
struct Runs {
    directory: TempDir,
}

impl Runs {
    fn new(flags: &[&str]) -> Runs {
        Runs::in_mode("eager", flags)
    }

    /// With ours in this mode.
    fn in_mode(mode: &str, flags: &[&str]) -> Runs {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let text = write_text(directory.path());
        let flags = |command: &mut Command, side: &str| {
            command.args(flags).arg("--text").arg(&text).arg("--init").arg(at("init.npz"));
            command.arg("--report").arg(at(&format!("{side}.json")));
            command.arg("--grads").arg(at(&format!("{side}.npz")));
        };
        let mut numpy = Command::new(python());
        // One thread: products this small only get slower with more.
        numpy.env("OPENBLAS_NUM_THREADS", "1");
        numpy.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/char_rnn.py"));
        flags(&mut numpy, "numpy");
        succeed(numpy.arg("--make-init"));
        let mut ours = example("char_rnn");
        flags(&mut ours, "antiphon");
        ours.args(["--mode", mode]).env("ANTIPHON_CACHE", "off");
        succeed(ours.arg("--out").arg(at("out")));
        Runs { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The largest relative difference of any two losses.
    #[track_caller]
    fn loss_difference(&self) -> f64 {
        let (ours, theirs) = (losses(&self.path("antiphon.json")), losses(&self.path("numpy.json")));
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(&theirs).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max)
    }

    #[track_caller]
    fn check_gradients(&self, names: &[&str]) {
        let (ours, theirs) = (read_npz(&self.path("antiphon.npz")), read_npz(&self.path("numpy.npz")));
        let found = |arrays: &Arrays| arrays.keys().cloned().collect::<Vec<_>>();
        assert_eq!(found(&ours), names);
        assert_eq!(found(&theirs), names);
        for (name, b) in &theirs {
            let a = &ours[name];
            let scale = b.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            let worst = a.iter().zip(b).fold(0.0, |m: f64, (x, y)| m.max((x - y).abs()));
            assert!(scale > 0.0, "the reference's gradient of {name} is zero");
            assert!(worst <= GRADIENTS * scale, "{name} differs by {worst:e} at a scale of {scale:e}");
        }
    }
}

#[test]
fn gradients_and_losses_agree_in_double_precision() {
    for (cell, parameters) in [
        ("rnn", &["Wh", "Wx", "Wy", "b", "by"][..]),
        ("gru", &["Wh", "Wx", "Wy", "b", "bhn", "by"]),
        ("lstm", &["Wh", "Wx", "Wy", "b", "by"]),
    ] {
        for flags in [
            &["--optimizer", "sgd", "--lr", "0.05", "--clip", "0.5"][..],
            &["--optimizer", "adam", "--lr", "0.002", "--carry"],
            // 50 steps go through the text more than once, and every size is different.
            &[
                "--optimizer",
                "sgd",
                "--lr",
                "0.02",
                "--hidden",
                "13",
                "--seq",
                "17",
                "--batch",
                "19",
                "--carry",
            ],
        ] {
            let runs = Runs::new(&[&["--cell", cell, "--steps", "50", "--precision", "f64"], flags].concat());
            runs.check_gradients(parameters);
            let difference = runs.loss_difference();
            assert!(difference <= LOSSES, "{cell} {flags:?}: losses differ by {difference:e}");
        }
    }
}

/// The simple cell with Adagrad is chaotic: its first updates are signs of tiny gradients, and rounding is amplified
/// from step to step. The gated cells are not.
#[test]
fn adagrad_agrees_in_double_precision() {
    for cell in ["gru", "lstm"] {
        let runs =
            Runs::new(&["--cell", cell, "--steps", "50", "--precision", "f64", "--optimizer", "adagrad"]);
        let difference = runs.loss_difference();
        assert!(difference <= LOSSES, "{cell}: losses differ by {difference:e}");
    }
}

#[test]
fn losses_agree_in_single_precision() {
    for (cell, optimizer, lr) in [("lstm", "sgd", "0.05"), ("rnn", "sgd", "0.02")] {
        let flags =
            ["--cell", cell, "--steps", "50", "--precision", "f32", "--optimizer", optimizer, "--lr", lr];
        let difference = Runs::new(&flags).loss_difference();
        assert!(difference <= 1e-5, "{cell}: losses differ by {difference:e}");
        assert!(difference > 0.0, "{cell}: two implementations cannot round alike 50 times over");
    }
}

/// The whole step compiled, limits and optimiser included.
#[cfg(feature = "staging")]
#[test]
fn compiled_training_agrees_too() {
    for (cell, parameters) in [
        ("rnn", &["Wh", "Wx", "Wy", "b", "by"][..]),
        ("gru", &["Wh", "Wx", "Wy", "b", "bhn", "by"]),
        ("lstm", &["Wh", "Wx", "Wy", "b", "by"]),
    ] {
        for flags in [
            &["--optimizer", "sgd", "--lr", "0.02", "--clip", "0.5"][..],
            &[
                "--optimizer",
                "adam",
                "--lr",
                "0.002",
                "--carry",
                "--hidden",
                "13",
                "--seq",
                "7",
                "--batch",
                "19",
            ],
        ] {
            let flags = [&["--cell", cell, "--steps", "50", "--precision", "f64"], flags].concat();
            let runs = Runs::in_mode("compiled", &flags);
            runs.check_gradients(parameters);
            let difference = runs.loss_difference();
            assert!(difference <= LOSSES, "{cell} {flags:?}: losses differ by {difference:e}");
        }
    }
    let flags =
        ["--cell", "lstm", "--steps", "50", "--precision", "f32", "--optimizer", "sgd", "--lr", "0.05"];
    let difference = Runs::in_mode("compiled", &flags).loss_difference();
    assert!(difference <= 1e-5 && difference > 0.0, "losses differ by {difference:e}");
}
