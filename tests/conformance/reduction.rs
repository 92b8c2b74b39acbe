//! Reductions over every choice of axes, and maxima with ties.

use antiphon::Norm;

use crate::array_case::{Input, Local, array_cases, function, linear, polynomial};
use crate::vector::logsumexp;

/// Variance of a row of entries: `Σx²/n − (Σx)²/n²`.
fn variance(row: Vec<crate::array_case::Entry>) -> Local {
    let n = row.len() as f64;
    function(row, |x| {
        let mean = x.iter().sum::<f64>() / n;
        let gradient: Vec<f64> = x.iter().map(|x| 2.0 * (x - mean) / n).collect();
        let hessian: Vec<Vec<f64>> = (0..x.len())
            .map(|i| (0..x.len()).map(|j| 2.0 / n * (if i == j { 1.0 } else { 0.0 } - 1.0 / n)).collect())
            .collect();
        (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n, gradient, hessian)
    })
}

/// Euclid's norm of a row of entries.
fn norm(row: Vec<crate::array_case::Entry>) -> Local {
    function(row, |x| {
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let unit: Vec<f64> = x.iter().map(|x| x / norm).collect();
        let of = |i: usize, j: usize| (if i == j { 1.0 } else { 0.0 } - unit[i] * unit[j]) / norm;
        let hessian: Vec<Vec<f64>> = (0..x.len()).map(|i| (0..x.len()).map(|j| of(i, j)).collect()).collect();
        (norm, unit.clone(), hessian)
    })
}

/// The entries `x[i, 0..n]`.
fn row(x: &Input, i: usize) -> Vec<crate::array_case::Entry> {
    (0..x.array.shape[1]).map(|k| x.at([i, k])).collect()
}

