//! The strengths of regularisation of a logistic regression, one for each feature, by descent on the loss on other data:
//! the inner minimum is Newton's, whose last step has the exact derivative.

use antiphon::nn::Rng;
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::solve::{Derivative, MinimizeMethod, Options, Problem, minimize};
use antiphon::{NdArray, OrRaise, Result, Tensor, Var, value_and_grad};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::training_step;
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;
/// Features `[n, p]` and labels ±1, `[n]`.
type Points<T> = (T, T);

/// How many features there are, and how many of them say something.
const FEATURES: [usize; 2] = [40, 8];

/// `mean log(1 + exp(−yᵢxᵢᵀβ)) + ½Σ exp(θⱼ)βⱼ²`, of `(X, y)` and `θ`.
#[derive(Clone, Debug)]
struct Regression;

impl Problem for Regression {
    type Unknown = Array;
    type Parameters = ((Array, Array), Array);
    type Value = Array;
    fn value<T: Tensor>(&self, beta: &T, (points, theta): &(Points<T>, T)) -> T {
        loss(beta, points) + (theta.exp() * beta.square()).sum(..) * 0.5
    }
    fn matrix<T: Tensor>(&self, beta: &T, ((x, y), theta): &(Points<T>, T)) -> Option<T> {
        let p = (x.matmul(beta) * y).sigmoid();
        let weights = p.clone() * (-p + 1.0) * (1.0 / x.shape()[0] as f64);
        Some(x.transpose().matmul(&(x.clone() * weights.unsqueeze(-1))) + theta.exp().diag(0))
    }
}

/// The mean logistic loss.
fn loss<T: Tensor>(beta: &T, (x, y): &Points<T>) -> T {
    (-(x.matmul(beta) * y)).softplus().mean(..)
}

/// β for a θ.
fn fitted<T: Tensor>(points: &Points<T>, theta: &T, derivative: Derivative) -> T {
    let options = Options::default().max_steps(100).derivative(derivative);
    let begin = theta.zeros_like();
    let parameters = (points.clone(), theta.clone());
    minimize(&Regression, &MinimizeMethod::NEWTON, &begin, &parameters, &options).or_raise().x
}

/// Points as constants of a derivative.
fn lift<'r, T: Tensor>((x, y): &Points<T>) -> Points<Var<'r, T>> {
    (Var::lift(x), Var::lift(y))
}

/// θ, and what Adam remembers of it.
type State<T> = (T, OptState<T>);
/// Points to fit, points to judge by, points for neither, and the learning rate.
type Data<T> = (Points<T>, Points<T>, Points<T>, T);

/// A step of descent on the loss on the second points; that, and the loss on the third.
fn step<T: Tensor>((theta, adam): &mut State<T>, (fit, judge, test, lr): &Data<T>) -> Result<(T, T)> {
    let (value, slope) = value_and_grad(
        |theta: Var<'_, T>| loss(&fitted(&lift(fit), &theta, Derivative::OneStep), &lift(judge)),
        theta,
    )?;
    let on_test = loss(&fitted(fit, theta, Derivative::OneStep), test);
    Adam::default().update(adam, theta, &slope, lr)?;
    Ok((value, on_test))
}

/// Normal features, of which the first few decide, with noise.
fn made(rng: &mut Rng, count: usize, beta: &[f64]) -> Result<Points<Array>> {
    let [p, _] = FEATURES;
    let x: Vec<f64> = (0..count * p).map(|_| rng.normal()).collect();
    let label = |row: &[f64]| {
        let margin: f64 = row.iter().zip(beta).map(|(x, b)| x * b).sum();
        (margin + rng.normal()).signum()
    };
    let y: Vec<f64> = x.chunks(p).map(label).collect();
    Ok((Array::from_elements(&[count, p], &x)?, Array::from(y)))
}

pub fn run(run: &Run) -> Result<Value> {
    let rng = &mut Rng::new(run.seed);
    let [p, informative] = FEATURES;
    let beta: Vec<f64> = (0..informative).map(|_| 1.0 + rng.uniform()).collect();
    let (fit, judge, test) = (made(rng, 80, &beta)?, made(rng, 200, &beta)?, made(rng, 2000, &beta)?);
    // The best of one strength for all features.
    let same = |theta: f64| {
        let beta = fitted(&fit, &Array::full(&[p], theta), Derivative::OneStep);
        (theta, loss(&beta, &judge).item(), loss(&beta, &test).item())
    };
    let grid: Vec<_> = (-16..=4).map(|half| same(f64::from(half) * 0.5)).collect();
    let best = *grid.iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a grid has points");
    let theta = Array::full(&[p], best.0);
    let start = (theta.clone(), Adam::default().init(&theta));
    let mut training = training_step!(run.mode, start, step)?;
    let data = (fit, judge, test, Array::scalar(0.1));
    let mut losses: [Vec<f64>; 2] = Default::default();
    for _ in 0..run.steps(100) {
        let (on_judge, on_test) = training.call(&data)?;
        losses[0].push(on_judge.item());
        losses[1].push(on_test.item());
    }
    let (theta, _) = training.state();
    let theta: Vec<f64> = theta.view().iter().copied().collect();
    let last = losses.each_ref().map(|losses| losses.last().copied().unwrap_or(f64::NAN));
    println!(
        "one strength for all, the best of {}: loss {:.4}, on test data {:.4}",
        grid.len(),
        best.1,
        best.2
    );
    println!("one for each, by descent: loss {:.4}, on test data {:.4}", last[0], last[1]);
    let [on_judge, on_test] = &losses;
    let strengths =
        |range: std::ops::Range<usize>| range.map(|j| (j as f64, theta[j])).collect::<Vec<(f64, f64)>>();
    picture::draw(
        &run.out.join("hyperparameters.svg"),
        &[
            Panel::new(
                "Descent on the strengths of regularisation",
                ["steps", "mean logistic loss"],
                vec![Series::counted("validation", on_judge), Series::counted("test", on_test)],
            ),
            Panel::new(
                "Strengths that were found",
                ["feature", "θ"],
                vec![
                    Series::points("informative", strengths(0..informative)),
                    Series::points("noise", strengths(informative..p)),
                ],
            )
            .legend(plotters::prelude::SeriesLabelPosition::UpperLeft),
        ],
    )?;
    Ok(json!({
        "example": "hyperparameters", "losses": on_judge, "test_losses": on_test, "theta": theta,
        "informative": informative,
        "best_single": { "theta": best.0, "loss": best.1, "test_loss": best.2 },
    }))
}
