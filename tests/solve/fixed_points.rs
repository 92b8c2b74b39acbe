//! Fixed points, with all four derivatives, in both modes.

#[cfg(feature = "staging")]
use antiphon::NdArray;
use antiphon::control::Checkpoints;
use antiphon::solve::{
    Derivative, Estimate, FixedPointMethod, LinearLimit, LinearMethod, Options, fixed_point,
};
use antiphon::{OrRaise, Real, Tensor, Var, grad, hvp, jacobian, jvp, vmap};

use crate::in_both_modes;
use crate::problems::{Affine, Array, Babylonian, Layer, PICARD, Pair, Quintic, RidgeDescent, assert_near};

fn direct() -> Derivative {
    Derivative::Implicit(LinearMethod::Direct)
}

/// All methods for linear equations but those for symmetric matrices.
fn linear_methods() -> Vec<LinearMethod> {
    let limit = LinearLimit { tolerance: 1e-14, steps: 1000 };
    vec![
        LinearMethod::Direct,
        LinearMethod::BiCgStab(limit),
        LinearMethod::Gmres { restart: 5, limit },
        LinearMethod::Neumann(limit),
    ]
}

fn babylonian<T: Tensor>(theta: &T, options: &Options) -> T {
    fixed_point(&Babylonian, PICARD, &theta.ones_like(), theta, options).or_raise().x
}

fn slope<T: Tensor>(theta: &T, options: &Options) -> T {
    grad(|theta| babylonian(&theta, options), theta).or_raise()
}

/// In reverse and forward.
#[track_caller]
fn check_slopes(options: &Options, expected: f64) {
    let theta = Array::scalar(2.0);
    let reverse = in_both_modes!(|theta| slope(&theta, options), theta.clone());
    let forward = in_both_modes!(
        |theta| {
            let along = Real::ones_like(&theta);
            jvp(|theta| babylonian(&theta, options), &theta, &along).or_raise().1
        },
        theta.clone()
    );
    assert_near(&reverse, &Array::scalar(expected), 1e-12);
    assert_near(&forward, &Array::scalar(expected), 1e-12);
}

#[test]
fn the_babylonian_root() {
    let one_step = [
        0.5,
        0.333_333_333_333_333_3,
        0.352_941_176_470_588_24,
        0.353_552_859_618_717_5,
        0.353_553_390_592_875_05,
    ];
    let unrolled = [
        0.5,
        0.361_111_111_111_111_1,
        0.353_565_936_178_392_93,
        0.353_553_390_611_716_28,
        0.353_553_390_593_273_8,
    ];
    for (k, (one_step, unrolled)) in one_step.into_iter().zip(unrolled).enumerate() {
        let options = Options::steps(k + 1);
        check_slopes(&options.clone().derivative(Derivative::OneStep), one_step);
        check_slopes(&options.clone().derivative(Derivative::KSteps(1)), one_step);
        check_slopes(&options.clone().derivative(Derivative::KSteps(k + 1)), unrolled);
        for checkpoints in [None, Some(Checkpoints::SquareRoot), Some(Checkpoints::Count(2))] {
            check_slopes(&options.clone().derivative(Derivative::Unrolled { checkpoints }), unrolled);
        }
    }
    // The implicit derivative at a step is the one-step derivative two steps later.
    for (k, one_step) in one_step.into_iter().enumerate().skip(2) {
        for method in linear_methods() {
            check_slopes(&Options::steps(k - 1).derivative(Derivative::Implicit(method)), one_step);
        }
    }
    // To convergence.
    let exact = 0.353_553_390_593_273_8;
    for checkpoints in [None, Some(Checkpoints::SquareRoot), Some(Checkpoints::Count(4))] {
        check_slopes(
            &Options::default().absolute(1e-13).derivative(Derivative::Unrolled { checkpoints }),
            exact,
        );
    }
    for derivative in [Derivative::OneStep, Derivative::KSteps(2), direct(), Derivative::default()] {
        check_slopes(&Options::default().absolute(1e-13).derivative(derivative), exact);
    }
}

/// `F = ρx + θ`: `J = 1/(1 − ρ)`, one-step 1, K-step `(1 − ρᴷ)/(1 − ρ)`; the bound is attained.
#[test]
fn an_affine_map() {
    let rho = 0.8;
    let model = |derivative: Derivative| {
        let options = Options::default().absolute(1e-13).derivative(derivative).estimate(Estimate::Dense);
        in_both_modes!(
            |(rho, theta): (_, _)| affine(&rho, &theta, &options),
            (Array::scalar(rho), Array::scalar(0.3))
        )
    };
    let exact = 1.0 / (1.0 - rho);
    for (derivative, expected) in [
        (direct(), exact),
        (Derivative::OneStep, 1.0),
        (Derivative::KSteps(7), (1.0 - rho.powi(7)) / (1.0 - rho)),
    ] {
        let (slope, bounds) = model(derivative.clone());
        assert_near(&slope, &Array::scalar(expected), 1e-12);
        assert_near(&bounds[0], &Array::scalar(rho), 1e-12);
        // L is the norm of the derivative by ρ and by θ, (x, 1).
        let length = (1.0f64 + (0.3f64 / 0.2).powi(2)).sqrt();
        assert_near(&bounds[1], &Array::scalar(length * rho / (1.0 - rho)), 1e-11);
    }
}

