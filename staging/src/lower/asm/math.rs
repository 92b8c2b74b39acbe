//! Transcendental functions. A strict program calls the C library's, lane by lane; else they are polynomials, emitted
//! inline for scalars and vectors alike, so that they fuse with what surrounds them. The polynomials are those of
//! fdlibm (Ng, Sun Microsystems 1993) and Cephes (Moshier 1989), but `eˣ` in double precision, which is Taylor's, and
//! those of `erf`. Inverses, hyperbolic functions and others have formulas that arrays share (`antiphon_elementary`).
//! Those of numbers that a program applies very often are functions of the module.

use std::collections::HashMap;

use inkwell::FloatPredicate;
use inkwell::module::Linkage;
use inkwell::types::BasicType;
use inkwell::values::InstructionOpcode as I;

use crate::ir::Program;
use crate::ir::expr::{Binary, Expr, Unary};
use crate::ir::types::Dtype;
use crate::lower::asm::elementwise;
use crate::lower::asm::{Asm, FAST, Reg, lanes};

/// Uses of an elementary function of numbers by a program, up to which all of them are emitted inline.
const INLINE: usize = 128;

/// How reals are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Math {
    /// Whether every bit must be the interpreter's: no reassociation, no contraction, the C library's functions.
    pub strict: bool,
}

/// Whether an operator is a function that takes many instructions.
pub fn is_elementary(op: Unary) -> bool {
    use Unary::*;
    match op {
        Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Tanh | Sigmoid | Softplus | Erf | Erfc | Exp2
        | Log2 | Log10 | Cbrt | Sinh | Cosh | Asin | Acos | Atan | Asinh | Acosh | Atanh | Lgamma | I0
        | I1 => true,
        Neg | Recip | Abs | Sign | Sqrt | Relu | Not | Floor | Ceil | Round | Trunc => false,
    }
}

/// The elementary functions of numbers that a program applies so often that one function of the module each serves
/// better than as many copies.
pub fn frequent(program: &Program, math: Math) -> Vec<(Unary, Dtype)> {
    let mut uses: HashMap<(Unary, Dtype), usize> = HashMap::new();
    for expr in program.exprs() {
        if let &Expr::Unary(op, x) = expr
            && is_elementary(op)
            && !math.strict
            && program.ty(x).shape.is_empty()
        {
            *uses.entry((op, program.ty(x).dtype)).or_default() += 1;
        }
    }
    let all = Unary::ALL.iter().flat_map(|&op| [(op, Dtype::F32), (op, Dtype::F64)]);
    all.filter(|function| uses.get(function).is_some_and(|&count| count > INLINE)).collect()
}

/// Emits elementary functions of numbers as functions of the module.
pub fn emit_functions(asm: &mut Asm<'_>, math: Math, wanted: Vec<(Unary, Dtype)>) {
    for (op, dtype) in wanted {
        let number = asm.scalar_ty(dtype);
        let ty = number.fn_type(&[number.into()], false);
        let function = asm.module.add_function(&format!("{}_{dtype}", op.name()), ty, Some(Linkage::Private));
        function.set_call_conventions(FAST);
        asm.attributes(function);
        asm.pure(function);
        asm.go_to(asm.context.append_basic_block(function, "entry"));
        let x = function.get_first_param().expect("it has one parameter");
        let y = elementwise::unary(asm, math, op, x, dtype);
        asm.ret(Some(y));
        asm.elementary.insert((op, dtype), function);
    }
}

