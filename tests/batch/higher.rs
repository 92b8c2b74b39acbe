//! Derivatives of derivatives of recorded control flow below a batch in which two are in reverse, in other orders and
//! deeper than `control` shows them: against the same derivatives of each row, taken eagerly, and what they are worth.

use antiphon::control::{TreeArrays, scan};
use antiphon::recording::{Recorded, interpret, record};
use antiphon::state::Index;
use antiphon::{
    Batch, Dual, Int, IntTensor, Mask, NdArray, OrRaise, Real, Tensor, Var, compile, grad, hessian, hvp,
    jacobian, jvp, vmap,
};

type Array = NdArray<f64>;

fn c<T: Tensor>(value: f64) -> T {
    T::constant(value)
}

#[track_caller]
fn assert_near(what: &str, found: &Array, expected: &Array) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (a, b) in found.view().iter().zip(expected.view().iter()) {
        assert!((a - b).abs() <= 1e-11 * (1.0 + b.abs()), "{what}: {found:?} instead of {expected:?}");
    }
}

/// A function of two numbers with control flow in it, and its third derivative by the first.
trait Construct {
    fn call<T: Tensor>(x: &T, w: &T) -> T;
    fn third(x: f64, w: f64) -> f64;
}

/// Each row takes its own arm.
struct Branch;

impl Construct for Branch {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        T::cond(&x.less(&c(1.2)), || x.powi(3) * w, || x.powi(4) * w.square())
    }
    fn third(x: f64, w: f64) -> f64 {
        if x < 1.2 { 6.0 * w } else { 24.0 * x * w * w }
    }
}

/// All rows take the same arm.
struct SameBranch;

impl Construct for SameBranch {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        T::cond(&w.less(&c(0.0)), || x.powi(3) * w, || x.powi(4) * w.square())
    }
    fn third(x: f64, w: f64) -> f64 {
        if w < 0.0 { 6.0 * w } else { 24.0 * x * w * w }
    }
}

/// A power of x that is large in its row, times x, w and the number of rounds that took.
struct Loop;

impl Construct for Loop {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        let start = (x.clone(), Index::<T>(T::Int::constant(0)));
        let (y, Index(n)) = T::while_loop(
            start,
            |(y, _)| y.less(&c(3.0)),
            |(y, Index(n))| (y * x, Index(n + T::Int::constant(1))),
        );
        y * x * w * T::from_int(&n)
    }
    fn third(x: f64, w: f64) -> f64 {
        let rounds = (0..).find(|&n| x.powi(n + 1) >= 3.0).expect("powers grow");
        let n = rounds + 2;
        f64::from(rounds * n * (n - 1) * (n - 2)) * x.powi(n - 3) * w
    }
}

/// Three rounds for all rows.
struct SameLoop;

impl Construct for SameLoop {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        let start = (Index::<T>(T::Int::constant(0)), x.clone());
        T::while_loop(
            start,
            |(i, _)| i.0.less(&T::Int::constant(3)),
            |(Index(i), y)| (Index(i + T::Int::constant(1)), y * x * w),
        )
        .1
    }
    fn third(x: f64, w: f64) -> f64 {
        24.0 * x * w.powi(3)
    }
}

/// Powers of x from its first to its third, summed, times x.
struct Scan;

impl Construct for Scan {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        let (_, powers) = scan(c(1.0), &w.broadcast_to(&[3]), |power: T, w| {
            let power = power * x;
            (power.clone(), power * w)
        })
        .or_raise();
        powers.sum(..) * x
    }
    fn third(x: f64, w: f64) -> f64 {
        w * (6.0 + 24.0 * x)
    }
}

/// x³·w⁴ by recursion.
struct Recursion;

impl Construct for Recursion {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        T::fix(Index::<T>(T::Int::constant(3)), |again, Index(n): Index<T>| {
            let fewer = || Index(n.clone() - T::Int::constant(1));
            T::cond(&T::Int::constant(0).less(&n), || again(fewer()) * x * w, || w.clone())
        })
    }
    fn third(_: f64, w: f64) -> f64 {
        6.0 * w.powi(4)
    }
}

/// A tree of three nodes: (x · x + x) · x · w of leaves x.
struct Fold;

impl Construct for Fold {
    fn call<T: Tensor>(x: &T, w: &T) -> T {
        let ints = |x: [i64; 3]| T::Int::from_elements(&[3], &x).or_raise();
        let tree =
            TreeArrays { left: ints([1, -1, -1]), right: ints([2, -1, -1]), root: T::Int::constant(0) };
        T::fold_tree(&tree, |_| x.clone(), |_, a: T, b| a * b + x) * x * w
    }
    fn third(_: f64, w: f64) -> f64 {
        6.0 * w
    }
}

/// Three derivatives by x, of one row.
type Way<T> = fn(&T, &T) -> T;

