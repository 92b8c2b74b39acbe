//! [`vmap`] as it is used: its axes, what it refuses, gradients of each sample, ensembles.

use antiphon::nn::{Linear, Rng};
use antiphon::{
    Batch, BatchBool, BatchInt, Control, Int, IntTensor, Mask, NdArray, NdBool, NdInt, OrRaise, Params, Real,
    Tensor, Var, grad, value_and_grad, vmap, vmap_axes,
};

type Array = NdArray<f64>;

fn array(shape: &[usize], elements: &[f64]) -> Array {
    Array::from_elements(shape, elements).unwrap()
}

#[test]
fn a_function_of_one_row_runs_on_all() {
    let xs = Array::from(vec![1.0, 2.0, 3.0]);
    assert_eq!(vmap(|x| x.square(), &xs).unwrap(), Array::from(vec![1.0, 4.0, 9.0]));
}

#[test]
fn a_row_has_the_shape_of_a_row() {
    let shapes = |x: Batch<Array>| {
        assert_eq!(x.shape().as_slice(), [2, 3]);
        assert_eq!(x.sum(0).shape().as_slice(), [3]);
        assert_eq!(x.argmax(-1).shape().as_slice(), [2]);
        assert_eq!(antiphon::MaskTensor::shape(&x.less(&x)).as_slice(), [2, 3]);
        x
    };
    let xs = Array::ones(&[4, 2, 3]);
    assert_eq!(vmap(shapes, &xs).unwrap(), xs);
}

#[test]
fn the_batch_may_be_any_axis_of_arguments_and_results() {
    let x = array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let columns = vmap_axes(|x| x * 2.0, &x, &[Some(1)], &[Some(0)]).unwrap();
    assert_eq!(columns, array(&[3, 2], &[2.0, 8.0, 4.0, 10.0, 6.0, 12.0]));
    let again = vmap_axes(|x| x * 2.0, &x, &[Some(-1)], &[Some(-1)]).unwrap();
    assert_eq!(again, x.clone() * 2.0);
    // Integers and truth values as well.
    let ints = NdInt::from_elements(&[2, 3], &[0, 1, 2, 3, 4, 5]).unwrap();
    let flags = x.less(&Array::scalar(3.0));
    let swap =
        |(_, i, b): (Batch<Array>, BatchInt<NdInt>, BatchBool<NdBool>)| (i + BatchInt::constant(1), b.not());
    let (found, not) = vmap_axes(swap, &(x.clone(), ints, flags), &[Some(1)], &[Some(1), Some(0)]).unwrap();
    assert_eq!(found, NdInt::from_elements(&[2, 3], &[1, 2, 3, 4, 5, 6]).unwrap());
    let expected = x.transpose().greater_equal(&Array::scalar(3.0));
    assert_eq!(not, expected);
}

#[test]
fn what_is_the_same_for_all_rows_stays_so() {
    let (x, w) = (array(&[2], &[1.0, 2.0]), array(&[3], &[1.0, 2.0, 3.0]));
    let f = |(x, w): (Batch<Array>, Batch<Array>)| (x.clone() * w.sum(..), w.square(), w);
    let axes = [Some(0), None, Some(1)];
    let (scaled, squares, copies) = vmap_axes(f, &(x, w.clone()), &[Some(0), None], &axes).unwrap();
    assert_eq!(scaled, array(&[2], &[6.0, 12.0]));
    assert_eq!(squares, w.square());
    assert_eq!(copies, array(&[3, 2], &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]));
    // Integers and truth values are repeated, too.
    let constants =
        |_| (BatchInt::<NdInt>::constant(3), Batch::<Array>::constant(0.0).less(&Batch::constant(1.0)));
    let (three, yes) = vmap(constants, &array(&[2], &[1.0, 2.0])).unwrap();
    assert_eq!(three, NdInt::from(vec![3, 3]));
    assert_eq!(yes, Array::zeros(&[2]).less(&Array::ones(&[2])));
}

