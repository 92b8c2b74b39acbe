//! [`scan`]: a loop over the rows of an array.

use crate::continuation::is_trial;
use crate::continuation::unwinding::{operator, raise};
use crate::error::{At, Error, Result};
use crate::language::control::continuation_passing::{self, Site, leaves};
use crate::language::control::rows;
use crate::language::real::Int;
use crate::language::shape::Shape;
use crate::language::state::{Index, State};
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;

/// `(carry, y_i) = step(carry, x_i)` over the first axis of `xs`; returns the last carry and the `y_i`, stacked along
/// a new first axis.
///
/// ```
/// use antiphon::{NdArray, Tensor, control::scan};
/// // Running sums.
/// let xs = NdArray::from(vec![1.0, 2.0, 3.0]);
/// let (total, sums) = scan(NdArray::scalar(0.0), &xs, |sum: NdArray<f64>, x| {
///     let sum = sum + x;
///     (sum.clone(), sum)
/// })?;
/// assert_eq!((total.item(), sums), (6.0, NdArray::from(vec![1.0, 3.0, 6.0])));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// When it is recorded it is a loop, and not unrolled: the program does not grow with the number of rows. Its results
/// and the adjoints of `xs` are written row by row in place.
///
/// # Errors
/// [`Error::Operand`] if `xs` is a scalar or has no rows (then the shape of the `y_i` is unknown). Raises
/// [`Error::Shape`] if the `y_i` have different shapes.
#[track_caller]
pub fn scan<T: Tensor, S: State<T>>(init: S, xs: &T, step: impl Fn(S, T) -> (S, T)) -> Result<(S, T)> {
    let shape = xs.shape();
    let Some(&rows @ 1..) = shape.first() else {
        let reason = "there is nothing to scan".into();
        return Err(Error::Operand { op: "scan", shape: shape.to_vec(), reason, at: At::caller() });
    };
    if T::RECORDS {
        return Ok(record(init, xs, rows, step));
    }
    let mut carry = init;
    let mut ys: Vec<T> = Vec::new();
    for i in 0..rows {
        let (next, y) = step(carry, xs.index(0, i));
        carry = next;
        if let Some(first) = ys.first()
            && first.shape() != y.shape()
        {
            let (lhs, rhs) = (first.shape().to_vec(), y.shape().to_vec());
            raise(Error::Shape { op: "scan", lhs, rhs, at: At::caller() });
        }
        ys.push(y);
    }
    Ok((carry, T::stack(&ys, 0)))
}

/// A loop over the row's number.
#[track_caller]
fn record<T: Tensor, S: State<T>>(init: S, xs: &T, count: usize, step: impl Fn(S, T) -> (S, T)) -> (S, T) {
    let site = Site::caller("scan");
    let at = site.at;
    let number = |i: usize| T::Int::constant(i as i64);
    let row_of = |i: &T::Int| operator(at, || xs.gather_rows(i));
    let row = continuation_passing::tried::<T, _>(site, || step(init.clone(), row_of(&number(0))).1.shape());
    let shape: Shape = std::iter::once(count).chain(row.iter().copied()).collect();
    let init = rows::spread_discrete::<T, S>(site, init);
    if is_trial() {
        return rows::spread::<T, _>(site, (init, T::zeros(&shape)));
    }
    let (ys, last) = T::record_rows(INTERNAL, &shape, &mut |put| {
        let start = (Index::<T>(number(0)), init.clone());
        let (_, carry) = continuation_passing::while_loop::<T, _>(
            site,
            start,
            |(i, _)| operator(at, || i.0.less(&number(count))),
            |(Index(i), carry)| {
                let i = i.named("i");
                let (carry, y) = step(carry, row_of(&i));
                if y.shape() != row {
                    raise(Error::Shape { op: "scan", lhs: row.to_vec(), rhs: y.shape().to_vec(), at });
                }
                operator(at, || put(&i, y));
                (Index(operator(at, || i + number(1))), carry)
            },
        );
        leaves(&carry)
    });
    (init.rebuild(&mut last.into_iter()), ys)
}
