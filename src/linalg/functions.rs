//! Functions of square matrices: powers, exponential, logarithm and square root.

use std::fmt::Debug;

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef};
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::eigen;
use super::kernel::{Factorization, Field, finite, rows, run, side};
use super::lu::inv;
use super::parts::{eye, identity, last, square};
use crate::language::host::{HostElement, HostOperator};
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;

/// The power of square matrices `[.., n, n]` with a whole exponent, by repeated squares; of a negative one, the
/// inverse's.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, or has no inverse that is needed.
#[track_caller]
pub fn matrix_power<T: Tensor>(a: &T, exponent: i64) -> T {
    let n = square("matrix_power", a);
    let mut square = if exponent < 0 { inv(a) } else { a.clone() };
    let mut rest = exponent.unsigned_abs();
    let mut product: Option<T> = None;
    loop {
        if rest % 2 == 1 {
            product = Some(match product {
                Some(product) => product.matmul(&square),
                None => square.clone(),
            });
        }
        rest /= 2;
        if rest == 0 {
            return product.unwrap_or_else(|| eye::<T>(n).broadcast_to(&a.shape()));
        }
        square = square.matmul(&square);
    }
}

/// The exponential `Σ Aᵏ/k!` of square matrices `[.., n, n]`, by scaling, a Padé approximation of order 13, and
/// repeated squares (Al-Mohy & Higham 2009), in double precision.
///
/// The derivative in a direction `E` is the part above the diagonal of `exp([[A, E], [0, A]])` (Najfeld & Havel 1995),
/// and in reverse the same for `Aᵀ`.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, an element is not finite, or
/// elements are beyond some 10¹⁴⁰.
///
/// ```
/// use antiphon::linalg::expm;
/// use antiphon::{NdArray, Tensor};
/// let rotation = expm(&NdArray::<f64>::from_elements(&[2, 2], &[0.0, -1.0, 1.0, 0.0])?);
/// assert!((rotation.index(0, 0).index(0, 0).item() - 1f64.cos()).abs() < 1e-15);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[track_caller]
pub fn expm<T: Tensor>(a: &T) -> T {
    square("expm", a);
    T::host(&Function(Exp), &[a])
}

/// The principal logarithm of square matrices `[.., n, n]`, none of whose eigenvalues is zero or negative. Of symmetric
/// matrices it is made of eigenvalues; of others by repeated square roots and a Padé approximation (Higham 2008,
/// "Functions of Matrices", chapter 11), in double precision. The derivative is made as [`expm`]'s.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, has an element that is not finite,
/// or no principal logarithm, as has a symmetric one that is not positive definite.
#[track_caller]
pub fn logm<T: Tensor>(a: &T) -> T {
    square("logm", a);
    T::host(&Function(Log), &[a])
}

/// The principal square root of square matrices `[.., n, n]`, none of whose eigenvalues is zero or negative. Of
/// symmetric matrices it is made of eigenvalues; of others by the product form of Denman and Beavers' iteration
/// (Higham 2008, chapter 6), in double precision. The derivative is made as [`expm`]'s.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, has an element that is not finite,
/// or no principal square root, as has a symmetric one that is not positive definite.
#[track_caller]
pub fn sqrtm<T: Tensor>(a: &T) -> T {
    square("sqrtm", a);
    T::host(&Function(Sqrt), &[a])
}

/// Which function it is.
trait Kind: Copy + Debug + Send + Sync + 'static {
    const NAME: &'static str;

    /// # Errors
    /// Why there is no such matrix.
    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String>;
}

#[derive(Clone, Copy, Debug)]
struct Exp;

impl Kind for Exp {
    const NAME: &'static str = "expm";

    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
        exponential(a)
    }
}

#[derive(Clone, Copy, Debug)]
struct Log;

impl Kind for Log {
    const NAME: &'static str = "logm";

    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
        if is_symmetric(a) { of_eigenvalues(a, f64::ln) } else { logarithm(a) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sqrt;

impl Kind for Sqrt {
    const NAME: &'static str = "sqrtm";

    fn of(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
        if is_symmetric(a) { of_eigenvalues(a, f64::sqrt) } else { square_root(a) }
    }
}

/// To the last bit: what is above the diagonal only, as a direction of a derivative, may be very small.
fn is_symmetric(a: MatRef<'_, f64>) -> bool {
    (0..a.nrows()).all(|i| (0..i).all(|j| a[(i, j)] == a[(j, i)]))
}

#[derive(Clone, Copy, Debug)]
struct Function<K>(K);

impl<K: Kind> Factorization for Function<K> {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let a = operands[0];
        finite(a)?;
        let n = side(a.len());
        if n == 0 {
            return Ok(());
        }
        let double: Vec<f64> = a.iter().map(|x| x.to_f64().expect("a number")).collect();
        let value = K::of(rows(&double, [n, n]))?;
        for i in 0..n {
            for j in 0..n {
                result[i * n + j] = F::nearest(value[(i, j)]);
            }
        }
        Ok(())
    }
}

impl<K: Kind> HostOperator for Function<K> {
    const NAME: &'static str = K::NAME;
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(self.derivative(&x[0].transpose(), y_bar))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| self.derivative(&x[0], da))
    }
}

