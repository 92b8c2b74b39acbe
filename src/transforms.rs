//! The entry points: derivatives of functions.

use crate::continuation::stack;
use crate::continuation::unwinding::{OrRaise, catch, operator, raise};
use crate::continuation::{Level, reset_at};
use crate::error::{At, Error, Result};
use crate::finite;
use crate::forward::Dual;
use crate::language::custom::{CustomOperator, adjoints_of};
use crate::language::node::{Held, HeldNode, OwnedNode, node_for, node_in};
use crate::language::params::{Params, Path};
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::language::structure::Structure;
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::reverse::names::{Numbered, Sink};

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

/// A function of several results: any closure from `P`'s structure of variables to that which `Y` is of values `U`. The
/// variables are over `U`, or over an interpretation `V` that is made of it.
pub trait FunctionTo<'r, P: Params, Y: Structure<U>, U: Real, V: Real = U>:
    FnOnce(P::With<Var<'r, V>>) -> Y::With<Var<'r, V>>
{
}

impl<'r, P, Y, U, V, F> FunctionTo<'r, P, Y, U, V> for F
where
    P: Params,
    Y: Structure<U>,
    U: Real,
    V: Real,
    F: FnOnce(P::With<Var<'r, V>>) -> Y::With<Var<'r, V>>,
{
}

/// A function with auxiliary results: any closure from `P`'s structure of variables to a variable and `A`'s structure.
pub trait FunctionAux<'r, P: Params, A: Structure<U>, U: Real>:
    FnOnce(P::With<Var<'r, U>>) -> (Var<'r, U>, A::With<Var<'r, U>>)
{
}

impl<'r, P, A, U, F> FunctionAux<'r, P, A, U> for F
where
    P: Params,
    A: Structure<U>,
    U: Real,
    F: FnOnce(P::With<Var<'r, U>>) -> (Var<'r, U>, A::With<Var<'r, U>>),
{
}
/// A [`Function`] that can be run again: for [`jacobian`](crate::jacobian), which looks at the result's shape first.
pub trait RepeatedFunction<'r, P: Params, U: Real>: Fn(P::With<Var<'r, U>>) -> Var<'r, U> {}

impl<'r, P: Params, U: Real, F: Fn(P::With<Var<'r, U>>) -> Var<'r, U>> RepeatedFunction<'r, P, U> for F {}

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

/// The results of a function over dual numbers, and their derivatives: two structures like what it gives.
pub type ValueAndTangent<Y, U> = (<Y as Structure<Dual<U>>>::With<U>, <Y as Structure<Dual<U>>>::With<U>);

/// That there is no value.
pub(crate) fn not_ended(op: &'static str, at: At) -> Error {
    let reason =
        "a rule of the function returned Ok without having called its continuation, or although that failed";
    Error::Argument { op, reason: reason.into(), at }
}

/// Runs `body` on variables with the values `inputs`, arranged like `structure`, and pulls the adjoints that it has
/// accumulated back to them.
pub(crate) fn pull<P: Params, U: Real>(
    op: &'static str,
    at: At,
    structure: &P,
    inputs: Vec<U>,
    body: impl for<'r> FnOnce(P::With<Var<'r, U>>) -> Result<()>,
) -> Result<Vec<U>> {
    Ok(pull_named(op, at, structure, inputs, None, body)?.0)
}

/// [`pull`], and the adjoints of the names that are asked for, if any are, by their numbers.
pub(crate) fn pull_named<P: Params, U: Real>(
    op: &'static str,
    at: At,
    structure: &P,
    inputs: Vec<U>,
    names: Option<&Sink<U>>,
    body: impl for<'r> FnOnce(P::With<Var<'r, U>>) -> Result<()>,
) -> Result<(Vec<U>, Numbered<U>)> {
    can_look::<U>(op, at)?;
    catch(|| {
        stack::on_reserved(|| {
            let level = Level::fresh();
            let nodes: Vec<OwnedNode<U>> = inputs.into_iter().map(|input| node_for(input.quiet())).collect();
            // SAFETY: the nodes stay in their list until the `reset` below is over, to which the brand of the variables
            // is confined: `body` has to work for any brand.
            let variables = nodes.iter().map(|node| unsafe { Var::active(node, level) }).collect();
            let variables = structure.with_leaves(variables)?;
            // SAFETY: these are the variables of this level, which are confined to the `reset` below.
            let asking = names.map(|sink| unsafe { sink.ask(level) });
            reset_at(<Var<'_, U> as Real>::NESTING, level, at, || Ok(body(variables)?))?;
            drop(asking);
            let adjoint =
                |node: &HeldNode<U>| node.take_adjoint().unwrap_or_else(|| node.value().zeros_like());
            Ok(operator(at, || {
                let adjoints = nodes.iter().map(node_in::<U>).map(adjoint).collect();
                (adjoints, names.map_or_else(Vec::new, Sink::adjoints))
            }))
        })
    })
}

/// [`pull`] of a function of one result, whose adjoint is `seed(y)`; also its value.
pub(crate) fn pull_one<P: Params, U: Real>(
    op: &'static str,
    at: At,
    structure: &P,
    inputs: Vec<U>,
    f: impl for<'r> Function<'r, P, U>,
    seed: impl FnOnce(&U) -> Result<U>,
) -> Result<(U, Vec<U>)> {
    let mut value = None;
    let adjoints = pull(op, at, structure, inputs, |variables| {
        let place = value.insert((U::place(), None));
        let y = f(variables);
        let seed = operator(at, || seed(y.primal()))?;
        y.accumulate(seed);
        place.1 = Some(y.primal().clone().leave_for(place.0));
        Ok(())
    })?;
    match value.and_then(|(_, value)| U::take_adjoint(&value?)) {
        Some(value) => Ok((value, adjoints)),
        None => Err(not_ended(op, at)),
    }
}

/// The result of a function of variables without any derivative in reverse: of constants. Recorded control flow in it
/// is that of a derivative all the same, and ends where this does.
pub(crate) fn evaluate<P: Params, U: Real>(
    op: &'static str,
    at: At,
    structure: &P,
    inputs: Vec<U>,
    f: impl for<'r> Function<'r, P, U>,
) -> Result<U> {
    catch(|| {
        stack::on_reserved(|| {
            let (place, mut value) = (U::place(), None);
            let constants = structure.with_leaves(inputs.into_iter().map(Var::from_value).collect())?;
            reset_at(<Var<'_, U> as Real>::NESTING, Level::fresh(), at, || {
                value = Some(f(constants).primal().clone().leave_for(place));
                Ok(())
            })?;
            let value = value.and_then(|value| U::take_adjoint(&value));
            value.ok_or_else(|| not_ended(op, at))
        })
    })
}

