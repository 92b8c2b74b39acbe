//! Random numbers of keys in compiled code: those of eager runs, of seeds that are data.

use antiphon::random::Key;
use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{NdArray, NdInt, Real, Result, Tensor, TrainingStep, Var, compile, value_and_grad};

type Array = NdArray<f64>;

/// Noise, a mask, an order and a class of each row, all from one key, in a step of training.
fn step<T: Tensor>(weights: &mut T, (x, seed, number): &(T, T::Int, T::Int)) -> Result<T> {
    let [noise, mask, order, class] = Key::new(seed).fold_in(number).split();
    let shape = x.shape();
    let kept = T::from_mask(&mask.bernoulli::<T>(&shape, 0.7));
    let rows = x.gather_rows(&order.permutation::<T>(shape[0])) * kept;
    let noise = noise.normal::<T>(&shape);
    let classes = class.categorical(x);
    let (loss, slope) = value_and_grad(
        |weights: Var<'_, T>| {
            let scores = weights * &rows + &noise;
            scores.cross_entropy(&classes).quantile(0.3, ..) + scores.sort(0).index(0, 1).square().sum(..)
        },
        weights,
    )?;
    *weights -= slope.scale(0.1);
    Ok(loss)
}

#[test]
fn steps_draw_the_same_eagerly_and_compiled() {
    let x: Array = Key::new(&NdInt::scalar(1)).normal(&[5, 4]);
    let start = Array::ones(&[4]);
    let mut eager = TrainingStep::eager(start.clone(), step);
    let mut compiled = TrainingStep::compiled(start, step).configure(|options| options.cache = None);
    let mut losses = Vec::new();
    for number in 0..6 {
        let data = (x.clone(), NdInt::scalar(3), NdInt::scalar(number));
        let (one, other) = (eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item());
        assert!((one - other).abs() <= 1e-12 * (1.0 + one.abs()), "{one} {other}");
        losses.push(one);
    }
    assert_eq!(compiled.compilations(), 1);
    let moved = (eager.state().clone() - compiled.state()).abs().max(..).item();
    assert!(moved <= 1e-12, "{moved}");
    losses.sort_by(f64::total_cmp);
    losses.dedup();
    assert_eq!(losses.len(), 6);
}

/// Integers are equal to the last.
#[test]
fn integers_are_those_of_eager_runs() {
    fn draw<T: Tensor>((x, seed): &(T, T::Int)) -> (T::Int, T::Int, T::Int) {
        let [order, class] = Key::new(seed).split();
        (order.permutation::<T>(20), class.categorical(x), x.argsort(-1))
    }
    let x = Key::new(&NdInt::scalar(1)).normal::<Array>(&[3, 6]);
    let mut compiled =
        compile("draw", |data: (Recorded, RecordedInt)| draw(&data), &(x.clone(), NdInt::scalar(0))).unwrap();
    for seed in [-1, 0, 7, i64::MIN, i64::MAX] {
        let data = (x.clone(), NdInt::scalar(seed));
        assert_eq!(compiled.call(&data).unwrap(), draw(&data), "{seed}");
    }
}
