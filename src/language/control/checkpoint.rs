//! Checkpoints: what is computed again on the way back instead of being kept.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::continuation::unwinding::raise;
use crate::error::Error;
use crate::language::control::continuation_passing::{Leaves, Site};
use crate::language::control::{Control, rows, while_loop_at};
use crate::language::real::{Int, Mask, Real};
use crate::language::shape;
use crate::language::state::{Confined, Index, Leaf, State};
use crate::sealed::INTERNAL;

/// What is computed again, of the components of its argument. It owns all that it uses.
pub type Body<'f, T> = Rc<dyn Fn(Leaves<T>) -> Leaves<T> + 'f>;

/// How many states of a loop are kept for the way back: see [`Control::checkpointed_loop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoints {
    /// About `2·√n` states for `n` steps, each of which is run twice before it is differentiated.
    SquareRoot,
    /// At most so many at a time, one or more, where steps are run as seldom as that allows. In compiled code, loops in
    /// loops whose `k ≤ 6` levels keep `(k + 1)·n^(1/k)` states, what the steps of the innermost one keep included, and
    /// run each step `k` times before it is differentiated: as few as are enough, and six where none are.
    Count(usize),
    /// As many as have room in so many bytes, one at least; as for `Count`. What a round takes besides its state's
    /// numbers is counted in: compiled its adjoints, evaluated about 1,200 bytes of nodes and frames.
    Bytes(usize),
}

pub(super) fn checkpoint<T: Control, A: Confined<T>, B: Confined<T>>(
    site: Site,
    x: A,
    f: impl Fn(A) -> B + 'static,
) -> B {
    let mut leaves = Vec::new();
    x.flatten(&mut leaves);
    // Of the argument, only the structure: the rest is not kept, nor there for as long.
    let structure = x.rebuild(&mut leaves.iter().map(|leaf| match leaf {
        Leaf::Real(_) => Leaf::Real(T::constant(0.0)),
        other => other.clone(),
    }));
    let result: Rc<RefCell<Option<B>>> = Rc::default();
    let body = {
        let (first, here) = (Cell::new(Some(Rc::clone(&result))), rows::Here::new());
        move |leaves: Leaves<T>| {
            let y = here.run(|| f(structure.rebuild(&mut leaves.into_iter())));
            let mut leaves = Vec::new();
            y.flatten(&mut leaves);
            if let Some(result) = first.take() {
                result.replace(Some(y));
            }
            leaves
        }
    };
    // SAFETY: the closure owns what it uses: the caller's, which is `'static`, and a value for its structure. That and
    // the results hide no variable of what is computed again later.
    let leaves = unsafe { T::checkpoint_at(INTERNAL, site, leaves, Rc::new(body)) };
    let like = result.take().expect("the function was run");
    like.rebuild(&mut leaves.into_iter())
}

/// [`Control::checkpointed_loop`].
pub(super) fn in_steps<T, C, S, F>(
    site: Site,
    steps: usize,
    shared: &C,
    init: S,
    checkpoints: Checkpoints,
    step: F,
) -> S
where
    T: Control,
    C: Confined<T>,
    S: Confined<T>,
    F: Fn(&T::Int, &C, S) -> S + 'static,
{
    let states = states_of::<T, C, S>(site, shared, &init, checkpoints);
    let step = Rc::new(step);
    if T::RECORDS {
        let (from, to) = (T::Int::constant(0), T::Int::constant(steps as i64));
        return recorded(site, &step, shared, init, from, to, &parts(steps, states));
    }
    match states {
        Some(states) => by_binomial::<T, C, S, F>(site, &step, shared, init, 0, steps, states),
        None => {
            let each = (steps as f64).sqrt().ceil() as usize;
            (0..steps).step_by(each.max(1)).fold(init, |state, from| {
                let (step, to) = (Rc::clone(&step), steps.min(from + each));
                checkpoint(site, (shared.clone(), state), move |(shared, state)| {
                    (from..to).fold(state, |state, i| step(&T::Int::constant(i as i64), &shared, state))
                })
            })
        }
    }
}

/// What an evaluated state takes besides its numbers, in bytes: nodes and frames.
const NODES: usize = 1200;

