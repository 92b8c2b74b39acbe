//! Losses, with PyTorch's reductions.
//!
//! Predictions and targets have one shape; nothing is broadcast, since a loss of `[n]` with `[n, 1]` is a mistake.
//! Classes are the last axis. Targets may be variables too. The loss of labels whose places in a sequence are not
//! known is [`Ctc`](crate::nn::ctc::Ctc).

use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::real::{Int, Mask};
use crate::language::tensor::Tensor;

/// What becomes of the losses of all elements, or of all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean, a scalar.
    #[default]
    Mean,
    /// Their sum, a scalar.
    Sum,
    /// They stay as they are.
    None,
}

impl Reduction {
    #[track_caller]
    fn of<T: Tensor>(self, losses: T) -> T {
        match self {
            Reduction::Mean => losses.mean(..),
            Reduction::Sum => losses.sum(..),
            Reduction::None => losses,
        }
    }

    /// Of rows, of which some may not count.
    #[track_caller]
    fn of_counted<T: Tensor>(self, losses: T, counts: Option<&T::Bool>) -> T {
        let Some(counts) = counts else { return self.of(losses) };
        let losses = T::select(counts, &losses, &T::constant(0.0));
        match self {
            Reduction::Mean => losses.sum(..) / T::from_mask(counts).sum(..),
            _ => self.of(losses),
        }
    }
}

/// Raises [`Error::Shape`] unless two arrays have one shape.
#[track_caller]
fn same_shape<T: Tensor>(op: &'static str, prediction: &T, target: &T) {
    let (lhs, rhs) = (prediction.shape(), target.shape());
    if lhs != rhs {
        raise(Error::Shape { op, lhs: lhs[..].into(), rhs: rhs[..].into(), at: At::caller() });
    }
}

/// `(x − y)²`; `torch.nn.functional.mse_loss`.
///
/// # Errors
/// Raises [`Error::Shape`] unless prediction and target have one shape.
#[track_caller]
pub fn mse<T: Tensor>(prediction: &T, target: &T, reduction: Reduction) -> T {
    same_shape("mse", prediction, target);
    reduction.of((prediction.clone() - target).square())
}

/// `|x − y|`; `torch.nn.functional.l1_loss`.
///
/// # Errors
/// As [`mse`].
#[track_caller]
pub fn l1<T: Tensor>(prediction: &T, target: &T, reduction: Reduction) -> T {
    same_shape("l1", prediction, target);
    reduction.of((prediction.clone() - target).abs())
}

/// With `d = x − y`: `½d²` where `|d| ≤ δ`, `δ·(|d| − ½δ)` elsewhere (Huber, *Robust estimation of a location
/// parameter*, 1964); `torch.nn.functional.huber_loss`.
///
/// # Errors
/// As [`mse`]; raises [`Error::Argument`] unless `δ > 0`.
#[track_caller]
pub fn huber<T: Tensor>(prediction: &T, target: &T, delta: f64, reduction: Reduction) -> T {
    same_shape("huber", prediction, target);
    if delta.is_nan() || delta <= 0.0 {
        let reason = format!("δ is {delta}, but should be positive");
        raise(Error::Argument { op: "huber", reason, at: At::caller() });
    }
    let difference = prediction.clone() - target;
    // c·(d − ½c) with d limited to ±δ.
    let limited = difference.clamp(-delta, delta);
    reduction.of((difference - limited.clone() * 0.5) * limited)
}

/// [`huber`] divided by its `δ`, here called `β`; [`l1`] where that is 0. `torch.nn.functional.smooth_l1_loss`.
///
/// # Errors
/// As [`mse`]; raises [`Error::Argument`] if `β` is negative.
#[track_caller]
pub fn smooth_l1<T: Tensor>(prediction: &T, target: &T, beta: f64, reduction: Reduction) -> T {
    match beta == 0.0 {
        true => l1(prediction, target, reduction),
        false => huber(prediction, target, beta, reduction) * (1.0 / beta),
    }
}

/// Binary cross-entropy of logits with targets from 0 to 1, `−y·ln σ(x) − (1 − y)·ln(1 − σ(x))`, exact however large
/// the logits are; `torch.nn.functional.binary_cross_entropy_with_logits`.
///
/// # Errors
/// As [`mse`].
#[track_caller]
pub fn binary_cross_entropy<T: Tensor>(logits: &T, target: &T, reduction: Reduction) -> T {
    same_shape("binary_cross_entropy", logits, target);
    // Each logarithm is a softplus of its own: in a difference of both, what is small would be lost.
    let (of_ones, of_zeros) = ((-logits.clone()).softplus(), logits.softplus());
    reduction.of(of_ones * target + of_zeros * (-target.clone() + 1.0))
}

/// Kullback–Leibler divergence of predicted logarithms of probabilities from target probabilities, `y·(ln y − x)`, with
/// `0·ln 0 = 0`; `torch.nn.functional.kl_div`. PyTorch's `batchmean` is the sum divided by the number of rows.
///
/// # Errors
/// As [`mse`].
#[track_caller]
pub fn kl_divergence<T: Tensor>(log_prediction: &T, target: &T, reduction: Reduction) -> T {
    same_shape("kl_divergence", log_prediction, target);
    let nothing = target.equal(&T::constant(0.0));
    let log = T::select(&nothing, &T::constant(1.0), target).log();
    let losses = (log - log_prediction).strong_mul(target);
    // Also of a prediction of −∞.
    reduction.of(T::select(&nothing, &T::constant(0.0), &losses))
}

