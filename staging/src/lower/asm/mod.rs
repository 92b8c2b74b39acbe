//! A thin layer over inkwell's builder in which scalars and vectors are one kind of value, and loops are bracketed.

pub mod blocks;
pub mod elementwise;
pub mod math;
pub mod parallel;
pub mod processor;

use std::cell::RefCell;
use std::collections::HashMap;

use inkwell::builder::{Builder, BuilderError};
use inkwell::context::Context;
use inkwell::intrinsics::Intrinsic;
use inkwell::module::Module;
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum, FunctionType, PointerType};
use inkwell::values::{
    BasicMetadataValueEnum, BasicValue, BasicValueEnum, CallSiteValue, FunctionValue, InstructionOpcode,
    InstructionValue, IntValue, PointerValue, ValueKind, VectorValue,
};
use inkwell::{AddressSpace, FloatPredicate, IntPredicate};

use crate::ir::expr::Unary;
use crate::ir::types::{Dtype, Scalar, Type};
use crate::lower::asm::processor::Processor;

/// A scalar or a vector in a register.
pub type Reg<'c> = BasicValueEnum<'c>;

/// LLVM's number of the calling convention of functions that nobody else calls.
pub const FAST: u32 = 8;

/// A module under construction.
pub struct Asm<'c> {
    pub context: &'c Context,
    pub module: Module<'c>,
    pub builder: Builder<'c>,
    pub target: Processor,
    /// Functions of loop nests, by what they do.
    pub nests: RefCell<HashMap<String, FunctionValue<'c>>>,
    /// How many parts work is cut into that is enough for several threads; one if there is one thread.
    pub parts: u64,
    /// Elementary functions of numbers that are called and not emitted inline.
    pub elementary: HashMap<(Unary, Dtype), FunctionValue<'c>>,
}

/// The builder refuses only what has no position, no matching type or no such operand: defects of this crate.
pub fn built<T>(result: Result<T, BuilderError>) -> T {
    result.expect("the builder is positioned and its operands fit")
}

/// The number of lanes of a value; one for a scalar.
pub fn lanes(x: Reg<'_>) -> u32 {
    if let Reg::VectorValue(v) = x { v.get_type().get_size() } else { 1 }
}

