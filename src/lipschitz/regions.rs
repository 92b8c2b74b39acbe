//! The constant over a ball, by all regions of the inputs where a network is affine.

use std::time::Duration;

use faer::linalg::solvers::SolveLstsq;
use faer::{Col, Mat, MatRef, Scale};

use super::certificate::{frobenius, gamma, magnitude};
use super::constant::LipschitzConstant;
use super::limit::{Deadline, TimeUp};
use super::matrix::{dot, norm_at_most_of};
use super::network::Network;
use super::reduced::Scaled;
use crate::array::NdArray;
use crate::error::{At, Error, Result};

/// What the inputs of a region have in common: `normal·y ≥ least` for their differences `y` from the middle of the
/// ball.
#[derive(Clone)]
struct Side {
    normal: Vec<f64>,
    least: f64,
}

/// A layer before its activation, on the inputs with the signs that are fixed: `matrix·y + middle`, each of which may
/// be wrong by so much.
struct Piece {
    matrix: Mat<f64>,
    error: Mat<f64>,
    middle: Vec<f64>,
    middle_error: Vec<f64>,
}

struct Search<'a> {
    network: &'a Network,
    radius: f64,
    deadline: Deadline,
    sides: Vec<Side>,
    largest: f64,
}

impl Network {
    /// The Lipschitz constant over the ball of a radius around an input `[inputs]`: the largest norm of the derivative
    /// over all regions that the ball has a part of, in each of which the network is affine. The regions are followed
    /// neuron by neuron; one is left out where multipliers of its inequalities show that the ball does not reach it
    /// (Farkas), which are found by least squares (Lawson & Hanson, *Solving least squares problems*, 1974, chapter
    /// 23).
    ///
    /// It is an upper bound, rounding counted, and the constant itself, unless a region that only touches the ball is
    /// counted too. The time grows with the number of regions, which for `n` neurons and `d` inputs is at most of the
    /// order `nᵈ` for each layer: this is for small networks and small balls.
    ///
    /// ```
    /// use antiphon::lipschitz::Network;
    /// use antiphon::{NdArray, Tensor};
    /// use std::time::Duration;
    /// // ReLU(x) − 2·ReLU(x − 1), whose slopes are 0, 1 and −1.
    /// let weights = [NdArray::from_elements(&[1, 2], &[1.0, 1.0])?, NdArray::from_elements(&[2, 1], &[1.0, -2.0])?];
    /// let biases = [NdArray::from(vec![0.0, -1.0]), NdArray::from(vec![0.0])];
    /// let network = Network::relu(&weights)?.with_biases(&biases)?;
    /// let around = |x: f64, radius| network.local_exact(&NdArray::from(vec![x]), radius, Duration::from_secs(1));
    /// assert_eq!(around(-0.5, 0.4)?.value, 0.0);
    /// assert!((around(0.8, 1.0)?.value - 1.0).abs() < 1e-12);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if only the activation's slopes are known, if the input does not fit or is not finite, if
    /// the radius is negative or not finite, or if the time limit ends.
    #[track_caller]
    pub fn local_exact(&self, x: &NdArray<f64>, radius: f64, limit: Duration) -> Result<LipschitzConstant> {
        let (op, at) = ("local_exact", At::caller());
        let x = self.ball(op, x, radius, at)?;
        let deadline = Deadline::after(limit);
        // With weights near one, if none is rounded by that, so that squares are numbers.
        let scaled = Scaled::of(self);
        let network = if scaled.is_exact { &scaled.network } else { self };
        let mut search = Search { network, radius, deadline, sides: Vec::new(), largest: 0.0 };
        let n = self.inputs();
        let first = Piece {
            matrix: Mat::identity(n, n),
            error: Mat::zeros(n, n),
            middle: x,
            middle_error: vec![0.0; n],
        };
        match search.layer(0, &first) {
            Ok(()) => {
                let largest = search.largest;
                let largest = if scaled.is_exact { scaled.back(largest) } else { largest };
                Ok(LipschitzConstant::upper("all regions of the ball", largest))
            }
            Err(TimeUp) => {
                let reason = format!("the time limit of {limit:?} ended");
                Err(Error::Argument { op, reason, at })
            }
        }
    }
}

