//! Control flow of a derivative of a derivative in reverse: it is recorded once, without derivatives, as a region of
//! the program, and is then one operator, whose derivative is the region's in reverse, and whose derivative's
//! derivative is that of the region's derivative forward.
//!
//! With `z = f(x)` and an adjoint `z̄`, the inner derivative's rule computes `x̄ = f′(x)ᵀz̄`. The outer derivative has
//! adjoints `z*` of `z` and `v` of `x̄` to pull back. They are those of `⟨z*, f(x)⟩ + ⟨v, f′(x)ᵀz̄⟩`, which is `⟨z*,
//! f(x)⟩ + ⟨z̄, f′(x)v⟩`: so the outer rule is the inner one over again, of the region that computes `f(x)` and
//! `f′(x)v` from `x` and `v`. Of any number of derivatives each is the one before it of such a region, and no program
//! of a derivative is ever differentiated itself.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ptr;

use super::control::{Rest, bare, constants, with_rest};
use super::{Var, common_level};
use crate::continuation::unwinding::{OrRaise, raise};
use crate::continuation::{Level, Nearest, is_trial, nearest};
use crate::error::{At, CpsResult, Error};
use crate::language::control::continuation_passing::{Captured, Leaves, Region, Site, reals, with_reals};
use crate::language::control::{Control, Pulled, Wanted};
use crate::language::node::NodeRef;
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::sealed::{INTERNAL, Internal};

/// A region that is being recorded, as variables of one derivative see it.
struct Open {
    /// Their kind, and the derivative, if it is running.
    kind: u64,
    level: Option<Level>,
    /// Derivatives from here on were begun inside of the region.
    began: Level,
    /// The [`List`] of what it has captured of them.
    captured: *const (),
}

/// Variables, and the values that stand for theirs inside of the region.
type List<'r, T> = RefCell<Vec<(Var<'r, T>, T)>>;

