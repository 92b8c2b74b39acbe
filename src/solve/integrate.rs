//! Initial value problems: solutions at given times, with their adjoints.

use crate::continuation::unwinding::{OrRaise, catch, operator, raise};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::language::control::Checkpoints;
use crate::language::custom::CustomOperator;
use crate::language::params::Params;
use crate::language::real::Real;
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;
use crate::solve::ode::{
    Field, PackedField, Place, Shifted, Stepping, VectorField, advance, advance_to, arrived, goes_on, within,
};
use crate::solve::problem::{Layout, Over};
use crate::solve::system::{chosen_shapes, constants};
use crate::solve::tableau::Stepper;
use crate::transforms::{jvp, vjp};

/// How the derivative of an integration is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Adjoint {
    /// Of the steps that were made, whose lengths count as constants: exact for what was computed.
    Discrete {
        /// Which states are kept for the way back: all, or of the steps between two of the times those that
        /// [`checkpointed_while`](crate::Control::checkpointed_while) keeps.
        checkpoints: Option<Checkpoints>,
    },
    /// By the adjoint equation `da/dt = −(∂f/∂y)ᵀa`, integrated back from each time to the one before it together with
    /// `y` and the parameters' adjoint (Chen, Rubanova, Bettencourt & Duvenaud, *Neural ordinary differential
    /// equations*, 2018): it keeps the states at the times, and is right up to the tolerance where the equation can be
    /// solved backwards. Forward, and in derivatives of it, it is the derivative of the steps.
    Backsolve,
}

/// What `y` is at times within a step, where [`integrate`] is asked for it. Euler's method and the classical one have
/// no interpolant of their order, and take the shorter step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// The polynomial of order 4 that the pair of methods has for it (Shampine 1986; Tsitouras 2011), as SciPy's and
    /// diffrax's: it takes no further slopes.
    #[default]
    Interpolant,
    /// A step of the method from where the last one began, which is of order 5, and takes five slopes for each time.
    ShorterStep,
}

/// What an integration is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Integration {
    /// The method.
    pub stepper: Stepper,
    /// Steps are so long that the root mean square of their estimated errors beside `absolute + relative·|y|` is 1 at
    /// most.
    pub absolute: f64,
    /// See [`absolute`](Integration::absolute).
    pub relative: f64,
    /// The largest number of steps that are tried.
    pub max_steps: usize,
    /// How the derivative is taken.
    pub adjoint: Adjoint,
    /// What `y` is between the ends of steps. [`Adjoint::Backsolve`] has a step end at each time, and
    /// [`integrate_until`](crate::solve::integrate_until) takes shorter steps, so that an event is where it is as
    /// exactly as the steps are.
    pub between: Between,
}

impl Default for Integration {
    /// Tsitouras's method with tolerances of 10⁻⁶, 10,000 steps, and the adjoint of the steps, with their interpolants.
    fn default() -> Integration {
        Integration {
            stepper: Stepper::Tsitouras,
            absolute: 1e-6,
            relative: 1e-6,
            max_steps: 10_000,
            adjoint: Adjoint::Discrete { checkpoints: None },
            between: Between::Interpolant,
        }
    }
}

/// What [`integrate`] gives.
#[derive(Clone, Debug)]
pub struct Trajectory<Y, T: Real> {
    /// `y` at the times after the first one: each leaf has one more axis, the first.
    pub y: Y,
    /// How many steps were tried; a constant.
    pub tried: T,
    /// How many of them were made: the others had too large an error.
    pub made: T,
}

