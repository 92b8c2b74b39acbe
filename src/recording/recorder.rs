//! A recording under way, and [`record`], which begins and ends one.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_staging::jit::Stop;
use antiphon_staging::{
    self as staging, Binary, Block, Builder, Class, Dtype, Host, ProbeKind, Program, Type, Unary, Value,
};

use super::pair::Earlier;
use super::region::Regions;
use super::tensor::Again;
use super::transcript::Transcript;
use super::{CompileOptions, Handle, Plain, Recorded};
use crate::continuation::stack;
use crate::continuation::unwinding::{OrRaise, blame, catch, raise};
use crate::error::{At, Direction, Error, Result};
use crate::finite::{self, Looking};
use crate::language::control::continuation_passing::leaves;
use crate::language::params::Path;
use crate::language::state::{Leaf, State};
use crate::language::structure::{MapComponent, Structure};

pub(super) struct Recorder {
    pub(super) id: u64,
    pub(super) dtype: Dtype,
    pub(super) builder: Builder,
    /// The blocks that may or may not run when what encloses them does.
    pub(super) conditional: RefCell<HashSet<Block>>,
    pub(super) regions: Regions,
    /// The operators of the host that the program calls.
    pub(super) hosts: RefCell<HashMap<Host, Rc<dyn Again>>>,
    /// How many operators the program may have.
    operators: usize,
    stop: Stop,
    /// Where the model asked last for a value that is not known while it is recorded.
    asked: Cell<Option<At>>,
    /// The recording around this one, if this one goes on with its values.
    pub(super) earlier: Option<Earlier>,
}

/// Numbers the recordings of all threads: values of one are strangers in all others.
static RECORDINGS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The recordings under way, the innermost last.
    /// Nothing is to be dropped when the thread ends: destructors of other values may still record then.
    static RECORDERS: RefCell<ManuallyDrop<Vec<Rc<Recorder>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

#[track_caller]
pub(super) fn recorder() -> Rc<Recorder> {
    // No closure here: it would not know its caller.
    match RECORDERS.with_borrow(|stack| stack.last().cloned()) {
        Some(recorder) => {
            let at = blame(At::caller());
            recorder.check(at);
            recorder
        }
        None => misplaced(),
    }
}

#[track_caller]
fn misplaced() -> ! {
    let reason = "a recorded value was used outside of the recording that it belongs to";
    raise(Error::OutsideReset { reason, at: At::caller() })
}

impl Recorder {
    /// Leaves the model if it has recorded too much, or for too long.
    pub(super) fn check(&self, at: At) {
        // What destructors record while an error leaves the model is not much, and must not raise another one.
        if std::thread::panicking() {
            return;
        }
        if self.builder.count() > self.operators {
            let reason = format!(
                "the program has more than {} operators: write what is unrolled as a loop, with `scan` or \
                 `while_loop`, or raise `CompileOptions::operators`",
                self.operators
            );
            raise(Error::Recording { reason, at });
        }
        if let Err(error) = self.stop.check() {
            raise(from_staging(error, at));
        }
    }

    /// Says which of the user's lines is recorded from now on.
    pub(super) fn at(&self, at: At) {
        self.builder.at(Some(at.location()));
    }

    /// Records `f` as a part of the backward pass, and of the line of what is differentiated, if it is known.
    pub(super) fn backward<R>(&self, line: Option<&'static Location<'static>>, f: impl FnOnce() -> R) -> R {
        self.builder.at(line);
        /// Also when an error leaves it.
        struct Pass<'a>(&'a Builder, bool);
        impl Drop for Pass<'_> {
            fn drop(&mut self) {
                self.0.set_backward(self.1);
            }
        }
        let _pass = Pass(&self.builder, self.builder.set_backward(true));
        f()
    }

    /// Goes on with a panic of the model, unless it is that of a value which is not there while it is recorded.
    pub(super) fn panicked(&self, payload: Box<dyn Any + Send>) -> ! {
        let of_nothing =
            payload.downcast_ref::<&str>().is_some_and(|text| text.contains("on a `None` value"));
        match self.asked.get().filter(|_| of_nothing) {
            None => resume_unwind(payload),
            Some(at) => {
                let reason = "`known` gives nothing while a model is recorded, since the value may be another one in \
                              each run: in place of Rust's own `if`, `while` and indexing write `cond`, \
                              `while_loop`, `select` and `gather_rows`, or pass the value as a constant of the program";
                raise(Error::Recording { reason: reason.into(), at })
            }
        }
    }

    pub(super) fn new<T: Plain>(
        name: &str,
        options: &CompileOptions,
        stop: &Stop,
        earlier: Option<Earlier>,
    ) -> Rc<Recorder> {
        Rc::new(Recorder {
            id: RECORDINGS.fetch_add(1, Ordering::Relaxed),
            dtype: T::DTYPE,
            builder: Builder::new(name),
            conditional: RefCell::default(),
            regions: Regions::default(),
            hosts: RefCell::default(),
            operators: options.operators,
            stop: stop.clone(),
            asked: Cell::new(None),
            earlier,
        })
    }

    /// A further input of the program.
    pub(super) fn input(&self, path: &Path, ty: Type) -> Leaf<Recorded> {
        self.leaf(self.builder.input(&short_name(&path.to_string()), ty))
    }

    /// The value, if it is of this recording, or of the one that it goes on with.
    #[track_caller]
    pub(super) fn value_of(&self, x: Handle) -> Value {
        match &self.earlier {
            _ if x.recording == self.id => x.value,
            Some(earlier) if x.recording == earlier.recorder.id => earlier.value_in(self, x.value),
            _ => misplaced(),
        }
    }

    /// Begins a block that may or may not run.
    pub(super) fn begin_arm(&self) {
        self.builder.begin();
        self.conditional.borrow_mut().insert(self.here());
    }

    /// The innermost open block.
    pub(super) fn here(&self) -> Block {
        *self.builder.open().last().expect("the program's body is open until it is finished")
    }

    pub(super) fn wrap(&self, value: Value) -> Handle {
        Handle { value, recording: self.id }
    }

    #[track_caller]
    pub(super) fn emit(&self, expr: staging::Expr) -> Handle {
        let at = At::caller();
        self.at(blame(at));
        let op = if finite::looks() && computes(&expr) { Some(expr.name()) } else { None };
        match self.builder.emit(expr) {
            Ok(value) => {
                if let Some(op) = op
                    && self.builder.ty(value).dtype.is_float()
                {
                    let (op, direction) = finite::operator(op);
                    let kind = ProbeKind::Finite { op, backward: direction == Direction::Backward };
                    self.builder.probe(kind, value, blame(at).location()).located().or_raise();
                }
                self.wrap(value)
            }
            Err(error) => raise(from_staging(error, at)),
        }
    }
}