impl<'c> Asm<'c> {
    pub fn new(context: &'c Context, name: &str, target: Processor, parts: u64) -> Asm<'c> {
        let (module, builder) = (context.create_module(name), context.create_builder());
        Asm { context, module, builder, target, nests: RefCell::default(), parts, elementary: HashMap::new() }
    }

    // Types.

    pub fn ptr_ty(&self) -> PointerType<'c> {
        self.context.ptr_type(AddressSpace::default())
    }
    /// The type of an element in a register.
    pub fn scalar_ty(&self, dtype: Dtype) -> BasicTypeEnum<'c> {
        match dtype {
            Dtype::F32 => self.context.f32_type().into(),
            Dtype::F64 => self.context.f64_type().into(),
            Dtype::I64 => self.context.i64_type().into(),
            Dtype::Bool => self.context.bool_type().into(),
        }
    }
    /// The type of elements in a register.
    pub fn ty(&self, dtype: Dtype, lanes: u32) -> BasicTypeEnum<'c> {
        self.widen(self.scalar_ty(dtype), lanes)
    }
    /// The type of elements in memory: truth values are bytes there.
    pub fn memory_ty(&self, dtype: Dtype, lanes: u32) -> BasicTypeEnum<'c> {
        match dtype {
            Dtype::Bool => self.widen(self.context.i8_type().into(), lanes),
            _ => self.ty(dtype, lanes),
        }
    }
    fn widen(&self, ty: BasicTypeEnum<'c>, lanes: u32) -> BasicTypeEnum<'c> {
        match ty {
            _ if lanes == 1 => ty,
            BasicTypeEnum::FloatType(t) => t.vec_type(lanes).into(),
            BasicTypeEnum::IntType(t) => t.vec_type(lanes).into(),
            BasicTypeEnum::PointerType(t) => t.vec_type(lanes).into(),
            _ => unreachable!("elements are numbers or pointers"),
        }
    }
    /// An integer type of as many bits and lanes as a real value has.
    pub fn bits_ty(&self, x: Reg<'c>) -> BasicTypeEnum<'c> {
        let int = if self.is_f64(x) { self.context.i64_type() } else { self.context.i32_type() };
        self.widen(int.into(), lanes(x))
    }
    /// Whether a real value is of double precision.
    pub fn is_f64(&self, x: Reg<'c>) -> bool {
        let f64 = self.context.f64_type();
        match x.get_type() {
            BasicTypeEnum::FloatType(t) => t == f64,
            BasicTypeEnum::VectorType(t) => t.get_element_type() == f64.into(),
            _ => false,
        }
    }

    // Constants.

    pub fn int(&self, value: i64) -> IntValue<'c> {
        self.context.i64_type().const_int(value as u64, true)
    }
    pub fn int32(&self, value: u32) -> IntValue<'c> {
        self.context.i32_type().const_int(value.into(), false)
    }
    pub fn bool(&self, value: bool) -> IntValue<'c> {
        self.context.bool_type().const_int(value.into(), false)
    }
    pub fn constant(&self, value: Scalar, lanes: u32) -> Reg<'c> {
        let one: Reg<'c> = match value {
            // Through bits: a NaN keeps its payload.
            Scalar::F32(x) if x.is_nan() => {
                let bits = self.context.i32_type().const_int(x.to_bits().into(), false);
                self.cast(InstructionOpcode::BitCast, bits.into(), self.scalar_ty(Dtype::F32))
            }
            Scalar::F32(x) => self.context.f32_type().const_float(x.into()).into(),
            Scalar::F64(x) => self.context.f64_type().const_float(x).into(),
            Scalar::I64(x) => self.int(x).into(),
            Scalar::Bool(x) => self.bool(x).into(),
        };
        self.repeat(one, lanes)
    }
    /// A constant vector, or the constant itself.
    pub fn repeat(&self, one: Reg<'c>, lanes: u32) -> Reg<'c> {
        if lanes == 1 {
            return one;
        }
        let n = lanes as usize;
        match one {
            Reg::FloatValue(x) if x.is_const() => {
                inkwell::types::VectorType::const_vector(&vec![x; n]).into()
            }
            Reg::IntValue(x) if x.is_const() => inkwell::types::VectorType::const_vector(&vec![x; n]).into(),
            _ => self.splat(one, lanes),
        }
    }
    /// A real constant of the type of another value.
    pub fn like(&self, x: Reg<'c>, value: f64) -> Reg<'c> {
        let dtype = if self.is_f64(x) { Dtype::F64 } else { Dtype::F32 };
        self.constant(Scalar::of(dtype, value), lanes(x))
    }
    /// An integer constant of as many bits and lanes as a real value has.
    pub fn bits_like(&self, x: Reg<'c>, value: i64) -> Reg<'c> {
        let int = if self.is_f64(x) { self.context.i64_type() } else { self.context.i32_type() };
        self.repeat(int.const_int(value as u64, true).into(), lanes(x))
    }
    pub fn int_vector(&self, values: impl Iterator<Item = i64>) -> VectorValue<'c> {
        let values: Vec<IntValue<'c>> = values.map(|x| self.int(x)).collect();
        inkwell::types::VectorType::const_vector(&values)
    }
    /// The mask whose first `active` lanes hold.
    pub fn first_lanes(&self, active: u32, lanes: u32) -> VectorValue<'c> {
        let mask: Vec<IntValue<'c>> = (0..lanes).map(|i| self.bool(i < active)).collect();
        inkwell::types::VectorType::const_vector(&mask)
    }

    // Operators.

    pub fn op(&self, op: InstructionOpcode, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        built(self.builder.build_binop(op, a, b, ""))
    }
    pub fn add(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.op(InstructionOpcode::FAdd, a, b)
    }
    pub fn sub(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.op(InstructionOpcode::FSub, a, b)
    }
    pub fn mul(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.op(InstructionOpcode::FMul, a, b)
    }
    pub fn div(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.op(InstructionOpcode::FDiv, a, b)
    }
    /// `a·b + c`, rounded once where the processor can, else twice.
    pub fn fma(&self, a: Reg<'c>, b: Reg<'c>, c: Reg<'c>) -> Reg<'c> {
        self.intrinsic("llvm.fmuladd", &[a.get_type()], &[a, b, c])
    }
    pub fn neg(&self, x: Reg<'c>) -> Reg<'c> {
        match x {
            Reg::FloatValue(x) => built(self.builder.build_float_neg(x, "")).into(),
            Reg::VectorValue(x) => built(self.builder.build_float_neg(x, "")).into(),
            _ => unreachable!("negation of a real"),
        }
    }
    pub fn index_add(&self, a: IntValue<'c>, b: IntValue<'c>) -> IntValue<'c> {
        built(self.builder.build_int_nsw_add(a, b, ""))
    }
    pub fn index_sub(&self, a: IntValue<'c>, b: IntValue<'c>) -> IntValue<'c> {
        built(self.builder.build_int_nsw_sub(a, b, ""))
    }
    pub fn index_mul(&self, a: IntValue<'c>, by: i64) -> IntValue<'c> {
        if by == 1 { a } else { built(self.builder.build_int_nsw_mul(a, self.int(by), "")) }
    }
    /// An intrinsic function of two integers.
    pub fn int_intrinsic(&self, name: &str, a: IntValue<'c>, b: IntValue<'c>) -> IntValue<'c> {
        self.intrinsic(name, &[a.get_type().into()], &[a.into(), b.into()]).into_int_value()
    }
    pub fn fcmp(&self, predicate: FloatPredicate, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        match (a, b) {
            (Reg::FloatValue(a), Reg::FloatValue(b)) => {
                built(self.builder.build_float_compare(predicate, a, b, "")).into()
            }
            _ => {
                let (a, b) = (a.into_vector_value(), b.into_vector_value());
                built(self.builder.build_float_compare(predicate, a, b, "")).into()
            }
        }
    }
    pub fn icmp(&self, predicate: IntPredicate, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        match (a, b) {
            (Reg::IntValue(a), Reg::IntValue(b)) => {
                built(self.builder.build_int_compare(predicate, a, b, "")).into()
            }
            _ => {
                let (a, b) = (a.into_vector_value(), b.into_vector_value());
                built(self.builder.build_int_compare(predicate, a, b, "")).into()
            }
        }
    }
    /// `then` where the condition holds; a scalar condition chooses whole vectors.
    pub fn select(&self, condition: Reg<'c>, then: Reg<'c>, otherwise: Reg<'c>) -> Reg<'c> {
        match condition {
            Reg::VectorValue(c) => built(self.builder.build_select(c, then, otherwise, "")),
            c => built(self.builder.build_select(c.into_int_value(), then, otherwise, "")),
        }
    }
    pub fn cast(&self, op: InstructionOpcode, x: Reg<'c>, to: BasicTypeEnum<'c>) -> Reg<'c> {
        built(self.builder.build_cast(op, x, to, ""))
    }
    pub fn splat(&self, x: Reg<'c>, lanes: u32) -> Reg<'c> {
        if lanes == 1 || x.is_vector_value() {
            return x;
        }
        let ty = self.widen(x.get_type(), lanes).into_vector_type();
        let first = built(self.builder.build_insert_element(ty.get_poison(), x, self.int32(0), ""));
        let zeros = self.context.i32_type().vec_type(lanes).const_zero();
        built(self.builder.build_shuffle_vector(first, ty.get_poison(), zeros, "")).into()
    }
    /// Lanes chosen from two vectors one after the other.
    pub fn shuffle(&self, a: Reg<'c>, b: Reg<'c>, choice: impl Iterator<Item = u32>) -> Reg<'c> {
        let choice: Vec<IntValue<'c>> = choice.map(|i| self.int32(i)).collect();
        let mask = inkwell::types::VectorType::const_vector(&choice);
        built(self.builder.build_shuffle_vector(a.into_vector_value(), b.into_vector_value(), mask, ""))
            .into()
    }
    pub fn lane(&self, x: Reg<'c>, lane: u32) -> Reg<'c> {
        match x {
            Reg::VectorValue(x) => built(self.builder.build_extract_element(x, self.int32(lane), "")),
            _ => x,
        }
    }
    pub fn with_lane(&self, x: Reg<'c>, element: Reg<'c>, lane: u32) -> Reg<'c> {
        built(self.builder.build_insert_element(x.into_vector_value(), element, self.int32(lane), "")).into()
    }

    // Calls.

    pub fn intrinsic(&self, name: &str, types: &[BasicTypeEnum<'c>], args: &[Reg<'c>]) -> Reg<'c> {
        self.result(self.call_intrinsic(name, types, args))
    }
    /// An intrinsic without a result.
    pub fn effect(&self, name: &str, types: &[BasicTypeEnum<'c>], args: &[Reg<'c>]) {
        self.call_intrinsic(name, types, args);
    }
    fn call_intrinsic(&self, name: &str, types: &[BasicTypeEnum<'c>], args: &[Reg<'c>]) -> CallSiteValue<'c> {
        let declared = Intrinsic::find(name).and_then(|i| i.get_declaration(&self.module, types));
        self.call(declared.expect("an intrinsic of LLVM 19, for these types"), args)
    }
    pub fn call(&self, function: FunctionValue<'c>, args: &[Reg<'c>]) -> CallSiteValue<'c> {
        let args: Vec<BasicMetadataValueEnum<'c>> = args.iter().map(|&x| x.into()).collect();
        let call = built(self.builder.build_call(function, &args, ""));
        call.set_call_convention(function.get_call_conventions());
        call
    }
    pub fn call_pointer(
        &self,
        ty: FunctionType<'c>,
        code: PointerValue<'c>,
        args: &[Reg<'c>],
        convention: u32,
    ) -> CallSiteValue<'c> {
        let args: Vec<BasicMetadataValueEnum<'c>> = args.iter().map(|&x| x.into()).collect();
        let call = built(self.builder.build_indirect_call(ty, code, &args, ""));
        call.set_call_convention(convention);
        call
    }
    pub fn result(&self, call: CallSiteValue<'c>) -> Reg<'c> {
        match call.try_as_basic_value() {
            ValueKind::Basic(x) => x,
            ValueKind::Instruction(_) => unreachable!("a function with a result"),
        }
    }
    /// A function of reals in the process, applied lane by lane.
    pub fn library(&self, name: &str, args: &[Reg<'c>]) -> Reg<'c> {
        let n = lanes(args[0]);
        let element = self.lane(args[0], 0).get_type();
        let function = self.module.get_function(name).unwrap_or_else(|| {
            let params: Vec<BasicMetadataTypeEnum<'c>> = args.iter().map(|_| element.into()).collect();
            self.module.add_function(name, element.fn_type(&params, false), None)
        });
        if n == 1 {
            return self.result(self.call(function, args));
        }
        let mut out: Reg<'c> = self.widen(element, n).into_vector_type().get_poison().into();
        for i in 0..n {
            let args: Vec<Reg<'c>> = args.iter().map(|&x| self.lane(x, i)).collect();
            out = self.with_lane(out, self.result(self.call(function, &args)), i);
        }
        out
    }

    // Memory.

    /// The address `index` elements of a type after another.
    pub fn at(&self, ty: BasicTypeEnum<'c>, ptr: PointerValue<'c>, index: IntValue<'c>) -> PointerValue<'c> {
        // SAFETY: of the builder, not of the pointer: the element type is sized, and the index an integer.
        built(unsafe { self.builder.build_gep(ty, ptr, &[index], "") })
    }
    /// The address a number of bytes after another.
    pub fn bytes(&self, ptr: PointerValue<'c>, offset: i64) -> PointerValue<'c> {
        if offset == 0 { ptr } else { self.at(self.context.i8_type().into(), ptr, self.int(offset)) }
    }
    pub fn load_raw(&self, ty: BasicTypeEnum<'c>, ptr: PointerValue<'c>) -> Reg<'c> {
        built(self.builder.build_load(ty, ptr, ""))
    }
    pub fn load_ptr(&self, ptr: PointerValue<'c>) -> PointerValue<'c> {
        self.load_raw(self.ptr_ty().into(), ptr).into_pointer_value()
    }
    pub fn store_raw(&self, x: Reg<'c>, ptr: PointerValue<'c>) -> InstructionValue<'c> {
        built(self.builder.build_store(ptr, x))
    }
    /// Elements as they are in memory.
    pub fn in_memory(&self, dtype: Dtype, x: Reg<'c>) -> Reg<'c> {
        match dtype {
            Dtype::Bool => self.cast(InstructionOpcode::ZExt, x, self.memory_ty(dtype, lanes(x))),
            _ => x,
        }
    }
    /// Elements as they are in registers.
    pub fn in_register(&self, dtype: Dtype, x: Reg<'c>) -> Reg<'c> {
        match dtype {
            Dtype::Bool => self.cast(InstructionOpcode::Trunc, x, self.ty(dtype, lanes(x))),
            _ => x,
        }
    }
    /// Neighbouring elements at an address aligned as one element is.
    pub fn load(&self, dtype: Dtype, lanes: u32, ptr: PointerValue<'c>) -> Reg<'c> {
        let x = self.load_raw(self.memory_ty(dtype, lanes), ptr);
        let instruction = x.as_instruction_value().expect("a load is an instruction");
        instruction.set_alignment(element_bytes(dtype)).expect("a power of two");
        self.in_register(dtype, x)
    }
    pub fn store(&self, dtype: Dtype, x: Reg<'c>, ptr: PointerValue<'c>) {
        let instruction = self.store_raw(self.in_memory(dtype, x), ptr);
        instruction.set_alignment(element_bytes(dtype)).expect("a power of two");
    }
    /// The first elements of a vector, or all of them; the others are zeros.
    pub fn load_first(
        &self,
        dtype: Dtype,
        lanes: u32,
        active: Option<u32>,
        ptr: PointerValue<'c>,
    ) -> Reg<'c> {
        let Some(active) = active else { return self.load(dtype, lanes, ptr) };
        let ty = self.memory_ty(dtype, lanes);
        let (align, mask) = (self.int32(element_bytes(dtype)).into(), self.first_lanes(active, lanes).into());
        let zeros = ty.into_vector_type().const_zero().into();
        let x = self.intrinsic(
            "llvm.masked.load",
            &[ty, self.ptr_ty().into()],
            &[ptr.into(), align, mask, zeros],
        );
        self.in_register(dtype, x)
    }
    /// Stores the first elements of a vector, or all of them.
    pub fn store_first(&self, dtype: Dtype, x: Reg<'c>, active: Option<u32>, ptr: PointerValue<'c>) {
        let Some(active) = active else { return self.store(dtype, x, ptr) };
        let (align, mask) =
            (self.int32(element_bytes(dtype)).into(), self.first_lanes(active, lanes(x)).into());
        let types = [self.memory_ty(dtype, lanes(x)), self.ptr_ty().into()];
        self.effect("llvm.masked.store", &types, &[self.in_memory(dtype, x), ptr.into(), align, mask]);
    }
    pub fn copy(&self, to: PointerValue<'c>, from: PointerValue<'c>, bytes: u64) {
        if bytes > 0 {
            built(self.builder.build_memcpy(to, 1, from, 1, self.int(bytes as i64)));
        }
    }
    pub fn zero(&self, ptr: PointerValue<'c>, bytes: u64) {
        if bytes > 0 {
            let zero = self.context.i8_type().const_zero();
            built(self.builder.build_memset(ptr, 1, zero, self.int(bytes as i64)));
        }
    }
    pub fn alloca(&self, ty: BasicTypeEnum<'c>) -> PointerValue<'c> {
        built(self.builder.build_alloca(ty, ""))
    }
    pub fn stack_pointer(&self) -> PointerValue<'c> {
        self.intrinsic("llvm.stacksave", &[self.ptr_ty().into()], &[]).into_pointer_value()
    }
}

/// Size of an element in memory.
pub fn element_bytes(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F32 => 4,
        Dtype::F64 | Dtype::I64 => 8,
        Dtype::Bool => 1,
    }
}

/// Whether values of a type are kept in registers.
pub fn is_scalar(ty: &Type) -> bool {
    ty.shape.is_empty()
}

/// Bytes of a value in memory.
pub fn bytes(ty: &Type) -> u64 {
    ty.size() as u64 * u64::from(element_bytes(ty.dtype))
}
