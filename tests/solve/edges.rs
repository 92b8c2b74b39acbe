//! Where solvers begin at what they look for, go on after they have found it, or only just find it.

use antiphon::solve::{
    Derivative, Estimate, Event, Integration, LeastSquaresMethod, LinearMethod, MinimizeMethod, Options,
    Problem, QuadraticProgram, RootMethod, Stepper, VectorField, fixed_point, integrate_until, least_squares,
    minimize, quadratic_program, root,
};
use antiphon::{OrRaise, Real, Tensor, Var, grad};

use crate::in_both_modes;
use crate::problems::{Array, Babylonian, PICARD, Square, assert_near, scalar, vector};

/// `½θ·x²`.
#[derive(Clone, Debug)]
struct Bowl;

impl Problem for Bowl {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        (x.square() * theta * 0.5).sum(..)
    }
}

/// With a length such that the point ahead of the second step is the minimum, and the step's own is not.
#[test]
fn momentum_gives_the_point_whose_gradient_is_zero() {
    let next = |t: f64| 0.5 + (0.25 + t * t).sqrt();
    let second = next(1.0);
    let share = (second - 1.0) / next(second);
    let length = 1.0 - share / (1.0 + share);
    let method = MinimizeMethod::Accelerated { length };
    let found = minimize(&Bowl, &method, &vector(&[1.0]), &scalar(1.0), &Options::default()).unwrap();
    assert_eq!(found.info.steps.item(), 2.0);
    assert_near(&found.x, &vector(&[0.0]), 1e-10);
}

fn newton<T: Tensor>(begin: &T, theta: &T, options: &Options) -> T {
    root(&Square, &RootMethod::NEWTON, begin, theta, options).or_raise().x
}

/// Newton's step for a root is the Babylonians': of as many of them, the bound is the same, that of the state before
/// the last one.
#[test]
fn the_bound_is_that_of_the_step_that_is_differentiated() {
    for steps in 1..4 {
        let options = Options::steps(steps).derivative(Derivative::OneStep).estimate(Estimate::Dense);
        let (one, two) = (scalar(1.0), scalar(2.0));
        let by_newton = root(&Square, &RootMethod::NEWTON, &one, &two, &options).unwrap().info;
        let by_picard = fixed_point(&Babylonian, PICARD, &one, &two, &options).unwrap().info;
        let parts =
            |info: antiphon::solve::Info<Array>| vec![info.rho.unwrap(), info.one_step_error_bound.unwrap()];
        assert_near(&parts(by_newton), &parts(by_picard), 1e-14);
    }
}

#[test]
fn a_single_step_from_the_solution() {
    fn slope<T: Tensor>(theta: &T) -> T {
        let options = Options::default().max_steps(1).derivative(Derivative::OneStep);
        let begin = theta.sqrt();
        grad(|theta: Var<'_, T>| newton(&Var::lift(&begin), &theta, &options), theta).or_raise()
    }
    assert_near(&in_both_modes!(|theta| slope(&theta), scalar(4.0)), &scalar(0.25), 1e-14);
}

#[test]
fn any_number_of_steps_is_a_limit() {
    let options = Options::default().max_steps(usize::MAX);
    let found = in_both_modes!(
        |theta: _| {
            let one = Real::ones_like(&theta);
            fixed_point(&Babylonian, PICARD, &one, &theta, &options).or_raise().x
        },
        scalar(2.0)
    );
    assert_near(&found, &scalar(2f64.sqrt()), 1e-11);
}

/// `½x + 1`, which depends on nothing.
#[derive(Clone, Debug)]
struct Alone;

impl Problem for Alone {
    type Unknown = Array;
    type Parameters = Vec<Array>;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, _theta: &Vec<T>) -> T {
        x.clone() * 0.5 + 1.0
    }
}

#[test]
fn no_parameters_have_no_error() {
    for estimate in [Estimate::Dense, Estimate::Power { rounds: 100 }] {
        let options = Options::default().estimate(estimate);
        let info = fixed_point(&Alone, PICARD, &vector(&[0.0]), &vec![], &options).unwrap().info;
        assert!((info.rho.unwrap().item() - 0.5).abs() < 0.05);
        assert_eq!(info.one_step_error_bound.unwrap().item(), 0.0);
    }
}

/// `(eᵃ − p, b + ½a − q, 0.3·a·b − 0.1·p)` of `(a, b)` and `(p, q)`, which are not all zero anywhere.
#[derive(Clone, Debug)]
struct Curved;

