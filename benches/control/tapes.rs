//! The programs of `models.rs` on a tape.

use crate::tape::{Entry, Tape};

/// A number that nothing is differentiated by, on the tape of another.
fn constant(on: Entry<'_>, value: f64) -> Entry<'_> {
    on.with(on, value, [0.0, 0.0])
}

pub fn recurrence(tape: &mut Tape, [x, a, b, n]: [f64; 4]) -> f64 {
    let mut x = tape.restart(x);
    let (a, b) = (constant(x, a), constant(x, b));
    let mut i = 0.0;
    while i < n {
        x = x.sin() * a + x * b;
        i += 1.0;
    }
    x.gradient()
}

pub fn newton(tape: &mut Tape, [a, start]: [f64; 2]) -> f64 {
    let a = tape.restart(a);
    let mut x = constant(a, start);
    while (x.value * x.value - a.value).abs() > a.value * 1e-10 {
        let ratio = a.value / x.value;
        let sum = x + a.with(x, ratio, [1.0 / x.value, -ratio / x.value]);
        x = sum.with(sum, sum.value * 0.5, [0.5, 0.0]);
    }
    x.gradient()
}

pub fn branch(tape: &mut Tape, [x, n]: [f64; 2]) -> f64 {
    let x = tape.restart(x);
    let (mut y, mut i) = (x, 0.0);
    while i < n {
        y = if y.value < 1.0 { y * x + x } else { y * x };
        i += 1.0;
    }
    y.gradient()
}

pub fn tree(tape: &mut Tape, [x, depth]: [f64; 2]) -> f64 {
    fn node(x: Entry<'_>, depth: f64) -> Entry<'_> {
        if depth > 0.0 { node(x, depth - 1.0) * node(x, depth - 1.0) + x } else { x }
    }
    node(tape.restart(x), depth).gradient()
}