fn reverse_thrice<C: Construct, T: Tensor>(x: &T, w: &T) -> T {
    let third = grad(
        |x| {
            let w = Var::lift(w);
            let second = grad(
                |x| {
                    let w = Var::lift(&w);
                    grad(|x| C::call(&x, &Var::lift(&w)), &x).or_raise()
                },
                &x,
            );
            second.or_raise()
        },
        x,
    );
    third.or_raise()
}

fn reverse_over_forward_over_reverse<C: Construct, T: Tensor>(x: &T, w: &T) -> T {
    let third = grad(
        |x| {
            let w = Dual::lift(&Var::lift(w));
            hvp(|x| C::call(&x, &Var::lift(&w)), &x, &Var::constant(1.0)).or_raise().1
        },
        x,
    );
    third.or_raise()
}

fn forward_over_reverse_twice<C: Construct, T: Tensor>(x: &T, w: &T) -> T {
    let second = |x: Dual<T>| {
        let w = Dual::lift(w);
        let second = grad(
            |x| {
                let w = Var::lift(&w);
                grad(|x| C::call(&x, &Var::lift(&w)), &x).or_raise()
            },
            &x,
        );
        second.or_raise()
    };
    jvp(second, x, &T::constant(1.0)).or_raise().1
}

fn reverse_twice_over_forward<C: Construct, T: Tensor>(x: &T, w: &T) -> T {
    let third = grad(
        |x| {
            let w = Var::lift(w);
            let second = grad(
                |x| {
                    let w = Dual::lift(&Var::lift(&w));
                    jvp(|x| C::call(&x, &w), &x, &Var::constant(1.0)).or_raise().1
                },
                &x,
            );
            second.or_raise()
        },
        x,
    );
    third.or_raise()
}

/// By w and by x twice, in reverse: of what is the same for all rows.
fn mixed<C: Construct, T: Tensor>(x: &T, w: &T) -> T {
    let third = grad(
        |w| {
            let x = Var::lift(x);
            let (by_x, by_w) = grad(
                |(x, w)| {
                    let (by_x, by_w) = grad(|(x, w)| C::call(&x, &w), &(x, w)).or_raise();
                    by_x * by_w
                },
                &(x, w),
            )
            .or_raise();
            by_x * by_w
        },
        w,
    );
    third.or_raise()
}

const XS: [f64; 3] = [1.1, 1.3, 2.5];

/// What `f` of recorded rows and a number that is the same for all gives.
fn recorded(what: &str, f: impl FnOnce((Recorded, Recorded)) -> Recorded, w: f64) -> Array {
    let inputs = (Array::from(XS.to_vec()), Array::scalar(w));
    let program = record("rows", f, &inputs).unwrap_or_else(|error| panic!("{what}: {error}"));
    interpret(&program, &inputs).unwrap_or_else(|error| panic!("{what}: {error}")).remove(0)
}

fn rows(f: impl Fn(f64) -> f64) -> Array {
    Array::from(XS.map(f).to_vec())
}

fn of_rows(way: Way<Batch<Recorded>>) -> impl FnOnce((Recorded, Recorded)) -> Recorded {
    move |(x, w)| vmap(|x| way(&x, &Batch::lift(&w)), &x).or_raise()
}

/// Two derivatives of each row in reverse, and that of all rows.
fn around_the_batch<C: Construct>((x, w): (Recorded, Recorded)) -> Recorded {
    fn sum<'r, C: Construct>(x: &Var<'r, Recorded>, w: &Recorded) -> Var<'r, Recorded> {
        let w = Batch::lift(&Var::lift(w));
        let of_row = |x: Batch<Var<'r, Recorded>>| {
            let second = grad(
                |x| {
                    let w = Var::lift(&w);
                    grad(|x| C::call(&x, &Var::lift(&w)), &x).or_raise()
                },
                &x,
            );
            second.or_raise()
        };
        vmap(of_row, x).or_raise().sum(..)
    }
    grad(|x| sum::<C>(&x, &w), &x).or_raise()
}

/// One derivative of each row of a batch of a batch, one of the rows of that, and one of all.
fn between_batches<C: Construct>((x, w): (Recorded, Recorded)) -> Recorded {
    fn slopes<'r, T: Tensor, C: Construct>(x: &Var<'r, T>, w: &T) -> Var<'r, T> {
        let w = Batch::lift(&Var::lift(w));
        let of_row = |x: Batch<Var<'r, T>>| grad(|x| C::call(&x, &Var::lift(&w)), &x).or_raise();
        vmap(of_row, x).or_raise().sum(..)
    }
    fn sum<'r, C: Construct>(x: &Var<'r, Recorded>, w: &Recorded) -> Var<'r, Recorded> {
        let w = Batch::lift(&Var::lift(w));
        let of_batch = |x: Batch<Var<'r, Recorded>>| grad(|x| slopes::<_, C>(&x, &w), &x).or_raise();
        vmap(of_batch, &x.unsqueeze(0)).or_raise().sum(..)
    }
    grad(|x| sum::<C>(&x, &w), &x).or_raise()
}

