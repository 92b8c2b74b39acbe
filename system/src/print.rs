//! Printing values while a model runs: on the standard error stream, or to whoever [collects](collected) it.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::panic::Location;

thread_local! {
    /// The lines that this thread printed, if they are collected.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// How many elements of an array are printed.
const MOST: usize = 1000;

/// Prints an array's elements, which are in row-major order, by a name and with the line of the source that asks for
/// it: `[src/model.rs:7:5] h = [[1.0, 2.0], [3.0, 4.0]]`; of more than a thousand elements the first thousand.
pub fn print<E: Debug>(name: &str, at: &Location<'_>, shape: &[usize], elements: &[E]) {
    let mut line = format!("[{}:{}:{}] {name} = ", at.file(), at.line(), at.column());
    let _ = write_array(&mut line, shape, &mut elements.iter().take(MOST));
    if elements.len() > MOST {
        let _ = write!(line, " and {} more of shape {shape:?}", elements.len() - MOST);
    }
    let line = LINES.with_borrow_mut(|lines| match lines {
        Some(lines) => {
            lines.push(line);
            None
        }
        None => Some(line),
    });
    if let Some(line) = line {
        // Where nobody can be told, the model goes on all the same.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// Writes as much as there are elements for; whether that is all of the array.
fn write_array<'e, E: Debug + 'e>(
    line: &mut String,
    shape: &[usize],
    elements: &mut impl Iterator<Item = &'e E>,
) -> bool {
    let Some((&length, rest)) = shape.split_first() else {
        let element = elements.next();
        let _ = match element {
            Some(x) => write!(line, "{x:?}"),
            None => write!(line, "…"),
        };
        return element.is_some();
    };
    line.push('[');
    let all = (0..length).all(|i| {
        line.push_str(if i == 0 { "" } else { ", " });
        write_array(line, rest, elements)
    });
    line.push(']');
    all
}

/// What `f` returns, and the lines that this thread prints meanwhile, which go nowhere else.
pub fn collected<R>(f: impl FnOnce() -> R) -> (R, Vec<String>) {
    /// Whatever happens inside, whoever collected before goes on.
    struct Outer(Option<Vec<String>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            LINES.set(self.0.take());
        }
    }
    let outer = Outer(LINES.replace(Some(Vec::new())));
    let result = f();
    let lines = LINES.take().unwrap_or_default();
    drop(outer);
    (result, lines)
}
