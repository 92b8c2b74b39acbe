//! Loops of which nothing is kept for a way back: their compiled code takes the same room for any number of rounds,
//! whatever their state is.

use antiphon::control::scan;
use antiphon::recording::{OptimiseOptions, Recorded};
use antiphon::solve::{Derivative, LinearLimit, LinearMethod, MinimizeMethod, Options, Problem, minimize};
use antiphon::state::{Flag, Index};
use antiphon::{
    Batch, CompiledFunction, Dual, Mask, NdArray, OrRaise, Real, Tensor, Var, compile_with, grad, jvp, vmap,
};
use antiphon_staging::jit::CompileOptions;

type Array = NdArray<f64>;

/// A stack of 256 KiB, and no room for what recursion keeps, but where there is a recursion of three levels.
fn tight(name: &str) -> CompileOptions {
    let arena_bytes = Some(if name == "in a recursion" { 64 << 10 } else { 0 });
    let optimise = Some(OptimiseOptions::default());
    CompileOptions { optimise, stack_bytes: Some(256 << 10), arena_bytes, ..Default::default() }
}

/// A loop of `n` rounds over `[16]` and `[8, 8]`.
struct Rounds(&'static str);

const LOOPS: [&str; 11] = [
    "a tuple",
    "exchanged",
    "views",
    "a masked step",
    "integers and truth values",
    "a branch in the loop",
    "loops in the loop",
    "in an arm",
    "in a recursion",
    "a scan in the loop",
    "written",
];

impl Rounds {
    fn call<T: Tensor>(&self, n: &T, x: &T, y: &T) -> Vec<T> {
        let one = || T::constant(1.0);
        let zero = || T::constant(0.0);
        let smaller = |x: &T| x.clone() * 0.5 + 0.25;
        let by_tuple = |init: (T, T)| {
            let (_, (x, y)) = T::while_loop(
                (zero(), init),
                |(i, _)| i.less(n),
                |(i, (x, y))| {
                    (i + one(), ((x.clone() * 0.9 + y.sum(..) * 0.01).sin(), y.tanh() + x.max(..) * 0.1))
                },
            );
            (x, y)
        };
        match self.0 {
            "a tuple" => {
                let (x, y) = by_tuple((x.clone(), y.clone()));
                vec![x, y]
            }
            "exchanged" => {
                let init = (zero(), (x.clone(), smaller(x), x.square()));
                let (_, (a, b, c)) = T::while_loop(
                    init,
                    |(i, _)| i.less(n),
                    |(i, (a, b, c))| (i + one(), (b.clone(), a * 0.99 + b * 0.01, c)),
                );
                vec![a, b, c]
            }
            "views" => {
                let init = (zero(), (x.clone(), y.clone()));
                let (_, (a, b)) = T::while_loop(
                    init,
                    |(i, _)| i.less(n),
                    |(i, (a, b))| {
                        let rows = b.slice(0, 1..3).reshape(&[16]);
                        (i + one(), (rows, T::concat(&[b.slice(0, 2..8), a.reshape(&[2, 8])], 0)))
                    },
                );
                vec![a, b]
            }
            "a masked step" => {
                let (_, x) = T::while_loop(
                    (zero(), x.clone()),
                    |(i, _)| i.less(n),
                    |(i, x)| {
                        let next = (x.clone() * 1.25).cos();
                        (i + one(), T::select(&x.less(&zero()), &next, &(x * 0.75 - 0.2)))
                    },
                );
                vec![x]
            }
            "integers and truth values" => {
                let start = (zero(), (Index::<T>(y.argmax(0)), Flag::<T>(y.less(&zero()))));
                let (_, (Index(at), Flag(negative))) = T::while_loop(
                    start,
                    |(i, _)| i.less(n),
                    |(i, (Index(at), Flag(negative)))| {
                        let z = T::from_int(&at) - i.sin() * 3.0 + x.slice(0, 0..8);
                        let moved = T::select(&negative, &(y.clone() + z), &y.sin());
                        (
                            i + one(),
                            (
                                Index(moved.argmax(0)),
                                Flag(moved.less(&T::constant(0.5)).and(&negative.not())),
                            ),
                        )
                    },
                );
                vec![T::from_int(&at), T::select(&negative, &y.ones_like(), &y.zeros_like())]
            }
            "a branch in the loop" => {
                let (_, x) = T::while_loop(
                    (zero(), x.clone()),
                    |(i, _)| i.less(n),
                    |(i, x)| {
                        let small = x.sum(..).less(&one());
                        (
                            i + one(),
                            T::cond(&small, || x.clone() * 0.5 + 0.1, || (x.clone() - x.mean(..)).sin()),
                        )
                    },
                );
                vec![x]
            }
            "loops in the loop" => {
                let (_, (x, y)) = T::while_loop(
                    (zero(), (x.clone(), y.clone())),
                    |(i, _)| i.less(n),
                    |(i, (x, y))| {
                        let (_, z) = T::while_loop(
                            (zero(), x.clone()),
                            |(j, _)| j.less(&T::constant(3.0)),
                            |(j, z)| (j + one(), (z + &x).sin()),
                        );
                        let y = T::while_loop(y, |y| y.max(..).greater(&one()), |y| y * 0.5);
                        (i + one(), (z, y.clone() * 1.1 + y.sum(0) * 0.1))
                    },
                );
                vec![x, y]
            }
            "in an arm" => {
                let (x, y) = T::cond(
                    &x.sum(..).less(&T::constant(100.0)),
                    || by_tuple((smaller(x), y.clone())),
                    || by_tuple((x.clone(), smaller(y))),
                );
                vec![x, y]
            }
            "in a recursion" => {
                let (x, y) =
                    T::fix((zero(), (x.clone(), y.clone())), |again, (depth, (x, y)): (T, (T, T))| {
                        let (x, y) = by_tuple((y.slice(0, 0..2).reshape(&[16]) + x, y));
                        T::cond(
                            &depth.less(&T::constant(2.0)),
                            || {
                                let (a, b) = again((depth.clone() + one(), (x.clone(), y.clone())));
                                (a + &x, b * &y)
                            },
                            || (x.clone(), y.clone()),
                        )
                    });
                vec![x, y]
            }
            "a scan in the loop" => {
                let (_, y) = T::while_loop(
                    (zero(), y.clone()),
                    |(i, _)| i.less(n),
                    |(i, y)| {
                        let init = x.slice(0, 0..8);
                        let (_, rows) = scan(init, &y, |sum: T, row| {
                            let sum = (sum * 0.5 + row).sin();
                            (sum.clone(), sum)
                        })
                        .or_raise();
                        (i + one(), rows)
                    },
                );
                vec![y]
            }
            "written" => {
                let (_, y) = T::while_loop(
                    (zero(), y.clone()),
                    |(i, _)| i.less(n),
                    |(i, y)| (i + one(), y.transpose() * 0.9 + y.sum(0) * 0.01),
                );
                vec![y]
            }
            other => unreachable!("{other}"),
        }
    }
}

fn arrays(n: f64) -> (Array, Array, Array) {
    let elements = |k: usize, count: usize| -> Vec<f64> {
        (0..count).map(|i| ((i * 7 + k * 5) % 13) as f64 * 0.1 - 0.6).collect()
    };
    let array =
        |shape: &[usize], k| Array::from_elements(shape, &elements(k, shape.iter().product())).unwrap();
    (Array::scalar(n), array(&[16], 1), array(&[8, 8], 2))
}

fn assert_near(what: &str, found: &[Array], expected: &[Array]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.shape(), expected.shape(), "{what}");
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-11 * b.abs().max(1.0);
        assert!(found.view().iter().zip(expected.view()).all(near), "{what}: {found} {expected}");
    }
}

