//! Hyperbolic functions, inverses, logarithms in other bases, gamma and Bessel functions, roundings and remainders.

use std::f64::consts::{FRAC_2_SQRT_PI, FRAC_PI_2, LN_2, LN_10, PI};

use antiphon::{Int, Mask};

use crate::case::{c, scalar_cases};
use crate::elementary::erf;

const INFINITY: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn factorial(n: u32) -> f64 {
    (1..=n).map(f64::from).product()
}

/// `ψₙ(x)` by 60 steps of the recurrence, which holds for negative `x` as well, and four terms of the series there.
fn polygamma(n: u32, x: f64) -> f64 {
    let z = x + 60.0;
    let steps: f64 = (0..60).map(|k| (x + f64::from(k)).powi(-1 - n as i32)).sum();
    let series: f64 = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0]
        .iter()
        .zip(1..)
        .map(|(b, k)| b * factorial(2 * k + n - 1) / factorial(2 * k) * z.powi(-2 * k as i32 - n as i32))
        .sum();
    let rest = 0.5 * factorial(n) * z.powi(-1 - n as i32) + series + factorial(n) * steps;
    match n {
        0 => z.ln() - rest,
        n => (rest + factorial(n - 1) * z.powi(-(n as i32))) * if n % 2 == 1 { 1.0 } else { -1.0 },
    }
}

/// `ln |Γ(x)|` in the same way.
fn lgamma(x: f64) -> f64 {
    let z = x + 60.0;
    let steps: f64 = (0..60).map(|k| (x + f64::from(k)).abs().ln()).sum();
    let series = 1.0 / (12.0 * z) - 1.0 / (360.0 * z.powi(3)) + 1.0 / (1_260.0 * z.powi(5));
    (z - 0.5) * z.ln() - z + 0.5 * (2.0 * PI).ln() + series - steps
}

/// `Iₙ(x)` by its series of terms of one sign.
fn bessel(n: u32, x: f64) -> f64 {
    let term = |k: u32| (0.5 * x).powi((2 * k + n) as i32) / factorial(k) / factorial(k + n);
    (0..60).map(term).sum()
}

/// `f‴` of `sin(z)/z` for `z = πx`, from those before it.
fn sinc(x: f64) -> [f64; 4] {
    let f = (PI * x).sin() / (PI * x);
    let first = ((PI * x).cos() - f) / x;
    let second = -PI * PI * f - 2.0 * first / x;
    [f, first, second, -PI * PI * first - 2.0 * second / x + 2.0 * first / (x * x)]
}

