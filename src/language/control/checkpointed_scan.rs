//! [`Tensor::checkpointed_scan`]: a scan of parts that are computed again, of parts, as many levels as there are.

use std::rc::Rc;

use super::checkpoint::{Checkpoints, checkpoint, parts, states_of};
use super::scan::{Order, rows_in_order};
use crate::continuation::unwinding::OrRaise;
use crate::error::Result;
use crate::language::control::continuation_passing::{Site, leaves};
use crate::language::shape::Shape;
use crate::language::state::{Confined, Leaf, State};
use crate::language::tensor::{IntTensor, Tensor};

/// See [`Tensor::checkpointed_scan`].
#[track_caller]
pub(crate) fn checkpointed_scan<T, C, S, X, Y, F>(
    shared: &C,
    init: S,
    xs: &X,
    checkpoints: Checkpoints,
    step: F,
) -> Result<(S, Y)>
where
    T: Tensor,
    C: Confined<T>,
    S: Confined<T>,
    X: Confined<T>,
    Y: Confined<T>,
    F: Fn(&C, S, X) -> (S, Y) + 'static,
{
    let site = Site::caller("checkpointed_scan");
    let states = states_of::<T, C, S>(site, shared, &init, checkpoints);
    let parts = parts(count::<T, X>(xs), states);
    of_parts::<T, C, S, X, Y, F>(site, &Rc::new(step), shared, init, xs, &parts)
}

/// How many rows the first array has; none if it has none, which the scan refuses.
fn count<T: Tensor, X: State<T>>(xs: &X) -> usize {
    let shape = leaves::<T, X>(xs).first().map(|leaf| match leaf {
        Leaf::Real(x) => x.shape(),
        Leaf::Int(x) => x.shape(),
        Leaf::Bool(_) => Shape::new(),
    });
    shape.and_then(|shape| shape.first().copied()).unwrap_or(0)
}

/// The scan of rows in parts of so many, the outermost first.
#[track_caller]
fn of_parts<T, C, S, X, Y, F>(
    site: Site,
    step: &Rc<F>,
    shared: &C,
    init: S,
    xs: &X,
    parts: &[usize],
) -> Result<(S, Y)>
where
    T: Tensor,
    C: Confined<T>,
    S: Confined<T>,
    X: Confined<T>,
    Y: Confined<T>,
    F: Fn(&C, S, X) -> (S, Y) + 'static,
{
    let n = count::<T, X>(xs);
    let Some((&length, inner)) = parts.split_first() else {
        return rows_in_order::<T, S, X, Y>(Order::Forward, init, xs, |state, x| step(shared, state, x));
    };
    if n <= length {
        return of_parts::<T, C, S, X, Y, F>(site, step, shared, init, xs, inner);
    }
    let part = |state: S, xs: X| {
        let (step, inner) = (Rc::clone(step), inner.to_vec());
        checkpoint(site, (shared.clone(), state, xs), move |(shared, state, xs): (C, S, X)| {
            of_parts::<T, C, S, X, Y, F>(site, &step, &shared, state, &xs, &inner).or_raise()
        })
    };
    let whole = n / length * length;
    let apart = |shape: &[usize]| -> Shape { [&[whole / length, length], &shape[1..]].concat().into() };
    let of_whole = map::<T, X>(
        xs,
        |x| x.slice(0, 0..whole).reshape(&apart(&x.shape())),
        |x| x.slice(0, 0..whole).reshape(&apart(&x.shape())),
    );
    let (state, ys) = rows_in_order::<T, S, X, Y>(Order::Forward, init, &of_whole, part)?;
    let joined = |y: &T| -> T {
        let shape = y.shape();
        y.reshape(&[&[whole], &shape[2..]].concat())
    };
    let ys = map::<T, Y>(&ys, joined, Clone::clone);
    if whole == n {
        return Ok((state, ys));
    }
    let rest = map::<T, X>(xs, |x| x.slice(0, whole..n), |x| x.slice(0, whole..n));
    let (state, last) = part(state, rest);
    let mut last = leaves::<T, Y>(&last).into_iter();
    let ys = map::<T, Y>(
        &ys,
        |y| {
            let last = last.next().expect("the parts' results are alike").real();
            T::concat(&[y.clone(), last], 0)
        },
        Clone::clone,
    );
    Ok((state, ys))
}

/// A structure of what functions give of its arrays.
fn map<T: Tensor, X: State<T>>(xs: &X, mut real: impl FnMut(&T) -> T, int: impl Fn(&T::Int) -> T::Int) -> X {
    let mapped: Vec<Leaf<T>> = leaves::<T, X>(xs)
        .into_iter()
        .map(|leaf| match leaf {
            Leaf::Real(x) => Leaf::Real(real(&x)),
            Leaf::Int(x) => Leaf::Int(int(&x)),
            other => other,
        })
        .collect();
    xs.rebuild(&mut mapped.into_iter())
}
