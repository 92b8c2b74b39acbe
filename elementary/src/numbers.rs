//! The same functions of single numbers: what scalar models, the interpreter of recorded programs and strictly compiled
//! code compute, each bit of it. They are the C library's and libm's, but Bessel's functions, which neither has, and
//! that `acosh` below 1, where libm's may give a number, is NaN.

use crate::polynomials::{SERIES_I0_F64, SERIES_I1_F64, TAIL_I0_F64, TAIL_I1_F64};

macro_rules! numbers {
    ($E:ident: $($name:ident $path:expr;)*) => {
        #[doc = concat!("Functions of `", stringify!($E), "`.")]
        pub mod $E {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                #[inline]
                #[must_use]
                pub fn $name(x: $E) -> $E {
                    $path(x)
                }
            )*
            /// The angle of the point `(x, y)`.
            #[inline]
            #[must_use]
            pub fn atan2(y: $E, x: $E) -> $E {
                $E::atan2(y, x)
            }
            /// `√(a² + b²)`.
            #[inline]
            #[must_use]
            pub fn hypot(a: $E, b: $E) -> $E {
                $E::hypot(a, b)
            }
            /// The remainder of `a/b`, exactly, with the sign of `a`.
            #[inline]
            #[must_use]
            pub fn fmod(a: $E, b: $E) -> $E {
                a % b
            }
        }
    };
}

numbers! { f32:
    floor f32::floor; ceil f32::ceil; round f32::round_ties_even; trunc f32::trunc;
    sinh f32::sinh; cosh f32::cosh; asin f32::asin; acos f32::acos; atan f32::atan;
    asinh libm::asinhf; acosh |x: f32| if x < 1.0 { f32::NAN } else { libm::acoshf(x) }; atanh libm::atanhf;
    exp2 f32::exp2; log2 f32::log2; log10 f32::log10; cbrt f32::cbrt;
    erfc libm::erfcf; lgamma |x: f32| libm::lgamma(x.into()) as f32;
    i0 |x: f32| super::i0(x.into()) as f32; i1 |x: f32| super::i1(x.into()) as f32;
}
numbers! { f64:
    floor f64::floor; ceil f64::ceil; round f64::round_ties_even; trunc f64::trunc;
    sinh f64::sinh; cosh f64::cosh; asin f64::asin; acos f64::acos; atan f64::atan;
    asinh libm::asinh; acosh |x: f64| if x < 1.0 { f64::NAN } else { libm::acosh(x) }; atanh libm::atanh;
    exp2 f64::exp2; log2 f64::log2; log10 f64::log10; cbrt f64::cbrt;
    erfc libm::erfc; lgamma libm::lgamma;
    i0 super::i0; i1 super::i1;
}

fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// As in [`crate::i0`], with the exponential in two factors.
fn beyond(size: f64, tail: &[f64]) -> f64 {
    let half = (0.5 * size).exp();
    if size.is_infinite() { size } else { horner(8.0 / size - 0.5, tail) / size.sqrt() * half * half }
}

fn i0(x: f64) -> f64 {
    if x.abs() > 8.0 { beyond(x.abs(), TAIL_I0_F64) } else { horner(0.25 * x * x, SERIES_I0_F64) }
}

fn i1(x: f64) -> f64 {
    if x.abs() > 8.0 {
        beyond(x.abs(), TAIL_I1_F64).copysign(x)
    } else {
        0.5 * x * horner(0.25 * x * x, SERIES_I1_F64)
    }
}

/// `a/b`, rounded down; 0 where `b` is 0, as NumPy has it. The one quotient that overflows wraps around.
#[inline]
#[must_use]
pub fn floor_divide(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let quotient = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}
