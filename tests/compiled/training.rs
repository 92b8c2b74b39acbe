//! Training steps that are compiled: the same numbers as eagerly, in memory of their own.

#[path = "../../examples/common/char_model.rs"]
#[allow(dead_code, reason = "generating text is not tested here")]
mod char_model;
#[path = "../support/counting.rs"]
mod counting;

use std::thread;

use antiphon::nn::{Linear, Rng};
use antiphon::optim::{AnyOptimizer, OptState, Optimizer, Sgd, clip_by_value};
use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{
    Error, Float, IntTensor, NdArray, NdBool, NdInt, Real, Result, Tensor, TrainingStep, Var, value_and_grad,
};
use char_model::{CharGru, CharLstm, CharModel, CharRnn};
use counting::allocations;

/// Symbols, the next symbols, and the learning rate.
type Batch<T> = (<T as Real>::Int, <T as Real>::Int, T);

/// A step of a character model; the loss, and the gradients before they are limited.
fn step<T, M>(optimizer: &str, (model, state): &mut (M, OptState<M>), batch: &Batch<T>) -> Result<(T, Vec<T>)>
where
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    let (inputs, targets, lr) = batch;
    let (loss, mut gradients) =
        value_and_grad(|model| char_model::loss(&model, &[], inputs, targets).0, model)?;
    let unlimited = antiphon::Params::leaves(&gradients);
    clip_by_value(&mut gradients, 0.5);
    optimizer.parse::<AnyOptimizer>()?.update(state, model, &gradients, lr)?;
    Ok((loss, unlimited))
}

/// The batch of a step, for sequences of this length.
fn batch<E: Float>(step: u64, length: usize, lr: f64) -> Batch<NdArray<E>>
where
    NdArray<E>: Tensor<Int = NdInt, Bool = NdBool>,
{
    let mut rng = Rng::new(step);
    let mut symbols = || {
        let symbols: Vec<i64> = (0..length * 4).map(|_| (rng.uniform() * 11.0) as i64).collect();
        NdInt::from_elements(&[length, 4], &symbols).unwrap()
    };
    (symbols(), symbols(), NdArray::constant(lr))
}

/// A model of a kind that begins to be trained by an optimiser, eagerly and compiled.
macro_rules! twins {
    ($Model:ident<$E:ident>, $optimizer:expr) => {{
        let model: $Model<NdArray<$E>> = CharModel::new(&mut Rng::new(7), 11, 9);
        let start = (model.clone(), $optimizer.parse::<AnyOptimizer>().unwrap().init(&model));
        let eager = TrainingStep::eager(start.clone(), |training, data| step($optimizer, training, data));
        let compiled = TrainingStep::compiled(start, |training, data| step($optimizer, training, data));
        (eager, compiled.configure(|options| options.cache = None))
    }};
}

/// Trains twins for so many steps; the largest relative difference of their losses.
macro_rules! loss_difference {
    ($Model:ident<$E:ident>, $optimizer:expr, $lr:expr, $steps:expr) => {{
        let (mut eager, mut compiled) = twins!($Model<$E>, $optimizer);
        let mut worst = 0f64;
        for step in 0..$steps {
            let batch = batch::<$E>(step, 6, $lr);
            let (expected, found) =
                (eager.call(&batch).unwrap().0.item(), compiled.call(&batch).unwrap().0.item());
            worst = worst.max(f64::from(((found - expected) / expected).abs()));
        }
        assert_eq!((eager.compilations(), compiled.compilations()), (0, 1));
        worst
    }};
}

#[test]
fn losses_of_fifty_steps_are_those_of_eager_training() {
    let double = [
        ("rnn", loss_difference!(CharRnn<f64>, "sgd", 0.05, 50)),
        ("gru", loss_difference!(CharGru<f64>, "adam", 0.01, 50)),
        ("lstm", loss_difference!(CharLstm<f64>, "adagrad", 0.05, 50)),
        ("lstm", loss_difference!(CharLstm<f64>, "nesterov", 0.01, 50)),
    ];
    for (cell, difference) in double {
        assert!(difference < 1e-9, "{cell}: {difference:e}");
    }
    let single = loss_difference!(CharLstm<f32>, "sgd", 0.05, 50);
    assert!(single < 1e-5, "{single:e}");
    assert!(single > 0.0, "code that is compiled for speed cannot round alike 50 times over");
}

