//! Sentiment treebanks: binary trees in the Penn Treebank's brackets, with a label at every node.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{quoted, read_lines, wrong_line};
use crate::error::Result;
use crate::language::control::Tree;

/// How many labels there are: 0 (very negative) to 4 (very positive), as in the Stanford Sentiment Treebank (Socher
/// et al., *Recursive deep models for semantic compositionality over a sentiment treebank*, 2013).
pub const LABELS: usize = 5;

/// Nodes may be nested so deep; it keeps what is recursive over trees far from the end of any stack.
const DEEPEST: usize = 1000;

/// A line is no longer than this, in bytes: sentences have some hundred words, and each node some ten bytes.
const LONGEST: usize = 1 << 20;

/// A labelled binary tree over the words of a [`Treebank`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentimentTree {
    /// 0 to 4.
    pub label: u8,
    /// A word, or two subtrees.
    pub content: Content,
}

/// What a node consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A leaf: the number of a word.
    Word(usize),
    /// Two subtrees, left and right.
    Phrase(Box<[SentimentTree; 2]>),
}

impl Tree for SentimentTree {
    fn children(&self) -> &[SentimentTree] {
        match &self.content {
            Content::Word(_) => &[],
            Content::Phrase(children) => &children[..],
        }
    }
}

impl SentimentTree {
    /// Calls `f` on every node: children before their parent, left before right.
    pub fn visit(&self, f: &mut impl FnMut(&SentimentTree)) {
        self.children().iter().for_each(|child| child.visit(f));
        f(self);
    }

    /// The words from left to right.
    pub fn words(&self) -> Vec<usize> {
        let mut words = Vec::new();
        self.visit(&mut |node| {
            if let Content::Word(word) = node.content {
                words.push(word);
            }
        });
        words
    }

    /// The labels of all nodes in the order of [`visit`](SentimentTree::visit); the root's is the last.
    pub fn labels(&self) -> Vec<u8> {
        let mut labels = Vec::new();
        self.visit(&mut |node| labels.push(node.label));
        labels
    }
}

/// Trees, and the words they are over, numbered in the order of their first appearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Treebank {
    words: Vec<String>,
    trees: Vec<SentimentTree>,
}

impl Treebank {
    /// Reads a file with one tree a line, like `(3 (2 good) (2 film))`. Empty lines are skipped.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be read; [`Error::Format`](crate::Error::Format) with the line and
    /// the column for brackets that do not match, labels other than 0 to 4, and nodes that are neither a word nor two
    /// subtrees; for a line of more than a MiB; and for a file without trees.
    pub fn open(path: impl AsRef<Path>) -> Result<Treebank> {
        let path = path.as_ref();
        let mut bank = Builder::default();
        read_lines(path, LONGEST, |number, line| {
            let line = std::str::from_utf8(line).map_err(|error| {
                wrong_line(path, number, format!("byte {} is not UTF-8", error.valid_up_to() + 1))
            })?;
            bank.add(line).map_err(|reason| wrong_line(path, number, reason))
        })?;
        bank.finish(path)
    }

    /// The same from memory; `source` is what error messages call it.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) as for [`open`](Treebank::open).
    pub fn parse(source: impl Into<PathBuf>, text: &str) -> Result<Treebank> {
        let source = source.into();
        let mut bank = Builder::default();
        for (i, line) in text.lines().enumerate() {
            bank.add(line).map_err(|reason| wrong_line(&source, i + 1, reason))?;
        }
        bank.finish(&source)
    }

    /// The word of each number.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The trees in the order of the file; at least one.
    pub fn trees(&self) -> &[SentimentTree] {
        &self.trees
    }

    /// All trees in brackets, one a line: what [`parse`](Treebank::parse) reads.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for tree in &self.trees {
            self.bracket(tree, &mut text);
            text.push('\n');
        }
        text
    }

    fn bracket(&self, tree: &SentimentTree, text: &mut String) {
        write!(text, "({} ", tree.label).expect("a String takes everything");
        match &tree.content {
            Content::Word(word) => text.push_str(&self.words[*word]),
            Content::Phrase(children) => {
                self.bracket(&children[0], text);
                text.push(' ');
                self.bracket(&children[1], text);
            }
        }
        text.push(')');
    }
}

