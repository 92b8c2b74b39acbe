//! Branches, loops and recursion on conditions that the input decides: all ways that it may go are gone.

use std::cell::Cell;

use super::elementwise::{self, Arms};
use super::range::Range;
use super::{Bound, BoundBool, Call, Content, Factor, Joint};
use crate::continuation::stack;
use crate::continuation::unwinding::{operator, raise};
use crate::error::{At, Error};
use crate::language::control::Control;
use crate::language::real::{Int, Mask};
use crate::language::shape::{self, Shape};
use crate::language::state::{Leaf, State};
use crate::language::tensor::{MaskTensor, Tensor};
use crate::sealed::Internal;

/// Rounds of a loop whose end the input decides, after which it is given up.
const ROUNDS: usize = 1_000;

/// Calls of a recursive function within each other while a condition is undecided, after which it is given up.
const DEPTH: usize = 200;

/// All calls of it while a condition is undecided: of one that calls itself twice there may be `2^DEPTH`.
const CALLS: usize = 10_000;

thread_local! {
    /// How many branches are gone both ways at this place.
    static UNDECIDED: Cell<usize> = const { Cell::new(0) };
}

/// Counts an undecided branch, until dropped.
struct Undecided;

impl Undecided {
    fn new() -> Undecided {
        UNDECIDED.set(UNDECIDED.get() + 1);
        Undecided
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        UNDECIDED.set(UNDECIDED.get() - 1);
    }
}

/// `then` where a mask holds, `otherwise` elsewhere, and either where it is undecided.
pub(super) fn select<T: Tensor>(
    at: At,
    mask: &BoundBool<T::Bool>,
    then: &Bound<T>,
    otherwise: &Bound<T>,
    shape: &Shape,
) -> Bound<T> {
    let Some((surely, possibly, keys)) = mask.parts() else {
        let known = mask.exact().expect("it is not undecided");
        return decided(at, known, then, otherwise, shape);
    };
    let open = possibly.and(&surely.not());
    if possibly.not().or(surely).all_known() == Some(true) {
        return decided(at, surely, then, otherwise, shape);
    }
    let range = then.known_range().zip(otherwise.known_range()).map(|(a, b)| {
        let union = a.union(&b);
        let end =
            |a: &T, both: &T, b: &T| T::select(surely, a, &T::select(possibly, both, b)).broadcast_to(shape);
        Range { low: end(&a.low, &union.low, &b.low), high: end(&a.high, &union.high, &b.high), ..union }
    });
    let steps = [then, otherwise].iter().find_map(|x| x.varying()).map(|x| x.steps.clone());
    let comparisons: Option<Vec<_>> =
        steps.and_then(|steps| keys.iter().map(|&key| steps.comparison(key)).collect());
    let why = "its arms may not meet where the condition changes";
    let call = Call { op: "select", at, why };
    let arms = [then, otherwise];
    // Infinite unless something holds, which a recorded program knows where it runs.
    let joined = |holds: &T::Bool, range: Option<Range<T>>, lip: Option<T>| {
        let infinite = T::select(holds, &T::constant(1.0), &T::constant(f64::INFINITY));
        let operands = arms.map(|x| (Factor::Value(repeated(x, shape).value() * &infinite), x));
        let result = Bound::result(call, shape.clone(), range, Joint::Apart, &operands);
        lip.map_or(result.clone(), |lip| result.with_lip(lip * infinite))
    };
    match comparisons.and_then(|all| elementwise::meeting(&all, arms, &open)) {
        Some(Arms { lip, slope, meet }) => {
            // An arm that is repeated moves in all of its places.
            let moving = arms.into_iter().filter(|x| x.varying().is_some());
            let times = moving.map(|x| repeated(x, shape).value()).reduce(|a, b| a.maximum(&b));
            joined(&meet, range, Some(lip * slope * times.unwrap_or_else(|| T::constant(1.0))))
        }
        None if open.all_known().is_none() && arms.iter().any(|x| x.varying().is_some()) => {
            joined(&open.any().not(), range, None)
        }
        None => {
            let same =
                range.as_ref().is_some_and(|range| range.low.equal(&range.high).all_known() == Some(true));
            if let (true, Content::Constant(value), Content::Constant(_)) = (same, &then.0, &otherwise.0) {
                // Both arms are the same constant.
                return Bound::lift(&value.broadcast_to(shape));
            }
            Bound::unbounded(call, shape.clone(), range, &[then, otherwise])
        }
    }
}

/// By how much repeating a value to a shape multiplies its norm.
fn repeated<T: Tensor>(x: &Bound<T>, shape: &[usize]) -> Factor<T> {
    let (from, to) = (shape::size(&x.extent()), shape::size(shape));
    if from == to || from == 0 { Factor::ONE } else { Factor::Number(((to / from) as f64).sqrt()) }
}

/// `select` by a mask that does not depend on the input.
fn decided<T: Tensor>(
    at: At,
    mask: &T::Bool,
    then: &Bound<T>,
    otherwise: &Bound<T>,
    shape: &Shape,
) -> Bound<T> {
    if let (Content::Constant(a), Content::Constant(b)) = (&then.0, &otherwise.0) {
        return Bound::lift(&T::select(mask, a, b));
    }
    let only = |x: &Bound<T>| x.extent() == *shape;
    match mask.all_known() {
        Some(true) if only(then) => return then.clone(),
        Some(false) if only(otherwise) && mask.not().all_known() == Some(true) => return otherwise.clone(),
        _ => {}
    }
    let range = then.known_range().zip(otherwise.known_range()).map(|(a, b)| Range {
        low: T::select(mask, &a.low, &b.low).broadcast_to(shape),
        high: T::select(mask, &a.high, &b.high).broadcast_to(shape),
        bounded: a.bounded && b.bounded,
    });
    let call = Call { op: "select", at, why: "an arm's is" };
    let operands = [(repeated(then, shape), then), (repeated(otherwise, shape), otherwise)];
    Bound::result(call, shape.clone(), range, Joint::Apart, &operands)
}

