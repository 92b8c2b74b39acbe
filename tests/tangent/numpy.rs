//! The functions of NumPy that Tangent has rules for.

use antiphon::linalg;

use crate::function::{Plain, functions, grid, of_shapes};

type Groups = Vec<Vec<Vec<Plain>>>;

fn vectors() -> Groups {
    of_shapes(&[&[&[3]], &[&[5]], &[&[10]]])
}

fn matrix() -> Groups {
    of_shapes(&[&[&[5, 5]]])
}

fn scalars(operands: usize) -> Groups {
    grid(operands)
}

/// Sums of the rows or the columns of a matrix.
fn sums(x: &Plain, axis: usize) -> Vec<f64> {
    let n = x.shape[0];
    (0..n).map(|i| (0..n).map(|k| x.at(if axis == 1 { [i, k] } else { [k, i] })).sum()).collect()
}

fn transposed(x: &Plain) -> Vec<f64> {
    let n = x.shape[0];
    (0..n * n).map(|at| x.at([at % n, at / n])).collect()
}

/// The determinant, by the first row.
fn determinant(x: &[f64], n: usize) -> f64 {
    if n == 0 {
        return 1.0;
    }
    let minor =
        |column: usize| -> Vec<f64> { (n..n * n).filter(|at| at % n != column).map(|at| x[at]).collect() };
    let sign = |j: usize| if j.is_multiple_of(2) { 1.0 } else { -1.0 };
    (0..n).map(|j| sign(j) * x[j] * determinant(&minor(j), n - 1)).sum()
}

