//! [`Float`]: what the elements of an array are.

use antiphon_elementary::{Lanes, numbers};
use bytemuck::Zeroable;
use std::fmt::{Debug, Display};
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::dot::DotRows;
use super::instances::Instances;
use super::math;
use crate::language::host::{Call, HostOperator};
use crate::scalar::Element;

/// The elements of an [`NdArray`](crate::NdArray): `f32` or `f64`, and nothing else.
///
/// Its functions are those of arrays: the exponentials and logarithms are this crate's own, which vectorise, and may
/// differ from the standard library's in the last place or two.
pub trait Float:
    Element
    + DotRows
    + Instances
    + Zeroable
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Default
    + Debug
    + Display
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// ∞.
    const INFINITY: Self;
    /// −∞.
    const NEG_INFINITY: Self;
    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// The nearest number of this type.
    fn from_i64(x: i64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// The integer towards zero; the nearest there is, and 0 for NaN.
    fn to_i64(self) -> i64;
    /// What formulas that are shared with compiled code compute with.
    #[doc(hidden)]
    type Lanes: Lanes<Real = Self>;
    /// It.
    #[doc(hidden)]
    const LANES: Self::Lanes;
    /// The top bits of a random word as a number in `[0, 1)`: a multiple of 2⁻²⁴ (f32) or 2⁻⁵³ (f64).
    fn from_random_bits(word: u64) -> Self;
    /// `|x|`.
    fn abs(self) -> Self;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// `eˣ − 1`.
    fn expm1(self) -> Self;
    /// `ln x`.
    fn log(self) -> Self;
    /// `ln(1 + x)`.
    fn log1p(self) -> Self;
    /// `√x`.
    fn sqrt(self) -> Self;
    /// `sin x`.
    fn sin(self) -> Self;
    /// `cos x`.
    fn cos(self) -> Self;
    /// `tan x`.
    fn tan(self) -> Self;
    /// `tanh x`.
    fn tanh(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// `ln |Γ(x)|`.
    fn lgamma(self) -> Self;
    /// The remainder of `x/y`, with the sign of `x`.
    fn fmod(self, y: Self) -> Self;
    /// Rounded down.
    fn floor(self) -> Self;
    /// Rounded up.
    fn ceil(self) -> Self;
    /// Rounded to the nearest integer, of two to the even one.
    fn round(self) -> Self;
    /// Rounded towards zero.
    fn trunc(self) -> Self;
    /// `xⁿ`.
    fn powi(self, n: i32) -> Self;
    /// `xʸ`.
    fn powf(self, y: Self) -> Self;
    /// Whether this is no number.
    fn is_nan(self) -> bool;
    /// Has an operator of the host compute its value.
    #[doc(hidden)]
    fn run_host<O: HostOperator>(
        call: &Call,
        operator: &O,
        operands: &[&[Self]],
        result: &mut [Self],
    ) -> Result<(), String>;
}

macro_rules! float {
    ($E:ident, $random_bits:literal) => {
        impl Float for $E {
            fn run_host<O: HostOperator>(
                call: &Call,
                operator: &O,
                operands: &[&[$E]],
                result: &mut [$E],
            ) -> Result<(), String> {
                call.run(operator, operands, result)
            }
            const ZERO: $E = 0.0;
            const ONE: $E = 1.0;
            const INFINITY: $E = $E::INFINITY;
            const NEG_INFINITY: $E = $E::NEG_INFINITY;
            #[inline(always)]
            fn from_f64(x: f64) -> $E {
                x as $E
            }
            #[inline(always)]
            fn from_i64(x: i64) -> $E {
                x as $E
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }
            type Lanes = math::$E::Numbers;
            const LANES: math::$E::Numbers = math::$E::Numbers;
            #[inline(always)]
            fn from_random_bits(word: u64) -> $E {
                (word >> (64 - $random_bits)) as $E * (1.0 / (1u64 << $random_bits) as $E)
            }
            #[inline(always)]
            fn abs(self) -> $E {
                $E::abs(self)
            }
            #[inline(always)]
            fn exp(self) -> $E {
                math::$E::exp(self)
            }
            #[inline(always)]
            fn expm1(self) -> $E {
                math::$E::expm1(self)
            }
            #[inline(always)]
            fn log(self) -> $E {
                math::$E::log(self)
            }
            #[inline(always)]
            fn log1p(self) -> $E {
                math::$E::log1p(self)
            }
            #[inline(always)]
            fn sqrt(self) -> $E {
                $E::sqrt(self)
            }
            #[inline(always)]
            fn sin(self) -> $E {
                $E::sin(self)
            }
            #[inline(always)]
            fn cos(self) -> $E {
                $E::cos(self)
            }
            #[inline(always)]
            fn tan(self) -> $E {
                $E::tan(self)
            }
            #[inline(always)]
            fn tanh(self) -> $E {
                math::$E::tanh(self)
            }
            #[inline(always)]
            fn erf(self) -> $E {
                math::$E::erf(self)
            }
            #[inline(always)]
            fn lgamma(self) -> $E {
                numbers::$E::lgamma(self)
            }
            #[inline(always)]
            fn fmod(self, y: $E) -> $E {
                numbers::$E::fmod(self, y)
            }
            #[inline(always)]
            fn floor(self) -> $E {
                $E::floor(self)
            }
            #[inline(always)]
            fn ceil(self) -> $E {
                $E::ceil(self)
            }
            #[inline(always)]
            fn round(self) -> $E {
                $E::round_ties_even(self)
            }
            #[inline(always)]
            fn trunc(self) -> $E {
                $E::trunc(self)
            }
            #[inline(always)]
            fn powi(self, n: i32) -> $E {
                $E::powi(self, n)
            }
            #[inline(always)]
            fn powf(self, y: $E) -> $E {
                $E::powf(self, y)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $E::is_nan(self)
            }
        }
    };
}

float!(f32, 24);
float!(f64, 53);
