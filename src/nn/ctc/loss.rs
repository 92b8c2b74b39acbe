//! The loss: the probability of a transcript, summed over all of its alignments.

use crate::continuation::is_trial;
use crate::continuation::unwinding::{OrRaise, operator, raise};
use crate::error::{At, Error};
use crate::language::real::{Int, Mask};
use crate::language::state::chosen;
use crate::language::tensor::{IntTensor, Tensor};
use crate::nn::loss::Reduction;
use crate::sealed::INTERNAL;

const OP: &str = "ctc";

/// The logarithm of an impossible alignment's probability. It is finite, so that neither sums nor differences of it are
/// NaN, in any derivative; and sums of 10⁸ of it are finite in single precision too.
const IMPOSSIBLE: f64 = -1e30;
/// What lies below this is made [`IMPOSSIBLE`] where it comes in.
const LEAST: f64 = -1e20;
/// What lies below this is impossible where it comes out.
const POSSIBLE: f64 = -1e29;

/// Connectionist temporal classification (Graves, Fernández, Gomez & Schmidhuber, *Connectionist temporal
/// classification*, 2006, §4.1); `torch.nn.functional.ctc_loss`. With `π` all sequences of classes, one a step, that
/// are the target once repetitions are merged and then blanks are removed, the loss of a sequence is
///
/// ```text
/// −ln Σ_π Π_t p_t(π_t)
/// ```
///
/// It is one scan over the steps, on all states of all sequences at once, in logarithms. Lengths and targets are data,
/// so a compiled step serves all batches of one padded shape.
///
/// ```
/// use antiphon::nn::ctc::Ctc;
/// use antiphon::nn::loss::Reduction;
/// use antiphon::{IntTensor, NdArray, NdInt, Tensor};
/// // Two steps over the blank and one letter, all equally likely: of four alignments, three are that letter.
/// let log_probabilities = NdArray::<f64>::zeros(&[2, 1, 2]).log_softmax(-1);
/// let (targets, lengths) = (NdInt::from_elements(&[1, 1], &[1])?, [NdInt::from(vec![2]), NdInt::from(vec![1])]);
/// let loss = Ctc::default().of(&log_probabilities, &targets, &lengths[0], &lengths[1], Reduction::Mean);
/// assert!((loss.item() + 0.75f64.ln()).abs() < 1e-15);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ctc {
    /// The class that stands for no label.
    pub blank: usize,
    /// Whether a target that has no alignment, being too long for its input, has loss 0 in place of ∞. Its derivative
    /// is 0 in both cases. (PyTorch's is NaN where the loss is ∞.)
    pub zero_infinity: bool,
}

impl Ctc {
    /// The loss of logarithms of probabilities `[time, batch, classes]` with targets `[batch, longest]`, of which the
    /// first `input_lengths: [batch]` steps and `target_lengths: [batch]` labels count; what stands behind these is
    /// never looked at. The mean is that of the losses divided by the lengths of their targets (by 1 if there is none),
    /// as PyTorch's.
    ///
    /// Logarithms of probabilities below −10²⁰ count as −∞; they have derivative 0, as do steps that do not count.
    ///
    /// The derivative by the logarithm of a probability is minus the probability that an alignment of the target has
    /// this class at this step. PyTorch's gives `p` more, since it takes the operand to come from `log_softmax`, whose
    /// derivative takes it away again: derivatives by the logits are the same.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] and [`Error::Shape`] for operands of other shapes, [`Error::Argument`] if the blank is
    /// no class. Where a length is not from none to all, or a label that counts is no class or the blank, raises
    /// [`Error::Argument`] with its position; where targets are not known yet, as in compiled code and on the rows of a
    /// batch, [`Error::Ensure`] without.
    #[track_caller]
    pub fn of<T: Tensor>(
        &self,
        log_probabilities: &T,
        targets: &T::Int,
        input_lengths: &T::Int,
        target_lengths: &T::Int,
        reduction: Reduction,
    ) -> T {
        let at = At::caller();
        let sizes = self.sizes(log_probabilities, targets, [input_lengths, target_lengths], at);
        let task = Task { sizes, targets, input_lengths, target_lengths };
        task.check(at);
        operator(at, || {
            let likelihood = task.log_likelihood(log_probabilities, at);
            let losses = self.losses(&likelihood);
            match reduction {
                Reduction::Mean => {
                    let lengths = T::from_int(&target_lengths.maximum(&T::Int::constant(1)));
                    (losses / lengths).mean(..)
                }
                Reduction::Sum => losses.sum(..),
                Reduction::None => losses,
            }
        })
    }

    #[track_caller]
    fn losses<T: Tensor>(&self, likelihood: &T) -> T {
        let otherwise = if self.zero_infinity { 0.0 } else { f64::INFINITY };
        let possible = likelihood.greater(&T::constant(POSSIBLE));
        T::select(&possible, &-likelihood.clone(), &T::constant(otherwise))
    }

