//! The code of one function.
//!
//! | module | |
//! |---|---|
//! | [`state`] | what is known while a function is emitted, in owners that know nothing of it |
//! | [`module`] | what the functions of a program have in common |
//! | [`weights`] | about how many instructions statements become |
//! | [`entry`], [`control`] | the program itself; statements, branches and calls |
//! | [`recursion`], [`carried`] | functions that call themselves, as loops; arrays that a round hands on to the next |
//! | [`deferred`], [`nodes`] | values as code reads them; which are computed only where they are needed |
//! | [`expression`], [`index`], [`reduction`], [`product`], [`conv`] | what each operator becomes |
//! | [`cells`], [`collect`] | accumulators, and those that collect the rows of products |
//! | [`joined`] | concatenations whose parts are computed in place |
//! | [`parts`] | long straight code as several functions |

mod carried;
mod cells;
mod collect;
mod control;
mod conv;
mod deferred;
mod entry;
mod expression;
mod index;
mod joined;
mod last;
pub mod module;
mod nodes;
mod parts;
mod product;
mod recursion;
mod reduction;
mod state;
mod weights;

use inkwell::IntPredicate;
use inkwell::values::{FunctionValue, GlobalValue, InstructionOpcode, PointerValue};

use crate::analysis::captures::Entity;
use crate::ir::Stmt;
use crate::ir::ids::{Block, Cell, Func, Value};
use crate::ir::types::Dtype;
use crate::lower::abi::{Failure, offset};
use crate::lower::asm::{Asm, Reg};
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::collect::cell_bytes;
use crate::lower::function::joined::Joined;
use crate::lower::function::last::Last;
use crate::lower::function::module::Lowerer;
use crate::lower::function::parts::Outside;
use crate::lower::function::recursion::Rounds;
use crate::lower::function::state::facts::Facts;
use crate::lower::function::state::plan::{ALIGNMENT, BufferPlan};
use crate::lower::function::state::registers::{CellPlace, Registers};
use crate::lower::function::state::values::{Place, Values};
use crate::lower::function::state::words::Words;

/// A function that is being emitted.
pub struct Body<'l, 'p, 'c> {
    lower: &'l Lowerer<'p, 'c>,
    asm: &'l Asm<'c>,
    func: Func,
    function: FunctionValue<'c>,
    /// Position of the statement being emitted in the function's order.
    position: usize,
    registers: Registers<'c>,
    values: Values<'l, 'c>,
    buffers: BufferPlan,
    /// Cells of arms that end the recursion, and where they begin.
    last: Last,
    behind: Option<GlobalValue<'c>>,
    facts: Facts<'c>,
    /// Parts of concatenations that are computed where they end up.
    joined: Joined,
    rounds: Option<Rounds<'c>>,
    /// What parts of the function have to find, if it is cut.
    words: Option<Words>,
    /// What is not to be seen by the part that is being emitted, if one is.
    outside: Option<Outside<'c>>,
}

impl<'l, 'p, 'c> Body<'l, 'p, 'c> {
    /// Emits a function.
    pub fn emit(lower: &'l Lowerer<'p, 'c>, func: Func) {
        let (asm, function) = (&lower.asm, lower.functions[&func]);
        let facts = &lower.analysis.funcs[func];
        asm.go_to(asm.context.append_basic_block(function, "entry"));
        let context = function.get_first_param().expect("the context comes first").into_pointer_value();
        let size = lower.late_constant("frame");
        let i64_ty = asm.scalar_ty(Dtype::I64);
        let amount = asm.load_raw(i64_ty, size.as_pointer_value()).into_int_value();
        let byte = asm.context.i8_type().into();
        let base = if facts.recursive {
            asm.load_ptr(asm.bytes(context, offset::TOP))
        } else {
            asm.at(byte, asm.load_ptr(asm.bytes(context, offset::ARENA)), amount)
        };
        let mut body = Body {
            lower,
            asm,
            func,
            function,
            position: 0,
            registers: Registers::new(context, base),
            values: Values::new(lower.program, &lower.analysis, func),
            buffers: BufferPlan::default(),
            last: Last::default(),
            behind: None,
            facts: Facts::default(),
            joined: Joined::of(lower, func),
            rounds: None,
            words: None,
            outside: None,
        };
        if body.has_frames() {
            body.last = Last::of(lower.program, func);
            body.behind = Some(lower.late_constant("behind"));
        }
        body.link();
        body.begin_words();
        if facts.recursive {
            let end = asm.at(byte, base, amount);
            body.check_room(end);
            asm.store_raw(end.into(), asm.bytes(context, offset::TOP));
        }
        body.own_cells();
        body.own_slots();
        if func == lower.program.entry {
            body.entry();
        } else {
            body.local();
        }
        body.place_buffers(size);
    }

