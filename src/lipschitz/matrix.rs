//! Spectral norms of matrices, and how much rounding may add to them.

use std::convert::Infallible;

use faer::{Mat, MatRef, Side};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::certificate::{
    Approximate, enlarged, first_exponent, frobenius, gamma, is_finite, largest_element, magnitude,
    toward_one,
};
use super::lanczos;

/// The largest eigenvalue of a symmetric matrix, computed, of which only the diagonal and what is below it are read;
/// NaN if it is not found.
///
/// Of many rows by Lanczos' method, which comes to its end after about 30 products.
pub(super) fn largest_eigenvalue(a: MatRef<'_, f64>) -> f64 {
    let n = a.nrows();
    // Whole, for products with its columns, and near one, so that squares are numbers.
    let largest = largest_element(a);
    let scale = toward_one(largest);
    let a = Mat::from_fn(n, n, |i, j| scale * a[(i.max(j), i.min(j))]);
    if largest == 0.0 || !largest.is_finite() {
        return if largest == 0.0 { 0.0 } else { f64::NAN };
    }
    if n <= 24 {
        let values = a.self_adjoint_eigenvalues(Side::Lower);
        return values.ok().and_then(|values| values.last().copied()).unwrap_or(f64::NAN) / scale;
    }
    let ending = lanczos::Ending { change: 1e-13, every: 8 };
    let found = lanczos::largest::<Infallible>(n, &[], ending, |v| {
        let mut w = vec![0.0; n];
        for (j, &x) in v.iter().enumerate() {
            w.iter_mut().zip(a.col_as_slice(j)).for_each(|(w, a)| *w += a * x);
        }
        Ok(w)
    });
    let Ok(found) = found;
    found.value / scale
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // In four sums, which the compiler makes one vector of.
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        (0..4).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

pub(super) fn norm_of(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

/// Random numbers, the same each time, for beginnings that are to have no structure.
#[derive(Debug)]
pub(super) struct Numbers(ChaCha8Rng);

impl Numbers {
    pub(super) fn new(seed: u64) -> Numbers {
        Numbers(ChaCha8Rng::seed_from_u64(seed))
    }
    /// Uniform on `[0, 1)`.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0.random()
    }
    /// A normal deviate (Box & Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
    pub(super) fn normals(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.normal()).collect()
    }
}

/// The largest singular value, computed; NaN if it is not found.
pub(super) fn norm(a: MatRef<'_, f64>) -> f64 {
    if a.nrows() == 0 || a.ncols() == 0 {
        return 0.0;
    }
    // Squares are numbers of what is near one.
    let scale = toward_one(largest_element(a));
    let scaled = Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] * scale);
    scaled.singular_values().ok().and_then(|values| values.first().copied()).unwrap_or(f64::NAN) / scale
}

/// The largest singular value, at least so: of `A` with `m ≤ n` rows it is at most `s` if `s²·I − AAᵀ` is positive
/// semidefinite.
pub(super) fn norm_at_most(a: MatRef<'_, f64>) -> f64 {
    let a = if a.nrows() > a.ncols() { a.transpose() } else { a };
    let n = a.nrows();
    if !is_finite(a) {
        return f64::INFINITY;
    }
    let largest = largest_element(a);
    if largest == 0.0 {
        return 0.0;
    }
    let scale = toward_one(largest);
    let scaled = Mat::from_fn(n, a.ncols(), |i, j| a[(i, j)] * scale);
    let product = &scaled * scaled.transpose();
    let size = magnitude(scaled.as_ref());
    // Of elements that became subnormal as well, which are less than the last term below. Sums of zeros are exact.
    let error = (&size * size.transpose()) * faer::Scale(gamma(most_in_a_row(scaled.as_ref()) + 4));
    let found = largest_eigenvalue(product.as_ref()).sqrt();
    if !found.is_finite() {
        return f64::INFINITY;
    }
    let bound = enlarged(found, first_exponent(n), |s| {
        let square = (s * s).next_down();
        let matrix =
            Mat::from_fn(n, n, |i, j| if i == j { square - product[(i, i)] } else { -product[(i, j)] });
        let error = Mat::from_fn(n, n, |i, j| {
            error[(i, j)] + if i == j { f64::EPSILON * square } else { 0.0 } + f64::MIN_POSITIVE
        });
        Approximate { matrix, relative: 0.0, error: Some(error) }.shows_positive()
    });
    (bound / scale).next_up()
}

/// The most elements of a row that are not zero.
fn most_in_a_row(a: MatRef<'_, f64>) -> usize {
    (0..a.nrows()).map(|i| (0..a.ncols()).filter(|&j| a[(i, j)] != 0.0).count()).max().unwrap_or(0)
}

/// The largest singular value, at least so, of what a matrix stands for whose elements may be wrong by so much.
pub(super) fn norm_at_most_of(a: MatRef<'_, f64>, error: MatRef<'_, f64>) -> f64 {
    (norm_at_most(a) + frobenius(error)).next_up()
}

/// `factor·column·row`, which a matrix is more.
#[derive(Clone, Copy)]
pub(super) struct RankOne<'a> {
    pub(super) factor: f64,
    pub(super) column: &'a [f64],
    pub(super) row: &'a [f64],
}

/// The largest singular value of a matrix, or of one and a matrix of rank one, from below up to rounding, by the power
/// method from a vector, in whose place the right singular vector comes.
pub(super) fn power(
    a: &Mat<f64>,
    more: Option<RankOne<'_>>,
    right: &mut [f64],
    tolerance: f64,
    most: usize,
) -> f64 {
    let n = a.ncols();
    let mut left = vec![0.0; a.nrows()];
    let mut last = 0.0;
    for _ in 0..most {
        left.fill(0.0);
        for (j, &x) in right.iter().enumerate() {
            left.iter_mut().zip(a.col_as_slice(j)).for_each(|(y, a)| *y += a * x);
        }
        if let Some(more) = more {
            let share = more.factor * dot(more.row, right);
            left.iter_mut().zip(more.column).for_each(|(y, c)| *y += share * c);
        }
        right.iter_mut().enumerate().for_each(|(j, x)| *x = dot(a.col_as_slice(j), &left));
        if let Some(more) = more {
            let share = more.factor * dot(more.column, &left);
            right.iter_mut().zip(more.row).for_each(|(x, r)| *x += share * r);
        }
        let size = norm_of(right);
        if size == 0.0 {
            // Any direction will do to go on from.
            right.fill((n as f64).sqrt().recip());
            return 0.0;
        }
        right.iter_mut().for_each(|x| *x /= size);
        let found = size.sqrt();
        if (found - last).abs() <= tolerance * found {
            return found;
        }
        last = found;
    }
    last
}
