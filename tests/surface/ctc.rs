//! The CTC loss, against PyTorch's and against the sum over all alignments, in all modes; and its decoders.

use antiphon::nn::ctc::{Ctc, PrefixBeamSearch, greedy};
use antiphon::nn::loss::Reduction;
use antiphon::recording::Recorded;
use antiphon::{
    Error, IntTensor, NdInt, OrRaise, Real, Structure, Tensor, TrainingStep, check_gradients, grad, hvp,
    program, value_and_grad, vmap,
};

use super::reference::{Array, Reference, assert_close, ints, numbers};

/// What a loss is of besides logits: data of the compiled code.
#[derive(Clone, Structure)]
struct Targets<T: Real> {
    labels: T::Int,
    inputs: T::Int,
    lengths: T::Int,
}

fn targets(labels: &[&[i64]], inputs: &[i64], lengths: &[i64]) -> Targets<Array> {
    let shape = [labels.len(), labels[0].len()];
    let labels = NdInt::from_elements(&shape, &labels.concat()).unwrap();
    Targets { labels, inputs: ints(inputs), lengths: ints(lengths) }
}

fn loss<T: Tensor>(ctc: Ctc, logits: &T, targets: &Targets<T>, reduction: Reduction) -> T {
    ctc.of(&logits.log_softmax(-1), &targets.labels, &targets.inputs, &targets.lengths, reduction)
}

fn loss_and_slopes<T: Tensor>(ctc: Ctc, logits: &T, targets: &Targets<T>, reduction: Reduction) -> (T, T) {
    let Targets { labels, inputs, lengths } = targets;
    value_and_grad(|x| ctc.of(&x.log_softmax(-1), labels, inputs, lengths, reduction), logits).or_raise()
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let reference = Reference::of("ctc");
    for case in ["plain", "repeated", "lengths", "empty", "no_label", "too_long", "tight", "long"] {
        let of = |path: &str| reference.at(&format!("{case}/{path}"));
        let integers = |path: &str| of(path).to_int();
        let sizes: Vec<usize> = of("sizes").view().iter().map(|&x| x as usize).collect();
        let &[time, batch, classes, blank, _] = sizes.as_slice() else { panic!("{sizes:?}") };
        let logits = numbers(1.0, &[time, batch, classes]) * 5.0;
        let data =
            Targets { labels: integers("targets"), inputs: integers("inputs"), lengths: integers("lengths") };
        let ctc = Ctc { blank, zero_infinity: true };
        let data = (logits, data);
        let found = both!(data.clone(), |data| {
            let (x, targets) = &data;
            let none = loss(Ctc { blank, zero_infinity: false }, x, targets, Reduction::None);
            let mean = loss_and_slopes(ctc, x, targets, Reduction::Mean);
            (none, mean, loss_and_slopes(ctc, x, targets, Reduction::Sum))
        });
        for (mode, (none, mean, sum)) in found {
            let what = format!("{case} {mode}");
            // The script has −1 for ∞.
            let impossible = none.equal(&Array::scalar(f64::INFINITY));
            assert_close(&Array::select(&impossible, &Array::scalar(-1.0), &none), &of("none"), &what);
            for ((value, slopes), key) in [(mean, "mean"), (sum, "sum")] {
                assert_close(&value, &of(&format!("{key}/value")), &what);
                assert_close(&slopes, &of(&format!("{key}/gradients/0")), &what);
            }
        }
    }
}

/// The probability of labels, summed over all sequences of classes that are them.
fn by_enumeration(p: &Array, b: usize, steps: usize, blank: usize, labels: &[i64]) -> f64 {
    let classes = p.shape()[2];
    let alignments = classes.pow(steps as u32);
    let probability = |mut number: usize| {
        let (mut product, mut found, mut last) = (1.0, Vec::new(), blank);
        for t in 0..steps {
            let class = number % classes;
            number /= classes;
            product *= p.view()[[t, b, class]];
            if class != last && class != blank {
                found.push(class as i64);
            }
            last = class;
        }
        if found == labels { product } else { 0.0 }
    };
    (0..alignments).map(probability).sum()
}

