//! Networks whose constants are known, and random ones.

use std::time::Duration;

use antiphon::lipschitz::{Network, Slopes};
use antiphon::nn::Rng;
use antiphon::{NdArray, Tensor};

pub type Array = NdArray<f64>;

/// More than any test takes.
pub const LONG: Duration = Duration::from_secs(600);

/// Weights `[inputs, outputs]` of an element for each output and input.
pub fn matrix(inputs: usize, outputs: usize, mut element: impl FnMut(usize, usize) -> f64) -> Array {
    let elements: Vec<f64> = (0..inputs * outputs).map(|k| element(k % outputs, k / outputs)).collect();
    Array::from_elements(&[inputs, outputs], &elements).unwrap()
}

/// Layer `k`, from 1, is `cos(k + 3r + 7c)/√inputs` in row `r` of outputs and column `c` of inputs.
pub fn formula(sizes: &[usize]) -> Network {
    let layers = sizes.windows(2).enumerate().map(|(k, pair)| {
        let scale = (pair[0] as f64).sqrt();
        matrix(pair[0], pair[1], |r, c| ((k + 1) as f64 + 3.0 * r as f64 + 7.0 * c as f64).cos() / scale)
    });
    Network::relu(&layers.collect::<Vec<_>>()).unwrap()
}

/// `|x| = ReLU(x) + ReLU(−x)`.
pub fn absolute() -> Network {
    Network::relu(&[matrix(1, 2, |r, _| [1.0, -1.0][r]), matrix(2, 1, |_, _| 1.0)]).unwrap()
}

/// Layers of normal deviates of variance `2/inputs`.
pub fn random_weights(rng: &mut Rng, sizes: &[usize]) -> Vec<Array> {
    let layer = |pair: &[usize], rng: &mut Rng| {
        let scale = (2.0 / pair[0] as f64).sqrt();
        matrix(pair[0], pair[1], |_, _| scale * rng.normal())
    };
    sizes.windows(2).map(|pair| layer(pair, rng)).collect()
}

/// A random network, of random size, slopes and biases.
pub fn random(seed: u64) -> Network {
    let mut rng = Rng::new(seed);
    let mut below = |n: usize| (rng.uniform() * n as f64) as usize;
    let depth = 1 + below(4);
    let sizes: Vec<usize> = (0..=depth).map(|_| 1 + below(4)).collect();
    let slopes = [
        Slopes::UNIT,
        Slopes::UNIT,
        Slopes { low: 0.2, high: 1.0 },
        Slopes::SYMMETRIC,
        Slopes { low: -0.1, high: 1.1 },
    ][below(5)];
    let weights = random_weights(&mut rng, &sizes);
    let biases: Vec<Array> =
        sizes[1..].iter().map(|&n| matrix(1, n, |_, _| rng.normal()).reshape(&[n])).collect();
    Network::kinked(&weights, slopes).unwrap().with_biases(&biases).unwrap()
}