impl<K: Kind> Function<K> {
    /// In a direction.
    fn derivative<T: Tensor>(self, a: &T, direction: &T) -> T {
        let n = last(a);
        let (own, other) = (a.shape(), direction.shape());
        let longer: Shape = if own.len() > other.len() { own } else { other };
        let a = a.broadcast_to(&longer);
        let direction = direction.broadcast_to(&longer);
        let above = T::concat(&[a.clone(), direction], -1);
        let below = T::concat(&[T::zeros(&longer), a], -1);
        let whole = T::host(&self, &[&T::concat(&[above, below], -2)]);
        whole.slice(-2, 0..n).slice(-1, n..2 * n)
    }
}

/// The greatest sum of absolute values of a column.
fn norm_1(a: MatRef<'_, f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max)
}

fn unit(n: usize) -> Mat<f64> {
    Mat::identity(n, n)
}

/// Of a symmetric positive definite matrix.
fn of_eigenvalues(a: MatRef<'_, f64>, f: impl Fn(f64) -> f64) -> Result<Mat<f64>, String> {
    let (values, vectors) = eigen::decompose(a)?;
    if let Some((i, &w)) = values.iter().enumerate().find(|&(_, &w)| w <= 0.0) {
        return Err(format!("the matrix is not positive definite: its eigenvalue {i} is {w:e}"));
    }
    let scaled = Mat::from_fn(values.len(), values.len(), |i, j| vectors[(i, j)] * f(values[j]));
    Ok(scaled * vectors.transpose())
}

fn exponential(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
    // Coefficients of the numerator: Higham 2005.
    const B: [f64; 14] = [
        64764752532480000.0,
        32382376266240000.0,
        7771770303897600.0,
        1187353796428800.0,
        129060195264000.0,
        10559470521600.0,
        670442572800.0,
        33522128640.0,
        1323241920.0,
        40840800.0,
        960960.0,
        16380.0,
        182.0,
        1.0,
    ];
    let n = a.nrows();
    let squarings = squarings(a)?;
    let a = Mat::from_fn(n, n, |i, j| a[(i, j)] * 2f64.powi(-squarings));
    let a2 = &a * &a;
    let a4 = &a2 * &a2;
    let a6 = &a4 * &a2;
    let combination = |c: [f64; 4]| {
        Mat::from_fn(n, n, |i, j| {
            let one = if i == j { 1.0 } else { 0.0 };
            c[0] * one + c[1] * a2[(i, j)] + c[2] * a4[(i, j)] + c[3] * a6[(i, j)]
        })
    };
    let odd = &a6 * combination([0.0, B[9], B[11], B[13]]) + combination([B[1], B[3], B[5], B[7]]);
    let odd = &a * odd;
    let even = &a6 * combination([0.0, B[8], B[10], B[12]]) + combination([B[0], B[2], B[4], B[6]]);
    let mut value = PartialPivLu::new((&even - &odd).as_ref()).solve(&even + &odd);
    for _ in 0..squarings {
        value = &value * &value;
    }
    Ok(value)
}

