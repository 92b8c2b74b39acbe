//! The elementwise operators and their derivatives: one line each, shared by reverse and forward mode.
//!
//! `op(x) -> y, dy: e` says that `e` is `f′(x)·dy`. The derivative of an elementwise operator is diagonal and so its
//! own transpose: reverse mode reads the line as `x̄ += e` with `dy = ȳ`, forward mode as `ẏ = e` with `dy = ẋ`.
//! Each formula is written over `T`, so it can be differentiated again.
//!
//! Zeros are *strong*: what is exactly zero stays zero where a derivative is infinite or undefined, at the end of an
//! operator's domain and beyond. Otherwise `0·∞` would make a NaN of the branch of a `select` that is not taken.
//! [`quotient`] and [`factor`] see to it, in either direction and for all orders.

/// Applies a macro to the table of unary operators.
macro_rules! for_each_unary {
    ($generate:ident) => {
        $generate! {
            /// `y = −x`, `dy = −dx`.
            neg(x) -> y, dy: -dy;
            /// `y = 1/x`, `dy = −dx/x/x`.
            recip(x) -> y, dy: {
                let once = dy.strong_quotient(x);
                -once.strong_quotient(x)
            };
            /// `y = |x|`, `dy = sign(x)·dx`, with `sign(0) = 0`.
            abs(x) -> y, dy: dy * x.sign();
            /// `y = eˣ`, `dy = y·dx`.
            exp(x) -> y, dy: dy * y;
            /// `y = eˣ − 1`, `dy = (y + 1)·dx`.
            expm1(x) -> y, dy: dy.clone() * y + dy;
            /// `y = ln x`, `dy = dx/x`.
            log(x) -> y, dy: dy.strong_quotient(x);
            /// `y = ln(1 + x)`, `dy = dx/(1 + x)`.
            log1p(x) -> y, dy: dy.strong_quotient(&x.clone().offset(1.0));
            /// `y = √x`, `dy = ½·dx/y`.
            sqrt(x) -> y, dy: dy.scale(0.5).strong_quotient(y);
            /// `y = sin x`, `dy = cos(x)·dx`.
            sin(x) -> y, dy: dy * x.cos();
            /// `y = cos x`, `dy = −sin(x)·dx`.
            cos(x) -> y, dy: -(dy * x.sin());
            /// `y = tan x`, `dy = (1 + y²)·dx`.
            tan(x) -> y, dy: {
                let y = dy.strong_factor(y.clone());
                dy.strong_mul(&y).strong_mul(&y) + dy
            };
            /// `y = tanh x`, `dy = (1 − y²)·dx`.
            tanh(x) -> y, dy: dy * (T::constant(1.0) - y.square());
            /// `y = 1/(1 + e⁻ˣ)`, `dy = y·(1 − y)·dx`.
            sigmoid(x) -> y, dy: dy * y * (T::constant(1.0) - y);
            /// `y = ln(1 + eˣ)`, `dy = sigmoid(x)·dx`.
            softplus(x) -> y, dy: dy * x.sigmoid();
            /// `y = max(x, 0)`, `dy = dx` where `x > 0`, else 0.
            relu(x) -> y, dy: T::select(&x.greater(&T::constant(0.0)), &dy, &T::constant(0.0));
            /// `y = erf x`, `dy = 2/√π·e^(−x²)·dx`.
            erf(x) -> y, dy: dy * (-x.square()).exp().scale(std::f64::consts::FRAC_2_SQRT_PI);
            /// `y = 1 − erf x`, `dy = −2/√π·e^(−x²)·dx`.
            erfc(x) -> y, dy: -(dy * (-x.square()).exp().scale(std::f64::consts::FRAC_2_SQRT_PI));
            /// `y = 2ˣ`, `dy = ln 2·y·dx`.
            exp2(x) -> y, dy: (dy * y).scale(std::f64::consts::LN_2);
            /// `y = log₂ x`, `dy = dx/(x·ln 2)`.
            log2(x) -> y, dy: dy.scale(std::f64::consts::LOG2_E).strong_quotient(x);
            /// `y = log₁₀ x`, `dy = dx/(x·ln 10)`.
            log10(x) -> y, dy: dy.scale(std::f64::consts::LOG10_E).strong_quotient(x);
            /// `y = ∛x`, `dy = ⅓·dx/y/y`.
            cbrt(x) -> y, dy: dy.scale(1.0 / 3.0).strong_quotient(y).strong_quotient(y);
            /// `y = sinh x`, `dy = cosh(x)·dx`.
            sinh(x) -> y, dy: dy * x.cosh();
            /// `y = cosh x`, `dy = sinh(x)·dx`.
            cosh(x) -> y, dy: dy * x.sinh();
            /// `y = asin x`, `dy = dx/√(1 − x²)`.
            asin(x) -> y, dy:
                dy.strong_quotient(&crate::language::derivative_rules::one_minus_square(x).sqrt());
            /// `y = acos x`, `dy = −dx/√(1 − x²)`.
            acos(x) -> y, dy:
                -dy.strong_quotient(&crate::language::derivative_rules::one_minus_square(x).sqrt());
            /// `y = atan x`, `dy = dx/(1 + x²)`.
            atan(x) -> y, dy: dy / x.square().offset(1.0);
            /// `y = asinh x`, `dy = dx/√(1 + x²)`.
            asinh(x) -> y, dy: dy / x.hypot(&T::constant(1.0));
            /// `y = acosh x`, `dy = dx/√(x² − 1)`.
            acosh(x) -> y, dy: {
                let once = dy.strong_quotient(&x.clone().offset(-1.0).sqrt());
                once.strong_quotient(&x.clone().offset(1.0).sqrt())
            };
            /// `y = atanh x`, `dy = dx/(1 − x²)`.
            atanh(x) -> y, dy: dy.strong_quotient(&crate::language::derivative_rules::one_minus_square(x));
            /// `y = ln |Γ(x)|`, `dy = ψ(x)·dx`.
            lgamma(x) -> y, dy: {
                let slope = dy.strong_factor(x.digamma());
                dy.strong_mul(&slope)
            };
            /// `y = I₀(x)`, `dy = I₁(x)·dx`.
            i0(x) -> y, dy: dy * x.i1();
            /// `y = I₁(x)`, `dy = (I₀(x) − I₁(x)/x)·dx`.
            i1(x) -> y, dy: dy * (x.i0() - crate::language::composed::elementwise::i1_over_x(x, y));
        }
    };
}
pub(crate) use for_each_unary;

