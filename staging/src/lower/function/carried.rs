//! What a loop hands on from round to round. Of an array that a round computes there are two buffers: the next one is
//! computed into that in which the last one is not, or copied there. What the round was given, or what comes from
//! outside of the function, is handed on where it is. So a loop takes the same room for any number of rounds.

use inkwell::IntPredicate;
use inkwell::values::PointerValue;

use crate::analysis::captures::Entity;
use crate::ir::Stmt;
use crate::ir::ids::{Block, Value};
use crate::ir::types::Dtype;
use crate::lower::asm::Reg;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::recursion::address;
use crate::lower::function::state::values::Place;

/// Where a parameter is kept between rounds.
pub enum Carried<'c> {
    Scalar(PointerValue<'c>),
    /// Where the array's address is kept.
    Array(PointerValue<'c>, Option<Buffers<'c>>),
}

/// Two buffers of an array, in one of which it is not.
pub struct Buffers<'c> {
    /// Where the address of that one is kept.
    free: PointerValue<'c>,
    both: [PointerValue<'c>; 2],
}

/// Whose memory it is in which an argument is that a round hands on.
enum Origin {
    /// That of this parameter.
    Param(usize),
    /// Nobody's who is active in this round only.
    Outside,
    /// The round's: that of this value.
    Own(Value),
}

impl<'p, 'c> Body<'_, 'p, 'c> {
    /// Room for the parameters of the function, whose arguments are given.
    pub fn carried(&mut self, given: &[Reg<'c>]) -> Vec<Carried<'c>> {
        let (asm, lower) = (self.asm, self.lower);
        let params = &lower.program.funcs[self.func].params;
        let mut changes = vec![false; params.len()];
        for &site in lower.analysis.funcs[self.func].sites.keys() {
            for (i, &v) in self.handed_on(site).iter().enumerate() {
                changes[i] |= match self.origin(v) {
                    Origin::Param(param) => param != i,
                    Origin::Outside => false,
                    Origin::Own(_) => true,
                };
            }
        }
        let mut carried = Vec::new();
        for ((&v, &x), changes) in params.iter().zip(given).zip(changes) {
            let ty = self.ty(v);
            if is_scalar(ty) {
                let slot = self.scalar_slot(ty.dtype);
                asm.store(ty.dtype, x, slot);
                carried.push(Carried::Scalar(slot));
                continue;
            }
            let [slot, free] = [(); 2].map(|()| asm.alloca(asm.ptr_ty().into()));
            asm.store_raw(x, slot);
            let buffers = changes.then(|| {
                let both = [(); 2].map(|()| self.buffers.keep(bytes(ty))).map(|at| self.in_buffers(at));
                asm.store_raw(both[0].into(), free);
                Buffers { free, both }
            });
            carried.push(Carried::Array(slot, buffers));
        }
        carried
    }

    /// Where a parameter is in this round.
    pub fn place_of_carried(&self, dtype: Dtype, carried: &Carried<'c>) -> Place<'c> {
        match *carried {
            Carried::Scalar(slot) => Place::Register(self.asm.load(dtype, 1, slot)),
            Carried::Array(slot, _) => Place::Memory(self.asm.load_ptr(slot)),
        }
    }

    /// Says of the arrays that the block computes and hands on to the next round where they are to be written.
    pub fn want_handed_on(&mut self, block: Block) {
        let Some(rounds) = self.rounds.take() else { return };
        let stmts = &self.lower.program.blocks[block].stmts;
        let site = (block, stmts.len().wrapping_sub(1));
        if self.lower.analysis.funcs[self.func].sites.contains_key(&site) {
            for (&v, carried) in self.handed_on(site).iter().zip(&rounds.params) {
                let Carried::Array(_, Some(buffers)) = carried else { continue };
                let Origin::Own(v) = self.origin(v) else { continue };
                let is_computed_here = stmts.iter().any(|stmt| stmt.results().contains(&v));
                if is_computed_here && !self.values.is_captured(v) {
                    self.want(v, self.asm.load_ptr(buffers.free));
                }
            }
        }
        self.rounds = Some(rounds);
    }

    /// Hands arguments, which are given, on to the next round.
    pub fn hand_on(&mut self, params: &[Carried<'c>], args: &[Value], given: &[Reg<'c>]) {
        let asm = self.asm;
        // All arrays are in their places before any is where another was.
        let mut next = Vec::new();
        for (i, ((&v, carried), &x)) in args.iter().zip(params).zip(given).enumerate() {
            match carried {
                Carried::Scalar(slot) => asm.store(self.ty(v).dtype, x, *slot),
                Carried::Array(slot, buffers) => match (self.origin(v), buffers) {
                    (Origin::Param(param), _) if param == i => {}
                    (Origin::Param(_) | Origin::Own(_), Some(buffers)) if !self.is_constant(v) => {
                        let from = x.into_pointer_value();
                        let to = self.put(v, from, buffers);
                        next.push((*slot, to));
                    }
                    _ => next.push((*slot, x.into_pointer_value())),
                },
            }
        }
        for (slot, address) in next {
            asm.store_raw(address.into(), slot);
        }
    }

    /// The address of the array in the buffer that was free, to which it is copied unless it was computed there.
    fn put(&mut self, v: Value, from: PointerValue<'c>, buffers: &Buffers<'c>) -> PointerValue<'c> {
        let asm = self.asm;
        let to = asm.load_ptr(buffers.free);
        let of = |p: PointerValue<'c>| address(asm, p);
        let (copy, there) = (asm.block("copy"), asm.block("there"));
        asm.branch(asm.icmp(IntPredicate::EQ, of(from), of(to)), there, copy);
        asm.go_to(copy);
        asm.copy(to, from, bytes(self.ty(v)));
        asm.jump(there);
        asm.go_to(there);
        let [a, b] = buffers.both;
        let other = asm.select(asm.icmp(IntPredicate::EQ, of(to), of(a)), b.into(), a.into());
        asm.store_raw(other, buffers.free);
        to
    }

    fn is_constant(&self, v: Value) -> bool {
        self.values.place(v).is_some_and(Place::is_constant)
    }

    /// What the function hands on to itself at a place.
    fn handed_on(&self, (block, i): (Block, usize)) -> &'p [Value] {
        match &self.lower.program.blocks[block].stmts[i] {
            Stmt::Call { args, .. } => args,
            _ => unreachable!("the function calls itself there"),
        }
    }

    /// Whose memory an array is in.
    fn origin(&self, v: Value) -> Origin {
        let v = self.values.root(v);
        let params = &self.lower.program.funcs[self.func].params;
        if self.lower.analysis.owner[Entity::Value(v)] != self.func {
            return Origin::Outside;
        }
        params.iter().position(|&param| param == v).map_or(Origin::Own(v), Origin::Param)
    }
}
