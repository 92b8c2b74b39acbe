//! Adjoints of values by name: what a derivative asks for, and what [`Real::named`] gives it.
//!
//! A value `x` of a name that is asked for becomes `x + e`, with zeros `e` that are a variable of the derivative, one
//! for each name: the adjoint of `e` is the sum of those of the values of that name. From there on it is a variable
//! that is captured, like any other, by the bodies of loops and by regions. A checkpoint, whose function is run again
//! in a derivative of its own, gives the zeros of that derivative back with its inputs' adjoints.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;

use super::real::direct;
use super::{Var, checkpoint, cps, region};
use crate::continuation::unwinding::raise;
use crate::continuation::{Level, Nearest, is_trial, nearest};
use crate::error::{At, Error, Result};
use crate::language::node::{Held, NodeRef, OwnedNode, node_for, node_in};
use crate::language::real::Real;
use crate::sealed::INTERNAL;

/// The names that a derivative asks for.
pub(super) struct Names {
    wanted: Vec<String>,
    /// All names that values of the derivative had.
    met: RefCell<BTreeSet<String>>,
}

impl Names {
    /// Which of the wanted ones it is.
    fn meet(&self, name: &str) -> Option<usize> {
        if !self.met.borrow().contains(name) {
            self.met.borrow_mut().insert(name.into());
        }
        self.wanted.iter().position(|wanted| wanted == name)
    }
}

/// Adjoints, each with the number of its name.
pub(crate) type Numbered<T> = Vec<(usize, T)>;

/// The zeros of a derivative over `T` by their names, each with a node of its own.
pub(crate) struct Sink<T: Real> {
    names: Rc<Names>,
    /// Where recording was when the derivative was begun: there, its nodes are known.
    home: usize,
    /// With the number of the name. Nodes stay where they are.
    zeros: RefCell<Vec<(usize, Rc<OwnedNode<T>>)>>,
}

/// A derivative that asks, as the values of its variables find it.
struct Ask {
    level: Level,
    /// The kind of its variables, and whether they are recorded.
    kind: u64,
    recorded: bool,
    names: Rc<Names>,
    /// The [`Sink`].
    sink: *const (),
}

