//! The rules, in continuation-passing style: the definition of every differentiable operator.
//!
//! An operator computes `y`, calls its continuation with it, and when that returns, `y`'s adjoint `ȳ` is complete
//! and is pushed to the operands. Nothing is recorded: what the backward half needs stays in the operator's frame.
//!
//! ```
//! use antiphon::cps;
//! // f(x) = sin(x²), f′(x) = 2x·cos(x²)
//! let slope = cps::grad(&1.5, |x, k| cps::mul(x, x, |y| cps::sin(y, k)))?;
//! assert_eq!(slope, 3.0 * (1.5f64 * 1.5).cos());
//! // The same in do-notation.
//! let slope = cps::grad(&1.5, |x, k| cps! { let y = cps::mul(x, x); cps::sin(y, k) })?;
//! assert_eq!(slope, 3.0 * (1.5f64 * 1.5).cos());
//! # Ok::<(), antiphon::Error>(())
//! ```
//!
//! Operands are borrowed, continuations are closures, and every operator returns what its continuation returns. Rules
//! whose operands do not fit return `Err` before they call the continuation. No rule allocates memory of its own.
//! About 128 nested closures reach the compiler's recursion limit; let functions take their continuation as
//! `&mut dyn FnMut(&Var<T>) -> Result<()>` at the boundaries of layers and loops.

use super::{Var, common_level, region};
use crate::continuation::Level;
use crate::continuation::stack;
use crate::continuation::unwinding::{blame, catch, part_of_operator};
pub use crate::error::CpsResult as Result;
use crate::error::{At, Error};
use crate::finite;
use crate::language::custom::Hook;
use crate::language::derivative_rules::{for_each_binary, for_each_unary};
use crate::language::node::{Held, NodeRef, OwnedNode, node_for, node_in};
use crate::language::real::Real;

pub use super::rules::*;

