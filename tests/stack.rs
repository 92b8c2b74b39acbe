//! The native stack: deep programs, its end, and reuse. One test, since the size is the process's.

use std::cell::Cell;

use antiphon::control::{Tree, fold};
use antiphon::stack::Limit;
use antiphon::{Control, Error, Real, Result, Var, cps, grad, reset, stack};

fn power<T: Real>(n: usize, x: &T) -> T {
    let mut y = x.clone();
    for _ in 1..n {
        y *= x;
    }
    y
}

fn explicit_power(n: usize, y: &Var<'_, f64>, x: &Var<'_, f64>, k: cps::Return<'_, f64>) -> cps::Result<()> {
    if n == 1 {
        return k(y);
    }
    cps::mul(y, x, |y| explicit_power(n - 1, y, x, k))
}

fn recursive_power<T: Control>(n: i64, x: &T) -> T {
    T::fix(x.clone(), |go, y: T| {
        // The recursion is on the exponent that y has reached, which log₂ tells for x = 2.
        let reached = y.less(&T::constant(2f64.powi(n as i32)));
        T::cond(&reached, || go(y.clone() * x), || y.clone())
    })
}

/// Uses an operator when it is dropped.
struct SineOnDrop<'a, 'r>(Var<'r, f64>, &'a Cell<f64>);

impl Drop for SineOnDrop<'_, '_> {
    fn drop(&mut self) {
        self.1.set(*self.0.sin().value());
    }
}

/// Recursion of the user's own without an end, which uses an operator on every level on the way out.
fn descend<'r>(x: &Var<'r, f64>, sines: &Cell<f64>) -> Var<'r, f64> {
    let _guard = SineOnDrop(x.clone(), sines);
    stack::guard(|| descend(x, sines))
}

struct Chain(Vec<Chain>);

impl Tree for Chain {
    fn children(&self) -> &[Chain] {
        &self.0
    }
}

/// A chain of `n` nodes, and its removal without recursion.
fn with_chain<R>(n: usize, f: impl FnOnce(&Chain) -> R) -> R {
    let mut chain = Chain(Vec::new());
    for _ in 1..n {
        chain = Chain(vec![chain]);
    }
    let result = f(&chain);
    while let Some(inner) = chain.0.pop() {
        chain = inner;
    }
    result
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// On a thread with a stack of 2 MiB, as spawned threads have.
fn on_a_small_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, f).unwrap().join().unwrap()
    })
}

fn exhausted<T: std::fmt::Debug>(result: Result<T>) -> usize {
    match result {
        Err(Error::StackExhausted { limit, depth: Some(depth), by: Limit::Size }) => {
            assert_eq!(limit, stack::size());
            depth
        }
        other => panic!("{other:?}"),
    }
}

/// Derivatives in derivatives, so deep.
fn nested(depth: usize) -> Result<f64> {
    fn inside(depth: usize, x: f64) -> Result<f64> {
        if depth == 0 {
            return Ok(x);
        }
        reset(|_| inside(depth - 1, x))
    }
    inside(depth, 1.0)
}

