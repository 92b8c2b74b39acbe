//! [`Lanes`]: what a formula is computed with.
//!
//! Formulas are functions that are always inlined, and have no closures, which may not be: what is not inlined into the
//! loop over the elements is compiled for any processor, without vectors and with a call for each fused product.

/// Reals that a formula computes with: numbers, or those of compiled code, one or several at once. Comparisons with NaN
/// are false.
pub trait Lanes {
    /// One or several reals.
    type Real: Copy;
    /// As many truth values.
    type Mask: Copy;

    /// Whether the reals have double precision.
    fn is_double(&self) -> bool;
    /// A constant.
    fn number(&self, value: f64) -> Self::Real;
    /// `a + b`.
    fn add(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a − b`.
    fn sub(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a·b`.
    fn mul(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a/b`.
    fn div(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a·b + c`, rounded once where the processor can.
    fn fma(&self, a: Self::Real, b: Self::Real, c: Self::Real) -> Self::Real;
    /// `a·b + c`, rounded once on any processor: for what a rounding has lost.
    fn fused(&self, a: Self::Real, b: Self::Real, c: Self::Real) -> Self::Real;
    /// `−x`.
    fn neg(&self, x: Self::Real) -> Self::Real;
    /// `|x|`.
    fn abs(&self, x: Self::Real) -> Self::Real;
    /// `√x`.
    fn sqrt(&self, x: Self::Real) -> Self::Real;
    /// The magnitude of the first with the sign of the second.
    fn copysign(&self, magnitude: Self::Real, sign: Self::Real) -> Self::Real;
    /// `a < b`.
    fn less(&self, a: Self::Real, b: Self::Real) -> Self::Mask;
    /// `a = b`.
    fn equal(&self, a: Self::Real, b: Self::Real) -> Self::Mask;
    /// The first where the mask holds, else the second.
    fn select(&self, mask: Self::Mask, then: Self::Real, otherwise: Self::Real) -> Self::Real;
    /// `x` rounded towards zero.
    fn trunc(&self, x: Self::Real) -> Self::Real;
    /// The integer nearest to `x` as long as that is below 2²², else `x` or what is near to it.
    fn nearest(&self, x: Self::Real) -> Self::Real;
    /// `eʳ·2ⁿ` for `|r| ≤ ½ ln 2` and an integer `n`; subnormal, zero or infinite where the result is.
    fn exp_scaled(&self, r: Self::Real, n: Self::Real) -> Self::Real;
    /// `eʳ − 1` for `|r| ≤ ½ ln 2`.
    fn exp_less_one(&self, r: Self::Real) -> Self::Real;
    /// `n` and `r` where `x = n·ln 2 + r` and `|r| ≤ ½ ln 2`, for `|x|` of which `eˣ` is a number or little more.
    fn exp_parts(&self, x: Self::Real) -> (Self::Real, Self::Real);
    /// `k` and `ln m` where `x = 2ᵏ·m` and `√½ ≤ m < √2`, about; for positive finite `x`.
    fn log_parts(&self, x: Self::Real) -> (Self::Real, Self::Real);
    /// `eˣ`.
    fn exp(&self, x: Self::Real) -> Self::Real;
    /// `ln x`.
    fn log(&self, x: Self::Real) -> Self::Real;
    /// `ln(1 + x)`.
    fn log1p(&self, x: Self::Real) -> Self::Real;
}

/// One of two constants, by precision.
#[inline(always)]
pub(crate) fn pick<L: Lanes>(l: &L, single: f64, double: f64) -> L::Real {
    l.number(if l.is_double() { double } else { single })
}

/// `c₀ + c₁x + c₂x² + …`, of the coefficients for the precision.
#[inline(always)]
pub(crate) fn polynomial<L: Lanes>(l: &L, x: L::Real, single: &[f64], double: &[f64]) -> L::Real {
    let coefficients = if l.is_double() { double } else { single };
    let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    let mut sum = l.number(*last);
    for &c in rest.iter().rev() {
        sum = l.fma(sum, x, l.number(c));
    }
    sum
}

/// The same, and what roundings have lost in its last steps, which are those that count (Langlois & Louvet 2007,
/// "How to ensure a faithful polynomial evaluation with the compensated Horner algorithm").
#[inline(always)]
pub(crate) fn compensated<L: Lanes>(l: &L, x: L::Real, single: &[f64], double: &[f64]) -> (L::Real, L::Real) {
    const LAST: usize = 10;
    let coefficients = if l.is_double() { double } else { single };
    let (last, rest) = coefficients.split_at(LAST.min(coefficients.len() - 1));
    let mut sum = polynomial(l, x, rest, rest);
    let mut lost = l.number(0.0);
    for &c in last.iter().rev() {
        let c = l.number(c);
        let product = l.mul(sum, x);
        let of_product = l.fused(sum, x, l.neg(product));
        let next = l.add(product, c);
        // Of either order of sizes (Knuth).
        let back = l.sub(next, product);
        let of_sum = l.add(l.sub(product, l.sub(next, back)), l.sub(c, back));
        lost = l.fma(lost, x, l.add(of_product, of_sum));
        sum = next;
    }
    (sum, lost)
}

/// `x` limited to `low ..= high`; NaN for NaN.
#[inline(always)]
pub(crate) fn limit<L: Lanes>(l: &L, x: L::Real, low: L::Real, high: L::Real) -> L::Real {
    let x = l.select(l.less(x, low), low, x);
    l.select(l.less(high, x), high, x)
}