fn holds<C: Construct>(what: &str) {
    for w in [0.7, -0.7] {
        let third = rows(|x| C::third(x, w));
        let ways: [(&str, Way<Batch<Recorded>>); 4] = [
            ("three times in reverse", reverse_thrice::<C, _>),
            ("reverse over forward over reverse", reverse_over_forward_over_reverse::<C, _>),
            ("forward over reverse over reverse", forward_over_reverse_twice::<C, _>),
            ("reverse over reverse over forward", reverse_twice_over_forward::<C, _>),
        ];
        for (way, f) in ways {
            let what = format!("{what}, {way}, {w}");
            assert_near(&what, &recorded(&what, of_rows(f), w), &third);
        }
        type OfAll = fn((Recorded, Recorded)) -> Recorded;
        let ways: [(&str, OfAll); 2] = [
            ("reverse of all rows", around_the_batch::<C>),
            ("reverse of all rows of a batch", between_batches::<C>),
        ];
        for (way, f) in ways {
            let what = format!("{what}, {way}, {w}");
            assert_near(&what, &recorded(&what, f, w), &third);
        }
        let what = format!("{what}, mixed, {w}");
        let eager = rows(|x| mixed::<C, Array>(&Array::scalar(x), &Array::scalar(w)).item());
        assert_near(&what, &recorded(&what, of_rows(mixed::<C, _>), w), &eager);
    }
}

#[test]
fn branches() {
    holds::<Branch>("a branch of each row");
    holds::<SameBranch>("a branch of all rows");
}

#[test]
fn loops() {
    holds::<Loop>("a loop of each row");
    holds::<SameLoop>("a loop of all rows");
}

#[test]
fn scans() {
    holds::<Scan>("a scan");
}

#[test]
fn recursion() {
    holds::<Recursion>("recursion");
    holds::<Fold>("a tree");
}

/// A recurrent network whose length is of its row: weights are the same for all rows, and are read in each round.
fn network<T: Tensor>(weights: &T, x: &T) -> T {
    let (h, _) = T::while_loop(
        (x.clone(), Index::<T>(T::Int::constant(0))),
        |(h, n)| h.square().sum(..).less(&c(2.0)).and(&n.0.less(&T::Int::constant(5))),
        |(h, Index(n))| {
            let h = (h.matmul(weights) + x).tanh() * 1.3;
            (h, Index(n + T::Int::constant(1)))
        },
    );
    // Of shape [1, 1].
    h.square().sum(..).reshape(&[1, 1])
}

fn matrices() -> (Array, Array) {
    let weights = Array::from_elements(&[2, 2], &[0.3, -0.8, 0.5, 0.9]).unwrap();
    let xs = Array::from_elements(&[3, 2], &[0.4, 0.1, -0.3, 0.6, 1.1, -0.7]).unwrap();
    (weights, xs)
}

/// The loss after a step of gradient descent.
fn after_a_step<T: Tensor>(weights: &T, x: &T) -> T {
    let slope = grad(|w| network(&w, &Var::lift(x)).sum(..), weights).or_raise();
    network(&(weights.clone() - slope * 0.1), x).sum(..)
}

#[test]
fn learning_to_learn_from_each_sample_and_from_all() {
    let (weights, xs) = matrices();
    let of_row = |row| grad(|w| after_a_step(&w, &Var::lift(&xs.index(0, row))), &weights).unwrap();
    let each = Array::stack(&[of_row(0), of_row(1), of_row(2)], 0);
    let inputs = (weights.clone(), xs.clone());
    let program = |(weights, xs): (Recorded, Recorded)| {
        let weights_of_rows = Batch::lift(&weights);
        let gradient =
            |x: Batch<Recorded>| grad(|w| after_a_step(&w, &Var::lift(&x)), &weights_of_rows).or_raise();
        fn sum<'r>(weights: &Var<'r, Recorded>, xs: &Recorded) -> Var<'r, Recorded> {
            let weights = Batch::lift(weights);
            vmap(|x| after_a_step(&weights, &x), &Var::lift(xs)).or_raise().sum(..)
        }
        (vmap(gradient, &xs).or_raise(), grad(|weights| sum(&weights, &xs), &weights).or_raise())
    };
    let (of_each, of_all) = compile("meta", program, &inputs).unwrap().call(&inputs).unwrap();
    assert_near("each", &of_each, &each);
    assert_near("all", &of_all, &each.sum(0));
    // The slope of one weight by differences.
    let moved = |by: f64| {
        let by = Array::from_elements(&[2, 2], &[0.0, by, 0.0, 0.0]).unwrap();
        after_a_step(&(weights.clone() + by), &xs.index(0, 1)).item()
    };
    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
    assert!((of_each.index(0, 1).index(0, 0).index(0, 1).item() - difference).abs() < 1e-8);
}

