//! The rule of rows that are written, in the array's own memory where that is possible.

use crate::continuation::stack;
use crate::continuation::unwinding::{OrRaise, blame, part_of_operator, raise};
use crate::error::{At, CpsResult as Result, Error};
use crate::finite;
use crate::language::at::{Write, of_those_that_stayed};
use crate::language::node::{Held, HeldNode, NodeRef, OwnedNode, Undo, node_for, node_in};
use crate::language::shape;
use crate::language::tensor::{IntTensor, Tensor};
use crate::reverse::{Kind, Level, Var, common_level, region};
use crate::sealed::INTERNAL;

/// Gives an array back to the variable that it was taken from, in whatever way the operator is left.
struct Moved<'a, T: Tensor> {
    /// The node that it is taken back from, and the variable's.
    from: &'a HeldNode<T>,
    to: &'a HeldNode<T>,
}

impl<T: Tensor> Drop for Moved<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the value is that of the rule's own node, whose continuation, to which its brand is confined, has
        // returned or is unwound.
        unsafe { self.from.give_back(self.to) };
    }
}

/// `y = x` with `y[indices[i]..] = g[i..]`, or `+= g[i..]`, where the first `axes` axes of `x` count as one;
/// `ḡ[i..] += ȳ[indices[i]..]`, where it was not overwritten, and `x̄ += ȳ`, zero in the rows that were set.
///
/// The array of a variable that nobody needs is written in place, and its rows are remembered; its adjoint is that of
/// the result, in place as well.
///
/// # Errors
/// As [`Tensor::write_rows`], raised.
#[track_caller]
pub fn write_rows<T: Tensor, R>(
    x: &Var<'_, T>,
    write: Write,
    axes: usize,
    indices: &T::Int,
    rows: &Var<'_, T>,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    stack::check()?;
    let at = blame(At::caller());
    let level = common_level(x.mark(), rows.mark())?;
    if let Some(level) = level
        && <T::Node<T> as NodeRef<T>>::SHARED
        && region::is_open::<T>(level)
    {
        return Err(Box::new(region::rule_inside("cps", at)));
    }
    let (y, undo) = part_of_operator(true, at, || rows.lend(|rows| written(x, write, axes, indices, rows)));
    let owner: OwnedNode<T> = node_for(y);
    let node = node_in::<T>(&owner);
    let moved = undo.map(|undo| {
        let Kind::Active(from, _) = &x.0 else { unreachable!("constants are not taken") };
        // SAFETY: whoever made this variable vouched for its node during its brand, in which we are.
        let from = unsafe { from.get() };
        // SAFETY: the node stays in this frame, and `Moved`, which is dropped before it, gives the value back.
        unsafe { from.went_to(node, undo) };
        Moved::<T> { from: node, to: from }
    });
    // SAFETY: the node stays here during the call of `k`, to which the brand of the variable is confined: `k` has to
    // work for any brand.
    let variable = unsafe { Var::active(&owner, level.unwrap_or(Level::CONSTANT)) };
    let result = k(&variable).map_err(Error::deeper);
    drop(moved);
    let result = result?;
    if level > Some(Level::CONSTANT) {
        node.with_adjoint(|y_bar| {
            let pull = || part_of_operator(true, at, || pull(x, write, axes, indices, rows, y_bar));
            finite::backward(write.name(), pull);
        });
    }
    Ok(result)
}

/// The result, and, if the variable's array was taken for it, what was there.
#[track_caller]
fn written<T: Tensor>(
    x: &Var<'_, T>,
    write: Write,
    axes: usize,
    indices: &T::Int,
    rows: &T,
) -> (T, Option<Undo<T>>) {
    let node = match &x.0 {
        Kind::Constant(_) => None,
        // SAFETY: whoever made this variable vouched for its node during its brand, in which we are.
        Kind::Active(node, _) => Some(unsafe { node.get() }),
    };
    let movable = |node: &&HeldNode<T>| node.is_movable() && node.lend(|x| x.stays_alike(INTERNAL, rows));
    let Some(node) = node.filter(movable) else {
        return (x.lend(T::clone).write_rows(write, axes, indices, rows), None);
    };
    // If something does not fit, it is found here, before the array is taken.
    node.lend(|x| shape::write_rows(&x.shape(), axes, &indices.shape(), &rows.shape())).or_raise();
    let len: usize = node.lend(|x| x.shape()[..axes].iter().product());
    let fits = |index: &i64| usize::try_from(*index).is_ok_and(|index| index < len);
    if let Some(index) = indices.elements().and_then(|known| known.into_iter().find(|index| !fits(index))) {
        raise(Error::Index { op: write.name(), index, len, at: blame(At::caller()) });
    }
    let before = node.lend(|x| x.read_rows(axes, indices));
    let Some(array) = node.take() else {
        return (x.lend(T::clone).write_rows(write, axes, indices, rows), None);
    };
    let undo = Undo {
        axes,
        indices: indices.clone(),
        rows: before,
        write: |x, undo| x.write_rows(Write::Set { distinct: false }, undo.axes, &undo.indices, &undo.rows),
    };
    (array.write_rows(write, axes, indices, rows), Some(undo))
}

fn pull<T: Tensor>(x: &Var<'_, T>, write: Write, axes: usize, indices: &T::Int, rows: &Var<'_, T>, y_bar: T) {
    if rows.is_active() {
        let mut g = y_bar.read_rows(axes, indices);
        if write == (Write::Set { distinct: false }) {
            g = of_those_that_stayed(g, indices, y_bar.shape()[..axes].iter().product());
        }
        rows.accumulate_computed(g);
    }
    if x.is_active() {
        x.accumulate_computed(match write {
            Write::Add => y_bar,
            Write::Set { .. } => {
                let zeros = rows.lend(T::zeros_like);
                y_bar.write_rows(write, axes, indices, &zeros)
            }
        });
    }
}
