//! Strong zeros of arrays, in every mode: what is exactly zero stays zero where a derivative is infinite or undefined.

use antiphon::optim::{Adagrad, Adam, Optimizer, RmsProp};
use antiphon::{IntTensor, NdArray, OrRaise, Real, Tensor, Var, compile, grad, hvp, jvp};

type Array = NdArray<f64>;

const LEAST: f64 = f64::NEG_INFINITY;

fn array(shape: &[usize], elements: &[f64]) -> Array {
    Tensor::from_elements(shape, elements).unwrap()
}

#[track_caller]
fn assert_near(mode: &str, found: &Array, expected: &[f64]) {
    let found: Vec<f64> = found.view().iter().copied().collect();
    let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 1e-7 * (1.0 + b.abs());
    let all_near = found.len() == expected.len() && found.iter().zip(expected).all(near);
    assert!(all_near, "{mode}: {found:?} for {expected:?}");
}

/// A function from an array to a number, at `x` and along `v`: its value, its gradient, and its Hessian times `v`.
macro_rules! assert_modes {
    ($f:ident, $x:expr, $v:expr, $value:expr, $gradient:expr, $hessian:expr) => {{
        let (x, v): (Array, Array) = ($x, $v);
        let two = (x.clone(), v.clone());
        let (gradient, hessian): (Vec<f64>, Vec<f64>) = ($gradient.to_vec(), $hessian.to_vec());
        let along = [gradient.iter().zip(v.view()).map(|(a, b)| a * b).sum::<f64>()];
        assert_near("value", &$f(&x), &[$value]);
        assert_near("reverse", &grad(|x| $f(&x), &x).unwrap(), &gradient);
        assert_near("forward", &jvp(|x| $f(&x), &x, &v).unwrap().1, &along);
        assert_near("forward over reverse", &hvp(|x| $f(&x), &x, &v).unwrap().1, &hessian);
        let twice =
            |x: &Array| grad(|x| (grad(|y| $f(&y), &x).or_raise() * Var::lift(&v)).sum(..), x).unwrap();
        assert_near("reverse over reverse", &twice(&x), &hessian);
        let over_forward = grad(|x| jvp(|y| $f(&y), &x, &Var::lift(&v)).or_raise().1, &x).unwrap();
        assert_near("reverse over forward", &over_forward, &hessian);
        let mut compiled = compile("reverse", |x| grad(|x| $f(&x), &x).or_raise(), &x).unwrap();
        assert_near("compiled reverse", &compiled.call(&x).unwrap(), &gradient);
        let mut compiled = compile("forward", |(x, v)| jvp(|x| $f(&x), &x, &v).or_raise().1, &two).unwrap();
        assert_near("compiled forward", &compiled.call(&two).unwrap(), &along);
        let mut compiled = compile("both", |(x, v)| hvp(|x| $f(&x), &x, &v).or_raise().1, &two).unwrap();
        assert_near("compiled forward over reverse", &compiled.call(&two).unwrap(), &hessian);
    }};
}

#[test]
fn norms_of_rows_of_which_one_is_zero() {
    fn norms<T: Tensor>(x: &T) -> T {
        let norm = x.square().sum(-1).sqrt();
        T::select(&norm.greater(&T::constant(0.5)), &norm, &T::constant(1.0)).sum(..)
    }
    let (x, v) = (array(&[2, 2], &[3.0, 4.0, 0.0, 0.0]), array(&[2, 2], &[1.0, 0.0, 1.0, 0.0]));
    // The Hessian of |r| is (I − r̂·r̂ᵀ)/|r|.
    assert_modes!(norms, x, v, 6.0, [0.6, 0.8, 0.0, 0.0], [0.128, -0.096, 0.0, 0.0]);
}

#[test]
fn a_logarithm_of_nothing_is_less_than_all_and_has_no_derivative() {
    fn whole<T: Tensor>(x: &T) -> T {
        let least = T::constant(LEAST);
        T::stack(&[least.clone(), least + x], 0).logsumexp(0)
    }
    fn likelihood<T: Tensor>(x: &T) -> T {
        whole(x).exp()
    }
    let (x, v) = (NdArray::scalar(1.0), NdArray::scalar(1.0));
    assert_modes!(whole, x.clone(), v.clone(), LEAST, [0.0], [0.0]);
    assert_modes!(likelihood, x, v, 0.0, [0.0], [0.0]);
}

#[test]
fn a_row_that_is_masked_as_a_whole_attends_to_nothing() {
    fn attended<T: Tensor>(x: &T) -> T {
        let mask = T::from_elements(&[2, 2], &[0.0, 0.0, LEAST, LEAST]).unwrap();
        let weights = (x.clone() + mask).softmax(1);
        (weights * T::from_elements(&[2], &[1.0, 3.0]).unwrap()).sum(..)
    }
    // Weights ½ and ½, values 1 and 3: 2, with the slope w·(value − 2), whose own is w·(value − 2)·(1 − 2w)/… = 0.
    let (x, v) = (array(&[2, 2], &[0.5, 0.5, 7.0, -7.0]), array(&[2, 2], &[1.0, 1.0, 1.0, 1.0]));
    assert_modes!(attended, x, v, 2.0, [-0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]);
    let least = array(&[1, 2], &[LEAST, LEAST]);
    assert_near("log_softmax", &least.log_softmax(1), &[LEAST, LEAST]);
    let slopes = grad(|x| x.log_softmax(1).exp().sum(..), &least).unwrap();
    assert_near("its derivative", &slopes, &[0.0, 0.0]);
}

