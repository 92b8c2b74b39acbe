//! Batch normalisation.

use crate::Params;
use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;

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
        let next = |old: &T, new: T| old.clone() * (1.0 - self.momentum) + new * self.momentum;
        let statistics = BatchStatistics {
            mean: next(&statistics.mean, mean.detach()),
            variance: next(&statistics.variance, unbiased),
        };
        (y, statistics)
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