type Inputs = (Array, Array, Array);

/// Holds what compiled code gives to what a model gives eagerly, for a few rounds, and has it run for a hundred thousand.
fn check(
    what: &str,
    mut code: CompiledFunction<Array, Inputs, Vec<Array>>,
    eagerly: impl Fn(&Inputs) -> Vec<Array>,
) {
    for n in [0.0, 1.0, 2.0, 7.0] {
        let x = arrays(n);
        assert_near(
            &format!("{what}, {n}"),
            &code.call(&x).unwrap_or_else(|error| panic!("{what}: {error}")),
            &eagerly(&x),
        );
    }
    let long = code.call(&arrays(100_000.0)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(long.iter().all(|x| x.view().iter().all(|x| x.is_finite())), "{what}: {long:?}");
}

#[test]
fn evaluated() {
    for name in LOOPS {
        let model = |(n, x, y): (Recorded, Recorded, Recorded)| Rounds(name).call(&n, &x, &y);
        for options in [tight(name), CompileOptions { optimise: None, ..tight(name) }] {
            let code = compile_with(name, model, &arrays(0.0), &options).unwrap();
            check(name, code, |(n, x, y)| Rounds(name).call(n, x, y));
        }
    }
}

/// Values with tangents flow as pairs.
#[test]
fn forward() {
    fn tangents<T: Tensor>(name: &'static str, n: &T, x: &T, y: &T) -> Vec<T> {
        let (n, along) = (n.clone(), (x.sin(), y.cos()));
        let f = |(x, y): (Dual<T>, Dual<T>)| {
            let results = Rounds(name).call(&Dual::lift(&n), &x, &y);
            results.into_iter().map(|y| y.sum(..)).reduce(|a, b| a + b).unwrap()
        };
        let (value, tangent) = jvp(f, &(x.clone(), y.clone()), &along).or_raise();
        vec![value, tangent]
    }
    for name in ["a tuple", "exchanged", "loops in the loop", "a branch in the loop"] {
        let model = |(n, x, y): (Recorded, Recorded, Recorded)| tangents(name, &n, &x, &y);
        let code = compile_with(name, model, &arrays(0.0), &tight(name)).unwrap();
        check(name, code, |(n, x, y)| tangents(name, n, x, y));
    }
}

/// Rows of which each has its own number of rounds.
#[test]
fn batched() {
    fn of_rows<T: Tensor>(name: &'static str, n: &T, x: &T, y: &T) -> Vec<T> {
        let ns = T::stack(&[n.clone(), n.clone() * 0.5, n.zeros_like()], 0);
        let xs = T::stack(&[x.clone(), x.clone() * 0.5, x.sin()], 0);
        let f = |(n, x): (Batch<T>, Batch<T>)| Rounds(name).call(&n, &x, &Batch::lift(y));
        vmap(f, &(ns, xs)).or_raise()
    }
    for name in ["a tuple", "exchanged", "a masked step", "a branch in the loop"] {
        let model = |(n, x, y): (Recorded, Recorded, Recorded)| of_rows(name, &n, &x, &y);
        let code = compile_with(name, model, &arrays(0.0), &tight(name)).unwrap();
        check(name, code, |(n, x, y)| of_rows(name, n, x, y));
    }
}

/// A loop whose state nothing that is differentiated flows into, in a function that is.
#[test]
fn detached() {
    fn slopes<T: Tensor>(name: &'static str, n: &T, x: &T, y: &T) -> Vec<T> {
        let slopes = grad(
            |(x, y): (Var<'_, T>, Var<'_, T>)| {
                let results = Rounds(name).call(&Var::lift(n), &x.detach(), &y.detach());
                let each = results.into_iter().map(|z| (z.sum(..) * x.sum(..) + y.sum(..)).sin());
                each.reduce(|a, b| a + b).unwrap()
            },
            &(x.clone(), y.clone()),
        );
        let (x_bar, y_bar) = slopes.or_raise();
        vec![x_bar, y_bar]
    }
    for name in ["a tuple", "exchanged", "a masked step", "integers and truth values", "in an arm"] {
        let model = |(n, x, y): (Recorded, Recorded, Recorded)| slopes(name, &n, &x, &y);
        let code = compile_with(name, model, &arrays(0.0), &tight(name)).unwrap();
        check(name, code, |(n, x, y)| slopes(name, n, x, y));
    }
}

/// `½·Σᵢ aᵢ(xᵢ − θᵢ)²`, for which one step of the right length would do if all `aᵢ` were the same.
#[derive(Clone, Debug)]
struct Bowl;

impl Problem for Bowl {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, (a, theta): &(T, T)) -> T {
        ((x.clone() - theta).square() * a).sum(..) * 0.5
    }
}

