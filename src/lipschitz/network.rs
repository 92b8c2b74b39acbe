//! Networks: affine layers with an activation between them.

use std::fmt;

use faer::{Mat, MatRef};
use ndarray::{Ix1, Ix2};

use crate::array::NdArray;
use crate::error::{At, Error, Result};

/// Between which two numbers an activation's difference quotients `(φ(a) − φ(b))/(a − b)` lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slopes {
    /// The least quotient, `α`.
    pub low: f64,
    /// The largest one, `β`.
    pub high: f64,
}

impl Slopes {
    /// Of ReLU, tanh, softplus and softsign: from 0 to 1.
    pub const UNIT: Slopes = Slopes { low: 0.0, high: 1.0 };
    /// Of the sigmoid: from 0 to ¼.
    pub const SIGMOID: Slopes = Slopes { low: 0.0, high: 0.25 };
    /// Of the absolute value and the sine: from −1 to 1.
    pub const SYMMETRIC: Slopes = Slopes { low: -1.0, high: 1.0 };

    /// # Errors
    /// [`Error::Argument`] unless these are two finite numbers in their order.
    pub(super) fn check(self, op: &'static str, at: At) -> Result<()> {
        if self.low.is_finite() && self.high.is_finite() && self.low <= self.high {
            return Ok(());
        }
        let reason = format!("an activation with slopes from {} to {}", self.low, self.high);
        Err(Error::Argument { op, reason, at })
    }
    /// The larger absolute value.
    pub(super) fn largest(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }
    /// Their mean.
    pub(super) fn mean(self) -> f64 {
        0.5 * (self.low + self.high)
    }
}

/// `x ↦ φ(… φ(x·W₁ + b₁) …)·W_l + b_l`: affine layers with an activation between them, for bounds of its Lipschitz
/// constant in Euclidean norms.
///
/// ```
/// use antiphon::NdArray;
/// use antiphon::lipschitz::{Network, Slopes};
/// use std::time::Duration;
/// // The absolute value, ReLU(x) + ReLU(−x).
/// let first = NdArray::from_elements(&[1, 2], &[1.0, -1.0])?;
/// let second = NdArray::from_elements(&[2, 1], &[1.0, 1.0])?;
/// let network = Network::relu(&[first, second])?;
/// assert!((network.auto_lip().value - 2.0).abs() < 1e-9);
/// assert!((network.eclipse_fast().value - 2f64.sqrt()).abs() < 1e-9);
/// assert!((network.lipsdp_neuron(Duration::from_secs(10))?.value - 1.0).abs() < 1e-9);
/// assert!((network.lower_bound(Duration::from_secs(1))?.value - 1.0).abs() < 1e-9);
/// # use antiphon::Tensor;
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone)]
pub struct Network {
    /// `[outputs, inputs]`.
    pub(super) weights: Vec<Mat<f64>>,
    /// One for each layer, of its outputs.
    pub(super) biases: Vec<Vec<f64>>,
    pub(super) slopes: Slopes,
    /// Whether the activation is `x ↦ low·x` for `x < 0` and `high·x` for `x > 0`.
    pub(super) is_kinked: bool,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("sizes", &self.sizes())
            .field("slopes", &self.slopes)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Weights `[inputs, outputs]` of layers with ReLU between them, as those of [`nn::Linear`](crate::nn::Linear).
    ///
    /// # Errors
    /// As [`of_slopes`](Network::of_slopes).
    #[track_caller]
    pub fn relu(weights: &[NdArray<f64>]) -> Result<Network> {
        Network::kinked(weights, Slopes::UNIT)
    }

    /// The same with `x ↦ α·x` for `x < 0` and `β·x` for `x > 0` between the layers: leaky ReLU with slopes `α` and 1,
    /// the absolute value with slopes −1 and 1.
    ///
    /// # Errors
    /// As [`of_slopes`](Network::of_slopes).
    #[track_caller]
    pub fn kinked(weights: &[NdArray<f64>], slopes: Slopes) -> Result<Network> {
        Ok(Network { is_kinked: true, ..Network::of_slopes(weights, slopes)? })
    }

