//! Functions of vectors and matrices.

use antiphon::{IntTensor, Tensor};

use crate::function::{Plain, functions, of_shapes};

type Groups = Vec<Vec<Vec<Plain>>>;

/// Vectors of Tangent's lengths.
fn vectors() -> Groups {
    of_shapes(&[&[&[3]], &[&[5]], &[&[10]]])
}

/// A vector or a matrix of any kind.
fn tensors() -> Groups {
    of_shapes(&[&[&[5]], &[&[5, 5]]])
}

fn pairs() -> Groups {
    of_shapes(&[&[&[5], &[5]], &[&[5, 5], &[5, 5]]])
}

fn matrices() -> Groups {
    of_shapes(&[&[&[5, 5], &[5, 5]]])
}

fn each(x: &Plain, f: impl Fn(f64) -> f64) -> Vec<f64> {
    x.elements.iter().map(|&x| f(x)).collect()
}

fn both(x: &Plain, y: &Plain, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    x.elements.iter().zip(&y.elements).map(|(&x, &y)| f(x, y)).collect()
}

fn sum(x: &Plain) -> f64 {
    x.elements.iter().sum()
}

/// `Σₖ a[i, k]·b[k, j]`, of matrices as they are or transposed.
fn product(a: &Plain, b: &Plain, [of_a, of_b]: [bool; 2]) -> Vec<f64> {
    let n = a.shape[0];
    let element =
        |x: &Plain, transposed: bool, i: usize, j: usize| x.at(if transposed { [j, i] } else { [i, j] });
    let entry = |i: usize, j: usize| (0..n).map(|k| element(a, of_a, i, k) * element(b, of_b, k, j)).sum();
    (0..n * n).map(|at| entry(at / n, at % n)).collect()
}

/// `x·W` of a vector.
fn row_by(x: &[f64], w: &Plain) -> Vec<f64> {
    (0..w.shape[1]).map(|j| x.iter().enumerate().map(|(i, x)| x * w.at([i, j])).sum()).collect()
}

/// The row that an integer says.
fn row<T: Tensor>(x: &T, i: i64) -> T {
    let place = T::Int::from_elements(&[1], &[i]).expect("one number");
    x.gather_rows(&place)
}

