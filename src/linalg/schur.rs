//! Functions of matrices of numbers by their Schur form `A = Q·T·Qᴴ`, with `T` triangular: square roots and logarithms.
//!
//! What a derivative is made of, `[[A, E], [0, A]]`, has a form that is made of `A`'s: both of its halves on the
//! diagonal are `T`, to the last bit, and `QᴴE·Q` is beside them. So it is with derivatives of derivatives, and with
//! transposes of these. The eigenvalues of `A`, which are all double there, are found once, as they are.

use faer::{Mat, MatRef, c64};

use super::definite;
use super::kernel::ONE;
use super::triangularize::triangularize;

/// The Schur form of a matrix of blocks.
struct Form {
    /// Of a block.
    q: Mat<c64>,
    /// Of the whole, upper triangular.
    t: Mat<c64>,
    /// Where the rows of each block start, in the order in which what is not zero is above the diagonal.
    starts: Vec<usize>,
    /// What the rows of each block are multiplied by, and its columns divided, lest directions be much larger than the
    /// matrix.
    scales: Vec<f64>,
}

/// The square root, none of whose eigenvalues is zero or negative.
pub(super) fn square_root(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
    let form = Form::of(a, "square root")?;
    let root = root_of_triangular(&form.t);
    Ok(form.back(&root))
}

/// The logarithm, likewise.
pub(super) fn logarithm(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
    let form = Form::of(a, "logarithm")?;
    let log = log_of_triangular(&form.t).ok_or("the matrix has no principal logarithm")?;
    Ok(form.back(&log))
}

impl Form {
    /// # Errors
    /// If an eigenvalue is zero or negative, so that there is no principal function of this name.
    fn of(a: MatRef<'_, f64>, function: &str) -> Result<Form, String> {
        let starts = blocks(a, 0);
        let n = a.nrows() / starts.len();
        let base = a.submatrix(0, 0, n, n);
        let none = || format!("the matrix has no principal {function}: an eigenvalue is zero or negative");
        let (q, t) = match definite::is_symmetric(base) {
            true => {
                let (values, vectors) = definite::decompose(base).map_err(|_| none())?;
                let diagonal = |i, j| if i == j { c64::new(values[i], 0.0) } else { c64::new(0.0, 0.0) };
                (Mat::from_fn(n, n, |i, j| c64::new(vectors[(i, j)], 0.0)), Mat::from_fn(n, n, diagonal))
            }
            false => triangularize(base)?,
        };
        // What is negative but for rounding is negative.
        let rounding = f64::EPSILON * n as f64 * base.norm_l2();
        if (0..n).any(|i| t[(i, i)].re <= 0.0 && t[(i, i)].im.abs() <= rounding) {
            return Err(none());
        }
        let scales = scales(a, &starts, n);
        let mut whole = Mat::<c64>::zeros(a.nrows(), a.nrows());
        for (p, &row) in starts.iter().enumerate() {
            whole.as_mut().submatrix_mut(p * n, p * n, n, n).copy_from(&t);
            for (r, &column) in starts.iter().enumerate().skip(p + 1) {
                let scale = scales[r] / scales[p];
                let block = Mat::from_fn(n, n, |i, j| c64::new(a[(row + i, column + j)] * scale, 0.0));
                let moved = q.adjoint() * block * &q;
                whole.as_mut().submatrix_mut(p * n, r * n, n, n).copy_from(&moved);
            }
        }
        Ok(Form { q, t: whole, starts, scales })
    }

    /// A function of the matrix from that of its form.
    fn back(&self, f: &Mat<c64>) -> Mat<f64> {
        let (n, all) = (self.q.nrows(), f.nrows());
        let mut result = Mat::<f64>::zeros(all, all);
        for (p, &row) in self.starts.iter().enumerate() {
            for (r, &column) in self.starts.iter().enumerate().skip(p) {
                let block = &self.q * f.submatrix(p * n, r * n, n, n) * self.q.adjoint();
                let scale = self.scales[p] / self.scales[r];
                for i in 0..n {
                    for j in 0..n {
                        result[(row + i, column + j)] = block[(i, j)].re * scale;
                    }
                }
            }
        }
        result
    }
}

/// Where the blocks start of which a matrix is `[[B, E], [0, B]]` or `[[B, 0], [E, B]]`, and `B` likewise.
fn blocks(a: MatRef<'_, f64>, start: usize) -> Vec<usize> {
    let n = a.nrows();
    let half = n / 2;
    if n % 2 == 1 || half == 0 {
        return vec![start];
    }
    let part = |i: usize, j: usize| a.submatrix(i * half, j * half, half, half);
    let is_zero = |x: MatRef<'_, f64>| (0..half).all(|j| (0..half).all(|i| x[(i, j)] == 0.0));
    let (upper, lower) = (is_zero(part(1, 0)), is_zero(part(0, 1)));
    if !(upper || lower) || part(0, 0) != part(1, 1) {
        return vec![start];
    }
    let of_half = blocks(part(0, 0), start);
    let moved: Vec<usize> = of_half.iter().map(|at| at + half).collect();
    if upper { [of_half, moved].concat() } else { [moved, of_half].concat() }
}

