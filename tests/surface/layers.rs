//! Layers, with their gradients.

use antiphon::nn::*;
use antiphon::{NdArray, Params, Real, Tensor, Var, value_and_grad, value_and_grad_aux};

use super::reference::{Array, Reference, assert_close, ints, numbers};

fn layers() -> Reference {
    Reference::of("layers")
}

/// `Σ y·weights`, whose gradients the script has.
fn weighted<T: Tensor>(y: &T, weights: &T) -> T {
    (y.clone() * weights).sum(..)
}

fn batch_norm() -> BatchNorm<Array> {
    BatchNorm { gain: numbers(2.0, &[4]), bias: numbers(3.0, &[4]), ..BatchNorm::new(4) }
}

type Trained<T> = (T, (T, BatchStatistics<T>), (BatchNorm<T>, T));

/// The weighted sum, what the layer gives, the next averages, and the gradients of layer and image.
fn trained<T: Tensor>(
    (inputs, averages, weights): &((BatchNorm<T>, T), BatchStatistics<T>, T),
) -> Trained<T> {
    let found: Trained<T> = value_and_grad_aux(
        |(layer, x): (BatchNorm<Var<'_, T>>, Var<'_, T>)| {
            let (y, next) = layer.train(&x, &averages.map_leaves(Var::lift));
            (weighted(&y, &Var::lift(weights)), (y, next))
        },
        inputs,
    )
    .unwrap();
    found
}

#[test]
fn batch_norm_is_pytorchs_in_training_and_outside() {
    let reference = layers();
    let of = |path: &str| reference.at(&format!("batch_norm/{path}"));
    let x = of("x");
    let data = ((batch_norm(), x.clone()), BatchStatistics::<Array>::new(4), numbers(30.0, &x.shape()));
    let found = both!(data, |data| trained(&data));
    for (mode, (_, (y, next), (layer, dx))) in found {
        for (found, name) in [
            (&y, "y"),
            (&dx, "dx"),
            (&layer.gain, "gain"),
            (&layer.bias, "bias"),
            (&next.mean, "mean"),
            (&next.variance, "variance"),
        ] {
            assert_close(found, &of(name), &format!("{name} {mode}"));
        }
    }
    let first = batch_norm().train(&x, &BatchStatistics::new(4)).1;
    let second = batch_norm().train(&(x.clone() * 2.0), &first).1;
    assert_close(&second.mean, &of("mean2"), "mean");
    assert_close(&second.variance, &of("variance2"), "variance");
    for (mode, y) in both!((batch_norm(), x, second), |data| {
        let (layer, x, statistics) = data;
        layer.apply(&x, &statistics)
    }) {
        assert_close(&y, &of("evaluated"), mode);
    }
    let (flat, _) = BatchNorm::new(3).train(&numbers(4.0, &[5, 3]), &BatchStatistics::new(3));
    assert_close(&flat, &of("flat"), "flat");
    assert_eq!(BatchStatistics::<Array>::new(1).names(), ["running_mean", "running_var"]);
}

/// [`trained`] of the steps of sequences, and what the next averages make of them outside of training.
fn trained_steps<T: Tensor>(
    inputs: &(BatchNorm<T>, T),
    averages: &BatchStatistics<T>,
    weights: &T,
    lengths: &T::Int,
) -> (Trained<T>, T) {
    let found: Trained<T> = value_and_grad_aux(
        |(layer, x): (BatchNorm<Var<'_, T>>, Var<'_, T>)| {
            let (y, next) = layer.train_steps(&x, lengths, &averages.map_leaves(Var::lift));
            (weighted(&y, &Var::lift(weights)), (y, next))
        },
        inputs,
    )
    .unwrap();
    let applied = inputs.0.apply_steps(&inputs.1, lengths, &found.1.1);
    (found, applied)
}

