//! Roots in one dimension, between two numbers at which the function has different signs.

use crate::error::At;
use crate::language::real::Mask;
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;
use crate::solve::converged::Named;
use crate::solve::iteration::Iteration;
use crate::solve::linear::LinearMethod;
use crate::solve::quasi::{equations_of_system, newton_step};
use crate::solve::system::{System, epsilon, norm};

/// The middle of an interval that is halved.
#[derive(Clone, Debug)]
pub(super) struct Bisection<S> {
    pub(super) system: S,
    pub(super) bracket: [f64; 2],
    pub(super) at: At,
}

equations_of_system!(Bisection, System, "bisection");

/// `g` at both ends, which has to have different signs there.
fn ends<I: Iteration, T: Tensor>(
    iteration: &I,
    bracket: [f64; 2],
    at: At,
    x: &T,
    theta: &[T],
) -> ([T; 2], [T; 2]) {
    let ends = bracket.map(|end| x.zeros_like() + end);
    let values = [0, 1].map(|i| iteration.residual(&ends[i], theta));
    let [low, high] = &values;
    let different = (low.sign() * high.sign()).less_equal(&T::constant(0.0));
    let name = I::NAME;
    let message = format!("{name}: the function has one sign at both ends of the bracket, or is NaN");
    T::ensure_at(INTERNAL, at, &different, &message);
    (ends, values)
}

impl<S: System> Iteration for Bisection<S> {
    /// The middles of intervals are the same numbers for parameters nearby.
    const UNROLLS: bool = false;

    /// The middle, the residual's norm, both ends, the value at the lower one, and that in the middle.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let ([low, high], [at_low, _]) = ends(self, self.bracket, self.at, x, theta);
        let middle = (low.clone() + &high) * 0.5;
        let value = self.residual(&middle, theta);
        vec![middle, norm(&value), low, high, at_low, value]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        let [middle, _, low, high, at_low, value] = &state[..] else { unreachable!("a state of six") };
        let left = (at_low.sign() * value.sign()).less_equal(&T::constant(0.0));
        let (low, high) = (T::select(&left, low, middle), T::select(&left, middle, high));
        let at_low = T::select(&left, at_low, value);
        let middle = (low.clone() + &high) * 0.5;
        let value = self.residual(&middle, theta);
        vec![middle, norm(&value), low, high, at_low, value]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        newton_step(Self::NAME, &self.system, &LinearMethod::Direct, x, theta)
    }
}

/// Brent's method (*Algorithms for minimization without derivatives*, 1973, chapter 4): inverse quadratic
/// interpolation, or a secant, or the middle where these are not better.
#[derive(Clone, Debug)]
pub(super) struct Brent<S> {
    pub(super) system: S,
    pub(super) bracket: [f64; 2],
    pub(super) at: At,
}

equations_of_system!(Brent, System, "brent");

impl<S: System> Iteration for Brent<S> {
    /// The best point `b`, the residual's norm, the point `a` before it, the other end `c`, their values, and the last
    /// two steps.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T> {
        let ([a, b], [at_a, at_b]) = ends(self, self.bracket, self.at, x, theta);
        let step = b.clone() - &a;
        vec![b, norm(&at_b), a.clone(), a, at_b, at_a.clone(), at_a, step.clone(), step]
    }
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], _number: &T::Int) -> Vec<T> {
        let [b, _, a, c, at_b, at_a, at_c, step, before] = &state[..] else {
            unreachable!("a state of nine")
        };
        let pick = |mask: &T::Bool, x: &T, y: &T| T::select(mask, x, y);
        let zero = T::constant(0.0);
        // b and c enclose the root.
        let same = (at_b.sign() * at_c.sign()).greater(&zero);
        let (c, at_c) = (pick(&same, a, c), pick(&same, at_a, at_c));
        let whole = b.clone() - a;
        let (step, before) = (pick(&same, &whole, step), pick(&same, &whole, before));
        // b is the better one.
        let worse = at_c.abs().less(&at_b.abs());
        let (a, b, c) = (pick(&worse, b, a), pick(&worse, &c, b), pick(&worse, b, &c));
        let (at_a, at_b, at_c) =
            (pick(&worse, at_b, at_a), pick(&worse, &at_c, at_b), pick(&worse, at_b, &at_c));
        let half = (c.clone() - &b) * 0.5;
        let least = b.abs() * (epsilon::<T>() * 2.0) + 1e-300;
        // Secant where a is c, else inverse quadratic interpolation.
        let ratio = |x: &T, y: &T| {
            let none = y.equal(&zero);
            x.clone() / pick(&none, &T::constant(1.0), y)
        };
        let s = ratio(&at_b, &at_a);
        let (q, r) = (ratio(&at_a, &at_c), ratio(&at_b, &at_c));
        let secant = a.equal(&c);
        let one = |x: &T| x.clone() - 1.0;
        let numerator = pick(
            &secant,
            &(half.clone() * &s * 2.0),
            &(s.clone() * (half.clone() * 2.0 * &q * (q.clone() - &r) - (b.clone() - &a) * one(&r))),
        );
        let denominator = pick(&secant, &-one(&s), &(one(&q) * one(&r) * one(&s)));
        let up = numerator.greater(&zero);
        let denominator = pick(&up, &-denominator.clone(), &denominator);
        let numerator = numerator.abs();
        let bound = (half.clone() * &denominator * 3.0 - (least.clone() * &denominator).abs())
            .minimum(&(before.clone() * &denominator).abs());
        let worthwhile = before.abs().greater_equal(&least).and(&at_a.abs().greater(&at_b.abs()));
        let taken = worthwhile.and(&(numerator.clone() * 2.0).less(&bound));
        let before = pick(&taken, &step, &half);
        let step = pick(&taken, &ratio(&numerator, &denominator), &half);
        let toward = pick(&half.greater(&zero), &least, &-least.clone());
        let moved = b.clone() + pick(&step.abs().greater(&least), &step, &toward);
        let value = self.residual(&moved, theta);
        vec![moved, norm(&value), b, c, value, at_b, at_c, step, before]
    }
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        newton_step(Self::NAME, &self.system, &LinearMethod::Direct, x, theta)
    }
}
