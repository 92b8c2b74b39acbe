//! What checkpoints keep: `cargo bench --features staging --bench checkpoints`.
//!
//! The gradient of `n` steps `x ← sin(x)·w` of 128 numbers, a state of 1 KiB, with all states kept, with about `2·√n` of
//! them, and with a number that does not grow (Griewank & Walther's binomial schedule, *Algorithm 799: revolve*, 2000).
//! Eagerly the stack is how far the last step's frame is below the first one's, with one operator more in each step, and
//! the heap is what the allocator was asked for at most. Compiled, the two are what the code is given, halved until it
//! does not do.

#[path = "../tests/support/counting.rs"]
mod counting;

use std::cell::{Cell, RefCell};
use std::time::Instant;

use antiphon::control::Checkpoints;
use antiphon::custom::CustomOperator;
use antiphon::recording::Recorded;
use antiphon::{NdArray, OrRaise, Real, Tensor, compile_with, grad, stack};
use antiphon_staging::jit::CompileOptions;
use counting::peak;

type Array = NdArray<f64>;

thread_local! {
    static RUNS: Cell<usize> = const { Cell::new(0) };
    static NOTING: Cell<bool> = const { Cell::new(false) };
    /// The lowest and the highest frame of a step, on each stack: derivatives have their own.
    static FRAMES: RefCell<Vec<[usize; 2]>> = const { RefCell::new(Vec::new()) };
}

/// What it gives is its operand. Its rule runs where those of the step do, and notes where that is.
#[derive(Clone, Debug)]
struct Noted;

impl CustomOperator for Noted {
    const NAME: &'static str = "noted";

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        note();
        x[0].clone()
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(y_bar.clone())]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].clone()
    }
}

#[inline(never)]
fn note() {
    let local = 0u8;
    let here = std::hint::black_box(&raw const local).addr();
    // A step's frame is not far from the one before.
    const NEAR: usize = 1 << 20;
    FRAMES.with_borrow_mut(|stacks| {
        match stacks.iter_mut().find(|[low, high]| (low.saturating_sub(NEAR)..*high + NEAR).contains(&here)) {
            Some([low, high]) => (*low, *high) = (here.min(*low), here.max(*high)),
            None => stacks.push([here; 2]),
        }
    });
}

fn step<T: Tensor>(x: &T, w: &T) -> T {
    RUNS.set(RUNS.get() + 1);
    match NOTING.get() {
        true => T::custom(&Noted, &[x]).sin() * w,
        false => x.sin() * w,
    }
}

fn chain<T: Tensor>((x, w): (T, T), steps: usize, checkpoints: Option<Checkpoints>) -> T {
    match checkpoints {
        Some(checkpoints) => T::checkpointed_loop(steps, &w, x, checkpoints, |_, w, x: T| step(&x, w)),
        None => {
            let end = T::constant(steps as f64);
            T::while_loop(
                (T::constant(0.0), x),
                |(i, _)| i.less(&end),
                |(i, x)| (i + T::constant(1.0), step(&x, &w)),
            )
            .1
        }
    }
    .sum(..)
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn main() {
    let x = (Array::full(&[128], 0.3), Array::full(&[128], 1.01));
    stack::configure(16 << 30).expect("address space");
    println!(
        "{:>9} {:>12}  {:>12} {:>12} {:>9} {:>9}  {:>16} {:>9}",
        "steps", "kept", "stack", "heap", "runs", "ns/step", "compiled, all", "ns/step"
    );
    for n in [1_000, 10_000, 100_000, 1_000_000] {
        for (name, checkpoints) in [
            ("all", None),
            ("2√n", Some(Checkpoints::SquareRoot)),
            ("1000 states", Some(Checkpoints::Count(1000))),
            ("100 states", Some(Checkpoints::Count(100))),
        ] {
            // All states of a million steps are gigabytes.
            if checkpoints.is_none() && n > 100_000 {
                continue;
            }
            print!("{n:>9} {name:>12}  ");
            let run = || grad(|x| chain(x, n, checkpoints), &x).expect("it has room");
            let expected = run();
            NOTING.set(true);
            FRAMES.take();
            drop(run());
            NOTING.set(false);
            RUNS.set(0);
            let start = Instant::now();
            let heap = peak(|| drop(run()));
            let took = start.elapsed().as_secs_f64();
            print!(
                "{:>12} {:>12} {:>9.2} {:>9.0}  ",
                size(FRAMES.take().iter().map(|[low, high]| high - low).sum()),
                size(heap),
                RUNS.get() as f64 / n as f64,
                took * 1e9 / n as f64
            );
            let mut least = None;
            for bytes in (16..=30).rev().map(|power| 1 << power) {
                let options = CompileOptions {
                    stack_bytes: Some(bytes / 8),
                    arena_bytes: Some(bytes - bytes / 8),
                    ..Default::default()
                };
                let f = |x: (Recorded, Recorded)| grad(|x| chain(x, n, checkpoints), &x).or_raise();
                let Ok(mut code) = compile_with("chain", f, &x, &options) else { break };
                let start = Instant::now();
                let Ok(found) = code.call(&x) else { break };
                let took = start.elapsed().as_secs_f64();
                let error = (found.0 - &expected.0).abs().max(..).item();
                assert!(error <= 1e-9 * expected.0.abs().max(..).item(), "{error}");
                least = Some((bytes, took));
            }
            match least {
                Some((bytes, took)) => println!("{:>16} {:>9.0}", size(bytes), took * 1e9 / n as f64),
                None => println!("{:>16}", "more than 1 GiB"),
            }
        }
    }
}
