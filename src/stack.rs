//! The native stack as the data structure that it is here.
//!
//! What must be remembered between the forward and the backward pass lives in stack frames, so a long program
//! needs a deep stack. Every outermost entry point runs on a *reserved* stack: address space that the operating
//! system fills with memory only where it is touched, with a guard at its end, pooled and reused per thread.
//! When one runs out, the entry point returns [`Error::StackExhausted`], everything on it is dropped in order,
//! and the next call works.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use corosensei::stack::{Stack, StackPointer};

use crate::error::{CpsResult, Error, OrRaise, Result, raise};

/// Address space of a reserved stack unless [`configure`]d: 64 GiB, of which only what is touched costs memory.
pub const DEFAULT_SIZE: usize = 64 << 30;
/// The smallest stack that can be configured: 1 MiB.
pub const MIN_SIZE: usize = 1 << 20;
/// Kept free at the end for the kernels of operators, which do not check, and for unwinding.
const MARGIN: usize = 256 << 10;
/// Inaccessible bytes below the stack: the second line of defence.
const GUARD: usize = 64 << 10;
/// Stacks kept per thread for reuse.
const POOLED: usize = 16;

static SIZE: AtomicUsize = AtomicUsize::new(DEFAULT_SIZE);

thread_local! {
    /// The lowest address that code on the current stack may reach; 0 on a stack that is not ours.
    static FLOOR: Cell<usize> = const { Cell::new(0) };
    static POOL: RefCell<Vec<Reserved>> = const { RefCell::new(Vec::new()) };
}

/// Sets the size in bytes of the stacks reserved from now on, in all threads. An operator in direct style takes
/// about 350 bytes, an explicit one about 100. It holds for code that [`stage`](crate::stage) compiles as well, which
/// has as much again for the arrays of recursive functions.
///
/// # Errors
/// [`Error::Config`] below [`MIN_SIZE`].
///
/// ```
/// antiphon::stack::configure(1 << 30)?;
/// assert_eq!(antiphon::stack::size(), 1 << 30);
/// # Ok::<(), antiphon::Error>(())
/// ```
pub fn configure(bytes: usize) -> Result<()> {
    if bytes < MIN_SIZE {
        let reason = format!("{bytes} bytes are less than the minimum of {MIN_SIZE}");
        return Err(Error::Config { name: "stack size", reason });
    }
    SIZE.store(bytes.next_multiple_of(GUARD), Ordering::Relaxed);
    Ok(())
}

/// The size in bytes of the stacks that are reserved from now on.
pub fn size() -> usize {
    SIZE.load(Ordering::Relaxed)
}

/// Gives the memory of this thread's unused stacks back to the operating system.
pub fn release() {
    POOL.with_borrow_mut(Vec::clear);
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
    // Miri has no stacks but its own.
    if FLOOR.get() != 0 || cfg!(miri) {
        return f();
    }
    let mut stack = Pooled::take().or_raise();
    let floor = stack.floor();
    let _outside = Floor::set(0);
    corosensei::on_stack(stack.reserved(), || {
        let _inside = Floor::set(floor);
        f()
    })
}

/// Whether the current stack has room for another operator.
#[inline(always)]
pub(crate) fn check() -> CpsResult<()> {
    let probe = MaybeUninit::<u8>::uninit();
    if probe.as_ptr().addr() < FLOOR.get() { Err(exhausted()) } else { Ok(()) }
}

#[cold]
fn exhausted() -> Box<Error> {
    Box::new(Error::StackExhausted { limit: size(), depth: 0 })
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

/// A stack on loan from the thread's pool.
pub(crate) struct Pooled(Option<Reserved>);

impl Pooled {
    /// One from the pool, or a new one.
    pub(crate) fn take() -> Result<Pooled> {
        let size = size();
        let kept = POOL.with_borrow_mut(|pool| {
            pool.retain(|stack| stack.asked == size);
            pool.pop()
        });
        Ok(Pooled(Some(match kept {
            Some(stack) => stack,
            None => Reserved::new(size)?,
        })))
    }

    fn reserved(&mut self) -> &mut Reserved {
        self.0.as_mut().expect("present until dropped")
    }

    /// The lowest address that code on this stack may reach.
    pub(crate) fn floor(&self) -> usize {
        self.limit().get() + GUARD + MARGIN
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let stack = self.0.take();
        // The pool is gone while the thread shuts down; then the stack is simply released.
        let _ = POOL.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < POOLED
            {
                pool.extend(stack);
            }
        });
    }
}

// SAFETY: delegates to `Reserved`, which upholds the contract and is present until `Pooled` is dropped.
unsafe impl Stack for Pooled {
    fn base(&self) -> StackPointer {
        self.0.as_ref().expect("present until dropped").base()
    }
    fn limit(&self) -> StackPointer {
        self.0.as_ref().expect("present until dropped").limit()
    }
}

/// Reserved address space with a guard at its low end.
struct Reserved {
    low: usize,
    len: usize,
    /// The size that was asked for; less is had where the system has little address space to give.
    asked: usize,
}

impl Reserved {
    fn new(asked: usize) -> Result<Reserved> {
        let mut len = asked;
        loop {
            match Reserved::map(len + GUARD) {
                Ok(low) => return Ok(Reserved { low, len: len + GUARD, asked }),
                // The default is a generous guess: take what there is. A configured size is a promise.
                Err(_) if asked == DEFAULT_SIZE && len / 2 >= (64 << 20) => len /= 2,
                Err(source) => return Err(Error::StackReserve { size: len, source }),
            }
        }
    }

    fn map(len: usize) -> std::io::Result<usize> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: an anonymous mapping at an address of the system's choice touches no existing memory.
        let low = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, -1, 0) };
        if low == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the first GUARD bytes belong to the mapping made above, which nothing uses yet.
        if unsafe { libc::mprotect(low, GUARD, libc::PROT_NONE) } != 0 {
            let error = std::io::Error::last_os_error();
            // SAFETY: unmaps exactly the mapping made above.
            unsafe { libc::munmap(low, len) };
            return Err(error);
        }
        Ok(low.expose_provenance())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `map` returned; whoever ran on it has left (the stack is owned by value
        // by its user, and comes back when that user is done).
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(self.low), self.len) };
    }
}

// SAFETY: `base` and `limit` are the ends of one mapping, aligned to pages; its low end is inaccessible.
unsafe impl Stack for Reserved {
    fn base(&self) -> StackPointer {
        StackPointer::new(self.low + self.len).expect("a mapping is not at address zero")
    }
    fn limit(&self) -> StackPointer {
        StackPointer::new(self.low).expect("a mapping is not at address zero")
    }
}
