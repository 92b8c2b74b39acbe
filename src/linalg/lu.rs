//! Elimination with row exchanges: systems of equations, inverses, determinants, and the factors themselves.

use std::cmp::Ordering;

use faer::MatRef;
use faer::linalg::lu::partial_pivoting::{factor, solve as faer_solve};
use faer::perm::PermRef;
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::division;
use super::kernel::{
    Factorization, Field, ONE, Size, all_finite, columns_mut, rows_mut, run, run_on_elements, scratch, side,
};
use super::parts::{eye, identity, last, lower, sides, square, sum, times_transposed, unpack};
use super::product::Product;
use super::right::Right;
use super::small;
use super::triangular::{self, Triangle};
use crate::continuation::unwinding::OrRaise;
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The solution `X` of `A·X = B` for a square matrix: `[.., n, n]` and `[.., n, k]` give `[.., n, k]`; a vector `[n]`
/// is a column, and gives one. Axes before these are of a batch, and broadcast.
///
/// `A` is eliminated once, with row exchanges, and the derivative uses the same factors: `dX = A⁻¹(dB − dA·X)`, and in
/// reverse `B̄ = A⁻ᵀX̄`, `Ā = −B̄Xᵀ` (Giles 2008).
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, or singular to the last bit, and
/// [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
///
/// ```
/// use antiphon::linalg::solve;
/// use antiphon::{NdArray, Tensor};
/// let a = NdArray::from_elements(&[2, 2], &[0.0, 2.0, 1.0, 1.0])?;
/// assert_eq!(solve(&a, &NdArray::from(vec![4.0, 5.0])), NdArray::from(vec![3.0, 2.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
#[track_caller]
pub fn solve<T: Tensor>(a: &T, b: &T) -> T {
    let n = square("solve", a);
    let right = Right::of("solve", n, a, b);
    right.back(Factors::of("solve", a).solve(&right.columns, false))
}

/// The inverse of square matrices `[.., n, n]`. To multiply by one, [`solve`] is faster and more accurate.
///
/// The derivative is `dA⁻¹ = −A⁻¹·dA·A⁻¹`.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if the matrix is not square, or singular to the last bit.
#[track_caller]
pub fn inv<T: Tensor>(a: &T) -> T {
    square("inv", a);
    inverse("inv", a)
}

/// The inverse, of a function that is called so.
#[track_caller]
pub(super) fn inverse<T: Tensor>(op: &'static str, a: &T) -> T {
    Factors::of(op, a).solve(&eye(last(a)), false)
}

/// The factors `A = P·L·U` of matrices `[.., m, n]`, by elimination with row exchanges: the permutation `[.., m, m]`,
/// what is below the diagonal with ones on it `[.., m, k]`, and what is not `[.., k, n]`, with `k = min(m, n)`.
///
/// The derivative keeps the permutation (Walter & Lehmann 2010).
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if it is no matrix; from its derivative, and for matrices that
/// are not square, if the leading `k×k` part of `Pᵀ·A` is singular.
#[track_caller]
pub fn lu<T: Tensor>(a: &T) -> (T, T, T) {
    let [m, n] = sides("lu", a);
    let k = m.min(n);
    let packed = T::host(&Factor { op: "lu", of_columns: false }, &[&a.detach()]);
    let [_, exchanged] = unpack(&packed, [&[m * n], &[m]]);
    let columns = T::from_elements(&[m], &(0..m).map(|i| i as f64).collect::<Vec<_>>()).or_raise();
    let transposed = T::from_mask(&exchanged.unsqueeze(-1).equal(&columns));
    let in_order = transposed.matmul(a);
    let leading = in_order.slice(-2, 0..k).slice(-1, 0..k);
    let both = T::host(&InOrder, &[&leading]);
    let (l, u) = (lower(&both, 0.0) + eye::<T>(k), upper(&both));
    let (l, u) = match m.cmp(&n) {
        Ordering::Greater => {
            let below = triangular::solve_from_right("lu", &in_order.slice(-2, k..m), &u, Triangle::UPPER);
            (T::concat(&[l, below], -2), u)
        }
        Ordering::Less => {
            let beside = triangular::solve("lu", &l, &in_order.slice(-1, k..n), Triangle::LOWER.unit());
            (l, T::concat(&[u, beside], -1))
        }
        Ordering::Equal => (l, u),
    };
    (transposed.transpose(), l, u)
}

