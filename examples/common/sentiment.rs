//! The binary constituency Tree-LSTM (Tai, Socher & Manning, *Improved semantic representations from tree-structured
//! long short-term memory networks*, 2015, §3.2), and a label for every node.

use std::cell::{Cell, RefCell};

use antiphon::control::{TreeArrays, fold};
use antiphon::data::SentimentTree;
use antiphon::data::treebank::LABELS;
use antiphon::nn::{Init, Rng};
use antiphon::state::Index;
use antiphon::{Batch, Int, IntTensor, OrRaise, Padding, Params, Real, Structure, Tensor, vmap_axes};

/// Word vectors, and what reads a tree over them.
#[derive(Clone, Params)]
pub struct TreeLstm<T> {
    /// A row a word, `[words, embedding]`.
    pub emb: T,
    /// Everything else.
    #[params(flatten)]
    pub reader: Reader<T>,
}

/// From word vectors to labels.
#[derive(Clone, Params)]
pub struct Reader<T> {
    /// Of leaves, `[embedding, 3·hidden]`: gates `i o u`.
    #[params(name = "Wl")]
    pub wl: T,
    /// `[3·hidden]`.
    pub bl: T,
    /// Of inner nodes, `[2·hidden, 5·hidden]`: gates `i fl fr o u`.
    #[params(name = "U")]
    pub u: T,
    /// `[5·hidden]`.
    pub bu: T,
    /// `[hidden, 5]`.
    #[params(name = "Wy")]
    pub wy: T,
    /// `[5]`.
    pub by: T,
}

/// A sentence as data, in arrays that may have room for a longer one.
#[derive(Clone, Structure)]
pub struct SentenceArrays<T: Real> {
    pub tree: TreeArrays<T::Int>,
    /// Which leaf a node is, from left to right: `[nodes]`.
    pub place: T::Int,
    /// The label of each node: `[nodes]`.
    pub labels: T::Int,
    /// Which of the sentence's different words each leaf is: `[leaves]`.
    pub local: T::Int,
    /// How many leaves there are, a scalar.
    pub leaves: T::Int,
}

/// What a node passes to its parent: each `[1, hidden]`.
#[derive(Clone)]
struct Node<T> {
    h: T,
    c: T,
}

impl<T: Tensor> Reader<T> {
    pub fn new(rng: &mut Rng, embedding: usize, hidden: usize) -> Reader<T> {
        let mut weights = |shape: [usize; 2]| {
            let limit = 1.0 / (shape[0] as f64).sqrt();
            Init::Uniform { low: -limit, high: limit }.sample(&shape, rng)
        };
        Reader {
            wl: weights([embedding, 3 * hidden]),
            bl: T::zeros(&[3 * hidden]),
            u: weights([2 * hidden, 5 * hidden]),
            bu: T::zeros(&[5 * hidden]),
            wy: weights([hidden, LABELS]),
            by: T::zeros(&[LABELS]),
        }
    }

    /// All leaves at once: `i o u = x·Wl + bl`, `c = σ(i)·tanh(u)`, `h = σ(o)·tanh(c)`; `h` and `c`, `[leaves,
    /// hidden]`.
    fn leaves(&self, words: &T) -> Node<T> {
        let hidden = self.wy.shape()[0];
        let gates = words.matmul(&self.wl) + &self.bl;
        let gate = |k: usize| gates.slice(-1, k * hidden..(k + 1) * hidden);
        let c = gate(0).sigmoid() * gate(2).tanh();
        Node { h: gate(1).sigmoid() * c.tanh(), c }
    }

    /// `i fl fr o u = [hl; hr]·U + bu`, `c = σ(i)·tanh(u) + σ(fl)·cl + σ(fr)·cr`, `h = σ(o)·tanh(c)`.
    fn inner(&self, left: Node<T>, right: Node<T>) -> Node<T> {
        let hidden = self.wy.shape()[0];
        let gates = T::concat(&[left.h, right.h], -1).matmul(&self.u) + &self.bu;
        let open = gates.slice(-1, 0..4 * hidden).sigmoid();
        let gate = |k: usize| open.slice(-1, k * hidden..(k + 1) * hidden);
        let u = gates.slice(-1, 4 * hidden..5 * hidden).tanh();
        let c = gate(0) * u + gate(1) * left.c + gate(2) * right.c;
        Node { h: gate(3) * c.tanh(), c }
    }