#[test]
fn gradients_of_the_first_step_are_those_of_eager_training() {
    fn agree(expected: &[NdArray<f64>], found: &[NdArray<f64>]) {
        assert_eq!(expected.len(), found.len());
        for (expected, found) in expected.iter().zip(found) {
            let scale = expected.abs().max(..).item();
            let worst = (found.clone() - expected).abs().max(..).item();
            assert!(scale > 0.0 && worst <= 1e-13 * scale, "{worst:e} at a scale of {scale:e}");
        }
    }
    let batch = batch::<f64>(0, 6, 0.1);
    macro_rules! first {
        ($Model:ident) => {{
            let (mut eager, mut compiled) = twins!($Model<f64>, "sgd");
            agree(&eager.call(&batch).unwrap().1, &compiled.call(&batch).unwrap().1);
        }};
    }
    first!(CharRnn);
    first!(CharGru);
    first!(CharLstm);
}

#[test]
fn new_shapes_are_compiled_once_and_share_the_state() {
    let (mut eager, mut compiled) = twins!(CharLstm<f64>, "adagrad");
    for (step, length) in [5, 5, 3, 5, 4, 3, 5].into_iter().enumerate() {
        let batch = batch::<f64>(step as u64, length, 0.1);
        let (expected, found) =
            (eager.call(&batch).unwrap().0.item(), compiled.call(&batch).unwrap().0.item());
        assert!((expected - found).abs() < 1e-12 * expected, "step {step}: {found} for {expected}");
    }
    assert_eq!(compiled.compilations(), 3);
    let time = compiled.compile_time();
    compiled.call(&batch::<f64>(9, 4, 0.1)).unwrap();
    assert_eq!((compiled.compilations(), compiled.compile_time()), (3, time));
    let program = compiled.program().unwrap().program().to_string();
    assert!(program.contains("Wh: f64[9, 36], ") && program.contains("Wh_bar"), "{program}");
}

#[test]
fn the_state_is_read_and_written_as_the_users_structure() {
    let (mut eager, mut compiled) = twins!(CharGru<f64>, "adam");
    let start = compiled.state();
    let batches: Vec<_> = (0..5).map(|step| batch::<f64>(step, 4, 0.05)).collect();
    let losses = |training: &mut TrainingStep<'_, _, _, (NdArray<f64>, Vec<NdArray<f64>>)>| -> Vec<f64> {
        batches.iter().map(|batch| training.call(batch).map(|(loss, _)| loss.item()).unwrap()).collect()
    };
    let first = losses(&mut compiled);
    let trained = compiled.state();
    assert_ne!(trained.0.by, start.0.by);
    // The same steps from the same state, on and on.
    compiled.set_state(&start).unwrap();
    assert_eq!(losses(&mut compiled), first);
    // A state moves between the two ways to run a step.
    eager.set_state(&trained).unwrap();
    compiled.set_state(&trained).unwrap();
    let (expected, found) = (losses(&mut eager), losses(&mut compiled));
    assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-12 * a), "{expected:?} {found:?}");
    let mut other = start.clone();
    other.0.by = NdArray::zeros(&[12]);
    let error = compiled.set_state(&other).unwrap_err().to_string();
    assert!(error.contains("0.by is f64[12], but it was f64[11] in the step's state"), "{error}");
    assert_eq!(compiled.compilations(), 1);
}

/// A step of a perceptron for images and labels, with gradient descent; the loss.
fn perceptron_step<T: Tensor>(layers: &mut [Linear<T>; 2], (images, labels): &(T, T::Int)) -> Result<T> {
    let (loss, gradients) = value_and_grad(
        |layers: [Linear<Var<'_, T>>; 2]| {
            layers[1].apply(&layers[0].apply(&Var::lift(images)).relu()).cross_entropy(labels).mean(..)
        },
        layers,
    )?;
    Sgd::default().update(&mut Sgd::default().init(layers), layers, &gradients, &T::constant(0.1))?;
    Ok(loss)
}

