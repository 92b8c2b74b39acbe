//! The least bound that a semidefinite program gives (Fazlyab et al., *Efficient and accurate estimation of Lipschitz
//! constants for deep neural networks*, 2019, LipSDP-Neuron), by a barrier method.
//!
//! With the vector `(x, z)` of the input and all neurons' outputs, `b = z − αv`, `c = z − βv` and `v` the neurons'
//! inputs, `ρ = L²` for the least `ρ` of which some `λ ≥ 0` makes `Z = ρP₁ − P₂ + Σ λᵢ(cᵢbᵢᵀ + bᵢcᵢᵀ)` positive
//! semidefinite, where `P₁` is the identity of the input and `P₂` what the output's square is. (LipSDP-Network, with
//! multipliers for pairs of neurons, is not sound: Pauli et al., *Training robust neural networks using Lipschitz
//! bounds*, 2021.)

use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Mat, MatRef, Scale, Side};

use super::certificate::{Approximate, enlarged, first_exponent, gamma, magnitude};
use super::limit::{Deadline, TimeUp};
use super::network::Slopes;

/// A program: `P₂`, and the rows `B` and `C`.
pub(super) struct Program {
    inputs: usize,
    output: Mat<f64>,
    square: Mat<f64>,
    b: Mat<f64>,
    c: Mat<f64>,
}

/// A point within.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) rho: f64,
    pub(super) lambda: Vec<f64>,
}

/// What a program came to.
pub(super) struct Solution {
    pub(super) point: Point,
    /// `Z⁻¹/t`: what the matrix of second moments of `(x, z)` is for the worst direction.
    pub(super) moments: Mat<f64>,
}

/// The gradient of the barrier, its second derivatives, below the diagonal, and `Z⁻¹`: of `λ`, and last of `ρ`.
struct Expansion {
    gradient: Vec<f64>,
    hessian: Mat<f64>,
    inverse: Mat<f64>,
}

