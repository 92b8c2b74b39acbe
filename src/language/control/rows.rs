//! Control flow where the rows of a batch go different ways: all ways that any row goes are gone, one after the other,
//! and each row takes what its own way gives.
//!
//! While a way is gone, the rows on it are *live*. What operators compute of the others is of no account, but has to be
//! finite where it is differentiated: a product of the zero that flows back to them with an infinite number is not
//! zero. So operators that are not linear ask which rows are [of account](of_account), and take 1 in the others, those
//! of the host what is harmless for them, and indices are 0 there.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use crate::continuation::unwinding::{operator, raise};
use crate::continuation::{Trial, is_trial, stack};
use crate::error::Error;
use crate::language::control::continuation_passing::{
    self, Leaves, Site, cond_or_filler, endless, leaves, recurse, same_outline, tried, unless_recursive,
};
use crate::language::control::{Control, known, not_single};
use crate::language::real::{Int, Mask, Real};
use crate::language::shape;
use crate::language::state::{Flag, Leaf, State};
use crate::sealed::INTERNAL;

/// A batch that is being computed, or the live rows of one.
#[derive(Clone)]
struct Frame {
    /// The truth values of its interpretation.
    mask: TypeId,
    rows: usize,
    live: Option<Rc<dyn Any>>,
    /// Whether a recorded function that calls itself where rows go different ways is being defined: then arms that no
    /// row takes are not run, or there would be no end of it.
    recursive: bool,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a frame, until dropped.
struct Within(usize);

impl Within {
    fn new(frame: Frame) -> Within {
        FRAMES.with_borrow_mut(|frames| {
            frames.push(frame);
            Within(frames.len() - 1)
        })
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        FRAMES.with_borrow_mut(|frames| frames.truncate(self.0));
    }
}

fn frame<B: Mask, R>(f: impl FnOnce(&Frame) -> R) -> Option<R> {
    FRAMES.with_borrow(|frames| innermost(frames, TypeId::of::<B>()).map(f))
}

fn innermost(frames: &[Frame], mask: TypeId) -> Option<&Frame> {
    frames.iter().rev().find(|frame| frame.mask == mask)
}

/// The batches that are being computed at a place of a model, and their live rows there: for what is computed again
/// later.
#[derive(Clone)]
pub(super) struct Here(Vec<Frame>);

impl Here {
    /// Of this place.
    pub(super) fn new() -> Here {
        Here(FRAMES.with_borrow(Vec::clone))
    }

    /// Runs `f` as at that place.
    pub(super) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        /// Puts back what there was.
        struct Back(Vec<Frame>);
        impl Drop for Back {
            fn drop(&mut self) {
                FRAMES.replace(mem::take(&mut self.0));
            }
        }
        let _back = Back(FRAMES.replace(self.0.clone()));
        f()
    }
}

/// Runs `f`, which computes a batch of so many rows in an interpretation with these truth values.
pub(crate) fn over<B: Mask, R>(rows: usize, f: impl FnOnce() -> R) -> R {
    let _within = Within::new(Frame { mask: TypeId::of::<B>(), rows, live: None, recursive: false });
    f()
}

/// The number of rows of the batch that is being computed in an interpretation with these truth values.
pub(crate) fn count<B: Mask>() -> Option<usize> {
    frame::<B, _>(|frame| frame.rows)
}

/// The live rows, if not all are.
pub(crate) fn live<B: Mask>() -> Option<B> {
    frame::<B, _>(|frame| frame.live.as_ref().and_then(|live| live.downcast_ref().cloned())).flatten()
}

/// Whether a batch is being computed in an interpretation.
pub(super) fn are_computed<T: Control>() -> bool {
    T::Bool::BATCHES && count::<T::Bool>().is_some()
}

/// An operand of an operator that is not linear, if not all rows are of account where it runs: 1 in the others, for
/// which every operator and its derivatives are finite. None if it is to stay as it is.
#[inline]
#[track_caller]
pub(crate) fn of_account<T: Real>(x: &T) -> Option<T> {
    // No closure that is passed on: it would not know its caller.
    let live = rows_of_account(x)?;
    Some(T::select(&live, x, &T::constant(1.0)))
}

/// Likewise, with other numbers in place of 1.
#[track_caller]
pub(crate) fn of_account_or<T: Real>(x: &T, other: impl FnOnce() -> T) -> Option<T> {
    let live = rows_of_account(x)?;
    Some(T::select(&live, x, &other()))
}

#[inline]
fn rows_of_account<T: Real>(x: &T) -> Option<T::Bool> {
    if T::Bool::BATCHES && x.is_of_rows() { live() } else { None }
}

