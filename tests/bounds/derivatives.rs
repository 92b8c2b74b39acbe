//! Bounds with derivatives, and in compiled code; constants of derivatives.

use antiphon::lipschitz::{Bound, Domain, limit_spectral_norm, lipschitz_bound, spectral_norm};
use antiphon::{NdArray, OrRaise, Real, Tensor, check_gradients, grad, program};

use super::{Array, Value, assert_close, bound, interval};

/// Two layers with a nonlinearity between them.
fn penalty<T: Tensor>((a, b): (T, T)) -> T {
    let network = |x: Bound<T>| x.matmul(&Bound::lift(&a)).tanh().matmul(&Bound::lift(&b));
    lipschitz_bound(network, &Domain::Everywhere(T::zeros(&[3])))
}

fn weights() -> (Array, Array) {
    let numbers = |n: usize, by: f64| -> Vec<f64> { (0..n).map(|i| (i as f64 * by).sin()).collect() };
    (
        Array::from_elements(&[3, 4], &numbers(12, 1.3)).unwrap(),
        Array::from_elements(&[4, 2], &numbers(8, 2.1)).unwrap(),
    )
}

#[test]
fn the_norms_derivative_is_that_of_its_vectors() {
    let w = Array::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_close(spectral_norm(&w).item(), 5.464_985_704_219_043, 1e-14);
    let slope = grad(|w| spectral_norm(&w), &w).unwrap();
    let expected =
        [0.233_042_460_131_697, 0.330_688_395_287_18, 0.526_804_530_425_364, 0.747_538_215_559_223];
    for (got, expected) in slope.view().iter().zip(expected) {
        assert_close(*got, expected, 1e-12);
    }
    let hilbert: Vec<f64> = (0..25).map(|i| 1.0 / f64::from(1 + i / 5 + i % 5)).collect();
    let hilbert = Array::from_elements(&[5, 5], &hilbert).unwrap();
    assert_close(spectral_norm(&hilbert).item(), 1.567_050_691_098_231, 1e-14);
    check_gradients(&program!(|x| spectral_norm(&x[0])), &[weights().0], 3).unwrap();
    // Of each matrix of a batch.
    let many = Array::stack(&[w.clone(), w * 2.0], 0);
    assert_close(spectral_norm(&many).view()[[1]], 2.0 * 5.464_985_704_219_043, 1e-14);
}

#[test]
fn weights_are_projected() {
    let w = Array::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_close(spectral_norm(&limit_spectral_norm(&w, 2.0)).item(), 2.0, 1e-12);
    assert_eq!(limit_spectral_norm(&w, 6.0), w);
    let many = Array::stack(&[w.clone(), w.clone() * 0.1], 0);
    let limited = spectral_norm(&limit_spectral_norm(&many, 1.0));
    assert_close(limited.view()[[0]], 1.0, 1e-12);
    assert_close(limited.view()[[1]], 0.546_498_570_421_904_3, 1e-12);
    // Of rows and columns, of many and of none, of zeros.
    for shape in [[7, 3], [3, 7], [1, 5], [5, 1]] {
        let n = shape[0] * shape[1];
        let w = Array::from_elements(&shape, &(0..n).map(|i| ((i * i) as f64).cos()).collect::<Vec<_>>())
            .unwrap();
        check_gradients(&program!(|x| spectral_norm(&x[0])), &[w], 2).unwrap();
    }
    assert_eq!(spectral_norm(&Array::zeros(&[0, 3])).item(), 0.0);
    assert!(spectral_norm(&Array::zeros(&[2, 3])).item() < 1e-300);
    assert!(
        grad(|w| spectral_norm(&w), &Array::zeros(&[2, 3])).unwrap().view().iter().all(|x| x.is_finite())
    );
}

#[test]
fn a_bound_is_a_penalty() {
    let x = weights();
    let expected = spectral_norm(&x.0).item() * spectral_norm(&x.1).item();
    assert_close(penalty(x.clone()).item(), expected, 1e-12);
    check_gradients(&program!(|x| penalty((x[0].clone(), x[1].clone()))), &[x.0, x.1], 3).unwrap();
}