#[test]
fn steps_ask_for_no_memory_after_the_first_of_each_shape_but_where_they_are_checked() {
    /// Runs a step on data of two shapes, two of each, again and again.
    fn check<S, D>(mut compiled: TrainingStep<'_, S, D, NdArray<f32>>, data: [D; 4]) {
        compiled.call(&data[0]).unwrap();
        assert_eq!(compiled.compilations(), 1);
        compiled.call(&data[2]).unwrap();
        assert_eq!(compiled.compilations(), 2);
        let mut sum = 0.0;
        // Each is recorded again at its second call, and then when a hundredth of its time allows that.
        data.iter().for_each(|x| drop(compiled.call(x).unwrap()));
        let asked = allocations(|| {
            data.iter().cycle().take(20).for_each(|x| sum += compiled.call(x).unwrap().item())
        });
        assert_eq!((asked, compiled.compilations()), (0, 2));
        assert!(sum > 0.0);
        // A result that the caller keeps is the caller's.
        let kept = compiled.call(&data[0]).unwrap();
        let value = kept.item();
        assert_ne!(compiled.call(&data[0]).unwrap().item(), value);
        assert_eq!(kept.item(), value);
    }
    let batches = || [0, 1, 2, 3].map(|step| batch::<f32>(step, if step < 2 { 6 } else { 4 }, 0.1));
    macro_rules! recurrent {
        ($Model:ident) => {{
            let (_, mut both) = twins!($Model<f32>, "adagrad");
            // A single result: a list of gradients is a list each time.
            let compiled =
                TrainingStep::compiled(both.state(), |training, data| Ok(step("adagrad", training, data)?.0));
            check(compiled.configure(|options| options.cache = None), batches());
            // The counter counts.
            assert!(allocations(|| drop(both.call(&batches()[0]))) > 0);
        }};
    }
    recurrent!(CharRnn);
    recurrent!(CharLstm);
    let mut rng = Rng::new(3);
    let layers = [Linear::new(&mut rng, 12, 20), Linear::new(&mut rng, 20, 5)];
    let compiled = TrainingStep::compiled(layers, perceptron_step);
    let images = |step: u64| {
        let count = if step < 2 { 8 } else { 5 };
        let mut rng = Rng::new(step);
        let pixels: Vec<f64> = (0..count * 12).map(|_| rng.uniform()).collect();
        let labels: Vec<i64> = (0..count as i64).map(|i| (i + step as i64) % 5).collect();
        (NdArray::from_elements(&[count, 12], &pixels).unwrap(), NdInt::from(labels))
    };
    check(compiled.configure(|options| options.cache = None), [0, 1, 2, 3].map(images));
}

#[test]
fn a_step_that_fails_leaves_the_state_as_it_was() {
    let (_, mut compiled) = twins!(CharRnn<f64>, "adam");
    let good = batch::<f64>(0, 6, 0.1);
    let mut bad = good.clone();
    let mut symbols: Vec<i64> = good.1.elements().unwrap();
    symbols[23] = 11;
    bad.1 = NdInt::from_elements(&[6, 4], &symbols).unwrap();
    let mut failed = compiled.state();
    let mut expected = Vec::new();
    for round in 0..3 {
        let error = compiled.call(&bad).err().unwrap();
        assert!(matches!(error, Error::Index { op: "gather_rows" | "gather_last", .. }), "{error}");
        assert!(error.to_string().contains("index 11 is out of range"), "{error}");
        failed = compiled.state();
        expected.push((round, compiled.call(&good).unwrap().0.item()));
    }
    // As if there had been no failures.
    let (_, mut untroubled) = twins!(CharRnn<f64>, "adam");
    for (_, loss) in expected {
        assert_eq!(untroubled.call(&good).unwrap().0.item(), loss);
    }
    assert_ne!(failed.0.by, compiled.state().0.by);
    // What is wrong with a step is found when it is recorded, with the line of the operator.
    let wrong = TrainingStep::compiled(NdArray::<f64>::zeros(&[2, 3]), |x: &mut Recorded, y: &Recorded| {
        *x = x.matmul(y);
        Ok(*x)
    });
    let mut wrong = wrong.configure(|options| options.cache = None);
    let error = wrong.call(&NdArray::zeros(&[2, 3])).unwrap_err().to_string();
    assert!(
        error.starts_with("matmul: cannot multiply [2, 3] by [2, 3] (tests/compiled/training.rs:"),
        "{error}"
    );
    let error = wrong.call(&NdArray::zeros(&[3, 3])).map(|x| assert_eq!(x, NdArray::zeros(&[2, 3])));
    assert!(error.is_ok() && wrong.compilations() == 1);
    let error = wrong.call(&NdArray::zeros(&[3, 4])).unwrap_err().to_string();
    assert!(error.contains("is f64[2, 4], but it was f64[2, 3] in the step's state"), "{error}");
}

