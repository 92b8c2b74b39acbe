//! Anderson's acceleration of a fixed point.

use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::real::Int;
use crate::language::tensor::Tensor;
use crate::linalg::lstsq;
use crate::solve::converged::Named;
use crate::solve::iteration::Iteration;
use crate::solve::problem::Problem;
use crate::solve::system::{FixedPointOf, System, norm};

/// See [`FixedPointMethod::Anderson`](crate::solve::FixedPointMethod::Anderson).
#[derive(Clone, Debug)]
pub(super) struct Anderson<P: Problem> {
    system: FixedPointOf<P>,
    memory: usize,
    damping: f64,
}

impl<P: Problem> Anderson<P> {
    pub(super) fn new(system: FixedPointOf<P>, memory: usize, damping: f64, at: At) -> Anderson<P> {
        if memory == 0 {
            let reason = "a memory of no states: without one it is Picard's iteration".into();
            raise(Error::Argument { op: Self::NAME, reason, at });
        }
        Anderson { system, memory, damping }
    }
}

impl<P: Problem> Named for Anderson<P> {
    const NAME: &'static str = "anderson";
}

impl<P: Problem> System for Anderson<P> {
    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.system.residual(x, theta)
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        self.system.matrix(x, theta)
    }
}

impl<P: Problem> Iteration for Anderson<P> {
    /// `x`, the residual's norm, `f = F(x) − x`, and the last changes of `x` and of `f` as rows, zeros where there were
    /// none yet.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let f = self.attached(x, theta) - x;
        let none = T::zeros(&[self.memory, x.size()]);
        vec![x.clone(), norm(&f), f, none.clone(), none]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T> {
        let [x, _, f, x_changes, f_changes] = &state[..] else { unreachable!("a state of five") };
        // Of zeros, the least solution is zero.
        let shares = lstsq(&f_changes.transpose(), f, None);
        let combined = |changes: &T| shares.matmul(changes);
        let next = x.clone() + (f.clone() - combined(f_changes)) * self.damping - combined(x_changes);
        let next_f = self.attached(&next, theta) - &next;
        let place = T::one_hot(&number.remainder(&T::Int::constant(self.memory as i64)), self.memory);
        let newest = place.unsqueeze(-1).greater(&T::constant(0.5));
        let put = |change: T, changes: &T| T::select(&newest, &change.unsqueeze(0), changes);
        let x_changes = put(next.clone() - x, x_changes);
        let f_changes = put(next_f.clone() - f, f_changes);
        vec![next, norm(&next_f), next_f, x_changes, f_changes]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.system.0.value_like_unknown(x, theta)
    }
}