#[test]
fn no_rows_give_no_rows() {
    let f = |x: Batch<Array>| {
        let y = Batch::cond(&x.sum(..).less(&Batch::constant(0.0)), || x.square(), || x.clone());
        Batch::while_loop(y, |y| y.sum(..).less(&Batch::constant(1.0)), |y| y + 1.0)
    };
    assert_eq!(vmap(f, &Array::zeros(&[0, 3])).unwrap().shape().as_slice(), [0, 3]);
}

#[track_caller]
fn assert_refused<R: std::fmt::Debug>(message: &str, result: antiphon::Result<R>) {
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
    assert!(error.contains("tests/batch/usage.rs"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let (x, y) = (Array::zeros(&[2, 3]), Array::zeros(&[3]));
    let pair = (x.clone(), y);
    assert_refused("vmap: argument \"1\" has 3 rows, and \"0\" has 2 (", vmap(|(x, y)| x + y, &pair));
    assert_refused("vmap: no argument has rows (", vmap_axes(|x| x * 2.0, &x, &[None], &[Some(0)]));
    assert_refused(
        "vmap: [2, 3]: axis 2 is out of range",
        vmap_axes(|x| x * 2.0, &x, &[Some(2)], &[Some(0)]),
    );
    let three = [Some(0), None, None];
    let refused = "vmap: 3 axes for 2 parts of the arguments: give one for each, or one for all (";
    assert_refused(refused, vmap_axes(|(x, y)| x + y, &pair, &three, &[Some(0)]));
    // A part without arrays is one, too.
    let parts = (None::<Array>, pair.0.clone(), pair.1.clone());
    let sums = vmap_axes(|(_, x, y)| x + y, &parts, &[Some(0), Some(0), None], &[Some(0)]).unwrap();
    assert_eq!(sums, vmap_axes(|(x, y)| x + y, &pair, &[Some(0), None], &[Some(0)]).unwrap());
    let results = vmap_axes(|(x, y)| (x.clone(), x + y), &pair, &[Some(0), None], &[None]);
    assert_refused("vmap: result \"0\" differs from row to row: it has no axis None (", results);
    let results = vmap_axes(|(x, y)| (x.clone(), y, x), &pair, &[Some(0), None], &[Some(0), None]);
    assert_refused(
        "vmap: 2 axes for more parts of the results: give one for each, or one for all (",
        results,
    );
    // Operators say what a row is, and where.
    assert_refused(
        "matmul: cannot multiply [3] by [2] (",
        vmap(|x| x.matmul(&Batch::lift(&Array::zeros(&[2]))), &x),
    );
    let index = |(x, i): (Batch<Array>, BatchInt<NdInt>)| x.gather_rows(&i);
    let indices = NdInt::from(vec![0, 3]);
    let refused = "gather_rows: index 3 is out of range for a dimension of length 3 (";
    assert_refused(refused, vmap(index, &(x.clone(), indices)));
    let condition =
        |x: Batch<Array>| Batch::cond(&x.less(&Batch::constant(0.0)), || x.clone(), || x.square());
    assert_refused("cond: [3]: the condition is not a single truth value (", vmap(condition, &x));
    let shapes = |x: Batch<Array>| {
        Batch::cond(&x.sum(..).less(&Batch::lift(&Array::zeros(&[]))), || x.sum(..), || x.clone())
    };
    let xs = array(&[2, 1], &[-1.0, 1.0]);
    assert_refused("cond: the arms of a cond give values of different shapes", vmap(shapes, &xs));
}

/// A model of one sample, with an ordinary function.
fn loss<T: Tensor>(model: &Linear<T>, x: &T, label: &T::Int) -> T {
    model.apply(&x.unsqueeze(0)).index(0, 0).cross_entropy(label)
}

fn model(seed: u64) -> Linear<Array> {
    Linear::new(&mut Rng::new(seed), 3, 2)
}

fn samples() -> (Array, NdInt) {
    (
        array(&[4, 3], &[0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, 0.9, -1.0, 1.1, 1.2]),
        vec![0, 1, 1, 0].into(),
    )
}

#[test]
fn gradients_of_each_sample() {
    let (model, (xs, labels)) = (model(1), samples());
    let of_sample = |(x, label): (Batch<Array>, BatchInt<NdInt>)| {
        let model = model.map_leaves(Batch::lift);
        value_and_grad(|model| loss(&model, &Var::lift(&x), &label), &model).or_raise()
    };
    let (values, gradients) = vmap(of_sample, &(xs.clone(), labels.clone())).unwrap();
    for i in 0..4 {
        let (x, label) = (xs.index(0, i), labels.slice(0, i..i + 1).reshape(&[]));
        let (value, gradient) = value_and_grad(|model| loss(&model, &Var::lift(&x), &label), &model).unwrap();
        assert!((values.index(0, i).item() - value.item()).abs() < 1e-15);
        for (all, one) in gradients.leaves().iter().zip(gradient.leaves()) {
            let difference = (all.index(0, i) - one).abs().max(..).item();
            assert!(difference < 1e-15, "{difference}");
        }
    }
}

/// Models with parameters of their own on the same data, and the gradient of each.
#[test]
fn ensembles() {
    let models = [model(1), model(2), model(3)];
    let [first, second, third] = models.each_ref().map(Params::leaves);
    let stacked =
        (0..first.len()).map(|i| Array::stack(&[first[i].clone(), second[i].clone(), third[i].clone()], 0));
    let ensemble = models[0].with_leaves(stacked.collect()).unwrap();
    let (xs, _) = samples();
    let of_model = |(model, xs): (Linear<Batch<Array>>, Batch<Array>)| {
        let gradient = grad(|model| model.apply(&Var::lift(&xs)).square().sum(..), &model).or_raise();
        (model.apply(&xs), gradient)
    };
    let (outputs, gradients) =
        vmap_axes(of_model, &(ensemble, xs.clone()), &[Some(0), None], &[Some(0)]).unwrap();
    for (i, model) in models.iter().enumerate() {
        assert_eq!(outputs.index(0, i), model.apply(&xs));
        let gradient = grad(|model| model.apply(&Var::lift(&xs)).square().sum(..), model).unwrap();
        for (all, one) in gradients.leaves().iter().zip(gradient.leaves()) {
            let difference = (all.index(0, i) - one).abs().max(..).item();
            assert!(difference < 1e-14, "{difference}");
        }
    }
}

/// Functions whose arms overflow in rows that do not take them.
mod overflowing {
    use super::*;

    fn c<T: Tensor>(value: f64) -> T {
        T::constant(value)
    }
    pub fn recursion<T: Tensor>(x: &T) -> T {
        T::fix(x.clone(), |again, x: T| T::cond(&x.less(&c(100.0)), || again(x.square()), || x.clone()))
    }
    pub fn cubes<T: Tensor>(x: &T) -> T {
        T::fix(x.clone(), |again, y: T| T::cond(&y.less(&c(10.0)), || again(y.powi(3)), || y.clone()))
    }
    pub fn rounds<T: Tensor>(x: &T) -> T {
        let goes_on = |y: &T| y.less(&c(10.0)).and(&c::<T>(0.0).less(y));
        T::while_loop(x.clone(), goes_on, |y| y.clone() * &y * &y + 1.0)
    }
    pub fn arm<T: Tensor>(x: &T) -> T {
        T::cond(&x.less(&c(10.0)), || x.square() * x.square() * x, || x.clone())
    }
    pub fn power<T: Tensor>(x: &T) -> T {
        T::cond(&x.less(&c(10.0)), || x.powi(3) + x.exp().sin(), || x.clone())
    }
    pub fn matrix<T: Tensor>(x: &T) -> T {
        let row = |x: &T| x.reshape(&[1, 1]);
        T::cond(&x.less(&c(10.0)), || row(x).matmul(&row(&x.square())).logsumexp(1).sum(..), || x.clone())
    }
}

/// The slopes of a function in all rows of a batch are those of a loop over the rows: by a gradient of each, by one of
/// their sum, and forward over reverse; nothing comes from the arms and rounds that a row does not take.
macro_rules! slopes_of_rows {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            let rows = [1.001, 2.0, 1e100, 1.5, 3.0, 1e200];
            let xs = Array::from(rows.to_vec());
            let each = |x: f64| {
                let x = Array::scalar(x);
                let slope = grad(|x| overflowing::$name(&x), &x).unwrap();
                (slope.item(), hvp(|x| overflowing::$name(&x), &x, &Array::scalar(1.0)).unwrap().1.item())
            };
            let (slopes, curvatures): (Vec<f64>, Vec<f64>) = rows.map(each).into_iter().unzip();
            assert!(slopes.iter().chain(&curvatures).all(|x| x.is_finite()), "{slopes:?} {curvatures:?}");
            let of_each = vmap(|x: Batch<Array>| grad(|x| overflowing::$name(&x), &x).or_raise(), &xs).unwrap();
            assert_near(&of_each, &slopes);
            let of_sum = grad(|x| vmap(|x| overflowing::$name(&x), &x).or_raise().sum(..), &xs).unwrap();
            assert_near(&of_sum, &slopes);
            let products = |x: Batch<Array>| {
                hvp(|x| overflowing::$name(&x), &x, &Batch::lift(&Array::scalar(1.0))).or_raise().1
            };
            assert_near(&vmap(products, &xs).unwrap(), &curvatures);
            #[cfg(feature = "staging")]
            {
                use antiphon::recording::Recorded;
                let of_each =
                    |x: Recorded| vmap(|x| grad(|x| overflowing::$name(&x), &x).or_raise(), &x).or_raise();
                let of_sum = |x: Recorded| {
                    grad(|x| vmap(|x| overflowing::$name(&x), &x).or_raise().sum(..), &x).or_raise()
                };
                let both = |x: Recorded| (of_each(x), of_sum(x));
                let (each, of_sum) = antiphon::compile("slopes", both, &xs).unwrap().call(&xs).unwrap();
                assert_near(&each, &slopes);
                assert_near(&of_sum, &slopes);
            }
        }
    )* };
}