/// Applies a macro to the table of binary operators: `op(a, b) -> y, dy: ∂y/∂a·dy, ∂y/∂b·dy`.
macro_rules! for_each_binary {
    ($generate:ident) => {
        $generate! {
            /// `y = a + b`, `dy = da + db`.
            add(a, b) -> y, dy: dy, dy;
            /// `y = a − b`, `dy = da − db`.
            sub(a, b) -> y, dy: dy, -dy;
            /// `y = a·b`, `dy = b·da + a·db`.
            mul(a, b) -> y, dy: dy * b, dy * a;
            /// `y = a·b` with strong zeros, `dy = b·da + a·db`; 0 where either factor of these is 0 and the other one
            /// is not finite.
            strong_mul(a, b) -> y, dy:
                crate::language::derivative_rules::strong_product(dy, b),
                crate::language::derivative_rules::strong_product(dy, a);
            /// `y = a/b`, `dy = da/b − y/b·db`.
            div(a, b) -> y, dy:
                dy.strong_quotient(b),
                {
                    let slope = dy.strong_factor(y.clone() / b);
                    -dy.strong_mul(&slope)
                };
            /// `y = aᵇ`, `dy = b·aᵇ⁻¹·da + y·ln(a)·db`; 0 in the first term for `a = b = 0`, in the second for `a = 0 ≤
            /// b`.
            pow(a, b) -> y, dy:
                {
                    let zero = T::constant(0.0);
                    let slope = b.strong_mul(&a.pow(&b.clone().offset(-1.0)));
                    // For b = 0 alone the slope is 0 as it stands, and its own derivative by b is not.
                    let corner = crate::Mask::and(&a.equal(&zero), &b.equal(&zero));
                    let slope = T::select(&corner, &zero, &slope);
                    let slope = dy.strong_factor(slope);
                    dy.strong_mul(&slope)
                },
                {
                    let zero = T::constant(0.0);
                    let vanishes = crate::Mask::and(&a.equal(&zero), &b.greater_equal(&zero));
                    // The logarithm is that of 1 where nothing is to flow into it.
                    let log = T::select(&vanishes, &T::constant(1.0), a).log();
                    let slope = T::select(&vanishes, &zero, &y.strong_mul(&log));
                    let slope = dy.strong_factor(slope);
                    dy.strong_mul(&slope)
                };
            /// `y` the angle of the point `(b, a)`, `dy = (b·da − a·db)/(a² + b²)`; 0 at the origin.
            atan2(a, b) -> y, dy:
                {
                    let length = crate::language::composed::elementwise::as_divisor(a.hypot(b));
                    dy * (b.clone() / &length / length)
                },
                {
                    let length = crate::language::composed::elementwise::as_divisor(a.hypot(b));
                    -(dy * (a.clone() / &length / length))
                };
            /// `y = √(a² + b²)`, `dy = (a·da + b·db)/y`; 0 at the origin.
            hypot(a, b) -> y, dy:
                dy * (a.clone() / crate::language::composed::elementwise::as_divisor(y.clone())),
                dy * (b.clone() / crate::language::composed::elementwise::as_divisor(y.clone()));
            /// `y = a − trunc(a/b)·b`, `dy = da − trunc(a/b)·db`.
            fmod(a, b) -> y, dy:
                dy,
                {
                    let slope = dy.strong_factor(((a.clone() - y) / b).round());
                    -dy.strong_mul(&slope)
                };
            /// `y = max(a, b)`, `dy` of the larger one; half of each if they are equal.
            maximum(a, b) -> y, dy:
                dy * crate::language::derivative_rules::share(a, b),
                dy * crate::language::derivative_rules::share(b, a);
            /// `y = min(a, b)`, `dy` of the smaller one; half of each if they are equal.
            minimum(a, b) -> y, dy:
                dy * crate::language::derivative_rules::share(b, a),
                dy * crate::language::derivative_rules::share(a, b);
        }
    };
}
pub(crate) use for_each_binary;