thread_local! {
    /// Nothing is to be dropped when the thread ends: destructors of other values may still compute then.
    static ASKS: RefCell<ManuallyDrop<Vec<Ask>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Keeps a derivative asking, until dropped.
pub(crate) struct Asking(Level);

impl Drop for Asking {
    fn drop(&mut self) {
        ASKS.with_borrow_mut(|asks| {
            asks.retain(|ask| ask.level != self.0);
            if asks.is_empty() {
                // Its memory, too.
                **asks = Vec::new();
            }
        });
    }
}

impl<T: Real> Sink<T> {
    pub(crate) fn new(names: &[&str]) -> Sink<T> {
        let wanted = names.iter().map(|&name| name.into()).collect();
        Sink::of(Rc::new(Names { wanted, met: RefCell::default() }))
    }

    pub(super) fn of(names: Rc<Names>) -> Sink<T> {
        Sink { names, home: T::home(INTERNAL), zeros: RefCell::default() }
    }

    /// Lets the derivative of this level ask.
    ///
    /// # Safety
    /// Its variables are `Var<T>`, and this stays where it is until all of them are gone.
    pub(crate) unsafe fn ask(&self, level: Level) -> Asking {
        let (kind, recorded) = (<Var<'_, T> as Real>::NESTING, T::is_recorded(INTERNAL));
        let ask =
            Ask { level, kind, recorded, names: Rc::clone(&self.names), sink: ptr::from_ref(self).cast() };
        ASKS.with_borrow_mut(|asks| asks.push(ask));
        Asking(level)
    }

    /// The zeros of a name, of the shape of a value.
    fn node(&self, name: usize, like: &T, at: At) -> Rc<OwnedNode<T>> {
        let found =
            self.zeros.borrow().iter().find(|(other, _)| *other == name).map(|(_, node)| Rc::clone(node));
        if let Some(node) = found {
            let zeros = node_in::<T>(&node).value();
            if !T::same_shape(zeros, like) {
                let reason = format!(
                    "values of shapes {:?} and {:?} are named {:?}, whose adjoint is asked for: it is the sum of \
                     theirs, so give them names of their own",
                    zeros.lengths(INTERNAL),
                    like.lengths(INTERNAL),
                    self.names.wanted[name]
                );
                raise(Error::Argument { op: "named", reason, at });
            }
            return node;
        }
        let mut node = None;
        T::at_home(INTERNAL, self.home, &mut || {
            // A sum with it has the same bits, those of −0 included.
            node = Some(Rc::new(node_for::<T>(like.full_like(-0.0).quiet())));
        });
        let node = node.expect("it was run");
        self.zeros.borrow_mut().push((name, Rc::clone(&node)));
        node
    }

    /// The adjoints that have come to the zeros, each with the number of its name.
    pub(crate) fn adjoints(&self) -> Numbered<T> {
        let zeros = self.zeros.take();
        let adjoint = |(name, node): (usize, Rc<OwnedNode<T>>)| {
            let node = node_in::<T>(&node);
            (name, node.take_adjoint().unwrap_or_else(|| node.value().zeros_like()))
        };
        zeros.into_iter().map(adjoint).collect()
    }

    /// The adjoints of all names that are asked for, of these.
    ///
    /// # Errors
    /// [`Error::Argument`] if no value has one of the names, with those that values have.
    pub(crate) fn by_name(
        &self,
        op: &'static str,
        at: At,
        adjoints: Numbered<T>,
    ) -> Result<Vec<(String, T)>> {
        let mut named = Vec::new();
        for (i, name) in self.names.wanted.iter().enumerate() {
            let Some((_, adjoint)) = adjoints.iter().find(|(other, _)| *other == i) else {
                let met: Vec<String> = self.names.met.borrow().iter().map(|met| format!("{met:?}")).collect();
                let met = if met.is_empty() { "none".into() } else { met.join(", ") };
                let reason = format!(
                    "no value of the derivative is named {name:?}; the names that values have: {met}"
                );
                return Err(Error::Argument { op, reason, at });
            };
            named.push((name.clone(), adjoint.clone()));
        }
        Ok(named)
    }
}

/// What the derivative of a level asks for, if it asks.
pub(super) fn asked_of(level: Level) -> Option<Rc<Names>> {
    find(level).map(|ask| ask.names)
}

fn find(level: Level) -> Option<Ask> {
    ASKS.with_borrow(|asks| {
        let ask = asks.iter().find(|ask| ask.level == level)?;
        Some(Ask { names: Rc::clone(&ask.names), ..*ask })
    })
}

/// Adds adjoints, by the numbers of their names, to the zeros of a derivative that asks.
///
/// # Safety
/// The derivative of this level has variables `Var<T>`, and is running.
pub(super) unsafe fn add<T: Real>(level: Level, at: At, adjoints: Numbered<T>) {
    let Some(ask) = find(level) else { return };
    // SAFETY: as the caller promises, this is the type; `Sink::ask` saw to it that it is there.
    let sink = unsafe { &*ask.sink.cast::<Sink<T>>() };
    for (name, g) in adjoints {
        let node = sink.node(name, &g, at);
        // SAFETY: the node is there, in this frame.
        unsafe { Var::<T>::active(&node, level) }.accumulate_computed(g);
    }
}

/// The zeros for a value of this name, if its derivative asks for that.
fn zeros_for<'r, T: Real>(x: &Var<'r, T>, name: &str, at: At) -> Option<Var<'r, T>> {
    let level = x.level().or_else(|| match nearest(<Var<'_, T> as Real>::NESTING) {
        Nearest::Running(level) => Some(level),
        Nearest::Cut | Nearest::Nowhere => None,
    })?;
    let ask = find(level)?;
    let wanted = ask.names.meet(name)?;
    if x.level().is_none() {
        // Values of a checkpoint will be variables on the way back.
        if checkpoint::is_of_values::<T>() {
            return None;
        }
        let recorded = ask.recorded && T::is_recorded(INTERNAL) && <T::Node<T> as NodeRef<T>>::SHARED;
        let inside = recorded && ask.kind == <Var<'_, T> as Real>::NESTING && region::is_open::<T>(level);
        if !inside {
            let reason = format!(
                "the adjoint of {name:?} is asked for, and this value of that name is a constant: it does not depend \
                 on what the derivative is by; make it one of the function's parameters"
            );
            raise(Error::Argument { op: "named", reason, at });
        }
    }
    // SAFETY: variables of this level are `Var<T>` for the `T` of the sink. If `x` is one of them, that is its own
    // type; else both are of the interpretation that records and of one kind, which differ in their brands at most, and
    // these are of no account where nodes are shared. The sink is there while the derivative is running.
    let sink = unsafe { &*ask.sink.cast::<Sink<T>>() };
    let node = sink.node(wanted, x.primal(), at);
    // SAFETY: the sink keeps the node until the derivative has ended, to which the brand of its variable `x` is
    // confined; nodes that are recorded are shared.
    Some(unsafe { Var::active(&*node, level) })
}

/// [`Real::perturbed`].
pub(super) fn perturbed<'r, T: Real>(x: Var<'r, T>, name: &str, at: At) -> Var<'r, T> {
    if ASKS.with_borrow(|asks| asks.is_empty()) || is_trial() {
        return x;
    }
    let zeros = zeros_for(&x, name, at);
    let x = x.into_operand();
    let value = x.primal().clone().perturbed(INTERNAL, name, at);
    match (x.level(), zeros.map(Var::into_operand)) {
        (None, None) => Var::from_value(value),
        // Inside of a region, where it is an operator like any other.
        (None, Some(zeros)) => Var::from_value(value + zeros.primal()),
        (level, zeros) => direct(level, at, move |k| cps::perturbed(&x, zeros.as_ref(), value, k)),
    }
}
