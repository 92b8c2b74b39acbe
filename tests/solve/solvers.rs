//! Roots, minima and least squares by every method: the solution, and its derivatives in both modes.

use antiphon::solve::{
    Derivative, LeastSquaresMethod, LinearLimit, LinearMethod, MinimizeMethod, Options, Problem, RootMethod,
    least_squares, minimize, root,
};
use antiphon::{NdArray, OrRaise, Real, Tensor, Var, function, grad, hvp, jvp};

use crate::in_both_modes;
use crate::problems::{Array, assert_near};

const LIMIT: LinearLimit = LinearLimit { tolerance: 1e-14, steps: 200 };

/// Kepler's equation `E − e·sin E = M`, of `(e, M)`.
#[derive(Clone, Debug)]
struct Kepler;

impl Problem for Kepler {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, (e, m): &(T, T)) -> T {
        x.clone() - x.sin() * e - m
    }
}

/// `x² + y² = a`, `x·y = b`: a root is `½(√(a + 2b) ± √(a − 2b))`.
#[derive(Clone, Debug)]
struct Circle;

impl Problem for Circle {
    type Unknown = (Array, Array);
    type Parameters = (Array, Array);
    type Value = (Array, Array);
    fn value<T: Tensor>(&self, (x, y): &(T, T), (a, b): &(T, T)) -> (T, T) {
        (x.square() + y.square() - a, x.clone() * y - b)
    }
}

fn root_methods() -> Vec<RootMethod> {
    vec![
        RootMethod::NEWTON,
        RootMethod::Newton { linear: LinearMethod::BiCgStab(LIMIT), damping: 1.0 },
        RootMethod::Newton { linear: LinearMethod::Gmres { restart: 2, limit: LIMIT }, damping: 0.9 },
        RootMethod::Broyden { linear: LinearMethod::Direct },
    ]
}

fn derivatives() -> Vec<Derivative> {
    vec![
        Derivative::Unrolled { checkpoints: None },
        Derivative::Implicit(LinearMethod::Direct),
        Derivative::OneStep,
        Derivative::KSteps(2),
    ]
}

#[test]
fn equations_of_two_unknowns() {
    fn solve<T: Tensor>(a: &T, b: &T, method: &RootMethod, options: &Options) -> (T, T) {
        let begin = (T::constant(2.5), T::constant(0.5));
        root(&Circle, method, &begin, &(a.clone(), b.clone()), options).or_raise().x
    }
    fn model<T: Tensor>((a, b): &(T, T), method: &RootMethod, options: &Options) -> Vec<T> {
        let slopes = |first: bool| {
            grad(
                |(a, b): (_, _)| {
                    let (x, y) = solve(&a, &b, method, options);
                    if first { x } else { y }
                },
                &(a.clone(), b.clone()),
            )
            .or_raise()
        };
        let ((xa, xb), (ya, yb)) = (slopes(true), slopes(false));
        let (x, y) = solve(a, b, method, options);
        vec![x, y, xa, xb, ya, yb]
    }
    let (a, b) = (5.0f64, 1.5f64);
    let (p, q) = ((a + 2.0 * b).sqrt(), (a - 2.0 * b).sqrt());
    let (dp, dq) = (0.25 / p, 0.25 / q);
    let expected: Vec<Array> =
        [(p + q) / 2.0, (p - q) / 2.0, dp + dq, 2.0 * (dp - dq), dp - dq, 2.0 * (dp + dq)]
            .map(Array::scalar)
            .into();
    for method in root_methods() {
        for derivative in derivatives() {
            // Broyden's inverse of the matrix is not exact, nor is its unrolled derivative near the end.
            let by_broyden = matches!(method, RootMethod::Broyden { .. });
            let unrolled = derivative == (Derivative::Unrolled { checkpoints: None });
            let part = if by_broyden && unrolled { 1e-8 } else { 1e-12 };
            let options = Options::default().absolute(1e-13).derivative(derivative);
            let found = in_both_modes!(
                |(a, b): (_, _)| model(&(a, b), &method, &options),
                (Array::scalar(a), Array::scalar(b))
            );
            assert_near(&found, &expected, part);
        }
    }
}

