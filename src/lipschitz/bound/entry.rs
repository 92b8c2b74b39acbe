//! [`auto_lip`] and [`lipschitz_bound`]: from a model and a domain to a constant.

use std::fmt;

use super::range::Range;
use super::steps::{self, Step, Steps};
use super::{Bound, Content};
use crate::array::{Float, NdArray};
use crate::continuation::stack;
use crate::continuation::unwinding::{catch, raise};
use crate::error::{At, Error, Result};
use crate::language::params::Params;
use crate::language::real::{Mask, Real};
use crate::language::tensor::Tensor;
use std::rc::Rc;

/// Where a model's inputs lie: all of a structure's arrays.
#[derive(Clone, Debug)]
pub enum Domain<P> {
    /// Anywhere, for arrays of the shapes of these.
    Everywhere(P),
    /// From these to those, element by element.
    Box(P, P),
    /// No farther than a radius from these, in the Euclidean norm of all elements together. Ranges are those of the box
    /// around it.
    Ball(P, f64),
}

impl<P: Params<Leaf: Tensor>> Domain<P> {
    /// The structure of a domain.
    fn like(&self) -> &P {
        match self {
            Domain::Everywhere(like) | Domain::Box(like, _) | Domain::Ball(like, _) => like,
        }
    }

    /// The ranges of all leaves.
    fn ranges(&self, at: At) -> Result<Vec<Option<Range<P::Leaf>>>> {
        let refuse = |reason: String| Err(Error::Argument { op: "auto_lip", reason, at });
        let like = self.like().leaves();
        match self {
            Domain::Everywhere(_) => Ok(like.iter().map(|_| None).collect()),
            Domain::Ball(_, radius) if !(*radius >= 0.0 && radius.is_finite()) => {
                refuse(format!("a ball of radius {radius}"))
            }
            Domain::Ball(center, _) if like.iter().any(|x| x.is_finite().all_known() == Some(false)) => {
                let names = center.names();
                let first = like.iter().position(|x| x.is_finite().all_known() == Some(false)).unwrap_or(0);
                refuse(format!("a ball about what is infinite or no number, {:?}", names[first]))
            }
            Domain::Ball(_, radius) => Ok(like
                .iter()
                .map(|x| Some(Range::rounded(x.clone() - *radius, x.clone() + *radius, true, 2.0)))
                .collect()),
            Domain::Box(low, high) => {
                let (names, highs) = (low.names(), high.leaves());
                if names != high.names() {
                    return refuse("a box of two different structures".into());
                }
                for ((low, high), name) in like.iter().zip(&highs).zip(names) {
                    if low.shape() != high.shape() {
                        let (a, b) = (low.shape(), high.shape());
                        return refuse(format!("a box from {a:?} to {b:?} for {name:?}"));
                    }
                    let ordered = low.less_equal(high).all_known();
                    if ordered == Some(false) {
                        return refuse(format!(
                            "a box whose end is before its start, or no number, for {name:?}"
                        ));
                    }
                }
                let ranges = like.into_iter().zip(highs);
                Ok(ranges.map(|(low, high)| Some(Range { low, high, bounded: true })).collect())
            }
        }
    }
}

/// An operator's part in a Lipschitz constant.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The operator.
    pub operator: &'static str,
    /// The line that called it.
    pub at: At,
    /// By how much a change of its operands is multiplied, at most: the constant of its result by that of its operands
    /// together.
    pub factor: f64,
    /// The constant of its result.
    pub lipschitz: f64,
}

/// An upper bound of a model's Lipschitz constant, with what it comes from.
#[derive(Clone, Debug)]
pub struct LipschitzBound {
    /// The bound, with rounding; infinite if there is none.
    pub value: f64,
    /// The operators that the result comes of, in the order in which they ran.
    pub contributions: Vec<Contribution>,
    /// Which operator made it infinite, and why, if it is.
    pub reason: Option<String>,
}

impl fmt::Display for LipschitzBound {
    /// The bound, and a line for each operator that multiplies it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Lipschitz constant at most {}", self.value)?;
        for step in self.contributions.iter().filter(|step| step.factor != 1.0) {
            let Contribution { operator, at, factor, lipschitz } = step;
            writeln!(f, "{factor:12.6} {lipschitz:14.6}  {operator} ({at})")?;
        }
        self.reason.iter().try_for_each(|reason| writeln!(f, "infinite: {reason}"))
    }
}

/// The inputs as values that move in their domain.
fn enter<P: Params<Leaf: Tensor>>(
    domain: &Domain<P>,
    steps: &Rc<Steps<P::Leaf>>,
    at: At,
) -> Result<P::With<Bound<P::Leaf>>> {
    let mut ranges = domain.ranges(at)?.into_iter();
    Ok(domain.like().map_leaves(|leaf| {
        let range = ranges.next().flatten();
        Bound(Content::Varying(Rc::new(steps::input(leaf.shape(), range, steps))))
    }))
}