#[test]
fn it_is_the_sum_over_all_alignments() {
    for blank in 0..3 {
        let logits = numbers(4.0 + blank as f64, &[5, 3, 3]) * 2.0;
        let p = logits.softmax(-1);
        let [a, b] = [(blank + 1) % 3, (blank + 2) % 3].map(|label| label as i64);
        let labels: [&[i64]; 3] = [&[a, b, a], &[a, a, a], &[b, b, a]];
        let (inputs, lengths) = ([5, 5, 4], [3, 3, 2]);
        let data = targets(&labels, &inputs, &lengths);
        let found = loss(Ctc { blank, ..Ctc::default() }, &logits, &data, Reduction::None);
        for row in 0..3 {
            let labels = &labels[row][..lengths[row] as usize];
            let expected = -by_enumeration(&p, row, inputs[row] as usize, blank, labels).ln();
            let found = found.view()[[row]];
            assert!((found - expected).abs() < 1e-12, "blank {blank}, row {row}: {found}, not {expected}");
        }
    }
}

/// Integers of an interpretation.
fn integers<T: Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).or_raise()
}

#[test]
fn derivatives_agree_in_every_mode() {
    // Equal logits, where all terms of a sum are alike, have derivatives of all orders too.
    for x in [numbers(1.0, &[4, 3, 3]), Array::zeros(&[4, 3, 3])] {
        let small = program!(|x| {
            let labels = integers::<T>(&[3, 2], &[1, 1, 2, 1, 0, 0]);
            let [inputs, lengths] = [[4, 3, 2], [2, 2, 0]].map(|x| integers::<T>(&[3], &x));
            let ctc = Ctc { blank: 0, zero_infinity: true };
            ctc.of(&x[0].log_softmax(-1), &labels, &inputs, &lengths, Reduction::Mean)
        });
        check_gradients(&small, &[x], 2).unwrap();
    }
}

/// A sequence that no alignment fits, and classes of probability zero: nothing is NaN, in any derivative.
#[test]
fn what_is_impossible_has_no_derivative() {
    let never = f64::NEG_INFINITY;
    let mut logits: Vec<f64> = numbers(2.0, &[4, 3, 3]).view().iter().copied().collect();
    // Of the second sequence, the blank at a step; of the third, its only label at all steps.
    logits[3 * 3 + 3] = never;
    for t in 0..4 {
        logits[(t * 3 + 2) * 3 + 1] = never;
    }
    let logits = Array::from_elements(&[4, 3, 3], &logits).unwrap();
    let data = (
        logits,
        (targets(&[&[1, 1, 1], &[1, 2, 1], &[1, 0, 0]], &[4, 4, 4], &[3, 2, 1]), numbers(3.0, &[4, 3, 3])),
    );
    for zero_infinity in [false, true] {
        let ctc = Ctc { blank: 0, zero_infinity };
        let found = both!(data.clone(), |data| {
            let (x, (targets, along)) = &data;
            let lp = x.log_softmax(-1);
            let Targets { labels, inputs, lengths } = targets;
            let losses = ctc.of(&lp, labels, inputs, lengths, Reduction::None);
            let slopes = grad(|x| ctc.of(&x, labels, inputs, lengths, Reduction::Sum), &lp).or_raise();
            let second = hvp(|x| ctc.of(&x, labels, inputs, lengths, Reduction::Sum), &lp, along).or_raise();
            let tangent =
                antiphon::jvp(|x| ctc.of(&x, labels, inputs, lengths, Reduction::Sum), &lp, along).or_raise();
            (losses, (slopes, second.1, tangent.1))
        });
        for (mode, (losses, (slopes, second, tangent))) in found {
            let otherwise = if zero_infinity { 0.0 } else { f64::INFINITY };
            let losses = losses.view();
            assert_eq!([losses[[0]], losses[[2]]], [otherwise; 2], "{mode}");
            assert!(losses[[1]].is_finite() && losses[[1]] > 0.0, "{mode}: {losses}");
            let all = [&slopes, &second];
            assert!(all.iter().all(|x| x.view().iter().all(|x| x.is_finite())), "{mode}: {all:?}");
            assert!(tangent.item().is_finite(), "{mode}: {tangent:?}");
            for x in all {
                let rows = |b: usize| x.slice(1, b..b + 1).abs().sum(..).item();
                assert_eq!([rows(0), rows(2)], [0.0; 2], "{mode}: {x:?}");
                assert!(rows(1) > 0.0, "{mode}: {x:?}");
            }
            assert_eq!(slopes.view()[[1, 1, 0]], 0.0, "{mode}: what has no probability");
        }
    }
}

