//! Elementwise operators on arrays, and how they broadcast.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use antiphon::Mask;

use crate::array_case::{array_cases, constant, function, linear, polynomial, positive, univariate};
use crate::elementary::erf;

array_cases! {
    neg(x: [2, 3]) { f: -x, shape: [2, 3], element: |i| linear([(-1.0, x.at(i))]), }
    abs(x: [2, 3]) { f: x.abs(), shape: [2, 3], element: |i| univariate(x.at(i), |x| [x.abs(), x.signum(), 0.0]), }
    abs_at_zero(x: [2] = [0.0, 1.0]) {
        f: x.abs(), shape: [2], element: |i| linear([(if i[0] == 0 { 0.0 } else { 1.0 }, x.at(i))]), kink,
    }
    sign(x: [3]) { f: x.sign() * &x, shape: [3], element: |i| univariate(x.at(i), |x| [x.abs(), x.signum(), 0.0]), }
    recip(x: [2, 3]) {
        f: x.recip(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| [1.0 / x, -1.0 / (x * x), 2.0 / (x * x * x)]),
    }
    exp(x: [2, 3]) { f: x.exp(), shape: [2, 3], element: |i| univariate(x.at(i), |x| [x.exp(); 3]), }
    expm1(x: [2, 3]) {
        f: x.expm1(), shape: [2, 3], element: |i| univariate(x.at(i), |x| [x.exp_m1(), x.exp(), x.exp()]),
    }
    log(x: [2, 3] = positive(6, 0)) {
        f: x.log(), shape: [2, 3], element: |i| univariate(x.at(i), |x| [x.ln(), 1.0 / x, -1.0 / (x * x)]),
    }
    log1p(x: [2, 3] = positive(6, 0)) {
        f: x.log1p(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| [x.ln_1p(), 1.0 / (1.0 + x), -(1.0 + x).powi(-2)]),
    }
    sqrt(x: [2, 3] = positive(6, 0)) {
        f: x.sqrt(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| [x.sqrt(), 0.5 * x.powf(-0.5), -0.25 * x.powf(-1.5)]),
    }
    sin(x: [2, 3]) { f: x.sin(), shape: [2, 3], element: |i| univariate(x.at(i), |x| [x.sin(), x.cos(), -x.sin()]), }
    cos(x: [2, 3]) { f: x.cos(), shape: [2, 3], element: |i| univariate(x.at(i), |x| [x.cos(), -x.sin(), -x.cos()]), }
    tan(x: [2, 3]) {
        f: x.tan(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| [x.tan(), x.cos().powi(-2), 2.0 * x.sin() * x.cos().powi(-3)]),
    }
    tanh(x: [2, 3]) {
        f: x.tanh(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| [x.tanh(), x.cosh().powi(-2), -2.0 * x.sinh() * x.cosh().powi(-3)]),
    }
    sigmoid(x: [2, 3]) {
        f: x.sigmoid(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| {
            let k = (0.5 * x).cosh();
            [1.0 / (1.0 + (-x).exp()), 0.25 / (k * k), -0.25 * (0.5 * x).sinh() / (k * k * k)]
        }),
    }
    softplus(x: [2, 3]) {
        f: x.softplus(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| {
            [x.exp().ln_1p(), 1.0 / (1.0 + (-x).exp()), 0.25 * (0.5 * x).cosh().powi(-2)]
        }),
    }
    relu(x: [2, 3]) {
        f: x.relu(), shape: [2, 3], element: |i| univariate(x.at(i), |x| if x > 0.0 { [x, 1.0, 0.0] } else { [0.0; 3] }),
    }
    erf(x: [2, 3]) {
        f: x.erf(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| {
            let slope = FRAC_2_SQRT_PI * (-x * x).exp();
            [erf(x), slope, -2.0 * x * slope]
        }),
    }
    gelu(x: [2, 3]) {
        f: x.gelu(), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| {
            let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (-0.5 * x * x).exp();
            let below = 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
            [x * below, below + x * density, (2.0 - x * x) * density]
        }),
    }
    powi(x: [2, 3]) {
        f: x.powi(3) + x.powi(-1), shape: [2, 3],
        element: |i| univariate(x.at(i), |x| [x * x * x + 1.0 / x, 3.0 * x * x - 1.0 / (x * x), 6.0 * x + 2.0 * x.powi(-3)]),
    }
    clamp(x: [5] = [-2.0, -1.0, 0.3, 1.0, 2.0]) {
        f: x.clamp(-1.0, 1.0), shape: [5],
        element: |i| univariate(x.at(i), |x| [x.clamp(-1.0, 1.0), if x.abs() <= 1.0 { 1.0 } else { 0.0 }, 0.0]), kink,
    }
    numbers_on_the_right(x: [3]) {
        f: ((x * 3.0 + 1.0) / 2.0 - 4.0) * -1.0, shape: [3], element: |i| univariate(x.at(i), |x| [3.5 - 1.5 * x, -1.5, 0.0]),
    }
    nan_stays_in_its_place(x: [3] = [1.0, f64::NAN, 2.0]) {
        f: x.exp() * &x, shape: [3],
        element: |i| univariate(x.at(i), |x| [x * x.exp(), (x + 1.0) * x.exp(), (x + 2.0) * x.exp()]), kink,
    }
    add_a_row(a: [2, 3], b: [3]) { f: a + b, shape: [2, 3], element: |i| linear([(1.0, a.at(i)), (1.0, b.at([i[1]]))]), }
    add_to_a_row(a: [3], b: [2, 3]) {
        f: a + b, shape: [2, 3], element: |i| linear([(1.0, a.at([i[1]])), (1.0, b.at(i))]),
    }
    subtract_a_column(a: [2, 3], b: [2, 1]) {
        f: a - b, shape: [2, 3], element: |i| linear([(1.0, a.at(i)), (-1.0, b.at([i[0], 0]))]),
    }
    subtract_from_a_scalar(a: [], b: [2, 3]) {
        f: a - b, shape: [2, 3], element: |i| linear([(1.0, a.at([])), (-1.0, b.at(i))]),
    }
    outer_product_by_broadcasting(a: [2, 1], b: [1, 3]) {
        f: a * b, shape: [2, 3], element: |i| polynomial([(1.0, vec![a.broadcast(i), b.broadcast(i)])]),
    }
    outer_product_with_itself(a: [3]) {
        f: a.unsqueeze(1) * &a, shape: [3, 3], element: |i| polynomial([(1.0, vec![a.at([i[0]]), a.at([i[1]])])]),
    }
    multiply_by_a_scalar(a: [2, 3], s: []) {
        f: a * &s * s, shape: [2, 3], element: |i| polynomial([(1.0, vec![a.at(i), s.at([]), s.at([])])]),
    }
    multiply_by_one_element(a: [2, 3], s: [1, 1]) {
        f: a * s, shape: [2, 3], element: |i| polynomial([(1.0, vec![a.at(i), s.at([0, 0])])]),
    }
    divide_by_a_row(a: [2, 3], b: [3]) {
        f: a / b, shape: [2, 3],
        element: |i| function([a.at(i), b.at([i[1]])], |u| {
            let (x, y) = (u[0], u[1]);
            (x / y, [1.0 / y, -x / (y * y)], [[0.0, -1.0 / (y * y)], [-1.0 / (y * y), 2.0 * x / (y * y * y)]])
        }),
    }
    power_broadcast_both_ways(a: [3, 1] = positive(3, 0), b: [2]) {
        f: a.pow(&b), shape: [3, 2],
        element: |i| function([a.broadcast(i), b.broadcast(i)], |u| {
            let (x, y, log) = (u[0], u[1], u[0].ln());
            let mixed = x.powf(y - 1.0) * (1.0 + y * log);
            (
                x.powf(y),
                [y * x.powf(y - 1.0), x.powf(y) * log],
                [[y * (y - 1.0) * x.powf(y - 2.0), mixed], [mixed, x.powf(y) * log * log]],
            )
        }),
    }
    product_with_strong_zeros(a: [2, 3], b: [2, 1]) {
        f: a.strong_mul(&b), shape: [2, 3],
        element: |i| function([a.at(i), b.broadcast(i)], |u| {
            (u[0] * u[1], [u[1], u[0]], [[0.0, 1.0], [1.0, 0.0]])
        }),
    }
    maximum_of_a_row(a: [2, 3], b: [3]) {
        f: a.maximum(&b), shape: [2, 3],
        element: |i| function([a.at(i), b.broadcast(i)], |u| {
            let first = if u[0] > u[1] { 1.0 } else { 0.0 };
            (u[0].max(u[1]), [first, 1.0 - first], [[0.0; 2]; 2])
        }),
    }
    maximum_shares_ties(a: [3] = [1.0, 2.0, 3.0], b: [3] = [2.0, 2.0, 2.0]) {
        f: a.maximum(&b), shape: [3],
        element: |i| linear([([0.0, 0.5, 1.0][i[0]], a.at(i)), ([1.0, 0.5, 0.0][i[0]], b.at(i))]), kink,
    }
    minimum_with_a_column(a: [2, 2] = [1.0, 5.0, 4.0, 2.0], b: [2, 1] = [3.0, 2.0]) {
        f: a.minimum(&b), shape: [2, 2],
        element: |i| {
            let share = [[1.0, 0.0], [0.0, 0.5]][i[0]][i[1]];
            linear([(share, a.at(i)), (1.0 - share, b.at([i[0], 0]))])
        },
        kink,
    }
    select_elementwise(a: [2, 3], b: [2, 3]) {
        f: T::select(&a.less(&b), &(a.clone() * &b), &b.square()), shape: [2, 3],
        element: |i| {
            let smaller = a.array.elements[i[0] * 3 + i[1]] < b.array.elements[i[0] * 3 + i[1]];
            polynomial([(1.0, if smaller { vec![a.at(i), b.at(i)] } else { vec![b.at(i), b.at(i)] })])
        },
    }
    select_broadcasts_all_three(m: [3], a: [2, 1], b: []) {
        f: T::select(&m.greater(&T::constant(0.0)), &a.square(), &b), shape: [2, 3],
        element: |i| if m.array.elements[i[1]] > 0.0 {
            polynomial([(1.0, vec![a.broadcast(i), a.broadcast(i)])])
        } else {
            linear([(1.0, b.at([]))])
        },
    }
    mask_as_numbers(x: [4] = [1.0, -2.0, 3.0, -4.0]) {
        f: T::from_mask(&x.greater(&T::constant(0.0)).or(&x.less(&T::constant(-3.0))).not()) * &x, shape: [4],
        element: |i| if i[0] == 1 { linear([(1.0, x.at(i))]) } else { constant(0.0) },
    }
    empty_axis_broadcasts(a: [0, 3], b: [3]) {
        f: (a * &b).sum(0) + b, shape: [3], element: |i| linear([(1.0, b.at(i))]),
    }
}