/// What the steps of a padded batch give is what they would give as rows without the padding, whatever that is.
#[test]
fn steps_of_sequences_are_normalised_without_their_padding() {
    let (x, lengths) = (numbers(1.0, &[5, 3, 4]), [5, 1, 3]);
    let inside: Vec<(usize, usize)> =
        (0..5).flat_map(|t| (0..3).map(move |b| (t, b))).filter(|&(t, b)| t < lengths[b]).collect();
    let row = |x: &Array, (t, b): (usize, usize)| x.index(0, t).index(0, b);
    let rows = |x: &Array| Array::stack(&inside.iter().map(|&at| row(x, at)).collect::<Vec<_>>(), 0);
    let mut padded = x.view().to_owned();
    for (t, b) in (0..5).flat_map(|t| (0..3).map(move |b| (t, b))).filter(|&(t, b)| t >= lengths[b]) {
        padded.slice_mut(ndarray::s![t, b, ..]).fill(f64::NAN);
    }
    let weights = numbers(30.0, &[5, 3, 4]);
    let averages = BatchStatistics::new(4);
    let expected = trained(&((batch_norm(), rows(&x)), averages.clone(), rows(&weights)));
    let data = ((batch_norm(), Array::from(padded)), (averages, weights), ints(&[5, 1, 3]));
    let found = both!(data.clone(), |data| {
        let (inputs, (averages, weights), lengths) = data;
        trained_steps(&inputs, &averages, &weights, &lengths)
    });
    let (_, (y, next), (layer, dx)) = expected;
    let applied = batch_norm().apply(&rows(&x), &next);
    for (mode, ((_, (found_y, found_next), (found_layer, found_dx)), found_applied)) in found {
        for (found, expected) in [
            (rows(&found_y), &y),
            (rows(&found_dx), &dx),
            (rows(&found_applied), &applied),
            (found_next.mean, &next.mean),
            (found_next.variance, &next.variance),
            (found_layer.gain, &layer.gain),
            (found_layer.bias, &layer.bias),
        ] {
            assert_close(&found, expected, mode);
        }
        for x in [found_y, found_dx, found_applied] {
            let padding = x.view().iter().filter(|x| **x != 0.0).count();
            assert_eq!(padding, rows(&x).size(), "{mode}: zeros behind the ends alone");
        }
    }
    let message = |lengths: &[i64]| {
        let found = antiphon::reset(|_| Ok(batch_norm().train_steps(&data.0.1, &ints(lengths), &data.1.0).0));
        found.expect_err("an error").to_string()
    };
    assert!(message(&[5, 6, 1]).contains("numbers of steps, from none to all (tests/surface/layers.rs:"));
    assert!(message(&[0, 1, 0]).contains("fewer than two steps (tests/surface/layers.rs:"));
    assert!(message(&[5, 1]).contains("[5, 3, 4] with [2]"));
}

/// Lengths behind a convolution are those of what it gives for images of these lengths.
#[test]
fn lengths_behind_convolutions_are_those_of_the_images() {
    for (kernel, stride, padding) in [(5, 2, 2), (3, 1, 0), (4, 3, 1), (2, 2, 0), (7, 1, 3)] {
        let window = antiphon::Window2d { stride: [1, stride], padding: [0, padding] };
        let layer = Conv2d { window, ..Conv2d::<Array>::new(&mut Rng::new(1), 1, 1, [1, kernel]) };
        let widths: Vec<i64> = (1..20).collect();
        let found = antiphon::IntTensor::elements(&layer.lengths(&ints(&widths), 1)).unwrap();
        for (width, found) in widths.into_iter().zip(found) {
            let image = Array::ones(&[1, 1, 1, width as usize]);
            let expected = antiphon::reset(|_| Ok(layer.apply(&image))).map_or(0, |y| y.shape()[3]);
            assert_eq!(found, expected as i64, "{width} by {kernel}, {stride}, {padding}");
        }
    }
}

#[test]
fn other_norms_are_pytorchs() {
    let reference = layers();
    let of = |path: &str| reference.at(path);
    let x = of("group_norm/x");
    let group = GroupNorm { gain: numbers(2.0, &[4]), bias: numbers(3.0, &[4]), ..GroupNorm::new(2, 4) };
    let found = both!((x.clone(), group, numbers(30.0, &x.shape())), |data| {
        let (x, layer, weights) = data;
        let (value, dx) =
            value_and_grad(|x| weighted(&layer.map_leaves(Var::lift).apply(&x), &Var::lift(&weights)), &x)
                .unwrap();
        (layer.apply(&x), value, dx)
    });
    for (mode, (y, value, dx)) in found {
        assert_close(&y, &of("group_norm/y"), mode);
        assert_close(&value, &of("group_norm/value"), mode);
        assert_close(&dx, &of("group_norm/gradients/0"), mode);
    }
    let x = of("rms_norm/x");
    let rms = RmsNorm { gain: numbers(2.0, &[5]), ..RmsNorm::new(5) };
    let found = both!((x.clone(), rms, numbers(30.0, &x.shape())), |data| {
        let (x, layer, weights) = data;
        let (value, dx) =
            value_and_grad(|x| weighted(&layer.map_leaves(Var::lift).apply(&x), &Var::lift(&weights)), &x)
                .unwrap();
        (layer.apply(&x), value, dx)
    });
    for (mode, (y, value, dx)) in found {
        assert_close(&y, &of("rms_norm/y"), mode);
        assert_close(&value, &of("rms_norm/value"), mode);
        assert_close(&dx, &of("rms_norm/gradients/0"), mode);
    }
}

