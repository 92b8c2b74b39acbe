//! The formulas of elementary functions, once for the elements of arrays and for compiled code: functions over
//! [`Lanes`], which is what a formula is computed with. They have no branch, no table and no call, so that compilers
//! vectorise them. What single numbers are computed with, eagerly and by the interpreter, is in [`numbers`].
//!
//! | function | formula |
//! |---|---|
//! | [`exp2`] | `x = n + r` with `\|r\| ≤ ½`, exactly; `e^(r·ln 2)·2ⁿ` |
//! | [`log2`], [`log10`] | `x = 2ᵏ·m` with `m` about 1; `k·log 2`, of which the rounding is added again, and `ln m` in the other base |
//! | [`cbrt`] | `e^(ln x / 3)`, and one step of Newton's method |
//! | [`sinh`], [`cosh`] | of `½eˣ`, which does not overflow before they do; the sine's series where `\|x\| < 1` |
//! | [`asinh`], [`acosh`], [`atanh`] | of `log1p`; polynomials where that would cancel |
//! | [`asin`], [`acos`] | a polynomial where `\|x\| ≤ ½`; else of `asin √((1 − \|x\|)/2)`, with the square root's rounding |
//! | [`atan`], [`atan2`] | a polynomial of `x`, `(x − 1)/(x + 1)` or `−1/x`, whichever is at most `√2 − 1` |
//! | [`erfc`] | `e^(−x²)` times a polynomial of `(x − 4)/(x + 4)` (Shepherd & Laframboise 1981), with the rounding of `x²` |
//! | [`i0`], [`i1`] | the series where `\|x\| ≤ 8`, else `eˣ/√x` times a polynomial of `8/x` |
//! | [`hypot`] | `m·√(1 + (n/m)²)` of the larger and the smaller magnitude |
//!
//! The polynomials' coefficients are made by `fit.py` in this folder.

mod bessel;
mod circular;
mod exponential;
mod hyperbolic;
mod lanes;
pub mod numbers;
mod polynomials;

pub use bessel::{i0, i1};
pub use circular::{acos, asin, atan, atan2, hypot};
pub use exponential::{cbrt, erfc, exp2, log2, log10};
pub use hyperbolic::{acosh, asinh, atanh, cosh, sinh};
pub use lanes::Lanes;
