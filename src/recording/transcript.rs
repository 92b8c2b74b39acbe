//! [`Transcript`]: what a model recorded, line by line, so that another recording of it can be compared.

use std::hash::{DefaultHasher, Hash, Hasher};

use antiphon_staging::{Expr, Name, Program, Scalar, Stmt};

use crate::error::{At, Error, Result};

/// What is kept of each statement of a recording, in the order of the program's text, and of each block's results.
pub(crate) struct Transcript(Vec<Entry>);

struct Entry {
    /// Of all that the statement is.
    hash: u64,
    what: What,
    /// Where it was recorded, if it binds the value of an operator.
    line: Option<At>,
}

/// What a statement is, for messages.
#[derive(Clone, Copy, PartialEq)]
enum What {
    /// The number of a literal, or what an array is filled with.
    Number(Scalar),
    Operator(&'static str),
    Other,
}

impl Transcript {
    pub(super) fn of(program: &Program) -> Transcript {
        let mut entries = Vec::new();
        for block in program.reachable() {
            let block = &program.blocks[block];
            entries.extend(block.stmts.iter().map(|stmt| Entry {
                hash: hash(stmt),
                what: match stmt {
                    Stmt::Let(_, Expr::Fill { value, .. }) => What::Number(*value),
                    Stmt::Let(_, expr) => What::Operator(expr.name()),
                    _ => What::Other,
                },
                line: stmt.results().first().and_then(|&value| program.values[value].origin.line).map(At::of),
            }));
            entries.push(Entry { hash: hash(&block.results), what: What::Other, line: None });
        }
        Transcript(entries)
    }

    /// That another recording, of the model called `whole`, is the same.
    ///
    /// # Errors
    /// [`Error::Recording`] with the first line that records something else; `at` is where it was run, for what no
    /// operator recorded.
    pub(crate) fn check<Q>(&self, whole: &str, other: &super::Traced<Q>, at: At) -> Result<()> {
        let others = other.transcript();
        let same = self.0.iter().zip(&others.0).take_while(|(was, is)| was.hash == is.hash).count();
        let (was, is) = (self.0.get(same), others.0.get(same));
        if was.is_none() && is.is_none() {
            return Ok(());
        }
        let before = others.0[..same].iter().rev();
        let at = is.into_iter().chain(was).chain(before).find_map(|entry| entry.line).unwrap_or(at);
        let name = named_number(&other.program, same);
        let difference = match (was.map_or(What::Other, |entry| entry.what), is.map(|entry| entry.what)) {
            (What::Number(was), Some(What::Number(is))) if was != is => {
                format!("{} was {was}, and is {is} now", name.unwrap_or_else(|| "a constant".into()))
            }
            (What::Operator("array"), Some(What::Operator("array"))) => {
                "a constant array had other elements than now".into()
            }
            (What::Operator(was), Some(What::Operator(is))) if was != is => {
                format!("an operator was `{was}`, and is `{is}` now")
            }
            (What::Operator(was), Some(What::Operator(_))) => {
                format!("`{was}` had other operands or constants than now")
            }
            _ => "the operators were others than now".into(),
        };
        let reason = format!(
            "{whole} is no longer what was compiled: {difference}. What it captures or reads from elsewhere is a \
             constant of the compiled code: pass what changes as an input, a learning rate or the seed of random \
             numbers for example"
        );
        Err(Error::Recording { reason, at })
    }
}

fn hash(x: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    x.hash(&mut hasher);
    hasher.finish()
}

/// The name that the source gave the value which the entry of this number binds.
fn named_number(program: &Program, entry: usize) -> Option<String> {
    let mut place = entry;
    for block in program.reachable() {
        let stmts = &program.blocks[block].stmts;
        if let Some(stmt) = stmts.get(place) {
            return stmt.results().first().and_then(|&value| match &program.values[value].name {
                Some(Name::Given(name)) => Some(format!("`{name}`")),
                _ => None,
            });
        }
        place = place.checked_sub(stmts.len() + 1)?;
    }
    None
}
