//! Forward mode: [`Dual`], a value with its tangent.

mod control;
mod operators;
mod real;
mod tensor;

use std::fmt;

use crate::continuation::unwinding::operator;
use crate::error::At;
use crate::language::real::Real;

/// A value and its derivative in one direction, over the interpretation `T`.
///
/// An absent tangent means zero, so that constants cost nothing.
#[derive(Clone)]
pub struct Dual<T> {
    primal: T,
    tangent: Option<T>,
}

impl<T: Real> Dual<T> {
    /// A value with a tangent of the same shape.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the tangent does not broadcast to the value's shape.
    #[track_caller]
    pub fn new(primal: T, tangent: T) -> Dual<T> {
        let tangent = tangent.broadcast_like(&primal);
        Dual { primal, tangent: Some(tangent) }
    }

    /// A value whose derivative is zero.
    pub fn lift(primal: &T) -> Dual<T> {
        Dual::constant_of(primal.clone())
    }

    /// The value.
    pub fn primal(&self) -> &T {
        &self.primal
    }

    /// The derivative; zeros if the value is constant.
    pub fn tangent(&self) -> T {
        self.tangent.clone().unwrap_or_else(|| self.primal.zeros_like())
    }

    /// The value and its derivative, which is absent if the value is constant.
    pub fn into_parts(self) -> (T, Option<T>) {
        (self.primal, self.tangent)
    }

    fn constant_of(primal: T) -> Dual<T> {
        Dual { primal, tangent: None }
    }

    /// A linear operator: applied to the value and to the tangent.
    #[inline]
    #[track_caller]
    fn linear(&self, f: impl Fn(&T) -> T) -> Dual<T> {
        operator(At::caller(), || Dual { primal: f(&self.primal), tangent: self.tangent.as_ref().map(f) })
    }

    /// A bilinear operator: the product rule.
    #[inline]
    #[track_caller]
    fn bilinear(&self, rhs: &Dual<T>, f: impl Fn(&T, &T) -> T) -> Dual<T> {
        operator(At::caller(), || {
            let primal = f(&self.primal, &rhs.primal);
            let left = self.tangent.as_ref().map(|dx| f(dx, &rhs.primal));
            let right = rhs.tangent.as_ref().map(|dy| f(&self.primal, dy));
            Dual { primal, tangent: plus(left, right) }
        })
    }
}

/// The sum of two tangents, absent ones being zero.
fn plus<T: Real>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl<T: fmt::Debug> fmt::Debug for Dual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dual").field(&self.primal).field(&self.tangent).finish()
    }
}

/// The adjoint of a [`Dual`]: the adjoints of its two components.
pub struct DualAdjoint<T: Real> {
    primal: T::Adjoint,
    tangent: T::Adjoint,
}

impl<T: Real> fmt::Debug for DualAdjoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DualAdjoint").finish_non_exhaustive()
    }
}
