//! Reverse mode: [`Var`], the operators' rules in continuation-passing style ([`cps`]) and in direct style.

mod checkpoint;
mod control;
pub mod cps;
pub(crate) mod names;
mod operators;
mod real;
mod region;
mod rules;
mod tensor;

use std::fmt;
use std::marker::PhantomData;

use crate::continuation::Level;
use crate::error::{At, CpsResult, Error};
use crate::language::real::Real;

use crate::language::node::{Held, HeldNode, NodeRef, OwnedNode};

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

enum Kind<T: Real> {
    Constant(T),
    /// The node is there as long as the brand of the variable, if not longer. The level is never zero, which leaves a
    /// bit pattern for the constants: a variable of numbers is two words.
    Active(T::Node<T>, Level),
}

impl<T: Real> Clone for Var<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: the copy has the same brand.
        unsafe { self.rebrand() }
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

    /// A variable with a node.
    ///
    /// # Safety
    /// During `'r` the node's owner stays where it is, unless nodes of this interpretation are
    /// [shared](NodeRef::SHARED).
    #[inline]
    pub(crate) unsafe fn active(node: &OwnedNode<T>, level: Level) -> Self {
        Var(Kind::Active(T::Node::refer(node), level), PhantomData)
    }

    /// The same variable for another time.
    ///
    /// # Safety
    /// As for [`active`](Var::active): the node's owner stays where it is during `'s`, unless nodes are shared.
    #[inline]
    unsafe fn rebrand<'s>(&self) -> Var<'s, T> {
        let kind = match &self.0 {
            Kind::Constant(value) => Kind::Constant(value.clone()),
            Kind::Active(node, level) => Kind::Active(node.clone(), *level),
        };
        Var(kind, PhantomData)
    }

    /// The value, without its derivative.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] in recorded control flow that is differentiated twice in reverse.
    #[inline]
    #[track_caller]
    pub fn value(&self) -> &T {
        self.assert_outside("value");
        self.primal()
    }

    /// [`value`](Var::value), for the rules.
    #[inline]
    pub(crate) fn primal(&self) -> &T {
        match &self.0 {
            Kind::Constant(value) => value,
            // SAFETY: whoever made this variable vouched for its node during its brand, in which we are.
            Kind::Active(node, _) => unsafe { node.get() }.value(),
        }
    }

    /// Calls `f` with the value, which may go on to another node afterwards: for rules that do not need it again.
    #[inline]
    fn lend<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        match &self.0 {
            Kind::Constant(value) => f(value),
            // SAFETY: as in `primal`.
            Kind::Active(node, _) => unsafe { node.get() }.lend(f),
        }
    }

    /// The same variable for a shorter time, so that variables of nested continuations can share a slice.
    #[inline]
    pub fn shorten<'s>(&'s self) -> Var<'s, T> {
        // SAFETY: `'s` is part of `'r`, since this variable exists during `'s`.
        unsafe { self.rebrand() }
    }

    #[inline]
    fn node(&self) -> Option<&HeldNode<T>> {
        match &self.0 {
            // SAFETY: as in `primal`.
            Kind::Active(node, level) if *level > Level::CONSTANT => Some(unsafe { node.get() }),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn level(&self) -> Option<Level> {
        self.mark().filter(|&level| level > Level::CONSTANT)
    }

    /// [`level`](Var::level), except that constants with a node may be marked as such: what is there, without a
    /// decision.
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
    #[track_caller]
    pub fn accumulate(&self, g: T) {
        self.assert_outside("accumulate");
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
            node.lend(|value| add(node.adjoint(), value));
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
        f.debug_tuple(if self.is_active() { "Var" } else { "Const" }).field(self.primal()).finish()
    }
}