/// In single precision the states of a long sequence are far below the smallest number, in probabilities.
#[test]
fn long_sequences_in_single_precision_are_near_those_in_double() {
    let logits = numbers(1.0, &[400, 2, 29]) * 20.0;
    let labels: Vec<i64> = (0..150).map(|i| 1 + (i * i * 7 + 3 * i) % 28).collect();
    let data = targets(&[&labels, &labels], &[400, 310], &[150, 140]);
    let (value, slopes) = loss_and_slopes(Ctc::default(), &logits, &data, Reduction::Sum);
    let single = logits.view().mapv(|x| x as f32);
    let single: antiphon::NdArray<f32> = single.into();
    let data = Targets { labels: data.labels, inputs: data.inputs, lengths: data.lengths };
    let (rounded, rounded_slopes) = loss_and_slopes(Ctc::default(), &single, &data, Reduction::Sum);
    assert!((value.item() - f64::from(rounded.item())).abs() < 1e-5 * value.item());
    let rounded_slopes = rounded_slopes.view().mapv(f64::from);
    let off = (slopes - &Array::from(rounded_slopes)).abs().max(..).item();
    assert!(off < 1e-2, "{off}");
}

type Recordings = Targets<Recorded>;

#[test]
fn one_compiled_loss_serves_all_batches_of_a_shape() {
    let logits = numbers(1.0, &[6, 2, 4]);
    let first = (logits.clone(), targets(&[&[1, 2, 3], &[1, 1, 0]], &[6, 6], &[3, 2]));
    let mut code = antiphon::compile(
        "ctc",
        |(x, targets): (Recorded, Recordings)| loss_and_slopes(Ctc::default(), &x, &targets, Reduction::Sum),
        &first,
    )
    .unwrap();
    for (labels, inputs, lengths) in [
        ([[1, 2, 3], [1, 1, 0]], [6, 6], [3, 2]),
        ([[3, 3, 3], [2, 9, 9]], [5, 4], [3, 1]),
        ([[0, 0, 0], [2, 1, 2]], [0, 3], [0, 3]),
    ] {
        let data = targets(&[&labels[0], &labels[1]], &inputs, &lengths);
        let (value, slopes) = code.call(&(logits.clone(), data.clone())).unwrap();
        let (expected, expected_slopes) = loss_and_slopes(Ctc::default(), &logits, &data, Reduction::Sum);
        assert_close(&value, &expected, "value");
        assert_close(&slopes, &expected_slopes, "slopes");
    }
    let data = (logits, targets(&[&[1, 2, 4], &[1, 1, 0]], &[6, 6], &[3, 2]));
    let error = code.call(&data).err().unwrap().to_string();
    assert!(
        error.starts_with("ctc: labels of targets are classes other than the blank (tests/surface/ctc.rs:"),
        "{error}"
    );
}

