//! Bodies as coroutines: how one is run, suspended, resumed and given up.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::Continuation;
use super::prompts::{CURRENT, Link};
use super::stack::{self, Floor, Pooled};
use crate::continuation::unwinding::{catch, raise};
use crate::error::{At, CpsResult, Error};

/// What a suspended body asks for: run this handler, at this prompt.
pub(super) struct Request {
    prompt: *const Link,
    /// Runs the handler that `shift` points to. The body's frame is gone once the body was resumed, so the
    /// handler is first moved out of it.
    run: unsafe fn(shift: *mut (), resume: Resume) -> CpsResult<()>,
    shift: *mut (),
}

type Body = Coroutine<(), Request, CpsResult<()>, Pooled>;

/// The frame of a suspended `shift`.
struct Shift<H, V, A> {
    handler: Option<H>,
    value: Option<V>,
    answer: *const Cell<Option<A>>,
}

/// # Safety
/// `prompt` is running; the handler does not use anything that ends before the body, other than what it owns;
/// `answer` outlives the body.
#[inline]
pub(super) unsafe fn shift_unchecked<V, A, H>(
    prompt: *const Link,
    answer: *const Cell<Option<A>>,
    at: At,
    handler: H,
) -> V
where
    H: for<'k> FnOnce(Continuation<'k, V, A>) -> CpsResult<A>,
{
    /// # Safety
    /// `shift` points to the `Shift<H, V, A>` of a suspended body, whose handler was not taken yet.
    unsafe fn run<V, A, H>(shift: *mut (), resume: Resume) -> CpsResult<()>
    where
        H: for<'k> FnOnce(Continuation<'k, V, A>) -> CpsResult<A>,
    {
        let shift = shift.cast::<Shift<H, V, A>>();
        // Everything is copied to this frame before the handler can resume the body: raw pointers, so that no
        // reference into the body's frame is held while that frame goes away.
        // SAFETY: by the contract, the frame is alive now.
        let (handler, value, answer) =
            unsafe { ((*shift).handler.take(), &raw mut (*shift).value, (*shift).answer) };
        let handler = handler.expect("a request is served once");
        let a = handler(Continuation { value, answer, resume, brand: PhantomData })?;
        // SAFETY: the answer's cell outlives the body.
        unsafe { (*answer).set(Some(a)) };
        Ok(())
    }
    let mut shift = Shift { handler: Some(handler), value: None::<V>, answer };
    let shift: *mut Shift<H, V, A> = &raw mut shift;
    suspend(Request { prompt, run: run::<V, A, H>, shift: shift.cast() }, at);
    // SAFETY: only `Continuation::resume` wakes this frame without unwinding it, after it has set the value.
    unsafe { (*shift).value.take() }.expect("a resumed continuation has left a value")
}

/// Hands a request to the driver of the innermost running body.
#[inline]
fn suspend(request: Request, at: At) {
    // SAFETY: some prompt is running: the request's, at least.
    let innermost = unsafe { &*CURRENT.get() };
    if !innermost.is_here() {
        raise_on_a_foreign_stack(at);
    }
    // SAFETY: its yielder was set when its body started; that body is what runs, as was just found.
    let yielder = unsafe { &*innermost.yielder.get() };
    yielder.suspend(request);
}

#[cold]
#[inline(never)] // so that the operators' frames have no room for it
fn raise_on_a_foreign_stack(at: At) -> ! {
    raise(on_a_foreign_stack(at))
}

#[cold]
#[inline(never)] // likewise
fn on_a_foreign_stack(at: At) -> Box<Error> {
    let reason = "a coroutine that is not of this crate runs inside of a derivative or a reset, or has left one in the \
                  middle: only one stack at a time can be captured";
    Box::new(Error::OutsideReset { reason, at })
}

/// The right to let a suspended body go on.
pub(super) struct Resume {
    body: *mut Body,
    link: *const Link,
}

impl Resume {
    /// In a destructor of a body that is being given up.
    pub(super) const NOTHING: Resume = Resume { body: ptr::null_mut(), link: ptr::null() };

    #[inline(always)] // likewise
    #[track_caller]
    pub(super) fn now(self) -> CpsResult<()> {
        if self.body.is_null() {
            return Err(given_up());
        }
        // SAFETY: see `drive`, which made this.
        unsafe { drive(self.body, self.link) }
    }
}

#[cold]
#[inline(never)] // so that the operators' frames have no room for it
#[track_caller]
fn given_up() -> Box<Error> {
    let reason =
        "shift: the body is being given up, and this is one of its destructors: there is no rest to resume";
    Box::new(Error::OutsideReset { reason, at: At::caller() })
}

