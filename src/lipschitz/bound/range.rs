//! Ranges of values: an array of least and one of largest elements, rounded outwards.

use crate::language::real::{Mask, Real};
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;

/// Where the elements of an array lie.
#[derive(Clone)]
pub(super) struct Range<T> {
    pub low: T,
    pub high: T,
    /// Whether all of these are numbers wherever those of the input's domain are.
    pub bounded: bool,
}

/// Whether rounding is counted: where values are computed at once, and not differentiated or recorded.
pub(super) fn is_rounded<T: Real>() -> bool {
    T::NESTING == 1 && !T::is_recorded(INTERNAL)
}

/// A number that is not negative, larger by so many units in the last place.
pub(super) fn up<T: Tensor>(x: T, units: f64) -> T {
    if is_rounded::<T>() { x.scale(1.0 + units * T::precision(INTERNAL)) } else { x }
}

/// A number that is not negative, and no less than the least one with all its digits: what was computed of numbers that
/// are not zero, and may have been too small for one.
pub(super) fn not_below_least<T: Tensor>(x: T) -> T {
    if is_rounded::<T>() { x.maximum(&T::constant(T::least(INTERNAL))) } else { x }
}

impl<T: Tensor> Range<T> {
    /// That of a constant.
    pub fn point(value: &T) -> Range<T> {
        Range { low: value.clone(), high: value.clone(), bounded: true }
    }

    /// Of computed ends, of which each may be wrong by so many units in the last place of itself.
    pub fn rounded(low: T, high: T, bounded: bool, units: f64) -> Range<T> {
        let size = |x: &T| x.abs().scale(units * T::precision(INTERNAL));
        Range::within(low.clone(), high.clone(), bounded, || (size(&low), size(&high)))
    }

    /// Of computed ends that may be wrong by so much.
    pub fn within(low: T, high: T, bounded: bool, error: impl FnOnce() -> (T, T)) -> Range<T> {
        let (low, high) = if is_rounded::<T>() {
            let (below, above) = error();
            let least = T::constant(T::least(INTERNAL));
            (low - below - &least, high + above + least)
        } else {
            (low, high)
        };
        // What is bounded may still be more than the largest number.
        let finite = |x: &T| x.is_finite().all_known() == Some(true);
        if is_rounded::<T>() && finite(&low) && finite(&high) {
            return Range { low, high, bounded: true };
        }
        if bounded && !is_rounded::<T>() {
            return Range { low, high, bounded };
        }
        // A difference of infinities, or a product of one with zero, is no end.
        let (least, largest) = (f64::NEG_INFINITY, f64::INFINITY);
        Range {
            low: low.nan_to_num(least, largest, least),
            high: high.nan_to_num(largest, largest, least),
            bounded: false,
        }
    }

    /// The same for all elements of a shape.
    pub fn all(shape: &[usize], low: f64, high: f64) -> Range<T> {
        let bounded = low.is_finite() && high.is_finite();
        Range { low: T::full(shape, low), high: T::full(shape, high), bounded }
    }

    /// Both ends, under an operator that computes none of them anew.
    pub fn map(&self, f: impl Fn(&T) -> T) -> Range<T> {
        Range { low: f(&self.low), high: f(&self.high), bounded: self.bounded }
    }

    /// What lies in either.
    pub fn union(&self, other: &Range<T>) -> Range<T> {
        Range {
            low: self.low.minimum(&other.low),
            high: self.high.maximum(&other.high),
            bounded: self.bounded && other.bounded,
        }
    }

    /// The largest absolute value of each element.
    pub fn magnitude(&self) -> T {
        self.low.abs().maximum(&self.high.abs())
    }

    /// The number of each range that is nearest to zero.
    pub fn nearest_to_zero(&self) -> T {
        self.low.maximum(&self.high.minimum(&T::constant(0.0)))
    }

    /// Numbers that no element is less or more than.
    pub fn hull(&self) -> Range<T> {
        if self.low.size() == 0 {
            return Range::all(&[], 0.0, 0.0);
        }
        Range { low: self.low.min(..), high: self.high.max(..), bounded: self.bounded }
    }
}

/// The largest element of an array of numbers that are not negative; 0 of nothing.
pub(super) fn largest<T: Tensor>(x: &T) -> T {
    match x.size() {
        0 => T::constant(0.0),
        _ if x.rank() == 0 => x.clone(),
        _ => x.max(..),
    }
}