fn affine<T: Tensor>(rho: &T, theta: &T, options: &Options) -> (T, Vec<T>) {
    let solve = |rho: &T, theta: &T| {
        fixed_point(&Affine, PICARD, &theta.zeros_like(), &(rho.clone(), theta.clone()), options).or_raise()
    };
    let info = solve(rho, theta).info;
    let slope = grad(
        |theta: Var<'_, T>| {
            let parameters = (Var::lift(rho), theta.clone());
            fixed_point(&Affine, PICARD, &theta.zeros_like(), &parameters, options).or_raise().x
        },
        theta,
    );
    (slope.or_raise(), vec![info.rho.unwrap(), info.one_step_error_bound.unwrap()])
}

/// `X = [[1, 0], [0, 2], [1, 1]]`, `y = (1, 2, 3)`, `θ = 1`, `α = 1`.
#[test]
fn ridge_regression_by_gradient_descent() {
    let data = || {
        let x = Array::from_elements(&[3, 2], &[1.0, 0.0, 0.0, 2.0, 1.0, 1.0]).unwrap();
        (
            Array::scalar(2.0 / 9.0),
            (x, Array::from(vec![1.0, 2.0, 3.0]), Array::ones(&[3]), Array::scalar(1.0)),
        )
    };
    fn weights<T: Tensor>(theta: &T, data: &(T, (T, T, T, T)), options: &Options) -> T {
        let (step, (x, y, _, alpha)) = data;
        let parameters = (step.clone(), (x.clone(), y.clone(), theta.clone(), alpha.clone()));
        fixed_point(&RidgeDescent, PICARD, &T::zeros(&[2]), &parameters, options).or_raise().x
    }
    fn lifted<T: Tensor, V: Tensor>(
        (step, (x, y, theta, alpha)): &(T, (T, T, T, T)),
        lift: impl Fn(&T) -> V,
    ) -> (V, (V, V, V, V)) {
        (lift(step), (lift(x), lift(y), lift(theta), lift(alpha)))
    }
    // The Jacobian's columns, forward, and its rows, in reverse.
    fn jacobians<T: Tensor>(data: &(T, (T, T, T, T)), options: &Options) -> (T, T) {
        let theta = &data.1.2;
        let column = |j: usize| {
            let along = T::one_hot(&<T::Int as antiphon::Int>::constant(j as i64), 3);
            jvp(|theta| weights(&theta, &lifted(data, antiphon::Dual::lift), options), theta, &along)
                .or_raise()
                .1
        };
        let row = |i: usize| {
            grad(|theta| weights(&theta, &lifted(data, Var::lift), options).index(0, i), theta).or_raise()
        };
        (T::stack(&[column(0), column(1), column(2)], 1), T::stack(&[row(0), row(1)], 0))
    }
    let exact = Array::from_elements(&[2, 3], &[0.0, 0.0, 5.0 / 17.0, 0.0, 0.0, 2.0 / 17.0]).unwrap();
    let options = Options::default().absolute(1e-14);
    for method in linear_methods() {
        let options = options.clone().derivative(Derivative::Implicit(method));
        let (columns, rows) = in_both_modes!(|data: (_, (_, _, _, _))| jacobians(&data, &options), data());
        assert_near(&columns, &exact, 1e-12);
        assert_near(&rows, &exact, 1e-12);
    }
    let options = options.derivative(Derivative::OneStep);
    let (columns, rows) = in_both_modes!(|data: (_, (_, _, _, _))| jacobians(&data, &options), data());
    let expected = Array::from_elements(&[2, 3], &[0.0, 0.0, 2.0 / 9.0, 0.0, 0.0, 2.0 / 9.0]).unwrap();
    assert_near(&columns, &expected, 1e-12);
    assert_near(&rows, &expected, 1e-12);
    let norm = |x: &Array| x.square().sum(..).item().sqrt();
    assert!((norm(&(exact.clone() - &columns)) / norm(&exact) - 0.400_616_808_384_887_7).abs() < 1e-12);
}

