//! Lower bounds of any program's constant: the largest norms of its derivative that searches find.

use std::thread;
use std::time::Duration;

use super::constant::LipschitzConstant;
use super::limit::Deadline;
use super::matrix::Numbers;
use crate::array::NdArray;
use crate::check::{Once, Twice};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::language::real::Real;
use crate::language::tensor::Tensor;
use crate::optim::Lbfgs;
use crate::reverse::Var;
use crate::transforms::{jvp, value_and_grad, vjp};

type Array = NdArray<f64>;

/// The norm of a derivative, and the unit vector in whose direction it is that long.
struct Stretch {
    norm: f64,
    direction: Array,
}

fn size_of(x: &Array) -> f64 {
    let largest = x.abs().max(..).item();
    if largest > 0.0 && largest.is_finite() {
        largest * (x.clone() / largest).square().sum(..).item().sqrt()
    } else {
        largest
    }
}

/// Normal deviates of a shape.
fn normals(numbers: &mut Numbers, x: &Array) -> Array {
    NdArray::from(numbers.normals(x.size())).reshape(&x.shape())
}

/// The norm of the derivative at a point by the power method on its products with vectors, from both sides.
fn stretch(f: &impl Once, x: &Array, from: Option<&Array>, tolerance: f64, most: usize) -> Result<Stretch> {
    let start = from.cloned().unwrap_or_else(|| normals(&mut Numbers::new(1), x));
    let mut direction = start.clone() / size_of(&start);
    let mut norm = 0.0;
    for _ in 0..most {
        let (_, moved) = jvp(|x: Dual<Array>| f.call(&[x]), x, &direction)?;
        let now = if moved.size() == 0 { 0.0 } else { size_of(&moved) };
        if !now.is_finite() {
            return Ok(Stretch { norm: now, direction });
        }
        let settled = (now - norm).abs() <= tolerance * now;
        norm = now;
        if settled {
            break;
        }
        let (_, back): (Array, Array) = vjp(|x| f.call(&[x]), x, &moved)?;
        let size = size_of(&back);
        if size == 0.0 || !size.is_finite() {
            break;
        }
        direction = back / size;
    }
    Ok(Stretch { norm, direction })
}

/// The norm as a bound, unless it is none.
fn lower(op: &'static str, at: At, method: &'static str, norm: f64) -> Result<LipschitzConstant> {
    match norm.is_finite() {
        // Less what the last sums may be rounded by.
        true => Ok(LipschitzConstant::lower(method, norm * (1.0 - 8.0 * f64::EPSILON))),
        false => {
            let reason = format!("the norm of the derivative is {norm}");
            Err(Error::Argument { op, reason, at })
        }
    }
}

/// The largest norm of a program's derivative over data, each an array of the program's input: a lower bound of the
/// program's Lipschitz constant. (At a kink the derivative is what the operators define it to be there, and need not be
/// one: keep away from these.)
///
/// ```
/// use antiphon::lipschitz::lower_bound_on;
/// use antiphon::{NdArray, Real, Tensor, program};
/// let f = program!(|x| x[0].sin() * 3.0);
/// let data = [NdArray::from(vec![0.0, 1.0]), NdArray::from(vec![0.5, 1.0])];
/// assert!((lower_bound_on(&f, &data)?.value - 3.0).abs() < 1e-9);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the program raises; [`Error::Argument`] if there are no data, or if a norm is not finite.
#[track_caller]
pub fn lower_bound_on(f: &impl Once, data: &[Array]) -> Result<LipschitzConstant> {
    let (op, at) = ("lower_bound_on", At::caller());
    if data.is_empty() {
        return Err(Error::Argument { op, reason: "no data".into(), at });
    }
    let mut largest: f64 = 0.0;
    for x in data {
        let norm = lower(op, at, "data", stretch(f, x, None, 1e-12, 1000)?.norm)?;
        largest = largest.max(norm.value);
    }
    Ok(LipschitzConstant::lower("data", largest))
}

/// The same on a grid of `steps` by `steps` points of the rectangle from `low` to `high`, of a program of two numbers.
///
/// # Errors
/// As [`lower_bound_on`].
#[track_caller]
pub fn lower_bound_on_grid(
    f: &impl Once,
    low: [f64; 2],
    high: [f64; 2],
    steps: usize,
) -> Result<LipschitzConstant> {
    let place = |i: usize, axis: usize| {
        low[axis] + (high[axis] - low[axis]) * i as f64 / steps.saturating_sub(1).max(1) as f64
    };
    let points = (0..steps).flat_map(|i| (0..steps).map(move |j| [i, j]));
    let points: Vec<Array> = points.map(|[i, j]| NdArray::from(vec![place(i, 0), place(j, 1)])).collect();
    let found = lower_bound_on(f, &points)?;
    Ok(LipschitzConstant { method: "grid", ..found })
}

