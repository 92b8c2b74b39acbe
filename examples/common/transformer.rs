//! A decoder-only transformer over characters (Vaswani et al., *Attention is all you need*, 2017, with the
//! normalisation before each part as in Radford et al., *Language models are unsupervised multitask learners*, 2019).

use antiphon::nn::{Embedding, Init, LayerNorm, Linear, Rng};
use antiphon::{IntTensor, Params, Tensor};

use super::network::{Batch, Network};

/// Characters to logits of the next ones.
#[derive(Clone, Params)]
pub struct Transformer<T> {
    /// A vector a character, `[vocabulary, width]`.
    pub characters: Embedding<T>,
    /// A vector a position, `[time, width]`.
    pub positions: T,
    /// The layers.
    pub blocks: Vec<Block<T>>,
    /// Before the output.
    pub norm: LayerNorm<T>,
    /// `[width, vocabulary]`.
    pub output: Linear<T>,
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Clone, Params)]
pub struct Block<T> {
    pub norm1: LayerNorm<T>,
    /// Queries, keys and values of all heads side by side, `[width, 3·width]`.
    pub attention: Linear<T>,
    /// `[width, width]`.
    pub join: Linear<T>,
    pub norm2: LayerNorm<T>,
    /// `[width, 4·width]`.
    pub expand: Linear<T>,
    /// `[4·width, width]`.
    pub contract: Linear<T>,
    pub heads: usize,
}

/// The sizes of a transformer.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub vocabulary: usize,
    pub time: usize,
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
}

impl<T: Tensor> Transformer<T> {
    pub fn new(rng: &mut Rng, sizes: Sizes) -> Transformer<T> {
        let Sizes { vocabulary, time, width, heads, layers } = sizes;
        let small = Init::Normal { mean: 0.0, std: 0.02 };
        Transformer {
            characters: Embedding { table: small.sample(&[vocabulary, width], rng) },
            positions: small.sample(&[time, width], rng),
            blocks: (0..layers).map(|_| Block::new(rng, width, heads)).collect(),
            norm: LayerNorm::new(width),
            output: Linear::new(rng, width, vocabulary),
        }
    }

    /// Logits `[batch, time, vocabulary]` after each of `symbols: [batch, time]`, for at most as many as there are
    /// positions.
    pub fn logits(&self, symbols: &T::Int) -> T {
        let time = symbols.shape()[1];
        let mut x = self.characters.apply(symbols) + &self.positions.slice(0, 0..time);
        let mask = causal(time);
        for block in &self.blocks {
            x = block.apply(x, &mask);
        }
        self.output.apply(&self.norm.apply(&x))
    }
}

/// Zero where position `i` may see position `j ≤ i`, and so far below zero elsewhere that its weight vanishes.
fn causal<T: Tensor>(time: usize) -> T {
    let elements: Vec<f64> = (0..time * time).map(|k| if k % time > k / time { -1e9 } else { 0.0 }).collect();
    T::from_elements(&[time, time], &elements).expect("as many as the shape says")
}

impl<T: Tensor> Block<T> {
    fn new(rng: &mut Rng, width: usize, heads: usize) -> Block<T> {
        Block {
            norm1: LayerNorm::new(width),
            attention: Linear::new(rng, width, 3 * width),
            join: Linear::new(rng, width, width),
            norm2: LayerNorm::new(width),
            expand: Linear::new(rng, width, 4 * width),
            contract: Linear::new(rng, 4 * width, width),
            heads,
        }
    }

    fn apply(&self, x: T, mask: &T) -> T {
        let attended = self.attend(&self.norm1.apply(&x), mask);
        let x = x + self.join.apply(&attended);
        let hidden = self.expand.apply(&self.norm2.apply(&x)).gelu();
        x + self.contract.apply(&hidden)
    }

    /// `softmax(q·kᵀ/√d + mask)·v` in each head.
    fn attend(&self, x: &T, mask: &T) -> T {
        let [batch, time, width] = x.shape()[..] else { panic!("batch, time and width") };
        let d = width / self.heads;
        let projected = self.attention.apply(x);
        let head = |k: usize| {
            let part = projected.slice(-1, k * width..(k + 1) * width);
            part.reshape(&[batch, time, self.heads, d]).permute(&[0, 2, 1, 3])
        };
        let (q, k, v) = (head(0), head(1), head(2));
        let scores = q.matmul(&k.transpose()) * (1.0 / (d as f64).sqrt()) + mask;
        let mixed = scores.softmax(-1).matmul(&v);
        mixed.permute(&[0, 2, 1, 3]).reshape(&[batch, time, width])
    }
}

impl<T: Tensor> Network<T> for Transformer<T> {
    /// The mean over all characters of the cross-entropy of the next one.
    fn loss(&self, batch: &Batch<T>) -> T {
        self.logits(&batch.integers).cross_entropy(&batch.labels).mean(..)
    }
}
