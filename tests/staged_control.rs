//! Recorded control flow: one program takes the branches, trip counts and recursions that its inputs ask for, and
//! computes the values and derivatives that the same model has eagerly.

#[path = "conformance/case.rs"]
#[allow(dead_code)] // kinks and third derivatives
mod case;
#[path = "conformance/control.rs"]
mod control;

use antiphon::staged::{Expr, Options, interpret, optimise, record};
use antiphon::{
    Control, Dual, Error, Index, Int, IntTensor, NdArray, OrRaise, Real, State, Tensor, Var, grad, hvp, jvp,
    value_and_grad,
};
use case::{ScalarCase, ScalarVisitor};

type Array = NdArray<f64>;

fn arrays(x: &[f64]) -> Vec<Array> {
    x.iter().map(|&x| Array::scalar(x)).collect()
}

/// Runs a recorded function of scalars at each point, as recorded and optimised, and compares.
fn check<Q: State<Expr>>(
    what: &str,
    f: impl FnOnce(Vec<Expr>) -> Q,
    points: &[&[f64]],
    expected: impl Fn(&[f64]) -> Option<Vec<f64>>,
    failures: &mut Vec<String>,
) {
    let mut program = match record("f", f, &arrays(points[0])) {
        Ok(program) => program,
        Err(error) => return failures.push(format!("{what}: {error}")),
    };
    for stage in ["recorded", "optimised"] {
        for x in points {
            let Some(expected) = expected(x) else { continue };
            let found = match interpret(&program, &arrays(x)) {
                Ok(found) => found,
                Err(error) => return failures.push(format!("{what} at {x:?}, {stage}: {error}")),
            };
            let found: Vec<f64> = found.iter().map(Array::item).collect();
            let close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0);
            if found.len() != expected.len() || !found.iter().zip(&expected).all(close) {
                failures.push(format!("{what} at {x:?}, {stage}: {found:?}, not {expected:?}"));
            }
        }
        optimise(&mut program, &Options::default());
    }
}

fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()
}

struct Table {
    cases: usize,
    failures: Vec<String>,
}

impl ScalarVisitor for Table {
    fn visit<C: ScalarCase>(&mut self) {
        self.cases += 1;
        let (points, failures) = (C::POINTS, &mut self.failures);
        let what = |mode: &str| format!("{}, {mode}", C::NAME);
        check(&what("value"), |x| C::call(&x), points, |x| Some(vec![C::jet(x).value]), failures);
        let first = |x: &[f64]| {
            let jet = C::jet(x);
            Some(std::iter::once(jet.value).chain(jet.gradient).collect())
        };
        let reverse = |x: Vec<Expr>| value_and_grad(|x| C::call(&x), &x).or_raise();
        check(&what("reverse"), reverse, points, first, failures);
        let n = points[0].len();
        let forward = |x: Vec<Expr>| {
            let along = |i| jvp(|x: Vec<Dual<Expr>>| C::call(&x), &x, &direction(&x, i)).or_raise();
            let slopes: Vec<Expr> = (0..n).map(|i| along(i).1).collect();
            (along(0).0, slopes)
        };
        check(&what("forward"), forward, points, first, failures);
        for i in 0..n {
            let column = |x: &[f64]| {
                let hessian = C::jet(x).hessian?;
                Some(hessian.iter().map(|row| row[i]).collect())
            };
            let product = |x: Vec<Expr>| hvp(|x| C::call(&x), &x, &direction(&x, i)).or_raise().1;
            check(&what("forward over reverse"), product, points, column, failures);
            let gradient_of_slope = |x: Vec<Expr>| {
                let along: Vec<Expr> = direction(&x, i);
                grad(
                    |x: Vec<Var<'_, Expr>>| {
                        let along: Vec<_> = along.iter().map(Var::lift).collect();
                        jvp(|x: Vec<Dual<Var<'_, Expr>>>| C::call(&x), &x, &along).or_raise().1
                    },
                    &x,
                )
                .or_raise()
            };
            check(&what("reverse over forward"), gradient_of_slope, points, column, failures);
        }
    }
}

/// The unit vector along axis `i`.
fn direction<T: Real>(x: &[T], i: usize) -> Vec<T> {
    unit(x.len(), i).into_iter().map(T::constant).collect()
}

