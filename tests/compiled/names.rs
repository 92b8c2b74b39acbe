//! Adjoints of intermediate values by name in compiled code: of straight code, in loops, branches, scans, recursion and
//! checkpoints, to the second order, on batches, and in a step of training.

use antiphon::control::{Checkpoints, scan};
use antiphon::nn::{Linear, Rng};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::recording::{OptimiseOptions, Recorded, optimise, record};
use antiphon::{
    Batch, NdArray, OrRaise, Params, Real, Result, Tensor, TrainingStep, Var, compile, grad, hvp,
    value_and_grad_named, vmap,
};
use antiphon_staging::{Binary, Expr};

type Array = NdArray<f64>;

/// `h ← tanh(h·w)` a few times, in one way or another, with a name for each round's `h`.
fn rounds<T: Tensor>(w: &T, how: usize) -> T {
    fn step<T: Tensor>(h: &T, w: &T) -> T {
        (h.clone() * w).tanh().named("h")
    }
    let counted = |n: f64, round: &dyn Fn(T) -> T| {
        let goes_on = |(i, _): &(T, T)| i.less(&T::constant(n));
        T::while_loop((T::constant(0.0), w.clone()), goes_on, |(i, h)| (i.offset(1.0), round(h))).1
    };
    match how {
        0 => (0..3).fold(w.clone(), |h, _| step(&h, w)),
        1 => counted(3.0, &|h| step(&h, w)),
        2 => {
            let small = w.sum(..).less(&T::constant(100.0));
            T::cond(&small, || step(&step(w, w), w), || w.clone())
        }
        3 => {
            let rows = T::stack(&[w.clone(), w.clone() * 0.5], 0);
            let step = |h: T, x: T| (step(&h, &x), x);
            scan(w.clone(), &rows, step).or_raise().0
        }
        4 => T::fix(w.clone(), |again, h: T| {
            let large = T::constant(0.8).less(&h.abs().max(..));
            T::cond(&large, || again(step(&h, w)), || h.clone())
        }),
        5 => T::checkpoint((w.clone(), w.clone()), |(h, w): (T, T)| step(&step(&h, &w), &w)),
        6 => counted(2.0, &|h| T::checkpoint((h, w.clone()), |(h, w): (T, T)| step(&h, &w))),
        // A loop of loops, of which a branch is taken in one round.
        7 => counted(2.0, &|h| {
            let small = h.sum(..).less(&T::constant(1.5));
            T::cond(&small, || counted(2.0, &|_| step(&h, w)), || h.clone() * 0.9)
        }),
        _ => T::checkpointed_loop(5, w, w.clone(), Checkpoints::SquareRoot, |_, w, h: T| step(&h, w)),
    }
    .square()
    .sum(..)
}

const WAYS: std::ops::Range<usize> = 0..9;

fn named<T: Tensor>(w: &T, how: usize) -> (T, T, T) {
    let (y, slope, mut adjoints) = value_and_grad_named(|w| rounds(&w, how), w, &["h"]).or_raise();
    (y, slope, adjoints.remove("h").expect("asked for"))
}

#[track_caller]
fn assert_near(what: usize, found: &Array, expected: &Array) {
    assert_eq!(found.shape(), expected.shape());
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-13 * b.abs().max(1.0);
    assert!(found.view().iter().zip(expected.view()).all(near), "{what}: {found} {expected}");
    assert!(expected.view().iter().any(|x| *x != 0.0), "{what}");
}

#[test]
fn in_control_flow() {
    let w = Array::from(vec![0.9, -0.4, 1.1]);
    for how in WAYS {
        let found = compile("named", |w: Recorded| named(&w, how), &w).unwrap().call(&w).unwrap();
        let expected = named(&w, how);
        assert_near(how, &found.0, &expected.0);
        assert_near(how, &found.1, &expected.1);
        assert_near(how, &found.2, &expected.2);
    }
}

/// Derivatives of the adjoint, and the adjoint of a derivative, whose loops are regions.
#[test]
fn to_the_second_order() {
    fn derivatives<T: Tensor>(w: &T, how: usize) -> Vec<T> {
        let of_slope = |names: &[&str]| {
            value_and_grad_named(|w| grad(|w| rounds(&w, how), &w).or_raise().square().sum(..), w, names)
                .or_raise()
        };
        vec![
            grad(|w| named(&w, how).2.square().sum(..), w).or_raise(),
            hvp(|w| named(&w, how).2.square().sum(..), w, w).or_raise().1,
            of_slope(&["h"]).2["h"].clone(),
            of_slope(&[]).1,
        ]
    }
    let w = Array::from(vec![0.9, -0.4, 1.1]);
    for how in WAYS {
        let found = compile("twice", |w: Recorded| derivatives(&w, how), &w).unwrap().call(&w).unwrap();
        let expected = derivatives(&w, how);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_near(how, found, expected);
        }
    }
}

