//! The largest eigenvalue of a symmetric operator by Lanczos' method.

use faer::{Mat, Side};

use super::matrix::{Numbers, dot, norm_of};

/// When the method ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// The value changes by no more than this part of it between two looks at it.
    pub(super) change: f64,
    /// How many products there are between them.
    pub(super) every: usize,
}

/// An eigenvalue, and a unit vector of it.
pub(super) struct Pair {
    pub(super) value: f64,
    pub(super) vector: Vec<f64>,
}

/// The basis of a Krylov space, and the operator in it, which is tridiagonal.
struct Krylov {
    basis: Vec<Vec<f64>>,
    diagonal: Vec<f64>,
    beside: Vec<f64>,
}

/// The largest eigenvalue of a symmetric operator of vectors of `n` elements, among those orthogonal to some unit
/// eigenvectors, with full reorthogonalization (Parlett, *The symmetric eigenvalue problem*, 1980, chapter 13); NaN
/// if it is not found.
///
/// # Errors
/// Those of the product.
pub(super) fn largest<E>(
    n: usize,
    beside: &[Vec<f64>],
    ending: Ending,
    mut product: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
) -> Result<Pair, E> {
    let mut krylov = Krylov { basis: Vec::new(), diagonal: Vec::new(), beside: Vec::new() };
    let mut v = Numbers::new(0).normals(n);
    orthogonalize(&mut v, beside, &[]);
    let mut last = f64::NAN;
    loop {
        let size = norm_of(&v);
        if size == 0.0 || !size.is_finite() || krylov.basis.len() == n - beside.len() {
            return Ok(krylov.pair(if size.is_finite() { 0.0 } else { f64::NAN }, n));
        }
        if !krylov.basis.is_empty() {
            krylov.beside.push(size);
        }
        v.iter_mut().for_each(|x| *x /= size);
        krylov.basis.push(v);
        let q = krylov.basis.last().expect("one was put there");
        let mut w = product(q)?;
        krylov.diagonal.push(dot(&w, q));
        orthogonalize(&mut w, beside, &krylov.basis);
        let steps = krylov.basis.len();
        // What is left is rounding, or there is no more.
        let ends = norm_of(&w) <= 16.0 * f64::EPSILON * krylov.size() || steps == n - beside.len();
        if ends || steps.is_multiple_of(ending.every) {
            let found = largest_of_tridiagonal(&krylov.diagonal, &krylov.beside);
            if ends || (found - last).abs() <= ending.change * found.abs() || !found.is_finite() {
                return Ok(krylov.pair(found, n));
            }
            last = found;
        }
        v = w;
    }
}

/// Takes from a vector what lies along others, which are orthonormal. Twice is enough (Parlett, § 6.9), of all of them:
/// the first time leaves rounding, which may be all that there is.
fn orthogonalize(w: &mut [f64], beside: &[Vec<f64>], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for q in beside.iter().chain(basis) {
            let along = dot(w, q);
            w.iter_mut().zip(q).for_each(|(w, q)| *w -= along * q);
        }
    }
}

impl Krylov {
    /// About the operator's norm.
    fn size(&self) -> f64 {
        self.diagonal.iter().chain(&self.beside).fold(0.0, |largest, x| x.abs().max(largest))
    }

    /// The eigenvalue, and the vector that the largest one has in the space.
    fn pair(&self, value: f64, n: usize) -> Pair {
        let steps = self.basis.len();
        let mut vector = vec![0.0; n];
        let element = |i: usize, j: usize| match i.abs_diff(j) {
            0 => self.diagonal[i],
            1 => self.beside[i.min(j)],
            _ => 0.0,
        };
        let whole = Mat::from_fn(steps, steps, element);
        if steps > 0
            && let Ok(found) = whole.self_adjoint_eigen(Side::Lower)
        {
            for (k, q) in self.basis.iter().enumerate() {
                let share = found.U()[(k, steps - 1)];
                vector.iter_mut().zip(q).for_each(|(v, q)| *v += share * q);
            }
        }
        Pair { value, vector }
    }
}

/// The largest eigenvalue of a symmetric tridiagonal matrix, between Gershgorin's bounds, by bisection on the signs of
/// its pivots.
fn largest_of_tridiagonal(diagonal: &[f64], beside: &[f64]) -> f64 {
    let n = diagonal.len();
    let radius = |i: usize| {
        let before = if i > 0 { beside[i - 1] } else { 0.0 };
        before + if i + 1 < n { beside[i] } else { 0.0 }
    };
    let mut high = (0..n).map(|i| diagonal[i] + radius(i)).fold(f64::NEG_INFINITY, f64::max);
    let mut low = diagonal.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Whether all eigenvalues are less than that.
    let is_above = |x: f64| {
        let mut pivot = 1.0;
        (0..n).all(|i| {
            let square = if i > 0 { beside[i - 1] * beside[i - 1] } else { 0.0 };
            pivot = x - diagonal[i] - square / pivot;
            pivot > 0.0
        })
    };
    while high - low > 1e-16 * high.abs() {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if is_above(middle) { high = middle } else { low = middle }
    }
    high
}