/// What is not below the diagonal.
fn upper<T: Tensor>(x: &T) -> T {
    lower(&x.transpose(), 1.0).transpose()
}

/// A matrix and its factors, which have no derivative: the rules of what uses them have it.
pub(super) struct Factors<'a, T> {
    /// The function that errors name.
    pub(super) op: &'static str,
    pub(super) a: &'a T,
    /// Both factors of its transpose with the rows in their new order, by columns, and then which row each is. (The
    /// transpose by columns is the matrix by rows, which is copied as it is.)
    pub(super) packed: T,
}

impl<'a, T: Tensor> Factors<'a, T> {
    #[track_caller]
    pub(super) fn of(op: &'static str, a: &'a T) -> Factors<'a, T> {
        Factors { op, a, packed: T::host(&Factor { op, of_columns: true }, &[&a.detach()]) }
    }
    #[track_caller]
    pub(super) fn solve(&self, b: &T, transposed: bool) -> T {
        T::host(&SolveFactored { op: self.op, transposed }, &[self.a, &self.packed, b])
    }
}

/// The factors of the identity, as [`Factors`] has them.
pub(super) fn packed_identity(elements: usize) -> Vec<f64> {
    // n² + n elements.
    let n = side(elements);
    identity(&[n, n]).into_iter().chain((0..n).map(|i| i as f64)).collect()
}

/// Factors of a matrix's transpose that were packed.
pub(super) struct Unpacked<'a, F: Field> {
    pub(super) lu: MatRef<'a, F>,
    pub(super) order: Vec<u32>,
    inverse: Vec<u32>,
}

impl<'a, F: Field> Unpacked<'a, F> {
    pub(super) fn of(packed: &'a [F], n: usize) -> Self {
        let (lu, exchanged) = packed.split_at(n * n);
        let order: Vec<u32> = exchanged.iter().map(|&i| row_number(i)).collect();
        let mut inverse = vec![0; n];
        for (i, &from) in order.iter().enumerate() {
            inverse[from as usize] = i as u32;
        }
        Unpacked { lu: MatRef::from_column_major_slice(lu, n, n), order, inverse }
    }
    fn permutation(&self) -> PermRef<'_, u32> {
        PermRef::new_checked(&self.order, &self.inverse, self.order.len())
    }
    /// The first zero of the diagonal.
    pub(super) fn zero(&self) -> Option<usize> {
        (0..self.lu.nrows()).find(|&i| self.lu[(i, i)] == F::zero())
    }
    /// −1 if the number of exchanges is odd.
    pub(super) fn sign(&self) -> F {
        let mut seen = vec![false; self.order.len()];
        let mut sign = F::one();
        for start in 0..seen.len() {
            let mut at = start;
            while !std::mem::replace(&mut seen[at], true) {
                at = self.order[at] as usize;
                if at != start {
                    sign = -sign;
                }
            }
        }
        sign
    }
    pub(super) fn determinant(&self) -> Product {
        (0..self.lu.nrows()).fold(Product::of(self.sign()), |det, i| det.times(self.lu[(i, i)]))
    }
    /// The solution for the matrix, or its transpose, which is what was factored.
    pub(super) fn solve(&self, transposed: bool, b: &[F], result: &mut [F]) {
        let n = self.order.len();
        result.copy_from_slice(b);
        let k = b.len() / n;
        if k == 0 {
            return;
        }
        if !(0..n).all(|i| division::is_regular(self.lu[(i, i)])) {
            return self.solve_by_division(transposed, result);
        }
        let x = rows_mut(result, [n, k]);
        let permutation = self.permutation();
        match transposed {
            true => scratch(faer_solve::solve_in_place_scratch::<u32, F>(n, k, ONE), |stack| {
                faer_solve::solve_in_place(self.lu, self.lu, permutation, x, ONE, stack);
            }),
            false => scratch(faer_solve::solve_transpose_in_place_scratch::<u32, F>(n, k, ONE), |stack| {
                faer_solve::solve_transpose_in_place(self.lu, self.lu, permutation, x, ONE, stack);
            }),
        }
    }
    /// By division, and smaller by a power of two where the way to the solution leads beyond the numbers.
    fn solve_by_division(&self, transposed: bool, x: &mut [F]) {
        let b = x.to_vec();
        self.divide(transposed, &b, x);
        if !all_finite(x) && all_finite(&b) {
            let part = F::nearest(2f64.powi(-64));
            let smaller: Vec<F> = b.iter().map(|&b| b * part).collect();
            self.divide(transposed, &smaller, x);
            x.iter_mut().for_each(|x| *x /= part);
        }
    }
    fn divide(&self, transposed: bool, b: &[F], x: &mut [F]) {
        let n = self.order.len();
        let k = x.len() / n;
        let places = self.order.iter().map(|&row| row as usize * k);
        if transposed {
            for (row, from) in x.chunks_exact_mut(k).zip(places) {
                row.copy_from_slice(&b[from..from + k]);
            }
            division::substitute(self.lu, true, true, rows_mut(x, [n, k]));
            division::substitute(self.lu, false, false, rows_mut(x, [n, k]));
        } else {
            let mut work = b.to_vec();
            division::substitute(self.lu.transpose(), true, false, rows_mut(&mut work, [n, k]));
            division::substitute(self.lu.transpose(), false, true, rows_mut(&mut work, [n, k]));
            for (row, to) in work.chunks_exact(k).zip(places) {
                x[to..to + k].copy_from_slice(row);
            }
        }
    }
}