array_cases! {
    sum_of_all(x: [2, 3]) { f: x.sum(..), shape: [], element: |_| linear(x.all().into_iter().map(|e| (1.0, e))), }
    sum_of_rows(x: [2, 3]) { f: x.sum(1), shape: [2], element: |i| linear((0..3).map(|k| (1.0, x.at([i[0], k])))), }
    sum_of_columns(x: [2, 3]) { f: x.sum(0), shape: [3], element: |i| linear((0..2).map(|k| (1.0, x.at([k, i[0]])))), }
    sum_of_the_last_axis(x: [2, 2, 3]) {
        f: x.sum(-1), shape: [2, 2], element: |i| linear((0..3).map(|k| (1.0, x.at([i[0], i[1], k])))),
    }
    sum_of_outer_axes(x: [2, 3, 2]) {
        f: x.sum([0, 2]), shape: [3],
        element: |i| linear((0..4).map(|k| (1.0, x.at([k / 2, i[0], k % 2])))),
    }
    sum_of_no_axes(x: [2, 3]) { f: x.sum([0isize; 0]), shape: [2, 3], element: |i| linear([(1.0, x.at(i))]), }
    sum_of_an_axis_of_one(x: [2, 1]) { f: x.sum(1), shape: [2], element: |i| linear([(1.0, x.at([i[0], 0]))]), }
    sum_of_nothing(x: [0], s: []) { f: x.exp().sum(..) + s, shape: [], element: |_| linear([(1.0, s.at([]))]), }
    sum_of_a_square(x: [2, 3]) {
        f: x.square().sum(..), shape: [], element: |_| polynomial(x.all().into_iter().map(|e| (1.0, vec![e, e]))),
    }
    square_of_a_sum(x: [3]) {
        f: x.sum(..).square(), shape: [],
        element: |_| polynomial((0..9).map(|k| (1.0, vec![x.at([k / 3]), x.at([k % 3])]))),
    }
    mean_of_all(x: [2, 3]) { f: x.mean(..), shape: [], element: |_| linear(x.all().into_iter().map(|e| (1.0 / 6.0, e))), }
    mean_of_columns(x: [2, 3]) { f: x.mean(0), shape: [3], element: |i| linear((0..2).map(|k| (0.5, x.at([k, i[0]])))), }
    mean_of_two_axes(x: [2, 3, 2]) {
        f: x.mean([0, -1]), shape: [3], element: |i| linear((0..4).map(|k| (0.25, x.at([k / 2, i[0], k % 2])))),
    }
    variance_of_all(x: [2, 2]) { f: x.var(..), shape: [], element: |_| variance(x.all()), }
    variance_of_rows(x: [2, 4]) { f: x.var(-1), shape: [2], element: |i| variance(row(x, i[0])), }
    centred_rows(x: [2, 3]) {
        f: x.clone() - x.mean(1).unsqueeze(1), shape: [2, 3],
        element: |i| linear((0..3).map(|k| (if k == i[1] { 2.0 / 3.0 } else { -1.0 / 3.0 }, x.at([i[0], k])))),
    }
    max_of_all(x: [2, 3] = [0.3, -1.0, 2.5, 2.0, 0.1, -3.0]) {
        f: x.max(..).square(), shape: [], element: |_| polynomial([(1.0, vec![x.at([0, 2]), x.at([0, 2])])]),
    }
    max_of_rows(x: [2, 3] = [0.3, -1.0, 2.5, 2.0, 0.1, -3.0]) {
        f: x.max(1), shape: [2], element: |i| linear([(1.0, x.at([i[0], [2, 0][i[0]]]))]),
    }
    max_of_columns(x: [2, 3] = [0.3, -1.0, 2.5, 2.0, 0.1, -3.0]) {
        f: x.max(0), shape: [3], element: |i| linear([(1.0, x.at([[1, 1, 0][i[0]], i[0]]))]),
    }
    max_of_outer_axes(x: [2, 2, 2] = [1.0, 2.0, 3.0, 4.0, 9.0, 0.0, -1.0, 5.0]) {
        f: x.max([0, 2]), shape: [2], element: |i| linear([(1.0, x.at([[1, 0, 0], [1, 1, 1]][i[0]]))]),
    }
    max_shares_ties(x: [2, 3] = [1.0, 2.0, 2.0, 4.0, 4.0, 4.0]) {
        f: x.max(1), shape: [2],
        element: |i| if i[0] == 0 {
            linear([(0.5, x.at([0, 1])), (0.5, x.at([0, 2]))])
        } else {
            linear((0..3).map(|k| (1.0 / 3.0, x.at([1, k]))))
        },
        kink,
    }
    max_of_all_shares_ties(x: [4] = [2.0, 1.0, 2.0, 0.0]) {
        f: x.max(..) * 3.0, shape: [], element: |_| linear([(1.5, x.at([0])), (1.5, x.at([2]))]), kink,
    }
    min_of_rows(x: [2, 3] = [0.3, -1.0, 2.5, 2.0, 0.1, -3.0]) {
        f: x.min(1), shape: [2], element: |i| linear([(1.0, x.at([i[0], [1, 2][i[0]]]))]),
    }
    min_shares_ties(x: [3] = [1.0, 2.0, 1.0]) {
        f: x.min(0), shape: [], element: |_| linear([(0.5, x.at([0])), (0.5, x.at([2]))]), kink,
    }
    range_of_rows(x: [2, 3] = [0.3, -1.0, 2.5, 2.0, 0.1, -3.0]) {
        f: x.max(1) - x.min(1), shape: [2],
        element: |i| linear([(1.0, x.at([i[0], [2, 0][i[0]]])), (-1.0, x.at([i[0], [1, 2][i[0]]]))]),
    }
    argmax_as_a_number(x: [2, 3] = [0.3, -1.0, 2.5, 2.0, 0.1, -3.0]) {
        f: T::from_int(&x.argmax(1)) * x.sum(1), shape: [2],
        element: |i| linear((0..3).map(|k| ([2.0, 0.0][i[0]], x.at([i[0], k])))),
    }
    logsumexp_of_all(x: [2, 2]) { f: x.logsumexp(..), shape: [], element: |_| logsumexp(x.all()), }
    logsumexp_of_rows(x: [2, 3]) { f: x.logsumexp(-1), shape: [2], element: |i| logsumexp(row(x, i[0])), }
    logsumexp_of_columns(x: [2, 3]) {
        f: x.logsumexp(0), shape: [3], element: |i| logsumexp((0..2).map(|k| x.at([k, i[0]])).collect()),
    }
    logsumexp_does_not_overflow(x: [2] = [1000.0, 1000.0]) {
        f: x.logsumexp(0), shape: [], element: |_| logsumexp(x.all()),
    }
    product_of_six(x: [2, 3]) { f: x.prod(..), shape: [], element: |_| polynomial([(1.0, x.all())]), }
    product_at_one_zero(x: [4] = [2.0, 0.0, -1.5, 3.0]) {
        f: x.prod(0), shape: [], element: |_| polynomial([(1.0, x.all())]),
    }
    product_at_two_zeros(x: [5] = [2.0, 0.0, -1.5, 0.0, 3.0]) {
        f: x.prod(0), shape: [], element: |_| polynomial([(1.0, x.all())]),
    }
    product_of_columns(x: [3, 2]) {
        f: x.prod(0), shape: [2], element: |i| polynomial([(1.0, (0..3).map(|k| x.at([k, i[0]])).collect())]),
    }
    cumulative_sum(x: [2, 5]) {
        f: x.cumsum(1), shape: [2, 5], element: |i| linear((0..=i[1]).map(|k| (1.0, x.at([i[0], k])))),
    }
    cumulative_product_at_zeros(x: [5] = [2.0, 0.0, -1.5, 0.0, 3.0]) {
        f: x.cumprod(0), shape: [5], element: |i| polynomial([(1.0, (0..=i[0]).map(|k| x.at([k])).collect())]),
    }
    cumulative_maximum(x: [5] = [0.3, -1.0, 2.5, 2.0, 3.0]) {
        f: x.cummax(0), shape: [5], element: |i| linear([(1.0, x.at([[0, 0, 2, 2, 4][i[0]]]))]),
    }
    norm_of_rows(x: [2, 3]) { f: x.norm(Norm::Two, 1), shape: [2], element: |i| norm(row(x, i[0])), }
    norm_at_zero(x: [2, 2] = [0.0; 4]) {
        f: x.norm(Norm::Two, ..) + x.norm(Norm::One, ..), shape: [], element: |_| linear([]), kink,
    }
    squared_deviation(x: [2, 2], y: []) {
        f: x.std(..).square() * y, shape: [],
        element: |_| polynomial((0..16).map(|k| {
            let (i, j) = (k / 4, k % 4);
            let at = |i: usize| x.at([i / 2, i % 2]);
            (if i == j { 0.25 - 0.0625 } else { -0.0625 }, vec![at(i), at(j), y.at([])])
        })),
    }
}