/// PyTorch's layer, whose three projections are one matrix.
fn heads() -> MultiHeadAttention<Array> {
    let reference = layers();
    let (w, b) = (reference.at("attention/in_weight"), reference.at("attention/in_bias"));
    let part = |i: usize| {
        let rows = 6 * i..6 * i + 6;
        Linear { w: w.slice(0, rows.clone()).transpose(), b: Some(b.slice(0, rows)) }
    };
    let out = Linear {
        w: reference.at("attention/out_weight").transpose(),
        b: Some(reference.at("attention/out_bias")),
    };
    MultiHeadAttention { query: part(0), key: part(1), value: part(2), out, heads: 2, rotary: None }
}

/// Which memory and which pairs.
#[derive(Clone, Copy)]
enum Case {
    Own,
    Causal,
    Padded,
}

fn attend<T: Tensor>(case: Case, layer: &MultiHeadAttention<T>, q: &T, memory: &T, lengths: &T::Int) -> T {
    match case {
        Case::Own => layer.apply(q, q, None),
        Case::Causal => layer.apply(q, q, Some(&causal::<T>(4, 4))),
        Case::Padded => layer.apply(q, memory, Some(&of_keys::<T>(&within::<T>(lengths, 3)))),
    }
}

#[test]
fn attention_is_pytorchs_with_and_without_masks() {
    let reference = layers();
    let of = |path: &str| reference.at(&format!("attention/{path}"));
    let (q, memory) = (of("q"), of("memory"));
    for (case, name) in [(Case::Own, "self"), (Case::Causal, "causal"), (Case::Padded, "padded")] {
        let inputs = (heads(), q.clone(), memory.clone());
        let found = both!((inputs, ints(&[2, 3]), numbers(30.0, &[2, 4, 6])), |data| {
            let (inputs, lengths, weights) = data;
            let y = attend(case, &inputs.0, &inputs.1, &inputs.2, &lengths);
            let found = value_and_grad(
                |(layer, q, memory)| {
                    weighted(&attend(case, &layer, &q, &memory, &lengths), &Var::lift(&weights))
                },
                &inputs,
            );
            (y, found.unwrap())
        });
        for (mode, (y, (value, (layer, dq, dm)))) in found {
            let what = format!("{name} {mode}");
            assert_close(&y, &of(&format!("{name}/y")), &what);
            assert_close(&value, &of(&format!("{name}/value")), &what);
            assert_close(&dq, &of(&format!("{name}/gradients/0")), &what);
            assert_close(&dm, &of(&format!("{name}/gradients/1")), &what);
            let projections = [&layer.query, &layer.key, &layer.value].map(|linear| linear.w.transpose());
            assert_close(&Array::concat(&projections, 0), &of(&format!("{name}/in_weight")), &what);
        }
    }
}

/// A sequence of which every key is padding: zeros, and derivatives that are numbers.
#[test]
fn queries_without_any_key_get_zeros() {
    let q = numbers(1.0, &[2, 3, 4]);
    for (mode, (y, dq)) in both!((q, ints(&[0, 2])), |data| {
        let (q, lengths) = data;
        queries_of_nothing(&q, &lengths)
    }) {
        assert_eq!(y.index(0, 0), Array::zeros(&[3, 4]), "{mode}");
        assert_ne!(y.index(0, 1), Array::zeros(&[3, 4]), "{mode}");
        assert_eq!(dq.index(0, 0), Array::zeros(&[3, 4]), "{mode}");
        assert!(dq.view().iter().all(|x| x.is_finite()), "{mode}: {dq:?}");
    }
}

fn queries_of_nothing<T: Tensor>(q: &T, lengths: &T::Int) -> (T, T) {
    let mask = antiphon::MaskTensor::reshape(&within::<T>(lengths, 3), &[2, 1, 3]);
    let y = attention(q, q, q, Some(&mask));
    let dq = antiphon::grad(|q| attention(&q, &q, &q, Some(&mask)).square().sum(..), q).unwrap();
    (y, dq)
}

