//! Decoders: labels from a network's outputs, on arrays of numbers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::array::{Float, NdArray, NdInt};
use crate::error::{At, Error, Result};
use crate::language::real::Real;
use crate::language::tensor::{IntTensor, Tensor};

/// The labels of the most probable class at each step, without repetitions and blanks, of each sequence: outputs
/// `[time, batch, classes]`, probabilities or logarithms of them or logits, and lengths `[batch]`. The most probable
/// alignment, which need not be one of the most probable labels.
///
/// # Errors
/// [`Error::Operand`] and [`Error::Shape`] for arrays of other shapes; [`Error::Argument`] if the blank is no class,
/// or a length is not from none to all steps.
///
/// ```
/// use antiphon::nn::ctc::greedy;
/// use antiphon::{NdArray, NdInt, Tensor};
/// // a a – a b, where – is the blank.
/// let outputs = [[0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]];
/// let outputs = NdArray::<f32>::from_elements(&[5, 1, 3], &outputs.concat())?;
/// assert_eq!(greedy(&outputs, &NdInt::from(vec![5]), 0)?, [[1, 1, 2]]);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[track_caller]
pub fn greedy<E: Float>(outputs: &NdArray<E>, lengths: &NdInt, blank: usize) -> Result<Vec<Vec<i64>>> {
    let rows = Rows::of(outputs, lengths, blank, At::caller())?;
    let decoded = |b: usize| {
        let (mut labels, mut last) = (Vec::new(), blank);
        for t in 0..rows.lengths[b] {
            let row = rows.at(t, b);
            let best = (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best });
            if best != last && best != blank {
                labels.push(best as i64);
            }
            last = best;
        }
        labels
    };
    Ok((0..rows.lengths.len()).map(decoded).collect())
}

/// The search for the most probable labels, of which each prefix is kept once, with the probabilities of all of its
/// alignments that end with a blank and of those that end with its last label (Hannun, Maas, Jurafsky & Ng, *First-pass
/// large vocabulary continuous speech recognition using bi-directional recurrent DNNs*, 2014, algorithm 1, without a
/// language model).
///
/// ```
/// use antiphon::nn::ctc::PrefixBeamSearch;
/// use antiphon::{NdArray, NdInt, Real, Tensor};
/// // At both steps nothing is more probable than `a`; but of all four alignments, three are `a`.
/// let outputs = NdArray::<f64>::from_elements(&[2, 1, 2], &[0.6, 0.4, 0.6, 0.4])?.log();
/// let best = PrefixBeamSearch { blank: 0, width: 8 }.decode(&outputs, &NdInt::from(vec![2]))?.remove(0);
/// assert_eq!((best[0].labels.as_slice(), best[1].labels.as_slice()), (&[1][..], &[][..]));
/// assert!((best[0].log_probability - 0.64f64.ln()).abs() < 1e-15);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixBeamSearch {
    /// The class that stands for no label.
    pub blank: usize,
    /// How many prefixes go on at each step. With all of them the result is exact.
    pub width: usize,
}

/// Labels that a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// The labels.
    pub labels: Vec<i64>,
    /// The logarithm of the probability of all alignments of them that were kept.
    pub log_probability: f64,
}

impl PrefixBeamSearch {
    /// For each sequence of a batch the transcripts that were kept to its end, the most probable first: of logarithms
    /// of probabilities `[time, batch, classes]` and lengths `[batch]`.
    ///
    /// # Errors
    /// As [`greedy`], and [`Error::Argument`] for a width of 0.
    #[track_caller]
    pub fn decode<E: Float>(
        &self,
        log_probabilities: &NdArray<E>,
        lengths: &NdInt,
    ) -> Result<Vec<Vec<Transcript>>> {
        let at = At::caller();
        if self.width == 0 {
            let reason = "a beam of width 0 keeps no prefix".into();
            return Err(Error::Argument { op: "prefix_beam_search", reason, at });
        }
        let rows = Rows::of(log_probabilities, lengths, self.blank, at)?;
        Ok((0..rows.lengths.len()).map(|b| self.search(&rows, b)).collect())
    }

    fn search(&self, rows: &Rows, b: usize) -> Vec<Transcript> {
        let mut prefixes = Prefixes::default();
        let mut beam = vec![Beam { prefix: Prefixes::EMPTY, ends: Ends { blank: 0.0, label: NEVER } }];
        for t in 0..rows.lengths[b] {
            let row = rows.at(t, b);
            let mut next = Candidates::default();
            for Beam { prefix, ends } in &beam {
                let last = prefixes.last(*prefix);
                next.of(*prefix).add_blank(ends.total() + row[self.blank]);
                for (label, &p) in row.iter().enumerate() {
                    if label == self.blank || p == NEVER {
                        continue;
                    }
                    let longer = match last == Some(label) {
                        // The same label again is merged, unless there is a blank between.
                        true => {
                            next.of(*prefix).add_label(ends.label + p);
                            ends.blank + p
                        }
                        false => ends.total() + p,
                    };
                    if longer > NEVER {
                        next.of(prefixes.longer(*prefix, label)).add_label(longer);
                    }
                }
            }
            beam = next.best(self.width);
        }
        let transcript = |beam: Beam| Transcript {
            labels: prefixes.labels(beam.prefix),
            log_probability: beam.ends.total(),
        };
        beam.into_iter().map(transcript).collect()
    }
}