/// A row's number.
fn row_number<F: Field>(x: F) -> u32 {
    x.to_u32().expect("the number of a row")
}

/// Both factors of a matrix or of its transpose, packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    pub(super) op: &'static str,
    /// Of the transpose: rows are exchanged that are the matrix's columns.
    pub(super) of_columns: bool,
}

impl Factorization for Factor {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let a = operands[0];
        let m = result.len() - a.len();
        let n = a.len().checked_div(m).unwrap_or(0);
        let (elements, exchanged) = result.split_at_mut(a.len());
        let copy = |elements: &mut [F], size: Option<Size<F>>| {
            let moved = |x: F| size.map_or(x, |size| size.shrink(x));
            match self.of_columns {
                true => elements.iter_mut().zip(a).for_each(|(x, &a)| *x = moved(a)),
                false => {
                    let mut lu = columns_mut(elements, [m, n]);
                    for j in 0..n {
                        for i in 0..m {
                            lu[(i, j)] = moved(a[i * n + j]);
                        }
                    }
                }
            }
        };
        // What is not below the diagonal is as large as the matrix.
        let grow = |elements: &mut [F], size: Size<F>| {
            for (j, column) in elements.chunks_exact_mut(m).enumerate() {
                column[..m.min(j + 1)].iter_mut().for_each(|x| *x = size.grow(*x));
            }
        };
        let number = |exchanged: &mut [F], order: &[u32]| {
            for (into, &row) in exchanged.iter_mut().zip(order) {
                *into = F::nearest(f64::from(row));
            }
        };
        copy(elements, None);
        if m == n && small::is_small(n) {
            let mut order = small::factor(elements, n);
            if !all_finite(elements) && all_finite(a) {
                let size = Size::of_sums(a);
                copy(elements, Some(size));
                order = small::factor(elements, n);
                grow(elements, size);
            }
            number(exchanged, &order);
            return Ok(());
        }
        let (mut order, mut inverse) = (vec![0u32; m], vec![0u32; m]);
        scratch(factor::lu_in_place_scratch::<u32, F>(m, n, ONE, Default::default()), |stack| {
            let lu = columns_mut(elements, [m, n]);
            factor::lu_in_place(lu, &mut order, &mut inverse, ONE, stack, Default::default());
        });
        let is_regular =
            |i: usize| elements[i * m + i] == F::zero() || division::is_regular(elements[i * m + i]);
        if !((0..m.min(n)).all(is_regular) && all_finite(elements)) && all_finite(a) {
            copy(elements, None);
            division::factor(columns_mut(elements, [m, n]), &mut order);
            if !all_finite(elements) {
                let size = Size::of_sums(a);
                copy(elements, Some(size));
                division::factor(columns_mut(elements, [m, n]), &mut order);
                grow(elements, size);
            }
        }
        number(exchanged, &order);
        Ok(())
    }
}

