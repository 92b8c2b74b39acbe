//! Recorded control flow in reverse mode: the rest of the body is captured and written as one function, from primals
//! to adjoints, which the arms of a branch or the calls of a function have as their continuation.

use std::cell::Cell;
use std::rc::Rc;

use super::{Var, checkpoint, region};
use crate::continuation::unwinding::{operator, raise};
use crate::continuation::{Continuation, Level, Nearest, nearest, outside_reset, reset_at, shift_at};
use crate::error::{At, CpsResult, Error};
use crate::language::control::checkpoint::Body;
use crate::language::control::continuation_passing::{
    self, Captured, Fill, Function, Leaves, Region, Site, To, with_reals,
};
use crate::language::control::{Control, Pulled, Wanted};
use crate::language::node::{NodeRef, OwnedNode, node_for};
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::language::tensor::Tensor;
use crate::sealed::Internal;

/// The derivative that control flow over these variables belongs to: the innermost one of their kind that is running.
/// None in a destructor of a body that is being unwound, of which there is no rest to capture, and inside of a
/// [region](super::region).
fn running<T: Control>(at: Site) -> Option<Level> {
    if !<T::Node<T> as NodeRef<T>>::SHARED {
        raise(continuation_passing::unsupported(at));
    }
    match nearest(<Var<'_, T> as Real>::NESTING) {
        Nearest::Running(level) => Some(level).filter(|&level| !region::is_open::<T>(level)),
        Nearest::Cut => None,
        Nearest::Nowhere => raise(outside_reset(at.at)),
    }
}

/// The values of variables, whatever they belong to.
pub(super) fn bare<T: Control>(leaves: Leaves<Var<'_, T>>) -> Leaves<T> {
    with_reals(leaves, |x| x.into_operand().primal().clone())
}

/// Values as constants.
pub(super) fn constants<'r, T: Control>(leaves: Leaves<T>) -> Leaves<Var<'r, T>> {
    with_reals(leaves, Var::from_value)
}

/// The values of variables of one derivative.
fn values<T: Control>(level: Level, at: Site, leaves: &[Leaf<Var<'_, T>>]) -> CpsResult<Leaves<T>> {
    let foreign = |leaf: &Leaf<Var<'_, T>>| match leaf {
        Leaf::Real(x) => x.level().is_some_and(|other| other != level),
        Leaf::Int(_) | Leaf::Bool(_) => false,
    };
    if leaves.iter().any(foreign) {
        let reason = "a variable of another derivative came out of control flow of this one: \
                      let it into the inner derivative with Var::lift";
        return Err(Box::new(Error::OutsideReset { reason, at: at.at }));
    }
    Ok(bare(leaves.to_vec()))
}

/// Adds adjoints to the variables that they belong to.
pub(super) fn push<T: Control>(leaves: &[Leaf<Var<'_, T>>], adjoints: Vec<T::Adjoint>) {
    let reals = leaves.iter().filter_map(|leaf| if let Leaf::Real(x) = leaf { Some(x) } else { None });
    for (x, from) in reals.zip(adjoints) {
        x.accumulate_with(|adjoint, _| T::accumulate_all(adjoint, from));
    }
}

/// Calls `k` with variables of these values; the adjoints that they have collected when it returns.
fn with_variables<'r, T: Control>(
    level: Level,
    leaves: Leaves<T>,
    k: impl FnOnce(Leaves<Var<'r, T>>) -> CpsResult<()>,
) -> CpsResult<Vec<T::Adjoint>> {
    assert!(<T::Node<T> as NodeRef<T>>::SHARED, "`running` has refused what does not record");
    let mut owners: Vec<OwnedNode<T>> = Vec::with_capacity(leaves.len());
    let variables = with_reals(leaves, |value| {
        let owner = node_for(value);
        // SAFETY: nodes of this interpretation are shared, as was just asserted.
        let variable = unsafe { Var::active(&owner, level) };
        owners.push(owner);
        variable
    });
    k(variables)?;
    Ok(owners.into_iter().map(T::Node::<T>::into_adjoint).collect())
}

/// The rest of a body, up to the prompt of its level: the continuation of control flow.
pub(super) struct Rest<'k, V> {
    level: Level,
    k: Cell<Option<Continuation<'k, V, ()>>>,
}

impl<'r, T: Control> Rest<'_, Leaves<Var<'r, T>>> {
    /// Lets the body go on with these values; the adjoints that come back. The first time only.
    pub(super) fn resume(&self, leaves: Leaves<T>) -> CpsResult<Vec<T::Adjoint>> {
        let k = self.k.take().expect("the rest of a body is recorded once");
        with_variables(self.level, leaves, |variables| k.resume(variables))
    }

    /// Panics if the body has gone on: what its frame held, and arms and functions borrow, may be gone.
    fn assert_waiting(&self) {
        let k = self.k.take();
        assert!(k.is_some(), "arms and functions are recorded before what comes after them");
        self.k.set(k);
    }
}

