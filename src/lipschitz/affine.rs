//! Affine programs, of which products with vectors and with their transposes are all that is known.

use super::matrix::Numbers;
use super::power::SingularValue;
use crate::array::NdArray;
use crate::error::{At, Error, Result};
use crate::language::real::Real;
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::transforms::{RepeatedFunction, value_and_grad_aux};

type Array = NdArray<f64>;

/// An affine program, as a layer of an [`AffineChain`](super::AffineChain).
pub type AffineProgram<'a> = &'a dyn for<'r> Fn(Var<'r, Array>) -> Var<'r, Array>;

/// An affine program, `f(v) = A·v + f(0)`.
pub(super) struct Affine<F> {
    f: F,
    /// `f(0)`.
    pub(super) origin: Array,
    shape: Vec<usize>,
}

impl<F: for<'r> RepeatedFunction<'r, Array, Array>> Affine<F> {
    /// # Errors
    /// What the program raises; [`Error::Argument`] if it is not affine, as seen in one random direction.
    pub(super) fn new(op: &'static str, at: At, f: F, shape: &[usize]) -> Result<Affine<F>> {
        let zeros = NdArray::from(ndarray::ArrayD::zeros(shape));
        let (origin, _) = pulled(&f, &zeros, None)?;
        let affine = Affine { f, origin, shape: shape.to_vec() };
        let v = Numbers::new(1).normals(zeros.size());
        let (once, _) = affine.image(&v)?;
        let (back, _) = affine.image(&v.iter().map(|x| -2.0 * x).collect::<Vec<f64>>())?;
        if [&affine.origin, &once, &back].iter().any(|y| y.view().iter().any(|y| !y.is_finite())) {
            let reason = "the program's result is not finite".into();
            return Err(Error::Argument { op, reason, at });
        }
        let size = |y: &Array| y.view().iter().fold(0.0, |most: f64, y| most.max(y.abs()));
        let wrong = size(&(once.clone() * 2.0 + &back));
        if wrong > 1e-10 * (size(&once) + size(&affine.origin)) {
            let reason = "the program is not affine: f(−2v) − f(0) is not −2·(f(v) − f(0))".into();
            return Err(Error::Argument { op, reason, at });
        }
        Ok(affine)
    }

    /// How many numbers it takes.
    pub(super) fn inputs(&self) -> usize {
        self.shape.iter().product()
    }

    /// `A·v` and `Aᵀ·A·v`: the gradient of `½‖f(v) − f(0)‖²`.
    pub(super) fn image(&self, v: &[f64]) -> Result<(Array, Vec<f64>)> {
        let (y, gradient) = pulled(&self.f, &self.array(v), Some(&self.origin))?;
        Ok((y - &self.origin, elements(&gradient)))
    }

    fn array(&self, v: &[f64]) -> Array {
        NdArray::from(
            ndarray::ArrayD::from_shape_vec(self.shape.clone(), v.to_vec()).expect("as many elements"),
        )
    }

    /// What belongs to a unit vector.
    pub(super) fn singular_value(&self, right: &[f64]) -> Result<SingularValue> {
        let (y, _) = self.image(right)?;
        let value = norm(&y);
        let left = if value > 0.0 { y * value.recip() } else { y };
        Ok(SingularValue { value, left, right: self.array(right) })
    }
}

/// `f(v)`, and the gradient of `½‖f(v) − origin‖²`.
fn pulled(
    f: &impl for<'r> RepeatedFunction<'r, Array, Array>,
    v: &Array,
    origin: Option<&Array>,
) -> Result<(Array, Array)> {
    let (_, y, gradient) = value_and_grad_aux(
        |v| {
            let y = f(v);
            let moved = origin.map_or_else(|| y.clone(), |origin| y.clone() - Var::lift(origin));
            (moved.square().sum(..).scale(0.5), y)
        },
        v,
    )?;
    Ok((y, gradient))
}

pub(super) fn elements(x: &Array) -> Vec<f64> {
    x.view().iter().copied().collect()
}

/// The Euclidean norm, of numbers of any size.
fn norm(x: &Array) -> f64 {
    let largest = x.view().iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * x.view().iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

/// `v` over its norm; nothing if that is zero.
pub(super) fn unit(v: Vec<f64>) -> Option<Vec<f64>> {
    let size = norm(&NdArray::from(v.clone()));
    (size > 0.0 && size.is_finite()).then(|| v.into_iter().map(|x| x / size).collect())
}