impl HostOperator for Factor {
    const NAME: &'static str = "lu_factor";
    const RANKS: &'static [usize] = &[2];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [m, n] = [operands[0][0], operands[0][1]];
        // Rows are numbered in the elements' own type.
        if m >= 1 << 24 {
            return Err(format!("a matrix of {m} rows, of which there may be {}", (1 << 24) - 1));
        }
        Ok(vec![m * n + m])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn value_of_elements<E: HostElement>(&self, x: &[&[E]], y: &mut [E]) -> Option<Result<(), String>> {
        Some(run_on_elements(*self, x, y))
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// `X` of `A·X = B`, or `Aᵀ·X = B`, from the matrix, its factors, and `B`.
#[derive(Clone, Copy, Debug)]
struct SolveFactored {
    op: &'static str,
    transposed: bool,
}

impl Factorization for SolveFactored {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let [a, packed, b] = operands else { unreachable!("three operands") };
        let n = side(a.len());
        let (lu, exchanged) = packed.split_at(n * n);
        if let Some(i) = (0..n).find(|&i| lu[i * n + i] == F::zero()) {
            return Err(format!("the matrix is singular: pivot {i} is 0"));
        }
        if small::is_small(n) && (0..n).all(|i| division::is_regular(lu[i * n + i])) {
            let order = std::array::from_fn(|i| exchanged.get(i).map_or(0, |&row| row_number(row)));
            result.copy_from_slice(b);
            small::solve(lu, &order, n, self.transposed, result);
            return Ok(());
        }
        let factors = Unpacked::of(packed, n);
        if !a.is_empty() {
            factors.solve(self.transposed, b, result);
        }
        Ok(())
    }
}

impl HostOperator for SolveFactored {
    const NAME: &'static str = "solve";
    const RANKS: &'static [usize] = &[2, 1, 2];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[2].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn value_of_elements<E: HostElement>(&self, x: &[&[E]], y: &mut [E]) -> Option<Result<(), String>> {
        Some(run_on_elements(*self, x, y))
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        match operand {
            0 => identity(shape),
            1 => packed_identity(shape[0]),
            _ => vec![1.0; shape.iter().product()],
        }
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let b_bar = T::host(&SolveFactored { transposed: !self.transposed, ..*self }, &[&x[0], &x[1], y_bar]);
        let a_bar = wanted[0].then(|| match self.transposed {
            false => times_transposed(&-b_bar.clone(), y),
            true => times_transposed(&-y.clone(), &b_bar),
        });
        vec![a_bar, None, Some(b_bar)]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let moved = tangents[0].as_ref().map(|da| {
            let da = if self.transposed { da.transpose() } else { da.clone() };
            -da.matmul(y)
        });
        sum([tangents[2].clone(), moved]).map(|right| T::host(self, &[&x[0], &x[1], &right]))
    }
}

/// Both factors of a square matrix whose rows are in their order, the diagonal being that of the second one.
#[derive(Clone, Copy, Debug)]
struct InOrder;

impl Factorization for InOrder {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        // Without exchanges, which would be made for ties only.
        let n = side(operands[0].len());
        result.copy_from_slice(operands[0]);
        for k in 0..n {
            let pivot = result[k * n + k];
            let (above, below) = result.split_at_mut((k + 1) * n);
            let row = &above[k * n + k + 1..];
            for other in below.chunks_exact_mut(n) {
                if other[k] == F::zero() {
                    continue;
                }
                let factor = other[k] / pivot;
                other[k] = factor;
                for (x, &y) in other[k + 1..].iter_mut().zip(row) {
                    *x -= factor * y;
                }
            }
        }
        Ok(())
    }
}

impl HostOperator for InOrder {
    const NAME: &'static str = "lu";
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn value_of_elements<E: HostElement>(&self, x: &[&[E]], y: &mut [E]) -> Option<Result<(), String>> {
        Some(run_on_elements(*self, x, y))
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    // M = L⁻¹·dA·U⁻¹: dL = L·(M below the diagonal), dU = (M not below it)·U.
    fn pull<T: Tensor>(&self, _x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let (l, u) = (lower(y, 0.0) + eye::<T>(last(y)), upper(y));
        let of_l = lower(&l.transpose().matmul(&lower(y_bar, 0.0)), 0.0);
        let of_u = upper(&upper(y_bar).matmul(&u.transpose()));
        let m_bar = of_l + of_u;
        let left = triangular::solve("lu", &l, &m_bar, Triangle::LOWER.unit().t());
        vec![Some(triangular::solve_from_right("lu", &left, &u, Triangle::UPPER.t()))]
    }
    fn push<T: Tensor>(&self, _x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let (l, u) = (lower(y, 0.0) + eye::<T>(last(y)), upper(y));
            let left = triangular::solve("lu", &l, da, Triangle::LOWER.unit());
            let m = triangular::solve_from_right("lu", &left, &u, Triangle::UPPER);
            l.matmul(&lower(&m, 0.0)) + upper(&m).matmul(&u)
        })
    }
}
