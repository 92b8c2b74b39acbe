//! Nests that take long enough for several threads: which loop is cut into parts.

use inkwell::values::IntValue;

use crate::ir::expr::Unary;
use crate::lower::asm::{Asm, Reg};
use crate::lower::loops::nest::{Nest, Op, Root};
use crate::lower::loops::outline::Free;

/// Elements that parts of the innermost loop are multiples of: whole vectors, and whole lines of the cache.
const LINE: usize = 64;

/// A nest in parts of the same size, and what is left over.
pub struct Split<'c> {
    /// The first loop is that over the parts.
    parts: Nest<'c>,
    rest: Option<Nest<'c>>,
}

impl<'c> Split<'c> {
    /// A collapsed nest in parts; nothing if it is too small, or if rounds of its loops depend on each other.
    pub fn of(asm: &Asm<'c>, nest: &Nest<'c>) -> Option<Split<'c>> {
        let parts = asm.parts_of(cost(nest)) as usize;
        let kept: Vec<usize> = (0..nest.loops()).filter(|axis| nest.reduced >> axis & 1 == 0).collect();
        let (&axis, &last) = (kept.first()?, kept.last()?);
        if parts < 2 || !is_independent(nest, axis) {
            return None;
        }
        let n = nest.shape[axis];
        // The innermost loop is that of vectors, if it is not reduced over.
        let size = if axis == last && last + 1 == nest.loops() {
            n / parts / LINE * LINE
        } else {
            // Parts that leave nothing over, if there is such a number near the one that is wanted.
            let even = (parts.div_ceil(2)..=2 * parts).filter(|parts| n.is_multiple_of(*parts));
            let nearest = even.min_by_key(|even| even.abs_diff(parts));
            n / nearest.unwrap_or(parts)
        };
        if size == 0 || n / size < 2 {
            return None;
        }
        let count = n / size;
        let mut whole = nest.clone();
        whole.cut(axis, count, size);
        let rest = (count * size < n).then(|| {
            let mut rest = nest.clone();
            rest.begin_at(axis, count * size);
            rest
        });
        Some(Split { parts: whole, rest })
    }

    /// Emits it by `emit`: the parts as a task, and the rest.
    pub fn emit(mut self, asm: &Asm<'c>, emit: impl Fn(&Asm<'c>, Nest<'c>) -> Vec<Reg<'c>>) {
        let (args, key) = Free::of(asm, &mut self.parts);
        let count = self.parts.shape[0] as u64;
        let nest = self.parts;
        asm.parallel(format!("parts {key}"), &args, count, |params: &[Reg<'c>], part: IntValue<'c>| {
            let mut nest = nest;
            nest.replace(&args, params);
            nest.part = Some(part);
            emit(asm, nest);
        });
        if let Some(rest) = self.rest {
            emit(asm, rest);
        }
    }
}

/// What a nest takes, in operations on elements.
fn cost(nest: &Nest<'_>) -> u64 {
    let of_node = |op: &Op<'_>| match op {
        Op::Unary(op, _) => match op {
            Unary::Neg | Unary::Abs | Unary::Relu | Unary::Sign | Unary::Not => 1,
            Unary::Sqrt | Unary::Recip => 4,
            _ => 16,
        },
        Op::Uniform(..) => 16,
        Op::Powi(..) | Op::Load { .. } => 2,
        Op::Register(_) | Op::Constant(_) | Op::Position(_) => 0,
        Op::Clamp(..)
        | Op::Binary(..)
        | Op::Compare(..)
        | Op::Select(..)
        | Op::Convert(_)
        | Op::Within(..) => 1,
    };
    // A node that does not depend on the inner loops is computed outside of them.
    let rounds = |varies: u32| {
        let depth = (u32::BITS - varies.leading_zeros()) as usize;
        nest.shape[..depth].iter().fold(1u64, |rounds, &n| rounds.saturating_mul(n as u64))
    };
    let nodes = nest.nodes.iter().map(|node| rounds(node.varies).saturating_mul(of_node(&node.op)));
    let all = nest.shape.iter().fold(1u64, |rounds, &n| rounds.saturating_mul(n as u64));
    nodes.fold(all.saturating_mul(nest.roots.len() as u64), u64::saturating_add)
}

/// Whether no round of a loop reads or writes what another one writes.
fn is_independent(nest: &Nest<'_>, axis: usize) -> bool {
    let reads_what_it_writes = |op: &Op<'_>| matches!(op, Op::Load { fresh: true, .. });
    let own = |root: &Root<'_>| match root {
        Root::Keep(_) | Root::Reduce { to: None, .. } => false,
        Root::Store { at, mask, .. } => at.factors[axis] != 0 && mask.is_none(),
        Root::Reduce { to: Some((_, at)), .. } => at.factors[axis] != 0,
    };
    !nest.nodes.iter().any(|node| reads_what_it_writes(&node.op)) && nest.roots.iter().all(own)
}