mod nothing_comes_from_arms_that_a_row_does_not_take {
    use super::*;
    use antiphon::{grad, hvp};

    fn assert_near(found: &Array, expected: &[f64]) {
        assert_eq!(found.shape()[..], [expected.len()]);
        for (found, expected) in found.view().iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }

    slopes_of_rows! { recursion cubes rounds arm power matrix }
}

/// What an operator computes of rows that do not take its arm is not found to be infinite, or no number.
#[test]
fn rows_of_no_account_are_not_looked_at() {
    let root = |x: Batch<Array>| {
        let positive = Batch::constant(0.0).less(&x);
        Batch::cond(&positive, || x.sqrt() + x.log() + x.recip(), || x.square())
    };
    let xs = Array::from(vec![1.0, -1.0, 0.0]);
    let found = antiphon::debug::check_finite(|| vmap(root, &xs)).unwrap();
    assert_eq!(found, Array::from(vec![2.0, 1.0, 0.0]));
}

/// Neither arm is taken by any row, and what they ensure does not matter; a function that calls itself in one ends.
#[test]
fn batches_of_no_rows() {
    let none = Array::zeros(&[0]);
    assert_eq!(vmap(factorial_of, &none).unwrap(), none);
    for shape in [[0, 2], [2, 0]] {
        let nested = |x: Batch<Array>| vmap(factorial_of, &x).or_raise();
        assert_eq!(vmap(nested, &Array::zeros(&shape)).unwrap().shape()[..], shape);
    }
    let ensures = |x: Batch<Array>| {
        let refused = || {
            Batch::<Array>::ensure(&x.less(&x), "never there");
            x.clone()
        };
        Batch::cond(&x.less(&Batch::constant(0.0)), refused, || x.clone())
    };
    assert_eq!(vmap(ensures, &none).unwrap(), none);
    let endless = |x: Batch<Array>| {
        Batch::fix(x, |again: &dyn Fn(_) -> Batch<Array>, x: Batch<Array>| {
            Batch::cond(&x.less(&Batch::constant(0.0)), || again(x.clone()), || again(-x.clone()))
        })
    };
    assert_refused("fix: the function calls itself whatever its argument", vmap(endless, &none));
}

