//! Exponentials and logarithms in a form that compilers vectorise: no branch, no table, no call.
//!
//! * `exp`, `expm1`: `x = n·ln 2 + r` with `|r| ≤ ½ ln 2` by Cody and Waite's two-part constant (*Software Manual for
//!   the Elementary Functions*, 1980, ch. 6), a polynomial in `r`, and the exponent put together from the bits of
//!   `n`. In f32 the polynomial is that of Moshier's Cephes library (`expf.c`), in f64 the Taylor series, whose
//!   remainder there is below 2⁻⁵⁷.
//! * `log`, `log1p`: Ng's method and coefficients of FreeBSD's msun (`e_log.c`, `e_logf.c`, `s_log1p.c`):
//!   `ln(1+f) = f − f²/2 + s(f²/2 + R(s²))`, `s = f/(2+f)`, for a mantissa in `[√½, √2)`.
//! * `erf x = x + x·p(x²)` where `|x| < 1`, else `1 − e^q(|x| − 1)`. The coefficients are weighted least squares at
//!   Chebyshev's points, reweighted by the errors (Lawson 1961): relative errors 4e-8 and 1e-9, in f64 7e-18 both.
//! * `tanh x = −t/(2+t)` with `t = expm1(−2|x|)`, and the sign put back: no cancellation near zero, no overflow.
//!
//! What further functions need of this to compute with their formulas (`antiphon_elementary`) is `Numbers`.
//!
//! Every multiplication that feeds an addition is fused explicitly, so results are the same on every machine; on one
//! without the instruction, libm computes it, slowly. Measured over all magnitudes (`cargo test --test eager
//! array::math -- --nocapture`), errors are below 2.5 units in the last place in f32 and at most 3 in f64.

macro_rules! horner {
    ($E:ident, $x:expr; $c:expr) => { $c };
    ($E:ident, $x:expr; $c:expr, $($rest:expr),+) => { $E::mul_add(horner!($E, $x; $($rest),+), $x, $c) };
}