impl Program {
    /// Of a network's blocks: `rows` are the neurons' inputs `v` by `(x, z)`, `[neurons, inputs + neurons]`, and
    /// `output` is the output by it.
    pub(super) fn new(inputs: usize, rows: MatRef<'_, f64>, output: Mat<f64>, slopes: Slopes) -> Program {
        let by = |slope: f64| {
            Mat::from_fn(rows.nrows(), rows.ncols(), |i, j| {
                (if j == inputs + i { 1.0 } else { 0.0 }) - slope * rows[(i, j)]
            })
        };
        let square = output.transpose() * &output;
        Program { inputs, square, output, b: by(slopes.low), c: by(slopes.high) }
    }
    fn size(&self) -> usize {
        self.square.nrows()
    }
    fn neurons(&self) -> usize {
        self.b.nrows()
    }
    /// `Cᵀ·diag(λ)·B`, of which the sum with its transpose is a part of `Z`.
    fn half(&self, lambda: &[f64], [b, c]: [MatRef<'_, f64>; 2]) -> Mat<f64> {
        c.transpose() * Mat::from_fn(b.nrows(), b.ncols(), |i, j| lambda[i] * b[(i, j)])
    }
    /// `Z`.
    fn matrix(&self, point: &Point) -> Mat<f64> {
        let half = self.half(&point.lambda, [self.b.as_ref(), self.c.as_ref()]);
        let mut z = &half + half.transpose() - &self.square;
        (0..self.inputs).for_each(|i| z[(i, i)] += point.rho);
        z
    }
    pub(super) fn is_inside(&self, point: &Point) -> bool {
        let positive = point.rho.is_finite() && point.lambda.iter().all(|&l| l > 0.0 && l.is_finite());
        positive && self.matrix(point).llt(Side::Lower).is_ok()
    }

    fn expand(&self, point: &Point, t: f64) -> Option<Expansion> {
        let (n, k) = (self.neurons(), self.inputs);
        let inverse = self.matrix(point).llt(Side::Lower).ok()?.inverse();
        let (bv, cv) = (&self.b * &inverse, &self.c * &inverse);
        let p = &bv * self.c.transpose();
        let r = &cv * self.c.transpose();
        let u = &bv * self.b.transpose();
        let mut hessian = Mat::<f64>::zeros(n + 1, n + 1);
        let mut gradient = Vec::with_capacity(n + 1);
        for i in 0..n {
            for j in 0..=i {
                hessian[(i, j)] = 2.0 * (p[(i, j)] * p[(j, i)] + r[(i, j)] * u[(i, j)]);
            }
            hessian[(i, i)] += point.lambda[i].powi(-2);
            // The first columns are the products with P₁.
            hessian[(n, i)] = 2.0 * (0..k).map(|j| cv[(i, j)] * bv[(i, j)]).sum::<f64>();
            gradient.push(-2.0 * p[(i, i)] - 1.0 / point.lambda[i]);
        }
        let corner = inverse.submatrix(0, 0, k, k);
        hessian[(n, n)] = corner.squared_norm_l2();
        gradient.push(t - (0..k).map(|i| corner[(i, i)]).sum::<f64>());
        Some(Expansion { gradient, hessian, inverse })
    }

    /// From a point within, until `ρ` is known to a relative error, or is certainly below or above a number that the
    /// caller wants it compared with; nothing if rounding ends it.
    ///
    /// # Errors
    /// If there is no time left.
    pub(super) fn solve(
        &self,
        start: Point,
        tolerance: f64,
        enough: Option<f64>,
        deadline: Deadline,
    ) -> Result<Option<Solution>, TimeUp> {
        const GROWTH: f64 = 6.0;
        const MOST: usize = 400;
        let count = (self.size() + self.neurons()) as f64;
        let mut point = start;
        if !self.is_inside(&point) {
            return Ok(None);
        }
        let mut t = count / point.rho;
        for _ in 0..MOST {
            deadline.check()?;
            let Some(expansion) = self.expand(&point, t) else { return Ok(None) };
            let Some((step, decrement)) = newton(&expansion) else { return Ok(None) };
            let solution = |point| Some(Solution { point, moments: &expansion.inverse * Scale(1.0 / t) });
            let Some(next) = self.along(&point, &step, decrement) else { return Ok(solution(point)) };
            point = next;
            if decrement < 0.5 {
                // Near the central point of this t, the value is above the least one by count/t at most, and some.
                let gap = 1.5 * count / t;
                let decided = enough.is_some_and(|enough| point.rho <= enough || point.rho - gap > enough);
                if gap <= tolerance * point.rho || decided {
                    return Ok(solution(point));
                }
                t *= GROWTH;
            }
        }
        Ok(None)
    }

    /// The next point within, along a step; nothing if there is none but this one, up to rounding.
    fn along(&self, point: &Point, step: &[f64], decrement: f64) -> Option<Point> {
        // What is sure to be within is 1/(1 + δ); four times as far mostly is as well.
        let mut length = if decrement < 0.25 { 1.0 } else { (4.0 / (1.0 + decrement)).min(1.0) };
        let n = self.neurons();
        while length >= 1e-10 {
            let next = Point {
                rho: point.rho + length * step[n],
                lambda: point.lambda.iter().zip(step).map(|(l, s)| l + length * s).collect(),
            };
            if self.is_inside(&next) {
                return Some(next);
            }
            length *= 0.5;
        }
        None
    }

    /// `√ρ` of a point, at least so, where the output may be wrong by so much: with `ρ` enlarged until `Z` certainly is
    /// positive semidefinite.
    pub(super) fn certified(&self, point: &Point, output_error: MatRef<'_, f64>) -> f64 {
        let error = self.error(point, Some(output_error));
        let rho = enlarged(point.rho, first_exponent(self.size()), |rho| {
            self.is_certain(&Point { rho, lambda: point.lambda.clone() }, error.clone())
        });
        rho.sqrt().next_up()
    }

    /// The least of `√ρ` of the points on the way from one to another well within, of which `Z` certainly is positive
    /// semidefinite: it is linear in these, so what the other is away from singular is divided by no more than their
    /// distance. Infinite if there is none.
    pub(super) fn certified_toward(&self, point: &Point, within: &Point) -> f64 {
        for k in 0..18 {
            let share = if k == 0 { 0.0 } else { 1e-12 * 4f64.powi(k) };
            let between = |a: f64, b: f64| (1.0 - share) * a + share * b;
            let lambda = point.lambda.iter().zip(&within.lambda).map(|(&a, &b)| between(a, b)).collect();
            let mixed = Point { rho: between(point.rho, within.rho), lambda };
            let error = self.error(&mixed, None);
            if self.is_certain(&mixed, error) {
                return mixed.rho.sqrt().next_up();
            }
        }
        f64::INFINITY
    }

    /// Whether `Z` of a point certainly is positive semidefinite.
    fn is_certain(&self, point: &Point, error: Mat<f64>) -> bool {
        let positive = point.lambda.iter().all(|&l| l >= 0.0 && l.is_finite());
        positive
            && Approximate { matrix: self.matrix(point), relative: 0.0, error: Some(error) }.shows_positive()
    }

    /// By how much the elements of `Z`, as it is computed, may be wrong, and more, of points whose `ρ` is not twice as
    /// large.
    fn error(&self, point: &Point, output_error: Option<MatRef<'_, f64>>) -> Mat<f64> {
        let (of_b, of_c) = (magnitude(self.b.as_ref()), magnitude(self.c.as_ref()));
        let half = self.half(&point.lambda, [of_b.as_ref(), of_c.as_ref()]);
        let of_output = magnitude(self.output.as_ref());
        let wide = output_error.map_or_else(|| of_output.clone(), |error| &of_output + error);
        let rounded = gamma(self.neurons() + 12);
        let of_square = wide.transpose() * &wide - of_output.transpose() * &of_output;
        let square = (wide.transpose() * &wide) * Scale(gamma(self.output.nrows() + 12));
        Mat::from_fn(self.size(), self.size(), |i, j| {
            // Of a difference of what is nearly the same, no more than its rounding, which is in `square`, is wrong.
            let sums = rounded * (half[(i, j)] + half[(j, i)]);
            let ends = if i == j && i < self.inputs { 8.0 * f64::EPSILON * point.rho } else { 0.0 };
            of_square[(i, j)].max(0.0) + 4.0 * (square[(i, j)] + sums) + ends + f64::MIN_POSITIVE
        })
    }
}

/// The step to the minimum of the expansion, and its length `δ` in the norm of the second derivatives, by which it is
/// judged; nothing if rounding leaves none.
fn newton(expansion: &Expansion) -> Option<(Vec<f64>, f64)> {
    let Expansion { gradient, hessian, .. } = expansion;
    let n = gradient.len();
    // By the size of each, so that the factorization does not meet numbers of very different ones.
    let scale: Vec<f64> = (0..n).map(|i| hessian[(i, i)].sqrt().recip()).collect();
    let scaled = Mat::from_fn(n, n, |i, j| hessian[(i.max(j), i.min(j))] * scale[i] * scale[j]);
    let right = Mat::from_fn(n, 1, |i, _| -gradient[i] * scale[i]);
    let found = scaled.llt(Side::Lower).ok()?.solve(&right);
    let decrement = (0..n).map(|i| found[(i, 0)] * right[(i, 0)]).sum::<f64>().max(0.0).sqrt();
    decrement.is_finite().then(|| ((0..n).map(|i| found[(i, 0)] * scale[i]).collect(), decrement))
}
