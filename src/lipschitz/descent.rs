//! Multipliers of the chain by descent along its derivative.

use super::chain::Multipliers;
use super::limit::{Deadline, TimeUp};
use super::network::{Network, Slopes};
use crate::array::NdArray;
use crate::continuation::unwinding::OrRaise;
use crate::error::Error;
use crate::language::tensor::Tensor;
use crate::linalg::{Triangle, cholesky, eigvalsh, solve_triangular};
use crate::optim::Lbfgs;
use crate::transforms::value_and_grad;

/// A network's weights, `[outputs, inputs]`, as the calculus has them.
struct Chain {
    weights: Vec<NdArray<f64>>,
    slopes: Slopes,
}

impl Chain {
    /// The logarithm of the bound, of multipliers `e^θ`: half that of `(Σ wᵢᵖ)^(1/p)` over the eigenvalues `w` of
    /// `W_l·X_{l−1}⁻¹·W_lᵀ`, which for a large `p` is about the largest one, and smooth where the largest ones are
    /// equal. Raises where the chain comes to an end.
    fn log_bound<T: Tensor>(&self, power: i32, theta: &[T]) -> T {
        let (product, mean) = (self.slopes.low * self.slopes.high, self.slopes.mean());
        let constant = |w: &NdArray<f64>| -> T {
            let elements: Vec<f64> = w.view().iter().copied().collect();
            T::from_elements(&w.shape(), &elements).or_raise()
        };
        // L⁻¹·Wᵀ of X = L·Lᵀ.
        let through = |w: &T, x: &T| solve_triangular(&cholesky(x), &w.transpose(), Triangle::LOWER);
        let (last, hidden) = self.weights.split_last().expect("a network has layers");
        let mut x = T::ones(&[self.weights[0].shape()[1]]).diag(0);
        for (w, theta) in hidden.iter().zip(theta) {
            let (w, lambda) = (constant(w), theta.exp());
            if product != 0.0 {
                x += w.transpose().matmul(&(lambda.unsqueeze(-1) * &w)).scale(product);
            }
            let t = through(&w, &x) * lambda.clone().scale(mean);
            x = lambda.diag(0) - t.transpose().matmul(&t);
        }
        let t = through(&constant(last), &x);
        let is_wide = t.shape()[1] > t.shape()[0];
        let gram = if is_wide { t.matmul(&t.transpose()) } else { t.transpose().matmul(&t) };
        let values = eigvalsh(&gram);
        let largest = values.detach().max(..);
        let sum = (values / &largest).relu().powi(power).sum(..);
        (sum.log().scale(f64::from(power).recip()) + largest.log()).scale(0.5)
    }
}

/// Multipliers for each neuron, from some that the chain can be run with, to where L-BFGS takes them, or as far as it
/// comes in the time.
pub(super) fn descend(network: &Network, start: &Multipliers, deadline: Deadline) -> Multipliers {
    let of_rows = |w: &faer::Mat<f64>| {
        NdArray::from(ndarray::Array2::from_shape_fn((w.nrows(), w.ncols()), |(i, j)| w[(i, j)]))
    };
    let chain = Chain { weights: network.weights.iter().map(of_rows).collect(), slopes: network.slopes };
    let logarithms = |lambda: &Vec<f64>| NdArray::from(lambda.iter().map(|l| l.ln()).collect::<Vec<f64>>());
    let mut theta: Vec<NdArray<f64>> = start.iter().map(logarithms).collect();
    // With the number of outputs m, (Σ wᵢᵖ)^(1/p) is above the largest by the factor m^(1/p) at most.
    let outputs = network.last().nrows().min(network.last().ncols());
    let powers: &[i32] = if outputs == 1 { &[1] } else { &[8, 64, 512] };
    for &power in powers {
        let (mut best, mut least) = (theta.clone(), f64::INFINITY);
        let method =
            Lbfgs { history: 20, iterations: 300, gradient: 1e-10, change: 1e-12, ..Lbfgs::default() };
        let found = method.minimize(&mut theta, |theta| {
            if deadline.is_over() {
                return Err(Error::User(TimeUp.into()));
            }
            match value_and_grad(|theta| chain.log_bound(power, &theta), theta) {
                Ok((value, gradient)) => {
                    if value.item() < least {
                        (best, least) = (theta.clone(), value.item());
                    }
                    Ok((value, gradient))
                }
                // Where the chain comes to an end it has no bound.
                Err(_) => Ok((NdArray::scalar(f64::INFINITY), theta.clone())),
            }
        });
        theta = best;
        if found.is_err() {
            break;
        }
    }
    let multiplier = |theta: &NdArray<f64>| theta.view().iter().map(|x| x.exp()).collect();
    theta.iter().map(multiplier).collect()
}
