//! Attention.

use crate::Params;
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::real::Int;
use crate::language::shape;
use crate::language::tensor::{IntTensor, MaskTensor, Tensor};
use crate::memory;
use crate::nn::init::Rng;
use crate::nn::linear::Linear;
use crate::nn::position::Rotary;

/// Scaled dot-product attention, `softmax(q·kᵀ/√d)·v` (Vaswani et al., *Attention is all you need*, 2017, §3.2.1;
/// `torch.nn.functional.scaled_dot_product_attention`): queries `[.., n, d]`, keys `[.., m, d]` and values `[.., m, e]`
/// give `[.., n, e]`. A mask says which pairs take part, and broadcasts to `[.., n, m]`. A query for which none does
/// gets zeros (PyTorch: NaN).
///
/// # Errors
/// Raises [`Error::Shape`] if the shapes do not fit.
#[track_caller]
pub fn attention<T: Tensor>(queries: &T, keys: &T, values: &T, mask: Option<&T::Bool>) -> T {
    let dim = queries.shape().last().copied().unwrap_or(1);
    let mut scores = queries.matmul(&keys.transpose()) * (1.0 / (dim as f64).sqrt());
    if let Some(mask) = mask {
        scores = T::select(mask, &scores, &T::constant(f64::NEG_INFINITY));
    }
    scores.softmax(-1).matmul(values)
}

/// The mask `[n, m]` of pairs in which the key is not later than the query.
///
/// # Errors
/// Raises [`Error::Operand`] if there is no such array.
#[track_caller]
pub fn causal<T: Tensor>(n: usize, m: usize) -> T::Bool {
    steps::<T>(m).reshape(&[1, m]).less(&(steps::<T>(n).reshape(&[n, 1]) + T::Int::constant(1)))
}

/// The mask `[batch, steps]` of those steps of a padded batch that are before the end of their sequences, whose
/// lengths, `[batch]`, are data. For [`MultiHeadAttention`], [`of_keys`] turns it into one of pairs.
///
/// # Errors
/// Raises [`Error::Operand`] if there is no such array.
#[track_caller]
pub fn within<T: Tensor>(lengths: &T::Int, count: usize) -> T::Bool {
    let batch = lengths.shape().iter().product();
    steps::<T>(count).reshape(&[1, count]).less(&lengths.reshape(&[batch, 1]))
}

/// A mask of keys, `[batch, m]`, as one of pairs of several heads, `[batch, 1, 1, m]`: the keys that take part, where
/// PyTorch's `key_padding_mask` has those that do not.
#[track_caller]
pub fn of_keys<T: Tensor>(keys: &T::Bool) -> T::Bool {
    let shape = keys.shape();
    match shape[..] {
        [batch, m] => keys.reshape(&[batch, 1, 1, m]),
        _ => {
            let reason = "a mask of keys is [batch, keys]".into();
            raise(Error::Operand { op: "of_keys", shape: shape[..].into(), reason, at: At::caller() })
        }
    }
}

/// `0, 1, …`.
#[track_caller]
fn steps<T: Tensor>(count: usize) -> T::Int {
    let mut steps = memory::room(shape::elements("attention", &[count]).or_raise());
    steps.extend(0..count as i64);
    T::Int::from_elements(&[count], &steps).or_raise()
}

/// Attention of several heads (Vaswani et al. 2017, §3.2.2; `torch.nn.MultiheadAttention` with `batch_first`): the
/// heads stand side by side in the last axis.
///
/// ```
/// use antiphon::nn::{MultiHeadAttention, Rng, causal};
/// use antiphon::{NdArray, Tensor};
/// type Array = NdArray<f32>;
/// let attention = MultiHeadAttention::<Array>::new(&mut Rng::new(1), 8, 2);
/// let x = Array::ones(&[3, 5, 8]);
/// let y = attention.apply(&x, &x, Some(&causal::<Array>(5, 5)));
/// assert_eq!(y.shape().as_slice(), [3, 5, 8]);
/// ```
#[derive(Clone, Debug, Params)]
pub struct MultiHeadAttention<T> {
    /// Of the queries, `[dim, dim]`.
    pub query: Linear<T>,
    /// Of the keys.
    pub key: Linear<T>,
    /// Of the values.
    pub value: Linear<T>,
    /// Of what all heads give.
    pub out: Linear<T>,
    /// How many heads there are.
    pub heads: usize,
    /// Whether queries and keys are turned by their positions.
    pub rotary: Option<Rotary>,
}

impl<T: Tensor> MultiHeadAttention<T> {
    /// Weights by [`GlorotUniform`](crate::nn::Init::GlorotUniform), biases zero; no rotary positions.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if `dim` cannot be divided by the number of heads.
    #[track_caller]
    pub fn new(rng: &mut Rng, dim: usize, heads: usize) -> MultiHeadAttention<T> {
        check_heads(dim, heads, At::caller());
        let [query, key, value, out] = [(); 4].map(|()| Linear::new(rng, dim, dim));
        MultiHeadAttention { query, key, value, out, heads, rotary: None }
    }

    /// What queries `[batch, n, dim]` find in a memory `[batch, m, dim]`, from which keys and values are made: `[batch,
    /// n, dim]`. The mask says which pairs take part, and broadcasts to `[batch, heads, n, m]`; see [`causal`] and
    /// [`of_keys`], of which [`and`](crate::Mask::and) makes one.
    ///
    /// # Errors
    /// Raises [`Error::Shape`] and [`Error::Operand`] if the shapes do not fit.
    #[track_caller]
    pub fn apply(&self, queries: &T, memory: &T, mask: Option<&T::Bool>) -> T {
        let mut queries = self.of_heads(&self.query.apply(queries));
        let mut keys = self.of_heads(&self.key.apply(memory));
        let values = self.of_heads(&self.value.apply(memory));
        if let Some(rotary) = self.rotary {
            queries = rotary.apply(&queries, &steps::<T>(queries.shape()[2]));
            keys = rotary.apply(&keys, &steps::<T>(keys.shape()[2]));
        }
        let found = attention(&queries, &keys, &values, mask).permute(&[0, 2, 1, 3]);
        let shape = found.shape();
        self.out.apply(&found.reshape(&[shape[0], shape[1], shape[2] * shape[3]]))
    }

    /// `[batch, time, dim]` as `[batch, heads, time, dim/heads]`.
    #[track_caller]
    fn of_heads(&self, x: &T) -> T {
        let shape = x.shape();
        let [batch, time, dim] = shape[..] else {
            let reason = "should be [batch, time, dim]".into();
            raise(Error::Operand { op: "attention", shape: shape[..].into(), reason, at: At::caller() })
        };
        check_heads(dim, self.heads, At::caller());
        x.reshape(&[batch, time, self.heads, dim / self.heads.max(1)]).permute(&[0, 2, 1, 3])
    }
}

fn check_heads(dim: usize, heads: usize, at: At) {
    if heads == 0 || !dim.is_multiple_of(heads) {
        let reason = format!("{dim} features are not those of {heads} heads");
        raise(Error::Argument { op: "attention", reason, at });
    }
}
