//! Recorded control flow in reverse mode: the rest of the body is captured and written as one function, from primals
//! to adjoints, which the arms of a branch or the calls of a function have as their continuation.

use std::rc::Rc;

use super::{Kind, Node, Var};
use crate::control::Control;
use crate::delimited::{Continuation, Level, level_of, outside_reset, reset_at, shift_at};
use crate::error::{CpsResult, Error, raise};
use crate::recorded::{Function, Leaves, PutRow, Site, To};
use crate::state::Leaf;
use crate::tensor::Tensor;

/// The derivative that control flow over these variables belongs to: the innermost one that is running.
fn running<T: Control>(at: Site) -> Level {
    level_of::<Var<'_, T>>().unwrap_or_else(|| raise(outside_reset(at.at)))
}

/// The values of variables of one derivative.
fn values<T: Control>(level: Level, at: Site, leaves: &[Leaf<Var<'_, T>>]) -> CpsResult<Leaves<T>> {
    let value = |leaf: &Leaf<Var<'_, T>>| match leaf {
        Leaf::Real(x) if x.level().is_some_and(|other| other != level) => {
            let reason = "a variable of another derivative came out of control flow of this one: \
                          let it into the inner derivative with Var::lift";
            Err(Box::new(Error::OutsideReset { reason, at: at.at }))
        }
        Leaf::Real(x) => Ok(Leaf::Real(x.value().clone())),
        Leaf::Int(i) => Ok(Leaf::Int(i.clone())),
        Leaf::Bool(b) => Ok(Leaf::Bool(b.clone())),
    };
    leaves.iter().map(value).collect()
}

/// Adds adjoints to the variables that they belong to.
fn push<T: Control>(leaves: &[Leaf<Var<'_, T>>], adjoints: Vec<T::Adjoint>) {
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
    let mut nodes = Vec::with_capacity(leaves.len());
    for leaf in &leaves {
        if let Leaf::Real(x) = leaf {
            nodes.push(Node::new(x.clone()));
        }
    }
    let mut next = nodes.iter();
    let variables = leaves.into_iter().map(|leaf| match leaf {
        // The node stays in this frame until `k` has returned: longer than any variable of the body that it runs.
        Leaf::Real(_) => {
            let node: *const Node<T> = next.next().expect("a node for each real leaf");
            Leaf::Real(Var(Kind::Active(node, level), std::marker::PhantomData))
        }
        Leaf::Int(i) => Leaf::Int(i),
        Leaf::Bool(b) => Leaf::Bool(b),
    });
    let variables = variables.collect();
    k(variables)?;
    Ok(nodes.into_iter().map(|node| node.adjoint).collect())
}

/// Runs `body` under a prompt of its own; passes the value of its result to `k`, and pulls back the adjoints that `k`
/// returns. By then what `body` borrows may be gone: it has returned.
fn deliver<'r, T: Control>(
    level: Level,
    at: Site,
    body: impl FnOnce() -> Leaves<Var<'r, T>>,
    k: To<'_, T>,
) -> CpsResult<()> {
    reset_at::<Var<'r, T>>(level, || {
        let results = body();
        // SAFETY: the handler owns the variables, and `k` outlives the `reset`.
        let delivered = unsafe {
            shift_at(level, move |rest: Continuation<'_, (), ()>| {
                let adjoints = k(values(level, at, &results)?)?;
                push(&results, adjoints);
                rest.resume(())
            })
        };
        delivered.expect("the prompt of this level is running");
        Ok(())
    })
}

