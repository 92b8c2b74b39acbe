//! Values and facts of the paper on one-step differentiation that are known beforehand, in both modes.

use antiphon::solve::{
    Derivative, Estimate, FixedPointMethod, LinearMethod, MinimizeMethod, Options, Problem, QuadraticProgram,
    RootMethod, fixed_point, minimize, quadratic_program, root,
};
use antiphon::{Dual, OrRaise, Real, Tensor, Var, grad, jvp};

use crate::in_both_modes;
use crate::problems::{Array, Quintic, RidgeDescent, Square, assert_near, vector};

/// `θ/2·xᵀDx − bᵀx` with `b = 1`, of `(D, θ)`: least at `D⁻¹b/θ`.
#[derive(Clone, Debug)]
struct Bowl;

impl Problem for Bowl {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, (d, theta): &(T, T)) -> T {
        (x.square() * d).sum(..) * theta * 0.5 - x.sum(..)
    }
}

/// The state by gradient descent, from a beginning.
fn bowl<T: Tensor>(d: &T, theta: &T, begin: &[f64], length: f64, options: &Options) -> (T, Option<T>) {
    let begin = T::from_elements(&[2], begin).unwrap();
    let method = MinimizeMethod::GradientDescent { length };
    let found = minimize(&Bowl, &method, &begin, &(d.clone(), theta.clone()), options).or_raise();
    (found.x, found.info.rho)
}

/// The column of the Jacobian by `θ`, forward and in reverse.
fn bowl_slopes<T: Tensor>(d: &T, theta: &T, begin: &[f64], length: f64, options: &Options) -> (T, T) {
    let forward = jvp(
        |theta: Dual<T>| bowl(&Dual::lift(d), &theta, begin, length, options).0,
        theta,
        &theta.ones_like(),
    );
    let element = |i: usize| {
        grad(|theta: Var<'_, T>| bowl(&Var::lift(d), &theta, begin, length, options).0.index(0, i), theta)
            .or_raise()
    };
    (forward.or_raise().1, T::stack(&[element(0), element(1)], 0))
}

/// The unrolled derivative of gradient descent gets worse before it gets better: by the values of the relative error
/// after 1, 83 and 1,000 steps.
#[test]
fn the_curse_of_unrolling() {
    let unrolled = Derivative::Unrolled { checkpoints: None };
    // −D⁻¹b/θ².
    let exact = vector(&[-1.0, -100.0]);
    let norm = |x: Array| x.square().sum(..).item().sqrt();
    let mut errors = Vec::new();
    for (steps, expected, digits) in [(1, 1.0538, 5e-5), (83, 2.61842, 5e-6), (1000, 2.66e-3, 5e-6)] {
        let options = Options::steps(steps).derivative(unrolled.clone());
        let (forward, reverse) = in_both_modes!(
            |(d, theta): (_, _)| bowl_slopes(&d, &theta, &[10.0, -500.0], 1.0, &options),
            (vector(&[1.0, 0.01]), Array::scalar(1.0))
        );
        assert_near(&forward, &reverse, 1e-12);
        let error = norm(forward - &exact) / norm(exact.clone());
        assert!((error - expected).abs() < digits, "{steps}: {error}");
        errors.push(error);
    }
    // By hand: J₁ = −D·x₀.
    assert!((errors[0] - (81.0f64 + 105.0 * 105.0).sqrt() / (1.0 + 1e4f64).sqrt()).abs() < 1e-12);
}

/// Steps of `1/L` contract by `1 − 1/κ`, those of `2/(L + μ)` by `(κ − 1)/(κ + 1)`; and at the solution the one-step
/// Jacobian is `αH` times the right one.
#[test]
fn contraction_of_gradient_descent() {
    let (large, small) = (4.0, 0.1);
    let condition = large / small;
    for (length, rho) in
        [(1.0 / large, 1.0 - 1.0 / condition), (2.0 / (large + small), (condition - 1.0) / (condition + 1.0))]
    {
        let options = Options::default()
            .absolute(1e-13)
            .max_steps(5000)
            .derivative(Derivative::OneStep)
            .estimate(Estimate::Dense);
        let data = (vector(&[large, small]), Array::scalar(1.0));
        let found_rho = in_both_modes!(
            |(d, theta): (_, _)| bowl(&d, &theta, &[0.0, 0.0], length, &options).1.unwrap(),
            data.clone()
        );
        assert_near(&found_rho, &Array::scalar(rho), 1e-12);
        let (forward, reverse) =
            in_both_modes!(|(d, theta): (_, _)| bowl_slopes(&d, &theta, &[0.0, 0.0], length, &options), data);
        // −D⁻¹b, times αD.
        assert_near(&forward, &vector(&[-length, -length]), 1e-11);
        assert_near(&reverse, &vector(&[-length, -length]), 1e-11);
    }
}

/// The solutions beside the derivatives that are tested elsewhere.
#[test]
fn solutions() {
    let options = Options::default().absolute(1e-14).derivative(Derivative::OneStep);
    // Ridge regression.
    let x = Array::from_elements(&[3, 2], &[1.0, 0.0, 0.0, 2.0, 1.0, 1.0]).unwrap();
    let data = (x, vector(&[1.0, 2.0, 3.0]));
    fn ridge<T: Tensor>((x, y): &(T, T), options: &Options) -> T {
        let parameters = (T::constant(2.0 / 9.0), (x.clone(), y.clone(), T::ones(&[3]), T::constant(1.0)));
        fixed_point(&RidgeDescent, FixedPointMethod::PICARD, &T::zeros(&[2]), &parameters, options)
            .or_raise()
            .x
    }
    let w = in_both_modes!(|data: (_, _)| ridge(&data, &options), data);
    assert_near(&w, &vector(&[1.0, 1.0]), 1e-12);
    // ρ of y = d + y⁵.
    fn quintic<T: Tensor>(d: &T, options: &Options) -> (T, T) {
        let found = fixed_point(&Quintic, FixedPointMethod::PICARD, &d.zeros_like(), d, options).or_raise();
        (found.x, found.info.rho.unwrap())
    }
    let estimated = options.clone().absolute(1e-15).estimate(Estimate::Dense);
    let found = in_both_modes!(|d| quintic(&d, &estimated), Array::scalar(0.5));
    let expected = (0.550_606_579_334_135, 0.459_552_984_231_817_8);
    assert_near(&found, &(Array::scalar(expected.0), Array::scalar(expected.1)), 1e-12);
    // Q = diag(1, 2), x₁ + x₂ = 1.
    fn program<T: Tensor>(quadratic: &T, options: &Options) -> T {
        let program = QuadraticProgram {
            quadratic: quadratic.clone(),
            linear: T::zeros(&[2]),
            equalities: Some((T::ones(&[1, 2]), T::ones(&[1]))),
            inequalities: None,
        };
        quadratic_program(&program, &LinearMethod::Cholesky, None, options).or_raise().x
    }
    let few = Options::default().absolute(1e-13).max_steps(60);
    let quadratic = Array::from_elements(&[2, 2], &[1.0, 0.0, 0.0, 2.0]).unwrap();
    let x = in_both_modes!(|quadratic| program(&quadratic, &few), quadratic);
    assert_near(&x, &vector(&[2.0 / 3.0, 1.0 / 3.0]), 1e-12);
}

#[derive(Clone, Debug)]
struct Damped(f64);

impl Problem for Damped {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        x.clone() - Square.value(x, theta) / (x.clone() * 2.0) * self.0
    }
}