/// Values of a derivative's results on their way out of it, where recording goes on in another place.
struct Leaving<U: Real, Y> {
    /// Their structure; the values are those inside.
    structure: Y,
    leaves: Vec<Left<U>>,
}

enum Left<U: Real> {
    Real(U::Adjoint),
    Other(Leaf<U>),
}

impl<U: Real, Y: Structure<U>> Leaving<U, Y> {
    /// Results that were computed here and are wanted in an earlier place.
    fn new<'r, Z>(at: At, place: usize, results: &Z) -> Leaving<U, Y>
    where
        Z: Structure<Var<'r, U>, With<U> = Y>,
    {
        let mut leaves = Vec::new();
        let structure = results.map_components(&mut Path::default(), &mut |path, leaf| {
            let leaf = leaf.map_real(|y| y.primal().clone());
            leaves.push(match &leaf {
                Leaf::Real(y) => Left::Real(y.clone().leave_for(place)),
                other if U::place() == place => Left::Other(other.clone()),
                _ => {
                    let reason = format!(
                        "the result{}{path} is an integer or a truth value that recorded control flow in the \
                         function has computed, which only reals can leave: give it as reals, with from_int or \
                         from_mask",
                        if path.to_string().is_empty() { "" } else { " " }
                    );
                    raise(Error::Recording { reason, at })
                }
            });
            leaf
        });
        Leaving { structure, leaves }
    }

    /// The results outside.
    fn arrive(self) -> Option<Y> {
        let leaf = |left| match left {
            Left::Real(held) => U::take_adjoint(&held).map(Leaf::Real),
            Left::Other(leaf) => Some(leaf),
        };
        let leaves: Option<Vec<Leaf<U>>> = self.leaves.into_iter().map(leaf).collect();
        Some(self.structure.rebuild(&mut leaves?.into_iter()))
    }
}

/// That what is [not finite](crate::debug::check_finite) is found, if it is looked for.
pub(crate) fn can_look<T: Real>(op: &'static str, at: At) -> Result<()> {
    if T::ALLOCATES || !finite::looks() {
        return Ok(());
    }
    let reason = "check_finite does not see what plain numbers compute: \
                  differentiate over `NdArray::scalar`, or compile";
    Err(Error::Argument { op, reason: reason.into(), at })
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
    let (y, adjoints) = pull_one("grad", at, x, x.leaves(), f, |y| {
        y.check_scalar("grad").map_err(|error| error.relocate(at))?;
        Ok(y.ones_like())
    })?;
    Ok((y, x.with_leaves(adjoints)?))
}