/// How many states are kept, if that is said; errors as of [`Control::checkpointed_loop`].
pub(super) fn states_of<T: Control, C: State<T>, S: State<T>>(
    site: Site,
    shared: &C,
    init: &S,
    checkpoints: Checkpoints,
) -> Option<usize> {
    match checkpoints {
        Checkpoints::SquareRoot => None,
        Checkpoints::Count(0) => {
            let reason = "no state is to be kept, and the first one has to be".into();
            raise(Error::Argument { op: site.op, reason, at: site.at })
        }
        Checkpoints::Count(count) => Some(count),
        Checkpoints::Bytes(bytes) => {
            let (state, shared) = (bytes_of::<T, S>(init), bytes_of::<T, C>(shared));
            // Compiled, a round has room for the state before and after it, as it is computed again, and for the
            // adjoints of both; and for what is shared as it is then used, and its adjoint. Evaluated, for the state
            // before and after it.
            let each = if T::RECORDS { 5 * state + 2 * shared } else { 2 * state + NODES };
            Some((bytes / each.max(1)).max(1))
        }
    }
}

/// How much memory a state takes, at eight bytes a number.
fn bytes_of<T: Real, S: State<T>>(state: &S) -> usize {
    let mut leaves = Vec::new();
    state.flatten(&mut leaves);
    let bytes = |leaf: &Leaf<T>| match leaf {
        Leaf::Real(x) => size_of::<f64>() * shape::size(&x.lengths(INTERNAL)),
        Leaf::Int(_) | Leaf::Bool(_) => size_of::<i64>(),
    };
    leaves.iter().map(bytes).sum()
}

/// `n` steps with at most so many states: the first part is computed again with all of them, the rest goes on with one
/// less. Of `(c + t choose c)` steps no step is computed more than `t` times (Griewank & Walther 2000, "Revolve").
fn by_binomial<T, C, S, F>(
    site: Site,
    step: &Rc<F>,
    shared: &C,
    mut state: S,
    mut start: usize,
    mut n: usize,
    mut states: usize,
) -> S
where
    T: Control,
    C: Confined<T>,
    S: Confined<T>,
    F: Fn(&T::Int, &C, S) -> S + 'static,
{
    while n > 1 {
        let rest = rest_of(n, states);
        let (first, step, from) = (n - rest, Rc::clone(step), start);
        state = checkpoint(site, (shared.clone(), state), move |(shared, state)| {
            by_binomial::<T, C, S, F>(site, &step, &shared, state, from, first, states)
        });
        (start, n, states) = (start + first, rest, states.saturating_sub(1).max(1));
    }
    match n {
        0 => state,
        _ => step(&T::Int::constant(start as i64), shared, state),
    }
}

/// How many of so many steps are the rest, which goes on with one state less.
fn rest_of(steps: usize, states: usize) -> usize {
    // (c + t choose c) and (c − 1 + t choose c − 1), for the least t that is enough.
    let (mut enough, mut of_rest, mut times) = (1usize, 1usize, 0usize);
    while enough < steps {
        times += 1;
        of_rest = of_rest.saturating_mul(states - 1 + times) / times.max(1);
        if states == 1 {
            of_rest = 1;
        }
        enough = enough.saturating_add(of_rest);
    }
    of_rest.clamp(1, steps - 1)
}

/// The most loops in each other that compiled code has for one: of each, it has the steps once more.
const LEVELS: u32 = 6;

/// How many steps the rounds have of loops in each other, the outermost first, each of which keeps the state before
/// each of its rounds; that of the innermost one, whose rounds are steps, is left out. None if all states may be kept.
pub(super) fn parts(steps: usize, states: Option<usize>) -> Vec<usize> {
    let rounds = |levels: u32| {
        let root = (steps as f64).powf(1.0 / f64::from(levels)).round() as usize;
        if root.saturating_pow(levels) < steps { root + 1 } else { root }
    };
    let levels = match states {
        None => 2,
        Some(states) if states >= steps => return Vec::new(),
        Some(states) => {
            let fit = |levels: &u32| (*levels as usize + 1) * rounds(*levels) <= states;
            (2..LEVELS).find(fit).unwrap_or(LEVELS)
        }
    };
    let rounds = rounds(levels);
    (1..levels).rev().map(|inner| rounds.saturating_pow(inner)).collect()
}

