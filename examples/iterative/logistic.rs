//! Newton's method for weighted logistic regression, and the derivative of `½‖β‖²` by the weights.

use std::fs::File;
use std::path::Path;

use antiphon::error::Error;
use antiphon::random::Key;
use antiphon::recording::Recorded;
use antiphon::solve::{Derivative, LinearLimit, LinearMethod, MinimizeMethod, Options, Problem, minimize};
use antiphon::{Int, NdArray, NdInt, OrRaise, Real, Result, Tensor, Var, compile, value_and_grad};
use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use serde_json::{Value, json};

use crate::picture::{self, Panel, Series};
use crate::timing::in_turns;

type Array = NdArray<f64>;
/// X and y, w and λ, and where the iteration begins.
type Data<T> = ((T, T), (T, T), T);

/// `Σ wᵢ·log(1 + exp(−yᵢxᵢᵀβ)) + ½e^λ‖β‖²`.
#[derive(Clone, Debug)]
struct Logistic;

impl Problem for Logistic {
    type Unknown = Array;
    type Parameters = ((Array, Array), (Array, Array));
    type Value = Array;
    fn value<T: Tensor>(&self, beta: &T, ((x, y), (w, lambda)): &((T, T), (T, T))) -> T {
        let margins = x.matmul(beta) * y;
        ((-margins).softplus() * w).sum(..) + lambda.exp() * beta.square().sum(..) * 0.5
    }
    fn matrix<T: Tensor>(&self, beta: &T, ((x, y), (w, lambda)): &((T, T), (T, T))) -> Option<T> {
        let p = (x.matmul(beta) * y).sigmoid();
        let weights = p.clone() * (-p + 1.0) * w;
        let identity = T::ones(&[beta.size()]).diag(0);
        Some(x.transpose().matmul(&(x.clone() * weights.unsqueeze(-1))) + identity * lambda.exp())
    }
}

fn options(derivative: Derivative) -> Options {
    Options::default().absolute(1e-10).max_steps(100).derivative(derivative)
}

/// β, `½‖β‖²` and the number of steps.
fn forward<T: Tensor>((xy, (w, lambda), beta): &Data<T>) -> (T, T, T) {
    let options = options(Derivative::Implicit(LinearMethod::Cholesky));
    let parameters = (xy.clone(), (w.clone(), lambda.clone()));
    let found = minimize(&Logistic, &MinimizeMethod::NEWTON, beta, &parameters, &options).or_raise();
    let value = found.x.square().sum(..) * 0.5;
    (found.x, value, found.info.steps)
}

/// `½‖β‖²`, and its derivative by the weights.
fn gradient<T: Tensor>(((x, y), (w, lambda), beta): &Data<T>, options: &Options) -> (T, T) {
    value_and_grad(
        |w: Var<'_, T>| {
            let parameters = ((Var::lift(x), Var::lift(y)), (w, Var::lift(lambda)));
            let found = minimize(&Logistic, &MinimizeMethod::NEWTON, &Var::lift(beta), &parameters, options);
            found.or_raise().x.square().sum(..) * 0.5
        },
        w,
    )
    .or_raise()
}

