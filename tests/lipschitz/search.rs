//! Lower bounds of programs, which searches find.

use std::f64::consts::PI;

use antiphon::check::RunsOn;
use antiphon::lipschitz::{
    Kind, lower_bound_by_annealing, lower_bound_by_ascent, lower_bound_on, lower_bound_on_grid,
};
use antiphon::{NdArray, Tensor, program};

use crate::networks::{Array, LONG, formula};

/// `tanh(x·W)` with a matrix of norm 5.46…, which is that of the derivative at zero, and less elsewhere.
const ELEMENTS: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
const NORM: f64 = 5.464985704219043;

#[test]
fn searches_find_where_the_derivative_is_longest() {
    let f = program!(|x| x[0].matmul(&T::from_elements(&[2, 2], &ELEMENTS).unwrap()).tanh());
    let zero = Array::zeros(&[2]);
    let near = NdArray::from(vec![0.3, -0.2]);
    let at_zero = lower_bound_on(&f, &[near.clone(), zero]).unwrap();
    assert!((at_zero.value - NORM).abs() < 1e-10 && at_zero.kind == Kind::LowerBound, "{at_zero}");
    let at_near = lower_bound_on(&f, std::slice::from_ref(&near)).unwrap().value;
    assert!(at_near < 0.96 * NORM, "{at_near}");
    let ascent = lower_bound_by_ascent(&f, &near, 100).unwrap().value;
    assert!(ascent > NORM * (1.0 - 1e-6) && ascent <= NORM, "{ascent}");
    let grid = lower_bound_on_grid(&f, [-1.0, -1.0], [1.0, 1.0], 21).unwrap().value;
    assert!((grid - NORM).abs() < 1e-10, "{grid}");
    let starts = [near.clone(), near * 2.0];
    let annealed = lower_bound_by_annealing(&f, &starts, 200, 1, LONG).unwrap().value;
    assert!(annealed > 0.97 * NORM && annealed <= NORM, "{annealed}");
    // The same seed, the same chains.
    assert_eq!(annealed, lower_bound_by_annealing(&f, &starts, 200, 1, LONG).unwrap().value);
}

/// A network as a program.
struct Formula;

impl<T: Tensor> RunsOn<T> for Formula {
    fn call(&self, x: &[T]) -> T {
        let layer = |k: f64, inputs: usize, outputs: usize| {
            let scale = (inputs as f64).sqrt();
            let element =
                |i: usize| (k + 3.0 * (i % outputs) as f64 + 7.0 * (i / outputs) as f64).cos() / scale;
            let elements: Vec<f64> = (0..inputs * outputs).map(element).collect();
            T::from_elements(&[inputs, outputs], &elements).unwrap()
        };
        x[0].matmul(&layer(1.0, 2, 8)).relu().matmul(&layer(2.0, 8, 1))
    }
}

#[test]
fn programs_and_networks_have_the_same_bounds() {
    let network = formula(&[2, 8, 1]);
    let turns: Vec<Array> = (0..24)
        .map(|k| (f64::from(k) + 0.3) * PI / 12.0)
        .map(|a| NdArray::from(vec![a.cos(), a.sin()]))
        .collect();
    let as_program = lower_bound_on(&Formula, &turns).unwrap().value;
    let norms = turns.iter().map(|x| network.norm_at(x).unwrap().value);
    let as_network = norms.fold(0.0, f64::max);
    assert!((as_program - as_network).abs() < 1e-12, "{as_program} {as_network}");
    let upper = network.all_patterns(LONG).unwrap().value;
    let annealed = lower_bound_by_annealing(&Formula, &turns[..2], 50, 3, LONG).unwrap().value;
    assert!(annealed <= upper && as_program <= upper, "{annealed} {as_program} {upper}");
    assert!(network.lower_bound(LONG).unwrap().value >= as_program * (1.0 - 1e-12));
}

#[test]
fn what_cannot_be_searched_is_an_error_with_the_reason() {
    let says = |error: antiphon::Error, word: &str| {
        let error = error.to_string();
        assert!(error.contains(word) && error.contains("search.rs"), "{error}");
    };
    let f = program!(|x| x[0].log());
    says(lower_bound_on(&f, &[]).unwrap_err(), "no data");
    says(lower_bound_on(&f, &[Array::zeros(&[2])]).unwrap_err(), "the norm of the derivative is");
    says(lower_bound_by_annealing(&f, &[], 1, 0, LONG).unwrap_err(), "no start");
    says(lower_bound_on(&program!(|x| x[0].matmul(&x[0])), &[Array::zeros(&[2, 3])]).unwrap_err(), "[2, 3]");
}
