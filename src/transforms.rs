//! The entry points: derivatives of functions.

use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator};
use crate::continuation::{Level, reset_at};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::language::node::{Node, OwnedNode, node_for, node_in};
use crate::language::params::Params;
use crate::language::real::Real;
use crate::reverse::Var;

/// A function that can be differentiated in reverse: any closure from `P`'s structure of variables to a variable.
///
/// (A name for `for<'r> FnOnce(P::With<Var<'r, U>>) -> Var<'r, U>`, which Rust cannot write.)
pub trait Function<'r, P: Params, U: Real>: FnOnce(P::With<Var<'r, U>>) -> Var<'r, U> {}

impl<'r, P: Params, U: Real, F: FnOnce(P::With<Var<'r, U>>) -> Var<'r, U>> Function<'r, P, U> for F {}

/// A [`Function`] that can be run again: for [`jacobian`](crate::jacobian), which looks at the result's shape first.
pub trait RepeatedFunction<'r, P: Params, U: Real>: Fn(P::With<Var<'r, U>>) -> Var<'r, U> {}

impl<'r, P: Params, U: Real, F: Fn(P::With<Var<'r, U>>) -> Var<'r, U>> RepeatedFunction<'r, P, U> for F {}

/// A gradient: a structure like the parameters'.
pub type Gradient<P> = <P as Params>::With<<P as Params>::Leaf>;

/// Why there is no value.
const NOT_ENDED: &str =
    "a rule of the function returned Ok without having called its continuation, or although that failed";

/// Runs `f` on variables with the values `inputs`, arranged like `structure`, and pulls `seed(y)` back to them.
pub(crate) fn pull<P: Params, U: Real>(
    op: &'static str,
    at: At,
    structure: &P,
    inputs: Vec<U>,
    f: impl for<'r> Function<'r, P, U>,
    seed: impl FnOnce(&U) -> Result<U>,
) -> Result<(U, Vec<U>)> {
    catch(|| {
        stack::on_reserved(|| {
            let level = Level::fresh();
            let nodes: Vec<OwnedNode<U>> = inputs.into_iter().map(|input| node_for(input.quiet())).collect();
            // SAFETY: the nodes stay in their list until the `reset` below is over, to which the brand of the variables
            // is confined: `f` has to work for any brand.
            let variables = nodes.iter().map(|node| unsafe { Var::active(node, level) }).collect();
            let variables = structure.with_leaves(variables)?;
            let mut value = None;
            let place = U::place();
            reset_at(<Var<'_, U> as Real>::NESTING, level, at, || {
                let y = f(variables);
                let seed = operator(at, || seed(y.value()))?;
                y.accumulate(seed);
                value = Some(y.value().clone().leave_for(place));
                Ok(())
            })?;
            let adjoint = |node: &Node<U>| node.take_adjoint().unwrap_or_else(|| node.value().zeros_like());
            let adjoints = operator(at, || nodes.iter().map(node_in::<U>).map(adjoint).collect());
            match value.as_ref().and_then(U::take_adjoint) {
                Some(value) => Ok((value, adjoints)),
                None => Err(Error::Argument { op, reason: NOT_ENDED.into(), at }),
            }
        })
    })
}

/// Gradient of a scalar function at `x`: a number, an array, a tuple, or any structure of [`Params`].
///
/// The function has to be a closure, or a generic function called in one: `|x| f(x)`.
/// ```
/// use antiphon::{Real, grad};
/// assert_eq!(grad(|x| x.powi(3), &2.0)?, 12.0);
/// assert_eq!(grad(|(x, y)| x * &y + y, &(2.0, 3.0))?, (3.0, 3.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises (shapes that do not fit, with the line of the operator);
/// [`Error::Operand`] if the result is not a scalar; [`Error::StackExhausted`].
#[track_caller]
pub fn grad<P: Params>(f: impl for<'r> Function<'r, P, P::Leaf>, x: &P) -> Result<Gradient<P>> {
    Ok(value_and_grad(f, x)?.1)
}

