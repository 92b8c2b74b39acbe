//! Polynomials and rational functions: products of a value with itself, Horner's rule, deep chains.

use crate::case::{c, scalar_cases};

scalar_cases! {
    x_cubed(x) at [[1.5], [-0.5], [0.0]] {
        f: x.clone() * &x * &x, value: x.powi(3), gradient: [3.0 * x * x], hessian: [[6.0 * x]], third: 6.0,
    }
    x_times_x(x) at [[1.5], [0.0]] {
        f: x.clone() * &x, value: x * x, gradient: [2.0 * x], hessian: [[2.0]], third: 0.0,
    }
    x_plus_x(x) at [[1.5], [0.0]] {
        f: x.clone() + &x, value: 2.0 * x, gradient: [2.0], hessian: [[0.0]], third: 0.0,
    }
    x_minus_x(x) at [[1.5], [0.0]] {
        f: x.clone() - &x, value: 0.0, gradient: [0.0], hessian: [[0.0]], third: 0.0,
    }
    x_over_x(x) at [[1.5], [-0.5]] {
        f: x.clone() / &x, value: 1.0, gradient: [0.0], hessian: [[0.0]],
    }
    difference_of_squares(x, y) at [[1.5, -0.5]] {
        f: (x.clone() + &y) * (x - &y), value: x * x - y * y, gradient: [2.0 * x, -2.0 * y],
        hessian: [[2.0, 0.0], [0.0, -2.0]],
    }
    horner(x) at [[1.5], [-0.5], [0.0]] {
        f: {
            let mut sum = c::<T>(0.0);
            for coefficient in [2.0, 0.0, -3.0, 1.0, 7.0] {
                sum = sum * &x + c::<T>(coefficient);
            }
            sum
        },
        value: 2.0 * x.powi(4) - 3.0 * x * x + x + 7.0, gradient: [8.0 * x.powi(3) - 6.0 * x + 1.0],
        hessian: [[24.0 * x * x - 6.0]], third: 48.0 * x,
    }
    powers_by_accumulation(x) at [[0.5], [-1.5]] {
        f: {
            let (mut power, mut sum) = (c::<T>(1.0), c::<T>(0.0));
            for _ in 0..4 {
                sum += &power;
                power *= &x;
            }
            sum
        },
        value: 1.0 + x + x * x + x * x * x, gradient: [1.0 + 2.0 * x + 3.0 * x * x], hessian: [[2.0 + 6.0 * x]],
        third: 6.0,
    }
    repeated_squaring(x) at [[1.1], [-0.9]] {
        f: (0..4).fold(x, |y, _| y.square()), value: x.powi(16), gradient: [16.0 * x.powi(15)],
        hessian: [[240.0 * x.powi(14)]], third: 3360.0 * x.powi(13),
    }
    chain_of_two_hundred_products(x) at [[1.01], [-0.99]] {
        f: (1..200).fold(x.clone(), |y, _| y * &x), value: x.powi(200), gradient: [200.0 * x.powi(199)],
        hessian: [[39_800.0 * x.powi(198)]], third: 7_880_400.0 * x.powi(197),
    }
    chain_of_a_thousand_sums(x) at [[0.7]] {
        f: (0..1000).fold(x.clone(), |y, _| y + &x), value: 1001.0 * x, gradient: [1001.0], hessian: [[0.0]],
        third: 0.0,
    }
    doubling_fifty_times(x) at [[0.7]] {
        f: (0..50).fold(x, |y, _| y.clone() + &y), value: 50f64.exp2() * x, gradient: [50f64.exp2()],
        hessian: [[0.0]], third: 0.0,
    }
    zero_trip_for(x, y) at [[0.7, 2.0]] {
        f: (0..0).fold(x, |x, _| x * &y), value: x, gradient: [1.0, 0.0], hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    rosenbrock(x, y) at [[-1.2, 1.0], [1.0, 1.0], [0.3, 2.0]] {
        f: (c::<T>(1.0) - &x).square() + (y - x.square()).square().scale(100.0),
        value: (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
        gradient: [2.0 * x - 2.0 - 400.0 * x * (y - x * x), 200.0 * (y - x * x)],
        hessian: [[2.0 - 400.0 * (y - 3.0 * x * x), -400.0 * x], [-400.0 * x, 200.0]],
    }
    himmelblau(x, y) at [[0.5, -1.0], [3.5, 1.5]] {
        f: (x.square() + &y - c::<T>(11.0)).square() + (x + y.square() - c::<T>(7.0)).square(),
        value: (x * x + y - 11.0).powi(2) + (x + y * y - 7.0).powi(2),
        gradient: [
            4.0 * x.powi(3) + 4.0 * x * y - 42.0 * x + 2.0 * y * y - 14.0,
            4.0 * y.powi(3) + 4.0 * x * y - 26.0 * y + 2.0 * x * x - 22.0,
        ],
        hessian: [
            [12.0 * x * x + 4.0 * y - 42.0, 4.0 * (x + y)],
            [4.0 * (x + y), 12.0 * y * y + 4.0 * x - 26.0],
        ],
    }
    product_of_three(x, y, z) at [[2.0, -3.0, 5.0], [0.0, 1.0, 2.0]] {
        f: x * y * z, value: x * y * z, gradient: [y * z, x * z, x * y],
        hessian: [[0.0, z, y], [z, 0.0, x], [y, x, 0.0]],
    }
    elementary_symmetric(x, y, z) at [[2.0, -3.0, 5.0]] {
        f: x.clone() * &y + y * &z + z * &x, value: x * y + y * z + z * x, gradient: [y + z, x + z, x + y],
        hessian: [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]],
    }
    determinant_of_four_scalars(p, q, r, s) at [[2.0, -3.0, 5.0, 7.0]] {
        f: p * s - q * r, value: p * s - q * r, gradient: [s, -r, -q, p],
        hessian: [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, -1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]],
    }
    moebius(x) at [[1.5], [-0.5]] {
        f: (x.clone().scale(2.0).offset(1.0)) / (x.offset(3.0)), value: 2.0 - 5.0 / (x + 3.0),
        gradient: [5.0 / (x + 3.0).powi(2)], hessian: [[-10.0 / (x + 3.0).powi(3)]],
        third: 30.0 / (x + 3.0).powi(4),
    }
    lorentzian(x) at [[1.5], [-0.5], [0.0]] {
        f: (x.square() + c::<T>(1.0)).recip(), value: 1.0 / (1.0 + x * x), gradient: [-2.0 * x / (1.0 + x * x).powi(2)],
        hessian: [[(6.0 * x * x - 2.0) / (1.0 + x * x).powi(3)]],
        third: 24.0 * x * (1.0 - x * x) / (1.0 + x * x).powi(4),
    }
    geometric_sum(x) at [[0.5], [-0.75]] {
        f: {
            let mut sum = c::<T>(1.0);
            for _ in 0..240 {
                sum = sum * &x + c::<T>(1.0);
            }
            sum
        },
        // The 241st term is below the last digit, with its derivatives.
        value: 1.0 / (1.0 - x), gradient: [(1.0 - x).powi(-2)], hessian: [[2.0 * (1.0 - x).powi(-3)]],
    }
    continued_fraction(x) at [[1.5], [3.0]] {
        // x + 1/(x + 1/(x + …)) = (x + √(x² + 4))/2
        f: (0..40).fold(x.clone(), |y, _| y.recip() + &x), value: 0.5 * (x + (x * x + 4.0).sqrt()),
        gradient: [0.5 * (1.0 + x / (x * x + 4.0).sqrt())], hessian: [[2.0 * (x * x + 4.0).powf(-1.5)]],
        third: -6.0 * x * (x * x + 4.0).powf(-2.5),
    }
    legendre_by_recurrence(x) at [[0.3], [-0.8]] {
        // (n+1)·Pₙ₊₁ = (2n+1)·x·Pₙ − n·Pₙ₋₁, up to P₄
        f: {
            let (mut previous, mut current) = (c::<T>(1.0), x.clone());
            for n in 1..4 {
                let next = (current.clone() * &x).scale(f64::from(2 * n + 1)) - previous.scale(f64::from(n));
                (previous, current) = (current, next / c::<T>(f64::from(n + 1)));
            }
            current
        },
        value: (35.0 * x.powi(4) - 30.0 * x * x + 3.0) / 8.0, gradient: [(35.0 * x.powi(3) - 15.0 * x) / 2.0],
        hessian: [[(105.0 * x * x - 15.0) / 2.0]], third: 105.0 * x,
    }
    chebyshev_by_recurrence(x) at [[0.3], [-0.8]] {
        // Tₙ₊₁ = 2x·Tₙ − Tₙ₋₁, up to T₅
        f: {
            let (mut previous, mut current) = (c::<T>(1.0), x.clone());
            for _ in 1..5 {
                let next = (current.clone() * &x).scale(2.0) - previous;
                (previous, current) = (current, next);
            }
            current
        },
        value: 16.0 * x.powi(5) - 20.0 * x.powi(3) + 5.0 * x, gradient: [80.0 * x.powi(4) - 60.0 * x * x + 5.0],
        hessian: [[320.0 * x.powi(3) - 120.0 * x]], third: 960.0 * x * x - 120.0,
    }
}
