//! What a file has to hold, which is known before it is read: a structure's leaves. Nothing else of it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::stored::Number;
use super::{Stored, format_error};
use crate::error::Result;
use crate::language::params::Params;

/// Names and shapes of the leaves that a file has to hold, and the numbers that these become.
pub(super) struct Wanted<'p> {
    path: &'p Path,
    prefixes: Vec<&'static str>,
    leaves: BTreeMap<String, (Vec<usize>, Number)>,
}

impl<'p> Wanted<'p> {
    /// Nothing yet.
    pub fn of(path: &'p Path) -> Wanted<'p> {
        Wanted { path, prefixes: Vec::new(), leaves: BTreeMap::new() }
    }

    /// And the leaves of a structure, whose names begin with a prefix in the file.
    pub fn and<P: Params<Leaf: Stored>>(mut self, prefix: &'static str, params: &P) -> Result<Wanted<'p>> {
        let mut twice = None;
        params.visit(&mut |name, leaf| {
            let name = format!("{prefix}{name}");
            let values = leaf.to_values();
            let leaf = (values.shape().to_vec(), values.number());
            if self.leaves.insert(name.clone(), leaf).is_some() {
                twice = Some(name);
            }
        });
        self.prefixes.push(prefix);
        match twice {
            None => Ok(self),
            Some(name) => Err(format_error(self.path, format!("two parameters are named {name}"))),
        }
    }

    /// The shape of a leaf and its numbers, if there is one of this name.
    pub fn leaf(&self, name: &str) -> Option<(&[usize], Number)> {
        self.leaves.get(name).map(|(shape, number)| (shape.as_slice(), *number))
    }

    /// A comparison with what a file says of its arrays before their elements come.
    pub fn compare(&self) -> Comparison<'_> {
        Comparison {
            wanted: self,
            missing: self.leaves.keys().map(String::as_str).collect(),
            differences: Differences::default(),
        }
    }
}

/// What of a file has been compared so far.
pub(super) struct Comparison<'w> {
    wanted: &'w Wanted<'w>,
    missing: BTreeSet<&'w str>,
    differences: Differences,
}

impl Comparison<'_> {
    /// The file has an array of this name and shape. `foreign` are the type of its numbers and those that they should
    /// have, unless it is one of these.
    pub fn array(&mut self, name: &str, shape: &[usize], foreign: Option<[&str; 2]>) {
        match self.wanted.leaf(name) {
            None => {
                let known = self.wanted.prefixes.iter().any(|prefix| name.starts_with(prefix));
                let what = if known { "not a parameter" } else { "neither a parameter nor state" };
                self.differences.add(|| format!("{} is {what}", shown(name)));
            }
            Some(_) if !self.missing.remove(name) => self.twice(name),
            Some((wanted, _)) => {
                if let Some([holds, should]) = foreign {
                    let holds = shown(holds);
                    self.differences
                        .add(|| format!("{name} holds {holds} numbers, but should hold {should}"));
                }
                if wanted != shape {
                    self.differences
                        .add(|| format!("{name} has shape {} but should have {wanted:?}", axes(shape)));
                }
            }
        }
    }

    /// The file has two arrays of this name.
    pub fn twice(&mut self, name: &str) {
        self.differences.add(|| format!("{} is there twice", shown(name)));
    }

    /// Fails, with a list, unless the file has the arrays that are wanted, each once.
    pub fn finish(mut self) -> Result<()> {
        for name in self.missing {
            self.differences.add(|| format!("{name} is missing"));
        }
        match self.differences.into_text() {
            None => Ok(()),
            Some(text) => Err(format_error(self.wanted.path, text)),
        }
    }
}

/// A list of which a reader needs the beginning.
#[derive(Default)]
pub(super) struct Differences {
    first: Vec<String>,
    more: usize,
}

impl Differences {
    const SHOWN: usize = 20;

    pub fn add(&mut self, difference: impl FnOnce() -> String) {
        match self.first.len() < Self::SHOWN {
            true => self.first.push(difference()),
            false => self.more += 1,
        }
    }

    pub fn into_text(self) -> Option<String> {
        let text = self.first.join("; ");
        match (text.is_empty(), self.more) {
            (true, _) => None,
            (false, 0) => Some(text),
            (false, more) => Some(format!("{text}; … and {} more", thousands(more))),
        }
    }
}

/// A number with a comma between its thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A piece of a file, for a message: one line, and of something long the beginning.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 100;
    let escape = |part: &str| {
        let mut line = String::new();
        for c in part.chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        line
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text),
    }
}

/// A shape, for a message: of more axes than arrays have the first.
pub(super) fn axes(shape: &[usize]) -> String {
    const SHOWN: usize = 12;
    match shape.get(..SHOWN) {
        Some(first) if shape.len() > SHOWN => {
            let first: Vec<String> = first.iter().map(usize::to_string).collect();
            format!("[{}, … {} axes]", first.join(", "), thousands(shape.len()))
        }
        _ => format!("{shape:?}"),
    }
}
