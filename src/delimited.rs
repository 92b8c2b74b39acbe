//! [`reset`] and [`shift`]: one-shot delimited continuations on native stacks.
//!
//! The body of a `reset` runs as a coroutine. `shift(prompt, handler)` suspends it and calls the handler on the
//! *driver's* stack, where `reset` was called; the handler resumes the body with `k.resume(value)`, which returns
//! when the body is done. So the handlers of successive `shift`s nest: what they do before `resume` happens in
//! order, and what they do afterwards in reverse. That is the whole of reverse-mode differentiation.
//!
//! Differences from the textbook's `shift` (Danvy & Filinski 1990): a continuation can be called once at most, and
//! the handler itself runs outside of its prompt (as with `shift0`).

use std::cell::Cell;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ptr;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::error::{At, CpsResult, Error, Result, catch, raise};
use crate::real::Real;
use crate::recorded::is_trial;
use crate::stack::{self, Extent, Floor, Pooled};

/// What a suspended body asks for: run this handler, at this prompt.
struct Request {
    prompt: *const Link,
    /// Runs the handler that `shift` points to. The body's frame is gone once the body was resumed, so the
    /// handler is first moved out of it.
    run: unsafe fn(shift: *mut (), resume: Resume) -> CpsResult<()>,
    shift: *mut (),
}

type Body = Coroutine<(), Request, CpsResult<()>, Pooled>;

/// A prompt without its types: one link of the chain of prompts that are running.
struct Link {
    level: Level,
    /// The user's line of the `reset`, the derivative or the control flow.
    at: At,
    /// The kind of variables that it is for: [`Real::NESTING`](crate::Real::NESTING). Zero for a [`reset`] of the
    /// user's.
    variables: u64,
    yielder: Cell<*const Yielder<(), Request>>,
    /// How far down the body's stack may be used; nothing before the body starts.
    extent: Cell<*const Extent>,
    /// The prompt around it: the one that was innermost when its body was last resumed.
    outer: Cell<*const Link>,
    /// Whether the body was given up: what it leaves as its answer does not count.
    abandoned: Cell<bool>,
    /// Whether the body was last entered while the thread was unwinding something else: in a destructor.
    in_destructor: Cell<bool>,
    /// Whether the body itself has raised an error that is not caught yet.
    raising: Cell<bool>,
    /// Whether a [`shift`] to this prompt came from a body inside of it that had been given up: see [`Found::Cut`].
    cut: Cell<bool>,
}

