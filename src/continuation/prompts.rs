//! The prompts that are running, and how an operator finds its own among them.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::ptr;

use corosensei::Yielder;

use super::driver::Request;
use super::stack::{self, Extent, Floor};
use crate::error::At;

/// A prompt without its types: one link of the chain of prompts that are running.
pub(super) struct Link {
    pub(super) level: Level,
    /// The user's line of the `reset`, the derivative or the control flow.
    pub(super) at: At,
    /// The kind of variables that it is for: [`Real::NESTING`](crate::Real::NESTING). Zero for a [`reset`] of the
    /// user's.
    pub(super) variables: u64,
    pub(super) yielder: Cell<*const Yielder<(), Request>>,
    /// How far down the body's stack may be used; nothing before the body starts.
    pub(super) extent: Cell<*const Extent>,
    /// The prompt around it: the one that was innermost when its body was last resumed.
    pub(super) outer: Cell<*const Link>,
    /// Whether the body was given up: what it leaves as its answer does not count.
    pub(super) abandoned: Cell<bool>,
    /// Whether the body was last entered while the thread was unwinding something else: in a destructor.
    pub(super) in_destructor: Cell<bool>,
    /// Whether the body itself has raised an error that is not caught yet.
    pub(super) raising: Cell<bool>,
    /// Whether a [`shift`] to this prompt came from a body inside of it that had been given up: see [`Found::Cut`].
    pub(super) cut: Cell<bool>,
}

impl Link {
    /// One inside of the prompts that are running.
    pub(super) fn new(level: Level, variables: u64, at: At) -> Link {
        Link {
            level,
            at,
            variables,
            yielder: Cell::new(ptr::null()),
            extent: Cell::new(ptr::null()),
            outer: Cell::new(CURRENT.get()),
            abandoned: Cell::new(false),
            in_destructor: Cell::new(false),
            raising: Cell::new(false),
            cut: Cell::new(false),
        }
    }

    /// Whether the body is being unwound, so that what runs in it is a destructor: it was given up, or has raised an
    /// error, or has panicked. `panicking` is whether this thread is unwinding anything.
    #[inline]
    fn is_unwinding(&self, panicking: bool) -> bool {
        panicking && (!self.in_destructor.get() || self.abandoned.get() || self.raising.get())
    }

    /// Whether the body runs: code that switches stacks by other means may have left it in the middle. Everything
    /// that `CURRENT` is asked for relies on prompts being entered and left in the order of a stack.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        // SAFETY: as for `floor`; a prompt is current only while its body has not ended.
        unsafe { (*self.extent.get()).is_current() }
    }

    /// The lowest address that the body may reach for now.
    ///
    /// # Safety
    /// The body has started, and its stack is alive.
    #[inline]
    pub(super) unsafe fn floor(&self) -> usize {
        // SAFETY: `run` has set it to the extent of that stack.
        unsafe { (*self.extent.get()).floor() }
    }
}

/// Names a `reset`, so that an operator finds its own among nested ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(NonZeroU64);

impl Level {
    /// That of constants, which belong to no `reset`: below all others, so that one comparison tells.
    pub(crate) const CONSTANT: Level = Level(NonZeroU64::MIN);

    /// One that no other `reset` of this thread has.
    #[inline]
    pub(crate) fn fresh() -> Level {
        let level = LEVELS.get();
        LEVELS.set(level.checked_add(1).expect("2⁶⁴ derivatives take longer than any program runs"));
        Level(level)
    }
}

thread_local! {
    /// The innermost prompt whose body is running.
    pub(super) static CURRENT: Cell<*const Link> = const { Cell::new(ptr::null()) };
    static LEVELS: Cell<NonZeroU64> = const { Cell::new(NonZeroU64::new(2).unwrap()) };
}

/// The innermost derivative of a kind.
pub(crate) enum Nearest {
    /// The level of one whose body is running.
    Running(Level),
    /// As [`Found::Cut`].
    Cut,
    /// No such body is running.
    Nowhere,
}

