//! Singular values, and what is made of them: pseudo-inverses and least squares.

use faer::Mat;
use faer::linalg::svd as faer_svd;
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::kernel::{Factorization, Field, ONE, Size, finite, rows, rows_mut, run, scratch};
use super::parts::{
    diagonal, diagonal_times, identity, inverse_differences, pack, recip_or_zero, sides, sum, times_diagonal,
    unpack,
};
use super::right::Right;
use crate::continuation::unwinding::{blame, raise};
use crate::error::{At, Error};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The reduced singular value decomposition `A = U·diag(s)·Vᵀ` of matrices `[.., m, n]`: `U` with orthonormal columns
/// `[.., m, k]`, the singular values, descending, `[.., k]`, and `Vᵀ` with orthonormal rows `[.., k, n]`, with
/// `k = min(m, n)`. The sign of a pair of singular vectors is not defined.
///
/// The derivative is that of Townsend 2016 ("Differentiating the singular value decomposition"). Where singular values
/// are equal, or zero, its factors `1/(sⱼ² − sᵢ²)` and `1/sᵢ` are zero: it is right there for symmetric functions of
/// the singular values, and not for what is made of both kinds of singular vectors of equal values, as `U·Vᵀ`.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if it is no matrix or an element is not finite.
#[track_caller]
pub fn svd<T: Tensor>(a: &T) -> (T, T, T) {
    let sides = sides("svd", a);
    all("svd", a, sides)
}

/// All three, for a function that is called so.
#[track_caller]
fn all<T: Tensor>(op: &'static str, a: &T, [m, n]: [usize; 2]) -> (T, T, T) {
    let svd = Svd { op, m, n };
    let [u, s, vt] = svd.unpack(&T::host(&svd, &[a]));
    (u, s, vt)
}

/// The singular values of matrices, descending: `[.., m, n]` gives `[.., min(m, n)]`; see [`svd`].
///
/// # Errors
/// As [`svd`].
#[track_caller]
pub fn svdvals<T: Tensor>(a: &T) -> T {
    let sides = sides("svdvals", a);
    all("svdvals", a, sides).1
}

/// The Moore–Penrose pseudo-inverse of matrices: `[.., m, n]` gives `[.., n, m]`. Singular values of at most `rcond`
/// times the largest count as zero; if it is not given, `max(m, n)` times the precision of the numbers.
///
/// The derivative is that of matrices of the same rank (Golub & Pereyra 1973):
/// `dP = −P·dA·P + P·Pᵀ·dAᵀ·(1 − A·P) + (1 − P·A)·dAᵀ·Pᵀ·P`.
///
/// # Errors
/// As [`svd`]; raises [`Error::Argument`](crate::Error::Argument) if `rcond` is negative or not a number.
#[track_caller]
pub fn pinv<T: Tensor>(a: &T, rcond: Option<f64>) -> T {
    let sides = sides("pinv", a);
    pseudo_inverse("pinv", a, sides, rcond)
}

/// The same for a function that is called so.
#[track_caller]
fn pseudo_inverse<T: Tensor>(op: &'static str, a: &T, [m, n]: [usize; 2], rcond: Option<f64>) -> T {
    if let Some(rcond) = rcond
        && (rcond.is_nan() || rcond < 0.0)
    {
        let reason = format!("singular values of at most {rcond} times the largest: it has to be 0 or more");
        raise(Error::Argument { op, reason, at: blame(At::caller()) });
    }
    T::host(&PseudoInverse { op, rcond, m, n }, &[a])
}

/// The `X` of least norm that makes `‖A·X − B‖` least: `[.., m, n]` and `[.., m, k]` give `[.., n, k]`; a vector `[m]`
/// is a column, and gives one. Rank and derivative are those of [`pinv`].
///
/// # Errors
/// As [`pinv`]; raises [`Error::Shape`](crate::Error::Shape) if the operands do not fit.
#[track_caller]
pub fn lstsq<T: Tensor>(a: &T, b: &T, rcond: Option<f64>) -> T {
    let sides = sides("lstsq", a);
    let right = Right::of("lstsq", sides[0], a, b);
    right.back(pseudo_inverse("lstsq", a, sides, rcond).matmul(&right.columns))
}

/// `U`, the singular values and `V`.
type Factors<F> = (Mat<F>, Vec<F>, Mat<F>);

/// The factors of a matrix.
///
/// # Errors
/// If they are not found.
pub(super) fn decompose<F: Field>(a: &[F], [m, n]: [usize; 2]) -> Result<Factors<F>, String> {
    finite(a)?;
    let k = m.min(n);
    let (mut u, mut v) = (Mat::<F>::zeros(m, k), Mat::<F>::zeros(n, k));
    let mut s = Mat::<F>::zeros(k, 1);
    // Of what is far from one, squares are no numbers.
    let size = Size::of_squares(a);
    if k > 0 {
        let thin = faer_svd::ComputeSvdVectors::Thin;
        let scaled: Vec<F>;
        let a = if size.is_scaled() {
            scaled = a.iter().map(|&x| size.shrink(x)).collect();
            &scaled
        } else {
            a
        };
        scratch(faer_svd::svd_scratch::<F>(m, n, thin, thin, ONE, Default::default()), |stack| {
            let s = s.as_mut().col_mut(0).as_diagonal_mut();
            let (u, v) = (Some(u.as_mut()), Some(v.as_mut()));
            faer_svd::svd(rows(a, [m, n]), s, u, v, ONE, stack, Default::default())
        })
        .map_err(|_| "the singular values were not found".to_string())?;
    }
    Ok((u, (0..k).map(|i| size.grow(s[(i, 0)])).collect(), v))
}

