//! Running the examples as the programs that they are.
#![allow(dead_code, reason = "every test uses its part")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::ArrayD;
use ndarray_npy::NpzReader;

/// A command that runs an example, which `cargo test` has built beside the tests.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo test`, or `cargo build --profile test --examples` before a single test",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Standard output of a program that has to succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a program that has to fail with exit code 1 and a single line, and to print no backtrace.
#[track_caller]
pub fn fail(command: &mut Command) -> String {
    let output = run(command);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    message.trim_end().to_string()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The losses in a report.
pub fn losses(report: &Path) -> Vec<f64> {
    let json = std::fs::read_to_string(report).expect("a report");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    json["losses"].as_array().expect("losses").iter().map(|loss| loss.as_f64().expect("a number")).collect()
}

/// A file of some text, the same for every test: words in an order without a short period.
pub fn write_text(directory: &Path) -> PathBuf {
    let words = ["the", "forward", "pass", "calls,", "backward", "returns;", "a", "continuation", "waits.\n"];
    let mut state = 1u64;
    let mut text = String::new();
    for _ in 0..1500 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text += words[(state >> 33) as usize % words.len()];
        text += " ";
    }
    let path = directory.join("text.txt");
    std::fs::write(&path, text).expect("the temporary directory can be written");
    path
}

/// A Python that has NumPy.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = [
        std::env::var_os("ANTIPHON_PYTHON").map(PathBuf::from),
        Some(root.join(".venv/bin/python")),
        Some("python3".into()),
    ];
    let has_numpy = |python: &PathBuf| {
        let run = Command::new(python).args(["-c", "import numpy"]).output();
        run.is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().flatten().find(has_numpy).expect(
        "no Python with NumPy: run `make test`, which makes a .venv with one, or \
         `python3 -m venv .venv && .venv/bin/pip install -r tests/reference/requirements.txt`",
    )
}

/// Arrays by name.
pub type Arrays = BTreeMap<String, ArrayD<f64>>;

/// The arrays of an `.npz` file of doubles.
pub fn read_npz(path: &Path) -> Arrays {
    let mut npz = NpzReader::new(File::open(path).expect("an .npz file")).expect("an .npz file");
    let names = npz.names().expect("names");
    names.into_iter().map(|name| (name.clone(), npz.by_name(&name).expect("an array of f64"))).collect()
}

/// The arrays of an `.npz` file of singles.
pub fn read_npz_f32(path: &Path) -> Arrays {
    let mut npz = NpzReader::new(File::open(path).expect("an .npz file")).expect("an .npz file");
    let names = npz.names().expect("names");
    let read = |name: String| {
        let array: ArrayD<f32> = npz.by_name(&name).expect("an array of f32");
        (name, array.mapv(f64::from))
    };
    names.into_iter().map(read).collect()
}
