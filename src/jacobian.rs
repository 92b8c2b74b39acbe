//! Jacobians and Hessians: all rows in one pass, as a [`Batch`] of directions or of adjoints.

use crate::batch::{Batch, BatchBool};
use crate::continuation::stack;
use crate::continuation::unwinding::{OrRaise, catch, operator};
use crate::error::{At, Result};
use crate::forward::Dual;
use crate::language::control::continuation_passing::{self, Site};
use crate::language::control::rows;
use crate::language::params::Params;
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;
use crate::memory;
use crate::reverse::Var;
use crate::transforms::{Gradient, RepeatedFunction, evaluate, pull_one};

/// Jacobian of a function to one array, at a structure of arrays: for each leaf of `x` an array `[shape of y.., shape
/// of the leaf..]`.
///
/// It is one pass for all elements: in reverse with all adjoints at once, or, where `x` has fewer elements than `y`,
/// forward with all directions at once. The function is run twice, the first time for the shape of `y`.
/// ```
/// use antiphon::{NdArray, Tensor, jacobian};
/// let x = NdArray::from(vec![1.0, 2.0]);
/// let squares = jacobian(|x| x.clone() * x, &x)?;
/// assert_eq!(squares, NdArray::from_elements(&[2, 2], &[2.0, 0.0, 0.0, 4.0])?);
/// // By both factors of a product of a matrix and a vector.
/// let matrix = NdArray::from_elements(&[1, 2], &[3.0, 4.0])?;
/// let (by_matrix, by_vector) = jacobian(|(matrix, vector)| matrix.matmul(&vector), &(matrix, x))?;
/// assert_eq!(by_matrix, NdArray::from_elements(&[1, 1, 2], &[1.0, 2.0])?);
/// assert_eq!(by_vector, NdArray::from_elements(&[1, 2], &[3.0, 4.0])?);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`](crate::grad).
#[track_caller]
pub fn jacobian<P, T>(f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>, x: &P) -> Result<Gradient<P>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let at = At::caller();
    let y_shape = result_shape("jacobian", at, &f, x)?;
    let (n, m) = (x.count(), shape::size(&y_shape));
    let shaped = |leaf: &T| [&y_shape[..], &leaf.shape()].concat();
    if n == 0 || m == 0 {
        return catch(|| operator(at, || Ok(x.map_leaves(|leaf| T::zeros(&shaped(leaf))))));
    }
    if n < m {
        return forward(at, f, x, &y_shape);
    }
    let rows = adjoint_rows("jacobian", at, f, x, m, |_| Ok(one_each(&y_shape, m, Some)))?;
    catch(|| {
        operator(at, || {
            let mut rows = rows.into_iter();
            Ok(x.map_leaves(|leaf| rows.next().expect("an adjoint for each leaf").reshape(&shaped(leaf))))
        })
    })
}

/// [`jacobian`], forward.
fn forward<P, T>(
    at: At,
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
    y_shape: &[usize],
) -> Result<Gradient<P>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let n = x.count();
    let columns = tangent_rows("jacobian", at, f, x, n, Some)?;
    catch(|| {
        operator(at, || {
            let rank = y_shape.len();
            let last: Shape = (1..=rank).chain([0]).collect();
            let mut start = 0;
            Ok(x.map_leaves(|leaf| {
                let end = start + leaf.size();
                let columns = columns.slice(0, start..end).permute(&last);
                start = end;
                columns.reshape(&[y_shape, &leaf.shape()].concat())
            }))
        })
    })
}

/// The adjoints of the leaves of `x`, `[rows, shape..]` each, for adjoints `[rows, shape of y..]` of the result, which
/// `seed` makes for its shape: in one pass.
pub(crate) fn adjoint_rows<P, T>(
    op: &'static str,
    at: At,
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
    rows: usize,
    seed: impl FnOnce(&Shape) -> Result<T>,
) -> Result<Vec<T>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let (_, adjoints) = over::<T, _>(rows, || {
        let inputs = x.leaves().iter().map(|leaf| Dual::lift(&Batch::lift(leaf))).collect();
        pull_one(op, at, x, inputs, &f, |y| Ok(Dual::lift(&Batch::of_rows(seed(&y.shape())?))))
    })?;
    catch(|| operator(at, || Ok(adjoints.iter().map(|adjoint| adjoint.primal().spread(rows)).collect())))
}

/// The derivatives of the result, `[rows, shape of y..]`, in so many directions at once: each is the sum of the
/// elements of `x` that `row_of` has in its row.
pub(crate) fn tangent_rows<P, T>(
    op: &'static str,
    at: At,
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
    rows: usize,
    row_of: impl Fn(usize) -> Option<usize>,
) -> Result<T>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let inputs = catch(|| operator(at, || Ok::<_, crate::Error>(directions(x, rows, row_of))))?;
    let y = over::<T, _>(rows, || evaluate(op, at, x, inputs, &f))?;
    catch(|| operator(at, || Ok(y.tangent().spread(rows))))
}

