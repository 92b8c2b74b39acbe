//! Long straight code in parts.
//!
//! LLVM takes a time that grows faster than a function, and than a basic block most of all. So a function of the
//! program that becomes very much code is cut: runs of its statements become functions of the module, *parts*, which
//! are called where the statements were. A part gets the context, the frame and the start of the buffers of the
//! function, and gives nothing back: a value that statements outside of the part in which it is computed read is kept
//! in a [word](Words) of memory, among the function's buffers, for as long as anything is to read it. Parts have no
//! parts.

use std::collections::HashMap;

use inkwell::module::Linkage;
use inkwell::values::PointerValue;

use crate::ir::ids::{Block, Cell, Cont, Value};
use crate::ir::{Program, Stmt};
use crate::lower::asm::Reg;
use crate::lower::asm::{FAST, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::recursion::Rounds;
use crate::lower::function::state::facts::Facts;
use crate::lower::function::state::registers::{CellPlace, Closure, Registers};
use crate::lower::function::state::values::Place;
use crate::lower::function::state::words::Words;
use crate::lower::function::weights::for_each;

/// Items of a part that is the same for each.
const ITEMS: usize = if cfg!(test) { 2 } else { 64 };

/// What the function has in registers while a part of it is emitted, which cannot read them.
pub struct Outside<'c> {
    registers: Registers<'c>,
    places: HashMap<Value, Place<'c>>,
    facts: Facts<'c>,
    rounds: Option<Rounds<'c>>,
}