#[test]
fn equations_of_one_unknown() {
    fn model<T: Tensor>((e, m): &(T, T), method: &RootMethod, options: &Options) -> (T, T) {
        let begin = T::constant(1.0);
        let x = root(&Kepler, method, &begin, &(e.clone(), m.clone()), options).or_raise();
        let slope = grad(
            |m: Var<'_, T>| {
                root(&Kepler, method, &Var::lift(&begin), &(Var::lift(e), m), options).or_raise().x
            },
            m,
        );
        (x.x, slope.or_raise())
    }
    let (e, m) = (0.8f64, 1.0f64);
    let mut x = m;
    for _ in 0..50 {
        x -= (x - e * x.sin() - m) / (1.0 - e * x.cos());
    }
    let expected = (Array::scalar(x), Array::scalar(1.0 / (1.0 - e * x.cos())));
    let bracket = [0.0, 3.0];
    let mut steps = Vec::new();
    for method in [RootMethod::NEWTON, RootMethod::Bisection { bracket }, RootMethod::Brent { bracket }] {
        for derivative in [Derivative::Implicit(LinearMethod::Direct), Derivative::OneStep] {
            let options = Options::default().absolute(1e-14).derivative(derivative);
            let parameters = (Array::scalar(e), Array::scalar(m));
            let found =
                in_both_modes!(|parameters: (_, _)| model(&parameters, &method, &options), parameters);
            assert_near(&found, &expected, 1e-12);
            let begin = Array::scalar(1.0);
            let parameters = (Array::scalar(e), Array::scalar(m));
            let info = root(&Kepler, &method, &begin, &parameters, &options).unwrap().info;
            steps.push(info.steps.item());
        }
    }
    assert!(steps[2] > 40.0 && steps[4] < 12.0, "bisection halves, Brent interpolates: {steps:?}");
    let bad = root(
        &Kepler,
        &RootMethod::Brent { bracket: [2.0, 3.0] },
        &Array::scalar(1.0),
        &(Array::scalar(e), Array::scalar(m)),
        &Options::default(),
    );
    let text = bad.unwrap_err().to_string();
    assert!(text.contains("one sign at both ends of the bracket") && text.contains("solvers.rs"), "{text}");
}

/// Weighted logistic regression with labels ±1: `Σ wᵢ·log(1 + exp(−yᵢxᵢᵀβ)) + ½e^λ‖β‖²`, of `(X, y, w, λ)`.
#[derive(Clone, Debug)]
struct Logistic {
    /// Whether it knows its second derivative.
    knows: bool,
}

impl Problem for Logistic {
    type Unknown = Array;
    type Parameters = ((Array, Array), (Array, Array));
    type Value = Array;
    fn value<T: Tensor>(&self, beta: &T, ((x, y), (w, lambda)): &((T, T), (T, T))) -> T {
        let margins = x.matmul(beta) * y;
        ((-margins).softplus() * w).sum(..) + lambda.exp() * beta.square().sum(..) * 0.5
    }
    fn matrix<T: Tensor>(&self, beta: &T, ((x, y), (w, lambda)): &((T, T), (T, T))) -> Option<T> {
        let p = (x.matmul(beta) * y).sigmoid();
        let weights = p.clone() * (-p + 1.0) * w;
        let identity = T::ones(&[beta.size()]).diag(0);
        let by_data = x.transpose().matmul(&(x.clone() * weights.unsqueeze(-1)));
        self.knows.then(|| by_data + identity * lambda.exp())
    }
}

type Data<T> = ((T, T), (T, T));

