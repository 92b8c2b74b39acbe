//! Where a variable's value and adjoint are, and how long they stay there.

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

/// How the variables over an interpretation reach their nodes: [`StackNode`] or [`SharedNode`], as
/// [`Real::Node`] says.
pub trait NodeRef<T: Real>: Clone + sealed::Sealed {
    /// What the operator that computed the value holds in its frame.
    #[doc(hidden)]
    type Owner;
    /// Whether the node lives as long as anything that refers to it, wherever that is taken.
    #[doc(hidden)]
    const SHARED: bool;

    #[doc(hidden)]
    fn own(value: T) -> Self::Owner;
    #[doc(hidden)]
    fn owned(owner: &Self::Owner) -> &Node<T>;
    #[doc(hidden)]
    fn refer(owner: &Self::Owner) -> Self;
    /// What the node has collected, when nothing more will be.
    #[doc(hidden)]
    fn into_adjoint(owner: Self::Owner) -> T::Adjoint;
    /// # Safety
    /// The node exists: it is [shared](NodeRef::SHARED), or its owner is where it was when it was referred to.
    #[doc(hidden)]
    unsafe fn get(&self) -> &Node<T>;
}

/// What holds a node of the interpretation `T` in a frame.
pub(crate) type OwnedNode<T> = <<T as Real>::Node<T> as NodeRef<T>>::Owner;

/// A node for a value, to be held in a frame.
#[inline(always)]
pub(crate) fn node_for<T: Real>(value: T) -> OwnedNode<T> {
    T::Node::own(value)
}

/// The node that a frame holds.
#[inline]
pub(crate) fn node_in<T: Real>(owner: &OwnedNode<T>) -> &Node<T> {
    T::Node::<T>::owned(owner)
}

mod sealed {
    pub trait Sealed {}
    impl<T: super::Real> Sealed for super::StackNode<T> {}
    impl<T: super::Real> Sealed for super::SharedNode<T> {}
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
