//! The function that is the program: its inputs and outputs are where the caller says.
//!
//! Outputs are written only when nothing can go wrong any more. What is elementwise and was not needed earlier is then
//! written straight to where it belongs, parameters of a model over themselves, say; the rest is copied.

use std::collections::{HashMap, HashSet};

use inkwell::values::PointerValue;

use crate::ir::ids::Value;
use crate::lower::abi::offset;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::state::values::Place;

impl<'c> Body<'_, '_, 'c> {
    /// Emits the entry.
    pub fn entry(&mut self) {
        let (asm, program) = (self.asm, self.lower.program);
        let data = &program.funcs[self.func];
        let params = data.params.iter().copied().enumerate();
        let (scalars, arrays): (Vec<_>, Vec<_>) = params.partition(|&(_, v)| is_scalar(program.ty(v)));
        for (i, param) in arrays {
            let address = self.given_address(offset::INPUTS, i);
            self.bind(param, Place::Memory(address));
        }
        self.in_parts(&scalars, |body, &(i, param)| {
            let address = body.given_address(offset::INPUTS, i);
            let x = asm.load(program.ty(param).dtype, 1, address);
            body.bind(param, Place::Register(x));
        });
        self.stmts(data.body);
        let results = &program.blocks[data.body].results;
        // What stays as it was is where it belongs.
        let stays = |i: usize, v: Value| {
            self.lower
                .updates
                .iter()
                .any(|&(output, input)| output == i && data.params.get(input) == Some(&v))
        };
        let outputs = results.iter().copied().enumerate().filter(|&(i, v)| !stays(i, v));
        let (scalars, arrays): (Vec<_>, Vec<_>) = outputs.partition(|&(_, v)| is_scalar(program.ty(v)));
        let to: HashMap<usize, PointerValue<'c>> =
            arrays.iter().map(|&(i, _)| (i, self.given_address(offset::OUTPUTS, i))).collect();
        // From here on inputs may be written over.
        self.values.stop_recomputing();
        let mut in_place = HashSet::new();
        for &(i, result) in &arrays {
            if self.may_be_written_over(i, result) && self.wanted_address(result).is_none() {
                self.want(result, to[&i]);
                in_place.insert(i);
            }
        }
        let mut writes = Vec::new();
        for (i, result) in arrays {
            let ty = program.ty(result);
            let mut address = self.address(result);
            if in_place.contains(&i) {
                continue;
            }
            // An output may be where an input is: whatever is not in a buffer of our own is saved first.
            if !self.buffers.hold(result) {
                let at = self.buffers.keep(bytes(ty));
                let saved = self.in_buffers(at);
                asm.copy(saved, address, bytes(ty));
                address = saved;
            }
            writes.push((to[&i], address, bytes(ty)));
        }
        for (to, from, bytes) in writes {
            asm.copy(to, from, bytes);
        }
        self.in_parts(&scalars, |body, &(i, result)| {
            let x = body.register(result);
            asm.store(program.ty(result).dtype, x, body.given_address(offset::OUTPUTS, i));
        });
        asm.ret(None);
    }

    /// The address of an input or output that the caller gives, from the list at a place of the context.
    fn given_address(&self, list: i64, i: usize) -> PointerValue<'c> {
        let addresses = self.asm.load_ptr(self.asm.bytes(self.registers.context(), list));
        self.asm.load_ptr(self.asm.bytes(addresses, 8 * i as i64))
    }

    /// Whether an output that is yet to be computed can be written where it belongs: every other reader of what is
    /// there reads an element in the same round of the same loop, before it is written.
    fn may_be_written_over(&self, output: usize, result: Value) -> bool {
        if self.values.elementwise(result).is_none() {
            return false;
        }
        let Some(&(_, input)) = self.lower.updates.iter().find(|(updated, _)| *updated == output) else {
            return true;
        };
        let input = self.lower.program.funcs[self.func].params[input];
        let shape = &self.ty(input).shape;
        let address = |place: Option<&Place<'c>>| match place {
            Some(&Place::Memory(address)) => Some(address),
            _ => None,
        };
        let written = address(self.values.place(input));
        let is_alias = |v: Value, place: &Place<'c>| {
            v != input && self.values.uses(v) > 0 && address(Some(place)) == written
        };
        let together = self.values.elementwise_of(shape);
        let readers = together.iter().flat_map(|(_, expr)| expr.operands()).filter(|&x| x == input).count();
        readers == self.values.uses(input)
            && !self.values.places().any(|(v, place)| is_alias(v, place))
            && !self.keeps_arrays()
    }
}