/// The solution of `dy/dt = f(t, y, θ)` at times `[k + 1]` in ascending order, at the first of which it is `y`. It has
/// derivatives by `y`, the parameters and the times. Steps do not end at the times: there, `y` is what
/// [`between`](Integration::between) says.
///
/// ```
/// use antiphon::solve::{Integration, VectorField, integrate};
/// use antiphon::{NdArray, OrRaise, Real, Tensor, Var, grad};
///
/// /// `dy/dt = −θ·y`.
/// #[derive(Clone, Debug)]
/// struct Decay;
///
/// impl VectorField for Decay {
///     type State = NdArray<f64>;
///     type Parameters = NdArray<f64>;
///     fn slope<T: Tensor>(&self, _t: &T, y: &T, theta: &T) -> T {
///         -y.clone() * theta
///     }
/// }
///
/// let how = Integration { absolute: 1e-10, relative: 1e-10, ..Integration::default() };
/// let times = NdArray::from(vec![0.0, 1.0, 2.0]);
/// let slope = grad(
///     |theta: Var<'_, NdArray<f64>>| {
///         let found = integrate(&Decay, &theta.ones_like(), &Var::lift(&times), &theta, &how).or_raise();
///         found.y.index(0, 1)
///     },
///     &NdArray::scalar(0.5),
/// )?;
/// assert!((slope.item() + 2.0 * (-1.0f64).exp()).abs() < 1e-8);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the field raises; [`Error::Argument`] if its slope is not like `y`, if there are no times or tolerances are not
/// positive, and where the last time is not reached in so many steps, or with a state that is not finite;
/// [`Error::Ensure`] if the times do not ascend.
#[track_caller]
pub fn integrate<F: VectorField, T: Tensor>(
    field: &F,
    y: &Over<F::State, T>,
    times: &T,
    theta: &Over<F::Parameters, T>,
    how: &Integration,
) -> Result<Trajectory<Over<F::State, T>, T>> {
    let at = At::caller();
    catch(|| {
        let (packed, mut control) = prepared::<F, T>("integrate", field, y, theta, how, at);
        let count = match times.shape()[..] {
            [count] if count > 1 => count - 1,
            _ => {
                let reason = format!("times {:?}: a vector of two or more", times.shape());
                raise(Error::Argument { op: "integrate", reason, at })
            }
        };
        let (first, later) = (times.index(0, 0), times.slice(0, 1..count + 1));
        let ascend = later.greater_equal(&times.slice(0, 0..count));
        T::ensure_at(
            INTERNAL,
            at,
            &T::all(&ascend, ..),
            "integrate: the times of an integration have to ascend",
        );
        let start = packed.state.pack(y);
        let theta = theta.leaves();
        let (rows, tried, made) = match how.adjoint {
            Adjoint::Discrete { checkpoints } => {
                let has_interpolant = how.stepper.tableau().bend.is_some();
                control.interpolates = has_interpolant && how.between == Between::Interpolant;
                discrete(&packed, &control, checkpoints, &start, &first, &later, &theta)
            }
            Adjoint::Backsolve => backsolve(&packed, &control, at, &start, &first, &later, &theta),
        };
        let y = packed.state.unpack_rows(&rows);
        Ok(Trajectory { y, tried: tried.detach(), made: made.detach() })
    })
}

/// The packed field, and the limits of its steps.
pub(super) fn prepared<F: VectorField, T: Tensor>(
    op: &'static str,
    field: &F,
    y: &Over<F::State, T>,
    theta: &Over<F::Parameters, T>,
    how: &Integration,
    at: At,
) -> (PackedField<F>, Stepping) {
    let refuse = |reason| raise(Error::Argument { op, reason, at });
    let positive = |x: f64| x > 0.0 && x.is_finite();
    if !(positive(how.absolute) && positive(how.relative)) {
        let (absolute, relative) = (how.absolute, how.relative);
        refuse(format!("the tolerances {absolute} and {relative} have to be positive"));
    }
    if let Adjoint::Discrete { checkpoints: Some(Checkpoints::Count(0)) } = how.adjoint {
        refuse("of the states, none is to be kept, and one has to be".into());
    }
    if how.stepper.fixed().is_some_and(|step| !positive(step)) {
        refuse(format!("{:?}: the length of a step has to be positive", how.stepper));
    }
    let (state, theta) = (Layout::of::<T>(y), Layout::of::<T>(theta));
    if state.size() == 0 {
        refuse("a state without elements".into());
    }
    let control = Stepping {
        stepper: how.stepper,
        absolute: how.absolute,
        relative: how.relative,
        max_steps: how.max_steps,
        interpolates: false,
        at,
    };
    (PackedField { field: field.clone(), state, theta, at }, control)
}

