//! Quadratic programs, optimal transport, the lasso, and an inverse by products.

use antiphon::solve::{
    Derivative, FixedPointMethod, LinearLimit, LinearMethod, Options, Problem, QuadraticProgram,
    newton_schulz, proximal_gradient, quadratic_program, sinkhorn,
};
use antiphon::{Dual, OrRaise, Params, Real, Tensor, Var, function, grad, jvp};

use crate::in_both_modes;
use crate::problems::{Array, assert_near, vector};

fn matrix(rows: usize, elements: &[f64]) -> Array {
    Array::from_elements(&[rows, elements.len() / rows], elements).unwrap()
}

fn options(derivative: Derivative) -> Options {
    Options::default().absolute(1e-13).max_steps(60).derivative(derivative)
}

fn derivatives() -> [Derivative; 5] {
    let limit = LinearLimit { tolerance: 1e-14, steps: 100 };
    [
        Derivative::OneStep,
        Derivative::Implicit(LinearMethod::Direct),
        Derivative::Implicit(LinearMethod::LastFactors(limit)),
        Derivative::Implicit(LinearMethod::Gmres { restart: 10, limit }),
        Derivative::KSteps(2),
    ]
}

/// `Q = diag(1, 2)`, `x₁ + x₂ = 1`: `x = (2/3, 1/3)`, and `d(½‖x‖²)/db = 5/9`.
#[test]
fn a_program_of_equalities() {
    type Arrays<T> = (T, (T, T), T);
    fn model<T: Tensor>(
        (quadratic, (linear, a), b): &Arrays<T>,
        linear_method: &LinearMethod,
        options: &Options,
    ) -> (T, T) {
        antiphon::value_and_grad(
            |b: Var<'_, T>| {
                let program = QuadraticProgram {
                    quadratic: Var::lift(quadratic),
                    linear: Var::lift(linear),
                    equalities: Some((Var::lift(a), b)),
                    inequalities: None,
                };
                quadratic_program(&program, linear_method, None, options).or_raise().x.square().sum(..) * 0.5
            },
            b,
        )
        .or_raise()
    }
    let arrays =
        (matrix(2, &[1.0, 0.0, 0.0, 2.0]), (vector(&[0.0, 0.0]), matrix(1, &[1.0, 1.0])), vector(&[1.0]));
    for linear in [LinearMethod::Cholesky, LinearMethod::Direct] {
        for derivative in derivatives() {
            let options = options(derivative);
            let found =
                in_both_modes!(|arrays: (_, (_, _), _)| model(&arrays, &linear, &options), arrays.clone());
            assert_near(&found, &(Array::scalar(5.0 / 18.0), vector(&[5.0 / 9.0])), 1e-12);
        }
    }
}

fn bounded() -> QuadraticProgram<Array> {
    QuadraticProgram {
        quadratic: matrix(2, &[1.0, 0.0, 0.0, 1.0]),
        linear: vector(&[-1.0, -0.2]),
        equalities: Some((matrix(1, &[1.0, 1.0]), vector(&[1.0]))),
        inequalities: Some((matrix(1, &[1.0, 0.0]), vector(&[0.5]))),
    }
}