/// Compiles if steps and models can be moved to other threads.
const _: () = {
    const fn sendable<T: Send>() {}
    sendable::<TrainingStep<'static, NdArray<f32>, NdInt, NdArray<f32>>>();
    sendable::<antiphon::CompiledFunction<NdArray<f64>, NdArray<f64>, NdArray<f64>>>();
};

#[test]
fn several_threads_train_at_once_with_a_step_each() {
    let run = || {
        let (_, mut compiled) = twins!(CharLstm<f64>, "adam");
        (0..20).map(|step| compiled.call(&batch::<f64>(step, 6, 0.05)).unwrap().0.item()).collect::<Vec<_>>()
    };
    let alone = run();
    thread::scope(|scope| {
        let others: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        for other in others {
            assert_eq!(other.join().unwrap(), alone);
        }
    });
    // And one moves from thread to thread.
    let (_, mut compiled) = twins!(CharLstm<f64>, "adam");
    let mut losses = Vec::new();
    for i in 0..20 {
        let compiled = &mut compiled;
        let loss = thread::scope(|scope| {
            scope.spawn(move || compiled.call(&batch::<f64>(i, 6, 0.05)).unwrap().0.item()).join().unwrap()
        });
        losses.push(loss);
    }
    assert_eq!(losses, alone);
}

#[test]
fn denormals_count_as_zeros_in_steps_unless_asked_not_to_and_only_while_they_run() {
    let halve = || {
        let halve = TrainingStep::compiled(f64::MIN_POSITIVE, |x: &mut Recorded, half: &Recorded| {
            *x *= half;
            Ok(*x)
        });
        halve.configure(|options| options.cache = None)
    };
    let tiny = std::hint::black_box(f64::MIN_POSITIVE);
    assert_eq!(halve().call(&0.5).unwrap(), 0.0);
    assert!(std::hint::black_box(tiny * 0.5) > 0.0, "the mode is restored");
    let mut exact = halve().configure(|options| options.flush_denormals = false);
    assert_eq!(exact.call(&0.5).unwrap(), tiny * 0.5);
    // After an error too.
    let start = NdArray::scalar(0.0f64);
    let failing = TrainingStep::compiled(start, |x: &mut Recorded, (table, i): &(Recorded, RecordedInt)| {
        *x = table.gather_rows(i);
        Ok(*x)
    });
    let mut failing = failing.configure(|options| options.cache = None);
    assert!(failing.call(&(NdArray::zeros(&[3]), NdInt::scalar(3))).is_err());
    assert!(std::hint::black_box(tiny * 0.5) > 0.0, "the mode is restored");
}

#[test]
fn data_of_other_structure_is_compiled_anew() {
    let sum =
        TrainingStep::compiled(0.0f64, |total: &mut Recorded, data: &(Vec<Recorded>, Option<Recorded>)| {
            *total = data.0.iter().fold(*total, |sum, x| sum + x);
            Ok(data.1.map_or(*total, |factor| *total * factor))
        });
    let mut sum = sum.configure(|options| options.cache = None);
    // As many numbers each time, but not in the same places.
    assert_eq!(sum.call(&(vec![1.0, 2.0], None)).unwrap(), 3.0);
    assert_eq!(sum.call(&(vec![4.0], Some(10.0))).unwrap(), 70.0);
    assert_eq!(sum.call(&(vec![1.0, 2.0], None)).unwrap(), 10.0);
    assert_eq!((sum.compilations(), sum.state()), (2, 10.0));
}

/// What an operator raises in a step, outside of any derivative, is what the step returns, in both modes.
#[test]
fn what_a_step_raises_is_returned() {
    fn step<T: Tensor>(x: &mut T, i: &T::Int) -> Result<T> {
        *x = x.clone() + x.get(i);
        Ok(x.sum(..))
    }
    let begin = NdArray::from(vec![1.0, 2.0]);
    let steps: [TrainingStep<'_, NdArray<f64>, NdInt, NdArray<f64>>; 2] =
        [TrainingStep::eager(begin.clone(), step), TrainingStep::compiled(begin.clone(), step)];
    for mut training in steps {
        let error = training.call(&NdInt::scalar(2)).unwrap_err();
        assert!(matches!(error, Error::Index { .. }), "{error}");
        assert_eq!(training.state(), begin);
        assert_eq!(training.call(&NdInt::scalar(1)).unwrap().item(), 7.0);
    }
}
