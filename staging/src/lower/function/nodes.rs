//! The elements of values as nodes of loop nests: deferred operators are computed where they are read.

use std::collections::HashMap;

use crate::ir::expr::Expr;
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Type};
use crate::lower::function::Body;
use crate::lower::function::values::{Place, moves};
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op};

/// Nodes that a nest has already.
pub type Known = HashMap<(Value, Vec<Affine>), NodeId>;

impl<'c> Body<'_, '_, 'c> {
    /// Adds the element of a value at an index to a nest.
    pub fn node(&mut self, nest: &mut Nest<'c>, v: Value, index: &[Affine], known: &mut Known) -> NodeId {
        let key = (v, index.to_vec());
        if let Some(&node) = known.get(&key) {
            return node;
        }
        let ty = self.ty(v).clone();
        let node = match self.place(v) {
            Place::Register(x) => nest.node(Op::Register(x), ty.dtype),
            Place::Memory(from) => {
                let at = Affine::position(index, &ty.shape, nest.loops());
                nest.load(from, at, ty.dtype)
            }
            Place::Deferred(expr) => self.expression(nest, &expr, &ty, index, known),
        };
        known.insert(key, node);
        node
    }

    /// The element of an elementwise operator or a movement.
    pub fn expression(
        &mut self,
        nest: &mut Nest<'c>,
        expr: &Expr,
        ty: &Type,
        index: &[Affine],
        known: &mut Known,
    ) -> NodeId {
        if moves(expr) {
            return self.movement(nest, expr, index, known);
        }
        let mut args = Vec::new();
        for x in expr.operands() {
            let own = broadcast_index(index, &self.ty(x).shape, nest.loops());
            args.push(self.node(nest, x, &own, known));
        }
        let op = match expr {
            Expr::Fill { value, .. } => Op::Constant(*value),
            Expr::Unary(op, _) => Op::Unary(*op, args[0]),
            Expr::Powi(_, n) => Op::Powi(args[0], *n),
            Expr::Clamp { low, high, .. } => Op::Clamp(args[0], *low, *high),
            Expr::Binary(op, ..) => Op::Binary(*op, args[0], args[1]),
            Expr::Compare(op, ..) => Op::Compare(*op, args[0], args[1]),
            Expr::Select { .. } => Op::Select(args[0], args[1], args[2]),
            Expr::Convert(..) => Op::Convert(args[0]),
            Expr::Uniform { .. } => {
                let at = Affine::position(index, &ty.shape, nest.loops());
                let position = nest.node(Op::Position(at), Dtype::I64);
                Op::Uniform(args[0], position)
            }
            Expr::Array(_)
            | Expr::Reshape(..)
            | Expr::Reduce(..)
            | Expr::Argmax(..)
            | Expr::Matmul(..)
            | Expr::Concat(..)
            | Expr::GatherRows { .. }
            | Expr::ScatterRows { .. }
            | Expr::GatherLast { .. }
            | Expr::ScatterLast { .. }
            | Expr::Conv2d { .. }
            | Expr::Conv2dImage { .. }
            | Expr::Conv2dKernel { .. }
            | Expr::Unfold2d { .. }
            | Expr::Fold2d { .. }
            | Expr::Permute(..)
            | Expr::Broadcast(..)
            | Expr::Slice { .. }
            | Expr::Pad { .. }
            | Expr::Flip(..) => unreachable!("{} is not elementwise", expr.name()),
        };
        nest.node(op, ty.dtype)
    }

    /// An element that a movement takes from its operand.
    fn movement(&mut self, nest: &mut Nest<'c>, expr: &Expr, index: &[Affine], known: &mut Known) -> NodeId {
        let x = expr.operands()[0];
        let shape = self.ty(x).shape.clone();
        let mut own = index.to_vec();
        let mut mask = None;
        match expr {
            Expr::Permute(_, order) => {
                order.iter().zip(index).for_each(|(&axis, i)| own[axis] = i.clone());
            }
            Expr::Broadcast(..) => own = broadcast_index(index, &shape, nest.loops()),
            Expr::Slice { axis, start, step, .. } => {
                own[*axis] = index[*axis].clone().times(*step as i64, *start as i64);
            }
            Expr::Flip(_, axis) => own[*axis] = index[*axis].clone().times(-1, shape[*axis] as i64 - 1),
            Expr::Pad { axis, padding, .. } => {
                own[*axis].offset -= padding.before as i64;
                mask = nest.within(&own[*axis], shape[*axis]);
            }
            _ => unreachable!("{} does not move elements", expr.name()),
        }
        match (mask, self.place(x)) {
            (None, _) => self.node(nest, x, &own, known),
            (Some(mask), Place::Memory(from)) => {
                let at = Affine::position(&own, &shape, nest.loops());
                let dtype = self.ty(x).dtype;
                nest.node(Op::Load { from, at, mask: Some(mask), fresh: false }, dtype)
            }
            _ => unreachable!("what is padded is in memory"),
        }
    }
}

/// The index of an operand that broadcasts.
pub fn broadcast_index(index: &[Affine], shape: &[usize], loops: usize) -> Vec<Affine> {
    let lead = index.len() - shape.len();
    let own = index[lead..].iter().zip(shape);
    own.map(|(i, &n)| if n == 1 { Affine::constant(loops, 0) } else { i.clone() }).collect()
}
