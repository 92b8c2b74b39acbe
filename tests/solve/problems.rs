//! Problems whose solutions and derivatives are known.

use antiphon::solve::{FixedPointMethod, Over, Problem};
use antiphon::{NdArray, Real, Tensor};

pub type Array = NdArray<f64>;

pub const PICARD: FixedPointMethod = FixedPointMethod::PICARD;

pub fn scalar(x: f64) -> Array {
    Array::scalar(x)
}

pub fn vector(elements: &[f64]) -> Array {
    Array::from(elements.to_vec())
}

/// `x² − θ`.
#[derive(Clone, Debug)]
pub struct Square;

impl Problem for Square {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        x.square() - theta
    }
}

/// What a model gives eagerly, and compiled as well if that can be; they have to agree. The model is generic, so it is
/// written out for each.
#[macro_export]
macro_rules! in_both_modes {
    ($model:expr, $x:expr) => {{
        let x = $x;
        let eagerly = $model(x.clone());
        #[cfg(feature = "staging")]
        {
            let compiled = antiphon::compile("model", $model, &x).unwrap().call(&x).unwrap();
            $crate::problems::assert_near(&compiled, &eagerly, 1e-12);
        }
        eagerly
    }};
}

/// Raises unless all elements differ by this part of the larger of them and 1, at most.
#[track_caller]
pub fn assert_near<P: antiphon::Params<Leaf = Array>, Q: antiphon::Params<Leaf = Array>>(
    found: &P,
    expected: &Q,
    part: f64,
) {
    for (found, expected) in found.leaves().iter().zip(expected.leaves()) {
        assert_eq!(found.shape(), expected.shape());
        for (a, b) in found.view().iter().zip(expected.view()) {
            assert!((a - b).abs() <= part * b.abs().max(1.0), "{found} {expected}");
        }
    }
}

/// `½(x + θ/x)`: Newton's method for `x² = θ`.
#[derive(Clone, Debug)]
pub struct Babylonian;

impl Problem for Babylonian {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
        (x.clone() + theta.clone() / x) * 0.5
    }
}

/// `ρ·x + θ`, of `(ρ, θ)`.
#[derive(Clone, Debug)]
pub struct Affine;

impl Problem for Affine {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, (rho, theta): &(T, T)) -> T {
        x.clone() * rho + theta
    }
}

/// `d + y⁵`.
#[derive(Clone, Debug)]
pub struct Quintic;

impl Problem for Quintic {
    type Unknown = Array;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, y: &T, d: &T) -> T {
        d.clone() + y.powi(5)
    }
}

/// A step of gradient descent for `½(Xw − y)ᵀdiag(θ)(Xw − y) + ½α‖w‖²`, of the step's length and `(X, y, θ, α)`.
#[derive(Clone, Debug)]
pub struct RidgeDescent;

impl Problem for RidgeDescent {
    type Unknown = Array;
    type Parameters = (Array, (Array, Array, Array, Array));
    type Value = Array;
    fn value<T: Tensor>(&self, w: &T, (step, (x, y, theta, alpha)): &(T, (T, T, T, T))) -> T {
        let residual = x.matmul(w) - y;
        let gradient = x.transpose().matmul(&(residual * theta)) + w.clone() * alpha;
        w.clone() - gradient * step
    }
}

/// Two leaves, of which each depends on the other: `(½·cos(y) + θ, ¼·x·[1, 2])`.
#[derive(Clone, Debug)]
pub struct Pair;

impl Problem for Pair {
    type Unknown = (Array, Array);
    type Parameters = Array;
    type Value = (Array, Array);
    fn value<T: Tensor>(&self, (x, y): &(T, T), theta: &T) -> (T, T) {
        let weights = T::from_elements(&[2], &[0.25, 0.5]).unwrap();
        (y.cos().sum(..) * 0.5 + theta, weights * x)
    }
}

/// `W·tanh(x) + b`, a contraction if `‖W‖ < 1`.
#[derive(Clone, Debug)]
pub struct Layer;

impl Problem for Layer {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, (w, b): &Over<(Array, Array), T>) -> T {
        w.matmul(&x.tanh()) + b
    }
}