#[test]
fn the_table_of_control_flow() {
    let mut table = Table { cases: 0, failures: Vec::new() };
    control::for_each(&mut table);
    assert!(table.cases > 20);
    assert!(table.failures.is_empty(), "{} failures:\n{}", table.failures.len(), table.failures.join("\n"));
}

/// A function in every interpretation that the checks below need.
trait Model {
    fn call<T: Control>(x: &[T]) -> T;
}

/// Holds the recorded value and derivatives of a model, each one program, to the eager ones.
fn agree<M: Model>(points: &[&[f64]]) {
    let failures = &mut Vec::new();
    let eager = |x: &[f64]| {
        let (y, gradient) = value_and_grad(|x| M::call(&x), &x.to_vec()).unwrap();
        Some(std::iter::once(y).chain(gradient).collect::<Vec<f64>>())
    };
    let reverse = |x: Vec<Expr>| value_and_grad(|x| M::call(&x), &x).or_raise();
    check("reverse", reverse, points, eager, failures);
    for i in 0..points[0].len() {
        let slope = |x: &[f64]| Some(vec![jvp(|x| M::call(&x), &x.to_vec(), &unit(x.len(), i)).unwrap().1]);
        let forward = |x: Vec<Expr>| jvp(|x| M::call(&x), &x, &direction(&x, i)).or_raise().1;
        check("forward", forward, points, slope, failures);
        let product = |x: &[f64]| Some(hvp(|x| M::call(&x), &x.to_vec(), &unit(x.len(), i)).unwrap().1);
        let forward_over_reverse = |x: Vec<Expr>| hvp(|x| M::call(&x), &x, &direction(&x, i)).or_raise().1;
        check("forward over reverse", forward_over_reverse, points, product, failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn constant<T: Real>(value: f64) -> T {
    T::constant(value)
}

#[test]
fn newtons_method_stops_when_it_has_converged() {
    struct Root;
    impl Model for Root {
        fn call<T: Control>(x: &[T]) -> T {
            let done = |y: &T| (y.square() - &x[0]).abs().greater(&constant(1e-13));
            T::while_loop(x[0].clone(), done, |y| (y.clone() + x[0].clone() / &y).scale(0.5)) * &x[1]
        }
    }
    agree::<Root>(&[&[2.0, 1.0], &[1.0, 3.0], &[900.0, 0.5], &[0.01, -1.0]]);
}

#[test]
fn variables_from_outside_collect_what_arms_loops_and_calls_contribute() {
    struct Captures;
    impl Model for Captures {
        fn call<T: Control>(x: &[T]) -> T {
            let shared = x[0].clone() * &x[1];
            let unused = T::cond(&x[0].less(&x[1]), || shared.exp(), || x[1].log());
            drop(unused);
            let y = T::cond(&x[0].less(&x[1]), || shared.sin() * &x[0], || x[1].clone());
            // The diamond: both operands come from the branch.
            let z = y.clone() * &y + &shared;
            let w = T::while_loop(
                z,
                |w| w.less(&constant(3.0)),
                |w| w.clone() * &w + x[0].abs() + &shared.square(),
            );
            let f = T::fix((w.clone(), x[1].clone()), |f, (a, b): (T, T)| {
                let small = a.less(&constant(0.2));
                T::cond(
                    &small,
                    || a.clone() * &b,
                    || f((a.clone().scale(0.4), b.clone() * &x[0])) * &shared + &a,
                )
            });
            T::cond(&w.less(&x[1]), || f.clone(), || f.clone() * &w + &x[0])
        }
    }
    agree::<Captures>(&[&[0.7, 0.9], &[1.2, 0.8], &[-0.5, 0.3], &[0.1, 9.0], &[2.5, 1.5]]);
}

#[test]
fn a_dead_branch_contributes_nothing() {
    // The derivative of the square root at 0 is infinite; nothing may be multiplied by it where it is not used.
    struct Dead;
    impl Model for Dead {
        fn call<T: Control>(x: &[T]) -> T {
            let root = x[0].sqrt();
            let far = x[0].greater(&constant(1.0));
            T::cond(&far, || root.clone() * &x[1], || x[1].square())
        }
    }
    let gradient = |x: Vec<Expr>| grad(|x| Dead::call(&x), &x).or_raise();
    let mut program = record("f", gradient, &arrays(&[0.0, 0.0])).unwrap();
    for _ in 0..2 {
        let run = |x: &[f64]| {
            interpret(&program, &arrays(x)).unwrap().iter().map(Array::item).collect::<Vec<f64>>()
        };
        assert_eq!(run(&[0.0, 3.0]), [0.0, 6.0]);
        assert_eq!(run(&[4.0, 3.0]), [0.75, 2.0]);
        optimise(&mut program, &Options::default());
    }
}

/// `n` branches, one inside of the other.
fn nested<T: Control>(n: usize, x: &T) -> T {
    if n == 0 {
        return x.sin();
    }
    let deeper = x.greater(&constant(n as f64));
    T::cond(&deeper, || x.square() * &nested(n - 1, x), || nested(n - 1, &x.scale_by(n)) + x)
}

/// One branch after the other.
fn successive<T: Control>(n: usize, x: &T) -> T {
    (0..n).fold(x.clone(), |y, _| {
        T::cond(&y.greater(&constant(1.0)), || y.clone().scale(0.4), || y.clone() * &y + x)
    })
}

trait ScaleBy: Real {
    fn scale_by(&self, n: usize) -> Self {
        self.clone().scale(1.0 / n as f64)
    }
}
impl<T: Real> ScaleBy for T {}

/// One branch inside of the other, on one side only: as a chain of `else if`.
fn chain<T: Control>(n: usize, x: &T) -> T {
    if n == 0 {
        return x.sin();
    }
    let here = x.greater(&constant(n as f64));
    T::cond(&here, || x.clone().scale(n as f64).exp(), || chain(n - 1, x) * x)
}

#[test]
fn code_is_linear_in_the_source() {
    let size = |f: &dyn Fn(Expr) -> Expr| record("f", f, &Array::scalar(0.0)).unwrap().len();
    let kinds: [(&str, &dyn Fn(usize) -> usize); 6] = [
        ("chain", &|n| size(&|x| grad(|x| chain(n, &x), &x).or_raise())),
        ("chain, plain", &|n| size(&|x| chain(n, &x))),
        ("chain, hvp", &|n| size(&|x| hvp(|x| chain(n, &x), &x, &x).or_raise().1)),
        ("successive", &|n| size(&|x| grad(|x| successive(n, &x), &x).or_raise())),
        ("loops", &|n| size(&|x| grad(|x| loops(n, &x), &x).or_raise())),
        ("calls", &|n| size(&|x| grad(|x| calls(n, &x), &x).or_raise())),
    ];
    for (kind, size) in kinds {
        let (once, many) = (size(1), size(20));
        assert!(
            many <= 20 * once && many < 20 * 130,
            "{kind}: {once} statements, twenty times as deep {many}"
        );
        assert_eq!(size(11) - size(10), size(20) - size(19), "{kind}: each level adds as much");
    }
}

/// A loop in the body of a loop, and so on.
fn loops<T: Control>(n: usize, x: &T) -> T {
    if n == 0 {
        return x.sin();
    }
    let body = |y: T| loops(n - 1, &(y * x)).offset(0.5);
    T::while_loop(x.clone(), |y| y.less(&constant(0.5)), body)
}

/// A recursive function with two calls in its body, applied to the result of another.
fn calls<T: Control>(n: usize, x: &T) -> T {
    (0..n).fold(x.clone(), |y, _| {
        T::fix(y, |f, y: T| {
            let small = y.less(&constant(0.3));
            T::cond(&small, || y.clone() * x, || f(y.clone().scale(0.5)) + f(y.clone().scale(0.3)) * x)
        })
    })
}

#[test]
fn deeply_nested_control_flow_agrees() {
    struct Chain;
    impl Model for Chain {
        fn call<T: Control>(x: &[T]) -> T {
            chain(20, &x[0])
        }
    }
    agree::<Chain>(&[&[0.5], &[3.5], &[1.5]]);
    struct Successive;
    impl Model for Successive {
        fn call<T: Control>(x: &[T]) -> T {
            successive(20, &x[0])
        }
    }
    agree::<Successive>(&[&[0.5], &[0.9], &[2.0]]);
    struct Nested;
    impl Model for Nested {
        fn call<T: Control>(x: &[T]) -> T {
            nested(4, &x[0])
        }
    }
    agree::<Nested>(&[&[0.5], &[1.5], &[2.5], &[9.0]]);
    struct Loops;
    impl Model for Loops {
        fn call<T: Control>(x: &[T]) -> T {
            loops(3, &x[0])
        }
    }
    agree::<Loops>(&[&[0.1], &[0.3], &[0.7]]);
    struct Calls;
    impl Model for Calls {
        fn call<T: Control>(x: &[T]) -> T {
            calls(3, &x[0])
        }
    }
    agree::<Calls>(&[&[0.1], &[0.9], &[2.7]]);
}

/// The sum over a binary tree in arrays: node `i` has the children `left[i]` and `right[i]`, or none if that is −1.
fn tree<T: Tensor>(children: &[T::Int; 2], weight: &T, root: T::Int) -> T
where
    T::Int: IntTensor,
{
    T::fix(Index::<T>(root), |node: &dyn Fn(Index<T>) -> T, i| {
        let child = |side: usize| children[side].gather_rows(&i.0);
        let leaf = child(0).less(&T::Int::constant(0));
        let value = T::from_int(&i.0) * weight;
        T::cond(&leaf, || value.sin(), || (node(Index(child(0))) * node(Index(child(1))) + &value).tanh())
    })
}

#[test]
fn a_tree_in_arrays_is_data() {
    let left: &[i64] = &[1, 3, -1, -1, 5, -1, -1];
    let right: &[i64] = &[2, 4, -1, -1, 6, -1, -1];
    fn model<T: Tensor>(left: &[i64], right: &[i64], weight: &T) -> T
    where
        T::Int: IntTensor,
    {
        let n = [left.len()];
        let children = [left, right].map(|side| T::Int::from_elements(&n, side).or_raise());
        tree(&children, weight, T::Int::constant(0))
    }
    let w = Array::scalar(0.3);
    let (value, slope) = value_and_grad(|w| model(left, right, &w), &w).unwrap();
    let recorded = |w: Expr| value_and_grad(|w| model(left, right, &w), &w).or_raise();
    let mut program = record("tree", recorded, &w).unwrap();
    for _ in 0..2 {
        let found = interpret(&program, &w).unwrap();
        assert!((found[0].item() - value.item()).abs() < 1e-14, "{found:?} {value:?}");
        assert!((found[1].item() - slope.item()).abs() < 1e-14, "{found:?} {slope:?}");
        optimise(&mut program, &Options::default());
    }
}

#[test]
fn arrays_flow_as_well() {
    fn model<T: Tensor>(w: &T) -> T {
        let x = T::from_elements(&[2], &[0.3, -0.4]).or_raise();
        let small = |h: &T| h.square().sum(..).less(&constant(4.0));
        let h = T::while_loop(x, small, |h| h.matmul(w).tanh().scale(1.5) + &h);
        T::cond(&h.sum(..).less(&constant(0.0)), || h.clone() * &w.sum(0), || h.exp()).sum(..)
    }
    for w in [[0.5, -0.2, 0.3, 0.9], [0.1, 0.2, -0.9, 0.7]] {
        let w = Array::from_elements(&[2, 2], &w).unwrap();
        let (value, gradient) = value_and_grad(|w| model(&w), &w).unwrap();
        let recorded = |w: Expr| value_and_grad(|w| model(&w), &w).or_raise();
        let mut program = record("f", recorded, &w).unwrap();
        for _ in 0..2 {
            let found = interpret(&program, &w).unwrap();
            let differs = |a: &Array, b: &Array| (a.clone() - b).abs().max(..).item() > 1e-12;
            assert!(!differs(&found[0], &value) && !differs(&found[1], &gradient), "{found:?}");
            optimise(&mut program, &Options::default());
        }
    }
}

#[test]
fn a_loop_is_as_long_as_its_data_say_and_in_single_precision_too() {
    // x ← x + 2⁻ᵏ·sin x until it exceeds a limit: the number of steps depends on both inputs.
    fn model<T: Control>(x: &[T]) -> T {
        let step = |y: T| y.sin().scale(1.0 / 4096.0) + &y;
        T::while_loop(x[0].clone(), |y| y.less(&x[1]), step)
    }
    let recorded = |x: Vec<Expr>| value_and_grad(|x| model(&x), &x).or_raise();
    let failures = &mut Vec::new();
    let eager = |x: &[f64]| {
        let (y, gradient) = value_and_grad(|x| model(&x), &x.to_vec()).unwrap();
        Some(std::iter::once(y).chain(gradient).collect::<Vec<f64>>())
    };
    check("long loop", recorded, &[&[0.5, 0.4], &[0.5, 0.501], &[0.5, 2.0]], eager, failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let x: Vec<NdArray<f32>> = [0.5, 1.5].map(NdArray::scalar).into();
    let program = record("f", recorded, &x).unwrap();
    let (value, gradient) = value_and_grad(|x| model(&x), &vec![0.5f32, 1.5]).unwrap();
    let found: Vec<f32> = interpret(&program, &x).unwrap().iter().map(NdArray::item).collect();
    let expected: Vec<f32> = std::iter::once(value).chain(gradient).collect();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
}

#[test]
fn what_cannot_be_recorded_is_an_error() {
    let x = Array::scalar(0.5);
    let positive = |x: &Expr| x.greater(&constant(0.0));
    // Arms of different types.
    let different = |x: Expr| Expr::cond(&positive(&x), || x, || Expr::zeros(&[2]));
    let error = record("f", different, &x).unwrap_err().to_string();
    assert!(error.contains("different types: (f64) and (f64[2])"), "{error}");
    assert!(error.contains("tests/staged_control.rs"), "{error}");
    let different = |x: Expr| {
        grad(|y| Var::cond(&positive(&x), || y.clone(), || Var::zeros(&[2]) + &y).sum(..), &x).or_raise()
    };
    let error = record("f", different, &x).unwrap_err().to_string();
    assert!(error.contains("different types: (f64) and (f64[2])"), "{error}");
    assert!(error.contains("tests/staged_control.rs"), "{error}");
    // A recursion without an end.
    let error = record("f", |x: Expr| Expr::fix(x, |f: &dyn Fn(Expr) -> Expr, x| f(x) * x), &x).unwrap_err();
    assert!(matches!(&error, Error::Recording { reason, .. } if reason.contains("calls itself")), "{error}");
    // Reverse mode over reverse mode.
    let second = |x: Expr| {
        let choose = || positive(&x);
        grad(|y| grad(|z| Var::cond(&choose(), || z.clone() * &z, || z.clone()), &y).or_raise(), &x)
            .or_raise()
    };
    let error = record("f", second, &x).unwrap_err();
    assert!(error.to_string().contains("no reverse mode over reverse mode"), "{error}");
    let second = |x: Expr| {
        let go_on = || positive(&x);
        grad(|y| grad(|z| Var::while_loop(z, |_| go_on(), |z| z.square()), &y).or_raise(), &x).or_raise()
    };
    let error = record("f", second, &x).unwrap_err();
    assert!(error.to_string().contains("no reverse mode over reverse mode"), "{error}");
    // A value that leaves its arm by another way than as the result.
    let smuggled = |x: Expr| {
        let mut kept = x;
        let square = || {
            kept = x * x;
            x
        };
        Expr::cond(&positive(&x), square, || x);
        kept
    };
    let error = record("f", smuggled, &x).unwrap_err();
    assert!(error.to_string().contains("not in scope"), "{error}");
}

#[test]
fn an_error_in_an_arm_can_be_handled_while_recording() {
    let fail = |x: &Expr| x.matmul(&Expr::zeros(&[3, 4]));
    let handled = |x: Expr| {
        let wrong = grad(
            |y| {
                let bad = Var::zeros(&[2, 2]).matmul(&Var::zeros(&[3, 3]));
                Var::cond(&x.greater(&constant(0.0)), || y.clone() * &y, || y.clone() * &bad)
            },
            &x,
        );
        assert!(wrong.is_err());
        let within = |wrong: bool| {
            grad(
                |y| {
                    let bad = || if wrong { y.matmul(&Var::zeros(&[3, 4])) } else { y.exp() };
                    let arm = || Var::cond(&x.less(&constant(3.0)), || y.square(), bad);
                    let y = Var::cond(&x.greater(&constant(0.0)), arm, || y.sin());
                    if wrong { y } else { y.clone() * &y }
                },
                &x,
            )
        };
        assert!(within(true).is_err());
        let after = grad(
            |y| {
                let y = Var::cond(&x.greater(&constant(0.0)), || y.square(), || y.sin());
                y.matmul(&Var::zeros(&[3, 4]))
            },
            &x,
        );
        assert!(after.is_err());
        within(false).or_raise()
    };
    let program = record("f", handled, &Array::scalar(1.0)).unwrap();
    assert_eq!(interpret(&program, &Array::scalar(2.0)).unwrap(), [Array::scalar(4.0 * 8.0)]);
    assert!(record("f", |x: Expr| fail(&x), &Array::scalar(1.0)).is_err());
}
