//! [`reset`] and [`shift`]: one-shot delimited continuations on native stacks.
//!
//! The body of a `reset` runs as a coroutine. `shift(prompt, handler)` suspends it and calls the handler on the
//! *driver's* stack, where `reset` was called; the handler resumes the body with `k.resume(value)`, which returns
//! when the body is done. So the handlers of successive `shift`s nest: what they do before `resume` happens in
//! order, and what they do afterwards in reverse. That is the whole of reverse-mode differentiation.
//!
//! Differences from the textbook's `shift` (Danvy & Filinski 1990): a continuation can be called once at most, and
//! the handler itself runs outside of its prompt (as with `shift0`).

mod driver;
mod prompts;
pub mod stack;
pub(crate) mod unwinding;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::continuation::unwinding::{catch, raise};
use crate::error::{At, CpsResult, Error, Result};
use driver::{Resume, run, shift_unchecked};
use prompts::Link;
pub(crate) use prompts::{Found, Here, Level, Nearest, Trial, find_prompt, in_destructor, is_trial, nearest};

thread_local! {
    /// The answer of every derivative's prompt.
    static NOTHING: Cell<Option<()>> = const { Cell::new(None) };
}

/// The delimiter of a [`reset`] whose answer is an `A`. `'p` is the time during which it runs, `'env` what
/// surrounds it: handlers own what they use, or borrow it from `'env`, but never from the body.
pub struct Prompt<'p, 'env: 'p, A> {
    link: Link,
    answer: Cell<Option<A>>,
    brand: PhantomData<(&'p mut &'p (), &'env mut &'env ())>,
}

impl<A> fmt::Debug for Prompt<'_, '_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").finish_non_exhaustive()
    }
}

/// The rest of a body after a [`shift`], up to its `reset`. If its handler returns without having resumed it, the
/// body is unwound then: its values are dropped.
pub struct Continuation<'k, V, A> {
    value: *mut Option<V>,
    answer: *const Cell<Option<A>>,
    resume: Resume,
    brand: PhantomData<&'k mut &'k ()>,
}

impl<V, A> fmt::Debug for Continuation<'_, V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continuation").finish_non_exhaustive()
    }
}

impl<V, A> Continuation<'_, V, A> {
    /// Lets the body go on with `value` as the value of its `shift`. Returns the answer of the rest of it: what
    /// the body returned, as changed by the handlers of later `shift`s.
    ///
    /// # Errors
    /// Whatever the body returned or raised; [`Error::StackExhausted`].
    #[inline(always)] // one frame per operator instead of two
    #[track_caller]
    pub fn resume(self, value: V) -> CpsResult<A> {
        // SAFETY: the body is suspended in the `shift` that made this continuation (only `resume`, which consumes
        // it, ends that), so its frame, which `value` points into, is alive.
        unsafe { *self.value = Some(value) };
        self.resume.now()?;
        // SAFETY: the prompt outlives every handler of its `reset`.
        let answer = unsafe { &*self.answer };
        Ok(answer.take().expect("a body that ended well has left its answer"))
    }
}

/// Runs `body`, in which [`shift`] captures the rest of it.
///
/// ```
/// use antiphon::{reset, shift};
/// // 1 + reset(10 + shift(k → 2·k(100))), after the paper's introduction.
/// let answer = 1 + reset(|p| Ok(10 + shift(p, |k| Ok(2 * k.resume(100)?))))?;
/// assert_eq!(answer, 221);
/// // A handler that never calls its continuation abandons the rest of the body.
/// let answer = reset(|p| {
///     let x: i32 = shift(p, |_| Ok(7));
///     Ok(10 + x)
/// })?;
/// assert_eq!(answer, 7);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the body returns or [`raise`](crate::raise)s, what a handler returns, [`Error::StackExhausted`] and
/// [`Error::StackReserve`]. A panic in the body or a handler goes on as a panic.
#[track_caller]
pub fn reset<'env, A>(body: impl for<'p> FnOnce(&'p Prompt<'p, 'env, A>) -> Result<A>) -> Result<A> {
    let at = At::caller();
    catch(|| {
        stack::on_reserved(|| {
            let prompt = Prompt {
                link: Link::new(Level::fresh(), 0, at),
                answer: Cell::new(None),
                brand: PhantomData,
            };
            run(&prompt.link, || {
                let answer = body(&prompt)?;
                if !prompt.link.abandoned.get() {
                    prompt.answer.set(Some(answer));
                }
                Ok(())
            })?;
            Ok(prompt.answer.take().expect("a body that ended well has left its answer"))
        })
    })
}

