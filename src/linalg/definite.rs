//! Functions of symmetric positive definite matrices, by their eigenvalues.

use faer::linalg::solvers::Llt;
use faer::{Mat, MatRef, Side};

use super::eigen;

/// To the last bit: what is above the diagonal only, as a direction of a derivative, may be very small.
pub(super) fn is_symmetric(a: MatRef<'_, f64>) -> bool {
    (0..a.nrows()).all(|i| (0..i).all(|j| a[(i, j)] == a[(j, i)]))
}

/// `V·f(w)·Vᵀ`.
pub(super) fn function(a: MatRef<'_, f64>, f: impl Fn(f64) -> f64) -> Result<Mat<f64>, String> {
    let (values, vectors) = decompose(a)?;
    let scaled = Mat::from_fn(values.len(), values.len(), |i, j| vectors[(i, j)] * f(values[j]));
    Ok(scaled * vectors.transpose())
}

/// The eigenvalues and eigenvectors, where all values are positive.
pub(super) fn decompose(a: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>), String> {
    let (values, vectors) = eigen::decompose(a)?;
    let largest = values.last().copied().unwrap_or(0.0);
    // Each is exact to a last digit of the largest one.
    let uncertain = 1e-4 * largest;
    match values.iter().enumerate().find(|&(_, &w)| w <= uncertain) {
        None => Ok((values, vectors)),
        Some((i, w)) => by_rotations(a)
            .ok_or_else(|| format!("the matrix is not positive definite: its eigenvalue {i} is {w:e}")),
    }
}

/// The same by rotations of the columns of the Cholesky factor, until these are orthogonal: each value to its own last
/// digits, if the matrix with a diagonal of ones that is scaled to it has a good condition (Demmel & Veselić 1992,
/// "Jacobi's method is more accurate than QR"). `None` if it is not positive definite.
fn by_rotations(a: MatRef<'_, f64>) -> Option<(Vec<f64>, Mat<f64>)> {
    let n = a.nrows();
    let mut columns = Llt::new(a, Side::Lower).ok()?.L().to_owned();
    const SWEEPS: usize = 60;
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                rotated |= orthogonalize(&mut columns, p, q);
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<(f64, usize)> = (0..n).map(|j| (columns.col(j).norm_l2(), j)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    if order.iter().any(|&(norm, _)| norm == 0.0 || !norm.is_finite()) {
        return None;
    }
    let vectors = Mat::from_fn(n, n, |i, j| columns[(i, order[j].1)] / order[j].0);
    Some((order.iter().map(|(norm, _)| norm * norm).collect(), vectors))
}

/// Rotates two columns so that they are orthogonal; whether they were not.
fn orthogonalize(columns: &mut Mat<f64>, p: usize, q: usize) -> bool {
    let n = columns.nrows();
    let product = |i: usize, j: usize| (0..n).map(|k| columns[(k, i)] * columns[(k, j)]).sum::<f64>();
    let (pp, qq, pq) = (product(p, p), product(q, q), product(p, q));
    if pq.abs() <= f64::EPSILON * pp.sqrt() * qq.sqrt() {
        return false;
    }
    let zeta = (qq - pp) / (2.0 * pq);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = tangent.hypot(1.0).recip();
    let sine = cosine * tangent;
    for k in 0..n {
        let (x, y) = (columns[(k, p)], columns[(k, q)]);
        columns[(k, p)] = cosine * x - sine * y;
        columns[(k, q)] = sine * x + cosine * y;
    }
    true
}