scalar_cases! {
    erfc(x) at [[0.0], [0.5], [-1.25], [1.5]] {
        f: x.erfc(), value: 1.0 - erf(x), gradient: [-FRAC_2_SQRT_PI * (-x * x).exp()],
        hessian: [[2.0 * x * FRAC_2_SQRT_PI * (-x * x).exp()]],
        third: (2.0 - 4.0 * x * x) * FRAC_2_SQRT_PI * (-x * x).exp(),
    }
    erfc_of_much(x) at [] kinks [[INFINITY], [30.0], [-30.0]] {
        f: x.erfc(), value: if x > 0.0 { 0.0 } else { 2.0 }, gradient: [0.0],
    }
    erfc_is_small_exactly(x) at [] kinks [[10.0]] {
        f: x.erfc(), value: 2.088_487_583_762_545e-45, gradient: [-FRAC_2_SQRT_PI * (-x * x).exp()],
    }
    exp2(x) at [[0.0], [1.3], [-20.0]] {
        f: x.exp2(), value: 2f64.powf(x), gradient: [LN_2 * 2f64.powf(x)], hessian: [[LN_2 * LN_2 * 2f64.powf(x)]],
        third: LN_2.powi(3) * 2f64.powf(x),
    }
    log2(x) at [[0.2], [8.0]] {
        f: x.log2(), value: x.ln() / LN_2, gradient: [1.0 / (LN_2 * x)], hessian: [[-1.0 / (LN_2 * x * x)]],
        third: 2.0 / (LN_2 * x * x * x),
    }
    log10(x) at [[0.2], [1000.0]] {
        f: x.log10(), value: x.ln() / LN_10, gradient: [1.0 / (LN_10 * x)], hessian: [[-1.0 / (LN_10 * x * x)]],
        third: 2.0 / (LN_10 * x * x * x),
    }
    logarithms_at_the_pole(x) at [] kinks [[0.0]] {
        f: x.log2() + x.log10(), value: -INFINITY, gradient: [INFINITY],
    }
    cbrt(x) at [[0.2], [-8.0]] {
        f: x.cbrt(), value: x.abs().powf(1.0 / 3.0) * x.signum(), gradient: [x.cbrt().powi(-2) / 3.0],
        hessian: [[-2.0 / 9.0 * x.cbrt().powi(-5)]], third: 10.0 / 27.0 * x.cbrt().powi(-8),
    }
    cbrt_at_zero(x) at [] kinks [[0.0]] {
        f: x.cbrt(), value: 0.0, gradient: [INFINITY],
    }
    sinh(x) at [[0.0], [0.3], [-1.1], [4.0]] {
        f: x.sinh(), value: 0.5 * (x.exp_m1() - (-x).exp_m1()), gradient: [x.cosh()], hessian: [[x.sinh()]],
        third: x.cosh(),
    }
    cosh(x) at [[0.0], [0.3], [-1.1], [4.0]] {
        f: x.cosh(), value: 0.5 * (x.exp() + (-x).exp()), gradient: [x.sinh()], hessian: [[x.cosh()]],
        third: x.sinh(),
    }
    asin(x) at [[0.0], [0.3], [-0.8]] {
        f: x.asin(), value: (x / (1.0 - x * x).sqrt()).atan(), gradient: [(1.0 - x * x).powf(-0.5)],
        hessian: [[x * (1.0 - x * x).powf(-1.5)]],
        third: (1.0 - x * x).powf(-1.5) + 3.0 * x * x * (1.0 - x * x).powf(-2.5),
    }
    acos(x) at [[0.0], [0.3], [-0.8]] {
        f: x.acos(), value: FRAC_PI_2 - (x / (1.0 - x * x).sqrt()).atan(), gradient: [-(1.0 - x * x).powf(-0.5)],
        hessian: [[-x * (1.0 - x * x).powf(-1.5)]],
        third: -(1.0 - x * x).powf(-1.5) - 3.0 * x * x * (1.0 - x * x).powf(-2.5),
    }
    asin_at_the_ends(x) at [] kinks [[1.0], [-1.0]] {
        f: x.asin(), value: FRAC_PI_2 * x, gradient: [INFINITY],
    }
    acos_at_the_ends(x) at [] kinks [[1.0], [-1.0]] {
        f: x.acos(), value: if x > 0.0 { 0.0 } else { PI }, gradient: [-INFINITY],
    }
    asin_and_acos_beyond(x) at [] kinks [[1.5], [-2.0]] {
        f: x.asin() + x.acos(), value: NAN, gradient: [NAN], hessian: [[NAN]], third: NAN,
    }
    atan(x) at [[0.0], [0.3], [-0.8], [5.0]] {
        f: x.atan(), value: x.atan(), gradient: [1.0 / (1.0 + x * x)], hessian: [[-2.0 * x * (1.0 + x * x).powi(-2)]],
        third: (6.0 * x * x - 2.0) * (1.0 + x * x).powi(-3),
    }
    atan_saturates(x) at [] kinks [[INFINITY], [-INFINITY]] {
        f: x.atan(), value: FRAC_PI_2.copysign(x), gradient: [0.0],
    }
    asinh(x) at [[0.0], [0.3], [-0.8], [5.0]] {
        f: x.asinh(), value: (x + (x * x + 1.0).sqrt()).ln(), gradient: [(1.0 + x * x).powf(-0.5)],
        hessian: [[-x * (1.0 + x * x).powf(-1.5)]], third: (2.0 * x * x - 1.0) * (1.0 + x * x).powf(-2.5),
    }
    asinh_of_much(x) at [] kinks [[1e200]] {
        f: x.asinh(), value: x.ln() + LN_2, gradient: [1e-200],
    }
    acosh(x) at [[1.3], [5.0]] {
        f: x.acosh(), value: (x + (x * x - 1.0).sqrt()).ln(), gradient: [(x * x - 1.0).powf(-0.5)],
        hessian: [[-x * (x * x - 1.0).powf(-1.5)]], third: (2.0 * x * x + 1.0) * (x * x - 1.0).powf(-2.5),
    }
    acosh_at_the_end(x) at [] kinks [[1.0]] {
        f: x.acosh(), value: 0.0, gradient: [INFINITY],
    }
    acosh_of_much(x) at [] kinks [[1e200]] {
        f: x.acosh(), value: x.ln() + LN_2, gradient: [1e-200],
    }
    acosh_below(x) at [] kinks [[0.5], [-3.0]] {
        f: x.acosh(), value: NAN, gradient: [NAN],
    }
    atanh(x) at [[0.0], [0.3], [-0.8]] {
        f: x.atanh(), value: 0.5 * ((1.0 + x) / (1.0 - x)).ln(), gradient: [1.0 / (1.0 - x * x)],
        hessian: [[2.0 * x * (1.0 - x * x).powi(-2)]], third: (6.0 * x * x + 2.0) * (1.0 - x * x).powi(-3),
    }
    atanh_at_the_ends(x) at [] kinks [[1.0], [-1.0]] {
        f: x.atanh(), value: INFINITY.copysign(x), gradient: [INFINITY],
    }
    // Infinite and undefined derivatives beyond the ends of domains are not taken.
    inverses_that_are_not_taken(x) at [[0.5]] kinks [[1.0], [-1.0], [2.0], [0.0]] {
        f: {
            let inside = x.less(&c::<T>(1.0)).and(&x.greater(&c::<T>(0.0)));
            let y = x.asin() + x.acos() + x.atanh() + x.clone().offset(-3.0).acosh() + x.cbrt() + x.log2();
            let y = y + x.log10() + x.lgamma() + x.digamma() + x.polygamma(1);
            T::select(&inside, &x.square(), &T::select(&inside, &y, &c::<T>(0.0)))
        },
        value: if x > 0.0 && x < 1.0 { x * x } else { 0.0 },
        gradient: [if x > 0.0 && x < 1.0 { 2.0 * x } else { 0.0 }],
        hessian: [[if x > 0.0 && x < 1.0 { 2.0 } else { 0.0 }]],
        third: 0.0,
    }
    // Where the cotangent of the reflection is zero, too.
    lgamma(x) at [[0.3], [4.5], [-1.3], [-1.5]] {
        f: x.lgamma(), value: lgamma(x), gradient: [polygamma(0, x)], hessian: [[polygamma(1, x)]],
        third: polygamma(2, x),
    }
    digamma(x) at [[0.3], [4.5], [-1.3], [-0.5], [-2.5], [20.0]] {
        f: x.digamma(), value: polygamma(0, x), gradient: [polygamma(1, x)], hessian: [[polygamma(2, x)]],
        third: polygamma(3, x),
    }
    trigamma(x) at [[0.3], [4.5], [-1.3]] {
        f: x.polygamma(1), value: polygamma(1, x), gradient: [polygamma(2, x)], hessian: [[polygamma(3, x)]],
        third: polygamma(4, x),
    }
    polygamma_of_order_four(x) at [[0.3], [4.5], [-1.3]] {
        f: x.polygamma(4), value: polygamma(4, x), gradient: [polygamma(5, x)], hessian: [[polygamma(6, x)]],
        third: polygamma(7, x),
    }
    i0(x) at [[0.0], [0.5], [-2.5], [12.0]] {
        f: x.i0(), value: bessel(0, x), gradient: [bessel(1, x)], hessian: [[0.5 * (bessel(0, x) + bessel(2, x))]],
        third: 0.25 * (3.0 * bessel(1, x) + bessel(3, x)),
    }
    i1(x) at [[0.0], [0.5], [0.999], [1.0], [-2.5], [12.0]] {
        f: x.i1(), value: bessel(1, x), gradient: [0.5 * (bessel(0, x) + bessel(2, x))],
        hessian: [[0.25 * (3.0 * bessel(1, x) + bessel(3, x))]],
        third: 0.125 * (3.0 * bessel(0, x) + 4.0 * bessel(2, x) + bessel(4, x)),
    }
    sinc(x) at [[0.3], [-0.5], [0.51], [2.6]] {
        f: x.sinc(), value: sinc(x)[0], gradient: [sinc(x)[1]], hessian: [[sinc(x)[2]]], third: sinc(x)[3],
    }
    sinc_at_zero(x) at [] kinks [[0.0]] {
        f: x.sinc(), value: 1.0, gradient: [0.0], hessian: [[-PI * PI / 3.0]], third: 0.0,
    }
    floor(x) at [[0.7], [-2.5]] kinks [[3.0]] {
        f: x.floor() * &x, value: x.floor() * x, gradient: [x.floor()], hessian: [[0.0]], third: 0.0,
    }
    ceil(x) at [[0.7], [-2.5]] kinks [[3.0]] {
        f: x.ceil() * &x, value: x.ceil() * x, gradient: [x.ceil()], hessian: [[0.0]], third: 0.0,
    }
    round(x) at [[0.7], [-2.6]] kinks [[0.5], [1.5], [-2.5]] {
        f: x.round() * &x, value: x.round_ties_even() * x, gradient: [x.round_ties_even()], hessian: [[0.0]],
        third: 0.0,
    }
    trunc(x) at [[0.7], [-2.5]] kinks [[3.0]] {
        f: x.trunc() * &x, value: x.trunc() * x, gradient: [x.trunc()], hessian: [[0.0]], third: 0.0,
    }
    atan2(y, x) at [[0.5, 1.5], [0.5, -1.5], [-2.0, -0.5], [-2.0, 0.5]] {
        f: y.atan2(&x), value: y.atan2(x), gradient: [x / (x * x + y * y), -y / (x * x + y * y)],
        hessian: {
            let square = (x * x + y * y).powi(2);
            let mixed = (y * y - x * x) / square;
            [[-2.0 * x * y / square, mixed], [mixed, 2.0 * x * y / square]]
        },
    }
    atan2_at_the_origin(y, x) at [] kinks [[0.0, 0.0]] {
        f: y.atan2(&x), value: 0.0, gradient: [0.0, 0.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    atan2_far_away(y, x) at [] kinks [[1e200, 1e200]] {
        f: y.atan2(&x), value: 0.25 * PI, gradient: [0.5e-200, -0.5e-200],
    }
    hypot(x, y) at [[0.5, 1.5], [3.0, -4.0], [2.0, 2.0], [1.5, 0.0]] {
        f: x.hypot(&y), value: (x * x + y * y).sqrt(), gradient: [x / x.hypot(y), y / x.hypot(y)],
        hessian: {
            let cube = x.hypot(y).powi(3);
            [[y * y / cube, -x * y / cube], [-x * y / cube, x * x / cube]]
        },
    }
    hypot_at_the_origin(x, y) at [] kinks [[0.0, 0.0]] {
        f: x.hypot(&y), value: 0.0, gradient: [0.0, 0.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    hypot_far_away(x, y) at [] kinks [[3e200, 4e200]] {
        f: x.hypot(&y), value: 5e200, gradient: [0.6, 0.8],
    }
    logaddexp(x, y) at [[0.5, 1.5], [2.0, -1.0], [0.7, 0.7]] {
        f: x.logaddexp(&y), value: (x.exp() + y.exp()).ln(),
        gradient: [1.0 / (1.0 + (y - x).exp()), 1.0 / (1.0 + (x - y).exp())],
        hessian: {
            let s = 1.0 / (2.0 + (y - x).exp() + (x - y).exp());
            [[s, -s], [-s, s]]
        },
    }
    logaddexp_far_apart(x, y) at [] kinks [[1000.0, -1000.0], [0.5, -INFINITY]] {
        f: x.logaddexp(&y), value: x, gradient: [1.0, 0.0],
    }
    logaddexp_of_nothing(x, y) at [] kinks [[-INFINITY, -INFINITY]] {
        f: x.logaddexp(&y), value: -INFINITY, gradient: [0.0, 0.0],
    }
    xlogy(x, y) at [[0.5, 1.5], [-2.0, 0.3], [0.0, 2.0]] {
        f: x.xlogy(&y), value: x * y.ln(), gradient: [y.ln(), x / y],
        hessian: [[0.0, 1.0 / y], [1.0 / y, -x / (y * y)]],
    }
    xlogy_of_nothing(x, y) at [] kinks [[0.0, 0.0], [0.0, -1.0], [0.0, INFINITY]] {
        f: x.xlogy(&y), value: 0.0, gradient: [0.0, 0.0],
    }
    fmod(x, y) at [[5.5, 2.0], [-5.5, 2.0], [5.5, -2.0], [0.5, 2.0]] {
        f: x.fmod(&y), value: x % y, gradient: [1.0, -(x / y).trunc()], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    remainder(x, y) at [[5.5, 2.0], [-5.5, 2.0], [5.5, -2.0], [-0.5, -2.0]] {
        f: x.remainder(&y), value: x - (x / y).floor() * y, gradient: [1.0, -(x / y).floor()],
        hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    remainders_where_they_jump(x, y) at [] kinks [[6.0, 2.0], [-6.0, 2.0]] {
        f: x.fmod(&y) + x.remainder(&y), value: 0.0, gradient: [2.0, -2.0 * x / y],
    }
    remainder_of_what_is_infinite(x, y) at [] kinks [[INFINITY, 2.0]] {
        f: x.fmod(&y), value: NAN, gradient: [1.0, NAN],
    }
    nan_to_num(x) at [[0.7], [-2.5]] {
        f: x.nan_to_num(1.0, 2.0, 3.0).square(), value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    nan_to_num_replaces(x) at [] kinks [[NAN], [INFINITY], [-INFINITY]] {
        f: x.nan_to_num(1.0, 2.0, 3.0), value: if x.is_nan() { 1.0 } else if x > 0.0 { 2.0 } else { 3.0 },
        gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    classes_of_numbers(x) at [[0.7]] kinks [[NAN], [INFINITY], [-INFINITY]] {
        f: {
            let one = |mask: &T::Bool, y: f64| T::select(mask, &c::<T>(y), &c::<T>(0.0));
            one(&x.is_nan(), 1.0) + one(&x.is_infinite(), 2.0) + one(&x.is_finite(), 4.0)
        },
        value: if x.is_nan() { 1.0 } else if x.is_infinite() { 2.0 } else { 4.0 }, gradient: [0.0],
        hessian: [[0.0]], third: 0.0,
    }
    integers_of_reals(x) at [[2.7], [-2.7]] kinks [[NAN], [1e300], [-INFINITY]] {
        f: T::from_int(&x.to_int()), value: x as i64 as f64, gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    quotients_of_integers(x) at [[7.5], [-7.5], [0.5]] {
        f: {
            let i = x.to_int();
            let of = |d: i64| {
                let d = T::Int::constant(d);
                let (q, r) = (i.floor_divide(&d), i.remainder(&d));
                T::from_int(&(q.clone() * &T::Int::constant(10) + &r + q.maximum(&r) - q.minimum(&r)))
            };
            let all = of(2) + of(-2).scale(100.0) + of(0).scale(1e4) + of(-1).scale(1e5);
            all * &x
        },
        value: {
            let of = |d: i64| {
                let i = x as i64;
                let q = if d == 0 { 0.0 } else { (i as f64 / d as f64).floor() };
                let r = if d == 0 { 0.0 } else { i as f64 - q * d as f64 };
                10.0 * q + r + (q - r).abs()
            };
            (of(2) + 100.0 * of(-2) + 1e4 * of(0) + 1e5 * of(-1)) * x
        },
        gradient: [{
            let of = |d: i64| {
                let i = x as i64;
                let q = if d == 0 { 0.0 } else { (i as f64 / d as f64).floor() };
                let r = if d == 0 { 0.0 } else { i as f64 - q * d as f64 };
                10.0 * q + r + (q - r).abs()
            };
            of(2) + 100.0 * of(-2) + 1e4 * of(0) + 1e5 * of(-1)
        }],
        hessian: [[0.0]],
        third: 0.0,
    }
    comparisons_of_integers(x) at [[2.7], [3.2], [-2.7]] {
        f: {
            let (i, three) = (x.to_int(), T::Int::constant(3));
            let one = |mask: &T::Bool, y: f64| T::select(mask, &c::<T>(y), &c::<T>(0.0));
            one(&i.less_equal(&three), 1.0) + one(&i.greater(&three), 2.0) + one(&i.greater_equal(&three), 4.0)
                + one(&i.not_equal(&three), 8.0) + T::from_int(&(-i.abs()))
        },
        value: {
            let i = x as i64;
            let one = |holds: bool, y: f64| if holds { y } else { 0.0 };
            one(i <= 3, 1.0) + one(i > 3, 2.0) + one(i >= 3, 4.0) + one(i != 3, 8.0) - i.abs() as f64
        },
        gradient: [0.0],
        hessian: [[0.0]],
        third: 0.0,
    }
}
