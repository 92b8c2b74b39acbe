//! The native stack as the data structure that it is here.
//!
//! What must be remembered between the forward and the backward pass lies in stack frames, so a long program needs a
//! deep stack. Every outermost entry point runs on a *reserved* stack: address space that the operating system fills
//! with memory only where it is touched, with a guard at its end, pooled and reused per thread. When one ends, the
//! entry point returns [`Error::StackExhausted`], everything on it is dropped in order, and the next call works.
//!
//! # When a stack ends
//! * Unless [`configure`]d, a stack ends when all stacks and arenas of the process, of all threads and nested
//!   derivatives, take **half of the memory** that the process may use: of what the machine has available, or what the
//!   control groups (containers) leave that the process is in. Memory is granted to a stack piece by piece as it grows,
//!   and the limits are read anew for each piece, so that a program without an end is an error, and is not killed. The
//!   first 4 MiB of a stack only need the memory to be there: other threads go on beside such a program.
//! * A size that was configured is a promise of address space: [`Error::StackReserve`] if there is none. The stack
//!   ends there, or when the process's memory is nearly used up.
//! * What arrays take counts as well: a derivative ends with the same error when the arrays that it remembers leave
//!   less than 1/32 of the memory (32 MiB if that is more, but never more than 1/8).
//!
//! What a user's own code takes between two operators is not checked, as it is not on a thread's stack: it has 2 MiB at
//! least. [`guard`] checks before a recursion of one's own.
//!
//! [`Limit`] says which it was. Not covered are other processes that take memory at the same moment, memory that the
//! program takes by other means than arrays between two pieces (1/64 of the memory, 64 MiB at most), and a single array
//! that is larger than what is left.
//!
//! # What is kept
//! A stack that is not in use keeps the memory that at least two of its last 64 runs have used, 1 MiB at least:
//! steps of training find theirs as they left it, and what a single deep program took is given back when it ends.
//! [`release`] gives all of it back; so does the end of a thread.

mod ask;
mod extent;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use antiphon_system::{budget, memory, reserve};

use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{CpsResult, Error, Result};

pub use antiphon_system::budget::Limit;
pub(crate) use extent::{Extent, Pooled};

/// The smallest stack that can be configured: 1 MiB.
pub const MIN_SIZE: usize = 1 << 20;
/// The largest stack that can be configured: 16 TiB, where addresses have 64 bits.
pub const MAX_SIZE: usize = reserve::MAX_SIZE;
/// Kept free at the end for the kernels of operators, which do not check, and for unwinding.
const MARGIN: usize = 256 << 10;
/// Bytes of arrays that may be made between two looks where it is not known how much memory there is.
const OUTSIDE: usize = 1 << 20;

/// The floor of a stack that the next check has to look at, whatever address it comes from.
const LOOK: usize = usize::MAX;

/// Zero if none was configured.
static CONFIGURED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The lowest address that code on the current stack may reach for now; 0 on a stack that is not ours.
    static FLOOR: Cell<usize> = const { Cell::new(0) };
    /// What it was before it became [`LOOK`].
    static BEFORE_LOOK: Cell<usize> = const { Cell::new(0) };
    /// Bytes of arrays that may be made before the process's memory is looked at.
    static UNSEEN: Cell<usize> = const { Cell::new(OUTSIDE) };
}

/// Sets the size in bytes of the stacks reserved from now on, in all threads; `None` for what they are by default: as
/// large as the process's memory allows, see [the module](self). An operator in direct style takes about 200 bytes, an
/// explicit one about 100. It holds for compiled code as well (see [`compile`](crate::compile)), which has as much
/// again for the arrays of recursive functions.
///
/// # Errors
/// [`Error::Config`] below [`MIN_SIZE`], above [`MAX_SIZE`], and above half of what the process's limits leave of its
/// address space, since a derivative takes two stacks. Then the size is what it was.
///
/// ```
/// use antiphon::stack;
/// stack::configure(1 << 30)?;
/// assert_eq!(stack::size(), 1 << 30);
/// assert!(stack::configure(usize::MAX).is_err());
/// stack::configure(None)?;
/// # Ok::<(), antiphon::Error>(())
/// ```
pub fn configure(bytes: impl Into<Option<usize>>) -> Result<()> {
    let Some(bytes) = bytes.into() else {
        CONFIGURED.store(0, Ordering::Relaxed);
        return Ok(());
    };
    let refuse = |reason| Err(Error::Config { name: "stack size", reason });
    if bytes < MIN_SIZE {
        return refuse(format!("{bytes} bytes are less than the minimum of {MIN_SIZE}"));
    }
    if bytes > MAX_SIZE {
        return refuse(format!("{bytes} bytes are more than the maximum of {MAX_SIZE}"));
    }
    let possible = memory::address_space().map(|left| usize::try_from(left / 2).unwrap_or(usize::MAX));
    if let Some(possible) = possible.filter(|&possible| bytes > possible) {
        return refuse(format!(
            "{bytes} bytes are more than the {possible} for which the process's limit on address space leaves room"
        ));
    }
    CONFIGURED.store(bytes.next_multiple_of(reserve::GUARD), Ordering::Relaxed);
    Ok(())
}

