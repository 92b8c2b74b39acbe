//! Factorizations and substitutions of matrices of up to eight rows, which most are that models solve systems with:
//! unrolled for each number of rows, without memory of their own and without faer, whose calls take longer than the
//! work does there (`benches/linalg.rs`). They divide by pivots, so that these may be of any size.

use super::kernel::Field;

/// Rows of the largest of them.
pub(super) const ROWS: usize = 8;

/// Calls a function that is compiled for each number of rows, of one to [`ROWS`].
macro_rules! of_rows {
    ($rows:expr, $function:ident($($argument:expr),*)) => {
        match $rows {
            1 => $function::<_, 1>($($argument),*),
            2 => $function::<_, 2>($($argument),*),
            3 => $function::<_, 3>($($argument),*),
            4 => $function::<_, 4>($($argument),*),
            5 => $function::<_, 5>($($argument),*),
            6 => $function::<_, 6>($($argument),*),
            7 => $function::<_, 7>($($argument),*),
            8 => $function::<_, 8>($($argument),*),
            rows => unreachable!("a matrix of {rows} rows is not small"),
        }
    };
}

/// Whether there is code for so many rows.
pub(super) fn is_small(rows: usize) -> bool {
    (1..=ROWS).contains(&rows)
}

fn lines<F, const N: usize>(elements: &[F]) -> &[[F; N]; N] {
    elements.as_chunks().0.try_into().expect("a square matrix")
}
fn lines_mut<F, const N: usize>(elements: &mut [F]) -> &mut [[F; N]; N] {
    elements.as_chunks_mut().0.try_into().expect("a square matrix")
}

/// Both factors of a matrix that is given by columns, in its place, by elimination with row exchanges, and which row of
/// it each is: as [`division::factor`](super::division::factor).
pub(super) fn factor<F: Field>(columns: &mut [F], rows: usize) -> [u32; ROWS] {
    of_rows!(rows, factor_of(columns))
}

fn factor_of<F: Field, const N: usize>(columns: &mut [F]) -> [u32; ROWS] {
    let a = lines_mut::<F, N>(columns);
    let mut order = std::array::from_fn(|i| i as u32);
    for k in 0..N {
        let best = (k + 1..N).fold(k, |best, i| if a[k][i].abs() > a[k][best].abs() { i } else { best });
        if best != k {
            order.swap(k, best);
            a.iter_mut().for_each(|column| column.swap(k, best));
        }
        let pivot = a[k][k];
        if pivot == F::zero() {
            continue;
        }
        a[k][k + 1..].iter_mut().for_each(|x| *x /= pivot);
        let eliminated = a[k];
        for column in &mut a[k + 1..] {
            let along = column[k];
            for i in k + 1..N {
                column[i] -= eliminated[i] * along;
            }
        }
    }
    order
}

/// The solution of a system with a triangular matrix, given by rows or else by columns, in the place of its right side.
#[derive(Clone, Copy)]
pub(super) struct Substitution {
    /// Whether the matrix is what is not above the diagonal, or else what is not below it.
    pub(super) lower: bool,
    /// Whether its diagonal is ones.
    pub(super) unit: bool,
    /// Whether it is given by columns.
    pub(super) by_columns: bool,
}

impl Substitution {
    fn apply<F: Field, const N: usize>(self, a: &[[F; N]; N], x: &mut [F; N]) {
        for step in 0..N {
            let i = if self.lower { step } else { N - 1 - step };
            let mut rest = x[i];
            for k in 0..N {
                let known = if self.lower { k < i } else { k > i };
                if known {
                    rest -= if self.by_columns { a[k][i] } else { a[i][k] } * x[k];
                }
            }
            x[i] = if self.unit { rest } else { rest / a[i][i] };
        }
    }

    fn apply_to_all<F: Field, const N: usize>(self, a: &[[F; N]; N], x: &mut [[F; N]; N]) {
        for step in 0..N {
            let i = if self.lower { step } else { N - 1 - step };
            let mut rest = x[i];
            for k in 0..N {
                let known = if self.lower { k < i } else { k > i };
                if known {
                    let factor = if self.by_columns { a[k][i] } else { a[i][k] };
                    for (rest, &x) in rest.iter_mut().zip(&x[k]) {
                        *rest -= factor * x;
                    }
                }
            }
            if !self.unit {
                rest.iter_mut().for_each(|rest| *rest /= a[i][i]);
            }
            x[i] = rest;
        }
    }
}

