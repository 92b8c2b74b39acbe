//! Hooks and operators with rules of their own in compiled code, also inside of loops, to the second order.

use antiphon::custom::{Clip, CustomOperator, Scale, transposed};
use antiphon::recording::Recorded;
use antiphon::{Batch, NdArray, OrRaise, Real, Tensor, Var, compile, grad, hvp, jvp, vmap};

use crate::custom_operators::{ClipNorm, squares};

type Array = NdArray<f64>;

/// `a ← a²·a`, so often, of whose factors one is hooked; and clipped, if it is said to be.
fn rounds<T: Tensor>(a: &T, [again, clipped]: [bool; 2]) -> T {
    let step = move |a: T| {
        let cube = a.square() * a.hook(&Scale(0.9));
        if clipped { Tensor::custom(&ClipNorm, &[&cube.hook(&Clip(0.7))]) } else { cube }
    };
    let step = move |a: T| if again { T::checkpoint(a, step) } else { step(a) };
    let begin = (T::constant(0.0), a.clone());
    let (_, a) =
        T::while_loop(begin, |(i, _)| i.less(&T::constant(2.0)), |(i, a)| (i + T::constant(1.0), step(a)));
    a.sum(..) * 0.8
}

fn once<T: Tensor>(a: &T, how: [bool; 2]) -> Vec<T> {
    vec![rounds(a, how), grad(|a| rounds(&a, how), a).or_raise(), jvp(|a| rounds(&a, how), a, a).or_raise().1]
}

fn forward_over_reverse<T: Tensor>(a: &T, how: [bool; 2]) -> Vec<T> {
    vec![hvp(|a| rounds(&a, how), a, a).or_raise().1]
}

fn reverse_over_reverse<T: Tensor>(a: &T, how: [bool; 2]) -> Vec<T> {
    vec![grad(|a| grad(|a| rounds(&a, how), &a).or_raise().square().sum(..), a).or_raise()]
}

fn assert_agree(how: [bool; 2], found: &[Array], expected: &[Array]) {
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-13 * b.abs().max(1.0);
        assert!(found.view().iter().zip(expected.view()).all(near), "{how:?}, {i}: {found} {expected}");
    }
}

#[test]
fn in_loops_in_every_mode() {
    let a = Array::from(vec![0.9, -0.4, 1.1]);
    for how in [[false, false], [false, true], [true, false], [true, true]] {
        let found = compile("once", |a: Recorded| once(&a, how), &a).unwrap().call(&a).unwrap();
        assert_agree(how, &found, &once(&a, how));
        let [again, clipped] = how;
        // Rules that are not linear are refused where a forward derivative would stand for another one.
        macro_rules! check {
            ($f:ident, $refused:expr) => {
                match compile("twice", |a: Recorded| $f(&a, how), &a) {
                    Err(error) if $refused => {
                        let error = error.to_string();
                        assert!(error.contains("not that of a linear function"), "{error}");
                        assert!(error.contains("custom.rs:"), "{error}");
                    }
                    code => assert_agree(how, &code.unwrap().call(&a).unwrap(), &$f(&a, how)),
                }
            };
        }
        check!(forward_over_reverse, again && clipped);
        check!(reverse_over_reverse, clipped);
    }
}

#[test]
fn rules_of_users_on_batches() {
    let rows = Array::from_elements(&[3, 2], &[1.0, 2.0, -3.0, 0.5, 0.25, 4.0]).unwrap();
    let w = Array::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    fn slopes<T: Tensor>((w, rows): &(T, T)) -> T {
        let w = Batch::lift(w);
        vmap(|x: Batch<T>| grad(|x| squares(&Var::lift(&w), &x), &x).or_raise(), rows).or_raise()
    }
    let x = (w, rows);
    let found = compile("slopes", |x: (Recorded, Recorded)| slopes(&x), &x).unwrap().call(&x).unwrap();
    assert_eq!(found, slopes(&x));
}

/// `sin(x)·y`, whose forward rule is found by differentiating the one in reverse.
#[derive(Clone, Debug)]
struct SineTimes;

impl CustomOperator for SineTimes {
    const NAME: &'static str = "sine_times";
    fn value<T: Tensor>(&self, x: &[T]) -> T {
        x[0].sin() * &x[1]
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(x[0].cos() * &x[1] * y_bar), Some(x[0].sin() * y_bar)]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        transposed(self, x, y, tangents)
    }
}

/// A derivative of recorded values is differentiated again where the program is: in checkpoints, and in control flow that is
/// differentiated twice in reverse.
#[test]
fn rules_that_are_found_by_differentiation() {
    fn model<T: Tensor>(x: &T, how: usize) -> T {
        let step = |x: T| Tensor::custom(&SineTimes, &[&x, &x.square()]);
        match how {
            0 => T::checkpoint(x.clone(), step).sum(..),
            1 => T::cond(&x.sum(..).less(&T::constant(100.0)), || step(x.clone()), || x.clone()).sum(..),
            _ => {
                let goes_on = |(i, _): &(T, T)| i.less(&T::constant(2.0));
                let begin = (T::constant(0.0), x.clone());
                T::while_loop(begin, goes_on, |(i, x)| (i + T::constant(1.0), step(x))).1.sum(..)
            }
        }
    }
    fn derivatives<T: Tensor>(x: &T, how: usize) -> Vec<T> {
        vec![
            grad(|x| model(&x, how), x).or_raise(),
            hvp(|x| model(&x, how), x, x).or_raise().1,
            grad(|x| grad(|x| model(&x, how), &x).or_raise().square().sum(..), x).or_raise(),
        ]
    }
    let x = Array::from(vec![1.0, -0.7]);
    for how in 0..3 {
        let found = compile("f", |x: Recorded| derivatives(&x, how), &x).unwrap().call(&x).unwrap();
        assert_agree([how == 0, false], &found, &derivatives(&x, how));
        assert!(found.iter().all(|x| x.view().iter().all(|x| *x != 0.0)));
    }
}
