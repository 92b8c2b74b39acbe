//! What a `let` becomes.

use std::collections::HashMap;
use std::sync::Arc;

use inkwell::module::Linkage;
use inkwell::types::BasicType;
use inkwell::values::{BasicValueEnum, PointerValue};

use crate::error::Result;
use crate::expr::{Binary, Expr, Reduction};
use crate::ids::Value;
use crate::lower::asm::Reg;
use crate::lower::body::Body;
use crate::lower::nest::{Affine, Finish, LoadOrRegister, Nest, Op, Root, identity};
use crate::lower::values::{Place, computes, moves};
use crate::lower::{bytes, emit, is_scalar};
use crate::tensor::{Data, Tensor};
use crate::types::{Dtype, Scalar, Type};

impl<'c> Body<'_, '_, 'c> {
    /// Binds a value to an expression.
    pub fn define(&mut self, v: Value, expr: &Expr) -> Result<()> {
        let ty = self.ty(v).clone();
        if computes(expr) || moves(expr) {
            if !is_scalar(&ty) {
                self.defer(v, expr);
                return Ok(());
            }
            let mut nest = Nest::new(&[]);
            let node = self.expression(&mut nest, expr, &ty, &[], &mut HashMap::new());
            nest.roots.push(Root::Keep(node));
            let x = emit::emit(self.asm, self.lower.math, nest)[0];
            self.bind(v, Place::Register(x));
            return self.release_operands(expr);
        }
        match expr {
            Expr::Array(tensor) => self.array(v, tensor),
            Expr::Reshape(x, _) => self.reshape(v, *x, &ty),
            Expr::Reduce(op, x, axes) => self.reduce(v, *op, *x, axes, &ty),
            Expr::Matmul(a, b) => {
                let to = self.new_buffer(v);
                self.matmul(*a, *b, to, &ty, None);
            }
            Expr::Concat(parts, axis) => self.concat(v, parts, *axis),
            Expr::Pad { x, axis, padding } => {
                let to = self.new_buffer(v);
                self.asm.zero(to, bytes(&ty));
                self.move_into(*x, to, &ty, *axis, padding.before, padding.interior + 1);
            }
            Expr::Argmax(x, axis) => self.argmax(v, *x, *axis, &ty),
            Expr::GatherRows { x, indices } => self.gather_rows(v, *x, *indices),
            Expr::ScatterRows { x, indices, rows } => {
                let to = self.new_buffer(v);
                self.asm.zero(to, bytes(&ty));
                self.add_rows(to, *rows, *x, *indices, &ty);
            }
            Expr::GatherLast { x, indices } => self.gather_last(v, *x, *indices),
            Expr::ScatterLast { x, indices, length } => self.scatter_last(v, *x, *indices, *length, &ty),
            _ => self.convolution(v, expr, &ty),
        }
        self.release_operands(expr)
    }

    fn release_operands(&mut self, expr: &Expr) -> Result<()> {
        expr.operands().into_iter().for_each(|x| self.release(x));
        Ok(())
    }

    /// Binds a result that may be a scalar: `compute` gets its address.
    pub fn through_memory(&mut self, v: Value, compute: impl FnOnce(&mut Self, PointerValue<'c>)) {
        let ty = self.ty(v).clone();
        if !is_scalar(&ty) {
            let to = self.new_buffer(v);
            return compute(self, to);
        }
        let (buffer, to) = self.temporary(bytes(&ty));
        compute(self, to);
        let x = self.asm.load(ty.dtype, 1, to);
        self.bind(v, Place::Register(x));
        self.plan.free(buffer);
    }

    fn array(&mut self, v: Value, tensor: &Arc<Tensor>) {
        if let Some(only) = tensor.shape().is_empty().then(|| tensor.at(0)) {
            let x = self.asm.constant(only, 1);
            return self.bind(v, Place::Register(x));
        }
        let address = self.constant_data(tensor);
        self.bind(v, Place::Memory(address));
    }

    /// The address of constant elements.
    fn constant_data(&self, tensor: &Tensor) -> PointerValue<'c> {
        let byte = self.asm.context.i8_type();
        let mut raw: Vec<u8> = Vec::new();
        match tensor.data() {
            Data::F32(xs) => xs.iter().for_each(|x| raw.extend(x.to_ne_bytes())),
            Data::F64(xs) => xs.iter().for_each(|x| raw.extend(x.to_ne_bytes())),
            Data::I64(xs) => xs.iter().for_each(|x| raw.extend(x.to_ne_bytes())),
            Data::Bool(xs) => xs.iter().for_each(|x| raw.push(u8::from(*x))),
        }
        let elements: Vec<_> = raw.iter().map(|&x| byte.const_int(x.into(), false)).collect();
        let data = byte.const_array(&elements);
        let global = self.asm.module.add_global(data.get_type().as_basic_type_enum(), None, "constant");
        global.set_initializer(&BasicValueEnum::ArrayValue(data));
        global.set_constant(true);
        global.set_linkage(Linkage::Private);
        global.set_alignment(64);
        global.as_pointer_value()
    }

