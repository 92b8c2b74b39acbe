//! Compositions as they occur in practice: losses, activations, physics, special functions.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use crate::case::{c, scalar_cases};
use crate::elementary::erf;

/// The density of the standard normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (-0.5 * x * x).exp()
}

/// `e^a / (e^a + e^b + e^c)` for the three rotations of the arguments.
fn softmax([x, y, z]: [f64; 3]) -> [f64; 3] {
    let sum = x.exp() + y.exp() + z.exp();
    [x.exp() / sum, y.exp() / sum, z.exp() / sum]
}

scalar_cases! {
    norm(x, y) at [[3.0, 4.0], [-0.6, 0.8]] {
        f: (x.square() + y.square()).sqrt(), value: x.hypot(y), gradient: [x / x.hypot(y), y / x.hypot(y)],
        hessian: [
            [y * y / x.hypot(y).powi(3), -x * y / x.hypot(y).powi(3)],
            [-x * y / x.hypot(y).powi(3), x * x / x.hypot(y).powi(3)],
        ],
    }
    sine_of_square(x) at [[0.7], [1.9]] {
        f: x.square().sin(), value: (x * x).sin(), gradient: [2.0 * x * (x * x).cos()],
        hessian: [[2.0 * (x * x).cos() - 4.0 * x * x * (x * x).sin()]],
        third: -12.0 * x * (x * x).sin() - 8.0 * x.powi(3) * (x * x).cos(),
    }
    x_log_x(x) at [[0.2], [3.0]] {
        f: x.log() * &x, value: x * x.ln(), gradient: [x.ln() + 1.0], hessian: [[1.0 / x]], third: -1.0 / (x * x),
    }
    binary_entropy(x) at [[0.3], [0.8]] {
        f: -(x.log() * &x) - (c::<T>(1.0) - &x) * (-x.clone()).log1p(),
        value: -x * x.ln() - (1.0 - x) * (1.0 - x).ln(), gradient: [((1.0 - x) / x).ln()],
        hessian: [[-1.0 / (x * (1.0 - x))]], third: (1.0 - 2.0 * x) / (x * (1.0 - x)).powi(2),
    }
    gaussian(x) at [[0.4], [-1.7]] {
        f: (-x.square().scale(0.5)).exp().scale((2.0 * PI).sqrt().recip()), value: normal(x), gradient: [-x * normal(x)],
        hessian: [[(x * x - 1.0) * normal(x)]], third: (3.0 * x - x.powi(3)) * normal(x),
    }
    gelu(x) at [[0.4], [-1.2]] {
        f: x.clone() * (x.scale(FRAC_1_SQRT_2).erf() + c::<T>(1.0)).scale(0.5),
        value: 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
        gradient: [0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)) + x * normal(x)], hessian: [[(2.0 - x * x) * normal(x)]],
        third: (x.powi(3) - 4.0 * x) * normal(x),
    }
    swish(x) at [[0.4], [-1.2]] {
        f: x.sigmoid() * &x, value: x / (1.0 + (-x).exp()),
        gradient: [(1.0 + (x + 1.0) * (-x).exp()) * (1.0 + (-x).exp()).powi(-2)],
        hessian: [[0.25 * (0.5 * x).cosh().powi(-2) * (2.0 - x * (0.5 * x).tanh())]],
    }
    sigmoid_from_exp(x) at [[0.4], [-1.2]] {
        f: ((-x).exp() + c::<T>(1.0)).recip(), value: 0.5 + 0.5 * (0.5 * x).tanh(),
        gradient: [0.25 * (0.5 * x).cosh().powi(-2)],
        hessian: [[-0.25 * (0.5 * x).sinh() * (0.5 * x).cosh().powi(-3)]],
        third: 0.125 * (x.cosh() - 2.0) * (0.5 * x).cosh().powi(-4),
    }
    tanh_from_exp(x) at [[0.4], [-0.9]] {
        f: { let e = x.scale(2.0).exp(); (e.clone() - c::<T>(1.0)) / (e + c::<T>(1.0)) }, value: x.tanh(),
        gradient: [x.cosh().powi(-2)], hessian: [[-2.0 * x.sinh() * x.cosh().powi(-3)]],
        third: (4.0 * x.sinh().powi(2) - 2.0) * x.cosh().powi(-4),
    }
    pythagoras(x) at [[0.4], [-0.9]] {
        f: x.sin().square() + x.cos().square() + &x, value: 1.0 + x, gradient: [1.0], hessian: [[0.0]],
    }
    log_of_exp(x) at [[0.4], [-0.9]] {
        f: x.exp().log() * &x, value: x * x, gradient: [2.0 * x], hessian: [[2.0]],
    }
    log_sum_exp(x, y, z) at [[0.5, -1.0, 2.0]] {
        f: (x.exp() + y.exp() + z.exp()).log(), value: (x.exp() + y.exp() + z.exp()).ln(), gradient: softmax([x, y, z]),
        hessian: {
            let s = softmax([x, y, z]);
            [0, 1, 2].map(|i| [0, 1, 2].map(|j| if i == j { s[i] * (s[(i + 1) % 3] + s[(i + 2) % 3]) } else { -s[i] * s[j] }))
        },
    }
    log_sum_exp_shifted_by_the_maximum(x, y, z) at [[500.5, 499.0, 502.0]] {
        f: {
            let m = x.maximum(&y).maximum(&z);
            ((x - &m).exp() + (y - &m).exp() + (z - &m).exp()).log() + m
        },
        value: z + ((x - z).exp() + (y - z).exp()).ln_1p(), gradient: softmax([x - z, y - z, 0.0]),
        hessian: {
            let s = softmax([x - z, y - z, 0.0]);
            [0, 1, 2].map(|i| [0, 1, 2].map(|j| if i == j { s[i] * (s[(i + 1) % 3] + s[(i + 2) % 3]) } else { -s[i] * s[j] }))
        },
    }
    logistic_loss(x, w) at [[0.7, 1.4], [-2.0, 0.5]] {
        f: (-(x * w)).softplus(), value: (-x * w).exp().ln_1p(),
        gradient: [-w / (1.0 + (x * w).exp()), -x / (1.0 + (x * w).exp())],
        hessian: {
            let (s, d) = (1.0 / (1.0 + (x * w).exp()), 0.25 * (0.5 * x * w).cosh().powi(-2));
            [[w * w * d, x * w * d - s], [x * w * d - s, x * x * d]]
        },
    }
    harmonic_mean(x, y) at [[0.7, 1.4], [2.0, 0.5]] {
        f: c::<T>(2.0) / (x.recip() + y.recip()), value: 2.0 * x * y / (x + y),
        gradient: [2.0 * (y / (x + y)).powi(2), 2.0 * (x / (x + y)).powi(2)],
        hessian: [
            [-4.0 * y * y / (x + y).powi(3), 4.0 * x * y / (x + y).powi(3)],
            [4.0 * x * y / (x + y).powi(3), -4.0 * x * x / (x + y).powi(3)],
        ],
    }
    spherical_height(r, t, p) at [[2.0, 0.7, 1.1]] {
        f: r * t.sin() * p.cos(), value: r * t.sin() * p.cos(),
        gradient: [t.sin() * p.cos(), r * t.cos() * p.cos(), -r * t.sin() * p.sin()],
        hessian: [
            [0.0, t.cos() * p.cos(), -t.sin() * p.sin()],
            [t.cos() * p.cos(), -r * t.sin() * p.cos(), -r * t.cos() * p.sin()],
            [-t.sin() * p.sin(), -r * t.cos() * p.sin(), -r * t.sin() * p.cos()],
        ],
    }
    plane_wave(x, t) at [[0.7, 1.4]] {
        f: (x.clone().scale(3.0) - t.scale(2.0)).sin() * (-x).exp(), value: (-x).exp() * (3.0 * x - 2.0 * t).sin(),
        gradient: [
            (-x).exp() * (3.0 * (3.0 * x - 2.0 * t).cos() - (3.0 * x - 2.0 * t).sin()),
            -2.0 * (-x).exp() * (3.0 * x - 2.0 * t).cos(),
        ],
        hessian: {
            let (s, k) = (3.0 * x - 2.0 * t).sin_cos();
            let e = (-x).exp();
            [[e * (-8.0 * s - 6.0 * k), e * (6.0 * s + 2.0 * k)], [e * (6.0 * s + 2.0 * k), -4.0 * e * s]]
        },
    }
    lennard_jones(x) at [[0.9], [1.5]] {
        f: { let s = x.powi(-6); (s.square() - s).scale(4.0) }, value: 4.0 * (x.powi(-12) - x.powi(-6)),
        gradient: [-48.0 * x.powi(-13) + 24.0 * x.powi(-7)], hessian: [[624.0 * x.powi(-14) - 168.0 * x.powi(-8)]],
        third: -8736.0 * x.powi(-15) + 1344.0 * x.powi(-9),
    }
    power_law(x, k) at [[1.7, 0.6]] {
        f: (x.log() * &k).exp() * k, value: k * x.powf(k), gradient: [k * k * x.powf(k - 1.0), x.powf(k) * (1.0 + k * x.ln())],
        hessian: {
            let xk = k * x.powf(k - 1.0) * (2.0 + k * x.ln());
            [[k * k * (k - 1.0) * x.powf(k - 2.0), xk], [xk, x.powf(k) * x.ln() * (2.0 + k * x.ln())]]
        },
    }
    nested_sines(x) at [[0.7], [-1.1]] {
        f: x.sin().sin().sin(),
        value: x.sin().sin().sin(),
        gradient: [x.cos() * x.sin().cos() * x.sin().sin().cos()],
        hessian: [[{
            let (s, k) = (x.sin(), x.cos());
            let outer = s.sin().cos() * (-s * s.cos() - k * k * s.sin());
            outer - (k * s.cos()).powi(2) * s.sin().sin()
        }]],
    }
    square_root_tower(x) at [[0.7], [5.0]] {
        f: (0..6).fold(x, |y, _| y.sqrt()), value: x.powf(1.0 / 64.0), gradient: [x.powf(1.0 / 64.0 - 1.0) / 64.0],
        hessian: [[-63.0 / 4096.0 * x.powf(1.0 / 64.0 - 2.0)]], third: 63.0 * 127.0 / 262_144.0 * x.powf(1.0 / 64.0 - 3.0),
    }
    huber(x) at [[0.4], [-0.9], [3.0], [-2.5]] kinks [[1.0]] {
        f: { let a = x.abs(); T::select(&a.less_equal(&c::<T>(1.0)), &x.square().scale(0.5), &a.offset(-0.5)) },
        value: if x.abs() <= 1.0 { 0.5 * x * x } else { x.abs() - 0.5 }, gradient: [x.clamp(-1.0, 1.0)],
        hessian: [[if x.abs() <= 1.0 { 1.0 } else { 0.0 }]], third: 0.0,
    }
    leaky_relu(x) at [[0.7], [-2.5]] kinks [[0.0]] {
        f: x.maximum(&x.clone().scale(0.01)), value: if x > 0.0 { x } else { 0.01 * x },
        gradient: [if x > 0.0 { 1.0 } else if x < 0.0 { 0.01 } else { 0.505 }], hessian: [[0.0]], third: 0.0,
    }
    elu(x) at [[0.7], [-2.5]] {
        f: T::select(&x.less(&c::<T>(0.0)), &x.expm1(), &x), value: if x < 0.0 { x.exp() - 1.0 } else { x },
        gradient: [if x < 0.0 { x.exp() } else { 1.0 }], hessian: [[if x < 0.0 { x.exp() } else { 0.0 }]],
        third: if x < 0.0 { x.exp() } else { 0.0 },
    }
    median_of_three(x, y, z) at [[0.7, -1.0, 2.0], [3.0, 2.0, 1.0]] {
        f: { let (low, high) = (x.minimum(&y), x.maximum(&y)); low.maximum(&high.minimum(&z)).square() },
        value: { let mut v = [x, y, z]; v.sort_by(f64::total_cmp); v[1] * v[1] },
        gradient: { let mut v = [x, y, z]; v.sort_by(f64::total_cmp); [x, y, z].map(|u| if u == v[1] { 2.0 * u } else { 0.0 }) },
        hessian: {
            let mut v = [x, y, z];
            v.sort_by(f64::total_cmp);
            [0, 1, 2].map(|i| [0, 1, 2].map(|j| if i == j && [x, y, z][i] == v[1] { 2.0 } else { 0.0 }))
        },
    }
}