    /// Fixes the size of a recursive function's frame, or the place of another's.
    fn place_buffers(&self, size: GlobalValue<'c>) {
        let planned = self.buffers.size().next_multiple_of(ALIGNMENT);
        if let Some(behind) = self.behind {
            behind.set_initializer(&self.asm.int(planned as i64));
        }
        let planned = planned + self.last.bytes();
        if self.lower.analysis.funcs[self.func].recursive {
            size.set_initializer(&self.asm.int(planned as i64));
        } else {
            size.set_initializer(&self.asm.int(self.lower.arena.get() as i64));
            self.lower.arena.set(self.lower.arena.get() + planned);
        }
    }

    /// Finds the frames around this function, and makes its own.
    fn link(&mut self) {
        let (asm, lower) = (self.asm, self.lower);
        let i64_ty = asm.context.i64_type();
        let around = self.around();
        let analysis = &lower.analysis;
        if analysis.funcs[self.func].has_nested && analysis.frame_for(self.func) == self.func {
            let count = analysis.funcs[self.func].fields;
            let frame = asm.alloca(i64_ty.array_type(count as u32).into());
            if let Some(link) = around {
                asm.store_raw(link.into(), frame);
            }
            self.registers.set_frame(self.func, frame);
        }
        self.link_around(around);
    }

