//! Arrays that are written element by element and row by row, beside PyTorch and JAX:
//! `cargo bench --features staging --bench writing`.
//!
//! A table of milliseconds, the least of many runs: `b[i] = c·b[i − 1] + x[i]`, and `h[t + 1] = x[t]·W + h[t]` of rows of
//! 32, in loops of several lengths, and the gradients of the sums of their squares, eagerly, compiled, and by opponents on
//! one thread each (`peers/writing_peer.py`, run by the Python that `ANTIPHON_PEERS_PYTHON` names, that of `make peers` by
//! default; what is not installed, and what would take too long, is left out).

#[path = "peers/opponents.rs"]
mod opponents;

use antiphon::recording::Recorded;
use antiphon::state::Index;
use antiphon::{Int, NdArray, OrRaise, Real, Tensor, compile, grad};
use opponents::{Times, numbers, opponents, size_of, time};

type Array = NdArray<f64>;

fn count<T: Tensor, S: antiphon::State<T>>(n: usize, state: S, body: impl Fn(&T::Int, S) -> S) -> S {
    let (_, state) = T::while_loop(
        (Index::<T>(T::Int::constant(0)), state),
        |(i, _)| i.0.less(&T::Int::constant(n as i64)),
        |(i, state): (Index<T>, S)| {
            let state = body(&i.0, state);
            (Index(i.0 + T::Int::constant(1)), state)
        },
    );
    state
}

fn chain<T: Tensor>((x, c): &(T, T)) -> T {
    let n = x.size();
    let (_, b) = count::<T, _>(n, (T::constant(0.0), T::zeros(&[n])), |i, (last, b): (T, T)| {
        let next = last * c + x.get(i);
        (next.clone(), b.at(i).set(&next))
    });
    b
}

fn rows<T: Tensor>((x, w): &(T, T)) -> T {
    let (n, width) = (x.shape()[0], w.shape()[1]);
    count::<T, _>(n, T::zeros(&[n + 1, width]), |t, h: T| {
        let row = x.get(t).matmul(w) + h.get(t);
        h.at(&(t.clone() + T::Int::constant(1))).set(&row)
    })
}

struct Table([Times; 2]);

impl Table {
    fn row(&self, what: &str, n: usize, [eager, compiled]: [Option<f64>; 2], size: f64) {
        let cell = |ms: Option<f64>| ms.map_or("-".into(), |ms| format!("{ms:.3}"));
        print!("{what:16} {n:8} {:>12} {:>12}", cell(eager), cell(compiled));
        for times in &self.0 {
            let found = times.get(&format!("{what}_{n}"));
            if let Some(&(_, found)) = found {
                assert!((found - size).abs() <= 1e-8 * size, "{what} {n}: {found} instead of {size}");
            }
            print!(" {:>12}", cell(found.map(|&(ms, _)| ms)));
        }
        println!();
    }
}

/// A program and its gradient.
macro_rules! rows_of {
    ($table:expr, $f:ident, $n:expr, $x:expr) => {{
        let (n, x) = ($n, $x);
        // What is kept of each round on the way is more than this machine's share for the longest.
        let eagerly = n <= 100_000;
        let mut code = compile(stringify!($f), |x: (Recorded, Recorded)| $f(&x), &x).expect("it compiles");
        let size = size_of(&[code.call(&x).expect("it runs")]);
        let eager = eagerly.then(|| time(|| $f(&x)));
        $table.row(stringify!($f), n, [eager, Some(time(|| code.call(&x).expect("it runs")))], size);
        let squares = |x: (Recorded, Recorded)| grad(|x| $f(&x).square().sum(..), &x).or_raise();
        let mut code = compile(stringify!($f), squares, &x).expect("it compiles");
        let (a, b) = code.call(&x).expect("it runs");
        let eager = eagerly.then(|| time(|| grad(|x| $f(&x).square().sum(..), &x).expect("it has one")));
        let compiled = time(|| code.call(&x).expect("it runs"));
        $table.row(concat!(stringify!($f), "_gradient"), n, [eager, Some(compiled)], size_of(&[a, b]));
    }};
}

fn main() {
    let table = Table(opponents("writing_peer.py", ["torch", "jax"]));
    println!(
        "{:16} {:>8} {:>12} {:>12} {:>12} {:>12}",
        "milliseconds", "rounds", "eager", "compiled", "PyTorch", "JAX"
    );
    for n in [1_000, 10_000, 100_000, 1_000_000] {
        rows_of!(table, chain, n, (numbers::<f64>(&[n], 1), Array::scalar(0.5)));
    }
    for n in [1_000, 10_000, 100_000] {
        rows_of!(table, rows, n, (numbers::<f64>(&[n, 32], 2), numbers::<f64>(&[32, 32], 3)));
    }
}
