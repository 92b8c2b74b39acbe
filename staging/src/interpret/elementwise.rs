//! Elementwise operators, with broadcasting. Arithmetic of `f32` is done in `f32`.

use antiphon_elementary::numbers;

use crate::interpret::index::broadcast_positions;
use crate::ir::expr::{Binary, Comparison, Unary};
use crate::ir::tensor::{ConcreteTensor, Data};
use crate::ir::types::{Dtype, Scalar, Type, size};

/// The functions of reals that operators are made of.
pub trait Float: Copy + PartialOrd + From<f32> + std::ops::AddAssign + std::ops::Mul<Output = Self> {
    /// A unary operator.
    fn unary(self, op: Unary) -> Self;
    /// A binary operator.
    fn binary(self, op: Binary, other: Self) -> Self;
    /// `e^(x − max)`, summed up, its logarithm, and `max` added: the steps of logsumexp.
    fn logsumexp(xs: &[Self]) -> Self;
}

macro_rules! float {
    ($E:ident, $erf:path) => {
        impl Float for $E {
            fn unary(self, op: Unary) -> $E {
                match op {
                    Unary::Neg => -self,
                    Unary::Recip => 1.0 / self,
                    Unary::Abs => self.abs(),
                    Unary::Sign if self == 0.0 => 0.0,
                    Unary::Sign => self.signum(),
                    Unary::Exp => self.exp(),
                    Unary::Expm1 => self.exp_m1(),
                    Unary::Log => self.ln(),
                    Unary::Log1p => self.ln_1p(),
                    Unary::Sqrt => self.sqrt(),
                    Unary::Sin => self.sin(),
                    Unary::Cos => self.cos(),
                    Unary::Tan => self.tan(),
                    Unary::Tanh => self.tanh(),
                    Unary::Sigmoid => {
                        let e = (-self.abs()).exp();
                        (if self < 0.0 { e } else { 1.0 }) / (1.0 + e)
                    }
                    Unary::Softplus => self.unary(Unary::Relu) + (-self.abs()).exp().ln_1p(),
                    Unary::Relu => {
                        if self <= 0.0 {
                            0.0
                        } else {
                            self
                        }
                    }
                    Unary::Erf => $erf(self),
                    Unary::Erfc => numbers::$E::erfc(self),
                    Unary::Exp2 => numbers::$E::exp2(self),
                    Unary::Log2 => numbers::$E::log2(self),
                    Unary::Log10 => numbers::$E::log10(self),
                    Unary::Cbrt => numbers::$E::cbrt(self),
                    Unary::Sinh => numbers::$E::sinh(self),
                    Unary::Cosh => numbers::$E::cosh(self),
                    Unary::Asin => numbers::$E::asin(self),
                    Unary::Acos => numbers::$E::acos(self),
                    Unary::Atan => numbers::$E::atan(self),
                    Unary::Asinh => numbers::$E::asinh(self),
                    Unary::Acosh => numbers::$E::acosh(self),
                    Unary::Atanh => numbers::$E::atanh(self),
                    Unary::Lgamma => numbers::$E::lgamma(self),
                    Unary::I0 => numbers::$E::i0(self),
                    Unary::I1 => numbers::$E::i1(self),
                    Unary::Floor => numbers::$E::floor(self),
                    Unary::Ceil => numbers::$E::ceil(self),
                    Unary::Round => numbers::$E::round(self),
                    Unary::Trunc => numbers::$E::trunc(self),
                    Unary::Not => unreachable!("not of reals, in a verified program"),
                }
            }
            fn binary(self, op: Binary, other: $E) -> $E {
                match op {
                    Binary::Add => self + other,
                    Binary::Sub => self - other,
                    Binary::Mul => self * other,
                    Binary::Div => self / other,
                    Binary::Pow => self.powf(other),
                    Binary::Atan2 => numbers::$E::atan2(self, other),
                    Binary::Hypot => numbers::$E::hypot(self, other),
                    Binary::Fmod => numbers::$E::fmod(self, other),
                    Binary::Maximum => {
                        if self > other || self.is_nan() {
                            self
                        } else {
                            other
                        }
                    }
                    Binary::Minimum => {
                        if self < other || self.is_nan() {
                            self
                        } else {
                            other
                        }
                    }
                    Binary::And | Binary::Or | Binary::FloorDivide => {
                        unreachable!("{} of reals, in a verified program", op.name())
                    }
                }
            }
            fn logsumexp(xs: &[$E]) -> $E {
                let max = xs.iter().fold($E::NEG_INFINITY, |m, &x| m.binary(Binary::Maximum, x));
                if !max.is_finite() {
                    return max;
                }
                xs.iter().map(|x| (x - max).exp()).sum::<$E>().ln() + max
            }
        }
    };
}
float!(f32, libm::erff);
float!(f64, libm::erf);

