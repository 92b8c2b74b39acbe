//! Compiled training steps (forward, backward, gradient descent) of the models of pictures of `examples/cnn.rs` and
//! `examples/mlp.rs`, in f32: `cargo bench --bench staged_pictures --features staging`, perhaps with a name: `-- cnn`.
//!
//! Of each model: statements of its program, the time of its compilation, and of a step, the best of many and the median.

use std::hint::black_box;
use std::time::{Duration, Instant};

use antiphon::nn::{Init, Pool2d, Rng};
use antiphon::optim::{OptState, Optimizer, Sgd};
use antiphon::{NdArray, NdInt, Params, Tensor, TrainingStep, Var, Window2d, value_and_grad};

type Array = NdArray<f32>;

/// What a model makes of pictures.
trait Model<T: Tensor>: Params<Leaf = T> {
    fn logits(&self, images: &T) -> T;
}

/// conv 5×5 1→10, pool, relu, conv 5×5 10→20, pool, relu, 320→50, relu, 50→10.
#[derive(Clone, Params)]
struct Convolutional<T> {
    w1: T,
    w2: T,
    f1: T,
    b1: T,
    f2: T,
    b2: T,
}

impl<T: Tensor> Model<T> for Convolutional<T> {
    fn logits(&self, images: &T) -> T {
        let batch = images.shape()[0];
        let pool = Pool2d::new([2, 2]);
        let x = images.reshape(&[batch, 1, 28, 28]);
        let x = pool.max(&x.conv2d(&self.w1, Window2d::default())).relu();
        let x = pool.max(&x.conv2d(&self.w2, Window2d::default())).relu();
        let x = (x.reshape(&[batch, 320]).matmul(&self.f1) + &self.b1).relu();
        x.matmul(&self.f2) + &self.b2
    }
}

/// 784-256-128-10 with `relu` between the layers.
#[derive(Clone, Params)]
struct Perceptron<T> {
    w1: T,
    b1: T,
    w2: T,
    b2: T,
    w3: T,
    b3: T,
}

impl<T: Tensor> Model<T> for Perceptron<T> {
    fn logits(&self, images: &T) -> T {
        let x = (images.matmul(&self.w1) + &self.b1).relu();
        let x = (x.matmul(&self.w2) + &self.b2).relu();
        x.matmul(&self.w3) + &self.b3
    }
}

/// One step of gradient descent.
fn step<T, M>((model, state): &mut (M, OptState<M>), (images, labels): &(T, T::Int)) -> antiphon::Result<T>
where
    T: Tensor,
    M: Model<T> + Clone,
    for<'r> M::With<Var<'r, T>>: Model<Var<'r, T>>,
{
    let (loss, gradients) =
        value_and_grad(|model| model.logits(&Var::lift(images)).cross_entropy(labels).mean(..), &*model)?;
    Sgd::default().update(state, model, &gradients, &T::constant(0.05))?;
    Ok(loss)
}

fn report<S>(name: &str, training: TrainingStep<'_, S, (Array, NdInt), Array>, batch: usize) {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
        return;
    }
    let mut training = training.configure(|options| options.cache = None);
    let mut rng = Rng::new(2);
    let images = ndarray::Array2::from_shape_simple_fn([batch, 784], || rng.uniform() as f32);
    let labels = ndarray::Array1::from_shape_fn(batch, |i| (i * 7 % 10) as i64);
    let data = (NdArray::from(images), NdInt::from(labels));
    let first = training.call(&data).expect("a step").item();
    let (mut times, begin) = (Vec::new(), Instant::now());
    let mut last = first;
    while times.len() < 20 || (begin.elapsed() < Duration::from_secs(2) && times.len() < 5000) {
        let start = Instant::now();
        last = training.call(black_box(&data)).expect("a step").item();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let [best, median] = [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1e3);
    let compile = training.compile_time().as_secs_f64() * 1e3;
    println!(
        "{name}: compiled in {compile:.0} ms; step: best {best:.4} ms, median {median:.4} ms; losses {first:.4} … {last:.4}"
    );
}

fn main() {
    let mut rng = Rng::new(1);
    let mut weights = |shape: &[usize]| Init::HeUniform.sample(shape, &mut rng);
    let zeros = |n: usize| Array::zeros(&[n]);
    let model = Convolutional {
        w1: weights(&[10, 1, 5, 5]),
        w2: weights(&[20, 10, 5, 5]),
        f1: weights(&[320, 50]),
        b1: zeros(50),
        f2: weights(&[50, 10]),
        b2: zeros(10),
    };
    let state = Sgd::default().init(&model);
    report("cnn", TrainingStep::staged((model, state), step), 100);
    let model = Perceptron {
        w1: weights(&[784, 256]),
        b1: zeros(256),
        w2: weights(&[256, 128]),
        b2: zeros(128),
        w3: weights(&[128, 10]),
        b3: zeros(10),
    };
    let state = Sgd::default().init(&model);
    report("mlp", TrainingStep::staged((model, state), step), 64);
}
