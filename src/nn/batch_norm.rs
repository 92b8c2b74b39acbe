//! Batch normalisation.

use crate::Params;
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::real::{Int, Mask};
use crate::language::shape::Shape;
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::INTERNAL;

/// `y = (x − mean)/√(variance + ε)·gain + bias` for each channel, with mean and variance over all else (Ioffe &
/// Szegedy, *Batch normalization*, 2015, algorithm 1): of `[batch, channels, ..]`, as `torch.nn.BatchNorm1d` and
/// `BatchNorm2d`.
///
/// In training they are those of the batch, and running averages of them go from step to step in the training's state:
/// [`train`](BatchNorm::train) takes the averages and gives the next ones, which leave a loss as its auxiliary result.
/// Outside of training, [`apply`](BatchNorm::apply) normalises by the averages.
///
/// ```
/// use antiphon::nn::{BatchNorm, BatchStatistics};
/// use antiphon::{NdArray, Params, Real, Tensor, Var, value_and_grad_aux};
/// let (layer, statistics) = (BatchNorm::<NdArray<f64>>::new(2), BatchStatistics::new(2));
/// let x = NdArray::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 6.0])?;
/// let (loss, next, gradient): (_, BatchStatistics<_>, _) = value_and_grad_aux(
///     |layer: BatchNorm<_>| {
///         let (y, next) = layer.train(&Var::lift(&x), &statistics.map_leaves(Var::lift));
///         (y.square().sum(..), next)
///     },
///     &layer,
/// )?;
/// // A tenth of the means 2 and 4.
/// assert!((next.mean - &NdArray::from(vec![0.2, 0.4])).abs().max(..).item() < 1e-15);
/// # let _ = (loss, gradient);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Debug, Params)]
pub struct BatchNorm<T> {
    /// `[channels]`.
    pub gain: T,
    /// `[channels]`.
    pub bias: T,
    /// Keeps constant channels finite.
    pub epsilon: f64,
    /// How much of a running average each batch replaces.
    pub momentum: f64,
}

/// Running averages of what [`BatchNorm`] normalises by. They are no parameters: they have no gradient, and are state.
#[derive(Clone, Debug, Params)]
pub struct BatchStatistics<T> {
    /// `[channels]`.
    #[params(name = "running_mean")]
    pub mean: T,
    /// `[channels]`; each batch's variance is divided by one less than the number of its elements.
    #[params(name = "running_var")]
    pub variance: T,
}

impl<T: Tensor> BatchStatistics<T> {
    /// Mean zero, variance one.
    #[track_caller]
    pub fn new(channels: usize) -> BatchStatistics<T> {
        BatchStatistics { mean: T::zeros(&[channels]), variance: T::ones(&[channels]) }
    }
}

impl<T: Tensor> BatchNorm<T> {
    /// Gain one, bias zero, ε = 1e-5, momentum 0.1, as in PyTorch.
    #[track_caller]
    pub fn new(channels: usize) -> BatchNorm<T> {
        let (gain, bias) = (T::ones(&[channels]), T::zeros(&[channels]));
        BatchNorm { gain, bias, epsilon: 1e-5, momentum: 0.1 }
    }

    /// `[batch, channels, ..]` to the same shape by the batch's own mean and variance (divided by the number of
    /// elements), and the next running averages.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if `x` has not these channels as its second axis, or only one element of each.
    #[track_caller]
    pub fn train(&self, x: &T, statistics: &BatchStatistics<T>) -> (T, BatchStatistics<T>) {
        let column = self.column(x);
        let shape = x.shape();
        let channels = shape[1];
        let count = x.size().checked_div(channels).unwrap_or(0);
        if count < 2 {
            let reason = format!("a variance of {count} elements for each channel");
            raise(Error::Operand { op: "batch_norm", shape: shape[..].into(), reason, at: At::caller() });
        }
        let mut others: Vec<isize> = (0..shape.len() as isize).collect();
        others.remove(1);
        let mean = x.mean(others.as_slice());
        let centred = x.clone() - mean.reshape(&column);
        let variance = centred.square().mean(others.as_slice());
        let y = self.scaled(centred, &variance, &column);
        let unbiased = variance.detach() * (count as f64 / (count as f64 - 1.0));
        (y, self.next(statistics, mean.detach(), unbiased))
    }

    /// `[batch, channels, ..]` to the same shape by running averages.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if `x` has not these channels as its second axis.
    #[track_caller]
    pub fn apply(&self, x: &T, statistics: &BatchStatistics<T>) -> T {
        let column = self.column(x);
        let centred = x.clone() - statistics.mean.reshape(&column);
        self.scaled(centred, &statistics.variance, &column)
    }

