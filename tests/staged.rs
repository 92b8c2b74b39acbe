//! Recorded programs compute what the same model computes eagerly.

use antiphon::nn::{LstmState, Recurrent, Rng};
use antiphon::staged::{Expr, Options, interpret, optimise, record};
use antiphon::{Dual, Error, NdArray, Params, Real, Tensor, Var, grad, hvp, nn, stage, value_and_grad};

type Array = NdArray<f64>;

fn close(a: &Array, b: &Array) -> bool {
    a.shape() == b.shape()
        && a.view().iter().zip(b.view().iter()).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs()))
}

#[test]
fn the_recorded_gradient_of_a_cube_is_three_x_squared() {
    let cube = |x: Expr| grad(|y: Var<'_, Expr>| y.clone() * &y * &y, &x).unwrap();
    let mut program = record("slope", cube, &Array::scalar(0.0)).unwrap();
    optimise(&mut program, &Options::default());
    let ops: Vec<&str> = program.exprs().iter().map(|expr| expr.name()).collect();
    assert_eq!(ops, ["mul", "fill", "mul"], "{program}");
    let text = program.to_string();
    assert!(text.contains("x * x") && text.contains("3.0 * "), "{text}");
    assert_eq!(interpret(&program, &Array::scalar(5.0)).unwrap(), [Array::scalar(75.0)]);
}

#[derive(Params, Clone)]
struct Model<T> {
    cell: nn::Lstm<T>,
    head: nn::Linear<T>,
}

fn loss<T: Tensor>(model: &Model<T>) -> T {
    let mut state: LstmState<T> = model.cell.initial(2);
    let mut loss = T::constant(0.0);
    for time in 0..3 {
        let x = T::from_elements(&[2, 2], &[0.1, 0.2, 0.3, 0.4 + f64::from(time)]).unwrap();
        state = model.cell.step(&state, &x);
        loss = loss + model.head.apply(&state.h).log_softmax(-1).square().mean(..);
    }
    loss
}

#[test]
fn a_training_step_of_an_lstm() {
    let mut rng = Rng::new(1);
    let model: Model<Array> =
        Model { cell: nn::Lstm::new(&mut rng, 2, 3), head: nn::Linear::new(&mut rng, 3, 4) };
    let (value, gradient) = value_and_grad(|m| loss(&m), &model).unwrap();
    let step = |m: Model<Expr>| value_and_grad(|m| loss(&m), &m).unwrap();
    let mut program = record("step", step, &model).unwrap();
    let recorded = interpret(&program, &model).unwrap();
    let before = program.len();
    optimise(&mut program, &Options::default());
    assert!(program.len() < before / 2, "{} of {before} statements are left", program.len());
    let optimised = interpret(&program, &model).unwrap();
    assert_eq!(recorded, optimised);
    let mut compiled = stage("step", step, &model).unwrap();
    let compiled = compiled.call(&model).unwrap();
    let expected: Vec<Array> = std::iter::once(value).chain(gradient.leaves()).collect();
    assert_eq!(recorded.len(), expected.len());
    for (recorded, expected) in recorded.iter().zip(&expected) {
        assert!(close(recorded, expected), "{recorded:?} {expected:?}");
    }
    for (compiled, expected) in compiled.iter().zip(&expected) {
        assert!(close(compiled, expected), "{compiled:?} {expected:?}");
    }
}

#[test]
fn nested_interpretations_record_as_well() {
    let f = |x: f64| (x.powi(3) * x.sin(), 6.0 * x * x.sin() + 6.0 * x * x * x.cos() - x.powi(3) * x.sin());
    let x = Array::scalar(0.7);
    let second = |x: Expr| hvp(|y: Var<'_, Dual<Expr>>| y.powi(3) * y.sin(), &x, &x.ones_like()).unwrap().1;
    let forward_over_reverse = record("hvp", second, &x).unwrap();
    let reverse_twice = record(
        "reverse",
        |x: Expr| grad(|y: Var<'_, Expr>| grad(|z| z.powi(3) * z.sin(), &y).unwrap(), &x).unwrap(),
        &x,
    )
    .unwrap();
    for program in [forward_over_reverse, reverse_twice] {
        let result = interpret(&program, &x).unwrap();
        assert!((result[0].item() - f(0.7).1).abs() < 1e-13, "{result:?}");
    }
}

#[test]
fn what_is_wrong_is_found_while_recording() {
    let error = record("wrong", |x: Expr| x.matmul(&x), &Array::zeros(&[2, 4])).unwrap_err();
    assert!(
        error.to_string().starts_with("matmul: cannot multiply [2, 4] by [2, 4] (tests/staged.rs:"),
        "{error}"
    );
    let error =
        record("wrong", |x: Expr| grad(|y| y.matmul(&y).sum(..), &x).unwrap_or(x), &Array::zeros(&[2, 4]));
    assert!(error.is_ok(), "an inner error can be handled while recording");
    // A recorded value belongs to its recording.
    let mut kept = None;
    record("first", |x: Expr| *kept.insert(x), &Array::scalar(1.0)).unwrap();
    let error = record("second", |x: Expr| x + kept.unwrap(), &Array::scalar(1.0)).unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
    // Running with other shapes than were recorded.
    let program = record("sum", |x: Expr| x.sum(..), &Array::zeros(&[3])).unwrap();
    let error = interpret(&program, &Array::zeros(&[4])).unwrap_err();
    assert!(matches!(error, Error::Recording { .. }), "{error}");
}
