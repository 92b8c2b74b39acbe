//! A function that calls itself, as two loops and a stack of records.
//!
//! A call pushes what is needed when it returns, and goes back to the head of the function; a return goes to where the
//! topmost record was pushed, or leaves if there is none. So the derivative of a loop is a loop forward that keeps what
//! the loop backward reads, and a call that nothing comes after is a jump. The records lie where the frames of
//! recursive functions do, and end with the same error where these would. Only numbers are in them: where arrays are
//! handed on, nothing comes after any call ([`carried`](super::carried)).

use std::cmp::Reverse;

use inkwell::IntPredicate;
use inkwell::basic_block::BasicBlock;
use inkwell::values::{InstructionOpcode, IntValue, PointerValue};

use crate::analysis::captures::Entity;
use crate::ir::Stmt;
use crate::ir::ids::{Block, Cell, Value};
use crate::ir::types::Dtype;
use crate::lower::abi::{Failure, offset};
use crate::lower::asm::{Asm, Reg, built, element_bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::carried::Carried;
use crate::lower::function::state::words::WORD;

/// The state of a function that runs as a loop.
pub struct Rounds<'c> {
    /// Where the address after the topmost record is kept.
    top: PointerValue<'c>,
    /// Where the first record begins, and where none may end.
    bottom: PointerValue<'c>,
    limit: PointerValue<'c>,
    head: BasicBlock<'c>,
    pub params: Vec<Carried<'c>>,
    /// Where the results are kept that are scalars.
    results: Vec<PointerValue<'c>>,
    /// Where each call that pushed a record goes on, and the record's number.
    returns: Vec<(IntValue<'c>, BasicBlock<'c>)>,
    /// Whether records end with their number, since there are several kinds of them.
    numbered: bool,
    /// Whether other functions are called, which have to know where the records end.
    shared: bool,
}

/// A scalar of a record, or several that are neighbours there and where they are otherwise.
struct Kept<'c> {
    dtype: Dtype,
    count: i64,
    place: PointerValue<'c>,
    at: i64,
    /// The word after them, if they are in words.
    next: Option<u64>,
}

impl Kept<'_> {
    fn bytes(&self) -> i64 {
        self.count * i64::from(element_bytes(self.dtype))
    }
}

/// A number at the end of a record.
const NUMBER: i64 = 8;

