//! SeqLip of layers that are programs: beside that of their matrices, and of all patterns.

use std::time::Duration;

use antiphon::lipschitz::{AffineChain, AffineProgram, Network, Slopes, spectral_norm_bound};
use antiphon::nn::{Init, Rng};
use antiphon::{NdArray, Real, Tensor, Var, Window2d};

type Array = NdArray<f64>;

const LONG: Duration = Duration::from_secs(60);

fn random(rng: &mut Rng, shape: &[usize]) -> Array {
    Init::HeUniform.sample(shape, rng)
}

/// The matrix `[inputs, outputs]` of a linear program.
fn matrix(f: AffineProgram<'_>, shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    let row = |i: usize| -> Array {
        let unit: Vec<f64> = (0..n).map(|j| f64::from(u8::from(i == j))).collect();
        let x = NdArray::from(unit).reshape(shape);
        antiphon::value_and_grad_aux(|x: Var<'_, Array>| (x.sum(..), f(x)), &x).expect("it runs").1
    };
    let rows: Vec<f64> = (0..n).flat_map(|i| row(i).view().iter().copied().collect::<Vec<f64>>()).collect();
    NdArray::from_elements(&[n, rows.len() / n], &rows).expect("a matrix")
}

#[test]
fn patterns_of_matrices_are_as_good_as_the_best_ones() {
    for (seed, slopes) in (0..6).zip([Slopes::UNIT, Slopes::SYMMETRIC, Slopes::SIGMOID].iter().cycle()) {
        let rng = &mut Rng::new(seed);
        let weights = [[3, 9], [9, 8], [8, 2]].map(|shape| random(rng, &shape));
        let [first, second, last] = &weights;
        let layers: [AffineProgram<'_>; 3] =
            [&|x| x.matmul(&Var::lift(first)), &|x| x.matmul(&Var::lift(second)) + 1.0, &|x| {
                x.matmul(&Var::lift(last))
            }];
        let chain = AffineChain::new(&layers, &[1, 3], *slopes, 9).unwrap();
        let network = Network::of_slopes(&weights, *slopes).unwrap();
        let (found, best) =
            (chain.seq_lip_greedy().unwrap().value, network.seq_lip_exact(LONG).unwrap().value);
        assert!(found <= best * (1.0 + 1e-9) && found > best * 0.97, "{seed}: {found} of {best}");
        let (above, exact) = (chain.auto_lip().value, network.auto_lip().value);
        assert!((above - exact).abs() < 1e-8 * exact, "{above} and {exact}");
    }
}

#[test]
fn convolutions_are_as_their_matrices_and_what_is_left_out_is_counted() {
    let rng = &mut Rng::new(3);
    let (first, second, last) =
        (random(rng, &[3, 1, 3, 3]), random(rng, &[2, 3, 3, 3]), random(rng, &[18, 4]));
    let halved = Window2d { stride: [2, 2], padding: [1, 1] };
    let layers: [AffineProgram<'_>; 3] = [
        &|x| x.conv2d(&Var::lift(&first), halved),
        &|x| x.conv2d(&Var::lift(&second), halved).reshape(&[1, 18]),
        &|x| x.matmul(&Var::lift(&last)),
    ];
    let shapes: [&[usize]; 3] = [&[1, 1, 10, 10], &[1, 3, 5, 5], &[1, 18]];
    let matrices: Vec<Array> = layers.iter().zip(shapes).map(|(layer, shape)| matrix(layer, shape)).collect();
    let whole = AffineChain::new(&layers, &[1, 1, 10, 10], Slopes::UNIT, 100).unwrap();
    for (values, matrix) in whole.singular_values().zip(&matrices) {
        let norm = spectral_norm_bound(matrix).unwrap().value;
        assert!((values[0] - norm).abs() < 1e-9 * norm);
    }
    let network = Network::relu(&matrices).unwrap();
    let (found, by_matrices) =
        (whole.seq_lip_greedy().unwrap().value, network.seq_lip_greedy().unwrap().value);
    assert!((found / by_matrices - 1.0).abs() < 0.02, "{found} and {by_matrices}");
    // Of fewer singular values the rest is counted in full, so that the fewer there are the larger it is.
    let mut before = whole.auto_lip().value * (1.0 + 1e-9);
    assert!(found < 0.9 * before);
    for rank in [1, 4, 12, 18] {
        let chain = AffineChain::new(&layers, &[1, 1, 10, 10], Slopes::UNIT, rank).unwrap();
        let value = chain.seq_lip_greedy().unwrap().value;
        assert!(found * 0.98 <= value && value <= before, "rank {rank}: {value}");
        before = value * 1.02;
    }
}

#[test]
fn what_is_no_chain_of_affine_layers_is_an_error() {
    let (square, wide) = (random(&mut Rng::new(0), &[4, 4]), random(&mut Rng::new(1), &[3, 2]));
    let good: AffineProgram<'_> = &|x| x.matmul(&Var::lift(&square));
    let error = |layers: &[AffineProgram<'_>], slopes: Slopes, rank: usize| {
        AffineChain::new(layers, &[1, 4], slopes, rank).unwrap_err().to_string()
    };
    let says = |error: String, words: &str| {
        assert!(error.contains(words) && error.contains("sequence.rs"), "{error}")
    };
    says(error(&[], Slopes::UNIT, 3), "0 layers");
    says(error(&[good], Slopes::UNIT, 0), "0 singular values");
    says(error(&[good], Slopes { low: 1.0, high: f64::NAN }, 1), "slopes from 1 to NaN");
    says(error(&[good, &|x| x.square()], Slopes::UNIT, 1), "not affine");
    says(error(&[&|x| x * f64::NAN], Slopes::UNIT, 1), "not finite");
    says(error(&[&|x| x.slice(1, 2..2)], Slopes::UNIT, 1), "layer 1 takes [1, 4] to [1, 0]");
    says(error(&[good, &|x| x.matmul(&Var::lift(&wide))], Slopes::UNIT, 1), "matmul");
    let zero = AffineChain::new(&[&|x| x * 0.0, good], &[1, 4], Slopes::UNIT, 2).unwrap();
    assert_eq!((zero.auto_lip().value, zero.seq_lip_greedy().unwrap().value), (0.0, 0.0));
}
