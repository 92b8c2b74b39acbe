//! Random numbers without state: a function of a seed and a position.

use super::NdArray;
use super::float::Float;
use crate::shape;

/// Weyl increment of SplitMix64: 2⁶⁴ divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014,
/// in Stafford's variant 13).
#[inline(always)]
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// See [`NdArray`]'s [`Tensor::uniform`](crate::Tensor::uniform), whose documentation has the formula.
pub(super) fn uniform<E: Float>(shape: &[usize], seed: i64) -> NdArray<E> {
    let start = mix((seed as u64).wrapping_add(GOLDEN));
    let words = (1..=shape::size(shape) as u64).map(|i| mix(start.wrapping_add(i.wrapping_mul(GOLDEN))));
    NdArray::from_vec(shape, words.map(E::from_random_bits).collect())
}
