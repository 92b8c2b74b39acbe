//! The Schur form of a matrix of numbers. (faer computes one for its eigenvalues, and does not show it.)

use faer::linalg::{evd::hessenberg, householder, qr};
use faer::{Conj, Mat, MatRef, c64};

use super::kernel::{ONE, scratch};

const ZERO: c64 = c64::new(0.0, 0.0);

/// `Q` and `T` with `A = Q·T·Qᴴ`, `Q` unitary and `T` upper triangular: by Householder's reflections to Hessenberg's
/// form, and QR steps with Wilkinson's shift (Golub & Van Loan 2013, section 7.5).
///
/// # Errors
/// If the eigenvalues are not found.
pub(super) fn triangularize(a: MatRef<'_, f64>) -> Result<(Mat<c64>, Mat<c64>), String> {
    let n = a.nrows();
    let (mut q, mut t) = to_hessenberg(a);
    // Rows and columns from `end` on are done.
    let mut end = n;
    let mut steps = 0;
    while end > 1 {
        let last = end - 1;
        let start = (1..end).rev().find(|&i| is_small(&mut t, i)).unwrap_or(0);
        if start == last {
            end -= 1;
            steps = 0;
            continue;
        }
        if steps == 60 {
            return Err("the eigenvalues were not found".into());
        }
        steps += 1;
        let shift = match steps % 10 {
            // One that is none of the matrix's, should these go round in circles.
            0 => c64::new(t[(last, last - 1)].norm() + t[(last, last)].norm(), 0.0),
            _ => wilkinson(&t, last),
        };
        step(&mut q, &mut t, start..end, shift);
    }
    Ok((q, t))
}

/// Of real numbers, as complex ones.
fn to_hessenberg(a: MatRef<'_, f64>) -> (Mat<c64>, Mat<c64>) {
    let n = a.nrows();
    let mut t = a.to_owned();
    let mut q = Mat::<f64>::identity(n, n);
    if n > 2 {
        let block = qr::no_pivoting::factor::recommended_block_size::<f64>(n - 1, n - 1);
        let mut reflections = Mat::<f64>::zeros(block, n - 1);
        let needed = hessenberg::hessenberg_in_place_scratch::<f64>(n, block, ONE, Default::default());
        scratch(needed, |stack| {
            hessenberg::hessenberg_in_place(t.as_mut(), reflections.as_mut(), ONE, stack, Default::default());
        });
        let needed = householder::apply_block_householder_sequence_on_the_right_in_place_scratch::<f64>(
            n - 1,
            block,
            n - 1,
        );
        scratch(needed, |stack| {
            householder::apply_block_householder_sequence_on_the_right_in_place_with_conj(
                t.as_ref().submatrix(1, 0, n - 1, n - 1),
                reflections.as_ref(),
                Conj::No,
                q.as_mut().submatrix_mut(1, 1, n - 1, n - 1),
                ONE,
                stack,
            );
        });
    }
    let upper = |i: usize, j: usize| if i > j + 1 { ZERO } else { c64::new(t[(i, j)], 0.0) };
    (Mat::from_fn(n, n, |i, j| c64::new(q[(i, j)], 0.0)), Mat::from_fn(n, n, upper))
}

/// Whether what is below the diagonal is nothing beside its neighbours on it; then it is made zero.
fn is_small(t: &mut Mat<c64>, i: usize) -> bool {
    let around = t[(i - 1, i - 1)].norm() + t[(i, i)].norm();
    let around = if around == 0.0 { t.norm_l2() } else { around };
    let small = t[(i, i - 1)].norm() <= f64::EPSILON * around;
    if small {
        t[(i, i - 1)] = ZERO;
    }
    small
}

/// The eigenvalue of the last two rows and columns that is nearer to the last element.
fn wilkinson(t: &Mat<c64>, last: usize) -> c64 {
    let [[a, b], [c, d]] = [last - 1, last].map(|i| [last - 1, last].map(|j| t[(i, j)]));
    let half = (a - d) * 0.5;
    let root = (half * half + b * c).sqrt();
    let root = if half.re * root.re + half.im * root.im < 0.0 { -root } else { root };
    let divisor = half + root;
    if divisor == ZERO { d } else { d - b * c / divisor }
}

/// A rotation that makes the second of two numbers zero: `[[c, s], [−s̄, c]]`.
fn rotation(x: c64, y: c64) -> (f64, c64) {
    let (of_x, of_y) = (x.norm(), y.norm());
    let size = of_x.hypot(of_y);
    if of_y == 0.0 {
        (1.0, ZERO)
    } else if of_x == 0.0 {
        (0.0, c64::new(1.0, 0.0))
    } else {
        (of_x / size, x / of_x * (y.conj() / size))
    }
}

/// One step on the rows and columns of a range, which moves what it puts below Hessenberg's form down and out.
fn step(q: &mut Mat<c64>, t: &mut Mat<c64>, range: std::ops::Range<usize>, shift: c64) {
    let n = t.nrows();
    let (mut x, mut y) = (t[(range.start, range.start)] - shift, t[(range.start + 1, range.start)]);
    for k in range.start..range.end - 1 {
        let (c, s) = rotation(x, y);
        for j in k.saturating_sub(1).max(range.start)..n {
            let (above, below) = (t[(k, j)], t[(k + 1, j)]);
            t[(k, j)] = above * c + s * below;
            t[(k + 1, j)] = below * c - s.conj() * above;
        }
        if k > range.start {
            t[(k + 1, k - 1)] = ZERO;
        }
        rotate_columns(t, k, (k + 3).min(range.end), c, s);
        rotate_columns(q, k, n, c, s);
        if k + 2 < range.end {
            (x, y) = (t[(k + 1, k)], t[(k + 2, k)]);
        }
    }
}

/// The rotation's adjoint from the right, on so many rows of two columns.
fn rotate_columns(a: &mut Mat<c64>, k: usize, rows: usize, c: f64, s: c64) {
    let (left, right) = a.as_mut().subcols_mut(k, 2).split_at_col_mut(1);
    let (mut left, mut right) = (left.col_mut(0), right.col_mut(0));
    for i in 0..rows {
        let (x, y) = (left[i], right[i]);
        left[i] = x * c + s.conj() * y;
        right[i] = y * c - s * x;
    }
}