/// Nothing: what a recorded value is, is not known while the model runs.
#[track_caller]
pub(super) fn unknown<T>() -> Option<T> {
    let at = At::caller();
    RECORDERS.with_borrow(|stack| {
        if let Some(recorder) = stack.last() {
            recorder.asked.set(Some(at));
        }
    });
    None
}

/// Records `f` as a program of the components of `example`, whose values are of no account.
///
/// ```
/// use antiphon::{NdArray, Real, grad, recording};
/// let cube = |x: recording::Recorded| grad(|y| y.clone() * &y * &y, &x).unwrap();
/// let mut program = recording::record("slope", cube, &NdArray::scalar(2.0f64))?;
/// recording::optimise(&mut program, &Default::default());
/// assert_eq!(recording::interpret(&program, &NdArray::scalar(2.0f64))?, [NdArray::scalar(12.0)]);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What `f` raises: shapes that do not fit are found while recording, with the user's line.
#[track_caller]
pub fn record<T, P, Q>(name: &str, f: impl FnOnce(P::With<Recorded>) -> Q, example: &P) -> Result<Program>
where
    T: Plain,
    P: Structure<T>,
    Q: State<Recorded>,
{
    record_with(name, f, example, &CompileOptions::default())
}

/// [`record`] with other options, of which recording reads
/// [`operators`](CompileOptions::operators), [`interrupt`](CompileOptions::interrupt) and
/// [`time_limit`](CompileOptions::time_limit).
///
/// ```
/// use antiphon::recording::{CompileOptions, Recorded, record_with};
/// use antiphon::{NdArray, Real};
/// let sines = |x: Recorded| (0..1000).fold(x, |x, _| x.sin());
/// let options = CompileOptions { operators: 999, ..CompileOptions::default() };
/// let error = record_with("sines", sines, &NdArray::scalar(1.0f64), &options).unwrap_err();
/// assert!(error.to_string().contains("more than 999 operators"));
/// ```
///
/// # Errors
/// As [`record`]; [`Error::Interrupted`].
#[track_caller]
pub fn record_with<T, P, Q>(
    name: &str,
    f: impl FnOnce(P::With<Recorded>) -> Q,
    example: &P,
    options: &CompileOptions,
) -> Result<Program>
where
    T: Plain,
    P: Structure<T>,
    Q: State<Recorded>,
{
    let f = |input: MapComponent<'_, T, Recorded>| Ok(f(example.map_components(&mut Path::default(), input)));
    trace(name, options, &Stop::of(options), f).map(|recording| recording.program)
}

/// What [`trace`] records.
pub(crate) struct Traced<Q> {
    pub(crate) program: Program,
    /// The result, for its structure.
    pub(crate) result: Q,
}

impl<Q> Traced<Q> {
    /// What was recorded, line by line.
    pub(crate) fn transcript(&self) -> Transcript {
        Transcript::of(&self.program)
    }
}