/// The solution `X` for a triangular matrix, in the place of the right side, of any number of columns.
pub(super) fn substitute<F: Field>(a: &[F], rows: usize, how: Substitution, x: &mut [F]) {
    of_rows!(rows, substitute_of(a, how, x));
}

fn substitute_of<F: Field, const N: usize>(a: &[F], how: Substitution, x: &mut [F]) {
    let a = lines::<F, N>(a);
    if x.len() == N * N {
        // As many columns as rows, all at once.
        return how.apply_to_all(a, lines_mut::<F, N>(x));
    }
    by_column(x, |column: &mut [F; N]| how.apply(a, column));
}

/// The solution from both factors by columns, of the matrix that was factored if `of_factored`, or else of its
/// transpose, in the place of the right side.
pub(super) fn solve<F: Field>(
    factors: &[F],
    order: &[u32; ROWS],
    rows: usize,
    of_factored: bool,
    x: &mut [F],
) {
    of_rows!(rows, solve_of(factors, order, of_factored, x));
}

fn solve_of<F: Field, const N: usize>(factors: &[F], order: &[u32; ROWS], of_factored: bool, x: &mut [F]) {
    let a = lines::<F, N>(factors);
    by_column(x, |column: &mut [F; N]| {
        let given = *column;
        if of_factored {
            *column = std::array::from_fn(|i| given[order[i] as usize % N]);
            Substitution { lower: true, unit: true, by_columns: true }.apply(a, column);
            Substitution { lower: false, unit: false, by_columns: true }.apply(a, column);
        } else {
            Substitution { lower: true, unit: false, by_columns: false }.apply(a, column);
            Substitution { lower: false, unit: true, by_columns: false }.apply(a, column);
            let found = *column;
            for (i, x) in found.into_iter().enumerate() {
                column[order[i] as usize % N] = x;
            }
        }
    });
}

/// Does something with each column of a matrix by rows.
fn by_column<F: Copy, const N: usize>(x: &mut [F], mut f: impl FnMut(&mut [F; N])) {
    let columns = x.len() / N;
    if columns == 1 {
        return f(x.try_into().expect("as many rows as the matrix has"));
    }
    for j in 0..columns {
        let mut column = std::array::from_fn(|i| x[i * columns + j]);
        f(&mut column);
        for (i, y) in column.into_iter().enumerate() {
            x[i * columns + j] = y;
        }
    }
}

/// The Cholesky factor of a symmetric matrix, in its place.
///
/// # Errors
/// The first row up to which the matrix is not positive definite.
pub(super) fn cholesky<F: Field>(a: &mut [F], rows: usize) -> Result<(), usize> {
    of_rows!(rows, cholesky_of(a))
}

/// Element by element: rows are too short to be worth their copy.
fn cholesky_by_elements<F: Field, const N: usize>(a: &mut [[F; N]; N]) -> Result<(), usize> {
    for i in 0..N {
        for j in 0..=i {
            let mut rest = a[i][j];
            for (&x, &y) in a[i][..j].iter().zip(&a[j][..j]) {
                rest -= x * y;
            }
            if j < i {
                a[i][j] = rest / a[j][j];
            } else if rest > F::zero() {
                a[i][i] = rest.sqrt();
            } else {
                return Err(i);
            }
        }
        a[i][i + 1..].fill(F::zero());
    }
    Ok(())
}

fn cholesky_of<F: Field, const N: usize>(a: &mut [F]) -> Result<(), usize> {
    let a = lines_mut::<F, N>(a);
    if N <= 5 {
        return cholesky_by_elements(a);
    }
    // Of the upper factor, whose rows are contiguous: all of a row is divided and subtracted at once.
    let mut upper: [[F; N]; N] =
        std::array::from_fn(|i| std::array::from_fn(|j| if j < i { F::zero() } else { a[j][i] }));
    for i in 0..N {
        let pivot = match upper[i][i] {
            square if square > F::zero() => square.sqrt(),
            // Not if it is no number either.
            _ => return Err(i),
        };
        upper[i].iter_mut().for_each(|x| *x /= pivot);
        let eliminated = upper[i];
        for (row, &factor) in upper.iter_mut().zip(&eliminated).skip(i + 1) {
            row.iter_mut().zip(&eliminated).for_each(|(x, &y)| *x -= factor * y);
        }
    }
    for (i, row) in a.iter_mut().enumerate() {
        for (j, x) in row.iter_mut().enumerate() {
            *x = if j > i { F::zero() } else { upper[j][i] };
        }
    }
    Ok(())
}