macro_rules! vector_math {
    (
        $E:ident, $bits:ident, mantissa: $mantissa:literal, bias: $bias:literal,
        exp: {
            min: $exp_min:literal, max: $exp_max:literal, ln2: [$ln2_hi:literal, $ln2_lo:literal],
            polynomial: [$($p:expr),+]
        },
        expm1: { min: $expm1_min:literal },
        log: {
            sqrt_half: $sqrt_half:literal, ln2: [$log_ln2_hi:literal, $log_ln2_lo:literal],
            polynomial: [$($lg:expr),+]
        },
        erf: { near: [$($near:expr),+], far: [$($far:expr),+], most: $most:literal },
    ) => {
        /// Vectorisable elementary functions of this type.
        pub(super) mod $E {
            use antiphon_elementary::Lanes;

            const BIAS: $bits = $bias;
            /// Adding it rounds to an integer, which then stands in the low bits: 1.5·2^mantissa.
            const ROUND: $E = 1.5 * (1u64 << $mantissa) as $E;
            /// Below this magnitude `eˣ − 1`, `ln(1 + x)` and `x` are the same number.
            const TINY: $E = $E::EPSILON / 4.0;

            /// A power of two from its biased exponent, of which only the low bits count.
            #[inline(always)]
            fn power_of_two(biased: $bits) -> $E {
                $E::from_bits(biased << $mantissa)
            }

            /// The argument within limits. NaN stays.
            #[inline(always)]
            fn limit(x: $E, min: $E, max: $E) -> $E {
                let x = if x < min { min } else { x };
                if x > max { max } else { x }
            }

            /// `n` (in the low bits, two's complement) and `eʳ − 1`, where `x = n·ln 2 + r`.
            #[inline(always)]
            fn reduce(x: $E) -> ($bits, $E) {
                let rounded = x.mul_add(std::$E::consts::LOG2_E, ROUND);
                let n = rounded - ROUND;
                let r = n.mul_add(-$ln2_lo, n.mul_add(-$ln2_hi, x));
                (rounded.to_bits().wrapping_sub(ROUND.to_bits()), (r * r).mul_add(horner!($E, r; $($p),+), r))
            }

            #[inline(always)]
            pub fn exp(x: $E) -> $E {
                let (n, em1) = reduce(limit(x, $exp_min, $exp_max));
                // 2ⁿ in two factors: the result may be subnormal, or n one more than the largest exponent.
                let biased = n.wrapping_add(2 * BIAS);
                let half = biased >> 1;
                (1.0 + em1) * power_of_two(half) * power_of_two(biased.wrapping_sub(half))
            }

            #[inline(always)]
            pub fn expm1(x: $E) -> $E {
                let (n, em1) = reduce(limit(x, $expm1_min, $exp_max));
                // 2ⁿ(eʳ − 1) + (2ⁿ − 1), halved until the end because 2ⁿ alone may overflow.
                let half = power_of_two(n.wrapping_add(BIAS - 1));
                let y = 2.0 * half.mul_add(em1, half - 0.5);
                if x.abs() < TINY { x } else { y }
            }

            #[inline(always)]
            pub fn tanh(x: $E) -> $E {
                let t = expm1(-2.0 * x.abs());
                (-t / (2.0 + t)).copysign(x)
            }

            #[inline(always)]
            pub fn erf(x: $E) -> $E {
                let (size, square) = (x.abs(), x * x);
                let low = x.mul_add(horner!($E, square; $($near),+), x);
                let beyond = limit(size - 1.0, 0.0, $most);
                let high = (1.0 - exp(horner!($E, beyond; $($far),+))).copysign(x);
                if size < 1.0 { low } else { high }
            }

            /// `k` and `f` where `x = 2ᵏ(1 + f)` and `√½ ≤ 1 + f < √2`, for positive normal `x`.
            #[inline(always)]
            fn split(x: $E) -> ($E, $E) {
                const OFFSET: $bits = (1.0 as $E).to_bits() - $sqrt_half;
                const INTEGER: $E = (1u64 << $mantissa) as $E;
                let bits = x.to_bits().wrapping_add(OFFSET);
                // An integer below 2^mantissa becomes a number by standing in the mantissa of 2^mantissa.
                let k = $E::from_bits((bits >> $mantissa) + INTEGER.to_bits()) - (INTEGER + $bias as $E);
                let f = $E::from_bits((bits & ((1 << $mantissa) - 1)) + $sqrt_half) - 1.0;
                (k, f)
            }

            /// `k·ln 2 + ln(1 + f) + c` for a small correction `c`.
            #[inline(always)]
            fn log_of_parts(k: $E, f: $E, c: $E) -> $E {
                let half_square = 0.5 * f * f;
                let s = f / (2.0 + f);
                let z = s * s;
                let r = z * horner!($E, z; $($lg),+);
                let low = s.mul_add(half_square + r, k.mul_add($log_ln2_lo, c));
                k.mul_add($log_ln2_hi, low - half_square + f)
            }

            /// The same for any positive `x`: a subnormal is scaled up to a normal number first.
            #[inline(always)]
            fn split_any(x: $E) -> ($E, $E) {
                const SCALE: $E = (1u64 << ($mantissa + 2)) as $E;
                let subnormal = x < $E::MIN_POSITIVE;
                let (k, f) = split(if subnormal { x * SCALE } else { x });
                (if subnormal { k - ($mantissa + 2) as $E } else { k }, f)
            }

            #[inline(always)]
            pub fn log(x: $E) -> $E {
                let (k, f) = split_any(x);
                let y = log_of_parts(k, f, 0.0);
                let y = if x == $E::INFINITY { x } else { y };
                let y = if x == 0.0 { $E::NEG_INFINITY } else { y };
                if x >= 0.0 { y } else { $E::NAN }
            }

            /// Numbers of this type, as what formulas are computed with.
            #[derive(Clone, Copy, Debug)]
            pub struct Numbers;

            impl Lanes for Numbers {
                type Real = $E;
                type Mask = bool;

                #[inline(always)]
                fn is_double(&self) -> bool {
                    size_of::<$E>() == 8
                }
                #[inline(always)]
                fn number(&self, value: f64) -> $E {
                    value as $E
                }
                #[inline(always)]
                fn add(&self, a: $E, b: $E) -> $E {
                    a + b
                }
                #[inline(always)]
                fn sub(&self, a: $E, b: $E) -> $E {
                    a - b
                }
                #[inline(always)]
                fn mul(&self, a: $E, b: $E) -> $E {
                    a * b
                }
                #[inline(always)]
                fn div(&self, a: $E, b: $E) -> $E {
                    a / b
                }
                #[inline(always)]
                fn fma(&self, a: $E, b: $E, c: $E) -> $E {
                    a.mul_add(b, c)
                }
                #[inline(always)]
                fn fused(&self, a: $E, b: $E, c: $E) -> $E {
                    a.mul_add(b, c)
                }
                #[inline(always)]
                fn neg(&self, x: $E) -> $E {
                    -x
                }
                #[inline(always)]
                fn abs(&self, x: $E) -> $E {
                    x.abs()
                }
                #[inline(always)]
                fn sqrt(&self, x: $E) -> $E {
                    x.sqrt()
                }
                #[inline(always)]
                fn copysign(&self, magnitude: $E, sign: $E) -> $E {
                    magnitude.copysign(sign)
                }
                #[inline(always)]
                fn less(&self, a: $E, b: $E) -> bool {
                    a < b
                }
                #[inline(always)]
                fn equal(&self, a: $E, b: $E) -> bool {
                    a == b
                }
                #[inline(always)]
                fn select(&self, mask: bool, then: $E, otherwise: $E) -> $E {
                    if mask { then } else { otherwise }
                }
                #[inline(always)]
                fn trunc(&self, x: $E) -> $E {
                    x.trunc()
                }
                #[inline(always)]
                fn nearest(&self, x: $E) -> $E {
                    (x + ROUND) - ROUND
                }
                #[inline(always)]
                fn exp_scaled(&self, r: $E, n: $E) -> $E {
                    let em1 = self.exp_less_one(r);
                    let biased = (n + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(2 * BIAS);
                    let half = biased >> 1;
                    (1.0 + em1) * power_of_two(half) * power_of_two(biased.wrapping_sub(half))
                }
                #[inline(always)]
                fn exp_less_one(&self, r: $E) -> $E {
                    (r * r).mul_add(horner!($E, r; $($p),+), r)
                }
                #[inline(always)]
                fn exp_parts(&self, x: $E) -> ($E, $E) {
                    let n = x.mul_add(std::$E::consts::LOG2_E, ROUND) - ROUND;
                    (n, n.mul_add(-$ln2_lo, n.mul_add(-$ln2_hi, x)))
                }
                #[inline(always)]
                fn log_parts(&self, x: $E) -> ($E, $E) {
                    let (k, f) = split_any(x);
                    (k, log_of_parts(0.0, f, 0.0))
                }
                #[inline(always)]
                fn exp(&self, x: $E) -> $E {
                    exp(x)
                }
                #[inline(always)]
                fn log(&self, x: $E) -> $E {
                    log(x)
                }
                #[inline(always)]
                fn log1p(&self, x: $E) -> $E {
                    log1p(x)
                }
            }

            #[inline(always)]
            pub fn log1p(x: $E) -> $E {
                let u = 1.0 + x;
                let (k, f) = split(u);
                // What rounding 1 + x lost.
                let c = (if k >= 2.0 { 1.0 - (u - x) } else { x - (u - 1.0) }) / u;
                let near = x > -0.29 && x < 0.41;
                let y = log_of_parts(
                    if near { 0.0 } else { k },
                    if near { x } else { f },
                    if near { 0.0 } else { c },
                );
                let y = if x.abs() < TINY { x } else { y };
                let y = if x == $E::INFINITY { x } else { y };
                let y = if x == -1.0 { $E::NEG_INFINITY } else { y };
                if x >= -1.0 { y } else { $E::NAN }
            }
        }
    };
}

vector_math! {
    f32, u32, mantissa: 23, bias: 127,
    exp: {
        min: -104.0, max: 89.0,
        ln2: [0.693_359_4, -2.121_944_4e-4],
        polynomial: [0.5, 1.666_666_5e-1, 4.166_579_6e-2, 8.333_452e-3, 1.398_199_9e-3, 1.987_569_1e-4]
    },
    expm1: { min: -20.0 },
    log: {
        sqrt_half: 0x3f35_04f3,
        ln2: [0.693_138_1, 9.058_001e-6],
        polynomial: [0.666_666_6, 0.400_009_72, 0.284_987_87, 0.242_790_79]
    },
    erf: {
        near: [
            1.283_791_2e-1, -3.761_232_5e-1, 1.128_018e-1, -2.671_129_4e-2, 4.917_531_7e-3,
            -5.631_343e-4
        ],
        far: [
            -1.849_605_6, -2.638_966_8, -8.431_176e-1, -4.150_352e-2, 9.895_539e-3,
            -1.829_471_9e-3, 1.864_092_2e-4
        ],
        most: 3.0
    },
}

vector_math! {
    f64, u64, mantissa: 52, bias: 1023,
    exp: {
        min: -746.0, max: 710.0,
        ln2: [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10],
        polynomial: [
            1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5_040.0, 1.0 / 40_320.0, 1.0 / 362_880.0,
            1.0 / 3_628_800.0, 1.0 / 39_916_800.0, 1.0 / 479_001_600.0, 1.0 / 6_227_020_800.0
        ]
    },
    expm1: { min: -40.0 },
    log: {
        sqrt_half: 0x3fe6_a09e_667f_3bcd,
        ln2: [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10],
        polynomial: [
            6.666_666_666_666_735e-1, 3.999_999_999_940_942e-1, 2.857_142_874_366_239e-1, 2.222_219_843_214_978_4e-1,
            1.818_357_216_161_805e-1, 1.531_383_769_920_937_3e-1, 1.479_819_860_511_658_6e-1
        ]
    },
    erf: {
        near: [
            1.283_791_670_955_125_6e-1, -3.761_263_890_318_352e-1, 1.128_379_167_094_418_4e-1,
            -2.686_617_064_311_119_8e-2, 5.223_977_606_116_341e-3, -8.548_325_929_216_072e-4,
            1.205_529_357_406_484_7e-4, -1.492_471_224_947_433e-5, 1.644_713_094_546_619_1e-6,
            -1.620_630_912_583_212_5e-7, 1.371_096_100_508_553_3e-8, -7.779_433_412_523_987e-10
        ],
        far: [
            -1.849_605_509_933_248_2, -2.638_967_514_234_777_5, -8.431_072_563_593_315e-1,
            -4.156_109_802_665_887_4e-2, 1.003_382_519_489_233e-2, -1.977_901_309_198_386_7e-3,
            2.373_167_914_377_312e-4, 2.629_540_039_781_097_8e-5, -2.719_727_699_417_061e-5,
            9.669_140_573_946_818e-6, -2.129_786_291_732_778e-6, 2.032_907_457_762_801_7e-7,
            5.879_670_590_076_016_3e-8, -3.368_312_855_917_724e-8, 8.594_684_058_037_156e-9,
            -1.332_182_838_556_158_6e-9, 1.206_645_394_030_988_5e-10, -4.926_514_389_125_621e-12
        ],
        most: 5.0
    },
}