fn logistic_data() -> Data<Array> {
    use antiphon::random::Key;
    use antiphon::{Int, NdInt};
    let [x, noise] = Key::new(&NdInt::constant(3)).split();
    let x: Array = x.normal(&[12, 3]);
    let y = (x.clone().sum(-1) + noise.normal::<Array>(&[12])).sign();
    ((x, y), (Array::full(&[12], 1.0 / 12.0), Array::scalar(-2.0)))
}

/// `½‖β‖²`, and its derivative by the weights.
fn logistic_slope<T: Tensor>(
    data: &Data<T>,
    problem: &Logistic,
    method: &MinimizeMethod,
    options: &Options,
) -> (T, T) {
    let ((x, y), (w, lambda)) = data;
    let loss = function::<T, _>(|w: Var<'_, T>| {
        let data = ((Var::lift(x), Var::lift(y)), (w, Var::lift(lambda)));
        let begin = Var::lift(&T::zeros(&[3]));
        minimize(problem, method, &begin, &data, options).or_raise().x.square().sum(..) * 0.5
    });
    antiphon::value_and_grad(loss, w).or_raise()
}

#[test]
fn logistic_regression_by_every_method() {
    let newton = |linear| MinimizeMethod::Newton { linear, damping: 1.0 };
    let methods = [
        MinimizeMethod::NEWTON,
        newton(LinearMethod::Direct),
        newton(LinearMethod::ConjugateGradients(LIMIT)),
        MinimizeMethod::Newton { linear: LinearMethod::Cholesky, damping: 0.7 },
        MinimizeMethod::GradientDescent { length: 1.0 },
        MinimizeMethod::Accelerated { length: 1.0 },
        MinimizeMethod::Backtracking { first: 8.0 },
        MinimizeMethod::Lbfgs { memory: 4 },
    ];
    let data = logistic_data();
    let exact = Options::default().absolute(1e-14).derivative(Derivative::Implicit(LinearMethod::Direct));
    let knows = Logistic { knows: true };
    let expected = logistic_slope(&data, &knows, &MinimizeMethod::NEWTON, &exact);
    // By differences, of two lengths, whose errors of the second order cancel.
    let moved = |h: f64| {
        let mut moved = data.clone();
        let direction = Array::from((0..12).map(|i| (i as f64).sin()).collect::<Vec<_>>());
        moved.1.0 += direction.clone() * h;
        (logistic_slope(&moved, &knows, &MinimizeMethod::NEWTON, &exact).0.item(), direction)
    };
    let difference = |h: f64| (moved(h).0 - moved(-h).0) / (2.0 * h);
    let slope = (4.0 * difference(1e-4) - difference(2e-4)) / 3.0;
    let along = (expected.1.clone() * moved(0.0).1).sum(..).item();
    assert!((slope - along).abs() < 1e-9, "{slope} {along}");
    for (i, method) in methods.into_iter().enumerate() {
        for derivative in [
            Derivative::Implicit(LinearMethod::Cholesky),
            Derivative::Implicit(LinearMethod::ConjugateGradients(LIMIT)),
            Derivative::OneStep,
            Derivative::Unrolled { checkpoints: None },
        ] {
            let unrolled = derivative == (Derivative::Unrolled { checkpoints: None });
            let descends =
                matches!(method, MinimizeMethod::GradientDescent { .. } | MinimizeMethod::Accelerated { .. });
            let options = Options::default().absolute(1e-12).max_steps(3000).derivative(derivative.clone());
            // Directly, what the problem knows is as good as what is found out.
            let problem = Logistic { knows: i % 2 == 0 };
            let found = in_both_modes!(
                |data: Data<_>| logistic_slope(&data, &problem, &method, &options),
                data.clone()
            );
            assert_near(&found.0, &expected.0, 1e-9);
            if derivative == Derivative::OneStep && descends {
                // A step of gradient descent has an error of ρ.
                assert!((found.1 - &expected.1).abs().max(..).item() > 1e-3);
            } else {
                // The gradients of an unrolled quasi-Newton method come later than what it finds.
                let later = unrolled && matches!(method, MinimizeMethod::Lbfgs { .. });
                assert_near(&found.1, &expected.1, if later { 1e-4 } else { 1e-9 });
            }
        }
    }
    // Factors of the last step are as good as those of the solution.
    let last =
        Options::default().absolute(1e-8).derivative(Derivative::Implicit(LinearMethod::LastFactors(LIMIT)));
    let found = in_both_modes!(
        |data: Data<_>| logistic_slope(&data, &knows, &MinimizeMethod::NEWTON, &last),
        data.clone()
    );
    assert_near(&found.1, &expected.1, 1e-8);
    // Second derivatives, of what is found by factors as well.
    for derivative in [
        Derivative::OneStep,
        Derivative::Implicit(LinearMethod::Cholesky),
        Derivative::Implicit(LinearMethod::LastFactors(LIMIT)),
    ] {
        fn products<T: Tensor>(data: &Data<T>, options: &Options) -> Vec<T> {
            fn loss<T: Tensor>(data: &Data<T>, options: &Options) -> T {
                let found = minimize(
                    &Logistic { knows: true },
                    &MinimizeMethod::NEWTON,
                    &T::zeros(&[3]),
                    data,
                    options,
                );
                found.or_raise().x.square().sum(..)
            }
            let ((x, y), (w, lambda)) = data;
            macro_rules! of_lambda {
                ($lambda:expr, $lift:expr) => {
                    loss(&(($lift(x), $lift(y)), ($lift(w), $lambda)), options)
                };
            }
            let one = lambda.ones_like();
            let product =
                hvp(|l| of_lambda!(l, |x| Var::lift(&antiphon::Dual::lift(x))), lambda, &one).or_raise();
            let twice = grad(
                |l: Var<'_, T>| grad(|m| of_lambda!(m, |x| Var::lift(&Var::lift(x))), &l).or_raise(),
                lambda,
            );
            let forward = jvp(
                |l: antiphon::Dual<T>| {
                    jvp(
                        |m| of_lambda!(m, |x| antiphon::Dual::lift(&antiphon::Dual::lift(x))),
                        &l,
                        &l.ones_like(),
                    )
                    .or_raise()
                    .1
                },
                lambda,
                &one,
            );
            vec![product.1, twice.or_raise(), forward.or_raise().1]
        }
        let options = Options::default().absolute(1e-13).derivative(derivative);
        let found = in_both_modes!(|data: Data<_>| products(&data, &options), data.clone());
        if options.derivative == Derivative::OneStep {
            // Of one step from a constant, which is exact to the first order only, but the same in all nestings.
            found[1..].iter().for_each(|other| assert_near(other, &found[0], 1e-9));
            continue;
        }
        let by_lambda = |lambda: f64| {
            let mut data = data.clone();
            data.1.1 = Array::scalar(lambda);
            let loss = function::<Array, _>(|l: Var<'_, Array>| {
                let ((x, y), (w, _)) = &data;
                let data = ((Var::lift(x), Var::lift(y)), (Var::lift(w), l));
                minimize(&knows, &MinimizeMethod::NEWTON, &Var::lift(&Array::zeros(&[3])), &data, &exact)
                    .or_raise()
                    .x
                    .square()
                    .sum(..)
            });
            grad(loss, &data.1.1).unwrap().item()
        };
        let h = 1e-3;
        let difference = |h: f64| (by_lambda(h - 2.0) - by_lambda(-2.0 - h)) / (2.0 * h);
        let second = (4.0 * difference(h) - difference(2.0 * h)) / 3.0;
        for found in found {
            assert!((found.item() - second).abs() < 1e-8, "{options:?} {found} {second}");
        }
    }
}

