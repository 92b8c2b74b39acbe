//! Operators with rules of their own that tests share.

use antiphon::Tensor;
use antiphon::custom::{CustomOperator, transposed};

/// `W·x`, whose adjoint by the matrix is none, and by the vector twice what it is.
#[derive(Clone, Debug)]
pub struct Fixed;

impl CustomOperator for Fixed {
    const NAME: &'static str = "fixed";
    fn value<T: Tensor>(&self, x: &[T]) -> T {
        x[0].matmul(&x[1])
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        vec![None, wanted[1].then(|| x[0].transpose().matmul(y_bar) * 2.0)]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        transposed(self, x, y, tangents)
    }
}

/// An array, whose adjoint is scaled to a norm of at most one.
#[derive(Clone, Debug)]
pub struct ClipNorm;

impl CustomOperator for ClipNorm {
    const NAME: &'static str = "clip_norm";
    const LINEAR: bool = false;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        x[0].clone()
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let norm = y_bar.square().sum(..).sqrt();
        vec![Some(y_bar.clone() / norm.maximum(&T::constant(1.0)))]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].clone()
    }
}

/// `Σ (W·x)²`, by [`Fixed`].
pub fn squares<T: Tensor>(w: &T, x: &T) -> T {
    T::custom(&Fixed, &[w, x]).square().sum(..)
}
