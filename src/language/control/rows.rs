//! Control flow where the rows of a batch go different ways: all ways that any row goes are gone, one after the other,
//! and each row takes what its own way gives.
//!
//! While a way is gone, the rows on it are *live*. What operators compute of the others is of no account, but has to be
//! finite: in a derivative, a product of the zero that flows back to them with an infinite number is not zero. So
//! operators that are not finite everywhere, and indices, ask for the [live](live) rows, and take 1, or index 0, in the
//! others.

use std::any::{Any, TypeId};
use std::cell::RefCell;

use crate::continuation::unwinding::raise;
use crate::error::Error;
use crate::language::control::continuation_passing::{self, Leaves, Site, leaves, same_outline, tried};
use crate::language::control::{Control, known, not_single};
use crate::language::real::{Int, Mask};
use crate::language::shape;
use crate::language::state::{Flag, Leaf, State};
use crate::sealed::INTERNAL;

/// A batch that is being computed, or the live rows of one.
struct Frame {
    /// The truth values of its interpretation.
    mask: TypeId,
    rows: usize,
    live: Option<Box<dyn Any>>,
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

/// Runs `f`, which computes a batch of so many rows in an interpretation with these truth values.
pub(crate) fn over<B: Mask, R>(rows: usize, f: impl FnOnce() -> R) -> R {
    let _within = Within::new(Frame { mask: TypeId::of::<B>(), rows, live: None });
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

/// Runs `f` with these rows live.
fn among<B: Mask, R>(live: B, f: impl FnOnce() -> R) -> R {
    let rows = frame::<B, _>(|frame| frame.rows).unwrap_or_default();
    let _within = Within::new(Frame { mask: TypeId::of::<B>(), rows, live: Some(Box::new(live)) });
    f()
}

/// How many frames there are.
pub(super) fn depth() -> usize {
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
    match (maybe_any::<T>(&yes), maybe_any::<T>(&no)) {
        // All rows go the same way.
        (_, false) => then(),
        (false, true) => otherwise(),
        (true, true) => {
            let (then, otherwise) = (among(yes, then), among(no, otherwise));
            select::<T, S>(site, &condition, &then, &otherwise)
        }
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

/// A call of a recorded function by itself in an arm that only some rows take: whether any does is not known, and so
/// there would be no end of it.
pub(super) fn recursion(Site { op, at }: Site) -> Error {
    let reason = format!(
        "{op}: the function calls itself where a condition differs from row to row of a batch, which cannot be \
         recorded: write it as a while_loop, or run it eagerly"
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
    if !T::Bool::BATCHES || count::<T::Bool>().is_none() {
        return state;
    }
    spread_some(site, &state, |_, _| true)
}

/// Likewise, of its integers and truth values only. (Reals, of which the derivative is to go through, are spread where
/// they enter what is recorded.)
pub(super) fn spread_discrete<T: Control, S: State<T>>(site: Site, state: S) -> S {
    if !T::Bool::BATCHES || count::<T::Bool>().is_none() {
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
                let apart = condition(&state).is_batched();
                let next: Vec<bool> = leaves::<T, S>(&body(state)).iter().map(is_of_rows::<T>).collect();
                (next, apart)
            });
            if apart || next.iter().zip(&differ).all(|(next, differs)| !next || *differs) {
                return Loop { differ, apart };
            }
            differ = next;
        }
    }
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
