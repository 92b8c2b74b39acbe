//! Linear algebra beside NumPy and JAX: `cargo bench --features staging --bench linalg`.
//!
//! A table of microseconds, the least of many runs: the solution of a system and the Cholesky factor of matrices, one of
//! six sizes or a thousand small ones, and the gradients of their sums of squares, eagerly, compiled, and by opponents on one thread each
//! (`peers/linalg_peer.py`, run by the Python that `ANTIPHON_PEERS_PYTHON` names, that of `make peers` by default; what is
//! not installed is left out). Then how long compiling took.

#[path = "peers/opponents.rs"]
mod opponents;

use std::time::Instant;

use antiphon::linalg::{cholesky, solve};
use antiphon::recording::Recorded;
use antiphon::{NdArray, OrRaise, Tensor, compile, grad};
use opponents::{Times, numbers, opponents, size_of, time};

type Array = NdArray<f64>;
type System<T> = (T, T);

fn solution<T: Tensor>((a, b): &System<T>) -> T {
    solve(a, b)
}

fn squares<T: Tensor>(x: &T) -> T {
    x.square().sum(..)
}

struct Table([Times; 2]);

impl Table {
    fn row(&self, what: &str, n: usize, eager: f64, compiled: f64, size: f64) {
        print!("{what:26} {n:4} {:12.2} {:12.2}", eager * 1e3, compiled * 1e3);
        for times in &self.0 {
            match times.get(&format!("{what}_{n}")) {
                Some(&(ms, found)) => {
                    assert!((found - size).abs() <= 1e-8 * size, "{what} {n}: {found} instead of {size}");
                    print!(" {:12.2}", ms * 1e3);
                }
                None => print!(" {:>12}", "-"),
            }
        }
        println!();
    }
}

/// `matrices` of `n` rows each, or one where there is none, with right sides, and others that are positive definite.
fn systems(matrices: Option<usize>, n: usize) -> (System<Array>, Array) {
    let batch: Vec<usize> = matrices.into_iter().collect();
    let shape = |rest: &[usize]| [&batch[..], rest].concat();
    let eye: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
    let eye = Array::from_elements(&[n, n], &eye).expect("all elements");
    let a = numbers::<f64>(&shape(&[n, n]), 1) + eye.clone() * 2.0;
    let positive = a.matmul(&a.transpose()) + eye;
    let right = if matrices.is_some() { shape(&[n, 1]) } else { shape(&[n]) };
    ((a, numbers::<f64>(&right, 2)), positive)
}

fn main() {
    let table = Table(opponents("linalg_peer.py", ["numpy", "jax"]));
    println!(
        "{:26} {:>4} {:>12} {:>12} {:>12} {:>12}",
        "microseconds", "n", "eager", "compiled", "NumPy", "JAX"
    );
    let mut compiling = Vec::new();
    let single = [2, 3, 4, 8, 64, 256].map(|n| (None, n));
    for (matrices, n) in single.into_iter().chain([2, 4, 8].map(|n| (Some(1_000), n))) {
        let many = if matrices.is_some() { "_of_1000" } else { "" };
        let named = |what: &str| format!("{what}{many}");
        let (system, positive) = systems(matrices, n);
        let mut code = compile("solve", |x: System<Recorded>| solution(&x), &system).expect("it compiles");
        let found = code.call(&system).expect("it runs");
        let eager = time(|| solution(&system));
        let compiled = time(|| code.call(&system).expect("it runs"));
        table.row(&named("solve"), n, eager, compiled, size_of(&[found]));
        let start = Instant::now();
        let gradient = |x: System<Recorded>| grad(|x| squares(&solution(&x)), &x).or_raise();
        let mut code = compile("solve_gradient", gradient, &system).expect("it compiles");
        compiling.push((named("solve_gradient"), n, start.elapsed()));
        let (a_bar, b_bar) = code.call(&system).expect("it runs");
        let eager = time(|| grad(|x| squares(&solution(&x)), &system).expect("it has one"));
        let compiled = time(|| code.call(&system).expect("it runs"));
        table.row(&named("solve_gradient"), n, eager, compiled, size_of(&[a_bar, b_bar]));
        let mut code = compile("cholesky", |a: Recorded| cholesky(&a), &positive).expect("it compiles");
        let found = code.call(&positive).expect("it runs");
        let eager = time(|| cholesky(&positive));
        let compiled = time(|| code.call(&positive).expect("it runs"));
        table.row(&named("cholesky"), n, eager, compiled, size_of(&[found]));
        let start = Instant::now();
        let gradient = |a: Recorded| grad(|a| squares(&cholesky(&a)), &a).or_raise();
        let mut code = compile("cholesky_gradient", gradient, &positive).expect("it compiles");
        compiling.push((named("cholesky_gradient"), n, start.elapsed()));
        let found = code.call(&positive).expect("it runs");
        let eager = time(|| grad(|a| squares(&cholesky(&a)), &positive).expect("it has one"));
        let compiled = time(|| code.call(&positive).expect("it runs"));
        table.row(&named("cholesky_gradient"), n, eager, compiled, size_of(&[found]));
    }
    for (what, n, took) in compiling {
        println!("compiling {what} of {n} took {:.1} ms", took.as_secs_f64() * 1e3);
    }
}
