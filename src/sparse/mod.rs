//! Sparse Jacobians and Hessians: which entries they have, found by [`Traced`], an interpretation that propagates sets
//! of indices; which rows or columns can be computed together; and the entries, of all of them in one pass.

mod coloring;
mod evaluate;
mod matrix;
mod operators;
mod pattern;
mod real;
mod set;
mod tensor;

use std::fmt;
use std::rc::Rc;

use self::set::{Set, Sets};
use crate::array::{Float, NdArray};
use crate::continuation::unwinding::operator;
use crate::error::At;
use crate::language::tensor::Tensor;
use crate::scalar::Slot;

pub use evaluate::{hessian_sparsity, jacobian_sparsity, sparse_hessian, sparse_jacobian};
pub use matrix::SparseMatrix;
pub use pattern::Sparsity;

/// An array, and for each of its elements the elements of the input that it may have a derivative by: what a model
/// sees under [`jacobian_sparsity`] and, within a [`Var`](crate::Var), under [`hessian_sparsity`].
///
/// Values are known, so that Rust's own control flow works on them. What comes from around the function is constant,
/// and enters with [`lift`](Traced::lift).
#[derive(Clone)]
pub struct Traced<E> {
    value: NdArray<E>,
    sets: Sets,
}

impl<E: Float> Traced<E> {
    /// A constant.
    pub fn lift(value: &NdArray<E>) -> Traced<E> {
        Traced { value: value.clone(), sets: None }
    }

    /// The value.
    pub fn value(&self) -> &NdArray<E> {
        &self.value
    }

    /// Elements of the input, numbered from `start`.
    fn input(value: &NdArray<E>, start: usize) -> Traced<E> {
        let element = |i| Some([start + i].into());
        Traced { value: value.clone(), sets: Some((0..value.size()).map(element).collect()) }
    }

    /// A value that may change with the input, and has no derivative: of each element for which `changes` says so.
    fn without_derivative(value: NdArray<E>, changes: impl Fn(usize) -> bool) -> Traced<E> {
        let nothing: Set = Some(Rc::from([]));
        let set = |i| changes(i).then(|| nothing.clone()).flatten();
        let sets = set::sets_of((0..value.size()).map(set).collect());
        Traced { value, sets }
    }

    /// The set of each element.
    fn sets(&self) -> Vec<Set> {
        match &self.sets {
            Some(sets) => sets.to_vec(),
            None => vec![None; self.value.size()],
        }
    }

    /// Whether an element is a constant that is exactly zero, for each element: then so is a product with it.
    fn zeros(&self) -> Vec<bool> {
        let zeros = self.value.view();
        let zeros = zeros.iter().map(|x| x.to_f64() == 0.0);
        match &self.sets {
            Some(sets) => zeros.zip(&sets[..]).map(|(zero, set)| zero && set.is_none()).collect(),
            None => zeros.collect(),
        }
    }

    /// An elementwise operator of one's own: `f` takes the value and gives one of its shape. Each element of the result
    /// depends on what that of the operand does.
    #[track_caller]
    pub fn map(&self, f: impl FnOnce(&NdArray<E>) -> NdArray<E>) -> Traced<E> {
        operator(At::caller(), || Traced { value: f(&self.value), sets: self.sets.clone() })
    }

    /// An operator that moves elements, and puts in zeros: of values, and of the numbers of their places.
    #[track_caller]
    fn moved(
        &self,
        f: impl FnOnce(&NdArray<E>) -> NdArray<E>,
        from: impl FnOnce(&NdArray<f64>) -> NdArray<f64>,
    ) -> Traced<E> {
        operator(At::caller(), || {
            let value = f(&self.value);
            let shape = self.value.shape();
            let sets = self.sets.as_ref();
            let sets = sets.and_then(|sets| set::moved(sets, &from(&set::numbered(&shape, sets.len()))));
            Traced { value, sets }
        })
    }

    /// An operator that adds up elements, or takes something else of them: `into` gives the number of the element of
    /// the result that each element goes into, from the result's numbers.
    #[track_caller]
    fn united(
        &self,
        f: impl FnOnce(&NdArray<E>) -> NdArray<E>,
        into: impl FnOnce(&NdArray<f64>) -> NdArray<f64>,
    ) -> Traced<E> {
        operator(At::caller(), || {
            let value = f(&self.value);
            let (shape, size) = (value.shape(), value.size());
            let sets = self.sets.as_ref();
            let sets = sets.and_then(|sets| set::united(sets, &into(&set::numbered(&shape, size)), size));
            Traced { value, sets }
        })
    }
}

impl<E: Float> fmt::Debug for Traced<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traced").field(&self.value).field(&self.sets).finish()
    }
}

/// The adjoint of a [`Traced`].
pub struct TracedAdjoint<E>(Slot<Traced<E>>);

impl<E> fmt::Debug for TracedAdjoint<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedAdjoint").finish_non_exhaustive()
    }
}