/// `y = d + y⁵` at `d = ½`.
#[test]
fn a_quintic() {
    fn solved<T: Tensor>(d: &T, derivative: &Derivative, method: FixedPointMethod) -> (T, T) {
        let options = Options::default().absolute(1e-15).derivative(derivative.clone());
        let slope = grad(|d| fixed_point(&Quintic, method, &d.zeros_like(), &d, &options).or_raise().x, d);
        (fixed_point(&Quintic, method, &d.zeros_like(), d, &options).or_raise().x, slope.or_raise())
    }
    let rho = 0.459_552_984_231_817_8;
    for (derivative, slope) in [
        (direct(), 1.850_320_143_924_963_5),
        (Derivative::OneStep, 1.0),
        (Derivative::KSteps(2), 1.0 + rho),
        (Derivative::KSteps(6), (0..6).map(|k| f64::powi(rho, k)).sum()),
    ] {
        for method in [
            PICARD,
            FixedPointMethod::Picard { damping: 0.7 },
            FixedPointMethod::Anderson { memory: 3, damping: 1.0 },
        ] {
            let (y, found) = in_both_modes!(|d| solved(&d, &derivative, method), Array::scalar(0.5));
            assert_near(&y, &Array::scalar(0.550_606_579_334_134_9), 1e-12);
            assert_near(&found, &Array::scalar(slope), 1e-12);
        }
    }
}

/// Structures, second derivatives of each kind, and batches.
#[test]
fn nested_derivatives() {
    fn loss<T: Tensor>(theta: &T, derivative: &Derivative) -> T {
        let options = Options::default().absolute(1e-14).derivative(derivative.clone());
        let x = (T::constant(0.0), T::zeros(&[2]));
        let (x, y) = fixed_point(&Pair, PICARD, &x, theta, &options).or_raise().x;
        x.square() + y.sin().sum(..)
    }
    // Of the limit, by differences of its first derivative in high order.
    fn second<T: Tensor>(theta: &T, derivative: &Derivative) -> Vec<T> {
        let along = theta.ones_like();
        let forward_over_reverse = hvp(|theta| loss(&theta, derivative), theta, &along).or_raise();
        let reverse_over_reverse =
            grad(|theta| grad(|theta| loss(&theta, derivative), &theta).or_raise(), theta).or_raise();
        let forward_over_forward = jvp(
            |theta| jvp(|theta| loss(&theta, derivative), &theta, &theta.ones_like()).or_raise().1,
            theta,
            &along,
        );
        let reverse_over_forward = grad(
            |theta| jvp(|theta| loss(&theta, derivative), &theta, &theta.ones_like()).or_raise().1,
            theta,
        );
        vec![
            forward_over_reverse.0,
            forward_over_reverse.1,
            reverse_over_reverse,
            forward_over_forward.or_raise().1,
            reverse_over_forward.or_raise(),
        ]
    }
    let theta = Array::scalar(0.4);
    let h = 1e-3;
    let first = |theta: f64| grad(|theta| loss(&theta, &direct()), &Array::scalar(theta)).unwrap().item();
    let difference = |h: f64| (first(0.4 + h) - first(0.4 - h)) / (2.0 * h);
    let expected = (4.0 * difference(h) - difference(2.0 * h)) / 3.0;
    let unrolled = Derivative::Unrolled { checkpoints: None };
    let limit = LinearLimit { tolerance: 1e-14, steps: 100 };
    let gmres = Derivative::Implicit(LinearMethod::Gmres { restart: 3, limit });
    for derivative in [direct(), gmres, Derivative::KSteps(40), unrolled] {
        let found = in_both_modes!(|theta| second(&theta, &derivative), theta.clone());
        for found in &found[1..] {
            assert!((found.item() - expected).abs() < 1e-9, "{derivative:?} {found} {expected}");
        }
    }
    // Of the one-step derivative, the state before the step is a constant in all of them.
    let found = in_both_modes!(|theta| second(&theta, &Derivative::OneStep), theta.clone());
    for other in &found[2..] {
        assert_near(other, &found[1], 1e-12);
    }
    // Rows of a batch end when they have converged.
    let rows = Array::from(vec![0.1, 0.4, 2.0]);
    for derivative in [direct(), Derivative::OneStep] {
        fn slopes<T: Tensor>(rows: &T, derivative: &Derivative) -> T {
            vmap(|theta: antiphon::Batch<T>| grad(|theta| loss(&theta, derivative), &theta).or_raise(), rows)
                .or_raise()
        }
        let found = in_both_modes!(|rows| slopes(&rows, &derivative), rows.clone());
        let each: Vec<f64> = rows
            .view()
            .iter()
            .map(|&theta| grad(|theta| loss(&theta, &derivative), &Array::scalar(theta)).unwrap().item())
            .collect();
        assert_near(&found, &Array::from(each), 1e-12);
    }
}

