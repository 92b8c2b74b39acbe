//! What breaks systems that track values by hand: the same value used twice, results used never, diamonds,
//! unused inputs, dead code that would be NaN.

use crate::case::{c, scalar_cases};

scalar_cases! {
    unused_input(x, y) at [[0.7, 2.0]] {
        f: x.sin(), value: x.sin(), gradient: [x.cos(), 0.0], hessian: [[-x.sin(), 0.0], [0.0, 0.0]],
    }
    no_input_used(x, y) at [[0.7, 2.0]] {
        f: c::<T>(3.0).exp(), value: 3f64.exp(), gradient: [0.0, 0.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    second_of_three_returned(x, y, z) at [[0.7, 2.0, 3.0]] {
        f: y, value: y, gradient: [0.0, 1.0, 0.0], hessian: [[0.0; 3]; 3],
    }
    unused_result(x) at [[0.7]] {
        f: { let _unused = x.exp() * &x; x.cos() }, value: x.cos(), gradient: [-x.sin()], hessian: [[-x.cos()]],
        third: x.sin(),
    }
    unused_chain(x) at [[0.7]] {
        f: {
            let mut dead = x.clone();
            for _ in 0..20 {
                dead = dead.sin() * &x;
            }
            x.square()
        },
        value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    unused_log_of_zero(x) at [[0.0], [-1.5]] {
        f: { let _nan = x.log() / &x; x.exp() }, value: x.exp(), gradient: [x.exp()], hessian: [[x.exp()]],
        third: x.exp(),
    }
    unused_nan_of_every_kind(x) at [[0.0]] {
        f: {
            let _nan = [x.clone() / &x, x.recip(), (x.clone() - c::<T>(1.0)).sqrt(), x.pow(&c::<T>(-0.5))];
            x.cos()
        },
        value: x.cos(), gradient: [-x.sin()], hessian: [[-x.cos()]], third: x.sin(),
    }
    unused_result_of_an_output(x) at [[0.7]] {
        f: { let y = x.sin(); let _after = y.exp() * &y; y }, value: x.sin(), gradient: [x.cos()],
        hessian: [[-x.sin()]], third: -x.cos(),
    }
    diamond(x) at [[0.7], [-2.5]] {
        f: { let y = x.sin(); y.exp() * y.cos() },
        value: x.sin().exp() * x.sin().cos(),
        gradient: [x.cos() * x.sin().exp() * (x.sin().cos() - x.sin().sin())],
        hessian: [[{
            let bracket = -2.0 * x.cos() * x.cos() * x.sin().sin() - x.sin() * (x.sin().cos() - x.sin().sin());
            x.sin().exp() * bracket
        }]],
    }
    tower_of_diamonds(x) at [[1.1]] {
        // Each floor squares by two paths: y = (y + y)·(y/2); 2⁵ paths in all.
        f: (0..5).fold(x, |y, _| (y.clone() + &y) * y.scale(0.5)), value: x.powi(32), gradient: [32.0 * x.powi(31)],
        hessian: [[992.0 * x.powi(30)]], third: 29_760.0 * x.powi(29),
    }
    maximum_of_the_same(x) at [[1.5], [0.0]] {
        f: x.maximum(&x), value: x, gradient: [1.0], hessian: [[0.0]], third: 0.0,
    }
    minimum_of_the_same(x) at [[1.5]] {
        f: x.minimum(&x).square(), value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    select_of_the_same(x) at [[1.5]] {
        f: T::select(&x.less(&c::<T>(0.0)), &x, &x) * &x, value: x * x, gradient: [2.0 * x], hessian: [[2.0]],
        third: 0.0,
    }
    negated_twice(x) at [[1.5]] {
        f: -(-x.clone()) * &x, value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    difference_of_equal_paths(x) at [[1.5]] {
        f: x.sin() - x.sin(), value: 0.0, gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    shared_subexpression(x, y) at [[0.7, -0.4]] {
        f: { let s = x * y; s.sin() + s.clone() * &s },
        value: (x * y).sin() + (x * y).powi(2),
        gradient: [y * ((x * y).cos() + 2.0 * x * y), x * ((x * y).cos() + 2.0 * x * y)],
        hessian: [
            [y * y * (2.0 - (x * y).sin()), (x * y).cos() + 4.0 * x * y - x * y * (x * y).sin()],
            [(x * y).cos() + 4.0 * x * y - x * y * (x * y).sin(), x * x * (2.0 - (x * y).sin())],
        ],
    }
    input_overwritten_in_a_loop(x) at [[0.3]] {
        f: { let mut x = x; for _ in 0..3 { x = x.clone() + x.clone() * &x; } x },
        // The logistic-like map y + y², three times.
        value: thrice(x)[0], gradient: [thrice(x)[1]], hessian: [[thrice(x)[2]]],
    }
    swapped_variables(x, y) at [[0.7, -0.4]] {
        f: {
            let (mut p, mut q) = (x, y);
            for _ in 0..3 {
                std::mem::swap(&mut p, &mut q);
            }
            p.square() * q
        },
        value: y * y * x, gradient: [y * y, 2.0 * x * y], hessian: [[0.0, 2.0 * y], [2.0 * y, 2.0 * x]],
    }
    values_kept_in_a_vector(x) at [[1.2]] {
        // x, x, x², x³, x⁵, …: vᵢ = vᵢ₋₁·vᵢ₋₂
        f: {
            let mut values = vec![x.clone(), x];
            for i in 2..7 {
                values.push(values[i - 1].clone() * &values[i - 2]);
            }
            values.pop().expect("seven values")
        },
        value: x.powi(13), gradient: [13.0 * x.powi(12)], hessian: [[156.0 * x.powi(11)]],
        third: 1716.0 * x.powi(10),
    }
    closure_over_an_outer_variable(x, y) at [[0.7, -0.4]] {
        f: { let scaled = |z: &T| z.sin() * &y; scaled(&x) + scaled(&y) },
        value: y * (x.sin() + y.sin()), gradient: [y * x.cos(), x.sin() + y.sin() + y * y.cos()],
        hessian: [[-y * x.sin(), x.cos()], [x.cos(), 2.0 * y.cos() - y * y.sin()]],
    }
    closure_composed_with_itself(x, y) at [[0.7, 1.4]] {
        f: { let step = |z: T| z * &y + &x; step(step(step(x.clone()))) },
        value: x * (1.0 + y + y * y + y * y * y),
        gradient: [1.0 + y + y * y + y * y * y, x * (1.0 + 2.0 * y + 3.0 * y * y)],
        hessian: [[0.0, 1.0 + 2.0 * y + 3.0 * y * y], [1.0 + 2.0 * y + 3.0 * y * y, x * (2.0 + 6.0 * y)]],
    }
    constant_between_variables(x) at [[0.7]] {
        f: { let k = c::<T>(2.0).exp(); x.sin() * &k + k * x.cos() },
        value: 2f64.exp() * (x.sin() + x.cos()), gradient: [2f64.exp() * (x.cos() - x.sin())],
        hessian: [[-2f64.exp() * (x.sin() + x.cos())]], third: 2f64.exp() * (x.sin() - x.cos()),
    }
    multiplied_by_zero(x) at [[0.7]] {
        f: c::<T>(0.0) * x.exp() + x, value: x, gradient: [1.0], hessian: [[0.0]], third: 0.0,
    }
    pow_of_the_same_squared(x) at [[1.3]] {
        f: { let y = x.square(); y.pow(&c::<T>(1.5)) }, value: x.powi(3), gradient: [3.0 * x * x],
        hessian: [[6.0 * x]], third: 6.0,
    }
}

/// Value and two derivatives of `x ↦ x + x²` iterated three times, by the chain rule on paper.
fn thrice(x: f64) -> [f64; 3] {
    let y = x * (1.0 + x);
    let z = y * (1.0 + y);
    let [dy, dz, dw] = [1.0 + 2.0 * x, 1.0 + 2.0 * y, 1.0 + 2.0 * z];
    [z * (1.0 + z), dw * dz * dy, 2.0 * ((dz * dy).powi(2) + dw * dy * dy + dw * dz)]
}
