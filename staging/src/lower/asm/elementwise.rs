//! The operators on elements, in scalars or vectors, each as the interpreter defines it.

use inkwell::values::InstructionOpcode;
use inkwell::{FloatPredicate, IntPredicate};

use crate::ir::expr::{Binary, Comparison, Unary};
use crate::ir::types::{Dtype, Scalar};
use crate::lower::asm::math::{self, Math};
use crate::lower::asm::{Asm, Reg, lanes};

pub fn unary<'c>(asm: &Asm<'c>, math: Math, op: Unary, x: Reg<'c>, dtype: Dtype) -> Reg<'c> {
    let zero = || asm.like(x, 0.0);
    match op {
        Unary::Neg if dtype == Dtype::I64 => {
            asm.op(InstructionOpcode::Sub, asm.constant(Scalar::I64(0), lanes(x)), x)
        }
        Unary::Neg => asm.neg(x),
        Unary::Not => asm.op(InstructionOpcode::Xor, x, asm.constant(Scalar::Bool(true), lanes(x))),
        Unary::Recip => asm.div(asm.like(x, 1.0), x),
        Unary::Abs => asm.intrinsic("llvm.fabs", &[x.get_type()], &[x]),
        Unary::Sqrt => asm.intrinsic("llvm.sqrt", &[x.get_type()], &[x]),
        Unary::Sign => {
            let one = asm.intrinsic("llvm.copysign", &[x.get_type()], &[asm.like(x, 1.0), x]);
            let number = asm.select(is_nan(asm, x), x, one);
            asm.select(asm.fcmp(FloatPredicate::OEQ, x, zero()), zero(), number)
        }
        Unary::Relu => asm.select(asm.fcmp(FloatPredicate::OLE, x, zero()), zero(), x),
        Unary::Exp
        | Unary::Expm1
        | Unary::Log
        | Unary::Log1p
        | Unary::Sin
        | Unary::Cos
        | Unary::Tan
        | Unary::Tanh
        | Unary::Sigmoid
        | Unary::Softplus
        | Unary::Erf
        | Unary::Erfc
        | Unary::Exp2
        | Unary::Log2
        | Unary::Log10
        | Unary::Cbrt
        | Unary::Sinh
        | Unary::Cosh
        | Unary::Asin
        | Unary::Acos
        | Unary::Atan
        | Unary::Asinh
        | Unary::Acosh
        | Unary::Atanh
        | Unary::Lgamma
        | Unary::I0
        | Unary::I1 => math::function(asm, math, op, x),
        Unary::Floor => asm.intrinsic("llvm.floor", &[x.get_type()], &[x]),
        Unary::Ceil => asm.intrinsic("llvm.ceil", &[x.get_type()], &[x]),
        Unary::Trunc => asm.intrinsic("llvm.trunc", &[x.get_type()], &[x]),
        // To even, as nobody changes the mode of rounding: older C libraries lack a function that says so.
        Unary::Round => asm.intrinsic("llvm.nearbyint", &[x.get_type()], &[x]),
    }
}

pub fn binary<'c>(asm: &Asm<'c>, math: Math, op: Binary, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
    use InstructionOpcode as I;
    let integer = match a {
        Reg::IntValue(_) => true,
        Reg::VectorValue(v) => v.get_type().get_element_type().is_int_type(),
        _ => false,
    };
    match op {
        Binary::Add => asm.op(if integer { I::Add } else { I::FAdd }, a, b),
        Binary::Sub => asm.op(if integer { I::Sub } else { I::FSub }, a, b),
        Binary::Mul => asm.op(if integer { I::Mul } else { I::FMul }, a, b),
        Binary::Div => asm.div(a, b),
        Binary::And => asm.op(I::And, a, b),
        Binary::Or => asm.op(I::Or, a, b),
        Binary::Pow | Binary::Atan2 | Binary::Hypot | Binary::Fmod => math::binary(asm, math, op, a, b),
        Binary::FloorDivide => floor_divide(asm, a, b),
        Binary::Maximum => extremum(asm, FloatPredicate::OGT, a, b),
        Binary::Minimum => extremum(asm, FloatPredicate::OLT, a, b),
    }
}

/// `a/b` of integers, rounded down: 0 where `b` is 0, and −a where it is −1. The processor divides by neither.
fn floor_divide<'c>(asm: &Asm<'c>, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
    use InstructionOpcode as I;
    let [zero, one, minus_one] = [0, 1, -1].map(|x| asm.constant(Scalar::I64(x), lanes(a)));
    let is = |predicate, x, y| asm.icmp(predicate, x, y);
    let (by_zero, by_minus_one) = (is(IntPredicate::EQ, b, zero), is(IntPredicate::EQ, b, minus_one));
    let divisor = asm.select(asm.op(I::Or, by_zero, by_minus_one), one, b);
    let quotient = asm.op(I::SDiv, a, divisor);
    let rest = asm.op(I::Sub, a, asm.op(I::Mul, quotient, divisor));
    let signs_differ = is(IntPredicate::SLT, asm.op(I::Xor, rest, divisor), zero);
    let above = asm.op(I::And, is(IntPredicate::NE, rest, zero), signs_differ);
    let down = asm.select(above, asm.op(I::Sub, quotient, one), quotient);
    let quotient = asm.select(by_minus_one, asm.op(I::Sub, zero, a), down);
    asm.select(by_zero, zero, quotient)
}