/// Runs `f` with these rows live.
fn among<B: Mask, R>(live: B, f: impl FnOnce() -> R) -> R {
    within(live, is_recursive::<B>(), f)
}

fn within<B: Mask, R>(live: B, recursive: bool, f: impl FnOnce() -> R) -> R {
    let rows = count::<B>().unwrap_or_default();
    let _within = Within::new(Frame { mask: TypeId::of::<B>(), rows, live: Some(Rc::new(live)), recursive });
    f()
}

fn is_recursive<B: Mask>() -> bool {
    frame::<B, _>(|frame| frame.recursive) == Some(true)
}

/// How many frames there are.
fn depth() -> usize {
    FRAMES.with_borrow(Vec::len)
}

/// A condition of each row, which has to be a single truth value.
fn single<B: Mask>(site: Site, condition: &B) -> B {
    let lengths = condition.lengths();
    if shape::size(&lengths) != 1 {
        raise(not_single(site, &lengths));
    }
    condition.single()
}

/// The live ones of the rows for which the condition holds.
fn live_where<B: Mask>(condition: &B) -> B {
    live::<B>().map_or_else(|| condition.clone(), |live| live.and(condition))
}

/// Whether there are any such rows, as far as is known while the model runs.
fn maybe_any<T: Control>(live: &T::Bool) -> bool {
    T::RECORDS || live.any().known() != Some(false)
}

/// [`Control::cond`] on a condition of each row.
pub(super) fn cond<T: Control, S: State<T>>(
    site: Site,
    condition: &T::Bool,
    then: impl FnOnce() -> S,
    otherwise: impl FnOnce() -> S,
) -> S {
    let condition = single(site, condition);
    let (yes, no) = (live_where(&condition), live_where(&condition.not()));
    if T::RECORDS && is_trial() {
        return structure_of::<T, S>(site, &condition, || among(yes, then), || among(no, otherwise));
    }
    if T::RECORDS && is_recursive::<T::Bool>() {
        let then = cond_or_filler::<T, S>(site, &yes.any(), || among(yes, then));
        let otherwise = cond_or_filler::<T, S>(site, &no.any(), || among(no, otherwise));
        return select::<T, S>(site, &condition, &then, &otherwise);
    }
    match (maybe_any::<T>(&yes), maybe_any::<T>(&no)) {
        (true, true) => {
            let (then, otherwise) = (among(yes, then), among(no, otherwise));
            select::<T, S>(site, &condition, &then, &otherwise)
        }
        // All rows go the same way.
        (true, false) => then(),
        (false, true) => otherwise(),
        // There are none.
        (false, false) => {
            let _trying = Trial::begin();
            structure_of::<T, S>(site, &condition, || among(yes, then), || among(no, otherwise))
        }
    }
}

/// What either arm gives, of which only the structure is of account: of an arm that does not call the function again
/// that it is in.
fn structure_of<T: Control, S: State<T>>(
    site: Site,
    condition: &T::Bool,
    then: impl FnOnce() -> S,
    otherwise: impl FnOnce() -> S,
) -> S {
    match (unless_recursive(then), unless_recursive(otherwise)) {
        (Some(then), Some(otherwise)) => select::<T, S>(site, condition, &then, &otherwise),
        (Some(result), None) | (None, Some(result)) => spread::<T, S>(site, result),
        (None, None) => recurse(),
    }
}

/// `then` where the condition holds, `otherwise` elsewhere, component by component.
fn select<T: Control, S: State<T>>(site: Site, condition: &T::Bool, then: &S, otherwise: &S) -> S {
    same_outline(site.arms(), site, then, otherwise);
    let (yes, no): (Leaves<T>, Leaves<T>) = (leaves(then), leaves(otherwise));
    if yes.len() != no.len() {
        raise(different(site));
    }
    let pairs = yes.iter().zip(&no).map(|(yes, no)| match (yes, no) {
        (Leaf::Real(yes), Leaf::Real(no)) => {
            if !T::same_shape(yes, no) {
                raise(different(site));
            }
            Leaf::Real(T::select(condition, yes, no))
        }
        (Leaf::Int(yes), Leaf::Int(no)) => Leaf::Int(T::Int::select(condition, yes, no)),
        (Leaf::Bool(yes), Leaf::Bool(no)) => Leaf::Bool(condition.and(yes).or(&condition.not().and(no))),
        _ => raise(different(site)),
    });
    let selected: Leaves<T> = pairs.collect();
    then.rebuild(&mut selected.into_iter())
}

fn different(site: Site) -> Error {
    let what = if site.op == "while_loop" { site.calls() } else { site.arms() };
    let reason = format!("{what} values of different shapes, of which no row can take one or the other");
    Error::Argument { op: site.op, reason, at: site.at }
}