/// For each of the blocks, a power of two: for each halving, what is beside the halves is made no larger than the
/// matrix is.
fn scales(a: MatRef<'_, f64>, starts: &[usize], n: usize) -> Vec<f64> {
    let norm = |p: usize, r: usize| a.submatrix(starts[p], starts[r], n, n).norm_l2();
    let own = norm(0, 0);
    let mut scales = vec![1.0; starts.len()];
    let mut step = 1;
    while step < starts.len() {
        let largest = (0..step).flat_map(|p| (step..2 * step).map(move |r| (p, r)));
        let largest = largest.map(|(p, r)| norm(p, r)).fold(0.0, f64::max);
        let excess = (largest / own).log2().ceil();
        let factor = if excess > 0.0 && excess.is_finite() { (-excess).exp2() } else { 1.0 };
        (0..starts.len()).filter(|p| p / step % 2 == 1).for_each(|p| scales[p] *= factor);
        step *= 2;
    }
    scales
}

/// By columns, from the diagonal up: `Rᵢⱼ = (Tᵢⱼ − Σ Rᵢₖ·Rₖⱼ)/(Rᵢᵢ + Rⱼⱼ)` (Björck & Hammarling 1983).
fn root_of_triangular(t: &Mat<c64>) -> Mat<c64> {
    let n = t.nrows();
    let mut root = Mat::<c64>::zeros(n, n);
    for j in 0..n {
        root[(j, j)] = t[(j, j)].sqrt();
        let mut column: Vec<c64> = (0..j).map(|i| t[(i, j)]).collect();
        for i in (0..j).rev() {
            let x = column[i] / (root[(i, i)] + root[(j, j)]);
            root[(i, j)] = x;
            // What is above, by columns of the root as they lie.
            if x != c64::new(0.0, 0.0) {
                column[..i].iter_mut().zip(root.col(i).iter()).for_each(|(above, r)| *above -= r * x);
            }
        }
    }
    root
}

/// By square roots, until little more than the identity is left, and the partial fractions of the approximation there.
fn log_of_triangular(t: &Mat<c64>) -> Option<Mat<c64>> {
    // The norm up to which the approximation of order 7 is exact to double precision: Higham 2008, table 11.1.
    const NORM: f64 = 0.264;
    const MOST: i32 = 1100;
    let n = t.nrows();
    let logs: Vec<c64> = (0..n).map(|i| log(t[(i, i)])).collect();
    let mut rest = t.clone();
    let mut roots = 0;
    let x = loop {
        // Of roots less one, the diagonal is made of logarithms: nothing is subtracted.
        let part = 2f64.powi(-roots);
        let x = Mat::from_fn(n, n, |i, j| if i == j { expm1(logs[i] * part) } else { rest[(i, j)] });
        let size = (0..n).map(|j| (0..=j).map(|i| x[(i, j)].norm()).sum::<f64>()).fold(0.0, f64::max);
        if size <= NORM {
            break x;
        }
        if roots == MOST || !size.is_finite() {
            return None;
        }
        rest = root_of_triangular(&rest);
        roots += 1;
    };
    // The Gauss–Legendre rule for ∫₀¹ X·(1 + t·X)⁻¹ dt.
    let mut value = Mat::<c64>::zeros(n, n);
    for (point, weight) in gauss_legendre(8) {
        let step = Mat::from_fn(n, n, |i, j| x[(i, j)] * point + if i == j { 1.0 } else { 0.0 });
        let mut part = x.clone();
        faer::linalg::triangular_solve::solve_upper_triangular_in_place(step.as_ref(), part.as_mut(), ONE);
        value += part * faer::Scale(c64::new(weight, 0.0));
    }
    let back = 2f64.powi(roots);
    Some(Mat::from_fn(n, n, |i, j| if i == j { logs[i] } else { value[(i, j)] * back }))
}

fn log(z: c64) -> c64 {
    c64::new(z.norm().ln(), z.arg())
}

/// `e^z − 1`.
fn expm1(z: c64) -> c64 {
    let half = (0.5 * z.im).sin();
    c64::new(z.re.exp_m1() * z.im.cos() - 2.0 * half * half, z.re.exp() * z.im.sin())
}

/// The points and weights of the rule of so many points on `[0, 1]`: roots of the Legendre polynomial, by Newton's
/// method.
fn gauss_legendre(points: usize) -> Vec<(f64, f64)> {
    let count = points as f64;
    let polynomial = |x: f64| {
        let (mut before, mut here) = (1.0, x);
        for k in 2..=points {
            let k = k as f64;
            (before, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k);
        }
        (here, count * (x * here - before) / (x * x - 1.0))
    };
    (0..points)
        .map(|i| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (count + 0.5)).cos();
            for _ in 0..10 {
                let (value, slope) = polynomial(x);
                x -= value / slope;
            }
            let (_, slope) = polynomial(x);
            (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}