/// `½‖x‖² − cᵀx`, `x₁ + x₂ = b`, `x₁ ≤ h`: with the bound active.
#[test]
fn a_program_with_an_active_bound() {
    fn solved<T: Tensor>(program: &QuadraticProgram<T>, linear: &LinearMethod, options: &Options) -> Vec<T> {
        let found = quadratic_program(program, linear, None, options).or_raise();
        vec![found.x, found.equality, found.inequality]
    }
    /// Its derivatives in reverse of both elements, and along c, b and h forward.
    fn model<T: Tensor>(program: &QuadraticProgram<T>, linear: &LinearMethod, options: &Options) -> Vec<T> {
        let mut results = solved(program, linear, options);
        for i in 0..2 {
            let slope = grad(
                |program: QuadraticProgram<Var<'_, T>>| solved(&program, linear, options)[0].index(0, i),
                program,
            )
            .or_raise();
            results.extend([slope.linear, slope.equalities.unwrap().1, slope.inequalities.unwrap().1]);
        }
        let mut along = program.map_leaves(|leaf| leaf.zeros_like());
        along.inequalities = program.inequalities.as_ref().map(|(g, h)| (g.zeros_like(), h.ones_like()));
        let (_, tangent) = jvp(
            |program: QuadraticProgram<Dual<T>>| solved(&program, linear, options).swap_remove(0),
            program,
            &along,
        )
        .or_raise();
        results.push(tangent);
        results
    }
    let expected: Vec<Array> = vec![
        vector(&[0.5, 0.5]),
        vector(&[-0.3]),
        vector(&[0.8]),
        // d x₁: by c none, by b 0, by h 1.
        vector(&[0.0, 0.0]),
        vector(&[0.0]),
        vector(&[1.0]),
        vector(&[0.0, 0.0]),
        vector(&[1.0]),
        vector(&[-1.0]),
        vector(&[1.0, -1.0]),
    ];
    for linear in [LinearMethod::Cholesky, LinearMethod::Direct] {
        for derivative in derivatives() {
            let options = options(derivative);
            let found =
                in_both_modes!(|program: QuadraticProgram<_>| model(&program, &linear, &options), bounded());
            assert_near(&found, &expected, 1e-12);
        }
    }
    // Unrolled, through the predictor, the corrector and the ratio test.
    let unrolled = options(Derivative::Unrolled { checkpoints: None });
    let found = in_both_modes!(
        |program: QuadraticProgram<_>| model(&program, &LinearMethod::Cholesky, &unrolled),
        bounded()
    );
    assert_near(&found, &expected, 1e-6);
    // From a solution nearby.
    let program = bounded();
    let cold =
        quadratic_program(&program, &LinearMethod::Cholesky, None, &options(Derivative::OneStep)).unwrap();
    let mut moved = program.clone();
    moved.linear = vector(&[-1.01, -0.21]);
    let warm = quadratic_program(&moved, &LinearMethod::Cholesky, Some(&cold), &options(Derivative::OneStep))
        .unwrap();
    assert!(warm.info.steps.item() < cold.info.steps.item(), "{} {}", warm.info.steps, cold.info.steps);
    assert_near(&warm.x, &vector(&[0.5, 0.5]), 1e-12);
}

/// A random program of 30 unknowns: the conditions hold, and the derivative is that of differences.
#[test]
fn a_random_program() {
    use antiphon::random::Key;
    use antiphon::{Int, NdInt};
    let [m, rest] = Key::new(&NdInt::constant(5)).split();
    let [a, g] = rest.split();
    let (n, p, k) = (30, 15, 7);
    let minus = Array::constant(-1.0);
    let uniform =
        |key: Key<NdInt>, shape: &[usize]| -> Array { key.uniform_in(shape, &minus, &Array::constant(1.0)) };
    let factor = uniform(m, &[n, 2 * n]);
    let a: Array = uniform(a, &[k, n]);
    let g: Array = uniform(g, &[p, n]);
    let inside = Array::full(&[n], 0.1);
    let program = QuadraticProgram {
        quadratic: factor.matmul(&factor.transpose()),
        linear: Array::from((0..n).map(|i| (i as f64).cos() * 10.0).collect::<Vec<_>>()),
        equalities: Some((a.clone(), a.matmul(&inside))),
        inequalities: Some((g.clone(), g.matmul(&inside) + 0.05)),
    };
    let loss = |b: &Array, derivative: Derivative| {
        let mut program = program.clone();
        program.equalities.as_mut().unwrap().1 = b.clone();
        let options = Options::default().absolute(1e-11).max_steps(50).derivative(derivative);
        let lifted = function::<Array, _>(|b| {
            let mut lifted = program.map_leaves(Var::lift);
            lifted.equalities.as_mut().unwrap().1 = b;
            quadratic_program(&lifted, &LinearMethod::Cholesky, None, &options).or_raise().x.square().sum(..)
                * 0.5
        });
        let slope = grad(lifted, b);
        let found = quadratic_program(&program, &LinearMethod::Cholesky, None, &options).unwrap();
        assert!((found.slack.min(..).item() >= -1e-12) && (found.inequality.min(..).item() >= -1e-12));
        assert!(found.inequality.max(..).item() > 1e-3, "some are active");
        (found.x.square().sum(..).item() * 0.5, slope.unwrap())
    };
    let b = program.equalities.clone().unwrap().1;
    let (_, implicit) = loss(&b, Derivative::Implicit(LinearMethod::Direct));
    let (_, one_step) = loss(&b, Derivative::OneStep);
    let size = implicit.square().sum(..).item().sqrt();
    assert!((one_step - &implicit).square().sum(..).item().sqrt() < 1e-9 * size);
    let h = 1e-5;
    let at = |h: f64| loss(&(b.clone() + vector(&[h, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])), Derivative::OneStep).0;
    assert!(((at(h) - at(-h)) / (2.0 * h) - implicit.view()[[0]]).abs() < 1e-6 * size);
}