/// The array of what a function gives of the operands' elements at each index, after broadcasting.
pub fn map<const N: usize>(
    operands: [&ConcreteTensor; N],
    ty: &Type,
    f: impl Fn([Scalar; N]) -> Scalar,
) -> ConcreteTensor {
    let places = operands.map(|x| broadcast_positions(x.shape(), &ty.shape));
    let at = |i: usize| f(std::array::from_fn(|operand| operands[operand].at(places[operand][i])));
    ConcreteTensor::new(&ty.shape, collect(ty.dtype, (0..size(&ty.shape)).map(at)))
        .expect("one element for each index")
}

/// An element's image under a function of one.
pub fn unary(op: Unary, x: Scalar) -> Scalar {
    match (op, x) {
        (op, Scalar::F32(x)) => Scalar::F32(x.unary(op)),
        (op, Scalar::F64(x)) => Scalar::F64(x.unary(op)),
        (Unary::Neg, Scalar::I64(x)) => Scalar::I64(x.wrapping_neg()),
        (Unary::Not, Scalar::Bool(x)) => Scalar::Bool(!x),
        (op, x) => unreachable!("{} of {x}, in a verified program", op.name()),
    }
}

/// `xⁿ`.
pub fn powi(x: Scalar, n: i32) -> Scalar {
    match x {
        Scalar::F32(x) => Scalar::F32(x.powi(n)),
        Scalar::F64(x) => Scalar::F64(x.powi(n)),
        Scalar::I64(_) | Scalar::Bool(_) => unreachable!("powers are of reals, in a verified program"),
    }
}

/// `x` limited to `low ..= high`; NaN for NaN.
pub fn clamp(x: Scalar, low: Scalar, high: Scalar) -> Scalar {
    match (x.real(), low.real(), high.real()) {
        (Some(v), Some(l), _) if v < l => low,
        (Some(v), _, Some(h)) if v > h => high,
        _ => x,
    }
}

/// An integer or a truth value as a real, or a real as an integer.
pub fn convert(x: Scalar, dtype: Dtype) -> Scalar {
    match (x, dtype) {
        (Scalar::I64(x), Dtype::F32) => Scalar::F32(x as f32),
        (Scalar::I64(x), _) => Scalar::F64(x as f64),
        (Scalar::Bool(x), dtype) => Scalar::of(dtype, x.into()),
        (Scalar::F32(x), _) => Scalar::I64(x as i64),
        (Scalar::F64(x), _) => Scalar::I64(x as i64),
    }
}

/// Two elements' image under a function of two.
pub fn binary(op: Binary, a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::F32(a), Scalar::F32(b)) => Scalar::F32(a.binary(op, b)),
        (Scalar::F64(a), Scalar::F64(b)) => Scalar::F64(a.binary(op, b)),
        (Scalar::I64(a), Scalar::I64(b)) => Scalar::I64(match op {
            Binary::Add => a.wrapping_add(b),
            Binary::Sub => a.wrapping_sub(b),
            Binary::Mul => a.wrapping_mul(b),
            Binary::FloorDivide => numbers::floor_divide(a, b),
            _ => unreachable!("{} of integers, in a verified program", op.name()),
        }),
        (Scalar::Bool(a), Scalar::Bool(b)) => Scalar::Bool(if op == Binary::And { a && b } else { a || b }),
        _ => unreachable!("{} of different dtypes, in a verified program", op.name()),
    }
}