/// [`kl_divergence`] from logarithms of target probabilities, `eʸ·(y − x)`; `kl_div` with `log_target=True`.
///
/// # Errors
/// As [`mse`].
#[track_caller]
pub fn kl_divergence_of_logs<T: Tensor>(log_prediction: &T, log_target: &T, reduction: Reduction) -> T {
    same_shape("kl_divergence_of_logs", log_prediction, log_target);
    let losses = (log_target.clone() - log_prediction) * log_target.exp();
    let nothing = log_target.equal(&T::constant(f64::NEG_INFINITY));
    reduction.of(T::select(&nothing, &T::constant(0.0), &losses))
}

/// Negative log-likelihood of logarithms of probabilities `[.., classes]` at integer targets `[..]`: `−x[target]`, one
/// per row; `torch.nn.functional.nll_loss`. Rows whose target is `ignore` have loss 0 and do not count in the mean,
/// which is NaN if no row counts, as PyTorch's is.
///
/// # Errors
/// Raises [`Error::Index`] for a target that is no class, and [`Error::Shape`] if there is not one for each row.
#[track_caller]
pub fn nll<T: Tensor>(
    log_probabilities: &T,
    targets: &T::Int,
    ignore: Option<i64>,
    reduction: Reduction,
) -> T {
    let (targets, counts) = counted::<T>(targets, ignore);
    reduction.of_counted(-log_probabilities.gather_last(&targets), counts.as_ref())
}

/// Targets with a class in the place of those that are ignored, and which rows count.
#[track_caller]
fn counted<T: Tensor>(targets: &T::Int, ignore: Option<i64>) -> (T::Int, Option<T::Bool>) {
    let Some(ignore) = ignore else { return (targets.clone(), None) };
    let ignored = targets.equal(&T::Int::constant(ignore));
    (T::Int::select(&ignored, &T::Int::constant(0), targets), Some(ignored.not()))
}

/// Cross-entropy of logits `[.., classes]` with integer targets `[..]`; `torch.nn.functional.cross_entropy` with
/// `ignore_index` and `label_smoothing`.
///
/// ```
/// use antiphon::nn::loss::{CrossEntropy, Reduction};
/// use antiphon::{IntTensor, NdArray, NdInt, Tensor};
/// let logits = NdArray::<f64>::from_elements(&[2, 3], &[0.0, 0.0, 0.0, 1.0, 2.0, 3.0])?;
/// let targets = NdInt::from(vec![1, -100]);
/// let loss = CrossEntropy { ignore: Some(-100), ..CrossEntropy::default() };
/// assert!((loss.of(&logits, &targets, Reduction::Mean).item() - 3f64.ln()).abs() < 1e-15);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// Rows with this target have loss 0, and do not count in the mean, which is NaN if no row counts. PyTorch's is
    /// −100.
    pub ignore: Option<i64>,
    /// `ε`: the target's probability is `1 − ε + ε/classes`, that of each other class `ε/classes` (Szegedy et al.,
    /// *Rethinking the inception architecture*, 2016, §7).
    pub smoothing: f64,
}

impl CrossEntropy {
    /// `(1 − ε)·(ln Σ eˣ − x[target]) + ε·(ln Σ eˣ − mean x)`, one per row.
    ///
    /// # Errors
    /// Raises [`Error::Index`] for a target that is no class, [`Error::Shape`] if there is not one for each row, and
    /// [`Error::Argument`] unless `0 ≤ ε ≤ 1`.
    #[track_caller]
    pub fn of<T: Tensor>(&self, logits: &T, targets: &T::Int, reduction: Reduction) -> T {
        if !(0.0..=1.0).contains(&self.smoothing) {
            let reason = format!("the smoothing {} is not between 0 and 1", self.smoothing);
            raise(Error::Argument { op: "cross_entropy", reason, at: At::caller() });
        }
        let (targets, counts) = counted::<T>(targets, self.ignore);
        let mut losses = logits.cross_entropy(&targets);
        if self.smoothing != 0.0 {
            let even = logits.logsumexp(-1) - logits.mean(-1);
            losses = losses * (1.0 - self.smoothing) + even * self.smoothing;
        }
        reduction.of_counted(losses, counts.as_ref())
    }
}

/// With the cosine `c` of the angle between rows `[.., n]`: `1 − c` of those that are to be alike, `max(0, c − margin)`
/// of the others, one per row; `torch.nn.functional.cosine_embedding_loss`.
///
/// # Errors
/// Raises [`Error::Shape`] unless both arrays have one shape, and there is one truth value for each row.
#[track_caller]
pub fn cosine_embedding<T: Tensor>(a: &T, b: &T, alike: &T::Bool, margin: f64, reduction: Reduction) -> T {
    same_shape("cosine_embedding", a, b);
    // As PyTorch keeps zeros apart.
    let norm = |x: &T| x.square().sum(-1) + 1e-12;
    let cosine = (a.clone() * b).sum(-1) / (norm(a) * norm(b)).sqrt();
    let unlike = (cosine.clone() - margin).relu();
    reduction.of(T::select(alike, &(-cosine + 1.0), &unlike))
}