/// A hundred thousand steps of a fixed number, in a mebibyte.
#[test]
fn a_solver_of_very_many_steps() {
    let steps = 100_000;
    let (a, theta) = (vec![1.0, 0.5, 1e-4, 2.0], vec![1.0, -2.0, 3.0, 0.25]);
    let x = (Array::from(a.clone()), Array::from(theta.clone()));
    let length = 0.4;
    // Each element by itself is a geometric sequence.
    let share: Vec<f64> = a.iter().map(|a| 1.0 - (1.0 - length * a).powi(steps as i32)).collect();
    let limit = LinearLimit { tolerance: 1e-14, steps: 50 };
    let room =
        CompileOptions { stack_bytes: Some(512 << 10), arena_bytes: Some(512 << 10), ..Default::default() };
    for derivative in [
        Derivative::OneStep,
        Derivative::KSteps(3),
        Derivative::Implicit(LinearMethod::Direct),
        Derivative::Implicit(LinearMethod::ConjugateGradients(limit)),
    ] {
        let options = Options::steps(steps).derivative(derivative.clone());
        let f = |(a, theta): (Recorded, Recorded)| {
            let method = MinimizeMethod::GradientDescent { length };
            let slopes = grad(
                |(a, theta): (Var<'_, Recorded>, Var<'_, Recorded>)| {
                    let begin = theta.zeros_like();
                    minimize(&Bowl, &method, &begin, &(a, theta), &options).or_raise().x.sum(..)
                },
                &(a, theta),
            );
            let (a_bar, theta_bar) = slopes.or_raise();
            let begin = theta.zeros_like();
            let x = minimize(&Bowl, &method, &begin, &(a, theta), &options).or_raise().x;
            vec![x, a_bar, theta_bar]
        };
        let found = compile_with("bowl", f, &x, &room).unwrap().call(&x).unwrap();
        for i in 0..4 {
            let at = |k: usize| found[k].view()[[i]];
            let (value, slope) = (theta[i] * share[i], at(2));
            assert!((at(0) - value).abs() < 1e-9 * value.abs().max(1.0), "{derivative:?}: {} {value}", at(0));
            let expected = match derivative {
                Derivative::OneStep => length * a[i],
                Derivative::KSteps(k) => 1.0 - (1.0 - length * a[i]).powi(k as i32),
                _ => 1.0,
            };
            assert!((slope - expected).abs() < 1e-9, "{derivative:?}: {slope} {expected}");
        }
    }
}