/// Value and gradient of a scalar function that gives something besides: logits, statistics, the state of a
/// recurrence. Its results are `(loss, auxiliary)`; what is auxiliary is any [`Structure`], comes out as values, and
/// has no part in the gradient.
///
/// Recorded, this is how a value leaves a loss: one that is put into a variable of the caller's by the closure is not
/// known outside of the loops and branches that it was computed after. The type of the auxiliary results is that which
/// they are used as, or has to be written: `let (loss, (h, n), gradient): (_, (f64, f64), _) = …`.
/// ```
/// use antiphon::{Real, Var, value_and_grad_aux};
/// let (loss, prediction, slope): (_, f64, _) = value_and_grad_aux(
///     |w| {
///         let y = w * Var::constant(3.0);
///         (y.square(), y)
///     },
///     &2.0,
/// )?;
/// assert_eq!((loss, prediction, slope), (36.0, 6.0, 36.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`]. [`Error::Recording`] for an integer or truth value that was computed after recorded control flow.
#[track_caller]
pub fn value_and_grad_aux<P: Params, A: Structure<P::Leaf>>(
    f: impl for<'r> FunctionAux<'r, P, A, P::Leaf>,
    x: &P,
) -> Result<(P::Leaf, A, Gradient<P>)>
where
    for<'r> A::With<Var<'r, P::Leaf>>: Structure<Var<'r, P::Leaf>, With<P::Leaf> = A>,
{
    let (op, at) = ("value_and_grad_aux", At::caller());
    let mut results = None;
    let adjoints = pull(op, at, x, x.leaves(), |variables| {
        let place = P::Leaf::place();
        let (y, auxiliary) = f(variables);
        y.primal().check_scalar(op).map_err(|error| error.relocate(at))?;
        y.accumulate(operator(at, || y.primal().ones_like()));
        let auxiliary = Leaving::new(at, place, &auxiliary);
        results = Some((y.primal().clone().leave_for(place), auxiliary));
        Ok(())
    })?;
    let arrived = results.and_then(|(y, auxiliary)| Some((P::Leaf::take_adjoint(&y)?, auxiliary.arrive()?)));
    let (y, auxiliary) = arrived.ok_or_else(|| not_ended(op, at))?;
    Ok((y, auxiliary, x.with_leaves(adjoints)?))
}

/// Vector-Jacobian product: the value `y` of a function at `x`, and the adjoint of `x` for the adjoint `y_bar` of `y`.
///
/// The function may have any [`Structure`] of results, and `y_bar` is like it: of the components that it has. Those
/// that `y` has besides (in an `Option` that is `None` in `y_bar`, say) have no adjoint, and integers have none.
/// ```
/// use antiphon::{Real, vjp};
/// let polar = |(r, t): (f64, f64)| vjp(|(r, t)| (r.clone() * t.cos(), r * t.sin()), &(r, t), &(1.0, 0.0));
/// let ((x, y), (dr, dt)) = polar((2.0, 0.0))?;
/// assert_eq!((x, y, dr, dt), (2.0, 0.0, 1.0, 0.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`grad`], [`Error::Shape`] if an adjoint does not broadcast to the shape of its result, and
/// [`Error::Argument`] if `y_bar` has a component that `y` has not.
#[track_caller]
pub fn vjp<P: Params, Y: Structure<P::Leaf>>(
    f: impl for<'r> FunctionTo<'r, P, Y, P::Leaf>,
    x: &P,
    y_bar: &Y,
) -> Result<(Y, Gradient<P>)>
where
    for<'r> Y::With<Var<'r, P::Leaf>>: Structure<Var<'r, P::Leaf>, With<P::Leaf> = Y>,
{
    let (op, at) = ("vjp", At::caller());
    let mut results = None;
    let adjoints = pull(op, at, x, x.leaves(), |variables| {
        let place = P::Leaf::place();
        let y = f(variables);
        operator(at, || seed(at, &y, y_bar))?;
        results = Some(Leaving::new(at, place, &y));
        Ok(())
    })?;
    let y = results.and_then(Leaving::arrive);
    let y = y.ok_or_else(|| not_ended(op, at))?;
    Ok((y, x.with_leaves(adjoints)?))
}

/// Adds the adjoints `y_bar` to the results of the same names.
fn seed<'r, U: Real, Y: Structure<U>>(
    at: At,
    y: &impl Structure<Var<'r, U>, With<U> = Y>,
    y_bar: &Y,
) -> Result<()> {
    let mut seeds = Seeds::of(y_bar);
    drop(y.map_components::<U>(&mut Path::default(), &mut |path, leaf| {
        let seed = seeds.take(path);
        leaf.map_real(|y| {
            if let Some(Leaf::Real(seed)) = seed {
                y.accumulate(seed.broadcast_like(y.primal()));
            }
            y.primal().clone()
        })
    }));
    seeds.all_taken("vjp", at)
}

