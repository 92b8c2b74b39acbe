//! Meta-learning with implicit gradients (Rajeswaran, Finn, Kakade & Levine 2019): where a network begins, so that a few
//! steps near to it fit any sinusoid from ten points. What is differentiated is the minimum that those steps approach,
//! `min loss(w) + ½λ‖w − w₀‖²`, and not the steps.

use antiphon::nn::{Init, Rng};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::solve::{Derivative, LinearLimit, LinearMethod, MinimizeMethod, Options, Problem, minimize};
use antiphon::{NdArray, OrRaise, Params, Result, Tensor, Var, value_and_grad};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::training_step;
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;
type Layer<T> = (T, T);
/// Of one network `[in, out]` and `[out]`; of many, one for each task, with an axis before these.
type Weights<T> = (Layer<T>, Layer<T>, Layer<T>);
/// Places and values, each `[tasks, points, 1]`.
type Points<T> = (T, T);

const HIDDEN: usize = 32;
const TASKS: usize = 16;
const SHOTS: usize = 10;
/// How near to the beginning the minimum is kept.
const STRENGTH: f64 = 1.0;

/// The mean squared error of each task, summed up, and what keeps the weights near to the beginning.
#[derive(Clone, Debug)]
struct Adaptation;

impl Problem for Adaptation {
    type Unknown = Weights<Array>;
    type Parameters = (Weights<Array>, Points<Array>);
    type Value = Array;
    fn value<T: Tensor>(&self, weights: &Weights<T>, (begin, points): &(Weights<T>, Points<T>)) -> T {
        let pairs = weights.leaves().into_iter().zip(begin.leaves());
        let moved = pairs.map(|(w, begin)| (w - begin.unsqueeze(0)).square().sum(..));
        errors(weights, points).sum(..) + moved.reduce(|a, b| a + b).expect("weights") * (0.5 * STRENGTH)
    }
}

/// What networks, one for each task, are wrong by: `[tasks]`.
fn errors<T: Tensor>(weights: &Weights<T>, (x, y): &Points<T>) -> T {
    (outputs(weights, x) - y).square().mean([-2, -1])
}

fn outputs<T: Tensor>(((w1, b1), (w2, b2), (w3, b3)): &Weights<T>, x: &T) -> T {
    let layer = |x: &T, w: &T, b: &T| x.matmul(w) + b.unsqueeze(-2);
    let hidden = layer(&layer(x, w1, b1).tanh(), w2, b2).tanh();
    layer(&hidden, w3, b3)
}

/// The same beginning for each task.
fn repeated<T: Tensor>(weights: &Weights<T>, tasks: usize) -> Weights<T> {
    weights.map_leaves(|w| {
        let shape: Vec<usize> = std::iter::once(tasks).chain(w.shape().iter().copied()).collect();
        w.unsqueeze(0).broadcast_to(&shape)
    })
}

/// Networks that were fitted to points of each task.
fn adapted<T: Tensor>(begin: &Weights<T>, points: &Points<T>) -> Weights<T> {
    let limit = LinearLimit { tolerance: 1e-2, steps: 500 };
    let options =
        Options::steps(30).derivative(Derivative::Implicit(LinearMethod::Gmres { restart: 40, limit }));
    let start = repeated(begin, points.0.shape()[0]);
    let method = MinimizeMethod::Lbfgs { memory: 10 };
    minimize(&Adaptation, &method, &start, &(begin.clone(), points.clone()), &options).or_raise().x
}

/// Points as constants of a derivative.
fn lift<'r, T: Tensor>((x, y): &Points<T>) -> Points<Var<'r, T>> {
    (Var::lift(x), Var::lift(y))
}

type State<T> = (Weights<T>, OptState<Weights<T>>);
/// Points to fit, points to judge by, and the learning rate.
type Data<T> = ((Points<T>, Points<T>), T);

/// A step: the mean squared error of adapted networks on other points.
fn step<T: Tensor>((begin, adam): &mut State<T>, ((fit, judge), lr): &Data<T>) -> Result<T> {
    let (loss, gradient) = value_and_grad(
        |begin: Weights<Var<'_, T>>| errors(&adapted(&begin, &lift(fit)), &lift(judge)).mean(..),
        begin,
    )?;
    Adam::default().update(adam, begin, &gradient, lr)?;
    Ok(loss)
}

