//! `linearize` and `pullback` in recorded models.

use antiphon::compiled::{CompileOptions, compile_derivative_with};
use antiphon::control::scan;
use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{
    Control, Dual, NdArray, NdInt, OrRaise, Partial, Real, Tensor, Var, compile, compile_derivative, grad,
    hvp, linearize, pullback,
};

type Array = NdArray<f64>;

/// Squares until it is at least 100, beside a sine: control flow and straight code.
fn grow<T: Control>(x: T) -> T {
    let sine = x.sin();
    let grown = T::while_loop(x, |x| x.less(&T::constant(100.0)), |x| x.square());
    let small = sine.less(&T::constant(0.0));
    T::cond(&small, || grown.clone() * &sine, || grown.clone() + &sine)
}

/// The sum of `tanh` along a recurrence, and all of its states.
fn recurrence<T: Tensor>(w: &T, xs: &T) -> (T, T) {
    scan(w.zeros_like(), xs, |h: T, x| {
        let h = (w.clone() * h + x).tanh();
        (h.clone(), h)
    })
    .or_raise()
}

#[test]
fn a_pullback_in_a_compiled_model_is_applied_twice() {
    let both = |x: Recorded| {
        let (y, back): (Recorded, _) = pullback(|x| grow(x), &x).or_raise();
        let one = back.apply(&y.ones_like()).or_raise();
        let three = back.apply(&y.full_like(3.0)).or_raise();
        (y, one, three)
    };
    let mut both = compile("both", both, &Array::scalar(3.0)).unwrap();
    for x in [3.0, 4.0, 200.0] {
        let slope = grad(|x| grow(x), &x).unwrap();
        let (y, one, three) = both.call(&Array::scalar(x)).unwrap();
        assert!((y.item() - grow(x)).abs() <= 1e-12 * grow(x).abs());
        assert!((one.item() - slope).abs() <= 1e-12 * slope.abs(), "{one} and {slope}");
        assert!((three.item() - 3.0 * slope).abs() <= 1e-12 * slope.abs());
    }
}

#[test]
fn a_pullback_of_a_scan() {
    let xs = Array::from(vec![0.3, -0.2, 0.5]);
    let rows = |(w, xs): (Recorded, Recorded)| {
        let (_, back): ((Recorded, Recorded), _) =
            pullback(|(w, xs)| recurrence(&w, &xs), &(w, xs)).or_raise();
        let unit = |i: usize| {
            let row = [0, 1, 2].map(|j| if i == j { 1.0 } else { 0.0 });
            Recorded::from_elements(&[3], &row).or_raise()
        };
        (0..3).map(|i| back.apply(&(w.zeros_like(), unit(i))).or_raise()).collect::<Vec<_>>()
    };
    let inputs = (Array::scalar(0.7), xs);
    let found = compile("rows", rows, &inputs).unwrap().call(&inputs).unwrap();
    for (i, (w_bar, xs_bar)) in found.iter().enumerate() {
        let expected = grad(|(w, xs)| recurrence(&w, &xs).1.index(0, i), &inputs).unwrap();
        assert!((w_bar.clone() - expected.0).abs().item() < 1e-14);
        assert!((xs_bar.clone() - expected.1).abs().sum(..).item() < 1e-14);
    }
}

#[test]
fn derivatives_of_a_pullback_of_control_flow() {
    // d/dx of 3·d/dx, in a recorded model.
    let second = |x: Recorded| {
        grad(
            |x| {
                let (_, back): (Var<'_, Recorded>, _) = pullback(|x| grow(x), &x).or_raise();
                back.apply(&Var::constant(3.0)).or_raise()
            },
            &x,
        )
        .or_raise()
    };
    let mut second = compile("second", second, &Array::scalar(3.0)).unwrap();
    for x in [3.0, 4.0, 200.0] {
        let expected = grad(|x| grad(|x| grow(x), &x).unwrap() * 3.0, &x).unwrap();
        let found = second.call(&Array::scalar(x)).unwrap().item();
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} and {expected}");
    }
}

#[test]
fn linearize_in_a_compiled_model() {
    let smooth = |x: Dual<Partial<Recorded>>| x.sin() * x.exp() + x;
    let along = |(x, v): (Recorded, Recorded)| {
        let (y, derivative) = linearize(smooth, &x).or_raise();
        let once = derivative.apply(&v).or_raise();
        let twice = derivative.apply(&once).or_raise();
        (y, twice)
    };
    let inputs = (Array::from(vec![0.2, 1.5]), Array::from(vec![1.0, -2.0]));
    let (_, twice) = compile("along", along, &inputs).unwrap().call(&inputs).unwrap();
    let slope = |x: f64| grad(|x| x.sin() * x.exp() + x, &x).unwrap();
    let expected = Array::from(vec![slope(0.2).powi(2), -2.0 * slope(1.5).powi(2)]);
    assert!((twice - expected).abs().sum(..).item() < 1e-12);
}

