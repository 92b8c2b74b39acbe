//! L-BFGS.

use std::collections::VecDeque;

use ndarray::{ArrayD, Dimension, IxDyn};

use super::line_search::{Sample, Wolfe};
use super::unlike;
use crate::error::{Error, Result};
use crate::io::{Stored, Values};
use crate::language::params::{Params, Path};
use crate::language::real::Real;

/// The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno, with a line search for the strong Wolfe
/// conditions (Liu & Nocedal, *On the limited memory BFGS method for large scale optimization*, 1989; Nocedal & Wright,
/// *Numerical optimization*, 2nd ed. 2006, algorithm 7.4, the recursion of two loops; `torch.optim.LBFGS` with
/// `strong_wolfe`): for functions that are the same at each evaluation, not for batches that change.
///
/// The function gives its value and its gradient, which may be computed eagerly, or by a compiled function: the method
/// itself runs on the host, in double precision. [`update`](Lbfgs::update) is a step of it in a training step, without
/// the search.
///
/// ```
/// use antiphon::optim::Lbfgs;
/// use antiphon::{Number, value_and_grad};
/// /// Rosenbrock's valley, with its least value 0 at (1, 1).
/// fn valley<T: Number>(x: &T, y: &T) -> T {
///     (y.clone() - x.square()).square() * 100.0 + (-x.clone() + 1.0).square()
/// }
/// let mut point = (-1.2, 1.0);
/// let found = Lbfgs::default().minimize(&mut point, |point| value_and_grad(|(x, y)| valley(&x, &y), point))?;
/// assert!(found.value < 1e-12 && (point.0 - 1.0f64).abs() < 1e-5 && found.iterations < 50, "{found:?}");
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lbfgs {
    /// How many steps are remembered; 10.
    pub history: usize,
    /// How many steps there may be; 1,000.
    pub iterations: usize,
    /// How often the function may be evaluated for one step; 25.
    pub evaluations: usize,
    /// It ends where no element of the gradient is larger; 10⁻⁷.
    pub gradient: f64,
    /// It ends where no parameter changes by more, or the value by less; 10⁻⁹.
    pub change: f64,
    /// Which part of the decrease that the slope promises a step has to make; 10⁻⁴.
    pub decrease: f64,
    /// Which part of the slope may be left after a step; 0.9.
    pub curvature: f64,
}

impl Default for Lbfgs {
    fn default() -> Lbfgs {
        Lbfgs {
            history: 10,
            iterations: 1000,
            evaluations: 25,
            gradient: 1e-7,
            change: 1e-9,
            decrease: 1e-4,
            curvature: 0.9,
        }
    }
}

/// Where [`Lbfgs`] ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// The function's value.
    pub value: f64,
    /// The largest element of its gradient.
    pub gradient: f64,
    /// How many steps there were.
    pub iterations: usize,
    /// How often the function was evaluated.
    pub evaluations: usize,
    /// Why it ended.
    pub stopped: Stopped,
}

/// Why [`Lbfgs`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The gradient is as small as it has to be.
    Gradient,
    /// The parameters, or the value, hardly change any more.
    Change,
    /// No step along the direction makes the value smaller, up to rounding.
    NoDecrease,
    /// There were as many steps as there may be.
    Iterations,
}