    fn sizes<T: Tensor>(&self, x: &T, targets: &T::Int, lengths: [&T::Int; 2], at: At) -> Sizes {
        let (of_x, of_targets) = (x.shape(), targets.shape());
        let operand = |shape: &[usize], expected: &str| {
            raise(Error::Operand { op: OP, shape: shape.into(), reason: format!("should be {expected}"), at })
        };
        let &[time, batch, classes] = of_x.as_slice() else { operand(&of_x, "[time, batch, classes]") };
        let &[rows, longest] = of_targets.as_slice() else {
            operand(&of_targets, "targets, [batch, longest]")
        };
        if rows != batch {
            raise(Error::Shape { op: OP, lhs: of_x[..].into(), rhs: of_targets[..].into(), at });
        }
        for length in lengths {
            if length.shape()[..] != [batch] {
                raise(Error::Shape { op: OP, lhs: of_x[..].into(), rhs: length.shape()[..].into(), at });
            }
        }
        if self.blank >= classes {
            let reason = format!("the blank is {}, which is no class of {classes}", self.blank);
            raise(Error::Argument { op: OP, reason, at });
        }
        Sizes { time, batch, classes, longest, blank: self.blank }
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    time: usize,
    batch: usize,
    classes: usize,
    longest: usize,
    blank: usize,
}

/// The integers of a loss, and all sizes.
struct Task<'a, T: Tensor> {
    sizes: Sizes,
    /// `[batch, longest]`.
    targets: &'a T::Int,
    /// `[batch]`, both.
    input_lengths: &'a T::Int,
    target_lengths: &'a T::Int,
}

