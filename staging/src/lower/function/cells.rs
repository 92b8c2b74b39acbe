//! Accumulators: memory, and a byte that says whether anything is in it. Where that is known, no code asks.

use std::collections::HashMap;

use inkwell::values::{InstructionOpcode, PointerValue};

use crate::ir::expr::{Binary, Expr};
use crate::ir::ids::{Cell, Value};
use crate::ir::types::{Scalar, Type, size};
use crate::ir::{Stmt, Update};
use crate::lower::abi::Indexed;
use crate::lower::asm::Reg;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::nodes::Nodes;
use crate::lower::function::state::registers::CellPlace;
use crate::lower::function::state::values::Place;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op, Root, identity};

impl<'c> Body<'_, '_, 'c> {
    /// A new cell.
    pub fn empty(&mut self, cell: Cell) {
        let place = self.cell(cell);
        self.set_present(cell, place, false);
        self.collect_none(cell, place.data);
    }

    fn set_present(&mut self, cell: Cell, place: CellPlace<'c>, present: bool) {
        if !self.facts.set_filled(cell, present) {
            self.store_present(cell, place, present);
        }
    }

    /// An empty scalar is −0, so that adding to it needs no question: −0 + x is x, whatever x is.
    pub fn store_present(&self, cell: Cell, place: CellPlace<'c>, present: bool) {
        let byte = self.asm.context.i8_type().const_int(present.into(), false);
        self.asm.store_raw(byte.into(), place.present);
        let ty = &self.lower.program.cells[cell].ty;
        if is_scalar(ty) && !present {
            let nothing = self.asm.constant(Scalar::of(ty.dtype, -0.0), 1);
            self.asm.store(ty.dtype, nothing, place.data);
        }
    }