    /// Logits of every node, `[nodes, 5]`, children before their parent; `words: [leaves, embedding]` are the vectors
    /// of the tree's words from left to right.
    pub fn logits(&self, tree: &SentimentTree, words: &T) -> T {
        let leaves = self.leaves(words);
        let next = Cell::new(0);
        let states = RefCell::new(Vec::new());
        fold(tree, &|_, children: Vec<Node<T>>| {
            let node = match <[Node<T>; 2]>::try_from(children) {
                Ok([left, right]) => self.inner(left, right),
                Err(_) => {
                    let k = next.replace(next.get() + 1);
                    Node { h: leaves.h.slice(0, k..k + 1), c: leaves.c.slice(0, k..k + 1) }
                }
            };
            states.borrow_mut().push(node.h.clone());
            node
        });
        T::concat(&states.into_inner(), 0).matmul(&self.wy) + &self.by
    }

    /// The leaves of a tree as data: its `leaves` rows, or more of them, up to a multiple of `part`. Each multiple is a
    /// branch, so that a short sentence does not cost what the longest does. Rows beyond are zeros.
    fn leaves_of_arrays<I>(&self, sentence: &SentenceArrays<I>, words: &T, rows: usize, part: usize) -> (T, T)
    where
        I: Real<Int = T::Int>,
    {
        let room = sentence.local.shape()[0];
        let compute = || {
            let Node { h, c } = self.leaves(&words.gather_rows(&sentence.local.slice(0, 0..rows)));
            let padding = Padding { after: room - rows, ..Padding::default() };
            (h.pad(0, padding), c.pad(0, padding))
        };
        if rows == room {
            return compute();
        }
        let are_more = T::Int::constant(rows as i64).less(&sentence.leaves);
        let more = (rows + part).min(room);
        T::cond(&are_more, || self.leaves_of_arrays(sentence, words, more, part), compute)
    }

    /// The same as [`loss`](Reader::loss) where the tree is data; `words: [words, embedding]` are the vectors of its
    /// different words, and perhaps more rows.
    pub fn loss_of_arrays<I: Real<Int = T::Int>>(&self, sentence: &SentenceArrays<I>, words: &T) -> T {
        let part = sentence.local.shape()[0].div_ceil(4);
        self.loss_above(&self.leaves_of_arrays(sentence, words, part, part), sentence)
    }

    /// The losses of several sentences whose nodes are in the same arrays: `sentences.tree.root: [sentences]`.
    pub fn losses_of_arrays<I: Real<Int = T::Int>>(&self, sentences: &SentenceArrays<I>, words: &T) -> T {
        // Many sentences together are about as long as many others.
        let part = sentences.local.shape()[0].div_ceil(10);
        let leaves = self.leaves_of_arrays(sentences, words, 6 * part, part);
        let SentenceArrays { tree, place, labels, local, leaves: count } = sentences.clone();
        let roots = Index::<T>(tree.root.clone());
        let sentences = SentenceArrays::<T> { tree, place, labels, local, leaves: count };
        type Given<T> = (Reader<T>, (T, T), SentenceArrays<T>, Index<T>);
        vmap_axes(
            |(reader, leaves, mut sentence, Index(root)): Given<Batch<T>>| {
                sentence.tree.root = root;
                reader.loss_above(&leaves, &sentence)
            },
            &(self.clone(), leaves, sentences, roots),
            &[None, None, None, Some(0)],
            &[Some(0)],
        )
        .or_raise()
    }

    /// The loss of a tree over its leaves' `h` and `c`: `[leaves, hidden]`.
    fn loss_above<I: Real<Int = T::Int>>(&self, leaves: &(T, T), sentence: &SentenceArrays<I>) -> T {
        let hidden = self.wy.shape()[0];
        let with_loss = |number: &T::Int, node: Node<T>, below: Option<T>| {
            let label = sentence.labels.gather_rows(number).reshape(&[1]);
            let loss = (node.h.matmul(&self.wy) + &self.by).cross_entropy(&label).sum(..);
            (node.h, node.c, below.map_or(loss.clone(), |below| below + loss))
        };
        let leaf = |number: &T::Int| {
            let row = |of: &T| of.gather_rows(&sentence.place.gather_rows(number)).reshape(&[1, hidden]);
            with_loss(number, Node { h: row(&leaves.0), c: row(&leaves.1) }, None)
        };
        let inner = |number: &T::Int, left: (T, T, T), right: (T, T, T)| {
            let node = self.inner(Node { h: left.0, c: left.1 }, Node { h: right.0, c: right.1 });
            with_loss(number, node, Some(left.2 + right.2))
        };
        T::fold_tree(&sentence.tree, leaf, inner).2
    }

    /// The sum over all nodes of the cross-entropy of their labels.
    pub fn loss(&self, tree: &SentimentTree, words: &T) -> T {
        let labels: Vec<i64> = tree.labels().into_iter().map(i64::from).collect();
        let labels = T::Int::from_elements(&[labels.len()], &labels).expect("as many as the shape says");
        self.logits(tree, words).cross_entropy(&labels).sum(..)
    }
}