fn extremum<'c>(asm: &Asm<'c>, wins: FloatPredicate, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
    let first = asm.op(InstructionOpcode::Or, asm.fcmp(wins, a, b), is_nan(asm, a));
    asm.select(first, a, b)
}

pub fn compare<'c>(asm: &Asm<'c>, op: Comparison, a: Reg<'c>, b: Reg<'c>, dtype: Dtype) -> Reg<'c> {
    if dtype.is_float() {
        let predicate = match op {
            Comparison::Less => FloatPredicate::OLT,
            Comparison::LessEqual => FloatPredicate::OLE,
            Comparison::Equal => FloatPredicate::OEQ,
        };
        return asm.fcmp(predicate, a, b);
    }
    let predicate = match op {
        Comparison::Less => IntPredicate::SLT,
        Comparison::LessEqual => IntPredicate::SLE,
        Comparison::Equal => IntPredicate::EQ,
    };
    asm.icmp(predicate, a, b)
}

pub fn clamp<'c>(asm: &Asm<'c>, x: Reg<'c>, low: Scalar, high: Scalar) -> Reg<'c> {
    let [low, high] = [low, high].map(|end| asm.constant(end, lanes(x)));
    let below = asm.select(asm.fcmp(FloatPredicate::OGT, x, high), high, x);
    asm.select(asm.fcmp(FloatPredicate::OLT, x, low), low, below)
}

/// `xⁿ` by squaring, in the order in which Rust's `powi` multiplies.
pub fn powi<'c>(asm: &Asm<'c>, x: Reg<'c>, n: i32) -> Reg<'c> {
    let (mut square, mut product, mut rest) = (x, None, n.unsigned_abs());
    loop {
        if rest & 1 == 1 {
            product = Some(product.map_or(square, |p| asm.mul(p, square)));
        }
        rest >>= 1;
        if rest == 0 {
            break;
        }
        square = asm.mul(square, square);
    }
    let one = asm.like(x, 1.0);
    let product = product.unwrap_or(one);
    if n < 0 { asm.div(one, product) } else { product }
}

pub fn convert<'c>(asm: &Asm<'c>, x: Reg<'c>, from: Dtype, to: Dtype) -> Reg<'c> {
    if from.is_float() {
        return asm.intrinsic("llvm.fptosi.sat", &[asm.ty(to, lanes(x)), x.get_type()], &[x]);
    }
    let op = if from == Dtype::Bool { InstructionOpcode::UIToFP } else { InstructionOpcode::SIToFP };
    asm.cast(op, x, asm.ty(to, lanes(x)))
}

/// The finaliser of SplitMix64.
fn mix<'c>(asm: &Asm<'c>, z: Reg<'c>) -> Reg<'c> {
    let constant = |x: u64| asm.constant(Scalar::I64(x as i64), lanes(z));
    let shifted = |z: Reg<'c>, by: u64| {
        asm.op(InstructionOpcode::Xor, z, asm.op(InstructionOpcode::LShr, z, constant(by)))
    };
    let z = asm.op(InstructionOpcode::Mul, shifted(z, 30), constant(0xbf58_476d_1ce4_e5b9));
    let z = asm.op(InstructionOpcode::Mul, shifted(z, 27), constant(0x94d0_49bb_1331_11eb));
    shifted(z, 31)
}

/// The sample of a seed at a position: as many of the mixture's uppermost bits as the significand has.
pub fn uniform<'c>(asm: &Asm<'c>, seed: Reg<'c>, position: Reg<'c>, dtype: Dtype) -> Reg<'c> {
    let n = lanes(position);
    let constant = |x: u64| asm.constant(Scalar::I64(x as i64), n);
    let golden = constant(0x9e37_79b9_7f4a_7c15);
    let key = mix(asm, asm.op(InstructionOpcode::Add, seed, golden));
    let next = asm.op(InstructionOpcode::Add, position, constant(1));
    let step = asm.op(InstructionOpcode::Mul, next, golden);
    let bits = mix(asm, asm.op(InstructionOpcode::Add, key, step));
    let digits = if dtype == Dtype::F32 { 24 } else { 53 };
    let top = asm.op(InstructionOpcode::LShr, bits, constant(64 - digits));
    let real = asm.cast(InstructionOpcode::SIToFP, top, asm.ty(dtype, n));
    asm.mul(real, asm.like(real, 1.0 / (1u64 << digits) as f64))
}

/// Where `x` is not a number.
pub fn is_nan<'c>(asm: &Asm<'c>, x: Reg<'c>) -> Reg<'c> {
    asm.fcmp(FloatPredicate::UNO, x, x)
}
