//! What the rules are made of: triangles, diagonals, symmetric parts, and several results in one.

use crate::continuation::unwinding::{OrRaise, blame, raise};
use crate::error::{At, Error};
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;

/// Elements of the identity, or of what of it a matrix of another shape has.
pub(super) fn identity(shape: &[usize]) -> Vec<f64> {
    let &[m, n] = shape else { unreachable!("the shape of a matrix") };
    (0..m * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect()
}

/// The `n×n` identity.
pub(super) fn eye<T: Tensor>(n: usize) -> T {
    matrix(n, |i, j| if i == j { 1.0 } else { 0.0 })
}

/// A constant square matrix.
pub(super) fn matrix<T: Tensor>(n: usize, element: impl Fn(usize, usize) -> f64) -> T {
    let elements: Vec<f64> = (0..n * n).map(|at| element(at / n, at % n)).collect();
    T::from_elements(&[n, n], &elements).or_raise()
}

/// What of a matrix is not above the diagonal, which is multiplied by a number.
pub(super) fn lower<T: Tensor>(x: &T, diagonal: f64) -> T {
    let n = last(x);
    x.clone()
        * matrix::<T>(n, |i, j| {
            if i > j {
                1.0
            } else if i == j {
                diagonal
            } else {
                0.0
            }
        })
}

/// `½(A + Aᵀ)`.
pub(super) fn symmetric<T: Tensor>(x: &T) -> T {
    (x.clone() + x.transpose()).scale(0.5)
}

/// `A·diag(v)`.
pub(super) fn times_diagonal<T: Tensor>(a: &T, v: &T) -> T {
    a.clone() * v.unsqueeze(-2)
}

/// `diag(v)·A`.
pub(super) fn diagonal_times<T: Tensor>(v: &T, a: &T) -> T {
    a.clone() * v.unsqueeze(-1)
}

/// The diagonal of a square matrix.
pub(super) fn diagonal<T: Tensor>(a: &T) -> T {
    (a.clone() * eye::<T>(last(a))).sum(-1)
}

/// `1/(vⱼ − vᵢ)` as a matrix, zero where they are equal.
pub(super) fn inverse_differences<T: Tensor>(v: &T) -> T {
    let difference = v.unsqueeze(-2) - v.unsqueeze(-1);
    let equal = difference.equal(&T::constant(0.0));
    let recip = T::select(&equal, &T::constant(1.0), &difference).recip();
    T::select(&equal, &T::constant(0.0), &recip)
}

/// `1/v`, zero where it is zero.
pub(super) fn recip_or_zero<T: Tensor>(v: &T) -> T {
    let zero = v.equal(&T::constant(0.0));
    T::select(&zero, &T::constant(0.0), &T::select(&zero, &T::constant(1.0), v).recip())
}

/// `A·Bᵀ`, which of single columns is one product for each element.
pub(super) fn times_transposed<T: Tensor>(a: &T, b: &T) -> T {
    match last(a) {
        1 => a.clone() * b.transpose(),
        _ => a.matmul(&b.transpose()),
    }
}

/// The length of the last axis.
pub(super) fn last<T: Tensor>(x: &T) -> usize {
    x.shape().last().copied().unwrap_or(1)
}

/// The last two axes' lengths.
///
/// # Errors
/// Raises [`Error::Argument`] if there are fewer.
#[track_caller]
pub(super) fn sides<T: Tensor>(op: &'static str, x: &T) -> [usize; 2] {
    let shape = x.shape();
    match shape.as_slice() {
        [.., m, n] => [*m, *n],
        _ => raise(Error::Argument {
            op,
            reason: format!("an array {shape:?}, which has to have two axes or more, as a matrix has"),
            at: blame(At::caller()),
        }),
    }
}

/// The side of a square matrix.
///
/// # Errors
/// Raises [`Error::Argument`] if it is not one.
#[track_caller]
pub(super) fn square<T: Tensor>(op: &'static str, x: &T) -> usize {
    let [m, n] = sides(op, x);
    if m != n {
        let reason = format!("a matrix {:?}, which has to be square", x.shape());
        raise(Error::Argument { op, reason, at: blame(At::caller()) });
    }
    n
}

/// Cuts the last axis into arrays of these shapes.
pub(super) fn unpack<T: Tensor, const N: usize>(packed: &T, shapes: [&[usize]; N]) -> [T; N] {
    let whole = packed.shape();
    let (_, batch) = whole.split_last().expect("what is packed has an axis");
    let mut start = 0;
    shapes.map(|shape| {
        let length: usize = shape.iter().product();
        let part = packed.slice(-1, start..start + length);
        start += length;
        let shape: Shape = batch.iter().chain(shape).copied().collect();
        part.reshape(&shape)
    })
}

/// Joins arrays, of so many axes each after those of the batch, into one with one axis: [`unpack`]'s inverse. All have
/// the axes of the batch.
pub(super) fn pack<T: Tensor, const N: usize>(parts: [(&T, usize); N]) -> T {
    let flat = parts.map(|(part, rank)| {
        let shape = part.shape();
        let (batch, own) = shape.split_at(shape.len() - rank);
        let shape: Shape = batch.iter().copied().chain([own.iter().product()]).collect();
        part.reshape(&shape)
    });
    T::concat(&flat, -1)
}

/// The sum of what there is.
pub(super) fn sum<T: Tensor>(parts: impl IntoIterator<Item = Option<T>>) -> Option<T> {
    parts.into_iter().flatten().reduce(|a, b| a + b)
}
