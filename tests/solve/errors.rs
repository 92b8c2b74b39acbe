//! What goes wrong is an error that names the solver, the step and the residual, and the user's line, in both modes.

use antiphon::solve::{
    Derivative, Event, FixedPointMethod, Integration, LeastSquaresMethod, LinearMethod, MinimizeMethod,
    Options, Problem, QuadraticProgram, RootMethod, VectorField, fixed_point, integrate, integrate_until,
    least_squares, minimize, proximal_gradient, quadratic_program, root, sinkhorn,
};
use antiphon::{OrRaise, Real, Result, Tensor, Var, grad};

use crate::problems::{Affine, Array, Babylonian, Layer, scalar, vector};

/// What a generic function of one array raises: eagerly and, compiled, when it is recorded or when it is called. Each
/// has all of the parts.
#[macro_export]
macro_rules! assert_fails {
    ($model:ident, $x:expr, $($part:expr),+) => {{
        let x: $crate::problems::Array = $x;
        let eagerly = $model(&x).map(drop).unwrap_err().to_string();
        for part in [$($part),+, concat!(file!(), ":")] {
            assert!(eagerly.contains(part), "no {part:?} eagerly: {eagerly}");
        }
        #[cfg(feature = "staging")]
        {
            let compiled = antiphon::compile("model", |x| $model(&x).or_raise(), &x);
            let compiled = compiled.and_then(|mut f| f.call(&x).map(drop)).unwrap_err().to_string();
            for part in [$($part),+, concat!(file!(), ":")] {
                assert!(compiled.contains(part), "no {part:?} in compiled code: {compiled}");
            }
        }
    }};
}

/// `x² + θ`, which has no root for a positive `θ`.
#[derive(Clone, Debug)]
struct Rootless;

impl Problem for Rootless {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        x.square() + theta
    }
}

/// `−Σ θ·x²`, which has no minimum.
#[derive(Clone, Debug)]
struct Hill;

impl Problem for Hill {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        -(x.square() * theta).sum(..)
    }
}

/// `(x₁ + x₂ − θ, 2(x₁ + x₂))`: of residuals, neither unknown is known apart.
#[derive(Clone, Debug)]
struct Alike;

impl Problem for Alike {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        let sum = x.sum(..);
        T::stack(&[sum.clone() - theta, sum * 2.0], 0)
    }
}

/// `√(1 − x) − θ` of the unknown: no number where that is more than one.
#[derive(Clone, Debug)]
struct Rooted;

impl Problem for Rooted {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        (-x.clone() + 1.0).sqrt() * theta
    }
}

#[test]
fn divergence() {
    fn picard<T: Tensor>(theta: &T) -> Result<T> {
        let parameters = (T::constant(3.0), theta.clone());
        let options = Options::default().max_steps(3);
        Ok(fixed_point(&Affine, FixedPointMethod::PICARD, theta, &parameters, &options)?.x)
    }
    assert_fails!(picard, scalar(2.0), "picard: no convergence: the residual is 1.62e2 after 3 steps");
    fn descent<T: Tensor>(theta: &T) -> Result<T> {
        let method = MinimizeMethod::GradientDescent { length: 1.0 };
        let options = Options::default().max_steps(5000);
        Ok(minimize(&Hill, &method, &theta.ones_like(), theta, &options)?.x)
    }
    assert_fails!(
        descent,
        vector(&[1.0, 2.0]),
        "gradient descent: no convergence: the residual is inf after"
    );
    fn newton<T: Tensor>(theta: &T) -> Result<T> {
        let begin = theta.ones_like() * 0.3;
        Ok(root(&Rootless, &RootMethod::NEWTON, &begin, theta, &Options::default().max_steps(40))?.x)
    }
    assert_fails!(newton, scalar(1.0), "newton: no convergence: the residual is", "after 40 steps");
    // Nor does a method for the equations of a step.
    fn krylov<T: Tensor>(theta: &T) -> Result<T> {
        let limit = antiphon::solve::LinearLimit { tolerance: 1e-12, steps: 0 };
        let method = RootMethod::Newton { linear: LinearMethod::BiCgStab(limit), damping: 1.0 };
        Ok(root(&Rootless, &method, &theta.ones_like(), theta, &Options::default())?.x)
    }
    assert_fails!(krylov, scalar(-2.0), "bicgstab: no convergence: the residual is 1e0 after 0 steps");
    // Infinite at t = 1.
    fn explosion<T: Tensor>(theta: &T) -> Result<T> {
        let times = T::from_elements(&[2], &[0.0, 2.0])?;
        Ok(integrate(&Explosion, &theta.ones_like(), &times, theta, &Integration::default())?.y)
    }
    assert_fails!(explosion, scalar(1.0), "tsitouras: no convergence: the residual is");
}

