//! Layers against loops over scalars, written out from their formulas.

use antiphon::nn::*;
use antiphon::{Error, IntTensor, NdArray, NdInt, Params, Real, Tensor, Var, Window2d, grad, value_and_grad};

type Array = NdArray<f64>;

/// An array of numbers without pattern in `[-1, 1)`.
fn array(seed: u64, shape: &[usize]) -> Array {
    Init::Uniform { low: -1.0, high: 1.0 }.sample(shape, &mut Rng::new(seed))
}

fn symbols(symbols: &[i64]) -> NdInt {
    NdInt::from_elements(&[symbols.len()], symbols).unwrap()
}

/// The elements of an array of rank two, by row.
fn rows(x: &Array) -> Vec<Vec<f64>> {
    assert_eq!(x.shape().len(), 2);
    x.view().outer_iter().map(|row| row.iter().copied().collect()).collect()
}

/// The elements of an array of rank one.
fn row(x: &Array) -> Vec<f64> {
    assert_eq!(x.shape().len(), 1);
    x.view().iter().copied().collect()
}

#[track_caller]
fn assert_close(got: &Array, shape: &[usize], expected: &[f64]) {
    assert_eq!(got.shape().as_slice(), shape);
    assert_eq!(expected.len(), got.view().len());
    for (i, (got, expected)) in got.view().iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-13, "element {i}: {got} but expected {expected}");
    }
}

