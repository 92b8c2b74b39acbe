//! A neural differential equation (Chen, Rubanova, Bettencourt & Duvenaud, *Neural ordinary differential equations*,
//! 2018) that learns the spiral `dy/dt = A·y³` from pieces of it, with steps whose lengths follow the error.

use std::time::Instant;

use antiphon::nn::{Init, Rng};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::solve::{Integration, VectorField, integrate};
use antiphon::{NdArray, OrRaise, Params, Real, Result, Tensor, Var, value_and_grad_aux};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::training_step;
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;

const HIDDEN: usize = 32;
/// So many points of the spiral, `SPACING` apart, in pieces of so many.
const POINTS: usize = 200;
const SPACING: f64 = 0.125;
const PIECE: usize = 10;
/// Where it begins.
const BEGIN: [f64; 2] = [2.0, 0.0];

/// `A·y³` for rows `y`.
#[derive(Clone, Debug)]
struct Spiral;

impl VectorField for Spiral {
    type State = Array;
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, y: &T, a: &T) -> T {
        y.powi(3).matmul(a)
    }
}

type Layer<T> = (T, T);
type Weights<T> = (Layer<T>, Layer<T>);

/// `tanh(y³·W₁ + b₁)·W₂ + b₂` for rows `y`.
#[derive(Clone, Debug)]
struct Network;

impl VectorField for Network {
    type State = Array;
    type Parameters = Weights<Array>;
    fn slope<T: Tensor>(&self, _t: &T, y: &T, ((w1, b1), (w2, b2)): &Weights<T>) -> T {
        (y.powi(3).matmul(w1) + b1).tanh().matmul(w2) + b2
    }
}

/// Steps of Tsitouras's method, as exact as single precision.
fn how() -> Integration {
    Integration { absolute: 1e-6, relative: 1e-6, ..Integration::default() }
}

type State<T> = (Weights<T>, OptState<Weights<T>>);
/// Where pieces begin, `[pieces, 2]`, how they go on, `[times − 1, pieces, 2]`, the times, and the learning rate.
type Data<T> = ((T, T), (T, T));

/// A step of training: the mean squared error before it, and how many steps the integration tried.
fn step<T: Tensor>(
    (weights, adam): &mut State<T>,
    ((begin, expected), (times, lr)): &Data<T>,
) -> Result<(T, T)> {
    let (loss, tried, gradient): (_, T, _) = value_and_grad_aux(
        |weights: Weights<Var<'_, T>>| {
            let found =
                integrate(&Network, &Var::lift(begin), &Var::lift(times), &weights, &how()).or_raise();
            ((found.y - expected).square().mean(..), found.tried)
        },
        weights,
    )?;
    Adam::default().update(adam, weights, &gradient, lr)?;
    Ok((loss, tried))
}

fn weights(rng: &mut Rng) -> Weights<Array> {
    let mut matrix = |rows, columns| Init::GlorotUniform.sample::<Array>(&[rows, columns], rng);
    let (w1, w2) = (matrix(2, HIDDEN), matrix(HIDDEN, 2));
    ((w1, Array::zeros(&[HIDDEN])), (w2, Array::zeros(&[2])))
}

fn elements(x: &Array) -> Vec<f64> {
    x.view().iter().copied().collect()
}

pub fn run(run: &Run) -> Result<Value> {
    let times: Vec<f64> = (0..POINTS).map(|i| i as f64 * SPACING).collect();
    let begin = Array::from_elements(&[1, 2], &BEGIN)?;
    let a = Array::from_elements(&[2, 2], &[-0.1, -2.0, 2.0, -0.1])?;
    let exact = Integration { absolute: 1e-10, relative: 1e-10, ..Integration::default() };
    let all_times = Array::from(times.clone());
    // [points, 2], the first one included.
    let rest = integrate(&Spiral, &begin, &all_times, &a, &exact)?.y.reshape(&[POINTS - 1, 2]);
    let truth = Array::concat(&[begin.clone(), rest], 0);
    let starts: Vec<usize> = (0..=POINTS - PIECE).step_by(PIECE / 2).collect();
    let point = |i: usize| truth.slice(0, i..i + 1);
    let first = Array::concat(&starts.iter().map(|&i| point(i)).collect::<Vec<_>>(), 0);
    let later: Vec<Array> = (1..PIECE)
        .map(|k| Array::concat(&starts.iter().map(|&i| point(i + k)).collect::<Vec<_>>(), 0))
        .collect();
    let later = Array::stack(&later, 0);
    let piece_times = all_times.slice(0, 0..PIECE);
    let rate = 0.01;
    let data = ((first.clone(), later.clone()), (piece_times.clone(), Array::scalar(rate)));

    let begin_with = weights(&mut Rng::new(run.seed));
    let start = (begin_with.clone(), Adam::default().init(&begin_with));
    let mut training = training_step!(run.mode, start, step)?;
    let (mut losses, mut tried, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..run.steps(500) {
        let clock = Instant::now();
        let (loss, steps) = training.call(&data)?;
        seconds.push(clock.elapsed().as_secs_f64());
        losses.push(loss.item());
        tried.push(steps.item());
    }
    let (trained, _) = training.state();
    let whole = |weights: &Weights<Array>| {
        let found = integrate(&Network, &begin, &all_times, weights, &how())?;
        Ok(elements(&Array::concat(&[begin.clone(), found.y.reshape(&[POINTS - 1, 2])], 0)))
    };
    let found: Result<Vec<f64>> = whole(&trained);
    let found = found?;
    let true_points = elements(&truth);
    let square: f64 = found.iter().zip(&true_points).map(|(a, b)| (a - b).powi(2)).sum();
    let apart = (square / POINTS as f64).sqrt();
    seconds.sort_by(f64::total_cmp);
    let ms = seconds[seconds.len() / 2] * 1e3;
    let (begun, ended) = (losses[0], losses.last().copied().unwrap_or(f64::NAN));
    println!("{} steps of {ms:.3} ms: the error falls from {begun:.4} to {ended:.2e}", losses.len());
    println!("an integration tries {} steps at first and {} at last", tried[0], tried.last().unwrap_or(&0.0));
    println!("the whole spiral, from its beginning alone, is {apart:.4} from the true one");
    let path = |points: &[f64]| points.chunks(2).map(|p| (p[0], p[1])).collect::<Vec<_>>();
    picture::draw(
        &run.out.join("spiral.svg"),
        &[
            Panel::new(
                "A spiral, and what was learnt of it",
                ["y₁", "y₂"],
                vec![
                    Series::points("the spiral", path(&true_points)),
                    Series::line("learnt, from its beginning", path(&found)),
                ],
            ),
            Panel::new("Training", ["steps", "mean squared error"], vec![Series::counted("error", &losses)])
                .logarithmic(),
        ],
    )?;
    let leaves: Vec<Value> = begin_with
        .leaves()
        .iter()
        .map(|w| json!({ "shape": w.shape().to_vec(), "elements": elements(w) }))
        .collect();
    Ok(json!({
        "example": "spiral", "losses": losses, "tried": tried, "ms": ms, "apart": apart,
        "weights": leaves, "rate": rate, "times": elements(&piece_times), "begin": elements(&first),
        "expected": elements(&later), "tolerance": how().absolute,
    }))
}
