//! Running the examples as the programs that they are.
#![allow(dead_code)] // every test uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