/// The innermost [`reset_at`] for variables of this [kind](Real::NESTING): that of control operators, none of whose
/// operands need be a variable.
pub(crate) fn nearest(variables: u64) -> Nearest {
    let mut link = CURRENT.get();
    loop {
        // SAFETY: links of the chain live on the stacks of the `run`s that are under way.
        let Some(prompt) = (unsafe { link.as_ref() }) else { return Nearest::Nowhere };
        if prompt.variables == variables {
            return match find_prompt(prompt.level) {
                Found::Running(_) => Nearest::Running(prompt.level),
                Found::Cut => Nearest::Cut,
                Found::Nowhere => Nearest::Nowhere,
            };
        }
        link = prompt.outer.get();
    }
}

/// Where a prompt of some level is.
pub(crate) enum Found {
    /// Its body is running.
    Running(Here),
    /// Its body, or one between it and here, is being unwound, and a destructor is asking. The destructor must get
    /// an answer, for it cannot be unwound, but there is no rest of the body that could be captured. If the prompt
    /// itself goes on, its `reset` ends with an error, so that nothing is silently left out of a derivative.
    Cut,
    /// No such body is running.
    Nowhere,
}

/// A prompt whose body is running.
pub(crate) struct Here(pub(super) *const Link);

/// The innermost prompt of a level.
#[inline]
pub(crate) fn find_prompt(level: Level) -> Found {
    let panicking = std::thread::panicking();
    let mut link = CURRENT.get();
    loop {
        // SAFETY: links of the chain live on the stacks of the `run`s that are under way.
        let Some(prompt) = (unsafe { link.as_ref() }) else { return Found::Nowhere };
        if panicking || prompt.abandoned.get() {
            return find_in_destructor(link, level, panicking);
        }
        if prompt.level == level {
            return Found::Running(Here(link));
        }
        link = prompt.outer.get();
    }
}

/// [`find_prompt`] in a destructor, or in a body that was given up.
#[cold]
#[inline(never)]
fn find_in_destructor(mut link: *const Link, level: Level, panicking: bool) -> Found {
    let mut unwinding = false;
    loop {
        // SAFETY: as in `find_prompt`.
        let Some(prompt) = (unsafe { link.as_ref() }) else { return Found::Nowhere };
        // A body that has caught its unwinding and goes on can be told with an error.
        if prompt.abandoned.get() && !panicking {
            return Found::Nowhere;
        }
        unwinding |= prompt.is_unwinding(panicking);
        match (prompt.level == level, unwinding) {
            (true, true) => {
                // A function's body that is only tried is unwound as soon as it calls itself: nothing is left out.
                if !is_trial() {
                    prompt.cut.set(!prompt.abandoned.get());
                }
                return Found::Cut;
            }
            (true, false) => return Found::Running(Here(link)),
            (false, _) => link = prompt.outer.get(),
        }
    }
}

/// Declares that the innermost running body has raised an error, or (`false`) that the error was caught inside of it.
/// In between destructors run, which have room where the error was that there is none.
pub(crate) fn raising(raising: bool) {
    // SAFETY: as in `find_prompt`.
    let prompt = unsafe { CURRENT.get().as_ref() };
    // A body that a coroutine of somebody else's has left in the middle raises nothing.
    if let Some(prompt) = prompt.filter(|prompt| prompt.is_here()) {
        prompt.raising.set(raising);
        // SAFETY: the body runs.
        let floor = unsafe { prompt.floor() };
        stack::set_floor(if raising || prompt.abandoned.get() { stack::last_floor(floor) } else { floor });
    }
}

/// Runs `f`, an operator in a destructor of the body that runs innermost, with the room that is kept for destructors.
pub(crate) fn in_destructor<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: as in `find_prompt`.
    let prompt = unsafe { CURRENT.get().as_ref() };
    let _floor = prompt.filter(|prompt| prompt.is_here()).map(|prompt| {
        // SAFETY: the body runs.
        let floor = unsafe { prompt.floor() };
        Floor::set(stack::last_floor(floor))
    });
    f()
}

thread_local! {
    /// Whether a function's body is only tried, for the structure of its result: nothing of it is recorded in the end.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// A trial, until dropped.
pub(crate) struct Trial(bool);

impl Trial {
    /// Begins one.
    pub(crate) fn begin() -> Trial {
        Trial(TRYING.replace(true))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        TRYING.set(self.0);
    }
}

/// Whether everything that is being recorded is only tried.
pub(crate) fn is_trial() -> bool {
    TRYING.get()
}
