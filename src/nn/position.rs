//! Where in a sequence an element stands.

use crate::Params;
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::shape;
use crate::language::tensor::{IntTensor, Tensor};
use crate::memory;
use crate::nn::init::{Init, Rng};

/// The sines and cosines of Vaswani et al., *Attention is all you need*, 2017, §3.5: `[steps, dim]` constants, of which
/// column `2i` is `sin(t/10000^(2i/dim))` and column `2i + 1` the cosine. They are added to what stands at these steps.
///
/// # Errors
/// Raises [`Error::Operand`] if no array can have this shape, and [`Error::Memory`] if there is no memory for one.
#[track_caller]
pub fn sinusoidal<T: Tensor>(steps: usize, dim: usize) -> T {
    let mut elements = memory::room(shape::elements("sinusoidal", &[steps, dim]).or_raise());
    let element = |t: usize, i: usize| {
        let angle = t as f64 / libm::pow(10_000.0, (i - i % 2) as f64 / dim as f64);
        if i.is_multiple_of(2) { libm::sin(angle) } else { libm::cos(angle) }
    };
    // Not by the rows: there may be no end of rows without elements.
    let count = steps.saturating_mul(dim);
    elements.extend((0..count).map(|place| element(place / dim, place % dim)));
    T::from_elements(&[steps, dim], &elements).or_raise()
}

/// A vector for each step that is learnt, added to what stands there (Gehring et al., *Convolutional sequence to
/// sequence learning*, 2017, §3.1).
#[derive(Clone, Debug, Params)]
pub struct LearnedPositions<T> {
    /// One row a step, `[steps, dim]`.
    pub table: T,
}

impl<T: Tensor> LearnedPositions<T> {
    /// Normal of standard deviation 0.02, for sequences of at most so many steps.
    #[track_caller]
    pub fn new(rng: &mut Rng, steps: usize, dim: usize) -> LearnedPositions<T> {
        LearnedPositions { table: Init::Normal { mean: 0.0, std: 0.02 }.sample(&[steps, dim], rng) }
    }

    /// `x + table[0..time]` for `x: [.., time, dim]`.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if there is no axis of time, or it has more steps than the table, and [`Error::Shape`]
    /// if the last axis is not `dim`.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let shape = x.shape();
        let (steps, at) = (self.table.shape()[0], At::caller());
        match shape[..] {
            [.., time, _] if time <= steps => x.clone() + self.table.slice(0, 0..time),
            _ => {
                let reason = format!("should be [.., time, dim] with at most {steps} steps");
                raise(Error::Operand { op: "positions", shape: shape[..].into(), reason, at })
            }
        }
    }
}

/// Rotary positions (Su et al., *RoFormer*, 2021, §3.2.2): at step `t`, the pair `i` of `dim/2` pairs of features is
/// turned by the angle `t·base^(−2i/dim)`. Products of rows then depend on how far apart they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// 10,000 in the paper.
    pub base: f64,
    /// Which features are a pair: `2i` and `2i + 1`, as in the paper, or `i` and `i + dim/2`, as in GPT-NeoX and LLaMA.
    pub interleaved: bool,
}

impl Default for Rotary {
    /// As in the paper.
    fn default() -> Rotary {
        Rotary { base: 10_000.0, interleaved: true }
    }
}

impl Rotary {
    /// `[.., time, dim]`, turned by the angles of steps `[time]`, which are data.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if the last axis is not even, and [`Error::Shape`] if there is not one step for each
    /// row.
    #[track_caller]
    pub fn apply<T: Tensor>(&self, x: &T, steps: &T::Int) -> T {
        let shape = x.shape();
        let (time, half) = match shape[..] {
            [.., time, dim] if dim.is_multiple_of(2) => (time, dim / 2),
            _ => {
                let reason = "should be [.., time, dim] with an even dim".into();
                raise(Error::Operand { op: "rotary", shape: shape[..].into(), reason, at: At::caller() })
            }
        };
        let frequencies: Vec<f64> =
            (0..half).map(|i| libm::pow(self.base, -(i as f64) / half as f64)).collect();
        let frequencies = T::from_elements(&[half], &frequencies).or_raise();
        let angles = T::from_int(&steps.reshape(&[time, 1])) * frequencies;
        let (cos, sin) = (angles.cos(), angles.sin());
        let pairs = match self.interleaved {
            true => {
                let mut paired = shape.clone();
                paired[shape.len() - 1] = half;
                paired.push(2);
                x.reshape(&paired)
            }
            false => x.clone(),
        };
        let (a, b) = match self.interleaved {
            true => (pairs.index(-1, 0), pairs.index(-1, 1)),
            false => (pairs.slice(-1, 0..half), pairs.slice(-1, half..2 * half)),
        };
        let turned = [a.clone() * &cos - b.clone() * &sin, a * sin + b * cos];
        match self.interleaved {
            true => T::stack(&turned, -1).reshape(&shape),
            false => T::concat(&turned, -1),
        }
    }
}
