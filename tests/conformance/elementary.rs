//! Every operator of one operand, with its conventions at kinks, poles and infinities.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use crate::case::{c, scalar_cases};

const INFINITY: f64 = f64::INFINITY;
const NEG_INFINITY: f64 = f64::NEG_INFINITY;
const NAN: f64 = f64::NAN;

/// The error function by its series of positive terms: `2/√π · e^(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!`.
pub fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / (2 * n + 1) as f64;
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `1/(1 + e⁻ˣ)`.
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

scalar_cases! {
    constant(x) at [[0.7], [-2.0]] {
        f: c::<T>(4.25), value: 4.25, gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    identity(x) at [[0.7], [0.0]] {
        f: x, value: x, gradient: [1.0], hessian: [[0.0]], third: 0.0,
    }
    neg(x) at [[0.7], [-2.0]] {
        f: -x, value: -x, gradient: [-1.0], hessian: [[0.0]], third: 0.0,
    }
    recip(x) at [[0.7], [-2.5]] {
        f: x.recip(), value: 1.0 / x, gradient: [-1.0 / (x * x)], hessian: [[2.0 / (x * x * x)]],
        third: -6.0 / (x * x * x * x),
    }
    recip_at_the_pole(x) at [] kinks [[0.0]] {
        f: x.recip(), value: INFINITY, gradient: [NEG_INFINITY],
    }
    abs(x) at [[0.7], [-2.5]] kinks [[0.0]] {
        f: x.abs(), value: x.abs(),
        gradient: [if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { 0.0 }], hessian: [[0.0]], third: 0.0,
    }
    sign(x) at [[0.7], [-2.5]] kinks [[0.0]] {
        f: x.sign(), value: if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { 0.0 },
        gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    abs_by_sign(x) at [[0.7], [-2.5]] kinks [[0.0]] {
        f: x.sign() * x, value: x.abs(), gradient: [if x == 0.0 { 0.0 } else { x / x.abs() }],
        hessian: [[0.0]], third: 0.0,
    }
    exp(x) at [[0.0], [1.3], [-20.0]] {
        f: x.exp(), value: x.exp(), gradient: [x.exp()], hessian: [[x.exp()]], third: x.exp(),
    }
    expm1(x) at [[0.0], [1.3], [1e-9]] {
        f: x.expm1(), value: x.exp_m1(), gradient: [x.exp()], hessian: [[x.exp()]], third: x.exp(),
    }
    log(x) at [[0.2], [3.0]] {
        f: x.log(), value: x.ln(), gradient: [1.0 / x], hessian: [[-1.0 / (x * x)]], third: 2.0 / (x * x * x),
    }
    log_at_the_pole(x) at [] kinks [[0.0]] {
        f: x.log(), value: NEG_INFINITY, gradient: [INFINITY],
    }
    log1p(x) at [[-0.3], [3.0], [1e-9]] {
        f: x.log1p(), value: x.ln_1p(), gradient: [1.0 / (1.0 + x)], hessian: [[-1.0 / (1.0 + x).powi(2)]],
        third: 2.0 / (1.0 + x).powi(3),
    }
    sqrt(x) at [[0.2], [9.0]] {
        f: x.sqrt(), value: x.sqrt(), gradient: [0.5 * x.powf(-0.5)], hessian: [[-0.25 * x.powf(-1.5)]],
        third: 0.375 * x.powf(-2.5),
    }
    sqrt_at_zero(x) at [] kinks [[0.0]] {
        f: x.sqrt(), value: 0.0, gradient: [INFINITY],
    }
    sqrt_of_a_negative(x) at [] kinks [[-1.0]] {
        f: x.sqrt(), value: NAN, gradient: [NAN], hessian: [[NAN]], third: NAN,
    }
    sin(x) at [[0.0], [0.7], [-2.5]] {
        f: x.sin(), value: x.sin(), gradient: [x.cos()], hessian: [[-x.sin()]], third: -x.cos(),
    }
    cos(x) at [[0.0], [0.7], [-2.5]] {
        f: x.cos(), value: x.cos(), gradient: [-x.sin()], hessian: [[-x.cos()]], third: x.sin(),
    }
    tan(x) at [[0.0], [0.7], [-2.5]] {
        f: x.tan(), value: x.sin() / x.cos(), gradient: [x.cos().powi(-2)],
        hessian: [[2.0 * x.sin() * x.cos().powi(-3)]],
        third: (2.0 + 4.0 * x.sin().powi(2)) * x.cos().powi(-4),
    }
    tanh(x) at [[0.0], [0.3], [-1.1]] {
        f: x.tanh(), value: x.sinh() / x.cosh(), gradient: [x.cosh().powi(-2)],
        hessian: [[-2.0 * x.sinh() * x.cosh().powi(-3)]],
        third: (4.0 * x.sinh().powi(2) - 2.0) * x.cosh().powi(-4),
    }
    tanh_saturates(x) at [] kinks [[INFINITY], [NEG_INFINITY], [400.0]] {
        f: x.tanh(), value: x.signum(), gradient: [0.0], hessian: [[0.0]],
    }
    sigmoid(x) at [[0.0], [0.3], [-1.1], [-30.0]] {
        f: x.sigmoid(), value: logistic(x), gradient: [0.25 * (0.5 * x).cosh().powi(-2)],
        hessian: [[-0.25 * (0.5 * x).sinh() * (0.5 * x).cosh().powi(-3)]],
        third: 0.125 * (x.cosh() - 2.0) * (0.5 * x).cosh().powi(-4),
    }
    sigmoid_does_not_overflow(x) at [] kinks [[800.0], [-800.0], [INFINITY], [NEG_INFINITY]] {
        f: x.sigmoid(), value: if x > 0.0 { 1.0 } else { 0.0 }, gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    softplus(x) at [[0.0], [0.3], [-1.1], [-30.0]] {
        f: x.softplus(), value: x.exp().ln_1p(), gradient: [logistic(x)],
        hessian: [[0.25 * (0.5 * x).cosh().powi(-2)]],
        third: -0.25 * (0.5 * x).sinh() * (0.5 * x).cosh().powi(-3),
    }
    softplus_does_not_overflow(x) at [] kinks [[800.0], [-800.0]] {
        f: x.softplus(), value: if x > 0.0 { x } else { 0.0 }, gradient: [if x > 0.0 { 1.0 } else { 0.0 }],
        hessian: [[0.0]], third: 0.0,
    }
    relu(x) at [[0.7], [-2.5]] kinks [[0.0]] {
        f: x.relu(), value: if x > 0.0 { x } else { 0.0 }, gradient: [if x > 0.0 { 1.0 } else { 0.0 }],
        hessian: [[0.0]], third: 0.0,
    }
    relu_squared(x) at [[0.7], [-2.5]] kinks [[0.0]] {
        f: x.relu().square(), value: if x > 0.0 { x * x } else { 0.0 },
        gradient: [if x > 0.0 { 2.0 * x } else { 0.0 }], hessian: [[if x > 0.0 { 2.0 } else { 0.0 }]], third: 0.0,
    }
    erf(x) at [[0.0], [0.5], [-1.25]] {
        f: x.erf(), value: erf(x), gradient: [FRAC_2_SQRT_PI * (-x * x).exp()],
        hessian: [[-2.0 * x * FRAC_2_SQRT_PI * (-x * x).exp()]],
        third: (4.0 * x * x - 2.0) * FRAC_2_SQRT_PI * (-x * x).exp(),
    }
    erf_saturates(x) at [] kinks [[INFINITY], [NEG_INFINITY], [30.0]] {
        f: x.erf(), value: x.signum(), gradient: [0.0],
    }
    exp_at_infinity(x) at [] kinks [[INFINITY], [NEG_INFINITY]] {
        f: x.exp(), value: if x > 0.0 { INFINITY } else { 0.0 }, gradient: [if x > 0.0 { INFINITY } else { 0.0 }],
        hessian: [[if x > 0.0 { INFINITY } else { 0.0 }]],
    }
    recip_at_infinity(x) at [] kinks [[INFINITY]] {
        f: x.recip(), value: 0.0, gradient: [0.0],
    }
    square(x) at [[1.5], [0.0]] {
        f: x.square(), value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    powi_zero(x) at [[1.5]] kinks [[0.0]] {
        f: x.powi(0), value: 1.0, gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    powi_one(x) at [[1.5]] kinks [[0.0]] {
        f: x.powi(1), value: x, gradient: [1.0], hessian: [[0.0]], third: 0.0,
    }
    powi_two(x) at [[1.5], [-0.5], [0.0]] {
        f: x.powi(2), value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    powi_three(x) at [[1.5], [-0.5], [0.0]] {
        f: x.powi(3), value: x * x * x, gradient: [3.0 * x * x], hessian: [[6.0 * x]], third: 6.0,
    }
    powi_seven(x) at [[1.5], [-0.5]] {
        f: x.powi(7), value: x.powi(7), gradient: [7.0 * x.powi(6)], hessian: [[42.0 * x.powi(5)]],
        third: 210.0 * x.powi(4),
    }
    powi_minus_two(x) at [[1.5], [-0.5]] {
        f: x.powi(-2), value: 1.0 / (x * x), gradient: [-2.0 / (x * x * x)], hessian: [[6.0 / (x * x * x * x)]],
        third: -24.0 / (x * x * x * x * x),
    }
    clamp(x) at [[0.7], [-2.5], [3.0]] kinks [[-1.0], [2.0]] {
        f: x.clamp(-1.0, 2.0), value: x.clamp(-1.0, 2.0),
        gradient: [if (-1.0..=2.0).contains(&x) { 1.0 } else { 0.0 }], hessian: [[0.0]], third: 0.0,
    }
    scale(x) at [[0.7], [0.0]] {
        f: x.scale(-3.5), value: -3.5 * x, gradient: [-3.5], hessian: [[0.0]], third: 0.0,
    }
    offset(x) at [[0.7], [0.0]] {
        f: x.offset(-3.5), value: x - 3.5, gradient: [1.0], hessian: [[0.0]], third: 0.0,
    }
    zeros_ones_and_full_like(x) at [[0.7]] {
        f: x.zeros_like() + x.ones_like() + x.full_like(3.0) * &x, value: 1.0 + 3.0 * x, gradient: [3.0],
        hessian: [[0.0]], third: 0.0,
    }
    detach_stops_every_order(x) at [] kinks [[1.5]] {
        f: x.detach() * &x, value: x * x, gradient: [x], hessian: [[0.0]], third: 0.0,
    }
    cosine_of_pi_x(x) at [[3.0]] {
        f: x.scale(PI).cos(), value: (PI * x).cos(), gradient: [-PI * (PI * x).sin()],
        hessian: [[-PI * PI * (PI * x).cos()]], third: PI.powi(3) * (PI * x).sin(),
    }
    nan_passes_through(x) at [] kinks [[NAN]] {
        f: x.sin() * x.exp() + x.tanh(), value: NAN, gradient: [NAN], hessian: [[NAN]], third: NAN,
    }
}
