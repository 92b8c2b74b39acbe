//! [`NdArray`]: plain evaluation over arrays, on top of `ndarray`.
//!
//! One file per subject: `buffer` (storage), `accumulator` (adjoints), `layout` and `kernel` (the loops of elementwise
//! operators), `math` and `float` (elements), `elementwise`, `operators`, `reduce`, `contract`, `dot`, `index`, `conv`
//! (the operators themselves), `real` and `tensor` (their listing as instances of the calculus), `int` and `mask`
//! (integers and truth values).

mod accumulator;
mod buffer;
mod contract;
mod conv;
mod dot;
mod elementwise;
mod float;
mod index;
mod instances;
mod int;
mod kernel;
mod layout;
mod mask;
mod math;
mod operators;
#[cfg(feature = "staging")]
mod plain;
mod random;
mod real;
mod reduce;
mod tensor;

use std::fmt;

use ndarray::{Array, ArrayD, ArrayViewD, Dimension};

use self::buffer::Storage;
pub use self::float::Float;
pub use self::int::NdInt;
pub use self::mask::NdBool;

/// An array of `f32` or `f64` that operators evaluate at once, as NumPy does.
///
/// A clone shares its elements; so do transposes and slices. An operator that gets its left operand by value, and
/// nobody else holds, writes the result in its place.
///
/// ```
/// use antiphon::{NdArray, Tensor};
/// use ndarray::array;
/// let x = NdArray::from(array![[1.0, 2.0], [3.0, 4.0]]);
/// let y = x.matmul(&x) + 1.0;
/// assert_eq!(y, NdArray::from(array![[8.0, 11.0], [16.0, 23.0]]));
/// assert_eq!(y.sum(..).item(), 58.0);
/// ```
#[derive(Clone)]
pub struct NdArray<E>(Storage<E>);

impl<E: Float> NdArray<E> {
    /// An array of rank zero.
    #[inline]
    pub fn scalar(x: E) -> NdArray<E> {
        NdArray::from_vec(&[], vec![x])
    }

    /// The value of an array with one element.
    ///
    /// # Panics
    /// If there is not exactly one.
    #[inline]
    #[track_caller]
    pub fn item(&self) -> E {
        assert!(self.0.len() == 1, "item: an array of shape {:?} is not a single number", self.0.shape());
        buffer::memory(&self.0)[0]
    }

    /// The elements, for reading, as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, E> {
        self.0.view()
    }

    /// The elements as an owned `ndarray` array; copied only if they are shared.
    pub fn into_array(self) -> ArrayD<E> {
        self.0.into_owned()
    }

    #[inline]
    fn from_vec(shape: &[usize], elements: Vec<E>) -> NdArray<E> {
        NdArray(buffer::from_vec(shape, elements))
    }

    /// The elements in row-major order, and what owns them if they had to be copied for that.
    #[inline]
    #[track_caller]
    fn row_major(&self) -> Storage<E> {
        buffer::contiguous(&self.0)
    }
}

impl<E: Float, D: Dimension> From<Array<E, D>> for NdArray<E> {
    #[track_caller]
    fn from(array: Array<E, D>) -> NdArray<E> {
        NdArray(buffer::forward(array.into_dyn().into_shared()))
    }
}

impl<E: Float> From<Vec<E>> for NdArray<E> {
    fn from(elements: Vec<E>) -> NdArray<E> {
        NdArray::from_vec(&[elements.len()], elements)
    }
}

impl<E: Float> From<ArrayViewD<'_, E>> for NdArray<E> {
    fn from(view: ArrayViewD<'_, E>) -> NdArray<E> {
        NdArray::from(view.to_owned())
    }
}

impl<E: Float> From<NdArray<E>> for ArrayD<E> {
    fn from(array: NdArray<E>) -> ArrayD<E> {
        array.into_array()
    }
}

impl<E: Float> From<E> for NdArray<E> {
    fn from(x: E) -> NdArray<E> {
        NdArray::scalar(x)
    }
}

impl<E: Float> PartialEq for NdArray<E> {
    /// The same shape and equal elements. NaN equals nothing.
    fn eq(&self, other: &NdArray<E>) -> bool {
        self.0 == other.0
    }
}

impl<E: Float> fmt::Debug for NdArray<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NdArray{:?} ", self.0.shape())?;
        fmt::Display::fmt(&self.0, f)
    }
}

impl<E: Float> fmt::Display for NdArray<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<E: Float> crate::language::control::Control for NdArray<E> {}
