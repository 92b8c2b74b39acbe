//! The binary constituency Tree-LSTM (Tai, Socher & Manning, *Improved semantic representations from tree-structured long
//! short-term memory networks*, 2015, §3.2), and a label for every node.

use std::cell::{Cell, RefCell};

use antiphon::control::{TreeArrays, fold};
use antiphon::data::SentimentTree;
use antiphon::data::treebank::LABELS;
use antiphon::nn::{Init, Rng};
use antiphon::{IntTensor, Params, Tensor};

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

    /// All leaves at once: `i o u = x·Wl + bl`, `c = σ(i)·tanh(u)`, `h = σ(o)·tanh(c)`; `h` and `c`, `[leaves, hidden]`.
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

    /// Logits of every node, `[nodes, 5]`, children before their parent; `words: [leaves, embedding]` are the vectors of
    /// the tree's words from left to right.
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

    /// The same as [`loss`](Reader::loss) where the tree is data: in `tree`, leaf `n` has the row `place[n]` of `words`, and
    /// any node `n` the label `labels[n]`. Rows and nodes may be more than the tree has.
    pub fn loss_of_arrays(&self, tree: &TreeArrays<T::Int>, place: &T::Int, labels: &T::Int, words: &T) -> T {
        let hidden = self.wy.shape()[0];
        let leaves = self.leaves(words);
        let with_loss = |number: &T::Int, node: Node<T>, below: Option<T>| {
            let label = labels.gather_rows(number).reshape(&[1]);
            let loss = (node.h.matmul(&self.wy) + &self.by).cross_entropy(&label).sum(..);
            (node.h, node.c, below.map_or(loss.clone(), |below| below + loss))
        };
        let leaf = |number: &T::Int| {
            let row = |of: &T| of.gather_rows(&place.gather_rows(number)).reshape(&[1, hidden]);
            with_loss(number, Node { h: row(&leaves.h), c: row(&leaves.c) }, None)
        };
        let inner = |number: &T::Int, left: (T, T, T), right: (T, T, T)| {
            let node = self.inner(Node { h: left.0, c: left.1 }, Node { h: right.0, c: right.1 });
            with_loss(number, node, Some(left.2 + right.2))
        };
        T::fold_tree(tree, leaf, inner).2
    }

    /// The sum over all nodes of the cross-entropy of their labels.
    pub fn loss(&self, tree: &SentimentTree, words: &T) -> T {
        let labels: Vec<i64> = tree.labels().into_iter().map(i64::from).collect();
        let labels = T::Int::from_elements(&[labels.len()], &labels).expect("as many as the shape says");
        self.logits(tree, words).cross_entropy(&labels).sum(..)
    }
}
