//! [`linearize`] and [`pullback`]: a model is run once, its derivative is applied as often as is wanted.

use std::fmt;
use std::rc::Rc;

use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::language::control::Control;
use crate::language::control::continuation_passing::{Site, leaves, with_reals};
use crate::language::linear::LinearFunction;
use crate::language::params::{Params, Path};
use crate::language::real::Real;
use crate::language::state::{Leaf, State};
use crate::language::structure::Structure;
use crate::partial::{Linear, Partial, Program};
use crate::reverse::Var;
use crate::sealed::{INTERNAL, Internal};
use crate::transforms::{FunctionTo, Gradient, Seeds, can_look, not_ended, pull};

/// The derivative of a function `P → Y` at a point, to be applied to directions: what [`linearize`] gives.
pub struct Linearized<P: Params, Y> {
    linear: Linear<P::Leaf>,
    /// The point, for its structure.
    x: P,
    /// The value there, for its.
    y: Y,
}

/// The derivative of a function `P → Y` at a point, transposed, to be applied to adjoints: what [`pullback`] gives.
pub struct Pullback<P: Params, Y> {
    linear: Linear<P::Leaf>,
    /// The point, for its structure.
    x: P,
    /// The value there, for its.
    y: Y,
}

impl<P: Params, Y> fmt::Debug for Linearized<P, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linearized").field("steps", &self.linear.steps()).finish_non_exhaustive()
    }
}

impl<P: Params, Y> fmt::Debug for Pullback<P, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pullback").field("steps", &self.linear.steps()).finish_non_exhaustive()
    }
}

/// Results `Y` of a function over dual numbers as values.
pub type Values<Y, U> = <Y as Structure<Dual<Partial<U>>>>::With<U>;

/// What [`linearize`] gives: the value, and the derivative.
pub type ValueAndLinearized<P, Y> =
    (Values<Y, <P as Params>::Leaf>, Linearized<P, Values<Y, <P as Params>::Leaf>>);

/// The value of a function at `x`, and its derivative there as a function of the direction.
///
/// The function is run once. What its derivative takes of it (the cosine of each sine) is kept, and
/// [`apply`](Linearized::apply) computes nothing but products with that: `n` directions cost one run and `n` times the
/// linear part, where [`jvp`](crate::jvp) would run the function `n` times. (Where a model is recorded, the function is
/// written down first to see whether tangents flow through branches or loops; if so, `apply` is as `jvp`.)
/// ```
/// use antiphon::{Real, linearize};
/// let (y, derivative) = linearize(|(x, y)| x.sin() * y, &(0.0, 3.0))?;
/// assert_eq!(y, 0.0);
/// assert_eq!(derivative.apply(&(1.0, 0.0))?, 3.0);
/// assert_eq!(derivative.apply(&(0.0, 1.0))?, 0.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises. [`Error::Argument`] where a tangent is to decide something.
#[track_caller]
pub fn linearize<P, Y>(
    mut f: impl FnMut(P::With<Dual<Partial<P::Leaf>>>) -> Y,
    x: &P,
) -> Result<ValueAndLinearized<P, Y>>
where
    P: Params + Clone,
    P::Leaf: Control,
    Y: Structure<Dual<Partial<P::Leaf>>>,
    Values<Y, P::Leaf>: Clone,
{
    let at = Site::caller("linearize");
    can_look::<P::Leaf>(at.op, at.at)?;
    catch(|| {
        stack::on_reserved(|| {
            if P::Leaf::RECORDS && has_control_flow(at, &mut f, x) {
                return of_region(at, f, x);
            }
            let (program, duals) = duals(x);
            let results = f(x.with_leaves(duals)?);
            let mut tangents = Vec::new();
            let y = results.map_components(&mut Path::default(), &mut |_, leaf| {
                leaf.map_real(|y| {
                    tangents.push(y.tangent());
                    y.primal().demand(at.op).clone()
                })
            });
            let linear = Linear::of(program, tangents);
            Ok((y.clone(), Linearized { linear, x: x.clone(), y }))
        })
    })
}

/// A program, and values with tangents that are its inputs.
type Inputs<T> = (Rc<Program<T>>, Vec<Dual<Partial<T>>>);

/// The leaves of a structure with tangents that are the inputs of a program.
fn duals<P: Params>(x: &P) -> Inputs<P::Leaf> {
    let leaves = x.leaves();
    let (program, tangents) = Linear::inputs(leaves.iter().map(|x| x.lengths(INTERNAL)).collect());
    let dual = |(x, v)| Dual::new(Partial::from_value(x), v);
    (program, leaves.into_iter().zip(tangents).map(dual).collect())
}