thread_local! {
    /// The regions that are being recorded, the innermost last.
    /// Nothing is to be dropped when the thread ends: destructors of other values may still record then.
    static OPEN: RefCell<ManuallyDrop<Vec<Open>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Keeps a region open, until dropped.
struct Opened;

impl Opened {
    /// # Safety
    /// The list stays where it is until the region is closed, and variables of this kind and level are `Var<T>`.
    unsafe fn region<T: Real>(level: Option<Level>, captured: &List<'_, T>) -> Opened {
        let captured = ptr::from_ref(captured).cast();
        let open = Open { kind: <Var<'_, T> as Real>::NESTING, level, began: Level::fresh(), captured };
        OPEN.with_borrow_mut(|regions| regions.push(open));
        Opened
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|regions| {
            regions.pop();
            if regions.is_empty() {
                // Its memory, too.
                **regions = Vec::new();
            }
        });
    }
}

/// Whether control flow of this derivative is part of a region that is being recorded.
pub(super) fn is_open<T: Real>(level: Level) -> bool {
    OPEN.with_borrow(|regions| regions.iter().any(|region| region.is_of::<T>(level)))
}

impl Open {
    fn is_of<T: Real>(&self, level: Level) -> bool {
        self.kind == <Var<'_, T> as Real>::NESTING && self.level == Some(level) && T::is_recorded(INTERNAL)
    }
}

/// Where an operator's variable belongs.
enum Place {
    /// To a derivative that is running here.
    Here,
    /// To one outside of a region that has this list of what it captured.
    Outside(*const ()),
    /// To one that has nothing to do with the regions that are being recorded.
    Foreign,
}

impl<'r, T: Real> Var<'r, T> {
    /// This variable as an operand: inside of a region, what stands for it there.
    #[inline]
    #[track_caller]
    pub(super) fn operand(&self) -> Self {
        if <T::Node<T> as NodeRef<T>>::SHARED { self.inside() } else { self.clone() }
    }

    /// [`operand`](Var::operand), of a variable that is owned.
    #[inline]
    #[track_caller]
    pub(super) fn into_operand(self) -> Self {
        if <T::Node<T> as NodeRef<T>>::SHARED { self.inside() } else { self }
    }

    #[track_caller]
    fn inside(&self) -> Self {
        let Some(level) = self.level() else { return self.clone() };
        let place =
            OPEN.with_borrow(|regions| match regions.iter().rev().find(|region| region.is_of::<T>(level)) {
                Some(region) => Place::Outside(region.captured),
                None if regions.last().is_some_and(|region| level < region.began) => Place::Foreign,
                None => Place::Here,
            });
        match place {
            Place::Here => self.clone(),
            // Nothing of a trial is an input: it may use what another trial gave, which is not there any more.
            Place::Outside(_) if is_trial() => Var::from_value(self.primal().clone()),
            Place::Outside(list) => {
                // SAFETY: whoever opened the region vouched for the list, and that variables of this level, a
                // derivative of this kind over the interpretation that records, are such as it holds. The brands of
                // its variables are other ones, which is of no account: their nodes are shared, and live as long as
                // they do.
                let list = unsafe { &*list.cast::<List<'r, T>>() };
                let node = self.node().map(ptr::from_ref);
                if let Some((_, inside)) =
                    list.borrow().iter().find(|(x, _)| x.node().map(ptr::from_ref) == node)
                {
                    return Var::from_value(inside.clone());
                }
                let inside = self.primal().placeholder(INTERNAL, None);
                list.borrow_mut().push((self.clone(), inside.clone()));
                Var::from_value(inside)
            }
            Place::Foreign => raise(foreign(At::caller())),
        }
    }

    /// That a variable is not taken apart inside of a region, where nothing tells its value from itself.
    #[inline]
    #[track_caller]
    pub(super) fn assert_outside(&self, op: &'static str) {
        if <T::Node<T> as NodeRef<T>>::SHARED {
            self.assert_no_region(op);
        }
    }

    #[track_caller]
    fn assert_no_region(&self, op: &'static str) {
        let inside = OPEN.with_borrow(|regions| {
            let own = |region: &Open| {
                region.kind == <Var<'_, T> as Real>::NESTING
                    && self.level().is_none_or(|level| level < region.began)
            };
            regions.iter().any(own)
        });
        if inside {
            raise(rule_inside(op, At::caller()));
        }
    }
}

/// A variable that is taken apart, or an operator with a rule of its own, inside of a region.
#[cold]
pub(super) fn rule_inside(op: &'static str, at: At) -> Error {
    let reason = "compiled checkpoints, and compiled control flow that is differentiated twice in reverse, are \
                  recorded before they are differentiated, with operators of the crate only: in place of a variable's \
                  `value` write `detach`, to look at it `printed`, to choose by it `cond` or `select`; in place of \
                  `accumulate`, `shift` or `cps` a `CustomOperator` (`Tensor::custom`) or a `Hook`";
    Error::Argument { op, reason: reason.into(), at }
}

#[cold]
fn foreign(at: At) -> Error {
    let reason = "a variable of another derivative met control flow that is differentiated twice: \
                  let it into the inner derivative with Var::lift";
    Error::OutsideReset { reason, at }
}

/// Values inside of a region, where no derivative is running that they could belong to.
pub(super) fn inside<T: Control>(at: Site, leaves: Leaves<Var<'_, T>>) -> Leaves<T> {
    with_reals(leaves, |x| {
        let x = x.into_operand();
        if x.level().is_some() {
            raise(foreign(at.at));
        }
        x.primal().clone()
    })
}

/// Records `body` as a region and applies it; `again` says whether its derivative computes again what it computes.
pub(super) fn as_operator<'r, T: Control>(
    at: Site,
    again: bool,
    body: &mut dyn FnMut() -> Leaves<Var<'r, T>>,
) -> Leaves<Var<'r, T>> {
    let (region, captured) = <Var<'r, T>>::with_region(INTERNAL, at, body);
    <Var<'r, T>>::close_region(INTERNAL, at, &region, captured.inside);
    let region = Region { again, ..region };
    <Var<'r, T>>::apply_region(INTERNAL, at, &region, captured.outside)
}

