//! SeqLip (Virmaux & Scaman, *Lipschitz regularity of deep neural networks: analysis and efficient estimation*, 2018):
//! with `Wᵢ = UᵢΣᵢVᵢᵀ`, and `Σ̃ = Σ` at both ends and `Σ^½` between, the constant is at most
//! `Π max_σ ‖Σ̃ᵢ₊₁Vᵢ₊₁ᵀ·diag(σ)·UᵢΣ̃ᵢ‖` over `σ ∈ {α, β}ⁿ`.

use faer::{Mat, Scale};

use super::certificate::{frobenius, gamma, magnitude, product_at_most};
use super::matrix::{self, RankOne, norm_at_most, power};
use super::network::{Network, Slopes};

/// Two matrices with neurons between them.
pub(super) struct Pair {
    /// `[outputs, neurons]`.
    pub(super) left: Mat<f64>,
    /// `[neurons, inputs]`.
    pub(super) right: Mat<f64>,
    pub(super) slopes: Slopes,
}

/// The pairs of a network, and how much its constant may be above the product of their largest norms.
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    pub(super) more: f64,
}

/// The pairs of a network of two layers or more; nothing if singular values are not found.
///
/// At the ends, the orthonormal factor beyond changes no norm, so the layer itself takes the place of `UΣ` or `ΣVᵀ`.
/// Between, the two halves' product is not the layer, up to rounding, of which `more` takes account.
pub(super) fn pairs(network: &Network) -> Option<Pairs> {
    let depth = network.depth();
    let mut pairs = Vec::new();
    let mut right = network.weights[0].clone();
    let (mut norms, mut share) = (Vec::new(), 0.0);
    for w in &network.weights[1..depth - 1] {
        let svd = w.thin_svd().ok()?;
        let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
        let root = |j: usize| s[j].max(0.0).sqrt();
        let before = Mat::from_fn(v.ncols(), v.nrows(), |r, c| v[(c, r)] * root(r));
        let behind = Mat::from_fn(u.nrows(), u.ncols(), |r, c| u[(r, c)] * root(c));
        let rounding =
            (magnitude(behind.as_ref()) * magnitude(before.as_ref())) * Scale(gamma(s.nrows() + 8));
        let error = frobenius((w - &behind * &before).as_ref()) + frobenius(rounding.as_ref());
        let norm = norm_at_most(w.as_ref()) + 2.0 * error;
        if norm > 0.0 {
            share += error / norm * (1.0 + 1e-10);
        }
        norms.push(norm);
        pairs.push(Pair {
            left: before,
            right: std::mem::replace(&mut right, behind),
            slopes: network.slopes,
        });
    }
    let last = network.weights[depth - 1].clone();
    let more = if share == 0.0 {
        0.0
    } else {
        let ends = [norm_at_most(network.weights[0].as_ref()), norm_at_most(last.as_ref())];
        product_at_most(norms.into_iter().chain(ends).chain(network.of_activations()).chain([share]))
    };
    pairs.push(Pair { left: last, right, slopes: network.slopes });
    Some(Pairs { pairs, more })
}

impl Pair {
    pub(super) fn neurons(&self) -> usize {
        self.right.nrows()
    }
    pub(super) fn slope(&self, high: bool) -> f64 {
        if high { self.slopes.high } else { self.slopes.low }
    }
    /// `left·diag(σ)·right`.
    fn product(&self, high: &[bool]) -> Mat<f64> {
        let scaled = Mat::from_fn(self.right.nrows(), self.right.ncols(), |i, j| {
            self.slope(high[i]) * self.right[(i, j)]
        });
        &self.left * scaled
    }
    fn value(&self, high: &[bool]) -> f64 {
        matrix::norm(self.product(high).as_ref())
    }

    /// Changes one of `σ` at a time, as long as that makes the norm larger, and gives the norm.
    ///
    /// A change is a matrix of rank one more, `δ·lᵢ·rᵢ`: of `u` and `v`, the singular vectors, a few rounds of the
    /// power method tell what it does to the norm.
    pub(super) fn climb(&self, high: &mut [bool]) -> f64 {
        let rows = self.right.transpose().to_owned();
        let mut direction = vec![1.0; self.right.ncols()];
        let mut product = self.product(high);
        let mut best = power(&product, None, &mut direction, 1e-12, 200);
        loop {
            let mut improved = None;
            for (i, &is_high) in high.iter().enumerate() {
                let factor = self.slope(!is_high) - self.slope(is_high);
                let more = RankOne { factor, column: self.left.col_as_slice(i), row: rows.col_as_slice(i) };
                let mut from = direction.clone();
                let found = power(&product, Some(more), &mut from, 1e-9, 40);
                if found > improved.as_ref().map_or(best * (1.0 + 1e-9), |(_, value, _)| *value) {
                    improved = Some((i, found, from));
                }
            }
            let Some((i, found, from)) = improved else { return self.value(high) };
            high[i] = !high[i];
            (best, direction, product) = (found, from, self.product(high));
        }
    }

    /// By single changes, from all high and from a few others: `σ` and the norm, which need not be the largest.
    pub(super) fn greedy(&self) -> (Vec<bool>, f64) {
        let n = self.neurons();
        let mut starts = vec![vec![true; n], vec![false; n]];
        // The neurons that the worst input of the linear network switches on.
        let mut direction = vec![1.0; self.right.ncols()];
        power(&self.product(&starts[0]), None, &mut direction, 1e-9, 200);
        let input =
            |i: usize| (0..self.right.ncols()).map(|c| self.right[(i, c)] * direction[c]).sum::<f64>();
        starts.push((0..n).map(|i| input(i) > 0.0).collect());
        starts.push((0..n).map(|i| input(i) <= 0.0).collect());
        let climbed = starts.into_iter().map(|mut high| {
            let value = self.climb(&mut high);
            (high, value)
        });
        climbed.max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are starts")
    }
}
