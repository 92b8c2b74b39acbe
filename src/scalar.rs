//! `f32` and `f64`: plain scalar evaluation.

use std::cell::Cell;
use std::fmt;

use antiphon_elementary::numbers;
use antiphon_system::print::print;

use crate::error::At;
use crate::language::control::Control;
use crate::language::node::StackNode;
use crate::language::real::{Int, Mask, Real};

impl Mask for bool {
    #[inline]
    fn and(&self, other: &bool) -> bool {
        *self && *other
    }
    #[inline]
    fn or(&self, other: &bool) -> bool {
        *self || *other
    }
    #[inline]
    fn not(&self) -> bool {
        !*self
    }
    #[inline]
    fn known(&self) -> Option<bool> {
        Some(*self)
    }
    #[inline]
    fn any(&self) -> bool {
        *self
    }
}

impl Int for i64 {
    type Bool = bool;
    fn print(&self, name: &str, at: At) {
        print(name, at.location(), &[], &[*self]);
    }
    #[inline]
    fn constant(value: i64) -> i64 {
        value
    }
    #[inline]
    fn less(&self, other: &i64) -> bool {
        self < other
    }
    #[inline]
    fn equal(&self, other: &i64) -> bool {
        self == other
    }
    #[inline]
    fn select(mask: &bool, then: &i64, otherwise: &i64) -> i64 {
        if *mask { *then } else { *otherwise }
    }
    #[inline]
    fn floor_divide(&self, divisor: &i64) -> i64 {
        numbers::floor_divide(*self, *divisor)
    }
    #[inline]
    fn remainder(&self, divisor: &i64) -> i64 {
        if *divisor == 0 { 0 } else { self.wrapping_sub(self.floor_divide(divisor).wrapping_mul(*divisor)) }
    }
    #[inline]
    fn abs(&self) -> i64 {
        self.wrapping_abs()
    }
    #[inline]
    fn known(&self) -> Option<i64> {
        Some(*self)
    }
}

/// An adjoint that is collected by adding: absent means zero.
///
/// The value is taken out while it is added to, so an addition may itself suspend (when `T` is a variable of an
/// outer derivative) without anything being borrowed.
pub struct Slot<T>(Cell<Option<T>>);

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl<T: Real> Slot<T> {
    /// An empty one.
    #[inline]
    pub fn new() -> Slot<T> {
        Slot(Cell::new(None))
    }
    /// Adds `g`.
    #[inline]
    pub fn accumulate(&self, g: T) {
        let sum = match self.0.take() {
            None => g,
            Some(sum) => sum + g,
        };
        self.0.set(Some(sum));
    }
    /// Takes the sum out.
    #[inline]
    pub fn take(&self) -> Option<T> {
        self.0.take()
    }
    /// Puts a sum in, in place of what there is.
    #[inline]
    pub fn set(&self, sum: T) {
        self.0.set(Some(sum));
    }
}

impl<T: Real> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot::new()
    }
}

/// A [`Slot`] for a plain number, in one word: a NaN that no operator makes stands for what is absent, and data that
/// is such a NaN becomes another. Adjoints of scalar programs stay in stack frames, where every word that is
/// written is seen in the time.
pub struct Sum<E>(Cell<E>);

impl<E> fmt::Debug for Sum<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sum").finish_non_exhaustive()
    }
}

/// Elementwise functions that the standard library lacks, or whose conventions are the calculus's own; one
/// definition for scalars and for the elements of arrays.
pub trait Element: Copy + Send + Sync + PartialOrd + 'static {
    /// The error function; arrays have one that compilers vectorise.
    fn erf(self) -> Self;
    /// −1, 0 or 1; NaN for NaN.
    fn sign(self) -> Self;
    /// `1/(1 + e⁻ˣ)`, without overflow.
    fn sigmoid(self) -> Self;
    /// `ln(1 + eˣ)`, without overflow.
    fn softplus(self) -> Self;
    /// `max(x, 0)`; NaN for NaN.
    fn relu(self) -> Self;
    /// The larger of two; NaN if either is.
    fn maximum(self, other: Self) -> Self;
    /// The smaller of two; NaN if either is.
    fn minimum(self, other: Self) -> Self;
    /// Limited to an interval; NaN for NaN.
    fn limit(self, low: f64, high: f64) -> Self;
}

