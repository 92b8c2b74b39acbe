//! Word vectors as GloVe's text files give them.

use std::collections::HashMap;
use std::path::Path;

use super::{quoted, read_lines, wrong_line};
use crate::error::Result;

/// A word is no longer than this, in bytes, and a number with the blank before it than that: more would be another kind
/// of file.
const WORD: usize = 4096;
const NUMBER: usize = 64;

/// The vectors of some words, `None` for those that the file does not have: one row a word in the order of `words`.
///
/// Each line of the file is a word and `width` numbers, separated by blanks (Pennington, Socher & Manning, *GloVe:
/// Global vectors for word representation*, 2014). A word may contain blanks, as some of the largest files' do. The
/// first of several lines of one word counts.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if it cannot be read; [`Error::Format`](crate::Error::Format) with the line if it
/// has not `width` numbers, or one that is not finite, or is longer than a word and so many numbers are. All lines are
/// checked.
pub fn read_glove(path: impl AsRef<Path>, width: usize, words: &[String]) -> Result<Vec<Option<Vec<f64>>>> {
    let path = path.as_ref();
    let numbers: HashMap<&str, usize> =
        words.iter().enumerate().map(|(i, word)| (word.as_str(), i)).collect();
    let mut rows = vec![None; words.len()];
    read_lines(path, WORD.saturating_add(width.saturating_mul(NUMBER)), |line_number, line| {
        let line = String::from_utf8_lossy(line);
        let (word, row) = split(&line, width).map_err(|reason| wrong_line(path, line_number, reason))?;
        if let Some(&number) = numbers.get(word) {
            rows[number].get_or_insert(row);
        }
        Ok(())
    })?;
    Ok(rows)
}

/// A line's word and numbers, or what is wrong with it.
fn split(line: &str, width: usize) -> Result<(&str, Vec<f64>), String> {
    let line = line.trim_end();
    let mut rest = line;
    let mut row = Vec::new();
    let wrong_width = || {
        let numbers = line.split(' ').rev().take_while(|field| field.parse::<f64>().is_ok()).count();
        // A word may itself be a number.
        let found = numbers.min(line.split(' ').count() - 1);
        Err(format!("{found} numbers after the word, which should be {width}"))
    };
    for _ in 0..width {
        let Some((before, field)) = rest.rsplit_once(' ') else { return wrong_width() };
        match field.parse::<f64>() {
            Ok(x) if x.is_finite() => row.push(x),
            Ok(_) => return Err(format!("{} is not a finite number", quoted(field))),
            Err(_) => return wrong_width(),
        }
        rest = before;
    }
    row.reverse();
    // One number too many would look like a part of the word.
    match rest.rsplit_once(' ') {
        Some((_, last)) if last.parse::<f64>().is_ok() => wrong_width(),
        _ if rest.is_empty() => Err("there is no word".into()),
        _ => Ok((rest, row)),
    }
}