/// A convolution between others, as a function of its kernel.
fn convolved<T: Tensor>(kernel: &T) -> T {
    let window = antiphon::Window2d { stride: [1, 1], padding: [1, 1] };
    let network = |x: Bound<T>| {
        x.conv2d(&Bound::lift(kernel), window)
            .relu()
            .avg_pool2d([2, 2], antiphon::Window2d { stride: [2, 2], padding: [0, 0] })
    };
    lipschitz_bound(network, &Domain::Everywhere(T::zeros(&[1, 2, 6, 6])))
}

#[test]
fn norms_of_convolutions_have_a_derivative() {
    let kernel = Array::from_elements(
        &[3, 2, 3, 3],
        &(0..54).map(|i| (i as f64 * i as f64).sin()).collect::<Vec<_>>(),
    );
    let kernel = kernel.unwrap();
    check_gradients(&program!(|x| convolved(&x[0])), std::slice::from_ref(&kernel), 1).unwrap();
    let twice = antiphon::hvp(|kernel| convolved(&kernel), &kernel, &kernel).unwrap_err().to_string();
    assert!(twice.contains("no second derivative"), "{twice}");
    #[cfg(feature = "staging")]
    {
        use antiphon::recording::Recorded;
        let slope = |kernel: Recorded| grad(|kernel| convolved(&kernel), &kernel).or_raise();
        let mut code = antiphon::compile("convolved", slope, &kernel).unwrap();
        let expected = grad(|kernel| convolved(&kernel), &kernel).unwrap();
        for (got, expected) in code.call(&kernel).unwrap().view().iter().zip(expected.view()) {
            assert_close(*got, *expected, 1e-9);
        }
    }
}

#[cfg(feature = "staging")]
#[test]
fn the_same_in_compiled_code() {
    use antiphon::compile;
    use antiphon::recording::Recorded;
    let x = weights();
    let mut code = compile("penalty", |x: (Recorded, Recorded)| penalty(x), &x).unwrap();
    assert_close(code.call(&x).unwrap().item(), penalty(x.clone()).item(), 1e-12);
    let slopes = |x: (Recorded, Recorded)| grad(|x| penalty(x), &x).or_raise();
    let mut code = compile("penalty_slopes", slopes, &x).unwrap();
    let (a, b) = code.call(&x).unwrap();
    let (c, d) = grad(|x| penalty(x), &x).unwrap();
    for (got, expected) in a.view().iter().chain(b.view()).zip(c.view().iter().chain(d.view())) {
        assert_close(*got, *expected, 1e-12);
    }
}

#[cfg(feature = "staging")]
#[test]
fn ranges_and_branches_in_compiled_code() {
    use antiphon::compile;
    use antiphon::recording::Recorded;
    /// A gate and a branch, on a box whose size is data.
    fn gated<T: Tensor>((w, radius): (T, T)) -> T {
        let domain = Domain::Box(T::zeros(&[3]) - &radius, T::zeros(&[3]) + &radius);
        let model = |x: Bound<T>| {
            let h = x.clone() * &Bound::lift(&w);
            (h.exp() * x.sigmoid()).maximum(&x)
        };
        lipschitz_bound(model, &domain)
    }
    let x = (Array::from(vec![0.3, -1.0, 0.7]), Array::scalar(1.5));
    let mut code = compile("gated", |x: (Recorded, Recorded)| gated(x), &x).unwrap();
    assert_close(code.call(&x).unwrap().item(), gated(x.clone()).item(), 1e-12);
}

#[test]
fn constants_of_derivatives() {
    // Of the gradient of Σ cos(w·x), −w·sin(w·x): w².
    let slope = |x: Value| grad(|x| (x * 3.0).cos().sum(..), &x).or_raise();
    assert_close(bound(slope, &interval(4, -1.0, 1.0)).value, 9.0, 1e-9);
    let single = NdArray::<f64>::scalar(0.5);
    let f = |x: Value| grad(|x| x.sin(), &x).or_raise();
    let domain = Domain::Box(single.clone() - 0.1, single + 0.1);
    assert_close(bound(f, &domain).value, 0.6f64.sin(), 1e-9);
}
