//! Recorded programs compute what the same model computes eagerly.

use antiphon::nn::{LstmState, Recurrent, Rng};
use antiphon::recording::{OptimiseOptions, Recorded, interpret, optimise, record};
use antiphon::state::{Flag, Index};
use antiphon::{
    Control, Dual, Error, Float, Int, NdArray, NdBool, NdInt, Params, Real, Structure, Tensor, Var, compile,
    grad, hvp, nn, recording, value_and_grad,
};

type Array = NdArray<f64>;

fn close(a: &Array, b: &Array) -> bool {
    a.shape() == b.shape()
        && a.view().iter().zip(b.view().iter()).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs()))
}

#[test]
fn the_recorded_gradient_of_a_cube_is_three_x_squared() {
    let cube = |x: Recorded| grad(|y: Var<'_, Recorded>| y.clone() * &y * &y, &x).unwrap();
    let mut program = record("slope", cube, &Array::scalar(0.0)).unwrap();
    optimise(&mut program, &OptimiseOptions::default());
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
        loss += model.head.apply(&state.h).log_softmax(-1).square().mean(..);
    }
    loss
}

#[test]
fn a_training_step_of_an_lstm() {
    let mut rng = Rng::new(1);
    let model: Model<Array> =
        Model { cell: nn::Lstm::new(&mut rng, 2, 3), head: nn::Linear::new(&mut rng, 3, 4) };
    let (value, gradient) = value_and_grad(|m| loss(&m), &model).unwrap();
    let step = |m: Model<Recorded>| value_and_grad(|m| loss(&m), &m).unwrap();
    let mut program = record("step", step, &model).unwrap();
    let recorded = interpret(&program, &model).unwrap();
    let before = program.len();
    optimise(&mut program, &OptimiseOptions::default());
    assert!(program.len() < before / 2, "{} of {before} statements are left", program.len());
    let optimised = interpret(&program, &model).unwrap();
    assert_eq!(recorded, optimised);
    let mut compiled = compile("step", step, &model).unwrap();
    let (compiled_value, compiled_gradient) = compiled.call(&model).unwrap();
    let compiled: Vec<Array> = std::iter::once(compiled_value).chain(compiled_gradient.leaves()).collect();
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
    let second =
        |x: Recorded| hvp(|y: Var<'_, Dual<Recorded>>| y.powi(3) * y.sin(), &x, &x.ones_like()).unwrap().1;
    let forward_over_reverse = record("hvp", second, &x).unwrap();
    let reverse_twice = record(
        "reverse",
        |x: Recorded| grad(|y: Var<'_, Recorded>| grad(|z| z.powi(3) * z.sin(), &y).unwrap(), &x).unwrap(),
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
    let error = record("wrong", |x: Recorded| x.matmul(&x), &Array::zeros(&[2, 4])).unwrap_err();
    assert!(
        error.to_string().starts_with("matmul: cannot multiply [2, 4] by [2, 4] (tests/compiled/models.rs:"),
        "{error}"
    );
    let error = record(
        "wrong",
        |x: Recorded| grad(|y| y.matmul(&y).sum(..), &x).unwrap_or(x),
        &Array::zeros(&[2, 4]),
    );
    assert!(error.is_ok(), "an inner error can be handled while recording");
    // A recorded value belongs to its recording.
    let mut kept = None;
    record("first", |x: Recorded| *kept.insert(x), &Array::scalar(1.0)).unwrap();
    let error = record("second", |x: Recorded| x + kept.unwrap(), &Array::scalar(1.0)).unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
    // Running with other shapes than were recorded.
    let program = record("sum", |x: Recorded| x.sum(..), &Array::zeros(&[3])).unwrap();
    let error = interpret(&program, &Array::zeros(&[4])).unwrap_err();
    assert!(matches!(error, Error::Recording { .. }), "{error}");
}

/// Newton's iteration for √a, until it moves by less than 1e-12: the number of steps depends on `a`.
fn newton<T: Control>(a: &T) -> T {
    let init = (a.clone(), a.clone().scale(0.5).offset(0.5));
    let moved = |(last, x): &(T, T)| (last.clone() - x).abs().greater(&T::constant(1e-12));
    T::while_loop(init, moved, |(_, x)| (x.clone(), (a.clone() / &x + x).scale(0.5))).1
}

/// x^(2ⁿ), squared until it exceeds 1000, times its own sine on one side of the line: recursion and a branch.
fn grow<T: Control>(x: &T) -> T {
    let y = T::fix(x.clone(), |grow, x: T| {
        let small = x.less(&T::constant(1000.0));
        T::cond(&small, || grow(x.square()), || x.clone())
    });
    T::cond(&x.less(&T::constant(3.0)), || y.sin() * x, || y.log())
}

#[test]
fn control_flow_that_depends_on_data_is_compiled_once() {
    let example = Array::scalar(1.0);
    let mut roots =
        compile("newton", |a: Recorded| value_and_grad(|a| newton(&a), &a).unwrap(), &example).unwrap();
    let mut grown =
        compile("grow", |x: Recorded| value_and_grad(|x| grow(&x), &x).unwrap(), &example).unwrap();
    for x in [1.5, 2.0, 2.5, 7.0, 30.0, 1e4] {
        let x = Array::scalar(x);
        for (compiled, (value, slope)) in [
            (roots.call(&x).unwrap(), value_and_grad(|a| newton(&a), &x).unwrap()),
            (grown.call(&x).unwrap(), value_and_grad(|x| grow(&x), &x).unwrap()),
        ] {
            assert!(
                close(&compiled.0, &value) && close(&compiled.1, &slope),
                "{compiled:?} {value:?} {slope:?}"
            );
        }
    }
}

/// Everything that a model may take.
#[derive(Clone, Structure)]
struct Batch<T: Real> {
    images: T,
    labels: T::Int,
    keep: T::Bool,
    offsets: (Option<Index<T>>, Vec<Flag<T>>),
    classes: usize,
}

/// What a model may give: a structure of its own, with what came in passed through.
#[derive(Clone, Structure)]
struct Scores<T: Real>(T, T::Int, [Flag<T>; 0], Vec<Index<T>>);

fn score<T: Tensor>(w: &T, batch: &Batch<T>) -> Scores<T> {
    let chosen = batch.images.gather_last(&batch.labels) * w;
    let masked = T::select(&batch.keep, &chosen, &chosen.zeros_like());
    let offsets = batch.offsets.0.iter().map(|i| Index(i.0.clone() + T::Int::constant(batch.classes as i64)));
    let flag = batch.offsets.1.iter().fold(masked.clone(), |sum, flag| sum + &T::from_mask(&flag.0));
    Scores(flag, masked.argmax(-1), [], offsets.collect())
}

fn batch<E: Float>(labels: [i64; 3]) -> Batch<NdArray<E>>
where
    NdArray<E>: Tensor<Int = NdInt, Bool = NdBool>,
{
    Batch {
        // Not in row-major order.
        images: NdArray::from_elements(&[2, 3], &[0.5, 1.5, 2.5, 3.5, 4.5, 5.5]).unwrap().permute(&[1, 0]),
        labels: NdInt::from(labels.to_vec()),
        keep: NdBool::from(ndarray::arr1(&[true, false, true])),
        offsets: (Some(Index(NdInt::scalar(labels[0]))), vec![Flag(NdBool::scalar(true))]),
        classes: 7,
    }
}

fn structures_pass<E: Float>()
where
    NdArray<E>: recording::Plain + Tensor<Int = NdInt, Bool = NdBool>,
{
    let w: NdArray<E> = NdArray::from_elements(&[3], &[1.0, 2.0, 3.0]).unwrap();
    let recorded = |(w, batch): (Recorded, Batch<Recorded>)| score(&w, &batch);
    let mut compiled = compile("score", recorded, &(w.clone(), batch::<E>([0, 0, 0]))).unwrap();
    let text = compiled.program().to_string();
    assert!(text.contains("labels: i64[3]") && text.contains("keep: bool[3]"), "{text}");
    let mut kept = Vec::new();
    for labels in [[0, 1, 1], [1, 0, 0]] {
        let inputs = (w.clone(), batch::<E>(labels));
        let expected = score(&inputs.0, &inputs.1);
        let found = compiled.call(&inputs).unwrap();
        assert_eq!((&found.0, &found.1), (&expected.0, &expected.1));
        assert_eq!(found.3[0].0, NdInt::scalar(labels[0] + 7));
        kept.push((found, expected));
    }
    // Results are the caller's: a later call does not change them.
    assert!(kept.iter().all(|(found, expected)| found.0 == expected.0));
    assert_ne!(kept[0].0.0, kept[1].0.0);
    let wrong = (w, Batch { labels: NdInt::from(vec![0]), ..batch::<E>([0; 3]) });
    let error = compiled.call(&wrong).err().unwrap().to_string();
    assert!(error.contains("1.labels is i64[1], but it was i64[3] in the example"), "{error}");
}

#[test]
fn structures_of_reals_integers_and_truth_values_go_in_and_out() {
    structures_pass::<f32>();
    structures_pass::<f64>();
}

#[test]
fn models_of_plain_numbers_are_compiled_over_plain_numbers() {
    fn power<T: Control>((x, n): (T, T::Int)) -> T {
        let init = (x.ones_like(), Index::<T>(T::Int::constant(0)));
        let more = |(_, i): &(T, Index<T>)| i.0.less(&n);
        T::while_loop(init, more, |(y, i)| (y * &x, Index(i.0 + T::Int::constant(1)))).0
    }
    let slope = |(x, n)| value_and_grad(|x| power((x, n)), &x).unwrap();
    let mut compiled = compile("power", slope, &(1.0f32, 0)).unwrap();
    assert_eq!(compiled.call(&(2.0, 10)).unwrap(), (1024.0, 5120.0));
    assert_eq!(compiled.call(&(3.0, 0)).unwrap(), (1.0, 0.0));
    let error = compile("array", |_: Recorded| Recorded::zeros(&[2]), &1.0f64).err().unwrap();
    assert!(error.to_string().contains("f64[2]"), "{error}");
}
