//! What is asked for and has no answer is an error that names it, in both modes, where a number would be wrong.

use antiphon::control::Checkpoints;
use antiphon::solve::{
    Adjoint, Derivative, Event, Integration, LeastSquaresMethod, LinearLimit, LinearMethod, Options, Over,
    Problem, QuadraticProgram, RootMethod, VectorField, fixed_point, integrate, integrate_until,
    least_squares, newton_schulz, proximal_gradient, quadratic_program, root, sinkhorn,
};
use antiphon::{OrRaise, Real, Result, Tensor, Var, grad};

use crate::assert_fails;
use crate::problems::{Array, Babylonian, PICARD, Square, scalar, vector};

/// `[[2, 1], [0, 2]]·x − θ`, whose matrix is not symmetric.
#[derive(Clone, Debug)]
struct Sheared;

impl Problem for Sheared {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        T::from_elements(&[2, 2], &[2.0, 1.0, 0.0, 2.0]).unwrap().matmul(x) - theta
    }
}

/// `√(1 − x)·θ`: no number where `x` is more than one.
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
fn derivatives_that_are_none() {
    fn none<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::default().derivative(Derivative::KSteps(0));
        Ok(fixed_point(&Babylonian, PICARD, &theta.ones_like(), theta, &options)?.x)
    }
    assert_fails!(none, scalar(2.0), "picard: the derivative of the last 0 steps");
    fn halves<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::default().derivative(Derivative::Unrolled { checkpoints: None });
        let method = RootMethod::Bisection { bracket: [0.0, 2.0] };
        Ok(root(&Square, &method, &theta.ones_like(), theta, &options)?.x)
    }
    assert_fails!(halves, scalar(2.0), "bisection: its steps do not change with the parameters");
    fn factors<T: Tensor>(theta: &T) -> Result<T> {
        let method = LinearMethod::LastFactors(LinearLimit::default());
        let options = Options::default().max_steps(0).derivative(Derivative::Implicit(method));
        Ok(root(&Square, &RootMethod::NEWTON, &theta.sqrt(), theta, &options)?.x)
    }
    assert_fails!(factors, scalar(4.0), "newton: LastFactors, of which a limit of 0 steps leaves none");
    // Cholesky's factors would be those of the symmetric part.
    fn sheared<T: Tensor>(theta: &T) -> Result<T> {
        grad(
            |theta: Var<'_, T>| {
                let options = Options::default().derivative(Derivative::Implicit(LinearMethod::Cholesky));
                root(&Sheared, &RootMethod::NEWTON, &theta.zeros_like(), &theta, &options)
                    .or_raise()
                    .x
                    .sum(..)
            },
            theta,
        )
    }
    assert_fails!(sheared, vector(&[1.0, 2.0]), "newton: the matrix is not symmetric", "(in the derivative)");
    fn steps<T: Tensor>(theta: &T) -> Result<T> {
        let method = RootMethod::Newton { linear: LinearMethod::Cholesky, damping: 1.0 };
        Ok(root(&Sheared, &method, &theta.zeros_like(), theta, &Options::default())?.x)
    }
    assert_fails!(steps, vector(&[1.0, 2.0]), "newton: the matrix is not symmetric", "(in step 1,");
}

#[test]
fn steps_and_tolerances() {
    fn no_step<T: Tensor>(theta: &T) -> Result<T> {
        Ok(fixed_point(&Babylonian, PICARD, &theta.ones_like(), theta, &Options::steps(0))?.x)
    }
    assert_fails!(no_step, scalar(2.0), "picard: a fixed number of 0 steps");
    fn endless<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::default().absolute(f64::INFINITY);
        Ok(fixed_point(&Babylonian, PICARD, &theta.ones_like(), theta, &options)?.x)
    }
    assert_fails!(endless, scalar(2.0), "picard: the tolerances inf and 0 have to be finite numbers");
    // The second of the steps that are differentiated leads to what is no number.
    fn later<T: Tensor>(theta: &T) -> Result<T> {
        let options = Options::steps(3).derivative(Derivative::KSteps(3));
        Ok(fixed_point(&Rooted, PICARD, &theta.zeros_like(), theta, &options)?.x)
    }
    assert_fails!(later, scalar(3.0), "picard: the residual is NaN after 3 steps");
    fn damping<T: Tensor>(theta: &T) -> Result<T> {
        let method = LeastSquaresMethod::LevenbergMarquardt { damping: 0.0 };
        Ok(least_squares(&Square, method, &theta.ones_like(), theta, &Options::default())?.x)
    }
    assert_fails!(damping, scalar(2.0), "LevenbergMarquardt { damping: 0.0 }: the first damping");
    fn kept<T: Tensor>(theta: &T) -> Result<T> {
        let adjoint = Adjoint::Discrete { checkpoints: Some(Checkpoints::Count(0)) };
        let times = T::from_elements(&[2], &[0.0, 1.0])?;
        let how = Integration { adjoint, ..Integration::default() };
        Ok(integrate(&Constant, &theta.zeros_like(), &times, theta, &how)?.y)
    }
    assert_fails!(kept, scalar(1.0), "integrate: of the states, none is to be kept");
}

