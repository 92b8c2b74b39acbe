//! Every array operator in a formula, in many shapes: the pattern at one point holds at others, and is no larger than
//! it has to be.

use antiphon::{Real, Tensor};

use crate::case::{
    Array, Weighted, assert_covers, check_hessian, check_jacobian, dense_hessian, dense_jacobian,
};
use crate::table::{self, Formula, array};

/// What takes one of several values, or masks some: only those that it took have a derivative, and at another point
/// others may have.
const PICKS: &[&str] = &[
    "maximum",
    "minimum",
    "max(",
    "min(",
    "max_pool2d",
    "dropout",
    "Norm::Infinity",
    "T::any",
    "sort",
    "topk",
    "median",
    "quantile",
    "clip",
    "tril",
    "triu",
    "adaptive_max",
    "Key::new",
];

#[test]
fn patterns_hold_at_all_points_and_are_no_larger_than_they_have_to_be() {
    let mut compared = 0;
    for &(formula, shapes) in table::ALL.iter().copied().flatten() {
        let f = Formula(formula);
        for shapes in shapes {
            let at = |seed: u64| -> Vec<Array> {
                shapes.iter().zip(1..).map(|(shape, i)| array(shape, seed * 10 + i)).collect()
            };
            let what = format!("{formula} of {shapes:?}");
            let (first, second) =
                (check_jacobian(&what, &f, &at(0)), check_hessian(&what, &Weighted(&f), &at(0)));
            let points: Vec<_> = (0..4).map(at).collect();
            let jacobians: Vec<Array> = points.iter().map(|x| dense_jacobian(&f, x)).collect();
            let hessians: Vec<Array> = points.iter().map(|x| dense_hessian(&Weighted(&f), x)).collect();
            jacobians.iter().for_each(|jacobian| assert_covers(&what, &first, jacobian));
            hessians.iter().for_each(|hessian| assert_covers(&what, &second, hessian));
            let entries = |matrices: &[Array]| {
                let sum = matrices.iter().fold(Array::zeros(&matrices[0].shape()), |sum, x| sum + x.abs());
                sum.view().iter().filter(|&&x| x != 0.0).count()
            };
            let exact = (entries(&jacobians), entries(&hessians)) == (first.nnz(), second.nnz());
            let picks = PICKS.iter().any(|operator| formula.contains(operator));
            // Of what the host computes, each element may depend on all of a matrix, and of its right side.
            let by_host =
                table::linalg::LINEAR_ALGEBRA.iter().any(|(of_matrices, _)| *of_matrices == formula);
            assert!(
                exact || picks || by_host,
                "{what}: more entries than any point has, in {first:?} or {second:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}