impl<T: Tensor> Task<'_, T> {
    /// Raises unless lengths are within the arrays, and labels that count are classes.
    fn check(&self, at: At) {
        let Sizes { time, batch, classes, longest, blank } = self.sizes;
        let known = (self.targets.elements(), self.input_lengths.elements(), self.target_lengths.elements());
        if let (Some(targets), Some(inputs), Some(lengths)) = known
            && !is_trial()
        {
            let refuse = |reason: String| raise(Error::Argument { op: OP, reason, at });
            for (name, lengths, most) in [("input", &inputs, time), ("target", &lengths, longest)] {
                for (b, &length) in lengths.iter().enumerate() {
                    if !(0..=most as i64).contains(&length) {
                        refuse(format!("{name}_lengths[{b}] is {length}, which is not from 0 to {most}"));
                    }
                }
            }
            for (b, &length) in lengths.iter().enumerate() {
                for (i, &label) in targets[b * longest..][..length as usize].iter().enumerate() {
                    if !(0..classes as i64).contains(&label) {
                        refuse(format!("targets[{b}, {i}] is {label}, which is no class of {classes}"));
                    }
                    if label == blank as i64 {
                        refuse(format!("targets[{b}, {i}] is {label}, which is the blank"));
                    }
                }
            }
            return;
        }
        let number = |n: usize| T::Int::constant(n as i64);
        let within = |x: &T::Int, most: usize| x.greater_equal(&number(0)).and(&x.less_equal(&number(most)));
        operator(at, || {
            let fit = within(self.input_lengths, time);
            T::ensure_at(
                INTERNAL,
                at,
                &fit,
                "ctc: the lengths of inputs are numbers of steps, from none to all",
            );
            let fit = within(self.target_lengths, longest);
            T::ensure_at(
                INTERNAL,
                at,
                &fit,
                "ctc: the lengths of targets are numbers of labels, from none to all",
            );
            if longest > 0 {
                let steps: Vec<i64> = (0..longest as i64).collect();
                let steps = T::Int::from_elements(&[1, longest], &steps).or_raise();
                let behind = steps.greater_equal(&self.target_lengths.reshape(&[batch, 1]));
                let label = self.targets.greater_equal(&number(0)).and(&self.targets.less(&number(classes)));
                let label = label.and(&self.targets.not_equal(&number(blank)));
                let message = "ctc: labels of targets are classes other than the blank";
                T::ensure_at(INTERNAL, at, &label.or(&behind), message);
            }
        });
    }

    /// The label before each blank, `[batch, longest + 1]`: that of the first one is no label, like those behind the
    /// target; as classes that there are. With them, whether it is a label, and whether it is another one than the
    /// label before it, so that no blank need stand between them.
    #[track_caller]
    fn labels(&self) -> (T::Int, T::Bool, T::Bool) {
        let Sizes { batch, longest, .. } = self.sizes;
        let states = longest + 1;
        let counting: Vec<i64> = (0..states as i64).collect();
        let numbers = T::Int::from_elements(&[1, states], &counting).or_raise();
        let counts = numbers
            .greater(&T::Int::constant(0))
            .and(&numbers.less_equal(&self.target_lengths.reshape(&[batch, 1])));
        if longest == 0 {
            let none = T::Int::from_elements(&[batch, 1], &vec![0; batch]).or_raise();
            return (none, counts.clone(), counts);
        }
        let flat = self.targets.reshape(&[batch * longest]);
        let places = |back: usize| -> Vec<i64> {
            let place = |i: usize| (i / states * longest + (i % states).saturating_sub(back)) as i64;
            (0..batch * states).map(place).collect()
        };
        // (Not in a closure: it would not know its caller.)
        let label = flat.gather_rows(&T::Int::from_elements(&[batch, states], &places(1)).or_raise());
        let before = flat.gather_rows(&T::Int::from_elements(&[batch, states], &places(2)).or_raise());
        let differs = label.not_equal(&before).and(&numbers.greater(&T::Int::constant(1)));
        (T::Int::select(&counts, &label, &T::Int::constant(0)), counts, differs)
    }

    /// `ln Σ_π Π p`, `[batch]`, or less than [`POSSIBLE`].
    ///
    /// The states are those before and after each label, of which the blanks and the labels are two arrays `[batch,
    /// longest + 1]`, of logarithms of the probability to be there after a step.
    #[track_caller]
    fn log_likelihood(&self, x: &T, at: At) -> T {
        let Sizes { time, batch, classes, longest, blank } = self.sizes;
        let states = longest + 1;
        let impossible = T::constant(IMPOSSIBLE);
        let x = T::select(&x.less(&T::constant(LEAST)), &impossible, x);
        let (labels, counts, differs) = self.labels();
        // Rows of all steps: each is gathered as a whole.
        let begins: Vec<i64> = (0..batch).map(|b| (b * classes) as i64).collect();
        let places = labels + T::Int::from_elements(&[batch, 1], &begins).or_raise();
        let rows = x.permute(&[1, 2, 0]).reshape(&[batch * classes, time]);
        let of_labels = rows.gather_rows(&places).permute(&[2, 0, 1]);
        let of_labels = T::select(&counts, &of_labels, &impossible);
        let of_blanks = x.slice(-1, blank..blank + 1);
        // What is added to a label's predecessor: there is none before the first.
        let zero = T::constant(0.0);
        let skips = T::select(&differs, &zero, &impossible);
        let at_first = |first: f64, others: f64| {
            let row: Vec<f64> = (0..states).map(|i| if i == 0 { first } else { others }).collect();
            T::from_elements(&[1, states], &row).or_raise()
        };
        let steps = at_first(IMPOSSIBLE, 0.0);
        // Before all steps it is at the first blank.
        let begin = at_first(0.0, IMPOSSIBLE).broadcast_to(&[batch, states]);
        let no_label = T::full(&[batch, states], IMPOSSIBLE);
        let counting: Vec<i64> = (0..time as i64).collect();
        let counting = T::Int::from_elements(&[time, 1, 1], &counting).or_raise();
        let active = T::from_mask(&counting.less(&self.input_lengths.reshape(&[1, batch, 1])));
        let rows = (of_blanks, of_labels, active);
        let step = |(blank, label): (T, T), (of_blank, of_label, active): (T, T, T)| {
            operator(at, || {
                let terms = [label.clone(), previous(&blank) + &steps, previous(&label) + &skips];
                let next_label = log_sum(terms) + of_label;
                let next_blank = log_sum([blank.clone(), label.clone()]) + of_blank;
                let active = active.greater(&T::constant(0.5));
                (chosen(&active, &(next_blank, next_label), &(blank, label)), [])
            })
        };
        let ((blank, label), _): (_, [T; 0]) = T::scan_rows((begin, no_label), &rows, step).or_raise();
        log_sum([blank.gather_last(self.target_lengths), label.gather_last(self.target_lengths)])
    }
}

/// Each state's predecessor, and 0 before the first.
#[track_caller]
fn previous<T: Tensor>(states: &T) -> T {
    let shape = states.shape();
    let zeros = T::zeros(&[shape[0], 1]);
    T::concat(&[zeros, states.slice(-1, 0..shape[1] - 1)], -1)
}

/// `ln Σ eˣ` of finite numbers. The sum does not depend on what is taken out of it, which therefore has no derivative.
#[track_caller]
fn log_sum<T: Tensor, const N: usize>(terms: [T; N]) -> T {
    let mut most = terms[0].detach();
    for term in &terms[1..] {
        most = most.maximum(&term.detach());
    }
    let mut sum = (terms[0].clone() - &most).exp();
    for term in &terms[1..] {
        sum += (term.clone() - &most).exp();
    }
    sum.log() + most
}
