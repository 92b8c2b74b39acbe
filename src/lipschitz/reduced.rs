//! Networks that bounds are sought for in the place of others.

use faer::{Mat, MatRef, Side};

use super::certificate::{
    Approximate, frobenius, gamma, largest_element, magnitude, product_at_most, toward_one,
};
use super::network::Network;

/// A network whose weights are near one, and whose constant is `2^exponent` times less.
pub(super) struct Scaled {
    pub(super) network: Network,
    exponent: i64,
    /// Whether no number was rounded.
    pub(super) is_exact: bool,
}

impl Scaled {
    pub(super) fn of(network: &Network) -> Scaled {
        let mut network = network.clone();
        let (mut exponent, mut is_exact) = (0, true);
        let mut all = 1.0;
        for (w, b) in network.weights.iter_mut().zip(&mut network.biases) {
            // About what the largest singular value is, mostly, so that products of many layers are numbers.
            let size = frobenius(w.as_ref()) / (w.nrows().min(w.ncols()) as f64).sqrt() * 2.0;
            let scale = toward_one(size.max(largest_element(w.as_ref())));
            exponent -= scale.log2() as i64;
            all *= scale;
            let mut scaled = |x: f64, scale: f64| {
                // Of no bias, by however many layers it is multiplied.
                let scaled = if x == 0.0 { x } else { x * scale };
                is_exact &= x == 0.0 || scaled.abs() >= f64::MIN_POSITIVE && scaled.is_finite();
                scaled
            };
            *w = Mat::from_fn(w.nrows(), w.ncols(), |i, j| scaled(w[(i, j)], scale));
            b.iter_mut().for_each(|b| *b = scaled(*b, all));
        }
        Scaled { network, exponent, is_exact }
    }

    /// `2^exponent·x`; upward where numbers are small.
    pub(super) fn back(&self, x: f64) -> f64 {
        let (mut value, mut left) = (x, self.exponent);
        while left != 0 && value > 0.0 {
            let part = left.clamp(-1000, 1000);
            value *= 2f64.powi(part as i32);
            if value < f64::MIN_POSITIVE {
                value = value.next_up();
            }
            left -= part;
        }
        value
    }
}

/// A [`Scaled`] network whose inputs are no more than the first layer's outputs, if that could be had: for upper
/// bounds.
pub(super) struct Reduced {
    scaled: Scaled,
    slack: f64,
}

impl Reduced {
    pub(super) fn of(network: &Network) -> Reduced {
        let mut scaled = Scaled::of(network);
        let network = &mut scaled.network;
        // Elements that became subnormal are wrong by 2⁻¹⁰⁷⁵: to the first order, and the others are less, that is
        // times the norms of all other layers.
        let others = network.weights.iter().map(|w| frobenius(w.as_ref()) + 1.0);
        let slack = match scaled.is_exact {
            true => 0.0,
            false => product_at_most(others.chain(network.of_activations()).chain([2f64.powi(-1000)])),
        };
        let first = &network.weights[0];
        if first.ncols() > first.nrows()
            && let Some(narrow) = narrower(first.as_ref())
        {
            network.weights[0] = narrow;
        }
        Reduced { scaled, slack }
    }

    pub(super) fn network(&self) -> &Network {
        &self.scaled.network
    }

    /// A bound of the network it was made of, from one of its own.
    pub(super) fn back(&self, bound: f64) -> f64 {
        self.scaled.back(if self.slack > 0.0 { (bound + self.slack).next_up() } else { bound })
    }
}

/// A square `H` with `W·Wᵀ ≤ H·Hᵀ`, so that `W = H·Y` with `‖Y‖ ≤ 1` (Douglas, *On majorization, factorization, and
/// range inclusion of operators on Hilbert space*, 1966), for any network behind it; nothing if none is found.
fn narrower(w: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let (m, n) = (w.nrows(), w.ncols());
    let gram = w * w.transpose();
    let size = magnitude(w);
    let error = (&size * size.transpose()) * faer::Scale(gamma(n + 4));
    let trace: f64 = (0..m).map(|i| gram[(i, i)]).sum();
    (0..12).find_map(|k| {
        let more = 1e-15 * 4f64.powi(k) * trace;
        let raised = Mat::from_fn(m, m, |i, j| gram[(i, j)] + if i == j { more } else { 0.0 });
        let half = raised.llt(Side::Lower).ok()?.L().to_owned();
        // Of the factor's upper half nothing may be left.
        let half = Mat::from_fn(m, m, |i, j| if i >= j { half[(i, j)] } else { 0.0 });
        let square = &half * half.transpose();
        let of_half = magnitude(half.as_ref());
        let of_square = (&of_half * of_half.transpose()) * faer::Scale(gamma(m + 4));
        let matrix = &square - &gram;
        let error = Mat::from_fn(m, m, |i, j| {
            error[(i, j)] + of_square[(i, j)] + f64::EPSILON * matrix[(i, j)].abs() + f64::MIN_POSITIVE
        });
        Approximate { matrix, relative: 0.0, error: Some(error) }.shows_positive().then_some(half)
    })
}