/// `y!` by recursion, of `y²` below one.
fn factorial_of<T: Tensor>(y: T) -> T {
    T::fix(y, |again, y: T| {
        let one = T::constant(1.0);
        T::cond(&one.less(&y), || again(y.clone() - &one) * &y, || y.square())
    })
}

/// Random numbers are those of each row's seed.
#[test]
fn seeds_of_each_row() {
    let seeds = NdInt::from(vec![3, 1, 4]);
    let f = |(x, seed): (Batch<Array>, BatchInt<NdInt>)| Batch::<Array>::uniform(&[5], &seed) * x;
    let found = vmap(f, &(Array::ones(&[3]), seeds)).unwrap();
    for (row, seed) in [3, 1, 4].into_iter().enumerate() {
        assert_eq!(found.index(0, row), Array::uniform(&[5], &NdInt::scalar(seed)));
    }
}

#[cfg(feature = "staging")]
mod recorded {
    use super::*;
    use antiphon::recording::{Recorded, RecordedInt};
    use antiphon::{Error, compile, hessian};
    use std::cell::Cell;

    /// `x` squared until it is at least 10.
    fn grown<T: Tensor>(x: T) -> T {
        T::fix(x, |again, x: T| T::cond(&x.less(&T::constant(10.0)), || again(x.square()), || x.clone()))
    }