    /// The frame around this function, if there is any.
    pub fn around(&self) -> Option<PointerValue<'c>> {
        self.function.get_nth_param(1).map(Reg::into_pointer_value)
    }

    /// Finds the frames around this function, of which the innermost is given.
    pub fn link_around(&mut self, around: Option<PointerValue<'c>>) {
        let (asm, analysis) = (self.asm, &self.lower.analysis);
        let around_of = |func: Func| analysis.funcs[func].parent.map(|parent| analysis.frame_for(parent));
        let mut next = around;
        let mut ancestor = around_of(self.func);
        while let (Some(frame), Some(of)) = (next, ancestor) {
            self.registers.set_frame(of, frame);
            ancestor = around_of(of);
            next = ancestor.map(|_| asm.load_ptr(frame));
        }
    }

    /// Address of a field of a frame.
    pub fn field(&self, entity: Entity) -> PointerValue<'c> {
        let owner = self.lower.analysis.owner[entity];
        let frame = self.registers.frame(owner).expect("it is linked to those around it");
        self.asm.bytes(frame, 8 * self.lower.analysis.fields[entity])
    }

    /// Ends the run if the stack or the arena has no room for this function.
    fn check_room(&self, end: PointerValue<'c>) {
        let asm = self.asm;
        let address = |p: PointerValue<'c>| asm.cast(InstructionOpcode::PtrToInt, p.into(), self.integer());
        let of = |field: i64| address(asm.load_ptr(asm.bytes(self.registers.context(), field)));
        let low = asm.icmp(IntPredicate::ULT, address(asm.stack_pointer()), of(offset::STACK));
        self.fail_if(low, Failure::Stack, 0, asm.int(0).into(), 0);
        let high = asm.icmp(IntPredicate::UGT, address(end), of(offset::LIMIT));
        self.fail_if(high, Failure::Arena, 0, asm.int(0).into(), 0);
    }
    fn integer(&self) -> inkwell::types::BasicTypeEnum<'c> {
        self.asm.scalar_ty(Dtype::I64)
    }

    /// Ends the run if a condition holds.
    pub fn fail_if(&self, condition: Reg<'c>, why: Failure, op: i64, index: Reg<'c>, length: usize) {
        let asm = self.asm;
        let (failing, fine) = (asm.block("fail"), asm.block("fine"));
        asm.branch(condition, failing, fine);
        asm.go_to(failing);
        let i64_ty = asm.context.i64_type().into();
        let params = [asm.ptr_ty().into(), i64_ty, i64_ty, i64_ty, i64_ty];
        let ty = asm.context.void_type().fn_type(&params, false);
        let code = asm.load_ptr(asm.bytes(self.registers.context(), offset::FAIL));
        let numbers = [why as i64, op].map(|n| asm.int(n).into());
        let args =
            [self.registers.context().into(), numbers[0], numbers[1], index, asm.int(length as i64).into()];
        asm.call_pointer(ty, code, &args, 0);
        asm.unreachable();
        asm.go_to(fine);
    }

    /// Room for the cells that this function defines.
    fn own_cells(&mut self) {
        let (asm, lower) = (self.asm, self.lower);
        for &(block, i) in &lower.analysis.funcs[self.func].order {
            let Stmt::Cell(cell) = lower.program.blocks[block].stmts[i] else { continue };
            let ty = &lower.program.cells[cell].ty;
            let captured = lower.analysis.is_captured(Entity::Cell(cell));
            let field = captured.then(|| self.field(Entity::Cell(cell)));
            let at = (!is_scalar(ty)).then(|| {
                let bytes = cell_bytes(lower, cell);
                self.last.place(cell, bytes).unwrap_or_else(|| self.buffers.keep(bytes))
            });
            if !captured && let Some(place) = self.add_cell_to_words(cell, at) {
                self.registers.set_cell(cell, place);
                continue;
            }
            let data = if let Some(at) = at {
                let data = self.in_buffers(at);
                if let Some(field) = field {
                    asm.store_raw(data.into(), field);
                }
                data
            } else {
                field.unwrap_or_else(|| asm.alloca(asm.memory_ty(ty.dtype, 1)))
            };
            let present = match field {
                Some(field) => asm.bytes(field, 8),
                None => asm.alloca(asm.context.i8_type().into()),
            };
            self.registers.set_cell(cell, CellPlace { data, present });
        }
    }

    /// The cell, perhaps in a frame around this one.
    pub fn cell(&mut self, cell: Cell) -> CellPlace<'c> {
        if let Some(place) = self.registers.cell(cell).or_else(|| self.cell_in_words(cell)) {
            return place;
        }
        let field = self.field(Entity::Cell(cell));
        let data =
            if is_scalar(&self.lower.program.cells[cell].ty) { field } else { self.asm.load_ptr(field) };
        // Not kept: this may be one arm of a branch only.
        CellPlace { data, present: self.asm.bytes(field, 8) }
    }

    fn local(&mut self) {
        let (asm, program) = (self.asm, self.lower.program);
        let data = &program.funcs[self.func];
        let mut given = self.function.get_params().into_iter().skip(2);
        let mut next = || given.next().expect("as many parameters as the type has");
        let params: Vec<Reg<'c>> = data.params.iter().map(|_| next()).collect();
        for &cont in &data.continuations {
            let [code, frame] = [next(), next()].map(Reg::into_pointer_value);
            self.registers.set_continuation(cont, (code, frame));
            if self.lower.analysis.is_captured(Entity::Cont(cont)) {
                let field = self.field(Entity::Cont(cont));
                asm.store_raw(code.into(), field);
                asm.store_raw(frame.into(), asm.bytes(field, 8));
            } else {
                self.keep_continuation(cont, (code, frame));
            }
        }
        let to: Vec<Option<PointerValue<'c>>> =
            data.results.iter().map(|ty| (!is_scalar(ty)).then(|| next().into_pointer_value())).collect();
        if self.is_loop() {
            return self.rounds(&params, &to);
        }
        for (&param, x) in data.params.iter().zip(params) {
            self.bind_param(param, x);
        }
        let scalars = self.block(data.body, &to);
        self.leave_function(&scalars);
    }

    /// Returns scalars; arrays are where they are wanted.
    pub fn leave_function(&self, scalars: &[Reg<'c>]) {
        let asm = self.asm;
        if self.lower.analysis.funcs[self.func].recursive {
            asm.store_raw(self.registers.base().into(), asm.bytes(self.registers.context(), offset::TOP));
        }
        match *scalars {
            [] => asm.ret(None),
            [x] => asm.ret(Some(x)),
            _ => asm.ret(Some(asm.aggregate(scalars))),
        }
    }

    pub fn bind_param(&mut self, param: Value, x: Reg<'c>) {
        let place = match x {
            Reg::PointerValue(address) => Place::Memory(address),
            x => Place::Register(x),
        };
        self.bind(param, place);
    }

    /// Emits a block; its scalar results, and its arrays at the given addresses.
    pub fn block(&mut self, block: Block, to: &[Option<PointerValue<'c>>]) -> Vec<Reg<'c>> {
        let program = self.lower.program;
        let data = &program.blocks[block];
        let own = |v: &Value| data.stmts.iter().any(|stmt| stmt.results().contains(v));
        for (result, to) in data.results.iter().zip(to) {
            let captured = self.lower.analysis.is_captured(Entity::Value(*result));
            if let Some(to) = to
                && own(result)
                && !captured
            {
                self.want(*result, *to);
            }
        }
        self.want_handed_on(block);
        self.stmts(block);
        let mut scalars = Vec::new();
        for (&result, to) in data.results.iter().zip(to) {
            let Some(to) = *to else {
                scalars.push(self.register(result));
                self.release(result);
                continue;
            };
            let from = self.address(result);
            if from != to {
                self.asm.copy(to, from, bytes(program.ty(result)));
            }
            self.release(result);
        }
        scalars
    }
}
