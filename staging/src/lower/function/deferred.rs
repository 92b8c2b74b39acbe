//! Values as code reads them, and the loops in which those that are deferred are computed.

use std::collections::{HashMap, HashSet};

use inkwell::values::PointerValue;

use crate::analysis::captures::Entity;
use crate::ir::expr::Expr;
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Type};
use crate::lower::asm::Reg;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::last::BEHIND;
use crate::lower::function::nodes::Nodes;
use crate::lower::function::state::values::{Place, computes};
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, Root, identity};
use crate::lower::loops::transpose;

impl<'l, 'c> Body<'l, '_, 'c> {
    pub fn ty(&self, v: Value) -> &'l Type {
        self.values.ty(v)
    }

    /// Where a value is; if another function of the module computed it, that is looked up in memory.
    pub fn place(&mut self, v: Value) -> Place<'c> {
        if let Some(slot) = self.slot(v) {
            return Place::Register(self.asm.load(self.ty(v).dtype, 1, slot));
        }
        if let Some(place) = self.values.place(v) {
            return place.clone();
        }
        // What is loaded is not kept: this may be one arm of a branch only.
        let from = self.word_of_value(v).unwrap_or_else(|| self.field(Entity::Value(v)));
        let ty = self.ty(v);
        if is_scalar(ty) {
            Place::Register(self.asm.load(ty.dtype, 1, from))
        } else {
            Place::Memory(self.asm.load_ptr(from))
        }
    }

    /// A scalar.
    pub fn register(&mut self, v: Value) -> Reg<'c> {
        match self.place(v) {
            Place::Register(x) => x,
            Place::Memory(_) | Place::Deferred(_) => unreachable!("scalars are in registers"),
        }
    }

    /// The address of an array, which is computed now if it was not yet.
    pub fn address(&mut self, v: Value) -> PointerValue<'c> {
        match self.place(v) {
            Place::Memory(address) => address,
            Place::Register(_) => unreachable!("arrays are in memory"),
            Place::Deferred(expr) => {
                self.force(v, &expr);
                self.address(v)
            }
        }
    }

    /// A reader of the value has been emitted.
    pub fn release(&mut self, v: Value) {
        let (words, buffers) = (&mut self.words, &mut self.buffers);
        self.values.release(v, &mut |v| {
            if let Some(words) = words {
                words.remove_value(v);
            }
            buffers.leave(v);
        });
    }
    /// A reader of the operands has been emitted.
    pub fn release_operands(&mut self, expr: &Expr) {
        expr.operands().into_iter().for_each(|x| self.release(x));
    }

    /// Memory for an array that is about to be computed.
    pub fn new_buffer(&mut self, v: Value) -> PointerValue<'c> {
        let address = match self.wanted_address(v) {
            Some(address) => address,
            None => {
                let at = self.place_in_whole(v).unwrap_or_else(|| self.buffers.allot(v, bytes(self.ty(v))));
                self.in_buffers(at)
            }
        };
        self.bind(v, Place::Memory(address));
        address
    }
    /// The address of a place among the function's buffers.
    pub fn in_buffers(&self, at: u64) -> PointerValue<'c> {
        let base = self.registers.base();
        match (at.checked_sub(BEHIND), self.behind) {
            (Some(at), Some(behind)) => {
                let i64_ty = self.asm.scalar_ty(Dtype::I64);
                let begin = self.asm.load_raw(i64_ty, behind.as_pointer_value()).into_int_value();
                self.asm.bytes(self.asm.at(self.asm.context.i8_type().into(), base, begin), at as i64)
            }
            _ => self.asm.bytes(base, at as i64),
        }
    }
    /// Lends memory to `f` for what it emits.
    pub fn with_scratch<R>(&mut self, bytes: u64, f: impl FnOnce(&mut Self, PointerValue<'c>) -> R) -> R {
        let (scratch, at) = self.buffers.scratch(bytes);
        let result = f(self, self.in_buffers(at));
        self.buffers.give_back(scratch);
        result
    }

    pub fn bind(&mut self, v: Value, place: Place<'c>) {
        self.values.set_place(v, place);
        self.publish(v);
    }
    /// Binds a value to the memory of another, if that is known to be the same elements.
    pub fn share(&mut self, v: Value, with: Value) {
        let address = self.address(with);
        // What only nested functions read has no uses of its own, and keeps its buffer as long as the function runs.
        if self.values.uses(v) > 0 || self.values.is_captured(v) {
            self.buffers.share(v, with);
        }
        self.bind(v, Place::Memory(address));
    }
    /// Makes a value visible to nested functions that capture it, and to what comes after a call of the function by
    /// itself.
    fn publish(&mut self, v: Value) {
        let place = self.values.place(v).expect("it was bound").clone();
        if let (Some(slot), Place::Register(x)) = (self.slot(v), &place) {
            return self.asm.store(self.ty(v).dtype, *x, slot);
        }
        if !self.values.is_captured(v) {
            return self.keep_for_parts(v, &place);
        }
        let field = self.field(Entity::Value(v));
        match place {
            Place::Register(x) => self.asm.store(self.ty(v).dtype, x, field),
            Place::Memory(address) => drop(self.asm.store_raw(address.into(), field)),
            Place::Deferred(expr) => self.force(v, &expr),
        }
    }

    /// Binds an array to an operator that is computed when it is needed.
    pub fn defer(&mut self, v: Value, expr: &Expr) {
        for x in expr.operands() {
            // An operand that is smaller, or moved, would be computed once for each element that reads it.
            let Some(inner) = self.values.deferred(x).cloned() else { continue };
            let fuses = computes(expr) && self.ty(x).shape == self.ty(v).shape;
            if matches!(expr, Expr::Pad { .. }) || (computes(&inner) && !fuses) {
                self.force(x, &inner);
            }
        }
        if self.values.uses(v) == 0 && !self.values.is_captured(v) {
            return self.release_operands(expr);
        }
        self.bind(v, Place::Deferred(expr.clone()));
    }

    /// Computes all that is deferred.
    pub fn force_all(&mut self) {
        while let Some(&v) = self.values.pending().first() {
            self.address(v);
        }
    }

    /// Computes a deferred array: a movement by itself, what is elementwise together with all of its shape.
    pub fn force(&mut self, v: Value, expr: &Expr) {
        let shape = &self.ty(v).shape;
        if computes(expr) {
            return self.fuse(shape, Some(v), &[], |_, _, _| ());
        }
        let mut nest = Nest::new(shape);
        let index = identity(shape.len());
        let node = self.node(&mut nest, v, &index, &mut HashMap::new());
        let to = self.new_buffer(v);
        nest.roots.push(Root::Store {
            to,
            at: Affine::position(&index, shape, shape.len()),
            node,
            mask: None,
        });
        transpose::emit_movement(self.asm, self.lower.math, nest);
        self.release_operands(expr);
    }

    /// One loop for all deferred elementwise operators of a shape, of which one has to be stored, if it is `needed`,
    /// and for whatever `more` adds to it. That reads some values, which are `consumed`: they need not be stored if it
    /// is their last reader.
    pub fn fuse(
        &mut self,
        shape: &[usize],
        needed: Option<Value>,
        consumed: &[Value],
        more: impl FnOnce(&mut Self, &mut Nest<'c>, &mut Nodes),
    ) {
        let mut members = self.values.elementwise_of(shape);
        let mut inside: HashMap<Value, usize> = HashMap::new();
        for x in members.iter().flat_map(|(_, expr)| expr.operands()).chain(consumed.iter().copied()) {
            *inside.entry(x).or_default() += 1;
        }
        let index = identity(shape.len());
        let mut nest = Nest::new(shape);
        let mut nodes = Nodes::new();
        let (mut stored, mut kept) = (Vec::new(), HashSet::new());
        for &(v, _) in &members {
            let elsewhere = self.values.uses(v) > inside.get(&v).copied().unwrap_or(0);
            let is_stored = self.values.is_captured(v) || needed == Some(v);
            if is_stored || elsewhere && !self.values.is_cheap(v, &stored) {
                let node = self.node(&mut nest, v, &index, &mut nodes);
                stored.push((v, node));
            } else if elsewhere {
                self.values.keep_deferred(v, &stored, &mut kept);
            }
        }
        more(self, &mut nest, &mut nodes);
        members.retain(|(v, _)| !kept.contains(v));
        for &(v, _) in &members {
            self.values.remove_deferred(v);
        }
        let at = Affine::position(&index, shape, shape.len());
        for &(v, node) in &stored {
            let to = self.new_buffer(v);
            nest.roots.push(Root::Store { to, at: at.clone(), node, mask: None });
        }
        if !nest.roots.is_empty() {
            emit::emit(self.asm, self.lower.math, nest);
        }
        for (_, expr) in &members {
            self.release_operands(expr);
        }
    }
}
