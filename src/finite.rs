//! Looking for the first number that is not finite. Off unless somebody asks for it, and then in one thread alone.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{At, Direction, Error};

/// How many threads look: what all operators on arrays ask first.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread does.
    static HERE: Cell<bool> = const { Cell::new(false) };
    /// The operator whose backward half runs.
    static BACKWARD: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Whether results are looked at.
#[inline]
pub(crate) fn looks() -> bool {
    LOOKING.load(Ordering::Relaxed) != 0 && HERE.get()
}

/// Looks at results in this thread, or does not, until dropped.
pub(crate) struct Looking {
    here: bool,
    before: (bool, Option<&'static str>),
}

impl Looking {
    pub(crate) fn begin(here: bool) -> Looking {
        LOOKING.fetch_add(here.into(), Ordering::Relaxed);
        Looking { here, before: (HERE.replace(here), BACKWARD.take()) }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKING.fetch_sub(self.here.into(), Ordering::Relaxed);
        HERE.set(self.before.0);
        BACKWARD.set(self.before.1);
    }
}

/// Runs the backward half of an operator. A body may be suspended in it, and its rest run meanwhile: what is put back
/// is put back at the time when that half ends.
#[inline(always)] // in each operator's frame
pub(crate) fn backward(op: &'static str, half: impl FnOnce()) {
    let outer = if looks() { BACKWARD.replace(Some(op)) } else { None };
    half();
    if looks() {
        BACKWARD.set(outer);
    }
}

/// The operator whose backward half runs, if results are looked at.
pub(crate) fn pass() -> Option<&'static str> {
    BACKWARD.get()
}

/// Runs `f` in the pass that it was written down in.
pub(crate) fn in_pass<R>(pass: Option<&'static str>, f: impl FnOnce() -> R) -> R {
    if !looks() {
        return f();
    }
    let outer = BACKWARD.replace(pass);
    let result = f();
    BACKWARD.set(outer);
    result
}

/// The user's operator that computes now, of which this one is perhaps a part, and the pass that it computes in.
pub(crate) fn operator(op: &'static str) -> (&'static str, Direction) {
    match BACKWARD.get() {
        Some(user) => (user, Direction::Backward),
        None => (op, Direction::Forward),
    }
}

/// What an operator gave that is not finite.
#[cold]
pub(crate) fn not_finite(op: &'static str, value: f64, at: At) -> Error {
    let (op, direction) = operator(op);
    Error::NotFinite { op, direction, value, at }
}