impl<'l, 'c> Body<'l, '_, 'c> {
    /// Prepares a function to be cut, if it is too large.
    pub fn begin_words(&mut self) {
        let (lower, func) = (self.lower, self.func);
        if lower.weights.is_cut(lower, func) {
            let body = &lower.program.blocks[lower.program.funcs[func].body];
            self.words = Some(Words::new(touches(lower.program, &body.stmts)));
        }
    }

    /// Emits the statements of a block.
    pub fn stmts(&mut self, block: Block) {
        let stmts = &self.lower.program.blocks[block].stmts;
        if self.words.is_none() || self.outside.is_some() {
            return stmts.iter().for_each(|stmt| self.stmt(stmt));
        }
        for (run, is_part) in self.lower.weights.runs(self.lower, self.func, stmts) {
            let stmts = &stmts[run];
            if is_part {
                self.part(|body| {
                    body.own_cells_of(stmts);
                    stmts.iter().for_each(|stmt| body.stmt(stmt));
                });
            } else {
                stmts.iter().for_each(|stmt| self.stmt(stmt));
            }
        }
    }

    /// Emits what `f` does with some items, of which there may be very many: in parts, if the function is cut.
    pub fn in_parts<T>(&mut self, items: &[T], mut f: impl FnMut(&mut Self, &T)) {
        if self.words.is_none() {
            return items.iter().for_each(|item| f(self, item));
        }
        for chunk in items.chunks(ITEMS) {
            self.part(|body| chunk.iter().for_each(|item| f(body, item)));
        }
    }

    /// Emits a part, and the call of it.
    fn part(&mut self, emit: impl FnOnce(&mut Self)) {
        let (asm, here) = (self.asm, self.asm.here());
        let ptr = asm.ptr_ty();
        let ty = asm.context.void_type().fn_type(&[ptr.into(); 3], false);
        let function = asm.module.add_function("part", ty, Some(Linkage::Private));
        function.set_call_conventions(FAST);
        asm.attributes(function);
        asm.go_to(asm.context.append_basic_block(function, "entry"));
        let own = self.registers.frame(self.func);
        let frame = own.or(self.around()).unwrap_or(ptr.const_null());
        let args = [self.registers.context(), frame, self.registers.base()].map(Reg::from);
        let given: Vec<_> = function.get_param_iter().map(Reg::into_pointer_value).collect();
        let elsewhere = self.facts.elsewhere();
        self.outside = Some(Outside {
            registers: std::mem::replace(&mut self.registers, Registers::new(given[0], given[2])),
            places: self.values.leave(),
            facts: std::mem::replace(&mut self.facts, elsewhere),
            rounds: self.rounds.take(),
        });
        let has_parent = self.lower.analysis.funcs[self.func].parent.is_some();
        let around = match own {
            Some(_) => {
                self.registers.set_frame(self.func, given[1]);
                has_parent.then(|| asm.load_ptr(given[1]))
            }
            None => has_parent.then_some(given[1]),
        };
        self.link_around(around);
        emit(self);
        let outside = self.outside.take().expect("it was set above");
        for (v, place) in self.values.return_to(outside.places) {
            self.keep_in_word(v, &place);
        }
        self.registers = outside.registers;
        self.rounds = outside.rounds;
        let inside = std::mem::replace(&mut self.facts, outside.facts);
        self.facts.after(inside);
        asm.ret(None);
        asm.go_to(here);
        asm.call(function, &args);
    }

    /// Keeps a value where parts find it, if the function is cut and anything is yet to read it.
    fn keep_in_word(&mut self, v: Value, place: &Place<'c>) {
        let Some(words) = &mut self.words else { return };
        let found = place.is_constant() || self.values.is_captured(v);
        if found || self.values.uses(v) == 0 || words.slot(v).is_some() {
            return;
        }
        let (x, dtype) = match *place {
            Place::Register(x) => (x, Some(self.values.ty(v).dtype)),
            Place::Memory(address) => (address.into(), None),
            // It is kept when it is computed.
            Place::Deferred(_) => return,
        };
        let at = words.add_value(v, &mut self.buffers);
        let to = self.in_buffers(at);
        match dtype {
            Some(dtype) => self.asm.store(dtype, x, to),
            None => drop(self.asm.store_raw(x, to)),
        }
    }

    /// The same for what is bound outside of parts; what is bound in a part is kept at its end.
    pub fn keep_for_parts(&mut self, v: Value, place: &Place<'c>) {
        if self.outside.is_none() {
            self.keep_in_word(v, place);
        }
    }

    /// The word of a value that was computed in another part, or outside of this one.
    pub fn word_of_value(&self, v: Value) -> Option<PointerValue<'c>> {
        Some(self.in_buffers(self.words.as_ref()?.value(v)?))
    }

    /// Whether an array that is yet to be read was computed in a part, so that its address is known only when the
    /// program runs.
    pub fn keeps_arrays(&self) -> bool {
        let is_array = |v: Value| self.values.uses(v) > 0 && !is_scalar(self.ty(v));
        let values = self.words.iter().flat_map(Words::values);
        values.into_iter().any(|v| is_array(v) && self.values.place(v).is_none())
    }

    /// Memory for a cell of the function that nobody captures, if the function is cut. Where an array is accumulated is
    /// given.
    pub fn add_cell_to_words(&mut self, cell: Cell, data: Option<u64>) -> Option<CellPlace<'c>> {
        self.words.as_mut()?.add_cell(cell, data, &mut self.buffers);
        self.cell_in_words(cell)
    }

    /// The cell, if it is there.
    pub fn cell_in_words(&self, cell: Cell) -> Option<CellPlace<'c>> {
        let [data, present] = self.words.as_ref()?.cell(cell)?.map(|at| self.in_buffers(at));
        Some(CellPlace { data, present })
    }

    /// Cells which nothing but a part touches are its own.
    fn own_cells_of(&mut self, stmts: &[Stmt]) {
        let program = self.lower.program;
        let here = touches(program, stmts);
        let mut defined = Vec::new();
        for_each(program, stmts, &mut |stmt| {
            if let Stmt::Cell(cell) = stmt {
                defined.push(*cell);
            }
        });
        for cell in defined {
            let (Some(words), Some(in_words)) = (&self.words, self.cell_in_words(cell)) else { continue };
            if here.get(&cell).copied().unwrap_or(0) != words.touches(cell) {
                continue;
            }
            let ty = &program.cells[cell].ty;
            let data = match is_scalar(ty) {
                true => self.asm.alloca(self.asm.memory_ty(ty.dtype, 1)),
                false => in_words.data,
            };
            let present = self.asm.alloca(self.asm.context.i8_type().into());
            self.registers.set_cell(cell, CellPlace { data, present });
        }
    }

    /// Keeps a continuation that nobody captures, if the function is cut.
    pub fn keep_continuation(&mut self, cont: Cont, (code, frame): Closure<'c>) {
        let Some(words) = &mut self.words else { return };
        let places = words.add_continuation(cont, &mut self.buffers);
        for (x, at) in [code, frame].into_iter().zip(places) {
            self.asm.store_raw(x.into(), self.in_buffers(at));
        }
    }

    /// The continuation, if it is there.
    pub fn continuation_in_words(&self, cont: Cont) -> Option<Closure<'c>> {
        let places = self.words.as_ref()?.continuation(cont)?;
        let [code, frame] = places.map(|at| self.asm.load_ptr(self.in_buffers(at)));
        Some((code, frame))
    }

    /// Says where an array is to be written, unless that is said already.
    pub fn want(&mut self, v: Value, to: PointerValue<'c>) {
        if self.wanted_address(v).is_some() {
            return;
        }
        self.registers.set_wanted(v, to);
        if self.outside.is_none()
            && let Some(words) = &mut self.words
        {
            let at = words.add_wanted(v, &mut self.buffers);
            self.asm.store_raw(to.into(), self.in_buffers(at));
        }
    }

    /// Where an array is to be written, if that is said.
    pub fn wanted_address(&self, v: Value) -> Option<PointerValue<'c>> {
        self.registers.wanted(v).or_else(|| {
            let at = self.words.as_ref()?.wanted(v)?;
            Some(self.asm.load_ptr(self.in_buffers(at)))
        })
    }

    /// Memory for a number that outlives a call of the function by itself, if the function is cut.
    pub fn add_slot_to_words(&mut self, v: Value) -> Option<PointerValue<'c>> {
        let at = self.words.as_mut()?.add_slot(v, &mut self.buffers);
        Some(self.in_buffers(at))
    }

    /// The word that is its memory, if one is.
    pub fn word_of_slot(&self, v: Value) -> Option<u64> {
        self.words.as_ref()?.slot(v)
    }

    /// Where a value is kept that outlives a call of the function by itself.
    pub fn slot(&self, v: Value) -> Option<PointerValue<'c>> {
        // What is captured is in a field of the frame, where a part finds it as any other.
        self.registers.slot(v).or_else(|| self.word_of_slot(v).map(|at| self.in_buffers(at)))
    }
}

