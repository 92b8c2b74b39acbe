//! Initial value problems up to an event.

use crate::continuation::unwinding::{OrRaise, catch, operator};
use crate::error::{At, Result};
use crate::forward::Dual;
use crate::language::custom::CustomOperator;
use crate::language::params::Params;
use crate::language::real::{Int, Mask, Real};
use crate::language::state::Index;
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::sealed::INTERNAL;
use crate::solve::integrate::{Integration, prepared};
use crate::solve::ode::{
    PackedField, Place, Shifted, Stepping, VectorField, advance, arrived, counter, goes_on, within,
};
use crate::solve::problem::Over;
use crate::solve::system::{along, duals, gradient_by};
use crate::transforms::jvp;

/// What ends an integration: a number that changes its sign.
pub trait Event<F: VectorField>: Clone + std::fmt::Debug + 'static {
    /// The number, of a time and the state there.
    fn distance<T: Tensor>(&self, t: &T, y: &Over<F::State, T>, theta: &Over<F::Parameters, T>) -> T;
}

/// The time after `start` at which an event's number first changes its sign, and the state there, at `end` the latest.
/// Both have derivatives of every order: of the time they are those of the implicit function (Chen, Amos & Nickel,
/// *Learning neural event functions*, 2021). The steps are differentiated as they were made. What is seen of the number
/// are the ends of steps: two changes within one are none, and a number that is zero where a step ends has changed.
///
/// # Errors
/// As [`integrate`](crate::solve::integrate); [`Error::Ensure`](crate::Error::Ensure) if there is no event before
/// `end`, or if the number does not change steadily where it changes its sign.
#[track_caller]
pub fn integrate_until<F: VectorField, E: Event<F>, T: Tensor>(
    field: &F,
    event: &E,
    y: &Over<F::State, T>,
    [start, end]: [&T; 2],
    theta: &Over<F::Parameters, T>,
    how: &Integration,
) -> Result<(T, Over<F::State, T>)> {
    let at = At::caller();
    catch(|| {
        let (packed, control) = prepared::<F, T>("integrate_until", field, y, theta, how, at);
        let state = packed.state.clone();
        let (field, theta) = Shifted::of(&packed, start, &theta.leaves());
        let crossing =
            Crossing { packed, field: field.clone(), event: event.clone(), control: control.clone() };
        let begin = Place::begin(&field, &control, &start.detach(), &state.pack(y), &theta);
        let held: Vec<T> = theta.iter().map(Real::detach).collect();
        let sign = |place: &[T; 3]| crossing.distance(&place[0].detach(), &place[1].detach(), &held).sign();
        // Of a step from where the number is zero, the sign is that of its end: it has not changed.
        let passed = |place: &Place<T>| {
            let (before, now) = (sign(&place.before), sign(&place.now));
            let zero = T::constant(0.0);
            (before.clone() * now).less_equal(&zero).and(&before.equal(&zero).not())
        };
        let parts = T::while_loop(
            begin.to_vec(),
            |parts| {
                let place = Place::of(parts);
                goes_on(&control, &place, end).and(&passed(&place).not())
            },
            |parts| advance(&field, &control, &Place::of(&parts), end, &theta).to_vec(),
        );
        let place = Place::of(&parts);
        let none = "integrate_until: no event before the end of the integration, or no more steps";
        T::ensure_at(INTERNAL, at, &passed(&place), none);
        // By halves: the sign of the number at times within the last step.
        let low_sign = sign(&place.before);
        let still: Vec<T> = parts.iter().map(Real::detach).collect();
        let bounds = (place.before[0].detach(), place.now[0].detach());
        let operands: Vec<T> = still.iter().chain(&held).cloned().collect();
        let (_, (low, high)) = T::while_loop(
            (counter::<T>(0), bounds),
            |(i, _): &(Index<T>, (T, T))| i.0.less(&T::Int::constant(60)),
            |(i, (low, high))| {
                let middle = (low.clone() + &high) * 0.5;
                let side = crossing.along_step(&middle, &operands).sign();
                let left = (side * &low_sign).less(&T::constant(0.0));
                let low = T::select(&left, &low, &middle);
                let high = T::select(&left, &middle, &high);
                (Index(i.0 + T::Int::constant(1)), (low, high))
            },
        );
        let near = (low + high) * 0.5;
        let speed = crossing.speed(&near, &operands);
        let steady = speed.is_finite().and(&speed.equal(&T::constant(0.0)).not());
        let jumps = "integrate_until: the event's number does not change steadily where it changes its sign, so that \
                     the time has no derivative";
        T::ensure_at(INTERNAL, at, &steady, jumps);
        let operands: Vec<&T> = std::iter::once(&near).chain(&parts).chain(&theta).collect();
        let t = operator(at, || T::custom(&crossing, &operands));
        let y = arrived(&control, &place, &near, within(&field, &control, &place, &t, &theta));
        Ok((t + &theta[0], state.unpack(&y)))
    })
}

/// The time within the last step at which an event's number is zero. Its operands are a time near to it, the
/// [place](Place) after the step, and the parameters of the shifted field.
#[derive(Clone, Debug)]
struct Crossing<F: VectorField, E> {
    packed: PackedField<F>,
    field: Shifted<PackedField<F>>,
    event: E,
    control: Stepping,
}

impl<F: VectorField, E: Event<F>> Crossing<F, E> {
    /// The number, at a time of the shifted field.
    fn distance<T: Tensor>(&self, t: &T, y: &T, theta: &[T]) -> T {
        let (state, parameters) = (self.packed.state.unpack(y), self.packed.theta.with(&theta[1..]));
        self.event.distance::<T>(&(t.clone() + &theta[0]), &state, &parameters)
    }
    /// The number at a time within the step.
    fn along_step<T: Tensor>(&self, t: &T, operands: &[T]) -> T {
        let theta = &operands[self.control.parts()..];
        let y = within(&self.field, &self.control, &Place::of(&operands[..self.control.parts()]), t, theta);
        self.distance(t, &y, theta)
    }
    /// How fast it changes there.
    fn speed<T: Tensor>(&self, t: &T, operands: &[T]) -> T {
        jvp(|t: Dual<T>| self.along_step(&t, &duals(operands)), t, &T::constant(1.0)).or_raise().1
    }
}

impl<F: VectorField, E: Event<F>> CustomOperator for Crossing<F, E> {
    const NAME: &'static str = "integrate_until";

    /// A step of Newton's method.
    fn value<T: Tensor>(&self, operands: &[T]) -> T {
        let (near, operands) = (&operands[0], &operands[1..]);
        near.clone() - self.along_step(near, operands) / self.speed(near, operands)
    }
    fn pull<T: Tensor>(&self, operands: &[T], t: &T, t_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let operands = &operands[1..];
        let share = -t_bar.clone() / self.speed(t, operands);
        let by_operands = gradient_by(operands, &wanted[1..], |operands| {
            self.along_step(&Var::lift(t), operands) * Var::lift(&share)
        });
        std::iter::once(None).chain(by_operands).collect()
    }
    fn push<T: Tensor>(&self, operands: &[T], t: &T, tangents: &[Option<T>]) -> Option<T> {
        let operands = &operands[1..];
        let change = along(operands, &tangents[1..], |operands| self.along_step(&Dual::lift(t), operands))?;
        Some(-change / self.speed(t, operands))
    }
}
