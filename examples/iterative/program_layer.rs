//! A quadratic program as a layer (Amos & Kolter, *OptNet*, 2017): what its costs make of features and which limits it
//! keeps are learnt from nothing but its solutions.

use antiphon::nn::Rng;
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::solve::{Derivative, LinearMethod, Options, QuadraticProgram, quadratic_program};
use antiphon::{Batch, NdArray, OrRaise, Real, Result, Tensor, Var, value_and_grad, vmap};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::training_step;
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;
/// What costs are of features, `[features, n]`, and the limits, `[n]`.
type Parameters<T> = (T, T);

const FEATURES: usize = 4;
const UNKNOWNS: usize = 6;
const SAMPLES: usize = 32;

/// Shares of a whole: `min ½‖x‖² + (u·W)ᵀx` with `Σx = 1` and `0 ≤ x ≤ limits`.
fn shares<T: Tensor>(u: &T, (w, limits): &Parameters<T>, derivative: Derivative) -> T {
    let n = UNKNOWNS;
    let identity = T::ones(&[n]).diag(0);
    let program = QuadraticProgram {
        quadratic: identity.clone(),
        linear: u.matmul(w),
        equalities: Some((T::ones(&[1, n]), T::ones(&[1]))),
        inequalities: Some((
            T::concat(&[identity.clone(), -identity], 0),
            T::concat(&[limits.clone(), T::zeros(&[n])], 0),
        )),
    };
    let options = Options::default().max_steps(50).derivative(derivative);
    quadratic_program(&program, &LinearMethod::Cholesky, None, &options).or_raise().x
}

/// The shares for rows of features.
fn all_shares<T: Tensor>(us: &T, parameters: &Parameters<T>) -> T {
    vmap(
        |u: Batch<T>| {
            let (w, limits) = parameters;
            shares(&u, &(Batch::lift(w), Batch::lift(limits)), Derivative::OneStep)
        },
        us,
    )
    .or_raise()
}

type State<T> = (Parameters<T>, OptState<Parameters<T>>);
/// Features, shares, and the learning rate.
type Data<T> = ((T, T), T);

/// A step: the mean squared error before it.
fn step<T: Tensor>((parameters, adam): &mut State<T>, ((us, xs), lr): &Data<T>) -> Result<T> {
    let (loss, gradient) = value_and_grad(
        |parameters: Parameters<Var<'_, T>>| {
            (all_shares(&Var::lift(us), &parameters) - xs).square().sum(-1).mean(..)
        },
        parameters,
    )?;
    Adam::default().update(adam, parameters, &gradient, lr)?;
    Ok(loss)
}

pub fn run(run: &Run) -> Result<Value> {
    let rng = &mut Rng::new(run.seed);
    let mut normal = |shape: &[usize], size: f64| {
        let count = shape.iter().product();
        let elements: Vec<f64> = (0..count).map(|_| size * rng.normal()).collect();
        Array::from_elements(shape, &elements)
    };
    let truth = (normal(&[FEATURES, UNKNOWNS], 0.3)?, Array::from(vec![0.5, 0.3, 0.25, 0.4, 0.2, 0.35]));
    let (us, us_other) = (normal(&[SAMPLES, FEATURES], 1.0)?, normal(&[200, FEATURES], 1.0)?);
    let (xs, xs_other) = (all_shares(&us, &truth), all_shares(&us_other, &truth));
    // Limits that bind from the beginning on: one that never does has no derivative.
    let begin = (Array::zeros(&[FEATURES, UNKNOWNS]), Array::full(&[UNKNOWNS], 0.2));
    let error = |parameters: &Parameters<Array>| {
        (all_shares(&us_other, parameters) - &xs_other).square().sum(-1).mean(..).item()
    };
    let before = error(&begin);
    let start = (begin.clone(), Adam::default().init(&begin));
    let mut training = training_step!(run.mode, start, step)?;
    let mut losses = Vec::new();
    for number in 0..run.steps(300) {
        let rate = if number < 200 { 0.02 } else { 0.004 };
        losses.push(training.call(&((us.clone(), xs.clone()), Array::scalar(rate)))?.item());
    }
    let (found, _) = training.state();
    let after = error(&found);
    let limits = |(_, limits): &Parameters<Array>| limits.view().iter().copied().collect::<Vec<f64>>();
    let (found_limits, true_limits) = (limits(&found), limits(&truth));
    let apart = found_limits.iter().zip(&true_limits).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("mean squared error on other features: {before:.2e} before, {after:.2e} after");
    println!("limits: {found_limits:.4?}, which are {true_limits:?}");
    let flat = |x: &Array| x.view().iter().copied().collect::<Vec<f64>>();
    let predicted = flat(&all_shares(&us_other, &found));
    let pairs = flat(&xs_other).into_iter().zip(predicted).collect();
    picture::draw(
        &run.out.join("qp.svg"),
        &[
            Panel::new(
                "Learning a program from its solutions",
                ["steps", "mean squared error"],
                vec![Series::counted("error", &losses)],
            )
            .logarithmic(),
            Panel::new(
                "Solutions for other features",
                ["true program's", "learnt program's"],
                vec![Series::points("share", pairs), Series::line("equal", vec![(0.0, 0.0), (0.5, 0.5)])],
            )
            .legend(plotters::prelude::SeriesLabelPosition::UpperLeft),
        ],
    )?;
    Ok(json!({
        "example": "qp", "losses": losses, "before": before, "after": after,
        "limits": found_limits, "true_limits": true_limits, "limits_apart": apart,
    }))
}
