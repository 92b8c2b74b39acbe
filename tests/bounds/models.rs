//! Layers as they are, on boxes and everywhere: no two results are farther apart than the bound says.

use antiphon::lipschitz::{Bound, Domain, auto_lip};
use antiphon::nn::{
    BatchNorm, BatchStatistics, Conv2d, Dropout, GroupNorm, Gru, LayerNorm, Linear, Lstm, MultiHeadAttention,
    Pool2d, Recurrent, RmsNorm, Rng, Rnn, Rotary, causal,
};
use antiphon::{Int, Params, Real, Tensor, Window2d};

use super::{Array, Value};

fn numbers(seed: u64, n: usize) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| rng.normal()).collect()
}

fn distance(a: &Array, b: &Array) -> f64 {
    // (A window of padding alone is −∞ wherever the input is.)
    let apart = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { a - b };
    a.view().iter().zip(b.view()).map(apart).fold(0.0, f64::hypot)
}

/// Checks a bound on boxes of three sizes, and everywhere; how many of these are finite.
fn check(
    name: &str,
    shape: &[usize],
    f: impl Fn(&Array) -> Array,
    bounded: impl Fn(Value) -> Value,
) -> usize {
    let n: usize = shape.iter().product();
    let center = Array::from_elements(shape, &numbers(1, n)).unwrap();
    let mut finite = 0;
    for radius in [1e-3, 0.1, 1.0, f64::INFINITY] {
        let domain = match radius {
            f64::INFINITY => Domain::Everywhere(center.clone()),
            _ => Domain::Box(center.clone() - radius, center.clone() + radius),
        };
        let report = auto_lip(&bounded, &domain).unwrap();
        assert!(report.value.is_finite() == report.reason.is_none(), "{name}: {report}");
        if report.value.is_infinite() {
            continue;
        }
        finite += 1;
        let reach = radius.min(3.0);
        let clip = |x: Array| x.clip(&(center.clone() - radius), &(center.clone() + radius));
        for pair in 0..60 {
            let [mut a, mut b] = [2 * pair, 2 * pair + 1]
                .map(|seed| Array::from_elements(shape, &numbers(100 + seed, n)).unwrap() * (reach * 0.5));
            a += &center;
            // Near or far, and in one element or in all.
            let near = if pair % 2 == 0 { 1e-3 } else { 1.0 };
            if pair % 3 == 0 {
                let only: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == pair as usize % n))).collect();
                b *= Array::from_elements(shape, &only).unwrap();
            }
            let (a, b) = (clip(a.clone()), clip(a + b * near));
            let (apart, change) = (distance(&a, &b), distance(&f(&a), &f(&b)));
            assert!(
                change <= report.value * apart * (1.0 + 1e-9) + 1e-13,
                "{name} in a box of {radius}: {change} of {apart} apart, and\n{report}"
            );
        }
    }
    finite
}

/// A layer, the shape of its input and what is computed with it, as an array's and as a bound's.
macro_rules! check {
    ($least:expr, $name:expr, $shape:expr, $layer:expr, |$l:ident, $x:ident| $body:expr) => {{
        let layer = $layer;
        let lifted = layer.map_leaves(Value::lift);
        let of_array = |$x: &Array| {
            type T = Array;
            let $l = &layer;
            let _ = T::zeros(&[]);
            $body
        };
        let of_bound = |x: Value| {
            type T = Value;
            let ($l, $x) = (&lifted, &x);
            let _ = T::zeros(&[]);
            $body
        };
        let finite = check($name, $shape, of_array, of_bound);
        assert!(finite >= $least, "{}: {finite} bounds are finite", $name);
    }};
}

/// A sequence of the rows of an array.
fn sequence<T: Tensor, C: Recurrent<T>>(cell: &C, x: &T) -> T {
    let shape = x.shape();
    cell.sequence(cell.initial(shape[1]), x).0
}

fn in_training<T: Tensor>(norm: &BatchNorm<T>, x: &T) -> T {
    let (y, statistics) = norm.train(x, &BatchStatistics::new(x.shape()[1]));
    y + statistics.variance.sum(..)
}

fn in_inference<T: Tensor>(norm: &BatchNorm<T>, x: &T) -> T {
    norm.apply(x, &BatchStatistics::new(x.shape()[1]))
}

fn attention<T: Tensor>(layer: &MultiHeadAttention<T>, x: &T, masked: bool) -> T {
    let steps = x.shape()[1];
    let mask = masked.then(|| causal::<T>(steps, steps));
    layer.apply(x, x, mask.as_ref())
}

