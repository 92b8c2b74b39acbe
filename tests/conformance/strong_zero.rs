//! Strong zeros: what is exactly zero stays zero where a derivative is infinite or undefined. Nothing comes out of the
//! branch of a `select` that is not taken, and powers have all their derivatives at base zero.

use crate::case::{c, scalar_cases};

/// `x` to the power `n` with its first three derivatives, for `n ≥ 0`.
fn power(x: f64, n: i32) -> [f64; 4] {
    let slope = |order: i32| (0..order).map(|i| f64::from(n - i)).product::<f64>();
    [0, 1, 2, 3].map(|order| if order > n { 0.0 } else { slope(order) * x.powi(n - order) })
}

scalar_cases! {
    root_not_taken(x) at [[2.0]] kinks [[0.0], [-1.0]] {
        f: T::select(&x.greater(&c(0.0)), &x.sqrt(), &c(0.0)),
        value: if x > 0.0 { x.sqrt() } else { 0.0 },
        gradient: [if x > 0.0 { 0.5 / x.sqrt() } else { 0.0 }],
        hessian: [[if x > 0.0 { -0.25 * x.powf(-1.5) } else { 0.0 }]],
        third: if x > 0.0 { 0.375 * x.powf(-2.5) } else { 0.0 },
    }
    logarithm_not_taken(x) at [[2.0]] kinks [[0.0], [-1.0]] {
        f: T::select(&x.greater(&c(0.0)), &x.log(), &c(0.0)),
        value: if x > 0.0 { x.ln() } else { 0.0 },
        gradient: [if x > 0.0 { 1.0 / x } else { 0.0 }],
        hessian: [[if x > 0.0 { -1.0 / (x * x) } else { 0.0 }]],
        third: if x > 0.0 { 2.0 / (x * x * x) } else { 0.0 },
    }
    log1p_not_taken(x) at [[2.0]] kinks [[-1.0], [-2.0]] {
        f: T::select(&x.greater(&c(-1.0)), &x.log1p(), &c(0.0)),
        value: if x > -1.0 { x.ln_1p() } else { 0.0 },
        gradient: [if x > -1.0 { 1.0 / (1.0 + x) } else { 0.0 }],
        hessian: [[if x > -1.0 { -1.0 / (1.0 + x).powi(2) } else { 0.0 }]],
        third: if x > -1.0 { 2.0 / (1.0 + x).powi(3) } else { 0.0 },
    }
    reciprocal_not_taken(x) at [[2.0]] kinks [[0.0]] {
        f: T::select(&x.not_equal(&c(0.0)), &x.recip(), &c(0.0)),
        value: if x == 0.0 { 0.0 } else { 1.0 / x },
        gradient: [if x == 0.0 { 0.0 } else { -1.0 / (x * x) }],
        hessian: [[if x == 0.0 { 0.0 } else { 2.0 / (x * x * x) }]],
        third: if x == 0.0 { 0.0 } else { -6.0 / (x * x * x * x) },
    }
    quotient_not_taken(x, y) at [[3.0, 2.0]] kinks [[3.0, 0.0], [0.0, 0.0]] {
        f: T::select(&y.not_equal(&c(0.0)), &(x / &y), &c(0.0)),
        value: if y == 0.0 { 0.0 } else { x / y },
        gradient: if y == 0.0 { [0.0, 0.0] } else { [1.0 / y, -x / (y * y)] },
        hessian: if y == 0.0 { [[0.0; 2]; 2] } else { [[0.0, -1.0 / (y * y)], [-1.0 / (y * y), 2.0 * x / (y * y * y)]] },
    }
    tangent_not_taken(x) at [[2.0]] kinks [[0.0]] {
        f: T::select(&x.not_equal(&c(0.0)), &x.recip().tan(), &c(0.0)),
        value: if x == 0.0 { 0.0 } else { (1.0 / x).tan() },
        gradient: [if x == 0.0 { 0.0 } else { -(1.0 + (1.0 / x).tan().powi(2)) / (x * x) }],
        hessian: [[
            if x == 0.0 {
                0.0
            } else {
                let tan = (1.0 / x).tan();
                2.0 * (1.0 + tan * tan) * (1.0 / x + tan / (x * x)) / (x * x)
            }
        ]],
    }
    negative_power_not_taken(x) at [[2.0]] kinks [[0.0]] {
        f: T::select(&x.not_equal(&c(0.0)), &x.powi(-2), &c(0.0)),
        value: if x == 0.0 { 0.0 } else { 1.0 / (x * x) },
        gradient: [if x == 0.0 { 0.0 } else { -2.0 / (x * x * x) }],
        hessian: [[if x == 0.0 { 0.0 } else { 6.0 / (x * x * x * x) }]],
    }
    real_power_not_taken(x) at [[2.0]] kinks [[0.0], [-1.0]] {
        f: T::select(&x.greater(&c(0.0)), &x.pow(&c(-0.5)), &c(0.0)),
        value: if x > 0.0 { x.powf(-0.5) } else { 0.0 },
        gradient: [if x > 0.0 { -0.5 * x.powf(-1.5) } else { 0.0 }],
        hessian: [[if x > 0.0 { 0.75 * x.powf(-2.5) } else { 0.0 }]],
    }
    exponent_of_a_base_not_taken(x, y) at [[2.0, 1.5]] kinks [
        [0.0, -1.0], [-1.0, 0.5], [0.0, 0.5], [0.0, -2.0], [0.0, 0.0], [-3.0, -3.0], [-2.0, 3.0], [-1.0, -1.0]
    ] {
        f: T::select(&x.greater(&c(0.0)), &x.pow(&y), &c(0.0)),
        value: if x > 0.0 { x.powf(y) } else { 0.0 },
        gradient: if x > 0.0 { [y * x.powf(y - 1.0), x.powf(y) * x.ln()] } else { [0.0, 0.0] },
        hessian: if x > 0.0 {
            let mixed = x.powf(y - 1.0) * (1.0 + y * x.ln());
            [[y * (y - 1.0) * x.powf(y - 2.0), mixed], [mixed, x.powf(y) * x.ln().powi(2)]]
        } else {
            [[0.0; 2]; 2]
        },
    }
    product_not_taken(x, y) at [[3.0, 2.0]] kinks [[3.0, f64::INFINITY], [0.0, f64::INFINITY], [f64::INFINITY, 2.0]] {
        f: T::select(&x.abs().maximum(&y).less(&c(1e300)), &x.strong_mul(&y), &c(0.0)),
        value: if x.max(y) < 1e300 { x * y } else { 0.0 },
        gradient: if x.max(y) < 1e300 { [y, x] } else { [0.0, 0.0] },
        hessian: if x.max(y) < 1e300 { [[0.0, 1.0], [1.0, 0.0]] } else { [[0.0; 2]; 2] },
    }
    norm(x, y) at [[3.0, 4.0]] kinks [[0.0, 0.0]] {
        f: {
            let norm = (x.square() + y.square()).sqrt();
            T::select(&norm.greater(&c(0.0)), &norm, &c(0.0))
        },
        value: x.hypot(y),
        gradient: if x.hypot(y) == 0.0 { [0.0, 0.0] } else { [x / x.hypot(y), y / x.hypot(y)] },
        hessian: if x.hypot(y) == 0.0 {
            [[0.0; 2]; 2]
        } else {
            let cube = x.hypot(y).powi(3);
            [[y * y / cube, -x * y / cube], [-x * y / cube, x * x / cube]]
        },
    }
    power_0(x) at [[1.5]] kinks [[0.0]] {
        f: x.pow(&c(0.0)), value: power(x, 0)[0], gradient: [power(x, 0)[1]], hessian: [[power(x, 0)[2]]],
        third: power(x, 0)[3],
    }
    power_1(x) at [[1.5]] kinks [[0.0]] {
        f: x.pow(&c(1.0)), value: power(x, 1)[0], gradient: [power(x, 1)[1]], hessian: [[power(x, 1)[2]]],
        third: power(x, 1)[3],
    }
    power_2(x) at [[1.5]] kinks [[0.0]] {
        f: x.pow(&c(2.0)), value: power(x, 2)[0], gradient: [power(x, 2)[1]], hessian: [[power(x, 2)[2]]],
        third: power(x, 2)[3],
    }
    power_3(x) at [[1.5]] kinks [[0.0]] {
        f: x.pow(&c(3.0)), value: power(x, 3)[0], gradient: [power(x, 3)[1]], hessian: [[power(x, 3)[2]]],
        third: power(x, 3)[3],
    }
    power_of_base_zero(x, y) at [[1.5, 2.0]] kinks [[0.0, 2.0], [0.0, 3.0]] {
        f: x.pow(&y),
        value: x.powf(y),
        gradient: [y * x.powf(y - 1.0), if x == 0.0 { 0.0 } else { x.powf(y) * x.ln() }],
        hessian: if x == 0.0 {
            [[y * (y - 1.0) * x.powf(y - 2.0), 0.0], [0.0, 0.0]]
        } else {
            let mixed = x.powf(y - 1.0) * (1.0 + y * x.ln());
            [[y * (y - 1.0) * x.powf(y - 2.0), mixed], [mixed, x.powf(y) * x.ln().powi(2)]]
        },
    }
    constant_zero_under_a_root(x) at [[3.0]] {
        f: x.square() + c::<T>(0.0).sqrt(), value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
}
