//! `linearize` and `pullback`: a model is run once.

use std::cell::Cell;

use antiphon::control::scan;
use antiphon::error::Direction;
use antiphon::{
    Batch, Control, Dual, Error, NdArray, NdInt, OrRaise, Partial, Pullback, Real, Structure, Tensor, Var,
    debug, grad, hvp, linearize, pullback, reset, vjp, vmap,
};

type Array = NdArray<f64>;

/// A layer of a network, a loop that data ends, and a choice.
fn model<T: Tensor>(w: &T, x: &T) -> T {
    let h = w.matmul(x).tanh();
    let h = T::while_loop(h, |h| h.square().sum(..).less(&T::constant(10.0)), |h| h * 2.0);
    let large = h.sum(..).greater(&T::constant(1.0));
    T::cond(&large, || h.exp(), || h.sin())
}

fn inputs() -> (Array, Array) {
    let w = Array::from_elements(&[3, 2], &[0.5, -0.25, 1.0, 0.75, -0.5, 0.1]).unwrap();
    (w, Array::from(vec![0.3, -0.6]))
}

fn unit(i: usize) -> Array {
    Array::from((0..3).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<_>>())
}

#[test]
fn the_model_runs_once_and_each_row_of_its_jacobian_is_that_of_vjp() {
    let runs = Cell::new(0);
    let (y, back): (Array, Pullback<_, _>) = pullback(
        |(w, x)| {
            runs.set(runs.get() + 1);
            model(&w, &x)
        },
        &inputs(),
    )
    .unwrap();
    for i in [0, 1, 2, 1] {
        let expected = vjp(|(w, x)| model(&w, &x), &inputs(), &unit(i)).unwrap();
        assert_eq!((y.clone(), back.apply(&unit(i)).unwrap()), expected, "bit by bit");
    }
    let (value, derivative) = linearize(
        |(w, x)| {
            runs.set(runs.get() + 1);
            model(&w, &x)
        },
        &inputs(),
    )
    .unwrap();
    let (w_dot, x_dot) = (inputs().0 * 0.5, inputs().1 * -2.0);
    for scale in [1.0, 3.0] {
        let along = derivative.apply(&(w_dot.clone() * scale, x_dot.clone() * scale)).unwrap();
        let (w_bar, x_bar) = back.apply(&unit(2)).unwrap();
        let product = (w_bar * &w_dot).sum(..).item() + (x_bar * &x_dot).sum(..).item();
        assert!((along.view()[[2]] - scale * product).abs() < 1e-12, "⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩");
    }
    assert_eq!((value, runs.get()), (y, 2));
}

#[test]
fn structures_of_results_and_adjoints_that_are_absent() {
    type Results = (f64, Option<f64>, i64);
    let (y, back): (Results, _) = pullback(|(a, b)| (a.clone() * &b, Some(a + b), 7), &(2.0, 3.0)).unwrap();
    assert_eq!(y, (6.0, Some(5.0), 7));
    assert_eq!(back.apply(&(1.0, Some(10.0), 0)).unwrap(), (13.0, 12.0));
    assert_eq!(back.apply(&(1.0, None, 0)).unwrap(), (3.0, 2.0));
    let ((y, n), derivative) = linearize(|(a, b)| (a * b, 7), &(2.0, 3.0)).unwrap();
    assert_eq!((y, n, derivative.apply(&(1.0, 1.0)).unwrap()), (6.0, 7, (5.0, 7)));
}

