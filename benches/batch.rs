//! What one pass over a batch costs, against a pass for each row: `cargo bench --features staging --bench batch`.
//!
//! A table of milliseconds, the least of many runs: the Hessian of a function of 100 parameters, the gradients of the
//! 64 samples of a batch, and the Jacobians of the residuals of 31,843 observations in a bundle adjustment (a 2×15
//! block each, ADBench's), eagerly and compiled. Then 64 adjoints and 64 directions of one run of a model, against 64
//! runs, and sparse matrices: a tridiagonal Jacobian of 10,000 variables against a reverse sweep for each row (the dense
//! one pass has no room), and the Hessian of 2,000 variables against the dense one. JAX (under `jax.jit`) and PyTorch
//! (`torch.func`, `retain_graph`) are `peers/batch_peer.py`, run by the Python that `ANTIPHON_PEERS_PYTHON` names (that
//! of `make peers` by default); what is not installed is left out.

#[path = "peers/opponents.rs"]
mod opponents;

use std::hint::black_box;

use antiphon::recording::Recorded;
use antiphon::{
    Batch, Dual, IntTensor, NdArray, OrRaise, Padding, Params, Partial, Tensor, Var, compile,
    compile_derivative, grad, hessian, hessian_sparsity, hvp, jacobian, jacobian_sparsity, jvp, linearize,
    pullback, sparse_hessian, sparse_jacobian, value_and_grad, vjp, vmap,
};

use opponents::{Times, numbers, opponents, size_of, time};

type Array = NdArray<f64>;

/// The sum of Rosenbrock's functions of neighbours.
fn rosenbrock<T: Tensor>(x: &T) -> T {
    let n = x.shape()[0];
    let (left, right) = (x.slice(0, 0..n - 1), x.slice(0, 1..n));
    let (steep, flat) = (right - left.square(), left.ones_like() - left);
    (steep.square() * 100.0 + flat.square()).sum(..)
}

/// The perceptron of `make peers`.
#[derive(Clone, Params)]
struct Perceptron<T> {
    weights: Vec<T>,
    biases: Vec<T>,
}

