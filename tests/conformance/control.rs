//! Branches, loops and recursion of the calculus: `cond`, `while_loop`, `fix`.

use antiphon::control::{Callable, Checkpoints, Chosen, Closure, choose};
use antiphon::state::Index;
use antiphon::{Control, Int};

use crate::case::{c, scalar_cases};

/// `value` as an integer of the calculus.
fn int<T: Control>(value: i64) -> T::Int {
    T::Int::constant(value)
}

/// `value` as a counter that flows through loops and recursion.
fn counter<T: Control>(value: i64) -> Index<T> {
    Index(int::<T>(value))
}

/// The counter moved on.
fn count<T: Control>(i: &Index<T>, by: i64) -> Index<T> {
    Index(i.0.clone() + int::<T>(by))
}

/// Whether the counter is below a number.
fn below<T: Control>(i: &Index<T>, end: i64) -> T::Bool {
    i.0.less(&int::<T>(end))
}

/// `step` applied a fixed number of times by a counting `while_loop`.
fn repeat<T: Control>(times: i64, x: T, step: impl Fn(T) -> T) -> T {
    T::while_loop((counter::<T>(0), x), |(i, _)| below(i, times), |(i, x)| (count(&i, 1), step(x))).1
}

/// The principal branch of Lambert's W by Newton's method.
fn lambert_w(x: f64) -> f64 {
    (0..60).fold(0.5, |w: f64, _| w - (w * w.exp() - x) / (w.exp() * (1.0 + w)))
}