/// The largest norm of the derivative on the way uphill from a point: along the gradient of `½‖J(x)·v‖²` by `x` with
/// the singular vector `v` frozen, which at the power method's end is that of the norm, by `steps` steps of L-BFGS at
/// most. (Of piecewise linear programs that gradient is zero: anneal them.)
///
/// # Errors
/// As [`lower_bound_on`].
#[track_caller]
pub fn lower_bound_by_ascent(f: &impl Twice, start: &Array, steps: usize) -> Result<LipschitzConstant> {
    let (op, at) = ("lower_bound_by_ascent", At::caller());
    let mut x = start.clone();
    let first = stretch(f, &x, None, 1e-12, 1000)?;
    lower(op, at, "gradient ascent", first.norm)?;
    let (mut largest, mut direction) = (first.norm, first.direction);
    let method = Lbfgs { iterations: steps, change: 1e-12, ..Lbfgs::default() };
    method.minimize(&mut x, |x| {
        let now = stretch(f, x, Some(&direction), 1e-12, 200)?;
        if now.norm > largest && now.norm.is_finite() {
            (largest, direction) = (now.norm, now.direction.clone());
        }
        let (square, gradient) = value_and_grad(
            |x| {
                let moved = f.call(&[Dual::new(x, Var::lift(&now.direction))]);
                moved.tangent().square().sum(..) * 0.5
            },
            x,
        )?;
        Ok((-square, -gradient))
    })?;
    lower(op, at, "gradient ascent", largest)
}

/// The largest norm of the derivative that simulated annealing passes (Kirkpatrick, Gelatt & Vecchi, *Optimization by
/// simulated annealing*, 1983): a chain from each of the starts, on as many processors as there are, of `steps` steps,
/// whose length falls from the start's norm, or 1 if that is less, to a thousandth of it. The same seed gives the same
/// chains, unless the time ends before.
///
/// # Errors
/// As [`lower_bound_on`].
#[track_caller]
pub fn lower_bound_by_annealing<F: Once + Sync>(
    f: &F,
    starts: &[Array],
    steps: usize,
    seed: u64,
    limit: Duration,
) -> Result<LipschitzConstant> {
    let (op, at) = ("lower_bound_by_annealing", At::caller());
    if starts.is_empty() {
        return Err(Error::Argument { op, reason: "no start".into(), at });
    }
    let deadline = Deadline::after(limit);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(starts.len());
    let largest = thread::scope(|scope| -> Result<f64> {
        let run = |first: usize| {
            scope.spawn(move || -> Result<f64> {
                let mut largest: f64 = 0.0;
                for chain in (first..starts.len()).step_by(threads) {
                    let numbers = Numbers::new(seed.wrapping_add(chain as u64));
                    largest = largest.max(anneal(f, &starts[chain], steps, numbers, deadline)?);
                }
                Ok(largest)
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        let mut largest: f64 = 0.0;
        for chain in running {
            // What a program panics with is the caller's.
            largest = largest.max(chain.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(largest)
    })?;
    lower(op, at, "annealing", largest)
}

/// The largest norm that a chain passes.
fn anneal(
    f: &impl Once,
    start: &Array,
    steps: usize,
    mut numbers: Numbers,
    deadline: Deadline,
) -> Result<f64> {
    let mut x = start.clone();
    let mut now = stretch(f, &x, None, 1e-6, 50)?;
    let mut best = (x.clone(), now.norm);
    let reach = size_of(&x).max(1.0) / (x.size().max(1) as f64).sqrt();
    for step in 0..steps {
        if deadline.is_over() {
            break;
        }
        let cold = 1e-3f64.powf(step as f64 / steps as f64);
        let there = x.clone() + normals(&mut numbers, &x) * (cold * reach);
        let next = stretch(f, &there, Some(&now.direction), 1e-6, 10)?;
        if next.norm > best.1 {
            best = (there.clone(), next.norm);
        }
        let loss = (now.norm - next.norm) / now.norm.max(f64::MIN_POSITIVE);
        if loss <= 0.0 || numbers.uniform() < (-loss / (0.1 * cold)).exp() {
            (x, now) = (there, next);
        }
    }
    Ok(stretch(f, &best.0, None, 1e-14, 1000)?.norm.max(best.1))
}
