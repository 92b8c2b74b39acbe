//! The structure of the paper's tables, whose weights were never published: networks that are trained here instead.

use std::path::Path;
use std::time::{Duration, Instant};

use antiphon::linalg::qr;
use antiphon::lipschitz::Network;
use antiphon::nn::{Init, Linear, Rng};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::{NdArray, Real, Result, Tensor, Var, value_and_grad};
use plotters::prelude::SeriesLabelPosition;
use serde_json::{Value, json};

use crate::common::mode::{Mode, training_step};
use crate::picture::{self, Panel, Series};
use crate::report;

type Array = NdArray<f64>;

const WIDTH: usize = 20;
/// Points that a network is trained on.
const POINTS: usize = 256;

type State<T> = (Vec<Linear<T>>, OptState<Vec<Linear<T>>>);
/// Points `[count, 2]`, what the function is there `[count, 1]`, and the learning rate.
type Data<T> = ((T, T), T);

fn predicted<T: Tensor>(layers: &[Linear<T>], x: &T) -> T {
    let (last, hidden) = layers.split_last().expect("a network has layers");
    let x = hidden.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu());
    last.apply(&x)
}

fn step<T: Tensor>((layers, adam): &mut State<T>, ((x, y), lr): &Data<T>) -> Result<T> {
    let (loss, gradient) = value_and_grad(
        |layers: Vec<Linear<Var<'_, T>>>| {
            (predicted(&layers, &Var::lift(x)) - Var::lift(y)).square().mean(..)
        },
        layers,
    )?;
    Adam::default().update(adam, layers, &gradient, lr)?;
    Ok(loss)
}

/// Networks of 4 to 10 layers of 20 neurons that have learnt `cos(3a)·sin(2b + a)` on `[−1, 1]²`: how far AutoLip is above
/// SeqLip, and what the other methods say.
pub fn depth(mode: Mode, steps: Option<usize>, seed: u64, limit: Duration, out: &Path) -> Result<Value> {
    let mut rng = Rng::new(seed);
    let mut uniform = || 2.0 * rng.uniform() - 1.0;
    let points: Vec<f64> = (0..2 * POINTS).map(|_| uniform()).collect();
    let values: Vec<f64> = points.chunks(2).map(|p| (3.0 * p[0]).cos() * (2.0 * p[1] + p[0]).sin()).collect();
    let x = Array::from_elements(&[POINTS, 2], &points)?;
    let y = Array::from_elements(&[POINTS, 1], &values)?;
    let steps = steps.unwrap_or(2000);
    println!(
        "layers    loss  training s      AutoLip  ECLipsE-Fast    LipSDP    SeqLip   greedy below by  lower bound  AutoLip/SeqLip"
    );
    let (mut rows, mut curves) = (Vec::new(), [const { Vec::new() }; 3]);
    for depth in 4..=10 {
        let mut rng = Rng::new(seed + depth as u64);
        let size = |i: usize| {
            if i == 0 {
                2
            } else if i == depth {
                1
            } else {
                WIDTH
            }
        };
        let layer = |i: usize| Linear {
            w: Init::HeUniform.sample(&[size(i), size(i + 1)], &mut rng),
            b: Some(Array::zeros(&[size(i + 1)])),
        };
        let layers: Vec<Linear<Array>> = (0..depth).map(layer).collect();
        let start = (layers.clone(), Adam::default().init(&layers));
        let clock = Instant::now();
        let mut training = training_step!(mode, start, step)?;
        let mut loss = f64::NAN;
        for number in 0..steps {
            let rate = 3e-3 * (1.0 - number as f64 / steps as f64);
            loss = training.call(&((x.clone(), y.clone()), Array::scalar(rate)))?.item();
        }
        let (layers, _) = training.state();
        let seconds = clock.elapsed().as_secs_f64();
        let weights: Vec<Array> = layers.iter().map(|layer| layer.w.clone()).collect();
        let biases: Vec<Array> = layers.iter().filter_map(|layer| layer.b.clone()).collect();
        let network = Network::relu(&weights)?.with_biases(&biases)?;
        let outcomes = report::outcomes(&network, limit);
        let value = |name: &str| {
            outcomes
                .iter()
                .find(|outcome| outcome.name == name)
                .and_then(report::Outcome::value)
                .unwrap_or(f64::NAN)
        };
        let (auto_lip, fast, lipsdp) = (value("auto_lip"), value("eclipse_fast"), value("lipsdp_neuron"));
        let (exact, greedy, lower) = (value("seq_lip_exact"), value("seq_lip_greedy"), value("lower_bound"));
        let gap = (1.0 - greedy / exact).max(0.0);
        println!(
            "{depth:>6} {loss:>8.1e} {seconds:>10.2} {auto_lip:>13.3} {fast:>13.3} {lipsdp:>9.3} {exact:>9.3} {:>15.4} % {lower:>11.3} {:>15.3}",
            100.0 * gap,
            auto_lip / exact,
        );
        for (curve, ratio) in curves.iter_mut().zip([exact, lipsdp, lower]) {
            curve.push((depth as f64, auto_lip / ratio));
        }
        rows.push(json!({
            "layers": depth, "loss": loss, "training_seconds": seconds, "auto_lip": auto_lip, "eclipse_fast": fast,
            "lipsdp_neuron": lipsdp, "seq_lip_exact": exact, "seq_lip_greedy": greedy, "lower_bound": lower,
        }));
    }
    let [exact, lipsdp, lower] = curves;
    let series = vec![
        Series::line("SeqLip", exact),
        Series::line("LipSDP-Neuron", lipsdp),
        Series::line("lower bound", lower),
    ];
    let panel =
        Panel::new("AutoLip over other bounds", ["layers of 20 neurons", "ratio"], series).logarithmic();
    picture::draw(&out.join("depth.svg"), &[panel.legend(SeriesLabelPosition::UpperLeft)])?;
    Ok(json!({ "table": "depth", "rows": rows }))
}

