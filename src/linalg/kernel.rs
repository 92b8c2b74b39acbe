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

/// The same of elements.
pub(super) fn run_on_elements<E: HostElement>(
    kernel: impl Factorization,
    operands: &[&[E]],
    result: &mut [E],
) -> Result<(), String> {
    E::run(Both(kernel), operands, result)
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
pub(crate) const ONE: Par = Par::Seq;

/// Memory for a factorization's intermediate results.
pub(crate) fn scratch<R>(needed: StackReq, run: impl FnOnce(&mut MemStack) -> R) -> R {
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
    match all_finite(elements) {
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
            let (x, y) = (a[i * n + j], a[j * n + i]);
            // Of equal numbers, which may be too small to be halved, the mean is themselves.
            let mean = if x == y { x } else { half * x + half * y };
            (into[i * n + j], into[j * n + i]) = (mean, mean);
        }
    }
}

/// A power of two that numbers are multiplied by, twice, where products of them would overflow or underflow: they are
/// moved near to one, and what is found moved back.
#[derive(Clone, Copy)]
pub(super) struct Size<F> {
    half: F,
}

impl<F: Field> Size<F> {
    /// Of numbers whose squares are added up, as for eigenvalues: where the root of the least number, as it is exact,
    /// or of the greatest one is passed (LAPACK's `dsyev`).
    pub(super) fn of_squares(elements: &[F]) -> Size<F> {
        let least = F::min_positive_value().sqrt() / F::epsilon();
        Size::beyond(elements, least, least.recip())
    }
    /// Of numbers of which a sum has overflowed, when they were eliminated.
    pub(super) fn of_sums(elements: &[F]) -> Size<F> {
        Size::beyond(elements, F::zero(), F::one())
    }
    fn beyond(elements: &[F], least: F, most: F) -> Size<F> {
        let largest = largest(elements);
        let moved = (largest > most || largest < least) && largest > F::zero() && largest.is_finite();
        let exponent = if moved { largest.log2().floor() } else { F::zero() };
        Size { half: (-(exponent * F::nearest(0.5)).floor()).exp2() }
    }
    pub(super) fn is_scaled(self) -> bool {
        self.half != F::one()
    }
    /// A number, moved near to one.
    pub(super) fn shrink(self, x: F) -> F {
        x * self.half * self.half
    }
    /// Such a number moved back.
    pub(super) fn grow(self, x: F) -> F {
        let back = self.half.recip();
        x * back * back
    }
}

/// The largest absolute value, in several at once. What is not a number is left out.
fn largest<F: Field>(elements: &[F]) -> F {
    let larger = |most: F, x: F| if x.abs() > most { x.abs() } else { most };
    let (chunks, rest) = elements.as_chunks::<16>();
    let mut most = [F::zero(); 16];
    for chunk in chunks {
        most.iter_mut().zip(chunk).for_each(|(most, &x)| *most = larger(*most, x));
    }
    most.iter().chain(rest).fold(F::zero(), |most, &x| larger(most, x))
}

/// Whether there is no infinity and what is not a number, several at once.
pub(super) fn all_finite<F: Field>(elements: &[F]) -> bool {
    let (chunks, rest) = elements.as_chunks::<16>();
    let mut zeros = [F::zero(); 16];
    for chunk in chunks {
        zeros.iter_mut().zip(chunk).for_each(|(zero, &x)| *zero += x * F::zero());
    }
    zeros.iter().chain(rest).all(|x| x.is_finite())
}