/// The size in bytes of the stacks that are reserved from now on: as configured, or half of all the memory that this
/// process may ever use, which is the most that a stack can have by default.
pub fn size() -> usize {
    configured().unwrap_or_else(|| {
        let share = memory::memory().total / budget::SHARE;
        usize::try_from(share).unwrap_or(MAX_SIZE).clamp(MIN_SIZE, MAX_SIZE).next_multiple_of(reserve::GUARD)
    })
}

/// The configured size, if there is one.
pub(crate) fn configured() -> Option<usize> {
    Some(CONFIGURED.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
}

/// Gives the memory of this thread's unused stacks, and of those of compiled code and its arenas, back to the operating
/// system.
pub fn release() {
    extent::release();
    #[cfg(feature = "staging")]
    antiphon_staging::jit::release();
}

/// Runs `f` after checking that the stack has room for it: to be called at each level of a recursion that may be
/// deep.
///
/// # Errors
/// Raises [`Error::StackExhausted`].
#[inline]
pub fn guard<R>(f: impl FnOnce() -> R) -> R {
    match check() {
        Ok(()) => f(),
        Err(error) => raise(error),
    }
}

/// Runs `f` on a reserved stack, unless it runs on one already.
///
/// # Errors
/// Raises [`Error::StackReserve`] if there is none to be had.
pub fn on_reserved<R>(f: impl FnOnce() -> R) -> R {
    // Miri has no stacks but its own. A coroutine of somebody else's may have left a reserved stack in the middle.
    if cfg!(miri) || FLOOR.get() != 0 && extent::extent_around(stack_pointer()).is_some() {
        return f();
    }
    let (mut f, mut result) = (Some(f), None);
    on_another(&mut || result = f.take().map(|f| f()));
    result.expect("it has returned")
}

/// Runs `f` on a reserved stack. One function for all closures: each derivative has its own.
fn on_another(f: &mut dyn FnMut()) {
    let mut stack = Pooled::take().or_raise();
    let floor = stack.extent().floor();
    let _outside = Floor::set(0);
    corosensei::on_stack(&mut stack, || {
        let _inside = Floor::set(floor);
        f();
    });
}

/// Whether the current stack has room for another operator.
#[inline(always)]
pub(crate) fn check() -> CpsResult<()> {
    if stack_pointer() < FLOOR.get() { ask::more() } else { Ok(()) }
}

/// How far down the stack is used by the function that this is inlined in, or an address near that.
#[inline(always)]
fn stack_pointer() -> usize {
    // A local's address would do, but takes room in the frames of all operators.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let pointer: usize;
        // SAFETY: it reads a register, and does nothing else.
        unsafe {
            std::arch::asm!("mov {}, rsp", out(reg) pointer, options(pure, nomem, nostack, preserves_flags));
        }
        pointer
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        let probe = std::mem::MaybeUninit::<u8>::uninit();
        probe.as_ptr().addr()
    }
}

/// More room under this function's caller, if it is needed, or else a look at what arrays have taken; what stands
/// against it, if something does.
#[cold]
#[inline(never)]
extern "C" fn more() -> Option<Box<Error>> {
    let probe = stack_pointer();
    // Code on a stack that somebody else has made is not ours to check.
    let extent = extent::extent_around(probe)?;
    let noted = match FLOOR.get() {
        LOOK => BEFORE_LOOK.get(),
        floor => floor,
    };
    // Where it is lower than what this thread has noted, the stack has grown meanwhile; destructors may go further.
    let floor = || noted.clamp(last_floor(extent.floor()), extent.floor());
    let room = || {
        if UNSEEN.get() == 0 {
            UNSEEN.set(budget::step(budget::look()?.total) as usize);
        }
        while probe < floor() {
            extent.grow()?;
        }
        Ok(())
    };
    let result = extent::or_released(room);
    FLOOR.set(floor());
    result.err().map(|by| {
        extent.note_end();
        // Destructors that run now get their arrays out of what is left alone.
        UNSEEN.set(UNSEEN.get().max(OUTSIDE));
        Box::new(Error::StackExhausted { limit: extent.bytes(), depth: Some(0), by })
    })
}

/// To be called for every array of so many bytes that is made: some of them later, the next operator's check looks at
/// the memory that is left.
#[inline]
pub(crate) fn allocated(bytes: usize) {
    match UNSEEN.get().checked_sub(bytes) {
        Some(left) => UNSEEN.set(left),
        None => look_soon(),
    }
}

#[cold]
fn look_soon() {
    if FLOOR.get() == 0 {
        return UNSEEN.set(OUTSIDE);
    }
    UNSEEN.set(0);
    if FLOOR.get() != LOOK {
        BEFORE_LOOK.set(FLOOR.replace(LOOK));
    }
}

/// How far down a stack with this floor may be used by destructors that run because it was exhausted.
pub(crate) fn last_floor(floor: usize) -> usize {
    floor - MARGIN / 2
}

/// Moves the end of the stack that the thread is on, until it leaves it.
pub(crate) fn set_floor(floor: usize) {
    FLOOR.set(floor);
}

/// Declares which stack the thread is on, until dropped.
pub(crate) struct Floor(usize);

impl Floor {
    #[inline]
    pub(crate) fn set(floor: usize) -> Floor {
        Floor(FLOOR.replace(floor))
    }
}

impl Drop for Floor {
    #[inline]
    fn drop(&mut self) {
        FLOOR.set(self.0);
    }
}
