//! Concatenations. A part that is contiguous in the whole is computed where it ends up, and not copied; parts of one
//! shape that are elementwise are computed in one loop that writes to all of them.

use std::collections::{HashMap, HashSet};

use crate::analysis::captures::Entity;
use crate::ir::Stmt;
use crate::ir::expr::{Class, Expr};
use crate::ir::ids::{Func, Value};
use crate::ir::types::size;
use crate::lower::asm::bytes;
use crate::lower::function::Body;
use crate::lower::function::module::Lowerer;
use crate::lower::function::nodes::Nodes;
use crate::lower::function::state::values::Place;
use crate::lower::loops::nest::{Affine, Nest, Root, identity};

/// Which values are parts of others, and what has been done about it.
pub struct Joined {
    /// The whole, and how many bytes are before the part in it.
    parts: HashMap<Value, (Value, u64)>,
    /// Where in the function's frame a whole is of which some part was computed.
    places: HashMap<Value, u64>,
    /// Parts that were computed in place.
    in_place: HashSet<Value>,
}

impl Joined {
    /// Of a function.
    pub fn of(lower: &Lowerer<'_, '_>, func: Func) -> Joined {
        let program = lower.program;
        let mut parts = HashMap::new();
        let mut home = HashMap::new();
        for &(block, i) in &lower.analysis.funcs[func].order {
            let Stmt::Let(v, expr) = &program.blocks[block].stmts[i] else { continue };
            if expr.class() != Class::InMemory {
                home.insert(*v, block);
            }
            let Expr::Concat(of, axis) = expr else { continue };
            let contiguous = size(&program.ty(*v).shape[..*axis]) == 1;
            if !contiguous || program.blocks[block].results.contains(v) {
                continue;
            }
            let mut before = 0;
            for &part in of {
                // What is captured has a life of its own.
                let captured = lower.analysis.is_captured(Entity::Value(part));
                let len = bytes(program.ty(part));
                if home.get(&part) == Some(&block) && !captured && len > 0 {
                    parts.entry(part).or_insert((*v, before));
                }
                before += len;
            }
        }
        Joined { parts, places: HashMap::new(), in_place: HashSet::new() }
    }
}

impl<'c> Body<'_, '_, 'c> {
    /// The place of a part in its whole, for which there is room from now on.
    pub fn place_in_whole(&mut self, v: Value) -> Option<u64> {
        let &(whole, before) = self.joined.parts.get(&v)?;
        let start = self.whole_place(whole);
        self.buffers.share(v, whole);
        self.joined.in_place.insert(v);
        Some(start + before)
    }

    fn whole_place(&mut self, whole: Value) -> u64 {
        if let Some(&at) = self.joined.places.get(&whole) {
            return at;
        }
        let at =
            self.place_in_whole(whole).unwrap_or_else(|| self.buffers.allot(whole, bytes(self.ty(whole))));
        self.joined.places.insert(whole, at);
        at
    }

    /// Binds a value to the parts, one after another along an axis.
    pub fn concat(&mut self, v: Value, parts: &[Value], axis: usize) {
        let to = match self.joined.places.get(&v) {
            Some(&at) => {
                let address = self.in_buffers(at);
                self.bind(v, Place::Memory(address));
                address
            }
            None => self.new_buffer(v),
        };
        let ty = self.ty(v).clone();
        let mut start = 0;
        let mut others = Vec::new();
        for &part in parts {
            let place = self.joined.parts.get(&part).copied();
            let before = size(&ty.shape[axis + 1..]) as u64 * start as u64 * bytes_each(&ty);
            if !self.joined.in_place.contains(&part) || place != Some((v, before)) {
                others.push((part, start));
            }
            start += self.ty(part).shape[axis];
        }
        if self.are_alike(&others) {
            return self.join_together(&others, to, axis, &ty);
        }
        for (part, start) in others {
            self.move_into(part, to, &ty, axis, start, 1);
        }
    }

    /// Whether several parts have one shape and some are yet to be computed.
    fn are_alike(&self, parts: &[(Value, usize)]) -> bool {
        let shape = parts.first().map(|&(part, _)| &self.ty(part).shape);
        let computed = |v: Value| self.values.elementwise(v).is_some();
        let moved = |v: Value| self.values.movement(v).is_some();
        parts.len() > 1
            && parts.iter().all(|&(part, _)| Some(&self.ty(part).shape) == shape && !moved(part))
            && parts.iter().any(|&(part, _)| computed(part) && !self.values.is_read_in_place(part))
    }

    fn join_together(
        &mut self,
        parts: &[(Value, usize)],
        to: inkwell::values::PointerValue<'c>,
        axis: usize,
        ty: &crate::ir::types::Type,
    ) {
        let shape = self.ty(parts[0].0).shape.clone();
        let consumed: Vec<Value> = parts.iter().map(|&(part, _)| part).collect();
        self.fuse(&shape, None, &consumed, |body, nest: &mut Nest<'c>, nodes: &mut Nodes| {
            for &(part, start) in parts {
                let mut index = identity(shape.len());
                let node = body.node(nest, part, &index, nodes);
                index[axis] = index[axis].clone().times(1, start as i64);
                let at = Affine::position(&index, &ty.shape, shape.len());
                nest.roots.push(Root::Store { to, at, node, mask: None });
            }
        });
    }
}

fn bytes_each(ty: &crate::ir::types::Type) -> u64 {
    u64::from(crate::lower::asm::element_bytes(ty.dtype))
}