/// The Euclidean norm, of numbers of any size.
fn norm_of(v: &[f64]) -> f64 {
    let largest = v.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * v.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

impl Piece {
    /// The next layer of this one, behind its activation.
    fn through(&self, w: MatRef<'_, f64>, b: &[f64]) -> Piece {
        let size = magnitude(w);
        let share = gamma(w.ncols() + 8);
        let column = |v: &[f64]| Col::from_fn(v.len(), |i| v[i]);
        let sizes: Vec<f64> = self.middle.iter().map(|x| x.abs()).collect();
        let middle = w * column(&self.middle);
        let moved = &size * (column(&self.middle_error) + column(&sizes) * Scale(share));
        // And what became subnormal.
        let least = w.ncols() as f64 * f64::MIN_POSITIVE;
        let rounded = &size * &self.error + (&size * magnitude(self.matrix.as_ref())) * Scale(share);
        // Sums of nothing but zeros are exact.
        let is_zero = |i: usize, j: usize| {
            (0..w.ncols())
                .all(|k| w[(i, k)] == 0.0 || self.matrix[(k, j)] == 0.0 && self.error[(k, j)] == 0.0)
        };
        Piece {
            matrix: w * &self.matrix,
            error: Mat::from_fn(rounded.nrows(), rounded.ncols(), |i, j| {
                if is_zero(i, j) { 0.0 } else { rounded[(i, j)] + least }
            }),
            middle: b.iter().enumerate().map(|(i, b)| middle[i] + b).collect(),
            middle_error: (0..b.len()).map(|i| 1.01 * moved[i] + share * b[i].abs() + least).collect(),
        }
    }
}

impl Search<'_> {
    /// All regions, of a layer that takes this.
    fn layer(&mut self, layer: usize, before: &Piece) -> Result<(), TimeUp> {
        let network = self.network;
        let piece = before.through(network.weights[layer].as_ref(), &network.biases[layer]);
        if layer + 1 == network.depth() {
            // Mostly there is no need to know the norm itself.
            if frobenius(piece.matrix.as_ref()) + frobenius(piece.error.as_ref()) > self.largest {
                let norm = norm_at_most_of(piece.matrix.as_ref(), piece.error.as_ref());
                self.largest = if norm.is_nan() { f64::INFINITY } else { self.largest.max(norm) };
            }
            return Ok(());
        }
        self.neuron(layer, &piece, &mut Vec::new())
    }

    /// Both signs of the next neuron, where the ball has a part with it.
    fn neuron(&mut self, layer: usize, piece: &Piece, slopes: &mut Vec<f64>) -> Result<(), TimeUp> {
        self.deadline.check()?;
        let i = slopes.len();
        if i == piece.middle.len() {
            let n = piece.matrix.ncols();
            let behind = Piece {
                matrix: Mat::from_fn(i, n, |r, c| slopes[r] * piece.matrix[(r, c)]),
                error: Mat::from_fn(i, n, |r, c| {
                    if slopes[r] == 0.0 {
                        return 0.0;
                    }
                    let wrong = piece.error[(r, c)] + f64::EPSILON * piece.matrix[(r, c)].abs();
                    slopes[r].abs() * wrong + f64::MIN_POSITIVE
                }),
                middle: (0..i).map(|r| slopes[r] * piece.middle[r]).collect(),
                middle_error: (0..i)
                    .map(|r| {
                        let wrong = piece.middle_error[r] + f64::EPSILON * piece.middle[r].abs();
                        slopes[r].abs() * wrong + f64::MIN_POSITIVE
                    })
                    .collect(),
            };
            return self.layer(layer + 1, &behind);
        }
        let row: Vec<f64> = (0..piece.matrix.ncols()).map(|c| piece.matrix[(i, c)]).collect();
        let wrong: Vec<f64> = (0..piece.matrix.ncols()).map(|c| piece.error[(i, c)]).collect();
        // What the matrix is wrong by, on the ball, and the middle.
        let slack = 1.01 * (piece.middle_error[i] + norm_of(&wrong) * self.radius);
        let between = self.network.slopes;
        for (sign, slope) in [(1.0, between.high), (-1.0, between.low)] {
            let normal = row.iter().map(|x| sign * x).collect();
            self.sides.push(Side { normal, least: -sign * piece.middle[i] - slack });
            if !is_certainly_empty(&self.sides, self.radius) {
                slopes.push(slope);
                self.neuron(layer, piece, slopes)?;
                slopes.pop();
            }
            self.sides.pop();
        }
        Ok(())
    }
}