#[test]
fn singular_matrices() {
    // From 1, Newton's first step for x² + 1 leads to 0.
    fn newton<T: Tensor>(theta: &T) -> Result<T> {
        Ok(root(&Rootless, &RootMethod::NEWTON, &theta.ones_like(), theta, &Options::default())?.x)
    }
    let of_newton = "newton: the matrix is singular: pivot 0 is 0 (in step 2, from a residual of 1e0)";
    assert_fails!(newton, scalar(1.0), of_newton);
    fn cholesky<T: Tensor>(theta: &T) -> Result<T> {
        Ok(minimize(&Hill, &MinimizeMethod::NEWTON, &theta.ones_like(), theta, &Options::default())?.x)
    }
    let of_cholesky =
        "newton: the matrix is not positive definite: its leading part of 1 rows is not (in step 1,";
    assert_fails!(cholesky, vector(&[0.5]), of_cholesky, "from a residual of 1e0)");
    fn gauss_newton<T: Tensor>(theta: &T) -> Result<T> {
        let begin = T::from_elements(&[2], &[1.0, 2.0])?;
        Ok(least_squares(&Alike, LeastSquaresMethod::GaussNewton, &begin, theta, &Options::default())?.x)
    }
    assert_fails!(
        gauss_newton,
        scalar(1.0),
        "gauss-newton: the matrix is not positive definite",
        "(in step 1,"
    );
    fn broyden<T: Tensor>(theta: &T) -> Result<T> {
        let method = RootMethod::Broyden { linear: LinearMethod::Direct };
        Ok(root(&Rootless, &method, &theta.zeros_like(), theta, &Options::default())?.x)
    }
    let of_broyden = "broyden: the matrix is singular: pivot 0 is 0 (where it begins)";
    assert_fails!(broyden, scalar(1.0), of_broyden);
    // I − A, where the derivative is implicit.
    fn implicit<T: Tensor>(theta: &T) -> Result<T> {
        grad(
            |theta: Var<'_, T>| {
                let one = theta.ones_like();
                let options = Options::steps(3).derivative(Derivative::Implicit(LinearMethod::Direct));
                fixed_point(&Affine, FixedPointMethod::PICARD, &one, &(one.clone(), theta), &options)
                    .or_raise()
                    .x
            },
            theta,
        )
    }
    assert_fails!(implicit, scalar(1.0), "picard: the matrix is singular: pivot 0 is 0 (in the derivative)");
}

fn program<T: Tensor>(quadratic: T, linear: &T, h: &[f64]) -> QuadraticProgram<T> {
    QuadraticProgram {
        quadratic,
        linear: linear.clone(),
        equalities: Some((T::ones(&[1, 2]), T::ones(&[1]))),
        inequalities: Some((T::ones(&[2]).diag(0), T::from_elements(&[2], h).unwrap())),
    }
}

fn solved<T: Tensor>(program: &QuadraticProgram<T>, linear: &LinearMethod, steps: usize) -> Result<T> {
    Ok(quadratic_program(program, linear, None, &Options::default().max_steps(steps))?.x)
}

#[test]
fn quadratic_programs() {
    // x₁ + x₂ = 1 with x₁ ≤ 0 and x₂ ≤ 0.
    fn infeasible<T: Tensor>(q: &T) -> Result<T> {
        solved(&program(T::ones(&[2]).diag(0), q, &[0.0, 0.0]), &LinearMethod::Cholesky, 40)
    }
    assert_fails!(infeasible, vector(&[-1.0, -0.2]), "interior point:", "residual", "step");
    fn infeasible_by_lu<T: Tensor>(q: &T) -> Result<T> {
        solved(&program(T::ones(&[2]).diag(0), q, &[0.0, 0.0]), &LinearMethod::Direct, 40)
    }
    assert_fails!(infeasible_by_lu, vector(&[-1.0, -0.2]), "interior point:", "residual", "step");
    // Not convex.
    fn concave<T: Tensor>(q: &T) -> Result<T> {
        solved(&program(-T::ones(&[2]).diag(0) * 5.0, q, &[1.0, 1.0]), &LinearMethod::Cholesky, 40)
    }
    let of_start = "(where it begins)";
    assert_fails!(
        concave,
        vector(&[1.0, 0.0]),
        "interior point: the matrix is not positive definite",
        of_start
    );
    fn not_a_number<T: Tensor>(q: &T) -> Result<T> {
        solved(&program(T::ones(&[2]).diag(0), q, &[1.0, 1.0]), &LinearMethod::Cholesky, 40)
    }
    assert_fails!(
        not_a_number,
        vector(&[f64::NAN, 0.0]),
        "interior point:",
        "the residual is NaN after 0 steps"
    );
    assert_fails!(not_a_number, vector(&[0.0, 0.0, 0.0]), "interior point: Q is [2, 2] for q of 3 elements");
    fn none<T: Tensor>(q: &T) -> Result<T> {
        solved(&program(T::ones(&[2]).diag(0), q, &[1.0, 1.0]), &LinearMethod::Cholesky, 0)
    }
    assert_fails!(
        none,
        vector(&[1.0, 0.0]),
        "interior point: no convergence: the residual is",
        "after 0 steps"
    );
}

