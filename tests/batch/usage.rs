//! [`vmap`] as it is used: its axes, what it refuses, gradients of each sample, ensembles.

use antiphon::{NdArray, Real, vmap};

type Array = NdArray<f64>;

#[test]
fn a_function_of_one_row_runs_on_all() {
    let xs = Array::from(vec![1.0, 2.0, 3.0]);
    assert_eq!(vmap(|x| x.square(), &xs).unwrap(), Array::from(vec![1.0, 4.0, 9.0]));
}
