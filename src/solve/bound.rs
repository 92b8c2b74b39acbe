//! Upper bounds of `ρ = ‖A‖`, of `L = ‖B‖`, and of the one-step derivative's error.

use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::forward::Dual;
use crate::language::random::Key;
use crate::language::real::{Int, Real};
use crate::language::tensor::Tensor;
use crate::linalg::svdvals;
use crate::solve::iteration::Iteration;
use crate::solve::options::Estimate;
use crate::solve::system::{constants, duals, norm};
use crate::transforms::{jvp, vjp};

/// How probable it is at most that [`Estimate::Power`] is too small.
const DOUBT: f64 = 1e-6;

/// Upper bounds of `ρ` and of `ρ·L/(1 − ρ)` at `x`, as constants.
pub(super) fn estimate<I: Iteration, T: Tensor>(
    iteration: &I,
    estimate: Estimate,
    at: At,
    x: &T,
    theta: &[T],
) -> (T, T) {
    let (x, theta) = (x.detach(), theta.iter().map(Real::detach).collect::<Vec<T>>());
    // A part without elements, so that there is one.
    let flat = theta.iter().map(|leaf| leaf.reshape(&[leaf.size()])).chain([T::zeros(&[0])]);
    let whole = T::concat(&flat.collect::<Vec<T>>(), 0);
    let shapes: Vec<_> = theta.iter().map(Tensor::shape).collect();
    let by_x = |v: &T| jvp(|x| iteration.attached(&x, &duals(&theta)), &x, v).or_raise().1;
    let back_by_x = |u: &T| vjp(|x| iteration.attached(&x, &constants(&theta)), &x, u).or_raise().1;
    fn parts<T: Tensor>(whole: &T, shapes: &[crate::Shape]) -> Vec<T> {
        let lengths: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
        let parts = whole.split(&lengths, 0);
        parts.iter().zip(shapes).map(|(part, shape)| part.reshape(shape)).collect()
    }
    let by_theta = |v: &T| {
        jvp(|whole| iteration.attached(&Dual::lift(&x), &parts(&whole, &shapes)), &whole, v).or_raise().1
    };
    let back_by_theta = |u: &T| {
        use crate::reverse::Var;
        vjp(|whole| iteration.attached(&Var::lift(&x), &parts(&whole, &shapes)), &whole, u).or_raise().1
    };
    let (rho, slope) = match estimate {
        Estimate::Dense => (largest::<T>(x.size(), by_x), largest::<T>(whole.size(), by_theta)),
        Estimate::Power { rounds } => {
            if rounds < 2 {
                let reason = format!("{rounds} rounds of the power method, which takes two at least");
                raise(Error::Argument { op: I::NAME, reason, at });
            }
            (power(rounds, &x, by_x, back_by_x), power(rounds, &whole, by_theta, back_by_theta))
        }
    };
    let bound = slope * &rho / (-rho.clone() + 1.0);
    let contracts = rho.less(&T::constant(1.0));
    (rho.clone(), T::select(&contracts, &bound, &T::constant(f64::INFINITY)))
}

/// The largest singular value of a map of vectors of `n` elements, all of whose columns are computed.
fn largest<T: Tensor>(n: usize, map: impl Fn(&T) -> T) -> T {
    if n == 0 {
        return T::constant(0.0);
    }
    let unit = |i: usize| T::one_hot(&T::Int::constant(i as i64), n);
    let columns: Vec<T> = (0..n).map(|i| map(&unit(i))).collect();
    svdvals(&T::stack(&columns, 1)).detach().max(..)
}

/// The power method on `AᵀA`, enlarged.
fn power<T: Tensor>(rounds: usize, like: &T, map: impl Fn(&T) -> T, back: impl Fn(&T) -> T) -> T {
    let n = like.size();
    let unit = |v: T| {
        let length = norm(&v);
        let none = length.equal(&T::constant(0.0));
        v / T::select(&none, &T::constant(1.0), &length)
    };
    let mut v = unit(Key::new(&T::Int::constant(1)).normal::<T>(&[n]));
    let mut square = T::constant(0.0);
    for _ in 0..rounds {
        let image = map(&v);
        square = norm(&image).square();
        v = unit(back(&image));
    }
    (square * (1.0 / (1.0 - shortfall(n, rounds)))).sqrt().detach()
}

/// By which part of itself the largest eigenvalue of a symmetric matrix of this side may be underestimated, but for a
/// probability of [`DOUBT`]: the `ε` with `min(0.824, 0.354/√(ε(k − 1)))·√n·(1 − ε)^(k − ½)` equal to that, or less.
fn shortfall(n: usize, rounds: usize) -> f64 {
    let exponent = rounds as f64 - 0.5;
    1.0 - (DOUBT / (0.824 * (n.max(1) as f64).sqrt())).powf(1.0 / exponent)
}