#[test]
fn deep_programs_and_the_end_of_the_stack() {
    const MILLION: usize = 1_000_000;
    // By default a million operators fit, in both spellings, in evaluation and in recursion.
    on_a_small_thread(|| {
        assert_eq!(grad(|x| power(MILLION, &x), &1.0f64).unwrap(), MILLION as f64);
        assert_eq!(cps::grad(&1.0, |x, k| explicit_power(MILLION, x, x, k)).unwrap(), MILLION as f64);
        with_chain(MILLION, |chain| {
            let product =
                |x: &f64| fold(chain, &|_, below: Vec<f64>| below.into_iter().fold(*x, |a, b| a + b));
            assert_eq!(product(&1.0), MILLION as f64);
            let slope = grad(
                |x| {
                    fold(chain, &|_, below: Vec<Var<'_, f64>>| {
                        below.into_iter().fold(x.clone(), |a, b| a + b)
                    })
                },
                &1.0f64,
            );
            assert_eq!(slope.unwrap(), MILLION as f64);
        });
    });

    // A small stack runs out: an error, and the next call works.
    stack::configure(1 << 20).unwrap();
    on_a_small_thread(|| {
        for _ in 0..3 {
            let direct = exhausted(grad(|x| power(MILLION, &x), &1.0f64));
            assert!((100..50_000).contains(&direct), "{direct} operators deep");
            let explicit = exhausted(cps::grad(&1.0, |x, k| explicit_power(MILLION, x, x, k)));
            assert!((100..50_000).contains(&explicit), "{explicit} operators deep");
            with_chain(MILLION, |chain| {
                exhausted(grad(
                    |x| {
                        fold(chain, &|_, below: Vec<Var<'_, f64>>| {
                            below.into_iter().fold(x.clone(), |a, b| a + b)
                        })
                    },
                    &1.0f64,
                ))
            });
            // Destructors of what ran out of stack can still use operators.
            let seen = Cell::new(0.0);
            exhausted(grad(
                |x| {
                    let _guard = SineOnDrop(x.clone(), &seen);
                    power(MILLION, &x)
                },
                &1.0f64,
            ));
            assert_eq!(seen.get(), 1.0f64.sin());
            // So can those of a body that ran out of it by itself.
            seen.set(0.0);
            let outcome = grad(|x| descend(&x, &seen), &1.0f64);
            assert!(matches!(outcome, Err(Error::StackExhausted { .. })), "{outcome:?}");
            assert_eq!(seen.get(), 1.0f64.sin());
            assert_eq!(grad(|x| power(100, &x), &1.0f64).unwrap(), 100.0);
            assert_eq!(grad(|x| recursive_power(20, &x), &2.0f64).unwrap(), 20.0 * 2f64.powi(19));
        }
    });
    // Sizes that cannot be are refused, and change nothing.
    for impossible in [0, 1000, stack::MIN_SIZE - 1, stack::MAX_SIZE + 1, usize::MAX - (1 << 16), usize::MAX]
    {
        let error = stack::configure(impossible).unwrap_err();
        assert!(matches!(error, Error::Config { name: "stack size", .. }), "{error:?}");
        assert!(error.to_string().contains(&impossible.to_string()), "{error}");
        assert_eq!(stack::size(), 1 << 20);
    }
    // What can be configured need not be there: a promise that is broken is an error.
    stack::configure(stack::MAX_SIZE).unwrap();
    on_a_small_thread(|| match nested(20) {
        Err(Error::StackReserve { size, .. }) => assert_eq!(size, stack::MAX_SIZE),
        other => panic!("{other:?}"),
    });

    // Repeated steps do not grow the process.
    stack::configure(None).unwrap();
    on_a_small_thread(|| {
        let step = || assert!(grad(|x| power(20_000, &x), &1.0f64).unwrap() == 20_000.0);
        (0..20).for_each(|_| step());
        let before = resident_bytes();
        (0..500).for_each(|_| step());
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes more after 500 steps");
        // What a single deep program has touched is given back when it ends, and what several have by `release`.
        let deep = || assert_eq!(grad(|x| power(300_000, &x), &1.0f64).unwrap(), 300_000.0);
        deep();
        let kept = resident_bytes().saturating_sub(before);
        assert!(kept < 50 << 20, "{kept} bytes more after one deep program");
        deep();
        let before = resident_bytes();
        stack::release();
        assert!(before - resident_bytes() > 50 << 20);
        assert_eq!(grad(|x| power(100, &x), &1.0f64).unwrap(), 100.0);
        // So is what several have, after as many shallow ones as there are places in the memory of runs.
        (0..2).for_each(|_| deep());
        let before = resident_bytes();
        (0..64).for_each(|_| step());
        assert!(before - resident_bytes() > 50 << 20);
    });

    // Each derivative inside of a derivative has a stack of its own.
    let nested = grad(|x| grad(|y| power(1000, &y), &x).unwrap(), &1.0f64).unwrap();
    assert_eq!(nested, 1000.0 * 999.0);
}