/// Adjoints of results, by the results' names.
pub(crate) struct Seeds<U: Real>(Vec<(Path, Leaf<U>)>);

impl<U: Real> Seeds<U> {
    pub(crate) fn of(y_bar: &impl Structure<U>) -> Seeds<U> {
        let mut seeds = Vec::new();
        drop(y_bar.map_components::<U>(&mut Path::default(), &mut |path, leaf| {
            seeds.push((path.clone(), leaf.clone()));
            leaf
        }));
        // In the order in which results come, the next one is the last.
        seeds.reverse();
        Seeds(seeds)
    }

    /// That of a result, if there is any.
    pub(crate) fn take(&mut self, path: &Path) -> Option<Leaf<U>> {
        let place = self.0.iter().rposition(|(other, _)| other == path)?;
        Some(self.0.remove(place).1)
    }

    /// That there are no others.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first one.
    pub(crate) fn all_taken(&self, op: &'static str, at: At) -> Result<()> {
        let Some((path, _)) = self.0.last() else { return Ok(()) };
        let reason = format!("an adjoint of {:?}, which the function does not give", path.to_string());
        Err(Error::Argument { op, reason, at })
    }
}

/// Jacobian-vector product: the value of a function at `x`, and its derivative in the direction `v`.
///
/// The function may have any [`Structure`] of results: then both are such structures. Integers have themselves for a
/// derivative.
/// ```
/// use antiphon::{Real, jvp};
/// let (y, slope) = jvp(|(x, y)| x * &y, &(2.0, 3.0), &(1.0, 10.0))?;
/// assert_eq!((y, slope), (6.0, 3.0 + 20.0));
/// let ((_, sin), (_, slope)) = jvp(|x| (x.square(), x.sin()), &0.0, &2.0)?;
/// assert_eq!((sin, slope), (0.0, 2.0));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises; [`Error::Structure`] and [`Error::Shape`] if `v` is not like `x`.
#[track_caller]
pub fn jvp<P: Params, V: Params<Leaf = P::Leaf>, Y: Structure<Dual<P::Leaf>>>(
    f: impl FnOnce(P::With<Dual<P::Leaf>>) -> Y,
    x: &P,
    v: &V,
) -> Result<ValueAndTangent<Y, P::Leaf>> {
    let at = At::caller();
    can_look::<P::Leaf>("jvp", at)?;
    catch(|| {
        stack::on_reserved(|| {
            let y = f(operator(at, || x.zip_leaves(v, |x, v| Dual::new(x.clone(), v.clone())))?);
            let part = |part: fn(&Dual<P::Leaf>) -> P::Leaf| {
                y.map_components(&mut Path::default(), &mut |_, leaf| leaf.map_real(|y| part(&y)))
            };
            Ok((part(|y| y.primal().clone()), part(Dual::tangent)))
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
    let (_, adjoints) = pull_one(op, at, x, inputs.leaves(), f, |y| {
        y.check_scalar(op).map_err(|error| error.relocate(at))?;
        Ok(y.ones_like())
    })?;
    let gradient = adjoints.iter().map(|g| g.primal().clone()).collect();
    let product = adjoints.iter().map(Dual::tangent).collect();
    Ok((x.with_leaves(gradient)?, x.with_leaves(product)?))
}

/// What the [`push`](CustomOperator::push) of an operator is whose [`pull`](CustomOperator::pull) is linear in the
/// adjoint of the result: its transpose, `∂/∂ȳ Σ ⟨x̄ᵢ(ȳ), ẋᵢ⟩`.
///
/// # Errors
/// Raises what `pull` raises.
#[track_caller]
pub fn transposed<O: CustomOperator, T: Tensor>(
    operator: &O,
    x: &[T],
    y: &T,
    tangents: &[Option<T>],
) -> Option<T> {
    let wanted: Vec<bool> = tangents.iter().map(Option::is_some).collect();
    let slope = grad(
        |y_bar| {
            let constants: Vec<Var<'_, T>> = x.iter().map(Var::lift).collect();
            let adjoints = operator.pull(&constants, &Var::lift(y), &y_bar, &wanted);
            let mut sum: Option<Var<'_, T>> = None;
            let adjoints = adjoints_of(O::NAME, &constants, adjoints);
            for (adjoint, tangent) in adjoints.into_iter().zip(tangents) {
                if let (Some(adjoint), Some(tangent)) = (adjoint, tangent) {
                    let product = (adjoint * Var::lift(tangent)).sum(..);
                    sum = Some(match sum {
                        Some(sum) => sum + product,
                        None => product,
                    });
                }
            }
            sum.unwrap_or_else(|| Var::lift(&T::constant(0.0)))
        },
        &y.zeros_like(),
    );
    Some(slope.or_raise())
}
