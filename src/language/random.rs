//! Random numbers of splittable keys: what is drawn is a function of the key alone.
//!
//! There is no generator with a state. A [`Key`] is made of a seed, and others are made of it; each is used once: two
//! draws of the same key are of the same numbers. They are the same in every interpretation, batched and compiled (up
//! to the rounding of what is computed of them), since all of it is [`Tensor::uniform`] and operators on it. In a
//! compiled step the seed is a part of the data.
//!
//! ```
//! use antiphon::random::Key;
//! use antiphon::{Int, NdArray, NdInt, Tensor};
//!
//! fn noisy<T: Tensor>(x: &T, seed: &T::Int) -> T {
//!     let [noise, mask] = Key::new(seed).split();
//!     let kept = T::from_mask(&mask.bernoulli::<T>(&x.shape(), 0.9));
//!     (x.clone() + noise.normal::<T>(&x.shape())) * kept
//! }
//!
//! let x = NdArray::<f64>::zeros(&[3]);
//! assert_eq!(noisy(&x, &NdInt::constant(1)), noisy(&x, &NdInt::constant(1)));
//! assert_ne!(noisy(&x, &NdInt::constant(1)), noisy(&x, &NdInt::constant(2)));
//! ```

use std::f64::consts::TAU;

use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::shape;
use crate::language::tensor::{IntTensor, Tensor};

/// Odd numbers without pattern: digits of the square roots of 2, 3 and 5 in binary.
const FACTORS: [i64; 3] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b_u64 as i64, 0x3c6e_f372_fe94_f82b];

/// What random numbers are a function of: see the [module](self).
///
/// Made of a seed, it is 64 bits. Keys that are made of one key by different numbers are all different; of keys of
/// different origin two are the same by chance only, one pair in 2⁶⁴.
#[derive(Clone, Debug)]
pub struct Key<I>(I);

impl<I: IntTensor> Key<I> {
    /// The key of a seed, a single integer.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if it is not a single one.
    #[track_caller]
    pub fn new(seed: &I) -> Key<I> {
        shape::scalar("key", &seed.shape()).or_raise();
        Key(mixed(seed.clone()))
    }
    /// The key that is made of this one and a number, of a step or a sample, say.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if it is not a single one.
    #[must_use]
    #[track_caller]
    pub fn fold_in(&self, number: &I) -> Key<I> {
        shape::scalar("fold_in", &number.shape()).or_raise();
        Key(mixed(mixed(number.clone()) * I::constant(FACTORS[2]) + &self.0))
    }
    /// `N` keys, to be used instead of this one.
    #[must_use]
    #[track_caller]
    pub fn split<const N: usize>(&self) -> [Key<I>; N] {
        let at = At::caller();
        std::array::from_fn(|i| {
            crate::continuation::unwinding::operator(at, || self.fold_in(&I::constant(i as i64)))
        })
    }
    /// [`split`](Key::split) into so many.
    #[must_use]
    #[track_caller]
    pub fn split_into(&self, count: usize) -> Vec<Key<I>> {
        let mut keys = Vec::new();
        for i in 0..count {
            keys.push(self.fold_in(&I::constant(i as i64)));
        }
        keys
    }

    /// Independent samples of the uniform distribution on `[0, 1)`; constant.
    #[track_caller]
    pub fn uniform<T: Tensor<Int = I>>(&self, shape: &[usize]) -> T {
        T::uniform(shape, &self.0)
    }
    /// Of the uniform distribution on `[low, high)`. Bounds may be arrays that broadcast to the shape, and samples have
    /// a derivative by them.
    #[track_caller]
    pub fn uniform_in<T: Tensor<Int = I>>(&self, shape: &[usize], low: &T, high: &T) -> T {
        let unit: T = self.uniform(shape);
        unit * (high.clone() - low) + low
    }
    /// Of the standard normal distribution (Box & Muller 1958); constant. In single precision none is beyond ±5.8.
    #[track_caller]
    pub fn normal<T: Tensor<Int = I>>(&self, shape: &[usize]) -> T {
        let size = shape::elements("normal", shape).or_raise();
        // Each two uniform ones give two.
        let pairs = size.div_ceil(2);
        let [radii, angles] = [self.fold_in(&I::constant(0)), self.fold_in(&I::constant(1))];
        let radii = ((-radii.uniform::<T>(&[pairs])).log1p() * -2.0).sqrt();
        let angles = angles.uniform::<T>(&[pairs]) * TAU;
        let both = T::concat(&[radii.clone() * angles.cos(), radii * angles.sin()], 0);
        both.slice(0, 0..size).reshape(shape)
    }
    /// Truth values that hold with this probability.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if it is not from 0 to 1.
    #[track_caller]
    pub fn bernoulli<T: Tensor<Int = I>>(&self, shape: &[usize], probability: f64) -> T::Bool {
        if !(0.0..=1.0).contains(&probability) {
            let reason = format!("the probability {probability} is not between 0 and 1");
            raise(Error::Argument { op: "bernoulli", reason, at: At::caller() });
        }
        self.uniform::<T>(shape).less(&T::constant(probability))
    }
    /// Truth values that hold with the probabilities that an array has: one for each of its elements.
    #[track_caller]
    pub fn bernoulli_of<T: Tensor<Int = I>>(&self, probabilities: &T) -> T::Bool {
        self.uniform::<T>(&probabilities.shape()).less(probabilities)
    }
    /// Of Gumbel's distribution, `−ln(−ln u)`; constant.
    #[track_caller]
    pub fn gumbel<T: Tensor<Int = I>>(&self, shape: &[usize]) -> T {
        -(-self.uniform::<T>(shape).log()).log()
    }
    /// A class of each row, with probabilities `softmax(logits)`: `[.., classes]` gives `[..]`. It is the largest of
    /// the logits with noise (Gumbel 1954; `jax.random.categorical`).
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if there is no axis, or no class.
    #[track_caller]
    pub fn categorical<T: Tensor<Int = I>>(&self, logits: &T) -> I {
        (logits.detach() + self.gumbel::<T>(&logits.shape())).argmax(-1)
    }
    /// The numbers from 0 to `n − 1` in random order; `x.gather_rows(&order)` shuffles rows. In single precision, of
    /// which places are computed, one pair in 2²⁴ is drawn equal and keeps its order.
    ///
    /// # Errors
    /// As [`Tensor::sort`].
    #[track_caller]
    pub fn permutation<T: Tensor<Int = I>>(&self, n: usize) -> I {
        self.uniform::<T>(&[n]).argsort(0)
    }
}

/// Another integer for each: `x·(2x + 1)` permutes the integers modulo 2⁶⁴ (Rivest et al. 1998, "The RC6 block
/// cipher"), as do products with odd numbers, and sums.
#[track_caller]
fn mixed<I: IntTensor>(x: I) -> I {
    let quadratic = |x: I| x.clone() * (x.clone() + x + I::constant(1));
    let x = quadratic(x * I::constant(FACTORS[0]) + I::constant(FACTORS[1]));
    quadratic(x * I::constant(FACTORS[1]) + I::constant(FACTORS[2]))
}