#[test]
fn results_that_do_not_depend_on_the_argument() {
    let (y, back): ((f64, f64), _) = pullback(|x| (Var::constant(4.0), x), &2.0).unwrap();
    assert_eq!((y, back.apply(&(5.0, 0.0)).unwrap()), ((4.0, 2.0), 0.0));
    let (_, back): (f64, _) =
        pullback(|_: Vec<Var<'_, Partial<f64>>>| Var::constant(4.0), &vec![1.0, 2.0]).unwrap();
    assert_eq!(back.apply(&1.0).unwrap(), [0.0, 0.0]);
    let (_, derivative) = linearize(|_| Dual::constant(4.0), &2.0).unwrap();
    assert_eq!(derivative.apply(&1.0).unwrap(), 0.0);
}

#[test]
fn rows_by_index_are_added_in_place_and_again_from_nothing_each_time() {
    let table = Array::zeros(&[1000, 3]);
    let pick = |i: i64| NdInt::from(vec![i, i, i + 1]);
    let (_, back): (Array, _) = pullback(
        |table| {
            let rows = table.gather_rows(&pick(5)) * 2.0 + table.gather_rows(&pick(6));
            rows.sum(1) + table.slice(0, 0..3).sum(1)
        },
        &table,
    )
    .unwrap();
    let expected = |seed: &Array| {
        grad(
            |table| {
                let rows = table.gather_rows(&pick(5)) * 2.0 + table.gather_rows(&pick(6));
                ((rows.sum(1) + table.slice(0, 0..3).sum(1)) * Var::lift(seed)).sum(..)
            },
            &table,
        )
        .unwrap()
    };
    for seed in [unit(0), unit(2), Array::from(vec![1.0, -1.0, 0.5])] {
        assert_eq!(back.apply(&seed).unwrap(), expected(&seed));
    }
}

#[test]
fn a_batch_of_adjoints_is_one_run_of_the_program_over_a_batch() {
    let x = Array::from(vec![0.3, -0.6]);
    let rows = vmap(
        |seed: Batch<Array>| {
            let (_, back): (Batch<Array>, _) =
                pullback(|x| x.clone() * x.flip(0) * x, &Batch::lift(&x)).or_raise();
            back.apply(&seed).or_raise()
        },
        &Array::from_elements(&[2, 2], &[1.0, 0.0, 0.0, 1.0]).unwrap(),
    )
    .unwrap();
    let expected = [2.0 * 0.3 * -0.6, 0.09, 0.36, 2.0 * 0.3 * -0.6];
    assert!((rows - Array::from_elements(&[2, 2], &expected).unwrap()).abs().sum(..).item() < 1e-15);
}

#[test]
fn hessian_vector_products_of_one_linearisation() {
    fn f<T: Real>(x: &[T]) -> T {
        x[0].clone() * &x[1] * &x[1] + x[0].sin()
    }
    let x = vec![0.4, 1.5];
    let (gradient, products) =
        linearize(|x: Vec<Dual<Partial<f64>>>| grad(|x| f(&x), &x).or_raise(), &x).unwrap();
    for v in [vec![1.0, 0.0], vec![0.5, -2.0]] {
        assert_eq!((gradient.clone(), products.apply(&v).unwrap()), hvp(|x| f(&x), &x, &v).unwrap());
    }
}

#[test]
fn errors_name_what_was_wrong_and_the_line() {
    let (_, back): (Array, _) = pullback(|(w, x)| model(&w, &x), &inputs()).unwrap();
    let error = back.apply(&Array::from(vec![1.0, 2.0])).unwrap_err();
    assert!(
        matches!(error, Error::Shape { .. }) && error.to_string().contains("tests/eager/linearize.rs"),
        "{error}"
    );
    let (_, derivative) = linearize(|(w, x)| model(&w, &x), &inputs()).unwrap();
    let error = derivative.apply(&vec![inputs().0, inputs().1, inputs().1]).unwrap_err();
    assert!(matches!(error, Error::Structure(_)), "{error}");
    // A tangent that decides.
    let decides = |x: Dual<Partial<f64>>| if x.tangent().less(&Partial::constant(0.0)) { x } else { -x };
    let error = linearize(decides, &1.0).unwrap_err().to_string();
    assert!(error.contains("less: a tangent or adjoint") && error.contains("linearize.rs"), "{error}");
    // The line of the operator whose way back has no memory, or none that fits, is the model's.
    let raises = |x: Dual<Partial<Array>>| x.clone() + x.gather_rows(&NdInt::scalar(7));
    let error = linearize(raises, &inputs().1).unwrap_err();
    assert!(matches!(error, Error::Index { .. }) && error.to_string().contains("linearize.rs"), "{error}");
}

#[test]
fn a_tangent_that_has_left_its_linearize_is_refused_elsewhere() {
    let mut kept = None;
    linearize(
        |x: Dual<Partial<f64>>| {
            kept = Some(x.tangent());
            x
        },
        &1.0,
    )
    .unwrap();
    let kept = kept.unwrap();
    let error = reset(|_| Ok(kept.clone() * 2.0)).unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
    let error = linearize(|x: Dual<Partial<f64>>| Dual::new(x.primal().clone(), x.tangent() * &kept), &1.0)
        .unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
}

/// What a program holds is dropped with it, and what no result takes is not held.
#[test]
fn a_pullback_of_many_operators_holds_what_it_takes() {
    let (_, back): (f64, _) = pullback(
        |x| {
            let mut y = x.clone();
            for _ in 0..10_000 {
                y = y.sin();
                drop(y.exp());
            }
            y
        },
        &0.5,
    )
    .unwrap();
    let steps = format!("{back:?}");
    assert!(steps.contains("steps: 10000"), "a product with each cosine: {steps}");
    let expected = grad(|x| (0..10_000).fold(x, |y, _| y.sin()), &0.5).unwrap();
    assert_eq!(back.apply(&1.0).unwrap(), expected);
}

#[test]
fn any_structure_has_a_pullback() {
    #[derive(Clone, Debug, PartialEq, antiphon::Params)]
    struct Layer<T> {
        weight: T,
        bias: Option<T>,
    }
    fn apply<T: Real>(layer: &Layer<T>, x: &T) -> T {
        let y = layer.weight.clone() * x;
        layer.bias.as_ref().map_or(y.clone(), |bias| y + bias)
    }
    fn is_structure<T: Real, S: Structure<T>>(_: &S) {}
    let layer = Layer { weight: 2.0, bias: Some(0.5) };
    is_structure::<f64, _>(&layer);
    let (y, back): (f64, _) = pullback(|layer: Layer<_>| apply(&layer, &Var::constant(3.0)), &layer).unwrap();
    assert_eq!((y, back.apply(&2.0).unwrap()), (6.5, Layer { weight: 6.0, bias: Some(2.0) }));
}

#[test]
fn what_is_not_finite_is_found_in_the_pass_and_at_the_line_that_it_is_of() {
    let x = Array::from(vec![0.0, 4.0]);
    let error = debug::check_finite(|| {
        let (_, back): (Array, _) = pullback(|x| x.sqrt().sum(..), &x)?;
        back.apply(&Array::scalar(1.0))
    })
    .unwrap_err();
    assert!(
        matches!(error, Error::NotFinite { op: "sqrt", direction: Direction::Backward, .. })
            && error.to_string().contains("tests/eager/linearize.rs"),
        "{error}"
    );
    let error =
        debug::check_finite(|| linearize(|x| x.sqrt().sum(..), &x)?.1.apply(&x.ones_like())).unwrap_err();
    assert!(error.to_string().contains("tests/eager/linearize.rs"), "{error}");
}

#[test]
fn a_scan_over_nothing_raises_nothing_of_what_its_step_would() {
    let positive = |sum: Array, x: Array| {
        Array::ensure(&x.greater(&Array::scalar(0.0)), "positive");
        (sum + x.log(), x)
    };
    let (sum, rows) =
        debug::check_finite(|| scan(Array::scalar(1.0), &Array::zeros(&[0]), positive)).unwrap();
    assert_eq!((sum.item(), rows), (1.0, Array::zeros(&[0])));
}