/// All times, with the derivative of the steps.
fn discrete<F: Field, T: Tensor>(
    field: &F,
    control: &Stepping,
    checkpoints: Option<Checkpoints>,
    y: &T,
    first: &T,
    later: &T,
    theta: &[T],
) -> (T, T, T) {
    let end = later.index(0, later.size() - 1).detach();
    let (field, theta) = Shifted::of(field, first, theta);
    let (field, theta, later) = (&field, theta.as_slice(), later.clone() - &theta[0]);
    let begin = Place::begin(field, control, &first.detach(), y, theta);
    let (last, rows) = T::scan_rows(begin.to_vec(), &later, |parts: Vec<T>, t: T| {
        let place = Place::of(&parts);
        let place = match checkpoints {
            None => advance_to(field, control, place, &t, &end, theta),
            Some(checkpoints) => {
                let (inside, again) = (field.clone(), control.clone());
                let limits = control.clone();
                let shared = (theta.to_vec(), t.clone(), end.clone());
                let parts = T::checkpointed_while(
                    &shared,
                    place.to_vec(),
                    checkpoints,
                    move |(_, t, _): &(Vec<T>, T, T), parts| goes_on(&limits, &Place::of(parts), t),
                    move |(theta, _, end): &(Vec<T>, T, T), parts| {
                        advance(&inside, &again, &Place::of(&parts), end, theta).to_vec()
                    },
                );
                Place::of(&parts)
            }
        };
        let y = arrived(control, &place, &t, within(field, control, &place, &t, theta));
        (place.to_vec(), y)
    })
    .or_raise();
    let last = Place::of(&last);
    (rows, last.tried, last.made)
}

/// All times, one after the other, each integrated by an operator whose derivative integrates back.
fn backsolve<F: Field, T: Tensor>(
    field: &F,
    control: &Stepping,
    at: At,
    y: &T,
    first: &T,
    later: &T,
    theta: &[T],
) -> (T, T, T) {
    let segment = Segment { field: field.clone(), control: control.clone() };
    let n = y.size();
    let zero = T::constant(0.0);
    let begin = vec![y.clone(), first.clone(), zero.clone(), zero];
    let (last, rows) = T::scan_rows(begin, later, |parts: Vec<T>, t: T| {
        let [y, from, tried, made] = &parts[..] else { unreachable!("a state of four") };
        let operands: Vec<&T> = [y, from, &t].into_iter().chain(theta).collect();
        let found = operator(at, || T::custom(&segment, &operands));
        let y = found.slice(0, 0..n);
        let count = |i: usize| found.index(0, n + i).detach();
        (vec![y.clone(), t, tried.clone() + count(0), made.clone() + count(1)], y)
    })
    .or_raise();
    (rows, last[2].clone(), last[3].clone())
}

/// `y` at one time from `y` at another one; also the steps that were tried and made. Its operands are `y`, both times
/// and the parameters.
#[derive(Clone, Debug)]
struct Segment<F> {
    field: F,
    control: Stepping,
}

impl<F: Field> Segment<F> {
    fn run<T: Tensor>(&self, operands: &[T]) -> T {
        let [y, from, to, theta @ ..] = operands else { unreachable!("a state and two times") };
        let [begins, ends] = [from, to].map(Real::detach);
        let (span, length) = (to.clone() - from, ends.clone() - &begins);
        let none = length.equal(&T::constant(0.0));
        let scale = span / T::select(&none, &T::constant(1.0), &length);
        let theta: Vec<T> = [from.clone(), scale].into_iter().chain(theta.iter().cloned()).collect();
        let field = Stretched { field: self.field.clone() };
        let begin = Place::begin(&field, &self.control, &begins, y, &theta);
        let place = advance_to(&field, &self.control, begin, &ends, &ends, &theta);
        // In no time, `y` changes by nothing, of which the derivative is the slope.
        let [_, y, change] = &place.now;
        let y = T::select(&none, &(y.clone() + change), y);
        let y = arrived(&self.control, &place, &ends, y);
        let counts = [&place.tried, &place.made].map(|count| count.detach().reshape(&[1]));
        let [tried, made] = counts;
        T::concat(&[y, tried, made], 0)
    }
}

impl<F: Field> CustomOperator for Segment<F> {
    const NAME: &'static str = "integrate";

    fn value<T: Tensor>(&self, operands: &[T]) -> T {
        self.run(operands)
    }