impl Problem for Curved {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        let [a, b, p, q] = [x.index(0, 0), x.index(0, 1), theta.index(0, 0), theta.index(0, 1)];
        let last = a.clone() * &b * 0.3 - p.clone() * 0.1;
        T::stack(&[a.exp() - p, b + a * 0.5 - q, last], 0)
    }
}

/// Near the minimum the sum of squares only changes by rounding, which says nothing of the damping.
#[test]
fn damping_does_not_grow_by_rounding() {
    let method = LeastSquaresMethod::LevenbergMarquardt { damping: 0.1 };
    let (begin, theta) = (vector(&[0.4, 0.4]), vector(&[0.6, 0.9]));
    let options = Options::default().absolute(1e-14).max_steps(100);
    let found = least_squares(&Curved, method, &begin, &theta, &options).unwrap();
    let gauss = LeastSquaresMethod::GaussNewton;
    let expected = least_squares(&Curved, gauss, &begin, &theta, &options).unwrap();
    assert_near(&found.x, &expected.x, 1e-13);
    // Nor where there is nothing left to change.
    let found = least_squares(&Curved, method, &begin, &theta, &Options::steps(3000)).unwrap();
    assert_near(&found.x, &expected.x, 1e-13);
}

fn program<T: Tensor>(linear: &T, bounds: Option<&[f64]>) -> QuadraticProgram<T> {
    QuadraticProgram {
        quadratic: T::ones(&[2]).diag(0),
        linear: linear.clone(),
        equalities: Some((T::ones(&[1, 2]), T::ones(&[1]))),
        inequalities: bounds.map(|h| (T::ones(&[2]).diag(0), T::from_elements(&[2], h).unwrap())),
    }
}

#[test]
fn programs_whose_steps_go_on() {
    fn solve<T: Tensor>(linear: &T, method: &LinearMethod, steps: usize) -> T {
        let program = program(linear, Some(&[0.5, 0.6]));
        quadratic_program(&program, method, None, &Options::steps(steps)).or_raise().x
    }
    for method in [LinearMethod::Cholesky, LinearMethod::Direct] {
        for steps in [12, 60, 300] {
            let x = in_both_modes!(|linear| solve(&linear, &method, steps), vector(&[-1.0, -0.2]));
            assert_near(&x, &vector(&[0.5, 0.5]), 1e-12);
        }
    }
}

/// `x₁ − x₂ = q₂ − q₁`, whatever the derivative is.
#[test]
fn equalities_alone_have_a_derivative_of_their_steps() {
    fn slope<T: Tensor>(linear: &T, derivative: &Derivative) -> T {
        let options = Options::default().derivative(derivative.clone());
        fn first<T: Tensor>(linear: &T, options: &Options) -> T {
            let program = program(linear, None);
            quadratic_program(&program, &LinearMethod::Cholesky, None, options).or_raise().x.index(0, 0)
        }
        grad(|linear: Var<'_, T>| first(&linear, &options), linear).or_raise()
    }
    for derivative in [
        Derivative::Unrolled { checkpoints: None },
        Derivative::Implicit(LinearMethod::Cholesky),
        Derivative::OneStep,
    ] {
        let found = in_both_modes!(|linear| slope(&linear, &derivative), vector(&[0.3, -0.2]));
        assert_near(&found, &vector(&[-0.5, 0.5]), 1e-12);
    }
}

/// `dy/dt = θ`.
#[derive(Clone, Debug)]
struct Constant;

impl VectorField for Constant {
    type State = Array;
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, y: &T, theta: &T) -> T {
        y.zeros_like() + theta
    }
}

/// Where `y` is one.
#[derive(Clone, Debug)]
struct One;

impl Event<Constant> for One {
    fn distance<T: Tensor>(&self, _t: &T, y: &T, _theta: &T) -> T {
        y.clone() - 1.0
    }
}

/// Two steps of a half lead to exactly one: an event, though no step is between both signs.
#[test]
fn an_event_where_a_step_ends() {
    fn time<T: Tensor>(theta: &T) -> T {
        let how = Integration { stepper: Stepper::Euler { step: 0.5 }, ..Integration::default() };
        let ends = [T::constant(0.0), T::constant(5.0)];
        let begin = theta.zeros_like();
        integrate_until(&Constant, &One, &begin, [&ends[0], &ends[1]], theta, &how).or_raise().0
    }
    assert_near(&in_both_modes!(|theta| time(&theta), scalar(1.0)), &scalar(1.0), 1e-14);
    let slope = in_both_modes!(|theta| grad(|theta| time(&theta), &theta).or_raise(), scalar(1.0));
    assert_near(&slope, &scalar(-1.0), 1e-14);
}
