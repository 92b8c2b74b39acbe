//! Points that move downhill on the cost of transporting them to others (Cuturi, *Sinkhorn distances*, 2013): the
//! gradient of Sinkhorn's cost by where they are, through the plan, is the implicit one.

use antiphon::nn::Rng;
use antiphon::solve::{Derivative, FixedPointMethod, LinearLimit, LinearMethod, Options, sinkhorn};
use antiphon::{NdArray, OrRaise, Result, Tensor, Var, value_and_grad};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::training_step;
use crate::picture::{self, Panel, Series, Style};

type Array = NdArray<f64>;
const POINTS: usize = 80;
/// The strength of entropy: about the square of the distance between neighbours.
const EPSILON: f64 = 0.02;

/// Half the squared distances of rows of `[n, 2]` and `[m, 2]`.
fn costs<T: Tensor>(x: &T, y: &T) -> T {
    (x.unsqueeze(1) - y.unsqueeze(0)).square().sum(-1) * 0.5
}

/// The cost of transport from `x` to `y`, all points having the same weight, and how many rounds it took.
fn transport<T: Tensor>(x: &T, y: &T) -> (T, T) {
    let same = |points: &T| T::full(&[points.shape()[0]], 1.0 / points.shape()[0] as f64);
    let limit = LinearLimit { tolerance: 1e-5, steps: 500 };
    let options = Options::default()
        .absolute(1e-5)
        .max_steps(5000)
        .derivative(Derivative::Implicit(LinearMethod::BiCgStab(limit)));
    let method = FixedPointMethod::Anderson { memory: 5, damping: 1.0 };
    let epsilon = T::constant(EPSILON);
    let found = sinkhorn(&costs(x, y), &same(x), &same(y), &epsilon, method, &options).or_raise();
    (found.cost, found.info.steps)
}

/// Moves the points downhill; the cost before.
fn step<T: Tensor>(x: &mut T, (y, length): &(T, T)) -> Result<T> {
    let (cost, slope) = value_and_grad(|x: Var<'_, T>| transport(&x, &Var::lift(y)).0, x)?;
    // Each point's part of the cost is 1/n of it.
    *x = x.clone() - slope * length * POINTS as f64;
    Ok(cost)
}

/// A heart.
fn target(i: usize) -> [f64; 2] {
    let t = std::f64::consts::TAU * i as f64 / POINTS as f64;
    let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
    [t.sin().powi(3), y / 16.0]
}

pub fn run(run: &Run) -> Result<Value> {
    let rng = &mut Rng::new(run.seed);
    let start: Vec<f64> = (0..2 * POINTS).map(|_| 0.3 * rng.normal()).collect();
    let start = Array::from_elements(&[POINTS, 2], &start)?;
    let y: Vec<f64> = (0..POINTS).flat_map(target).collect();
    let y = Array::from_elements(&[POINTS, 2], &y)?;
    let mut moving = training_step!(run.mode, start.clone(), step)?;
    let pairs = |x: &Array| x.view().outer_iter().map(|row| (row[0], row[1])).collect::<Vec<_>>();
    let (mut costs_seen, mut ways) = (Vec::new(), vec![pairs(&start)]);
    let data = (y.clone(), Array::scalar(0.3));
    for _ in 0..run.steps(40) {
        costs_seen.push(moving.call(&data)?.item());
        ways.push(pairs(&moving.state()));
    }
    let end = moving.state();
    let last = transport(&end, &y).0.item();
    // How far the points are from the nearest of the target's.
    let nearest = |x: &Array| costs(x, &y).min(1).mean(..).item();
    let (before, after) = (nearest(&start), nearest(&end));
    println!("cost of transport: {:.4} at first, {last:.4} after {} steps", costs_seen[0], costs_seen.len());
    println!("half the squared distance to the nearest target: {before:.5}, and {after:.5} after");
    let threads = (0..POINTS).flat_map(|i| ways.iter().map(move |at| at[i])).collect();
    picture::draw(
        &run.out.join("transport.svg"),
        &[
            Panel::new(
                "Points that are transported",
                ["x₁", "x₂"],
                vec![
                    Series { name: String::new(), style: Style::Threads(ways.len()), points: threads },
                    Series::points("where they were", ways[0].clone()),
                    Series::points("where they came to", ways[ways.len() - 1].clone()),
                    Series::points("where they should be", pairs(&y)),
                ],
            )
            .legend(plotters::prelude::SeriesLabelPosition::LowerLeft),
            Panel::new("Descent", ["steps", "cost of transport"], vec![Series::counted("cost", &costs_seen)])
                .logarithmic(),
        ],
    )?;
    Ok(json!({ "example": "transport", "costs": costs_seen, "cost": last, "before": before, "after": after }))
}
