//! Measures of how well a model does: over any interpretation, so that they may be results of a compiled step.

use crate::continuation::unwinding::{OrRaise, operator, raise};
use crate::error::{At, Error};
use crate::language::real::Int;
use crate::language::tensor::{IntTensor, Tensor};

/// Which part of the rows of logits `[.., classes]` have their largest element at the target, `[..]`: a scalar,
/// constant. Of equals the first counts; of no rows it is NaN.
///
/// # Errors
/// Raises [`Error::Shape`] if there is not one target for each row.
#[track_caller]
pub fn accuracy<T: Tensor>(logits: &T, targets: &T::Int) -> T {
    T::from_mask(&logits.argmax(-1).equal(targets)).mean(..)
}

/// Which part of rows `[batch, classes]` of logits is classified right, and is so whatever is added to its input that
/// is no longer than a radius, in the Euclidean norm: those whose right logit is more than `√2·L·radius` larger than
/// all others, where `L` is an upper bound of the logits' Lipschitz constant by the input (Tsuzuku, Sato & Sugiyama,
/// *Lipschitz-margin training*, 2018, proposition 1).
///
/// ```
/// use antiphon::optim::metrics::certified_accuracy;
/// use antiphon::{NdArray, NdInt, Tensor};
/// let logits = NdArray::<f64>::from_elements(&[2, 2], &[3.0, 0.0, 1.0, 0.0])?;
/// let targets = NdInt::from(vec![0, 0]);
/// // Two of the first one's logits may come nearer to each other by √2·1·2 at most.
/// assert_eq!(certified_accuracy(&logits, &targets, 1.0, 2.0).item(), 0.5);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// Raises [`Error::Argument`] for a bound or a radius that is negative or no number, and [`Error::Index`] for a target
/// that is no class.
#[track_caller]
pub fn certified_accuracy<T: Tensor>(logits: &T, targets: &T::Int, lipschitz: f64, radius: f64) -> T {
    let at = At::caller();
    for (name, x) in [("a Lipschitz constant", lipschitz), ("a radius", radius)] {
        if x < 0.0 || x.is_nan() {
            raise(Error::Argument { op: "certified_accuracy", reason: format!("{name} of {x}"), at });
        }
    }
    operator(at, || {
        let classes = logits.shape().last().copied().unwrap_or(0);
        let right = T::one_hot(targets, classes).greater(&T::constant(0.5));
        let others = T::select(&right, &T::constant(f64::NEG_INFINITY), logits).max(-1);
        let margin = logits.gather_last(targets) - others;
        // Each rounded upwards, so that no tie counts.
        let least = (std::f64::consts::SQRT_2 * lipschitz).next_up() * radius;
        T::from_mask(&margin.greater(&T::constant(least.next_up()))).mean(..)
    })
}

/// How often each class was predicted for each: `[classes, classes]` counts, with a row for each class of the targets
/// and a column for each that was predicted (scikit-learn's `confusion_matrix`). Counts of batches may be added up.
///
/// # Errors
/// Raises [`Error::Index`] for what is no class, and [`Error::Shape`] if
/// there is not one target for each prediction.
#[track_caller]
pub fn confusion<T: Tensor>(predicted: &T::Int, targets: &T::Int, classes: usize) -> T {
    operator(At::caller(), || {
        let rows = |of: &T::Int| {
            let count = of.shape().iter().product();
            T::ones(&[count]).scatter_last(&of.reshape(&[count]), classes)
        };
        rows(targets).transpose().matmul(&rows(predicted))
    })
}

/// Precision, recall and F₁ of each class, `[classes]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores<T> {
    /// Which part of those that were predicted to be of the class are of it.
    pub precision: T,
    /// Which part of those that are of the class were predicted to be.
    pub recall: T,
    /// The harmonic mean of both, `2·t/(2·t + wrong + missed)`.
    pub f1: T,
}

/// Precision, recall and F₁ of each class from a [confusion matrix](confusion), `[classes, classes]`. What would be 0/0
/// is 0, as scikit-learn has it. Their means over all classes are what is called macro averages.
///
/// # Errors
/// Raises [`Error::Operand`] if it is no square matrix.
#[track_caller]
pub fn scores<T: Tensor>(confusion: &T) -> Scores<T> {
    let shape = confusion.shape();
    let classes = match shape[..] {
        [rows, columns] if rows == columns => rows,
        _ => {
            let reason = "a confusion matrix has as many rows as columns".into();
            raise(Error::Operand { op: "scores", shape: shape[..].into(), reason, at: At::caller() })
        }
    };
    let diagonal: Vec<i64> = (0..classes as i64).collect();
    let right = confusion.gather_last(&T::Int::from_elements(&[classes], &diagonal).or_raise());
    let (predicted, there) = (confusion.sum(0), confusion.sum(1));
    Scores {
        precision: ratio(&right, &predicted),
        recall: ratio(&right, &there),
        f1: ratio(&(right.clone() * 2.0), &(predicted + there)),
    }
}

/// `part/whole`, 0 where the whole is.
#[track_caller]
fn ratio<T: Tensor>(part: &T, whole: &T) -> T {
    let nothing = whole.equal(&T::constant(0.0));
    T::select(&nothing, &T::constant(0.0), &(part.clone() / T::select(&nothing, &T::constant(1.0), whole)))
}

/// The mean of what has come so far, each with its weight: of a loss over batches of several sizes.
///
/// ```
/// use antiphon::optim::metrics::RunningMean;
/// let mut loss = RunningMean::default();
/// loss.add(2.0, 3.0);
/// loss.add(6.0, 1.0);
/// assert_eq!(loss.mean(), Some(3.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningMean {
    mean: f64,
    weight: f64,
}

impl RunningMean {
    /// Takes another value; the weight is the number of rows that it is a mean of, say.
    pub fn add(&mut self, value: f64, weight: f64) {
        self.weight += weight;
        if weight != 0.0 {
            // West, *Updating mean and variance estimates*, 1979: nothing grows with the number of values.
            self.mean += (value - self.mean) * (weight / self.weight);
        }
    }

    /// The mean, if anything has come.
    pub fn mean(&self) -> Option<f64> {
        (self.weight != 0.0).then_some(self.mean)
    }
}
