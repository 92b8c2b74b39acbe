//! Storage: what an array keeps its elements in, and the access to it that the kernels use.

use std::mem::MaybeUninit;

use ndarray::{ArcArray, IxDyn, Order};

use crate::continuation::stack;
use crate::language::shape::{self, Shape};
use crate::memory::{collected, room};

/// Shared, copied on write; a slice, a transpose and a clone cost no copy. No axis of a `Storage` of this
/// crate runs backwards: see [`forward`].
pub(super) type Storage<T> = ArcArray<T, IxDyn>;

/// Row-major storage of this shape.
///
/// # Panics
/// If the number of elements is not the shape's.
#[inline]
pub(super) fn from_vec<T>(shape: &[usize], elements: Vec<T>) -> Storage<T> {
    assert_eq!(elements.len(), shape::size(shape), "elements for a shape");
    stack::allocated(size_of_val(&elements[..]));
    // SAFETY: row-major strides of a shape with exactly as many elements as the vector has stay inside of it
    // and do not overlap. (The checked constructor costs more than a small array's whole computation.)
    unsafe { Storage::from_shape_vec_unchecked(IxDyn(shape), elements) }
}

/// A vector of `n` elements that `write` has written. Errors as [`room`].
///
/// # Safety
/// `write` has to initialise every element, or not to return.
#[inline(always)]
#[track_caller]
pub(super) unsafe fn write_vec<T: Copy>(n: usize, write: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut elements = room(n);
    write(&mut elements.spare_capacity_mut()[..n]);
    // SAFETY: the capacity is at least `n`, and the caller promises that all are written.
    unsafe { elements.set_len(n) };
    elements
}

/// The memory from the first element of an array up to its last: element `[i, j, ..]` is at
/// `i·stride₀ + j·stride₁ + …`. For row-major arrays these are its elements.
#[inline]
pub(super) fn memory<T>(array: &Storage<T>) -> &[T] {
    let mut span = 1;
    for (&n, &stride) in array.shape().iter().zip(array.strides()) {
        if n == 0 {
            return &[];
        }
        assert!(n == 1 || stride >= 0, "an axis runs backwards");
        span += (n - 1) * stride as usize * usize::from(n > 1);
    }
    // SAFETY: no stride is negative, so `as_ptr` is the element of the lowest address and `span − 1` the offset of
    // the one of the highest; both lie in the one allocation, all of whose elements are initialised, and which
    // `array` keeps alive and, being shared storage, unchanged for as long as it is borrowed.
    unsafe { std::slice::from_raw_parts(array.as_ptr(), span) }
}

/// The elements for writing, if nobody else shares them and they are row-major.
#[inline]
pub(super) fn exclusive<T: Clone>(array: &mut Storage<T>) -> Option<&mut [T]> {
    if array.is_unique() { array.as_slice_mut() } else { None }
}

/// The same elements without axes that run backwards, which kernels need not expect then.
#[track_caller]
pub(super) fn forward<T: Clone>(array: Storage<T>) -> Storage<T> {
    let backwards = array.shape().iter().zip(array.strides()).any(|(&n, &stride)| n > 1 && stride < 0);
    if backwards { from_vec(&Shape::from(array.shape()), collected(array.iter().cloned())) } else { array }
}

/// Row-major: the same array if it is, else a copy.
#[inline]
#[track_caller]
pub(super) fn contiguous<T: Copy>(array: &Storage<T>) -> Storage<T> {
    if array.is_standard_layout() {
        array.clone()
    } else {
        from_vec(array.shape(), super::kernel::copy(array))
    }
}

/// The same elements in another shape of as many.
#[inline]
#[track_caller]
pub(super) fn reshape<T: Copy>(array: &Storage<T>, shape: &[usize]) -> Storage<T> {
    let row_major = contiguous(array);
    row_major
        .into_shape_with_order((IxDyn(shape), Order::RowMajor))
        .expect("a row-major array takes any shape of its size")
}
