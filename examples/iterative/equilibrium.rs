//! A deep equilibrium layer `z = tanh(z·W + x·U + b)` (Bai, Kolter & Koltun, *Deep equilibrium models*, 2019) that
//! classifies digits of 8 × 8 pixels, trained with the implicit derivative, that of the last step, and that of the last
//! few.

use std::time::Instant;

use antiphon::data::Images;
use antiphon::linalg::svdvals;
use antiphon::nn::{Init, Rng};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::solve::{
    Derivative, FixedPointMethod, LinearLimit, LinearMethod, Options, Problem, fixed_point,
};
use antiphon::{IntTensor, NdArray, NdInt, OrRaise, Params, Real, Result, Tensor, Var, value_and_grad_aux};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::training_step;
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;

const HIDDEN: usize = 32;
const BATCH: usize = 50;
/// Images to train on, and others.
const IMAGES: [usize; 2] = [1000, 500];
/// The largest norm of `W`, a bound of `ρ`.
const CONTRACTION: f64 = 0.95;

/// `tanh(z·W + injected)`.
#[derive(Clone, Debug)]
struct Layer;

impl Problem for Layer {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, z: &T, (w, injected): &(T, T)) -> T {
        (z.matmul(w) + injected).tanh()
    }
}

#[derive(Clone, Params)]
struct Model<T> {
    /// `[64, hidden]`, `[hidden, hidden]`, `[hidden]`.
    u: T,
    w: T,
    b: T,
    /// `[hidden, 10]`, `[10]`.
    out: T,
    c: T,
}

impl Model<Array> {
    fn new(rng: &mut Rng) -> Model<Array> {
        let mut matrix = |rows, columns| Init::GlorotUniform.sample::<Array>(&[rows, columns], rng);
        let (u, w, out) = (matrix(64, HIDDEN), matrix(HIDDEN, HIDDEN), matrix(HIDDEN, 10));
        Model { u, w: contracted(&w), b: Array::zeros(&[HIDDEN]), out, c: Array::zeros(&[10]) }
    }
}

impl<T: Tensor> Model<T> {
    /// Logits `[batch, 10]`, and how many steps the layer took.
    fn apply(&self, images: &T, options: &Options) -> (T, T) {
        let injected = images.matmul(&self.u) + &self.b;
        let begin = injected.zeros_like();
        let found =
            fixed_point(&Layer, FixedPointMethod::PICARD, &begin, &(self.w.clone(), injected), options);
        let found = found.or_raise();
        (found.x.matmul(&self.out) + &self.c, found.info.steps)
    }
}

/// The matrix, scaled down where its norm is more than it may be.
fn contracted<T: Tensor>(w: &T) -> T {
    let norm = svdvals(w).max(..);
    w.clone() * (norm.recip() * CONTRACTION).minimum(&T::constant(1.0))
}

type State<T> = (Model<T>, OptState<Model<T>>);
/// Images `[batch, 64]`, labels, and the learning rate.
type Data<T> = ((T, <T as Real>::Int), T);

/// A step of training: the loss before it, and how many steps the layer took.
fn step<T: Tensor>(
    (model, adam): &mut State<T>,
    ((images, labels), lr): &Data<T>,
    options: &Options,
) -> Result<(T, T)> {
    let (loss, steps, gradient): (_, T, _) = value_and_grad_aux(
        |model: Model<Var<'_, T>>| {
            let (logits, steps) = model.apply(&Var::lift(images), options);
            (logits.cross_entropy(labels).mean(..), steps)
        },
        model,
    )?;
    Adam::default().update(adam, model, &gradient, lr)?;
    model.w = contracted(&model.w);
    Ok((loss, steps))
}

/// Drawn digits of 28 × 28 pixels, within 32 × 32, of which each pixel is the mean of 16: `[count, 64]`, from 0 to 1.
fn digits(images: &Images) -> Result<Array> {
    let mut small = vec![0.0; images.len() * 64];
    for (i, into) in small.chunks_mut(64).enumerate() {
        for (at, &pixel) in images.pixels(i).iter().enumerate() {
            let (row, column) = (at / 28 + 2, at % 28 + 2);
            into[row / 4 * 8 + column / 4] += f64::from(pixel) / (255.0 * 16.0);
        }
    }
    Array::from_elements(&[images.len(), 64], &small)
}

