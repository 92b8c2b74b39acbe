//! Processor time to record and to compile a large model of numbers, and what its gradient takes: the log-likelihood of
//! a mixture of Gaussians with a Wishart prior (GMM of ADBench), each observation in scalar operators, in a `scan`.
//!
//! ```text
//! cargo bench --features staging --bench mixture                                  # generated data
//! GMM=gmm_d10_K25.txt cargo bench --features staging --bench mixture              # a file of ADBench
//! ```
//!
//! A file's format is the benchmark's own: `d k n`, weights, means, factors, observations, and the prior's `γ m`.

use std::error::Error;
use std::time::Instant;

use antiphon::compiled::CompileOptions;
use antiphon::control::scan;
use antiphon::nn::Rng;
use antiphon::recording::OptimiseOptions;
use antiphon::{NdArray, Params, Real, Tensor, Var, compile_with, value_and_grad};

/// Components, observations and axes of the generated data, as in `gmm_d10_K25`.
const SIZES: [usize; 3] = [10, 25, 1000];
/// How often the gradient is computed, of which the fastest run counts.
const RUNS: usize = 20;

/// The parameters of a mixture, in numbers.
#[derive(Clone, Params)]
struct Mixture<T> {
    /// One for each component.
    weights: Vec<T>,
    means: Vec<Vec<T>>,
    /// Of each component the factor of its inverse covariance: the logarithms of its diagonal, then what is below that,
    /// column by column.
    factors: Vec<Vec<T>>,
}

/// A problem: parameters, observations `[n, d]`, and the prior's scale and degrees of freedom.
struct Problem {
    mixture: Mixture<NdArray<f64>>,
    observations: NdArray<f64>,
    gamma: f64,
    m: f64,
}

impl Problem {
    fn new(sizes: [usize; 3], mut next: impl FnMut() -> Option<f64>) -> Option<Problem> {
        let [d, k, n] = sizes;
        let mut numbers = |n: usize| (0..n).map(|_| next()).collect::<Option<Vec<f64>>>();
        let mut scalars = |n: usize| Some(numbers(n)?.into_iter().map(NdArray::scalar).collect::<Vec<_>>());
        let mixture = Mixture {
            weights: scalars(k)?,
            means: (0..k).map(|_| scalars(d)).collect::<Option<_>>()?,
            factors: (0..k).map(|_| scalars(d * (d + 1) / 2)).collect::<Option<_>>()?,
        };
        let observations = NdArray::from(numbers(n * d)?).reshape(&[n, d]);
        let prior = numbers(2)?;
        Some(Problem { mixture, observations, gamma: prior[0], m: prior[1] })
    }

    fn generated() -> Problem {
        let mut rng = Rng::new(1);
        Problem::new(SIZES, || Some(2.0 * rng.uniform() - 1.0)).expect("as many numbers as are asked for")
    }

    fn read(path: &str) -> Result<Problem, Box<dyn Error>> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        let mut next = || numbers.next()?.ok();
        let sizes = [next(), next(), next()].map(|size| size.map(|size| size as usize));
        let [Some(d), Some(k), Some(n)] = sizes else { return Err(format!("{path}: no sizes").into()) };
        Problem::new([d, k, n], next).ok_or_else(|| format!("{path}: too few numbers").into())
    }
}

/// Sum of numbers, of which there is one at least.
fn sum<T: Tensor>(xs: impl IntoIterator<Item = T>) -> T {
    xs.into_iter().reduce(|sum, x| sum + x).expect("a number")
}

fn log_sum_exp<T: Tensor>(xs: &[T]) -> T {
    let max = xs[1..].iter().fold(xs[0].clone(), |max, x| max.maximum(x));
    sum(xs.iter().map(|x| (x.clone() - &max).exp())).log() + max
}

/// The position in a component's factors of what is at a row and a column.
fn below(d: usize, row: usize, column: usize) -> usize {
    d + column * (2 * d - column - 1) / 2 + row - column - 1
}

