//! What one pass over a batch costs, against a pass for each row: `cargo bench --features staging --bench batch`.
//!
//! A table of milliseconds, the least of many runs: the Hessian of a function of 100 parameters, the gradients of the
//! 64 samples of a batch, and the Jacobians of the residuals of 31,843 observations in a bundle adjustment (a 2×15
//! block each, ADBench's), eagerly and compiled. A second one has sparse matrices: a tridiagonal Jacobian of 10,000
//! variables against a reverse sweep for each row (the dense one pass has no room), and the Hessian of 2,000 variables
//! against the dense one.

use std::hint::black_box;
use std::time::Instant;

use antiphon::recording::Recorded;
use antiphon::{
    Batch, Dual, IntTensor, NdArray, OrRaise, Padding, Params, Tensor, Var, compile, grad, hessian,
    hessian_sparsity, hvp, jacobian, jacobian_sparsity, sparse_hessian, sparse_jacobian, value_and_grad, vjp,
    vmap,
};

type Array = NdArray<f64>;

/// The sum of Rosenbrock's functions of neighbours.
fn rosenbrock<T: Tensor>(x: &T) -> T {
    let n = x.shape()[0];
    let (left, right) = (x.slice(0, 0..n - 1), x.slice(0, 1..n));
    let (steep, flat) = (right - left.square(), left.ones_like() - left);
    (steep.square() * 100.0 + flat.square()).sum(..)
}

#[derive(Clone, Params)]
struct Perceptron<T> {
    w1: T,
    b1: T,
    w2: T,
    b2: T,
}

impl<T: Tensor> Perceptron<T> {
    /// Cross-entropy of one sample.
    fn loss(&self, x: &T, label: &T::Int) -> T {
        let hidden = (x.matmul(&self.w1) + &self.b1).relu();
        (hidden.matmul(&self.w2) + &self.b2).cross_entropy(label)
    }
}

/// The residual of one observation: a point `[3]` as a camera `[11]` sees it, less where it was seen `[2]`, weighted.
fn residual<T: Tensor>(camera: &T, point: &T, weight: &T, feature: &T) -> T {
    let part = |range| camera.slice(0, range);
    let (rotation, centre) = (part(0..3), part(3..6));
    let at = |x: &T, i: usize| x.index(0, i);
    let cross = |a: &T, b: &T| {
        let term = |i: usize, j: usize| at(a, i) * at(b, j) - at(a, j) * at(b, i);
        T::stack(&[term(1, 2), term(2, 0), term(0, 1)], 0)
    };
    // Rodrigues' formula.
    let angle = rotation.square().sum(..).sqrt();
    let axis = rotation / &angle;
    let moved = point.clone() - centre;
    let along = axis.matmul(&moved) * (T::constant(1.0) - angle.cos());
    let seen = moved.clone() * angle.cos() + cross(&axis, &moved) * angle.sin() + axis * along;
    let plane = seen.slice(0, 0..2) / at(&seen, 2);
    let square = plane.square().sum(..);
    let distortion = square.clone() * at(camera, 9) + square.square() * at(camera, 10) + 1.0;
    let projected = plane * distortion * at(camera, 6) + part(7..9);
    (projected - feature) * weight
}

/// Irregular numbers between −½ and ½.
fn numbers(shape: &[usize], seed: usize) -> Array {
    let size: usize = shape.iter().product();
    let number = |i: usize| ((i + 1) as f64 * 0.618_033_988_749_895 + seed as f64 * 0.237).fract() - 0.5;
    Array::from_elements(shape, &(0..size).map(number).collect::<Vec<_>>()).expect("as many as the shape has")
}

