//! Convolutional networks of 4 to 10 layers that have learnt digits: how far AutoLip is above SeqLip.

use std::path::Path;
use std::time::Instant;

use antiphon::check::RunsOn;
use antiphon::data::Images;
use antiphon::lipschitz::{
    AffineChain, AffineProgram, Slopes, convolution_norm_bound, lower_bound_on, spectral_norm_bound,
};
use antiphon::nn::{Conv2d, Init, Linear, Rng};
use antiphon::optim::metrics::accuracy;
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::{NdArray, Params, Real, Result, Tensor, Var, Window2d, value_and_grad};
use plotters::prelude::SeriesLabelPosition;
use serde_json::{Value, json};

use crate::common::mode::{Mode, training_step};
use crate::picture::{self, Panel, Series};
use crate::training::{SIDE, digits};

type Array = NdArray<f64>;

const DEPTHS: [usize; 4] = [4, 5, 7, 10];
const CHANNELS: [usize; 2] = [8, 16];
const HIDDEN: usize = 64;
const BATCH: usize = 50;
const TRAINED: usize = 10_000;
const TESTED: usize = 1_000;
/// Singular values of each layer that SeqLip sees: all of them, since those of convolutions fall off slowly, and what is
/// left out is counted in full.
const RANK: usize = 800;
/// Pictures at which the derivative's norm is computed.
const PICTURES: usize = 20;

/// Two convolutions that halve the picture's sides, others of the same size behind them, and two layers; ReLU between
/// all.
#[derive(Clone, Debug, Params)]
struct Layers<T> {
    convolutions: Vec<Conv2d<T>>,
    dense: Vec<Linear<T>>,
}

type State<T> = (Layers<T>, OptState<Layers<T>>);
/// Pictures `[batch, 784]`, labels, and the learning rate.
type Data<T> = ((T, <T as Real>::Int), T);

/// The side of the pictures behind so many convolutions.
fn side(convolutions: usize) -> usize {
    SIDE >> convolutions.min(2)
}

impl<T: Tensor> Layers<T> {
    fn new(depth: usize, rng: &mut Rng) -> Layers<T> {
        let convolution = |i: usize| {
            let channels = |i: usize| if i == 0 { 1 } else { CHANNELS[(i - 1).min(1)] };
            let stride = if i < 2 { [2, 2] } else { [1, 1] };
            let layer = Conv2d::new(rng, channels(i), channels(i + 1), [3, 3]);
            Conv2d { window: Window2d { stride, padding: [1, 1] }, ..layer }
        };
        let convolutions: Vec<Conv2d<T>> = (0..depth - 2).map(convolution).collect();
        let sizes = [CHANNELS[1] * side(2) * side(2), HIDDEN, 10];
        let dense = |sizes: &[usize]| Linear {
            w: Init::HeUniform.sample(sizes, rng),
            b: Some(T::zeros(&sizes[1..])),
        };
        Layers { convolutions, dense: sizes.windows(2).map(dense).collect() }
    }

    /// `[batch, 784]` to `[batch, 10]`.
    fn logits(&self, x: &T) -> T {
        let batch = x.shape()[0];
        let x = x.reshape(&[batch, 1, SIDE, SIDE]);
        let x = self.convolutions.iter().fold(x, |x, layer| layer.apply(&x).relu());
        let (last, hidden) = self.dense.split_last().expect("there are two");
        let x = x.reshape(&[batch, CHANNELS[1] * side(2) * side(2)]);
        last.apply(&hidden.iter().fold(x, |x, layer| layer.apply(&x).relu()))
    }
}

/// The network at one picture `[784]`, over every interpretation of it.
struct AtOnePicture<'a>(&'a Layers<Array>);

impl<T: Tensor> RunsOn<T> for AtOnePicture<'_> {
    fn call(&self, x: &[T]) -> T {
        let copy = |leaf: &Array| {
            let elements: Vec<f64> = leaf.view().iter().copied().collect();
            T::from_elements(&leaf.shape(), &elements).expect("as many elements")
        };
        self.0.map_leaves(copy).logits(&x[0].reshape(&[1, SIDE * SIDE]))
    }
}

fn step<T: Tensor>((layers, adam): &mut State<T>, ((x, labels), rate): &Data<T>) -> Result<T> {
    let (loss, gradient) = value_and_grad(
        |layers: Layers<Var<'_, T>>| layers.logits(&Var::lift(x)).cross_entropy(labels).mean(..),
        layers,
    )?;
    Adam::default().update(adam, layers, &gradient, rate)?;
    Ok(loss)
}

