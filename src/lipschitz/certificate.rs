//! Inequalities between matrices that hold in spite of rounding.
//!
//! A Cholesky factorization in floating point that comes to its end shows that the matrix is not far from positive
//! semidefinite: `A` is, if that of `fl(A − c·I)` does, with `c ≥ Σ γ/(1 − γ)·a_jj`, `γ = (n + 1)u/(1 − (n + 1)u)`
//! (Rump, *Verification of positive definiteness*, 2006). The order of sums does not matter for that, and a product
//! with a rounded reciprocal in place of a quotient is one rounding more.

use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::{Mat, MatRef};

use crate::linalg::{ONE, scratch};

/// The rounding of one operation, relative.
const UNIT: f64 = f64::EPSILON / 2.0;

/// `n·u/(1 − n·u)`: what `n` roundings are at most, relative.
pub(super) fn gamma(n: usize) -> f64 {
    let nu = n as f64 * UNIT;
    // The quotient itself is rounded.
    (nu / (1.0 - nu)).next_up().next_up()
}

/// A symmetric matrix, of which only the diagonal and what is below it are read, and how far each element may be from
/// that which it stands for: by `relative` of itself, and by what `error` says.
pub(super) struct Approximate {
    pub(super) matrix: Mat<f64>,
    pub(super) relative: f64,
    pub(super) error: Option<Mat<f64>>,
}

impl Approximate {
    pub(super) fn exact(matrix: Mat<f64>) -> Approximate {
        Approximate { matrix, relative: 0.0, error: None }
    }

    /// Whether what it stands for is certainly positive semidefinite.
    ///
    /// Rows and columns are scaled by powers of two, which is exact and changes nothing of that, so that the elements
    /// of the diagonal are near one.
    pub(super) fn shows_positive(mut self) -> bool {
        let n = self.matrix.nrows();
        let mut scale = Vec::with_capacity(n);
        let mut trace = 0.0;
        for i in 0..n {
            let diagonal = self.matrix[(i, i)];
            if !(diagonal > 0.0 && diagonal.is_finite()) {
                return false;
            }
            let exponent = -(diagonal.log2() * 0.5).round();
            if exponent.abs() > 500.0 {
                return false;
            }
            let factor = exponent.exp2();
            trace += diagonal * factor * factor;
            scale.push(factor);
        }
        // How far from the diagonal there is anything: no sum of the factorization has more terms that are not zero.
        let mut width = 0;
        // The sums of the errors of each row, of which the largest bounds their norm.
        let mut errors = vec![0.0; n];
        for j in 0..n {
            let column = &mut self.matrix.col_as_slice_mut(j)[j..];
            column.iter_mut().zip(&scale[j..]).for_each(|(x, s)| *x *= s * scale[j]);
            width = width.max(column.iter().rposition(|&x| x != 0.0).unwrap_or(0));
            if self.relative > 0.0 {
                let sizes = column[1..].iter().zip(&mut errors[j + 1..]);
                let below: f64 = sizes
                    .map(|(x, error)| {
                        *error += self.relative * x.abs();
                        x.abs()
                    })
                    .sum();
                errors[j] += self.relative * (below + column[0]);
            }
            if let Some(error) = &self.error {
                let column = &error.col_as_slice(j)[j..];
                errors[j] += column[0] * scale[j] * scale[j];
                for (i, error) in column.iter().enumerate().skip(1) {
                    let error = error * scale[j] * scale[i + j];
                    errors[i + j] += error;
                    errors[j] += error;
                }
            }
        }
        let error = errors.into_iter().fold(0.0, f64::max) * (1.0 + gamma(2 * n + 8));
        let share = gamma(width + 7) / (1.0 - gamma(width + 7));
        // With room for the roundings of these sums and products and of the differences on the diagonal, and for what
        // became subnormal when it was scaled.
        let least = f64::MIN_POSITIVE * (n * n) as f64;
        let c = 1.01 * (error + (share + 4.0 * UNIT) * trace * (1.0 + gamma(2 * n))) + least;
        if !c.is_finite() {
            return false;
        }
        for i in 0..n {
            self.matrix[(i, i)] -= c;
        }
        factor(&mut self.matrix)
    }
}

