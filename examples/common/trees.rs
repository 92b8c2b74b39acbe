//! Steps of training on trees: what they read, and what they change.
//!
//! The word vectors are parameters, but a step reads and changes only the rows of its words.

use std::sync::Arc;

use antiphon::control::{NumberedTree, Tree};
use antiphon::data::SentimentTree;
use antiphon::optim::{Adagrad, OptState, Optimizer, Step};
use antiphon::{Int, IntTensor, NdArray, Params, Real, Result, Structure, Tensor, value_and_grad};
use ndarray::Axis;

use super::mode::Array;
use super::sentiment::{Reader, SentenceArrays};

/// An array of which single rows are read and written.
pub trait Table: Array {
    /// Some rows, and zeros up to a number of rows.
    fn rows(&self, rows: &[usize], room: usize) -> Self;
    /// Writes the first rows of `new` to these, in place.
    fn put_rows(&mut self, rows: &[usize], new: &Self);
}

macro_rules! table {
    ($($E:ty)*) => { $(
        impl Table for NdArray<$E> {
            fn rows(&self, rows: &[usize], room: usize) -> Self {
                let table = self.view();
                let mut found = ndarray::Array2::zeros([room, table.len_of(Axis(1))]);
                for (&row, mut new) in rows.iter().zip(found.outer_iter_mut()) {
                    new.assign(&table.index_axis(Axis(0), row));
                }
                found.into()
            }
            fn put_rows(&mut self, rows: &[usize], new: &Self) {
                let mut array = std::mem::replace(self, NdArray::scalar(0.0)).into_array();
                for (&row, new) in rows.iter().zip(new.view().outer_iter()) {
                    array.index_axis_mut(Axis(0), row).assign(&new);
                }
                *self = array.into();
            }
        }
    )* };
}
table!(f32 f64);

/// Trees that a step reads, and where their words are.
pub struct Sentences<T: Tensor> {
    pub trees: Arc<[SentimentTree]>,
    /// The different words, in order.
    pub distinct: Vec<usize>,
    pub arrays: SentenceArrays<T>,
}

/// Room for the trees that one compilation serves.
#[derive(Clone, Copy)]
pub struct Room {
    nodes: usize,
    leaves: usize,
}

impl Room {
    pub fn of<'t>(trees: impl IntoIterator<Item = &'t SentimentTree>) -> Room {
        let leaves = trees.into_iter().map(|tree| tree.words().len());
        leaves.fold(Room { nodes: 0, leaves: 0 }, |room, leaves| Room {
            nodes: room.nodes + 2 * leaves - 1,
            leaves: room.leaves + leaves,
        })
    }

    /// For each of several.
    pub fn for_each(rooms: impl Iterator<Item = Room>) -> Room {
        rooms.max_by_key(|room| room.nodes).unwrap_or(Room { nodes: 1, leaves: 1 })
    }
}

/// Numbers in an array that has room for more.
fn padded<T: Tensor>(numbers: impl Iterator<Item = i64>, room: usize) -> Result<T::Int> {
    let padded: Vec<i64> = numbers.chain(std::iter::repeat(0)).take(room).collect();
    T::Int::from_elements(&[room], &padded)
}

impl<T: Tensor> Sentences<T> {
    /// One tree by itself, or several whose nodes are in the same arrays, in which each tree's root is an element.
    pub fn new(trees: &[&SentimentTree], room: Room) -> Result<Sentences<T>> {
        let words: Vec<usize> = trees.iter().flat_map(|tree| tree.words()).collect();
        let mut distinct = words.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let word = |word| distinct.binary_search(word).expect("one of them") as i64;
        let numbered = match trees {
            [tree] => NumberedTree::binary(*tree)?,
            trees => NumberedTree::forest(trees.iter().copied())?,
        };
        let mut leaves = 0;
        let place = numbered.nodes().iter().map(|node| {
            let place = leaves;
            leaves += i64::from(node.children().is_empty());
            place
        });
        let labels = numbered.nodes().iter().map(|node| i64::from(node.label));
        let arrays = SentenceArrays {
            tree: numbered.arrays(room.nodes)?,
            place: padded::<T>(place, room.nodes)?,
            labels: padded::<T>(labels, room.nodes)?,
            local: padded::<T>(words.iter().map(word), room.leaves)?,
            leaves: T::Int::constant(words.len() as i64),
        };
        Ok(Sentences { trees: trees.iter().map(|&tree| tree.clone()).collect(), distinct, arrays })
    }
}

/// What a step reads.
#[derive(Clone, Structure)]
pub struct Data<T: Real> {
    /// The vectors of the different words, and perhaps more rows.
    words: T,
    /// Adagrad's sums of squares for them.
    sums: T,
    arrays: SentenceArrays<T>,
    lr: T,
    /// The same trees, for steps that are not recorded.
    trees: Arc<[SentimentTree]>,
}

/// What a step changes, but for the words.
pub type Trained<T> = (Reader<T>, OptState<Reader<T>>);

impl<T: Table> Data<T> {
    /// Sentences with the rows of their words: of the vectors `emb`, and of Adagrad's sums of squares for them.
    pub fn new(sentences: &Sentences<T>, emb: &T, sums: &T, lr: f64) -> Data<T> {
        let room = sentences.arrays.local.shape()[0];
        Data {
            words: emb.rows(&sentences.distinct, room),
            sums: sums.rows(&sentences.distinct, room),
            arrays: sentences.arrays.clone(),
            lr: T::constant(lr),
            trees: sentences.trees.clone(),
        }
    }
}

/// The loss, its gradients, and that of the vectors of the words.
fn gradients<T: Tensor>(reader: &Reader<T>, data: &Data<T>) -> Result<(T, Reader<T>, T)> {
    let at = (reader.clone(), data.words.clone());
    let (loss, (reader_bar, words_bar)) = value_and_grad(
        |(reader, words)| match &*data.trees {
            [_] if T::RECORDS => reader.loss_of_arrays(&data.arrays, &words),
            [tree] => reader.loss(tree, &words.gather_rows(&data.arrays.local)),
            _ => reader.losses_of_arrays(&data.arrays, &words).mean(..),
        },
        &at,
    )?;
    Ok((loss, reader_bar, words_bar))
}

/// The gradients of a step: the words', and each parameter's.
pub fn leaves<T: Tensor>((reader, _): &mut Trained<T>, data: &Data<T>) -> Result<Vec<T>> {
    let (_, reader_bar, words_bar) = gradients(reader, data)?;
    Ok(std::iter::once(words_bar).chain(reader_bar.leaves()).collect())
}

/// A step of training; the loss, and what becomes of the words and of their sums.
pub fn step<T: Tensor>((reader, state): &mut Trained<T>, data: &Data<T>) -> Result<(T, T, T)> {
    let (loss, reader_bar, words_bar) = gradients(reader, data)?;
    let adagrad = Adagrad::default();
    adagrad.update(state, reader, &reader_bar, &data.lr)?;
    let mut sums = [data.sums.clone()];
    let count = state.count().clone();
    let words = adagrad.rule(data.words.clone(), words_bar, &mut sums, &Step { lr: &data.lr, count: &count });
    let [sums] = sums;
    Ok((loss, words, sums))
}
