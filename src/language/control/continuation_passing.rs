//! Control flow that is recorded: what [`Control`] does where a condition is not known while the model runs.
//!
//! In direct style, `record_cond` and `record_fix` write an `if` and a local function. In reverse mode both are needed
//! in continuation-passing style, over the interpretation below: the rest of the program becomes a function from
//! primals to adjoints, written once. An arm of `branch_to` computes its result, calls the join point with it, gets
//! the adjoints back and runs its backward half; a body of `fix_to` does the same with the continuation it was given.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use crate::continuation::unwinding::raise;
use crate::continuation::{Trial, is_trial};
use crate::error::{At, CpsResult, Error};
use crate::finite::Looking;
use crate::language::control::{Control, rows};
use crate::language::real::Real;
use crate::language::state::{Leaf, State};
#[cfg(doc)]
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;

/// A piece of the user's control flow: the name under which it was called, and where.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// "while_loop", which is recorded as a function, say.
    pub op: &'static str,
    /// The user's line.
    pub at: At,
}

impl Site {
    /// Control flow of this name at the caller's line.
    #[track_caller]
    pub(crate) fn caller(op: &'static str) -> Site {
        Site { op, at: At::caller() }
    }
    /// What the two ways of a branch do, in words.
    pub(crate) fn arms(self) -> &'static str {
        match self.op {
            "fold_tree" => "the leaf and the inner function of a fold_tree give",
            _ => "the arms of a cond give",
        }
    }
    /// What becomes of the arguments of a function, in words.
    pub(crate) fn calls(self) -> &'static str {
        match self.op {
            "while_loop" => "before and after a round, the state of a while_loop has",
            "scan" => "before and after a step, the carry of a scan has",
            _ => "a recursive function is called with",
        }
    }
    /// What to write where the ways that meet here do not bring the same, in words.
    fn mend(self) -> &'static str {
        match self.op {
            "while_loop" | "scan" => {
                "a loop keeps the structure and the shapes of its state: begin with one like that which a round gives"
            }
            "cond" => {
                "let both arms give the same structure and shapes, with `zeros_like` or `broadcast_to`, say"
            }
            _ => "give the same structure and shapes in each place",
        }
    }
    /// That two ways do not bring the same, and what to write.
    pub(crate) fn disagreement(self, what: &str) -> Error {
        Error::Recording { reason: format!("{what}; {}", self.mend()), at: self.at }
    }
    /// Whether it is a loop.
    #[cfg(feature = "staging")]
    pub(crate) fn is_loop(self) -> bool {
        matches!(self.op, "while_loop" | "scan")
    }
    /// How many of the arguments and results of a function the user knows nothing of: a scan counts its rows.
    pub(crate) fn own_values(self) -> usize {
        usize::from(self.op == "scan")
    }
}

