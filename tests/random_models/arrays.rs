//! Operators on arrays that random models are made of.

use antiphon::{Padding, Tensor, Window2d};

use crate::operators::More;

/// An operator on arrays, with what is fixed about it.
#[derive(Clone, Debug)]
pub enum ArrayOp {
    /// All elements, added up.
    Total,
    Sum(usize),
    Mean(usize),
    Max(usize),
    Min(usize),
    LogSumExp(usize),
    Softmax(usize),
    Variance(usize),
    Transpose,
    Flatten,
    /// Axes of length one before and after.
    Stand,
    Broadcast(usize),
    Flip(usize),
    Slice {
        axis: usize,
        start: usize,
        step: usize,
    },
    Pad(usize, [usize; 3]),
    Concat(usize),
    Matmul,
    /// Product with a transposed matrix.
    MatmulTransposed,
    /// Rows by the model's array of indices.
    GatherRows,
    /// Rows to the places that the model's array of indices names.
    ScatterRows,
    SetRows,
    AddRows,
    /// An element of each row by the index of its maximum.
    PickLargest,
    /// Each element to a row of two, by the model's array of indices.
    ScatterLast,
    /// The second operand's matrix moved over the first one's.
    Convolve([usize; 2]),
    /// The mean of each window of two columns.
    Pool,
    /// Noise that the model's first integer is the seed of, times the operand.
    Noise,
    /// One of those that only bounds are checked of.
    More(More),
}

impl ArrayOp {
    /// Applies it. `indices` is an array of two integers, 0 or 1, and `seed` a scalar.
    ///
    /// Raises the operator's error if the operands do not fit.
    pub fn apply<T: Tensor>(&self, x: &[&T], indices: &T::Int, seed: &T::Int) -> T {
        let (a, shape) = (x[0], x[0].shape());
        match *self {
            ArrayOp::Total => a.sum(..),
            ArrayOp::Sum(axis) => a.sum(axis as isize),
            ArrayOp::Mean(axis) => a.mean(axis as isize),
            ArrayOp::Max(axis) => a.max(axis as isize),
            ArrayOp::Min(axis) => a.min(axis as isize),
            ArrayOp::LogSumExp(axis) => a.logsumexp(axis as isize),
            ArrayOp::Softmax(axis) => a.softmax(axis as isize),
            ArrayOp::Variance(axis) => a.var(axis as isize),
            ArrayOp::Transpose => a.transpose(),
            ArrayOp::Flatten => a.reshape(&[shape.iter().product()]),
            ArrayOp::Stand => a.unsqueeze(0).unsqueeze(-1),
            ArrayOp::Broadcast(n) => {
                let shape: Vec<usize> = std::iter::once(n).chain(shape).collect();
                a.broadcast_to(&shape)
            }
            ArrayOp::Flip(axis) => a.flip(axis as isize),
            ArrayOp::Slice { axis, start, step } => {
                let end = shape.get(axis).copied().unwrap_or(0);
                a.slice_step(axis as isize, start..end, step)
            }
            ArrayOp::Pad(axis, [before, after, interior]) => {
                a.pad(axis as isize, Padding { before, after, interior })
            }
            ArrayOp::Concat(axis) => T::concat(&[a.clone(), x[1].clone()], axis as isize),
            ArrayOp::Matmul => a.matmul(x[1]),
            ArrayOp::MatmulTransposed => a.matmul(&x[1].transpose()),
            ArrayOp::GatherRows => a.gather_rows(indices),
            ArrayOp::ScatterRows => a.scatter_rows(indices, 2),
            ArrayOp::SetRows => a.clone().at(indices).set(&a.gather_rows(indices).sin()),
            ArrayOp::AddRows => a.clone().at(indices).add(&a.gather_rows(indices).sin()),
            ArrayOp::PickLargest => a.gather_last(&a.argmax(-1)),
            ArrayOp::ScatterLast => a.scatter_last(indices, 2),
            ArrayOp::Convolve(padding) => {
                let image = |x: &T| x.unsqueeze(0).unsqueeze(0);
                image(a).conv2d(&image(x[1]), Window2d { stride: [1, 1], padding })
            }
            ArrayOp::Pool => {
                let window = Window2d { stride: [1, 1], padding: [0, 0] };
                a.unsqueeze(0).unsqueeze(0).avg_pool2d([1, 2], window)
            }
            ArrayOp::Noise => T::uniform(&shape, seed) * a,
            ArrayOp::More(ref more) => more.apply(a, indices, seed),
        }
    }
}
