//! The entry points: patterns, and the entries.

use super::coloring::Compression;
use super::{SparseMatrix, Sparsity, Traced};
use crate::array::{Float, NdArray};
use crate::batch::Batch;
use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::jacobian::{adjoint_rows, one_each, product_rows, result_shape, tangent_rows};
use crate::language::params::Params;
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::{IntTensor, Tensor};
use crate::transforms::{Function, RepeatedFunction, pull_one};

/// Which entries the Jacobian of a function to one array has, at a structure of arrays: a row for each element of the
/// result, a column for each element of `x`, leaf by leaf, both in row-major order.
///
/// The function runs once, on arrays each of whose elements carries the numbers of the elements of `x` that it may have
/// a derivative by. What cannot be told without knowing derivatives counts as an entry, but for products with a
/// constant that is exactly zero. Where control flow depends on data (Rust's own, or
/// [`cond`](crate::Control::cond) and its relatives, also indices), the pattern is that of the way taken at this `x`;
/// a [`select`](crate::Real::select), a maximum and the like count both operands, so that the pattern holds for others.
/// ```
/// use antiphon::{NdArray, Tensor, jacobian_sparsity};
/// let x = NdArray::from(vec![1.0, 2.0, 3.0]);
/// let pattern = jacobian_sparsity(|x| x.slice(0, 0..2) * x.slice(0, 1..3), &x)?;
/// assert_eq!(pattern.shape(), [2, 3]);
/// assert!(pattern.entries().eq([(0, 0), (0, 1), (1, 1), (1, 2)]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises.
#[track_caller]
pub fn jacobian_sparsity<P, E>(f: impl FnOnce(P::With<Traced<E>>) -> Traced<E>, x: &P) -> Result<Sparsity>
where
    P: Params<Leaf = NdArray<E>>,
    E: Float,
{
    catch(|| {
        stack::on_reserved(|| {
            let y = f(x.with_leaves(inputs(x))?);
            Ok(Sparsity::of_sets(x.count(), &y.sets()))
        })
    })
}

/// Which entries the Hessian of a scalar function of a structure of arrays has: a row and a column for each element of
/// `x`, leaf by leaf. It is the pattern of the gradient's Jacobian, found as by [`jacobian_sparsity`], and symmetric.
///
/// ```
/// use antiphon::{NdArray, Tensor, hessian_sparsity};
/// let x = NdArray::from(vec![1.0, 2.0, 3.0]);
/// let pattern = hessian_sparsity(|x| x.index(0, 0) * x.index(0, 2) + x.index(0, 1), &x)?;
/// assert!(pattern.entries().eq([(0, 2), (2, 0)]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`](crate::grad).
#[track_caller]
pub fn hessian_sparsity<P, E>(f: impl for<'r> Function<'r, P, Traced<E>>, x: &P) -> Result<Sparsity>
where
    P: Params<Leaf = NdArray<E>>,
    E: Float,
{
    let (op, at) = ("hessian_sparsity", At::caller());
    let (_, adjoints) = pull_one(op, at, x, inputs(x), f, |y| {
        y.check_scalar(op).map_err(|error| error.relocate(at))?;
        Ok(y.ones_like())
    })?;
    let rows: Vec<_> = adjoints.iter().flat_map(Traced::sets).collect();
    Ok(Sparsity::of_sets(x.count(), &rows).symmetric())
}

/// The leaves of a structure, each element with its own number.
fn inputs<P: Params<Leaf = NdArray<E>>, E: Float>(x: &P) -> Vec<Traced<E>> {
    let mut start = 0;
    let input = |leaf: &NdArray<E>| {
        start += leaf.size();
        Traced::input(leaf, start - leaf.size())
    };
    x.leaves().iter().map(input).collect()
}