/// The continuation of the outermost operator, as [`grad`] passes it in.
pub type Return<'k, T> = &'k mut dyn FnMut(&Var<'_, T>) -> Result<()>;

/// Derivative of a function of one variable in continuation-passing style: `f(x, k)` calls `k` with its result.
///
/// # Errors
/// Whatever `f` returns or raises; [`Error::Operand`] if the result is not a scalar;
/// [`Error::StackExhausted`].
#[track_caller]
pub fn grad<T: Real>(
    x: &T,
    f: impl for<'r> FnOnce(&Var<'r, T>, Return<'_, T>) -> Result<()>,
) -> crate::Result<T> {
    let at = At::caller();
    catch(|| {
        stack::on_reserved(|| {
            let owner: OwnedNode<T> = node_for(x.clone().quiet());
            // SAFETY: the node stays here during the call of `f`, to which the brand of the variable is confined: `f`
            // has to work for any brand.
            let x = unsafe { Var::active(&owner, Level::fresh()) };
            f(&x, &mut |y| {
                y.primal().check_scalar("grad").map_err(|error| error.relocate(at))?;
                y.accumulate(y.primal().ones_like());
                Ok(())
            })?;
            let node = node_in::<T>(&owner);
            Ok(node.take_adjoint().unwrap_or_else(|| node.value().zeros_like()))
        })
    })
}

/// An operator with room for its frame: the result `y` is computed, the continuation runs, the adjoint goes back. The
/// level is that of the operands, or their mark.
#[inline]
#[track_caller]
pub(super) fn operator<T: Real, R>(
    op: &'static str,
    level: Option<Level>,
    y: T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    pull: impl FnOnce(&T, T),
) -> Result<R> {
    stack::check()?;
    frame(op, level, y, k, pull)
}

/// The frame of an [`operator`], after the check: where that comes first of all, before there is anything that has to
/// be kept while it asks for more room, frames are smaller.
#[inline(always)] // one frame per operator
#[track_caller]
fn frame<T: Real, R>(
    op: &'static str,
    level: Option<Level>,
    y: T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
    pull: impl FnOnce(&T, T),
) -> Result<R> {
    let at = if T::ALLOCATES { blame(At::caller()) } else { At::caller() };
    if let Some(level) = level
        && <T::Node<T> as NodeRef<T>>::SHARED
        && region::is_open::<T>(level)
    {
        return Err(Box::new(region::rule_inside("cps", at)));
    }
    // Constants get a node too: with one call of the continuation, which is often the whole rest of the program, there
    // is one copy of that in the compiled program, and with one kind of result it keeps most nodes in registers.
    let owner: OwnedNode<T> = node_for(y);
    // SAFETY: the node stays here during the call of `k`, to which the brand of the variable is confined: `k` has to
    // work for any brand.
    let variable = unsafe { Var::active(&owner, level.unwrap_or(Level::CONSTANT)) };
    let result = k(&variable).map_err(Error::deeper)?;
    if level > Some(Level::CONSTANT) {
        let node = node_in::<T>(&owner);
        node.with_adjoint(|y_bar| {
            let pull = || part_of_operator(T::ALLOCATES, at, || pull(node.value(), y_bar));
            // Of arrays it is looked at what they are made of.
            if T::ALLOCATES { finite::backward(op, pull) } else { pull() }
        });
    }
    Ok(result)
}

/// An operator of your own: operands `x`, result `y`, and `pull(y, ȳ)`, the operands' adjoints.
///
/// ```
/// use antiphon::cps;
/// // The cube, with its derivative 3x²·ȳ.
/// let slope = cps::grad(&2.0, |x, k| {
///     let v = *x.value();
///     cps::custom([x], v * v * v, |_, y_bar| [3.0 * v * v * y_bar], k)
/// })?;
/// assert_eq!(slope, 12.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// [`Error::OutsideReset`] if the operands belong to different derivatives. What `pull` gives has to broadcast to the
/// operands' shapes: else [`Error::Shape`] with the line of the call.
#[track_caller]
pub fn custom<T: Real, R, const N: usize>(
    x: [&Var<'_, T>; N],
    y: T,
    pull: impl FnOnce(&T, T) -> [T; N],
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    stack::check()?;
    let mut level = None;
    for operand in x {
        operand.assert_outside("custom");
        level = common_level(level, operand.mark())?;
    }
    frame("custom", level, y.quiet(), k, |y, y_bar| {
        for (operand, g) in x.iter().zip(pull(y, y_bar)) {
            let like = operand.primal();
            operand.accumulate(if T::same_shape(&g, like) { g } else { g.broadcast_like(like) });
        }
    })
}

#[inline(always)] // likewise
#[track_caller]
fn unary<T: Real, R>(
    op: &'static str,
    x: &Var<'_, T>,
    f: impl FnOnce(&T) -> T,
    pull: impl FnOnce(&T, &T, T) -> T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    stack::check()?;
    let y = part_of_operator(T::ALLOCATES, At::caller(), || f(x.primal()));
    frame(op, x.mark(), y, k, |y, y_bar| x.accumulate_computed(pull(x.primal(), y, y_bar)))
}

macro_rules! unary_rules {
    ($($(#[$doc:meta])* $name:ident($x:ident) -> $y:ident, $dy:ident: $rule:expr;)*) => { $(
        $(#[$doc])*
        #[inline(always)] // likewise
        #[track_caller]
        #[allow(unused_variables, reason = "not every rule needs operand and result")]
        pub fn $name<T: Real, R>(
            x: &Var<'_, T>,
            k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
        ) -> Result<R> {
            unary(stringify!($name), x, |x| unary_rules!(@apply $name x), |$x, $y, $dy| $rule, k)
        }
    )* };
    (@apply neg $x:ident) => { -$x.clone() };
    (@apply $name:ident $x:ident) => { T::$name($x) };
}
for_each_unary!(unary_rules);

#[inline(always)] // likewise
#[track_caller]
fn binary<T: Real, R>(
    op: &'static str,
    a: &Var<'_, T>,
    b: &Var<'_, T>,
    f: impl FnOnce(&T, &T) -> T,
    pull_a: impl FnOnce(&T, &T, &T, T) -> T,
    pull_b: impl FnOnce(&T, &T, &T, T) -> T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    stack::check()?;
    let level = common_level(a.mark(), b.mark())?;
    T::check_broadcast(op, a.primal(), b.primal())?;
    let y = part_of_operator(T::ALLOCATES, At::caller(), || f(a.primal(), b.primal()));
    frame(op, level, y, k, |y, y_bar| {
        let (va, vb) = (a.primal(), b.primal());
        // Each operand's half stands here once: with the two in every arm of one `match`, the compiler merges the arms'
        // common code, and nodes that could have stayed in registers go to memory.
        let (to_a, to_b) = match (a.is_active(), b.is_active()) {
            (true, true) => (Some(y_bar.clone()), Some(y_bar)),
            (true, false) => (Some(y_bar), None),
            _ => (None, Some(y_bar)),
        };
        if let Some(y_bar) = to_a {
            a.accumulate_computed(pull_a(va, vb, y, y_bar).unbroadcast(va));
        }
        if let Some(y_bar) = to_b {
            b.accumulate_computed(pull_b(va, vb, y, y_bar).unbroadcast(vb));
        }
    })
}

macro_rules! binary_rules {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`Error::Shape`] if the operands do not broadcast.
        #[inline(always)] // likewise
        #[track_caller]
        #[allow(unused_variables, reason = "not every rule needs operands and result")]
        pub fn $name<T: Real, R>(
            a: &Var<'_, T>,
            b: &Var<'_, T>,
            k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
        ) -> Result<R> {
            binary(
                stringify!($name), a, b,
                |a, b| binary_rules!(@apply $name a b),
                |$a, $b, $y, $dy| $da,
                |$a, $b, $y, $dy| $db,
                k,
            )
        }
    )* };
    (@apply add $a:ident $b:ident) => { $a.clone() + $b };
    (@apply sub $a:ident $b:ident) => { $a.clone() - $b };
    (@apply mul $a:ident $b:ident) => { $a.clone() * $b };
    (@apply div $a:ident $b:ident) => { $a.clone() / $b };
    (@apply $name:ident $a:ident $b:ident) => { T::$name($a, $b) };
}
for_each_binary!(binary_rules);

/// `y = xⁿ`, `x̄ += n·xⁿ⁻¹·ȳ`.
#[inline]
#[track_caller]
pub fn powi<T: Real, R>(
    x: &Var<'_, T>,
    n: i32,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    unary("powi", x, |x| x.powi(n), |x, _, y_bar| crate::language::derivative_rules::powi(x, n, y_bar), k)
}

/// `y = x` limited to `low ..= high`, `x̄ += ȳ` where it was within.
#[inline]
#[track_caller]
pub fn clamp<T: Real, R>(
    x: &Var<'_, T>,
    low: f64,
    high: f64,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    unary(
        "clamp",
        x,
        |x| x.clamp(low, high),
        |x, _, y_bar| crate::language::derivative_rules::clamp(x, low, high, y_bar),
        k,
    )
}

/// `y = a` where the mask holds, else `b`; `ā += ȳ` there, `b̄ += ȳ` elsewhere.
///
/// # Errors
/// [`Error::Shape`] if the operands do not broadcast.
#[inline]
#[track_caller]
pub fn select<T: Real, R>(
    mask: &T::Bool,
    a: &Var<'_, T>,
    b: &Var<'_, T>,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    binary(
        "select",
        a,
        b,
        |a, b| T::select(mask, a, b),
        |_, _, _, y_bar| T::select(mask, &y_bar, &T::constant(0.0)),
        |_, _, _, y_bar| T::select(mask, &T::constant(0.0), &y_bar),
        k,
    )
}

