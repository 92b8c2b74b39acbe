//! Cost of a scalar operator, forward and backward: `cargo bench --bench scalar`.
//!
//! First a table of nanoseconds an operator and of ratios: on a machine that others use as well, times compare only
//! if they are taken in turns, so all spellings of a program run one after the other, many times, and the table has
//! the least of each. Then the same programs under criterion. `-- --table` prints the table alone.

mod programs;
mod settings;
mod tape;

use std::hint::black_box;
use std::time::Instant;

use antiphon::{cps, grad};
use criterion::{BenchmarkId, Throughput};
use spellings::{Number, Result, Return, Tape};

/// What the programs are written with.
mod spellings {
    pub use crate::tape::{Entry, Tape};
    pub use antiphon::cps::Result;
    pub use antiphon::{Mask, Real, cps};

    pub type Number<'r> = antiphon::Var<'r, f64>;
    pub type Return<'k> = cps::Return<'k, f64>;
}

/// The order of the columns.
const SPELLINGS: [&str; 6] = ["evaluation", "by hand", "nested", "explicit", "tape", "direct"];

struct Program {
    name: &'static str,
    /// How many operators it runs.
    operators: usize,
    /// One for each of [`SPELLINGS`]: the value or the gradient.
    spellings: [Box<dyn FnMut() -> f64>; 6],
}

macro_rules! program {
    ($name:ident, $x:literal, $size:expr, $explicit:expr, $nested:expr) => {{
        use programs::$name::*;
        let (n, mut on_tape, mut saved): (usize, _, _) = ($size, Tape::default(), Vec::new());
        tape(n, $x, &mut on_tape);
        Program {
            name: stringify!($name),
            operators: on_tape.operators(),
            spellings: [
                Box::new(move || direct(n, black_box(&$x))),
                Box::new(move || by_hand(n, black_box($x), &mut saved)),
                Box::new(move || {
                    let mut x_bar = 0.0;
                    let nested: fn(usize, f64, &mut f64) -> f64 = $nested;
                    nested(n, black_box($x), &mut x_bar) + x_bar
                }),
                Box::new(move || {
                    let explicit: for<'r, 'k> fn(usize, &Number<'r>, Return<'k>) -> Result<()> = $explicit;
                    cps::grad(black_box(&$x), |x, k| explicit(n, x, k)).expect("a gradient")
                }),
                Box::new(move || tape(n, black_box($x), &mut on_tape)),
                Box::new(move || grad(|x| direct(n, &x), black_box(&$x)).expect("a gradient")),
            ],
        }
    }};
}

/// Every program with about so many operators.
fn programs(operators: usize) -> Vec<Program> {
    let depth = (operators / 2 + 1).ilog2() as usize;
    vec![
        program!(chain, 0.999, operators / 2, |n, x, k| explicit(n, x, x, k), |n, x, sum| nested(
            n, x, x, sum
        )),
        program!(recurrence, 0.5, operators / 4, |n, x, k| explicit(n, x, x, k), |n, x, sum| nested(
            n, x, x, sum
        )),
        program!(branch, 1.001, operators * 2 / 3, |n, x, k| explicit(n, x, x, k), |n, x, sum| nested(
            n, x, x, sum
        )),
        program!(tree, 0.2, depth, explicit, |n, x, sum| {
            nested(n, x, sum, &mut |_, _| 1.0);
            0.0
        }),
    ]
}

const SIZES: [usize; 4] = [10, 100, 1_000, 100_000];

/// Least nanoseconds an operator of each spelling, run in turns.
fn in_turns(program: &mut Program) -> [f64; 6] {
    const ROUNDS: usize = 41;
    // Enough repetitions that the clock is exact.
    let repetitions = 20_000 / program.operators + 1;
    let mut best = [f64::INFINITY; 6];
    for _ in 0..ROUNDS {
        for (spelling, best) in program.spellings.iter_mut().zip(&mut best) {
            let start = Instant::now();
            for _ in 0..repetitions {
                black_box(spelling());
            }
            let nanoseconds = start.elapsed().as_nanos() as f64;
            *best = best.min(nanoseconds / (repetitions * program.operators) as f64);
        }
    }
    best
}

fn table() {
    println!("nanoseconds an operator, forward and backward (evaluation: forward only)");
    print!("{:10} {:>9}", "program", "operators");
    SPELLINGS.iter().for_each(|name| print!(" {name:>10}"));
    println!(" {:>16} {:>15} {:>13}", "explicit/by hand", "explicit/nested", "explicit/tape");
    for size in SIZES {
        for mut program in programs(size) {
            let gradients: Vec<f64> = program.spellings[1..].iter_mut().map(|run| run()).collect();
            for gradient in &gradients {
                let error = (gradient - gradients[0]).abs();
                assert!(error <= 1e-9 * gradients[0].abs(), "{}: {gradients:?}", program.name);
            }
            let times = in_turns(&mut program);
            print!("{:10} {:9}", program.name, program.operators);
            times.iter().for_each(|time| print!(" {time:10.2}"));
            let [_, by_hand, nested, explicit, tape, _] = times;
            println!(" {:16.2} {:15.2} {:13.2}", explicit / by_hand, explicit / nested, explicit / tape);
        }
    }
}

fn main() {
    table();
    let Some(mut criterion) = settings::criterion() else { return };
    for size in SIZES {
        for program in programs(size) {
            let mut group = criterion.benchmark_group(program.name);
            group.throughput(Throughput::Elements(program.operators as u64));
            for (name, mut spelling) in SPELLINGS.into_iter().zip(program.spellings) {
                let id = BenchmarkId::new(name, program.operators);
                group.bench_function(id, |b| b.iter(|| black_box(spelling())));
            }
            group.finish();
        }
    }
    criterion.final_summary();
}