/// Captures the rest of the body up to `prompt`'s [`reset`] as `k` and calls `handler(k)` instead; what the handler
/// returns is the answer of that rest. The value of `shift` is what the handler gives to `k.resume`.
///
/// In a destructor that runs while its body is being given up there is no rest to capture: `k.resume` gives the value
/// to the destructor and returns an error at once, and the handler's answer is dropped. (A destructor that panics then
/// ends the process, as Rust has it.)
///
/// # Errors
/// Raises [`Error::OutsideReset`] if the prompt's body is not running (in a handler of its own, for instance), or is
/// being given up and the handler does not resume.
#[track_caller]
pub fn shift<'p, V, A>(
    prompt: &'p Prompt<'p, '_, A>,
    handler: impl for<'k> FnOnce(Continuation<'k, V, A>) -> CpsResult<A> + 'p,
) -> V {
    match find_prompt(prompt.link.level) {
        // SAFETY: the handler outlives `'p`, the time during which the body runs.
        Found::Running(_) => unsafe {
            shift_unchecked(&raw const prompt.link, &raw const prompt.answer, At::caller(), handler)
        },
        Found::Cut => {
            let mut value = None;
            // What the handler returns would be the answer of a body that has no say.
            let _ = handler(Continuation {
                value: &raw mut value,
                answer: &raw const prompt.answer,
                resume: Resume::NOTHING,
                brand: PhantomData,
            });
            value.unwrap_or_else(|| raise(outside_reset(At::caller())))
        }
        Found::Nowhere => raise(outside_reset(At::caller())),
    }
}

pub(crate) fn outside_reset(at: At) -> Error {
    let reason = "shift: the reset of this prompt or variable is not running here; \
                  handlers and continuation-passing operators take the functions of antiphon::cps instead";
    Error::OutsideReset { reason, at }
}

/// A [`reset`] for the variables of one derivative, of this [kind](crate::Real::NESTING), whose operators find it by
/// its level.
pub(crate) fn reset_at(
    variables: u64,
    level: Level,
    at: At,
    body: impl FnOnce() -> CpsResult<()>,
) -> CpsResult<()> {
    run(&Link::new(level, variables, at), || {
        body()?;
        NOTHING.set(Some(()));
        Ok(())
    })
}

/// [`shift`] to a [`reset_at`] that [`find_prompt`] has just found running.
///
/// # Safety
/// The handler must not use anything that ends before the body does, other than what it owns.
#[inline]
pub(crate) unsafe fn shift_to<V>(
    prompt: Here,
    at: At,
    handler: impl for<'k> FnOnce(Continuation<'k, V, ()>) -> CpsResult<()>,
) -> V {
    let answer = NOTHING.with(|cell| &raw const *cell);
    // SAFETY: the link is running; the caller vouches for the handler.
    unsafe { shift_unchecked(prompt.0, answer, at, handler) }
}

/// [`shift`] to the innermost running [`reset_at`] of a level; `None` if there is none.
///
/// # Safety
/// As for [`shift_to`].
#[inline]
pub(crate) unsafe fn shift_at<V>(
    level: Level,
    at: At,
    handler: impl for<'k> FnOnce(Continuation<'k, V, ()>) -> CpsResult<()>,
) -> Option<V> {
    match find_prompt(level) {
        // SAFETY: the caller vouches for the handler.
        Found::Running(prompt) => Some(unsafe { shift_to(prompt, at, handler) }),
        Found::Cut | Found::Nowhere => None,
    }
}