#[test]
fn positions_are_those_of_the_papers() {
    let reference = layers();
    let x = reference.at("rotary/x");
    for (interleaved, name) in [(true, "pairs"), (false, "halves")] {
        let rotary = Rotary { interleaved, ..Rotary::default() };
        for (mode, y) in both!((x.clone(), ints(&[0, 1, 2, 3, 4])), |data| {
            let (x, steps) = data;
            rotary.apply(&x, &steps)
        }) {
            assert_close(&y, &reference.at(&format!("rotary/{name}")), &format!("{name} {mode}"));
        }
        // Products depend on distances alone, and lengths stay.
        let (a, b) = (numbers(1.0, &[1, 6]), numbers(2.0, &[1, 6]));
        let at = |t: i64, s: i64| {
            rotary.apply(&a, &ints(&[t])).matmul(&rotary.apply(&b, &ints(&[s])).transpose()).sum(..).item()
        };
        assert!((at(3, 1) - at(12, 10)).abs() < 1e-12 && (at(3, 1) - at(3, 2)).abs() > 1e-3);
    }
    assert_close(&sinusoidal(7, 6), &reference.at("sinusoidal"), "sinusoidal");
    let learned = LearnedPositions::<Array>::new(&mut Rng::new(1), 5, 3);
    let x = numbers(1.0, &[2, 4, 3]);
    assert_close(&learned.apply(&x), &(x.clone() + learned.table.slice(0, 0..4)), "learned");
    // Attention turns its queries and keys.
    let (mut turned, mut plain) = (heads(), heads());
    (turned.heads, plain.heads) = (1, 1);
    turned.rotary = Some(Rotary { interleaved: false, base: 100.0 });
    let q = reference.at("attention/q");
    let by_hand = {
        let linear = |layer: &Linear<Array>| layer.apply(&q);
        let turn = |x: Array| turned.rotary.unwrap().apply(&x, &ints(&[0, 1, 2, 3]));
        let (q, k, v) = (turn(linear(&turned.query)), turn(linear(&turned.key)), linear(&turned.value));
        turned.out.apply(&attention(&q, &k, &v, None))
    };
    assert_close(&turned.apply(&q, &q, None), &by_hand, "turned");
    assert_ne!(turned.apply(&q, &q, None), plain.apply(&q, &q, None));
}