/// Random contractions `W·tanh(x) + b` of five unknowns: the bounds that the paper proves hold, and those that are
/// reported are no less.
#[test]
fn theorems_on_random_contractions() {
    use antiphon::random::Key;
    use antiphon::{Int, NdInt};
    let norm = |x: &Array| antiphon::linalg::svdvals(x).max(..).item();
    for seed in 0..10 {
        let [w, b] = Key::new(&NdInt::constant(seed)).split();
        let (w, b): (Array, Array) = (w.normal(&[5, 5]), b.normal(&[5]));
        let w = w.clone() * ((0.2 + 0.07 * seed as f64) / norm(&w));
        let jacobian_of = |derivative: &Derivative| {
            let options = Options::default().absolute(1e-14).derivative(derivative.clone());
            jacobian(
                |b| {
                    let w = Var::lift(&antiphon::Dual::lift(&antiphon::Batch::lift(&w)));
                    fixed_point(&Layer, PICARD, &b.zeros_like(), &(w, b), &options).or_raise().x
                },
                &b,
            )
            .unwrap()
        };
        let implicit = jacobian_of(&direct());
        for estimate in [Estimate::Dense, Estimate::Power { rounds: 60 }] {
            let options =
                Options::default().absolute(1e-14).derivative(Derivative::OneStep).estimate(estimate);
            let info =
                fixed_point(&Layer, PICARD, &b.zeros_like(), &(w.clone(), b.clone()), &options).unwrap().info;
            let rho = info.rho.unwrap().item();
            let slope = 1.0 - 1e-12;
            // By b alone, L = 1; that of all parameters is more.
            for k in 1..6 {
                let error = norm(&(jacobian_of(&Derivative::KSteps(k)) - &implicit));
                assert!(error * slope <= rho.powi(k as i32) / (1.0 - rho), "{seed} {k}: {error} {rho}");
            }
            let error = norm(&(jacobian_of(&Derivative::OneStep) - &implicit));
            assert!(error <= info.one_step_error_bound.unwrap().item());
            assert!(error <= rho * norm(&implicit) + 1e-12, "relative");
        }
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let solve = |options: &Options| {
        let theta = Array::scalar(2.0);
        fixed_point(&Affine, PICARD, &theta, &(Array::scalar(3.0), theta.clone()), options)
            .map(|found| found.info)
    };
    let message = |options: &Options| solve(options).unwrap_err().to_string();
    let text = message(&Options::default().max_steps(3));
    assert!(text.starts_with("picard: no convergence: the residual is 1.62e2 after 3 steps"), "{text}");
    assert!(text.contains("fixed_points.rs:"), "{text}");
    let text = message(&Options::default().max_steps(0));
    assert!(text.contains("after 0 steps"), "{text}");
    let text = message(&Options::default().max_steps(0).derivative(Derivative::OneStep));
    assert!(text.contains("a limit of 0 steps, and the derivative is that of the last 1"), "{text}");
    let text = message(&Options::default().max_steps(1_000_000));
    assert!(text.contains("the residual is inf after 3"), "{text}");
    let text = message(&Options::default().absolute(f64::NAN));
    assert!(text.contains("the tolerances NaN and 0"), "{text}");
    let info = solve(&Options::default().max_steps(3).flagged()).unwrap();
    assert_eq!((info.steps.item(), info.residual.item(), info.converged.item()), (3.0, 162.0, 0.0));
    let nan = Array::scalar(f64::NAN);
    let text = fixed_point(&Babylonian, PICARD, &nan, &nan, &Options::default()).unwrap_err().to_string();
    assert!(text.contains("the residual is NaN after 0 steps"), "{text}");
    // Of another shape than the unknown.
    let (w, b) = (Array::zeros(&[3, 2]), Array::zeros(&[3]));
    let text = fixed_point(&Layer, PICARD, &Array::zeros(&[2]), &(w, b), &Options::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("the unknown is [2], and what the function gives for it [3]"), "{text}");
    // A singular I − A.
    let slope = grad(
        |theta| {
            let one = theta.ones_like();
            let options = Options::steps(3).derivative(direct());
            fixed_point(&Affine, PICARD, &one, &(one.clone(), theta), &options).or_raise().x
        },
        &Array::scalar(1.0),
    );
    let text = slope.unwrap_err().to_string();
    assert!(text.contains("singular"), "{text}");
    #[cfg(feature = "staging")]
    {
        let model = |theta: antiphon::recording::Recorded| {
            let three = NdArray::<f64>::scalar(3.0);
            let three = <antiphon::recording::Recorded as Real>::constant(three.item());
            fixed_point(&Affine, PICARD, &theta, &(three, theta), &Options::default().max_steps(3))
                .or_raise()
                .x
        };
        let text = antiphon::compile("model", model, &Array::scalar(2.0))
            .unwrap()
            .call(&Array::scalar(2.0))
            .unwrap_err()
            .to_string();
        assert!(text.contains("picard: no convergence: the residual is 1.62e2 after 3 steps"), "{text}");
    }
}