/// [`Tensor::record_rows`]: `ȳᵢ += ȳs[i]`, which is complete when the rest of the body after the loop has run.
#[track_caller]
pub(super) fn record_rows<'r, T: Tensor>(
    shape: &[usize],
    fill: &mut dyn FnMut(PutRow<'_, Var<'r, T>>),
) -> Var<'r, T> {
    let at = Site::caller("scan");
    let level = running::<T>(at);
    let ys_bar = Rc::new(T::open_adjoint(shape));
    let ys = T::record_rows(shape, &mut |put| {
        fill(&|index, y: Var<'r, T>| {
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
                shift_at(level, move |k: Continuation<'_, (), ()>| {
                    k.resume(())?;
                    T::with_adjoint_row(&ys_bar, &index, |y_bar| y.accumulate(y_bar));
                    Ok(())
                })
            };
            written.expect("the prompt of this level is running");
        });
    });
    // SAFETY: the handler owns what it uses.
    let ys = unsafe {
        shift_at(level, move |k: Continuation<'_, Leaves<Var<'r, T>>, ()>| {
            let adjoints = with_variables(level, vec![Leaf::Real(ys)], |variables| k.resume(variables))?;
            adjoints.into_iter().for_each(|from| T::accumulate_all(&ys_bar, from));
            Ok(())
        })
    };
    match ys.expect("the prompt of this level is running").pop() {
        Some(Leaf::Real(ys)) => ys,
        _ => unreachable!("one real leaf was passed"),
    }
}

impl<'r, T: Control> Control for Var<'r, T> {
    const RECORDS: bool = T::RECORDS;

    fn scratch(f: &mut dyn FnMut()) {
        T::scratch(f);
    }

    fn record_cond(
        at: Site,
        condition: &T::Bool,
        then: &mut dyn FnMut() -> Leaves<Self>,
        otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        let level = running::<T>(at);
        let condition = condition.clone();
        // SAFETY: `branch_to` has run both arms, which borrow from the body, when it calls the join point, which lets
        // the body go on; all else is owned.
        let results = unsafe {
            shift_at(level, move |k: Continuation<'_, Leaves<Self>, ()>| {
                let mut k = Some(k);
                T::branch_to(
                    at,
                    &condition,
                    &mut |join| deliver(level, at, &mut *then, join),
                    &mut |join| deliver(level, at, &mut *otherwise, join),
                    &mut |leaves| {
                        let k = k.take().expect("the join point is recorded once");
                        with_variables(level, leaves, |variables| k.resume(variables))
                    },
                )
            })
        };
        results.expect("the prompt of this level is running")
    }

    fn record_fix(
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: Function<'_, Self>,
    ) -> Leaves<Self> {
        let level = running::<T>(at);
        let like = match values(level, at, results) {
            Ok(like) => like,
            Err(error) => raise(*error),
        };
        // SAFETY: `fix_to` has run the body of the function, which borrows from the caller's, when it calls the
        // continuation, which lets the caller's body go on; all else is owned.
        let results = unsafe {
            shift_at(level, move |k: Continuation<'_, Leaves<Self>, ()>| {
                let mut k = Some(k);
                let adjoints = T::fix_to(
                    at,
                    values(level, at, &x)?,
                    &like,
                    &mut |call, argument, finish| {
                        with_variables(level, argument, |argument| {
                            let again = |x: Leaves<Self>| -> Leaves<Self> {
                                // SAFETY: the handler owns the variables; `call` outlives the `reset` of this body.
                                let results =
                                    shift_at(level, move |k: Continuation<'_, Leaves<Self>, ()>| {
                                        let mut k = Some(k);
                                        let adjoints = call(values(level, at, &x)?, &mut |leaves| {
                                            let k = k.take().expect("a continuation is recorded once");
                                            with_variables(level, leaves, |variables| k.resume(variables))
                                        })?;
                                        push(&x, adjoints);
                                        Ok(())
                                    });
                                results.expect("the prompt of this level is running")
                            };
                            deliver(level, at, || body(&again, argument), finish)
                        })
                    },
                    &mut |leaves| {
                        let k = k.take().expect("the continuation is recorded once");
                        with_variables(level, leaves, |variables| k.resume(variables))
                    },
                )?;
                push(&x, adjoints);
                Ok(())
            })
        };
        results.expect("the prompt of this level is running")
    }
}
