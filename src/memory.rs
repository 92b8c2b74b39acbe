//! Memory for the elements of arrays: where there is none, that is an error like any other, at the user's line.

use std::alloc::{Layout, alloc, alloc_zeroed};

use antiphon_system::heap;
use bytemuck::Zeroable;

use crate::continuation::unwinding::raise;
use crate::error::{At, Error};

/// An empty vector with room for exactly `n` elements, from an allocator's function.
/// Not by a method of `Vec`: of those that report a failure, none gives zeros.
#[inline]
#[track_caller]
fn allocate<T>(n: usize, allocate: unsafe fn(Layout) -> *mut u8) -> Vec<T> {
    match Layout::array::<T>(n) {
        Ok(layout) if layout.size() == 0 => return Vec::new(),
        Ok(layout) => {
            if layout.size() >= heap::LARGE {
                heap::keep_freed();
            }
            // SAFETY: the layout's size is not zero.
            let start = unsafe { allocate(layout) }.cast::<T>();
            if !start.is_null() {
                // SAFETY: the global allocator has just given it, with the layout of `n` elements, none of which is
                // used.
                return unsafe { Vec::from_raw_parts(start, 0, n) };
            }
        }
        Err(_) => {}
    }
    // Not by a closure: it would not know its caller.
    out_of_memory(n.saturating_mul(size_of::<T>()))
}

#[cold]
#[track_caller]
fn out_of_memory(bytes: usize) -> ! {
    raise(Error::Memory { bytes, at: At::caller() })
}

/// An empty vector with room for `n` elements.
///
/// # Errors
/// Raises [`Error::Memory`] if there is no memory for them.
#[inline]
#[track_caller]
pub(crate) fn room<T>(n: usize) -> Vec<T> {
    allocate(n, alloc)
}

/// `n` zeros, which take no time and no memory as long as they are not written. Errors as [`room`].
#[inline]
#[track_caller]
pub(crate) fn zeros<E: Zeroable>(n: usize) -> Vec<E> {
    let mut elements = allocate::<E>(n, alloc_zeroed);
    // SAFETY: there is room for as many, and all their bytes are zero, which is a value of such a type.
    unsafe { elements.set_len(n) };
    elements
}

/// `n` times a value. Errors as [`room`].
#[track_caller]
pub(crate) fn repeated<T: Copy>(n: usize, value: T) -> Vec<T> {
    let mut elements = room(n);
    elements.resize(n, value);
    elements
}

/// As many elements as an iterator says that it has. Errors as [`room`].
#[track_caller]
pub(crate) fn collected<T>(elements: impl ExactSizeIterator<Item = T>) -> Vec<T> {
    let mut collected = room(elements.len());
    collected.extend(elements);
    collected
}