#[test]
fn programs_that_are_none() {
    let solve = |program: &QuadraticProgram<Array>, options: &Options| {
        quadratic_program(program, &LinearMethod::Cholesky, None, options).unwrap_err().to_string()
    };
    let options = Options::default().max_steps(40);
    // x₁ + x₂ = 1 with x₁ ≤ 0 and x₂ ≤ 0.
    let mut program = bounded();
    program.inequalities = Some((matrix(2, &[1.0, 0.0, 0.0, 1.0]), vector(&[0.0, 0.0])));
    let text = solve(&program, &options);
    assert!(text.contains("no convergence: the residual is") || text.contains("positive definite"), "{text}");
    assert!(text.contains("programs.rs:"), "{text}");
    let mut program = bounded();
    program.linear = vector(&[1.0, 2.0, 3.0]);
    assert!(solve(&program, &options).contains("interior point: Q is [2, 2] for q of 3 elements"));
    let mut program = bounded();
    program.equalities.as_mut().unwrap().1 = vector(&[1.0, 2.0]);
    assert!(solve(&program, &options).contains("A is [1, 2] and b [2] for 2 unknowns"));
    let mut program = bounded();
    program.linear = vector(&[f64::NAN, 0.0]);
    let text = solve(&program, &options);
    assert!(text.contains("NaN"), "{text}");
    let text =
        quadratic_program(&bounded(), &LinearMethod::default(), None, &options).unwrap_err().to_string();
    assert!(text.contains("by Direct or Cholesky"), "{text}");
}

#[test]
fn transport_between_three_places() {
    fn plan<T: Tensor>(cost: &T, a: &T, options: &Options) -> (T, T) {
        let b = T::from_elements(&[3], &[0.3, 0.3, 0.4]).unwrap();
        let found = sinkhorn(cost, a, &b, &T::constant(0.2), FixedPointMethod::PICARD, options).or_raise();
        (found.cost, found.plan)
    }
    fn model<T: Tensor>((cost, a): &(T, T), options: &Options) -> Vec<T> {
        let (least, p) = plan(cost, a, options);
        let slope = grad(|cost: Var<'_, T>| plan(&cost, &Var::lift(a), options).0, cost).or_raise();
        vec![least, p.sum(-1), p.sum(0), slope]
    }
    let cost = matrix(3, &[0.0, 1.0, 2.0, 1.0, 0.1, 1.0, 2.2, 1.0, 0.0]);
    let a = vector(&[0.5, 0.2, 0.3]);
    let mut slopes = Vec::new();
    for derivative in [
        Derivative::Implicit(LinearMethod::Direct),
        Derivative::Implicit(LinearMethod::default()),
        Derivative::KSteps(150),
        Derivative::Unrolled { checkpoints: Some(antiphon::control::Checkpoints::SquareRoot) },
    ] {
        let options = Options::default().absolute(1e-14).derivative(derivative);
        let found = in_both_modes!(|data: (_, _)| model(&data, &options), (cost.clone(), a.clone()));
        assert_near(&found[1], &a, 1e-12);
        assert_near(&found[2], &vector(&[0.3, 0.3, 0.4]), 1e-12);
        slopes.push(found[3].clone());
    }
    let exact = Options::default().absolute(1e-14);
    let h = 1e-5;
    let at = |h: f64| {
        let mut elements: Vec<f64> = cost.view().iter().copied().collect();
        elements[1] += h;
        plan(&matrix(3, &elements), &a, &exact).0.item()
    };
    assert!(((at(h) - at(-h)) / (2.0 * h) - slopes[0].view()[[0, 1]]).abs() < 1e-8);
    for slope in &slopes[1..] {
        assert_near(slope, &slopes[0], 1e-10);
    }
}

/// `½‖Xw − y‖²`, of `(X, y)`.
#[derive(Clone, Debug)]
struct Squares;

impl Problem for Squares {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, w: &T, (x, y): &(T, T)) -> T {
        (x.matmul(w) - y).square().sum(..) * 0.5
    }
}