scalar_cases! {
    cond_on_the_sign(x) at [[0.7], [-1.3]] {
        f: T::cond(&x.less(&c::<T>(0.0)), || x.square(), || x.exp()), value: if x < 0.0 { x * x } else { x.exp() },
        gradient: [if x < 0.0 { 2.0 * x } else { x.exp() }], hessian: [[if x < 0.0 { 2.0 } else { x.exp() }]],
        third: if x < 0.0 { 0.0 } else { x.exp() },
    }
    cond_between_work(x) at [[0.7], [1.9]] {
        f: {
            let y = x.square();
            let z = T::cond(&y.less(&c::<T>(1.0)), || y.sin() * &x, || y.clone() * &y);
            z * &y
        },
        value: if x < 1.0 { x.powi(3) * (x * x).sin() } else { x.powi(6) },
        gradient: [if x < 1.0 {
            3.0 * x * x * (x * x).sin() + 2.0 * x.powi(4) * (x * x).cos()
        } else {
            6.0 * x.powi(5)
        }],
        hessian: [[if x < 1.0 {
            (6.0 * x - 4.0 * x.powi(5)) * (x * x).sin() + 14.0 * x.powi(3) * (x * x).cos()
        } else {
            30.0 * x.powi(4)
        }]],
    }
    checkpoint_of_a_function(x, y) at [[0.7, 1.3], [-1.1, 0.4]] {
        f: T::checkpoint((x.clone(), y.clone()), |(x, y): (T, T)| {
            let z = x.clone() * &y;
            z.sin() * x
        }) * &y,
        value: x * y * (x * y).sin(),
        gradient: {
            let slope = (x * y).sin() + x * y * (x * y).cos();
            [y * slope, x * slope]
        },
        hessian: {
            let (z, slope) = (x * y, (x * y).sin() + x * y * (x * y).cos());
            let second = 2.0 * z.cos() - z * z.sin();
            [[y * y * second, slope + z * second], [slope + z * second, x * x * second]]
        },
    }
    checkpoint_in_a_checkpoint(x) at [[0.7], [-1.3]] {
        f: T::checkpoint(x.clone(), |x: T| {
            let y = T::checkpoint((x.clone(), x.exp()), |(x, y): (T, T)| (x * &y, y));
            y.0.square() + y.1
        }),
        value: (x * x.exp()).powi(2) + x.exp(),
        gradient: [2.0 * (x + x * x) * (2.0 * x).exp() + x.exp()],
        hessian: [[(2.0 + 8.0 * x + 4.0 * x * x) * (2.0 * x).exp() + x.exp()]],
    }
    checkpoint_around_and_in_control_flow(x, y) at [[0.7, 1.5], [3.1, 1.5]] {
        // x·y⁴ for small x, doubled by a loop in the checkpoint, in an arm.
        f: T::cond(
            &x.less(&c::<T>(2.0)),
            || {
                T::checkpoint((x.clone(), y.clone()), |(x, y): (T, T)| {
                    repeat::<T>(3, x, |x| {
                        let less = x.less(&c::<T>(0.0));
                        T::cond(&less, || x.clone(), || x.clone() * &y)
                    })
                }) * &y
            },
            || x.clone() * &y,
        ),
        value: if x < 2.0 { x * y.powi(4) } else { x * y },
        gradient: if x < 2.0 { [y.powi(4), 4.0 * x * y.powi(3)] } else { [y, x] },
        hessian: if x < 2.0 {
            [[0.0, 4.0 * y.powi(3)], [4.0 * y.powi(3), 12.0 * x * y * y]]
        } else {
            [[0.0, 1.0], [1.0, 0.0]]
        },
    }
    checkpointed_loop_of_roots(x, y) at [[0.7, 1.3], [-1.1, 0.9]] {
        f: T::checkpointed_loop(7, &y, x.clone(), Checkpoints::SquareRoot, |_, y, x: T| x * y),
        value: x * y.powi(7), gradient: [y.powi(7), 7.0 * x * y.powi(6)],
        hessian: [[0.0, 7.0 * y.powi(6)], [7.0 * y.powi(6), 42.0 * x * y.powi(5)]],
    }
    checkpointed_loop_by_number(x, y) at [[0.5, 1.25], [-1.25, 0.75]] {
        // x·∏ (y + i).
        f: T::checkpointed_loop(5, &y, x.clone(), Checkpoints::Count(2), |i, y, x: T| x * (T::from_int(i) + y)),
        value: x * (0..5).map(|i| y + f64::from(i)).product::<f64>(),
        gradient: {
            let p = (0..5).map(|i| y + f64::from(i)).product::<f64>();
            [p, x * p * (0..5).map(|i| 1.0 / (y + f64::from(i))).sum::<f64>()]
        },
        hessian: {
            let p = (0..5).map(|i| y + f64::from(i)).product::<f64>();
            let [first, second] = [1, 2].map(|k| (0..5).map(|i| (y + f64::from(i)).powi(-k)).sum::<f64>());
            [[0.0, p * first], [p * first, x * p * (first * first - second)]]
        },
    }
    checkpointed_loop_in_little_memory(x) at [[0.7], [-1.1]] {
        f: T::checkpointed_loop(6, &(), x.clone(), Checkpoints::Bytes(8), |_, _, x: T| x.scale(0.5).sin()).square(),
        value: (0..6).fold(x, |x, _| (0.5 * x).sin()).powi(2),
        gradient: {
            let (y, slope) = (0..6).fold((x, 1.0), |(y, s), _| ((0.5 * y).sin(), 0.5 * s * (0.5 * y).cos()));
            [2.0 * y * slope]
        },
        hessian: {
            let step = |(y, s, c): (f64, f64, f64), _| {
                let (sine, cosine) = (0.5 * y).sin_cos();
                (sine, 0.5 * cosine * s, 0.5 * cosine * c - 0.25 * sine * s * s)
            };
            let (y, slope, curve) = (0..6).fold((x, 1.0, 0.0), step);
            [[2.0 * slope * slope + 2.0 * y * curve]]
        },
    }
    checkpointed_while_of_data(x, y) at [[0.7, 1.3], [2.0, 1.1]] {
        // Rounds until 4 is passed: 7, and 8.
        f: {
            let below = |_: &T, x: &T| x.less(&c::<T>(4.0));
            let first = T::checkpointed_while(&y, x.clone(), Checkpoints::SquareRoot, below, |y, x| x * y);
            // Three at a time, and one.
            let [second, third] = [6, 1].map(|n| {
                T::checkpointed_while(&y, x.clone(), Checkpoints::Count(n), below, |y, x| x * y)
            });
            first + second.scale(0.5) - third.scale(0.5)
        },
        value: x * y.powi(if x < 1.0 { 7 } else { 8 }),
        gradient: {
            let n = if x < 1.0 { 7 } else { 8 };
            [y.powi(n), f64::from(n) * x * y.powi(n - 1)]
        },
        hessian: {
            let n = if x < 1.0 { 7 } else { 8 };
            let mixed = f64::from(n) * y.powi(n - 1);
            [[0.0, mixed], [mixed, f64::from(n * (n - 1)) * x * y.powi(n - 2)]]
        },
    }
    cond_skips_the_other_arm(x, y) at [[0.7, 0.0]] {
        // The arm not taken would divide by zero.
        f: T::cond(&y.equal(&c::<T>(0.0)), || x.square(), || x.clone() / &y), value: x * x, gradient: [2.0 * x, 0.0],
        hessian: [[2.0, 0.0], [0.0, 0.0]],
    }
    choose_of_functions(x, y) at [[0.7, 0.2], [-1.3, 0.8]] {
        // The function is kept, called twice, and called with what another one gives.
        f: {
            let f = choose::<T, _, _>(&x.less(&c::<T>(0.0)), |z: T| z.square() * &y, |z: T| z.sin());
            f.call(f.call(x.clone())) + &f.call(y.clone())
        },
        value: if x < 0.0 { x.powi(4) * y.powi(3) + y.powi(3) } else { x.sin().sin() + y.sin() },
        gradient: if x < 0.0 {
            [4.0 * x.powi(3) * y.powi(3), 3.0 * x.powi(4) * y * y + 3.0 * y * y]
        } else {
            [x.sin().cos() * x.cos(), y.cos()]
        },
        hessian: if x < 0.0 {
            [
                [12.0 * x * x * y.powi(3), 12.0 * x.powi(3) * y * y],
                [12.0 * x.powi(3) * y * y, 6.0 * x.powi(4) * y + 6.0 * y],
            ]
        } else {
            [[-x.sin().sin() * x.cos().powi(2) - x.sin().cos() * x.sin(), 0.0], [0.0, -y.sin()]]
        },
    }
    choose_in_a_loop(x) at [[1.1], [1.9]] {
        // A closure, chosen by data, whose captured value the loop changes: x² or x·x⁴, by two or one rounds.
        f: {
            let closure = |captured: T| Closure::new(captured, |scale: &T, z: T| z * scale);
            let f = choose::<T, _, _>(&x.less(&c::<T>(1.5)), closure(x.clone()), closure(x.square()));
            let next = |f: Chosen<T, Closure<T, _>, Closure<T, _>>| {
                let grown: T = f.call(x.clone());
                choose::<T, _, _>(&x.less(&c::<T>(1.5)), closure(grown.clone()), closure(grown.square()))
            };
            let (_, f) = T::while_loop((counter::<T>(0), f), |(i, _)| below(i, 1), |(i, f)| (count(&i, 1), next(f)));
            f.call(x.clone())
        },
        value: if x < 1.5 { x.powi(3) } else { x.powi(7) },
        gradient: [if x < 1.5 { 3.0 * x * x } else { 7.0 * x.powi(6) }],
        hessian: [[if x < 1.5 { 6.0 * x } else { 42.0 * x.powi(5) }]],
        third: if x < 1.5 { 6.0 } else { 210.0 * x.powi(4) },
    }
    cond_nested(x) at [[-2.0], [0.5], [4.0]] {
        f: T::cond(
            &x.less(&c::<T>(0.0)),
            || -x.clone(),
            || T::cond(&x.less(&c::<T>(1.0)), || x.powi(3), || x.sqrt()),
        ),
        value: if x < 0.0 { -x } else if x < 1.0 { x.powi(3) } else { x.sqrt() },
        gradient: [if x < 0.0 { -1.0 } else if x < 1.0 { 3.0 * x * x } else { 0.5 / x.sqrt() }],
        hessian: [[if x < 0.0 { 0.0 } else if x < 1.0 { 6.0 * x } else { -0.25 * x.powf(-1.5) }]],
        third: if x < 0.0 { 0.0 } else if x < 1.0 { 6.0 } else { 0.375 * x.powf(-2.5) },
    }
    cond_of_a_pair(x, y) at [[0.7, 0.2], [0.2, 0.7]] {
        f: {
            let pair = |a: &T, b: &T| (a.clone() * b, b.clone());
            let (p, q) = T::cond(&x.less(&y), || pair(&x, &y), || pair(&y, &x));
            p + q.square()
        },
        value: x * y + x.max(y).powi(2), gradient: if x < y { [y, x + 2.0 * y] } else { [y + 2.0 * x, x] },
        hessian: if x < y { [[0.0, 1.0], [1.0, 2.0]] } else { [[2.0, 1.0], [1.0, 0.0]] },
    }
    cond_with_a_constant_arm(x) at [[0.7], [-1.3]] {
        f: T::cond(&x.less(&c::<T>(0.0)), || c::<T>(3.0), || x.sin()) * &x,
        value: if x < 0.0 { 3.0 * x } else { x * x.sin() }, gradient: [if x < 0.0 { 3.0 } else { x.sin() + x * x.cos() }],
        hessian: [[if x < 0.0 { 0.0 } else { 2.0 * x.cos() - x * x.sin() }]],
    }
    cond_of_nan_takes_otherwise(x) at [[0.7]] {
        f: T::cond(&c::<T>(f64::NAN).less(&x), || x.exp(), || x.square()), value: x * x, gradient: [2.0 * x],
        hessian: [[2.0]], third: 0.0,
    }
    conds_in_a_row(x) at [[0.6], [-0.6]] {
        f: (0..4).fold(x, |y: T, _| T::cond(&y.less(&c::<T>(0.0)), || -y.clone(), || y.square())),
        // 0.6 → x¹⁶; −0.6 → −x, x², x⁴, x⁸ of |x|
        value: if x > 0.0 { x.powi(16) } else { x.powi(8) },
        gradient: [if x > 0.0 { 16.0 * x.powi(15) } else { 8.0 * x.powi(7) }],
        hessian: [[if x > 0.0 { 240.0 * x.powi(14) } else { 56.0 * x.powi(6) }]],
        third: if x > 0.0 { 3360.0 * x.powi(13) } else { 336.0 * x.powi(5) },
    }
    while_counts_to_five(x) at [[1.3], [-0.7]] {
        f: repeat(5, c::<T>(1.0), |power| power * &x), value: x.powi(5), gradient: [5.0 * x.powi(4)],
        hessian: [[20.0 * x.powi(3)]], third: 60.0 * x * x,
    }
    while_never(x, y) at [[1.3, 2.0]] {
        f: T::while_loop(x, |_| int::<T>(1).less(&int::<T>(0)), |x| x * &y), value: x, gradient: [1.0, 0.0],
        hessian: [[0.0, 0.0], [0.0, 0.0]],
    }
    while_until_large(x) at [[1.7], [30.0], [200.0]] {
        f: T::while_loop(x, |x| x.less(&c::<T>(100.0)), |x| x.square()),
        value: if x > 100.0 { x } else if x > 10.0 { x * x } else { x.powi(16) },
        gradient: [if x > 100.0 { 1.0 } else if x > 10.0 { 2.0 * x } else { 16.0 * x.powi(15) }],
        hessian: [[if x > 100.0 { 0.0 } else if x > 10.0 { 2.0 } else { 240.0 * x.powi(14) }]],
        third: if x > 10.0 { 0.0 } else { 3360.0 * x.powi(13) },
    }
    while_over_a_pair(x) at [[0.8], [-0.3]] {
        // (a, b) ← (b, a + x·b), six times: a recurrence of Fibonacci's kind.
        f: {
            let start = (counter::<T>(0), c::<T>(1.0), x.clone());
            let (_, _, b) = T::while_loop(
                start,
                |(i, _, _)| below(i, 4),
                |(i, a, b)| (count(&i, 1), b.clone(), a + b * &x),
            );
            b
        },
        // a₀ = 1, b₀ = x; b₁ = 1+x², b₂ = 2x+x³, b₃ = 1+3x²+x⁴, b₄ = 3x+4x³+x⁵
        value: 3.0 * x + 4.0 * x.powi(3) + x.powi(5), gradient: [3.0 + 12.0 * x * x + 5.0 * x.powi(4)],
        hessian: [[24.0 * x + 20.0 * x.powi(3)]], third: 24.0 + 60.0 * x * x,
    }
    while_over_a_vector(x, y) at [[0.8, -0.3]] {
        // Rotates [x, y, x·y] by one place, seven times: once in effect.
        f: {
            let start = vec![x.clone(), y.clone(), x * y];
            let rotate = |(i, mut v): (Index<T>, Vec<T>)| { v.rotate_left(1); (count(&i, 1), v) };
            let (_, v) = T::while_loop((counter::<T>(0), start), |(i, _)| below(i, 7), rotate);
            v[0].clone() * &v[1]
        },
        value: y * x * y, gradient: [y * y, 2.0 * x * y], hessian: [[0.0, 2.0 * y], [2.0 * y, 2.0 * x]],
    }
    while_with_an_outer_variable(x, y) at [[0.8, 1.2]] {
        f: repeat(3, x.clone(), |z| z * &y + &x), value: x * (1.0 + y + y * y + y * y * y),
        gradient: [1.0 + y + y * y + y * y * y, x * (1.0 + 2.0 * y + 3.0 * y * y)],
        hessian: [[0.0, 1.0 + 2.0 * y + 3.0 * y * y], [1.0 + 2.0 * y + 3.0 * y * y, x * (2.0 + 6.0 * y)]],
    }
    while_nested(x) at [[1.05], [-0.9]] {
        f: repeat(3, x.clone(), |y| repeat(2, y, |z| z * &x)), value: x.powi(7), gradient: [7.0 * x.powi(6)],
        hessian: [[42.0 * x.powi(5)]], third: 210.0 * x.powi(4),
    }
    while_around_cond(x) at [[0.9]] {
        // Alternates: y ← y·x where y > ½, else y ← y + x.
        f: repeat(5, x.clone(), |y| T::cond(&c::<T>(0.5).less(&y), || y.clone() * &x, || y.clone() + &x)),
        // 0.9 → .81 → .729 → .6561 → .59049 → .531441: always multiplied at this point
        value: x.powi(6), gradient: [6.0 * x.powi(5)], hessian: [[30.0 * x.powi(4)]], third: 120.0 * x.powi(3),
    }
    cond_around_while(x) at [[0.9], [1.1]] {
        f: T::cond(&x.less(&c::<T>(1.0)), || repeat(3, x.clone(), |y| y * &x), || repeat(2, x.clone(), |y| y + &x)),
        value: if x < 1.0 { x.powi(4) } else { 3.0 * x }, gradient: [if x < 1.0 { 4.0 * x.powi(3) } else { 3.0 }],
        hessian: [[if x < 1.0 { 12.0 * x * x } else { 0.0 }]], third: if x < 1.0 { 24.0 * x } else { 0.0 },
    }
    while_with_dead_state(x) at [[0.7]] {
        // The second component becomes NaN and is thrown away.
        f: T::while_loop(
            (counter::<T>(0), x.clone(), x.zeros_like()),
            |(i, _, _)| below(i, 3),
            |(i, y, dead)| (count(&i, 1), y * &x, dead.log() * &x),
        ).1,
        value: x.powi(4), gradient: [4.0 * x.powi(3)], hessian: [[12.0 * x * x]], third: 24.0 * x,
    }
    newton_square_root(x) at [[2.0], [0.3], [50.0]] {
        // Until the residual is small; three more steps for the derivatives, which converge one step after.
        f: {
            let step = |y: T| (y.clone() + x.clone() / &y).scale(0.5);
            let y = T::while_loop(
                x.ones_like(),
                |y| (y.square() - &x).abs().greater(&c::<T>(1e-3)),
                step,
            );
            (0..4).fold(y, |y, _| step(y))
        },
        value: x.sqrt(), gradient: [0.5 / x.sqrt()], hessian: [[-0.25 * x.powf(-1.5)]],
        third: 0.375 * x.powf(-2.5),
    }
    newton_lambert_w(x) at [[1.0], [3.0]] {
        f: (0..9).fold(c::<T>(1.0), |w: T, _| {
            let e = w.exp();
            w.clone() - (w.clone() * &e - &x) / (e * (w.offset(1.0)))
        }),
        value: lambert_w(x), gradient: [{ let w = lambert_w(x); w / (x * (1.0 + w)) }],
        hessian: [[{ let w = lambert_w(x); -w * w * (w + 2.0) / (x * x * (1.0 + w).powi(3)) }]],
    }
    euler_integration(a, y) at [[0.5, 2.0], [-0.7, 1.0]] {
        // y′ = a·y by eight steps of 1/8.
        f: repeat(8, y, |y| y.clone() + (a.clone() * &y).scale(0.125)), value: y * (1.0 + a / 8.0).powi(8),
        gradient: [y * (1.0 + a / 8.0).powi(7), (1.0 + a / 8.0).powi(8)],
        hessian: [[y * 0.875 * (1.0 + a / 8.0).powi(6), (1.0 + a / 8.0).powi(7)], [(1.0 + a / 8.0).powi(7), 0.0]],
    }
    runge_kutta_integration(a, y) at [[0.5, 2.0], [-0.7, 1.0]] {
        // y′ = a·y by two steps of ½ of the classical method: each multiplies by a polynomial in z = a/2.
        f: repeat(2, y, |y| {
            let slope = |y: T| y * &a;
            let k1 = slope(y.clone());
            let k2 = slope(k1.clone().scale(0.25) + &y);
            let k3 = slope(k2.clone().scale(0.25) + &y);
            let k4 = slope(k3.clone().scale(0.5) + &y);
            y + (k1 + k2.scale(2.0) + k3.scale(2.0) + k4).scale(0.5 / 6.0)
        }),
        value: y * runge_kutta(a)[0].powi(2),
        gradient: { let [r, s, _] = runge_kutta(a); [2.0 * y * r * s, r * r] },
        hessian: { let [r, s, t] = runge_kutta(a); [[2.0 * y * (s * s + r * t), 2.0 * r * s], [2.0 * r * s, 0.0]] },
    }
    collatz_of_products(x) at [[7.0]] {
        // Halves above 10, else triples: 7 → 21 → 10.5 → 5.25 → 15.75 → 7.875 → 23.625 → 11.8125
        f: repeat(7, x, |y| T::cond(&y.greater(&c::<T>(10.0)), || y.clone().scale(0.5), || y.clone().scale(3.0))),
        value: 27.0 / 16.0 * x, gradient: [27.0 / 16.0], hessian: [[0.0]], third: 0.0,
    }
    fix_linear_recursion(x) at [[1.1], [-0.9]] {
        f: T::fix(counter::<T>(6), |power, n: Index<T>| {
            T::cond(&below(&n, 1), || c::<T>(1.0), || power(count(&n, -1)) * &x)
        }),
        value: x.powi(6), gradient: [6.0 * x.powi(5)], hessian: [[30.0 * x.powi(4)]], third: 120.0 * x.powi(3),
    }
    fix_not_entered(x) at [[1.1]] {
        f: T::fix(x, |_, x: T| x.sin()), value: x.sin(), gradient: [x.cos()], hessian: [[-x.sin()]], third: -x.cos(),
    }
    fix_tail_recursion(x) at [[1.7], [200.0]] {
        f: T::fix(x, |again, x: T| T::cond(&x.less(&c::<T>(100.0)), || again(x.square()), || x.clone())),
        value: if x > 100.0 { x } else { x.powi(16) }, gradient: [if x > 100.0 { 1.0 } else { 16.0 * x.powi(15) }],
        hessian: [[if x > 100.0 { 0.0 } else { 240.0 * x.powi(14) }]],
        third: if x > 100.0 { 0.0 } else { 3360.0 * x.powi(13) },
    }
    fix_double_recursion(x) at [[1.1], [-0.9]] {
        // Fibonacci's numbers in the exponent: f(n) = f(n−1)·f(n−2), f(0) = f(1) = x
        f: T::fix(counter::<T>(6), |fib, n: Index<T>| {
            T::cond(&below(&n, 2), || x.clone(), || fib(count(&n, -1)) * fib(count(&n, -2)))
        }),
        value: x.powi(13), gradient: [13.0 * x.powi(12)], hessian: [[156.0 * x.powi(11)]],
        third: 1716.0 * x.powi(10),
    }
    fix_over_a_balanced_tree(x, y) at [[0.9, -0.4]] {
        // Leaves are y; a node of height h is left·right + x: with s ← s² + x three times.
        f: T::fix(counter::<T>(3), |tree, height: Index<T>| {
            let child = count(&height, -1);
            T::cond(&below(&height, 1), || y.clone(), || tree(child.clone()) * tree(child.clone()) + &x)
        }),
        value: quadratic_tree(x, y).0, gradient: quadratic_tree(x, y).1, hessian: quadratic_tree(x, y).2,
    }
    fix_over_a_pair(x) at [[1.05], [-0.9]] {
        f: T::fix((counter::<T>(5), x.clone()), |f, (n, y): (Index<T>, T)| {
            T::cond(&below(&n, 1), || y.clone(), || f((count(&n, -1), y.clone() * &x)) + &y)
        }),
        value: x + x.powi(2) + x.powi(3) + x.powi(4) + x.powi(5) + x.powi(6),
        gradient: [1.0 + 2.0 * x + 3.0 * x.powi(2) + 4.0 * x.powi(3) + 5.0 * x.powi(4) + 6.0 * x.powi(5)],
        hessian: [[2.0 + 6.0 * x + 12.0 * x.powi(2) + 20.0 * x.powi(3) + 30.0 * x.powi(4)]],
        third: 6.0 + 24.0 * x + 60.0 * x.powi(2) + 120.0 * x.powi(3),
    }
    fix_work_before_and_after_the_call(x) at [[0.6]] {
        // g(n) = sin(g(n−1)·x), g(0) = x, twice.
        f: T::fix((counter::<T>(2), x.clone()), |g, (n, y): (Index<T>, T)| {
            T::cond(&below(&n, 1), || y.clone(), || {
                let inner: T = g((count(&n, -1), y.clone()));
                (inner * &x).sin()
            })
        }),
        value: (x * (x * x).sin()).sin(),
        gradient: [(x * (x * x).sin()).cos() * ((x * x).sin() + 2.0 * x * x * (x * x).cos())],
        hessian: [[{
            let (s, k) = (x * x).sin_cos();
            let (inner, slope) = (x * s, s + 2.0 * x * x * k);
            -inner.sin() * slope * slope + inner.cos() * (6.0 * x * k - 4.0 * x.powi(3) * s)
        }]],
    }
    fix_by_halving_the_exponent(x) at [[1.1], [-0.9]] {
        // xⁿ by squaring, n = 11; n is even where cos(πn) > 0.
        f: T::fix(c::<T>(11.0), |power: &dyn Fn(T) -> T, n: T| {
            let even = n.clone().scale(std::f64::consts::PI).cos().greater(&c::<T>(0.0));
            let odd = || power(n.clone().offset(-1.0).scale(0.5)).square() * &x;
            let more = || T::cond(&even, || power(n.clone().scale(0.5)).square(), odd);
            T::cond(&n.less(&c::<T>(0.5)), || c::<T>(1.0), more)
        }),
        value: x.powi(11), gradient: [11.0 * x.powi(10)], hessian: [[110.0 * x.powi(9)]], third: 990.0 * x.powi(8),
    }
}

/// Value and two derivatives in `a` of the polynomial by which a step of ½ of the classical method multiplies.
fn runge_kutta(a: f64) -> [f64; 3] {
    let z = 0.5 * a;
    [
        1.0 + z + z * z / 2.0 + z.powi(3) / 6.0 + z.powi(4) / 24.0,
        0.5 * (1.0 + z + z * z / 2.0 + z.powi(3) / 6.0),
        0.25 * (1.0 + z + z * z / 2.0),
    ]
}

/// `((y² + x)² + x)² + x` with its gradient and Hessian.
fn quadratic_tree(x: f64, y: f64) -> (f64, [f64; 2], [[f64; 2]; 2]) {
    let p = y * y + x;
    let q = p * p + x;
    let [qx, qy] = [2.0 * p + 1.0, 4.0 * p * y];
    let [qxx, qxy, qyy] = [2.0, 4.0 * y, 4.0 * (3.0 * y * y + x)];
    let mixed = 2.0 * (qx * qy + q * qxy);
    (
        q * q + x,
        [2.0 * q * qx + 1.0, 2.0 * q * qy],
        [[2.0 * (qx * qx + q * qxx), mixed], [mixed, 2.0 * (qy * qy + q * qyy)]],
    )
}
