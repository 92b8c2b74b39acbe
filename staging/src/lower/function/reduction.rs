//! Reductions over axes: loops of their own, or part of the loop that computes what is reduced.

use std::collections::HashMap;

use inkwell::values::PointerValue;

use crate::ir::expr::{Binary, Comparison, Reduction, Unary};
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Scalar, Type};
use crate::lower::asm::{Reg, bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::nodes::Nodes;
use crate::lower::function::state::values::Place;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op, Root, identity};

impl<'c> Body<'_, '_, 'c> {
    /// Binds a value to a reduction over axes.
    pub fn reduce(&mut self, v: Value, op: Reduction, x: Value, axes: &[usize], ty: &Type) {
        match op {
            Reduction::LogSumExp => {
                return self.with_scratch(bytes(ty), |body, room| body.log_sum_exp(v, x, axes, ty, room));
            }
            Reduction::Sum | Reduction::Max => {}
        }
        let to = (!is_scalar(ty)).then(|| self.new_buffer(v));
        if let Some(result) = self.reduction(x, axes, to, false, |_, node, _| (op, node)) {
            self.bind(v, Place::Register(result));
        }
    }

    /// `ln Σ e^(x − max) + max`, or the maximum if it is not finite. There is room for the maxima.
    fn log_sum_exp(&mut self, v: Value, x: Value, axes: &[usize], ty: &Type, room: PointerValue<'c>) {
        let in_memory = !is_scalar(ty);
        let max =
            self.reduction(x, axes, in_memory.then_some(room), true, |_, node, _| (Reduction::Max, node));
        let max_at = |nest: &mut Nest<'c>, at: Affine| match max {
            Some(max) => nest.node(Op::Register(max), ty.dtype),
            None => nest.load(room, at, ty.dtype),
        };
        let to = in_memory.then(|| self.new_buffer(v));
        let sum = self.reduction(x, axes, to, false, |nest, node, at| {
            let max = max_at(nest, at);
            let difference = nest.binary(Binary::Sub, node, max);
            (Reduction::Sum, nest.unary(Unary::Exp, difference))
        });
        let (mut nest, at) = match to {
            Some(_) => (Nest::new(&[ty.size()]), Affine::counter(1, 0)),
            None => (Nest::new(&[]), Affine::constant(0, 0)),
        };
        let sum = match (sum, to) {
            (Some(sum), _) => nest.node(Op::Register(sum), ty.dtype),
            (None, to) => nest.load(to.expect("what is in no register"), at.clone(), ty.dtype),
        };
        let max = max_at(&mut nest, at.clone());
        let log = nest.unary(Unary::Log, sum);
        let whole = nest.binary(Binary::Add, log, max);
        let magnitude = nest.unary(Unary::Abs, max);
        let infinity = nest.node(Op::Constant(Scalar::of(ty.dtype, f64::INFINITY)), ty.dtype);
        let finite = nest.node(Op::Compare(Comparison::Less, magnitude, infinity), Dtype::Bool);
        let node = nest.node(Op::Select(finite, whole, max), ty.dtype);
        nest.roots.push(match to {
            Some(to) => Root::Store { to, at, node, mask: None },
            None => Root::Keep(node),
        });
        if let [result] = emit::emit(self.asm, self.lower.math, nest)[..] {
            self.bind(v, Place::Register(result));
        }
    }

    /// A loop that reduces what `of` makes of an array's elements and of the result's position, to memory or into the
    /// register that it returns. The array is stored only if others read it, or if it is to be reduced `again`.
    fn reduction(
        &mut self,
        x: Value,
        axes: &[usize],
        to: Option<PointerValue<'c>>,
        again: bool,
        of: impl FnOnce(&mut Nest<'c>, NodeId, Affine) -> (Reduction, NodeId),
    ) -> Option<Reg<'c>> {
        let shape = self.ty(x).shape.clone();
        let loops = shape.len();
        let reduce = |body: &mut Self, nest: &mut Nest<'c>, nodes: &mut Nodes| {
            let index = identity(loops);
            axes.iter().for_each(|axis| nest.reduced |= 1 << axis);
            let node = body.node(nest, x, &index, nodes);
            let is_kept = |i: &usize| !axes.contains(i);
            let kept: Vec<Affine> = (0..loops).filter(is_kept).map(|i| index[i].clone()).collect();
            let left: Vec<usize> = (0..loops).filter(is_kept).map(|i| shape[i]).collect();
            let at = Affine::position(&kept, &left, loops);
            let (op, node) = of(nest, node, at.clone());
            nest.roots.push(Root::Reduce { op, node, to: to.map(|to| (to, at)) });
        };
        let deferred = self.values.elementwise(x).is_some();
        let in_place = if again { self.values.is_cheap(x, &[]) } else { self.values.is_read_in_place(x) };
        if deferred && !in_place {
            // What is computed row by row can be stored and reduced at once.
            let rows = axes.iter().copied().eq(loops - axes.len()..loops);
            if rows && to.is_some() && !self.lower.math.strict {
                let (needed, consumed) = if again { (Some(x), None) } else { (None, Some(x)) };
                self.fuse(&shape, needed, consumed.as_slice(), reduce);
                return None;
            }
        }
        if !in_place {
            self.address(x);
        }
        let mut nest = Nest::new(&shape);
        reduce(self, &mut nest, &mut HashMap::new());
        emit::emit(self.asm, self.lower.math, nest).first().copied()
    }
}