/// The products of the Hessian with such directions as those of [`tangent_rows`]: `[rows, shape..]` for each leaf.
pub(crate) fn product_rows<P, T>(
    op: &'static str,
    at: At,
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
    rows: usize,
    row_of: impl Fn(usize) -> Option<usize>,
) -> Result<Vec<T>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let inputs = catch(|| operator(at, || Ok::<_, crate::Error>(directions(x, rows, row_of))))?;
    let (_, adjoints) = over::<T, _>(rows, || {
        pull_one(op, at, x, inputs, &f, |y| {
            y.check_scalar(op).map_err(|error| error.relocate(at))?;
            Ok(y.ones_like())
        })
    })?;
    catch(|| operator(at, || Ok(adjoints.iter().map(|adjoint| adjoint.tangent().spread(rows)).collect())))
}

/// Hessian of a scalar function of one array, `[shape of x.., shape of x..]`: one forward-over-reverse pass with all
/// directions at once.
///
/// ```
/// use antiphon::{NdArray, Real, Tensor, hessian};
/// let x = NdArray::from(vec![1.0, 2.0]);
/// let matrix = hessian(|x| x.powi(3).sum(..), &x)?;
/// assert_eq!(matrix, NdArray::from_elements(&[2, 2], &[6.0, 0.0, 0.0, 12.0])?);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`](crate::grad).
#[track_caller]
pub fn hessian<T: Tensor>(f: impl for<'r> RepeatedFunction<'r, T, Dual<Batch<T>>>, x: &T) -> Result<T> {
    let mut blocks = blocks(At::caller(), f, x)?;
    Ok(blocks.pop().expect("one array has one row of blocks"))
}

/// Hessian of a scalar function of a structure of arrays, in blocks: for each leaf of `x`, in order, the structure of
/// the arrays `[shape of that leaf.., shape of the other leaf..]`. One pass, as [`hessian`].
///
/// ```
/// use antiphon::{NdArray, Tensor, hessian_blocks};
/// // x·y has the second derivatives 0, 1, 1, 0.
/// let at = (NdArray::scalar(2.0), NdArray::scalar(3.0));
/// let blocks = hessian_blocks(|(x, y)| x * y, &at)?;
/// let [(xx, xy), (yx, yy)] = &blocks[..] else { panic!("a row for each leaf") };
/// assert_eq!([xx.item(), xy.item(), yx.item(), yy.item()], [0.0, 1.0, 1.0, 0.0]);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`](crate::grad).
#[track_caller]
pub fn hessian_blocks<P, T>(
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
) -> Result<Vec<Gradient<P>>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    blocks(At::caller(), f, x)
}

fn blocks<P, T>(
    at: At,
    f: impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
) -> Result<Vec<Gradient<P>>>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    let rows = product_rows("hessian", at, f, x, x.count(), Some)?;
    catch(|| {
        operator(at, || {
            let mut start = 0;
            let block = |of: &T| {
                let (range, shape) = (start..start + of.size(), of.shape());
                start = range.end;
                let mut rows = rows.iter();
                x.map_leaves(|leaf| {
                    let rows = rows.next().expect("rows for each leaf").slice(0, range.clone());
                    rows.reshape(&[&shape[..], &leaf.shape()].concat())
                })
            };
            Ok(x.leaves().iter().map(block).collect())
        })
    })
}

/// Runs `f`, which computes a batch of so many rows.
fn over<T: Tensor, R>(rows: usize, f: impl FnOnce() -> R) -> R {
    rows::over::<BatchBool<T::Bool>, _>(rows, f)
}

/// Variables that are constant in reverse.
fn constants<'r, P: Params, U: Real>(x: &P, inputs: Vec<U>) -> P::With<Var<'r, U>> {
    x.with_leaves(inputs.into_iter().map(Var::from_value).collect()).expect("an input for each leaf")
}

/// The shape of what a function gives.
pub(crate) fn result_shape<P, T>(
    op: &'static str,
    at: At,
    f: &impl for<'r> RepeatedFunction<'r, P, Dual<Batch<T>>>,
    x: &P,
) -> Result<Shape>
where
    P: Params<Leaf = T>,
    T: Tensor,
{
    catch(|| {
        stack::on_reserved(|| {
            let run = || {
                let inputs = x.leaves().iter().map(|leaf| Dual::lift(&Batch::lift(leaf))).collect();
                over::<T, _>(x.count(), || f(constants(x, inputs))).shape()
            };
            let site = Site { op, at };
            Ok(if T::RECORDS { continuation_passing::tried::<T, _>(site, run) } else { run() })
        })
    })
}

/// The leaves of a structure, each with all directions: see [`tangent_rows`].
fn directions<P: Params<Leaf = T>, T: Tensor>(
    x: &P,
    rows: usize,
    row_of: impl Fn(usize) -> Option<usize>,
) -> Vec<Dual<Batch<T>>> {
    let mut start = 0;
    let direction = |leaf: &T| {
        let tangent = Batch::of_rows(one_each(&leaf.shape(), rows, |i| row_of(start + i)));
        start += leaf.size();
        Dual::new(Batch::lift(leaf), tangent)
    };
    x.leaves().iter().map(direction).collect()
}

/// `[rows, shape..]`: zeros, and a one for each element that has a row, in that row.
pub(crate) fn one_each<T: Tensor>(
    shape: &[usize],
    rows: usize,
    row_of: impl Fn(usize) -> Option<usize>,
) -> T {
    let size = shape::size(shape);
    let mut elements = memory::zeros(rows * size);
    for i in 0..size {
        if let Some(row) = row_of(i) {
            elements[row * size + i] = 1.0;
        }
    }
    T::from_elements(&[&[rows], shape].concat(), &elements).or_raise()
}