#[test]
fn what_is_not_a_number() {
    // First where the iteration begins, then in a step.
    fn picard<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::default().max_steps(50);
        Ok(fixed_point(&Babylonian, FixedPointMethod::PICARD, &theta.ones_like(), theta, &options)?.x)
    }
    assert_fails!(picard, scalar(f64::NAN), "picard: no convergence: the residual is NaN after 0 steps");
    fn later<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::default().max_steps(50);
        Ok(fixed_point(&Rooted, FixedPointMethod::PICARD, &theta.zeros_like(), theta, &options)?.x)
    }
    assert_fails!(later, scalar(3.0), "picard: no convergence: the residual is NaN after 1 step");
    fn fixed<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::steps(5);
        Ok(fixed_point(&Rooted, FixedPointMethod::PICARD, &theta.zeros_like(), theta, &options)?.x)
    }
    assert_fails!(fixed, scalar(3.0), "picard: the residual is NaN after 5 steps");
    fn newton<T: Tensor>(theta: &T) -> Result<T> {
        let begin = theta.ones_like();
        Ok(root(&Rootless, &RootMethod::NEWTON, &begin, theta, &Options::default())?.x)
    }
    assert_fails!(newton, scalar(f64::NAN), "newton: no convergence: the residual is NaN after 0 steps");
    fn bracket<T: Tensor>(theta: &T) -> Result<T> {
        let method = RootMethod::Brent { bracket: [0.0, 2.0] };
        Ok(root(&Rootless, &method, theta, theta, &Options::default())?.x)
    }
    assert_fails!(bracket, scalar(f64::NAN), "one sign at both ends of the bracket, or is NaN");
    fn flow<T: Tensor>(theta: &T) -> Result<T> {
        let times = T::from_elements(&[2], &[0.0, 1.0])?;
        Ok(integrate(&Explosion, &theta.ones_like(), &times, theta, &Integration::default())?.y)
    }
    assert_fails!(flow, scalar(f64::NAN), "tsitouras: no convergence: the residual is", "after");
    fn transport<T: Tensor>(cost: &T) -> Result<T> {
        let half = T::full(&[2], 0.5);
        let options = Options::default().max_steps(50);
        let (epsilon, picard) = (T::constant(0.1), FixedPointMethod::PICARD);
        Ok(sinkhorn(cost, &half, &half, &epsilon, picard, &options)?.cost)
    }
    let costs = Array::from_elements(&[2, 2], &[0.0, f64::NAN, 1.0, 0.0]).unwrap();
    assert_fails!(transport, costs, "picard: no convergence: the residual is NaN after 0 steps");
}

#[test]
fn no_steps_at_all() {
    macro_rules! without_steps {
        ($name:literal, |$theta:ident: &$T:ident, $options:ident| $solve:expr) => {{
            fn model<$T: Tensor>($theta: &$T) -> Result<$T> {
                let $options = &Options::default().max_steps(0);
                $solve
            }
            assert_fails!(
                model,
                vector(&[2.0]),
                concat!($name, ": no convergence: the residual is"),
                "after 0 steps"
            );
        }};
    }
    without_steps!("picard", |theta: &T, options| {
        Ok(fixed_point(&Babylonian, FixedPointMethod::PICARD, &theta.ones_like(), theta, options)?.x)
    });
    without_steps!("anderson", |theta: &T, options| {
        let method = FixedPointMethod::Anderson { memory: 2, damping: 1.0 };
        Ok(fixed_point(&Babylonian, method, &theta.ones_like(), theta, options)?.x)
    });
    without_steps!("newton", |theta: &T, options| {
        Ok(root(&Rootless, &RootMethod::NEWTON, &theta.ones_like(), theta, options)?.x)
    });
    without_steps!("broyden", |theta: &T, options| {
        let method = RootMethod::Broyden { linear: LinearMethod::Direct };
        Ok(root(&Rootless, &method, &theta.ones_like(), theta, options)?.x)
    });
    without_steps!("l-bfgs", |theta: &T, options| {
        Ok(minimize(&Hill, &MinimizeMethod::Lbfgs { memory: 3 }, &theta.ones_like(), theta, options)?.x)
    });
    without_steps!("levenberg-marquardt", |theta: &T, options| {
        let method = LeastSquaresMethod::LevenbergMarquardt { damping: 1.0 };
        Ok(least_squares(&Rootless, method, &theta.ones_like(), theta, options)?.x)
    });
    fn flow<T: Tensor>(theta: &T) -> Result<T> {
        let times = T::from_elements(&[2], &[0.0, 0.5])?;
        let how = Integration { max_steps: 0, ..Integration::default() };
        Ok(integrate(&Explosion, &theta.ones_like(), &times, theta, &how)?.y)
    }
    assert_fails!(flow, vector(&[1.0]), "tsitouras: no convergence: the residual is 5e-1 after 0 steps");
    fn event<T: Tensor>(theta: &T) -> Result<T> {
        let how = Integration { max_steps: 0, ..Integration::default() };
        let ends = [T::constant(0.0), T::constant(0.5)];
        let begin = theta.ones_like();
        Ok(integrate_until(&Explosion, &Two, &begin, [&ends[0], &ends[1]], theta, &how)?.0)
    }
    assert_fails!(event, vector(&[1.0]), "no event before the end of the integration, or no more steps");
    fn last<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::default().max_steps(0).derivative(Derivative::OneStep);
        Ok(fixed_point(&Babylonian, FixedPointMethod::PICARD, &theta.ones_like(), theta, &options)?.x)
    }
    assert_fails!(last, scalar(2.0), "picard: a limit of 0 steps, and the derivative is that of the last 1");
}

