//! The function that is the program: its inputs and outputs are where the caller says.
//!
//! Outputs are written only when nothing can go wrong any more. What is elementwise and was not needed earlier is then
//! written straight to where it belongs, parameters of a model over themselves, say; the rest is copied.

use std::collections::HashSet;

use inkwell::values::PointerValue;

use crate::ir::ids::Value;
use crate::lower::abi::offset;
use crate::lower::asm::Reg;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::state::values::Place;

impl<'c> Body<'_, '_, 'c> {
    /// Emits the entry.
    pub fn entry(&mut self) {
        let (asm, program) = (self.asm, self.lower.program);
        let data = &program.funcs[self.func];
        let inputs = asm.load_ptr(asm.bytes(self.registers.context(), offset::INPUTS));
        for (i, &param) in data.params.iter().enumerate() {
            let address = asm.load_ptr(asm.bytes(inputs, 8 * i as i64));
            let ty = program.ty(param);
            let param_value = if is_scalar(ty) { asm.load(ty.dtype, 1, address) } else { Reg::from(address) };
            self.bind_param(param, param_value);
        }
        self.stmts(data.body);
        let results = &program.blocks[data.body].results;
        let outputs = asm.load_ptr(asm.bytes(self.registers.context(), offset::OUTPUTS));
        let to: Vec<PointerValue<'c>> =
            (0..results.len()).map(|i| asm.load_ptr(asm.bytes(outputs, 8 * i as i64))).collect();
        // From here on inputs may be written over.
        self.values.stop_recomputing();
        let mut in_place = HashSet::new();
        for (i, &result) in results.iter().enumerate() {
            if self.may_be_written_over(i, result) && self.registers.wanted(result).is_none() {
                self.registers.set_wanted(result, to[i]);
                in_place.insert(i);
            }
        }
        let mut writes = Vec::new();
        for (i, &result) in results.iter().enumerate() {
            let ty = program.ty(result);
            if is_scalar(ty) {
                writes.push((i, self.register(result), ty));
                continue;
            }
            let mut address = self.address(result);
            if in_place.contains(&i) {
                continue;
            }
            // An output may be where an input is: whatever is not in a buffer of our own is saved first.
            if !self.buffers.hold(result) {
                let at = self.buffers.keep(bytes(ty));
                let saved = self.in_frame(at);
                asm.copy(saved, address, bytes(ty));
                address = saved;
            }
            writes.push((i, address.into(), ty));
        }
        for (i, x, ty) in writes {
            match x {
                Reg::PointerValue(from) => asm.copy(to[i], from, bytes(ty)),
                x => asm.store(ty.dtype, x, to[i]),
            }
        }
        asm.ret(None);
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