/// A function that is not an instruction.
pub fn function<'c>(asm: &Asm<'c>, math: Math, op: Unary, x: Reg<'c>) -> Reg<'c> {
    let dtype = if asm.is_f64(x) { Dtype::F64 } else { Dtype::F32 };
    let of = |op: Unary, x: Reg<'c>| elementwise::unary(asm, math, op, x, dtype);
    let decayed = || of(Unary::Exp, asm.neg(of(Unary::Abs, x)));
    let e = Emitter { asm };
    let formula = Formula { e: Emitter { asm }, like: x };
    match op {
        Unary::Sigmoid => {
            let (one, e) = (asm.like(x, 1.0), decayed());
            let negative = asm.fcmp(FloatPredicate::OLT, x, asm.like(x, 0.0));
            asm.div(asm.select(negative, e, one), asm.add(one, e))
        }
        Unary::Softplus => asm.add(of(Unary::Relu, x), of(Unary::Log1p, decayed())),
        Unary::Exp if !math.strict => e.exp(x),
        Unary::Expm1 if !math.strict => e.expm1(x),
        Unary::Tanh if !math.strict => e.tanh(x),
        Unary::Log if !math.strict => e.log(x),
        Unary::Log1p if !math.strict => e.log1p(x),
        Unary::Sin if !math.strict => e.circular(x, op),
        Unary::Cos if !math.strict => e.circular(x, op),
        Unary::Tan if !math.strict => e.circular(x, op),
        Unary::Erf if !math.strict => e.erf(x),
        Unary::Exp2 if !math.strict => antiphon_elementary::exp2(&formula, x),
        Unary::Log2 if !math.strict => antiphon_elementary::log2(&formula, x),
        Unary::Log10 if !math.strict => antiphon_elementary::log10(&formula, x),
        Unary::Cbrt if !math.strict => antiphon_elementary::cbrt(&formula, x),
        Unary::Sinh if !math.strict => antiphon_elementary::sinh(&formula, x),
        Unary::Cosh if !math.strict => antiphon_elementary::cosh(&formula, x),
        Unary::Asin if !math.strict => antiphon_elementary::asin(&formula, x),
        Unary::Acos if !math.strict => antiphon_elementary::acos(&formula, x),
        Unary::Atan if !math.strict => antiphon_elementary::atan(&formula, x),
        Unary::Asinh if !math.strict => antiphon_elementary::asinh(&formula, x),
        Unary::Acosh if !math.strict => antiphon_elementary::acosh(&formula, x),
        Unary::Atanh if !math.strict => antiphon_elementary::atanh(&formula, x),
        Unary::Lgamma if !math.strict => antiphon_elementary::lgamma(&formula, x),
        Unary::I0 if !math.strict => antiphon_elementary::i0(&formula, x),
        Unary::I1 if !math.strict => antiphon_elementary::i1(&formula, x),
        Unary::Erfc if !math.strict => antiphon_elementary::erfc(&formula, x, e.erf(x)),
        Unary::Exp
        | Unary::Expm1
        | Unary::Tanh
        | Unary::Log
        | Unary::Log1p
        | Unary::Sin
        | Unary::Cos
        | Unary::Tan
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
        | Unary::I1 => library(asm, op, x),
        Unary::Neg
        | Unary::Recip
        | Unary::Abs
        | Unary::Sign
        | Unary::Sqrt
        | Unary::Relu
        | Unary::Not
        | Unary::Floor
        | Unary::Ceil
        | Unary::Round
        | Unary::Trunc => unreachable!("{} is an instruction or a few", op.name()),
    }
}

/// A function of the process: see [`jit::symbols`](crate::jit::symbols).
fn library<'c>(asm: &Asm<'c>, op: Unary, x: Reg<'c>) -> Reg<'c> {
    let width = if asm.is_f64(x) { 64 } else { 32 };
    asm.library(&format!("antiphon_{}_{width}", op.name()), &[x])
}

/// A function of two reals.
pub fn binary<'c>(asm: &Asm<'c>, math: Math, op: Binary, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
    let formula = Formula { e: Emitter { asm }, like: a };
    match op {
        Binary::Atan2 if !math.strict => antiphon_elementary::atan2(&formula, a, b),
        Binary::Hypot if !math.strict => antiphon_elementary::hypot(&formula, a, b),
        Binary::Pow if !math.strict => antiphon_elementary::pow(&formula, a, b),
        Binary::Fmod => {
            // Exact in either way.
            let near = antiphon_elementary::fmod_is_near(&formula, a, b);
            formula
                .e
                .unless_far(near, antiphon_elementary::fmod(&formula, a, b), || of_library(asm, op, a, b))
        }
        _ => of_library(asm, op, a, b),
    }
}

/// The C library's, lane by lane.
fn of_library<'c>(asm: &Asm<'c>, op: Binary, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
    let width = if asm.is_f64(a) { 64 } else { 32 };
    asm.library(&format!("antiphon_{}_{width}", op.name()), &[a, b])
}

struct Emitter<'a, 'c> {
    asm: &'a Asm<'c>,
}

/// `1/2!, 1/3!, …` as far as the precision needs them where `|x| ≤ ln 2 / 2`.
const EXP_F64: [f64; 12] = [
    0.5,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];