pub(super) fn with_region<'r, T: Control>(
    internal: Internal,
    at: Site,
    body: &mut dyn FnMut() -> Leaves<Var<'r, T>>,
) -> (Region, Captured<Var<'r, T>>) {
    let level = match nearest(<Var<'_, T> as Real>::NESTING) {
        Nearest::Running(level) => Some(level),
        Nearest::Cut | Nearest::Nowhere => None,
    };
    let list: List<'r, T> = RefCell::default();
    let (region, below) = T::with_region(internal, at, &mut || {
        // SAFETY: the list is in the frame around this one. A derivative that is running has variables of one type, and
        // those of this kind over the interpretation that records are `Var<T>`.
        let _open = unsafe { Opened::region(level, &list) };
        inside(at, body())
    });
    let (outside, inside): (Leaves<_>, Leaves<_>) = list
        .into_inner()
        .into_iter()
        .map(|(x, inside)| (Leaf::Real(x), Leaf::Real(Var::from_value(inside))))
        .unzip();
    let mut captured = Captured { outside, inside };
    let below = below.map(constants);
    captured.outside.extend(below.outside);
    captured.inside.extend(below.inside);
    (region, captured)
}

/// The level of the variables among these.
pub(super) fn level_of<'a, 'r: 'a, T: Real + 'a>(
    reals: impl IntoIterator<Item = &'a Var<'r, T>>,
) -> Option<Level> {
    reals.into_iter().fold(None, |level, x| common_level(level, x.level()).or_raise())
}

pub(super) fn active<T: Real>(leaves: &[Leaf<Var<'_, T>>]) -> Vec<bool> {
    leaves.iter().map(|leaf| matches!(leaf, Leaf::Real(x) if x.is_active())).collect()
}

fn taken<T: Real>(adjoints: Vec<T::Adjoint>) -> Vec<Option<T>> {
    adjoints.iter().map(T::take_adjoint).collect()
}

/// Adds adjoints to the variables among these.
pub(super) fn add<T: Real>(leaves: &[Leaf<Var<'_, T>>], adjoints: Vec<T>) {
    reals(leaves).filter(|x| x.is_active()).zip(adjoints).for_each(|(x, g)| x.accumulate_computed(g));
}

/// The inputs of a region that is pulled back, where adjoints have come to it.
fn once_more<T: Real>(
    internal: Internal,
    region: &Region,
    inputs: Leaves<T>,
    adjoint: Option<&T>,
) -> Leaves<T> {
    match adjoint {
        Some(adjoint) if region.again => with_reals(inputs, |x| x.after(internal, adjoint)),
        _ => inputs,
    }
}

pub(super) fn apply_region<'r, T: Control>(
    internal: Internal,
    at: Site,
    region: &Region,
    inputs: Leaves<Var<'r, T>>,
) -> Leaves<Var<'r, T>> {
    let inputs = with_reals(inputs, |x| x.into_operand());
    let Some(level) = level_of(reals(&inputs)) else {
        return constants(T::apply_region(internal, at, region, bare(inputs)));
    };
    let region = region.clone();
    // SAFETY: the handler owns what it uses.
    unsafe {
        with_rest(level, at.at, move |rest| {
            let values = bare(inputs.clone());
            let adjoints = rest.resume(T::apply_region(internal, at, &region, values.clone()))?;
            let seeds: Vec<Option<T>> = taken(adjoints);
            if seeds.iter().any(Option::is_some) {
                let values = once_more(internal, &region, values, seeds.iter().flatten().next());
                let wanted = Wanted { inputs: values, adjoints: active(&inputs), seeds, values: false };
                add(&inputs, T::pull_region(internal, at, &region, wanted).adjoints);
            }
            Ok(())
        })
    }
}

