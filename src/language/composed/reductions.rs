//! Products, and spreads around a mean.

use super::{count, merged, norms, refuse};
use crate::continuation::unwinding::OrRaise;
use crate::language::shape::{self, Axes};
use crate::language::tensor::Tensor;

/// [`Tensor::prod`]: of pairs, and of pairs of these, so that the derivative divides by nothing.
#[track_caller]
pub fn prod<T: Tensor>(x: &T, axes: &Axes) -> T {
    let (mut x, kept) = merged("prod", x, axes);
    let mut n = x.shape()[kept.len()];
    if n == 0 {
        return T::ones(&kept);
    }
    while n > 1 {
        let half = n / 2;
        let pairs = x.slice(-1, 0..half) * x.slice(-1, half..2 * half);
        x = if n % 2 == 0 { pairs } else { T::concat(&[pairs, x.slice(-1, n - 1..n)], -1) };
        n -= half;
    }
    x.reshape(&kept)
}

/// [`Tensor::var_ddof`].
#[track_caller]
pub fn var<T: Tensor>(op: &'static str, x: &T, axes: &Axes, ddof: usize) -> T {
    let count = count(op, x, axes);
    if ddof > 0 && ddof >= count {
        refuse(op, format!("{ddof} degrees of freedom are taken from {count} elements"));
    }
    let keep = shape::reduce_keep(&x.shape(), &shape::axes(op, axes, &x.shape()).or_raise());
    let centred = x.clone() - x.mean(axes.clone()).reshape(&keep);
    centred.square().sum(axes.clone()) * (1.0 / (count - ddof) as f64)
}

/// [`Tensor::std_ddof`].
#[track_caller]
pub fn std<T: Tensor>(x: &T, axes: &Axes, ddof: usize) -> T {
    norms::root(&var("std", x, axes, ddof))
}