/// Whether tangents flow through recorded control flow.
fn has_control_flow<P, Y>(at: Site, f: &mut impl FnMut(P::With<Dual<Partial<P::Leaf>>>) -> Y, x: &P) -> bool
where
    P: Params,
    P::Leaf: Control,
{
    let mut found = false;
    // Recorded as a region and thrown away: there, variables of a derivative around it have no rest to capture.
    P::Leaf::with_region(INTERNAL, at, &mut || {
        let (program, duals) = duals(x);
        let outcome = catch(|| {
            drop(f(x.with_leaves(duals)?));
            Ok::<_, Error>(())
        });
        found = outcome.is_err() && program.is_wanted_in_control_flow();
        Vec::new()
    });
    found
}

/// [`linearize`] of a function that records control flow: the whole function is a region, whose derivative is applied.
fn of_region<P, Y>(
    at: Site,
    mut f: impl FnMut(P::With<Dual<Partial<P::Leaf>>>) -> Y,
    x: &P,
) -> Result<ValueAndLinearized<P, Y>>
where
    P: Params + Clone,
    P::Leaf: Control,
    Y: Structure<Dual<Partial<P::Leaf>>>,
    Values<Y, P::Leaf>: Clone,
{
    let point = x.leaves();
    let inside: Vec<P::Leaf> = point.iter().map(|x| x.placeholder(INTERNAL, None)).collect();
    let constants: Vec<_> = inside.iter().map(|x| Dual::lift(&Partial::lift(x))).collect();
    let mut constants = Some(x.with_leaves(constants)?);
    let (mut results, mut count) = (None, 0);
    let (region, captured) = P::Leaf::with_region(INTERNAL, at, &mut || {
        let results = results.insert(f(constants.take().expect("a region is recorded once")));
        with_reals(leaves(results), |y| {
            count += 1;
            y.primal().demand(at.op).clone()
        })
    });
    let all_inside = inside.into_iter().map(Leaf::Real).chain(captured.inside).collect();
    P::Leaf::close_region(INTERNAL, at, &region, all_inside);
    let mut wanted = vec![true; point.len()];
    let inputs: Vec<_> = point.into_iter().map(Leaf::Real).chain(captured.outside).collect();
    wanted.resize(inputs.len(), false);
    let mut values = P::Leaf::apply_region(INTERNAL, at, &region, inputs.clone()).into_iter();
    let results = results.expect("the region was recorded");
    let y = results
        .map_components(&mut Path::default(), &mut |_, _| values.next().expect("a value of each component"));
    let linear = Linear::of_region(at, &region, inputs, &wanted, count);
    Ok((y.clone(), Linearized { linear, x: x.clone(), y }))
}

/// The value of a function at `x`, and its transposed derivative there: from an adjoint of the value to that of `x`.
///
/// The function is run once, forward and back. What the way back takes of it is kept, and [`apply`](Pullback::apply)
/// computes nothing but the way back, as often as is wanted: the rows of a Jacobian, one after the other, or adjoints
/// that are known only later. (It is what PyTorch calls `retain_graph`, and Zygote a pullback.) The type of the results
/// is that which they are used as, or has to be written: `pullback::<_, f64>`.
/// ```
/// use antiphon::{NdArray, Pullback, Real, pullback};
/// let x = NdArray::from(vec![1.0, 2.0]);
/// let (y, back): (NdArray<f64>, _) = pullback(|x| x.square() * &x, &x)?;
/// assert_eq!(y, NdArray::from(vec![1.0, 8.0]));
/// assert_eq!(back.apply(&NdArray::from(vec![1.0, 0.0]))?, NdArray::from(vec![3.0, 0.0]));
/// assert_eq!(back.apply(&NdArray::from(vec![0.0, 1.0]))?, NdArray::from(vec![0.0, 12.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the function raises. [`Error::Argument`] where an adjoint is to decide something.
#[track_caller]
pub fn pullback<P, Y>(
    f: impl for<'r> FunctionTo<'r, P, Y, P::Leaf, Partial<P::Leaf>>,
    x: &P,
) -> Result<(Y, Pullback<P, Y>)>
where
    P: Params + Clone,
    P::Leaf: Control,
    Y: Structure<P::Leaf>,
    for<'r> Y::With<Var<'r, Partial<P::Leaf>>>: Structure<Var<'r, Partial<P::Leaf>>, With<P::Leaf> = Y>,
{
    let (op, at) = ("pullback", At::caller());
    let mut ran = None;
    let inputs = x.leaves().into_iter().map(Partial::from_value).collect();
    let adjoints = pull(op, at, x, inputs, |variables| {
        let results = f(variables);
        let mut reals = Vec::new();
        let y = results.map_components(&mut Path::default(), &mut |_, leaf| {
            leaf.map_real(|y| {
                let value = y.primal().demand(op).clone();
                reals.push(y);
                value
            })
        });
        let (program, seeds) = Linear::inputs(reals.iter().map(|y| y.primal().lengths(INTERNAL)).collect());
        reals.iter().zip(seeds).for_each(|(y, seed)| y.accumulate(seed));
        ran = Some((y, program));
        Ok(())
    })?;
    let (y, program) = ran.ok_or_else(|| not_ended(op, at))?;
    let linear = Linear::of(program, adjoints);
    Ok((y.clone(), Pullback { linear, x: x.clone(), y }))
}

