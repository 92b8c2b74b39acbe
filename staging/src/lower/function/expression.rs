//! What a `let` becomes.

use std::collections::HashMap;
use std::sync::Arc;

use inkwell::module::Linkage;
use inkwell::types::BasicType;
use inkwell::values::{BasicValueEnum, PointerValue};

use crate::ir::expr::{Class, Expr};
use crate::ir::ids::{EntityRef, Host, Value};
use crate::ir::tensor::{ConcreteTensor, Data};
use crate::ir::types::{Dtype, Scalar, Type, size};
use crate::lower::abi::{Indexed, offset};
use crate::lower::asm::Reg;
use crate::lower::asm::{bytes, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::state::values::Place;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, Op, Root, identity};

impl<'c> Body<'_, '_, 'c> {
    /// Binds a value to an expression.
    pub fn define(&mut self, v: Value, expr: &Expr) {
        let ty = self.ty(v);
        match expr.class() {
            Class::Elementwise | Class::Movement if !is_scalar(ty) => return self.defer(v, expr),
            Class::Elementwise | Class::Movement => {
                let mut nest = Nest::new(&[]);
                let node = self.expression(&mut nest, expr, ty, &[], &mut HashMap::new());
                nest.roots.push(Root::Keep(node));
                let x = emit::emit(self.asm, self.lower.math, nest)[0];
                self.bind(v, Place::Register(x));
            }
            Class::InMemory
            | Class::Placement
            | Class::Indexed
            | Class::Reduction
            | Class::Product
            | Class::Convolution
            | Class::Host => self.compute(v, expr, ty),
        }
        self.release_operands(expr);
    }

    /// Computes an operator where it stands.
    fn compute(&mut self, v: Value, expr: &Expr, ty: &Type) {
        match expr {
            Expr::Array(tensor) => self.array(v, tensor),
            Expr::Reshape(x, _) | Expr::After(x, _) => self.reshape(v, *x, ty),
            Expr::Reduce(op, x, axes) => self.reduce(v, *op, *x, axes, ty),
            Expr::Matmul(a, b) => {
                let to = self.new_buffer(v);
                self.matmul(*a, *b, to, ty, None);
            }
            Expr::Concat(parts, axis) => self.concat(v, parts, *axis),
            Expr::Pad { x, axis, padding } => {
                let to = self.new_buffer(v);
                self.asm.zero(to, bytes(ty));
                self.move_into(*x, to, ty, *axis, padding.before, padding.interior + 1);
            }
            Expr::Argmax(x, axis) => self.argmax(v, *x, *axis, ty),
            Expr::GatherRows { x, indices } => self.gather_rows(v, *x, *indices),
            Expr::ScatterRows { x, indices, rows } => {
                let to = self.new_buffer(v);
                self.asm.zero(to, bytes(ty));
                self.write_rows(
                    (Indexed::ScatterRows, Some(v)),
                    to,
                    [*rows, size(&ty.shape[1..])],
                    *x,
                    *indices,
                    ty.dtype,
                );
            }
            Expr::WriteRows { x, indices, rows, axes, add } => {
                let to = self.new_buffer(v);
                self.move_into(*x, to, ty, 0, 0, 1);
                let op = if *add { Indexed::AddRows } else { Indexed::SetRows };
                let lengths = [size(&ty.shape[..*axes]), size(&ty.shape[*axes..])];
                self.write_rows((op, Some(v)), to, lengths, *rows, *indices, ty.dtype);
            }
            Expr::GatherLast { x, indices } => self.gather_last(v, *x, *indices),
            Expr::ScatterLast { x, indices, length } => self.scatter_last(v, *x, *indices, *length, ty),
            Expr::Conv2d { image, kernel, window } => self.conv2d(v, [*image, *kernel], *window, ty),
            Expr::Conv2dImage { y_bar, kernel, size, window } => {
                self.conv2d_image(v, [*y_bar, *kernel], *size, *window, ty);
            }
            Expr::Conv2dKernel { image, y_bar, window, .. } => {
                self.conv2d_kernel(v, [*image, *y_bar], *window, ty);
            }
            Expr::Unfold2d { image, kernel, window } => self.unfold2d(v, *image, *kernel, *window, ty),
            Expr::Fold2d { x, size, kernel, window } => self.fold2d(v, *x, *size, *kernel, *window, ty),
            Expr::Host { host, operands, .. } => self.host(v, *host, operands),
            Expr::Fill { .. }
            | Expr::Unary(..)
            | Expr::Powi(..)
            | Expr::Clamp { .. }
            | Expr::Binary(..)
            | Expr::Compare(..)
            | Expr::Select { .. }
            | Expr::Convert(..)
            | Expr::Uniform { .. }
            | Expr::Permute(..)
            | Expr::Broadcast(..)
            | Expr::Slice { .. }
            | Expr::Flip(..) => unreachable!("{} is of another class", expr.name()),
        }
    }

    /// Binds a result that may be a scalar: `compute` gets its address.
    pub fn through_memory(&mut self, v: Value, compute: impl FnOnce(&mut Self, PointerValue<'c>)) {
        let ty = self.ty(v).clone();
        if !is_scalar(&ty) {
            let to = self.new_buffer(v);
            return compute(self, to);
        }
        self.with_scratch(bytes(&ty), |body, to| {
            compute(body, to);
            let x = body.asm.load(ty.dtype, 1, to);
            body.bind(v, Place::Register(x));
        });
    }

    /// Asks the caller to call a function of the host.
    fn host(&mut self, v: Value, host: Host, operands: &[Value]) {
        let asm = self.asm;
        // The addresses of the operands and of the result, and the operands that are scalars.
        let word = size_of::<u64>();
        let addresses = word * (operands.len() + 1);
        self.with_scratch((addresses + word * operands.len()) as u64, |body, scratch| {
            body.through_memory(v, |body, to| {
                let at = |offset: usize| asm.bytes(scratch, offset as i64);
                for (i, &x) in operands.iter().enumerate() {
                    let ty = body.ty(x).clone();
                    let address = if is_scalar(&ty) {
                        let place = at(addresses + word * i);
                        asm.store(ty.dtype, body.register(x), place);
                        place
                    } else {
                        body.address(x)
                    };
                    asm.store_raw(address.into(), at(word * i));
                }
                asm.store_raw(to.into(), at(word * operands.len()));
                let params = [asm.ptr_ty().into(), asm.context.i64_type().into(), asm.ptr_ty().into()];
                let ty = asm.context.void_type().fn_type(&params, false);
                let code = asm.load_ptr(asm.bytes(body.registers.context(), offset::HOST));
                let number = asm.int(host.index() as i64).into();
                asm.call_pointer(ty, code, &[body.registers.context().into(), number, scratch.into()], 0);
            });
        });
    }

    fn array(&mut self, v: Value, tensor: &Arc<ConcreteTensor>) {
        if let Some(only) = tensor.shape().is_empty().then(|| tensor.at(0)) {
            let x = self.asm.constant(only, 1);
            return self.bind(v, Place::Register(x));
        }
        let address = self.constant_data(tensor);
        self.bind(v, Place::Memory(address));
    }

    /// The address of constant elements.
    fn constant_data(&self, tensor: &ConcreteTensor) -> PointerValue<'c> {
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
        if !self.values.is_read_in_place(x) {
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