/// The logarithm of the likelihood, but for what depends on the sizes only.
fn log_likelihood<T: Tensor>(p: &Mixture<T>, observations: &T, gamma: f64, m: f64) -> T {
    let d = p.means[0].len();
    let logs: Vec<T> = p.factors.iter().map(|factor| sum(factor[..d].iter().cloned())).collect();
    let diagonals: Vec<Vec<T>> =
        p.factors.iter().map(|factor| factor[..d].iter().map(|q| q.clone().exp()).collect()).collect();
    let zero = T::constant(0.0);
    let (likelihood, _) = scan(zero, observations, |total: T, row: T| {
        let x: Vec<T> = (0..d).map(|axis| row.index(0, axis)).collect();
        let terms: Vec<T> = (0..p.weights.len())
            .map(|k| {
                let centred: Vec<T> = x.iter().zip(&p.means[k]).map(|(x, mean)| x.clone() - mean).collect();
                let squares = (0..d).map(|i| {
                    let off = (0..i).map(|j| p.factors[k][below(d, i, j)].clone() * &centred[j]);
                    let on = diagonals[k][i].clone() * &centred[i];
                    sum(std::iter::once(on).chain(off)).square()
                });
                p.weights[k].clone() + &logs[k] - sum(squares) * 0.5
            })
            .collect();
        let total = total + log_sum_exp(&terms);
        (total.clone(), total)
    })
    .expect("observations");
    let n = observations.shape()[0] as f64;
    let prior = (0..p.weights.len()).map(|k| {
        let off = p.factors[k][d..].iter().map(|l| l.clone().square());
        let squares = sum(diagonals[k].iter().map(|q| q.clone().square()).chain(off));
        squares * (0.5 * gamma * gamma) - logs[k].clone() * m
    });
    likelihood - log_sum_exp(&p.weights) * n + sum(prior)
}

/// Seconds that processors have spent on this process, whatever else they did.
fn seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time lives as long as the call, which writes nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The gradient of a file of ADBench's expected values: weights, means and factors.
fn expected(path: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let (_, gradient) = text.split_once("J ").ok_or_else(|| format!("{path}: no gradient"))?;
    Ok(gradient.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::var("GMM").ok();
    let problem = file.as_deref().map_or_else(|| Ok(Problem::generated()), Problem::read)?;
    let Problem { mixture, observations, gamma, m } = problem;
    let start = seconds();
    let mut gradient = compile_with(
        "mixture",
        |(mixture, observations)| {
            value_and_grad(|p| log_likelihood(&p, &Var::lift(&observations), gamma, m), &mixture)
                .expect("a number")
        },
        &(mixture.clone(), observations.clone()),
        &CompileOptions { optimise: Some(OptimiseOptions::default()), ..CompileOptions::default() },
    )?;
    println!("recorded and compiled in {:.2} s of processor time", seconds() - start);
    let input = (mixture, observations);
    let (loss, slopes) = gradient.call(&input)?;
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        gradient.call(&input)?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    println!(
        "log-likelihood {:.6} but for a constant; its gradient takes {:.3} ms",
        loss.item(),
        least * 1e3
    );
    let slopes: Vec<f64> = [slopes.weights, slopes.means.concat(), slopes.factors.concat()]
        .concat()
        .iter()
        .map(NdArray::item)
        .collect();
    if let Ok(path) = std::env::var("EXPECTED") {
        let expected = expected(&path)?;
        assert_eq!(slopes.len(), expected.len(), "{path} is of another problem");
        let error = |(x, y): (&f64, &f64)| (x - y).abs() / y.abs().max(1.0);
        let most = slopes.iter().zip(&expected).map(error).fold(0.0, f64::max);
        println!("the gradient differs from the expected one by {most:.1e} at most, relatively");
    }
    Ok(())
}