impl Link {
    /// One inside of the prompts that are running.
    fn new(level: Level, variables: u64, at: At) -> Link {
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
    fn is_here(&self) -> bool {
        // SAFETY: as for `floor`; a prompt is current only while its body has not ended.
        unsafe { (*self.extent.get()).is_current() }
    }

    /// The lowest address that the body may reach for now.
    ///
    /// # Safety
    /// The body has started, and its stack is alive.
    #[inline]
    unsafe fn floor(&self) -> usize {
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
    static CURRENT: Cell<*const Link> = const { Cell::new(ptr::null()) };
    /// The answer of every derivative's prompt.
    static NOTHING: Cell<Option<()>> = const { Cell::new(None) };
    static LEVELS: Cell<NonZeroU64> = const { Cell::new(NonZeroU64::new(2).unwrap()) };
}

/// The delimiter of a [`reset`] whose answer is an `A`. `'p` is the time during which it runs, `'env` what
/// surrounds it: handlers own what they use, or borrow it from `'env`, but never from the body.
pub struct Prompt<'p, 'env: 'p, A> {
    link: Link,
    answer: Cell<Option<A>>,
    brand: PhantomData<(&'p mut &'p (), &'env mut &'env ())>,
}

/// The rest of a body after a [`shift`], up to its `reset`. If its handler returns without having resumed it, the
/// body is unwound then: its values are dropped.
pub struct Continuation<'k, V, A> {
    value: *mut Option<V>,
    answer: *const Cell<Option<A>>,
    resume: Resume,
    brand: PhantomData<&'k mut &'k ()>,
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
/// to the destructor and returns an error at once, and the handler's answer is dropped.
///
/// # Errors
/// Raises [`Error::OutsideReset`] if the prompt's body is not running (in a handler of its own, for instance), or is
/// being given up and the handler does not resume.
#[track_caller]
pub fn shift<'p, V, A>(
    prompt: &'p Prompt<'p, '_, A>,
    handler: impl for<'k> FnOnce(Continuation<'k, V, A>) -> CpsResult<A> + 'p,
) -> V {
    match find(prompt.link.level) {
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

#[cold]
#[inline(never)] // so that the operators' frames have no room for it
#[track_caller]
fn given_up() -> Box<Error> {
    let reason =
        "shift: the body is being given up, and this is one of its destructors: there is no rest to resume";
    Box::new(Error::OutsideReset { reason, at: At::caller() })
}

/// A [`reset`] for the variables `V` of one derivative, whose operators find it by its level.
pub(crate) fn reset_at<V: Real>(level: Level, at: At, body: impl FnOnce() -> CpsResult<()>) -> CpsResult<()> {
    run(&Link::new(level, V::NESTING, at), || {
        body()?;
        NOTHING.set(Some(()));
        Ok(())
    })
}

/// [`shift`] to a [`reset_at`] that [`find`] has just found running.
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
    match find(level) {
        // SAFETY: the caller vouches for the handler.
        Found::Running(prompt) => Some(unsafe { shift_to(prompt, at, handler) }),
        Found::Cut | Found::Nowhere => None,
    }
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
            return match find(prompt.level) {
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
pub(crate) struct Here(*const Link);

/// The innermost prompt of a level.
#[inline]
pub(crate) fn find(level: Level) -> Found {
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

/// [`find`] in a destructor, or in a body that was given up.
#[cold]
#[inline(never)]
fn find_in_destructor(mut link: *const Link, level: Level, panicking: bool) -> Found {
    let mut unwinding = false;
    loop {
        // SAFETY: as in `find`.
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

/// Declares that the innermost running body has raised an error, or (`false`) that the error was caught inside of it. In
/// between destructors run, which have room where the error was that there is none.
pub(crate) fn raising(raising: bool) {
    // SAFETY: as in `find`.
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
    // SAFETY: as in `find`.
    let prompt = unsafe { CURRENT.get().as_ref() };
    let _floor = prompt.filter(|prompt| prompt.is_here()).map(|prompt| {
        // SAFETY: the body runs.
        let floor = unsafe { prompt.floor() };
        Floor::set(stack::last_floor(floor))
    });
    f()
}

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
unsafe fn shift_unchecked<V, A, H>(
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
struct Resume {
    body: *mut Body,
    link: *const Link,
}

impl Resume {
    /// In a destructor of a body that is being given up.
    const NOTHING: Resume = Resume { body: ptr::null_mut(), link: ptr::null() };

    #[inline(always)] // likewise
    #[track_caller]
    fn now(self) -> CpsResult<()> {
        if self.body.is_null() {
            return Err(given_up());
        }
        // SAFETY: see `drive`, which made this.
        unsafe { drive(self.body, self.link) }
    }
}

/// Runs `body` as a coroutine under the prompt `link`, until it ends.
fn run(link: &Link, body: impl FnOnce() -> CpsResult<()>) -> CpsResult<()> {
    let stack = Pooled::take()?;
    link.extent.set(stack.extent());
    let link: *const Link = link;
    // The body is handed over in this frame, since a coroutine starts with at most a kilobyte: a structure of many
    // arrays is more.
    let mut body = Some(body);
    let handed = &mut body;
    let start = move |yielder: &Yielder<(), Request>, ()| {
        // SAFETY: `link` outlives the coroutine, which ends before `run` returns.
        unsafe { (*link).yielder.set(yielder) };
        let body = handed.take().expect("a coroutine starts once");
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