impl<'l, 'c> Body<'l, '_, 'c> {
    /// Whether the function runs as a loop.
    pub fn is_loop(&self) -> bool {
        !self.lower.analysis.funcs[self.func].sites.is_empty()
    }

    /// Room for what outlives a call of the function by itself.
    pub fn own_slots(&mut self) {
        let lower = self.lower;
        let live = lower.analysis.funcs[self.func].sites.values().flat_map(|site| &site.live);
        for &entity in live {
            let Entity::Value(v) = entity else { continue };
            if self.registers.slot(v).is_none() {
                let slot = match lower.analysis.is_captured(entity) {
                    true => self.field(entity),
                    false => {
                        let word = self.add_slot_to_words(v);
                        word.unwrap_or_else(|| self.scalar_slot(self.ty(v).dtype))
                    }
                };
                self.registers.set_slot(v, slot);
            }
        }
    }

    pub fn scalar_slot(&self, dtype: Dtype) -> PointerValue<'c> {
        self.asm.alloca(self.asm.memory_ty(dtype, 1))
    }

    /// Emits the function, whose arguments are given, and the addresses of its results that are arrays.
    pub fn rounds(&mut self, given: &[Reg<'c>], to: &[Option<PointerValue<'c>>]) {
        let (asm, program) = (self.asm, self.lower.program);
        let facts = &self.lower.analysis.funcs[self.func];
        let data = &program.funcs[self.func];
        let is_own = |position: &(Block, usize)| facts.sites.contains_key(position);
        let calls =
            |&(block, i): &(Block, usize)| matches!(program.blocks[block].stmts[i], Stmt::Call { .. });
        let top_field = asm.bytes(self.registers.context(), offset::TOP);
        let bottom = asm.load_ptr(top_field);
        let state = Rounds {
            top: asm.alloca(asm.ptr_ty().into()),
            bottom,
            limit: asm.load_ptr(asm.bytes(self.registers.context(), offset::LIMIT)),
            head: asm.block("head"),
            params: self.carried(given),
            results: self.result_types().map(|dtype| self.scalar_slot(dtype)).collect(),
            returns: Vec::new(),
            numbered: facts.sites.values().filter(|site| !site.last).count() > 1,
            shared: facts.order.iter().any(|position| calls(position) && !is_own(position)),
        };
        asm.store_raw(bottom.into(), state.top);
        asm.jump(state.head);
        asm.go_to(state.head);
        for (&v, carried) in data.params.iter().zip(&state.params) {
            let place = self.place_of_carried(self.ty(v).dtype, carried);
            self.bind(v, place);
        }
        self.rounds = Some(state);
        let results = self.block(data.body, to);
        let state = self.rounds.take().expect("it was set above");
        for ((dtype, &slot), x) in self.result_types().zip(&state.results).zip(results) {
            asm.store(dtype, x, slot);
        }
        self.return_to_calls(&state);
        let results = self.returned(&state);
        self.leave_function(&results);
    }

    /// Of the results that are scalars.
    fn result_types(&self) -> impl Iterator<Item = Dtype> + use<'l> {
        let results = &self.lower.program.funcs[self.func].results;
        results.iter().filter(|ty| is_scalar(ty)).map(|ty| ty.dtype)
    }

    /// The scalars that the last round has returned.
    fn returned(&self, state: &Rounds<'c>) -> Vec<Reg<'c>> {
        let slots = self.result_types().zip(&state.results);
        slots.map(|(dtype, &slot)| self.asm.load(dtype, 1, slot)).collect()
    }

    /// Goes on where the topmost record was pushed, or here if there is none.
    fn return_to_calls(&self, state: &Rounds<'c>) {
        let asm = self.asm;
        let Some(&(_, first)) = state.returns.first() else { return };
        let (resume, leave) = (asm.block("resume"), asm.block("leave"));
        let top = asm.load_ptr(state.top);
        let [top_address, bottom] = [top, state.bottom].map(|p| address(asm, p));
        asm.branch(asm.icmp(IntPredicate::EQ, top_address, bottom), leave, resume);
        asm.go_to(resume);
        if state.numbered {
            let number = asm.load(Dtype::I64, 1, asm.bytes(top, -NUMBER)).into_int_value();
            built(asm.builder.build_switch(number, first, &state.returns[1..]));
        } else {
            asm.jump(first);
        }
        asm.go_to(leave);
    }

    /// A call of the function by itself; its results that are scalars.
    pub fn call_itself(&mut self, args: &[Value]) -> Vec<Reg<'c>> {
        let (asm, lower) = (self.asm, self.lower);
        let facts = &lower.analysis.funcs[self.func];
        let site = &facts.sites[&facts.order[self.position]];
        let given: Vec<Reg<'c>> = args.iter().map(|&v| self.passed(v)).collect();
        let after = asm.block("returned");
        let (kept, empty) = self.kept(&site.live);
        let mut state = self.rounds.take().expect("it is emitted as a loop");
        let end = kept.last().map_or(0, |last| last.at + last.bytes());
        // Never nothing: a record is told from none by its length.
        let size = (end + 7) / 8 * 8 + if state.numbered { NUMBER } else { 0 };
        let size = size.max(NUMBER);
        if !site.last {
            let number = asm.int(state.returns.len() as i64);
            state.returns.push((number, after));
            self.push(&state, &kept, number, size);
        }
        self.hand_on(&state.params, args, &given);
        asm.jump(state.head);
        asm.go_to(after);
        if !site.last {
            self.pop(&state, &kept, size);
        }
        for cell in empty {
            let place = self.cell(cell);
            self.store_present(cell, place, false);
        }
        let results = self.returned(&state);
        self.rounds = Some(state);
        results
    }

    /// What a record holds, and the cells that are empty, of which it holds nothing.
    fn kept(&mut self, live: &[Entity]) -> (Vec<Kept<'c>>, Vec<Cell>) {
        let mut scalars: Vec<(Dtype, PointerValue<'c>, Option<u64>)> = Vec::new();
        let mut empty = Vec::new();
        for &entity in live {
            match entity {
                Entity::Value(v) => scalars.push((
                    self.ty(v).dtype,
                    self.slot(v).expect("what lives on has a slot"),
                    self.word_of_slot(v),
                )),
                Entity::Cell(cell) => {
                    if self.facts.is_filled(cell) == Some(false) {
                        empty.push(cell);
                    } else {
                        let place = self.cell(cell);
                        scalars.push((self.lower.program.cells[cell].ty.dtype, place.data, None));
                        scalars.push((Dtype::Bool, place.present, None));
                    }
                }
                Entity::Cont(_) => unreachable!("it takes no continuations"),
            }
        }
        scalars.sort_by_key(|(dtype, ..)| Reverse(element_bytes(*dtype)));
        let mut kept: Vec<Kept<'c>> = Vec::new();
        let mut at = 0;
        for (dtype, place, word) in scalars {
            let bytes = element_bytes(dtype);
            let next = word.map(|word| word + WORD);
            match kept.last_mut() {
                Some(last) if word.is_some() && last.next == word && u64::from(bytes) == WORD => {
                    (last.count, last.next) = (last.count + 1, next);
                }
                _ => kept.push(Kept { dtype, count: 1, place, at, next }),
            }
            at += i64::from(bytes);
        }
        (kept, empty)
    }

    fn push(&mut self, state: &Rounds<'c>, kept: &[Kept<'c>], number: IntValue<'c>, size: i64) {
        let asm = self.asm;
        let from = asm.load_ptr(state.top);
        let top = asm.bytes(from, size);
        let full = asm.icmp(IntPredicate::UGT, address(asm, top), address(asm, state.limit));
        self.fail_if(full, Failure::Arena, 0, asm.int(0).into(), 0);
        for scalars in kept {
            self.copy_kept(scalars, asm.bytes(from, scalars.at), scalars.place);
        }
        if state.numbered {
            asm.store_raw(number.into(), asm.bytes(top, -NUMBER));
        }
        self.set_top(state, top);
    }

    fn pop(&self, state: &Rounds<'c>, kept: &[Kept<'c>], size: i64) {
        let asm = self.asm;
        let from = asm.bytes(asm.load_ptr(state.top), -size);
        for scalars in kept {
            self.copy_kept(scalars, scalars.place, asm.bytes(from, scalars.at));
        }
        self.set_top(state, from);
    }

    fn copy_kept(&self, scalars: &Kept<'c>, to: PointerValue<'c>, from: PointerValue<'c>) {
        if scalars.count > 1 {
            return self.asm.copy(to, from, scalars.bytes() as u64);
        }
        let ty = self.asm.memory_ty(scalars.dtype, 1);
        self.asm.store_raw(self.asm.load_raw(ty, from), to);
    }

    fn set_top(&self, state: &Rounds<'c>, top: PointerValue<'c>) {
        self.asm.store_raw(top.into(), state.top);
        if state.shared {
            self.asm.store_raw(top.into(), self.asm.bytes(self.registers.context(), offset::TOP));
        }
    }
}

/// An address as an integer.
pub fn address<'c>(asm: &Asm<'c>, p: PointerValue<'c>) -> Reg<'c> {
    asm.cast(InstructionOpcode::PtrToInt, p.into(), asm.scalar_ty(Dtype::I64))
}
