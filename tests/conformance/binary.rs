//! Every operator of two operands, comparisons and selection, with the conventions at ties.

use antiphon::{Int, Mask};

use crate::case::{c, scalar_cases};

const INFINITY: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

scalar_cases! {
    add(x, y) at [[1.5, -0.5]] {
        f: x + y, value: x + y, gradient: [1.0, 1.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    sub(x, y) at [[1.5, -0.5]] {
        f: x - y, value: x - y, gradient: [1.0, -1.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    mul(x, y) at [[1.5, -0.5], [0.0, 2.0]] {
        f: x * y, value: x * y, gradient: [y, x], hessian: [[0.0, 1.0], [1.0, 0.0]],
    }
    div(x, y) at [[1.5, -0.5], [0.0, 2.0]] {
        f: x / y, value: x / y, gradient: [1.0 / y, -x / (y * y)],
        hessian: [[0.0, -1.0 / (y * y)], [-1.0 / (y * y), 2.0 * x / (y * y * y)]],
    }
    operands_by_reference(x, y) at [[1.5, -0.5]] {
        f: ((x.clone() + &y) * &x - &y) / &y, value: (x * x + x * y) / y - 1.0,
        gradient: [(2.0 * x + y) / y, -x * x / (y * y)],
        hessian: [[2.0 / y, -2.0 * x / (y * y)], [-2.0 * x / (y * y), 2.0 * x * x / (y * y * y)]],
    }
    constants_on_the_left(x) at [[0.7], [-2.5]] {
        f: c::<T>(1.0) - &x + c::<T>(6.0) / &x + c::<T>(2.0) * &x, value: 1.0 + x + 6.0 / x,
        gradient: [1.0 - 6.0 / (x * x)], hessian: [[12.0 / (x * x * x)]], third: -36.0 / (x * x * x * x),
    }
    constants_on_the_right(x) at [[0.7], [-2.5]] {
        f: (x.clone() - c::<T>(1.0) + x / c::<T>(4.0)) * c::<T>(8.0), value: 10.0 * x - 8.0, gradient: [10.0],
        hessian: [[0.0]], third: 0.0,
    }
    only_constants_combined(x) at [[0.7]] {
        f: c::<T>(3.0).pow(&c::<T>(2.0)) * (c::<T>(5.0) - c::<T>(1.0)).sqrt(), value: 18.0, gradient: [0.0],
        hessian: [[0.0]], third: 0.0,
    }
    division_by_zero(x, y) at [] kinks [[1.0, 0.0]] {
        f: x / y, value: INFINITY, gradient: [INFINITY, -INFINITY],
    }
    division_of_zero_by_zero(x, y) at [] kinks [[0.0, 0.0]] {
        f: x / y, value: NAN, gradient: [INFINITY, NAN],
    }
    pow(x, y) at [[1.5, 2.5], [0.4, -1.2], [2.0, 0.0]] {
        f: x.pow(&y), value: (y * x.ln()).exp(), gradient: [y * x.powf(y - 1.0), x.powf(y) * x.ln()],
        hessian: [
            [y * (y - 1.0) * x.powf(y - 2.0), x.powf(y - 1.0) * (1.0 + y * x.ln())],
            [x.powf(y - 1.0) * (1.0 + y * x.ln()), x.powf(y) * x.ln() * x.ln()],
        ],
    }
    pow_of_zero(x, y) at [] kinks [[0.0, 1.0], [0.0, 2.0], [0.0, 3.5]] {
        f: x.pow(&y), value: 0.0, gradient: [if y == 1.0 { 1.0 } else { 0.0 }, 0.0],
    }
    pow_of_zero_below_one(x, y) at [] kinks [[0.0, 0.5]] {
        f: x.pow(&y), value: 0.0, gradient: [INFINITY, 0.0],
    }
    pow_of_a_negative(x, y) at [] kinks [[-2.0, 3.0]] {
        f: x.pow(&y), value: -8.0, gradient: [12.0, NAN],
    }
    pow_of_a_negative_by_a_constant(x) at [[-2.0], [1.5]] {
        f: x.pow(&c::<T>(3.0)), value: x * x * x, gradient: [3.0 * x * x], hessian: [[6.0 * x]], third: 6.0,
    }
    pow_of_a_constant(x) at [[0.5], [-2.0]] {
        f: c::<T>(2.0).pow(&x), value: x.exp2(), gradient: [2f64.ln() * x.exp2()],
        hessian: [[2f64.ln().powi(2) * x.exp2()]], third: 2f64.ln().powi(3) * x.exp2(),
    }
    x_to_the_x(x) at [[0.5], [2.0]] {
        f: x.pow(&x), value: (x * x.ln()).exp(), gradient: [x.powf(x) * (x.ln() + 1.0)],
        hessian: [[x.powf(x) * ((x.ln() + 1.0).powi(2) + 1.0 / x)]],
        third: x.powf(x) * ((x.ln() + 1.0).powi(3) + 3.0 * (x.ln() + 1.0) / x - 1.0 / (x * x)),
    }
    maximum(x, y) at [[1.5, -0.5], [-1.0, 2.0]] kinks [[0.7, 0.7]] {
        f: x.maximum(&y), value: if x > y { x } else { y },
        gradient: if x == y { [0.5, 0.5] } else if x > y { [1.0, 0.0] } else { [0.0, 1.0] },
        hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    minimum(x, y) at [[1.5, -0.5], [-1.0, 2.0]] kinks [[0.7, 0.7]] {
        f: x.minimum(&y), value: if x < y { x } else { y },
        gradient: if x == y { [0.5, 0.5] } else if x < y { [1.0, 0.0] } else { [0.0, 1.0] },
        hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    maximum_of_curves(x, y) at [[1.5, -0.5], [0.5, 2.0]] kinks [[2.0, 4.0]] {
        f: x.square().maximum(&y), value: if x * x > y { x * x } else { y },
        gradient: if x * x == y { [x, 0.5] } else if x * x > y { [2.0 * x, 0.0] } else { [0.0, 1.0] },
        hessian: [[if x * x == y { 1.0 } else if x * x > y { 2.0 } else { 0.0 }, 0.0], [0.0, 0.0]],
    }
    minimum_and_maximum_add_up(x, y) at [[1.5, -0.5]] kinks [[0.7, 0.7]] {
        f: x.minimum(&y) + x.maximum(&y), value: x + y, gradient: [1.0, 1.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    maximum_with_infinity(x) at [[0.7]] {
        f: x.square().maximum(&c::<T>(-INFINITY)), value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    select_by_less(x, y) at [[1.0, 2.0], [2.0, 1.0]] kinks [[1.5, 1.5]] {
        f: T::select(&x.less(&y), &(x.clone() * &x), &(x.clone() * &y)), value: if x < y { x * x } else { x * y },
        gradient: if x < y { [2.0 * x, 0.0] } else { [y, x] },
        hessian: if x < y { [[2.0, 0.0], [0.0, 0.0]] } else { [[0.0, 1.0], [1.0, 0.0]] },
    }
    select_by_less_equal(x, y) at [[1.0, 2.0], [2.0, 1.0]] kinks [[1.5, 1.5]] {
        f: T::select(&x.less_equal(&y), &x.square(), &y.square()), value: if x <= y { x * x } else { y * y },
        gradient: if x <= y { [2.0 * x, 0.0] } else { [0.0, 2.0 * y] },
        hessian: if x <= y { [[2.0, 0.0], [0.0, 0.0]] } else { [[0.0, 0.0], [0.0, 2.0]] },
    }
    select_by_greater(x, y) at [[1.0, 2.0], [2.0, 1.0]] kinks [[1.5, 1.5]] {
        f: T::select(&x.greater(&y), &x.square(), &y.square()), value: if x > y { x * x } else { y * y },
        gradient: if x > y { [2.0 * x, 0.0] } else { [0.0, 2.0 * y] },
        hessian: if x > y { [[2.0, 0.0], [0.0, 0.0]] } else { [[0.0, 0.0], [0.0, 2.0]] },
    }
    select_by_greater_equal(x, y) at [[1.0, 2.0], [2.0, 1.0]] kinks [[1.5, 1.5]] {
        f: T::select(&x.greater_equal(&y), &x.square(), &y.square()), value: if x >= y { x * x } else { y * y },
        gradient: if x >= y { [2.0 * x, 0.0] } else { [0.0, 2.0 * y] },
        hessian: if x >= y { [[2.0, 0.0], [0.0, 0.0]] } else { [[0.0, 0.0], [0.0, 2.0]] },
    }
    select_by_equal(x, y) at [[1.0, 2.0]] kinks [[1.5, 1.5]] {
        f: T::select(&x.equal(&y), &x.square(), &y.square()), value: y * y,
        gradient: if x == y { [2.0 * x, 0.0] } else { [0.0, 2.0 * y] },
        hessian: if x == y { [[2.0, 0.0], [0.0, 0.0]] } else { [[0.0, 0.0], [0.0, 2.0]] },
    }
    select_by_not_equal(x, y) at [[1.0, 2.0]] kinks [[1.5, 1.5]] {
        f: T::select(&x.not_equal(&y), &x.square(), &y.square()), value: x * x,
        gradient: if x != y { [2.0 * x, 0.0] } else { [0.0, 2.0 * y] },
        hessian: if x != y { [[2.0, 0.0], [0.0, 0.0]] } else { [[0.0, 0.0], [0.0, 2.0]] },
    }
    nan_is_not_equal_to_itself(x) at [] kinks [[NAN]] {
        f: T::select(&x.not_equal(&x), &c::<T>(1.0), &c::<T>(2.0)), value: 1.0, gradient: [0.0],
        hessian: [[0.0]], third: 0.0,
    }
    select_by_combined_masks(x) at [[-1.0], [1.0], [4.0], [9.0]] {
        f: {
            let (below, above) = (x.less(&c::<T>(0.0)), x.greater(&c::<T>(3.0)));
            let far = x.greater(&c::<T>(8.0));
            T::select(&below.or(&above).and(&far.not()), &x.powi(3), &x)
        },
        value: if x < 0.0 || (x > 3.0 && x <= 8.0) { x * x * x } else { x },
        gradient: [if x < 0.0 || (x > 3.0 && x <= 8.0) { 3.0 * x * x } else { 1.0 }],
        hessian: [[if x < 0.0 || (x > 3.0 && x <= 8.0) { 6.0 * x } else { 0.0 }]],
        third: if x < 0.0 || (x > 3.0 && x <= 8.0) { 6.0 } else { 0.0 },
    }
    select_drops_the_other_arm(x, y) at [[2.0, 3.0]] {
        f: T::select(&x.less(&c::<T>(100.0)), &(x.clone() * &x), &(y.clone() * &y)), value: x * x,
        gradient: [2.0 * x, 0.0], hessian: [[2.0, 0.0], [0.0, 0.0]],
    }
    integers_as_coefficients(x) at [[0.7], [-2.0]] {
        f: T::from_int(&(T::Int::constant(2) * T::Int::constant(3) - T::Int::constant(1))) * x.square(),
        value: 5.0 * x * x, gradient: [10.0 * x], hessian: [[10.0]], third: 0.0,
    }
    clamp_of_a_product(x, y) at [[0.5, 0.5], [2.0, 3.0], [-2.0, 1.0]] kinks [[0.5, 2.0]] {
        f: (x * y).clamp(-1.0, 1.0), value: (x * y).clamp(-1.0, 1.0),
        gradient: if (x * y).abs() <= 1.0 { [y, x] } else { [0.0, 0.0] },
        hessian: if (x * y).abs() <= 1.0 { [[0.0, 1.0], [1.0, 0.0]] } else { [[0.0, 0.0], [0.0, 0.0]] },
    }
}