/// How many of some statements, and of those inside of their arms, touch each cell.
fn touches(program: &Program, stmts: &[Stmt]) -> HashMap<Cell, usize> {
    let mut touches = HashMap::new();
    for_each(program, stmts, &mut |stmt| {
        if let Some(cell) = stmt.touched() {
            *touches.entry(cell).or_insert(0) += 1;
        }
    });
    touches
}

#[cfg(test)]
mod tests {
    use crate::fuzz::{Case, choices, generate};
    use crate::interpret::interpret;
    use crate::jit::{CompileOptions, compile, llvm_ir};
    use crate::optimise::OptimiseOptions;

    #[test]
    fn random_programs_give_the_same_numbers_in_parts_and_always_the_same_code() {
        let mut parts = 0;
        for seed in 0..100 {
            let Case { program, inputs } = generate(&choices(seed, 400)).expect("a well-formed program");
            let expected = interpret(&program, &inputs).unwrap();
            for optimise in [None, Some(OptimiseOptions::default())] {
                let options = CompileOptions { optimise, strict: true, ..CompileOptions::default() };
                let code = llvm_ir(&program, &options).unwrap();
                let again = llvm_ir(&program, &options).unwrap();
                assert!(code == again, "seed {seed}: other code the second time");
                parts += code.matches("define private fastcc void @part").count();
                let mut compiled = compile(&program, &options).unwrap();
                // The second run finds in memory what the first one left.
                for _ in 0..2 {
                    let found = compiled.run(&inputs).unwrap();
                    let same = expected.iter().zip(&found).all(|(expected, found)| expected.same(found));
                    assert!(same, "{expected:?} became {found:?} of\n{program}");
                }
            }
        }
        assert!(parts > 1000, "{parts}");
    }
}