functions! {
    arrays:
    np_add(x, y) at scalars(2) => { f: x + y, is: x.at([]) + y.at([]), }
    np_subtract(x, y) at scalars(2) => { f: x - y, is: x.at([]) - y.at([]), }
    np_multiply(x, y) at scalars(2) => { f: x * y, is: x.at([]) * y.at([]), }
    np_divide(x, y) at scalars(2) => { f: x / y, is: x.at([]) / y.at([]), }
    np_power(x, y) at scalars(2) => { f: x.abs().pow(&y), is: x.at([]).abs().powf(y.at([])), }
    np_negative(x) at scalars(1) => { f: -x, is: -x.at([]), }
    np_positive(x) at scalars(1) => { f: x, is: x.at([]), }
    np_tanh(x) at scalars(1) => { f: x.tanh(), is: x.at([]).tanh(), }
    np_log(x) at scalars(1) => { f: x.abs().log(), is: x.at([]).abs().ln(), }
    np_sin(x) at scalars(1) => { f: x.sin(), is: x.at([]).sin(), }
    np_cos(x) at scalars(1) => { f: x.cos(), is: x.at([]).cos(), }
    np_cosh(x) at scalars(1) => { f: x.cosh(), is: x.at([]).cosh(), }
    np_sinh(x) at scalars(1) => { f: x.sinh(), is: x.at([]).sinh(), }
    np_exp(x) at scalars(1) => { f: x.exp(), is: x.at([]).exp(), }
    np_sqrt(x) at scalars(1) => { f: x.abs().sqrt(), is: x.at([]).abs().sqrt(), }
    np_maximum(x, y) at scalars(2) => {
        f: x.maximum(&y),
        is: x.at([]).max(y.at([])),
        smooth: x.at([]) != y.at([]),
    }
    np_dot(x, y) at of_shapes(&[&[&[5, 5], &[5, 5]]]) => {
        f: x.matmul(&y),
        is: (0..25).map(|at| (0..5).map(|k| x.at([at / 5, k]) * y.at([k, at % 5])).sum()).collect::<Vec<f64>>(),
    }
    np_dot_of_vectors(x, y) at of_shapes(&[&[&[5], &[5]]]) => {
        f: x.matmul(&y),
        is: x.elements.iter().zip(&y.elements).map(|(x, y)| x * y).sum::<f64>(),
    }
    np_dot_of_a_vector(x, y) at of_shapes(&[&[&[5, 5], &[5]]]) => {
        f: x.matmul(&y),
        is: (0..5).map(|i| (0..5).map(|k| x.at([i, k]) * y.at([k])).sum()).collect::<Vec<f64>>(),
    }
    np_reshape(x) at matrix() => { f: x.reshape(&[25, 1]).square(), is: x.elements.iter().map(|x| x * x).collect::<Vec<_>>(), }
    np_transpose(x) at matrix() => { f: x.transpose(), is: transposed(x), }
    np_broadcast_arrays(x, y) at of_shapes(&[&[&[5, 1], &[3]]]) => {
        f: T::stack(&[x.broadcast_to(&[5, 3]), y.broadcast_to(&[5, 3])], 0),
        is: {
            let of_x = (0..15).map(|at| x.elements[at / 3]);
            of_x.chain((0..15).map(|at| y.elements[at % 3])).collect::<Vec<f64>>()
        },
    }
    np_sum(x) at matrix() => { f: x.sum(..), is: x.elements.iter().sum::<f64>(), }
    np_sum_of_axis_0(x) at matrix() => { f: x.sum(0), is: sums(x, 0), }
    np_sum_of_axis_1_keepdims(x) at matrix() => { f: x.sum(1).unsqueeze(1), is: sums(x, 1), }
    np_mean(x) at matrix() => { f: x.mean(..), is: x.elements.iter().sum::<f64>() / 25.0, }
    np_mean_of_axis_1(x) at matrix() => { f: x.mean(1), is: sums(x, 1).iter().map(|x| x / 5.0).collect::<Vec<_>>(), }
    np_array(x) at vectors() => { f: T::stack(&[x.clone(), x], 0), is: [&x.elements[..], &x.elements[..]].concat(), }
    np_linalg_det(x) at matrix() => { f: linalg::det(&x), is: determinant(&x.elements, 5), }
    np_linalg_det_of_a_singular_matrix(x) at matrix() => {
        f: linalg::det(&T::concat(&[x.slice(0, 0..4), x.slice(0, 1..2) * 2.0 - x.slice(0, 3..4)], 0)),
        is: 0.0,
    }
    np_atleast_1d(x) at scalars(1) => { f: x.reshape(&[1]), is: x.at([]), }
    np_atleast_2d(x) at vectors() => { f: x.unsqueeze(0).square(), is: x.elements.iter().map(|x| x * x).collect::<Vec<_>>(), }
    np_atleast_3d(x) at matrix() => { f: x.unsqueeze(-1).exp(), is: x.elements.iter().map(|x| x.exp()).collect::<Vec<_>>(), }
    np_arange(x) at vectors() => {
        f: x.clone() * T::from_elements(&[x.size()], &(0..x.size()).map(|i| i as f64).collect::<Vec<_>>()).expect("all"),
        is: x.elements.iter().enumerate().map(|(i, x)| i as f64 * x).collect::<Vec<_>>(),
    }
    np_ndim(x) at matrix() => { f: x.sum(..) * x.rank() as f64, is: 2.0 * x.elements.iter().sum::<f64>(), }
    np_shape(x) at matrix() => { f: x.sum(..) * x.shape()[0] as f64, is: 5.0 * x.elements.iter().sum::<f64>(), }
    np_rollaxis(x) at of_shapes(&[&[&[2, 3, 4]]]) => {
        f: x.permute(&[2, 0, 1]).square(),
        is: (0..24).map(|at| x.at([at / 3 % 2, at % 3, at / 6]).powi(2)).collect::<Vec<_>>(),
    }
    np_zeros(x) at vectors() => { f: T::zeros(&x.shape()) + x, is: x.elements.clone(), }
    np_ones(x) at vectors() => { f: T::ones(&x.shape()) * x, is: x.elements.clone(), }
    np_zeros_like(x) at vectors() => { f: x.zeros_like() * x, is: vec![0.0; x.elements.len()], }
    np_ones_like(x) at vectors() => { f: x.ones_like() / x, is: x.elements.iter().map(|x| 1.0 / x).collect::<Vec<_>>(), }
}
