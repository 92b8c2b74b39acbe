//! Random numbers without state: a function of a seed and a position.

use super::float::Float;
use super::{NdArray, NdInt};
use crate::continuation::unwinding::OrRaise;
use crate::language::shape;
use crate::memory::collected;

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
#[track_caller]
pub(super) fn uniform<E: Float>(shape: &[usize], seed: &NdInt) -> NdArray<E> {
    let shape = &shape::uniform(shape, seed.0.shape()).or_raise();
    let start = mix((seed.item() as u64).wrapping_add(GOLDEN));
    let word = |i: usize| mix(start.wrapping_add((i as u64 + 1).wrapping_mul(GOLDEN)));
    let elements = (0..shape::size(shape)).map(|i| E::from_random_bits(word(i)));
    NdArray::from_vec(shape, collected(elements))
}
