//! Hooks and operators with rules of their own in compiled code, also inside of loops, to the second order.

use antiphon::custom::{Clip, Scale};
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

/// A rule that is found by differentiating another one is not differentiated twice as a program.
#[test]
fn transposed_rules_are_refused_where_they_would_be_lost() {
    fn model<T: Tensor>(x: T) -> T {
        let w = T::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        T::checkpoint((w, x), |(w, x): (T, T)| squares(&w, &x))
    }
    let x = Array::from(vec![1.0, -1.0]);
    let product = |x: Recorded| hvp(|x| model(x), &x, &x).or_raise().1;
    let Err(error) = compile("product", product, &x) else { panic!("it is to be refused") };
    assert!(error.to_string().contains("write `push` out"), "{error}");
    let slope = |x: Recorded| grad(|x| model(x), &x).or_raise();
    assert_eq!(compile("slope", slope, &x).unwrap().call(&x).unwrap(), grad(|x| model(x), &x).unwrap());
}
