//! Where values are. An elementwise operator or a movement of elements is not computed where it is defined, but where
//! it is first needed: in the loop of the operator that reads it, or in one loop with all others of its shape.

use std::collections::{HashMap, HashSet};

use inkwell::values::PointerValue;

use crate::analysis::captures::Entity;
use crate::ir::expr::{Binary, Class, Expr, Unary};
use crate::ir::ids::Value;
use crate::ir::types::Type;
use crate::lower::asm::Reg;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::nodes::Known;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, NodeId, Root, identity};
use crate::lower::loops::transpose;

/// Where a value is.
#[derive(Clone)]
pub enum Place<'c> {
    /// A scalar, in a register.
    Register(Reg<'c>),
    /// An array, in row-major order.
    Memory(PointerValue<'c>),
    /// Not computed yet.
    Deferred(Expr),
}

/// Whether an operator only says where elements come from.
pub fn moves(expr: &Expr) -> bool {
    expr.class() == Class::Movement
}

/// Whether an operator computes every element from elements.
pub fn computes(expr: &Expr) -> bool {
    expr.class() == Class::Elementwise
}

/// Whether an operator takes an instruction or two.
fn is_light(expr: &Expr) -> bool {
    match expr {
        Expr::Fill { .. } | Expr::Clamp { .. } => true,
        Expr::Unary(op, _) => matches!(op, Unary::Neg | Unary::Abs | Unary::Relu),
        Expr::Binary(op, ..) => matches!(op, Binary::Add | Binary::Sub | Binary::Mul),
        _ => false,
    }
}

impl<'c> Body<'_, '_, 'c> {
    pub fn ty(&self, v: Value) -> &Type {
        self.lower.program.ty(v)
    }

    pub fn place(&mut self, v: Value) -> Place<'c> {
        if let Some(slot) = self.slot(v) {
            return Place::Register(self.asm.load(self.ty(v).dtype, 1, slot));
        }
        if let Some(place) = self.places.get(&v) {
            return place.clone();
        }
        if let Some(place) = self.kept_place(v) {
            return place;
        }
        // Captured. Not kept: this may be one arm of a branch only.
        let field = self.field(Entity::Value(v));
        let ty = self.ty(v);
        if is_scalar(ty) {
            Place::Register(self.asm.load(ty.dtype, 1, field))
        } else {
            Place::Memory(self.asm.load_ptr(field))
        }
    }

    /// A scalar.
    pub fn register(&mut self, v: Value) -> Reg<'c> {
        match self.place(v) {
            Place::Register(x) => x,
            _ => unreachable!("scalars are in registers"),
        }
    }

    /// The address of an array, which is computed now if it was not yet.
    pub fn address(&mut self, v: Value) -> PointerValue<'c> {
        match self.place(v) {
            Place::Memory(address) => address,
            Place::Register(_) => unreachable!("scalars are in registers"),
            Place::Deferred(expr) => {
                self.force(v, &expr);
                self.address(v)
            }
        }
    }

    pub fn uses(&self, v: Value) -> usize {
        self.uses.get(&v).copied().unwrap_or(0)
    }
    fn is_captured(&self, v: Value) -> bool {
        self.lower.analysis.is_captured(Entity::Value(v))
    }
    fn is_own(&self, v: Value) -> bool {
        self.lower.analysis.owner[Entity::Value(v)] == self.func
    }

    /// A reader of the value has been emitted.
    pub fn release(&mut self, v: Value) {
        if !self.is_own(v) {
            return;
        }
        let uses = self.uses.get_mut(&v).expect("what is read was counted");
        *uses -= 1;
        if *uses > 0 || self.is_captured(v) {
            return;
        }
        self.leave_word(v);
        if let Some(Place::Deferred(expr)) = self.places.get(&v).cloned() {
            self.places.remove(&v);
            self.pending.retain(|&w| w != v);
            expr.operands().into_iter().for_each(|x| self.release(x));
        }
        self.leave(v);
    }
    fn leave(&mut self, v: Value) {
        let Some(buffer) = self.buffers.get(&v) else { return };
        let tenants = self.tenants.get_mut(buffer).expect("it is in it");
        *tenants -= 1;
        if *tenants == 0 {
            self.plan.free(*buffer);
        }
    }

    /// Memory for an array that is about to be computed.
    pub fn new_buffer(&mut self, v: Value) -> PointerValue<'c> {
        let address = match self.wanted_address(v) {
            Some(address) => address,
            None => {
                let at = self.part_place(v).unwrap_or_else(|| self.own_place(v));
                self.asm.bytes(self.base, at as i64)
            }
        };
        self.bind(v, Place::Memory(address));
        address
    }
    /// The place of a new buffer for an array.
    pub fn own_place(&mut self, v: Value) -> u64 {
        let (buffer, at) = self.plan.place(bytes(self.ty(v)));
        self.buffers.insert(v, buffer);
        self.tenants.insert(buffer, 1);
        at
    }
    /// Memory that is free again as soon as the statement has been emitted, if `plan` is told so then.
    pub fn temporary(&mut self, bytes: u64) -> (crate::lower::function::memory::Buffer, PointerValue<'c>) {
        let (buffer, at) = self.plan.place(bytes);
        (buffer, self.asm.bytes(self.base, at as i64))
    }

    pub fn bind(&mut self, v: Value, place: Place<'c>) {
        self.places.insert(v, place);
        self.publish(v);
    }
    /// Binds a value to the memory of another, if that is known to be the same elements.
    pub fn share(&mut self, v: Value, with: Value) {
        let address = self.address(with);
        // What only nested functions read has no uses of its own, and keeps its buffer as long as the function runs.
        if let Some(&buffer) = self.buffers.get(&with)
            && (self.uses(v) > 0 || self.is_captured(v))
        {
            self.buffers.insert(v, buffer);
            *self.tenants.get_mut(&buffer).expect("it is in it") += 1;
        }
        self.places.insert(v, Place::Memory(address));
        self.publish(v);
    }
    /// Makes a value visible to nested functions that capture it, and to what comes after a call of the function by
    /// itself.
    pub fn publish(&mut self, v: Value) {
        if let (Some(slot), Some(Place::Register(x))) = (self.slot(v), self.places.get(&v)) {
            return self.asm.store(self.ty(v).dtype, *x, slot);
        }
        if !self.is_captured(v) {
            return self.keep_for_parts(v);
        }
        let field = self.field(Entity::Value(v));
        match self.places[&v].clone() {
            Place::Register(x) => self.asm.store(self.ty(v).dtype, x, field),
            Place::Memory(address) => drop(self.asm.store_raw(address.into(), field)),
            Place::Deferred(expr) => self.force(v, &expr),
        }
    }

    /// Binds an array to an operator that is computed when it is needed.
    pub fn defer(&mut self, v: Value, expr: &Expr) {
        let compute = computes(expr);
        for x in expr.operands() {
            // An operand that is smaller, or moved, would be computed once for each element that reads it.
            let Some(Place::Deferred(inner)) = self.places.get(&x).cloned() else { continue };
            let fuses = compute && self.ty(x).shape == self.ty(v).shape;
            if matches!(expr, Expr::Pad { .. }) || (computes(&inner) && !fuses) {
                self.force(x, &inner);
            }
        }
        if self.uses(v) == 0 && !self.is_captured(v) {
            expr.operands().into_iter().for_each(|x| self.release(x));
            return;
        }
        self.pending.push(v);
        self.bind(v, Place::Deferred(expr.clone()));
    }

    /// Computes all that is deferred.
    pub fn force_all(&mut self) {
        while let Some(&v) = self.pending.first() {
            self.address(v);
        }
    }

    /// Computes a deferred array: a movement by itself, what is elementwise together with all of its shape.
    pub fn force(&mut self, v: Value, expr: &Expr) {
        if computes(expr) {
            let shape = self.ty(v).shape.clone();
            self.together(&shape, Some(v), |_, _, _| ());
            return;
        }
        let shape = self.ty(v).shape.clone();
        let mut nest = Nest::new(&shape);
        let index = identity(shape.len());
        let node = self.node(&mut nest, v, &index, &mut HashMap::new());
        self.pending.retain(|&w| w != v);
        let to = self.new_buffer(v);
        nest.roots.push(Root::Store {
            to,
            at: Affine::position(&index, &shape, shape.len()),
            node,
            mask: None,
        });
        transpose::emit_movement(self.asm, self.lower.math, nest);
        expr.operands().into_iter().for_each(|x| self.release(x));
    }

    /// One loop for all deferred elementwise operators of a shape, of which one has to be stored, and for whatever
    /// `more` adds to it.
    pub fn together(
        &mut self,
        shape: &[usize],
        needed: Option<Value>,
        more: impl FnOnce(&mut Self, &mut Nest<'c>, &mut Known),
    ) {
        self.fuse(shape, needed, &[], more);
    }
    /// The same, where `more` is a reader of some values, which need not be stored if it is the last one.
    pub fn together_consuming(
        &mut self,
        shape: &[usize],
        consumed: &[Value],
        more: impl FnOnce(&mut Self, &mut Nest<'c>, &mut Known),
    ) {
        self.fuse(shape, None, consumed, more);
    }

    /// The same for either.
    pub fn fuse(
        &mut self,
        shape: &[usize],
        needed: Option<Value>,
        consumed: &[Value],
        more: impl FnOnce(&mut Self, &mut Nest<'c>, &mut Known),
    ) {
        let mut members = Vec::new();
        for &v in &self.pending {
            if let Some(Place::Deferred(expr)) = self.places.get(&v)
                && computes(expr)
                && self.ty(v).shape[..] == *shape
            {
                members.push((v, expr.clone()));
            }
        }
        let mut inside: HashMap<Value, usize> = HashMap::new();
        for x in members.iter().flat_map(|(_, expr)| expr.operands()).chain(consumed.iter().copied()) {
            *inside.entry(x).or_default() += 1;
        }
        let index = identity(shape.len());
        let mut nest = Nest::new(shape);
        let mut known = Known::new();
        let (mut stored, mut kept) = (Vec::new(), HashSet::new());
        for (v, _) in &members {
            let elsewhere = self.uses(*v) > inside.get(v).copied().unwrap_or(0);
            if self.is_captured(*v) || needed == Some(*v) || elsewhere && !self.is_cheap(*v, &stored) {
                let node = self.node(&mut nest, *v, &index, &mut known);
                stored.push((*v, node));
            } else if elsewhere {
                self.keep(*v, &stored, &mut kept);
            }
        }
        more(self, &mut nest, &mut known);
        members.retain(|(v, _)| !kept.contains(v));
        self.pending.retain(|v| !members.iter().any(|(member, _)| member == v));
        for (v, _) in &members {
            self.places.remove(v);
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
            expr.operands().into_iter().for_each(|x| self.release(x));
        }
    }

    /// Whether a value need not be stored for a reader that reads each element once: it is in memory, or is read by
    /// nobody else, or is cheap.
    pub fn is_read_in_place(&self, v: Value) -> bool {
        match self.places.get(&v) {
            Some(Place::Deferred(expr)) if !self.is_captured(v) => {
                let of_operands = |x: Value| {
                    let deferred = matches!(self.places.get(&x), Some(Place::Deferred(e)) if computes(e));
                    !deferred || self.is_read_in_place(x)
                };
                self.uses(v) == 1 && expr.operands().into_iter().all(of_operands) || self.is_cheap(v, &[])
            }
            _ => true,
        }
    }

    /// Whether computing a value again wherever it is read costs no more than reading it: it takes a few operators, and
    /// one array of its size at most, which is in memory or about to be `stored`.
    pub fn is_cheap(&self, v: Value, stored: &[(Value, NodeId)]) -> bool {
        let (mut operators, mut arrays) = (0, HashSet::new());
        let mut next = vec![v];
        while let Some(x) = next.pop() {
            match self.places.get(&x) {
                Some(Place::Deferred(expr)) if !stored.iter().any(|(y, _)| *y == x) => {
                    operators += 1;
                    if !self.recomputes || operators > 4 || !is_light(expr) {
                        return false;
                    }
                    next.extend(expr.operands());
                }
                _ if self.ty(x).size() < self.ty(v).size() => {}
                _ => drop(arrays.insert(x)),
            }
        }
        arrays.len() <= 1
    }
    /// A value and what it is computed from stay deferred.
    fn keep(&self, v: Value, stored: &[(Value, NodeId)], kept: &mut HashSet<Value>) {
        if let Some(Place::Deferred(expr)) = self.places.get(&v)
            && !stored.iter().any(|(x, _)| *x == v)
            && kept.insert(v)
        {
            expr.operands().into_iter().for_each(|x| self.keep(x, stored, kept));
        }
    }
}
