//! Truth values over axes.

use crate::language::real::Mask;
use crate::language::shape::Axes;
use crate::language::tensor::Tensor;

/// [`Tensor::count`].
#[track_caller]
pub fn count<T: Tensor>(mask: &T::Bool, axes: &Axes) -> T {
    T::from_mask(mask).sum(axes.clone())
}

/// [`Tensor::any`].
#[track_caller]
pub fn any<T: Tensor>(mask: &T::Bool, axes: &Axes) -> T::Bool {
    count::<T>(mask, axes).greater(&T::constant(0.0))
}

/// [`Tensor::all`].
#[track_caller]
pub fn all<T: Tensor>(mask: &T::Bool, axes: &Axes) -> T::Bool {
    count::<T>(&mask.not(), axes).equal(&T::constant(0.0))
}
