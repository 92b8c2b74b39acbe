//! The exponential of a matrix of numbers.

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef};

/// The greatest sum of absolute values of a column.
fn norm_1(a: MatRef<'_, f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max)
}

/// By scaling, a Padé approximation of order 13, and repeated squares (Al-Mohy & Higham 2009).
pub(super) fn exponential(a: MatRef<'_, f64>) -> Result<Mat<f64>, String> {
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