/// Of orthogonal columns the lasso is a threshold of each.
#[test]
fn the_lasso() {
    fn model<T: Tensor>((data, weight): &((T, T), T), options: &Options) -> (T, T) {
        let solve = |data: &(T, T), weight: &T| {
            proximal_gradient(&Squares, 0.2, &T::zeros(&[3]), data, weight, options)
        };
        let slope = grad(
            |weight: Var<'_, T>| {
                let data = (Var::lift(&data.0), Var::lift(&data.1));
                let begin = Var::lift(&T::zeros(&[3]));
                proximal_gradient(&Squares, 0.2, &begin, &data, &weight, options).or_raise().x.sum(..)
            },
            weight,
        );
        (solve(data, weight).or_raise().x, slope.or_raise())
    }
    let x = matrix(3, &[1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0]);
    let data = ((x, vector(&[3.0, -2.0, 0.1])), Array::scalar(0.5));
    // soft(Xᵀy, ½)/diag(XᵀX): (2.5, −3.5/4, 0), whose sum falls by 1 and rises by ¼.
    let options = Options::default().absolute(1e-14).derivative(Derivative::Implicit(LinearMethod::Direct));
    let found = in_both_modes!(|data: ((_, _), _)| model(&data, &options), data);
    assert_near(&found.0, &vector(&[2.5, -0.875, 0.0]), 1e-12);
    assert_near(&found.1, &Array::scalar(-0.75), 1e-12);
}

/// The one-step derivative of Newton and Schulz's iteration is that of the inverse.
#[test]
fn an_inverse_by_products() {
    let a = matrix(3, &[2.0, 0.3, -0.1, 0.2, 1.5, 0.4, 0.0, -0.3, 1.0]);
    let direction = matrix(3, &[0.1, -1.0, 0.5, 0.7, 0.2, 0.0, -0.4, 0.3, 0.9]);
    for derivative in [Derivative::OneStep, Derivative::Implicit(LinearMethod::Direct)] {
        let options = Options::default().absolute(1e-14).derivative(derivative);
        fn model<T: Tensor>((a, direction): &(T, T), options: &Options) -> (T, T) {
            jvp(|a| newton_schulz(&a, options).or_raise().0, a, direction).or_raise()
        }
        let found = in_both_modes!(|x: (_, _)| model(&x, &options), (a.clone(), direction.clone()));
        let inverse = antiphon::linalg::inv(&a);
        assert_near(&found.0, &inverse, 1e-12);
        assert_near(&found.1, &-inverse.matmul(&direction).matmul(&inverse), 1e-12);
    }
    let text =
        newton_schulz(&matrix(2, &[1.0, f64::NAN, 1.0, 1.0]), &Options::default()).unwrap_err().to_string();
    assert!(text.contains("picard: no convergence: the residual is NaN after 0 steps"), "{text}");
}