/// Calls a macro with the name of each unary operator that is a method, for interpretations that do the same for all:
/// `for_each_unary!(unary_names)` calls `unary!`.
macro_rules! unary_names {
    ($($(#[$doc:meta])* $name:ident($x:ident) -> $y:ident, $dy:ident: $rule:expr;)*) => {
        $($crate::language::derivative_rules::unary_names!(@ $name);)*
    };
    (@ neg) => {};
    (@ $name:ident) => { unary!($name); };
}
pub(crate) use unary_names;

/// The same of binary operators, and of `binary!`.
macro_rules! binary_names {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => {
        $($crate::language::derivative_rules::binary_names!(@ $name);)*
    };
    (@ add) => {};
    (@ sub) => {};
    (@ mul) => {};
    (@ div) => {};
    (@ $name:ident) => { binary!($name); };
}
pub(crate) use binary_names;

use crate::language::real::{Mask, Real};

/// `1 − x²`, exact near ±1.
#[track_caller]
pub(crate) fn one_minus_square<T: Real>(x: &T) -> T {
    (T::constant(1.0) - x) * x.clone().offset(1.0)
}

/// 1 where `a > b`, ½ where they are equal, 0 elsewhere; constant.
pub(crate) fn share<T: Real>(a: &T, b: &T) -> T {
    let [zero, half, one] = [0.0, 0.5, 1.0].map(T::constant);
    T::select(&a.greater(b), &one, &T::select(&a.equal(b), &half, &zero))
}

/// `dy/d`; zero where `dy` is zero and `d` is zero as well, or not a number.
pub(crate) fn quotient<T: Real>(dy: T, d: &T) -> T {
    if d.none_zero() {
        return dy / d;
    }
    let zero = T::constant(0.0);
    let nothing = dy.equal(&zero).and(&zero.less(&d.abs()).not());
    // Divided by infinity all of it is zero: `0/∞`, and what flows back from there.
    dy / T::select(&nothing, &T::constant(f64::INFINITY), d)
}

/// What `dy` is multiplied by; zero where `dy` is zero and this is infinite or not a number.
pub(crate) fn factor<T: Real>(dy: &T, slope: T) -> T {
    if slope.all_finite() {
        return slope;
    }
    let zero = T::constant(0.0);
    let finite = slope.abs().less(&T::constant(f64::INFINITY));
    T::select(&dy.equal(&zero).and(&finite.not()), &zero, &slope)
}

/// `dy·x`; zero where either is zero and the other one is infinite or not a number.
pub(crate) fn strong_product<T: Real>(dy: T, x: &T) -> T {
    let other = dy.strong_factor(x.clone());
    x.strong_factor(dy).strong_mul(&other)
}

/// `n·xⁿ⁻¹·dy`; zero for `n = 0`, also where `x = 0`.
pub(crate) fn powi<T: Real>(x: &T, n: i32, dy: T) -> T {
    match n {
        0 => dy.zeros_like(),
        1 => dy,
        _ => {
            let power = n.checked_sub(1).map_or_else(|| x.powi(n) / x, |less| x.powi(less));
            let slope = dy.strong_factor(power);
            dy.strong_mul(&slope.scale(f64::from(n)))
        }
    }
}

/// `dy` where `low ≤ x ≤ high`, else 0.
pub(crate) fn clamp<T: Real>(x: &T, low: f64, high: f64, dy: T) -> T {
    let within = x.greater_equal(&T::constant(low)).and(&x.less_equal(&T::constant(high)));
    T::select(&within, &dy, &T::constant(0.0))
}

/// `e^(x−y)` for the logarithm `y` of a sum of `eˣ`: the terms' shares of the sum, none where all of them are zero.
pub(crate) fn shares<T: Real>(x: &T, y: T) -> T {
    if y.all_finite() {
        return (x.clone() - y).exp();
    }
    let nothing = y.equal(&T::constant(f64::NEG_INFINITY));
    (x.clone() - T::select(&nothing, &T::constant(0.0), &y)).exp()
}