    fn reshape(&mut self, v: Value, x: Value, ty: &Type) {
        match (is_scalar(self.ty(x)), is_scalar(ty)) {
            (true, true) => {
                let x = self.register(x);
                self.bind(v, Place::Register(x));
            }
            (true, false) => {
                let element = self.register(x);
                let to = self.new_buffer(v);
                self.asm.store(ty.dtype, element, to);
            }
            (false, true) => {
                let from = self.address(x);
                let element = self.asm.load(ty.dtype, 1, from);
                self.bind(v, Place::Register(element));
            }
            (false, false) => self.share(v, x),
        }
    }

    fn reduce(&mut self, v: Value, op: Reduction, x: Value, axes: &[usize], ty: &Type) {
        let of = self.ty(x).clone();
        if is_scalar(&of) {
            // Over no axes at all: ln e^x, and the others, are x itself but for the zero that a sum starts from.
            let mut nest = Nest::new(&[]);
            let given = self.register(x);
            let node = nest.node(Op::Register(given), of.dtype);
            let finish = match op {
                Reduction::LogSumExp => Finish::LogSumExp(LoadOrRegister::Register(given)),
                _ => Finish::Nothing,
            };
            let (op, node) = match op {
                Reduction::LogSumExp => (Reduction::Sum, self.decay(&mut nest, node, node)),
                _ => (op, node),
            };
            nest.roots.push(Root::Reduce { op, node, to: None, finish });
            let result = emit::emit(self.asm, self.lower.math, nest)[0];
            return self.bind(v, Place::Register(result));
        }
        let fused = op != Reduction::LogSumExp && self.is_private(x);
        if !fused {
            self.address(x);
        }
        let loops = of.shape.len();
        let index = identity(loops);
        let mut nest = Nest::new(&of.shape);
        axes.iter().for_each(|axis| nest.reduced |= 1 << axis);
        let node = self.node(&mut nest, x, &index, &mut HashMap::new());
        let kept: Vec<Affine> = (0..loops).filter(|i| !axes.contains(i)).map(|i| index[i].clone()).collect();
        let at = Affine::position(&kept, &ty.shape, loops);
        if op != Reduction::LogSumExp {
            let to = (!is_scalar(ty)).then(|| (self.new_buffer(v), at));
            let in_register = to.is_none();
            nest.roots.push(Root::Reduce { op, node, to, finish: Finish::Nothing });
            let result = emit::emit(self.asm, self.lower.math, nest);
            if in_register {
                self.bind(v, Place::Register(result[0]));
            }
            return;
        }
        let (buffer, room) = self.temporary(bytes(ty));
        let mut sum = nest.clone();
        let to = (!is_scalar(ty)).then_some((room, at.clone()));
        nest.roots.push(Root::Reduce { op: Reduction::Max, node, to, finish: Finish::Nothing });
        let maximum = emit::emit(self.asm, self.lower.math, nest);
        let (max, from) = match maximum[..] {
            [max] => (sum.node(Op::Register(max), of.dtype), LoadOrRegister::Register(max)),
            _ => (sum.load(room, at.clone(), of.dtype), LoadOrRegister::Load(room, at.clone())),
        };
        let node = self.decay(&mut sum, node, max);
        let to = (!is_scalar(ty)).then(|| (self.new_buffer(v), at));
        let finish = Finish::LogSumExp(from);
        sum.roots.push(Root::Reduce { op: Reduction::Sum, node, to, finish });
        let result = emit::emit(self.asm, self.lower.math, sum);
        if let [x] = result[..] {
            self.bind(v, Place::Register(x));
        }
        self.plan.free(buffer);
    }

    /// `e^(x − max)`.
    fn decay(&self, nest: &mut Nest<'c>, x: usize, max: usize) -> usize {
        let dtype = nest.nodes[x].dtype;
        let difference = nest.binary(Binary::Sub, x, max);
        nest.node(Op::Unary(crate::expr::Unary::Exp, difference), dtype)
    }

    /// Writes an array to `start, start + step, ..` along an axis of a larger one.
    pub fn move_into(
        &mut self,
        x: Value,
        to: PointerValue<'c>,
        ty: &Type,
        axis: usize,
        start: usize,
        step: usize,
    ) {
        if !self.is_private(x) {
            self.address(x);
        }
        let shape = self.ty(x).shape.clone();
        let mut nest = Nest::new(&shape);
        let mut index = identity(shape.len());
        let node = self.node(&mut nest, x, &index, &mut HashMap::new());
        index[axis] = index[axis].clone().times(step as i64, start as i64);
        let at = Affine::position(&index, &ty.shape, shape.len());
        nest.roots.push(Root::Store { to, at, node, mask: None });
        emit::emit(self.asm, self.lower.math, nest);
    }

    /// Fills an array with one element.
    pub fn fill(&mut self, to: PointerValue<'c>, ty: &Type, with: Scalar) {
        let mut nest = Nest::new(&[ty.size()]);
        let node = nest.node(Op::Constant(with), ty.dtype);
        nest.roots.push(Root::Store { to, at: Affine::counter(1, 0), node, mask: None });
        emit::emit(self.asm, self.lower.math, nest);
    }

    /// Elements of an integer array, which are in memory.
    pub fn integers(&mut self, v: Value) -> (Option<Reg<'c>>, Option<PointerValue<'c>>, usize) {
        let ty = self.ty(v).clone();
        debug_assert_eq!(ty.dtype, Dtype::I64);
        if is_scalar(&ty) {
            (Some(self.register(v)), None, 1)
        } else {
            (None, Some(self.address(v)), ty.size())
        }
    }
}