/// Value and [`grad`]ient of a scalar function at `x`.
///
/// # Errors
/// As [`grad`].
#[track_caller]
pub fn value_and_grad<P: Params>(
    f: impl for<'r> Function<'r, P, P::Leaf>,
    x: &P,
) -> Result<(P::Leaf, Gradient<P>)> {
    let at = At::caller();
    let (y, adjoints) = pull("grad", at, x, x.leaves(), f, |y| {
        y.check_scalar("grad").map_err(|error| error.relocate(at))?;
        Ok(y.ones_like())
    })?;
    Ok((y, x.with_leaves(adjoints)?))
}

/// Vector-Jacobian product: the value `y` of a function at `x`, and the adjoint of `x` for the adjoint `y_bar` of `y`.
///
/// # Errors
/// As [`grad`], and [`Error::Shape`] if `y_bar` does not broadcast to the shape of `y`.
#[track_caller]
pub fn vjp<P: Params>(
    f: impl for<'r> Function<'r, P, P::Leaf>,
    x: &P,
    y_bar: &P::Leaf,
) -> Result<(P::Leaf, Gradient<P>)> {
    let at = At::caller();
    let (y, adjoints) = pull("vjp", at, x, x.leaves(), f, |y| Ok(y_bar.broadcast_like(y)))?;
    Ok((y, x.with_leaves(adjoints)?))
}

/// Jacobian-vector product: the value of a function at `x`, and its derivative in the direction `v`.
///
/// ```
/// use antiphon::{Real, jvp};
/// let (y, slope) = jvp(|(x, y)| x * &y, &(2.0, 3.0), &(1.0, 10.0))?;
/// assert_eq!((y, slope), (6.0, 3.0 + 20.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises; [`Error::Structure`] and [`Error::Shape`] if `v` is not like `x`.
#[track_caller]
pub fn jvp<P: Params, V: Params<Leaf = P::Leaf>>(
    f: impl FnOnce(P::With<Dual<P::Leaf>>) -> Dual<P::Leaf>,
    x: &P,
    v: &V,
) -> Result<(P::Leaf, P::Leaf)> {
    let at = At::caller();
    catch(|| {
        stack::on_reserved(|| {
            let y = f(operator(at, || x.zip_leaves(v, |x, v| Dual::new(x.clone(), v.clone())))?);
            Ok((y.primal().clone(), y.tangent()))
        })
    })
}

/// Gradient of a scalar function at `x`, and the product of its Hessian with `v`: forward over reverse, at a small
/// multiple of the cost of the gradient (Pearlmutter 1994).
///
/// ```
/// use antiphon::{Real, hvp};
/// let (gradient, product) = hvp(|x| x.powi(3), &2.0, &1.0)?;
/// assert_eq!((gradient, product), (12.0, 12.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`], and [`Error::Structure`] if `v` is not like `x`.
#[track_caller]
pub fn hvp<P: Params, V: Params<Leaf = P::Leaf>>(
    f: impl for<'r> Function<'r, P, Dual<P::Leaf>>,
    x: &P,
    v: &V,
) -> Result<(Gradient<P>, Gradient<P>)> {
    product("hvp", At::caller(), f, x, v)
}

/// [`hvp`] for the entry point `op`, called at `at`.
fn product<P: Params, V: Params<Leaf = P::Leaf>>(
    op: &'static str,
    at: At,
    f: impl for<'r> Function<'r, P, Dual<P::Leaf>>,
    x: &P,
    v: &V,
) -> Result<(Gradient<P>, Gradient<P>)> {
    let inputs = catch(|| operator(at, || x.zip_leaves(v, |x, v| Dual::new(x.clone(), v.clone()))))?;
    let (_, adjoints) = pull(op, at, x, inputs.leaves(), f, |y| {
        y.check_scalar(op).map_err(|error| error.relocate(at))?;
        Ok(y.ones_like())
    })?;
    let gradient = adjoints.iter().map(|g| g.primal().clone()).collect();
    let product = adjoints.iter().map(Dual::tangent).collect();
    Ok((x.with_leaves(gradient)?, x.with_leaves(product)?))
}