macro_rules! recurrence {
    ($Cell:ident, $kind:literal, $gates:literal, |$state:ident| $parts:expr) => {{
        let reference = layers();
        // The script gives PyTorch's layers, in their order, four arrays of numbers each.
        let cell = |index: usize, inputs: usize| -> $Cell<Array> {
            let weight = |i: usize, shape: &[usize]| numbers((40 + 4 * index + i) as f64, shape);
            let rows = 4 * $gates;
            let [wx, wh] = [weight(0, &[rows, inputs]), weight(1, &[rows, 4])];
            $Cell::from_torch(&wx, &wh, &weight(2, &[rows]), &weight(3, &[rows]))
        };
        let parts =
            |$state: &<$Cell<Array> as Recurrent<Array>>::State| -> Vec<(&'static str, Array)> { $parts };
        let check = |of: &dyn Fn(&str) -> Array, mode: &str, index: usize, state: &_| {
            for (name, found) in parts(state) {
                assert_close(&found, &of(name).index(0, index), &format!("{} {name} {mode}", $kind));
            }
        };
        let key = concat!($kind, "_one");
        let of = |path: &str| reference.at(&format!("{key}/{path}"));
        let cells = vec![cell(0, 2), cell(1, 4)];
        let xs = of("xs");
        let found = both!(((cells, xs.clone()), ints(&[5, 2, 4]), numbers(30.0, &[5, 3, 4])), |data| {
            let (inputs, lengths, weights) = data;
            let (outputs, states) = stacked(&inputs.0, &inputs.1, &lengths);
            let found = value_and_grad(
                |(cells, xs)| weighted(&stacked(&cells, &xs, &lengths).0, &Var::lift(&weights)),
                &inputs,
            );
            (outputs, states, found.unwrap())
        });
        for (mode, (outputs, states, (value, (_, dxs)))) in found {
            assert_close(&outputs, &of("outputs"), mode);
            assert_close(&value, &of("value"), mode);
            assert_close(&dxs, &of("gradients/0"), mode);
            states.iter().enumerate().for_each(|(i, state)| check(&of, mode, i, state));
        }

        let key = concat!($kind, "_both");
        let of = |path: &str| reference.at(&format!("{key}/{path}"));
        let cells = vec![(cell(0, 2), cell(1, 2)), (cell(2, 8), cell(3, 8))];
        let found = both!(((cells, xs), ints(&[5, 2, 4]), numbers(30.0, &[5, 3, 8])), |data| {
            let (inputs, lengths, weights) = data;
            let (outputs, states) = stacked_both_ways(&inputs.0, &inputs.1, &lengths);
            let found = value_and_grad(
                |(cells, xs)| weighted(&stacked_both_ways(&cells, &xs, &lengths).0, &Var::lift(&weights)),
                &inputs,
            );
            (outputs, states, found.unwrap())
        });
        for (mode, (outputs, states, (value, (_, dxs)))) in found {
            assert_close(&outputs, &of("outputs"), mode);
            assert_close(&value, &of("value"), mode);
            assert_close(&dxs, &of("gradients/0"), mode);
            for (i, (forward, back)) in states.iter().enumerate() {
                check(&of, mode, 2 * i, forward);
                check(&of, mode, 2 * i + 1, back);
            }
        }
    }};
}

#[test]
fn recurrence_over_padded_batches_is_pytorchs() {
    recurrence!(Rnn, "rnn", 1, |h| vec![("h", h.clone())]);
    recurrence!(Gru, "gru", 3, |h| vec![("h", h.clone())]);
    recurrence!(Lstm, "lstm", 4, |state| vec![("h", state.h.clone()), ("c", state.c.clone())]);
}

#[test]
fn summaries_list_every_array() {
    let text = summary(&heads());
    assert!(text.starts_with("query.w  [6, 6]     36\nquery.b  [6]         6\n"), "{text}");
    assert!(text.ends_with("all      8 arrays  168\n"), "{text}");
    assert_eq!(summary(&Vec::<NdArray<f32>>::new()), "all  0 arrays  0\n");
}

#[test]
fn what_does_not_fit_names_the_users_line() {
    macro_rules! refused {
        ($x:expr, |$x_of:ident| $y:expr, $part:literal) => {{
            let error = antiphon::grad(|$x_of| $y.sum(..), &$x).unwrap_err().to_string();
            let line = format!("(tests/surface/layers.rs:{}:", line!());
            assert!(error.contains($part) && error.contains(&line), "{error} at {line}");
        }};
    }
    let x = numbers(1.0, &[2, 3, 4]);
    refused!(x, |x| BatchNorm::new(5).train(&x, &BatchStatistics::new(5)).0, "should be [batch, 5, ..]");
    refused!(x, |x| BatchNorm::new(5).apply(&x, &BatchStatistics::new(5)), "should be [batch, 5, ..]");
    let one = numbers(1.0, &[1, 3, 1]);
    refused!(one, |x| BatchNorm::new(3).train(&x, &BatchStatistics::new(3)).0, "variance of 1 ");
    refused!(x, |x| GroupNorm::new(2, 4).apply(&x), "should be [batch, 4, ..]");
    refused!(x, |x| GroupNorm::new(3, 4).apply(&x), "4 channels are not 3 groups");
    refused!(x, |x| RmsNorm::new(3).apply(&x), "[2, 3, 4]");
    let rng = || Rng::new(1);
    refused!(x, |x| MultiHeadAttention::new(&mut rng(), 4, 3).apply(&x, &x, None), "those of 3 heads");
    refused!(x, |x| MultiHeadAttention::new(&mut rng(), 5, 5).apply(&x, &x, None), "[2, 3, 4] by [5, 5]");
    let odd = numbers(1.0, &[2, 3, 3]);
    refused!(odd, |x| Rotary::default().apply(&x, &ints(&[0, 1, 2])), "an even dim");
    refused!(x, |x| LearnedPositions::new(&mut rng(), 2, 4).apply(&x), "at most 2 steps");
    let (two, three) = (ints(&[1, 1]), ints(&[1, 1, 1]));
    refused!(x, |x| stacked(&[Rnn::new(&mut rng(), 4, 2)], &x, &two).0, "[2, 3, 4] with [2]");
    refused!(x, |x| stacked(&[Rnn::new(&mut rng(), 5, 2)], &x, &three).0, "[2, 3, 4] by [5, 2]");
    refused!(x, |x| stacked(&Vec::<Rnn<_>>::new(), &x, &three).0, "no cell");
    // What no array can have is refused before there is one.
    let many = 1 << 41;
    refused!(x, |x| x + sinusoidal::<Array>(many, 4), "[2199023255552, 4]");
    refused!(x, |x| x + sinusoidal::<Array>(usize::MAX, 2), "[18446744073709551615, 2]");
    refused!(x, |x| attention(&x, &x, &x, Some(&causal::<Array>(many, 1))), "[2199023255552]");
    let most = usize::MAX;
    refused!(x, |x| attention(&x, &x, &x, Some(&within::<Array>(&three, most))), "[18446744");
    assert_eq!(sinusoidal::<Array>(1 << 30, 0).shape().as_slice(), [1 << 30, 0]);
}