    fn presence(&self, cell: Cell, place: CellPlace<'c>) -> Reg<'c> {
        if let Some(known) = self.facts.is_filled(cell) {
            return self.asm.bool(known).into();
        }
        let byte = self.asm.load_raw(self.asm.context.i8_type().into(), place.present);
        self.asm.cast(InstructionOpcode::Trunc, byte, self.asm.context.bool_type().into())
    }

    pub fn present(&mut self, v: Value, cell: Cell) {
        self.contract_collected(cell);
        let place = self.cell(cell);
        let present = self.presence(cell, place);
        self.bind(v, Place::Register(present));
    }

    pub fn take(&mut self, v: Value, cell: Cell) {
        self.contract_collected(cell);
        let ty = self.ty(v).clone();
        let place = self.cell(cell);
        let present = self.presence(cell, place);
        let known = self.facts.is_filled(cell);
        let zero = Scalar::of(ty.dtype, 0.0);
        if is_scalar(&ty) {
            let sum = self.asm.load(ty.dtype, 1, place.data);
            let x = self.asm.select(present, sum, self.asm.constant(zero, 1));
            self.bind(v, Place::Register(x));
        } else if known == Some(false) {
            self.defer(v, &Expr::Fill { value: zero, shape: ty.shape.clone() });
        } else if !self.is_touched_later(cell) {
            if known.is_none() {
                self.zero_unless(present, place.data, &ty);
            }
            self.bind(v, Place::Memory(place.data));
        } else {
            let to = self.new_buffer(v);
            let mut nest = Nest::new(&[ty.size()]);
            let at = Affine::counter(1, 0);
            let sum = nest.load(place.data, at.clone(), ty.dtype);
            let zero = nest.node(Op::Constant(zero), ty.dtype);
            let node = self.choose(&mut nest, known, present, sum, zero);
            nest.roots.push(Root::Store { to, at, node, mask: None });
            emit::emit(self.asm, self.lower.math, nest);
        }
        self.set_present(cell, place, false);
    }

    pub fn row_of_cell(&mut self, v: Value, cell: Cell, index: Value) {
        self.contract_collected(cell);
        let ty = self.lower.program.cells[cell].ty.clone();
        let place = self.cell(cell);
        let present = self.presence(cell, place);
        // An empty cell stays empty; its memory then holds zeros.
        self.prepare(self.facts.is_filled(cell), present, place.data, &ty);
        let axes = ty.shape.len() + self.ty(index).shape.len() - self.ty(v).shape.len();
        self.rows(v, place.data, [size(&ty.shape[..axes]), size(&ty.shape[axes..])], ty.dtype, index);
        self.release(index);
    }

    /// Whether a later statement of this function may read or write a cell.
    fn is_touched_later(&self, cell: Cell) -> bool {
        let program = self.lower.program;
        let order = &self.lower.analysis.funcs[self.func].order;
        order[self.position + 1..].iter().any(|&(block, i)| {
            match &program.blocks[block].stmts[i] {
                // What is inside of a branch comes after it in this order.
                Stmt::Let(..) | Stmt::Cell(_) | Stmt::Define(_) | Stmt::If { .. } => false,
                call @ Stmt::Call { .. } => {
                    !self.lower.effects.touched(program, call, std::iter::once(cell)).is_empty()
                }
                stmt => stmt.touched() == Some(cell),
            }
        })
    }

    fn zero_unless(&self, present: Reg<'c>, to: PointerValue<'c>, ty: &Type) {
        let (fill, go_on) = (self.asm.block("empty"), self.asm.block("filled"));
        self.asm.branch(present, go_on, fill);
        self.asm.go_to(fill);
        self.asm.zero(to, bytes(ty));
        self.asm.jump(go_on);
        self.asm.go_to(go_on);
    }

    /// One node if something is present, else another.
    fn choose(
        &self,
        nest: &mut Nest<'c>,
        known: Option<bool>,
        present: Reg<'c>,
        then: NodeId,
        otherwise: NodeId,
    ) -> NodeId {
        match known {
            Some(true) => then,
            Some(false) => otherwise,
            None => {
                let dtype = nest.nodes[then].dtype;
                let mask = nest.node(Op::Register(present), crate::ir::types::Dtype::Bool);
                nest.node(Op::Select(mask, then, otherwise), dtype)
            }
        }
    }

    pub fn accumulate(&mut self, cell: Cell, update: &Update) {
        let ty = self.lower.program.cells[cell].ty.clone();
        let place = self.cell(cell);
        if self.collect(cell, update, place.data) {
            return update.operands().for_each(|x| self.release(x));
        }
        let present = self.presence(cell, place);
        let known = self.facts.is_filled(cell);
        match *update {
            Update::Add(g) if is_scalar(&ty) => {
                let g = self.register(g);
                let old = self.asm.load(ty.dtype, 1, place.data);
                self.asm.store(ty.dtype, self.asm.add(old, g), place.data);
            }
            Update::Add(g) => self.add(g, place.data, &ty, known, present),
            Update::Replace(g) => self.add(g, place.data, &ty, Some(false), present),
            Update::Matmul(a, b) => {
                let add = (known != Some(false)).then_some(present);
                self.matmul(a, b, place.data, &ty, add);
            }
            Update::Slice { axis, start, step, g, .. } => {
                self.prepare(known, present, place.data, &ty);
                self.address(g);
                let shape = self.ty(g).shape.clone();
                let mut nest = Nest::new(&shape);
                let mut index = identity(shape.len());
                let node = self.node(&mut nest, g, &index, &mut HashMap::new());
                index[axis] = index[axis].clone().times(step as i64, start as i64);
                let at = Affine::position(&index, &ty.shape, shape.len());
                let old = nest.load(place.data, at.clone(), ty.dtype);
                let sum = nest.binary(Binary::Add, old, node);
                let node = self.choose(&mut nest, known, present, sum, node);
                nest.roots.push(Root::Store { to: place.data, at, node, mask: None });
                emit::emit(self.asm, self.lower.math, nest);
            }
            Update::Rows { indices, g } => {
                self.prepare(known, present, place.data, &ty);
                let lengths = [ty.shape[0], size(&ty.shape[1..])];
                self.write_rows((Indexed::ScatterRows, None), place.data, lengths, g, indices, ty.dtype);
            }
            Update::Write { indices, g, axes, add } => {
                self.prepare(known, present, place.data, &ty);
                let op = if add { Indexed::AddRows } else { Indexed::SetRows };
                let lengths = [size(&ty.shape[..axes]), size(&ty.shape[axes..])];
                self.write_rows((op, None), place.data, lengths, g, indices, ty.dtype);
            }
        }
        self.set_present(cell, place, true);
        update.operands().for_each(|x| self.release(x));
    }

    /// Zeros, where nothing is.
    fn prepare(&self, known: Option<bool>, present: Reg<'c>, to: PointerValue<'c>, ty: &Type) {
        match known {
            Some(true) => {}
            Some(false) => self.asm.zero(to, bytes(ty)),
            None => self.zero_unless(present, to, ty),
        }
    }

    /// `to += g`, together with what is computed in the same shape.
    fn add(&mut self, g: Value, to: PointerValue<'c>, ty: &Type, known: Option<bool>, present: Reg<'c>) {
        let sum = |body: &mut Self, nest: &mut Nest<'c>, nodes: &mut Nodes| {
            let index = identity(ty.shape.len());
            let at = Affine::position(&index, &ty.shape, nest.loops());
            let node = body.node(nest, g, &index, nodes);
            let old = nest.load(to, at.clone(), ty.dtype);
            let sum = nest.binary(Binary::Add, old, node);
            let node = body.choose(nest, known, present, sum, node);
            nest.roots.push(Root::Store { to, at, node, mask: None });
        };
        if self.values.elementwise(g).is_some() {
            // The update itself reads the operand, once more than the loop's other operators do.
            let is_last = self.values.uses(g) == 1;
            let (needed, consumed) = if is_last { (None, Some(g)) } else { (Some(g), None) };
            return self.fuse(&ty.shape, needed, consumed.as_slice(), sum);
        }
        let mut nest = Nest::new(&ty.shape);
        sum(self, &mut nest, &mut HashMap::new());
        emit::emit(self.asm, self.lower.math, nest);
    }
}