    fn pull<T: Tensor>(&self, operands: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let [start, from, to, theta @ ..] = operands else { unreachable!("a state and two times") };
        let n = start.size();
        let (y, y_bar) = (y.slice(0, 0..n), y_bar.slice(0, 0..n));
        let wanted_theta: Vec<bool> = wanted[3..].to_vec();
        let sizes = chosen_shapes(theta, &wanted_theta);
        let count: usize = sizes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        let begin = T::concat(&[y.clone(), y_bar.clone(), T::zeros(&[count])], 0);
        // Time runs back: τ = −t.
        let back = Segment {
            field: Augmented { field: self.field.clone(), n, wanted: wanted_theta.clone() },
            control: self.control.clone(),
        };
        let (from_back, to_back) = (-to.clone(), -from.clone());
        // Not as an operator: the derivative of this derivative is that of its steps.
        let all: Vec<T> = [begin, from_back, to_back].into_iter().chain(theta.iter().cloned()).collect();
        let found = back.run(&all);
        let a = found.slice(0, n..2 * n);
        let by_time = |t: &T, y: &T, a: &T| (self.field.slope(t, y, theta) * a).sum(..);
        let mut adjoints = vec![
            wanted[0].then(|| a.clone()),
            wanted[1].then(|| -by_time(from, start, &a)),
            wanted[2].then(|| by_time(to, &y, &y_bar)),
        ];
        let mut place = 2 * n;
        let mut shapes = sizes.into_iter();
        adjoints.extend(wanted_theta.iter().map(|&wanted| {
            wanted.then(|| {
                let shape = shapes.next().expect("one of each that is wanted");
                let end = place + shape.iter().product::<usize>();
                let part = found.slice(0, place..end).reshape(&shape);
                place = end;
                part
            })
        }));
        adjoints
    }

    fn push<T: Tensor>(&self, operands: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        if tangents.iter().all(Option::is_none) {
            return None;
        }
        let along: Vec<T> = operands
            .iter()
            .zip(tangents)
            .map(|(x, tangent)| tangent.clone().unwrap_or_else(|| x.zeros_like()))
            .collect();
        Some(jvp(|operands: Vec<Dual<T>>| self.run(&operands), &operands.to_vec(), &along).or_raise().1)
    }
}

/// A field whose time `s` runs from the constant that the first time is: `t = from + (s − from)·scale`, with a scale of
/// 1 that has the derivative of the time that passes. The first two parameters are `from` and the scale.
#[derive(Clone, Debug)]
struct Stretched<F> {
    field: F,
}

impl<F: Field> Field for Stretched<F> {
    fn slope<T: Tensor>(&self, s: &T, y: &T, theta: &[T]) -> T {
        let [from, scale, theta @ ..] = theta else { unreachable!("a time and a scale") };
        let t = (s.clone() - from.detach()) * scale + from;
        self.field.slope(&t, y, theta) * scale
    }
}

/// `(y, a, θ̄)` with time running back: `−f`, `(∂f/∂y)ᵀa` and `(∂f/∂θ)ᵀa`.
#[derive(Clone, Debug)]
struct Augmented<F> {
    field: F,
    n: usize,
    wanted: Vec<bool>,
}

impl<F: Field> Field for Augmented<F> {
    fn slope<T: Tensor>(&self, t: &T, state: &T, theta: &[T]) -> T {
        let n = self.n;
        let (y, a) = (state.slice(0, 0..n), state.slice(0, n..2 * n));
        let t = -t.clone();
        let chosen: Vec<T> =
            theta.iter().zip(&self.wanted).filter(|(_, wanted)| **wanted).map(|(x, _)| x.clone()).collect();
        let (slope, (by_y, by_theta)) = vjp(
            |(y, chosen): (_, Vec<_>)| {
                let mut all = constants(theta);
                let mut chosen = chosen.into_iter();
                for (place, _) in self.wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
                    all[place] = chosen.next().expect("one of each that is wanted");
                }
                self.field.slope(&crate::reverse::Var::lift(&t), &y, &all)
            },
            &(y, chosen),
            &a,
        )
        .or_raise();
        let flat = by_theta.iter().map(|g| g.reshape(&[g.size()]));
        let parts: Vec<T> = [-slope, by_y].into_iter().chain(flat).collect();
        T::concat(&parts, 0)
    }
}
