//! Initial value problems: orders, adjoints, events, and what goes wrong.

use antiphon::control::Checkpoints;
use antiphon::solve::{
    Adjoint, Between, Event, Integration, Stepper, VectorField, integrate, integrate_until,
};
use antiphon::{Dual, OrRaise, Real, Tensor, Var, grad, jvp};

use crate::in_both_modes;
use crate::problems::{Array, assert_near};

/// `d(x, v)/dt = (v, −θ·x)`.
#[derive(Clone, Debug)]
struct Oscillator;

impl VectorField for Oscillator {
    type State = (Array, Array);
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, (x, v): &(T, T), theta: &T) -> (T, T) {
        (v.clone(), -x.clone() * theta)
    }
}

fn how(stepper: Stepper, tolerance: f64, adjoint: Adjoint) -> Integration {
    let between = Between::Interpolant;
    Integration { stepper, absolute: tolerance, relative: tolerance, max_steps: 100_000, adjoint, between }
}

const DISCRETE: Adjoint = Adjoint::Discrete { checkpoints: None };

/// `x(t)` at times, from `(1, 0)`: `cos(√θ·t)`.
fn positions<T: Tensor>(theta: &T, times: &T, how: &Integration) -> T {
    let begin = (T::constant(1.0), T::constant(0.0));
    integrate(&Oscillator, &begin, times, theta, how).or_raise().y.0
}

#[test]
fn errors_are_of_the_methods_orders() {
    let theta = Array::scalar(1.0);
    let times = Array::from(vec![0.0, 1.0]);
    let error = |stepper| {
        let found = positions(&theta, &times, &how(stepper, 1e-6, DISCRETE));
        (found.view()[[0]] - 1f64.cos()).abs()
    };
    for (order, stepper) in [
        (1, (|step| Stepper::Euler { step }) as fn(f64) -> Stepper),
        (4, |step| Stepper::RungeKutta4 { step }),
    ] {
        let ratio = error(stepper(0.02)) / error(stepper(0.01));
        assert!((ratio.log2() - f64::from(order)).abs() < 0.1, "{order} {ratio}");
    }
    for stepper in [Stepper::DormandPrince, Stepper::Tsitouras] {
        for tolerance in [1e-4, 1e-7, 1e-10] {
            let found = positions(&theta, &times, &how(stepper, tolerance, DISCRETE));
            let error = (found.view()[[0]] - 1f64.cos()).abs();
            assert!(error < 20.0 * tolerance, "{stepper:?} {tolerance} {error}");
        }
    }
}

/// Values and derivatives by the parameter and the times, in reverse and forward, with each adjoint.
#[test]
fn adjoints_agree_with_closed_forms() {
    fn model<T: Tensor>((theta, times): &(T, T), how: &Integration) -> Vec<T> {
        let weights = T::from_elements(&[3], &[1.0, -2.0, 0.5]).unwrap();
        let (by_theta, by_times) = grad(
            |(theta, times): (Var<'_, T>, Var<'_, T>)| (positions(&theta, &times, how) * &weights).sum(..),
            &(theta.clone(), times.clone()),
        )
        .or_raise();
        let forward = jvp(|theta| positions(&theta, &Dual::lift(times), how), theta, &theta.ones_like());
        vec![positions(theta, times, how), by_theta, by_times, forward.or_raise().1]
    }
    let (theta, times) = (2.0f64, [0.25, 0.5, 1.0, 2.0]);
    let root = theta.sqrt();
    let weights = [1.0, -2.0, 0.5];
    let later = || times[1..].iter().map(|t| t - times[0]);
    let by_theta = later().map(|t| -(root * t).sin() * t / (2.0 * root));
    let by_time: Vec<f64> = later().zip(weights).map(|(t, w)| -w * root * (root * t).sin()).collect();
    let by_times: Vec<f64> = std::iter::once(-by_time.iter().sum::<f64>()).chain(by_time.clone()).collect();
    let expected: Vec<Array> = vec![
        Array::from(later().map(|t| (root * t).cos()).collect::<Vec<_>>()),
        Array::scalar(by_theta.clone().zip(weights).map(|(slope, w)| slope * w).sum()),
        Array::from(by_times),
        Array::from(by_theta.collect::<Vec<_>>()),
    ];
    let data = (Array::scalar(theta), Array::from(times.to_vec()));
    let square_root = Adjoint::Discrete { checkpoints: Some(Checkpoints::SquareRoot) };
    let few = Adjoint::Discrete { checkpoints: Some(Checkpoints::Count(6)) };
    for adjoint in [DISCRETE, square_root, few, Adjoint::Backsolve] {
        for stepper in [Stepper::DormandPrince, Stepper::Tsitouras, Stepper::RungeKutta4 { step: 0.01 }] {
            let how = how(stepper, 1e-10, adjoint);
            let found = in_both_modes!(|data: (_, _)| model(&data, &how), data.clone());
            assert_near(&found, &expected, 1e-7);
        }
    }
}