/// Runs `body` as a coroutine under the prompt `link`, until it ends.
pub(super) fn run(link: &Link, body: impl FnOnce() -> CpsResult<()>) -> CpsResult<()> {
    // The body is handed over in this frame, since a coroutine starts with at most a kilobyte: a structure of many
    // arrays is more.
    let mut body = Some(body);
    run_handed(link, &mut || body.take().expect("a coroutine starts once")())
}

/// [`run`]. One function for all bodies: each derivative has its own.
fn run_handed(link: &Link, body: &mut dyn FnMut() -> CpsResult<()>) -> CpsResult<()> {
    let stack = Pooled::take()?;
    link.extent.set(stack.extent());
    let link: *const Link = link;
    let start = move |yielder: &Yielder<(), Request>, ()| {
        // SAFETY: `link` outlives the coroutine, which ends before `run_handed` returns.
        unsafe { (*link).yielder.set(yielder) };
        // Errors raised inside of the body end it; its frames are unwound and the driver returns the error.
        catch(body)
    };
    // SAFETY: the coroutine and all it borrows end in this function: it is driven to its end, or unwound when
    // `coroutine` is dropped.
    let mut coroutine = unsafe { Body::with_stack_unchecked(stack, start) };
    // SAFETY: `coroutine` and `link` outlive the call, and nothing else uses them.
    let result = unsafe { drive(&raw mut coroutine, link) };
    // SAFETY: as above.
    if unsafe { (*link).cut.get() } {
        // SAFETY: as above.
        let at = unsafe { (*link).at };
        return result.and(Err(Box::new(cut_off(at))));
    }
    result
}

#[cold]
fn cut_off(at: At) -> Error {
    let reason = "a destructor of an inner body that was given up used an operator on a variable of this derivative, \
                  or a shift to this prompt: there was no rest of the program for it to capture";
    Error::OutsideReset { reason, at }
}

/// Resumes a body and serves its next request, which in turn may resume it: the nesting of handlers.
///
/// # Safety
/// `body` and `link` are alive, and the body is suspended or not yet started.
#[inline(always)] // one frame per operator instead of two
unsafe fn drive(body: *mut Body, link: *const Link) -> CpsResult<()> {
    stack::check()?;
    // SAFETY: links of the chain live on the stacks of the `run`s that are under way.
    if unsafe { CURRENT.get().as_ref() }.is_some_and(|outer| !outer.is_here()) {
        // SAFETY: by the contract.
        return Err(on_a_foreign_stack(unsafe { (*link).at }));
    }
    // SAFETY: by the contract; while the body runs nobody else holds a reference to it.
    let (prompt, coroutine) = unsafe { (&*link, &mut *body) };
    let request = {
        // A continuation may be resumed under another prompt than it was captured under, and in a destructor.
        prompt.outer.set(CURRENT.get());
        prompt.in_destructor.set(std::thread::panicking());
        // SAFETY: the coroutine is alive, and with it its stack.
        let _running = Running::enter(link, unsafe { prompt.floor() });
        match coroutine.resume(()) {
            CoroutineResult::Return(result) => return result,
            CoroutineResult::Yield(request) => request,
        }
    };
    // If the handler never resumes the body, the body is unwound here, where everything its values may refer to
    // still exists.
    let _abandon = Abandon { body, prompt };
    if ptr::eq(request.prompt, link) {
        // SAFETY: the body is suspended in the `shift` that made the request.
        unsafe { (request.run)(request.shift, Resume { body, link }) }
    } else {
        // For an outer prompt: this stack is part of that prompt's body.
        suspend(request, prompt.at);
        // SAFETY: as above; the outer handler has set the value and let us go on.
        unsafe { drive_on(body, link) }
    }
}

/// [`drive`], after a request that was not for this prompt.
///
/// # Safety
/// As for [`drive`].
#[inline(never)]
unsafe fn drive_on(body: *mut Body, link: *const Link) -> CpsResult<()> {
    // SAFETY: by the contract.
    unsafe { drive(body, link) }
}

/// Makes a prompt the innermost one while its body runs.
struct Running {
    outer: *const Link,
    _floor: Floor,
}

impl Running {
    #[inline]
    fn enter(link: *const Link, floor: usize) -> Running {
        Running { outer: CURRENT.replace(link), _floor: Floor::set(floor) }
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

/// Unwinds a body that nobody resumed.
struct Abandon<'a> {
    body: *mut Body,
    prompt: &'a Link,
}

impl Drop for Abandon<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `drive` holds no reference to the body at this point, and the body outlives the driver's frames.
        let body = unsafe { &mut *self.body };
        if !body.done() {
            // What is dropped now has no continuation that it could hand over.
            self.prompt.abandoned.set(true);
            self.prompt.outer.set(CURRENT.get());
            // SAFETY: the body is alive, and with it its stack.
            let floor = unsafe { self.prompt.floor() };
            let _unwinding = Running::enter(self.prompt, stack::last_floor(floor));
            body.force_unwind();
        }
    }
}
