//! The entry points: derivatives of functions.

use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator};
use crate::continuation::{Level, reset_at};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::language::node::{Node, OwnedNode, node_for, node_in};
use crate::language::params::Params;
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;
use crate::memory;
use crate::reverse::Var;

/// A function that can be differentiated in reverse: any closure from `P`'s structure of variables to a variable.
///
/// (A name for `for<'r> FnOnce(P::With<Var<'r, U>>) -> Var<'r, U>`, which Rust cannot write.)
///
/// Where the compiler says that an implementation of `Function` or `FnOnce` is not general enough, or that a closure's
/// parameter needs a type:
///
/// * instead of `grad(f, &x)` with `fn f<T: Real>(x: T) -> T` write `grad(|x| f(x), &x)`;
/// * instead of `let f = |x| x.sin();` write `let f = function::<P, _>(|x| x.sin());` with [`function`], where `P` is
///   the type of the parameters: `f64`, say.
pub trait Function<'r, P: Params, U: Real>: FnOnce(P::With<Var<'r, U>>) -> Var<'r, U> {}

impl<'r, P: Params, U: Real, F: FnOnce(P::With<Var<'r, U>>) -> Var<'r, U>> Function<'r, P, U> for F {}

/// A closure that is to be differentiated, under a name: at parameters `P`, by [`grad`] and its relatives.
///
/// A closure in the call of `grad` has the types that it needs. Before it, Rust has to be told that it takes variables
/// of any derivative, and no type that can be written at its parameter says so; this function does.
/// ```
/// use antiphon::{Real, function, grad, value_and_grad};
/// let f = function::<f64, _>(|x| x.sin() * x);
/// assert_eq!(grad(f, &0.0)?, 0.0);
/// assert_eq!(value_and_grad(f, &0.0)?.0, 0.0);
/// let g = function::<(f64, f64), _>(|(x, y)| x * y);
/// assert_eq!(grad(g, &(2.0, 3.0))?, (3.0, 2.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
pub fn function<P: Params, F: for<'r> Function<'r, P, P::Leaf>>(f: F) -> F {
    f
}

/// A gradient: a structure like the parameters'.
pub type Gradient<P> = <P as Params>::With<<P as Params>::Leaf>;

/// Why there is no value.
const NOT_ENDED: &str =
    "a rule of the function returned Ok without having called its continuation, or although that failed";

/// Runs `f` on variables with the values `inputs`, arranged like `structure`, and pulls `seed(y)` back to them.
fn pull<P: Params, U: Real>(
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

/// Jacobian of a function from one array to one array, `[shape of y.., shape of x..]`: one reverse pass per element
/// of `y`.
///
/// # Errors
/// As [`grad`].
#[track_caller]
pub fn jacobian<T: Tensor>(f: impl for<'r> Fn(Var<'r, T>) -> Var<'r, T>, x: &T) -> Result<T> {
    let at = At::caller();
    let mut rows = Vec::new();
    let mut y_shape: Option<Shape> = None;
    let mut i = 0;
    while y_shape.as_ref().is_none_or(|y| i < shape::size(y)) {
        let (y, adjoint) = pull("jacobian", at, x, vec![x.clone()], &f, |y| unit(&y.shape(), i))?;
        let shape = y_shape.get_or_insert(y.shape());
        if shape::size(shape) > 0 {
            rows.extend(adjoint);
        }
        i += 1;
    }
    let shape: Vec<usize> = y_shape.into_iter().flatten().chain(x.shape()).collect();
    stacked(at, &rows, &shape)
}

/// Hessian of a scalar function of one array, `[shape of x.., shape of x..]`: one forward-over-reverse pass per
/// element of `x`.
///
/// # Errors
/// As [`grad`].
#[track_caller]
pub fn hessian<T: Tensor>(f: impl for<'r> Fn(Var<'r, Dual<T>>) -> Var<'r, Dual<T>>, x: &T) -> Result<T> {
    let at = At::caller();
    let shape = x.shape();
    let mut rows = Vec::new();
    for i in 0..shape::size(&shape) {
        let direction = catch(|| operator(at, || unit::<T>(&shape, i)))?;
        rows.push(product("hessian", at, &f, x, &direction)?.1);
    }
    let shape: Vec<usize> = shape.iter().chain(&shape).copied().collect();
    stacked(at, &rows, &shape)
}

/// Rows as one array of this shape; zeros if there are none.
fn stacked<T: Tensor>(at: At, rows: &[T], shape: &[usize]) -> Result<T> {
    catch(|| {
        operator(at, || Ok(if rows.is_empty() { T::zeros(shape) } else { T::stack(rows, 0).reshape(shape) }))
    })
}

/// The array that is one at position `i` and zero elsewhere. An empty array has no such position: it is empty.
fn unit<T: Tensor>(shape: &[usize], i: usize) -> Result<T> {
    let mut elements = memory::zeros(shape::size(shape));
    if let Some(element) = elements.get_mut(i) {
        *element = 1.0;
    }
    T::from_elements(shape, &elements)
}
