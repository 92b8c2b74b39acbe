//! Networks that learn digits with a penalty on the bound of their Lipschitz constant, and without.

use std::path::Path;
use std::time::{Duration, Instant};

use antiphon::data::Images;
use antiphon::lipschitz::{Bound, Domain, Network, lipschitz_bound};
use antiphon::nn::{Init, Linear, Rng};
use antiphon::optim::metrics::{accuracy, certified_accuracy};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::{NdArray, NdInt, Params, Real, Result, Tensor, Var, value_and_grad};
use plotters::prelude::SeriesLabelPosition;
use serde_json::{Value, json};

use crate::common::mode::{Mode, training_step};
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;

/// Of pictures, in pixels.
pub const SIDE: usize = 28;
const SIZES: [usize; 4] = [SIDE * SIDE, 64, 32, 10];
const BATCH: usize = 100;
const TRAINED: usize = 10_000;
const TESTED: usize = 2_000;
/// What the logarithm of the bound is multiplied by, in the loss.
const WEIGHTS: [f64; 5] = [0.0, 0.1, 0.2, 0.3, 0.4];
/// Radii of balls about a picture, whose pixels are from 0 to 1.
const RADII: [f64; 4] = [0.05, 0.1, 0.2, 0.5];

type Layers<T> = Vec<Linear<T>>;
type State<T> = (Layers<T>, OptState<Layers<T>>);
/// Pictures `[batch, 784]`, labels, the learning rate and the penalty's weight.
type Data<T> = ((T, <T as Real>::Int), (T, T));

fn logits<T: Tensor>(layers: &[Linear<T>], x: &T) -> T {
    let (last, hidden) = layers.split_last().expect("a network has layers");
    last.apply(&hidden.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu()))
}

/// The bound by AutoLip, everywhere.
fn bound<T: Tensor>(layers: &Layers<T>) -> T {
    let lifted = layers.map_leaves(Bound::lift);
    lipschitz_bound(|x| logits(&lifted, &x), &Domain::Everywhere(T::zeros(&[SIZES[0]])))
}

/// Cross-entropy, and a multiple of the bound's logarithm.
fn step<T: Tensor>((layers, adam): &mut State<T>, ((x, labels), (rate, weight)): &Data<T>) -> Result<T> {
    let (loss, gradient) = value_and_grad(
        |layers: Layers<Var<'_, T>>| {
            let entropy = logits(&layers, &Var::lift(x)).cross_entropy(labels).mean(..);
            entropy + bound(&layers).log() * &Var::lift(weight)
        },
        layers,
    )?;
    Adam::default().update(adam, layers, &gradient, rate)?;
    Ok(loss)
}

/// So many pictures from one on, `[count, 784]`, and their labels.
pub fn digits(images: &Images, start: usize, count: usize) -> Result<(Array, NdInt)> {
    let places = (start..start + count).map(|i| i % images.len());
    let pixels: Vec<f64> =
        places.clone().flat_map(|i| images.pixels(i)).map(|&pixel| f64::from(pixel) / 255.0).collect();
    let labels: Vec<i64> = places.map(|i| images.labels()[i].into()).collect();
    Ok((Array::from_elements(&[count, SIZES[0]], &pixels)?, NdInt::from(labels)))
}

/// Trains them, and says how accurate they are, and what is certain of that.
pub fn penalties(mode: Mode, steps: Option<usize>, seed: u64, limit: Duration, out: &Path) -> Result<Value> {
    let (train, test) = Images::draw(TRAINED + TESTED, seed).split_at(TRAINED);
    let (x, labels) = digits(&test, 0, TESTED)?;
    let steps = steps.unwrap_or(1500);
    println!("penalty  accuracy  step ms    AutoLip  LipSDP-Neuron   certified accuracy within {RADII:?}");
    let (mut rows, mut series) = (Vec::new(), Vec::new());
    for weight in WEIGHTS {
        let mut rng = Rng::new(seed);
        let layer = |sizes: &[usize]| Linear {
            w: Init::HeUniform.sample(&[sizes[0], sizes[1]], &mut rng),
            b: Some(Array::zeros(&[sizes[1]])),
        };
        let layers: Layers<Array> = SIZES.windows(2).map(layer).collect();
        let start = (layers.clone(), Adam::default().init(&layers));
        let mut training = training_step!(mode, start, step)?;
        let mut clock = Instant::now();
        for number in 0..steps {
            let rate = Array::scalar(2e-3 * (1.0 - number as f64 / steps as f64));
            training.call(&(digits(&train, number * BATCH, BATCH)?, (rate, Array::scalar(weight))))?;
            if number == 0 {
                // The first one is compiled.
                clock = Instant::now();
            }
        }
        let milliseconds = clock.elapsed().as_secs_f64() * 1e3 / (steps - 1).max(1) as f64;
        let (layers, _) = training.state();
        let weights: Vec<Array> = layers.iter().map(|layer| layer.w.clone()).collect();
        let network = Network::relu(&weights)?;
        let (auto_lip, certified) = (network.auto_lip().value, network.lipsdp_neuron(limit)?.value);
        let y = logits(&layers, &x);
        let right = accuracy(&y, &labels).item();
        let kept = RADII.map(|radius| certified_accuracy(&y, &labels, certified, radius).item());
        println!(
            "{weight:>7} {right:>9.4} {milliseconds:>8.2} {auto_lip:>10.3} {certified:>14.3}   {kept:?}"
        );
        let mut curve = vec![(0.0, right)];
        curve.extend(RADII.into_iter().zip(kept));
        series.push(Series::line(&format!("penalty {weight}"), curve));
        rows.push(json!({
            "penalty": weight, "accuracy": right, "step_ms": milliseconds, "auto_lip": auto_lip,
            "lipsdp_neuron": certified, "radii": RADII, "certified_accuracy": kept,
        }));
    }
    let panel = Panel::new("Certified accuracy on digits", ["radius", "part of the pictures"], series);
    picture::draw(&out.join("penalties.svg"), &[panel.legend(SeriesLabelPosition::LowerLeft)])?;
    Ok(json!({ "table": "penalties", "steps": steps, "rows": rows }))
}