/// Both results, component by component, of a condition that the input decides.
fn both<T: Tensor, S: State<Bound<T>>>(at: At, mask: &BoundBool<T::Bool>, then: &S, otherwise: &S) -> S {
    let components = |state: &S| -> Vec<Leaf<Bound<T>>> {
        let mut leaves = Vec::new();
        state.flatten(&mut leaves);
        leaves
    };
    let refuse = |reason: &str| -> ! { raise(Error::Argument { op: "cond", reason: reason.into(), at }) };
    let (yes, no) = (components(then), components(otherwise));
    if yes.len() != no.len() {
        refuse("the arms of a branch that the input decides have values of different structures");
    }
    let pairs = yes.iter().zip(&no).map(|(yes, no)| match (yes, no) {
        (Leaf::Real(a), Leaf::Real(b)) => {
            if a.extent() != b.extent() {
                refuse("the arms of a branch that the input decides have values of different shapes");
            }
            Leaf::Real(select(at, mask, a, b, &a.extent()))
        }
        (Leaf::Int(a), Leaf::Int(b)) => Leaf::Int(Int::select(mask, a, b)),
        (Leaf::Bool(a), Leaf::Bool(b)) => Leaf::Bool(mask.and(a).or(&mask.not().and(b))),
        _ => refuse("the arms of a branch that the input decides have values of different kinds"),
    });
    let selected: Vec<Leaf<Bound<T>>> = pairs.collect();
    then.rebuild(&mut selected.into_iter())
}

fn single<B: MaskTensor>(op: &'static str, at: At, condition: &BoundBool<B>) {
    let lengths = condition.lengths();
    if shape::size(&lengths) != 1 {
        let reason = "a condition is a single truth value, and this is an array of them".into();
        raise(Error::Operand { op, shape: lengths.to_vec(), reason, at });
    }
}

impl<T: Tensor> Control for Bound<T> {
    #[track_caller]
    fn cond<S: State<Self>>(
        condition: &BoundBool<T::Bool>,
        then: impl FnOnce() -> S,
        otherwise: impl FnOnce() -> S,
    ) -> S {
        let at = At::caller();
        single("cond", at, condition);
        match condition.known() {
            Some(true) => then(),
            Some(false) => otherwise(),
            None => {
                let _undecided = Undecided::new();
                let (then, otherwise) = (then(), otherwise());
                operator(at, || both::<T, S>(at, condition, &then, &otherwise))
            }
        }
    }

    #[track_caller]
    fn fix<A: State<Self>, B: State<Self>>(x: A, body: impl Fn(&dyn Fn(A) -> B, A) -> B) -> B {
        fn call<A, B>(
            at: At,
            body: &impl Fn(&dyn Fn(A) -> B, A) -> B,
            x: A,
            (depth, outside): (usize, usize),
            calls: &Cell<usize>,
        ) -> B {
            let again = |x| {
                let deeper = if UNDECIDED.get() > outside { depth + 1 } else { 0 };
                let many = calls.get() + usize::from(deeper > 0);
                calls.set(many);
                if deeper > DEPTH || many > CALLS {
                    let most = if deeper > DEPTH { DEPTH } else { CALLS };
                    let reason = format!(
                        "the input decides how often the function calls itself, and no bound of that was found in \
                         {most} calls"
                    );
                    raise(Error::Argument { op: "fix", reason, at });
                }
                call(at, body, x, (deeper, outside), calls)
            };
            stack::guard(|| body(&again, x))
        }
        let at = At::caller();
        let (outside, calls) = (UNDECIDED.get(), Cell::new(0));
        stack::on_reserved(|| call(at, &body, x, (0, outside), &calls))
    }

    #[track_caller]
    fn while_loop<S: State<Self>>(
        init: S,
        condition: impl Fn(&S) -> BoundBool<T::Bool>,
        body: impl Fn(S) -> S,
    ) -> S {
        let at = At::caller();
        let mut state = init;
        // What the loop may have ended with, and that it goes on in all other cases.
        let mut ended: Option<(S, BoundBool<T::Bool>)> = None;
        let mut undecided = 0;
        loop {
            let goes_on = condition(&state);
            single("while_loop", at, &goes_on);
            match goes_on.known() {
                Some(true) => {}
                Some(false) => break,
                None => {
                    undecided += 1;
                    if undecided > ROUNDS {
                        let reason = format!(
                            "the input decides how many rounds there are, and no bound of that was found in {ROUNDS}"
                        );
                        raise(Error::Argument { op: "while_loop", reason, at });
                    }
                    ended = Some(match ended {
                        None => (state.clone(), goes_on),
                        Some((before, went_on)) => {
                            let joined = operator(at, || both::<T, S>(at, &went_on, &state, &before));
                            (joined, goes_on)
                        }
                    });
                }
            }
            state = body(state);
        }
        match ended {
            None => state,
            Some((before, went_on)) => operator(at, || both::<T, S>(at, &went_on, &state, &before)),
        }
    }

    fn ensure_at(_: Internal, at: At, condition: &BoundBool<T::Bool>, message: &str) {
        if condition.known() == Some(false) {
            raise(Error::Ensure { message: message.into(), at });
        }
    }
}
