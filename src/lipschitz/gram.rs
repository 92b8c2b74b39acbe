//! Spectral norms of matrices, as bounds.

use faer::Mat;
use ndarray::Ix2;

use super::certificate::{frobenius, gamma, largest_element, toward_one};
use super::constant::LipschitzConstant;
use super::matrix::norm_at_most;
use crate::array::NdArray;
use crate::error::{At, Error, Result};

/// A matrix of finite numbers.
fn matrix(op: &'static str, a: &NdArray<f64>, at: At) -> Result<Mat<f64>> {
    let bad = |reason: String| Error::Argument { op, reason, at };
    let view = a.view();
    let Ok(a) = view.view().into_dimensionality::<Ix2>() else {
        return Err(bad(format!("an array {:?}, which has to be a matrix", view.shape())));
    };
    match a.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((i, j), x)) => Err(bad(format!("the element [{i}, {j}] is {x}"))),
        None => Ok(Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)])),
    }
}

/// The spectral norm of a matrix as an upper bound, about 10⁻¹³ above it, or, of a thousand rows, 10⁻¹⁰: `s` with
/// `s²·I − AAᵀ` positive semidefinite, as a factorization shows in spite of rounding.
///
/// # Errors
/// [`Error::Argument`] if it is no matrix, or if an element is not finite.
#[track_caller]
pub fn spectral_norm_bound(a: &NdArray<f64>) -> Result<LipschitzConstant> {
    let a = matrix("spectral_norm_bound", a, At::caller())?;
    Ok(LipschitzConstant::upper("Cholesky factorization", norm_at_most(a.as_ref())))
}

/// The upper bound `‖(AᵀA)^(2ᵗ)‖_F^(1/2ᵗ⁺¹)` of the spectral norm of a matrix for `t = squarings − 1`, and the
/// Frobenius norm for none (Delattre, Barthélemy, Araujo & Allauzen, *Efficient bound of Lipschitz constant for
/// convolutional layers by Gram iteration*, 2023). It falls with each squaring, and its distance to the norm about
/// quadratically. Rounding is counted.
///
/// ```
/// use antiphon::lipschitz::gram_bound;
/// use antiphon::{NdArray, Tensor};
/// let a = NdArray::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
/// let bounds: Vec<f64> = (0..3).map(|t| gram_bound(&a, t).unwrap().value).collect();
/// for (bound, expected) in bounds.iter().zip([5.477225575051661, 5.465013178953566, 5.464985704495301]) {
///     assert!((bound - expected).abs() < 1e-12);
/// }
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if it is no matrix, or if an element is not finite.
#[track_caller]
pub fn gram_bound(a: &NdArray<f64>, squarings: usize) -> Result<LipschitzConstant> {
    let a = matrix("gram_bound", a, At::caller())?;
    Ok(LipschitzConstant::upper("Gram iteration", gram(a, squarings)))
}

/// The bound, of a matrix of finite numbers.
fn gram(a: Mat<f64>, squarings: usize) -> f64 {
    if squarings == 0 || largest_element(a.as_ref()) == 0.0 {
        return frobenius(a.as_ref());
    }
    let a = if a.nrows() < a.ncols() { a.transpose().to_owned() } else { a };
    // The matrix is 2^(−exponent) times what it stands for, whose distance is error, at most, in the Frobenius norm.
    // The root of order 2ᵗ⁺¹ makes of the exponent a sum of exponents over powers of two.
    let (mut power, mut error, mut logarithm, mut order) = (a, 0.0, 0.0, 1.0);
    for squaring in 0..squarings.min(60) {
        let scale = toward_one(largest_element(power.as_ref()));
        power *= faer::Scale(scale);
        error *= scale;
        logarithm -= scale.log2() / order;
        let size = frobenius(power.as_ref());
        let n = power.nrows();
        let square = if squaring == 0 { power.transpose() * &power } else { &power * &power };
        // ‖fl(G²) − (G + E)²‖ ≤ γ‖G‖² + 2‖G‖‖E‖ + ‖E‖²; elements below all numbers are less than what is added.
        let underflow = f64::MIN_POSITIVE * (n * n) as f64;
        error =
            (gamma(n + 4) * size * size + 2.0 * size * error + error * error + underflow) * (1.0 + gamma(12));
        power = square;
        order *= 2.0;
    }
    let root = (frobenius(power.as_ref()) + error).powf(1.0 / order);
    // 2^logarithm in two parts, of which one is exact.
    let whole = logarithm.floor();
    let value = root * (logarithm - whole).exp2();
    let (half, rest) = ((whole / 2.0).floor(), whole - (whole / 2.0).floor());
    // For the logarithm, the power and the root.
    value * half.exp2() * rest.exp2() * (1.0 + 32.0 * f64::EPSILON)
}
