//! Bounds by a chain over the layers (Xu & Sivaranjani, *ECLipsE: efficient compositional Lipschitz constant estimation
//! for deep neural networks*, 2024): for diagonal matrices `Λᵢ` with positive elements, `X₀ = I` and
//! `Xᵢ = Λᵢ − s²·ΛᵢWᵢ(Xᵢ₋₁ + αβ·WᵢᵀΛᵢWᵢ)⁻¹WᵢᵀΛᵢ` with `s = ½(α + β)`, the constant is at most
//! `√λmax(W_l·X_{l−1}⁻¹·W_lᵀ)`, as long as all of these are positive definite.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatRef, Side};

use super::certificate::{Approximate, enlarged, first_exponent, gamma, largest_element, magnitude};
use super::matrix::largest_eigenvalue;
use super::network::{Network, Slopes};
use crate::linalg::ONE;

/// The margin of [`fast`] of which no bound is noticeably larger.
const NARROW: f64 = 1e-10;
/// One that methods can begin from.
pub(super) const WIDE: f64 = 0.1;

/// The diagonals of `Λᵢ`, one for each layer but the last.
pub(super) type Multipliers = Vec<Vec<f64>>;

/// `W·X⁻¹·Wᵀ`, or nothing if `X` is not positive definite.
fn through(w: MatRef<'_, f64>, x: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let factor = x.llt(Side::Lower).ok()?;
    let mut t = w.transpose().to_owned();
    solve_lower_triangular_in_place(factor.L(), t.as_mut(), ONE);
    Some(t.transpose() * &t)
}

/// `Xᵢ` from `Wᵢ·(Xᵢ₋₁ + αβ·WᵢᵀΛᵢWᵢ)⁻¹·Wᵢᵀ`.
fn after(product: MatRef<'_, f64>, slopes: Slopes, lambda: &[f64]) -> Mat<f64> {
    let s = slopes.mean() * slopes.mean();
    Mat::from_fn(lambda.len(), lambda.len(), |i, j| {
        let diagonal = if i == j { lambda[i] } else { 0.0 };
        diagonal - s * lambda[i] * product[(i, j)] * lambda[j]
    })
}

/// A step of the chain.
fn step(w: MatRef<'_, f64>, x: MatRef<'_, f64>, slopes: Slopes, lambda: &[f64]) -> Option<Mat<f64>> {
    let product = slopes.low * slopes.high;
    if product == 0.0 {
        return Some(after(through(w, x)?.as_ref(), slopes, lambda));
    }
    let scaled = Mat::from_fn(w.nrows(), w.ncols(), |i, j| product * lambda[i] * w[(i, j)]);
    let p = x + w.transpose() * scaled;
    Some(after(through(w, p.as_ref())?.as_ref(), slopes, lambda))
}

/// The multiplier of a whole layer that makes the least eigenvalue of `Xᵢ` largest: of `λ − s²λ²g/(1 + αβλg)` for the
/// largest eigenvalue `g` of `Wᵢ·Xᵢ₋₁⁻¹·Wᵢᵀ`. Where `1 + αβλg` has to stay above zero, it does by so much.
fn best(slopes: Slopes, g: f64, margin: f64) -> f64 {
    let Slopes { low, high } = slopes;
    let (product, mean) = (low * high, slopes.mean());
    let d = 0.25 * (high - low).powi(2);
    if d == 0.0 {
        // The activation is linear: the larger, the better.
        return 1e6 / g;
    }
    // t²·αβ·d + 2td − 1 = 0 for t = λg, in the form that has no difference of equal numbers.
    let t = 1.0 / (d + (d * mean * mean).sqrt());
    if product < 0.0 { t.min((1.0 - margin) / -product) / g } else { t / g }
}

fn identity(network: &Network) -> Mat<f64> {
    Mat::identity(network.inputs(), network.inputs())
}

/// A step with the multiplier of ECLipsE-Fast, and that, or nothing where the chain comes to an end. With slopes of
/// both signs the best one lies where it nearly does: `margin` is how far from there it is.
fn fast_step(w: MatRef<'_, f64>, x: MatRef<'_, f64>, slopes: Slopes, margin: f64) -> Option<(Mat<f64>, f64)> {
    let product = through(w, x)?;
    let g = largest_eigenvalue(product.as_ref());
    if g.is_nan() {
        return None;
    }
    // What comes after nothing is constant, with any multiplier.
    let lambda = if g > 0.0 { best(slopes, g, margin) } else { 1.0 };
    let all = vec![lambda; w.nrows()];
    let next = match slopes.low * slopes.high {
        0.0 => after(product.as_ref(), slopes, &all),
        _ => step(w, x, slopes, &all)?,
    };
    Some((next, lambda))
}

/// The multipliers of ECLipsE-Fast, the same number for all neurons of a layer, or nothing where the chain comes to an
/// end.
pub(super) fn fast(network: &Network, margin: f64) -> Option<Multipliers> {
    let mut x = identity(network);
    let mut all = Vec::new();
    for w in &network.weights[..network.depth() - 1] {
        let (next, lambda) = fast_step(w.as_ref(), x.as_ref(), network.slopes, margin)?;
        x = next;
        all.push(vec![lambda; w.nrows()]);
    }
    Some(all)
}