/// The logarithm of no probability.
const NEVER: f64 = f64::NEG_INFINITY;

/// Logarithms of the probabilities of a prefix's alignments, by what they end with.
#[derive(Clone, Copy)]
struct Ends {
    blank: f64,
    label: f64,
}

impl Ends {
    fn total(&self) -> f64 {
        self.blank.logaddexp(&self.label)
    }
    fn add_blank(&mut self, p: f64) {
        self.blank = self.blank.logaddexp(&p);
    }
    fn add_label(&mut self, p: f64) {
        self.label = self.label.logaddexp(&p);
    }
}

struct Beam {
    prefix: usize,
    ends: Ends,
}

/// The prefixes of the next step, in the order in which they were found, which does not depend on a hash.
#[derive(Default)]
struct Candidates {
    found: Vec<Beam>,
    places: HashMap<usize, usize>,
}

impl Candidates {
    fn of(&mut self, prefix: usize) -> &mut Ends {
        let place = *self.places.entry(prefix).or_insert(self.found.len());
        if place == self.found.len() {
            self.found.push(Beam { prefix, ends: Ends { blank: NEVER, label: NEVER } });
        }
        &mut self.found[place].ends
    }

    /// The most probable ones, in order.
    fn best(self, width: usize) -> Vec<Beam> {
        let mut all: Vec<(f64, Beam)> =
            self.found.into_iter().map(|beam| (beam.ends.total(), beam)).collect();
        all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        all.into_iter().take(width).map(|(_, beam)| beam).collect()
    }
}

/// Prefixes by number, each by that of the one before its last label.
#[derive(Default)]
struct Prefixes {
    /// Of each but the empty one, which is number 0.
    steps: Vec<(usize, usize)>,
    numbers: HashMap<(usize, usize), usize>,
}

impl Prefixes {
    const EMPTY: usize = 0;

    fn last(&self, prefix: usize) -> Option<usize> {
        Some(self.steps[prefix.checked_sub(1)?].1)
    }

    fn longer(&mut self, prefix: usize, label: usize) -> usize {
        match self.numbers.entry((prefix, label)) {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(place) => {
                self.steps.push((prefix, label));
                *place.insert(self.steps.len())
            }
        }
    }

    fn labels(&self, mut prefix: usize) -> Vec<i64> {
        let mut labels = Vec::new();
        while prefix != Prefixes::EMPTY {
            let (before, label) = self.steps[prefix - 1];
            labels.push(label as i64);
            prefix = before;
        }
        labels.reverse();
        labels
    }
}

/// The outputs of a batch.
struct Rows {
    elements: Vec<f64>,
    lengths: Vec<usize>,
    classes: usize,
}

impl Rows {
    fn of<E: Float>(outputs: &NdArray<E>, lengths: &NdInt, blank: usize, at: At) -> Result<Rows> {
        let op = "ctc decoder";
        let (shape, of_lengths) = (outputs.shape(), IntTensor::shape(lengths));
        let &[time, batch, classes] = shape.as_slice() else {
            let reason = "should be [time, batch, classes]".into();
            return Err(Error::Operand { op, shape: shape[..].into(), reason, at });
        };
        if of_lengths[..] != [batch] {
            return Err(Error::Shape { op, lhs: shape[..].into(), rhs: of_lengths[..].into(), at });
        }
        if blank >= classes {
            let reason = format!("the blank is {blank}, which is no class of {classes}");
            return Err(Error::Argument { op, reason, at });
        }
        let known = lengths.elements().unwrap_or_default();
        if let Some(b) = known.iter().position(|&length| !(0..=time as i64).contains(&length)) {
            let reason = format!("lengths[{b}] is {}, which is not from 0 to {time}", known[b]);
            return Err(Error::Argument { op, reason, at });
        }
        let elements = outputs.view().iter().map(|x| x.to_f64()).collect();
        Ok(Rows { elements, lengths: known.into_iter().map(|length| length as usize).collect(), classes })
    }

    /// The outputs of a step of a sequence.
    fn at(&self, t: usize, b: usize) -> &[f64] {
        let begin = (t * self.lengths.len() + b) * self.classes;
        &self.elements[begin..begin + self.classes]
    }
}
