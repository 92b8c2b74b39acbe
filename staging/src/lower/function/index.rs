//! Operators whose positions are data.

use inkwell::FloatPredicate;
use inkwell::IntPredicate;
use inkwell::values::{InstructionOpcode, IntValue, PointerValue};

use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Scalar, Type, size};
use crate::lower::abi::{Failure, Indexed};
use crate::lower::asm::Reg;
use crate::lower::asm::elementwise::is_nan;
use crate::lower::asm::is_scalar;
use crate::lower::function::Body;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, Op, Root};

impl<'c> Body<'_, '_, 'c> {
    /// Runs `f` in a loop over indices, with the loop's counter and the index, after all have been checked: for this
    /// value, if it is for one, whose line errors have then.
    fn each_index(
        &mut self,
        op: Indexed,
        of: Option<Value>,
        indices: Value,
        length: usize,
        mut f: impl FnMut(&mut Self, IntValue<'c>, IntValue<'c>),
    ) {
        let (only, address, n) = self.integers(indices);
        if n == 0 {
            return;
        }
        let asm = self.asm;
        let load = |i: IntValue<'c>| match (only, address) {
            (Some(x), _) => x,
            (_, Some(from)) => asm.load(Dtype::I64, 1, asm.at(asm.memory_ty(Dtype::I64, 1), from, i)),
            _ => unreachable!("indices are in a register or in memory"),
        };
        for check in [true, false] {
            let round = asm.begin_loop(0, n as u64, 1, &[]);
            let index = load(round.counter);
            if check {
                let bound = asm.int(length as i64).into();
                let outside = asm.icmp(IntPredicate::UGE, index, bound);
                self.fail_if(outside, Failure::Index, op.with(of), index, length);
            } else {
                f(self, round.counter, index.into_int_value());
            }
            asm.end_loop(round, vec![]);
        }
    }

    /// The address of a row.
    fn row(&self, from: PointerValue<'c>, row: IntValue<'c>, width: usize, dtype: Dtype) -> PointerValue<'c> {
        let asm = self.asm;
        asm.at(asm.memory_ty(dtype, 1), from, asm.index_mul(row, width as i64))
    }

    pub fn gather_rows(&mut self, v: Value, x: Value, indices: Value) {
        let ty = self.ty(x).clone();
        let from = self.address(x);
        self.rows(v, from, [ty.shape[0], size(&ty.shape[1..])], ty.dtype, indices);
    }

    /// Rows of an array in memory, which has so many of so many elements.
    pub fn rows(
        &mut self,
        v: Value,
        from: PointerValue<'c>,
        [rows, width]: [usize; 2],
        dtype: Dtype,
        indices: Value,
    ) {
        self.through_memory(v, |body, to| {
            body.each_index(Indexed::GatherRows, Some(v), indices, rows, |body, i, index| {
                let mut nest = Nest::new(&[width]);
                let source = body.row(from, index, width, dtype);
                let node = nest.load(source, Affine::counter(1, 0), dtype);
                let to = body.row(to, i, width, dtype);
                nest.roots.push(Root::Store { to, at: Affine::counter(1, 0), node, mask: None });
                emit::emit(body.asm, body.lower.math, nest);
            });
        });
    }

    /// `to[indices[i]] += x[i]`, or `= x[i]`, in an array of so many rows of so many elements.
    pub fn write_rows(
        &mut self,
        (op, of): (Indexed, Option<Value>),
        to: PointerValue<'c>,
        [rows, width]: [usize; 2],
        x: Value,
        indices: Value,
        dtype: Dtype,
    ) {
        let given = self.ty(x).clone();
        let only = is_scalar(&given).then(|| self.register(x));
        let from = if only.is_none() { Some(self.address(x)) } else { None };
        self.each_index(op, of, indices, rows, |body, i, index| {
            let mut nest = Nest::new(&[width]);
            let at = Affine::counter(1, 0);
            let to = body.row(to, index, width, dtype);
            let old = (op != Indexed::SetRows).then(|| nest.load(to, at.clone(), dtype));
            let new = match (only, from) {
                (None, Some(from)) => {
                    let from = body.row(from, i, width, dtype);
                    nest.load(from, at.clone(), dtype)
                }
                (Some(only), _) => nest.node(Op::Register(only), dtype),
                _ => unreachable!("rows are in a register or in memory"),
            };
            let node = old.map_or(new, |old| nest.binary(crate::ir::expr::Binary::Add, old, new));
            nest.roots.push(Root::Store { to, at, node, mask: None });
            emit::emit(body.asm, body.lower.math, nest);
        });
    }

    pub fn gather_last(&mut self, v: Value, x: Value, indices: Value) {
        let ty = self.ty(x).clone();
        let n = ty.shape[ty.shape.len() - 1];
        let from = self.address(x);
        self.through_memory(v, |body, to| {
            body.each_index(Indexed::GatherLast, Some(v), indices, n, |body, i, index| {
                let row = body.row(from, i, n, ty.dtype);
                let element = body.asm.load(ty.dtype, 1, body.row(row, index, 1, ty.dtype));
                body.asm.store(ty.dtype, element, body.row(to, i, 1, ty.dtype));
            });
        });
    }

    pub fn scatter_last(&mut self, v: Value, x: Value, indices: Value, length: usize, ty: &Type) {
        let only = is_scalar(self.ty(x)).then(|| self.register(x));
        let from = if only.is_none() { Some(self.address(x)) } else { None };
        let to = self.new_buffer(v);
        self.fill(to, ty, Scalar::of(ty.dtype, 0.0));
        self.each_index(Indexed::ScatterLast, Some(v), indices, length, |body, i, index| {
            let element = match (only, from) {
                (None, Some(from)) => body.asm.load(ty.dtype, 1, body.row(from, i, 1, ty.dtype)),
                (Some(only), _) => only,
                _ => unreachable!("elements are in a register or in memory"),
            };
            let row = body.row(to, i, length, ty.dtype);
            body.asm.store(ty.dtype, element, body.row(row, index, 1, ty.dtype));
        });
    }

    pub fn argmax(&mut self, v: Value, x: Value, axis: usize, ty: &Type) {
        let of = self.ty(x).clone();
        let (outer, n, inner) = (size(&of.shape[..axis]), of.shape[axis], size(&of.shape[axis + 1..]));
        let from = self.address(x);
        if ty.size() == 0 {
            self.new_buffer(v);
            return;
        }
        self.through_memory(v, |body, to| {
            let asm = body.asm;
            let along = asm.begin_loop(0, outer as u64, 1, &[]);
            let across = asm.begin_loop(0, inner as u64, 1, &[]);
            let start = body.row(from, along.counter, n * inner, of.dtype);
            let start = body.row(start, across.counter, 1, of.dtype);
            let first = asm.load(of.dtype, 1, start);
            let best = if n == 1 {
                asm.int(0).into()
            } else {
                let of_loop = asm.begin_loop(1, n as u64, 1, &[first, asm.int(0).into()]);
                let (best, place): (Reg<'c>, Reg<'c>) = (of_loop.carried[0], of_loop.carried[1]);
                let x = asm.load(of.dtype, 1, body.row(start, of_loop.counter, inner, of.dtype));
                let larger = asm.fcmp(FloatPredicate::OGT, x, best);
                let wins = asm.op(InstructionOpcode::Or, larger, is_nan(asm, x));
                let open = asm.fcmp(FloatPredicate::ORD, best, best);
                let wins = asm.op(InstructionOpcode::And, wins, open);
                let next = vec![asm.select(wins, x, best), asm.select(wins, of_loop.counter.into(), place)];
                asm.end_loop(of_loop, next)[1]
            };
            let to = body.row(to, along.counter, inner, Dtype::I64);
            asm.store(Dtype::I64, best, body.row(to, across.counter, 1, Dtype::I64));
            asm.end_loop(across, vec![]);
            asm.end_loop(along, vec![]);
        });
    }
}
