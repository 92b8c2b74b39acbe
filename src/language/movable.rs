//! Nodes of arrays, whose value may go on to another node: see [`MovableNode`].

use std::cell::{Cell, RefCell, UnsafeCell};
use std::fmt;
use std::ptr;

use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::node::{Held, NodeRef, Undo};
use crate::language::real::Real;

/// A pointer to a node in a stack frame, as a [`StackNode`], whose value may go on to another one: for arrays.
pub struct MovableNode<T: Real>(*const Movable<T>);

impl<T: Real> fmt::Debug for MovableNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovableNode").finish_non_exhaustive()
    }
}

impl<T: Real> Clone for MovableNode<T> {
    #[inline]
    fn clone(&self) -> Self {
        MovableNode(self.0)
    }
}

impl<T: Real> NodeRef<T> for MovableNode<T> {
    type Owner = Movable<T>;
    type Held = Movable<T>;
    const SHARED: bool = false;

    #[inline(always)] // so that the node is made where it stays
    fn own(value: T) -> Movable<T> {
        Movable {
            adjoint: value.adjoint(),
            value: UnsafeCell::new(Some(value)),
            stays: Cell::new(false),
            next: Cell::new(ptr::null()),
            undo: RefCell::new(Vec::new()),
        }
    }
    #[inline]
    fn owned(owner: &Movable<T>) -> &Movable<T> {
        owner
    }
    #[inline]
    fn refer(owner: &Movable<T>) -> Self {
        MovableNode(owner)
    }
    #[inline]
    fn into_adjoint(owner: Movable<T>) -> T::Adjoint {
        owner.adjoint
    }
    #[inline]
    unsafe fn get(&self) -> &Movable<T> {
        // SAFETY: the owner is the node itself, and by the contract still there.
        unsafe { &*self.0 }
    }
}

/// A value that may go on to another node, and its adjoint.
///
/// A variable of which rows are written in place is done with, mostly: so its array becomes that of the result, and the
/// node remembers the rows that were overwritten. Whoever needs the value after all gets a copy, to which these are
/// written back. When the operator that wrote them is left, in whatever way, the array comes back, and the rows are
/// written back once somebody needs them.
#[doc(hidden)]
pub struct Movable<T: Real> {
    /// Nothing while the value is at the [next](Movable::next) node, or if it was lost in an operator that failed.
    value: UnsafeCell<Option<T>>,
    /// Whether there may be a reference to the value: then it is neither moved nor written to.
    stays: Cell<bool>,
    /// The node that the value went on to.
    next: Cell<*const Movable<T>>,
    /// What is to be written to the value, in this order, to make it that of this node; or, if it went on, to that of
    /// the next one.
    undo: RefCell<Vec<Undo<T>>>,
    adjoint: T::Adjoint,
}

impl<T: Real> fmt::Debug for Movable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Movable").finish_non_exhaustive()
    }
}

impl<T: Real> Movable<T> {
    /// The value of this node or of one that it went on to, whichever is first, with the nodes in between.
    fn find(&self) -> (&Movable<T>, Vec<&Movable<T>>) {
        let (mut here, mut left) = (self, Vec::new());
        while !here.next.get().is_null() {
            left.push(here);
            // SAFETY: by the contract of `went_to` the next node is where it was until it gives the value back, which
            // makes `next` null.
            here = unsafe { &*here.next.get() };
        }
        (here, left)
    }

    /// The value that is here, such as it is.
    fn here(&self) -> &T {
        // SAFETY: it is written to by `settle`, `take` and `give_back` alone. The first two see to it that nobody has a
        // reference; when the last is called, the value is not here, or nobody has.
        let value = unsafe { &*self.value.get() };
        value.as_ref().unwrap_or_else(|| {
            let reason = "the array was lost when an operator that wrote to it failed".into();
            raise(Error::Argument { op: "at", reason, at: At::caller() })
        })
    }

    /// Makes the value that is here that of this node.
    fn settle(&self) {
        // Nobody has a reference to what is not settled, but `lend`, and that says so.
        if self.stays.get() || self.undo.borrow().is_empty() {
            return;
        }
        let undo = self.undo.take();
        // SAFETY: nobody has a reference to the value. It is taken out before operators run, which may look at this
        // node again.
        let value = unsafe { (*self.value.get()).take() };
        let Some(value) = value else { return };
        let value = undo.iter().fold(value, |value, undo| (undo.write)(value, undo));
        // SAFETY: as above; what operators have found here is nothing.
        unsafe { *self.value.get() = Some(value) };
    }

    /// A copy of the value that went on, made what it was here.
    #[cold]
    fn recover(&self) {
        let (there, left) = self.find();
        there.settle();
        let mut value = there.lend(T::clone);
        for node in left.iter().rev() {
            let undo = node.undo.borrow();
            value = undo.iter().fold(value, |value, undo| (undo.write)(value, undo));
        }
        self.undo.take();
        self.next.set(ptr::null());
        // SAFETY: there is no value here that anybody could have a reference to.
        unsafe { *self.value.get() = Some(value) };
    }
}

impl<T: Real> Held<T> for Movable<T> {
    #[inline]
    fn value(&self) -> &T {
        if !self.stays.get() {
            if !self.next.get().is_null() {
                self.recover();
            }
            self.settle();
            self.stays.set(true);
        }
        self.here()
    }
    fn lend<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        /// Also when `f` unwinds.
        struct Lent<'a>(&'a Cell<bool>, bool);
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        if !self.next.get().is_null() {
            self.recover();
        }
        self.settle();
        let _lent = Lent(&self.stays, self.stays.replace(true));
        f(self.here())
    }
    #[inline]
    fn adjoint(&self) -> &T::Adjoint {
        &self.adjoint
    }
    fn is_movable(&self) -> bool {
        !self.stays.get() && self.next.get().is_null()
    }
    fn take(&self) -> Option<T> {
        if !self.is_movable() {
            return None;
        }
        self.settle();
        // SAFETY: it does not stay, so nobody has a reference to it.
        unsafe { (*self.value.get()).take() }
    }
    unsafe fn went_to(&self, to: &Self, undo: Undo<T>) {
        self.next.set(to);
        self.undo.borrow_mut().push(undo);
    }
    unsafe fn give_back(&self, from: &Self) {
        // SAFETY: nobody has a reference to it, says the caller.
        let value = unsafe { (*self.value.get()).take() };
        if !ptr::eq(from.next.get(), self) {
            // It has a copy of its own.
            return;
        }
        from.next.set(ptr::null());
        let mut undo = self.undo.take();
        undo.append(&mut from.undo.borrow_mut());
        from.undo.replace(undo);
        // SAFETY: it went on from there, so nothing is there.
        unsafe { *from.value.get() = value };
    }
}