/// Two layers with random singular vectors and singular values `1, r, r², …`: what part of AutoLip is left of SeqLip. With
/// one singular value each it is 1/π in the limit, for vectors that have nothing to do with each other.
pub fn spectrum(seed: u64, out: &Path) -> Result<Value> {
    const TIMES: usize = 3;
    let sizes = [10, 30, 60];
    println!("r       n = 10    n = 30    n = 60   (SeqLip, greedy, over AutoLip; 1/π = 0.3183)");
    let mut rng = Rng::new(seed);
    let mut orthogonal =
        |n: usize| qr(&Init::Normal { mean: 0.0, std: 1.0 }.sample::<Array>(&[n, n], &mut rng)).0;
    let (mut rows, mut curves) = (Vec::new(), vec![Vec::new(); sizes.len()]);
    for tenth in 0..=10 {
        let r = f64::from(tenth) / 10.0;
        let mut row = Vec::new();
        for (curve, n) in curves.iter_mut().zip(sizes) {
            let values = Array::from((0..n).map(|k| r.powi(k as i32)).collect::<Vec<f64>>());
            let mut sum = 0.0;
            for _ in 0..TIMES {
                let first = values.diag(0).matmul(&orthogonal(n));
                let second = orthogonal(n).matmul(&values.diag(0));
                let network = Network::relu(&[first, second])?;
                sum += network.seq_lip_greedy()?.value / network.auto_lip().value;
            }
            curve.push((r, sum / TIMES as f64));
            row.push(sum / TIMES as f64);
        }
        println!("{r:.1} {:>12.4} {:>9.4} {:>9.4}", row[0], row[1], row[2]);
        rows.push(json!({ "r": r, "ratios": row }));
    }
    let mut series: Vec<Series> =
        sizes.iter().zip(curves).map(|(n, curve)| Series::line(&format!("{n} neurons"), curve)).collect();
    let limit = std::f64::consts::FRAC_1_PI;
    series.push(Series::line("1/π", vec![(0.0, limit), (1.0, limit)]));
    let axes = ["ratio of neighbouring singular values", "SeqLip / AutoLip"];
    let panel = Panel::new("What is left of AutoLip", axes, series).legend(SeriesLabelPosition::LowerRight);
    picture::draw(&out.join("spectrum.svg"), &[panel])?;
    Ok(json!({ "table": "spectrum", "sizes": sizes, "rows": rows }))
}