/// Runs `handler` with the rest of the body, of which it gets the value.
///
/// # Safety
/// Until `Rest::resume`, the handler may use what the body's frame holds; afterwards only what the handler owns.
pub(super) unsafe fn with_rest<'r, T: Control>(
    level: Level,
    at: At,
    handler: impl FnOnce(Rest<'_, Leaves<Var<'r, T>>>) -> CpsResult<()>,
) -> Leaves<Var<'r, T>> {
    // SAFETY: as the caller promises: the body's frame does not end before the body goes on.
    let results = unsafe {
        shift_at(level, at, |k: Continuation<'_, Leaves<Var<'r, T>>, ()>| {
            handler(Rest { level, k: Cell::new(Some(k)) })
        })
    };
    results.unwrap_or_else(|| raise(outside_reset(at)))
}

/// Runs `body` under a prompt of its own; passes the value of its result to `k`, and pulls back the adjoints that `k`
/// returns. By then what `body` borrows may be gone: it has returned.
fn deliver<'r, T: Control>(
    level: Level,
    at: Site,
    body: impl FnOnce() -> Leaves<Var<'r, T>>,
    k: To<'_, T>,
) -> CpsResult<()> {
    reset_at(<Var<'r, T> as Real>::NESTING, level, at.at, || {
        let results = body();
        // SAFETY: the handler owns the variables, and borrows `k` from the caller of the `reset`.
        let delivered = unsafe {
            shift_at(level, at.at, move |rest: Continuation<'_, (), ()>| {
                let adjoints = k(values(level, at, &results)?)?;
                push(&results, adjoints);
                rest.resume(())
            })
        };
        // A body that swallowed its unwinding has no prompt any more.
        delivered.ok_or_else(|| Box::new(outside_reset(at.at)))
    })
}

/// [`Tensor::record_rows`]: `ȳᵢ += ȳs[i]`, which is complete when the rest of the body after the loop has run.
#[track_caller]
pub(super) fn record_rows<'r, T: Tensor>(
    internal: Internal,
    at: Site,
    shape: &[usize],
    fill: Fill<'_, Var<'r, T>>,
) -> (Var<'r, T>, Leaves<Var<'r, T>>) {
    let Some(level) = running::<T>(at) else {
        let (ys, rest) = T::record_rows(internal, at, shape, &mut |put| {
            bare(fill(&|index, y: Var<'r, T>| put(index, y.into_operand().primal().clone())))
        });
        return (Var::from_value(ys), constants(rest));
    };
    if !T::CONTINUES {
        let mut results = region::as_operator(at, false, &mut || {
            let (ys, mut rest) = record_rows(internal, at, shape, fill);
            rest.insert(0, Leaf::Real(ys));
            rest
        })
        .into_iter();
        let ys = results.next().expect("the array was put before the rest").real();
        return (ys, results.collect());
    }
    let ys_bar = Rc::new(T::open_adjoint(shape));
    let mut rest = None;
    let (ys, _) = T::record_rows(internal, at, shape, &mut |put| {
        let write = |index: &T::Int, y: Var<'r, T>| {
            let row = match values(level, at, &[Leaf::Real(y.clone())]) {
                Ok(mut row) => row.pop().expect("one leaf"),
                Err(error) => raise(*error),
            };
            if let Leaf::Real(row) = row {
                put(index, row);
            }
            if y.level().is_none() {
                return;
            }
            let (index, ys_bar) = (index.clone(), Rc::clone(&ys_bar));
            // SAFETY: the handler owns what it uses.
            let written = unsafe {
                shift_at(level, at.at, move |k: Continuation<'_, (), ()>| {
                    k.resume(())?;
                    operator(at.at, || T::with_adjoint_row(&ys_bar, &index, |y_bar| y.accumulate(y_bar)));
                    Ok(())
                })
            };
            written.unwrap_or_else(|| raise(outside_reset(at.at)));
        };
        rest = Some(fill(&write));
        Leaves::new()
    });
    // SAFETY: the handler owns what it uses.
    let mut ys = unsafe {
        with_rest(level, at.at, move |rest| {
            let adjoints = rest.resume(vec![Leaf::Real(ys)])?;
            adjoints.into_iter().for_each(|from| T::accumulate_all(&ys_bar, from));
            Ok(())
        })
    };
    (ys.pop().expect("one leaf was passed").real(), rest.expect("the rows were recorded"))
}

impl<'r, T: Control> Control for Var<'r, T> {
    const RECORDS: bool = T::RECORDS;

