//! Command lines: every failure is one line on standard error and exit code 1.

use std::process::ExitCode;

use antiphon::Result;
use antiphon::error::Error;
use clap::Parser;

use super::ranks::alone;

/// Parses the flags, runs `program` with them, in one process alone, and tells the user in one line what went wrong, if
/// something did.
pub fn main<F: Parser>(program: impl FnOnce(F) -> Result<()>) -> ExitCode {
    main_of_ranks(|flags| {
        alone()?;
        program(flags)
    })
}

/// The same of a program that may be one of several.
pub fn main_of_ranks<F: Parser>(program: impl FnOnce(F) -> Result<()>) -> ExitCode {
    end_with_the_reader();
    // A number below zero is its flag's value, which is told what is wrong with it, and no flag of its own.
    let command = F::command().mut_args(|arg| {
        let has_value = arg.get_action().takes_values();
        arg.allow_negative_numbers(has_value)
    });
    let parsed = command.try_get_matches().and_then(|matches| F::from_arg_matches(&matches));
    let outcome = match parsed {
        Ok(flags) => program(flags).map_err(|error| error.to_string()),
        Err(error) if error.use_stderr() => Err(one_line(&error.to_string())),
        Err(help) => {
            print!("{help}");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {}", message.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads the output may stop, as `head` does: then this program ends too, as others do, and does not panic.
fn end_with_the_reader() {
    #[cfg(unix)]
    // SAFETY: gives a signal the meaning that it has for programs in other languages; no handler is installed.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// The substance of clap's message, which spreads over several lines.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let substance = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let line = substance.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_string()
}

/// A setting outside of its range.
pub fn bad(name: &'static str, reason: impl Into<String>) -> Error {
    Error::Config { name, reason: reason.into() }
}

/// A finite number above zero.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("should be a number above zero".into()),
    }
}

/// A whole number above zero.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("should be a whole number above zero".into()),
    }
}

/// How many examples to make: more than a million are a slip, which would never end.
pub fn examples(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1_000_000) => Ok(n),
        _ => Err("should be a whole number from 1 to 1000000".into()),
    }
}

/// A limit on the elements of a gradient; 0 for none.
pub fn clip(text: &str) -> Result<f64, String> {
    if text.parse() == Ok(0.0) { Ok(0.0) } else { positive(text) }
}

/// The size of something that a model's arrays grow with, often with its square: more than this is a slip, which would
/// end in memory that nobody has.
pub fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=65536) => Ok(n),
        _ => Err("should be a whole number from 1 to 65536".into()),
    }
}
