//! Where a variable's value and adjoint are, and how long they stay there.
//!
//! The value of an array may go on from its node to that of the array that rows were written to in place, and comes
//! back when the operator that wrote them is left: `MovableNode`.

use std::fmt;
use std::rc::Rc;

use crate::language::real::Real;

/// A value and the adjoint that it collects.
#[doc(hidden)]
pub struct Node<T: Real> {
    pub(crate) value: T,
    pub(crate) adjoint: T::Adjoint,
}

impl<T: Real> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl<T: Real> Node<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Node<T> {
        Node { adjoint: value.adjoint(), value }
    }
}

/// A value and the adjoint that it collects, wherever they are.
#[doc(hidden)]
pub trait Held<T: Real> {
    /// The value, which stays where it is from now on.
    fn value(&self) -> &T;
    /// Calls `f` with the value, which may go on afterwards.
    fn lend<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(self.value())
    }
    /// What it has collected.
    fn adjoint(&self) -> &T::Adjoint;
    /// [`Real::take_adjoint`].
    #[inline]
    fn take_adjoint(&self) -> Option<T> {
        T::take_adjoint(self.adjoint())
    }
    /// [`Real::with_adjoint`].
    #[inline]
    fn with_adjoint(&self, pull: impl FnOnce(T)) {
        T::with_adjoint(self.adjoint(), pull);
    }
    /// Whether the value can go on: nobody can have a reference to it.
    fn is_movable(&self) -> bool {
        false
    }
    /// The value, if it can go on. It has to be [given back](Held::give_back).
    fn take(&self) -> Option<T> {
        None
    }
    /// Says where the value that was taken is now, and how to make it again of that.
    ///
    /// # Safety
    /// `to` stays where it is until it gives the value back.
    unsafe fn went_to(&self, _to: &Self, _undo: Undo<T>) {}
    /// Gives the value back to the node that it was [taken](Held::take) from.
    ///
    /// # Safety
    /// Nobody has a reference to the value of this node, nor reads it from now on.
    unsafe fn give_back(&self, _from: &Self) {}
}

/// How to make the value again that rows were written to: what was there.
#[doc(hidden)]
pub struct Undo<T: Real> {
    pub(crate) axes: usize,
    pub(crate) indices: T::Int,
    pub(crate) rows: T,
    /// Writes it.
    pub(crate) write: fn(T, &Undo<T>) -> T,
}

impl<T: Real> fmt::Debug for Undo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undo").finish_non_exhaustive()
    }
}

impl<T: Real> Held<T> for Node<T> {
    #[inline]
    fn value(&self) -> &T {
        &self.value
    }
    #[inline]
    fn adjoint(&self) -> &T::Adjoint {
        &self.adjoint
    }
}

/// How the variables over an interpretation reach their nodes: [`StackNode`] or [`SharedNode`], as
/// [`Real::Node`] says.
pub trait NodeRef<T: Real>: Clone + sealed::Sealed {
    /// What the operator that computed the value holds in its frame.
    #[doc(hidden)]
    type Owner;
    /// Where the value and its adjoint are.
    #[doc(hidden)]
    type Held: Held<T>;
    /// Whether the node lives as long as anything that refers to it, wherever that is taken.
    #[doc(hidden)]
    const SHARED: bool;

    #[doc(hidden)]
    fn own(value: T) -> Self::Owner;
    #[doc(hidden)]
    fn owned(owner: &Self::Owner) -> &Self::Held;
    #[doc(hidden)]
    fn refer(owner: &Self::Owner) -> Self;
    /// What the node has collected, when nothing more will be.
    #[doc(hidden)]
    fn into_adjoint(owner: Self::Owner) -> T::Adjoint;
    /// # Safety
    /// The node exists: it is [shared](NodeRef::SHARED), or its owner is where it was when it was referred to.
    #[doc(hidden)]
    unsafe fn get(&self) -> &Self::Held;
}

/// What holds a node of the interpretation `T` in a frame.
pub(crate) type OwnedNode<T> = <<T as Real>::Node<T> as NodeRef<T>>::Owner;

/// Where that node has its value and its adjoint.
pub(crate) type HeldNode<T> = <<T as Real>::Node<T> as NodeRef<T>>::Held;

/// A node for a value, to be held in a frame.
#[inline(always)]
pub(crate) fn node_for<T: Real>(value: T) -> OwnedNode<T> {
    T::Node::own(value)
}

/// The node that a frame holds.
#[inline]
pub(crate) fn node_in<T: Real>(owner: &OwnedNode<T>) -> &HeldNode<T> {
    T::Node::<T>::owned(owner)
}

mod sealed {
    pub trait Sealed {}
    impl<T: super::Real> Sealed for super::StackNode<T> {}
    impl<T: super::Real> Sealed for super::SharedNode<T> {}
    impl<T: super::Real> Sealed for crate::language::movable::MovableNode<T> {}
}

/// A pointer to a node in the stack frame of the operator that computed it: for interpretations that run a program.
/// Such a frame is there until the rest of the program has returned.
pub struct StackNode<T: Real>(*const Node<T>);

impl<T: Real> fmt::Debug for StackNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackNode").finish_non_exhaustive()
    }
}

impl<T: Real> Clone for StackNode<T> {
    #[inline]
    fn clone(&self) -> Self {
        StackNode(self.0)
    }
}

impl<T: Real> NodeRef<T> for StackNode<T> {
    type Owner = Node<T>;
    type Held = Node<T>;
    const SHARED: bool = false;

    #[inline(always)] // so that the node is made where it stays
    fn own(value: T) -> Node<T> {
        Node::new(value)
    }
    #[inline]
    fn owned(owner: &Node<T>) -> &Node<T> {
        owner
    }
    #[inline]
    fn refer(owner: &Node<T>) -> Self {
        StackNode(owner)
    }
    #[inline]
    fn into_adjoint(owner: Node<T>) -> T::Adjoint {
        owner.adjoint
    }
    #[inline]
    unsafe fn get(&self) -> &Node<T> {
        // SAFETY: the owner is the node itself, and by the contract still there.
        unsafe { &*self.0 }
    }
}

/// A node that lives as long as anything that refers to it: for interpretations that record a program. The body of a
/// recorded loop, function or branch is run once, to be written down, and its frames are gone when the program that
/// follows it is recorded. A variable that was kept from it is then out of place, which is an error; but it is there.
pub struct SharedNode<T: Real>(Rc<Node<T>>);

impl<T: Real> fmt::Debug for SharedNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedNode").finish_non_exhaustive()
    }
}

impl<T: Real> Clone for SharedNode<T> {
    fn clone(&self) -> Self {
        SharedNode(Rc::clone(&self.0))
    }
}

impl<T: Real> NodeRef<T> for SharedNode<T> {
    type Owner = Rc<Node<T>>;
    type Held = Node<T>;
    const SHARED: bool = true;

    fn own(value: T) -> Rc<Node<T>> {
        Rc::new(Node::new(value))
    }
    fn owned(owner: &Rc<Node<T>>) -> &Node<T> {
        owner
    }
    fn refer(owner: &Rc<Node<T>>) -> Self {
        SharedNode(Rc::clone(owner))
    }
    fn into_adjoint(owner: Rc<Node<T>>) -> T::Adjoint {
        Rc::try_unwrap(owner).map_or_else(
            // Somebody has kept a variable.
            |kept| {
                let adjoint = kept.value.adjoint();
                kept.with_adjoint(|g| T::accumulate(&adjoint, g));
                adjoint
            },
            |node| node.adjoint,
        )
    }
    unsafe fn get(&self) -> &Node<T> {
        &self.0
    }
}