const EXP_F32: [f64; 6] = [
    5.000_000_120_1e-1,
    1.666_666_545_9e-1,
    4.166_579_589_4e-2,
    8.333_451_907_3e-3,
    1.398_199_950_7e-3,
    1.987_569_150_0e-4,
];
const LOG_F64: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];
const LOG_F32: [f64; 4] = [0.666_666_626_93, 0.400_009_721_52, 0.284_987_866_88, 0.242_790_788_41];
const SIN_F64: [f64; 6] = [
    -1.666_666_666_666_663_2e-1,
    8.333_333_333_322_49e-3,
    -1.984_126_982_985_795e-4,
    2.755_731_370_707_006_8e-6,
    -2.505_076_025_340_686_3e-8,
    1.589_690_995_211_55e-10,
];
const COS_F64: [f64; 6] = [
    4.166_666_666_666_66e-2,
    -1.388_888_888_887_411e-3,
    2.480_158_728_947_673e-5,
    -2.755_731_435_139_066_3e-7,
    2.087_572_321_298_175e-9,
    -1.135_964_755_778_819_5e-11,
];
const SIN_F32: [f64; 3] = [-1.666_665_461_1e-1, 8.332_160_873_6e-3, -1.951_529_589_1e-4];
const COS_F32: [f64; 3] = [4.166_664_568_298_827e-2, -1.388_731_625_493_765e-3, 2.443_315_711_809_948e-5];
/// `erf(x)/x − 1` by `x²` where `|x| ≤ 1`, and `ln erfc x` by `x − 1` where `x ≥ 1`: weighted least squares at
/// Chebyshev's points, in 60 digits, reweighted by the errors in 12 rounds (Lawson 1961). The relative errors of erf
/// are 4e-8 and 1e-9, in double precision 7e-18 both, before rounding.
const ERF_F32: [f64; 6] =
    [1.283_791_22e-1, -3.761_232_61e-1, 1.128_017_95e-1, -2.671_129_36e-2, 4.917_531_52e-3, -5.631_343_45e-4];
const ERFC_F32: [f64; 7] = [
    -1.849_605_52,
    -2.638_966_88,
    -8.431_176_08e-1,
    -4.150_351_97e-2,
    9.895_539_13e-3,
    -1.829_471_96e-3,
    1.864_092_24e-4,
];
const ERF_F64: [f64; 12] = [
    1.283_791_670_955_125_6e-1,
    -3.761_263_890_318_352e-1,
    1.128_379_167_094_418_4e-1,
    -2.686_617_064_311_119_8e-2,
    5.223_977_606_116_341e-3,
    -8.548_325_929_216_072e-4,
    1.205_529_357_406_484_7e-4,
    -1.492_471_224_947_433e-5,
    1.644_713_094_546_619_1e-6,
    -1.620_630_912_583_212_5e-7,
    1.371_096_100_508_553_3e-8,
    -7.779_433_412_523_987e-10,
];
const ERFC_F64: [f64; 18] = [
    -1.849_605_509_933_248_2,
    -2.638_967_514_234_777_5,
    -8.431_072_563_593_315e-1,
    -4.156_109_802_665_887_4e-2,
    1.003_382_519_489_233e-2,
    -1.977_901_309_198_386_7e-3,
    2.373_167_914_377_312e-4,
    2.629_540_039_781_097_8e-5,
    -2.719_727_699_417_061e-5,
    9.669_140_573_946_818e-6,
    -2.129_786_291_732_778e-6,
    2.032_907_457_762_801_7e-7,
    5.879_670_590_076_016_3e-8,
    -3.368_312_855_917_724e-8,
    8.594_684_058_037_156e-9,
    -1.332_182_838_556_158_6e-9,
    1.206_645_394_030_988_5e-10,
    -4.926_514_389_125_621e-12,
];

