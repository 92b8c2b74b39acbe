//! Reverse mode: [`Var`], the operators' rules in continuation-passing style ([`cps`]) and in direct style.

mod control;
pub mod cps;
mod direct;
mod rules;
mod tensor;

use std::fmt;
use std::marker::PhantomData;

use crate::delimited::Level;
use crate::error::{At, CpsResult, Error};
use crate::real::Real;

/// A variable of a reverse-mode derivative over the interpretation `T`.
///
/// Inside of [`grad`](crate::grad) and its relatives a `Var` is used like a number. It is either a constant, or it
/// stands for a node in a stack frame of the operator that computed it, which is waiting for the rest of the
/// program to return. The brand `'r` is the time during which that frame exists, so a variable cannot be taken out
/// of its derivative; its [`value`](Var::value) can.
///
/// An outer value enters an inner derivative as a constant through [`lift`](Var::lift):
/// ```
/// use antiphon::{Var, grad};
/// // d/dx x·(d/dy (x + y)) = 1: the inner derivative is 1, whatever x is.
/// let slope = grad(|x| x.clone() * grad(|y| Var::lift(&x) + y, &x).unwrap(), &1.0)?;
/// assert_eq!(slope, 1.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
pub struct Var<'r, T: Real>(Kind<T>, PhantomData<fn(&'r ()) -> &'r ()>);

#[derive(Clone)]
enum Kind<T: Real> {
    Constant(T),
    /// The node is alive as long as the brand of the variable. The level is never zero, which leaves a bit pattern for
    /// the constants: a variable of numbers is two words.
    Active(*const Node<T>, Level),
}

impl<T: Real> Clone for Var<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        Var(self.0.clone(), PhantomData)
    }
}

/// A value and the adjoint that it collects.
pub(crate) struct Node<T: Real> {
    value: T,
    adjoint: T::Adjoint,
}

impl<T: Real> Node<T> {
    /// A node of a value that comes into the derivative from outside.
    #[inline]
    pub(crate) fn of_input(value: T) -> Node<T> {
        Node::new(value.quiet())
    }

    #[inline]
    pub(crate) fn new(value: T) -> Node<T> {
        Node { adjoint: value.adjoint(), value }
    }

    /// What has been collected.
    #[inline]
    pub(crate) fn take_adjoint(&self) -> Option<T> {
        T::take_adjoint(&self.adjoint)
    }

    /// Calls `pull` with what has been collected, if anything has.
    #[inline]
    pub(crate) fn with_adjoint(&self, pull: impl FnOnce(T)) {
        T::with_adjoint(&self.adjoint, pull);
    }

    /// The value.
    #[inline]
    pub(crate) fn value(&self) -> &T {
        &self.value
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// An outer value as a constant of this derivative.
    #[inline]
    pub fn lift(value: &T) -> Self {
        Self::from_value(value.clone())
    }

    #[inline]
    pub(crate) fn from_value(value: T) -> Self {
        Var(Kind::Constant(value.quiet()), PhantomData)
    }

    /// # Safety
    /// The node outlives `'r`.
    #[inline]
    pub(crate) unsafe fn active(node: *const Node<T>, level: Level) -> Self {
        Var(Kind::Active(node, level), PhantomData)
    }

    /// The value, without its derivative.
    #[inline]
    pub fn value(&self) -> &T {
        match &self.0 {
            Kind::Constant(value) => value,
            // SAFETY: the node outlives the brand, and so this variable.
            Kind::Active(node, _) => unsafe { &(**node).value },
        }
    }

    /// The same variable for a shorter time, so that variables of nested continuations can share a slice.
    #[inline]
    pub fn shorten<'s>(&'s self) -> Var<'s, T> {
        Var(self.0.clone(), PhantomData)
    }

    #[inline]
    fn node(&self) -> Option<&Node<T>> {
        match &self.0 {
            // SAFETY: the node outlives the brand, and so this variable.
            Kind::Active(node, level) if *level > Level::CONSTANT => Some(unsafe { &**node }),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn level(&self) -> Option<Level> {
        self.mark().filter(|&level| level > Level::CONSTANT)
    }

    /// [`level`](Var::level), except that constants with a node may be marked as such: what is there, without a decision.
    #[inline]
    fn mark(&self) -> Option<Level> {
        match self.0 {
            Kind::Active(_, level) => Some(level),
            Kind::Constant(_) => None,
        }
    }

    #[inline]
    fn is_active(&self) -> bool {
        self.mark() > Some(Level::CONSTANT)
    }

    /// Adds `g`, of the value's shape, to the adjoint of this variable; nothing on a constant.
    #[inline]
    pub fn accumulate(&self, g: T) {
        self.accumulate_with(|adjoint, _| T::accumulate(adjoint, g));
    }

    /// [`accumulate`](Var::accumulate) of what a rule has computed.
    #[inline]
    fn accumulate_computed(&self, g: T) {
        self.accumulate_with(|adjoint, _| T::accumulate_quiet(adjoint, g));
    }

    #[inline]
    fn accumulate_with(&self, add: impl FnOnce(&T::Adjoint, &T)) {
        if let Some(node) = self.node() {
            add(&node.adjoint, &node.value);
        }
    }
}

/// The derivative that an operator's operands belong to, if any is not constant; from levels or marks.
///
/// # Errors
/// [`Error::OutsideReset`] if they belong to different ones.
#[inline]
#[track_caller]
fn common_level(a: Option<Level>, b: Option<Level>) -> CpsResult<Option<Level>> {
    if a == b {
        return Ok(a);
    }
    if a.min(b) > Some(Level::CONSTANT) {
        return Err(different_derivatives(At::caller()));
    }
    Ok(a.max(b))
}

#[cold]
#[inline(never)] // so that the operators' frames have no room for it
fn different_derivatives(at: At) -> Box<Error> {
    let reason = "variables of two different derivatives met in one operator: \
                  let the outer one into the inner derivative with Var::lift";
    Box::new(Error::OutsideReset { reason, at })
}

impl<T: Real + fmt::Debug> fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(if self.is_active() { "Var" } else { "Const" }).field(self.value()).finish()
    }
}
