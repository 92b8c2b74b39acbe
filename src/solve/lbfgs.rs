//! L-BFGS over any interpretation. (`optim::Lbfgs` runs on the host, and has a finer line search.)

use crate::language::real::Int;
use crate::language::tensor::Tensor;
use crate::solve::converged::Named;
use crate::solve::descent::backtrack;
use crate::solve::iteration::Iteration;
use crate::solve::linear::{LinearLimit, LinearMethod};
use crate::solve::quasi::{equations_of_system, newton_step};
use crate::solve::system::{Objective, System, dot, norm};

/// Liu & Nocedal (1989), with a line search for Armijo's condition.
#[derive(Clone, Debug)]
pub(super) struct LimitedMemory<S> {
    pub(super) system: S,
    pub(super) memory: usize,
}

equations_of_system!(LimitedMemory, Objective, "l-bfgs");

impl<S: Objective> Iteration for LimitedMemory<S> {
    /// `x`, the gradient's norm, the gradient, the last changes of `x` and of the gradient as rows, and `1/(s·y)` of
    /// each: zero where there is none.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let gradient = self.residual(x, theta);
        let none = T::zeros(&[self.memory, x.size()]);
        vec![x.clone(), norm(&gradient), gradient, none.clone(), none, T::zeros(&[self.memory])]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T> {
        let [x, _, gradient, steps, changes, weights] = &state[..] else { unreachable!("a state of six") };
        let memory = T::Int::constant(self.memory as i64);
        // The pairs from the newest on: the recursion of two loops.
        let row = |i: usize| {
            let i = (number.clone() - T::Int::constant(1 + i as i64)).remainder(&memory);
            (steps.gather_rows(&i), changes.gather_rows(&i), weights.gather_rows(&i))
        };
        let pairs: Vec<(T, T, T)> = (0..self.memory).map(row).collect();
        let mut q = gradient.clone();
        let mut shares = Vec::with_capacity(self.memory);
        for (s, y, weight) in &pairs {
            let share = dot(s, &q) * weight;
            q -= y.clone() * &share;
            shares.push(share);
        }
        // The scale of the newest pair; without one the step is as long as the gradient's inverse, at most.
        let (s, y, newest) = &pairs[0];
        let known = newest.greater(&T::constant(0.0));
        let one = T::constant(1.0);
        let scale = dot(s, y) / T::select(&known, &dot(y, y), &one);
        let short = norm(gradient).maximum(&one).recip();
        q *= T::select(&known, &scale, &short);
        for ((s, y, weight), share) in pairs.iter().zip(shares).rev() {
            q = q.clone() + s.clone() * (share - dot(y, &q) * weight);
        }
        let slope = dot(gradient, &q);
        let descends = slope.greater(&T::constant(0.0));
        let q = T::select(&descends, &q, gradient);
        let slope = -T::select(&descends, &slope, &dot(gradient, gradient));
        let value = self.system.objective(x, theta);
        let length = backtrack(&self.system, x, theta, &value, &slope, &-q.clone(), &one);
        let step = -q * &length;
        let next = x.clone() + &step;
        let next_gradient = self.residual(&next, theta);
        let change = next_gradient.clone() - gradient;
        // A pair along which the gradient does not grow says nothing.
        let curvature = dot(&step, &change);
        let grows = curvature.greater(&(dot(&change, &change) * 1e-10));
        let weight = T::select(&grows, &T::select(&grows, &curvature, &one).recip(), &T::constant(0.0));
        let mask = T::one_hot(&number.remainder(&memory), self.memory).greater(&T::constant(0.5));
        let rows =
            T::one_hot(&number.remainder(&memory), self.memory).unsqueeze(-1).greater(&T::constant(0.5));
        let put = |new: &T, old: &T| T::select(&rows, &new.unsqueeze(0), old);
        vec![
            next,
            norm(&next_gradient),
            next_gradient,
            put(&step, steps),
            put(&change, changes),
            T::select(&mask, &weight, weights),
        ]
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
