//! Lipschitz constants of programs: [`Bound`](antiphon::lipschitz::Bound), the interpretation.

mod control;
mod derivatives;
mod extremes;
mod layers;
mod models;
mod operators;
mod report;

use antiphon::lipschitz::{Bound, Domain, LipschitzBound, auto_lip};
use antiphon::{NdArray, Tensor};

type Array = NdArray<f64>;
type Value = Bound<Array>;

/// Everything, for vectors of so many numbers.
fn everywhere(n: usize) -> Domain<Array> {
    Domain::Everywhere(Array::zeros(&[n]))
}

/// From one number to another, for vectors.
fn interval(n: usize, low: f64, high: f64) -> Domain<Array> {
    Domain::Box(Array::full(&[n], low), Array::full(&[n], high))
}

fn bound(f: impl FnOnce(Value) -> Value, domain: &Domain<Array>) -> LipschitzBound {
    auto_lip(f, domain).unwrap()
}

#[track_caller]
fn assert_close(got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance * (1.0 + expected.abs()), "{got} instead of {expected}");
}
