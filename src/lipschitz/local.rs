//! Bounds over a ball of inputs, where some neurons are certainly active or not.

use std::time::Duration;

use faer::Mat;

use super::certificate::gamma;
use super::constant::LipschitzConstant;
use super::network::Network;
use crate::array::NdArray;
use crate::error::{At, Error, Result};

/// An interval for each of some numbers.
struct Ranges {
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Network {
    /// An upper bound of the Lipschitz constant over the ball of a radius around an input `[inputs]`: intervals for
    /// the neurons' inputs, outward rounded, say which of them are never active there; of the network without these
    /// it is the least of [`lipsdp_neuron`](Network::lipsdp_neuron), in this time,
    /// [`eclipse_fast`](Network::eclipse_fast) and, of twelve neurons or fewer,
    /// [`all_patterns`](Network::all_patterns).
    ///
    /// # Errors
    /// [`Error::Argument`] if only the activation's slopes are known, if the input does not fit or is not finite, or
    /// if the radius is negative or not finite.
    #[track_caller]
    pub fn local_bound(&self, x: &NdArray<f64>, radius: f64, limit: Duration) -> Result<LipschitzConstant> {
        let (op, at) = ("local_bound", At::caller());
        let x = self.ball(op, x, radius, at)?;
        let network = self.without_idle(&x, radius);
        let mut least = network.eclipse_fast().value.min(network.auto_lip().value);
        if let Ok(bound) = network.lipsdp_neuron(limit) {
            least = least.min(bound.value);
        }
        if network.widths().sum::<usize>() <= 12
            && let Ok(bound) = network.all_patterns(limit)
        {
            least = least.min(bound.value);
        }
        Ok(LipschitzConstant::upper("neurons that are active in the ball", least))
    }

    /// The middle of a ball of inputs, if that is one and the activation is known.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are not.
    pub(super) fn ball(&self, op: &'static str, x: &NdArray<f64>, radius: f64, at: At) -> Result<Vec<f64>> {
        if !self.is_kinked && self.depth() > 1 {
            let reason = "only the slopes of the activation are known, not where it is active".into();
            return Err(Error::Argument { op, reason, at });
        }
        if !(radius >= 0.0 && radius.is_finite()) {
            return Err(Error::Argument { op, reason: format!("a radius of {radius}"), at });
        }
        self.input(op, x, at)
    }

    /// The network without neurons that have the slope zero in the whole ball: what they give is zero there.
    fn without_idle(&self, x: &[f64], radius: f64) -> Network {
        let mut network = self.clone();
        if self.slopes.low != 0.0 {
            return network;
        }
        let mut ranges = self.first_ranges(x, radius);
        for layer in 0..self.depth() - 1 {
            let n = ranges.high.len();
            let mut kept: Vec<usize> =
                (0..n).filter(|&i| ranges.high[i] > 0.0 || ranges.high[i].is_nan()).collect();
            if kept.is_empty() {
                // One neuron more changes no bound by much, and a network without neurons is none.
                kept.push(0);
            }
            let (w, next) = (network.weights[layer].clone(), network.weights[layer + 1].clone());
            network.weights[layer] = Mat::from_fn(kept.len(), w.ncols(), |i, j| w[(kept[i], j)]);
            network.weights[layer + 1] = Mat::from_fn(next.nrows(), kept.len(), |i, j| next[(i, kept[j])]);
            network.biases[layer] = kept.iter().map(|&i| self.biases[layer][i]).collect();
            // The activation is monotone: its slopes are zero and more.
            let high = self.slopes.high;
            let outputs = |x: &f64| match *x > 0.0 {
                true => (high * x).next_up(),
                // What is not a number may be anything.
                false if x.is_nan() => f64::INFINITY,
                false => 0.0,
            };
            let lows = ranges.low.iter().map(|x| if *x > 0.0 { (high * x).next_down() } else { 0.0 });
            let through = Ranges { low: lows.collect(), high: ranges.high.iter().map(outputs).collect() };
            ranges = self.next_ranges(layer + 1, &through);
        }
        network
    }

    /// The first layer's inputs over a ball: `w·x + b ± ‖w‖·r`.
    fn first_ranges(&self, x: &[f64], radius: f64) -> Ranges {
        let (w, b) = (&self.weights[0], &self.biases[0]);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for (i, b) in b.iter().enumerate() {
            let row = || (0..w.ncols()).map(|j| w[(i, j)]);
            let middle = row().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
            let size = row().zip(x).map(|(w, x)| (w * x).abs()).sum::<f64>() + b.abs();
            // Scaled, so that squares are numbers.
            let largest = row().fold(f64::MIN_POSITIVE, |most, w| most.max(w.abs()));
            let norm = largest * row().map(|w| (w / largest).powi(2)).sum::<f64>().sqrt();
            let reach = norm * radius;
            let rounding = gamma(w.ncols() + 12) * (size + reach) * 2.0 + f64::MIN_POSITIVE;
            low.push(middle - reach - rounding);
            high.push(middle + reach + rounding);
        }
        Ranges { low, high }
    }

    /// A layer's outputs before the activation, of inputs in intervals.
    fn next_ranges(&self, layer: usize, x: &Ranges) -> Ranges {
        let (w, b) = (&self.weights[layer], &self.biases[layer]);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for (i, b) in b.iter().enumerate() {
            let (mut least, mut most, mut size) = (*b, *b, b.abs());
            for j in 0..w.ncols() {
                let (at_low, at_high) = (w[(i, j)] * x.low[j], w[(i, j)] * x.high[j]);
                least += at_low.min(at_high);
                most += at_low.max(at_high);
                size += at_low.abs().max(at_high.abs());
            }
            let rounding = gamma(w.ncols() + 12) * size * 2.0 + f64::MIN_POSITIVE;
            low.push(least - rounding);
            high.push(most + rounding);
        }
        Ranges { low, high }
    }
}