#[test]
fn linearize_of_recorded_control_flow() {
    let along = |x: Recorded| {
        let (y, derivative) = linearize(grow, &x).or_raise();
        let one = derivative.apply(&y.ones_like()).or_raise();
        (y, one, derivative.apply(&y.full_like(3.0)).or_raise())
    };
    let mut along = compile("along", along, &Array::scalar(3.0)).unwrap();
    for x in [3.0, 4.0, 200.0] {
        let slope = grad(|x| grow(x), &x).unwrap();
        let (y, one, three) = along.call(&Array::scalar(x)).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} and {b}");
        close(y.item(), grow(x));
        close(one.item(), slope);
        close(three.item(), 3.0 * slope);
    }
}

#[test]
fn linearize_of_a_gradient_of_recorded_control_flow() {
    let products = |(w, xs): (Recorded, Recorded)| {
        let slope = |w: Dual<Partial<Recorded>>| {
            let xs = Dual::lift(&Partial::lift(&xs));
            grad(|w| recurrence(&w, &Var::lift(&xs)).1.sum(..), &w).or_raise()
        };
        let (slope, derivative) = linearize(slope, &w).or_raise();
        (slope, derivative.apply(&w.full_like(2.0)).or_raise())
    };
    let inputs = (Array::scalar(0.7), Array::from(vec![0.3, -0.2, 0.5]));
    let (slope, product) = compile("products", products, &inputs).unwrap().call(&inputs).unwrap();
    let (w, xs) = &inputs;
    let two = Array::scalar(2.0);
    let expected = hvp(|w| recurrence(&w, &Var::lift(&Dual::lift(xs))).1.sum(..), w, &two).unwrap();
    assert!((slope - expected.0).abs().item() < 1e-13);
    assert!((product - expected.1).abs().item() < 1e-13);
}

#[test]
fn a_gradient_through_a_derivative_of_recorded_control_flow() {
    let third = |x: Recorded| {
        grad(
            |x| {
                let (_, derivative) = linearize(grow, &x).or_raise();
                derivative.apply(&x).or_raise()
            },
            &x,
        )
        .or_raise()
    };
    let mut third = compile("third", third, &Array::scalar(3.0)).unwrap();
    for x in [3.0, 4.0, 200.0] {
        // d/dx of x·f′(x).
        let expected = grad(|x| grad(|x| grow(x), &x).unwrap() * &x, &x).unwrap();
        let found = third.call(&Array::scalar(x)).unwrap().item();
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} and {expected}");
    }
}

/// Control flow that has a tangent of its own and begins with none: products from 1, and a branch that only captures.
#[test]
fn tangents_that_recorded_control_flow_captures() {
    fn products<T: Tensor>(x: &T) -> T {
        let small = x.sum(..).less(&T::constant(2.5));
        let all = scan(T::constant(1.0), x, |c: T, x| {
            let c = c * x;
            (c.clone(), c)
        });
        T::cond(&small, || x.sum(..), || T::constant(1.0)) * all.or_raise().0
    }
    let along = |x: Recorded| linearize(|x| products(&x), &x).or_raise().1.apply(&x).or_raise();
    let slope = |x: Recorded| {
        grad(|x| linearize(|x| products(&x), &x).or_raise().1.apply(&x).or_raise(), &x).or_raise()
    };
    let x = Array::from(vec![0.5, 0.9]);
    // (x + y)·x·y and its derivative along (x, y), which is three times itself.
    let expected = 3.0 * 1.4 * 0.45;
    let found = compile("along", along, &x).unwrap().call(&x).unwrap().item();
    assert!((found - expected).abs() < 1e-13, "{found}");
    let found = compile("slope", slope, &x).unwrap().call(&x).unwrap();
    let expected = Array::from(vec![3.0 * (2.0 * 0.45 + 0.81), 3.0 * (0.25 + 2.0 * 0.45)]);
    assert!((found - expected).abs().sum(..).item() < 1e-13);
}

#[test]
fn a_pair_that_goes_forward_through_a_loop() {
    let mut pair =
        compile_derivative("grow", |x: Recorded| linearize(grow, &x), &Array::scalar(3.0)).unwrap();
    for x in [3.0, 4.0, 200.0] {
        let slope = grad(|x| grow(x), &x).unwrap();
        assert!((pair.linearize(&Array::scalar(x)).unwrap().item() - grow(x)).abs() <= 1e-12 * grow(x).abs());
        for v in [1.0, -2.0] {
            let found = pair.apply(&Array::scalar(v)).unwrap().item();
            assert!((found - v * slope).abs() <= 1e-12 * (v * slope).abs(), "{found}");
        }
    }
}