/// A loop, or loops in each other, each of whose rounds is computed again: of rounds of so many steps, the outermost
/// first.
fn recorded<T, C, S, F>(
    site: Site,
    step: &Rc<F>,
    shared: &C,
    state: S,
    from: T::Int,
    to: T::Int,
    parts: &[usize],
) -> S
where
    T: Control,
    C: Confined<T>,
    S: Confined<T>,
    F: Fn(&T::Int, &C, S) -> S + 'static,
{
    let begin = (Index::<T>(from), state);
    let goes_on = |(i, _): &(Index<T>, S)| i.0.less(&to);
    let Some((&length, inner)) = parts.split_first() else {
        let round = |(i, state): (Index<T>, S)| {
            let state = step(&i.0, shared, state);
            (Index(i.0 + T::Int::constant(1)), state)
        };
        return while_loop_at::<T, _>(site.at, begin, goes_on, round).1;
    };
    let round = |(i, state): (Index<T>, S)| {
        let end = i.0.clone() + T::Int::constant(length as i64);
        let end = T::Int::select(&end.less(&to), &end, &to);
        let (step, inner) = (Rc::clone(step), inner.to_vec());
        let argument = (shared.clone(), i, Index::<T>(end.clone()), state);
        let state = checkpoint(site, argument, move |(shared, i, end, state): (C, Index<T>, Index<T>, S)| {
            recorded::<T, C, S, F>(site, &step, &shared, state, i.0, end.0, &inner)
        });
        (Index(end), state)
    };
    while_loop_at::<T, _>(site.at, begin, goes_on, round).1
}

/// [`Control::checkpointed_while`]: parts of 1, 2, 3, … rounds, or of so many units of several rounds, which are parts
/// themselves.
pub(super) fn in_parts<T, C, S>(
    site: Site,
    shared: &C,
    init: S,
    checkpoints: Checkpoints,
    condition: impl Fn(&C, &S) -> T::Bool + 'static,
    body: impl Fn(&C, S) -> S + 'static,
) -> S
where
    T: Control,
    C: Confined<T>,
    S: Confined<T>,
{
    let (condition, body) = (Rc::new(condition), Rc::new(body));
    let Some(states) = states_of::<T, C, S>(site, shared, &init, checkpoints) else {
        return of_rounds::<T, C, S>(site, shared, init, &condition, &body);
    };
    let length = (states / 2).max(1) as i64;
    let unit = {
        let condition = Rc::clone(&condition);
        move |shared: &C, state: S| {
            let (condition, body) = (Rc::clone(&condition), Rc::clone(&body));
            checkpoint(site, (shared.clone(), state), move |(shared, state): (C, S)| {
                let length = Index::<T>(T::Int::constant(length));
                rounds::<T, C, S>(site, &shared, state, &length, &*condition, &*body)
            })
        }
    };
    of_rounds::<T, C, S>(site, shared, init, &condition, &Rc::new(unit))
}

/// At most so many rounds of a loop.
fn rounds<T, C, S>(
    site: Site,
    shared: &C,
    state: S,
    most: &Index<T>,
    condition: &impl Fn(&C, &S) -> T::Bool,
    body: &impl Fn(&C, S) -> S,
) -> S
where
    T: Control,
    S: State<T>,
{
    while_loop_at::<T, _>(
        site.at,
        (Index::<T>(T::Int::constant(0)), state),
        |(i, state)| i.0.less(&most.0).and(&condition(shared, state)),
        |(i, state)| (Index(i.0 + T::Int::constant(1)), body(shared, state)),
    )
    .1
}

/// Parts of 1, 2, 3, … rounds.
fn of_rounds<T, C, S>(
    site: Site,
    shared: &C,
    init: S,
    condition: &Rc<impl Fn(&C, &S) -> T::Bool + 'static>,
    body: &Rc<impl Fn(&C, S) -> S + 'static>,
) -> S
where
    T: Control,
    C: Confined<T>,
    S: Confined<T>,
{
    let one = || T::Int::constant(1);
    let part = |(length, state): (Index<T>, S)| {
        let (condition, body) = (Rc::clone(condition), Rc::clone(body));
        let argument = (shared.clone(), length.clone(), state);
        let state = checkpoint(site, argument, move |(shared, length, state): (C, Index<T>, S)| {
            rounds::<T, C, S>(site, &shared, state, &length, &*condition, &*body)
        });
        (Index(length.0 + one()), state)
    };
    while_loop_at::<T, _>(site.at, (Index::<T>(one()), init), |(_, state)| condition(shared, state), part).1
}