/// At many times between the ends of few steps, the interpolants are about as exact as the steps, and so are their
/// derivatives by the parameter and by the times.
#[test]
fn many_times_take_no_more_steps() {
    fn model<T: Tensor>((theta, times): &(T, T), how: &Integration) -> (Vec<T>, T) {
        let begin = (T::constant(1.0), T::constant(0.0));
        let tried = integrate(&Oscillator, &begin, times, theta, how).or_raise().tried;
        let (by_theta, by_times) = grad(
            |(theta, times): (Var<'_, T>, Var<'_, T>)| positions(&theta, &times, how).square().sum(..),
            &(theta.clone(), times.clone()),
        )
        .or_raise();
        (vec![positions(theta, times, how), by_theta, by_times.slice(0, 1..times.size())], tried)
    }
    let (theta, count) = (2.0f64, 200);
    let times: Vec<f64> = (0..=count).map(|i| 3.0 * f64::from(i) / f64::from(count)).collect();
    let root = theta.sqrt();
    let later = || times[1..].iter();
    let by_theta: f64 = later().map(|t| -(2.0 * root * t).sin() * t / (2.0 * root)).sum();
    let expected: Vec<Array> = vec![
        Array::from(later().map(|t| (root * t).cos()).collect::<Vec<_>>()),
        Array::scalar(by_theta),
        Array::from(later().map(|t| -root * (2.0 * root * t).sin()).collect::<Vec<_>>()),
    ];
    let data = (Array::scalar(theta), Array::from(times));
    let square_root = Adjoint::Discrete { checkpoints: Some(Checkpoints::SquareRoot) };
    for stepper in [Stepper::DormandPrince, Stepper::Tsitouras] {
        for between in [Between::Interpolant, Between::ShorterStep] {
            for adjoint in [DISCRETE, square_root] {
                let how = Integration { between, ..how(stepper, 1e-8, adjoint) };
                let (found, tried) = in_both_modes!(|data: (_, _)| model(&data, &how), data.clone());
                assert!(tried.item() < 80.0, "{tried}");
                assert_near(&found[0..1].to_vec(), &expected[0..1].to_vec(), 1e-6);
                assert_near(&found[1..2].to_vec(), &expected[1..2].to_vec(), 1e-6);
                assert_near(&found[2..3].to_vec(), &expected[2..3].to_vec(), 1e-4);
            }
        }
    }
}

/// Vertical throw with friction of none: `d(height, speed)/dt = (speed, −g)`.
#[derive(Clone, Debug)]
struct Throw;

impl VectorField for Throw {
    type State = (Array, Array);
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, (height, speed): &(T, T), g: &T) -> (T, T) {
        (speed.clone(), -(height.clone() * 0.0 + g))
    }
}

#[derive(Clone, Debug)]
struct Ground;

impl Event<Throw> for Ground {
    fn distance<T: Tensor>(&self, _t: &T, (height, _): &(T, T), _g: &T) -> T {
        height.clone()
    }
}

/// From height 2 with speed 1 the ground is reached at `t = (1 + √(1 + 4g))/g`.
#[test]
fn the_time_of_an_event_has_a_derivative() {
    fn model<T: Tensor>(g: &T, how: &Integration) -> Vec<T> {
        fn landing<T: Tensor>(g: &T, how: &Integration) -> (T, T) {
            let begin = (T::constant(2.0), T::constant(1.0));
            let ends = [T::constant(0.0), T::constant(10.0)];
            let (t, (_, speed)) =
                integrate_until(&Throw, &Ground, &begin, [&ends[0], &ends[1]], g, how).or_raise();
            (t, speed)
        }
        let (t, speed) = landing(g, how);
        let slope = grad(|g| landing(&g, how).0, g).or_raise();
        let of_speed = grad(|g| landing(&g, how).1, g).or_raise();
        let forward = jvp(|g| landing(&g, how).0, g, &g.ones_like()).or_raise().1;
        vec![t, speed, slope, of_speed, forward]
    }
    let g = 9.81f64;
    let root = (1.0 + 4.0 * g).sqrt();
    let t = (1.0 + root) / g;
    let slope = 2.0 / (root * g) - t / g;
    let expected: Vec<Array> = [t, 1.0 - g * t, slope, -2.0 / root, slope].map(Array::scalar).into();
    for stepper in [Stepper::Tsitouras, Stepper::DormandPrince] {
        let how = how(stepper, 1e-9, DISCRETE);
        let found = in_both_modes!(|g| model(&g, &how), Array::scalar(g));
        assert_near(&found, &expected, 1e-9);
    }
    let begin = (Array::scalar(2.0), Array::scalar(1.0));
    let ends = [Array::scalar(0.0), Array::scalar(0.1)];
    let early = integrate_until(
        &Throw,
        &Ground,
        &begin,
        [&ends[0], &ends[1]],
        &Array::scalar(g),
        &Integration::default(),
    );
    let text = early.unwrap_err().to_string();
    assert!(text.contains("no event before the end") && text.contains("integration.rs"), "{text}");
}

/// `dy/dt = y²`, infinite at `t = 1`.
#[derive(Clone, Debug)]
struct Explosion;

impl VectorField for Explosion {
    type State = Array;
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, y: &T, theta: &T) -> T {
        y.square() * theta
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let one = Array::scalar(1.0);
    let run = |times: Vec<f64>, how: &Integration| {
        integrate(&Explosion, &one, &Array::from(times), &one, how).unwrap_err().to_string()
    };
    let text = run(vec![0.0, 2.0], &Integration::default());
    assert!(
        text.contains("tsitouras: no convergence: the residual is") && text.contains("integration.rs"),
        "{text}"
    );
    let few = Integration { max_steps: 3, ..Integration::default() };
    let text = run(vec![0.0, 0.9], &few);
    assert!(text.contains("after 3 steps"), "{text}");
    assert!(run(vec![0.0, 0.5, 0.2], &Integration::default()).contains("have to ascend"));
    assert!(run(vec![0.0], &Integration::default()).contains("times [1]: a vector of two or more"));
    let none = Integration { absolute: 0.0, ..Integration::default() };
    assert!(run(vec![0.0, 0.5], &none).contains("the tolerances 0 and 0.000001 have to be positive"));
    let none = Integration { max_steps: 0, ..Integration::default() };
    assert!(run(vec![0.0, 0.5], &none).contains("after 0 steps"));
}
