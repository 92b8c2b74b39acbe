//! [`BatchAdjoint`]: what collects the adjoint of a [`Batch`].

use std::cell::Cell;
use std::fmt;

use super::{Batch, with_rows};
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;

/// The adjoint of a [`Batch`]. Each row has its own derivative, so that a value which is the same for all rows has an
/// adjoint that may differ from row to row.
pub struct BatchAdjoint<T: Tensor> {
    /// What was added to all rows alike; none if the value differs from row to row.
    same: Option<T::Adjoint>,
    /// What was added to each row, in an array of all rows.
    each: T::Adjoint,
    /// How many rows these are, if they are known yet.
    rows: Cell<Option<usize>>,
    /// Whether the rows are the second axis: see [`Tensor::open_adjoint`].
    second: bool,
}

const KNOWN: &str = "a value that differs from row to row has rows";

impl<T: Tensor> fmt::Debug for BatchAdjoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchAdjoint").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// With the first two axes exchanged.
pub(super) fn exchanged<T: Tensor>(x: &T) -> T {
    let mut order: Shape = (0..x.shape().len()).collect();
    order.swap(0, 1);
    x.permute(&order)
}

impl<T: Tensor> BatchAdjoint<T> {
    pub(super) fn empty(of: &Batch<T>) -> BatchAdjoint<T> {
        let same = (!of.batched).then(|| of.value.adjoint());
        BatchAdjoint { same, each: of.value.adjoint(), rows: Cell::new(of.rows()), second: false }
    }

    /// Of all rows, from an adjoint of their array.
    pub(super) fn of_rows(each: T::Adjoint, rows: usize) -> BatchAdjoint<T> {
        BatchAdjoint { same: None, each, rows: Cell::new(Some(rows)), second: false }
    }

    /// That of their array.
    pub(super) fn into_each(self) -> T::Adjoint {
        assert!(
            self.same.is_none() && !self.second,
            "what flows through recorded control flow is of all rows"
        );
        self.each
    }

    /// One that code may read, row of the first axis by row, which is recorded before what adds to it: of a value with
    /// this array of all rows, as which its rows are the second axis.
    pub(super) fn open(shape: &[usize]) -> BatchAdjoint<T> {
        let rows = Cell::new(Some(shape[1]));
        BatchAdjoint { same: None, each: T::open_adjoint(shape), rows, second: true }
    }

    /// What [`open`](BatchAdjoint::open) opened.
    pub(super) fn opened(&self) -> &T::Adjoint {
        assert!(self.second, "only adjoints that were opened are read by row");
        &self.each
    }

    /// A value that can be read at an earlier place.
    pub(super) fn left_for(value: Batch<T>, place: usize) -> BatchAdjoint<T> {
        let rows = Cell::new(value.rows());
        if value.batched {
            return BatchAdjoint { same: None, each: value.value.leave_for(place), rows, second: false };
        }
        let each = value.value.adjoint();
        BatchAdjoint { same: Some(value.value.leave_for(place)), each, rows, second: false }
    }

    /// For a value with one more axis, of this length. It is empty.
    pub(super) fn widen(&self, axis: usize, length: usize) {
        if let Some(same) = &self.same {
            T::widen_adjoint(same, axis, length);
        }
        T::widen_adjoint(&self.each, axis + self.rows.get().iter().len(), length);
    }

    /// Room for a sum of each row.
    fn make_rows(&self, rows: usize) {
        if self.rows.get().is_none() {
            T::widen_adjoint(&self.each, 0, rows);
            self.rows.set(Some(rows));
        }
    }

    /// The sum of each row, and how many rows there are, of which one of these knows: where they are the first axis.
    pub(super) fn rows_for(&self, known: &[Option<usize>]) -> Option<(&T::Adjoint, usize)> {
        if self.second {
            return None;
        }
        let rows = self.rows.get().or(known.iter().find_map(|&rows| rows))?;
        self.make_rows(rows);
        Some((&self.each, rows))
    }

    #[track_caller]
    pub(super) fn add(&self, g: Batch<T>) {
        match (&self.same, g.rows()) {
            (Some(same), None) => T::accumulate(same, g.value),
            (_, Some(rows)) => {
                self.make_rows(rows);
                self.add_rows(g.value);
            }
            (None, None) => {
                let rows = self.rows.get().expect(KNOWN);
                self.add_rows(g.spread(rows));
            }
        }
    }

    /// Adds an array of all rows.
    #[track_caller]
    fn add_rows(&self, g: T) {
        T::accumulate(&self.each, if self.second { exchanged(&g) } else { g });
    }

    /// What was added to all rows alike, if that is all.
    pub(super) fn only_same(&self) -> Option<&T::Adjoint> {
        self.same.as_ref().filter(|_| self.rows.get().is_none())
    }

    #[track_caller]
    pub(super) fn absorb(&self, from: BatchAdjoint<T>) {
        match from {
            BatchAdjoint { same: Some(theirs), rows, .. } if self.same.is_some() && rows.get().is_none() => {
                let same = self.same.as_ref().expect("as was just found");
                T::accumulate_all(same, theirs);
            }
            BatchAdjoint { same: None, each, rows, second } if second == self.second => {
                self.make_rows(rows.get().expect(KNOWN));
                T::accumulate_all(&self.each, each);
            }
            from => from.pull(|g| self.add(g)),
        }
    }

    /// Moves what was added to all rows alike to each of them.
    #[track_caller]
    fn gather(&self, rows: usize) {
        if let Some(same) = &self.same {
            T::with_adjoint(same, |g| {
                let shape = with_rows(rows, &g.shape());
                T::accumulate(&self.each, g.broadcast_to(&shape));
            });
        }
    }

    #[track_caller]
    pub(super) fn take(&self) -> Option<Batch<T>> {
        let Some(rows) = self.rows.get() else {
            let same = T::take_adjoint(self.same.as_ref().expect(KNOWN));
            return same.map(|g| Batch::lift(&g));
        };
        self.gather(rows);
        T::take_adjoint(&self.each).map(|g| Batch::of_rows(if self.second { exchanged(&g) } else { g }))
    }

    #[track_caller]
    pub(super) fn pull(&self, pull: impl FnOnce(Batch<T>)) {
        let Some(rows) = self.rows.get() else {
            let same = self.same.as_ref().expect(KNOWN);
            return T::with_adjoint(same, |g| pull(Batch::lift(&g)));
        };
        self.gather(rows);
        T::with_adjoint(&self.each, |g| pull(Batch::of_rows(if self.second { exchanged(&g) } else { g })));
    }
}