macro_rules! scalar {
    ($E:ident, $erf:path, $absent:literal, $absent_half:literal, $quiet:literal) => {
        impl Sum<$E> {
            /// A signalling NaN. Operators give none where they are given none, so that only what comes in from outside
            /// has to be made [quiet](Real::quiet).
            const ABSENT: $E = $E::from_bits($absent);

            #[inline]
            fn new() -> Sum<$E> {
                Sum(Cell::new(Self::ABSENT))
            }
            #[inline]
            fn get(&self) -> Option<$E> {
                // The half with the exponent tells: it fits into an instruction, where the whole takes a register in
                // every operator's frame.
                const HALF: usize = if cfg!(target_endian = "little") { size_of::<$E>() / 4 - 1 } else { 0 };
                // SAFETY: it reads four of the number's four or eight bytes, which are aligned to that.
                let half = unsafe { self.0.as_ptr().cast::<u32>().add(HALF).read() };
                (half != $absent_half).then(|| self.0.get())
            }
        }

        impl Element for $E {
            #[inline]
            fn erf(self) -> $E {
                $erf(self)
            }
            #[inline]
            fn sign(self) -> $E {
                if self == 0.0 {
                    0.0
                } else if self.is_nan() {
                    self
                } else {
                    self.signum()
                }
            }
            #[inline]
            fn sigmoid(self) -> $E {
                let e = (-self.abs()).exp();
                (if self < 0.0 { e } else { 1.0 }) / (1.0 + e)
            }
            #[inline]
            fn softplus(self) -> $E {
                self.relu() + (-self.abs()).exp().ln_1p()
            }
            #[inline]
            fn relu(self) -> $E {
                if self <= 0.0 { 0.0 } else { self }
            }
            #[inline]
            fn maximum(self, other: $E) -> $E {
                if self > other || self.is_nan() { self } else { other }
            }
            #[inline]
            fn minimum(self, other: $E) -> $E {
                if self < other || self.is_nan() { self } else { other }
            }
            #[inline]
            fn limit(self, low: f64, high: f64) -> $E {
                let (low, high) = (low as $E, high as $E);
                if self < low {
                    low
                } else if self > high {
                    high
                } else {
                    self
                }
            }
        }

        impl Control for $E {}

        impl Real for $E {
            type Bool = bool;
            type Int = i64;
            type Adjoint = Sum<$E>;
            type Node<V: Real> = StackNode<V>;
            const ALLOCATES: bool = false;

            #[inline]
            fn constant(value: f64) -> $E {
                value as $E
            }
            #[inline]
            fn detach(&self) -> $E {
                *self
            }
            fn print(&self, name: &str, at: At) {
                print(name, at.location(), &[], &[*self]);
            }
            #[inline]
            fn adjoint(&self) -> Sum<$E> {
                Sum::<$E>::new()
            }
            #[inline]
            fn accumulate(adjoint: &Sum<$E>, g: $E) {
                Self::accumulate_quiet(adjoint, g.quiet());
            }
            #[inline]
            fn accumulate_quiet(adjoint: &Sum<$E>, g: $E) {
                adjoint.0.set(adjoint.get().map_or(g, |sum| sum + g));
            }
            #[inline]
            fn quiet(self) -> $E {
                if !self.is_nan() {
                    return self;
                }
                std::hint::cold_path();
                $E::from_bits(self.to_bits() | $quiet)
            }
            #[inline]
            fn take_adjoint(adjoint: &Sum<$E>) -> Option<$E> {
                let sum = adjoint.get();
                adjoint.0.set(Sum::<$E>::ABSENT);
                sum
            }
            #[inline]
            fn recip(&self) -> $E {
                1.0 / *self
            }
            #[inline]
            fn abs(&self) -> $E {
                $E::abs(*self)
            }
            #[inline]
            fn sign(&self) -> $E {
                Element::sign(*self)
            }
            #[inline]
            fn exp(&self) -> $E {
                $E::exp(*self)
            }
            #[inline]
            fn expm1(&self) -> $E {
                $E::exp_m1(*self)
            }
            #[inline]
            fn log(&self) -> $E {
                $E::ln(*self)
            }
            #[inline]
            fn log1p(&self) -> $E {
                $E::ln_1p(*self)
            }
            #[inline]
            fn sqrt(&self) -> $E {
                $E::sqrt(*self)
            }
            #[inline]
            fn sin(&self) -> $E {
                $E::sin(*self)
            }
            #[inline]
            fn cos(&self) -> $E {
                $E::cos(*self)
            }
            #[inline]
            fn tan(&self) -> $E {
                $E::tan(*self)
            }
            #[inline]
            fn tanh(&self) -> $E {
                $E::tanh(*self)
            }
            #[inline]
            fn sigmoid(&self) -> $E {
                Element::sigmoid(*self)
            }
            #[inline]
            fn softplus(&self) -> $E {
                Element::softplus(*self)
            }
            #[inline]
            fn relu(&self) -> $E {
                Element::relu(*self)
            }
            #[inline]
            fn erf(&self) -> $E {
                Element::erf(*self)
            }
            #[inline]
            fn erfc(&self) -> $E {
                numbers::$E::erfc(*self)
            }
            #[inline]
            fn exp2(&self) -> $E {
                numbers::$E::exp2(*self)
            }
            #[inline]
            fn log2(&self) -> $E {
                numbers::$E::log2(*self)
            }
            #[inline]
            fn log10(&self) -> $E {
                numbers::$E::log10(*self)
            }
            #[inline]
            fn cbrt(&self) -> $E {
                numbers::$E::cbrt(*self)
            }
            #[inline]
            fn sinh(&self) -> $E {
                numbers::$E::sinh(*self)
            }
            #[inline]
            fn cosh(&self) -> $E {
                numbers::$E::cosh(*self)
            }
            #[inline]
            fn asin(&self) -> $E {
                numbers::$E::asin(*self)
            }
            #[inline]
            fn acos(&self) -> $E {
                numbers::$E::acos(*self)
            }
            #[inline]
            fn atan(&self) -> $E {
                numbers::$E::atan(*self)
            }
            #[inline]
            fn asinh(&self) -> $E {
                numbers::$E::asinh(*self)
            }
            #[inline]
            fn acosh(&self) -> $E {
                numbers::$E::acosh(*self)
            }
            #[inline]
            fn atanh(&self) -> $E {
                numbers::$E::atanh(*self)
            }
            #[inline]
            fn lgamma(&self) -> $E {
                numbers::$E::lgamma(*self)
            }
            #[inline]
            fn i0(&self) -> $E {
                numbers::$E::i0(*self)
            }
            #[inline]
            fn i1(&self) -> $E {
                numbers::$E::i1(*self)
            }
            #[inline]
            fn floor(&self) -> $E {
                numbers::$E::floor(*self)
            }
            #[inline]
            fn ceil(&self) -> $E {
                numbers::$E::ceil(*self)
            }
            #[inline]
            fn round(&self) -> $E {
                numbers::$E::round(*self)
            }
            #[inline]
            fn trunc(&self) -> $E {
                numbers::$E::trunc(*self)
            }
            #[inline]
            fn atan2(&self, other: &$E) -> $E {
                numbers::$E::atan2(*self, *other)
            }
            #[inline]
            fn hypot(&self, other: &$E) -> $E {
                numbers::$E::hypot(*self, *other)
            }
            #[inline]
            fn fmod(&self, other: &$E) -> $E {
                numbers::$E::fmod(*self, *other)
            }
            #[inline]
            fn powi(&self, n: i32) -> $E {
                $E::powi(*self, n)
            }
            #[inline]
            fn pow(&self, exponent: &$E) -> $E {
                $E::powf(*self, *exponent)
            }
            #[inline]
            fn maximum(&self, other: &$E) -> $E {
                Element::maximum(*self, *other)
            }
            #[inline]
            fn minimum(&self, other: &$E) -> $E {
                Element::minimum(*self, *other)
            }
            #[inline]
            fn clamp(&self, low: f64, high: f64) -> $E {
                self.limit(low, high)
            }
            #[inline]
            fn less(&self, other: &$E) -> bool {
                self < other
            }
            #[inline]
            fn less_equal(&self, other: &$E) -> bool {
                self <= other
            }
            #[inline]
            fn equal(&self, other: &$E) -> bool {
                self == other
            }
            #[inline]
            fn none_zero(&self) -> bool {
                self.abs() > 0.0
            }
            #[inline]
            fn all_finite(&self) -> bool {
                self.is_finite()
            }
            #[inline]
            fn select(mask: &bool, then: &$E, otherwise: &$E) -> $E {
                if *mask { *then } else { *otherwise }
            }
            #[inline]
            fn from_int(value: &i64) -> $E {
                *value as $E
            }
            #[inline]
            fn to_int(&self) -> i64 {
                *self as i64
            }
        }
    };
}

scalar!(f32, libm::erff, 0x7f91_5ab5, 0x7f91_5ab5, 0x0040_0000);
scalar!(f64, libm::erf, 0x7ff5_15ab_5e17_ab5e, 0x7ff5_15ab, 0x0008_0000_0000_0000);