#[test]
fn rows_of_a_batch_are_each_for_themselves() {
    // Four batches of two sequences.
    let xs = numbers(1.0, &[4, 5, 2, 3]);
    let labels = [1, 2, 1, 1, 2, 2, 2, 1, 1, 1, 1, 2, 0, 0, 2, 1];
    let labels = NdInt::from_elements(&[4, 2, 2], &labels).unwrap();
    let inputs = NdInt::from_elements(&[4, 2], &[5, 4, 5, 5, 3, 5, 0, 2]).unwrap();
    let lengths = NdInt::from_elements(&[4, 2], &[2, 2, 2, 1, 1, 2, 0, 2]).unwrap();
    let data = (xs.clone(), Targets::<Array> { labels, inputs, lengths });
    let found = both!(data.clone(), |data| {
        let losses = vmap(|(x, t)| loss(Ctc::default(), &x, &t, Reduction::Sum), &data).or_raise();
        let slopes = vmap(|(x, t)| loss_and_slopes(Ctc::default(), &x, &t, Reduction::Sum).1, &data);
        (losses, slopes.or_raise())
    });
    for (mode, (losses, slopes)) in found {
        for row in 0..4 {
            let of = |x: &NdInt| x.index(0, row);
            let one = Targets {
                labels: of(&data.1.labels),
                inputs: of(&data.1.inputs),
                lengths: of(&data.1.lengths),
            };
            let (value, slope) = loss_and_slopes(Ctc::default(), &xs.index(0, row), &one, Reduction::Sum);
            assert_close(&losses.index(0, row), &value, mode);
            assert_close(&slopes.index(0, row), &slope, mode);
        }
    }
}

