//! Orthogonal and triangular factors.

use faer::linalg::householder;
use faer::linalg::qr::no_pivoting::factor;
use faer::{Conj, Mat};
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::kernel::{Factorization, Field, ONE, finite, rows, rows_mut, run, scratch};
use super::parts::{identity, lower, pack, sides, unpack};
use super::triangular::{Triangle, solve_from_right};
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The reduced factors `A = Q·R` of matrices `[.., m, n]`: `Q` with orthonormal columns `[.., m, k]`, and `R`, zero
/// below the diagonal, `[.., k, n]`, with `k = min(m, n)`. The signs are LAPACK's, by Householder reflections.
///
/// The derivative is that of Walter & Lehmann 2010 ("Algorithmic differentiation of linear algebra functions"); it
/// wants the first `k` columns to be independent.
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) if it is no matrix or an element is not finite, and from its
/// derivative if the first `k` columns are dependent to the last bit.
#[track_caller]
pub fn qr<T: Tensor>(a: &T) -> (T, T) {
    let [m, n] = sides("qr", a);
    if m >= n {
        let [q, r] = unpack(&T::host(&Qr, &[a]), [&[m, n], &[n, n]]);
        return (q, r);
    }
    // What stands beside the square part follows from its factor.
    let [q, r] = unpack(&T::host(&Qr, &[&a.slice(-1, 0..m)]), [&[m, m], &[m, m]]);
    let beside = q.transpose().matmul(&a.slice(-1, m..n));
    (q, T::concat(&[r, beside], -1))
}

/// Of matrices with no more columns than rows, both factors packed.
#[derive(Clone, Copy, Debug)]
struct Qr;

impl Factorization for Qr {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let a = operands[0];
        // The result is m·n and n·n elements.
        let n = (result.len() - a.len()).isqrt();
        if n == 0 {
            return Ok(());
        }
        finite(a)?;
        let m = a.len() / n;
        let mut factored = rows(a, [m, n]).to_owned();
        let block = factor::recommended_block_size::<F>(m, n);
        let mut coefficients = Mat::<F>::zeros(block, n);
        scratch(factor::qr_in_place_scratch::<F>(m, n, block, ONE, Default::default()), |stack| {
            factor::qr_in_place(factored.as_mut(), coefficients.as_mut(), ONE, stack, Default::default());
        });
        let mut q = Mat::<F>::identity(m, n);
        let needed =
            householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<F>(m, block, n);
        scratch(needed, |stack| {
            householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
                factored.as_ref(),
                coefficients.as_ref(),
                Conj::No,
                q.as_mut(),
                ONE,
                stack,
            );
        });
        let (q_out, r_out) = result.split_at_mut(m * n);
        rows_mut(q_out, [m, n]).copy_from(&q);
        for i in 0..n {
            for j in i..n {
                r_out[i * n + j] = factored[(i, j)];
            }
        }
        Ok(())
    }
}

impl HostOperator for Qr {
    const NAME: &'static str = "qr";
    const RANKS: &'static [usize] = &[2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [m, n] = [operands[0][0], operands[0][1]];
        Ok(vec![m * n + n * n])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        identity(shape)
    }
    // M = R·R̄ᵀ − Q̄ᵀ·Q, of which what is not above the diagonal counts, on both sides: Ā = (Q̄ + Q·M)·R⁻ᵀ.
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let [m, n] = sides("qr", &x[0]);
        let [q, r] = unpack(y, [&[m, n], &[n, n]]);
        let [q_bar, r_bar] = unpack(y_bar, [&[m, n], &[n, n]]);
        let inner = r.matmul(&r_bar.transpose()) - q_bar.transpose().matmul(&q);
        let inner = lower(&inner, 1.0) + lower(&inner, 0.0).transpose();
        vec![Some(solve_from_right(Self::NAME, &(q_bar + q.matmul(&inner)), &r, Triangle::UPPER.t()))]
    }
    // C = dA·R⁻¹, and S what is below the diagonal of QᵀC, less its transpose: dQ = C − Q·(QᵀC − S), dR = (QᵀC − S)·R.
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|da| {
            let [m, n] = sides("qr", &x[0]);
            let [q, r] = unpack(y, [&[m, n], &[n, n]]);
            let c = solve_from_right(Self::NAME, da, &r, Triangle::UPPER);
            let inner = q.transpose().matmul(&c);
            let below = lower(&inner, 0.0);
            let symmetric = inner - below.clone() + below.transpose();
            pack([(&(c - q.matmul(&symmetric)), 2), (&symmetric.matmul(&r), 2)])
        })
    }
}