/// Whether no `y` with `‖y‖ ≤ r` is on all sides, for certain: since `λ·least > r·‖Σλᵢ·normalᵢ‖` for some `λ ≥ 0`.
fn is_certainly_empty(sides: &[Side], radius: f64) -> bool {
    let shows = |lambda: &[(usize, f64)]| {
        let inputs = sides[0].normal.len();
        let (mut sum, mut left, mut size) = (vec![0.0; inputs], 0.0, 0.0);
        for &(i, l) in lambda {
            let side = &sides[i];
            left += l * side.least;
            size += l * (side.least.abs() + radius * norm_of(&side.normal));
            sum.iter_mut().zip(&side.normal).for_each(|(s, x)| *s += l * x);
        }
        left - radius * norm_of(&sum) > 4.0 * gamma(lambda.len() + inputs + 8) * size
    };
    let last = sides.len() - 1;
    if shows(&[(last, 1.0)]) {
        return true;
    }
    // On one side alone there is a part of the ball; and all of it where the side is beyond.
    let Side { normal, least } = &sides[last];
    if last == 0 || radius == 0.0 || *least < -radius * norm_of(normal) * (1.0 + 1e-12) {
        return false;
    }
    let lambda = multipliers(sides, radius);
    !lambda.is_empty() && shows(&lambda)
}

/// The multipliers of the point nearest to the middle of the ball, and which sides they belong to: `λ ≥ 0` with the
/// least `‖E·λ − f‖²`, where the columns of `E` are `(normalᵢ, leastᵢ/r)`, near one in size, and `f = (0, 1)`.
fn multipliers(sides: &[Side], radius: f64) -> Vec<(usize, f64)> {
    let inputs = sides[0].normal.len();
    let column = |side: &Side| {
        let mut column = side.normal.clone();
        column.push(side.least / radius);
        let size = norm_of(&column);
        (size > 0.0 && size.is_finite())
            .then(|| (column.iter().map(|x| x / size).collect::<Vec<f64>>(), size))
    };
    let columns: Vec<Option<(Vec<f64>, f64)>> = sides.iter().map(column).collect();
    let at = |i: usize| &columns[i].as_ref().expect("of those that there are").0;
    let (mut passive, mut lambda) = (Vec::<usize>::new(), Vec::<f64>::new());
    for _ in 0..3 * sides.len() {
        let mut rest = vec![0.0; inputs + 1];
        rest[inputs] = 1.0;
        for (&i, l) in passive.iter().zip(&lambda) {
            rest.iter_mut().zip(at(i)).for_each(|(r, e)| *r -= l * e);
        }
        let others = (0..sides.len()).filter(|i| columns[*i].is_some() && !passive.contains(i));
        let slopes = others.map(|i| (i, dot(at(i), &rest)));
        let Some((next, slope)) = slopes.max_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        if slope <= 1e-14 {
            break;
        }
        passive.push(next);
        lambda.push(0.0);
        // To the least squares of these, or as far as none is negative, without those that are zero there.
        loop {
            let e = Mat::from_fn(inputs + 1, passive.len(), |r, c| at(passive[c])[r]);
            let f = Mat::from_fn(inputs + 1, 1, |r, _| if r == inputs { 1.0 } else { 0.0 });
            if passive.len() > inputs + 1 {
                return Vec::new();
            }
            let least = e.qr().solve_lstsq(&f);
            let goal: Vec<f64> = (0..passive.len()).map(|i| least[(i, 0)]).collect();
            if goal.iter().any(|l| !l.is_finite()) {
                return Vec::new();
            }
            if goal.iter().all(|&l| l > 0.0) {
                lambda = goal;
                break;
            }
            let step = |(l, goal): (&f64, &f64)| if *goal > 0.0 { 1.0 } else { l / (l - goal) };
            let steps: Vec<f64> = lambda.iter().zip(&goal).map(step).collect();
            let least = steps.iter().copied().filter(|step| !step.is_nan()).fold(1.0, f64::min);
            lambda.iter_mut().zip(&goal).for_each(|(l, goal)| *l += least * (goal - *l));
            let is_zero =
                |i: usize| goal[i] <= 0.0 && (steps[i].is_nan() || steps[i] <= least * (1.0 + 1e-12));
            let kept: Vec<usize> = (0..passive.len()).filter(|&i| !is_zero(i)).collect();
            if kept.is_empty() {
                return Vec::new();
            }
            passive = kept.iter().map(|&i| passive[i]).collect();
            lambda = kept.iter().map(|&i| lambda[i]).collect();
        }
    }
    let size = |i: usize| columns[i].as_ref().map_or(1.0, |(_, size)| *size);
    passive.iter().zip(&lambda).map(|(&i, l)| (i, l / size(i))).collect()
}
