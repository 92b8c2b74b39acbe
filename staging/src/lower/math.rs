//! Transcendental functions.

use inkwell::FloatPredicate;

use crate::expr::{Binary, Unary};
use crate::lower::asm::{Asm, Reg};
use crate::lower::elementwise;
use crate::types::Dtype;

/// How reals are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Math {
    /// Whether every bit must be the interpreter's: no reassociation, no contraction, the C library's functions.
    pub strict: bool,
}

/// A function that is not an instruction.
pub fn function<'c>(asm: &Asm<'c>, math: Math, op: Unary, x: Reg<'c>) -> Reg<'c> {
    let dtype = if asm.is_f64(x) { Dtype::F64 } else { Dtype::F32 };
    let of = |op: Unary, x: Reg<'c>| elementwise::unary(asm, math, op, x, dtype);
    let decayed = || of(Unary::Exp, asm.neg(of(Unary::Abs, x)));
    match op {
        Unary::Sigmoid => {
            let (one, e) = (asm.like(x, 1.0), decayed());
            let negative = asm.fcmp(FloatPredicate::OLT, x, asm.like(x, 0.0));
            asm.div(asm.select(negative, e, one), asm.add(one, e))
        }
        Unary::Softplus => asm.add(of(Unary::Relu, x), of(Unary::Log1p, decayed())),
        _ => library(asm, op, x),
    }
}

/// A function of the process: see [`jit::symbols`](crate::jit::symbols).
fn library<'c>(asm: &Asm<'c>, op: Unary, x: Reg<'c>) -> Reg<'c> {
    let width = if asm.is_f64(x) { 64 } else { 32 };
    asm.library(&format!("antiphon_{}_{width}", op.name()), &[x])
}

pub fn pow<'c>(asm: &Asm<'c>, _math: Math, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
    let width = if asm.is_f64(a) { 64 } else { 32 };
    asm.library(&format!("antiphon_{}_{width}", Binary::Pow.name()), &[a, b])
}
