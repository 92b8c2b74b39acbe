//! Statements, branches and calls.

use inkwell::values::PointerValue;

use crate::analysis::captures::Entity;
use crate::ir::ids::{Block, EntityRef, Probe, Value};
use crate::ir::probe::ProbeKind;
use crate::ir::{Stmt, Target};
use crate::lower::abi::offset;
use crate::lower::asm::Reg;
use crate::lower::asm::{FAST, bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::state::registers::Closure;
use crate::lower::function::state::values::Place;

impl<'c> Body<'_, '_, 'c> {
    /// Emits a statement.
    pub fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(v, expr) => self.define(*v, expr),
            Stmt::Cell(cell) => self.empty(*cell),
            Stmt::Accumulate(cell, update) => self.accumulate(*cell, update),
            Stmt::Take(v, cell) => self.take(*v, *cell),
            Stmt::Present(v, cell) => self.present(*v, *cell),
            Stmt::Row(v, cell, index) => self.row_of_cell(*v, *cell, *index),
            Stmt::Define(_) => {}
            Stmt::Probe(probe, v) => self.probe(*probe, *v),
            Stmt::If { condition, then, otherwise, results } => {
                // The nested statements come next in the function's order.
                self.position += 1;
                return self.branch(*condition, [*then, *otherwise], results);
            }
            Stmt::Call { target, args, continuations, results } => {
                self.call(*target, args, continuations, results);
            }
        }
        self.position += 1;
    }

    /// Shows a value to the caller, who prints it or ends the run; a truth value that has to hold only if it does not.
    fn probe(&mut self, probe: Probe, v: Value) {
        let (asm, ty) = (self.asm, self.ty(v).clone());
        if !is_scalar(&ty) {
            let address = self.address(v);
            self.show(probe, address);
        } else {
            let x = self.register(v);
            let show = |body: &mut Self| {
                body.with_scratch(bytes(&ty), |body, scratch| {
                    asm.store(ty.dtype, x, scratch);
                    body.show(probe, scratch);
                });
            };
            if let ProbeKind::Ensure(_) = self.lower.program.probes[probe].kind {
                let (fails, holds) = (asm.block("fails"), asm.block("holds"));
                asm.branch(x, holds, fails);
                asm.go_to(fails);
                show(self);
                asm.jump(holds);
                asm.go_to(holds);
            } else {
                show(self);
            }
        }
        self.release(v);
    }

    fn show(&self, probe: Probe, address: PointerValue<'c>) {
        let asm = self.asm;
        let params = [asm.ptr_ty().into(), asm.context.i64_type().into(), asm.ptr_ty().into()];
        let ty = asm.context.void_type().fn_type(&params, false);
        let code = asm.load_ptr(asm.bytes(self.registers.context(), offset::PROBE));
        let number = asm.int(probe.index() as i64).into();
        asm.call_pointer(ty, code, &[self.registers.context().into(), number, address.into()], 0);
    }

    /// Addresses for results that are arrays.
    fn room(&mut self, results: &[Value]) -> Vec<Option<PointerValue<'c>>> {
        let room = results.iter().map(|&v| (!is_scalar(self.ty(v))).then(|| self.new_buffer(v)));
        room.collect()
    }
    fn bind_scalars(&mut self, results: &[Value], scalars: impl IntoIterator<Item = Reg<'c>>) {
        let mut scalars = scalars.into_iter();
        for &v in results {
            if is_scalar(self.ty(v)) {
                let x = scalars.next().expect("one for each scalar result");
                self.bind(v, Place::Register(x));
            }
        }
    }

    fn branch(&mut self, condition: Value, arms: [Block; 2], results: &[Value]) {
        let asm = self.asm;
        let holds = self.register(condition);
        self.release(condition);
        // What is computed in one arm would not be there in the other.
        self.force_all();
        let to = self.room(results);
        let (blocks, after) = ([asm.block("then"), asm.block("else")], asm.block("after"));
        asm.branch(holds, blocks[0], blocks[1]);
        let before = self.facts.clone();
        let mut ends = Vec::new();
        for (arm, block) in arms.into_iter().zip(blocks) {
            asm.go_to(block);
            self.facts = before.clone();
            let scalars = self.block(arm, &to);
            ends.push((scalars, asm.here(), std::mem::take(&mut self.facts)));
            asm.jump(after);
        }
        asm.go_to(after);
        let otherwise = ends.pop().expect("two arms");
        let then = ends.pop().expect("two arms");
        self.facts = then.2.common(&otherwise.2);
        let pairs = then.0.into_iter().zip(otherwise.0);
        let joined: Vec<Reg<'c>> =
            pairs.map(|(a, b)| asm.phi(a.get_type(), &[(a, then.1), (b, otherwise.1)])).collect();
        self.bind_scalars(results, joined);
    }

    /// Code and frame of what a call runs or passes.
    fn closure(&mut self, target: Target) -> Closure<'c> {
        match target {
            Target::Func(func) => {
                let code = self.lower.functions[&func].as_global_value().as_pointer_value();
                let parent = self.lower.analysis.funcs[func].parent.expect("the entry is not called");
                let frame = self.registers.frame(self.lower.analysis.frame_for(parent));
                (code, frame.expect("it is linked to those around it"))
            }
            Target::Cont(cont) => {
                let known = self.registers.continuation(cont).or_else(|| self.continuation_in_words(cont));
                known.unwrap_or_else(|| {
                    let field = self.field(Entity::Cont(cont));
                    (self.asm.load_ptr(field), self.asm.load_ptr(self.asm.bytes(field, 8)))
                })
            }
        }
    }

    fn call(&mut self, target: Target, args: &[Value], continuations: &[Target], results: &[Value]) {
        let asm = self.asm;
        if self.rounds.is_some() && target == Target::Func(self.func) {
            let returned = self.call_itself(args);
            self.room(results);
            self.bind_scalars(results, returned);
            return self.called(args);
        }
        let (code, frame) = self.closure(target);
        let mut passed: Vec<Reg<'c>> = vec![self.registers.context().into(), frame.into()];
        passed.extend(args.iter().map(|&v| self.passed(v)));
        for &k in continuations {
            let (code, frame) = self.closure(k);
            passed.extend([Reg::from(code), frame.into()]);
        }
        let to = self.room(results);
        passed.extend(to.into_iter().flatten().map(Reg::from));
        let top = self.next_frame(target);
        let call = match target {
            Target::Func(func) => asm.call(self.lower.functions[&func], &passed),
            Target::Cont(cont) => asm.call_pointer(self.lower.cont_ty(cont), code, &passed, FAST),
        };
        if let Some((place, top)) = top {
            asm.store_raw(top, place);
        }
        let scalars = results.iter().filter(|&&v| is_scalar(self.ty(v))).count() as u32;
        match scalars {
            0 => {}
            1 => {
                let x = asm.result(call);
                self.bind_scalars(results, [x]);
            }
            _ => {
                let all = asm.result(call);
                let fields: Vec<Reg<'c>> = (0..scalars).map(|i| asm.field(all, i)).collect();
                self.bind_scalars(results, fields);
            }
        }
        self.called(args);
    }

    /// An argument: a scalar, or the address of an array.
    pub fn passed(&mut self, v: Value) -> Reg<'c> {
        if is_scalar(self.ty(v)) { self.register(v) } else { self.address(v).into() }
    }

    /// What is known after a call.
    fn called(&mut self, args: &[Value]) {
        let analysis = &self.lower.analysis;
        self.facts.forget_filled(|cell| analysis.is_captured(Entity::Cell(cell)));
        args.iter().for_each(|&v| self.release(v));
    }
}