#[test]
fn sequences_attention_and_norms() {
    let mut rng = Rng::new(3);
    check!(4, "Linear", &[2, 3], Linear::new(&mut rng, 3, 4), |l, x| l.apply(x));
    check!(3, "Rnn", &[4, 2, 3], Rnn::new(&mut rng, 3, 4), |l, x| sequence(l, x));
    check!(3, "Gru", &[4, 2, 3], Gru::new(&mut rng, 3, 4), |l, x| sequence(l, x));
    check!(3, "Lstm", &[4, 2, 3], Lstm::new(&mut rng, 3, 4), |l, x| sequence(l, x));
    let attentive = MultiHeadAttention::new(&mut rng, 4, 2);
    check!(3, "attention", &[2, 3, 4], attentive.clone(), |l, x| attention(l, x, false));
    check!(3, "causal attention", &[2, 3, 4], attentive.clone(), |l, x| attention(l, x, true));
    let turned = MultiHeadAttention { rotary: Some(Rotary::default()), ..attentive };
    check!(3, "rotary attention", &[2, 3, 4], turned, |l, x| attention(l, x, true));
    check!(4, "LayerNorm", &[2, 5], LayerNorm::new(5), |l, x| l.apply(x));
    check!(4, "RmsNorm", &[2, 5], RmsNorm::new(5), |l, x| l.apply(x));
    check!(3, "GroupNorm", &[2, 4, 3], GroupNorm::new(2, 4), |l, x| l.apply(x));
    check!(3, "BatchNorm in training", &[4, 3], BatchNorm::new(3), |l, x| in_training(l, x));
    check!(4, "BatchNorm", &[4, 3], BatchNorm::new(3), |l, x| in_inference(l, x));
}

#[test]
fn images() {
    let mut rng = Rng::new(4);
    for (stride, padding) in [([1, 1], [0, 0]), ([2, 1], [1, 0]), ([3, 2], [2, 2])] {
        let window = Window2d { stride, padding };
        let conv = Conv2d { window, ..Conv2d::new(&mut rng, 2, 3, [3, 2]) };
        check!(4, "Conv2d", &[2, 2, 5, 4], conv, |l, x| l.apply(x));
        check!(4, "max pool", &[1, 2, 5, 4], LayerNorm::new(1), |_l, x| Pool2d { kernel: [3, 2], window }
            .max(x));
        check!(4, "mean pool", &[1, 2, 5, 4], LayerNorm::new(1), |_l, x| Pool2d { kernel: [3, 2], window }
            .mean(x));
    }
    check!(4, "adaptive pool", &[1, 2, 5, 4], LayerNorm::new(1), |_l, x| x.adaptive_avg_pool2d([3, 3]));
    check!(4, "adaptive max pool", &[1, 2, 5, 4], LayerNorm::new(1), |_l, x| x.adaptive_max_pool2d([3, 3]));
    check!(4, "dropout", &[3, 4], LayerNorm::new(1), |_l, x| Dropout::new(0.4)
        .unwrap()
        .apply(x, &Int::constant(3)));
}

/// Of losses by what they are of.
#[test]
fn losses() {
    use antiphon::nn::loss;
    use antiphon::nn::loss::Reduction;
    let target = |n: usize| numbers(9, n).iter().map(|x| x.abs().min(1.0)).collect::<Vec<_>>();
    macro_rules! of {
        ($least:expr, $name:expr, |$x:ident, $y:ident| $body:expr) => {
            check!($least, $name, &[2, 3], LayerNorm::new(1), |_l, x| {
                let ($x, $y) = (x, &T::from_elements(&[2, 3], &target(6)).unwrap());
                $body
            })
        };
    }
    of!(3, "mse", |x, y| loss::mse(x, y, Reduction::Mean));
    of!(4, "l1", |x, y| loss::l1(x, y, Reduction::Sum));
    of!(1, "huber", |x, y| loss::huber(x, y, 0.5, Reduction::Mean));
    of!(1, "smooth l1", |x, y| loss::smooth_l1(x, y, 0.5, Reduction::Mean));
    of!(4, "binary cross-entropy", |x, y| loss::binary_cross_entropy(x, y, Reduction::Mean));
    of!(4, "kl", |x, y| loss::kl_divergence(&x.log_softmax(-1), y, Reduction::Sum));
}

/// Bounds within bounds, of derivatives of bounds, and of batches.
#[test]
fn bounds_of_bounds() {
    use antiphon::lipschitz::lipschitz_bound;
    use antiphon::{OrRaise, Var, grad, vmap};
    // |w| is a bound of w·x, and 1 one of that.
    let outer = |w: Value| {
        lipschitz_bound(|x: Bound<Value>| x * &Bound::lift(&w), &Domain::Everywhere(Value::zeros(&[])))
    };
    let got = auto_lip(outer, &Domain::Box(Array::scalar(-1.0), Array::scalar(2.0))).unwrap();
    assert!((got.value - 1.0).abs() < 1e-9, "{got}");
    // Of the derivative of a bound, 2w·tanh′… by w: with the range of w.
    let slope = |w: Value| {
        grad(
            |w: Var<'_, Value>| {
                lipschitz_bound(
                    |x: Bound<Var<'_, Value>>| (x * &Bound::lift(&w)).sin() * &Bound::lift(&w),
                    &Domain::Everywhere(Var::zeros(&[])),
                )
            },
            &w,
        )
        .or_raise()
    };
    // w·|w| has the derivative 2|w|, whose constant is 2.
    let got = auto_lip(slope, &Domain::Box(Array::scalar(0.5), Array::scalar(2.0))).unwrap();
    assert!(got.value >= 2.0 * (1.0 - 1e-12), "{got}");
    // Each row of a batch.
    let rows = |x: Value| vmap(|row| (row * 2.0).sum(..).tanh(), &x).or_raise();
    let got = auto_lip(rows, &Domain::Everywhere(Array::zeros(&[3, 4]))).unwrap();
    assert!((got.value - 4.0).abs() < 1e-12, "{got}");
}
