//! Batching: [`Batch`], the interpretation that runs a model on all rows of a batch at once, and [`vmap`], which enters
//! it.

mod adjoint;
mod control;
mod custom;
mod forest;
mod index;
mod integer;
mod map;
mod operators;
mod real;
mod schedule;
mod tensor;

use std::fmt;

use crate::language::shape::Shape;
use crate::language::tensor::{IntTensor, MaskTensor, Tensor};

pub use adjoint::BatchAdjoint;
pub use map::{vmap, vmap_axes};

/// A value of each row of a batch, over the interpretation `T`: what a model sees under [`vmap`].
///
/// Its shape is that of one row. Inside it is an array with one more axis, the first, over the rows; or, if it is the
/// same for all rows, an array as it is, so that what does not depend on the batch is computed once.
///
/// An outer value enters a batch through [`lift`](Batch::lift), for all rows the same:
/// ```
/// use antiphon::{Batch, NdArray, Tensor, vmap};
/// let (weights, rows) = (NdArray::from(vec![1.0, 10.0]), NdArray::ones(&[3, 2]));
/// let dots = vmap(|row| row.matmul(&Batch::lift(&weights)), &rows)?;
/// assert_eq!(dots, NdArray::from(vec![11.0; 3]));
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone)]
pub struct Batch<T> {
    value: T,
    batched: bool,
}

/// Integers of each row of a batch; the companion of [`Batch`].
#[derive(Clone)]
pub struct BatchInt<I> {
    value: I,
    batched: bool,
}

/// Truth values of each row of a batch; what comparisons of [`Batch`]es give.
#[derive(Clone)]
pub struct BatchBool<B> {
    value: B,
    batched: bool,
}

/// The shape `[rows, 1.., shape..]` in which a value of each row broadcasts against rows of a larger rank, if it has to
/// change for that.
fn aligned(shape: &[usize], batched: bool, rank: usize) -> Option<Shape> {
    let missing = (rank + 1).saturating_sub(shape.len());
    (batched && missing > 0).then(|| {
        let ones = std::iter::repeat_n(1, missing);
        shape[..1].iter().copied().chain(ones).chain(shape[1..].iter().copied()).collect()
    })
}

/// `[rows, shape..]`.
fn with_rows(rows: usize, shape: &[usize]) -> Shape {
    std::iter::once(rows).chain(shape.iter().copied()).collect()
}

macro_rules! rows {
    ($($Rows:ident $Value:ident: $Trait:ident;)*) => { $(
        impl<$Value: $Trait> $Rows<$Value> {
            /// A value that is the same for all rows.
            pub fn lift(value: &$Value) -> Self {
                $Rows { value: value.clone(), batched: false }
            }
            /// A value of each row: the first axis is that of the batch.
            pub(crate) fn of_rows(value: $Value) -> Self {
                $Rows { value, batched: true }
            }
            /// The number of rows, if the value is not the same for all of them.
            fn rows(&self) -> Option<usize> {
                self.batched.then(|| self.value.shape()[0])
            }
            /// The shape of a row.
            fn row_shape(&self) -> Shape {
                let mut shape = self.value.shape();
                if self.batched {
                    shape.remove(0);
                }
                shape
            }
            /// In the shape in which it broadcasts against rows of a rank.
            #[track_caller]
            fn aligned(&self, rank: usize) -> $Value {
                match aligned(&self.value.shape(), self.batched, rank) {
                    Some(shape) => self.value.reshape(&shape),
                    None => self.value.clone(),
                }
            }
        }
        impl<$Value: fmt::Debug> fmt::Debug for $Rows<$Value> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = if self.batched { stringify!($Rows) } else { "Same" };
                f.debug_tuple(name).field(&self.value).finish()
            }
        }
    )* };
}
rows! { Batch T: Tensor; BatchInt I: IntTensor; BatchBool B: MaskTensor; }

/// The number of rows of several values, if any is not the same for all of them.
fn common_rows<T: Tensor>(values: &[&Batch<T>]) -> Option<usize> {
    values.iter().find_map(|value| value.rows())
}

impl<T: Tensor> Batch<T> {
    /// As an array of all rows, repeated if it is the same for all.
    #[track_caller]
    pub(crate) fn spread(&self, rows: usize) -> T {
        if self.batched {
            return self.value.clone();
        }
        self.value.broadcast_to(&with_rows(rows, &self.value.shape()))
    }
}

impl<I: IntTensor> BatchInt<I> {
    /// As an array of all rows, repeated if it is the same for all.
    #[track_caller]
    fn spread(&self, rows: usize) -> I {
        if self.batched {
            return self.value.clone();
        }
        let shape = with_rows(rows, &vec![1; self.value.shape().len()]);
        let zeros = I::from_elements(&shape, &vec![0; rows]).expect("as many elements as rows");
        zeros + &self.value
    }
}

impl<B: MaskTensor> BatchBool<B> {
    /// As an array of all rows, repeated if it is the same for all.
    #[track_caller]
    fn spread<T: Tensor<Bool = B>>(&self, rows: usize) -> B {
        if self.batched {
            return self.value.clone();
        }
        let shape = with_rows(rows, &vec![1; self.value.shape().len()]);
        T::zeros(&shape).greater(&T::constant(0.5)).or(&self.value)
    }
}