pub fn run(run: &Run) -> Result<Value> {
    let (training, others) = Images::draw(IMAGES.iter().sum(), run.seed).split_at(IMAGES[0]);
    let labels = |images: &Images| images.labels().iter().map(|&label| i64::from(label)).collect::<Vec<_>>();
    let (x, x_others) = (digits(&training)?, digits(&others)?);
    let (y, y_others) = (labels(&training), labels(&others));
    let limit = LinearLimit { tolerance: 1e-6, steps: 1000 };
    let derivatives = [
        ("implicit", Derivative::Implicit(LinearMethod::BiCgStab(limit))),
        ("one-step", Derivative::OneStep),
        ("last 5 steps", Derivative::KSteps(5)),
    ];
    let (mut reports, mut curves) = (Vec::new(), [Vec::new(), Vec::new()]);
    println!("derivative      ms a step   layer's steps   loss   accuracy on {} others", IMAGES[1]);
    for (name, derivative) in derivatives {
        let options = Options::default().absolute(1e-6).max_steps(2000).derivative(derivative);
        let model = Model::new(&mut Rng::new(run.seed + 1));
        let start = (model.clone(), Adam::default().init(&model));
        let mut trained = training_step!(run.mode, start, |state, data| step(state, data, &options))?;
        let (mut losses, mut inner, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..run.steps(200) {
            let begin = number * BATCH % IMAGES[0];
            let labels = NdInt::from_elements(&[BATCH], &y[begin..begin + BATCH])?;
            let data = ((x.slice(0, begin..begin + BATCH), labels), Array::scalar(5e-3));
            let start = Instant::now();
            let (loss, steps) = trained.call(&data)?;
            seconds.push(start.elapsed().as_secs_f64());
            losses.push(loss.item());
            inner.push(steps.item());
        }
        let (model, _) = trained.state();
        let guesses = model.apply(&x_others, &options).0.argmax(-1).elements().unwrap_or_default();
        let right = guesses.iter().zip(&y_others).filter(|(a, b)| a == b).count();
        let accuracy = right as f64 / y_others.len() as f64;
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let ms = sorted[sorted.len() / 2] * 1e3;
        let last =
            losses[losses.len().saturating_sub(20)..].iter().sum::<f64>() / losses.len().min(20) as f64;
        let most = inner.iter().copied().fold(0.0, f64::max);
        println!("{name:<14} {ms:>10.3} {most:>13} {last:>9.4} {accuracy:>10.3}");
        curves[0].push(Series::counted(name, &means(&losses)));
        // The first call compiles.
        let mut clock = 0.0;
        let times = seconds[1..].iter().map(|s| {
            clock += s;
            clock
        });
        curves[1].push(Series::line(name, times.zip(means(&losses[1..])).collect()));
        reports.push(json!({
            "derivative": name, "losses": losses, "accuracy": accuracy, "ms": ms, "layer_steps": inner,
        }));
    }
    let [by_step, by_time] = curves;
    let title = "Equilibrium layer on digits of 8 × 8 pixels";
    picture::draw(
        &run.out.join("deq.svg"),
        &[
            Panel::new(title, ["steps", "loss, mean of ten steps"], by_step),
            Panel::new("The same over time", ["seconds", "loss, mean of ten steps"], by_time),
        ],
    )?;
    Ok(json!({ "example": "deq", "runs": reports }))
}

/// Of each number, the mean of the ten up to it.
fn means(losses: &[f64]) -> Vec<f64> {
    let mean = |i: usize| {
        let recent = &losses[(i + 1).saturating_sub(10)..=i];
        recent.iter().sum::<f64>() / recent.len() as f64
    };
    (0..losses.len()).map(mean).collect()
}
