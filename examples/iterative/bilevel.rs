//! Descent on the hyperparameter of a regularised regression with the gradient of the last `K` steps, whose error is a
//! floor that the true gradient does not fall below; and what the bound `ρᴷ·L/(1 − ρ)` says of that floor.

use std::path::Path;

use antiphon::random::Key;
use antiphon::recording::Recorded;
use antiphon::solve::{Derivative, LinearMethod, MinimizeMethod, Options, Problem, minimize};
use antiphon::{Int, NdArray, NdInt, OrRaise, Real, Result, Tensor, Var, compile, value_and_grad};
use serde_json::{Value, json};

use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;
/// X and y to fit, and others to judge by.
type Data<T> = ((T, T), (T, T));

/// `½‖Xw − y‖²/n + ½·exp(θ)·‖w‖²`.
#[derive(Clone, Debug)]
struct Ridge;

impl Problem for Ridge {
    type Unknown = Array;
    type Parameters = ((Array, Array), Array);
    type Value = Array;
    fn value<T: Tensor>(&self, w: &T, ((x, y), theta): &((T, T), T)) -> T {
        let count = x.shape()[0] as f64;
        (x.matmul(w) - y).square().sum(..) * (0.5 / count) + theta.exp() * w.square().sum(..) * 0.5
    }
}

/// The loss on the other points, and its derivative by θ.
fn outer<T: Tensor>(
    theta: &T,
    ((x, y), (x_other, y_other)): &Data<T>,
    length: f64,
    options: &Options,
) -> (T, T) {
    value_and_grad(
        |theta: Var<'_, T>| {
            let parameters = ((Var::lift(x), Var::lift(y)), theta.clone());
            let begin = Var::lift(&T::zeros(&[x.shape()[1]]));
            let method = MinimizeMethod::GradientDescent { length };
            let w = minimize(&Ridge, &method, &begin, &parameters, options).or_raise().x;
            let count = x_other.shape()[0] as f64;
            (Var::lift(x_other).matmul(&w) - y_other).square().sum(..) * (0.5 / count)
        },
        theta,
    )
    .or_raise()
}

/// Outer descent by the last 1, 10, … steps of the inner one.
pub fn descent(out: &Path) -> Result<Value> {
    // Until what is descended by has vanished, and never longer than this.
    const OUTER: usize = 5_000;
    /// Of the hyperparameter, for which the length of the inner steps is chosen.
    const LIMITS: [f64; 2] = [-6.0, 2.0];
    let [x, x_other, noise, other_noise, weights]: [Key<NdInt>; 5] = Key::new(&NdInt::constant(11)).split();
    // So few points, and so much noise, that the best hyperparameter is neither very small nor very large.
    let (n, p) = (30, 20);
    let w: Array = weights.normal(&[p]);
    let points = |key: Key<NdInt>, noise: Key<NdInt>| {
        let x: Array = key.normal(&[n, p]);
        let y = x.matmul(&w) + noise.normal::<Array>(&[n]) * 4.0;
        (x, y)
    };
    let data = (points(x, noise), points(x_other, other_noise));
    let largest = {
        let x = &data.0.0;
        antiphon::linalg::eigvalsh(&(x.transpose().matmul(x) * (1.0 / n as f64))).max(..).item()
            + LIMITS[1].exp()
    };
    println!(
        "last steps      θ       ρ   norm of the true gradient at the end   bound of the gradient's error there"
    );
    let (mut reports, mut curves) = (Vec::new(), Vec::new());
    let length = 1.0 / largest;
    for steps in [1, 10, 50, 200] {
        let exact = Options::default()
            .absolute(1e-11)
            .max_steps(20_000)
            .derivative(Derivative::Implicit(LinearMethod::Direct));
        let last_steps = exact.clone().derivative(Derivative::KSteps(steps));
        let both = |(theta, data): (Recorded, Data<Recorded>)| {
            let ((x, y), _) = &data;
            // ρ and L of the inner iteration, at the solution: A = I − length·H, B = −length·exp(θ)·w.
            let parameters = ((*x, *y), theta);
            let method = MinimizeMethod::GradientDescent { length };
            let begin = Recorded::zeros(&[p]);
            let estimated = exact.clone().estimate(antiphon::solve::Estimate::Dense);
            let info = minimize(&Ridge, &method, &begin, &parameters, &estimated).or_raise().info;
            (
                outer(&theta, &data, length, &last_steps),
                outer(&theta, &data, length, &exact).1,
                info.rho.expect("asked for"),
            )
        };
        let begin = Array::scalar(-3.0);
        let mut step = compile("outer", both, &(begin.clone(), data.clone()))?;
        let mut theta = begin;
        let mut points = Vec::new();
        let norm = |x: &Array| x.square().sum(..).item().sqrt();
        let mut last = (0.0, 0.0, 0.0);
        for k in 0..OUTER {
            let ((_, approximate), gradient, rho) = step.call(&(theta.clone(), data.clone()))?;
            points.push(((k + 1) as f64, norm(&gradient)));
            last = (norm(&gradient), rho.item(), norm(&(approximate.clone() - &gradient)));
            if norm(&approximate) < 1e-9 {
                break;
            }
            theta = (theta - approximate).clamp(LIMITS[0], LIMITS[1]);
        }
        // ‖∇ₓloss‖·ρ·L/(1 − ρ) with L = length·exp(θ)·‖w‖.
        let ((x, y), (x_other, y_other)) = &data;
        let parameters = ((x.clone(), y.clone()), theta.clone());
        let method = MinimizeMethod::GradientDescent { length };
        let w = minimize(&Ridge, &method, &Array::zeros(&[p]), &parameters, &exact)?.x;
        let slope = (x_other.matmul(&w) - y_other).matmul(x_other) * (1.0 / n as f64);
        let by_theta = length * theta.exp().item() * norm(&w);
        let (floor, rho, error) = last;
        let bound = norm(&slope) * rho.powi(steps as i32) * by_theta / (1.0 - rho);
        println!("{steps:>10} {:>7.3} {rho:>7.4} {floor:>20.3e} {bound:>36.3e}", theta.item());
        reports.push(json!({
            "last_steps": steps, "theta": theta.item(), "rho": rho, "true_gradient": floor, "error": error, "bound": bound,
            "gradient_by_outer_step": points,
        }));
        let name = if steps == 1 { "last step".into() } else { format!("last {steps} steps") };
        curves.push(Series::line(&name, points));
    }
    let title = "True gradient under descent by the last steps";
    let panel = Panel::new(title, ["outer steps", "norm of the true gradient"], curves).of_powers();
    picture::draw(&out.join("bilevel.svg"), &[panel])?;
    Ok(json!({ "experiment": "bilevel", "runs": reports }))
}