/// The derivatives, by name.
fn derivatives() -> [(&'static str, Derivative); 3] {
    [
        ("unrolled", Derivative::Unrolled { checkpoints: None }),
        ("implicit", Derivative::Implicit(LinearMethod::LastFactors(LinearLimit::default()))),
        ("one_step", Derivative::OneStep),
    ]
}

/// Two normal classes of `p` points each, of `p` features.
fn made(p: usize) -> Data<Array> {
    let [noise, direction] = Key::new(&NdInt::constant(p as i64)).split();
    let y: Vec<f64> = (0..2 * p).map(|i| if i < p { 1.0 } else { -1.0 }).collect();
    let y = Array::from(y);
    let direction: Array = direction.normal(&[p]);
    let x = noise.normal::<Array>(&[2 * p, p])
        + y.unsqueeze(-1) * direction.unsqueeze(0) * (1.0 / (p as f64).sqrt());
    let w = Array::full(&[2 * p], 1.0 / (2 * p) as f64);
    let mut begin = vec![0.0; p];
    begin[0] = 0.5;
    ((x, y), (w, Array::scalar(-5.0)), Array::from(begin))
}

/// Times and derivatives of one regression.
fn measured(data: &Data<Array>, runs: usize) -> Result<Value> {
    let mut solved = compile("forward", |data: Data<Recorded>| forward(&data), data)?;
    let mut compiled = Vec::new();
    for (name, derivative) in derivatives() {
        let options = options(derivative);
        compiled.push(compile(name, |data: Data<Recorded>| gradient(&data, &options), data)?);
    }
    let (beta, value, steps) = solved.call(data)?;
    let mut functions: Vec<Box<dyn FnMut() -> Result<Array> + '_>> = Vec::new();
    functions.push(Box::new(|| Ok(solved.call(data)?.1)));
    for f in &mut compiled {
        functions.push(Box::new(|| Ok(f.call(data)?.1)));
    }
    let found = in_turns(runs, &mut functions)?;
    let forward_ms = found[0].1;
    let elements = |x: &Array| x.view().iter().copied().collect::<Vec<f64>>();
    let shape = data.0.0.shape();
    let mut report = json!({
        "experiment": "logistic", "n": shape[0], "p": shape[1],
        "beta": elements(&beta), "value": value.item(), "steps": steps.item(), "forward_ms": forward_ms,
    });
    for ((name, _), (gradient, ms)) in derivatives().iter().zip(&found[1..]) {
        report[*name] = json!({ "gradient": elements(gradient), "ms": ms, "over_forward": ms / forward_ms });
    }
    let error = |name: &str| {
        let of = |name: &str| {
            Array::from(
                serde_json::from_value::<Vec<f64>>(report[name]["gradient"].clone()).expect("numbers"),
            )
        };
        let (found, exact) = (of(name), of("implicit"));
        ((found - &exact).square().sum(..).item() / exact.square().sum(..).item()).sqrt()
    };
    let errors = [error("unrolled"), error("one_step")];
    report["unrolled"]["relative_difference"] = errors[0].into();
    report["one_step"]["relative_difference"] = errors[1].into();
    Ok(report)
}

fn line(report: &Value) {
    let of = |name: &str, key: &str| report[name][key].as_f64().unwrap_or(f64::NAN);
    println!(
        "{:>5} {:>5} {:>5} {:>10.3} {:>9.3} {:>9.3} {:>9.3}   {:.1e}",
        report["p"].as_u64().unwrap_or(0),
        report["n"].as_u64().unwrap_or(0),
        report["steps"].as_f64().unwrap_or(f64::NAN),
        report["forward_ms"].as_f64().unwrap_or(f64::NAN),
        of("implicit", "over_forward"),
        of("one_step", "over_forward"),
        of("unrolled", "over_forward"),
        of("one_step", "relative_difference"),
    );
}

fn head() {
    println!(
        "    p     n steps    forward  time of value and gradient over forward's   one-step beside implicit"
    );
    println!("                        ms   implicit  one-step  unrolled");
}

/// A regression of data in a file.
pub fn of_file(path: &Path, runs: usize) -> Result<Value> {
    let format = |reason: String| Error::Format { path: path.into(), reason };
    let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let mut archive = NpzReader::new(file).map_err(|error| format(error.to_string()))?;
    let mut read = |name: &str| -> Result<Array> {
        let array: ArrayD<f64> = archive.by_name(name).map_err(|error| format(format!("{name}: {error}")))?;
        let elements: Vec<f64> = array.iter().copied().collect();
        Array::from_elements(array.shape(), &elements)
    };
    let (x, y, w) = (read("X")?, read("y")?, read("w")?);
    let (lambda, beta) = (read("lambda")?, read("beta0")?);
    if lambda.size() != 1 {
        return Err(format(format!("lambda is {:?}, and has to be a single number", lambda.shape())));
    }
    let lambda = lambda.reshape(&[]);
    let shape = x.shape();
    let fits = shape.len() == 2
        && y.shape().as_slice() == [shape[0]]
        && w.shape().as_slice() == [shape[0]]
        && beta.shape().as_slice() == [shape[1]];
    if !fits {
        let shapes = [&x, &y, &w, &beta].map(|array| array.shape().to_vec());
        return Err(format(format!(
            "X, y, w and beta0 are {shapes:?}, and have to be [n, p], [n], [n] and [p]"
        )));
    }
    if y.view().iter().any(|y| y.abs() != 1.0) {
        return Err(format("y has to be of 1 and −1".into()));
    }
    let report = measured(&((x, y), (w, lambda), beta), runs)?;
    head();
    line(&report);
    Ok(report)
}

/// Regressions of several sizes.
pub fn of_sizes(sizes: &[usize], runs: usize, out: &Path) -> Result<Value> {
    head();
    let mut reports = Vec::new();
    for &p in sizes {
        let mut report = measured(&made(p), runs)?;
        line(&report);
        // Of several sizes, only how long they took.
        report["beta"].take();
        for (name, _) in derivatives() {
            report[name]["gradient"].take();
        }
        reports.push(report);
    }
    let curve = |name: &str| {
        let points = reports.iter().map(|report| {
            (report["p"].as_f64().unwrap_or(f64::NAN), report[name]["ms"].as_f64().unwrap_or(f64::NAN))
        });
        Series::line(&name.replace('_', "-"), points.collect())
    };
    let mut curves: Vec<Series> = derivatives().iter().map(|(name, _)| curve(name)).collect();
    let points = reports.iter().map(|report| {
        (report["p"].as_f64().unwrap_or(f64::NAN), report["forward_ms"].as_f64().unwrap_or(f64::NAN))
    });
    curves.push(Series::line("forward alone", points.collect()));
    let title = "Newton's method, logistic regression: value and gradient";
    let panel = Panel::new(title, ["features", "milliseconds"], curves).of_powers();
    picture::draw(&out.join("logistic.svg"), &[panel])?;
    Ok(json!({ "experiment": "logistic", "runs": reports }))
}