/// A call of a recorded function by itself in an arm that only some rows take, which was not there when it was tried.
fn changing(Site { op, at }: Site) -> Error {
    let reason = format!(
        "{op}: the function calls itself where a condition differs from row to row of a batch, which it did not when \
         it was tried: what it does may depend on its argument alone"
    );
    Error::Recording { reason, at }
}

/// A state of which these components, by number, differ from row to row.
fn spread_some<T: Control, S: State<T>>(site: Site, state: &S, which: impl Fn(usize, &Leaf<T>) -> bool) -> S {
    let each = |(i, leaf)| if which(i, &leaf) { T::each_row(INTERNAL, site.at, leaf) } else { leaf };
    let components: Leaves<T> = leaves(state).into_iter().enumerate().map(each).collect();
    state.rebuild(&mut components.into_iter())
}

/// A state of which every component differs from row to row, if a batch is being computed.
pub(super) fn spread<T: Control, S: State<T>>(site: Site, state: S) -> S {
    if !are_computed::<T>() {
        return state;
    }
    spread_some(site, &state, |_, _| true)
}

/// Likewise, of its integers and truth values only. (Reals, of which the derivative is to go through, are spread where
/// they enter what is recorded.)
pub(super) fn spread_discrete<T: Control, S: State<T>>(site: Site, state: S) -> S {
    if !are_computed::<T>() {
        return state;
    }
    spread_some(site, &state, |_, leaf| !is_real(leaf))
}

fn is_real<T: Control>(leaf: &Leaf<T>) -> bool {
    matches!(leaf, Leaf::Real(_))
}

/// What is known of a recorded loop over a batch before it is recorded.
struct Loop {
    /// Which components are integers or truth values that differ from row to row after some rounds.
    differ: Vec<bool>,
    /// Whether rows come to their ends at different times.
    apart: bool,
}

impl Loop {
    /// By trying rounds, until they tell nothing new.
    fn of<T: Control, S: State<T>>(
        site: Site,
        init: &S,
        condition: &impl Fn(&S) -> T::Bool,
        body: &impl Fn(S) -> S,
    ) -> Loop {
        let mut differ = vec![false; leaves::<T, S>(init).len()];
        loop {
            let (next, apart) = tried::<T, _>(site, || {
                let state = spread_some(site, init, |i, leaf| is_real(leaf) || differ[i]);
                let goes_on = condition(&state);
                let apart = goes_on.is_batched();
                let next = unless_recursive(|| match apart {
                    true => among(single(site, &goes_on), || body(state)),
                    false => body(state),
                });
                (next.map_or_else(|| vec![false; differ.len()], |next| differing::<T, S>(&next)), apart)
            });
            if apart || next.iter().zip(&differ).all(|(next, differs)| !next || *differs) {
                return Loop { differ, apart };
            }
            differ = next;
        }
    }
}

/// Which components are integers or truth values that differ from row to row.
fn differing<T: Control, S: State<T>>(state: &S) -> Vec<bool> {
    leaves::<T, S>(state).iter().map(is_of_rows::<T>).collect()
}

/// Whether an integer or truth value differs from row to row.
fn is_of_rows<T: Control>(leaf: &Leaf<T>) -> bool {
    match leaf {
        Leaf::Real(_) => false,
        Leaf::Int(i) => i.equal(i).is_batched(),
        Leaf::Bool(b) => b.is_batched(),
    }
}

/// [`Control::while_loop`] of a batch, recorded.
pub(super) fn record_while_loop<T: Control, S: State<T>>(
    site: Site,
    init: S,
    condition: impl Fn(&S) -> T::Bool,
    body: impl Fn(S) -> S,
) -> S {
    let Loop { differ, apart } = Loop::of::<T, S>(site, &init, &condition, &body);
    if !apart {
        let init = spread_some(site, &init, |i, _| differ[i]);
        return continuation_passing::while_loop(site, init, condition, body);
    }
    let live = live_where(&single(site, &condition(&init)));
    let start = spread_discrete::<T, _>(site, (Flag::<T>(live), init));
    let round = |(Flag(live), state): (Flag<T>, S)| {
        let next = among(live.clone(), || body(state.clone()));
        let next = select::<T, S>(site, &live, &next, &state);
        let goes_on = among(live.clone(), || condition(&next));
        (Flag::<T>(live.and(&single(site, &goes_on))), next)
    };
    continuation_passing::while_loop::<T, _>(site, start, |(live, _)| live.0.any(), round).1
}

/// What is known of a recorded recursive function of a batch before it is recorded.
struct Recursion<B> {
    /// Which components of its argument are integers or truth values that differ from row to row after some calls.
    differ: Vec<bool>,
    /// Whether it calls itself where only some rows go.
    apart: bool,
    /// Something like its result.
    result: B,
}