/// Milliseconds of the fastest of the runs that fit into a second, at least three.
fn time<R>(mut run: impl FnMut() -> R) -> f64 {
    let (start, mut least, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || start.elapsed().as_secs_f64() < 1.0 {
        let before = Instant::now();
        black_box(run());
        least = least.min(before.elapsed().as_secs_f64() * 1e3);
        runs += 1;
    }
    least
}

fn row(name: &str, batch: f64, each: f64) {
    println!("{name:44} {batch:10.3} {each:10.3} {:8.1}", each / batch);
}

fn hessians() {
    let x = numbers(&[100], 1);
    let unit = |i: usize| Array::from((0..100).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<_>>());
    let units: Vec<Array> = (0..100).map(unit).collect();
    let batch = time(|| hessian(|x| rosenbrock(&x), &x).expect("it has one"));
    let each = time(|| {
        let rows: Vec<Array> =
            units.iter().map(|v| hvp(|x| rosenbrock(&x), &x, v).expect("it has one").1).collect();
        Array::stack(&rows, 0)
    });
    row("Hessian, 100 parameters, eager", batch, each);
    let of_all = |x: Recorded| hessian(|x| rosenbrock(&x), &x).or_raise();
    let mut of_all = compile("hessian", of_all, &x).expect("it compiles");
    let product = |(x, v): (Recorded, Recorded)| hvp(|x| rosenbrock(&x), &x, &v).or_raise().1;
    let mut product = compile("product", product, &(x.clone(), x.clone())).expect("it compiles");
    let batch = time(|| of_all.call(&x).expect("it runs"));
    let each = time(|| {
        let rows: Vec<Array> =
            units.iter().map(|v| product.call(&(x.clone(), v.clone())).expect("it runs")).collect();
        Array::stack(&rows, 0)
    });
    row("Hessian, 100 parameters, compiled", batch, each);
}

fn gradients_of_samples() {
    let (samples, inputs, hidden, classes) = (64, 64, 128, 10);
    let model = Perceptron {
        w1: numbers(&[inputs, hidden], 1),
        b1: numbers(&[hidden], 2),
        w2: numbers(&[hidden, classes], 3),
        b2: numbers(&[classes], 4),
    };
    let xs = numbers(&[samples, inputs], 5);
    let labels = numbers(&[samples, classes], 6).argmax(1);
    let example = (xs.clone(), labels.clone());
    let batch = time(|| {
        let of_sample = |(x, label): (Batch<Array>, _)| {
            grad(|model| model.loss(&Var::lift(&x), &label), &model.map_leaves(Batch::lift)).or_raise()
        };
        vmap(of_sample, &example).expect("they have gradients")
    });
    let each = time(|| {
        let of_sample = |i: usize| {
            let (x, label) = (xs.index(0, i), IntTensor::slice(&labels, 0, i..i + 1));
            let label = IntTensor::reshape(&label, &[]);
            grad(|model| model.loss(&Var::lift(&x), &label), &model).expect("it has a gradient")
        };
        (0..samples).map(of_sample).collect::<Vec<_>>()
    });
    row("gradients of 64 samples of an MLP, eager", batch, each);
    let of_all = |(model, (xs, labels)): (Perceptron<Recorded>, (Recorded, _))| {
        let of_sample = |(x, label): (Batch<Recorded>, _)| {
            grad(|model| model.loss(&Var::lift(&x), &label), &model.map_leaves(Batch::lift)).or_raise()
        };
        vmap(of_sample, &(xs, labels)).or_raise()
    };
    let whole = (model.clone(), example);
    let mut of_all = compile("gradients", of_all, &whole).expect("it compiles");
    let of_one = |(model, (x, label)): (Perceptron<Recorded>, (Recorded, _))| {
        value_and_grad(|model: Perceptron<Var<'_, Recorded>>| model.loss(&Var::lift(&x), &label), &model)
            .or_raise()
            .1
    };
    let part = |i: usize| {
        let label = IntTensor::slice(&labels, 0, i..i + 1);
        (model.clone(), (xs.index(0, i), IntTensor::reshape(&label, &[])))
    };
    let parts: Vec<_> = (0..samples).map(part).collect();
    let mut of_one = compile("gradient", of_one, &parts[0]).expect("it compiles");
    let batch = time(|| of_all.call(&whole).expect("it runs"));
    let each = time(|| parts.iter().map(|part| of_one.call(part).expect("it runs")).collect::<Vec<_>>());
    row("gradients of 64 samples of an MLP, compiled", batch, each);
}

/// Camera, point and weight of an observation, and what else there is to it.
type Observation<T, F> = ((T, T, T), F);

fn bundle_adjustment() {
    let n = 31_843;
    let camera = numbers(&[n, 11], 1) + 2.0;
    let (point, weight, feature) = (numbers(&[n, 3], 2), numbers(&[n], 3) + 1.0, numbers(&[n, 2], 4));
    let all: Observation<Array, Array> = ((camera, point, weight), feature);
    let block = |(x, feature): Observation<Batch<Recorded>, Batch<Recorded>>| {
        let feature = Dual::lift(&Batch::lift(&feature));
        jacobian(|(camera, point, weight)| residual(&camera, &point, &weight, &Var::lift(&feature)), &x)
            .or_raise()
    };
    let blocks = |x: Observation<Recorded, Recorded>| vmap(block, &x).or_raise();
    let mut blocks = compile("blocks", blocks, &all).expect("it compiles");
    let batch = time(|| blocks.call(&all).expect("it runs"));
    // One reverse sweep for each row of each block.
    let sweep = |(x, (feature, y_bar)): Observation<Recorded, (Recorded, Recorded)>| {
        let feature = &feature;
        vjp(|(camera, point, weight)| residual(&camera, &point, &weight, &Var::lift(feature)), &x, &y_bar)
            .or_raise()
            .1
    };
    let ((camera, point, weight), feature) = &all;
    let observations: Vec<Observation<Array, (Array, Array)>> = (0..2 * n)
        .map(|row| {
            let of = |x: &Array| x.index(0, row / 2);
            let y_bar = if row % 2 == 0 { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
            ((of(camera), of(point), of(weight)), (of(feature), y_bar.into()))
        })
        .collect();
    let mut sweep = compile("sweep", sweep, &observations[0]).expect("it compiles");
    let each = time(|| observations.iter().for_each(|x| drop(black_box(sweep.call(x).expect("it runs")))));
    row("Jacobians of 31,843 observations, compiled", batch, each);
}

/// A discretised equation `−u″ + eᵘ = 0` with ends that are held, without its factor.
fn equation<T: Tensor>(u: &T) -> T {
    let n = u.shape()[0];
    let around = u.pad(0, Padding { before: 1, after: 1, interior: 0 });
    u.clone() * 2.0 - around.slice(0, 0..n) - around.slice(0, 2..n + 2) + u.exp()
}

fn sparse_jacobians() {
    let x = numbers(&[10_000], 1);
    let found = time(|| {
        let pattern = jacobian_sparsity(|x| equation(&x), &x).expect("it has one");
        (pattern.jacobian_colors(), pattern)
    });
    let pattern = jacobian_sparsity(|x| equation(&x), &x).expect("it has one");
    println!("{:44} {found:10.3}", "pattern of a Jacobian, 10,000 variables");
    // A hundredth of the rows.
    let unit =
        |i: usize| Array::from((0..10_000).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<_>>());
    let units: Vec<Array> = (0..100).map(unit).collect();
    let sparse = time(|| sparse_jacobian(|x| equation(&x), &x, &pattern).expect("it has one"));
    let sweeps = time(|| {
        units.iter().for_each(|y_bar| drop(vjp(|x| equation(&x), &x, y_bar).expect("it has one")));
    });
    row("Jacobian, 10,000 variables, eager", sparse, 100.0 * sweeps);
    let of = |x: Recorded| sparse_jacobian(|x| equation(&x), &x, &pattern).or_raise().into_values();
    let mut of = compile("jacobian", of, &x).expect("it compiles");
    let sweep = |(x, y_bar): (Recorded, Recorded)| vjp(|x| equation(&x), &x, &y_bar).or_raise().1;
    let mut sweep = compile("sweep", sweep, &(x.clone(), x.clone())).expect("it compiles");
    let sparse = time(|| of.call(&x).expect("it runs"));
    let sweeps = time(|| {
        units.iter().for_each(|y_bar| drop(sweep.call(&(x.clone(), y_bar.clone())).expect("it runs")));
    });
    row("the same, compiled", sparse, 100.0 * sweeps);
}

fn sparse_hessians() {
    let x = numbers(&[2000], 1);
    let found = time(|| {
        let pattern = hessian_sparsity(|x| rosenbrock(&x), &x).expect("it has one");
        (pattern.hessian_colors().expect("it is symmetric"), pattern)
    });
    let pattern = hessian_sparsity(|x| rosenbrock(&x), &x).expect("it has one");
    println!("{:44} {found:10.3}", "pattern of a Hessian, 2,000 variables");
    let sparse = time(|| sparse_hessian(|x| rosenbrock(&x), &x, &pattern).expect("it has one"));
    let dense = time(|| hessian(|x| rosenbrock(&x), &x).expect("it has one"));
    row("Hessian, 2,000 variables, eager", sparse, dense);
    let of = |x: Recorded| sparse_hessian(|x| rosenbrock(&x), &x, &pattern).or_raise().into_values();
    let mut of = compile("sparse", of, &x).expect("it compiles");
    let all = |x: Recorded| hessian(|x| rosenbrock(&x), &x).or_raise();
    let mut all = compile("dense", all, &x).expect("it compiles");
    let sparse = time(|| of.call(&x).expect("it runs"));
    let dense = time(|| all.call(&x).expect("it runs"));
    row("the same, compiled", sparse, dense);
}

fn main() {
    println!("{:44} {:>10} {:>10} {:>8}", "ms", "one pass", "each row", "times");
    hessians();
    gradients_of_samples();
    bundle_adjustment();
    println!("\n{:44} {:>10} {:>10} {:>8}", "ms", "sparse", "dense", "times");
    sparse_jacobians();
    sparse_hessians();
}