/// Whether a comparison holds.
pub fn compare(op: Comparison, a: Scalar, b: Scalar) -> Scalar {
    fn of<T: PartialOrd>(op: Comparison, a: T, b: T) -> bool {
        match op {
            Comparison::Less => a < b,
            Comparison::LessEqual => a <= b,
            Comparison::Equal => a == b,
        }
    }
    Scalar::Bool(match (a, b) {
        (Scalar::F32(a), Scalar::F32(b)) => of(op, a, b),
        (Scalar::F64(a), Scalar::F64(b)) => of(op, a, b),
        (Scalar::I64(a), Scalar::I64(b)) => of(op, a, b),
        _ => unreachable!("{} of different dtypes, in a verified program", op.name()),
    })
}

fn collect(dtype: Dtype, elements: impl Iterator<Item = Scalar>) -> Data {
    macro_rules! all {
        ($Kind:ident) => {
            Data::$Kind(elements.map(|x| if let Scalar::$Kind(x) = x { x } else { unreachable!() }).collect())
        };
    }
    match dtype {
        Dtype::F32 => all!(F32),
        Dtype::F64 => all!(F64),
        Dtype::I64 => all!(I64),
        Dtype::Bool => all!(Bool),
    }
}

/// Samples on `[0, 1)`: the uppermost bits, as many as the dtype's significand has, of a mixing of seed and position
/// (SplitMix64's finaliser; Steele, Lea & Flood 2014).
pub fn uniform(seed: &ConcreteTensor, ty: &Type) -> ConcreteTensor {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    fn mix(mut z: u64) -> u64 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    let Scalar::I64(seed) = seed.at(0) else { unreachable!("a seed is an integer, in a verified program") };
    let key = mix((seed as u64).wrapping_add(GOLDEN));
    let bits = (0..size(&ty.shape) as u64).map(|i| mix(key.wrapping_add((i + 1).wrapping_mul(GOLDEN))));
    let data = match ty.dtype {
        Dtype::F32 => Data::F32(bits.map(|b| (b >> 40) as f32 * (1.0 / (1u64 << 24) as f32)).collect()),
        _ => Data::F64(bits.map(|b| (b >> 11) as f64 * (1.0 / (1u64 << 53) as f64)).collect()),
    };
    ConcreteTensor::new(&ty.shape, data).expect("one sample for each index")
}

/// `sum[place(i)] += g[i]`, in order.
pub fn add_at(sum: &mut ConcreteTensor, g: &ConcreteTensor, place: impl Fn(usize) -> usize) {
    match (sum.data_mut(), g.data()) {
        (Data::F32(sum), Data::F32(g)) => g.iter().enumerate().for_each(|(i, g)| sum[place(i)] += g),
        (Data::F64(sum), Data::F64(g)) => g.iter().enumerate().for_each(|(i, g)| sum[place(i)] += g),
        (Data::I64(sum), Data::I64(g)) => {
            g.iter().enumerate().for_each(|(i, g)| sum[place(i)] = sum[place(i)].wrapping_add(*g));
        }
        _ => unreachable!("truth values are not added, in a verified program"),
    }
}

/// `x[place(i)] = g[i]`, in order.
pub fn set_at(x: &mut ConcreteTensor, g: &ConcreteTensor, place: impl Fn(usize) -> usize) {
    match (x.data_mut(), g.data()) {
        (Data::F32(x), Data::F32(g)) => g.iter().enumerate().for_each(|(i, g)| x[place(i)] = *g),
        (Data::F64(x), Data::F64(g)) => g.iter().enumerate().for_each(|(i, g)| x[place(i)] = *g),
        (Data::I64(x), Data::I64(g)) => g.iter().enumerate().for_each(|(i, g)| x[place(i)] = *g),
        (Data::Bool(x), Data::Bool(g)) => g.iter().enumerate().for_each(|(i, g)| x[place(i)] = *g),
        _ => unreachable!("both have one dtype, in a verified program"),
    }
}
