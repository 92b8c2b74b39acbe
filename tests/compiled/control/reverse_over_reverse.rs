//! Derivatives of derivatives, both in reverse, through control flow that is recorded: what each is worth, what may be in
//! the arms and bodies, and what may not.

use antiphon::control::{TreeArrays, scan};
use antiphon::recording::{Recorded, record};
use antiphon::state::Index;
use antiphon::{
    Control, Dual, Int, IntTensor, NdArray, NdInt, OrRaise, Real, Tensor, Var, compile, cps, grad, hvp, jvp,
};

use super::{Array, check, constant};

/// Holds a function of numbers that is recorded to what it is worth.
fn holds(
    what: &str,
    f: impl FnOnce(Vec<Recorded>) -> Vec<Recorded>,
    points: &[&[f64]],
    worth: impl Fn(&[f64]) -> Vec<f64>,
) {
    let mut failures = Vec::new();
    check(what, f, points, |x| Some(worth(x)), &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn second_order<T: Control>(x: &T) -> T {
    T::cond(&x.less(&constant(0.0)), || x.square(), || x.powi(3))
}

fn fourth_power<T: Control>(x: T) -> T {
    T::while_loop(x, |x| x.less(&constant(100.0)), |x| x.square())
}

fn factorial<T: Control>(x: T) -> T {
    T::fix(x, |factorial, x: T| {
        T::cond(&x.less(&constant(1.2)), || x.clone(), || x.clone() * &factorial(x.clone().offset(-1.0)))
    })
}

#[test]
fn second_and_third_derivatives_of_branches_loops_and_recursion() {
    let twice =
        |x: Vec<Recorded>| vec![grad(|x| grad(|x| second_order(&x), &x).or_raise(), &x[0]).or_raise()];
    holds("x<0 ? x² : x³", twice, &[&[-1.0], &[1.0]], |x| vec![if x[0] < 0.0 { 2.0 } else { 6.0 }]);
    let twice = |x: Vec<Recorded>| vec![grad(|x| grad(|x| fourth_power(x), &x).or_raise(), &x[0]).or_raise()];
    holds("x⁴ by a loop", twice, &[&[4.0]], |_| vec![192.0]);
    let thrice = |x: Vec<Recorded>| {
        vec![grad(|x| grad(|x| grad(|x| fourth_power(x), &x).or_raise(), &x).or_raise(), &x[0]).or_raise()]
    };
    holds("x⁴ by a loop, three times", thrice, &[&[4.0]], |_| vec![96.0]);
    // x(x − 1)(x − 2)(x − 3) = x⁴ − 6x³ + 11x² − 6x.
    let twice = |x: Vec<Recorded>| vec![grad(|x| grad(|x| factorial(x), &x).or_raise(), &x[0]).or_raise()];
    holds("a factorial", twice, &[&[4.1]], |x| vec![12.0 * x[0] * x[0] - 36.0 * x[0] + 22.0]);
}

/// A function of a number with one kind of control flow, and its third derivative.
trait Construct {
    fn call<T: Tensor>(x: &T) -> T;
    fn third(x: f64) -> f64;
}

/// The third derivative, in three orders of modes, of a program that is recorded.
fn three_deep<C: Construct>(points: &[&[f64]]) {
    let third = |x: &[f64]| vec![C::third(x[0])];
    let thrice = |x: Vec<Recorded>| {
        vec![grad(|x| grad(|x| grad(|x| C::call(&x), &x).or_raise(), &x).or_raise(), &x[0]).or_raise()]
    };
    holds("three times in reverse", thrice, points, third);
    let between = |x: Vec<Recorded>| {
        vec![grad(|x| hvp(|x| C::call(&x), &x, &Var::constant(1.0)).or_raise().1, &x[0]).or_raise()]
    };
    holds("reverse over forward over reverse", between, points, third);
    let outside = |x: Vec<Recorded>| {
        let second = |x: Dual<Recorded>| grad(|x| grad(|x| C::call(&x), &x).or_raise(), &x).or_raise();
        vec![jvp(second, &x[0], &Recorded::constant(1.0)).or_raise().1]
    };
    holds("forward over reverse over reverse", outside, points, third);
}

#[test]
fn every_construct_three_deep() {
    struct Branch;
    impl Construct for Branch {
        fn call<T: Tensor>(x: &T) -> T {
            second_order(x) * x
        }
        fn third(x: f64) -> f64 {
            if x < 0.0 { 6.0 } else { 24.0 * x }
        }
    }
    three_deep::<Branch>(&[&[-1.0], &[1.5]]);
    struct Loop;
    impl Construct for Loop {
        fn call<T: Tensor>(x: &T) -> T {
            fourth_power(x.clone())
        }
        fn third(x: f64) -> f64 {
            24.0 * x
        }
    }
    three_deep::<Loop>(&[&[4.0]]);
    struct Recursion;
    impl Construct for Recursion {
        fn call<T: Tensor>(x: &T) -> T {
            factorial(x.clone())
        }
        fn third(x: f64) -> f64 {
            24.0 * x - 36.0
        }
    }
    three_deep::<Recursion>(&[&[4.1]]);
    // Powers of x from its first to its third, summed.
    struct Scan;
    impl Construct for Scan {
        fn call<T: Tensor>(x: &T) -> T {
            let ones = T::ones(&[3]);
            let (_, powers) = scan(T::constant(1.0), &ones, |power: T, one| {
                let power = power * x * &one;
                (power.clone(), power)
            })
            .or_raise();
            powers.sum(..) * x
        }
        fn third(x: f64) -> f64 {
            6.0 + 24.0 * x
        }
    }
    three_deep::<Scan>(&[&[0.7]]);
    // A tree of three nodes: x · (x · x + x) of leaves x.
    struct Fold;
    impl Construct for Fold {
        fn call<T: Tensor>(x: &T) -> T {
            let ints = |x: [i64; 3]| T::Int::from_elements(&[3], &x).or_raise();
            let tree =
                TreeArrays { left: ints([1, -1, -1]), right: ints([2, -1, -1]), root: T::Int::constant(0) };
            T::fold_tree(&tree, |_| x.clone(), |_, a: T, b| a * b + x) * x
        }
        fn third(_: f64) -> f64 {
            6.0
        }
    }
    three_deep::<Fold>(&[&[0.7]]);
}

/// The product of a list's elements, by a loop over their number.
fn product<T: Tensor>(list: &T) -> T {
    let count = T::Int::constant(list.shape()[0] as i64);
    let (_, product) = T::while_loop(
        (Index::<T>(T::Int::constant(0)), T::constant(1.0)),
        |(i, _)| i.0.less(&count),
        |(i, product)| {
            let element = list.gather_rows(&i.0);
            (Index(i.0 + T::Int::constant(1)), product * element)
        },
    );
    product
}

#[test]
fn the_hessian_of_a_product_over_a_list() {
    let list = Array::from(vec![1.0, 2.0, 3.0, 4.0]);
    let row =
        |x: Recorded, i: usize| grad(|x| grad(|x| product(&x), &x).or_raise().index(0, i), &x).or_raise();
    for i in 0..4 {
        let mut row = compile("row", |x: Recorded| row(x, i), &list).unwrap();
        let found = row.call(&list).unwrap();
        for j in 0..4 {
            let expected = if i == j { 0.0 } else { 24.0 / ((i + 1) * (j + 1)) as f64 };
            assert_eq!(found.index(0, j).item(), expected, "{i}, {j}");
        }
    }
}

/// A step of gradient descent on the loss of a recurrent network whose sequence ends where the data say, and the loss
/// after it.
fn loss_after_a_step<T: Tensor>(w: &T, xs: &T, length: &T::Int) -> T {
    fn loss<T: Tensor>(w: &T, xs: &T, length: &T::Int) -> T {
        let start = (Index::<T>(T::Int::constant(0)), T::full(&[2], 0.1));
        let (_, h) = T::while_loop(
            start,
            |(i, _)| i.0.less(length),
            |(i, h)| {
                let h = (h.matmul(w) + xs.gather_rows(&i.0)).tanh();
                (Index(i.0 + T::Int::constant(1)), h)
            },
        );
        (h * T::from_elements(&[2], &[1.0, -2.0]).or_raise()).sum(..).square()
    }
    let slope = grad(|v| loss(&v, &Var::lift(xs), length), w).or_raise();
    loss(&(w.clone() - slope * 0.1), xs, length)
}

#[test]
fn learning_to_learn_through_a_loop_whose_length_is_data() {
    let w = Array::from_elements(&[2, 2], &[0.3, -0.8, 0.5, 0.9]).unwrap();
    let xs = Array::from_elements(&[5, 2], &[0.1, -0.2, 0.4, 0.3, -0.5, 0.6, 0.2, 0.7, -0.3, 0.1]).unwrap();
    let input = (w.clone(), xs.clone(), NdInt::constant(1));
    let mut meta = compile(
        "meta",
        |(w, xs, n): (Recorded, Recorded, _)| {
            grad(|w| loss_after_a_step(&w, &Var::lift(&xs), &n), &w).or_raise()
        },
        &input,
    )
    .unwrap();
    for length in [0, 1, 3, 5] {
        let n = NdInt::constant(length);
        let found = meta.call(&(w.clone(), xs.clone(), n.clone())).unwrap();
        let eager = grad(|w| loss_after_a_step(&w, &Var::lift(&xs), &n), &w).unwrap();
        for i in 0..4 {
            let moved = |by: f64| {
                let mut elements: Vec<f64> = w.view().iter().copied().collect();
                elements[i] += by;
                let w = Array::from_elements(&[2, 2], &elements).unwrap();
                loss_after_a_step(&w, &xs, &n).item()
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            let [found, eager] = [&found, &eager].map(|g| g.reshape(&[4]).index(0, i).item());
            assert!((found - eager).abs() <= 1e-13, "{length}: {found}, not {eager}");
            assert!((found - difference).abs() <= 1e-8, "{length}: {found}, not {difference}");
        }
    }
}

#[test]
fn a_tree_of_arrays() {
    fn energy<T: Tensor>(tree: &TreeArrays<T::Int>, w: &T) -> T {
        T::fold_tree(
            tree,
            |node| w.gather_rows(node),
            |node, left: T, right| (left * right).tanh() + w.gather_rows(node),
        )
    }
    let ints = |x: [i64; 5]| NdInt::from(x.to_vec());
    let tree = TreeArrays {
        left: ints([1, 2, -1, -1, -1]),
        right: ints([4, 3, -1, -1, -1]),
        root: NdInt::constant(0),
    };
    let w = Array::from(vec![0.3, -0.5, 0.7, 1.1, 0.9]);
    let v = Array::from(vec![0.5, 0.25, -1.0, 2.0, 1.5]);
    let eager = grad(|w| (grad(|w| energy(&tree, &w), &w).or_raise() * Var::lift(&v)).sum(..), &w).unwrap();
    let input = ((tree.left.clone(), tree.right.clone()), w.clone(), v.clone());
    let mut compiled = compile(
        "twice",
        |((left, right), w, v): ((_, _), Recorded, Recorded)| {
            let tree = TreeArrays { left, right, root: Int::constant(0) };
            grad(|w| (grad(|w| energy(&tree, &w), &w).or_raise() * Var::lift(&v)).sum(..), &w).or_raise()
        },
        &input,
    )
    .unwrap();
    let found = compiled.call(&input).unwrap();
    let error = (found.clone() - &eager).abs().sum(..).item();
    assert!(error < 1e-14, "{found} {eager}");
}

/// One round of a loop takes a derivative of its own.
fn descends<T: Control>(x: &T, y: &T) -> T {
    let (_, end) = T::while_loop(
        (Index::<T>(T::Int::constant(0)), x.clone()),
        |(i, _)| i.0.less(&T::Int::constant(3)),
        |(i, x)| {
            let slope = grad(
                |z| {
                    let small = z.less(&Var::constant(0.4));
                    let y = Var::lift(y);
                    let power = Var::cond(&small, || z.powi(3) * &y, || z.powi(4) + y.square() * &z);
                    power * &z
                },
                &x,
            );
            (Index(i.0 + T::Int::constant(1)), x - slope.or_raise().scale(0.1))
        },
    );
    end
}

#[test]
fn a_derivative_in_the_body_of_a_loop_that_is_differentiated_twice() {
    let eager = |x: &[f64]| {
        let both =
            |x: (f64, f64)| grad(|(x, y)| grad(|(x, y)| descends(&x, &y), &(x, y)).or_raise().0, &x).unwrap();
        let (a, b) = both((x[0], x[1]));
        vec![a, b]
    };
    let recorded = |x: Vec<Recorded>| {
        let x = (x[0], x[1]);
        let (a, b) = grad(|(x, y)| grad(|(x, y)| descends(&x, &y), &(x, y)).or_raise().0, &x).or_raise();
        vec![a, b]
    };
    holds("descends", recorded, &[&[0.9, 0.5], &[0.3, -0.7], &[1.1, 0.2]], eager);
    // And three times around it.
    let eager = |x: &[f64]| {
        let x = (x[0], x[1]);
        let third = grad(
            |(x, y)| {
                grad(|(x, y)| grad(|(x, y)| descends(&x, &y), &(x, y)).or_raise().1, &(x, y)).or_raise().0
            },
            &x,
        );
        let (a, b) = third.unwrap();
        vec![a, b]
    };
    let recorded = |x: Vec<Recorded>| {
        let x = (x[0], x[1]);
        let third = grad(
            |(x, y)| {
                grad(|(x, y)| grad(|(x, y)| descends(&x, &y), &(x, y)).or_raise().1, &(x, y)).or_raise().0
            },
            &x,
        );
        let (a, b) = third.or_raise();
        vec![a, b]
    };
    holds("descends, three times", recorded, &[&[0.9, 0.5], &[0.3, -0.7]], eager);
}

#[test]
fn what_is_detached_or_belongs_to_one_derivative_only_stays_so() {
    fn held<T: Control>(x: &T, y: &T) -> T {
        let constant = x.detach();
        T::cond(
            &x.less(y),
            || x.square() * &constant * y,
            || {
                x.powi(3).detach() * x
                    + T::while_loop(y.clone(), |y| y.less(&T::constant(5.0)), |y| y.detach() * &y * x)
            },
        )
    }
    let eager = |x: &[f64]| {
        let (a, b) = grad(|(x, y)| grad(|(x, y)| held(&x, &y), &(x, y)).or_raise().0, &(x[0], x[1])).unwrap();
        vec![a, b]
    };
    let recorded = |x: Vec<Recorded>| {
        let (a, b) =
            grad(|(x, y)| grad(|(x, y)| held(&x, &y), &(x, y)).or_raise().0, &(x[0], x[1])).or_raise();
        vec![a, b]
    };
    holds("detached", recorded, &[&[0.9, 1.5], &[1.9, 1.7]], eager);
    // y and the constant that it is to the inner derivative have the same value, and not the same derivative.
    fn mixed<T: Control>(x: &T) -> T {
        grad(
            |y| {
                let outer = Var::lift(x);
                Var::cond(&y.less(&Var::constant(2.0)), || y.square() * &outer, || y.clone() * &outer.powi(3))
            },
            x,
        )
        .or_raise()
    }
    // 2x·x, or x³.
    let recorded = |x: Vec<Recorded>| vec![grad(|x| mixed(&x), &x[0]).or_raise()];
    holds("mixed", recorded, &[&[1.5], &[2.5]], |x| {
        vec![if x[0] < 2.0 { 4.0 * x[0] } else { 3.0 * x[0] * x[0] }]
    });
}

#[test]
fn a_value_that_nothing_depends_on_contributes_nothing() {
    fn root<T: Control>(x: &T) -> T {
        let root = T::cond(&x.less(&constant(1.0)), || x.sqrt(), || x.clone());
        T::cond(&x.less(&constant(0.5)), || x.square(), || root.clone())
    }
    let recorded = |x: Vec<Recorded>| vec![grad(|x| grad(|x| root(&x), &x).or_raise(), &x[0]).or_raise()];
    holds("an unused root", recorded, &[&[0.0], &[0.7]], |x| {
        vec![if x[0] < 0.5 { 2.0 } else { -0.25 * x[0].powf(-1.5) }]
    });
}

#[test]
fn rules_of_users_and_bare_values_in_such_a_body_are_errors_with_a_line() {
    let message = |f: &dyn Fn(Recorded) -> Recorded| {
        let error = record("f", f, &NdArray::scalar(0.5)).unwrap_err().to_string();
        assert!(error.contains("tests/compiled/control/reverse_over_reverse.rs"), "{error}");
        assert!(error.contains("differentiated twice"), "{error}");
        error
    };
    fn own<'r, T: Control>(y: Var<'r, T>) -> Var<'r, T> {
        let square = || {
            Var::shift([&y], |[y], k| {
                let v = y.value().clone();
                cps::custom([y], v.square(), |_, y_bar| [y_bar * v.scale(2.0)], k)
            })
        };
        Var::cond(&y.less(&Var::constant(1.0)), square, || y.clone())
    }
    let error = message(&|x| grad(|x| grad(own, &x).or_raise(), &x).or_raise());
    assert!(error.contains("Var::shift"), "{error}");
    fn bare<'r, T: Control>(y: Var<'r, T>) -> Var<'r, T> {
        Var::while_loop(y, |y| y.less(&Var::constant(1.0)), |y| y.clone() + Var::lift(y.value()))
    }
    let error = message(&|x| grad(|x| grad(bare, &x).or_raise(), &x).or_raise());
    assert!(error.contains("value"), "{error}");
}

