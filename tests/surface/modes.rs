//! Layers and losses in all other modes: both directions of derivatives, in each other, against differences; and on the
//! rows of a batch.

use antiphon::nn::loss::{self, CrossEntropy, Reduction};
use antiphon::nn::*;
use antiphon::{Int, IntTensor, Mask, OrRaise, Tensor, check_gradients, grad, program, vmap};

use super::reference::{Array, assert_close, ints, numbers};

/// Integers of an interpretation.
fn integers<T: Tensor>(elements: &[i64]) -> T::Int {
    T::Int::from_elements(&[elements.len()], elements).or_raise()
}

/// The third derivatives of a head are of thousands of operators: the second will do.
#[test]
fn derivatives_agree_in_every_mode() {
    let (x, y) = (numbers(1.0, &[3, 4]), numbers(2.0, &[3, 4]));
    let both = [x.clone(), y.clone()];
    check_gradients(&program!(|x| loss::mse(&x[0], &x[1], Reduction::Mean)), &both, 3).unwrap();
    check_gradients(&program!(|x| loss::huber(&x[0], &x[1], 0.3, Reduction::Sum)), &both, 2).unwrap();
    let binary = program!(|x| loss::binary_cross_entropy(&x[0], &x[1].sigmoid(), Reduction::Mean));
    check_gradients(&binary, &both, 3).unwrap();
    let kl = program!(|x| loss::kl_divergence(&x[0].log_softmax(-1), &x[1].softmax(-1), Reduction::Sum));
    check_gradients(&kl, &both, 2).unwrap();
    let ignoring = program!(|x| {
        let loss = CrossEntropy { ignore: Some(9), smoothing: 0.1 };
        loss.of(&x[0], &integers::<T>(&[3, 9, 0]), Reduction::Mean)
    });
    check_gradients(&ignoring, std::slice::from_ref(&x), 3).unwrap();
    let cosine = program!(|x| {
        let alike = integers::<T>(&[1, 0, 1]).equal(&T::Int::constant(1));
        loss::cosine_embedding(&x[0], &x[1], &alike, -2.0, Reduction::Sum)
    });
    check_gradients(&cosine, &both, 2).unwrap();

    let gain = numbers(3.0, &[4]);
    let layers = [x.clone(), gain.clone()];
    let rms = program!(|x| RmsNorm { gain: x[1].clone(), epsilon: 1e-6 }.apply(&x[0]));
    check_gradients(&rms, &layers, 2).unwrap();
    let group = program!(|x| {
        let layer = GroupNorm { gain: x[1].clone(), bias: x[1].square(), groups: 2, epsilon: 1e-5 };
        layer.apply(&x[0].reshape(&[1, 4, 3]))
    });
    check_gradients(&group, &layers, 2).unwrap();
    let batch = program!(|x| {
        let layer = BatchNorm { gain: x[1].clone(), bias: x[1].square(), epsilon: 1e-5, momentum: 0.1 };
        layer.train(&x[0], &BatchStatistics::new(4)).0
    });
    check_gradients(&batch, &layers, 2).unwrap();
    let steps = program!(|x| {
        let layer = BatchNorm { gain: x[1].clone(), bias: x[1].square(), epsilon: 1e-5, momentum: 0.1 };
        let lengths = integers::<T>(&[3, 0]);
        let (sequences, averages) = (x[0].reshape(&[3, 2, 2]), BatchStatistics::new(2));
        let (y, _) = layer.train_steps(&sequences, &lengths, &averages);
        y + layer.apply_steps(&sequences, &lengths, &averages)
    });
    check_gradients(&steps, &[x.clone(), numbers(3.0, &[2])], 2).unwrap();
    let heads = program!(|x| {
        let sequence = x[0].reshape(&[1, 3, 4]);
        let linear = |w: &T| Linear { w: w.clone(), b: None };
        let layer = MultiHeadAttention {
            query: linear(&x[1]),
            key: linear(&x[2]),
            value: linear(&x[1].square()),
            out: linear(&x[2].sin()),
            heads: 2,
            rotary: Some(Rotary::default()),
        };
        let mask = causal::<T>(3, 3).and(&of_keys::<T>(&within::<T>(&integers::<T>(&[2]), 3)));
        layer.apply(&sequence, &sequence, Some(&mask))
    });
    check_gradients(&heads, &[x.clone(), numbers(4.0, &[4, 4]), numbers(5.0, &[4, 4])], 2).unwrap();
    let recurrent = program!(|x| {
        let cell = |i: usize| Rnn { wx: x[i].clone(), wh: x[1].clone(), b: T::zeros(&[2]) };
        let cells = [(cell(1), cell(1)), (cell(2), cell(2))];
        stacked_both_ways(&cells, &x[0].reshape(&[3, 2, 2]), &integers::<T>(&[3, 1])).0
    });
    let weights = [x.clone(), numbers(6.0, &[2, 2]), numbers(7.0, &[4, 2])];
    check_gradients(&recurrent, &weights, 2).unwrap();
}

/// Attention over one sequence of a length of its own, and a loss of it.
fn sequence_loss<T: Tensor>(x: &T, length: &T::Int, target: &T::Int) -> T {
    let mask = antiphon::MaskTensor::reshape(&within::<T>(&length.reshape(&[1]), 3), &[1, 3]);
    let found = attention(&Rotary::default().apply(x, &integers::<T>(&[0, 1, 2])), x, x, Some(&mask));
    let loss = CrossEntropy { ignore: Some(-1), smoothing: 0.1 };
    loss.of(&RmsNorm::new(4).apply(&found.mean(0)), target, Reduction::Sum)
}

#[test]
fn rows_of_a_batch_are_each_for_themselves() {
    let (xs, lengths, targets) = (numbers(1.0, &[4, 3, 4]), ints(&[3, 1, 2, 3]), ints(&[0, 3, -1, 2]));
    let data = (xs.clone(), lengths, targets);
    let found = both!(data.clone(), |data| {
        let losses = vmap(|(x, length, target)| sequence_loss(&x, &length, &target), &data).unwrap();
        let slopes =
            vmap(|(x, length, target)| grad(|x| sequence_loss(&x, &length, &target), &x).or_raise(), &data);
        (losses, slopes.unwrap())
    });
    for (mode, (losses, slopes)) in found {
        for row in 0..4 {
            let (_, lengths, targets) = &data;
            let one = |of: &antiphon::NdInt| antiphon::NdInt::scalar(of.elements().unwrap()[row]);
            let (x, length, target) = (xs.index(0, row), one(lengths), one(targets));
            assert_close(&losses.index(0, row), &sequence_loss(&x, &length, &target), mode);
            let slope: Array = grad(|x| sequence_loss(&x, &length, &target), &x).unwrap();
            assert_close(&slopes.index(0, row), &slope, mode);
        }
    }
}