pub(super) fn pull_region<'r, T: Control>(
    internal: Internal,
    at: Site,
    region: &Region,
    wanted: Wanted<Var<'r, T>>,
) -> Pulled<Var<'r, T>> {
    let Wanted { inputs, adjoints: wanted, seeds, values } = wanted;
    let inputs = with_reals(inputs, |x| x.into_operand());
    let seeds: Vec<Option<Var<'r, T>>> = seeds.into_iter().map(|seed| seed.map(Var::into_operand)).collect();
    let level = level_of(reals(&inputs).chain(seeds.iter().flatten()));
    let bare_seeds = seeds.iter().map(|seed| seed.as_ref().map(|seed| seed.primal().clone())).collect();
    let Some(level) = level else {
        let wanted = Wanted { inputs: bare(inputs), adjoints: wanted, seeds: bare_seeds, values };
        let pulled = T::pull_region(internal, at, region, wanted);
        let constants = |values: Vec<T>| values.into_iter().map(Var::from_value).collect();
        return Pulled { values: constants(pulled.values), adjoints: constants(pulled.adjoints) };
    };
    let region = region.clone();
    let results = seeds.len();
    let handler = move |rest: Rest<'_, Leaves<Var<'r, T>>>| -> CpsResult<()> {
        let x = once_more(internal, &region, bare(inputs.clone()), bare_seeds.iter().flatten().next());
        let first = Wanted { inputs: x.clone(), adjoints: wanted.clone(), seeds: bare_seeds, values };
        let pulled = T::pull_region(internal, at, &region, first);
        let given = pulled.values.len();
        let outputs = pulled.values.into_iter().chain(pulled.adjoints).map(Leaf::Real);
        let mut adjoints: Vec<Option<T>> = taken(rest.resume(outputs.collect())?);
        let directions = adjoints.split_off(given);
        adjoints.resize_with(results, || None);
        if directions.iter().all(Option::is_none) {
            if adjoints.iter().any(Option::is_some) {
                let back = Wanted { inputs: x, adjoints: active(&inputs), seeds: adjoints, values: false };
                add(&inputs, T::pull_region(internal, at, &region, back).adjoints);
            }
            return Ok(());
        }
        let forward = T::forward_region(internal, at, &region, x.clone(), &wanted);
        let moved = x.iter().zip(&wanted).filter(|(_, wanted)| **wanted);
        let zeros = moved.map(|(leaf, _)| leaf.clone().real().zeros_like());
        let tangents: Leaves<T> =
            directions.into_iter().zip(zeros).map(|(v, zeros)| Leaf::Real(v.unwrap_or(zeros))).collect();
        let mut active = active(&inputs);
        active.resize(x.len() + tangents.len(), false);
        let seeded = seeds.iter().any(|seed| seed.as_ref().is_some_and(Var::is_active));
        let x: Leaves<T> = x.into_iter().chain(tangents).collect();
        adjoints.extend(seeds.iter().map(|seed| seed.as_ref().map(|seed| seed.primal().clone())));
        let back = Wanted { inputs: x, adjoints: active, seeds: adjoints, values: seeded };
        let pulled = T::pull_region(internal, at, &forward, back);
        add(&inputs, pulled.adjoints);
        // The adjoint of z̄ is the tangent of z.
        let tangents = pulled.values.into_iter().skip(results);
        for (seed, tangent) in seeds.iter().zip(tangents) {
            if let Some(seed) = seed.as_ref().filter(|seed| seed.is_active()) {
                seed.accumulate_computed(tangent);
            }
        }
        Ok(())
    };
    // SAFETY: the handler owns what it uses.
    let outputs = unsafe { with_rest(level, at.at, handler) };
    let mut outputs: Vec<Var<'r, T>> = outputs.into_iter().map(Leaf::real).collect();
    let adjoints = outputs.split_off(if values { results } else { 0 });
    Pulled { values: outputs, adjoints }
}