/// `Σᵢ xᵢ·w[i][j]`.
fn product(x: &[f64], w: &[Vec<f64>], j: usize) -> f64 {
    x.iter().zip(w).map(|(x, w)| x * w[j]).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

const BATCH: usize = 3;
const INPUTS: usize = 5;
const HIDDEN: usize = 4;

#[test]
fn linear_multiplies_and_adds() {
    let mut layer: Linear<Array> = Linear::new(&mut Rng::new(1), 5, 4);
    assert_eq!(layer.b, Some(Array::zeros(&[4])));
    layer.b = Some(array(2, &[4]));
    let x = array(3, &[2, 3, 5]);
    let (w, b) = (rows(&layer.w), row(layer.b.as_ref().unwrap()));
    let flat = rows(&x.reshape(&[6, 5]));
    let expected: Vec<f64> = flat.iter().flat_map(|x| (0..4).map(|j| product(x, &w, j) + b[j])).collect();
    assert_close(&layer.apply(&x), &[2, 3, 4], &expected);
    let without: Linear<Array> = Linear::without_bias(&mut Rng::new(1), 5, 4);
    assert_eq!(without.w, layer.w);
    assert_eq!(without.names(), ["w"]);
    assert_eq!(without.apply(&x), x.matmul(&layer.w));
}

#[test]
fn embedding_is_a_product_with_one_hot_rows() {
    let layer: Embedding<Array> = Embedding::new(&mut Rng::new(1), 7, 3);
    let mut one_hot = vec![0.0; 2 * 7];
    (one_hot[5], one_hot[7 + 2]) = (1.0, 1.0);
    let one_hot = Array::from_elements(&[2, 7], &one_hot).unwrap();
    assert_eq!(layer.apply(&symbols(&[5, 2])), one_hot.matmul(&layer.table));
}

/// One step of a cell in scalars: `(x, h, c)` of one of the batch to `(h′, c′)`.
type Naive<'a> = &'a dyn Fn(&[f64], &[f64], &[f64]) -> (Vec<f64>, Vec<f64>);

/// Steps, symbols and sequences of a cell against its scalar form; `memory` is the state's other part, if any.
#[track_caller]
fn check_cell<C: Recurrent<Array>>(cell: &C, memory: impl Fn(&C::State) -> Array, naive: Naive) {
    let xs = array(11, &[6, BATCH, INPUTS]);
    let mut state = cell.initial(BATCH);
    let mut expected = vec![(vec![0.0; HIDDEN], vec![0.0; HIDDEN]); BATCH];
    let mut outputs = Vec::new();
    for t in 0..6 {
        let x = xs.index(0, t);
        for (x, state) in rows(&x).iter().zip(&mut expected) {
            *state = naive(x, &state.0, &state.1);
        }
        state = cell.step(&state, &x);
        let h: Vec<f64> = expected.iter().flat_map(|state| state.0.clone()).collect();
        let c: Vec<f64> = expected.iter().flat_map(|state| state.1.clone()).collect();
        assert_close(C::output(&state), &[BATCH, HIDDEN], &h);
        assert_close(&memory(&state), &[BATCH, HIDDEN], &c);
        outputs.extend(h);
    }
    let (sequence, last) = cell.sequence(cell.initial(BATCH), &xs);
    assert_close(&sequence, &[6, BATCH, HIDDEN], &outputs);
    assert_close(C::output(&last), &[BATCH, HIDDEN], &outputs[5 * BATCH * HIDDEN..]);

    let symbol = cell.step_symbols(&state, &symbols(&[4, 0, 4]));
    let mut one_hot = vec![0.0; BATCH * INPUTS];
    (one_hot[4], one_hot[INPUTS], one_hot[2 * INPUTS + 4]) = (1.0, 1.0, 1.0);
    let dense = cell.step(&state, &Array::from_elements(&[BATCH, INPUTS], &one_hot).unwrap());
    assert_eq!(C::output(&symbol), C::output(&dense));
}

#[test]
fn rnn_follows_its_formula() {
    let cell: Rnn<Array> = Rnn::new(&mut Rng::new(7), INPUTS, HIDDEN);
    assert_eq!(cell.names(), ["Wx", "Wh", "b"]);
    let (wx, wh, b) = (rows(&cell.wx), rows(&cell.wh), row(&cell.b));
    check_cell(&cell, Array::zeros_of_state, &|x, h, c| {
        let next = |j| (product(x, &wx, j) + product(h, &wh, j) + b[j]).tanh();
        ((0..HIDDEN).map(next).collect(), c.to_vec())
    });
}

#[test]
fn lstm_follows_its_formula() {
    let cell: Lstm<Array> = Lstm::new(&mut Rng::new(8), INPUTS, HIDDEN);
    assert_eq!(cell.names(), ["Wx", "Wh", "b"]);
    assert_eq!(cell.wx.shape().as_slice(), [INPUTS, 4 * HIDDEN]);
    let (wx, wh, b) = (rows(&cell.wx), rows(&cell.wh), row(&cell.b));
    check_cell(&cell, |state| state.c.clone(), &|x, h, c| {
        let gate = |k: usize, j: usize| {
            let j = k * HIDDEN + j;
            product(x, &wx, j) + product(h, &wh, j) + b[j]
        };
        let c: Vec<f64> = (0..HIDDEN)
            .map(|j| sigmoid(gate(1, j)) * c[j] + sigmoid(gate(0, j)) * gate(2, j).tanh())
            .collect();
        ((0..HIDDEN).map(|j| sigmoid(gate(3, j)) * c[j].tanh()).collect(), c)
    });
}

#[test]
fn gru_follows_pytorchs_formula() {
    let cell: Gru<Array> = Gru::new(&mut Rng::new(9), INPUTS, HIDDEN);
    assert_eq!(cell.names(), ["Wx", "Wh", "b", "bhn"]);
    let (wx, wh, b, bhn) = (rows(&cell.wx), rows(&cell.wh), row(&cell.b), row(&cell.bhn));
    check_cell(&cell, Array::zeros_of_state, &|x, h, c| {
        let x_part = |k: usize, j: usize| product(x, &wx, k * HIDDEN + j) + b[k * HIDDEN + j];
        let h_part = |k: usize, j: usize| product(h, &wh, k * HIDDEN + j);
        let next = |j: usize| {
            let r = sigmoid(x_part(0, j) + h_part(0, j));
            let z = sigmoid(x_part(1, j) + h_part(1, j));
            let n = (x_part(2, j) + r * (h_part(2, j) + bhn[j])).tanh();
            (1.0 - z) * n + z * h[j]
        };
        ((0..HIDDEN).map(next).collect(), c.to_vec())
    });
}

/// For cells whose state is their output: what takes the place of a memory.
trait NoMemory {
    fn zeros_of_state(state: &Self) -> Self;
}

impl NoMemory for Array {
    fn zeros_of_state(state: &Array) -> Array {
        Array::zeros(&state.shape())
    }
}

#[test]
fn layers_differentiate_through_a_sequence() {
    let cell: Gru<Array> = Gru::new(&mut Rng::new(9), INPUTS, HIDDEN);
    let xs = array(11, &[6, BATCH, INPUTS]);
    let loss = |cell: &Gru<Array>| cell.sequence(cell.initial(BATCH), &xs).0.square().sum(..).item();
    fn traced<T: Tensor>(cell: Gru<T>, xs: T) -> T {
        cell.sequence(cell.initial(BATCH), &xs).0.square().sum(..)
    }
    let lift = xs.clone();
    let (value, (grads, _)) = value_and_grad(|(cell, xs)| traced(cell, xs), &(cell.clone(), lift)).unwrap();
    assert!((value.item() - loss(&cell)).abs() < 1e-12);
    // In a direction without pattern, the slope is the difference quotient's.
    let direction = |k: u64, leaf: &Array| array(100 + k, &leaf.shape());
    let mut k = 0;
    let mut moved = |h: f64| {
        k = 0;
        cell.map_leaves(|leaf| {
            k += 1;
            leaf.clone() + direction(k, leaf) * h
        })
    };
    let quotient = (loss(&moved(1e-5)) - loss(&moved(-1e-5))) / 2e-5;
    let slope: f64 = (1..).zip(grads.leaves()).map(|(k, g)| (direction(k, &g) * &g).sum(..).item()).sum();
    assert!((slope / quotient - 1.0).abs() < 1e-8, "{slope} but expected {quotient}");
}

#[test]
fn what_does_not_fit_names_the_users_line() {
    /// The error of a line inside of `grad` ends with the line's own place.
    macro_rules! refused {
        ($layer:expr, $shape:expr, |$l:ident, $x:ident| $line:expr) => {{
            let x = array(1, &$shape);
            let error = grad(
                |$l| {
                    let $x = Var::lift(&x);
                    $line.sum(..)
                },
                &$layer,
            )
            .unwrap_err();
            let message = error.to_string();
            assert!(message.contains(&format!("(tests/eager/nn.rs:{}:", line!())), "{message}");
            message
        }};
    }
    let rng = &mut Rng::new(1);
    let message = refused!(Linear::<Array>::new(rng, 5, 4), [3, 6], |layer, x| layer.apply(&x));
    assert!(message.starts_with("matmul: cannot multiply [3, 6] by [5, 4]"), "{message}");
    refused!(LayerNorm::<Array>::new(4), [3, 6], |layer, x| layer.apply(&x));
    refused!(Conv2d::<Array>::new(rng, 2, 3, [2, 2]), [1, 3, 4, 4], |layer, x| layer.apply(&x));
    refused!(Rnn::<Array>::new(rng, 5, 4), [3, 6], |cell, x| cell.step(&cell.initial(3), &x));
    refused!(Rnn::<Array>::new(rng, 5, 4), [3, 5], |cell, x| cell.step(&cell.initial(2), &x));
    refused!(Lstm::<Array>::new(rng, 5, 4), [3, 5], |cell, x| cell.step(&cell.initial(2), &x).h);
    refused!(Gru::<Array>::new(rng, 5, 4), [3, 5], |cell, x| cell.step(&cell.initial(2), &x));
    refused!(Gru::<Array>::new(rng, 5, 4), [0, 3, 5], |cell, x| cell.sequence(cell.initial(3), &x).0);
    let message =
        refused!(Embedding::<Array>::new(rng, 5, 4), [], |layer, _x| layer.apply(&symbols(&[1, 5])));
    assert!(message.contains("index 5 is out of range"), "{message}");
}

#[test]
fn layer_norm_normalises_the_last_axis() {
    let mut layer: LayerNorm<Array> = LayerNorm::new(4);
    assert_eq!(layer.names(), ["gain", "bias"]);
    (layer.gain, layer.bias) = (array(1, &[4]), array(2, &[4]));
    let x = array(3, &[2, 3, 4]);
    let (gain, bias) = (row(&layer.gain), row(&layer.bias));
    let expected: Vec<f64> = rows(&x.reshape(&[6, 4]))
        .iter()
        .flat_map(|x| {
            let mean = x.iter().sum::<f64>() / 4.0;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
            let y = |i: usize| (x[i] - mean) / (variance + 1e-5).sqrt() * gain[i] + bias[i];
            (0..4).map(y).collect::<Vec<_>>()
        })
        .collect();
    assert_close(&layer.apply(&x), &[2, 3, 4], &expected);
    // Constant features have no direction, and stay finite.
    assert_close(&layer.apply(&Array::full(&[1, 4], 7.0)), &[1, 4], &bias);
}

#[test]
fn conv2d_is_a_sum_over_windows() {
    let mut layer: Conv2d<Array> = Conv2d::new(&mut Rng::new(1), 2, 3, [2, 3]);
    assert_eq!(layer.names(), ["kernel", "b"]);
    layer.b = array(2, &[3]);
    layer.window = Window2d { stride: [2, 1], padding: [1, 0] };
    let x = array(3, &[2, 2, 5, 4]);
    let (image, kernel, b) = (x.view(), layer.kernel.view(), row(&layer.b));
    let mut expected = Vec::new();
    for (n, o) in (0..2).flat_map(|n| (0..3).map(move |o| (n, o))) {
        // Rows: (5 + 2·1 − 2)/2 + 1 = 3; columns: (4 − 3)/1 + 1 = 2.
        for (r, c) in (0..3).flat_map(|r| (0..2).map(move |c| (r, c))) {
            let mut y = b[o];
            for (i, u, v) in (0..12).map(|k| (k / 6, k / 3 % 2, k % 3)) {
                let (line, column) = ((r * 2 + u) as isize - 1, c + v);
                if (0..5).contains(&line) {
                    y += image[[n, i, line as usize, column]] * kernel[[o, i, u, v]];
                }
            }
            expected.push(y);
        }
    }
    assert_close(&layer.apply(&x), &[2, 3, 3, 2], &expected);
}

#[test]
fn pooling_takes_the_largest_or_the_mean_of_each_tile() {
    let image = Array::from_elements(&[1, 1, 2, 4], &[1.0, 2.0, -5.0, -6.0, 3.0, 4.0, -7.0, -8.0]).unwrap();
    let pool = Pool2d::new([2, 2]);
    assert_close(&pool.max(&image), &[1, 1, 1, 2], &[4.0, -5.0]);
    assert_close(&pool.mean(&image), &[1, 1, 1, 2], &[2.5, -6.5]);
    // The padding of zeros never wins over negative numbers.
    let padded = Pool2d { kernel: [2, 2], window: Window2d { stride: [2, 2], padding: [0, 1] } };
    assert_close(&padded.max(&image), &[1, 1, 1, 3], &[3.0, 4.0, -6.0]);
}

#[test]
fn dropout_keeps_the_expectation_and_follows_its_seed() {
    let dropout = Dropout::new(0.25).unwrap();
    let x = Array::ones(&[100, 100]);
    let seed = |seed: i64| NdInt::from_elements(&[], &[seed]).unwrap();
    let y = dropout.apply(&x, &seed(1));
    assert!(y.view().iter().all(|&y| y == 0.0 || y == 1.0 / 0.75));
    // Ten thousand draws: the standard deviation of the mean is √(0.25/0.75)/100 ≈ 0.006.
    assert!((y.mean(..).item() - 1.0).abs() < 0.03);
    assert_eq!(dropout.apply(&x, &seed(1)), y);
    assert_ne!(dropout.apply(&x, &seed(2)), y);
    assert_eq!(Dropout::new(0.0).unwrap().apply(&x, &seed(1)), x);
    for rate in [1.0, -0.1, f64::NAN] {
        assert!(matches!(Dropout::new(rate), Err(Error::Config { .. })));
    }
}

#[test]
fn initial_values_have_their_documented_spread() {
    // mean, variance and largest magnitude of 40 000 values; fan_in = 100, fan_out = 400.
    let statistics = |init: Init| {
        let x = init.elements(&[100, 400], &mut Rng::new(5));
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, variance, x.iter().fold(0.0f64, |m, x| m.max(x.abs())))
    };
    let glorot: f64 = 6.0 / 500.0;
    let he: f64 = 6.0 / 100.0;
    for (init, mean, variance, limit) in [
        (Init::Uniform { low: 1.0, high: 3.0 }, 2.0, 4.0 / 12.0, 3.0),
        (Init::Normal { mean: -1.0, std: 2.0 }, -1.0, 4.0, f64::INFINITY),
        (Init::GlorotUniform, 0.0, glorot / 3.0, glorot.sqrt()),
        (Init::GlorotNormal, 0.0, 2.0 / 500.0, f64::INFINITY),
        (Init::HeUniform, 0.0, he / 3.0, he.sqrt()),
        (Init::HeNormal, 0.0, 2.0 / 100.0, f64::INFINITY),
    ] {
        let found = statistics(init);
        // Four standard deviations of the mean, and of a variance whose own is at most √(2/n) of it.
        assert!((found.0 - mean).abs() < 4.0 * (variance / 40_000.0).sqrt(), "{init:?}: {found:?}");
        assert!((found.1 / variance - 1.0).abs() < 4.0 * (2.0f64 / 40_000.0).sqrt(), "{init:?}: {found:?}");
        assert!(found.2 <= limit, "{init:?}: {found:?}");
        if limit.is_finite() {
            assert!(found.2 > 0.99 * limit, "{init:?}: {found:?}");
        }
    }
    assert_eq!(statistics(Init::Zeros), (0.0, 0.0, 0.0));
    assert_eq!(statistics(Init::Constant(-2.0)), (-2.0, 0.0, 2.0));
    // A convolution's [out, in, kh, kw].
    let x = Init::HeUniform.elements(&[8, 4, 3, 5], &mut Rng::new(5));
    let largest = x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    assert!(largest <= (0.1f64).sqrt() && largest > 0.95 * (0.1f64).sqrt());
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    let mut rng = Rng::new(3);
    for shape in [&[6, 6][..], &[3, 8], &[8, 3], &[4, 2, 3], &[5]] {
        let q: Array = Init::Orthogonal.sample(shape, &mut rng);
        let q = q.reshape(&[shape[0], shape[1..].iter().product()]);
        let square =
            if q.shape()[0] <= q.shape()[1] { q.matmul(&q.transpose()) } else { q.transpose().matmul(&q) };
        let n = square.shape()[0];
        let identity: Vec<f64> = (0..n * n).map(|k| f64::from(k % (n + 1) == 0)).collect();
        assert_close(&square, &[n, n], &identity);
    }
    assert_eq!(Init::Orthogonal.sample::<Array>(&[0, 3], &mut rng).shape().as_slice(), [0, 3]);
}

/// The stream of a seed is a promise: weights made from it years ago can be made again.
#[test]
fn a_seed_gives_the_same_numbers_for_ever() {
    let mut rng = Rng::new(42);
    let drawn = [rng.uniform(), rng.uniform(), rng.normal()];
    assert_eq!(drawn, EXPECTED);
    let model = |seed| Lstm::<Array>::new(&mut Rng::new(seed), 3, 2).leaves();
    assert_eq!(model(1), model(1));
    assert_ne!(model(1), model(2));
}

const EXPECTED: [f64; 3] = [0.5265574090027738, 0.5427252099031439, -1.1811075002405902];