#[test]
fn a_row_without_any_class_has_an_infinite_cross_entropy_and_no_derivative() {
    fn entropy<T: Tensor>(x: &T, mask: [f64; 2]) -> T {
        let mask = T::from_elements(&[2, 2], &[0.0, 0.0, mask[0], mask[1]]).unwrap();
        (x.clone() + mask).cross_entropy(&IntTensor::from_elements(&[2], &[0, 1]).unwrap())
    }
    fn nothing<T: Tensor>(x: &T) -> T {
        entropy(x, [LEAST, LEAST]).sum(..)
    }
    // What is left where rows without a class are left out.
    fn rest<T: Tensor>(x: &T) -> T {
        let rows = entropy(x, [LEAST, LEAST]);
        T::select(&rows.less(&T::constant(f64::INFINITY)), &rows, &T::constant(0.0)).sum(..)
    }
    fn one<T: Tensor>(x: &T) -> T {
        entropy(x, [LEAST, 0.0]).sum(..)
    }
    let (x, v) = (array(&[2, 2], &[0.5, 0.5, 7.0, -7.0]), array(&[2, 2], &[1.0, 0.0, 1.0, 1.0]));
    // Of the first row −ln ½, with the slopes ½ − 1 and ½, whose own along (1, 0) are ¼ and −¼.
    let (slopes, hessian) = ([-0.5, 0.5, 0.0, 0.0], [0.25, -0.25, 0.0, 0.0]);
    assert_modes!(nothing, x.clone(), v.clone(), f64::INFINITY, slopes, hessian);
    assert_modes!(rest, x.clone(), v.clone(), 2f64.ln(), slopes, hessian);
    assert_modes!(one, x, v, 2f64.ln(), slopes, hessian);
}

#[test]
fn a_number_that_depends_on_nothing_may_be_zero_under_a_root() {
    fn carried<T: Tensor>(x: &T) -> T {
        let start = (x.clone(), T::constant(0.0));
        let below = |(y, _): &(T, T)| y.less(&T::constant(10.0));
        T::while_loop(start, |state| below(state), |(y, c)| (y * 2.0 + c.sqrt(), c)).0
    }
    fn chosen<T: Tensor>(x: &T) -> T {
        let c = T::cond(&x.greater(&T::constant(0.0)), || T::constant(0.0), || T::constant(1.0));
        x.square() + c.sqrt()
    }
    let v = NdArray::scalar(1.0);
    assert_modes!(carried, NdArray::scalar(1.0), v.clone(), 16.0, [16.0], [0.0]);
    assert_modes!(chosen, NdArray::scalar(3.0), v, 9.0, [6.0], [2.0]);
}

/// One step of an optimiser from three ones, with the gradients of `Σ (w − x)²` of the first two of them; the sum of the
/// squares of all.
fn after_a_step<T: Tensor>(x: &T, optimizer: &impl Optimizer) -> T {
    let mut w = T::from_elements(&[3], &[1.0, 1.0, 1.0]).unwrap();
    let used = T::from_elements(&[3], &[1.0, 1.0, 0.0]).unwrap();
    let g = grad(|w| ((w - Var::lift(x)).square() * Var::lift(&used)).sum(..), &w).or_raise();
    let mut state = optimizer.init(&w);
    optimizer.update(&mut state, &mut w, &g, &T::constant(0.1)).or_raise();
    w.square().sum(..)
}

#[test]
fn optimisers_have_derivatives_where_a_gradient_is_zero() {
    let differences = |f: &dyn Fn(f64) -> f64| (f(0.25 + 1e-5) - f(0.25 - 1e-5)) / 2e-5;
    let (x, v) = (NdArray::scalar(0.25), NdArray::scalar(1.0));
    macro_rules! check {
        ($($optimizer:expr),*) => { $({
            fn f<T: Tensor>(x: &T) -> T {
                after_a_step(x, &$optimizer)
            }
            let value = |x: f64| f(&NdArray::scalar(x)).item();
            let slope = differences(&value);
            let found = grad(|x| f(&x), &x).unwrap().item();
            assert!((found - slope).abs() < 1e-5 * (1.0 + slope.abs()), "{found} for {slope}");
            let mut compiled = compile("step", |x| grad(|x| f(&x), &x).or_raise(), &x).unwrap();
            assert_near("compiled", &compiled.call(&x).unwrap(), &[found]);
            let forward = jvp(|x| f(&x), &x, &v).unwrap().1;
            assert_near("forward", &forward, &[found]);
        })* };
    }
    check!(Adam::default(), RmsProp::default(), Adagrad::default());
}