/// `x² − θ` with a matrix that is none of it.
#[derive(Clone, Debug)]
struct Misshapen {
    rows: usize,
    columns: usize,
}

impl Problem for Misshapen {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        x.square() - theta
    }
    fn matrix<T: Tensor>(&self, _x: &T, _theta: &T) -> Option<T> {
        Some(T::ones(&[self.rows, self.columns]))
    }
}

#[test]
fn matrices_of_another_size() {
    fn wide<T: Tensor>(theta: &T) -> Result<T> {
        let problem = Misshapen { rows: 2, columns: 3 };
        Ok(root(&problem, &RootMethod::NEWTON, &theta.ones_like(), theta, &Options::default())?.x)
    }
    let of_root = "root: the matrix that the problem gives is [2, 3], and has to be [2, 2]";
    assert_fails!(wide, vector(&[2.0, 3.0]), of_root);
    fn high<T: Tensor>(theta: &T) -> Result<T> {
        let (problem, method) = (Misshapen { rows: 3, columns: 2 }, LeastSquaresMethod::GaussNewton);
        Ok(least_squares(&problem, method, &theta.ones_like(), theta, &Options::default())?.x)
    }
    let of_squares = "least_squares: the matrix that the problem gives is [3, 2], and has to be [2, 2]";
    assert_fails!(high, vector(&[2.0, 3.0]), of_squares);
    // `½‖x‖² − θ·x` would be least at θ.
    fn slanted<T: Tensor>(quadratic: &T) -> Result<T> {
        let (linear, none) = (T::ones(&[2]), None);
        let program = QuadraticProgram {
            quadratic: quadratic.clone(),
            linear,
            equalities: none.clone(),
            inequalities: none,
        };
        Ok(quadratic_program(&program, &LinearMethod::Direct, None, &Options::default())?.x)
    }
    let quadratic = Array::from_elements(&[2, 2], &[2.0, 2.0, 0.0, 2.0]).unwrap();
    assert_fails!(slanted, quadratic, "interior point: Q has to be symmetric");
}

/// `½Σx² − Σx`.
#[derive(Clone, Debug)]
struct Bowl;

impl Problem for Bowl {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        (x.square() * 0.5 - x.clone() * theta).sum(..)
    }
}

#[test]
fn parameters_out_of_range() {
    fn transport<T: Tensor>(a: &T, epsilon: f64) -> Result<T> {
        let cost = T::from_elements(&[2, 2], &[0.0, 1.0, 1.0, 0.0])?;
        let (half, epsilon) = (T::full(&[2], 0.5), T::constant(epsilon));
        Ok(sinkhorn(&cost, a, &half, &epsilon, PICARD, &Options::default())?.plan)
    }
    fn positive<T: Tensor>(a: &T) -> Result<T> {
        transport(a, 0.5)
    }
    fn negative<T: Tensor>(a: &T) -> Result<T> {
        transport(a, -0.5)
    }
    let same = "sinkhorn: what goes from all places and to all has to be the same";
    assert_fails!(positive, vector(&[1.0, 1.0]), same);
    let each = "sinkhorn: what goes from and to each place has to be positive";
    assert_fails!(positive, vector(&[0.0, 1.0]), each);
    assert_fails!(negative, vector(&[0.5, 0.5]), "sinkhorn: ε has to be positive");
    fn inverse<T: Tensor>(a: &T) -> Result<T> {
        Ok(newton_schulz(a, &Options::default())?.0)
    }
    assert_fails!(inverse, Array::zeros(&[2, 2]), "newton_schulz: a matrix of zeros");
    fn lasso<T: Tensor>(weight: &T) -> Result<T> {
        let (begin, theta) = (T::zeros(&[2]), T::ones(&[2]));
        Ok(proximal_gradient(&Bowl, 0.5, &begin, &theta, weight, &Options::default())?.x)
    }
    assert_fails!(lasso, scalar(-1.0), "proximal_gradient: the weight of Σ|x| has to be 0 or more");
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

/// −1 before a time, and 1 after it.
#[derive(Clone, Debug)]
struct Jump;

impl Event<Constant> for Jump {
    fn distance<T: Tensor>(&self, t: &T, _y: &T, _theta: &Over<Array, T>) -> T {
        (t.clone() - 0.3).sign()
    }
}

#[test]
fn an_event_that_jumps() {
    fn jump<T: Tensor>(theta: &T) -> Result<T> {
        let ends = [T::constant(0.0), T::constant(5.0)];
        let begin = theta.zeros_like();
        let how = Integration::default();
        Ok(integrate_until(&Constant, &Jump, &begin, [&ends[0], &ends[1]], theta, &how)?.0)
    }
    assert_fails!(jump, scalar(1.0), "integrate_until: the event's number does not change steadily");
}
