//! Initial value problems `dy/dt = f(t, y, θ)`: the steps.

use std::fmt;
use std::marker::PhantomData;

use crate::continuation::unwinding::operator;
use crate::error::At;
use crate::language::real::{Int, Mask, Real};
use crate::language::state::Index;
use crate::language::tensor::Tensor;
use crate::solve::converged::{Converged, Named};
use crate::solve::problem::{Layout, Over, Structured};
use crate::solve::system::norm;
use crate::solve::tableau::Stepper;

/// The right side of `dy/dt = f(t, y, θ)`, over any interpretation.
pub trait VectorField: Clone + fmt::Debug + 'static {
    /// The structure of `y`.
    type State: Structured;
    /// The structure of what it depends on.
    type Parameters: Structured;

    /// `f(t, y, θ)`, of a single number `t`.
    fn slope<T: Tensor>(
        &self,
        t: &T,
        y: &Over<Self::State, T>,
        theta: &Over<Self::Parameters, T>,
    ) -> Over<Self::State, T>;
}

/// The right side for a state that is one vector.
pub(super) trait Field: Clone + fmt::Debug + 'static {
    fn slope<T: Tensor>(&self, t: &T, y: &T, theta: &[T]) -> T;
}

/// A field of structures as one of vectors.
#[derive(Clone, Debug)]
pub(super) struct PackedField<F: VectorField> {
    pub(super) field: F,
    pub(super) state: Layout<F::State>,
    pub(super) theta: Layout<F::Parameters>,
    pub(super) at: At,
}

impl<F: VectorField> Field for PackedField<F> {
    fn slope<T: Tensor>(&self, t: &T, y: &T, theta: &[T]) -> T {
        let slope = self.field.slope::<T>(t, &self.state.unpack(y), &self.theta.with(theta));
        let layout = Layout::<F::State>::of::<T>(&slope);
        self.state.assert_like("integrate", self.at, &layout);
        layout.pack(&slope)
    }
}

/// A field whose time is less by what the first time has as its derivative, and is otherwise nothing: so that the times
/// of steps are constants. The first parameter is that.
#[derive(Clone, Debug)]
pub(super) struct Shifted<F> {
    field: F,
}

impl<F: Field> Shifted<F> {
    /// With its parameters, for an integration from this time.
    pub(super) fn of<T: Tensor>(field: &F, first: &T, theta: &[T]) -> (Shifted<F>, Vec<T>) {
        let shift = first.clone() - first.detach();
        (Shifted { field: field.clone() }, std::iter::once(shift).chain(theta.iter().cloned()).collect())
    }
}

impl<F: Field> Field for Shifted<F> {
    fn slope<T: Tensor>(&self, s: &T, y: &T, theta: &[T]) -> T {
        self.field.slope(&(s.clone() + &theta[0]), y, &theta[1..])
    }
}

/// How exactly, and with how many steps.
#[derive(Clone, Debug)]
pub(super) struct Stepping {
    pub(super) stepper: Stepper,
    pub(super) absolute: f64,
    pub(super) relative: f64,
    pub(super) max_steps: usize,
    /// Whether steps keep what their interpolant takes.
    pub(super) interpolates: bool,
    /// Who asked for it: for errors.
    pub(super) at: At,
}

impl Stepping {
    /// How many arrays a [`Place`] consists of.
    pub(super) fn parts(&self) -> usize {
        9 + usize::from(self.interpolates)
    }
}

/// Where an integration is: the last step's beginning and its end. All but `y`s and slopes are constants.
#[derive(Clone)]
pub(super) struct Place<T> {
    /// `t`, `y` and the slope there.
    pub(super) before: [T; 3],
    pub(super) now: [T; 3],
    /// The length of the next step.
    length: T,
    /// How many steps were tried, and how many of them were made.
    pub(super) tried: T,
    pub(super) made: T,
    /// The last step's [coefficient](crate::solve::tableau::Tableau::bend), times its length, if it is wanted.
    bend: Option<T>,
}

impl<T: Tensor> Place<T> {
    pub(super) fn to_vec(&self) -> Vec<T> {
        let (before, now) = (self.before.iter().cloned(), self.now.iter().cloned());
        let numbers = [self.length.clone(), self.tried.clone(), self.made.clone()];
        before.chain(now).chain(numbers).chain(self.bend.clone()).collect()
    }
    pub(super) fn of(parts: &[T]) -> Place<T> {
        let part = |i: usize| parts[i].clone();
        Place {
            before: [0, 1, 2].map(part),
            now: [3, 4, 5].map(part),
            length: part(6),
            tried: part(7),
            made: part(8),
            bend: parts.get(9).cloned(),
        }
    }