impl<'c> Emitter<'_, 'c> {
    /// One of two constants, by precision.
    fn pick(&self, x: Reg<'c>, single: f64, double: f64) -> Reg<'c> {
        self.asm.like(x, if self.asm.is_f64(x) { double } else { single })
    }
    fn bits(&self, x: Reg<'c>) -> Reg<'c> {
        self.asm.cast(I::BitCast, x, self.asm.bits_ty(x))
    }
    fn real(&self, bits: Reg<'c>, like: Reg<'c>) -> Reg<'c> {
        self.asm.cast(I::BitCast, bits, like.get_type())
    }
    fn int(&self, x: Reg<'c>, op: I, bits: Reg<'c>, by: i64) -> Reg<'c> {
        self.asm.op(op, bits, self.asm.bits_like(x, by))
    }
    /// Number of bits of the significand that are stored.
    fn digits(&self, x: Reg<'c>) -> i64 {
        if self.asm.is_f64(x) { 52 } else { 23 }
    }
    /// `c₀ + c₁x + c₂x² + …`.
    fn polynomial(&self, x: Reg<'c>, coefficients: &[f64]) -> Reg<'c> {
        let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
        let start = self.asm.like(x, *last);
        rest.iter().rev().fold(start, |sum, &c| self.asm.fma(sum, x, self.asm.like(x, c)))
    }
    /// `x` limited to `low ..= high`; NaN for NaN.
    fn limit(&self, x: Reg<'c>, low: Reg<'c>, high: Reg<'c>) -> Reg<'c> {
        let x = self.asm.select(self.asm.fcmp(FloatPredicate::OLT, x, low), low, x);
        self.asm.select(self.asm.fcmp(FloatPredicate::OGT, x, high), high, x)
    }
    fn below(&self, x: Reg<'c>, bound: Reg<'c>) -> Reg<'c> {
        self.asm.fcmp(FloatPredicate::OLT, x, bound)
    }
    fn magnitude(&self, x: Reg<'c>) -> Reg<'c> {
        self.asm.intrinsic("llvm.fabs", &[x.get_type()], &[x])
    }

    /// The integer nearest to `x·factor`, as a real and as bits: adding 1.5·2ᵐ rounds to integers, which then are the
    /// lowest bits of the sum.
    fn nearest(&self, x: Reg<'c>, factor: f64) -> (Reg<'c>, Reg<'c>) {
        let magic = self.pick(x, 12_582_912.0, 6_755_399_441_055_744.0);
        let sum = self.asm.fma(x, self.asm.like(x, factor), magic);
        let bits = self.asm.op(I::Sub, self.bits(sum), self.bits(magic));
        (self.asm.sub(sum, magic), bits)
    }
    /// `2ⁿ`, for integers within the range of exponents of normal numbers.
    fn power_of_two(&self, x: Reg<'c>, n: Reg<'c>) -> Reg<'c> {
        let bias = if self.asm.is_f64(x) { 1023 } else { 127 };
        let shifted = self.int(x, I::Shl, self.int(x, I::Add, n, bias), self.digits(x));
        self.real(shifted, x)
    }
    /// `y·2ⁿ` for an integer `n`, given as a real and as bits, to which a normal number's exponent may be too small.
    fn scale(&self, y: Reg<'c>, n: Reg<'c>, bits: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let (name, mask) = match (asm.target.vector_bits, asm.is_f64(y), lanes(y)) {
            (512, false, 16) => ("llvm.x86.avx512.mask.scalef.ps.512", asm.context.i16_type()),
            (512, true, 8) => ("llvm.x86.avx512.mask.scalef.pd.512", asm.context.i8_type()),
            _ => {
                // In two steps, so that neither overflows where the product does not.
                let half = self.int(y, I::AShr, bits, 1);
                let rest = asm.op(I::Sub, bits, half);
                return asm.mul(asm.mul(y, self.power_of_two(y, half)), self.power_of_two(y, rest));
            }
        };
        const ROUNDING_AS_EVER: u32 = 4;
        let mask = mask.const_all_ones().into();
        asm.intrinsic(name, &[], &[y, n, asm.like(y, 0.0), mask, asm.int32(ROUNDING_AS_EVER).into()])
    }
    /// `n`, as a real and as bits, and `r`, where `x = n·ln 2 + r` and `|r| ≤ ln 2 / 2`.
    fn exp_parts(&self, x: Reg<'c>) -> ([Reg<'c>; 2], Reg<'c>) {
        let asm = self.asm;
        let (n, bits) = self.nearest(x, std::f64::consts::LOG2_E);
        let high = self.pick(x, -0.693_359_375, -6.931_471_803_691_238e-1);
        let low = self.pick(x, 2.121_944_4e-4, -1.908_214_929_270_587_7e-10);
        ([n, bits], asm.fma(n, low, asm.fma(n, high, x)))
    }
    /// The same with `eʳ − 1` instead of `r`.
    fn reduced_exp(&self, x: Reg<'c>) -> ([Reg<'c>; 2], Reg<'c>) {
        let asm = self.asm;
        let ([n, bits], r) = self.exp_parts(x);
        let p = self.polynomial(r, if asm.is_f64(x) { &EXP_F64 } else { &EXP_F32 });
        ([n, bits], asm.fma(asm.mul(r, r), p, r))
    }

    fn exp(&self, x: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let x = self.limit(x, self.pick(x, -104.0, -746.0), self.pick(x, 89.0, 710.0));
        let ([n, bits], less) = self.reduced_exp(x);
        self.scale(asm.add(less, asm.like(x, 1.0)), n, bits)
    }

    fn expm1(&self, x: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let limited = self.limit(x, self.pick(x, -20.0, -40.0), self.pick(x, 89.0, 710.0));
        let ([_, n], less) = self.reduced_exp(limited);
        let half = self.power_of_two(x, self.int(x, I::Sub, n, 1));
        let y = asm.fma(half, less, asm.sub(half, asm.like(x, 0.5)));
        let tiny = self.below(self.magnitude(x), self.pick(x, 2f64.powi(-25), 2f64.powi(-54)));
        asm.select(tiny, x, asm.add(y, y))
    }

    /// `(e²ˣ − 1)/(e²ˣ + 1)`.
    fn tanh(&self, x: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let a = self.limit(self.magnitude(x), asm.like(x, 0.0), self.pick(x, 10.0, 20.0));
        let e = self.expm1(asm.add(a, a));
        let t = asm.div(e, asm.add(e, asm.like(x, 2.0)));
        asm.intrinsic("llvm.copysign", &[x.get_type()], &[t, x])
    }

    /// `k` and `f` where `x = 2ᵏ(1 + f)` and `√½ ≤ 1 + f < √2`, for positive `x`.
    fn split(&self, x: Reg<'c>) -> (Reg<'c>, Reg<'c>) {
        let asm = self.asm;
        let digits = self.digits(x);
        // Denormals are made normal.
        let small = self.below(x, self.pick(x, f32::MIN_POSITIVE.into(), f64::MIN_POSITIVE));
        let normal = asm.select(small, asm.mul(x, asm.like(x, 2f64.powi(digits as i32))), x);
        let base = if asm.is_f64(x) { 0x3fe6_a09e_0000_0000 } else { 0x3f35_04f3 };
        let offset = self.int(x, I::Sub, self.bits(normal), base);
        let exponent = self.int(x, I::AShr, offset, digits);
        let k = asm.cast(I::SIToFP, exponent, x.get_type());
        let k = asm.select(small, asm.sub(k, asm.like(x, digits as f64)), k);
        let significand = self.int(x, I::And, offset, (1 << digits) - 1);
        let m = self.real(self.int(x, I::Add, significand, base), x);
        (k, asm.sub(m, asm.like(x, 1.0)))
    }

    /// `f²/2`, and `s·(f²/2 + R(s²))` with `s = f/(2 + f)`: with what is added to it, `ln(1 + f)` is `f` less the
    /// former and more the latter.
    fn log_series(&self, f: Reg<'c>, added: impl FnOnce(Reg<'c>, Reg<'c>) -> Reg<'c>) -> (Reg<'c>, Reg<'c>) {
        let asm = self.asm;
        let s = asm.div(f, asm.add(f, asm.like(f, 2.0)));
        let z = asm.mul(s, s);
        let r = asm.mul(z, self.polynomial(z, if asm.is_f64(f) { &LOG_F64 } else { &LOG_F32 }));
        let half = asm.mul(asm.mul(f, f), asm.like(f, 0.5));
        (half, added(s, asm.add(half, r)))
    }

    fn log(&self, x: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let (k, f) = self.split(x);
        let high = self.pick(x, 6.931_381_225_6e-1, 6.931_471_803_691_238e-1);
        let low = self.pick(x, 9.058_000_614_5e-6, 1.908_214_929_270_587_7e-10);
        let (half, tail) = self.log_series(f, |s, sum| asm.fma(s, sum, asm.mul(k, low)));
        let y = asm.fma(k, high, asm.add(asm.sub(tail, half), f));
        let infinity = asm.like(x, f64::INFINITY);
        let y = asm.select(self.below(x, infinity), y, x);
        let y = asm.select(self.below(x, asm.like(x, 0.0)), asm.like(x, f64::NAN), y);
        let zero = asm.fcmp(FloatPredicate::OEQ, x, asm.like(x, 0.0));
        asm.select(zero, asm.neg(infinity), y)
    }

    /// `ln(u)·x/(u − 1)` for the rounded `u = 1 + x` (Kahan; Goldberg 1991, theorem 4).
    fn log1p(&self, x: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let one = asm.like(x, 1.0);
        let u = asm.add(x, one);
        let y = asm.mul(self.log(u), asm.div(x, asm.sub(u, one)));
        let exact = asm.fcmp(FloatPredicate::OEQ, u, one);
        let y = asm.select(exact, x, y);
        asm.select(self.below(x, asm.like(x, f64::INFINITY)), y, x)
    }

    /// `x + x·p(x²)` where `|x| < 1`, else `1 − e^q(|x| − 1)`, which is 1 from `|x| = 4` on, in double precision 6.
    fn erf(&self, x: Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let (near, far): (&[f64], &[f64]) =
            if asm.is_f64(x) { (&ERF_F64, &ERFC_F64) } else { (&ERF_F32, &ERFC_F32) };
        let (one, size) = (asm.like(x, 1.0), self.magnitude(x));
        let low = asm.fma(x, self.polynomial(asm.mul(x, x), near), x);
        let beyond = self.limit(asm.sub(size, one), asm.like(x, 0.0), self.pick(x, 3.0, 5.0));
        let ([_, n], less) = self.reduced_exp(self.polynomial(beyond, far));
        let rest = asm.mul(self.power_of_two(x, n), asm.add(less, one));
        let high = asm.intrinsic("llvm.copysign", &[x.get_type()], &[asm.sub(one, rest), x]);
        asm.select(self.below(size, one), low, high)
    }

    /// Sine, cosine or tangent: by octants as far as π/2 can be subtracted in three parts, else the C library's.
    fn circular(&self, x: Reg<'c>, op: Unary) -> Reg<'c> {
        let near = self.below(self.magnitude(x), self.pick(x, 8192.0, 1_000_000.0));
        self.unless_far(near, self.near_circular(x, op), || library(self.asm, op, x))
    }

    /// A value that is right where the mask holds; where it does not for all lanes, another one of all of them.
    fn unless_far(&self, near: Reg<'c>, fast: Reg<'c>, slow: impl FnOnce() -> Reg<'c>) -> Reg<'c> {
        let asm = self.asm;
        let all = match near {
            Reg::VectorValue(_) => asm.intrinsic("llvm.vector.reduce.and", &[near.get_type()], &[near]),
            near => near,
        };
        let (far, done) = (asm.block("far"), asm.block("near"));
        let from = asm.here();
        asm.branch(all, done, far);
        asm.go_to(far);
        let slow = slow();
        asm.jump(done);
        asm.go_to(done);
        asm.phi(fast.get_type(), &[(fast, from), (slow, far)])
    }

    fn near_circular(&self, x: Reg<'c>, op: Unary) -> Reg<'c> {
        let asm = self.asm;
        let (n, mut quadrant) = self.nearest(x, std::f64::consts::FRAC_2_PI);
        let parts = [
            self.pick(x, -1.570_312_5, -1.570_796_326_734_125_6),
            self.pick(x, -4.837_512_969_970_703e-4, -6.077_100_506_303_966e-11),
            self.pick(x, -7.549_789_954_891_88e-8, -2.022_266_248_795_950_7e-21),
        ];
        let r = parts.iter().fold(x, |r, &part| asm.fma(n, part, r));
        let z = asm.mul(r, r);
        let double = asm.is_f64(x);
        let s = self.polynomial(z, if double { &SIN_F64 } else { &SIN_F32 });
        let sine = asm.fma(asm.mul(r, z), s, r);
        let c = self.polynomial(z, if double { &COS_F64 } else { &COS_F32 });
        let cosine = asm.fma(asm.mul(z, z), c, asm.fma(z, asm.like(x, -0.5), asm.like(x, 1.0)));
        if op == Unary::Cos {
            quadrant = self.int(x, I::Add, quadrant, 1);
        }
        let zero = asm.bits_like(x, 0);
        let odd = asm.icmp(inkwell::IntPredicate::NE, self.int(x, I::And, quadrant, 1), zero);
        if op == Unary::Tan {
            let (top, bottom) = (asm.select(odd, asm.neg(cosine), sine), asm.select(odd, sine, cosine));
            let is_zero = asm.fcmp(FloatPredicate::OEQ, x, asm.like(x, 0.0));
            return asm.select(is_zero, x, asm.div(top, bottom));
        }
        let y = asm.select(odd, cosine, sine);
        let sign = self.int(x, I::Shl, self.int(x, I::And, quadrant, 2), if double { 62 } else { 30 });
        let y = self.real(asm.op(I::Xor, self.bits(y), sign), x);
        // Of −0 the sine is −0.
        let zero = asm.fcmp(FloatPredicate::OEQ, x, asm.like(x, 0.0));
        if op == Unary::Sin { asm.select(zero, x, y) } else { y }
    }
}

/// What formulas that arrays and compiled code share are computed with: reals of this one's type.
struct Formula<'a, 'c> {
    e: Emitter<'a, 'c>,
    like: Reg<'c>,
}

impl<'c> antiphon_elementary::Lanes for Formula<'_, 'c> {
    type Real = Reg<'c>;
    type Mask = Reg<'c>;

    fn is_double(&self) -> bool {
        self.e.asm.is_f64(self.like)
    }
    fn number(&self, value: f64) -> Reg<'c> {
        self.e.asm.like(self.like, value)
    }
    fn add(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.e.asm.add(a, b)
    }
    fn sub(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.e.asm.sub(a, b)
    }
    fn mul(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.e.asm.mul(a, b)
    }
    fn div(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.e.asm.div(a, b)
    }
    fn fma(&self, a: Reg<'c>, b: Reg<'c>, c: Reg<'c>) -> Reg<'c> {
        self.e.asm.fma(a, b, c)
    }
    fn fused(&self, a: Reg<'c>, b: Reg<'c>, c: Reg<'c>) -> Reg<'c> {
        self.e.asm.intrinsic("llvm.fma", &[a.get_type()], &[a, b, c])
    }
    fn neg(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.asm.neg(x)
    }
    fn abs(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.magnitude(x)
    }
    fn sqrt(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.asm.intrinsic("llvm.sqrt", &[x.get_type()], &[x])
    }
    fn copysign(&self, magnitude: Reg<'c>, sign: Reg<'c>) -> Reg<'c> {
        self.e.asm.intrinsic("llvm.copysign", &[sign.get_type()], &[magnitude, sign])
    }
    fn less(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.e.below(a, b)
    }
    fn equal(&self, a: Reg<'c>, b: Reg<'c>) -> Reg<'c> {
        self.e.asm.fcmp(FloatPredicate::OEQ, a, b)
    }
    fn select(&self, mask: Reg<'c>, then: Reg<'c>, otherwise: Reg<'c>) -> Reg<'c> {
        self.e.asm.select(mask, then, otherwise)
    }
    fn trunc(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.asm.intrinsic("llvm.trunc", &[x.get_type()], &[x])
    }
    fn nearest(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.nearest(x, 1.0).0
    }
    fn exp_less_one(&self, r: Reg<'c>) -> Reg<'c> {
        let asm = self.e.asm;
        let p = self.e.polynomial(r, if asm.is_f64(r) { &EXP_F64 } else { &EXP_F32 });
        asm.fma(asm.mul(r, r), p, r)
    }
    fn exp_scaled(&self, r: Reg<'c>, n: Reg<'c>) -> Reg<'c> {
        let asm = self.e.asm;
        let (n, bits) = self.e.nearest(n, 1.0);
        let less = self.exp_less_one(r);
        self.e.scale(asm.add(less, asm.like(r, 1.0)), n, bits)
    }
    fn exp_parts(&self, x: Reg<'c>) -> (Reg<'c>, Reg<'c>) {
        let ([n, _], r) = self.e.exp_parts(x);
        (n, r)
    }
    fn log_parts(&self, x: Reg<'c>) -> (Reg<'c>, Reg<'c>) {
        let asm = self.e.asm;
        let (k, f) = self.e.split(x);
        let (half, tail) = self.e.log_series(f, |s, sum| asm.mul(s, sum));
        (k, asm.add(asm.sub(tail, half), f))
    }
    fn exp(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.exp(x)
    }
    fn log(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.log(x)
    }
    fn log1p(&self, x: Reg<'c>) -> Reg<'c> {
        self.e.log1p(x)
    }
}