/// Records `f`, which makes its inputs from examples with the function that it is given, until it is to stop.
#[track_caller]
pub(crate) fn trace<T, Q>(
    name: &str,
    options: &CompileOptions,
    stop: &Stop,
    f: impl FnOnce(MapComponent<'_, T, Recorded>) -> Result<Q>,
) -> Result<Traced<Q>>
where
    T: Plain,
    Q: State<Recorded>,
{
    let at = At::caller();
    let recorder = Recorder::new::<T>(name, options, stop, None);
    let (result, outputs) = catch(|| -> Result<_> {
        let _looking = Looking::begin(options.check_finite);
        let _recording = Recording::begin(Rc::clone(&recorder));
        stack::on_reserved(|| {
            let mut input = |path: &Path, leaf: Leaf<T>| recorder.input(path, T::ty(&leaf));
            let result = match catch_unwind(AssertUnwindSafe(|| f(&mut input))) {
                Ok(result) => result?,
                Err(payload) => recorder.panicked(payload),
            };
            let outputs = recorder.values(&leaves(&result));
            recorder.check(at);
            Ok((result, outputs))
        })
    })?;
    Ok(Traced { program: finish(recorder, &outputs, at)?, result })
}

/// The program that was recorded, with these results.
pub(super) fn finish(recorder: Rc<Recorder>, outputs: &[Value], at: At) -> Result<Program> {
    let Recorder { builder, .. } =
        Rc::into_inner(recorder).expect("no recorded value holds on to its recorder");
    // Verifying goes as deep as functions are nested: once more for each loop of a derivative.
    let program = catch(|| -> Result<_> { Ok(stack::on_reserved(|| builder.finish(outputs))) })?;
    program.map_err(|error| from_staging(error, at))
}

/// The recording that a value or a piece of a program belongs to.
pub(super) fn recorder_of(id: u64) -> Rc<Recorder> {
    let found = RECORDERS.with_borrow(|stack| stack.iter().rev().find(|recorder| recorder.id == id).cloned());
    found.unwrap_or_else(|| misplaced())
}

/// Makes a recorder the innermost one, until dropped.
pub(super) struct Recording;

impl Recording {
    pub(super) fn begin(recorder: Rc<Recorder>) -> Recording {
        RECORDERS.with_borrow_mut(|stack| stack.push(recorder));
        Recording
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDERS.with_borrow_mut(|stack| {
            stack.pop();
            if stack.is_empty() {
                // Its memory, too.
                **stack = Vec::new();
            }
        });
    }
}

/// Whether an operator can give what is not finite where its operands are: those that move elements or choose among
/// them cannot.
fn computes(expr: &staging::Expr) -> bool {
    match expr.class() {
        Class::Elementwise => match expr {
            staging::Expr::Unary(op, _) => *op != Unary::Neg,
            staging::Expr::Binary(op, ..) => !matches!(op, Binary::Maximum | Binary::Minimum),
            _ => matches!(expr, staging::Expr::Powi(..)),
        },
        Class::Reduction | Class::Product | Class::Convolution | Class::Host => true,
        Class::Indexed => {
            matches!(expr, staging::Expr::ScatterRows { .. } | staging::Expr::WriteRows { add: true, .. })
        }
        Class::Movement | Class::InMemory | Class::Placement => false,
    }
}

/// Results of making and running programs.
pub(crate) trait Located<T> {
    /// The same, with this crate's error and the caller's line. A method and not a function for `map_err`, which
    /// would not know its caller.
    fn located(self) -> Result<T>;
}

impl<T> Located<T> for staging::Result<T> {
    #[track_caller]
    fn located(self) -> Result<T> {
        let at = blame(At::caller());
        self.map_err(|error| from_staging(error, at))
    }
}

/// What went wrong in a program, as this crate's error.
pub(crate) fn from_staging(error: staging::Error, at: At) -> Error {
    match error {
        staging::Error::Index { op, index, length, at: line } => {
            Error::Index { op, index, len: length, at: line.map_or(at, At::of) }
        }
        staging::Error::Ensure { message, at } => Error::Ensure { message, at: At::of(at) },
        staging::Error::Host { op, reason, at } => Error::Argument { op, reason, at: At::of(at) },
        staging::Error::NotFinite { op, backward, value, at } => {
            let direction = if backward { Direction::Backward } else { Direction::Forward };
            Error::NotFinite { op, direction, value, at: At::of(at) }
        }
        staging::Error::StackExhausted { bytes, by, .. } => {
            Error::StackExhausted { limit: bytes, depth: None, by }
        }
        staging::Error::Interrupted { after } => Error::Interrupted { after, at },
        staging::Error::Memory { bytes } => Error::Memory { bytes, at },
        staging::Error::OutOfScope { entity } => {
            let reason = format!(
                "{entity} is not in scope here: what is computed in a branch, in the body of a loop or function, or \
                 after them in a loss, is known there only. Give it as a result: of the branch, as part of the \
                 loop's state, or as an auxiliary result of the loss (value_and_grad_aux)"
            );
            Error::Recording { reason, at }
        }
        _ => Error::Recording { reason: error.to_string(), at },
    }
}

/// A component's name without the places in tuples that it begins with; `x` and the place, if that is all of it.
fn short_name(path: &str) -> String {
    let is_place = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = path;
    while let Some((first, after)) = rest.split_once('.')
        && is_place(first)
    {
        rest = after;
    }
    if is_place(rest) { format!("x{rest}") } else { rest.to_owned() }
}
