//! The elements of values as nodes of loop nests: deferred operators are computed where they are read.

use std::collections::HashMap;

use crate::ir::expr::Expr;
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Type};
use crate::lower::function::Body;
use crate::lower::function::state::values::{Place, computes};
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op};

/// Nodes that a nest has already.
pub type Nodes = HashMap<(Value, Vec<Affine>), NodeId>;

impl<'c> Body<'_, '_, 'c> {
    /// Adds the element of a value at an index to a nest.
    pub fn node(&mut self, nest: &mut Nest<'c>, v: Value, index: &[Affine], nodes: &mut Nodes) -> NodeId {
        let key = (v, index.to_vec());
        if let Some(&node) = nodes.get(&key) {
            return node;
        }
        let ty = self.ty(v);
        let node = match self.place(v) {
            Place::Register(x) => nest.node(Op::Register(x), ty.dtype),
            Place::Memory(from) => {
                let at = Affine::position(index, &ty.shape, nest.loops());
                nest.load(from, at, ty.dtype)
            }
            Place::Deferred(expr) => self.expression(nest, &expr, ty, index, nodes),
        };
        nodes.insert(key, node);
        node
    }

    /// The element of an elementwise operator or a movement.
    pub fn expression(
        &mut self,
        nest: &mut Nest<'c>,
        expr: &Expr,
        ty: &Type,
        index: &[Affine],
        nodes: &mut Nodes,
    ) -> NodeId {
        let mut args = Vec::new();
        if computes(expr) {
            for x in expr.operands() {
                let own = broadcast_index(index, &self.ty(x).shape, nest.loops());
                args.push(self.node(nest, x, &own, nodes));
            }
        }
        let mut own = index.to_vec();
        let op = match *expr {
            Expr::Fill { value, .. } => Op::Constant(value),
            Expr::Unary(op, _) => Op::Unary(op, args[0]),
            Expr::Powi(_, n) => Op::Powi(args[0], n),
            Expr::Clamp { low, high, .. } => Op::Clamp(args[0], low, high),
            Expr::Binary(op, ..) => Op::Binary(op, args[0], args[1]),
            Expr::Compare(op, ..) => Op::Compare(op, args[0], args[1]),
            Expr::Select { .. } => Op::Select(args[0], args[1], args[2]),
            Expr::Convert(..) => Op::Convert(args[0]),
            Expr::Uniform { .. } => {
                let at = Affine::position(index, &ty.shape, nest.loops());
                let position = nest.node(Op::Position(at), Dtype::I64);
                Op::Uniform(args[0], position)
            }
            Expr::Permute(x, ref order) => {
                order.iter().zip(index).for_each(|(&axis, i)| own[axis] = i.clone());
                return self.node(nest, x, &own, nodes);
            }
            Expr::Broadcast(x, _) => {
                let own = broadcast_index(index, &self.ty(x).shape, nest.loops());
                return self.node(nest, x, &own, nodes);
            }
            Expr::Slice { x, axis, start, step, .. } => {
                own[axis] = index[axis].clone().times(step as i64, start as i64);
                return self.node(nest, x, &own, nodes);
            }
            Expr::Flip(x, axis) => {
                own[axis] = index[axis].clone().times(-1, self.ty(x).shape[axis] as i64 - 1);
                return self.node(nest, x, &own, nodes);
            }
            Expr::Pad { x, axis, padding } => {
                own[axis].offset -= padding.before as i64;
                let Some(mask) = nest.within(&own[axis], self.ty(x).shape[axis]) else {
                    return self.node(nest, x, &own, nodes);
                };
                let from = self.address(x);
                let at = Affine::position(&own, &self.ty(x).shape, nest.loops());
                Op::Load { from, at, mask: Some(mask), fresh: false }
            }
            Expr::Array(_)
            | Expr::Reshape(..)
            | Expr::After(..)
            | Expr::Reduce(..)
            | Expr::Argmax(..)
            | Expr::Matmul(..)
            | Expr::Concat(..)
            | Expr::GatherRows { .. }
            | Expr::ScatterRows { .. }
            | Expr::WriteRows { .. }
            | Expr::GatherLast { .. }
            | Expr::ScatterLast { .. }
            | Expr::Conv2d { .. }
            | Expr::Conv2dImage { .. }
            | Expr::Conv2dKernel { .. }
            | Expr::Unfold2d { .. }
            | Expr::Fold2d { .. }
            | Expr::Host { .. } => unreachable!("{} is computed where it stands", expr.name()),
        };
        nest.node(op, ty.dtype)
    }
}

/// The index of an operand that broadcasts.
pub fn broadcast_index(index: &[Affine], shape: &[usize], loops: usize) -> Vec<Affine> {
    let lead = index.len() - shape.len();
    let own = index[lead..].iter().zip(shape);
    own.map(|(i, &n)| if n == 1 { Affine::constant(loops, 0) } else { i.clone() }).collect()
}
