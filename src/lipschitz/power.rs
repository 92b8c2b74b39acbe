//! Singular values of affine programs, by the power method and by Lanczos' method, through derivatives.

use super::affine::{Affine, elements, unit};
use super::constant::LipschitzConstant;
use super::lanczos;
use super::matrix::dot;
use crate::array::NdArray;
use crate::error::{At, Error, Result};
use crate::language::tensor::Tensor;
use crate::transforms::RepeatedFunction;

type Array = NdArray<f64>;

/// A singular value `σ` of `A`, and unit vectors with `A·right = σ·left`.
#[derive(Clone, Debug)]
pub struct SingularValue {
    /// The value, `‖A·right‖`: for the first one a lower bound of the norm.
    pub value: f64,
    /// In the shape of the program's result; zero if the value is.
    pub left: Array,
    /// In the shape of its input.
    pub right: Array,
}

impl SingularValue {
    /// The value as a lower bound of the Lipschitz constant, up to rounding.
    pub fn constant(&self) -> LipschitzConstant {
        LipschitzConstant::lower("power method", self.value)
    }
}

/// The power method `v ← ∇(½‖f(v) − f(0)‖²)`, normalised, for the norm of the linear part of an affine program: a
/// layer, a convolution, an average, any composition of these; and the right singular vector (Virmaux & Scaman,
/// *Lipschitz regularity of deep neural networks: analysis and efficient estimation*, 2018, algorithm 2).
///
/// It begins at `start`, of the input's shape, and makes `steps` steps. The error falls by `(σ₂/σ₁)⁴` with each.
///
/// ```
/// use antiphon::lipschitz::power_method;
/// use antiphon::{NdArray, Tensor};
/// let start = NdArray::from(vec![1.0, 0.0]);
/// let found = power_method(|x| x.matmul(&Tensor::from_elements(&[2, 2], &[1.0, 3.0, 2.0, 4.0]).unwrap()), &start, 3)?;
/// assert!((found.value - 5.464985704218998).abs() < 1e-14);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the program raises; [`Error::Argument`] if it is not affine, or if the start is zero or not finite.
#[track_caller]
pub fn power_method(
    f: impl for<'r> RepeatedFunction<'r, Array, Array>,
    start: &Array,
    steps: usize,
) -> Result<SingularValue> {
    let (op, at) = ("power_method", At::caller());
    let affine = Affine::new(op, at, f, &start.shape())?;
    let Some(mut v) = unit(elements(start)) else {
        let reason = "a start whose norm is zero or not finite".into();
        return Err(Error::Argument { op, reason, at });
    };
    for _ in 0..steps {
        let (_, next) = affine.image(&v)?;
        match unit(next) {
            Some(next) => v = next,
            // It has no part in any singular value but zero.
            None => break,
        }
    }
    affine.singular_value(&v)
}

/// The largest singular values, descending, of the linear part of an affine program of inputs of a shape: by Lanczos'
/// method on the same gradients as those of [`power_method`], of which it takes fewer, one value after the other, each
/// among the vectors orthogonal to those found before (deflation). So equal ones are found as often as they are there.
///
/// Values are exact up to about 10⁻¹², relative to the largest one.
///
/// ```
/// use antiphon::lipschitz::singular_values;
/// use antiphon::Tensor;
/// // Means of neighbours.
/// let values = singular_values(|x| (x.slice(0, 0..3) + x.slice(0, 1..4)) * 0.5, &[4], 2)?;
/// assert!((values[0].value - (std::f64::consts::PI / 8.0).cos()).abs() < 1e-12);
/// assert!((values[1].value - (std::f64::consts::PI / 4.0).cos()).abs() < 1e-12);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the program raises; [`Error::Argument`] if it is not affine, if there are not as many singular values, or if
/// one is not found, as where numbers are not finite.
#[track_caller]
pub fn singular_values(
    f: impl for<'r> RepeatedFunction<'r, Array, Array>,
    shape: &[usize],
    count: usize,
) -> Result<Vec<SingularValue>> {
    let (op, at) = ("singular_values", At::caller());
    let n: usize = shape.iter().product();
    if count > n {
        let reason = format!("{count} singular values of an input {shape:?} of {n} elements");
        return Err(Error::Argument { op, reason, at });
    }
    let affine = Affine::new(op, at, f, shape)?;
    let mut found: Vec<SingularValue> = Vec::new();
    let mut vectors: Vec<Vec<f64>> = Vec::new();
    let ending = lanczos::Ending { change: 1e-15, every: 8 };
    for _ in 0..count {
        let pair = lanczos::largest(n, &vectors, ending, |v| Ok::<_, Error>(affine.image(v)?.1))?;
        let right = match unit(pair.vector) {
            Some(right) if !pair.value.is_nan() => right,
            _ => {
                let reason = format!("singular value {} was not found", vectors.len() + 1);
                return Err(Error::Argument { op, reason, at });
            }
        };
        found.push(affine.singular_value(&right)?);
        // What rounding left of those before would come again.
        let mut right = right;
        for before in &vectors {
            let along = dot(&right, before);
            right.iter_mut().zip(before).for_each(|(x, b)| *x -= along * b);
        }
        vectors.extend(unit(right));
    }
    found.sort_by(|a, b| b.value.total_cmp(&a.value));
    Ok(found)
}