#[test]
fn a_scan_in_the_inner_derivative_of_a_penalty() {
    fn penalty<T: Tensor>(w: &T, xs: &T) -> T {
        let slopes = grad(
            |xs| {
                let w = Var::lift(w);
                let (h, ys) = scan(Var::zeros(&[2]), &xs, |h: Var<'_, T>, x| {
                    let h = (h.matmul(&w) + x).tanh();
                    (h.clone(), h.square())
                })
                .or_raise();
                (ys.sum(..) + h.sum(..)).sin()
            },
            xs,
        );
        slopes.or_raise().square().sum(..)
    }
    let w = Array::from_elements(&[2, 2], &[0.3, -0.8, 0.5, 0.9]).unwrap();
    let xs = Array::from_elements(&[4, 2], &[0.1, -0.2, 0.4, 0.3, -0.5, 0.6, 0.2, 0.7]).unwrap();
    let eager = grad(|(w, xs)| penalty(&w, &xs), &(w.clone(), xs.clone())).unwrap();
    let input = (w, xs);
    let mut compiled =
        compile("penalty", |x: (Recorded, Recorded)| grad(|(w, xs)| penalty(&w, &xs), &x).or_raise(), &input)
            .unwrap();
    let found = compiled.call(&input).unwrap();
    for (a, b) in [(&found.0, &eager.0), (&found.1, &eager.1)] {
        assert!((a.clone() - b).abs().sum(..).item() < 1e-13, "{a} {b}");
    }
}
