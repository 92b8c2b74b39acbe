//! [`scan`]: a loop over the rows of an array.

use crate::error::{At, Error, Result};
use crate::state::State;
use crate::tensor::Tensor;

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
/// # Errors
/// [`Error::Operand`] if `xs` is a scalar or has no rows (then the shape of the `y_i` is unknown).
#[track_caller]
pub fn scan<T: Tensor, S: State<T>>(init: S, xs: &T, step: impl Fn(S, T) -> (S, T)) -> Result<(S, T)> {
    let shape = xs.shape();
    let Some(&rows @ 1..) = shape.first() else {
        let reason = "there is nothing to scan".into();
        return Err(Error::Operand { op: "scan", shape: shape.to_vec(), reason, at: At::caller() });
    };
    let mut carry = init;
    let mut ys = Vec::with_capacity(rows);
    for i in 0..rows {
        let (next, y) = step(carry, xs.index(0, i));
        carry = next;
        ys.push(y);
    }
    Ok((carry, T::stack(&ys, 0)))
}
