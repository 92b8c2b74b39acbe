//! Elimination and substitution by division, for pivots whose reciprocals are not normal numbers: faer multiplies by
//! these.

use faer::{MatMut, MatRef};

use super::kernel::Field;

/// Whether products with the reciprocal of a pivot are quotients by it, but for rounding.
pub(super) fn is_regular<F: Field>(pivot: F) -> bool {
    pivot.is_normal() && pivot.recip().is_normal()
}

/// The factors of a matrix by elimination with row exchanges, in its place: as faer's `lu_in_place`.
pub(super) fn factor<F: Field>(mut a: MatMut<'_, F>, order: &mut [u32]) {
    let (m, n) = (a.nrows(), a.ncols());
    order.iter_mut().zip(0..).for_each(|(row, i)| *row = i);
    for k in 0..m.min(n) {
        let size = |a: &MatMut<'_, F>, i: usize| a[(i, k)].abs();
        let best = (k + 1..m).fold(k, |best, i| if size(&a, i) > size(&a, best) { i } else { best });
        if best != k {
            order.swap(k, best);
            for j in 0..n {
                (a[(k, j)], a[(best, j)]) = (a[(best, j)], a[(k, j)]);
            }
        }
        let pivot = a[(k, k)];
        for i in k + 1..m {
            if a[(i, k)] == F::zero() {
                continue;
            }
            let factor = a[(i, k)] / pivot;
            a[(i, k)] = factor;
            for j in k + 1..n {
                let product = factor * a[(k, j)];
                a[(i, j)] -= product;
            }
        }
    }
}

/// The solution of a system with a triangular matrix, in the place of its right side.
pub(super) fn substitute<F: Field>(a: MatRef<'_, F>, lower: bool, unit: bool, mut x: MatMut<'_, F>) {
    let n = a.nrows();
    for step in 0..n {
        let i = if lower { step } else { n - 1 - step };
        let known = if lower { 0..i } else { i + 1..n };
        for column in 0..x.ncols() {
            let mut rest = x[(i, column)];
            for k in known.clone() {
                rest -= a[(i, k)] * x[(k, column)];
            }
            x[(i, column)] = if unit { rest } else { rest / a[(i, i)] };
        }
    }
}