/// A treebank that grows line by line.
#[derive(Default)]
pub(super) struct Builder {
    words: Vec<String>,
    numbers: HashMap<String, usize>,
    trees: Vec<SentimentTree>,
}

/// A node whose closing bracket has not come yet.
struct Open {
    label: u8,
    column: usize,
    word: Option<usize>,
    children: Vec<SentimentTree>,
}

impl Builder {
    fn number(&mut self, word: &str) -> usize {
        if let Some(&number) = self.numbers.get(word) {
            return number;
        }
        self.words.push(word.to_string());
        self.numbers.insert(word.to_string(), self.words.len() - 1);
        self.words.len() - 1
    }

    /// Takes a line, or says what is wrong with it and where.
    pub(super) fn add(&mut self, line: &str) -> Result<(), String> {
        let mut open: Vec<Open> = Vec::new();
        let mut done = None;
        let mut tokens = tokens(line).peekable();
        while let Some((column, token)) = tokens.next() {
            if done.is_some() && token != ")" {
                return Err(format!("column {column}: {} after the end of the tree", quoted(token)));
            }
            match token {
                "(" if open.len() == DEEPEST => {
                    return Err(format!("column {column}: nested deeper than {DEEPEST}"));
                }
                "(" => {
                    let label = tokens.next_if(|(_, token)| !matches!(*token, "(" | ")"));
                    let label = label.map_or(Err("nothing".into()), |(_, token)| {
                        label_of(token).ok_or_else(|| quoted(token))
                    });
                    let label = label.map_err(|found| {
                        format!("column {column}: {found} where a label from 0 to 4 should be")
                    })?;
                    open.push(Open { label, column, word: None, children: Vec::new() });
                }
                ")" => {
                    let Some(node) = open.pop() else {
                        return Err(format!("column {column}: ')' without its '('"));
                    };
                    let tree = close(node)?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(tree),
                        None => done = Some(tree),
                    }
                }
                word => {
                    let Some(node) = open.last_mut() else {
                        return Err(format!("column {column}: {} outside of brackets", quoted(word)));
                    };
                    if node.word.is_some() || !node.children.is_empty() {
                        let word = quoted(word);
                        return Err(format!("column {column}: {word} is not the only content of its node"));
                    }
                    node.word = Some(self.number(word));
                }
            }
        }
        if let Some(node) = open.last() {
            return Err(format!(
                "the line ends with {} open; the last '(' without its ')' is in column {}",
                if open.len() == 1 { "a bracket".into() } else { format!("{} brackets", open.len()) },
                node.column
            ));
        }
        self.trees.extend(done);
        Ok(())
    }

    pub(super) fn finish(self, source: &Path) -> Result<Treebank> {
        match self.trees.is_empty() {
            true => Err(super::wrong_file(source, "there is no tree".into())),
            false => Ok(Treebank { words: self.words, trees: self.trees }),
        }
    }
}

fn close(node: Open) -> Result<SentimentTree, String> {
    let Open { label, column, word, children } = node;
    let count = children.len();
    let content = match (word, <[SentimentTree; 2]>::try_from(children)) {
        (Some(word), Err(none)) if none.is_empty() => Content::Word(word),
        (None, Ok(children)) => Content::Phrase(Box::new(children)),
        (Some(_), _) => {
            return Err(format!("column {column}: a node with a word and {count} subtrees"));
        }
        (None, Err(_)) => {
            return Err(format!("column {column}: a node with {count} subtrees, which should be two"));
        }
    };
    Ok(SentimentTree { label, content })
}

fn label_of(token: &str) -> Option<u8> {
    match token.as_bytes() {
        [digit @ b'0'..=b'4'] => Some(digit - b'0'),
        _ => None,
    }
}

/// Brackets and what stands between them and blanks, each with its column, counted from one in characters.
fn tokens(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = line;
    let mut column = 1;
    std::iter::from_fn(move || {
        let trimmed = rest.trim_start();
        column += rest[..rest.len() - trimmed.len()].chars().count();
        let first = trimmed.chars().next()?;
        let length = match first {
            '(' | ')' => 1,
            _ => trimmed.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(trimmed.len()),
        };
        let (token, after) = trimmed.split_at(length);
        let at = column;
        column += token.chars().count();
        rest = after;
        Some((at, token))
    })
}