impl<T: Tensor> Perceptron<T> {
    /// Cross-entropy of one sample.
    fn loss(&self, x: &T, label: &T::Int) -> T {
        let layers = self.weights.iter().zip(&self.biases);
        let hidden = layers.clone().take(self.weights.len() - 1);
        let x = hidden.fold(x.clone(), |x, (w, b)| (x.matmul(w) + b).relu());
        let (w, b) = layers.last().expect("a layer");
        (x.matmul(w) + b).cross_entropy(label)
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

struct Table([Times; 2]);

impl Table {
    /// A line: times of one pass and of each row, and opponents' times of what has this name, who have to have got the
    /// same.
    fn row(&self, name: &str, batch: f64, each: f64, theirs: &str, size: f64) {
        print!("{name:46} {batch:10.3} {each:10.3} {:8.1}", each / batch);
        for times in &self.0 {
            match times.get(theirs) {
                Some(&(ms, found)) => {
                    assert!((found - size).abs() <= 1e-5 * size, "{name}: {found} instead of {size}");
                    print!(" {ms:10.3}");
                }
                None => print!(" {:>10}", "-"),
            }
        }
        println!();
    }
}

fn hessians(table: &Table) {
    let x = numbers::<f64>(&[100], 1);
    let unit = |i: usize| Array::from((0..100).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<_>>());
    let units: Vec<Array> = (0..100).map(unit).collect();
    let batch = time(|| hessian(|x| rosenbrock(&x), &x).expect("it has one"));
    let each = time(|| {
        let rows: Vec<Array> =
            units.iter().map(|v| hvp(|x| rosenbrock(&x), &x, v).expect("it has one").1).collect();
        Array::stack(&rows, 0)
    });
    let size = size_of(&[hessian(|x| rosenbrock(&x), &x).expect("it has one")]);
    table.row("Hessian, 100 parameters, eager", batch, each, "hessian", size);
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
    let size = size_of(&[of_all.call(&x).expect("it runs")]);
    table.row("Hessian, 100 parameters, compiled", batch, each, "hessian", size);
}

fn gradients_of_samples(table: &Table) {
    let sizes = [784, 256, 128, 10];
    let weights: Vec<NdArray<f32>> = (0..3).map(|i| numbers(&sizes[i..i + 2], i) * 0.1).collect();
    let model = Perceptron { weights, biases: (0..3).map(|i| numbers(&sizes[i + 1..i + 2], i)).collect() };
    let xs: NdArray<f32> = numbers(&[64, 784], 5);
    let labels = numbers::<f64>(&[64, 10], 6).argmax(1);
    let example = (xs.clone(), labels.clone());
    type Single = NdArray<f32>;
    let batch = time(|| {
        let of_sample = |(x, label): (Batch<Single>, _)| {
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
        (0..64).map(of_sample).collect::<Vec<_>>()
    });
    let of_samples = {
        let of_sample = |(x, label): (Batch<Single>, _)| {
            grad(|model| model.loss(&Var::lift(&x), &label), &model.map_leaves(Batch::lift)).or_raise()
        };
        vmap(of_sample, &example).expect("they have gradients")
    };
    let size = size_of(&of_samples.leaves());
    table.row("gradients of 64 samples of the MLP, eager", batch, each, "samples", size);
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
    let parts: Vec<_> = (0..64).map(part).collect();
    let mut of_one = compile("gradient", of_one, &parts[0]).expect("it compiles");
    let batch = time(|| of_all.call(&whole).expect("it runs"));
    let each = time(|| parts.iter().map(|part| of_one.call(part).expect("it runs")).collect::<Vec<_>>());
    let size = size_of(&of_all.call(&whole).expect("it runs").leaves());
    table.row("gradients of 64 samples of the MLP, compiled", batch, each, "samples", size);
}

/// Camera, point and weight of an observation, and what else there is to it.
type Observation<T, F> = ((T, T, T), F);

/// Which direction JAX is faster in.
fn faster(times: &Times) -> &'static str {
    let ms = |name: &str| times.get(name).map_or(f64::INFINITY, |&(ms, _)| ms);
    if ms("blocks_reverse") < ms("blocks_forward") { "blocks_reverse" } else { "blocks_forward" }
}

fn bundle_adjustment(table: &Table) {
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
    let (camera, point, weight) = blocks.call(&all).expect("it runs");
    let size = size_of(&[camera, point, weight]);
    table.row("Jacobians of 31,843 observations, compiled", batch, each, faster(&table.0[0]), size);
}

/// States of a recurrence `h ← tanh(w·h + x)` of 64 units, after 50 steps with inputs `[50, 64]`.
fn unrolled<T: Tensor>(w: &T, xs: &T) -> T {
    (0..xs.shape()[0]).fold(T::zeros(&[64]), |h, t| (w.matmul(&h) + xs.index(0, t)).tanh())
}

/// Iterations of a map of numbers.
fn chaos<T: Tensor>(x: T) -> T {
    (0..1000).fold(x, |x, _| (x.clone() * 3.7 - x.square() * 3.7).sin())
}

fn one_run_many_derivatives(table: &Table) {
    let (w, xs) = (numbers(&[64, 64], 1) * 0.3, numbers(&[50, 64], 2));
    let adjoints: Vec<Array> = (0..64).map(|i| numbers(&[64], i)).collect();
    let directions: Vec<Array> = (0..64).map(|i| numbers(&[50, 64], i)).collect();
    fn constant<'r, T: Tensor>(w: &T) -> Var<'r, Partial<T>> {
        Var::lift(&Partial::lift(w))
    }
    let once = time(|| {
        let (_, back) = pullback::<_, Array>(|xs| unrolled(&constant(&w), &xs), &xs).expect("it has one");
        adjoints.iter().for_each(|y_bar| drop(black_box(back.apply(y_bar).expect("it fits"))));
    });
    let each = time(|| {
        for y_bar in &adjoints {
            black_box(vjp(|xs| unrolled(&Var::lift(&w), &xs), &xs, y_bar).expect("it has one"));
        }
    });
    let (_, back) = pullback::<_, Array>(|xs| unrolled(&constant(&w), &xs), &xs).expect("it has one");
    let pulled: Vec<Array> = adjoints.iter().map(|y_bar| back.apply(y_bar).expect("it fits")).collect();
    table.row("64 adjoints of a recurrence, eager", once, each, "pulled", size_of(&pulled));
    let once = time(|| {
        let w = Dual::lift(&Partial::lift(&w));
        let (_, derivative) = linearize(|xs| unrolled(&w, &xs), &xs).expect("it has one");
        directions.iter().for_each(|v| drop(black_box(derivative.apply(v).expect("it fits"))));
    });
    let each = time(|| {
        for v in &directions {
            black_box(jvp(|xs| unrolled(&Dual::lift(&w), &xs), &xs, v).expect("it has one"));
        }
    });
    table.row("64 directions of a recurrence, eager", once, each, "", 0.0);
    let of_point =
        |(w, xs): (Recorded, Recorded)| pullback::<_, Recorded>(|xs| unrolled(&constant(&w), &xs), &xs);
    let point = (w, xs);
    let mut pair = compile_derivative("pair", of_point, &point).expect("it compiles");
    let once = time(|| {
        black_box(pair.linearize(&point).expect("it runs"));
        adjoints.iter().for_each(|y_bar| drop(black_box(pair.apply(y_bar).expect("it fits"))));
    });
    let whole = |((w, xs), y_bar): ((Recorded, Recorded), Recorded)| {
        vjp(|xs| unrolled(&Var::lift(&w), &xs), &xs, &y_bar).or_raise().1
    };
    let calls: Vec<_> = adjoints.iter().map(|y_bar| (point.clone(), y_bar.clone())).collect();
    let mut whole = compile("whole", whole, &calls[0]).expect("it compiles");
    let each = time(|| calls.iter().for_each(|call| drop(black_box(whole.call(call).expect("it runs")))));
    pair.linearize(&point).expect("it runs");
    let pulled: Vec<Array> = adjoints.iter().map(|y_bar| pair.apply(y_bar).expect("it fits")).collect();
    table.row("64 adjoints of a recurrence, compiled", once, each, "pulled", size_of(&pulled));
    let x = Array::scalar(0.4);
    let once = time(|| {
        let (_, back) = pullback::<_, Array>(|x| chaos(x), &x).expect("it has one");
        (0..64).for_each(|i| drop(black_box(back.apply(&Array::scalar(f64::from(i))).expect("it fits"))));
    });
    let each = time(|| {
        for i in 0..64 {
            black_box(vjp(|x| chaos(x), &x, &Array::scalar(f64::from(i))).expect("it has one"));
        }
    });
    table.row("64 adjoints of 4,000 small operators, eager", once, each, "", 0.0);
}

/// A discretised equation `−u″ + eᵘ = 0` with ends that are held, without its factor.
fn equation<T: Tensor>(u: &T) -> T {
    let n = u.shape()[0];
    let around = u.pad(0, Padding { before: 1, after: 1, interior: 0 });
    u.clone() * 2.0 - around.slice(0, 0..n) - around.slice(0, 2..n + 2) + u.exp()
}

fn sparse_jacobians(table: &Table) {
    let x = numbers::<f64>(&[10_000], 1);
    let found = time(|| {
        let pattern = jacobian_sparsity(|x| equation(&x), &x).expect("it has one");
        (pattern.jacobian_colors(), pattern)
    });
    let pattern = jacobian_sparsity(|x| equation(&x), &x).expect("it has one");
    println!("{:46} {found:10.3}", "pattern of a Jacobian, 10,000 variables");
    // A hundredth of the rows.
    let unit =
        |i: usize| Array::from((0..10_000).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<_>>());
    let units: Vec<Array> = (0..100).map(unit).collect();
    let sparse = time(|| sparse_jacobian(|x| equation(&x), &x, &pattern).expect("it has one"));
    let sweeps = time(|| {
        units.iter().for_each(|y_bar| drop(vjp(|x| equation(&x), &x, y_bar).expect("it has one")));
    });
    table.row("Jacobian, 10,000 variables, eager", sparse, 100.0 * sweeps, "", 0.0);
    let of = |x: Recorded| sparse_jacobian(|x| equation(&x), &x, &pattern).or_raise().into_values();
    let mut of = compile("jacobian", of, &x).expect("it compiles");
    let sweep = |(x, y_bar): (Recorded, Recorded)| vjp(|x| equation(&x), &x, &y_bar).or_raise().1;
    let mut sweep = compile("sweep", sweep, &(x.clone(), x.clone())).expect("it compiles");
    let sparse = time(|| of.call(&x).expect("it runs"));
    let sweeps = time(|| {
        units.iter().for_each(|y_bar| drop(sweep.call(&(x.clone(), y_bar.clone())).expect("it runs")));
    });
    table.row("the same, compiled", sparse, 100.0 * sweeps, "", 0.0);
}

fn sparse_hessians(table: &Table) {
    let x = numbers::<f64>(&[2000], 1);
    let found = time(|| {
        let pattern = hessian_sparsity(|x| rosenbrock(&x), &x).expect("it has one");
        (pattern.hessian_colors().expect("it is symmetric"), pattern)
    });
    let pattern = hessian_sparsity(|x| rosenbrock(&x), &x).expect("it has one");
    println!("{:46} {found:10.3}", "pattern of a Hessian, 2,000 variables");
    let sparse = time(|| sparse_hessian(|x| rosenbrock(&x), &x, &pattern).expect("it has one"));
    let dense = time(|| hessian(|x| rosenbrock(&x), &x).expect("it has one"));
    table.row("Hessian, 2,000 variables, eager", sparse, dense, "", 0.0);
    let of = |x: Recorded| sparse_hessian(|x| rosenbrock(&x), &x, &pattern).or_raise().into_values();
    let mut of = compile("sparse", of, &x).expect("it compiles");
    let all = |x: Recorded| hessian(|x| rosenbrock(&x), &x).or_raise();
    let mut all = compile("dense", all, &x).expect("it compiles");
    let sparse = time(|| of.call(&x).expect("it runs"));
    let dense = time(|| all.call(&x).expect("it runs"));
    table.row("the same, compiled", sparse, dense, "", 0.0);
}

fn main() {
    let table = Table(opponents("batch_peer.py", ["jax", "torch"]));
    let heading = |once: &str, each: &str| {
        println!("{:46} {once:>10} {each:>10} {:>8} {:>10} {:>10}", "ms", "times", "JAX", "PyTorch");
    };
    heading("one pass", "each row");
    hessians(&table);
    gradients_of_samples(&table);
    bundle_adjustment(&table);
    println!();
    heading("one run", "each");
    one_run_many_derivatives(&table);
    println!();
    heading("sparse", "dense");
    sparse_jacobians(&table);
    sparse_hessians(&table);
}