/// `a·exp(−b·t) − y`, of `(t, y)`.
#[derive(Clone, Debug)]
struct Decay;

impl Problem for Decay {
    type Unknown = (Array, Array);
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, (a, b): &(T, T), (t, y): &(T, T)) -> T {
        (-t.clone() * b).exp() * a - y
    }
}

#[test]
fn least_squares_by_both_methods() {
    fn model<T: Tensor>((t, y): &(T, T), method: LeastSquaresMethod, options: &Options) -> ((T, T), T) {
        let begin = (T::constant(1.0), T::constant(1.0));
        let found = least_squares(&Decay, method, &begin, &(t.clone(), y.clone()), options).or_raise().x;
        let slope = grad(
            |y: Var<'_, T>| {
                let begin = (Var::lift(&begin.0), Var::lift(&begin.1));
                least_squares(&Decay, method, &begin, &(Var::lift(t), y), options).or_raise().x.1
            },
            y,
        );
        (found, slope.or_raise())
    }
    let t = Array::from(vec![0.0, 0.5, 1.0, 2.0, 4.0]);
    let y = Array::from(vec![2.1, 1.4, 1.05, 0.4, 0.1]);
    let direct = Derivative::Implicit(LinearMethod::Direct);
    let options = |derivative| Options::default().absolute(1e-12).derivative(derivative);
    let marquardt = LeastSquaresMethod::LevenbergMarquardt { damping: 1e-2 };
    let (expected, slope) = model(&(t.clone(), y.clone()), marquardt, &options(direct.clone()));
    let h = 1e-5;
    let of = |h: f64| {
        let y = y.clone() + Array::from(vec![0.0, h, 0.0, 0.0, 0.0]);
        model(&(t.clone(), y), marquardt, &options(direct.clone())).0.1.item()
    };
    assert!(((of(h) - of(-h)) / (2.0 * h) - slope.view()[[1]]).abs() < 1e-8);
    for method in [LeastSquaresMethod::GaussNewton, marquardt] {
        for derivative in derivatives() {
            let part = if derivative == (Derivative::Unrolled { checkpoints: None }) { 1e-7 } else { 1e-9 };
            let options = options(derivative);
            let found = in_both_modes!(|data: (_, _)| model(&data, method, &options), (t.clone(), y.clone()));
            assert_near(&found.0, &expected, 1e-10);
            assert_near(&found.1, &slope, part);
        }
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let zero = Array::scalar(0.0);
    // Of x² + y² = 0 the matrix is zero at zero.
    let begin = (zero.clone(), zero.clone());
    let found =
        root(&Circle, &RootMethod::NEWTON, &begin, &(Array::scalar(1.0), zero.clone()), &Options::default());
    let text = found.unwrap_err().to_string();
    assert!(text.contains("the matrix is singular") && text.contains("solvers.rs"), "{text}");
    let none = root(
        &Circle,
        &RootMethod::NEWTON,
        &(Array::scalar(0.7), zero.clone()),
        &(Array::scalar(-1.0), zero.clone()),
        &Options::default().max_steps(20),
    );
    let text = none.unwrap_err().to_string();
    assert!(text.starts_with("newton: no convergence: the residual is"), "{text}");
    let damped = RootMethod::Newton { linear: LinearMethod::Direct, damping: 0.0 };
    let text = root(&Circle, &damped, &begin, &(zero.clone(), zero.clone()), &Options::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("a damping of 0, which has to be more than 0"), "{text}");
    let many = root(
        &Kepler,
        &RootMethod::Bisection { bracket: [0.0, 1.0] },
        &NdArray::<f64>::zeros(&[2]),
        &(zero.clone(), zero.clone()),
        &Options::default(),
    );
    assert!(many.unwrap_err().to_string().contains("of 2 unknowns: it is for one"));
    let far = MinimizeMethod::GradientDescent { length: 1e6 };
    let data = logistic_data();
    let text = minimize(&Logistic { knows: false }, &far, &Array::zeros(&[3]), &data, &Options::default())
        .unwrap_err()
        .to_string();
    assert!(text.starts_with("gradient descent: no convergence: the residual is"), "{text}");
}
