//! Running compiled code on a stack of its own, from which a failure returns at once.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice;

use antiphon_system::reserve::Reserved;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use smallvec::SmallVec;

use crate::ir::Program;
use crate::ir::error::{Error, Result};
use crate::ir::ids::{EntityRef, Host, Probe, Value};
use crate::ir::tensor::{ConcreteTensor, Elements, ElementsMut};
use crate::ir::types::{Dtype, Type};
use crate::jit::denormals::Flushed;
use crate::jit::room::Part;
use crate::lower::abi::{Context, Failure, Indexed};

/// Compiled code.
pub type Entry = unsafe extern "C" fn(*mut Context);

/// Why a run ended before its end.
pub enum Ended {
    /// It has used up what there is of this.
    Exhausted(Part),
    /// An index was out of range, of the operator that gives this value.
    Index(Error, Option<Value>),
    /// Anything else.
    Failed(Error),
}

/// What compiled code asks of its caller, beside what it knows of, and where it runs.
struct Own<'a> {
    yielder: *const Yielder<(), ()>,
    asked: *mut Asked<'a>,
}

/// What a run of a program asks of its caller.
pub struct Asked<'a> {
    program: &'a Program,
    /// The mode of the processor that functions of the host are not run in.
    flushed: Option<&'a Flushed>,
    /// How many probes were met in this run, and how many in any: a run that is repeated with more room prints nothing
    /// twice.
    met: u64,
    done: u64,
    /// The function of the host that is to be called now: the call, and the addresses of its operands and its result.
    call: Option<(Host, *const *mut u8)>,
    /// How many calls were met in this run of functions that act on something outside, and the results of those in any:
    /// a run that is repeated does not act twice.
    acts: usize,
    results: Vec<ConcreteTensor>,
    /// What ended the run.
    error: Option<Error>,
}

impl<'a> Asked<'a> {
    /// By a program, in a mode.
    pub fn of(program: &'a Program, flushed: Option<&'a Flushed>) -> Asked<'a> {
        Asked { program, flushed, met: 0, done: 0, call: None, acts: 0, results: Vec::new(), error: None }
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
        let data = &self.program.probes[Probe::new(number as usize)];
        // SAFETY: as the caller promises.
        self.error = data.look(unsafe { elements(&data.ty, address) }).err();
        self.error.is_none()
    }

    /// Calls the function of the host that was asked for, if any was.
    ///
    /// # Safety
    /// Values of the operands' types, and room for the result, have to be at the addresses.
    unsafe fn call(&mut self) -> Option<Result<()>> {
        let (host, addresses) = self.call.take()?;
        let data = &self.program.hosts[host];
        // SAFETY: as the caller promises. The result's memory is not that of an operand.
        let (operands, mut result) = unsafe {
            let count = data.operands.len();
            let addresses = slice::from_raw_parts(addresses, count + 1);
            let operands: SmallVec<[Elements<'_>; 4]> =
                data.operands.iter().zip(addresses).map(|(ty, &address)| elements(ty, address)).collect();
            (operands, elements_mut(&data.result, addresses[count]))
        };
        let mut kept = None;
        if data.function.acts {
            self.acts += 1;
            if let Some(known) = self.results.get(self.acts - 1) {
                return Some(result.copy_from(known.data().into()));
            }
            kept = Some(ConcreteTensor::zeros(&data.result));
        }
        let call = || match &mut kept {
            Some(kept) => {
                data.call(&operands, kept.data_mut().into())?;
                result.copy_from(kept.data().into())
            }
            None => data.call(&operands, result),
        };
        let called = match self.flushed {
            Some(flushed) => flushed.lifted(call),
            None => call(),
        };
        self.results.extend(kept.filter(|_| called.is_ok()));
        Some(called)
    }
}

/// The elements at an address.
///
/// # Safety
/// A value of the type has to be there. Truth values are written as such only.
unsafe fn elements<'a>(ty: &Type, address: *const u8) -> Elements<'a> {
    let len = ty.size();
    // SAFETY: as the caller promises.
    unsafe {
        match ty.dtype {
            Dtype::F32 => Elements::F32(slice::from_raw_parts(address.cast(), len)),
            Dtype::F64 => Elements::F64(slice::from_raw_parts(address.cast(), len)),
            Dtype::I64 => Elements::I64(slice::from_raw_parts(address.cast(), len)),
            Dtype::Bool => Elements::Bool(slice::from_raw_parts(address.cast(), len)),
        }
    }
}