#[test]
fn on_batches() {
    let rows = Array::from_elements(&[2, 3], &[0.9, -0.4, 1.1, 0.2, 0.7, -1.3]).unwrap();
    fn each<T: Tensor>(rows: &T, how: usize) -> Vec<T> {
        let of_row = vmap(|w: Batch<T>| named(&w, how).2, rows).or_raise();
        let of_all =
            value_and_grad_named(|rows| vmap(|w| rounds(&w, how), &rows).or_raise().sum(..), rows, &["h"]);
        vec![of_row, of_all.or_raise().2["h"].clone()]
    }
    for how in WAYS {
        let found = compile("rows", |x: Recorded| each(&x, how), &rows).unwrap().call(&rows).unwrap();
        for (found, expected) in found.iter().zip(each(&rows, how)) {
            assert_near(how, found, &expected);
        }
    }
}

/// Nothing is added to the values, and a name that is not asked for is not there.
#[test]
fn the_program_has_no_more_operators_than_it_needs() {
    let w = Array::from(vec![0.9, -0.4]);
    let program = |names: &'static [&'static str]| {
        let f = |w: Recorded| {
            let (_, slope, adjoints) =
                value_and_grad_named(|w| w.square().named("h").sin().sum(..), &w, names).or_raise();
            (slope, adjoints)
        };
        let mut program = record("f", f, &w).unwrap();
        optimise(&mut program, &OptimiseOptions::default());
        program
    };
    let adds = |program: &antiphon_staging::Program| {
        program.exprs().iter().filter(|expr| matches!(expr, Expr::Binary(Binary::Add, ..))).count()
    };
    let (plain, asked) = (program(&[]), program(&["h"]));
    assert_eq!(adds(&plain), adds(&asked));
    assert_eq!(plain.exprs().len(), asked.exprs().len(), "{asked}");
}

#[derive(Clone, Params)]
struct Net<T> {
    hidden: Linear<T>,
    out: Linear<T>,
}

impl<T: Tensor> Net<T> {
    /// The mean square of what is missed, of rows of `x`, in a loop over two layers that share their weights.
    fn loss(&self, x: &T, y: &T) -> T {
        let goes_on = |(i, _): &(T, T)| i.less(&T::constant(2.0));
        let begin = (T::constant(0.0), x.clone());
        let layer = |x: T| self.hidden.apply(&x).tanh().named("hidden");
        let (_, h) = T::while_loop(begin, goes_on, |(i, x)| (i.offset(1.0), layer(x)));
        (self.out.apply(&h) - y).square().mean(..)
    }
}

type Training<T> = (Net<T>, OptState<Net<T>>);

fn step<T: Tensor>((net, adam): &mut Training<T>, (x, y): &(T, T)) -> Result<(T, T)> {
    let (loss, gradient, adjoints) =
        value_and_grad_named(|net| net.loss(&Var::lift(x), &Var::lift(y)), net, &["hidden"])?;
    Adam::default().update(adam, net, &gradient, &T::constant(0.01))?;
    // How much the activations matter, as it is logged.
    Ok((loss, adjoints["hidden"].square().sum(..).sqrt()))
}

#[test]
fn in_a_training_step() {
    let mut rng = Rng::new(7);
    let net: Net<Array> = Net { hidden: Linear::new(&mut rng, 3, 3), out: Linear::new(&mut rng, 3, 1) };
    let state = (net.clone(), Adam::default().init(&net));
    let data = (
        Array::from_elements(&[2, 3], &[0.9, -0.4, 1.1, 0.2, 0.7, -1.3]).unwrap(),
        Array::from_elements(&[2, 1], &[1.0, -1.0]).unwrap(),
    );
    let mut eager = TrainingStep::eager(state.clone(), step);
    let mut compiled = TrainingStep::compiled(state, step);
    for _ in 0..5 {
        let (loss, norm) = eager.call(&data).unwrap();
        let found = compiled.call(&data).unwrap();
        assert_near(0, &found.0, &loss);
        assert_near(1, &found.1, &norm);
    }
}

#[test]
fn names_that_are_not_there() {
    let w = Array::from(vec![0.9, -0.4]);
    let model = |w: Recorded| value_and_grad_named(|w| rounds(&w, 1), &w, &["k"]).or_raise().1;
    let text = compile("f", model, &w).unwrap_err().to_string();
    assert!(text.contains("named \"k\"") && text.contains("have: \"h\""), "{text}");
}