#[test]
fn what_does_not_fit_names_its_place_and_the_users_line() {
    let x = numbers(1.0, &[4, 2, 3]);
    let message = |ctc: Ctc, x: &Array, targets: Targets<Array>| {
        let error = antiphon::reset(|_| Ok(loss(ctc, x, &targets, Reduction::Sum))).expect_err("an error");
        let known = matches!(error, Error::Shape { .. } | Error::Argument { .. } | Error::Operand { .. });
        assert!(known, "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with("ctc: ") && message.contains("(tests/surface/ctc.rs:"), "{message}");
        message
    };
    let plain = Ctc::default();
    let labels: [&[i64]; 2] = [&[1, 2], &[2, 1]];
    for (labels, inputs, lengths, expected) in [
        (labels, [4, 5], [2, 2], "input_lengths[1] is 5, which is not from 0 to 4"),
        (labels, [-1, 4], [2, 2], "input_lengths[0] is -1"),
        (labels, [4, 4], [2, 3], "target_lengths[1] is 3, which is not from 0 to 2"),
        ([&[1, 2], &[2, 3]], [4, 4], [2, 2], "targets[1, 1] is 3, which is no class of 3"),
        ([&[1, 2], &[-2, 1]], [4, 4], [2, 2], "targets[1, 0] is -2, which is no class of 3"),
        ([&[1, 0], &[2, 1]], [4, 4], [2, 2], "targets[0, 1] is 0, which is the blank"),
    ] {
        let found = message(plain, &x, targets(&labels, &inputs, &lengths));
        assert!(found.contains(expected), "{found}");
        // What is not looked at may be anything.
        let short = targets(&labels, &[4, 4], &[1, 0]);
        assert!(loss(plain, &x, &short, Reduction::Sum).item().is_finite());
    }
    let good = || targets(&labels, &[4, 4], &[2, 2]);
    let blank = Ctc { blank: 3, ..plain };
    assert!(message(blank, &x, good()).contains("the blank is 3, which is no class of 3"));
    assert!(message(plain, &x.index(0, 0), good()).contains("[2, 3]: should be [time, batch, classes]"));
    let more = targets(&[&[1, 2], &[2, 1], &[1, 1]], &[4, 4], &[2, 2]);
    assert!(message(plain, &x, more).contains("[4, 2, 3] with [3, 2]"));
    assert!(message(plain, &x, targets(&labels, &[4], &[2, 2])).contains("[4, 2, 3] with [1]"));
}

/// Logits that are themselves what is learnt: the loss falls to nothing, and the labels are read from them.
#[test]
fn what_is_learnt_is_read_again() {
    fn step<T: Tensor>(x: &mut T, targets: &Targets<T>) -> antiphon::Result<T> {
        let (value, slopes) = loss_and_slopes(Ctc::default(), x, targets, Reduction::Mean);
        *x = x.clone() - slopes * 4.0;
        Ok(value)
    }
    let labels: [&[i64]; 2] = [&[1, 1, 3, 2], &[2, 3, 3, 0]];
    let data = targets(&labels, &[12, 9], &[4, 3]);
    let start = numbers(1.0, &[12, 2, 4]);
    let mut eager = TrainingStep::eager(start.clone(), step);
    let mut compiled = TrainingStep::compiled(start, step);
    let mut last = f64::INFINITY;
    for i in 0..60 {
        let [a, b] = [eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item()];
        assert!((a - b).abs() < 1e-10 && a < last, "step {i}: {a} eagerly, {b} compiled, after {last}");
        last = a;
    }
    assert!(last < 0.1, "{last}");
    let found = compiled.state().log_softmax(-1);
    assert_eq!(greedy(&found, &data.inputs, 0).unwrap(), [vec![1, 1, 3, 2], vec![2, 3, 3]]);
    let beams = PrefixBeamSearch { blank: 0, width: 4 }.decode(&found, &data.inputs).unwrap();
    assert_eq!(beams[0][0].labels, [1, 1, 3, 2]);
    assert_eq!(beams[1][0].labels, [2, 3, 3]);
}

#[test]
fn a_wide_beam_finds_all_transcripts_with_their_probabilities() {
    for blank in 0..3 {
        let logits = numbers(7.0 - blank as f64, &[5, 2, 3]) * 2.0;
        let p = logits.softmax(-1);
        let search = PrefixBeamSearch { blank, width: 1000 };
        for (row, beams) in search.decode(&p.log(), &ints(&[5, 4])).unwrap().into_iter().enumerate() {
            let total: f64 = beams.iter().map(|beam| beam.log_probability.exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "of all alignments: {total}");
            assert!(beams.is_sorted_by(|a, b| a.log_probability >= b.log_probability));
            for beam in &beams {
                let expected = by_enumeration(&p, row, 5 - row, blank, &beam.labels);
                let found = beam.log_probability.exp();
                assert!((found - expected).abs() < 1e-12, "{:?}: {found}, not {expected}", beam.labels);
            }
            // A narrow one keeps as many, none more probable than it is.
            let narrow = PrefixBeamSearch { blank, width: 3 }.decode(&p.log(), &ints(&[5, 4])).unwrap();
            assert_eq!(narrow[row].len(), 3);
            for beam in &narrow[row] {
                let exact = by_enumeration(&p, row, 5 - row, blank, &beam.labels);
                assert!(beam.log_probability.exp() <= exact + 1e-12);
            }
        }
    }
}

#[test]
fn decoders_refuse_what_does_not_fit() {
    let x = numbers(1.0, &[4, 2, 3]);
    let search = PrefixBeamSearch { blank: 0, width: 2 };
    for (found, expected) in [
        (greedy(&x, &ints(&[4, 5]), 0).err(), "lengths[1] is 5, which is not from 0 to 4"),
        (greedy(&x, &ints(&[4]), 0).err(), "[4, 2, 3] with [1]"),
        (greedy(&x, &ints(&[4, 4]), 3).err(), "the blank is 3"),
        (greedy(&x.index(0, 0), &ints(&[4, 4]), 0).err(), "should be [time, batch, classes]"),
        (search.decode(&x, &ints(&[-1, 4])).err(), "lengths[0] is -1"),
        (PrefixBeamSearch { width: 0, ..search }.decode(&x, &ints(&[4, 4])).err(), "width 0"),
    ] {
        let message = found.expect("an error").to_string();
        assert!(message.contains(expected) && message.contains("(tests/surface/ctc.rs:"), "{message}");
    }
    // Of no step, there is the empty transcript.
    assert_eq!(greedy(&x, &ints(&[0, 0]), 0).unwrap(), [vec![], vec![]] as [Vec<i64>; 2]);
    assert_eq!(search.decode(&x, &ints(&[0, 0])).unwrap()[0][0].log_probability, 0.0);
}