#[test]
fn a_model_that_gives_another_program_each_time_is_refused() {
    let mut calls = 0.0;
    let changing = |x: Recorded| {
        calls += 1.0;
        pullback::<_, Recorded>(|x| x.sin() * calls, &x)
    };
    let error = compile_derivative("changing", changing, &Array::scalar(3.0)).unwrap_err().to_string();
    assert!(
        error.contains("tests/compiled/linearize.rs") && error.contains("was 1.0, and is 2.0"),
        "{error}"
    );
}

#[test]
fn a_pair_of_functions_with_what_the_second_takes_of_the_first() {
    let w = Array::from_elements(&[2, 2], &[0.5, -0.25, 1.0, 0.75]).unwrap();
    let x = Array::from(vec![0.3, -0.6]);
    fn model<T: Tensor>(w: &T, x: &T) -> T {
        w.matmul(x).sin() * 2.0
    }
    let mut pair = compile_derivative(
        "model",
        |(w, x)| pullback::<_, Recorded>(|(w, x)| model(&w, &x), &(w, x)),
        &(w.clone(), x.clone()),
    )
    .unwrap();
    // The sine is computed at a point, and not again for an adjoint: that takes its cosine.
    let derivative = pair.derivative().program().to_string();
    assert!(
        pair.value().program().to_string().contains("sin(") && !derivative.contains("sin("),
        "{derivative}"
    );
    assert!(!derivative.contains("cos("), "{derivative}");
    assert!(pair.apply(&x).unwrap_err().to_string().contains("call `linearize` first"));
    for scale in [1.0, -3.0] {
        let x = x.clone() * scale;
        let y: Array = pair.linearize(&(w.clone(), x.clone())).unwrap();
        assert!((y - model(&w, &x)).abs().sum(..).item() < 1e-14);
        for i in 0..2 {
            let mut unit = vec![0.0, 0.0];
            unit[i] = 1.0;
            let (w_bar, x_bar) = pair.apply(&Array::from(unit)).unwrap();
            let expected = grad(|(w, x)| model(&w, &x).index(0, i), &(w.clone(), x.clone())).unwrap();
            assert!((w_bar - expected.0).abs().sum(..).item() < 1e-14);
            assert!((x_bar - expected.1).abs().sum(..).item() < 1e-14);
        }
    }
}

#[test]
fn a_pair_with_control_flow_and_indices() {
    let inputs = (Array::scalar(0.7), Array::from(vec![0.3, -0.2, 0.5]));
    let mut pair = compile_derivative(
        "recurrence",
        |(w, xs)| pullback::<_, (Recorded, Recorded)>(|(w, xs)| recurrence(&w, &xs), &(w, xs)),
        &inputs,
    )
    .unwrap();
    for scale in [1.0, 0.5] {
        let inputs = (inputs.0.clone(), inputs.1.clone() * scale);
        let (last, states): (Array, Array) = pair.linearize(&inputs).unwrap();
        let expected = recurrence(&inputs.0, &inputs.1);
        assert!((last.clone() - expected.0).abs().item() < 1e-14);
        assert!((states - expected.1).abs().sum(..).item() < 1e-14);
        for i in 0..3 {
            let mut unit = vec![0.0; 3];
            unit[i] = 1.0;
            let (w_bar, xs_bar) = pair.apply(&(Array::scalar(0.0), Array::from(unit))).unwrap();
            let expected = grad(|(w, xs)| recurrence(&w, &xs).1.index(0, i), &inputs).unwrap();
            assert!((w_bar - expected.0).abs().item() < 1e-14);
            assert!((xs_bar - expected.1).abs().sum(..).item() < 1e-14);
        }
    }
}

#[test]
fn a_pair_of_rows_by_index_and_forward() {
    let table = Array::from_elements(&[4, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
    let rows =
        |(table, i): (Recorded, RecordedInt)| linearize(|table| table.gather_rows(&i).powi(3).sum(1), &table);
    let mut pair = compile_derivative("rows", rows, &(table.clone(), NdInt::from(vec![0, 0]))).unwrap();
    let y: Array = pair.linearize(&(table.clone(), NdInt::from(vec![3, 1]))).unwrap();
    assert_eq!(y, Array::from(vec![343.0 + 512.0, 27.0 + 64.0]));
    let slope = pair.apply(&table).unwrap();
    assert_eq!(slope, Array::from(vec![3.0 * (343.0 + 512.0), 3.0 * (27.0 + 64.0)]));
}

#[test]
fn what_is_for_steps_of_training_is_refused() {
    let options = CompileOptions { updates: vec![(0, 0)], ..CompileOptions::default() };
    let pair = |x: Recorded| pullback::<_, Recorded>(|x| x.sin(), &x);
    let error = compile_derivative_with("pair", pair, &Array::scalar(3.0), &options).unwrap_err().to_string();
    assert!(error.contains("`CompileOptions::updates`") && error.contains("linearize.rs"), "{error}");
}