/// The constant of all results together.
fn together<T: Tensor>(results: &[Bound<T>]) -> T {
    let constants: Vec<T> = results.iter().filter(|x| x.varying().is_some()).map(Bound::lipschitz).collect();
    let root = constants.iter().cloned().reduce(|root, x| root.hypot(&x));
    let root = root.unwrap_or_else(|| T::constant(0.0));
    if constants.len() > 1 { super::range::up(root, 4.0 * constants.len() as f64) } else { root }
}

/// An upper bound of the Lipschitz constant of a model on a domain, for Euclidean norms of all inputs and of all
/// results: by AutoLip on the graph of its operators. Rounding is counted in.
///
/// ```
/// use antiphon::lipschitz::{Bound, Domain, auto_lip};
/// use antiphon::{NdArray, Real, Tensor};
/// let w = NdArray::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
/// let everywhere = Domain::Everywhere(NdArray::<f64>::zeros(&[2]));
/// let bound = auto_lip(|x: Bound<NdArray<f64>>| x.matmul(&Bound::lift(&w)).tanh() * 0.5, &everywhere)?;
/// assert!((bound.value - 0.5 * 5.464985704219043).abs() < 1e-12);
/// // Of e^x there is none, but on a bounded domain.
/// let exp = auto_lip(|x: Bound<NdArray<f64>>| x.exp(), &everywhere)?;
/// assert!(exp.value.is_infinite() && exp.reason.is_some_and(|reason| reason.starts_with("exp")));
/// let small = Domain::Box(NdArray::full(&[2], -1.0), NdArray::full(&[2], 1.0));
/// assert!((auto_lip(|x: Bound<NdArray<f64>>| x.exp(), &small)?.value - 1f64.exp()).abs() < 1e-12);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the model raises; [`Error::Argument`] for a domain that is none, and where a loop or a recursive function whose
/// end the input decides has none that was found.
#[track_caller]
pub fn auto_lip<E, P, Q>(
    f: impl FnOnce(P::With<Bound<P::Leaf>>) -> Q,
    domain: &Domain<P>,
) -> Result<LipschitzBound>
where
    E: Float,
    P: Params<Leaf = NdArray<E>>,
    Q: Params<Leaf = Bound<NdArray<E>>>,
{
    let at = At::caller();
    let finite = |x: &NdArray<E>| x.view().iter().all(|x| x.to_f64().is_finite());
    let steps = Steps::new();
    let input = enter(domain, &steps, at)?;
    let results: Q = catch::<Q, Error>(|| stack::on_reserved(|| Ok(f(input))))?;
    let results = results.leaves();
    for result in results.iter().filter_map(Bound::varying) {
        steps.absorb(&result.steps);
    }
    let value = together(&results).item().to_f64();
    let value = if value.is_nan() { f64::INFINITY } else { value };
    let list = steps.list();
    let mut reason = None;
    let lipschitz = |step: &Step<NdArray<E>>| {
        let lip = step.lip.item().to_f64();
        if lip.is_nan() { f64::INFINITY } else { lip }
    };
    let mut constants = std::collections::HashMap::new();
    let mut contributions = Vec::with_capacity(list.len());
    for step in &list {
        let lip = lipschitz(step);
        let before =
            step.operands.iter().map(|(_, of)| *constants.get(of).unwrap_or(&1.0)).fold(0.0, f64::hypot);
        if lip.is_infinite() && before.is_finite() && reason.is_none() {
            let range = step.range.as_ref().filter(|range| finite(&range.low) && finite(&range.high));
            let of = range.map_or_else(String::new, |range| {
                format!(", which is from {} to {}", range.low.item(), range.high.item())
            });
            reason = Some(format!("{} ({}): {}{of}", step.call.op, step.at(), step.call.why));
        }
        constants.insert(step.number, lip);
        let factor = if before == 0.0 { 0.0 } else { lip / before };
        contributions.push(Contribution { operator: step.call.op, at: step.at(), factor, lipschitz: lip });
    }
    let reason = reason.filter(|_| value.is_infinite());
    Ok(LipschitzBound { value, contributions, reason })
}

/// [`auto_lip`]'s bound as a number of the interpretation that the model's parameters are of: with derivatives by
/// these, and in compiled code, as a penalty in training. There, rounding is not counted in.
///
/// ```
/// use antiphon::lipschitz::{Bound, Domain, lipschitz_bound};
/// use antiphon::{NdArray, Real, Tensor, grad};
/// fn penalty<T: Tensor>(w: &T) -> T {
///     lipschitz_bound(|x| x.matmul(&Bound::lift(w)).relu(), &Domain::Everywhere(T::zeros(&[2])))
/// }
/// let w = NdArray::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
/// let slope: NdArray<f64> = grad(|w| penalty(&w), &w)?;
/// assert!((slope.view()[[0, 1]] - 0.33068839528718).abs() < 1e-12);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// Raises as [`auto_lip`].
#[track_caller]
pub fn lipschitz_bound<T, P, Q>(f: impl FnOnce(P::With<Bound<T>>) -> Q, domain: &Domain<P>) -> T
where
    T: Tensor,
    P: Params<Leaf = T>,
    Q: Params<Leaf = Bound<T>>,
{
    let steps = Steps::new();
    match enter(domain, &steps, At::caller()) {
        Ok(input) => together(&f(input).leaves()),
        Err(error) => raise(error),
    }
}
