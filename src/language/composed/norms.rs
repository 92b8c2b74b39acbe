//! Norms of vectors, and of matrices as of vectors of all their elements.

use super::count;
use crate::continuation::unwinding::OrRaise;
use crate::language::shape::{self, Axes};
use crate::language::tensor::Tensor;

/// Which norm [`Tensor::norm`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// `Σ |x|`.
    One,
    /// `√Σ x²`: over the two axes of a matrix it is the Frobenius norm.
    Two,
    /// `max |x|`.
    Infinity,
}

/// [`Tensor::norm`].
#[track_caller]
pub fn norm<T: Tensor>(x: &T, norm: Norm, axes: &Axes) -> T {
    match norm {
        Norm::One => x.abs().sum(axes.clone()),
        Norm::Two => root(&x.square().sum(axes.clone())),
        // Of no numbers it is 0, as the others are.
        Norm::Infinity if count("norm", x, axes) == 0 => {
            T::zeros(&shape::reduce(&x.shape(), &shape::axes("norm", axes, &x.shape()).or_raise()))
        }
        Norm::Infinity => x.abs().max(axes.clone()),
    }
}

/// The square root of what is not negative, with derivative 0 at 0.
#[track_caller]
pub fn root<T: Tensor>(x: &T) -> T {
    if x.none_zero() {
        return x.sqrt();
    }
    let zero = x.equal(&T::constant(0.0));
    T::select(&zero, &T::constant(0.0), &T::select(&zero, &T::constant(1.0), x).sqrt())
}

/// [`Tensor::standardize`].
#[track_caller]
pub fn standardize<T: Tensor>(x: &T, axis: isize, epsilon: f64) -> T {
    let centred = x.clone() - x.mean(axis).unsqueeze(axis);
    let variance = centred.square().mean(axis).unsqueeze(axis);
    centred / (variance + epsilon).sqrt()
}

/// [`Tensor::divide_by_rms`].
#[track_caller]
pub fn divide_by_rms<T: Tensor>(x: &T, axis: isize, epsilon: f64) -> T {
    let mean = x.square().mean(axis).unsqueeze(axis);
    x.clone() / (mean + epsilon).sqrt()
}
