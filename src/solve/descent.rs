//! Minima by gradients: steps of one length, of lengths that are sought, and with momentum.

use crate::language::real::{Mask, Real};
use crate::language::tensor::Tensor;
use crate::solve::converged::Named;
use crate::solve::iteration::Iteration;
use crate::solve::linear::{LinearLimit, LinearMethod};
use crate::solve::quasi::{equations_of_system, newton_step};
use crate::solve::system::{Objective, System, dot, epsilon, norm};

/// `x ← x − length·∇f`.
#[derive(Clone, Debug)]
pub(super) struct GradientDescent<S> {
    pub(super) system: S,
    pub(super) length: f64,
}

equations_of_system!(GradientDescent, System, "gradient descent");

impl<S: System> Iteration for GradientDescent<S> {
    /// `x`, the gradient's norm, and the gradient.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let gradient = self.residual(x, theta);
        vec![x.clone(), norm(&gradient), gradient]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        self.start(&(state[0].clone() - state[2].clone() * self.length), theta)
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        x.clone() - self.residual(x, theta) * self.length
    }
}

/// Nesterov's, with the momentum of Beck and Teboulle's FISTA (2009).
#[derive(Clone, Debug)]
pub(super) struct Accelerated<S> {
    pub(super) system: S,
    pub(super) length: f64,
}

equations_of_system!(Accelerated, System, "accelerated descent");

impl<S: System> Iteration for Accelerated<S> {
    /// The point `y` that momentum has led to, which is what is found, the gradient's norm there, the point `x` that a
    /// step without it had led to, the gradient at `y`, and the momentum's number `t`.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let gradient = self.residual(x, theta);
        vec![x.clone(), norm(&gradient), x.clone(), gradient, T::constant(1.0)]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        let [y, _, x, gradient, t] = &state[..] else { unreachable!("a state of five") };
        let next = y.clone() - gradient.clone() * self.length;
        let next_t = ((t.square() * 4.0 + 1.0).sqrt() + 1.0) * 0.5;
        // Momentum that leads uphill is given up (O'Donoghue & Candès 2015).
        let uphill = dot(gradient, &(next.clone() - x)).greater(&T::constant(0.0));
        let next_t = T::select(&uphill, &T::constant(1.0), &next_t);
        let share = T::select(&uphill, &T::constant(0.0), &((t.clone() - 1.0) / &next_t));
        let ahead = next.clone() + (next.clone() - x) * share;
        let gradient = self.residual(&ahead, theta);
        vec![ahead, norm(&gradient), next, gradient, next_t]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        x.clone() - self.residual(x, theta) * self.length
    }
}

/// How far to go along a direction: the first of `first`, half of it, a quarter, … at which the value falls by `10⁻⁴`
/// of what the slope promises (Armijo 1966), up to rounding, and the slope has not turned to more than 0.8 of the
/// first one, which tells steps apart where the value only changes by rounding (as the approximate conditions of Wolfe
/// in Hager & Zhang 2005). No derivative flows through it.
pub(super) fn backtrack<S: Objective, T: Tensor>(
    system: &S,
    x: &T,
    theta: &[T],
    value: &T,
    slope: &T,
    direction: &T,
    first: &T,
) -> T {
    let theta: Vec<T> = theta.iter().map(Real::detach).collect();
    let [x, value, slope, direction] = [x, value, slope, direction].map(Real::detach);
    let rounding = value.abs() * (epsilon::<T>() * 8.0);
    let too_far = |(length, tried, tried_slope): &(T, T, T)| {
        let enough = value.clone() + length.clone() * &slope * 1e-4 + &rounding;
        let good = tried.less_equal(&enough).and(&tried_slope.less_equal(&(-slope.clone() * 0.8)));
        // Not finite is too far as well; too short to matter is far enough.
        good.not().and(&length.greater(&T::constant(1e-16)))
    };
    let at = |length: T| {
        let x = x.clone() + direction.clone() * &length;
        let tried_slope = dot(&system.residual(&x, &theta), &direction);
        (length, system.objective(&x, &theta), tried_slope)
    };
    T::while_loop(at(first.detach()), too_far, |(length, ..)| at(length * 0.5)).0
}

/// `x ← x − length·∇f`, with a length that is sought in each step.
#[derive(Clone, Debug)]
pub(super) struct Backtracking<S> {
    pub(super) system: S,
    pub(super) first: f64,
}

equations_of_system!(Backtracking, Objective, "backtracking descent");

impl<S: Objective> Iteration for Backtracking<S> {
    /// `x`, the gradient's norm, the gradient, and the last length.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let gradient = self.residual(x, theta);
        vec![x.clone(), norm(&gradient), gradient, T::constant(self.first)]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        let [x, _, gradient, length] = &state[..] else { unreachable!("a state of four") };
        let value = self.system.objective(x, theta);
        let slope = -dot(gradient, gradient);
        // Twice as far as the last time, at most as far as the first.
        let first = (length.clone() * 2.0).minimum(&T::constant(self.first));
        let length = backtrack(&self.system, x, theta, &value, &slope, &-gradient.clone(), &first);
        let next = x.clone() - gradient.clone() * &length;
        let gradient = self.residual(&next, theta);
        vec![next, norm(&gradient), gradient, length]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        newton_step(
            Self::NAME,
            &self.system,
            &LinearMethod::ConjugateGradients(LinearLimit::default()),
            x,
            theta,
        )
    }
}
