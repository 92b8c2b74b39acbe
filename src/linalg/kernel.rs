//! What faer computes, on the elements of operands and results.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::{MatMut, MatRef, Par};
use ndarray::{ArrayViewD, ArrayViewMutD};

use crate::language::host::{self, HostElement};

/// Numbers for ndarray and for faer.
pub(super) trait Field: HostElement + faer::traits::RealField {}
impl Field for f32 {}
impl Field for f64 {}

/// The value of an operator: of operands in row-major order, into zeros.
pub(super) trait Factorization: Copy {
    /// # Errors
    /// Why there is none.
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String>;
}

/// The [`Factorization`] as a function of what an operator of the host is given.
pub(super) fn run<E: HostElement>(
    kernel: impl Factorization,
    operands: &[ArrayViewD<'_, E>],
    mut result: ArrayViewMutD<'_, E>,
) -> Result<(), String> {
    const ORDER: &str = "operands and results of the host are in row-major order";
    let operands: Vec<&[E]> = operands.iter().map(|x| x.to_slice().expect(ORDER)).collect();
    E::run(Both(kernel), &operands, result.as_slice_mut().expect(ORDER))
}

struct Both<K>(K);

impl<K: Factorization> host::Kernel for Both<K> {
    fn single(self, operands: &[&[f32]], result: &mut [f32]) -> Result<(), String> {
        self.0.compute(operands, result)
    }
    fn double(self, operands: &[&[f64]], result: &mut [f64]) -> Result<(), String> {
        self.0.compute(operands, result)
    }
}

/// One thread: what runs beside others is the caller's to say.
pub(super) const ONE: Par = Par::Seq;

/// Memory for a factorization's intermediate results.
pub(super) fn scratch<R>(needed: StackReq, run: impl FnOnce(&mut MemStack) -> R) -> R {
    run(MemStack::new(&mut MemBuffer::new(needed)))
}

/// The matrix of elements in row-major order.
pub(super) fn rows<F>(elements: &[F], [m, n]: [usize; 2]) -> MatRef<'_, F> {
    MatRef::from_row_major_slice(elements, m, n)
}

/// The same, to be written.
pub(super) fn rows_mut<F>(elements: &mut [F], [m, n]: [usize; 2]) -> MatMut<'_, F> {
    MatMut::from_row_major_slice_mut(elements, m, n)
}

/// The matrix of elements in column-major order, which faer prefers, to be written.
pub(super) fn columns_mut<F>(elements: &mut [F], [m, n]: [usize; 2]) -> MatMut<'_, F> {
    MatMut::from_column_major_slice_mut(elements, m, n)
}

/// The number of rows of a square matrix, from that of its elements.
pub(super) fn side(elements: usize) -> usize {
    elements.isqrt()
}

/// What most factorizations say of elements that are infinite or not a number.
///
/// # Errors
/// If there is one.
pub(super) fn finite<F: Field>(elements: &[F]) -> Result<(), String> {
    match elements.iter().all(|x| x.is_finite()) {
        true => Ok(()),
        false => Err("an element of the matrix is not finite".into()),
    }
}

/// The symmetric part `½(A + Aᵀ)` of a square matrix; both orders of elements are the same.
pub(super) fn symmetric_part<F: Field>(a: &[F], into: &mut [F]) {
    let n = side(a.len());
    let half = F::nearest(0.5);
    for i in 0..n {
        for j in 0..=i {
            let mean = half * a[i * n + j] + half * a[j * n + i];
            (into[i * n + j], into[j * n + i]) = (mean, mean);
        }
    }
}
