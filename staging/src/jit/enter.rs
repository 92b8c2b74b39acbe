//! Running compiled code on a stack of its own, from which a failure returns at once.

use std::ffi::c_void;
use std::slice;

use antiphon_system::reserve::Reserved;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::ir::Program;
use crate::ir::error::{Error, Result};
use crate::ir::ids::{EntityRef, PrimaryMap, Probe};
use crate::ir::probe::{ProbeData, Seen};
use crate::ir::types::Dtype;
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

/// What a run needs of its caller, beside what compiled code knows of.
struct Own<'a> {
    yielder: *const Yielder<(), ()>,
    probes: *mut Probes<'a>,
}

/// The probes of a program, and what they have seen.
pub struct Probes<'a> {
    of: &'a PrimaryMap<Probe, ProbeData>,
    /// How many were met in this run, and how many in any: a run that is repeated with more room prints nothing twice.
    met: u64,
    done: u64,
    /// What ended the run.
    error: Option<Error>,
}

impl<'a> Probes<'a> {
    /// Those of a program.
    pub fn of(program: &'a Program) -> Probes<'a> {
        Probes { of: &program.probes, met: 0, done: 0, error: None }
    }

    /// Looks at a value; whether the run goes on.
    ///
    /// # Safety
    /// A value of the probe's type has to be at the address.
    unsafe fn look(&mut self, number: i64, address: *const u8) -> bool {
        self.met += 1;
        if self.met <= self.done {
            return true;
        }
        self.done = self.met;
        let data = &self.of[Probe::new(number as usize)];
        let len = data.ty.size();
        // SAFETY: as the caller promises. Truth values are written as such only.
        let value = unsafe {
            match data.ty.dtype {
                Dtype::F32 => Seen::F32(slice::from_raw_parts(address.cast(), len)),
                Dtype::F64 => Seen::F64(slice::from_raw_parts(address.cast(), len)),
                Dtype::I64 => Seen::I64(slice::from_raw_parts(address.cast(), len)),
                Dtype::Bool => Seen::Bool(slice::from_raw_parts(address.cast(), len)),
            }
        };
        self.error = data.look(value).err();
        self.error.is_none()
    }
}

/// Called by compiled code, on its stack, to end the run.
pub unsafe extern "C" fn fail(context: *mut Context, why: i64, op: i64, index: i64, length: i64) -> ! {
    // SAFETY: compiled code passes the context that it was given, and `run` has put the yielder of this very stack
    // there. Both outlive the run, which ends here: there is no other frame with a destructor on this stack.
    unsafe {
        (*context).failure = [why, op, index, length];
        let own = (*context).own.cast::<Own<'_>>();
        (*(*own).yielder).suspend(());
    }
    // A failed run is never resumed.
    std::process::abort()
}

/// Called by compiled code, on its stack, when it comes by a probe.
pub unsafe extern "C" fn probe(context: *mut Context, number: i64, address: *const u8) {
    // SAFETY: compiled code passes the context that it was given, in which `run` has put what is the run's own, of the
    // very program whose probe this is, and the address of what it looks at.
    unsafe {
        let own = (*context).own.cast::<Own<'_>>();
        if !(*(*own).probes).look(number, address) {
            fail(context, Failure::Probe as i64, 0, 0, 0);
        }
    }
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
    probes: &mut Probes<'_>,
    stack: &mut Reserved,
    bytes: usize,
) -> Result<(), Ended> {
    context.stack = stack.end().wrapping_sub(bytes);
    probes.met = 0;
    let shared: *mut Context = context;
    let of_probes: *mut Probes<'_> = probes;
    // SAFETY: the closure borrows nothing; context and probes, which it points to, outlive the coroutine, which is
    // finished or reset below.
    let mut coroutine = unsafe {
        Coroutine::<(), (), (), &mut Reserved>::with_stack_unchecked(
            stack,
            move |yielder: &Yielder<(), ()>, ()| {
                let own = Own { yielder, probes: of_probes };
                (*shared).own = std::ptr::from_ref(&own).cast::<u8>();
                entry(shared);
            },
        )
    };
    match coroutine.resume(()) {
        CoroutineResult::Return(()) => Ok(()),
        CoroutineResult::Yield(()) => {
            // SAFETY: the stack holds frames of compiled code and of `fail`, none of which has a destructor.
            unsafe { coroutine.force_reset() };
            Err(match probes.error.take() {
                Some(error) => Ended::Failed(error),
                None => ended(context),
            })
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