/// The bound, as it is computed, or nothing where the chain comes to an end.
pub(super) fn bound(network: &Network, multipliers: &[Vec<f64>]) -> Option<f64> {
    let mut x = identity(network);
    for (w, lambda) in network.weights.iter().zip(multipliers) {
        x = step(w.as_ref(), x.as_ref(), network.slopes, lambda)?;
    }
    let square = largest_eigenvalue(through(network.last(), x.as_ref())?.as_ref());
    (!square.is_nan()).then(|| square.max(0.0).sqrt())
}

/// The bound, at least so, of some multipliers: each `Xᵢ` is made smaller until it certainly is at most what the chain
/// asks for. Infinite where the chain comes to an end.
pub(super) fn certified(network: &Network, multipliers: &[Vec<f64>]) -> f64 {
    run(network, |layer, w, x| {
        let lambda = multipliers[layer].clone();
        Some((step(w, x, network.slopes, &lambda)?, lambda))
    })
}

/// The same of the multipliers of [`fast`], which are found on the way.
pub(super) fn certified_fast(network: &Network) -> f64 {
    run(network, |_, w, x| {
        let (next, lambda) = fast_step(w, x, network.slopes, NARROW)?;
        Some((next, vec![lambda; w.nrows()]))
    })
}

/// A certified chain, of which each step is given, with its multipliers, as it is computed.
fn run(
    network: &Network,
    step: impl Fn(usize, MatRef<'_, f64>, MatRef<'_, f64>) -> Option<(Mat<f64>, Vec<f64>)>,
) -> f64 {
    let mut x = identity(network);
    // By how much the last one had to be made smaller.
    let mut exponent = 0;
    for (layer, w) in network.weights[..network.depth() - 1].iter().enumerate() {
        let w = w.as_ref();
        let next = step(layer, w, x.as_ref()).and_then(|(next, lambda)| {
            exponent = exponent.max(first_exponent(w.nrows() + w.ncols()));
            smaller(next, &mut exponent, |next| is_step(w, x.as_ref(), network.slopes, &lambda, next))
        });
        let Some(next) = next else { return f64::INFINITY };
        x = next;
    }
    let last = network.last();
    if largest_element(last) == 0.0 {
        return 0.0;
    }
    let Some(product) = through(last, x.as_ref()) else { return f64::INFINITY };
    let found = largest_eigenvalue(product.as_ref()).max(0.0).sqrt();
    if found.is_nan() || found == 0.0 {
        return f64::INFINITY;
    }
    // [X, Wᵀ; W, L²·I] is positive semidefinite; its elements are exact.
    let (m, n) = (last.nrows(), last.ncols());
    enlarged(found, first_exponent(m + n), |bound| {
        let square = (bound * bound).next_down();
        let mut matrix = Mat::zeros(m + n, m + n);
        matrix.submatrix_mut(0, 0, n, n).copy_from(&x);
        matrix.submatrix_mut(n, 0, m, n).copy_from(last);
        (n..m + n).for_each(|i| matrix[(i, i)] = square);
        Approximate::exact(matrix).shows_positive()
    })
}

/// `X` with its diagonal made smaller by the least share of `4ᵏ·10⁻¹⁵`, from the exponent `k` on, that a check lets
/// pass.
fn smaller(x: Mat<f64>, exponent: &mut i32, holds: impl Fn(MatRef<'_, f64>) -> bool) -> Option<Mat<f64>> {
    (*exponent..=23).find_map(|k| {
        let mut less = x.clone();
        (0..x.nrows()).for_each(|i| less[(i, i)] -= 1e-15 * 4f64.powi(k) * x[(i, i)].abs());
        holds(less.as_ref()).then(|| {
            *exponent = k;
            less
        })
    })
}

/// Whether `[P, −s·WᵀΛ; −s·ΛW, Λ − X′]` with `P = X + αβ·WᵀΛW` is certainly positive semidefinite.
fn is_step(
    w: MatRef<'_, f64>,
    x: MatRef<'_, f64>,
    slopes: Slopes,
    lambda: &[f64],
    next: MatRef<'_, f64>,
) -> bool {
    let (m, n) = (w.nrows(), w.ncols());
    let (product, mean) = (slopes.low * slopes.high, slopes.mean());
    // Of which nothing above the diagonal is read.
    let mut matrix = Mat::<f64>::zeros(m + n, m + n);
    let mut error = None;
    matrix.submatrix_mut(0, 0, n, n).copy_from(x);
    if product != 0.0 {
        let weighted = Mat::from_fn(m, n, |i, j| product * lambda[i] * w[(i, j)]);
        let rounded = (magnitude(w).transpose() * magnitude(weighted.as_ref())) * faer::Scale(gamma(m + 8));
        let p = x + w.transpose() * weighted;
        matrix.submatrix_mut(0, 0, n, n).copy_from(&p);
        let mut of_all = Mat::zeros(m + n, m + n);
        of_all.submatrix_mut(0, 0, n, n).copy_from(&rounded);
        error = Some(of_all);
    }
    for j in 0..n {
        let column = matrix.col_as_slice_mut(j)[n..].iter_mut();
        column.zip(w.col(j).iter().zip(lambda)).for_each(|(x, (w, lambda))| *x = -(mean * lambda * w));
    }
    for j in 0..m {
        let column = &mut matrix.col_as_slice_mut(n + j)[n..];
        column.iter_mut().zip(next.col(j).iter()).for_each(|(x, next)| *x = -next);
        column[j] += lambda[j];
    }
    // Differences on the diagonal, and products; X itself is exact.
    Approximate { matrix, relative: 2.0 * f64::EPSILON, error }.shows_positive()
}