impl<B> Recursion<B> {
    /// By trying calls, until they tell nothing new.
    fn of<T: Control, A: State<T>>(site: Site, x: &A, body: &impl Fn(&dyn Fn(A) -> B, A) -> B) -> Recursion<B>
    where
        B: State<T>,
    {
        let around = depth();
        let mut differ = vec![false; leaves::<T, A>(x).len()];
        loop {
            let spread = || spread_some(site, x, |i, leaf| is_real(leaf) || differ[i]);
            let result = tried::<T, B>(site, || body(&|_| recurse(), spread()));
            let (next, apart) = tried::<T, _>(site, || {
                let calls = RefCell::new((differ.clone(), false));
                let call = |x: A| {
                    let (next, apart) = &mut *calls.borrow_mut();
                    next.iter_mut().zip(differing::<T, A>(&x)).for_each(|(differs, here)| *differs |= here);
                    *apart |= depth() > around;
                    result.clone()
                };
                body(&call, spread());
                calls.into_inner()
            });
            if apart || next == differ {
                return Recursion { differ, apart, result };
            }
            differ = next;
        }
    }
}

/// [`Control::fix`] of a batch, recorded.
///
/// Where the function calls itself in an arm that only some rows take, its argument has one more component, the rows
/// that have come there; and an arm of its body is run if any of them takes it.
pub(super) fn record_fix<T: Control, A: State<T>, B: State<T>>(
    site: Site,
    x: A,
    body: &impl Fn(&dyn Fn(A) -> B, A) -> B,
) -> B {
    let Recursion { differ, apart, result } = Recursion::of::<T, A>(site, &x, body);
    if !apart {
        let around = depth();
        let x = spread_some(site, &x, |i, _| differ[i]);
        return continuation_passing::fix(site, x, Some(result), &|again: &dyn Fn(A) -> B, x| {
            body(&|x| if depth() == around || is_trial() { again(x) } else { raise(changing(site)) }, x)
        });
    }
    let all = || T::Int::constant(0).equal(&T::Int::constant(0));
    let rows = live::<T::Bool>().unwrap_or_else(|| operator(site.at, all));
    let (Flag(rows), x) = spread_discrete::<T, _>(site, (Flag::<T>(rows), x));
    if is_trial() {
        // For what is called in its body of functions around it.
        return within(rows, true, || body(&|_| result.clone(), spread::<T, A>(site, x)));
    }
    type There<T, A> = (Flag<T>, A);
    let body = |again: &dyn Fn(There<T, A>) -> B, (Flag(rows), x): There<T, A>| {
        let again = |x| again((Flag(live::<T::Bool>().expect("a frame around says which")), x));
        within(rows, true, || body(&again, x))
    };
    continuation_passing::fix(site, (Flag(rows), x), Some(result), &body)
}

/// [`Control::fix`] of a batch where nothing is recorded. A call that is for no row has no result, since there might be
/// no end of it.
pub(super) fn fix<T: Control, A: State<T>, B: State<T>>(
    site: Site,
    x: A,
    body: &impl Fn(&dyn Fn(A) -> B, A) -> B,
) -> B {
    fn call<T: Control, A, B>(body: &impl Fn(&dyn Fn(A) -> B, A) -> B, x: A) -> B {
        let again = |x| {
            if live::<T::Bool>().is_some_and(|live| live.any().known() == Some(false)) {
                recurse();
            }
            call::<T, A, B>(body, x)
        };
        stack::guard(|| body(&again, x))
    }
    match unless_recursive(|| call::<T, A, B>(body, x)) {
        Some(result) => result,
        // In an arm of another function that no row takes.
        None if is_trial() => recurse(),
        None => raise(endless(site)),
    }
}

/// [`Control::while_loop`] where nothing is recorded: until no row goes on. A row that has come to its end keeps its
/// state.
pub(super) fn while_loop<T: Control, S: State<T>>(
    site: Site,
    init: S,
    condition: impl Fn(&S) -> T::Bool,
    body: impl Fn(S) -> S,
) -> S {
    let mut state = init;
    // All rows go on together until a condition says otherwise.
    loop {
        let goes_on = condition(&state);
        if goes_on.is_batched() {
            let mut live = live_where(&single(site, &goes_on));
            while known(site, &live.any()) {
                let next = among(live.clone(), || body(state.clone()));
                state = select::<T, S>(site, &live, &next, &state);
                let goes_on = among(live.clone(), || condition(&state));
                live = live.and(&single(site, &goes_on));
            }
            return state;
        }
        if !known(site, &goes_on) {
            return state;
        }
        state = body(state);
    }
}
