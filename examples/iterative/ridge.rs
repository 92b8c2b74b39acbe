//! Gradient descent for weighted ridge regression: the errors of four Jacobians over the steps, and over time.

use std::path::Path;
use std::time::Instant;

use antiphon::linalg::{eigvalsh, qr};
use antiphon::random::Key;
use antiphon::solve::{Derivative, FixedPointMethod, LinearMethod, Options, Problem, fixed_point};
use antiphon::{Batch, Dual, Int, NdArray, NdInt, OrRaise, Real, Result, Tensor, Var, jacobian};
use serde_json::{Value, json};

use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;

/// How many features, and how many points.
const SIZES: [usize; 2] = [10, 40];
/// How many steps at most.
const STEPS: usize = 5000;

/// A step of a length for `½(Xw − y)ᵀdiag(θ)(Xw − y) + ½α‖w‖²`, of `(length, α)`, `(X, y)` and `θ`.
#[derive(Clone, Debug)]
struct Descent;

impl Problem for Descent {
    type Unknown = Array;
    type Parameters = ((Array, Array), (Array, Array), Array);
    type Value = Array;
    fn value<T: Tensor>(&self, w: &T, ((length, alpha), (x, y), theta): &((T, T), (T, T), T)) -> T {
        let residual = (x.matmul(w) - y) * theta;
        w.clone() - (residual.matmul(x) + w.clone() * alpha) * length
    }
}

/// Data whose second derivative `XᵀX + αI` has the condition number `κ`, with `α` and the least and largest eigenvalue.
fn made(kappa: f64) -> (Array, Array, f64, [f64; 2]) {
    let [p, n] = SIZES;
    let [left, right, noise]: [Key<NdInt>; 3] = Key::new(&NdInt::constant(7)).split();
    let (u, _) = qr(&left.normal::<Array>(&[n, p]));
    let (v, _) = qr(&right.normal::<Array>(&[p, p]));
    // Singular values whose squares go from 1 to κ, α being small.
    let alpha = 1e-3;
    let values: Vec<f64> = (0..p)
        .map(|i| (kappa * (1.0 + alpha)).powf(i as f64 / (p - 1) as f64) - alpha)
        .map(f64::sqrt)
        .collect();
    let x = (u * Array::from(values).unsqueeze(0)).matmul(&v.transpose());
    let y = noise.normal::<Array>(&[n]);
    let eigenvalues = eigvalsh(&(x.transpose().matmul(&x) + Array::ones(&[p]).diag(0) * alpha));
    let ends = [0, p - 1].map(|i| eigenvalues.view()[[i]]);
    (x, y, alpha, ends)
}

/// The Jacobian of the weights `w` by `θ` after so many steps.
fn jacobian_after(data: &(Array, Array, f64), length: f64, options: &Options) -> Result<Array> {
    let (x, y, alpha) = data;
    jacobian(
        |theta: Var<'_, Dual<Batch<Array>>>| {
            let lift = |x: &Array| Var::lift(&Dual::lift(&Batch::lift(x)));
            let numbers = [length, *alpha].map(|x| lift(&Array::scalar(x)));
            let [length, alpha] = numbers;
            let begin = lift(&Array::zeros(&[SIZES[0]]));
            let parameters = ((length, alpha), (lift(x), lift(y)), theta);
            fixed_point(&Descent, FixedPointMethod::PICARD, &begin, &parameters, options).or_raise().x
        },
        &Array::ones(&[SIZES[1]]),
    )
}

/// The four derivatives, by name.
fn derivatives() -> [(&'static str, Derivative); 4] {
    [
        ("unrolled", Derivative::Unrolled { checkpoints: None }),
        ("implicit", Derivative::Implicit(LinearMethod::Direct)),
        ("one-step", Derivative::OneStep),
        ("100 steps", Derivative::KSteps(100)),
    ]
}

/// The curves for two condition numbers and two lengths of the steps.
pub fn curves(out: &Path) -> Result<Value> {
    let mut reports = Vec::new();
    let mut panels = Vec::new();
    let steps: Vec<usize> = (0..)
        .map(|i| (100.0 * 1.35f64.powi(i)).round() as usize)
        .take_while(|&k| k < STEPS)
        .chain([STEPS])
        .collect();
    for kappa in [100.0, 1000.0] {
        let (x, y, alpha, [mu, largest]) = made(kappa);
        let data = (x.clone(), y.clone(), alpha);
        // (XᵀX + αI)⁻¹·xᵢ(yᵢ − xᵢᵀw), of the exact w.
        let inverse =
            antiphon::linalg::inv(&(x.transpose().matmul(&x) + Array::ones(&[SIZES[0]]).diag(0) * alpha));
        let w = inverse.matmul(&y.matmul(&x));
        let rest = y.clone() - x.matmul(&w);
        let exact = inverse.matmul(&(x.transpose() * rest.unsqueeze(0)));
        let size = exact.square().sum(..).item().sqrt();
        for (rule, length) in [("1/L", 1.0 / largest), ("2/(μ + L)", 2.0 / (mu + largest))] {
            let rho = (1.0 - length * mu).abs().max((1.0 - length * largest).abs());
            println!("κ = {:.0}, steps of {rule}, ρ = {rho:.5}", largest / mu);
            println!("  steps   relative error of the Jacobian");
            println!("          {}", derivatives().map(|(name, _)| format!("{name:>10}")).join(" "));
            let mut over_steps: Vec<Series> =
                derivatives().map(|(name, _)| Series::line(name, Vec::new())).into();
            let mut over_time: Vec<Series> =
                derivatives().map(|(name, _)| Series::line(name, Vec::new())).into();
            for &k in &steps {
                let mut row = Vec::new();
                for (i, (_, derivative)) in derivatives().into_iter().enumerate() {
                    let start = Instant::now();
                    let found = jacobian_after(&data, length, &Options::steps(k).derivative(derivative))?;
                    let ms = start.elapsed().as_secs_f64() * 1e3;
                    let error = (found - &exact).square().sum(..).item().sqrt() / size;
                    over_steps[i].points.push((k as f64, error));
                    over_time[i].points.push((ms, error));
                    row.push(error);
                }
                println!(
                    "{k:>7}   {}",
                    row.iter().map(|error| format!("{error:>10.2e}")).collect::<Vec<_>>().join(" ")
                );
            }
            let points = |curves: &[Series]| -> Value {
                curves
                    .iter()
                    .map(|curve| (curve.name.clone(), json!(curve.points)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            };
            reports.push(json!({
                "kappa": largest / mu, "rule": rule, "rho": rho,
                "error_by_steps": points(&over_steps), "error_by_ms": points(&over_time),
            }));
            if rule == "1/L" {
                let title = if kappa < 500.0 { "κ = 100, steps of 1/L" } else { "κ = 1,000, steps of 1/L" };
                for (unit, curves) in [("steps", over_steps), ("milliseconds", over_time)] {
                    let axes = [unit, "relative error of the Jacobian"];
                    let panel = Panel::new(title, axes, curves).of_powers();
                    panels.push(panel.legend(plotters::prelude::SeriesLabelPosition::LowerLeft));
                }
            }
        }
    }
    picture::draw(&out.join("ridge.svg"), &panels)?;
    Ok(json!({ "experiment": "ridge", "runs": reports }))
}
