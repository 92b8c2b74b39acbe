//! Running compiled code on a stack of its own, from which a failure returns at once.

use std::ffi::c_void;

use antiphon_system::reserve::Reserved;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::ir::error::{Error, Result};
use crate::jit::room::Part;
use crate::lower::abi::{Context, Failure, Indexed};

/// Compiled code.
pub type Entry = unsafe extern "C" fn(*mut Context);

/// Why a run ended before its end.
pub enum Ended {
    /// It has used up what there is of this.
    Exhausted(Part),
    /// Anything else.
    Failed(Error),
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

/// Stack below that which code may use: for what it calls, which does not ask.
pub const MARGIN: usize = 128 << 10;

/// Runs compiled code on a stack, of which it may use so many bytes.
///
/// # Errors
/// Those that end a run; then it has written nothing.
///
/// # Safety
/// The code must be such as [`lower`](crate::lower) makes, and the context what it expects; the stack must have
/// [`MARGIN`] bytes more.
pub unsafe fn run(
    entry: Entry,
    context: &mut Context,
    stack: &mut Reserved,
    bytes: usize,
) -> Result<(), Ended> {
    context.stack = stack.end().wrapping_sub(bytes);
    let shared: *mut Context = context;
    // SAFETY: the closure borrows nothing; the context that it points to outlives the coroutine, which is finished or
    // reset below.
    let mut coroutine = unsafe {
        Coroutine::<(), (), (), &mut Reserved>::with_stack_unchecked(
            stack,
            move |yielder: &Yielder<(), ()>, ()| {
                (*shared).own = std::ptr::from_ref(yielder).cast::<u8>();
                entry(shared);
            },
        )
    };
    match coroutine.resume(()) {
        CoroutineResult::Return(()) => Ok(()),
        CoroutineResult::Yield(()) => {
            // SAFETY: the stack holds frames of compiled code and of `fail`, none of which has a destructor.
            unsafe { coroutine.force_reset() };
            Err(ended(context))
        }
    }
}

fn ended(context: &Context) -> Ended {
    let [why, op, index, length] = context.failure;
    if why == Failure::Index as i64 {
        let op = Indexed::name_of(op as usize).unwrap_or("index");
        return Ended::Failed(Error::Index { op, index, length: length as usize });
    }
    Ended::Exhausted(if why == Failure::Arena as i64 { Part::Arena } else { Part::Stack })
}

/// The address of a function as one.
///
/// # Safety
/// It must be the address of a function of this type.
pub unsafe fn entry(address: u64) -> Entry {
    // SAFETY: as the caller promises.
    unsafe { std::mem::transmute::<*const c_void, Entry>(address as *const c_void) }
}