    /// The beginning, with a first length by the slope and its change (Hairer, Nørsett & Wanner, *Solving ordinary
    /// differential equations I*, 2nd ed. 1993, section II.4).
    pub(super) fn begin<F: Field>(field: &F, control: &Stepping, t: &T, y: &T, theta: &[T]) -> Place<T> {
        let slope = field.slope(t, y, theta);
        let length = match control.stepper.fixed() {
            Some(step) => T::constant(step),
            None => {
                let constants: Vec<T> = theta.iter().map(Real::detach).collect();
                let [t, y, slope] = [t, y, &slope].map(Real::detach);
                let scale = y.abs() * control.relative + control.absolute;
                let size = |x: &T| norm(&(x.clone() / &scale)) * (1.0 / (y.size() as f64).sqrt());
                let (d0, d1) = (size(&y), size(&slope));
                let small = d0.minimum(&d1).less(&T::constant(1e-5));
                let guess = d0 * 0.01 / d1.maximum(&T::constant(1e-300));
                let first = T::select(&small, &T::constant(1e-6), &guess);
                let ahead =
                    field.slope(&(t.clone() + &first), &(y.clone() + slope.clone() * &first), &constants);
                let d2 = size(&(ahead - &slope)) / &first;
                let bound = (d1.maximum(&d2).maximum(&T::constant(1e-15)) * 100.0).pow(&T::constant(-0.2));
                (first * 100.0).minimum(&bound)
            }
        };
        let now = [t.detach(), y.clone(), slope];
        let zero = T::constant(0.0);
        let bend = control.interpolates.then(|| y.zeros_like());
        Place { before: now.clone(), now, length, tried: zero.clone(), made: zero, bend }
    }
}

/// What a step leads to.
struct Step<T> {
    y: T,
    slope: T,
    /// What is estimated of `y`'s error, if it is.
    error: Option<T>,
    /// What the interpolant takes, if it is wanted.
    bend: Option<T>,
}

/// A step of a length.
fn step<F: Field, T: Tensor>(
    field: &F,
    control: &Stepping,
    [t, y, slope]: &[T; 3],
    length: &T,
    theta: &[T],
) -> Step<T> {
    let tableau = control.stepper.tableau();
    let mut slopes = vec![slope.clone()];
    let combined = |slopes: &[T], weights: &[f64]| {
        let terms = slopes.iter().zip(weights).filter(|(_, weight)| **weight != 0.0);
        terms.map(|(slope, &weight)| slope.clone() * weight).reduce(|a, b| a + b)
    };
    for (row, &node) in tableau.rows.iter().zip(tableau.nodes).skip(1) {
        let sum = combined(&slopes, row).expect("a row adds something");
        let at = y.clone() + sum * length;
        slopes.push(field.slope(&(t.clone() + length.clone() * node), &at, theta));
    }
    let sum = combined(&slopes, tableau.weights).expect("a step adds something");
    let next = y.clone() + sum * length;
    // The slope at the end is the first one of the next step.
    let last = field.slope(&(t.clone() + length), &next, theta);
    let error = tableau.errors.map(|weights| {
        let mut slopes: Vec<T> = slopes.iter().map(Real::detach).collect();
        slopes.push(last.detach());
        combined(&slopes, weights).expect("an error of something") * &length.detach()
    });
    let bend = tableau.bend.filter(|_| control.interpolates).map(|weights| {
        slopes.push(last.clone());
        combined(&slopes, weights).expect("a bend of something") * length
    });
    Step { y: next, slope: last, error, bend }
}

/// `y` at a time within the last step: by its interpolant if there is one, else by a shorter step from where it began,
/// which is as exact as the step.
pub(super) fn within<F: Field, T: Tensor>(
    field: &F,
    control: &Stepping,
    place: &Place<T>,
    t: &T,
    theta: &[T],
) -> T {
    let passed = t.clone() - &place.before[0];
    if let Some(bend) = &place.bend {
        return interpolated(place, bend, &passed);
    }
    step(field, control, &place.before, &passed, theta).y
}

/// The polynomial of order 4 through both ends of the last step, with the slopes there: Hermite's, and what bends it.
fn interpolated<T: Tensor>(place: &Place<T>, bend: &T, passed: &T) -> T {
    let ([_, y, slope], [_, y_next, slope_next]) = (&place.before, &place.now);
    let length = place.now[0].detach() - place.before[0].detach();
    // Before the first step there is none.
    let none = length.equal(&T::constant(0.0));
    let part = passed.clone() / T::select(&none, &T::constant(1.0), &length);
    let change = y_next.clone() - y;
    let square = change.clone() * 3.0 - (slope.clone() * 2.0 + slope_next) * &length;
    let cube = (slope.clone() + slope_next) * &length - change * 2.0;
    let bent = bend.clone() * (-part.clone() + 1.0).square();
    let higher = square + cube * &part + bent;
    y.clone() + slope.clone() * passed + higher * part.square()
}