#[test]
fn jacobians_of_gradients_and_gradients_of_hessians() {
    fn hessian_by_reverse<T: Tensor>(weights: &T, x: &T) -> T {
        let slopes = jacobian(
            |w| {
                let x = Var::lift(&Dual::lift(&Batch::lift(x)));
                grad(|w| network(&w, &Var::lift(&x)).sum(..), &w).or_raise().reshape(&[4])
            },
            weights,
        );
        slopes.or_raise()
    }
    /// Two results of four, in reverse.
    fn part_by_reverse<T: Tensor>(weights: &T, x: &T) -> T {
        let slopes = jacobian(
            |w| {
                let x = Var::lift(&Dual::lift(&Batch::lift(x)));
                grad(|w| network(&w, &Var::lift(&x)).sum(..), &w).or_raise().index(0, 1)
            },
            weights,
        );
        slopes.or_raise()
    }
    fn curvature<T: Tensor>(weights: &T, x: &T) -> T {
        let x = Dual::lift(&Batch::lift(x));
        hessian(|w| network(&w, &Var::lift(&x)).sum(..), weights).or_raise().square().sum(..)
    }
    fn slope_of_curvature<T: Tensor>(weights: &T, x: &T) -> T {
        grad(|w| curvature(&w, &Var::lift(x)), weights).or_raise()
    }
    let (weights, xs) = matrices();
    macro_rules! check {
        ($($f:ident)*) => { $(
            let rows: Vec<Array> = (0..3).map(|row| $f(&weights, &xs.index(0, row))).collect();
            let inputs = (weights.clone(), xs.clone());
            let program = |(weights, xs): (Recorded, Recorded)| {
                let weights = Batch::lift(&weights);
                vmap(|x| $f(&weights, &x), &xs).or_raise()
            };
            let found = interpret(&record("rows", program, &inputs).unwrap(), &inputs).unwrap().remove(0);
            assert_near(stringify!($f), &found, &Array::stack(&rows, 0));
            let inputs = (weights.clone(), xs.index(0, 1));
            let program = |(weights, x): (Recorded, Recorded)| $f(&weights, &x);
            let found = interpret(&record("one", program, &inputs).unwrap(), &inputs).unwrap().remove(0);
            assert_near(stringify!($f), &found, &rows[1]);
        )* };
    }
    check!(hessian_by_reverse part_by_reverse slope_of_curvature);
}

#[test]
fn no_rows_have_no_derivatives() {
    let (weights, xs) = (matrices().0, Array::zeros(&[0, 2]));
    let program = |(weights, xs): (Recorded, Recorded)| {
        let weights = Batch::lift(&weights);
        vmap(|x| grad(|w| after_a_step(&w, &Var::lift(&x)), &weights).or_raise(), &xs).or_raise()
    };
    let inputs = (weights, xs);
    let found = interpret(&record("rows", program, &inputs).unwrap(), &inputs).unwrap().remove(0);
    assert_eq!(found.shape().as_slice(), [0, 2, 2]);
}

#[test]
fn rows_ensure_what_their_arms_do() {
    /// In two rounds for all rows, each in its own arm: x to the power of 9/4, or of 9 if it is less than 1.
    fn powers<T: Tensor>(x: &T) -> T {
        let start = (Index::<T>(T::Int::constant(0)), x.clone());
        let rounds = T::while_loop(
            start,
            |(i, _)| i.0.less(&T::Int::constant(2)),
            |(Index(i), y)| {
                let arm = || {
                    T::ensure(&y.less(&c(4.0)), "too large a number");
                    y.sqrt() * &y
                };
                let y = T::cond(&y.greater(&c(1.0)), arm, || y.powi(3));
                (Index(i + T::Int::constant(1)), y)
            },
        );
        rounds.1
    }
    let program = |xs: Recorded| {
        vmap(|x: Batch<Recorded>| grad(|x| grad(|x| powers(&x), &x).or_raise(), &x).or_raise(), &xs)
            .or_raise()
    };
    let xs = Array::from(vec![2.25, 0.5]);
    let mut compiled = compile("powers", program, &xs).unwrap();
    assert_near(
        "powers",
        &compiled.call(&xs).unwrap(),
        &Array::from(vec![2.25 * 1.25 * 2.25f64.powf(0.25), 72.0 * 0.5f64.powi(7)]),
    );
    let error = compiled.call(&Array::from(vec![0.5, 9.0])).unwrap_err().to_string();
    assert!(error.starts_with("too large a number ("), "{error}");
}