    unsafe fn checkpoint_at<'f>(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        f: Body<'f, Self>,
    ) -> Leaves<Self>
    where
        Self: 'f,
    {
        // SAFETY: as the caller promises.
        unsafe { checkpoint::checkpoint(internal, at, x, f) }
    }
    fn with_region(
        internal: Internal,
        at: Site,
        body: &mut dyn FnMut() -> Leaves<Self>,
    ) -> (Region, Captured<Self>) {
        region::with_region(internal, at, body)
    }
    fn close_region(internal: Internal, at: Site, region: &Region, inside: Leaves<Self>) {
        T::close_region(internal, at, region, with_reals(inside, |x| x.primal().clone()));
    }
    fn apply_region(internal: Internal, at: Site, region: &Region, inputs: Leaves<Self>) -> Leaves<Self> {
        region::apply_region(internal, at, region, inputs)
    }
    fn pull_region(internal: Internal, at: Site, region: &Region, wanted: Wanted<Self>) -> Pulled<Self> {
        region::pull_region(internal, at, region, wanted)
    }
    fn forward_region(
        internal: Internal,
        at: Site,
        region: &Region,
        inputs: Leaves<Self>,
        wanted: &[bool],
    ) -> Region {
        T::forward_region(internal, at, region, with_reals(inputs, |x| x.primal().clone()), wanted)
    }

    fn ensure_at(internal: Internal, at: At, condition: &T::Bool, message: &str) {
        T::ensure_at(internal, at, condition, message);
    }
    fn scratch(internal: Internal, f: &mut dyn FnMut()) {
        T::scratch(internal, f);
    }

    fn each_row(internal: Internal, at: At, leaf: Leaf<Self>) -> Leaf<Self> {
        match leaf {
            Leaf::Real(x) => {
                let value = T::each_row(internal, at, Leaf::Real(x.primal().clone())).real();
                Leaf::Real(Var::from_value(value))
            }
            Leaf::Int(i) => Leaf::Int(T::each_row(internal, at, Leaf::Int(i)).int()),
            Leaf::Bool(b) => Leaf::Bool(T::each_row(internal, at, Leaf::Bool(b)).bool()),
        }
    }
    fn filler(internal: Internal, at: Site, leaf: &Leaf<Self>) -> Leaf<Self> {
        T::filler(internal, at, &leaf.clone().map_real(|x| x.primal().clone())).map_real(Var::from_value)
    }

    fn record_cond(
        internal: Internal,
        at: Site,
        condition: &T::Bool,
        then: &mut dyn FnMut() -> Leaves<Self>,
        otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        let Some(level) = running::<T>(at) else {
            let (mut then, mut otherwise) = (|| bare(then()), || bare(otherwise()));
            return constants(T::record_cond(internal, at, condition, &mut then, &mut otherwise));
        };
        if !T::CONTINUES {
            return region::as_operator(at, false, &mut || {
                Self::record_cond(internal, at, condition, then, otherwise)
            });
        }
        let condition = condition.clone();
        // SAFETY: the arms, which borrow from the body, are run only until it goes on; all else is owned.
        unsafe {
            with_rest(level, at.at, move |rest| {
                let arm = |body: &mut dyn FnMut() -> Leaves<Self>, join: To<'_, T>| {
                    rest.assert_waiting();
                    deliver(level, at, body, join)
                };
                T::branch_to(
                    internal,
                    at,
                    &condition,
                    &mut |join| arm(then, join),
                    &mut |join| arm(otherwise, join),
                    &mut |leaves| rest.resume(leaves),
                )
            })
        }
    }

    fn record_fix(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: Function<'_, Self>,
    ) -> Leaves<Self> {
        let like = with_reals(results.to_vec(), |x| x.primal().clone());
        let Some(level) = running::<T>(at) else {
            let body = |call: continuation_passing::Call<'_, T>, x| {
                bare(body(&|x| constants(call(bare(x))), constants(x)))
            };
            return constants(T::record_fix(internal, at, bare(x), &like, &body));
        };
        if !T::CONTINUES {
            return region::as_operator(at, false, &mut || {
                Self::record_fix(internal, at, x.clone(), results, body)
            });
        }
        // SAFETY: the function's body, which borrows from the caller's, is run only until that goes on; all else is
        // owned.
        unsafe {
            with_rest(level, at.at, move |rest| {
                let adjoints = T::fix_to(
                    internal,
                    at,
                    values(level, at, &x)?,
                    &like,
                    &mut |call, argument, finish| {
                        rest.assert_waiting();
                        let again = |x: Leaves<Self>| -> Leaves<Self> {
                            if running::<T>(at).is_none() {
                                // In a destructor of the function's body: what is recorded is given up.
                                return constants(like.clone());
                            }
                            // SAFETY: the handler owns the variables; `call` outlives the `reset` of this body.
                            with_rest(level, at.at, move |rest| {
                                let adjoints =
                                    call(values(level, at, &x)?, &mut |leaves| rest.resume(leaves))?;
                                push(&x, adjoints);
                                Ok(())
                            })
                        };
                        with_variables(level, argument, |argument| {
                            deliver(level, at, || body(&again, argument), finish)
                        })
                    },
                    &mut |leaves| rest.resume(leaves),
                )?;
                push(&x, adjoints);
                Ok(())
            })
        }
    }
}
