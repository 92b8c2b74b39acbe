//! Loop nests: a graph of elementwise operators over affine accesses, with stores and reductions as its roots. Fused
//! chains, movements of elements, reductions and convolutions all become one of these.

use inkwell::values::{IntValue, PointerValue};
use smallvec::SmallVec;

use crate::ir::expr::{Binary, Comparison, Reduction, Unary};
use crate::ir::types::{Dtype, Scalar};
use crate::lower::asm::Reg;

/// A position that is an affine function of the loops' counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Affine {
    /// A factor for each loop.
    pub factors: SmallVec<[i64; 6]>,
    /// The position where all counters are zero.
    pub offset: i64,
}

impl Affine {
    pub fn constant(loops: usize, offset: i64) -> Affine {
        Affine { factors: SmallVec::from_elem(0, loops), offset }
    }
    /// The counter of one loop.
    pub fn counter(loops: usize, of: usize) -> Affine {
        let mut counter = Affine::constant(loops, 0);
        counter.factors[of] = 1;
        counter
    }
    pub fn plus(mut self, other: &Affine, times: i64) -> Affine {
        self.factors.iter_mut().zip(&other.factors).for_each(|(a, b)| *a += b * times);
        self.offset += other.offset * times;
        self
    }
    pub fn times(mut self, factor: i64, offset: i64) -> Affine {
        self.factors.iter_mut().for_each(|a| *a *= factor);
        self.offset = self.offset * factor + offset;
        self
    }
    /// The row-major position of an index.
    pub fn position(index: &[Affine], shape: &[usize], loops: usize) -> Affine {
        let strides = crate::interpret::index::strides(shape);
        let start = Affine::constant(loops, 0);
        index.iter().zip(&strides).fold(start, |sum, (i, &stride)| sum.plus(i, stride as i64))
    }
}

/// The identity index of a shape.
pub fn identity(rank: usize) -> Vec<Affine> {
    (0..rank).map(|i| Affine::counter(rank, i)).collect()
}

/// Position of a [`Node`].
pub type NodeId = usize;

/// What a node computes.
#[derive(Clone)]
pub enum Op<'c> {
    /// The element of an array at a position; zero where the mask, if there is one, does not hold. A `fresh` one is
    /// loaded in every round, since the nest itself writes to the array.
    Load {
        from: PointerValue<'c>,
        at: Affine,
        mask: Option<NodeId>,
        fresh: bool,
    },
    /// What is in a register already.
    Register(Reg<'c>),
    Constant(Scalar),
    /// A position itself.
    Position(Affine),
    Unary(Unary, NodeId),
    Powi(NodeId, i32),
    Clamp(NodeId, Scalar, Scalar),
    Binary(Binary, NodeId, NodeId),
    Compare(Comparison, NodeId, NodeId),
    Select(NodeId, NodeId, NodeId),
    Convert(NodeId),
    /// A sample, from its key and position.
    Uniform(NodeId, NodeId),
    /// `0 ≤ x < n`.
    Within(NodeId, i64),
}

/// A node of the graph; operands come before it.
#[derive(Clone)]
pub struct Node<'c> {
    pub op: Op<'c>,
    pub dtype: Dtype,
    /// The loops on which it depends, as a set of bits.
    pub varies: u32,
}