/// Zeros at an address, which are to be overwritten.
///
/// # Safety
/// There has to be room for a value of the type, of which nobody else knows.
unsafe fn elements_mut<'a>(ty: &Type, address: *mut u8) -> ElementsMut<'a> {
    let len = ty.size();
    // SAFETY: as the caller promises. Bytes of zero are a value of each type.
    unsafe {
        match ty.dtype {
            Dtype::F32 => ElementsMut::F32(zeroed(address, len)),
            Dtype::F64 => ElementsMut::F64(zeroed(address, len)),
            Dtype::I64 => ElementsMut::I64(zeroed(address, len)),
            Dtype::Bool => ElementsMut::Bool(zeroed(address, len)),
        }
    }
}

/// # Safety
/// There has to be room for so many elements, of which bytes of zero are a value.
unsafe fn zeroed<'a, E>(address: *mut u8, len: usize) -> &'a mut [E] {
    let address = address.cast::<E>();
    // SAFETY: as the caller promises.
    unsafe {
        address.write_bytes(0, len);
        slice::from_raw_parts_mut(address, len)
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
        if !(*(*own).asked).look(number, address) {
            fail(context, Failure::Probe as i64, 0, 0, 0);
        }
    }
}

/// Called by compiled code, on its stack, where a function of the host computes. It is called on the caller's stack,
/// which is as large as Rust's code expects, and where it may panic.
pub unsafe extern "C" fn host(context: *mut Context, number: i64, addresses: *const *mut u8) {
    // SAFETY: compiled code passes the context that it was given, in which `run` has put what is the run's own. If the
    // function fails, this stack is not gone on with, on which no frame has a destructor.
    unsafe {
        let own = (*context).own.cast::<Own<'_>>();
        (*(*own).asked).call = Some((Host::new(number as usize), addresses));
        (*(*own).yielder).suspend(());
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
    asked: &mut Asked<'_>,
    stack: &mut Reserved,
    bytes: usize,
) -> Result<(), Ended> {
    context.stack = stack.end().wrapping_sub(bytes);
    asked.met = 0;
    asked.acts = 0;
    let shared: *mut Context = context;
    let asked: *mut Asked<'_> = asked;
    // SAFETY: the closure borrows nothing; context and what is asked, which it points to, outlive the coroutine, which
    // is finished or reset below.
    let mut coroutine = unsafe {
        Coroutine::<(), (), (), &mut Reserved>::with_stack_unchecked(
            stack,
            move |yielder: &Yielder<(), ()>, ()| {
                let own = Own { yielder, asked };
                (*shared).own = std::ptr::from_ref(&own).cast::<u8>();
                entry(shared);
            },
        )
    };
    let ended = loop {
        match coroutine.resume(()) {
            CoroutineResult::Return(()) => return Ok(()),
            CoroutineResult::Yield(()) => {}
        }
        // SAFETY: while the coroutine is suspended, nobody else uses what it asks for; compiled code has passed the
        // addresses of what it is.
        match catch_unwind(AssertUnwindSafe(|| unsafe { (*asked).call() })) {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(error))) => break Ok(Ended::Failed(error)),
            // SAFETY: likewise.
            Ok(None) => match unsafe { (*asked).error.take() } {
                Some(error) => break Ok(Ended::Failed(error)),
                // SAFETY: likewise.
                None => break Ok(why(unsafe { &*shared })),
            },
            Err(panic) => break Err(panic),
        }
    };
    // SAFETY: the stack holds frames of compiled code and of what it calls here, none of which has a destructor.
    unsafe { coroutine.force_reset() };
    match ended {
        Ok(ended) => Err(ended),
        Err(panic) => resume_unwind(panic),
    }
}

/// Why compiled code has ended a run.
fn why(context: &Context) -> Ended {
    let [why, op, index, length] = context.failure;
    if why == Failure::Index as i64 {
        let name = Indexed::name_of(op).unwrap_or("index");
        let error = Error::Index { op: name, index, length: length as usize, at: None };
        return Ended::Index(error, Indexed::value_of(op));
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