impl<P, Y> LinearFunction for Linearized<P, Y>
where
    P: Params + Structure<P::Leaf>,
    P::Leaf: Control,
    Y: State<P::Leaf>,
{
    type Leaf = P::Leaf;
    type Argument = P;
    type Result = Y;

    fn argument(&self, _: Internal) -> &P {
        &self.x
    }
    #[track_caller]
    fn apply_to(&self, _: Internal, v: &P) -> Result<Y> {
        self.apply(v)
    }
}

impl<P, Y> LinearFunction for Pullback<P, Y>
where
    P: Params,
    P::Leaf: Control,
    Y: Structure<P::Leaf>,
    Gradient<P>: State<P::Leaf>,
{
    type Leaf = P::Leaf;
    type Argument = Y;
    type Result = Gradient<P>;

    fn argument(&self, _: Internal) -> &Y {
        &self.y
    }
    #[track_caller]
    fn apply_to(&self, _: Internal, y_bar: &Y) -> Result<Gradient<P>> {
        self.apply(y_bar)
    }
}

impl<P: Params, Y: State<P::Leaf>> Linearized<P, Y> {
    /// The derivative in the direction `v`, which is like `x`: of the structure of the function's results, of which
    /// integers are those of the value.
    ///
    /// # Errors
    /// [`Error::Structure`] and [`Error::Shape`] if `v` is not like `x`.
    #[track_caller]
    pub fn apply<V: Params<Leaf = P::Leaf>>(&self, v: &V) -> Result<Y> {
        let at = At::caller();
        catch(|| {
            let directions = operator(at, || self.x.zip_leaves(v, |x, v| v.broadcast_like(x)))?.leaves();
            let mut tangents = self.linear.run(directions).into_iter();
            let mut leaves = Vec::new();
            self.y.flatten(&mut leaves);
            for leaf in &mut leaves {
                if let Leaf::Real(y) = leaf {
                    *y = tangents.next().expect("a tangent of each real result");
                }
            }
            Ok(self.y.rebuild(&mut leaves.into_iter()))
        })
    }
}

impl<P: Params, Y: Structure<P::Leaf>> Pullback<P, Y> {
    /// The adjoint of `x` for the adjoint `y_bar` of the value, which is like it: of the components that `y_bar` has,
    /// as [`vjp`](crate::vjp).
    ///
    /// # Errors
    /// [`Error::Shape`] if an adjoint does not broadcast to the shape of its result, and [`Error::Argument`] if
    /// `y_bar` has a component that the value has not.
    #[track_caller]
    pub fn apply(&self, y_bar: &Y) -> Result<Gradient<P>> {
        let at = At::caller();
        catch(|| {
            let mut seeds = Seeds::of(y_bar);
            let mut adjoints = Vec::new();
            drop(self.y.map_components::<P::Leaf>(&mut Path::default(), &mut |path, leaf| {
                let seed = seeds.take(path);
                if let Leaf::Real(y) = &leaf {
                    adjoints.push(operator(at, || match seed {
                        Some(Leaf::Real(seed)) => seed.broadcast_like(y),
                        _ => y.zeros_like(),
                    }));
                }
                leaf
            }));
            seeds.all_taken("pullback", at)?;
            self.x.with_leaves(self.linear.run(adjoints))
        })
    }
}