    /// [`train`](BatchNorm::train) of a padded batch of sequences `[time, batch, channels]`, of whose steps those
    /// before the end of each sequence count, `lengths: [batch]`: the sequence-wise normalisation of Deep Speech 2
    /// (Amodei et al. 2016, §3.2), whose statistics do not depend on the padding here. What stands behind an end is
    /// zero.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if `x` has not three axes with these channels, [`Error::Shape`] unless there is a
    /// length for each sequence, and [`Error::Ensure`] if lengths are not from none to all, or fewer than two steps
    /// count.
    #[track_caller]
    pub fn train_steps(
        &self,
        x: &T,
        lengths: &T::Int,
        statistics: &BatchStatistics<T>,
    ) -> (T, BatchStatistics<T>) {
        let active = self.steps(x, lengths);
        let count = T::from_int(lengths).sum(..);
        T::ensure_at(
            INTERNAL,
            At::caller(),
            &count.greater_equal(&T::constant(2.0)),
            "batch_norm: a variance of fewer than two steps",
        );
        let zero = T::constant(0.0);
        let mean_of = |x: &T| T::select(&active, x, &zero).sum([0, 1]) / &count;
        let mean = mean_of(x);
        let centred = T::select(&active, &(x.clone() - &mean), &zero);
        let variance = centred.square().sum([0, 1]) / &count;
        let y = self.scaled(centred, &variance, &[self.gain.size()]);
        let unbiased = variance.detach() * (count.clone() / (count - 1.0));
        (T::select(&active, &y, &zero), self.next(statistics, mean.detach(), unbiased))
    }

    /// [`apply`](BatchNorm::apply) of a padded batch of sequences, as [`train_steps`](BatchNorm::train_steps) has it.
    ///
    /// # Errors
    /// As there, but one step is enough.
    #[track_caller]
    pub fn apply_steps(&self, x: &T, lengths: &T::Int, statistics: &BatchStatistics<T>) -> T {
        let active = self.steps(x, lengths);
        let zero = T::constant(0.0);
        let centred = T::select(&active, x, &zero) - &statistics.mean;
        T::select(&active, &self.scaled(centred, &statistics.variance, &[self.gain.size()]), &zero)
    }

    /// Which steps of `[time, batch, channels]` are before the end of their sequence: `[time, batch, 1]`.
    #[track_caller]
    fn steps(&self, x: &T, lengths: &T::Int) -> T::Bool {
        let (shape, of_lengths, at) = (x.shape(), lengths.shape(), At::caller());
        let channels = self.gain.size();
        let &[time, batch, last] = shape.as_slice() else { raise(not_steps(&shape, channels, at)) };
        if last != channels {
            raise(not_steps(&shape, channels, at));
        }
        if of_lengths[..] != [batch] {
            raise(Error::Shape { op: "batch_norm", lhs: shape[..].into(), rhs: of_lengths[..].into(), at });
        }
        let fit = lengths
            .greater_equal(&T::Int::constant(0))
            .and(&lengths.less_equal(&T::Int::constant(time as i64)));
        T::ensure_at(
            INTERNAL,
            at,
            &fit,
            "batch_norm: the lengths of sequences are numbers of steps, from none to all",
        );
        let steps: Vec<i64> = (0..time as i64).collect();
        let steps = T::Int::from_elements(&[time, 1, 1], &steps).or_raise();
        steps.less(&lengths.reshape(&[1, batch, 1]))
    }

    /// The next running averages.
    #[track_caller]
    fn next(&self, old: &BatchStatistics<T>, mean: T, unbiased: T) -> BatchStatistics<T> {
        let kept = 1.0 - self.momentum;
        BatchStatistics {
            mean: old.mean.clone() * kept + mean * self.momentum,
            variance: old.variance.clone() * kept + unbiased * self.momentum,
        }
    }

    /// The shape in which `[channels]` meet the second axis of `x`.
    #[track_caller]
    fn column(&self, x: &T) -> Shape {
        channels_first("batch_norm", x, self.gain.size())
    }

    #[track_caller]
    fn scaled(&self, centred: T, variance: &T, column: &[usize]) -> T {
        let factor = self.gain.clone() / (variance.clone() + self.epsilon).sqrt();
        centred * factor.reshape(column) + self.bias.reshape(column)
    }
}

/// The shape in which `[channels]` meet the second axis of `[batch, channels, ..]`.
#[track_caller]
pub(super) fn channels_first<T: Tensor>(op: &'static str, x: &T, channels: usize) -> Shape {
    let shape = x.shape();
    if shape.get(1) != Some(&channels) {
        let reason = format!("should be [batch, {channels}, ..]");
        raise(Error::Operand { op, shape: shape[..].into(), reason, at: At::caller() });
    }
    let mut column: Shape = shape[1..].iter().map(|_| 1).collect();
    column[0] = channels;
    column
}

fn not_steps(shape: &[usize], channels: usize, at: At) -> Error {
    let reason = format!("should be [time, batch, {channels}]");
    Error::Operand { op: "batch_norm", shape: shape.into(), reason, at }
}
