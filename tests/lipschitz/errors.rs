//! What is no network, and what a method cannot be asked of one.

use antiphon::lipschitz::{Network, Slopes};
use antiphon::{NdArray, Tensor};

use crate::networks::{Array, LONG, absolute, matrix};

#[track_caller]
fn assert_says(result: antiphon::Result<impl Sized>, words: &[&str]) {
    let Err(error) = result else { panic!("no error that says {words:?}") };
    let error = error.to_string();
    for word in words.iter().chain(&["tests/lipschitz/errors.rs"]) {
        assert!(error.contains(word), "{error:?} says nothing of {word:?}");
    }
}

#[test]
fn what_is_no_network_is_an_error_with_the_reason() {
    let good = matrix(2, 3, |_, _| 1.0);
    assert_says(Network::relu(&[]), &["without layers"]);
    assert_says(Network::relu(&[Array::from(vec![1.0])]), &["[1]", "layer 1"]);
    assert_says(Network::relu(&[good.clone(), good.clone()]), &["layer 1 has 3 outputs", "layer 2 takes 2"]);
    assert_says(Network::relu(&[Array::zeros(&[0, 3])]), &["[0, 3]"]);
    for bad in [f64::NAN, f64::INFINITY] {
        let weights = matrix(2, 3, |r, c| if (r, c) == (1, 0) { bad } else { 1.0 });
        assert_says(Network::relu(&[weights]), &["[0, 1] of layer 1", &bad.to_string()]);
    }
    for (low, high) in [(1.0, 0.0), (0.0, f64::INFINITY), (f64::NAN, 1.0)] {
        assert_says(Network::of_slopes(std::slice::from_ref(&good), Slopes { low, high }), &["slopes"]);
    }
    let network = || Network::relu(std::slice::from_ref(&good)).unwrap();
    assert_says(network().with_biases(&[]), &["0 biases of 1 layers"]);
    assert_says(network().with_biases(&[Array::zeros(&[2])]), &["[2] of layer 1", "3 outputs"]);
    assert_says(
        network().with_biases(&[Array::from(vec![0.0, f64::NAN, 0.0])]),
        &["bias [1] of layer 1 is NaN"],
    );
}

#[test]
fn what_a_method_cannot_do_it_says() {
    let wide = Network::relu(&[matrix(1, 30, |r, _| 1.0 + r as f64), matrix(30, 1, |_, _| 1.0)]).unwrap();
    assert_says(wide.all_patterns(LONG), &["30 neurons", "24"]);
    let weights = [matrix(1, 2, |_, _| 1.0), matrix(2, 1, |_, _| 1.0)];
    let smooth = Network::of_slopes(&weights, Slopes::UNIT).unwrap();
    assert_says(smooth.lower_bound(LONG), &["slopes"]);
    assert_says(absolute().norm_at(&Array::from(vec![1.0, 2.0])), &["[2]", "1 inputs"]);
    assert_says(absolute().norm_at(&NdArray::from(vec![f64::NAN])), &["NaN"]);
    // At its kink a neuron has no derivative, and so there is no lower bound but zero.
    assert_eq!(absolute().norm_at(&Array::from(vec![0.0])).unwrap().value, 0.0);
}