/// The layers as affine programs, of one picture.
fn chain(layers: &Layers<Array>) -> Result<AffineChain> {
    type Layer<'a> = Box<dyn for<'r> Fn(Var<'r, Array>) -> Var<'r, Array> + 'a>;
    let mut all: Vec<Layer<'_>> = Vec::new();
    for Conv2d { kernel, window, .. } in &layers.convolutions {
        all.push(Box::new(|x| x.conv2d(&Var::lift(kernel), *window)));
    }
    for Linear { w, .. } in &layers.dense {
        all.push(Box::new(|x| x.reshape(&[1, w.shape()[0]]).matmul(&Var::lift(w))));
    }
    let programs: Vec<AffineProgram<'_>> = all.iter().map(|layer| &**layer as AffineProgram<'_>).collect();
    AffineChain::new(&programs, &[1, 1, SIDE, SIDE], Slopes::UNIT, RANK)
}

/// The product of the layers' norms, each at least so.
fn auto_lip(layers: &Layers<Array>) -> Result<f64> {
    let mut bound = 1.0;
    for (i, layer) in layers.convolutions.iter().enumerate() {
        bound *= convolution_norm_bound(&layer.kernel, [side(i); 2], layer.window)?.value;
    }
    for layer in &layers.dense {
        bound *= spectral_norm_bound(&layer.w)?.value;
    }
    Ok(bound)
}

/// Trains them, and says what the methods make of them.
pub fn networks(mode: Mode, steps: Option<usize>, seed: u64, out: &Path) -> Result<Value> {
    let (train, test) = Images::draw(TRAINED + TESTED, seed).split_at(TRAINED);
    let (x, labels) = digits(&test, 0, TESTED)?;
    let points: Vec<Array> = (0..PICTURES).map(|i| x.index(0, i)).collect();
    let steps = steps.unwrap_or(400);
    println!("layers  accuracy  step ms      AutoLip   greedy SeqLip  lower bound  AutoLip/SeqLip  seconds");
    let (mut rows, mut curves) = (Vec::new(), [const { Vec::new() }; 3]);
    for depth in DEPTHS {
        let layers = Layers::new(depth, &mut Rng::new(seed + depth as u64));
        let start = (layers.clone(), Adam::default().init(&layers));
        let mut training = training_step!(mode, start, step)?;
        let mut clock = Instant::now();
        for number in 0..steps {
            let rate = Array::scalar(2e-3 * (1.0 - number as f64 / steps as f64));
            training.call(&(digits(&train, number * BATCH, BATCH)?, rate))?;
            if number == 0 {
                // The first one is compiled.
                clock = Instant::now();
            }
        }
        let milliseconds = clock.elapsed().as_secs_f64() * 1e3 / (steps - 1).max(1) as f64;
        let (layers, _) = training.state();
        let right = accuracy(&layers.logits(&x), &labels).item();
        let auto_lip = auto_lip(&layers)?;
        let clock = Instant::now();
        let greedy = chain(&layers)?.seq_lip_greedy()?.value;
        let seconds = clock.elapsed().as_secs_f64();
        let lower = lower_bound_on(&AtOnePicture(&layers), &points)?.value;
        println!(
            "{depth:>6} {right:>9.3} {milliseconds:>8.2} {auto_lip:>12.1} {greedy:>15.1} {lower:>12.2} {:>15.2} {seconds:>8.1}",
            auto_lip / greedy,
        );
        for (curve, value) in curves.iter_mut().zip([auto_lip, greedy, lower]) {
            curve.push((depth as f64, value));
        }
        rows.push(json!({
            "layers": depth, "accuracy": right, "step_ms": milliseconds, "auto_lip": auto_lip,
            "seq_lip_greedy": greedy, "seq_lip_seconds": seconds, "rank": RANK, "lower_bound": lower,
        }));
    }
    let names = ["AutoLip", "greedy SeqLip", "norm at pictures"];
    let series = names.iter().zip(curves).map(|(name, curve)| Series::line(name, curve)).collect();
    let panel = Panel::new("Convolutional networks on digits", ["layers", "constant"], series).logarithmic();
    picture::draw(&out.join("networks.svg"), &[panel.legend(SeriesLabelPosition::UpperLeft)])?;
    Ok(json!({ "table": "networks", "steps": steps, "rows": rows }))
}