/// Puts the Cholesky factor in the place of a matrix, of which only the diagonal and what is below it are read; whether
/// there is one.
fn factor(a: &mut Mat<f64>) -> bool {
    let n = a.nrows();
    let found = scratch(cholesky_in_place_scratch::<f64>(n, ONE, Default::default()), |stack| {
        cholesky_in_place(a.as_mut(), Default::default(), ONE, stack, Default::default())
    });
    found.is_ok() && (0..n).all(|i| a[(i, i)] > 0.0 && a[(i, i)].is_finite())
}

/// The largest absolute value; NaN is left out.
pub(super) fn largest_element(a: MatRef<'_, f64>) -> f64 {
    (0..a.ncols()).flat_map(|j| (0..a.nrows()).map(move |i| a[(i, j)].abs())).fold(0.0, f64::max)
}

/// A power of two that a number is near one with, as a factor.
pub(super) fn toward_one(x: f64) -> f64 {
    if x > 0.0 { 2f64.powi(-(x.log2().floor() as i32).clamp(-1000, 1000)) } else { 1.0 }
}

/// Absolute values.
pub(super) fn magnitude(a: MatRef<'_, f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)].abs())
}

/// Whether all elements are finite.
pub(super) fn is_finite(a: MatRef<'_, f64>) -> bool {
    (0..a.ncols()).all(|j| (0..a.nrows()).all(|i| a[(i, j)].is_finite()))
}

/// `‖A‖_F`, at least so; infinite if an element is not finite.
pub(super) fn frobenius(a: MatRef<'_, f64>) -> f64 {
    if !is_finite(a) {
        return f64::INFINITY;
    }
    let largest = largest_element(a);
    if largest == 0.0 {
        return 0.0;
    }
    // Scaled, so that squares are numbers.
    let scale = toward_one(largest);
    let squares: f64 =
        (0..a.ncols()).map(|j| (0..a.nrows()).map(|i| (a[(i, j)] * scale).powi(2)).sum::<f64>()).sum();
    let least = f64::MIN_POSITIVE * (a.nrows() * a.ncols()) as f64;
    (((squares + least).sqrt() / scale) * (1.0 + gamma(a.nrows() + a.ncols() + 8))).next_up()
}

/// The product of factors that are not negative, at least so.
pub(super) fn product_at_most(factors: impl IntoIterator<Item = f64>) -> f64 {
    let mut factors: Vec<f64> = factors.into_iter().collect();
    if factors.contains(&0.0) {
        return 0.0;
    }
    // Small and large ones in turn, so that what is in between stays a number if the product is one.
    factors.sort_by(f64::total_cmp);
    let (mut product, mut low, mut high) = (1.0f64, 0, factors.len());
    while low < high {
        let factor = if product >= 1.0 {
            low += 1;
            factors[low - 1]
        } else {
            high -= 1;
            factors[high]
        };
        product = (product * factor).next_up();
    }
    product
}

/// The least of `value·(1 + 4ᵏ·10⁻¹⁵)`, `k = start, start + 1, …`, of which a check says that it holds; none is
/// infinite.
pub(super) fn enlarged(value: f64, start: i32, holds: impl Fn(f64) -> bool) -> f64 {
    (start..=25)
        .map(|k| value * (1.0 + 1e-15 * 4f64.powi(k)))
        .find(|&larger| holds(larger))
        .unwrap_or(f64::INFINITY)
}

/// The first exponent that is worth a try for matrices of `n` rows, about whose factorization's rounding it is.
pub(super) fn first_exponent(n: usize) -> i32 {
    ((n * n) as f64 / 16.0).max(1.0).log(4.0).floor() as i32
}
