//! The largest norm over all patterns of active neurons, one after the other.

use faer::{Mat, MatRef, Scale};

use super::certificate::{frobenius, gamma, magnitude};
use super::limit::{Deadline, TimeUp};
use super::matrix::norm_at_most_of;
use super::network::Network;

/// The most neurons whose patterns are counted out.
pub(super) const MOST: usize = 24;

/// Layers, what each neuron's slope may be, and the largest norm so far.
struct Search<'a> {
    network: &'a Network,
    deadline: Deadline,
    largest: f64,
}

/// The largest norm of the derivative, at least so, over all patterns of slopes, `α` or `β` for each neuron.
///
/// # Errors
/// If there is no time left.
pub(super) fn largest(network: &Network, deadline: Deadline) -> Result<f64, TimeUp> {
    let mut search = Search { network, deadline, largest: 0.0 };
    let n = network.inputs();
    search.layers(0, Mat::identity(n, n).as_ref(), Mat::zeros(n, n).as_ref())?;
    Ok(search.largest)
}

impl Search<'_> {
    /// All patterns of the layers from one on, after the derivative of those before, which may be wrong by so much.
    fn layers(
        &mut self,
        layer: usize,
        before: MatRef<'_, f64>,
        error: MatRef<'_, f64>,
    ) -> Result<(), TimeUp> {
        let w = &self.network.weights[layer];
        let product = w * before;
        let size = magnitude(w.as_ref());
        let error = &size * error + (&size * magnitude(before)) * Scale(gamma(w.ncols() + 8));
        if layer + 1 == self.network.depth() {
            // Mostly there is no need to know the norm itself.
            if frobenius(product.as_ref()) + frobenius(error.as_ref()) > self.largest {
                self.largest = self.largest.max(norm_at_most_of(product.as_ref(), error.as_ref()));
            }
            return Ok(());
        }
        self.deadline.check()?;
        let slopes = self.network.slopes;
        for pattern in 0..1u32 << w.nrows() {
            let slope = |i: usize| if pattern >> i & 1 == 1 { slopes.high } else { slopes.low };
            let scaled = Mat::from_fn(w.nrows(), before.ncols(), |i, j| slope(i) * product[(i, j)]);
            let scaled_error = Mat::from_fn(w.nrows(), before.ncols(), |i, j| {
                slope(i).abs() * (error[(i, j)] + f64::EPSILON * product[(i, j)].abs()) * (1.0 + 1e-14)
            });
            self.layers(layer + 1, scaled.as_ref(), scaled_error.as_ref())?;
        }
        Ok(())
    }
}