/// Tries a step that does not lead beyond `end`.
pub(super) fn advance<F: Field, T: Tensor>(
    field: &F,
    control: &Stepping,
    place: &Place<T>,
    end: &T,
    theta: &[T],
) -> Place<T> {
    let [t, y, _] = &place.now;
    let rest = end.detach() - t;
    // A rest that is hardly more than the step becomes the step.
    let reaches = place.length.scale_up().greater_equal(&rest);
    let length = T::select(&reaches, &rest, &place.length);
    let Step { y: next, slope, error, bend } = step(field, control, &place.now, &length, theta);
    let arrived = T::select(&reaches, &end.detach(), &(t.clone() + &length));
    let made = place.made.clone() + 1.0;
    let tried = place.tried.clone() + 1.0;
    let ahead = [arrived, next, slope];
    let Some(error) = error else {
        let (before, length) = (place.now.clone(), place.length.clone());
        return Place { before, now: ahead, length, tried, made, bend };
    };
    let scale = y.detach().abs().maximum(&ahead[1].detach().abs()) * control.relative + control.absolute;
    let size = norm(&(error / scale)) * (1.0 / (y.size() as f64).sqrt());
    // What is not a number is too large.
    let accepted = size.less_equal(&T::constant(1.0));
    let factor = size.maximum(&T::constant(1e-10)).pow(&T::constant(-0.2)) * 0.9;
    let finite = size.less(&T::constant(f64::INFINITY));
    let factor = T::select(&finite, &factor.clamp(0.2, 10.0), &T::constant(0.2));
    // A step that was cut off says nothing against longer ones.
    let next_length = length.clone() * factor;
    let kept = reaches.and(&accepted);
    let next_length = T::select(&kept, &next_length.maximum(&place.length), &next_length);
    let pick = |a: &T, b: &T| T::select(&accepted, a, b);
    let picked = |a: &[T; 3], b: &[T; 3]| [0, 1, 2].map(|i| pick(&a[i], &b[i]));
    Place {
        before: picked(&place.now, &place.before),
        now: picked(&ahead, &place.now),
        length: next_length,
        tried,
        made: pick(&made, &place.made),
        bend: bend.as_ref().zip(place.bend.as_ref()).map(|(new, old)| pick(new, old)),
    }
}

trait ScaleUp {
    fn scale_up(&self) -> Self;
}

impl<T: Tensor> ScaleUp for T {
    /// A little more than this.
    fn scale_up(&self) -> T {
        self.clone() * (1.0 + 1e-10)
    }
}

/// Whether there is another step before `t`: none is tried that is too short to change anything.
pub(super) fn goes_on<T: Tensor>(control: &Stepping, place: &Place<T>, t: &T) -> T::Bool {
    let now = place.now[0].detach();
    let left = place.tried.detach().less(&T::constant(control.max_steps as f64));
    let long_enough = place.length.detach().greater(&(now.abs() * 1e-15));
    now.less(&t.detach()).and(&left).and(&long_enough)
}

/// Steps until the time is reached.
pub(super) fn advance_to<F: Field, T: Tensor>(
    field: &F,
    control: &Stepping,
    place: Place<T>,
    t: &T,
    end: &T,
    theta: &[T],
) -> Place<T> {
    let parts = T::while_loop(
        place.to_vec(),
        |parts| goes_on(control, &Place::of(parts), t),
        |parts| advance(field, control, &Place::of(&parts), end, theta).to_vec(),
    );
    Place::of(&parts)
}

macro_rules! names {
    ($($Name:ident $name:literal;)*) => { $(
        struct $Name;
        impl Named for $Name {
            const NAME: &'static str = $name;
        }
    )* };
}
names! {
    EulerName "euler";
    RungeKuttaName "runge-kutta";
    DormandPrinceName "dormand-prince";
    TsitourasName "tsitouras";
}

/// Gives `y`, if the integration has reached the time: else it is an error that says how much was left.
pub(super) fn arrived<T: Tensor>(control: &Stepping, place: &Place<T>, t: &T, y: T) -> T {
    let n = y.size();
    let rest = (t.detach() - &place.now[0]).maximum(&T::constant(0.0));
    // A state that is not finite is none.
    let unknown = y.detach() * 0.0;
    let rest = rest + unknown.sum(..);
    let report = [place.tried.detach(), rest, T::constant(0.0)].map(|x| x.reshape(&[1]));
    let [tried, rest, enough] = report;
    let report = T::concat(&[y, tried, rest, enough], 0);
    fn check<N: Named, T: Tensor>(report: &T) -> T {
        T::host(&Converged::<N> { fixed: false, of: PhantomData }, &[report])
    }
    let checked = operator(control.at, || match control.stepper {
        Stepper::Euler { .. } => check::<EulerName, T>(&report),
        Stepper::RungeKutta4 { .. } => check::<RungeKuttaName, T>(&report),
        Stepper::DormandPrince => check::<DormandPrinceName, T>(&report),
        Stepper::Tsitouras => check::<TsitourasName, T>(&report),
    });
    checked.slice(0, 0..n)
}

/// A number that counts.
pub(super) fn counter<T: Tensor>(value: i64) -> Index<T> {
    Index(T::Int::constant(value))
}