/// The components of a state.
pub type Leaves<T> = Vec<Leaf<T>>;
/// What calls a recorded function in direct style.
pub type Call<'a, T> = &'a dyn Fn(Leaves<T>) -> Leaves<T>;
/// The body of a recorded function in direct style: its recursive self, and the argument.
pub type Function<'a, T> = &'a dyn Fn(Call<'_, T>, Leaves<T>) -> Leaves<T>;
/// A recorded continuation: from primals to the adjoints of those that are real.
pub type To<'a, T> = &'a mut dyn FnMut(Leaves<T>) -> CpsResult<Vec<<T as Real>::Adjoint>>;
/// One arm of a branch, which calls the join point.
pub type Arm<'a, T> = &'a mut dyn FnMut(To<'_, T>) -> CpsResult<()>;
/// What calls a recorded function in continuation-passing style.
pub type CallTo<'a, T> = &'a dyn Fn(Leaves<T>, To<'_, T>) -> CpsResult<Vec<<T as Real>::Adjoint>>;
/// The body of a recorded function in continuation-passing style: its recursive self, the argument, the continuation.
pub type BodyTo<'a, T> =
    &'a mut dyn FnMut(CallTo<'_, T>, Leaves<T>, To<'_, T>) -> CpsResult<Vec<<T as Real>::Adjoint>>;

/// What writes a row of [`Tensor::record_rows`].
pub type PutRow<'a, T> = &'a dyn Fn(&<T as Real>::Int, T);
/// What [`Tensor::record_rows`] runs, with what writes a row; what it returns is returned.
pub type Fill<'a, T> = &'a mut dyn FnMut(PutRow<'_, T>) -> Leaves<T>;

/// A piece of a program in direct style that was recorded without derivatives, to be one operator of a derivative of a
/// derivative: what [`Control::apply_region`] writes as often as it is needed.
#[derive(Clone)]
pub struct Region {
    pub(crate) piece: Rc<dyn Any>,
    /// Whether what it computes is to be computed again for its derivative, where it is.
    pub(crate) again: bool,
}

impl Region {
    /// What the interpretation that records keeps of it.
    pub(crate) fn new(piece: Rc<dyn Any>) -> Region {
        Region { piece, again: false }
    }
    /// The same.
    pub(crate) fn piece<P: 'static>(&self) -> Option<Rc<P>> {
        Rc::clone(&self.piece).downcast().ok()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

/// What a [`Region`] uses of the variables outside of it: each as it is outside, and as it is inside.
#[derive(Debug)]
pub struct Captured<T: Real> {
    pub(crate) outside: Leaves<T>,
    pub(crate) inside: Leaves<T>,
}

impl<T: Real> Captured<T> {
    /// The same of another interpretation.
    pub(crate) fn map<U: Real>(self, mut f: impl FnMut(Leaves<T>) -> Leaves<U>) -> Captured<U> {
        Captured { outside: f(self.outside), inside: f(self.inside) }
    }
}

/// Control flow of an interpretation that has none of this kind.
pub(crate) fn unsupported(Site { op, at }: Site) -> Error {
    let reason = "this interpretation has no recorded control flow";
    Error::Argument { op, reason: reason.into(), at }
}

/// The components of a state.
pub(crate) fn leaves<T: Real, S: State<T>>(state: &S) -> Leaves<T> {
    let mut leaves = Vec::new();
    state.flatten(&mut leaves);
    leaves
}

/// The same components with other reals.
pub(crate) fn with_reals<T: Real, U: Real<Int = T::Int, Bool = T::Bool>>(
    leaves: impl IntoIterator<Item = Leaf<T>>,
    mut real: impl FnMut(T) -> U,
) -> Leaves<U> {
    leaves.into_iter().map(|leaf| leaf.map_real(&mut real)).collect()
}

/// The real components.
pub(crate) fn reals<T: Real>(leaves: &[Leaf<T>]) -> impl Iterator<Item = &T> {
    leaves.iter().filter_map(|leaf| if let Leaf::Real(x) = leaf { Some(x) } else { None })
}

/// That values of the same components have them in the same places; other ones differ in their types.
pub(super) fn same_outline<T: Real, S: State<T>>(who: &str, site: Site, a: &S, b: &S) {
    let outline = |x: &S| {
        let mut lengths = Vec::new();
        x.outline(&mut lengths);
        lengths
    };
    if outline(a) != outline(b) && leaves(a).len() == leaves(b).len() {
        let what = "lists of different lengths, or an option with something here and nothing there";
        raise(site.disagreement(&format!("{who} {what}")));
    }
}

/// The payload with which a tried body leaves the arm that calls the function again.
struct Recurses;

fn is_recursion(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Recurses>()
}

/// A call of the function by itself whose result is not known yet, in a body that is tried.
pub(super) fn recurse() -> ! {
    resume_unwind(Box::new(Recurses))
}

/// What an arm that is tried gives, unless it calls the function again.
pub(super) fn unless_recursive<S>(arm: impl FnOnce() -> S) -> Option<S> {
    match catch_unwind(AssertUnwindSafe(arm)) {
        Ok(result) => Some(result),
        Err(payload) if is_recursion(payload.as_ref()) => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// [`Control::cond`] at a line of the user's.
pub(crate) fn cond<T: Control, S: State<T>>(
    at: Site,
    condition: &T::Bool,
    then: impl FnOnce() -> S,
    otherwise: impl FnOnce() -> S,
) -> S {
    if is_trial() {
        // Any arm that does not recurse shows the structure. Of a batch, both show what is the same for all rows.
        let result = match unless_recursive(then) {
            Some(result) if rows::are_computed::<T>() => {
                unless_recursive(otherwise);
                result
            }
            Some(result) => result,
            None => otherwise(),
        };
        return rows::spread::<T, S>(at, result);
    }
    branch(at, condition, then, |_| otherwise())
}

/// `then()` where the condition holds, else something like it that is of no account.
pub(super) fn cond_or_filler<T: Control, S: State<T>>(
    at: Site,
    condition: &T::Bool,
    then: impl FnOnce() -> S,
) -> S {
    branch(at, condition, then, |like: &S| {
        let fillers: Leaves<T> = leaves(like).iter().map(|leaf| T::filler(INTERNAL, at, leaf)).collect();
        like.rebuild(&mut fillers.into_iter())
    })
}

/// A recorded branch, whose second arm may look at what the first one gave.
fn branch<T: Control, S: State<T>>(
    at: Site,
    condition: &T::Bool,
    then: impl FnOnce() -> S,
    otherwise: impl FnOnce(&S) -> S,
) -> S {
    let structure = RefCell::new(None);
    let flat = |result: S| {
        let flat = leaves(&result);
        if let Some(other) = structure.borrow().as_ref() {
            same_outline(at.arms(), at, other, &result);
        }
        structure.replace(Some(result));
        flat
    };
    let (mut then, mut otherwise) = (Some(then), Some(otherwise));
    let results = T::record_cond(
        INTERNAL,
        at,
        condition,
        &mut || flat(then.take().expect("an arm is recorded once")()),
        &mut || {
            let like = structure.borrow().clone().expect("the first arm is recorded first");
            flat(otherwise.take().expect("an arm is recorded once")(&like))
        },
    );
    let structure = structure.take().expect("both arms were recorded");
    structure.rebuild(&mut results.into_iter())
}

/// [`Control::fix`] at a line of the user's; `result` is like its result, if known.
pub(crate) fn fix<T: Control, A: State<T>, B: State<T>>(
    at: Site,
    x: A,
    result: Option<B>,
    body: &impl Fn(&dyn Fn(A) -> B, A) -> B,
) -> B {
    if is_trial() {
        let result = result.unwrap_or_else(|| body(&|_| recurse(), x));
        return rows::spread::<T, B>(at, result);
    }
    let result = match result {
        Some(result) => result,
        None => attempt::<T, B>(at, || body(&|_| recurse(), x.clone())),
    };
    let results = T::record_fix(INTERNAL, at, leaves(&x), &leaves(&result), &|call, argument| {
        let again = |argument: A| {
            same_outline(at.calls(), at, &x, &argument);
            // In a trial of another function that is defined in this one's body.
            if is_trial() { result.clone() } else { result.rebuild(&mut call(leaves(&argument)).into_iter()) }
        };
        let found = body(&again, x.rebuild(&mut argument.into_iter()));
        same_outline("a recursive function gives", at, &result, &found);
        leaves(&found)
    });
    result.rebuild(&mut results.into_iter())
}

/// What `body` returns, of which only the structure is of account: nothing of it is recorded in the end.
pub(crate) fn tried<T: Control, B>(at: Site, body: impl FnOnce() -> B) -> B {
    if is_trial() { body() } else { attempt::<T, B>(at, body) }
}

/// That a function has no end.
pub(super) fn endless(Site { op, at }: Site) -> Error {
    let reason = format!("{op}: the function calls itself whatever its argument: one arm of a cond must not");
    Error::Recording { reason, at }
}

/// The structure of what `body` returns; nothing of it is recorded in the end.
fn attempt<T: Control, B>(at: Site, body: impl FnOnce() -> B) -> B {
    let (mut body, mut outcome) = (Some(body), None);
    T::scratch(INTERNAL, &mut || {
        let _trying = Trial::begin();
        // Nor is it looked at.
        let _blind = Looking::begin(false);
        let body = body.take().expect("tried once");
        outcome = Some(catch_unwind(AssertUnwindSafe(body)));
    });
    match outcome.expect("it was tried") {
        Ok(result) => result,
        Err(payload) if is_recursion(payload.as_ref()) => raise(endless(at)),
        Err(payload) => resume_unwind(payload),
    }
}

/// [`Control::while_loop`] at a line of the user's, by recursion.
pub(crate) fn while_loop<T: Control, S: State<T>>(
    at: Site,
    init: S,
    condition: impl Fn(&S) -> T::Bool,
    body: impl Fn(S) -> S,
) -> S {
    let like = init.clone();
    fix::<T, S, S>(at, init, Some(like), &|again, state| {
        let goes_on = condition(&state);
        cond::<T, S>(at, &goes_on, || again(body(state.clone())), || state.clone())
    })
}