/// `y = x`, whose adjoint becomes what the hook makes of `ȳ`; see [`Real::hook`].
#[inline]
#[track_caller]
pub fn hook<T: Real, H: Hook, R>(
    x: &Var<'_, T>,
    hook: &H,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    unary("hook", x, T::clone, |_, _, y_bar| hook.adjoint(y_bar), k)
}

/// `y = x`, of which this is the value, with zeros added whose adjoint is asked for: `x̄ += ȳ`, and so theirs.
#[inline]
#[track_caller]
pub(super) fn perturbed<T: Real, R>(
    x: &Var<'_, T>,
    zeros: Option<&Var<'_, T>>,
    y: T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    operator("named", x.mark(), y, k, |_, y_bar| {
        if let Some(zeros) = zeros {
            zeros.accumulate_computed(y_bar.clone());
        }
        x.accumulate_computed(y_bar);
    })
}

/// `y = x` summed to the shape of `like`, `x̄ += ȳ` repeated.
#[inline]
#[track_caller]
pub(super) fn unbroadcast<T: Real, R>(
    x: &Var<'_, T>,
    like: &T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    unary("unbroadcast", x, |x| x.clone().unbroadcast(like), |x, _, y_bar| y_bar.broadcast_like(x), k)
}

/// `y = x` repeated to the shape of `like`, `x̄ += ȳ` summed.
#[inline]
#[track_caller]
pub(super) fn broadcast_like<T: Real, R>(
    x: &Var<'_, T>,
    like: &T,
    k: impl for<'k> FnOnce(&Var<'k, T>) -> Result<R>,
) -> Result<R> {
    unary("broadcast_to", x, |x| x.broadcast_like(like), |x, _, y_bar| y_bar.unbroadcast(x), k)
}

/// Do-notation for the explicit spelling: `let y = operator(operands);` becomes `operator(operands, |y| …)`.
///
/// ```
/// use antiphon::cps;
/// let slope = cps::grad(&0.5, |x, k| cps! {
///     let y = cps::mul(x, x);
///     let z = cps::exp(y);
///     cps::add(z, x, k)
/// })?;
/// assert_eq!(slope, 0.25f64.exp() + 1.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[macro_export]
macro_rules! cps {
    (let $y:ident = $($op:ident)::+ ( $($operand:expr),* $(,)? ); $($rest:tt)*) => {
        $($op)::+ ( $($operand,)* |$y| $crate::cps! { $($rest)* } )
    };
    ($last:expr) => { $last };
}
