//! Operators with rules of their own, on all rows.

use super::{Batch, BatchBool};
use crate::language::control::rows;
use crate::language::custom::{CustomOperator, adjoints_of, tangent_of};
use crate::language::tensor::Tensor;

/// An operator on arrays of all rows, and on such as are the same for all.
#[derive(Clone, Debug)]
pub(super) struct OfRows<O> {
    pub(super) op: O,
    pub(super) rows: usize,
    /// Which operands have rows.
    pub(super) batched: Vec<bool>,
}

impl<O: CustomOperator> OfRows<O> {
    fn operands<T: Tensor>(&self, x: &[T]) -> Vec<Batch<T>> {
        x.iter().zip(&self.batched).map(|(x, &batched)| Batch { value: x.clone(), batched }).collect()
    }
    fn run<T: Tensor, R>(&self, f: impl FnOnce() -> R) -> R {
        rows::over::<BatchBool<T::Bool>, _>(self.rows, f)
    }
}

impl<O: CustomOperator> CustomOperator for OfRows<O> {
    const NAME: &'static str = O::NAME;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        self.run::<T, _>(|| self.op.value(&self.operands(x)).spread(self.rows))
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        self.run::<T, _>(|| {
            let (y, y_bar) = (Batch::of_rows(y.clone()), Batch::of_rows(y_bar.clone()));
            let operands = self.operands(x);
            let adjoints = self.op.pull(&operands, &y, &y_bar, wanted);
            let adjoints = adjoints_of(O::NAME, &operands, adjoints);
            let of_all = |(adjoint, operand): (Option<Batch<T>>, &Batch<T>)| {
                let of_rows = adjoint?.spread(self.rows);
                Some(if operand.batched { of_rows } else { of_rows.sum(0) })
            };
            adjoints.into_iter().zip(&operands).map(of_all).collect()
        })
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        self.run::<T, _>(|| {
            let tangent = |(x, &batched): (&Option<T>, &bool)| Some(Batch { value: x.clone()?, batched });
            let tangents: Vec<Option<Batch<T>>> = tangents.iter().zip(&self.batched).map(tangent).collect();
            let dy = self.op.push(&self.operands(x), &Batch::of_rows(y.clone()), &tangents);
            dy.map(|dy| tangent_of(O::NAME, &Batch::of_rows(y.clone()), dy).spread(self.rows))
        })
    }
}
