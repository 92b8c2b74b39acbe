//! The formulas of elementary functions, once for the elements of arrays and for compiled code: functions over
//! [`Lanes`], which is what a formula is computed with. They have no branch, no table and no call, so that compilers
//! vectorise them. What single numbers are computed with, eagerly and by the interpreter, is in [`numbers`].
//!
//! | function | formula | error |
//! |---|---|---|
//! | [`exp2`] | `x = n + r` with `\|r\| ≤ ½`, exactly; `e^(r·ln 2)·2ⁿ` | 1.0 |
//! | [`log2`], [`log10`] | of `x = 2ᵏ·m`: `k·log 2 + ln m·log e`, with what their sum's rounding has lost | 1.4 |
//! | [`cbrt`] | `e^(ln x / 3)`, and one step of Newton's method | 0.8 |
//! | [`sinh`], [`cosh`] | of `½eˣ`, which overflows as they do; the sine's series where `\|x\| < 1` | 1.5 |
//! | [`asinh`], [`acosh`], [`atanh`] | logarithms; polynomials where these would cancel | 2.2 |
//! | [`asin`], [`acos`] | a polynomial where `\|x\| ≤ ½`; else of `√((1 − \|x\|)/2)`, and its rounding | 1.5 |
//! | [`atan`], [`atan2`] | a polynomial of `x`, `(x − 1)/(x + 1)` or `−1/x`, at most `√2 − 1` | 1.9 |
//! | [`hypot`] | `m·√(1 + (n/m)²)` of the larger and the smaller magnitude | 2.0 |
//! | [`erfc`] | `e^(−x²)` times a polynomial of `(x − 4)/(x + 4)` (Shepherd & Laframboise 1981) | 2.0 |
//! | [`i0`], [`i1`] | the series where `\|x\| ≤ 8`, else `eˣ/√x` times a polynomial of `8/x` | 2.5 |
//! | [`lgamma`] | Stirling's formula from 8 on; else a polynomial of the distance to 1 or 2; reflection | 2.5 |
//! | [`pow`] | `e^(y·ln x)`, the logarithm and the product with what rounding has lost | 1.5 |
//! | [`fmod`] | `a − b·⌊a/b⌋`, exactly, of quotients with no more digits than a number | 0 |
//!
//! Errors are in units in the last place, as values in 40 digits and of double precision have found them.
//! The polynomials' coefficients are made by `fit.py` in this folder.

mod bessel;
mod circular;
mod exponential;
mod gamma;
mod hyperbolic;
mod lanes;
pub mod numbers;
mod polynomials;
mod powers;

pub use bessel::{i0, i1};
pub use circular::{acos, asin, atan, atan2, hypot};
pub use exponential::{cbrt, erfc, exp2, log2, log10};
pub use gamma::lgamma;
pub use hyperbolic::{acosh, asinh, atanh, cosh, sinh};
pub use lanes::Lanes;
pub use powers::{fmod, fmod_is_near, pow};

/// The files of this crate, with which [`SOURCE`] changes.
const FILES: [&[u8]; 10] = [
    include_bytes!("lib.rs"),
    include_bytes!("bessel.rs"),
    include_bytes!("circular.rs"),
    include_bytes!("exponential.rs"),
    include_bytes!("gamma.rs"),
    include_bytes!("hyperbolic.rs"),
    include_bytes!("lanes.rs"),
    include_bytes!("numbers.rs"),
    include_bytes!("polynomials.rs"),
    include_bytes!("powers.rs"),
];

/// A checksum of this crate's source (FNV-1a), by which code that was compiled with other formulas is told from what
/// these would make.
pub const SOURCE: u64 = {
    let (mut hash, mut file) = (0xcbf2_9ce4_8422_2325, 0);
    while file < FILES.len() {
        let mut i = 0;
        while i < FILES[file].len() {
            hash = (hash ^ FILES[file][i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            i += 1;
        }
        file += 1;
    }
    hash
};

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_of_all_files() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        assert_eq!(std::fs::read_dir(source).unwrap().count(), super::FILES.len());
    }
}
