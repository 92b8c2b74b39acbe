//! A treebank that is generated: sentences whose sentiment has to be composed.

use super::treebank::{Builder, Treebank};
use crate::nn::Rng;

/// Words of polarity −2, −1, 0, 1 and 2.
const WORDS: [&[&str]; 5] = [
    &["terrible", "awful", "unbearable", "dreadful"],
    &["bad", "dull", "weak", "clumsy", "tedious"],
    &["long", "short", "recent", "french", "loud"],
    &["good", "funny", "warm", "clever", "charming"],
    &["superb", "brilliant", "wonderful", "masterly"],
];
const SUBJECTS: [&[&str]; 2] =
    [&["the", "this", "its", "every"], &["film", "plot", "cast", "ending", "music", "director"]];
const NEGATIONS: [&str; 3] = ["not", "never", "hardly"];
const INTENSIFIERS: [&str; 3] = ["very", "truly", "extremely"];
const DIMINISHERS: [&str; 2] = ["slightly", "somewhat"];

/// A phrase in brackets and its polarity, from −2 to 2.
struct Phrase {
    text: String,
    polarity: i32,
}

impl Treebank {
    /// So many generated trees; the same for the same seed.
    ///
    /// The labels follow from the words by rules: a negation turns `±1` and `±2` into `∓1`; an intensifier turns `±1`
    /// into `±2`, a diminisher `±2` into `±1`; what follows a *but* outweighs what precedes it; *and* joins to the sum,
    /// limited to `±2`. Modifiers are stacked: *not very good* is `not(very(good))`. So no word decides, and a model
    /// has to learn to compose.
    ///
    /// # Panics
    /// If `count` is zero.
    pub fn generate(count: usize, seed: u64) -> Treebank {
        let mut rng = Rng::new(seed);
        let mut bank = Builder::default();
        for _ in 0..count {
            let sentence = sentence(&mut rng);
            bank.add(&sentence.text).expect("a sentence of the grammar is well-formed");
        }
        bank.finish("the generated treebank".as_ref()).expect("at least one tree")
    }
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[(rng.uniform() * from.len() as f64) as usize]
}

fn leaf(word: &str, polarity: i32) -> Phrase {
    Phrase { text: format!("({} {word})", polarity + 2), polarity }
}

fn join(left: Phrase, right: Phrase, polarity: i32) -> Phrase {
    Phrase { text: format!("({} {} {})", polarity + 2, left.text, right.text), polarity }
}

/// Up to three clauses.
fn sentence(rng: &mut Rng) -> Phrase {
    let first = clause(rng);
    let draw = rng.uniform();
    if draw < 0.4 {
        return first;
    }
    let rest = if draw < 0.85 { clause(rng) } else { sentence(rng) };
    let but = rng.uniform() < 0.5;
    let polarity =
        if but { outweigh(first.polarity, rest.polarity) } else { sum(first.polarity, rest.polarity) };
    let rest_polarity = rest.polarity;
    let conjunction = leaf(if but { "but" } else { "and" }, 0);
    join(first, join(conjunction, rest, rest_polarity), polarity)
}

/// "the film is not very good".
fn clause(rng: &mut Rng) -> Phrase {
    let subject = join(leaf(pick(rng, SUBJECTS[0]), 0), leaf(pick(rng, SUBJECTS[1]), 0), 0);
    let what = description(rng);
    let polarity = what.polarity;
    join(subject, join(leaf("is", 0), what, polarity), polarity)
}

/// A word under up to three modifiers.
fn description(rng: &mut Rng) -> Phrase {
    let polarity = (rng.uniform() * 5.0) as i32 - 2;
    let mut phrase = leaf(pick(rng, WORDS[(polarity + 2) as usize]), polarity);
    for _ in 0..3 {
        let draw = rng.uniform();
        let polarity = phrase.polarity;
        phrase = if draw < 0.25 {
            join(leaf(pick(rng, &NEGATIONS), 0), phrase, -polarity.signum())
        } else if draw < 0.45 {
            join(leaf(pick(rng, &INTENSIFIERS), 0), phrase, 2 * polarity.signum())
        } else if draw < 0.55 {
            join(leaf(pick(rng, &DIMINISHERS), 0), phrase, polarity.signum())
        } else {
            break;
        };
    }
    phrase
}

fn sum(a: i32, b: i32) -> i32 {
    (a + b).clamp(-2, 2)
}

fn outweigh(a: i32, b: i32) -> i32 {
    if b == 0 { a.signum() } else { b }
}