    #[test]
    fn recursion_ends_when_no_row_goes_on() {
        let xs = Array::from(vec![1.5, 3.0, 20.0]);
        let program = |xs: Recorded| vmap(grown, &xs).or_raise();
        let mut compiled = compile("grown", program, &xs).unwrap();
        assert_eq!(compiled.call(&xs).unwrap(), Array::from(vec![1.5f64.powi(8), 81.0, 20.0]));
        assert_eq!(compiled.call(&Array::full(&[3], 10.0)).unwrap(), Array::full(&[3], 10.0));
    }

    #[test]
    fn hessians_of_recursion() {
        let (x, expected) = (
            Array::from(vec![1.5, 3.0]),
            Array::from_elements(
                &[2, 2],
                // x⁸ and x⁴.
                &[56.0 * 1.5f64.powi(6), 0.0, 0.0, 12.0 * 9.0],
            ),
        );
        fn both<T: Tensor>(x: T) -> T {
            grown(x.index(0, 0)) + grown(x.index(0, 1))
        }
        let program = |x: Recorded| hessian(|x| both(x), &x).or_raise();
        let mut compiled = compile("hessian", program, &x).unwrap();
        assert_eq!(compiled.call(&x).unwrap(), expected.unwrap());
    }

    #[test]
    fn recursion_that_changes_between_two_looks_is_refused() {
        let looks = Cell::new(0);
        let depth = |x: Batch<Recorded>| {
            Batch::fix(x, |again, x: Batch<Recorded>| {
                looks.set(looks.get() + 1);
                let bound = Batch::constant(10.0);
                let less = if looks.get() < 3 { bound.less(&bound) } else { x.less(&bound) };
                Batch::cond(&less, || again(x.square()), || x.clone())
            })
        };
        let xs = Array::from(vec![2.0, 3.0]);
        let error = compile("depth", |xs: Recorded| vmap(depth, &xs).or_raise(), &xs).unwrap_err();
        assert!(matches!(error, Error::Recording { .. }));
        assert_refused(
            "fix: the function calls itself where a condition differs from row to row of a batch, which it did not \
             when it was tried: what it does may depend on its argument alone (",
            Err::<(), _>(error),
        );
    }

    #[test]
    fn indices_out_of_range_are_errors_of_the_run() {
        let rows = |(x, i): (Batch<Recorded>, _)| x.gather_rows(&i);
        let example = (
            Array::from_elements(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap(),
            NdInt::from(vec![0, 2]),
        );
        let program = |x: (Recorded, RecordedInt)| vmap(rows, &x).or_raise();
        let mut compiled = compile("rows", program, &example).unwrap();
        assert_eq!(compiled.call(&example).unwrap(), Array::from(vec![1.0, 6.0]));
        for wrong in [vec![3, 0], vec![0, -1], vec![-1, 2], vec![0, 3]] {
            let error = compiled.call(&(example.0.clone(), wrong.into())).unwrap_err();
            assert!(matches!(error, Error::Index { .. }), "{error}");
        }
    }
}
