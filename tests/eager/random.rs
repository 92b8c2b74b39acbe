//! Random numbers of keys: that they are a function of the key, and have their distributions.

use std::collections::BTreeSet;

use antiphon::random::Key;
use antiphon::{Int, IntTensor, NdArray, NdInt, Real, Tensor, grad};

type Array = NdArray<f64>;

fn key(seed: i64) -> Key<NdInt> {
    Key::new(&NdInt::constant(seed))
}

/// What a key is told by.
fn first(key: &Key<NdInt>) -> u64 {
    key.uniform::<Array>(&[]).item().to_bits()
}

#[test]
fn keys_differ() {
    let mut seen = BTreeSet::new();
    for seed in (-50..50).chain([i64::MIN, i64::MAX]) {
        let own = key(seed);
        assert!(seen.insert(first(&own)), "{seed}");
        for child in own.split_into(30) {
            assert!(seen.insert(first(&child)), "{seed}");
            let [a, b] = child.split();
            assert!(seen.insert(first(&a)) && seen.insert(first(&b)), "{seed}");
        }
    }
    let [a, b, c] = key(1).split();
    let again = key(1).split_into(3);
    assert_eq!([first(&a), first(&b), first(&c)], [first(&again[0]), first(&again[1]), first(&again[2])]);
    assert_eq!(first(&key(5).fold_in(&NdInt::constant(2))), first(&key(5).split_into(3)[2]));
}

/// Streams of neighbouring keys, and of keys and their children, are not correlated.
#[test]
fn streams_are_independent() {
    let n = 10_000;
    let parent = key(3);
    let children = parent.split_into(4);
    let streams: Vec<Array> = [parent, key(4), key(5)]
        .iter()
        .chain(&children)
        .map(|key| key.uniform::<Array>(&[n]) - 0.5)
        .collect();
    for (i, a) in streams.iter().enumerate() {
        for b in &streams[..i] {
            // Of variance 1/144·n.
            let sum = (a.clone() * b).sum(..).item();
            assert!(sum.abs() < 5.0 * (n as f64 / 144.0).sqrt(), "{sum}");
        }
    }
}

/// Means of so many powers, each within five standard deviations.
fn assert_moments(x: &Array, moments: &[f64]) {
    let n = x.size() as f64;
    let power = |p: usize| x.powi(p as i32).mean(..).item();
    for p in 1..=moments.len() / 2 {
        let deviation = ((moments[2 * p - 1] - moments[p - 1] * moments[p - 1]) / n).sqrt();
        assert!((power(p) - moments[p - 1]).abs() < 5.0 * deviation, "moment {p}: {}", power(p));
    }
}

#[test]
fn distributions() {
    let n = 200_000;
    let normal = key(1).normal::<Array>(&[n]);
    assert_moments(&normal, &[0.0, 1.0, 0.0, 3.0, 0.0, 15.0, 0.0, 105.0]);
    // The first half and the second one are of the same pairs.
    let halves = normal.slice(0, 0..n / 2) * normal.slice(0, n / 2..n);
    assert_moments(&halves, &[0.0, 1.0]);
    let beyond = Array::count_nonzero(&normal.abs().greater(&Array::scalar(3.0)), ..).item() / n as f64;
    assert!((beyond - 0.002_699_8).abs() < 6e-4, "{beyond}");
    let low = Array::from(vec![-1.0, 2.0]);
    let high = Array::from(vec![1.0, 3.0]);
    let uniform = key(2).uniform_in(&[n, 2], &low, &high);
    assert_moments(&uniform.index(1, 0), &[0.0, 1.0 / 3.0, 0.0, 1.0 / 5.0]);
    assert_moments(&(uniform.index(1, 1) - 2.0), &[1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0]);
    let gumbel = key(3).gumbel::<Array>(&[n]);
    let euler = 0.577_215_664_901_532_9;
    let square = euler * euler + std::f64::consts::PI.powi(2) / 6.0;
    assert_moments(&gumbel, &[euler, square]);
    let held = Array::from_mask(&key(4).bernoulli::<Array>(&[n], 0.3));
    assert_moments(&held, &[0.3, 0.3]);
    for (p, expected) in [(0.0, 0.0), (1.0, 1.0)] {
        assert_eq!(Array::from_mask(&key(5).bernoulli::<Array>(&[1000], p)).mean(..).item(), expected);
    }
    let probabilities = Array::from(vec![0.1, 0.9]).broadcast_to(&[n, 2]);
    let held = Array::from_mask(&key(6).bernoulli_of(&probabilities));
    assert_moments(&held.index(1, 0), &[0.1, 0.1]);
    assert_moments(&held.index(1, 1), &[0.9, 0.9]);
    let logits = Array::from(vec![0.1f64.ln(), f64::NEG_INFINITY, 0.6f64.ln(), 0.3f64.ln()]);
    let classes = key(7).categorical(&logits.broadcast_to(&[n, 4]));
    let drawn = Array::one_hot(&classes, 4);
    for (class, p) in [(0, 0.1), (1, 0.0), (2, 0.6), (3, 0.3)] {
        let found = drawn.index(1, class).mean(..).item();
        assert!((found - p).abs() <= 5.0 * (p * (1.0 - p) / n as f64).sqrt(), "{class}: {found}");
    }
}

#[test]
fn permutations() {
    for n in [0, 1, 2, 17] {
        let mut order = key(1).permutation::<Array>(n).elements().unwrap();
        order.sort_unstable();
        assert!(order.into_iter().eq(0..n as i64));
    }
    // Each of six orders about as often as the others.
    let mut times = std::collections::BTreeMap::new();
    for seed in 0..6000 {
        *times.entry(key(seed).permutation::<Array>(3).elements().unwrap()).or_insert(0) += 1;
    }
    assert!(times.len() == 6 && times.values().all(|n| (840..1160).contains(n)), "{times:?}");
}

#[test]
fn in_single_precision() {
    let x = key(1).normal::<NdArray<f32>>(&[3, 5]);
    let y = key(1).normal::<Array>(&[3, 5]);
    assert!(x.view().iter().zip(y.view().iter()).all(|(x, y)| (f64::from(*x) - y).abs() < 1e-4));
    let many = key(2).normal::<NdArray<f32>>(&[1 << 16]);
    assert!(many.view().iter().all(|x| x.is_finite()));
}

/// Samples move with their bounds.
#[test]
fn derivatives() {
    let (low, high) = (Array::scalar(1.0), Array::scalar(3.0));
    let unit = key(1).uniform::<Array>(&[]).item();
    let slope = grad(|(low, high)| key(1).uniform_in(&[], &low, &high), &(low, high)).unwrap();
    assert!((slope.0.item() - (1.0 - unit)).abs() < 1e-15 && (slope.1.item() - unit).abs() < 1e-15);
}

#[test]
fn mistakes() {
    let x = Array::scalar(1.0);
    let wrong =
        grad(|x| x * antiphon::Var::from_mask(&key(1).bernoulli::<antiphon::Var<Array>>(&[], 1.5)), &x);
    let said = wrong.unwrap_err().to_string();
    assert!(said.starts_with("bernoulli: the probability 1.5 is not between 0 and 1"), "{said}");
    assert!(said.contains("random.rs:"), "{said}");
    let several = NdInt::from(vec![1, 2]);
    let wrong = grad(|x| x * Key::new(&several).uniform::<antiphon::Var<Array>>(&[]), &x);
    assert!(wrong.unwrap_err().to_string().starts_with("key: "));
}