impl Lbfgs {
    /// Moves parameters to a minimum of a function, which gives its value and its gradient.
    ///
    /// # Errors
    /// What the function returns; [`Error::Operand`] if its value is no single number; [`Error::Structure`] if the
    /// gradient is not of the parameters' structure and shapes;
    /// [`Error::Diverged`] if value or gradient are not finite at the beginning. The parameters are as before then.
    pub fn minimize<P, G>(
        &self,
        params: &mut P,
        mut f: impl FnMut(&P) -> Result<(P::Leaf, G)>,
    ) -> Result<Minimum>
    where
        P: Params<Leaf: Stored> + Clone,
        G: Params<Leaf = P::Leaf>,
    {
        let mut evaluations = 0;
        let mut evaluate = |x: &[f64]| -> Result<(f64, Vec<f64>)> {
            evaluations += 1;
            let at = with_elements(params, x);
            let (value, gradient) = f(&at)?;
            value.check_scalar("minimize")?;
            let (names, others) = (at.names(), gradient.names());
            if names != others {
                return Err(Error::Structure(format!(
                    "the parameters are {names:?}, the gradient is of {others:?}"
                )));
            }
            if let Some(name) = unlike(&at, &gradient) {
                return Err(Error::Structure(format!(
                    "the gradient of {name} is not of the parameter's shape"
                )));
            }
            Ok((elements(&value)[0], elements(&gradient)))
        };
        let mut x = elements(params);
        let (mut value, mut gradient) = evaluate(&x)?;
        if !value.is_finite() || gradient.iter().any(|g| !g.is_finite()) {
            let what = if value.is_finite() {
                "the gradient at the beginning"
            } else {
                "the value at the beginning"
            };
            let value = if value.is_finite() { f64::NAN } else { value };
            return Err(Error::Diverged { what: what.into(), value });
        }
        let mut history = History { steps: VecDeque::new(), length: self.history };
        let mut iterations = 0;
        let stopped = loop {
            if largest(&gradient) <= self.gradient {
                break Stopped::Gradient;
            }
            if iterations == self.iterations {
                break Stopped::Iterations;
            }
            let mut direction = history.direction(&gradient);
            let mut slope = dot(&gradient, &direction);
            // What is remembered is of no use where rounding has the better of it.
            if slope >= 0.0 || !slope.is_finite() {
                history.steps.clear();
                direction = gradient.iter().map(|g| -g).collect();
                slope = dot(&gradient, &direction);
            }
            let first = match history.steps.is_empty() {
                true => (1.0 / gradient.iter().map(|g| g.abs()).sum::<f64>()).min(1.0),
                false => 1.0,
            };
            let wolfe = Wolfe {
                decrease: self.decrease,
                curvature: self.curvature,
                evaluations: self.evaluations,
                resolution: 1e-3 * self.change / largest(&direction),
            };
            let start = Sample { t: 0.0, value, slope, gradient: gradient.clone() };
            let sample = wolfe.search(start, first, |t| {
                let (value, gradient) = evaluate(&along(&x, t, &direction))?;
                Ok(Sample { t, value, slope: dot(&gradient, &direction), gradient })
            })?;
            if sample.t == 0.0 {
                // From where nothing is remembered, the gradient itself may lead on.
                if history.steps.is_empty() {
                    break Stopped::NoDecrease;
                }
                history.steps.clear();
                continue;
            }
            iterations += 1;
            let step: Vec<f64> = direction.iter().map(|d| sample.t * d).collect();
            x = along(&x, sample.t, &direction);
            let moved = largest(&step);
            let change: Vec<f64> =
                sample.gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            history.push(step, change);
            let before = value;
            (value, gradient) = (sample.value, sample.gradient);
            let still = moved <= self.change || (before - value).abs() < self.change;
            if still && largest(&gradient) > self.gradient {
                break Stopped::Change;
            }
        };
        let gradient = largest(&gradient);
        *params = with_elements(params, &x);
        Ok(Minimum { value, gradient, iterations, evaluations, stopped })
    }
}

/// The last steps, `s`, the changes of the gradient by them, `y`, and `1/(s·y)`.
struct History {
    steps: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
    length: usize,
}

impl History {
    /// Steps along which the gradient does not grow say nothing of the curvature.
    fn push(&mut self, s: Vec<f64>, y: Vec<f64>) {
        let curvature = dot(&s, &y);
        if curvature > 1e-10 * dot(&y, &y) && self.length > 0 {
            if self.steps.len() == self.length {
                self.steps.pop_front();
            }
            self.steps.push_back((s, y, 1.0 / curvature));
        }
    }

    /// `−H·g`, where `H` is what the steps say of the inverse of the Hessian.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut alphas = Vec::with_capacity(self.steps.len());
        for (s, y, rho) in self.steps.iter().rev() {
            let alpha = rho * dot(s, &q);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
            alphas.push(alpha);
        }
        if let Some((_, y, rho)) = self.steps.back() {
            let scale = 1.0 / (rho * dot(y, y));
            q.iter_mut().for_each(|q| *q *= scale);
        }
        for ((s, y, rho), alpha) in self.steps.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * dot(y, &q);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
        }
        q
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

/// `x + t·d`.
fn along(x: &[f64], t: f64, d: &[f64]) -> Vec<f64> {
    x.iter().zip(d).map(|(x, d)| x + t * d).collect()
}

/// All elements of all leaves.
fn elements<P: Params<Leaf: Stored>>(params: &P) -> Vec<f64> {
    let mut elements = Vec::new();
    params.visit(&mut |_, leaf| match leaf.to_values() {
        Values::F32(array) => elements.extend(array.iter().map(|&x| f64::from(x))),
        Values::F64(array) => elements.extend(&array),
    });
    elements
}

/// A structure with these elements.
fn with_elements<P: Params<Leaf: Stored> + Clone>(params: &P, elements: &[f64]) -> P {
    let (mut params, mut start) = (params.clone(), 0);
    params.visit_mut(&mut Path::default(), &mut |_, leaf| {
        let shape = IxDyn(leaf.to_values().shape());
        let end = start + shape.size();
        let array = ArrayD::from_shape_vec(shape, elements[start..end].to_vec()).expect("as many elements");
        *leaf = P::Leaf::from_values(Values::F64(array.into()));
        start = end;
    });
    params
}