/// What is done with a node's elements.
#[derive(Clone)]
pub enum Root<'c> {
    /// Stored, where the mask, if there is one, holds.
    Store { to: PointerValue<'c>, at: Affine, node: NodeId, mask: Option<NodeId> },
    /// Kept in a register; only where there is no loop.
    Keep(NodeId),
    /// Reduced over the reduced loops, and stored or, if nothing is left to loop over, kept in a register.
    Reduce { op: Reduction, node: NodeId, to: Option<(PointerValue<'c>, Affine)> },
}

/// A nest of loops.
#[derive(Clone)]
pub struct Nest<'c> {
    /// Numbers of rounds.
    pub shape: Vec<usize>,
    /// Loops that are reduced over, as a set of bits.
    pub reduced: u32,
    pub nodes: Vec<Node<'c>>,
    pub roots: Vec<Root<'c>>,
    /// The counter of the first loop, if only one of its rounds is run.
    pub part: Option<IntValue<'c>>,
}

impl<'c> Nest<'c> {
    pub fn new(shape: &[usize]) -> Nest<'c> {
        Nest { shape: shape.to_vec(), reduced: 0, nodes: Vec::new(), roots: Vec::new(), part: None }
    }
    pub fn loops(&self) -> usize {
        self.shape.len()
    }
    pub fn node(&mut self, op: Op<'c>, dtype: Dtype) -> NodeId {
        let varies = self.varies(&op);
        self.nodes.push(Node { op, dtype, varies });
        self.nodes.len() - 1
    }
    pub fn load(&mut self, from: PointerValue<'c>, at: Affine, dtype: Dtype) -> NodeId {
        self.node(Op::Load { from, at, mask: None, fresh: false }, dtype)
    }
    pub fn unary(&mut self, op: Unary, x: NodeId) -> NodeId {
        let dtype = self.nodes[x].dtype;
        self.node(Op::Unary(op, x), dtype)
    }
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        let dtype = self.nodes[a].dtype;
        self.node(Op::Binary(op, a, b), dtype)
    }
    /// Whether both masks hold.
    pub fn both(&mut self, a: Option<NodeId>, b: NodeId) -> NodeId {
        match a {
            Some(a) => self.binary(Binary::And, a, b),
            None => b,
        }
    }
    /// `0 ≤ i < n`, or nothing if it always holds.
    pub fn within(&mut self, i: &Affine, n: usize) -> Option<NodeId> {
        let ends = |f: fn(i64) -> i64| {
            let far = |(a, n): (&i64, &usize)| f(a * (*n as i64 - 1));
            i.offset + i.factors.iter().zip(&self.shape).map(far).sum::<i64>()
        };
        let (low, high) = (ends(|x| x.min(0)), ends(|x| x.max(0)));
        if low >= 0 && high < n as i64 {
            return None;
        }
        let position = self.node(Op::Position(i.clone()), Dtype::I64);
        Some(self.node(Op::Within(position, n as i64), Dtype::Bool))
    }

    /// All affine functions.
    fn affine_mut(&mut self) -> Vec<&mut Affine> {
        let nodes = self.nodes.iter_mut().filter_map(|node| match &mut node.op {
            Op::Load { at, .. } | Op::Position(at) => Some(at),
            Op::Register(_)
            | Op::Constant(_)
            | Op::Unary(..)
            | Op::Powi(..)
            | Op::Clamp(..)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Select(..)
            | Op::Convert(_)
            | Op::Uniform(..)
            | Op::Within(..) => None,
        });
        let roots = self.roots.iter_mut().flat_map(|root| match root {
            Root::Keep(_) => vec![],
            Root::Store { at, .. } => vec![at],
            Root::Reduce { to, .. } => to.iter_mut().map(|(_, at)| at).collect(),
        });
        nodes.chain(roots).collect()
    }

    /// Joins neighbouring loops that every access steps through as one, and drops loops of one round.
    pub fn collapse(&mut self) {
        let mut axis = self.shape.len();
        while axis > 0 {
            axis -= 1;
            if self.shape[axis] == 1 {
                self.remove(axis);
            } else if axis + 1 < self.shape.len() {
                let inner = self.shape[axis + 1] as i64;
                let alike = (self.reduced >> axis & 1) == (self.reduced >> (axis + 1) & 1);
                if alike
                    && self.affine_mut().iter().all(|at| at.factors[axis] == at.factors[axis + 1] * inner)
                {
                    self.shape[axis + 1] *= self.shape[axis];
                    self.remove(axis);
                }
            }
        }
        self.refresh();
    }
    fn remove(&mut self, axis: usize) {
        self.shape.remove(axis);
        self.affine_mut().into_iter().for_each(|at| {
            at.factors.remove(axis);
        });
        let low = (1 << axis) - 1;
        self.reduced = (self.reduced & low) | (self.reduced >> 1 & !low);
    }
    /// Puts loops in another order: loop `i` becomes what was loop `order[i]`.
    pub fn reorder(&mut self, order: &[usize]) {
        self.shape = order.iter().map(|&i| self.shape[i]).collect();
        let reduced = order.iter().enumerate().map(|(to, &from)| (self.reduced >> from & 1) << to);
        self.reduced = reduced.sum();
        for at in self.affine_mut() {
            at.factors = order.iter().map(|&i| at.factors[i]).collect();
        }
        self.refresh();
    }
    /// Makes of a loop one over so many parts, which becomes the first one, and one of such a size, in its place.
    pub fn cut(&mut self, axis: usize, parts: usize, size: usize) {
        self.shape[axis] = size;
        self.shape.insert(0, parts);
        self.affine_mut().into_iter().for_each(|at| {
            let factor = at.factors[axis] * size as i64;
            at.factors.insert(0, factor);
        });
        self.reduced <<= 1;
        self.refresh();
    }
    /// Leaves out the first rounds of a loop.
    pub fn begin_at(&mut self, axis: usize, start: usize) {
        self.shape[axis] -= start;
        self.affine_mut().into_iter().for_each(|at| at.offset += at.factors[axis] * start as i64);
    }
    /// Replaces arrays and registers by others.
    pub fn replace(&mut self, old: &[Reg<'c>], new: &[Reg<'c>]) {
        let of = |x: Reg<'c>| old.iter().position(|other| *other == x).map_or(x, |i| new[i]);
        let array = |p: &mut PointerValue<'c>| *p = of((*p).into()).into_pointer_value();
        for node in &mut self.nodes {
            match &mut node.op {
                Op::Load { from, .. } => array(from),
                Op::Register(x) => *x = of(*x),
                Op::Constant(_)
                | Op::Position(_)
                | Op::Unary(..)
                | Op::Powi(..)
                | Op::Clamp(..)
                | Op::Binary(..)
                | Op::Compare(..)
                | Op::Select(..)
                | Op::Convert(_)
                | Op::Uniform(..)
                | Op::Within(..) => {}
            }
        }
        for root in &mut self.roots {
            match root {
                Root::Keep(_) => {}
                Root::Store { to, .. } => array(to),
                Root::Reduce { to, .. } => to.iter_mut().for_each(|(to, _)| array(to)),
            }
        }
    }
    fn refresh(&mut self) {
        for i in 0..self.nodes.len() {
            self.nodes[i].varies = self.varies(&self.nodes[i].op);
        }
    }
    fn varies(&self, op: &Op<'c>) -> u32 {
        let own = match op {
            Op::Load { fresh: true, .. } => (1 << self.loops()) - 1,
            Op::Load { at, .. } | Op::Position(at) => {
                let loops = at.factors.iter().enumerate().filter(|(_, f)| **f != 0);
                loops.fold(0, |set, (i, _)| set | 1 << i)
            }
            Op::Register(_)
            | Op::Constant(_)
            | Op::Unary(..)
            | Op::Powi(..)
            | Op::Clamp(..)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Select(..)
            | Op::Convert(_)
            | Op::Uniform(..)
            | Op::Within(..) => 0,
        };
        operands(op).into_iter().fold(own, |set, id| set | self.nodes[id].varies)
    }
}

/// The nodes that an operator reads.
pub fn operands(op: &Op<'_>) -> SmallVec<[NodeId; 3]> {
    match *op {
        Op::Register(_) | Op::Constant(_) | Op::Position(_) => SmallVec::new(),
        Op::Load { mask, .. } => mask.into_iter().collect(),
        Op::Unary(_, x) | Op::Powi(x, _) | Op::Clamp(x, ..) | Op::Convert(x) | Op::Within(x, _) => {
            SmallVec::from_slice(&[x])
        }
        Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::Uniform(a, b) => SmallVec::from_slice(&[a, b]),
        Op::Select(a, b, c) => SmallVec::from_slice(&[a, b, c]),
    }
}