functions! {
    arrays:
    sum_(x) at vectors() => { f: x.sum(..), is: sum(x), }
    cast_sum_(x) at vectors() => { f: T::stack(&x.split(&vec![1; x.size()], 0), 0).sum(..), is: sum(x), }
    overwrite_call(x) at vectors() => { f: { x = x.sum(..); x.clone() * x }, is: sum(x).powi(2), }
    test_deep_anf_list(x) at vectors() => {
        f: {
            let b = [T::constant(1.0), x.index(0, 0) * x.index(0, 1) * x.index(0, 2), T::constant(3.0)];
            T::stack(&b, 0).sum(..)
        },
        is: 4.0 + x.at([0]) * x.at([1]) * x.at([2]),
    }
    test_subscript1(x) at vectors() => { f: x.index(0, 0) * x.index(0, 1), is: x.at([0]) * x.at([1]), }
    test_subscript2(x) at vectors() => {
        f: {
            let (a, b) = (x.index(0, 0), x.index(0, 1));
            x = T::concat(&[(a * b).unsqueeze(0), x.slice(0, 1..x.size())], 0);
            x.sum(..)
        },
        is: x.at([0]) * x.at([1]) + sum(x) - x.at([0]),
    }
    test_subscript3(x) at vectors() => {
        f: {
            let y = x.square();
            let first = (y.index(0, 1) * y.index(0, 2)).unsqueeze(0);
            x = T::concat(&[first, x.slice(0, 1..x.size())], 0);
            (x * y).sum(..)
        },
        is: {
            let [a, b, c] = [0, 1, 2].map(|i| x.at([i]).powi(2));
            a * b * c + x.elements[1..].iter().map(|x| x.powi(3)).sum::<f64>()
        },
    }
    numpy_sum(x) at vectors() => { f: x.sum(..), is: sum(x), }
    numpy_mean(x) at vectors() => { f: x.mean(..), is: sum(x) / x.elements.len() as f64, }
    logistic_regression(input, w, b) at of_shapes(&[&[&[4, 3], &[3], &[]]]) => {
        f: {
            let label = T::from_elements(&[4], &[1.0, 0.0, 0.0, 1.0]).expect("four labels");
            let prediction = ((input.matmul(&w) * 0.5 + b).tanh() + 1.0) * 0.5;
            let of_label = prediction.clone() * &label + (-prediction + 1.0) * (-label + 1.0);
            -of_label.log().sum(..)
        },
        is: {
            let loss = |(i, label): (usize, f64)| {
                let h: f64 = (0..3).map(|k| input.at([i, k]) * w.at([k])).sum::<f64>() * 0.5 + b.at([]);
                let prediction = 0.5 * (h.tanh() + 1.0);
                -(prediction * label + (1.0 - prediction) * (1.0 - label)).ln()
            };
            [1.0, 0.0, 0.0, 1.0].into_iter().enumerate().map(loss).sum::<f64>()
        },
    }
    tfe_negative(t) at tensors() => { f: -t, is: each(t, |x| -x), }
    tfe_exp(t) at tensors() => { f: t.exp(), is: each(t, f64::exp), }
    tfe_log(t) at tensors() => { f: t.square().log(), is: each(t, |x| (x * x).ln()), }
    tfe_tanh(t) at tensors() => { f: t.tanh(), is: each(t, f64::tanh), }
    tfe_cosh(t) at tensors() => { f: t.cosh(), is: each(t, f64::cosh), }
    tfe_sinh(t) at tensors() => { f: t.sinh(), is: each(t, f64::sinh), }
    tfe_rsqrt(t) at tensors() => { f: t.square().sqrt().recip(), is: each(t, |x| 1.0 / x.abs()), }
    tfe_expand_dims_before(t) at tensors() => { f: t.unsqueeze(0).square(), is: each(t, |x| x * x), }
    tfe_expand_dims_after(t) at tensors() => { f: t.unsqueeze(1).square(), is: each(t, |x| x * x), }
    tfe_squeeze_before(t) at tensors() => { f: t.unsqueeze(0).index(0, 0), is: t.elements.clone(), }
    tfe_squeeze_after(t) at tensors() => { f: t.unsqueeze(1).index(1, 0), is: t.elements.clone(), }
    tfe_reshape_flat(t) at tensors() => { f: t.reshape(&[t.size()]), is: t.elements.clone(), }
    tfe_reshape_noop(t) at tensors() => { f: t.reshape(&[t.size()]).reshape(&t.shape()), is: t.elements.clone(), }
    tfe_add(a, b) at pairs() => { f: a + b, is: both(a, b, |a, b| a + b), }
    tfe_add_bcast(s, t) at of_shapes(&[&[&[], &[5]], &[&[], &[5, 5]], &[&[5, 1], &[5, 5]]]) => {
        f: s + t,
        is: t.elements.iter().enumerate().map(|(i, t)| s.elements[i / 5 % s.elements.len()] + t).collect::<Vec<_>>(),
    }
    tfe_subtract(a, b) at pairs() => { f: a - b, is: both(a, b, |a, b| a - b), }
    tfe_multiply(a, b) at pairs() => { f: a * b, is: both(a, b, |a, b| a * b), }
    tfe_divide(a, b) at pairs() => { f: a / b, is: both(a, b, |a, b| a / b), }
    tfe_maximum(a, b) at pairs() => { f: a.maximum(&b), is: both(a, b, f64::max), }
    tfe_squared_difference(a, b) at pairs() => { f: (a - b).square(), is: both(a, b, |a, b| (a - b).powi(2)), }
    tfe_matmul(a, b) at matrices() => { f: a.matmul(&b), is: product(a, b, [false, false]), }
    tfe_matmul_transpose_a(a, b) at matrices() => { f: a.transpose().matmul(&b), is: product(a, b, [true, false]), }
    tfe_matmul_transpose_b(a, b) at matrices() => { f: a.matmul(&b.transpose()), is: product(a, b, [false, true]), }
    tfe_matmul_transpose_both(a, b) at matrices() => {
        f: a.transpose().matmul(&b.transpose()),
        is: product(a, b, [true, true]),
    }
    tfe_trace_fn(t) at tensors() => { f: (t.clone() * t).sum(..), is: each(t, |x| x * x).iter().sum::<f64>(), }
    tfe_notrace_fn(t) at tensors() => { f: t.square().sum(..), is: each(t, |x| x * x).iter().sum::<f64>(), }
    active_subscript(x) at vectors() => {
        f: {
            let rows: Vec<T> = (0..x.size()).map(|i| row(&x, i as i64)).collect();
            T::concat(&rows, 0).sum(..)
        },
        is: sum(x),
    }
    init_array_grad_maybe_active(x) at vectors() => {
        f: {
            let mut h = vec![T::zeros(&[3]); x.size()];
            for (t, row) in h.iter_mut().enumerate() {
                *row = x.index(0, t).broadcast_to(&[3]);
            }
            T::stack(&h, 0).sum(..)
        },
        is: 3.0 * sum(x),
    }
    slicing(x) at vectors() => { f: x.slice(0, 1..x.size()).sum(..), is: sum(x) - x.at([0]), }
    rnn(inputs, w) at of_shapes(&[&[&[3, 3], &[3, 3]]]) => {
        f: {
            let mut h = vec![T::zeros(&[3])];
            for t in 0..3 {
                h.push(inputs.index(0, t).matmul(&w) + &h[t]);
            }
            T::stack(&h[1..], 0).sum(..)
        },
        is: {
            let of = |t: usize| row_by(&inputs.elements[3 * t..3 * t + 3], w).iter().sum::<f64>();
            3.0 * of(0) + 2.0 * of(1) + of(2)
        },
    }
    bilinear(x, h, u, w, b) at of_shapes(&[&[&[3], &[3], &[3, 2], &[3, 2], &[2]]]) => {
        f: {
            let mut y = x.matmul(&w);
            y += h.matmul(&u);
            y += b;
            y.tanh().sum(..)
        },
        is: {
            let (of_x, of_h) = (row_by(&x.elements, w), row_by(&h.elements, u));
            (0..2).map(|j| (of_x[j] + of_h[j] + b.at([j])).tanh()).sum::<f64>()
        },
    }
    extended_slice(x) at vectors() => {
        f: x.slice_step(0, 0..x.size(), 2).unsqueeze(1).sum(..),
        is: x.elements.iter().step_by(2).sum::<f64>(),
    }
}
