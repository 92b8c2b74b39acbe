//! The numbers that ranks exchange.

use super::buckets::Buckets;
use super::protocol::State;
use super::raw::Datum;

/// `f32` or `f64`.
pub(super) trait Element: Datum + PartialOrd {
    /// Whole numbers of the same order.
    type Ordered: Datum;
    /// The place of a number in the order of all, in which NaN is the largest.
    fn ordered(self) -> Self::Ordered;
    /// The number at a place.
    fn of_ordered(place: Self::Ordered) -> Self;
    /// One of so many equal parts.
    fn mean(self, of: usize) -> Self;
    /// Whether two have the same bits.
    fn same(a: Self, b: Self) -> bool;
    /// Gradients of this type that are under way.
    fn buckets(state: &mut State) -> &mut Buckets<Self>;
}

macro_rules! element {
    ($E:ident, $Place:ident, $buckets:ident) => {
        impl Element for $E {
            type Ordered = $Place;
            fn ordered(self) -> $Place {
                if self.is_nan() {
                    return $Place::MAX;
                }
                // Numbers below zero are in the reverse order of their bits.
                let bits = self.to_bits() as $Place;
                if bits < 0 { !bits ^ $Place::MIN } else { bits }
            }
            fn of_ordered(place: $Place) -> $E {
                if place == $Place::MAX {
                    return $E::NAN;
                }
                let bits = if place < 0 { !(place ^ $Place::MIN) } else { place };
                $E::from_bits(bits as _)
            }
            fn mean(self, of: usize) -> $E {
                self / of as $E
            }
            fn same(a: $E, b: $E) -> bool {
                a.to_bits() == b.to_bits()
            }
            fn buckets(state: &mut State) -> &mut Buckets<$E> {
                &mut state.$buckets
            }
        }
    };
}
element!(f32, i32, single);
element!(f64, i64, double);

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn places_are_in_the_order_of_numbers() {
        let ascending =
            [f64::NEG_INFINITY, -2.0, -1.0, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-310, 1.0, 3.5, f64::INFINITY];
        for pair in ascending.windows(2) {
            assert!(pair[0].ordered() < pair[1].ordered(), "{pair:?}");
        }
        for x in ascending {
            assert_eq!(f64::of_ordered(x.ordered()).to_bits(), x.to_bits());
            assert_eq!(f32::of_ordered((x as f32).ordered()).to_bits(), (x as f32).to_bits());
        }
        assert!(f64::NAN.ordered() > f64::INFINITY.ordered());
        assert!(f32::of_ordered((-f32::NAN).ordered()).is_nan());
    }
}
