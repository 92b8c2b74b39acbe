//! Running compiled code on a stack of its own, from which a failure returns at once.

use std::cell::RefCell;
use std::ffi::c_void;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::error::{Error, Result};
use crate::jit::options::STACK;
use crate::jit::reserve::Reserved;
use crate::lower::abi::{Context, Failure, INDEXED};

/// Stack that is kept for what compiled code calls.
const MARGIN: usize = 128 << 10;

/// Compiled code.
pub type Entry = unsafe extern "C" fn(*mut Context);

thread_local! {
    /// Stacks that are not in use, with their sizes.
    static STACKS: RefCell<Vec<(usize, Reserved)>> = const { RefCell::new(Vec::new()) };
}

/// Called by compiled code, on its stack, to end the run.
pub unsafe extern "C" fn fail(context: *mut Context, why: i64, op: i64, index: i64, length: i64) -> ! {
    // SAFETY: compiled code passes the context that it was given, and `run` has put the yielder of this very stack
    // there. Both outlive the run, which ends here: there is no other frame with a destructor on this stack.
    unsafe {
        (*context).failure = [why, op, index, length];
        let yielder = (*context).own.cast::<Yielder<(), ()>>();
        (*yielder).suspend(());
    }
    // A failed run is never resumed.
    std::process::abort()
}

/// Runs compiled code on a stack of so many bytes.
///
/// # Errors
/// [`Error::Index`], [`Error::StackExhausted`]; [`Error::Reserve`] if there is no such stack.
///
/// # Safety
/// The code must be such as [`lower`](crate::lower) makes, and the context what it expects.
pub unsafe fn run(entry: Entry, context: &mut Context, bytes: usize) -> Result<()> {
    let pooled = STACKS.with_borrow_mut(|stacks| {
        stacks.iter().position(|(size, _)| *size == bytes).map(|i| stacks.swap_remove(i).1)
    });
    let stack = match pooled {
        Some(stack) => stack,
        None if bytes == STACK => Reserved::with_room(MARGIN, STACK)?,
        None => Reserved::new(bytes + MARGIN)?,
    };
    context.stack = stack.start().wrapping_add(MARGIN);
    let shared: *mut Context = context;
    // SAFETY: the closure borrows nothing; the context that it points to outlives the coroutine, which is finished or
    // reset below.
    let mut coroutine = unsafe {
        Coroutine::<(), (), (), Reserved>::with_stack_unchecked(
            stack,
            move |yielder: &Yielder<(), ()>, ()| {
                (*shared).own = std::ptr::from_ref(yielder).cast::<u8>();
                entry(shared);
            },
        )
    };
    let result = match coroutine.resume(()) {
        CoroutineResult::Return(()) => Ok(()),
        CoroutineResult::Yield(()) => {
            // SAFETY: the stack holds frames of compiled code and of `fail`, none of which has a destructor.
            unsafe { coroutine.force_reset() };
            Err(failure(context, bytes))
        }
    };
    STACKS.with_borrow_mut(|stacks| {
        // Those of a size that is no longer asked for would keep what they touched.
        stacks.retain(|(size, _)| *size == bytes);
        stacks.push((bytes, coroutine.into_stack()));
    });
    result
}

/// Gives the memory of this thread's unused stacks back to the system.
pub fn release() {
    STACKS.with_borrow_mut(Vec::clear);
}

fn failure(context: &Context, bytes: usize) -> Error {
    let [why, op, index, length] = context.failure;
    if why == Failure::Index as i64 {
        let op = INDEXED.get(op as usize).copied().unwrap_or("index");
        return Error::Index { op, index, length: length as usize };
    }
    if why == Failure::Arena as i64 {
        return Error::StackExhausted {
            what: "arena",
            bytes: context.limit as usize - context.arena as usize,
        };
    }
    Error::StackExhausted { what: "stack", bytes }
}

/// The address of a function as one.
///
/// # Safety
/// It must be the address of a function of this type.
pub unsafe fn entry(address: u64) -> Entry {
    // SAFETY: as the caller promises.
    unsafe { std::mem::transmute::<*const c_void, Entry>(address as *const c_void) }
}