/// By how many powers of two a matrix is scaled, so that the approximation of order 13 is exact to double precision:
/// from norms of its powers, which may be much smaller than powers of its norm (Al-Mohy & Higham 2009, algorithm
/// 5.1).
fn squarings(a: MatRef<'_, f64>) -> Result<i32, String> {
    const NORM: f64 = 4.25;
    // The first coefficient of the error, of order 27, is the reciprocal of this number.
    const RECIPROCAL: f64 = 113250775606021113483283660800000000.0;
    let norm = norm_1(a);
    if norm <= NORM {
        return Ok(0);
    }
    let n = a.nrows();
    // Of norm one, lest its powers overflow.
    let unit = Mat::from_fn(n, n, |i, j| a[(i, j)] / norm);
    let two = &unit * &unit;
    let four = &two * &two;
    let six = &four * &two;
    let root = |power: &Mat<f64>, k: i32| norm * norm_1(power.as_ref()).powf(1.0 / f64::from(k));
    let [d4, d6, d8, d10] =
        [root(&four, 4), root(&six, 6), root(&(&four * &four), 8), root(&(&four * &six), 10)];
    // Powers that are too small for the numbers say nothing.
    const LEAST: f64 = 1e-290;
    let told = |power: &Mat<f64>| norm_1(power.as_ref()) >= LEAST;
    let nilpotent = norm_1(two.as_ref()) == 0.0;
    let size = match () {
        _ if nilpotent || told(&(&four * &six)) => f64::min(d4.max(d6), d8.max(d10)),
        _ if told(&six) => d4.max(d6),
        _ if told(&two) => norm * norm_1(two.as_ref()).sqrt(),
        _ => return Err("the matrix is so large that powers of its elements are no numbers".into()),
    };
    let squarings = (size / NORM).log2().ceil().max(0.0) as i32;
    // The norm of the 27th power of absolute values, of what was scaled.
    let mut sums = vec![1.0; n];
    for _ in 0..27 {
        sums = (0..n).map(|j| (0..n).map(|i| sums[i] * unit[(i, j)].abs()).sum()).collect();
    }
    let scaled = norm * 2f64.powi(-squarings);
    let error = sums.into_iter().fold(0.0, f64::max) * scaled.powi(26) / RECIPROCAL;
    let more = ((error / (0.5 * f64::EPSILON)).log2() / 26.0).ceil().max(0.0) as i32;
    Ok(squarings + more)
}

/// By the product form of Denman and Beavers' iteration, with determinants to scale it.
fn square_root(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
    let n = a.nrows();
    let none = || "the matrix has no principal square root: an eigenvalue is zero or negative".to_string();
    let (mut m, mut x) = (a.to_owned(), a.to_owned());
    let mut last = f64::INFINITY;
    for _ in 0..100 {
        let factors = PartialPivLu::new(m.as_ref());
        let logs = (0..n).map(|i| factors.U()[(i, i)].abs().ln());
        let log: f64 = logs.sum();
        let inverse = factors.solve(unit(n));
        // The determinant's part in the size is taken out while it is far from its end.
        let scale = if last > 1e-2 { (-log / n as f64).exp() } else { 1.0 };
        if !scale.is_finite() || scale == 0.0 {
            return Err(none());
        }
        let root = scale.sqrt();
        let step = Mat::from_fn(n, n, |i, j| inverse[(i, j)] / scale + if i == j { 1.0 } else { 0.0 });
        x = &x * step * faer::Scale(0.5 * root);
        m = Mat::from_fn(n, n, |i, j| {
            let one = if i == j { 1.0 } else { 0.0 };
            0.5 * (one + 0.5 * (scale * m[(i, j)] + inverse[(i, j)] / scale))
        });
        let off = norm_1((&m - unit(n)).as_ref());
        if !off.is_finite() {
            return Err(none());
        }
        if off <= f64::EPSILON * n as f64 || (off < 1e-8 && off >= 0.5 * last) {
            return Ok(x);
        }
        last = off;
    }
    Err(none())
}

/// By square roots, until little more than the identity is left.
fn logarithm(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
    // The norm up to which the approximation of order 7 is exact to double precision: Higham 2008, table 11.1.
    const NORM: f64 = 0.264;
    let n = a.nrows();
    let mut rest = a.to_owned();
    let mut roots = 0;
    while norm_1((&rest - unit(n)).as_ref()) > NORM {
        if roots == 100 {
            return Err("the matrix has no principal logarithm".into());
        }
        rest = square_root(rest.as_ref()).map_err(|_| {
            "the matrix has no principal logarithm: an eigenvalue is zero or negative".to_string()
        })?;
        roots += 1;
    }
    let x = &rest - unit(n);
    // Its partial fractions are the Gauss–Legendre rule for ∫₀¹ X·(1 + t·X)⁻¹ dt.
    let mut value = Mat::<f64>::zeros(n, n);
    for (t, weight) in gauss_legendre(8) {
        let step = Mat::from_fn(n, n, |i, j| t * x[(i, j)] + if i == j { 1.0 } else { 0.0 });
        value += PartialPivLu::new(step.as_ref()).solve(&x) * faer::Scale(weight);
    }
    Ok(value * faer::Scale(2f64.powi(roots)))
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
