//! Second derivatives of integrations by the state, the parameters and the times, and first ones by the first time,
//! against differences. (Each further nesting takes the compiler minutes.)

use antiphon::control::Checkpoints;
use antiphon::solve::{
    Adjoint, Between, Event, Integration, Stepper, VectorField, integrate, integrate_until,
};
use antiphon::{Dual, OrRaise, Tensor, Var, grad, hvp, jvp};

use crate::problems::{Array, assert_near};

/// `(θ₁·y, 0.3·sin 2t − θ₂·sin x)`.
#[derive(Clone, Debug)]
struct Pendulum;

impl VectorField for Pendulum {
    type State = (Array, Array);
    type Parameters = Array;
    fn slope<T: Tensor>(&self, t: &T, (x, y): &(T, T), theta: &T) -> (T, T) {
        let pushed = (t.clone() * 2.0).sin() * 0.3;
        (y.clone() * theta.index(0, 0), pushed - x.sin() * theta.index(0, 1))
    }
}

/// Where `x` is `0.1·θ₂·t`.
#[derive(Clone, Debug)]
struct Meets;

impl Event<Pendulum> for Meets {
    fn distance<T: Tensor>(&self, t: &T, (x, _): &(T, T), theta: &T) -> T {
        x.clone() - t.clone() * theta.index(0, 1) * 0.1
    }
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    /// At times that are all shifted, the first one included.
    Shifted,
    /// At times that are all stretched.
    Stretched,
    /// Until an event, from a time that varies.
    Until,
}

fn model<T: Tensor>(theta: &T, asked: Asked, how: &Integration) -> T {
    let (a, b) = (theta.index(0, 0), theta.index(0, 1));
    let times = T::from_elements(&[3], &[0.0, 0.4, 1.0]).unwrap();
    let begin = (b.clone() + 0.3, T::constant(-0.5));
    let times = match asked {
        Asked::Shifted => times + a.square() * 0.3,
        Asked::Stretched => times * theta.sum(..).exp() * 0.2,
        Asked::Until => {
            let ends = [&(a.square() * 0.3), &T::constant(9.0)];
            let (t, (_, y)) = integrate_until(&Pendulum, &Meets, &begin, ends, theta, how).or_raise();
            return t.square() + y;
        }
    };
    let (x, y) = integrate(&Pendulum, &begin, &times, theta, how).or_raise().y;
    (x.square() + y).sum(..)
}

fn direction<T: Tensor>() -> T {
    T::from_elements(&[2], &[0.3, -0.8]).unwrap()
}

/// The gradient, and the second derivative along a direction.
fn gradient<T: Tensor>(theta: &T, asked: Asked, how: &Integration) -> (T, T) {
    hvp(|theta| model(&theta, asked, how), theta, &direction::<T>()).or_raise()
}

/// The second derivative, reverse over reverse; then the first one along the direction, forward.
fn otherwise(theta: &Array, asked: Asked, how: &Integration) -> (Array, Array) {
    let d = direction::<Array>();
    let twice = grad(
        |theta: Var<'_, Array>| {
            let slope = grad(|theta: Var<'_, _>| model(&theta, asked, how), &theta).or_raise();
            (slope * Var::lift(&d)).sum(..)
        },
        theta,
    );
    let first = jvp(|theta: Dual<Array>| model(&theta, asked, how), theta, &d).unwrap().1;
    (twice.unwrap(), first)
}

#[test]
fn second_derivatives_by_times() {
    let how = Integration { absolute: 1e-11, relative: 1e-11, ..Integration::default() };
    let checkpoints = Some(Checkpoints::SquareRoot);
    let theta = Array::from(vec![0.6, 0.9]);
    let h = 1e-4;
    let at = |h: f64| theta.clone() + direction::<Array>() * h;
    let difference = |f: &dyn Fn(&Array) -> Array| (f(&at(h)) - f(&at(-h))) * (0.5 / h);
    for how in [
        how,
        Integration { between: Between::ShorterStep, stepper: Stepper::DormandPrince, ..how },
        Integration { adjoint: Adjoint::Discrete { checkpoints }, ..how },
        Integration { adjoint: Adjoint::Backsolve, ..how },
    ] {
        for asked in [Asked::Shifted, Asked::Stretched, Asked::Until] {
            let (slope, product) = gradient(&theta, asked, &how);
            let (twice, first) = otherwise(&theta, asked, &how);
            let along = |x: &Array| (x.clone() * direction::<Array>()).sum(..);
            let near = |found: &Array, expected: &Array| assert_near(found, expected, 2e-6);
            near(&first, &difference(&|theta| model(theta, asked, &how)));
            near(&along(&slope), &first);
            let expected =
                difference(&|theta| grad(|theta: Var<'_, Array>| model(&theta, asked, &how), theta).unwrap());
            near(&product, &expected);
            near(&twice, &expected);
        }
    }
}