/// Jacobian of a function to one array, at a structure of arrays, of which these are the only entries: in one pass for
/// a few directions, or adjoints, with the columns, or rows, that have no entry beside each other taken together (see
/// [`Sparsity::jacobian_colors`]). Rows and columns are numbered as by [`jacobian_sparsity`].
///
/// An entry that the pattern lacks and that is not zero makes others wrong. It works eagerly and recorded, in a
/// [`vmap`](crate::vmap) and under derivatives, as [`jacobian`](crate::jacobian).
/// ```
/// use antiphon::{NdArray, Real, Tensor, jacobian_sparsity, sparse_jacobian};
/// /// xᵢ² − xᵢ₊₁
/// fn f<T: Tensor>(x: T) -> T {
///     let n = x.size() - 1;
///     x.slice(0, 0..n).square() - x.slice(0, 1..n + 1)
/// }
/// let x = NdArray::from(vec![1.0, 2.0, 3.0]);
/// let pattern = jacobian_sparsity(|x| f(x), &x)?;
/// let matrix = sparse_jacobian(|x| f(x), &x, &pattern)?;
/// assert_eq!(pattern.jacobian_colors(), 2);
/// assert_eq!(pattern.row_pointers(), [0, 2, 4]);
/// assert_eq!(pattern.column_indices(), [0, 1, 1, 2]);
/// assert_eq!(matrix.values(), &NdArray::from(vec![2.0, -1.0, 4.0, -1.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`](crate::grad); [`Error::Argument`] if `x` has not as many elements as the pattern has columns, or the
/// result as it has rows.
#[track_caller]
pub fn sparse_jacobian<P, T>(
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
    pattern: &Sparsity,
) -> Result<SparseMatrix<T>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let (op, at) = ("sparse_jacobian", At::caller());
    let [m, n] = pattern.shape();
    fits(op, at, "columns, and x", n, x.count())?;
    let found = pattern.jacobian();
    let check = |y: &[usize]| fits(op, at, "rows, and the result", m, shape::size(y));
    let (colors, color) = (found.colors, |i: usize| found.color[i]);
    let parts = if colors == 0 {
        check(&result_shape(op, at, &f, x)?)?;
        Vec::new()
    } else if found.by_rows {
        adjoint_rows(op, at, f, x, colors, |y: &Shape| check(y).map(|()| one_each(y, colors, color)))?
    } else {
        let columns = tangent_rows(op, at, f, x, colors, color)?;
        check(&columns.shape()[1..])?;
        vec![columns]
    };
    assembled(at, pattern, found, &parts)
}

/// Hessian of a scalar function of a structure of arrays, of which these are the only entries: in one
/// forward-over-reverse pass for a few directions (see [`Sparsity::hessian_colors`]). Rows and columns are numbered as
/// by [`hessian_sparsity`].
///
/// An entry that the pattern lacks and that is not zero makes others wrong. It works wherever
/// [`hessian`](crate::hessian) does.
/// ```
/// use antiphon::{NdArray, Real, Tensor, hessian_sparsity, sparse_hessian};
/// /// Σ xᵢ·xᵢ₊₁²
/// fn f<T: Tensor>(x: T) -> T {
///     let n = x.size() - 1;
///     (x.slice(0, 0..n) * x.slice(0, 1..n + 1).square()).sum(..)
/// }
/// let x = NdArray::from(vec![1.0, 2.0, 3.0]);
/// let pattern = hessian_sparsity(|x| f(x), &x)?;
/// let matrix = sparse_hessian(|x| f(x), &x, &pattern)?;
/// let dense = [0.0, 4.0, 0.0, 4.0, 2.0, 6.0, 0.0, 6.0, 4.0];
/// assert_eq!(matrix.to_dense()?, NdArray::from_elements(&[3, 3], &dense)?);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`](crate::grad); [`Error::Argument`] if `x` has not as many elements as the pattern has columns, or the
/// pattern is not symmetric.
#[track_caller]
pub fn sparse_hessian<P, T>(
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
    pattern: &Sparsity,
) -> Result<SparseMatrix<T>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let (op, at) = ("sparse_hessian", At::caller());
    let found = pattern.hessian(op, at)?;
    fits(op, at, "columns, and x", pattern.shape()[1], x.count())?;
    let parts = if found.colors == 0 {
        let shape = result_shape(op, at, &f, x)?;
        shape::scalar(op, &shape).map_err(|error| error.relocate(at))?;
        Vec::new()
    } else {
        product_rows(op, at, f, x, found.colors, |i| found.color[i])?
    };
    assembled(at, pattern, found, &parts)
}

/// Checks that there are as many elements as the pattern says.
fn fits(op: &'static str, at: At, what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let reason = format!("the pattern has {expected} {what} has {found} elements");
    Err(Error::Argument { op, reason, at })
}

/// The matrix, from what was computed of it, `[colors, length]` in parts `[colors, shape..]`, one after the other along
/// the length.
fn assembled<T: Tensor>(
    at: At,
    pattern: &Sparsity,
    found: &Compression,
    parts: &[T],
) -> Result<SparseMatrix<T>> {
    catch(|| {
        operator(at, || {
            if parts.is_empty() {
                return Ok(SparseMatrix::of(pattern, T::zeros(&[0])));
            }
            let flat = |part: &T| part.reshape(&[found.colors, part.size() / found.colors]);
            let rows = T::concat(&parts.iter().map(flat).collect::<Vec<T>>(), 1);
            let places = T::Int::from_elements(&[pattern.nnz()], &found.places)?;
            Ok(SparseMatrix::of(pattern, rows.reshape(&[rows.size()]).gather_rows(&places)))
        })
    })
}