    /// Weights `[inputs, outputs]` of layers with an activation between them of which no more is known than its slopes.
    /// It may be another one for each neuron.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no layer, an array is not a matrix, or of no elements, or has an element that is
    /// not finite, if a layer's outputs are not as many as the next one's inputs, or the slopes are not two finite
    /// numbers in their order.
    #[track_caller]
    pub fn of_slopes(weights: &[NdArray<f64>], slopes: Slopes) -> Result<Network> {
        let at = At::caller();
        let bad = |reason: String| Err(Error::Argument { op: "lipschitz::Network", reason, at });
        if weights.is_empty() {
            return bad("a network without layers".into());
        }
        let mut matrices: Vec<Mat<f64>> = Vec::with_capacity(weights.len());
        for (i, w) in weights.iter().enumerate() {
            let layer = i + 1;
            let Ok(w) = w.view().into_dimensionality::<Ix2>() else {
                let shape = w.view().shape().to_vec();
                return bad(format!(
                    "weights {shape:?} of layer {layer}, which have to be [inputs, outputs]"
                ));
            };
            if w.is_empty() {
                return bad(format!("weights {:?} of layer {layer}", w.shape()));
            }
            if let Some(((r, c), x)) = w.indexed_iter().find(|(_, x)| !x.is_finite()) {
                return bad(format!("the weight [{r}, {c}] of layer {layer} is {x}"));
            }
            if let Some(before) = matrices.last()
                && before.nrows() != w.nrows()
            {
                let (from, to) = (before.nrows(), w.nrows());
                return bad(format!("layer {i} has {from} outputs, and layer {layer} takes {to}"));
            }
            matrices.push(Mat::from_fn(w.ncols(), w.nrows(), |o, i| w[(i, o)]));
        }
        slopes.check("lipschitz::Network", at)?;
        let biases = matrices.iter().map(|w| vec![0.0; w.nrows()]).collect();
        Ok(Network { weights: matrices, biases, slopes, is_kinked: false })
    }

    /// The same with biases `[outputs]`, one for each layer: they say which neurons are active where, which is of
    /// account for [lower bounds](Network::lower_bound) and [local ones](Network::local_bound) alone.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are not as many, if one does not fit or an element is not finite.
    #[track_caller]
    pub fn with_biases(mut self, biases: &[NdArray<f64>]) -> Result<Network> {
        let at = At::caller();
        let bad = |reason: String| Err(Error::Argument { op: "lipschitz::Network", reason, at });
        if biases.len() != self.depth() {
            return bad(format!("{} biases of {} layers", biases.len(), self.depth()));
        }
        for (i, b) in biases.iter().enumerate() {
            let (layer, outputs) = (i + 1, self.weights[i].nrows());
            match b.view().into_dimensionality::<Ix1>() {
                Ok(b) if b.len() == outputs => match b.iter().position(|x| !x.is_finite()) {
                    Some(at) => return bad(format!("the bias [{at}] of layer {layer} is {}", b[at])),
                    None => self.biases[i] = b.to_vec(),
                },
                _ => {
                    let shape = b.view().shape().to_vec();
                    return bad(format!("a bias {shape:?} of layer {layer}, which has {outputs} outputs"));
                }
            }
        }
        Ok(self)
    }

    /// The network of the first layers alone, without an activation behind them.
    ///
    /// # Panics
    /// Unless `layers` is from 1 to the [depth](Network::depth).
    #[must_use]
    #[track_caller]
    pub fn first_layers(&self, layers: usize) -> Network {
        assert!((1..=self.depth()).contains(&layers), "{layers} of {} layers", self.depth());
        let (weights, biases) = (self.weights[..layers].to_vec(), self.biases[..layers].to_vec());
        Network { weights, biases, ..self.clone() }
    }

    /// The number of inputs, and of outputs of each layer.
    pub fn sizes(&self) -> Vec<usize> {
        std::iter::once(self.inputs()).chain(self.weights.iter().map(Mat::nrows)).collect()
    }
    /// The number of layers.
    pub fn depth(&self) -> usize {
        self.weights.len()
    }
    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.weights[0].ncols()
    }
    /// The number of neurons of each layer but the last one, whose outputs no activation follows.
    pub fn widths(&self) -> impl Iterator<Item = usize> {
        self.weights[..self.depth() - 1].iter().map(Mat::nrows)
    }
    pub(super) fn last(&self) -> MatRef<'_, f64> {
        self.weights.last().expect("a network has layers").as_ref()
    }
    /// What all activations together may lengthen by, at least so.
    pub(super) fn of_activations(&self) -> impl Iterator<Item = f64> {
        std::iter::repeat_n(self.slopes.largest(), self.depth() - 1)
    }
}