const EXACT: f64 = 0.353_553_390_593_273_8;

/// A damped step of Newton's method has a relative error of exactly `1 − α` at the solution; the solver's own step,
/// which is undamped, has none.
#[test]
fn damping_is_an_error_of_one_minus_alpha() {
    fn slopes<T: Tensor>(theta: &T, alpha: f64, options: &Options) -> (T, T) {
        let of_map = grad(
            |theta: Var<'_, T>| {
                fixed_point(&Damped(alpha), FixedPointMethod::PICARD, &theta.ones_like(), &theta, options)
                    .or_raise()
                    .x
            },
            theta,
        );
        let method = RootMethod::Newton { linear: LinearMethod::Direct, damping: alpha };
        let of_solver = grad(
            |theta: Var<'_, T>| root(&Square, &method, &theta.ones_like(), &theta, options).or_raise().x,
            theta,
        );
        (of_map.or_raise(), of_solver.or_raise())
    }
    for alpha in [0.5, 0.9, 0.99999] {
        let options = Options::default().absolute(1e-14).derivative(Derivative::OneStep);
        let (of_map, of_solver) = in_both_modes!(|theta| slopes(&theta, alpha, &options), Array::scalar(2.0));
        assert_near(&of_map, &Array::scalar(alpha * EXACT), 1e-12);
        assert_near(&of_solver, &Array::scalar(EXACT), 1e-12);
    }
}

/// Of Newton's method the error of the one-step derivative squares from step to step.
#[test]
fn newtons_one_step_error_squares() {
    fn slope<T: Tensor>(theta: &T, options: &Options) -> T {
        grad(
            |theta: Var<'_, T>| {
                root(&Square, &RootMethod::NEWTON, &theta.ones_like(), &theta, options).or_raise().x
            },
            theta,
        )
        .or_raise()
    }
    let one_step = [0.5, 0.333_333_333_333_333_3, 0.352_941_176_470_588_24, 0.353_552_859_618_717_5];
    let mut last = f64::INFINITY;
    for (k, expected) in one_step.into_iter().enumerate() {
        let options = Options::steps(k + 1).derivative(Derivative::OneStep);
        let found = in_both_modes!(|theta| slope(&theta, &options), Array::scalar(2.0));
        assert_near(&found, &Array::scalar(expected), 1e-12);
        // By √2 in the limit: of x it is e ← e²/(2√2), and of the derivative 1/(2x) a quarter of that.
        let error = (found.item() - EXACT).abs();
        assert!(error < 1.5 * last * last || k == 0, "{error} after {last}");
        last = error;
    }
}