/// Sinusoids of amplitudes from 0.5 to 3 and of any phase, at places from −5 to 5.
struct Tasks(Vec<(f64, f64)>);

impl Tasks {
    fn new(rng: &mut Rng, count: usize) -> Tasks {
        let one = |rng: &mut Rng| (0.5 + 2.5 * rng.uniform(), std::f64::consts::PI * rng.uniform());
        Tasks((0..count).map(|_| one(rng)).collect())
    }
    fn points(&self, count: usize, mut place: impl FnMut(usize) -> f64) -> Result<Points<Array>> {
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for (amplitude, phase) in &self.0 {
            for i in 0..count {
                let x = place(i);
                xs.push(x);
                ys.push(amplitude * (x + phase).sin());
            }
        }
        let shape = [self.0.len(), count, 1];
        Ok((Array::from_elements(&shape, &xs)?, Array::from_elements(&shape, &ys)?))
    }
    fn drawn(&self, rng: &mut Rng) -> Result<Points<Array>> {
        self.points(SHOTS, |_| 10.0 * rng.uniform() - 5.0)
    }
}

fn weights(rng: &mut Rng) -> Weights<Array> {
    let mut layer = |inputs, outputs| {
        let w = Init::GlorotUniform.sample::<Array>(&[inputs, outputs], rng);
        (w, Array::zeros(&[outputs]))
    };
    (layer(1, HIDDEN), layer(HIDDEN, HIDDEN), layer(HIDDEN, 1))
}

pub fn run(run: &Run) -> Result<Value> {
    let rng = &mut Rng::new(run.seed);
    let begin = weights(rng);
    let start = (begin.clone(), Adam::default().init(&begin));
    let mut training = training_step!(run.mode, start, step)?;
    let mut losses = Vec::new();
    for _ in 0..run.steps(200) {
        let tasks = Tasks::new(rng, TASKS);
        let data = ((tasks.drawn(rng)?, tasks.drawn(rng)?), Array::scalar(3e-3));
        losses.push(training.call(&data)?.item());
    }
    let (trained, _) = training.state();
    // Tasks that were not seen, judged on a grid.
    const GRID: usize = 101;
    let others = Tasks::new(&mut Rng::new(run.seed + 1), 50);
    let fit = others.drawn(&mut Rng::new(run.seed + 2))?;
    let grid = others.points(GRID, |i| 10.0 * i as f64 / (GRID - 1) as f64 - 5.0)?;
    let error = |weights: &Weights<Array>| errors(weights, &grid).mean(..).item();
    let untrained = error(&adapted(&begin, &fit));
    let networks = adapted(&trained, &fit);
    let (unadapted, after) = (error(&repeated(&trained, 50)), error(&networks));
    println!("mean squared error on 50 other sinusoids, of which ten points are known:");
    println!("  fitted from weights at random {untrained:.3}, from those that were learnt {after:.3}");
    println!("  (these without being fitted: {unadapted:.3})");
    let flat = |x: &Array| x.view().iter().copied().collect::<Vec<f64>>();
    let curve = |x: &Array, y: &Array, count: usize| {
        flat(x)[..count].iter().copied().zip(flat(y)[..count].iter().copied()).collect::<Vec<_>>()
    };
    let from_random = outputs(&adapted(&begin, &fit), &grid.0);
    picture::draw(
        &run.out.join("meta.svg"),
        &[
            Panel::new(
                "Meta-training",
                ["steps", "error of adapted networks"],
                vec![Series::counted("error", &losses)],
            )
            .logarithmic(),
            Panel::new(
                "Ten points of a sinusoid that was not seen",
                ["x", "y"],
                vec![
                    Series::line("the sinusoid", curve(&grid.0, &grid.1, GRID)),
                    Series::line(
                        "fitted from what was learnt",
                        curve(&grid.0, &outputs(&networks, &grid.0), GRID),
                    ),
                    Series::line("fitted from random weights", curve(&grid.0, &from_random, GRID)),
                    Series::points("the points", curve(&fit.0, &fit.1, SHOTS)),
                ],
            )
            .legend(plotters::prelude::SeriesLabelPosition::UpperLeft),
        ],
    )?;
    Ok(json!({
        "example": "meta", "losses": losses, "untrained": untrained, "adapted": after, "unadapted": unadapted,
    }))
}
