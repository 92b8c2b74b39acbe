//! How an error leaves a model.
//!
//! Operators return plain values, so that models read as mathematics. An operator that cannot go on
//! *raises* its error: inside an entry point of the crate ([`reset`](crate::reset), [`grad`](crate::grad),
//! [`jvp`](crate::jvp), …) the model's body is unwound, its values are dropped, and the entry point returns
//! `Err`. Outside of any entry point, where nobody could return it, the operator panics with the same
//! message, as `ndarray`'s operators do.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::prompts::raising;
use crate::error::{At, Error, Result};

thread_local! {
    /// The user's line of the operator in direct style whose rule is running, up to its continuation.
    static OPERATOR: Cell<Option<At>> = const { Cell::new(None) };
    /// How many entry points of this thread are waiting to return a raised error.
    static SCOPES: Cell<usize> = const { Cell::new(0) };
}

/// Declares that the rule of an operator in direct style begins to run, so that an error raised by it names the
/// user's line, or (`None`) that the user's code goes on.
#[inline]
pub(crate) fn in_operator(at: Option<At>) {
    OPERATOR.set(at);
}

/// The line of the operator whose rule is running, if one is.
#[inline]
pub(crate) fn rule_at() -> Option<At> {
    OPERATOR.get()
}

/// The line to blame for an operator called at `at`: that of the operator whose rule is running, if one is.
#[inline]
pub(crate) fn blame(at: At) -> At {
    OPERATOR.get().unwrap_or(at)
}

/// Runs the implementation of an operator called at `at`, so that an error raised by it names the user's line.
#[inline]
pub(crate) fn operator<R>(at: At, f: impl FnOnce() -> R) -> R {
    let outer = OPERATOR.get();
    OPERATOR.set(Some(outer.unwrap_or(at)));
    let result = f();
    OPERATOR.set(outer);
    result
}

/// Runs a part of the implementation of an operator, so that an error raised by it names the user's line, if there is
/// any that it can raise: of memory that is not there, in interpretations whose operators allocate.
#[inline]
pub(crate) fn part_of_operator<R>(allocates: bool, at: At, f: impl FnOnce() -> R) -> R {
    if allocates { operator(at, f) } else { f() }
}

/// The payload with which a raised error unwinds a model.
struct Raised(Box<Error>);

/// Leaves the model with this error: the innermost entry point ([`reset`](crate::reset), [`grad`](crate::grad),
/// [`jvp`](crate::jvp), …) returns it.
///
/// # Panics
/// Outside of any entry point.
#[track_caller]
pub fn raise(error: impl Into<Error>) -> ! {
    let mut error = error.into();
    if let Some(at) = OPERATOR.take() {
        error = error.relocate(at);
    }
    if SCOPES.get() == 0 {
        panic!("{error}");
    }
    raising(true);
    // `resume_unwind` and not `panic_any`: an error is not a bug, so no panic hook prints a backtrace.
    resume_unwind(Box::new(Raised(Box::new(error))))
}

/// Runs `f`; an error raised inside comes out as `Err`, a panic goes on as a panic.
pub(crate) fn catch<R, E: From<Box<Error>>>(f: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
    let (mut f, mut result) = (Some(f), None);
    match raised_in(&mut || result = f.take().map(|f| f())) {
        None => result.expect("it has returned"),
        Some(error) => Err(error.into()),
    }
}

/// The error that is raised in `f`, if one is. One function for all closures: each derivative has its own.
fn raised_in(f: &mut dyn FnMut()) -> Option<Box<Error>> {
    /// Whatever happens inside, the operator around the entry point is the one to blame afterwards.
    struct Scope(Option<At>);
    impl Drop for Scope {
        fn drop(&mut self) {
            SCOPES.set(SCOPES.get() - 1);
            OPERATOR.set(self.0);
        }
    }
    SCOPES.set(SCOPES.get() + 1);
    let scope = Scope(OPERATOR.take());
    let outcome = catch_unwind(AssertUnwindSafe(f));
    drop(scope);
    match outcome {
        Ok(()) => None,
        Err(payload) => match payload.downcast::<Raised>() {
            Ok(raised) => {
                raising(false);
                Some(raised.0)
            }
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// `?` for code inside of a model, where operators return plain values.
pub trait OrRaise {
    /// What there is when nothing went wrong.
    type Value;
    /// The value, or else leave the model with the error, as [`raise`] does.
    fn or_raise(self) -> Self::Value;
}

impl<T, E: Into<Error>> OrRaise for Result<T, E> {
    type Value = T;
    #[track_caller]
    fn or_raise(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => raise(error),
        }
    }
}
