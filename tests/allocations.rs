//! Scalar programs ask nothing of the heap, in either spelling: after the first call on a thread, which reserves the
//! stacks, an explicit derivative allocates nothing at all, and one in direct style the same however long it is.

#[path = "support/counting.rs"]
mod counting;

use antiphon::{Real, Var, cps, grad};
use counting::allocations;

/// `y ← sin(y)·x + y/x`, so often.
fn direct<T: Real>(steps: usize, x: &T) -> T {
    let mut y = x.clone();
    for _ in 0..steps {
        y = y.sin() * x + y / x;
    }
    y
}

fn explicit(steps: usize, y: &Var<'_, f64>, x: &Var<'_, f64>, k: cps::Return<'_, f64>) -> cps::Result<()> {
    if steps == 0 {
        return k(y);
    }
    cps! {
        let s = cps::sin(y);
        let a = cps::mul(s, x);
        let b = cps::div(y, x);
        cps::add(a, b, |y| explicit(steps - 1, y, x, k))
    }
}

#[test]
fn the_counter_counts() {
    let mut made = Vec::new();
    assert_eq!(allocations(|| made.push(Box::new(1))), 2);
}

#[test]
fn explicit_programs_allocate_nothing() {
    let run = |steps| {
        cps::grad(&1.3, |x, k| explicit(steps, x, x, k)).expect("a gradient");
    };
    run(10_000);
    for steps in [0, 1, 100, 10_000] {
        assert_eq!(allocations(|| run(steps)), 0, "{steps} steps");
    }
}

#[test]
fn operators_in_direct_style_allocate_nothing() {
    let run = |steps| {
        grad(|x| direct(steps, &x), &1.3f64).expect("a gradient");
    };
    run(10_000);
    let of_the_entry = allocations(|| run(0));
    for steps in [1, 100, 10_000] {
        assert_eq!(allocations(|| run(steps)), of_the_entry, "{steps} steps");
    }
}

#[test]
fn both_spellings_agree() {
    let of_explicit = cps::grad(&1.3, |x, k| explicit(50, x, x, k)).expect("a gradient");
    assert_eq!(grad(|x| direct(50, &x), &1.3f64).expect("a gradient"), of_explicit);
}