/// `dy/dt = y²·θ`, infinite at `t = 1` from 1.
#[derive(Clone, Debug)]
struct Explosion;

impl VectorField for Explosion {
    type State = Array;
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, y: &T, theta: &T) -> T {
        y.square() * theta
    }
}

/// Where the first element is two.
#[derive(Clone, Debug)]
struct Two;

impl Event<Explosion> for Two {
    fn distance<T: Tensor>(&self, _t: &T, y: &T, _theta: &T) -> T {
        y.sum(..) - 2.0
    }
}

#[test]
fn dimensions_that_do_not_fit() {
    fn layer<T: Tensor>(w: &T) -> Result<T> {
        let parameters = (w.clone(), T::zeros(&[3]));
        let begin = T::zeros(&[2]);
        Ok(fixed_point(&Layer, FixedPointMethod::PICARD, &begin, &parameters, &Options::default())?.x)
    }
    let wide = Array::zeros(&[3, 2]);
    assert_fails!(layer, wide, "fixed_point: the unknown is [2], and what the function gives for it [3]");
    fn many<T: Tensor>(theta: &T) -> Result<T> {
        Ok(minimize(&Rootless, &MinimizeMethod::NEWTON, &theta.ones_like(), theta, &Options::default())?.x)
    }
    assert_fails!(
        many,
        vector(&[1.0, 2.0]),
        "minimize: what is to be least is [[2]], and has to be a single number"
    );
    fn one<T: Tensor>(theta: &T) -> Result<T> {
        let method = RootMethod::Bisection { bracket: [0.0, 1.0] };
        Ok(root(&Rootless, &method, theta, theta, &Options::default())?.x)
    }
    assert_fails!(one, vector(&[1.0, 2.0]), "root:", "of 2 unknowns: it is for one");
    fn flow<T: Tensor>(theta: &T) -> Result<T> {
        let times = T::from_elements(&[2], &[0.0, 1.0])?;
        Ok(integrate(&Explosion, &T::ones(&[2]), &times, theta, &Integration::default())?.y)
    }
    assert_fails!(
        flow,
        Array::ones(&[3, 2]),
        "integrate: the unknown is [2], and what the function gives for it [3, 2]"
    );
    fn times<T: Tensor>(times: &T) -> Result<T> {
        Ok(integrate(&Explosion, &T::ones(&[2]), times, &T::ones(&[2]), &Integration::default())?.y)
    }
    assert_fails!(times, scalar(1.0), "integrate: times []: a vector of two or more");
    fn transport<T: Tensor>(a: &T) -> Result<T> {
        let (cost, b) = (T::zeros(&[2, 3]), T::ones(&[3]));
        let (epsilon, picard) = (T::constant(0.1), FixedPointMethod::PICARD);
        Ok(sinkhorn(&cost, a, &b, &epsilon, picard, &Options::default())?.cost)
    }
    assert_fails!(transport, Array::ones(&[3]), "sinkhorn: costs [2, 3] of [3] and [3]");
    fn lasso<T: Tensor>(weight: &T) -> Result<T> {
        let (begin, theta) = (T::zeros(&[2]), T::ones(&[3]));
        Ok(proximal_gradient(&Hill, 0.1, &begin, &theta, weight, &Options::default())?.x)
    }
    assert_fails!(lasso, scalar(1.0), "cannot");
}