#[derive(Clone, Copy, Debug)]
struct Svd {
    op: &'static str,
    m: usize,
    n: usize,
}

impl Svd {
    fn unpack<T: Tensor>(self, y: &T) -> [T; 3] {
        let (m, n) = (self.m, self.n);
        let k = m.min(n);
        unpack(y, [&[m, k], &[k], &[k, n]])
    }
}

impl Factorization for Svd {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let (m, n) = (self.m, self.n);
        let (u, s, v) = decompose(operands[0], [m, n])?;
        let k = s.len();
        let (u_out, rest) = result.split_at_mut(m * k);
        let (s_out, v_out) = rest.split_at_mut(k);
        rows_mut(u_out, [m, k]).copy_from(&u);
        s_out.copy_from_slice(&s);
        rows_mut(v_out, [k, n]).copy_from(v.transpose());
        Ok(())
    }
}

/// `X` less what of it lies in the span of a matrix's orthonormal columns.
fn beside<T: Tensor>(x: &T, q: &T) -> T {
    x.clone() - q.matmul(&q.transpose().matmul(x))
}

impl HostOperator for Svd {
    const NAME: &'static str = "svd";
    const RANKS: &'static [usize] = &[2];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        let (m, n) = (self.m, self.n);
        let k = m.min(n);
        Ok(vec![m * k + k + k * n])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, _x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let [u, s, vt] = self.unpack(y);
        let [u_bar, s_bar, vt_bar] = self.unpack(y_bar);
        let (v, v_bar) = (vt.transpose(), vt_bar.transpose());
        let f = inverse_differences(&s.square());
        let skew = |q: &T, q_bar: &T| {
            let product = q.transpose().matmul(q_bar);
            (product.clone() - product.transpose()) * &f
        };
        let inner = times_diagonal(&skew(&u, &u_bar), &s) + diagonal_times(&s, &skew(&v, &v_bar));
        let inverse = recip_or_zero(&s);
        let within = (u.matmul(&inner) + times_diagonal(&u, &s_bar)).matmul(&vt);
        let of_u = (self.m > self.n).then(|| times_diagonal(&beside(&u_bar, &u), &inverse).matmul(&vt));
        let of_v =
            (self.n > self.m).then(|| u.matmul(&diagonal_times(&inverse, &beside(&v_bar, &v).transpose())));
        vec![sum([Some(within), of_u, of_v])]
    }
    fn push<T: Tensor>(&self, _x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let [u, s, vt] = self.unpack(y);
            let v = vt.transpose();
            let moved = da.matmul(&v);
            let inner = u.transpose().matmul(&moved);
            let f = inverse_differences(&s.square());
            let both = |x: T| (x.clone() + x.transpose()) * &f;
            let mut du = u.matmul(&both(times_diagonal(&inner, &s)));
            let mut dv = v.matmul(&both(diagonal_times(&s, &inner)));
            let inverse = recip_or_zero(&s);
            if self.m > self.n {
                du += times_diagonal(&beside(&moved, &u), &inverse);
            }
            if self.n > self.m {
                dv += times_diagonal(&beside(&da.transpose().matmul(&u), &v), &inverse);
            }
            pack([(&du, 2), (&diagonal(&inner), 1), (&dv.transpose(), 2)])
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct PseudoInverse {
    op: &'static str,
    rcond: Option<f64>,
    m: usize,
    n: usize,
}

impl Factorization for PseudoInverse {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let (m, n) = (self.m, self.n);
        let (u, s, mut v) = decompose(operands[0], [m, n])?;
        let Some(&largest) = s.first() else { return Ok(()) };
        let precision = F::nearest(m.max(n) as f64) * F::epsilon();
        let least = largest * self.rcond.map_or(precision, F::nearest);
        for (j, &s) in s.iter().enumerate() {
            let inverse = if s > least { s.recip() } else { F::zero() };
            v.as_mut().col_mut(j).iter_mut().for_each(|x| *x *= inverse);
        }
        rows_mut(result, [n, m]).copy_from(v.as_ref() * u.transpose());
        Ok(())
    }
}

impl HostOperator for PseudoInverse {
    const NAME: &'static str = "pinv";
    const RANKS: &'static [usize] = &[2];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![operands[0][1], operands[0][0]])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], p: &T, p_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let (a, pt) = (&x[0], p.transpose());
        let along = pt.matmul(&p_bar.matmul(&pt));
        // ⟨P̄, P·Pᵀ·dAᵀ·(1 − A·P)⟩ and ⟨P̄, (1 − P·A)·dAᵀ·Pᵀ·P⟩.
        let of_range = p_bar.transpose().matmul(&p.matmul(&pt));
        let of_range = of_range.clone() - pt.matmul(&a.transpose().matmul(&of_range));
        let of_kernel = pt.matmul(p).matmul(&p_bar.transpose());
        let of_kernel = of_kernel.clone() - of_kernel.matmul(&p.matmul(a));
        vec![Some(of_range + of_kernel - along)]
    }
    fn push<T: Tensor>(&self, x: &[T], p: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let (a, pt, dat) = (&x[0], p.transpose(), da.transpose());
            let of_range = p.matmul(&pt.matmul(&dat));
            let of_range = of_range.clone() - of_range.matmul(a).matmul(p);
            let of_kernel = dat.matmul(&pt.matmul(p));
            let of_kernel = of_kernel.clone() - p.matmul(&a.matmul(&of_kernel));
            of_range + of_kernel - p.matmul(&da.matmul(p))
        })
    }
}
