//! Products of vectors, matrices and batches of them, and what is made of them.

use antiphon::einsum;

use crate::array_case::{array_cases, polynomial};

/// Indices of a permutation of three with its sign: the terms of a 3×3 determinant.
const PERMUTATIONS: [(f64, [usize; 3]); 6] = [
    (1.0, [0, 1, 2]),
    (1.0, [1, 2, 0]),
    (1.0, [2, 0, 1]),
    (-1.0, [2, 1, 0]),
    (-1.0, [1, 0, 2]),
    (-1.0, [0, 2, 1]),
];

/// All index tuples of `N` indices below `n`.
fn tuples<const N: usize>(n: usize) -> impl Iterator<Item = [usize; N]> {
    (0..n.pow(N as u32)).map(move |code| std::array::from_fn(|k| code / n.pow(k as u32) % n))
}

array_cases! {
    dot(a: [3], b: [3]) {
        f: a.matmul(&b), shape: [], element: |_| polynomial((0..3).map(|k| (1.0, vec![a.at([k]), b.at([k])]))),
    }
    dot_with_itself(a: [4]) {
        f: a.matmul(&a), shape: [], element: |_| polynomial((0..4).map(|k| (1.0, vec![a.at([k]), a.at([k])]))),
    }
    matrix_vector(a: [2, 3], b: [3]) {
        f: a.matmul(&b), shape: [2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], k]), b.at([k])]))),
    }
    vector_matrix(a: [3], b: [3, 2]) {
        f: a.matmul(&b), shape: [2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([k]), b.at([k, i[0]])]))),
    }
    matrix_matrix(a: [2, 3], b: [3, 4]) {
        f: a.matmul(&b), shape: [2, 4],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], k]), b.at([k, i[1]])]))),
    }
    column_by_row(a: [3, 1], b: [1, 2]) {
        f: a.matmul(&b), shape: [3, 2], element: |i| polynomial([(1.0, vec![a.at([i[0], 0]), b.at([0, i[1]])])]),
    }
    row_by_column(a: [1, 3], b: [3, 1]) {
        f: a.matmul(&b), shape: [1, 1],
        element: |_| polynomial((0..3).map(|k| (1.0, vec![a.at([0, k]), b.at([k, 0])]))),
    }
    matrix_product_over_nothing(a: [2, 0], b: [0, 3], s: [2, 3]) {
        f: a.matmul(&b) + s.square(), shape: [2, 3], element: |i| polynomial([(1.0, vec![s.at(i), s.at(i)])]),
    }
    batches(a: [2, 2, 3], b: [2, 3, 2]) {
        f: a.matmul(&b), shape: [2, 2, 2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], i[1], k]), b.at([i[0], k, i[2]])]))),
    }
    batch_by_matrix(a: [2, 2, 3], b: [3, 2]) {
        f: a.matmul(&b), shape: [2, 2, 2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], i[1], k]), b.at([k, i[2]])]))),
    }
    matrix_by_batch(a: [2, 3], b: [2, 3, 2]) {
        f: a.matmul(&b), shape: [2, 2, 2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[1], k]), b.at([i[0], k, i[2]])]))),
    }
    batch_by_vector(a: [2, 2, 3], b: [3]) {
        f: a.matmul(&b), shape: [2, 2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], i[1], k]), b.at([k])]))),
    }
    vector_by_batch(a: [3], b: [2, 3, 2]) {
        f: a.matmul(&b), shape: [2, 2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([k]), b.at([i[0], k, i[1]])]))),
    }
    broadcasting_batches(a: [2, 1, 2, 3], b: [2, 3, 1]) {
        f: a.matmul(&b), shape: [2, 2, 2, 1],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], 0, i[2], k]), b.at([i[1], k, 0])]))),
    }
    matrix_squared(a: [2, 2]) {
        f: a.matmul(&a), shape: [2, 2],
        element: |i| polynomial((0..2).map(|k| (1.0, vec![a.at([i[0], k]), a.at([k, i[1]])]))),
    }
    matrix_by_its_transpose(a: [2, 3]) {
        f: a.matmul(&a.transpose()), shape: [2, 2],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([i[0], k]), a.at([i[1], k])]))),
    }
    transposes_multiplied(a: [3, 2], b: [4, 3]) {
        f: a.transpose().matmul(&b.transpose()), shape: [2, 4],
        element: |i| polynomial((0..3).map(|k| (1.0, vec![a.at([k, i[0]]), b.at([i[1], k])]))),
    }
    matrix_cubed(a: [2, 2]) {
        f: a.matmul(&a).matmul(&a), shape: [2, 2],
        element: |i| polynomial(
            tuples(2).map(|[k, l]| (1.0, vec![a.at([i[0], k]), a.at([k, l]), a.at([l, i[1]])])),
        ),
    }
    quadratic_form(x: [3], a: [3, 3]) {
        f: x.matmul(&a).matmul(&x), shape: [],
        element: |_| polynomial(tuples(3).map(|[k, l]| (1.0, vec![x.at([k]), a.at([k, l]), x.at([l])]))),
    }
    bilinear_form(x: [2], a: [2, 3], y: [3]) {
        f: x.matmul(&a.matmul(&y)), shape: [],
        element: |_| polynomial(
            tuples(3).filter(|[k, _]| *k < 2).map(|[k, l]| (1.0, vec![x.at([k]), a.at([k, l]), y.at([l])])),
        ),
    }
    least_squares(a: [3, 2], x: [2], b: [3]) {
        f: (a.matmul(&x) - b).square().sum(..), shape: [],
        element: |_| polynomial((0..3).flat_map(|i| {
            let row = move |k: usize| [a.at([i, k]), x.at([k])];
            let squares = tuples(2).map(move |[k, l]| (1.0, [row(k), row(l)].concat()));
            let mixed = (0..2).map(move |k| (-2.0, [&row(k)[..], &[b.at([i])]].concat()));
            squares.chain(mixed).chain([(1.0, vec![b.at([i]), b.at([i])])])
        })),
    }
    linear_layer(x: [2, 3], w: [3, 2], b: [2]) {
        f: x.matmul(&w) + b, shape: [2, 2],
        element: |i| polynomial(
            (0..3).map(|k| (1.0, vec![x.at([i[0], k]), w.at([k, i[1]])])).chain([(1.0, vec![b.at([i[1]])])]),
        ),
    }
    recurrent_cell(x: [2, 2], wx: [2, 3], h: [2, 3], wh: [3, 3], b: [3]) {
        f: (x.matmul(&wx) + h.matmul(&wh) + b).tanh(), shape: [2, 3],
        element: |i| {
            let input = (0..2).map(|k| (1.0, vec![x.at([i[0], k]), wx.at([k, i[1]])]));
            let state = (0..3).map(|k| (1.0, vec![h.at([i[0], k]), wh.at([k, i[1]])]));
            polynomial(input.chain(state).chain([(1.0, vec![b.at([i[1]])])])).then(|s| {
                [s.tanh(), s.cosh().powi(-2), -2.0 * s.tanh() * s.cosh().powi(-2)]
            })
        },
    }
    trace(a: [3, 3]) {
        f: {
            let identity = T::from_elements(&[3, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
            (a * identity.expect("nine elements")).sum(..)
        },
        shape: [], element: |_| polynomial((0..3).map(|k| (1.0, vec![a.at([k, k])]))),
    }
    trace_of_a_product(a: [2, 3], b: [3, 2]) {
        f: (a * b.transpose()).sum(..), shape: [],
        element: |_| polynomial(
            tuples(3).filter(|[k, _]| *k < 2).map(|[k, l]| (1.0, vec![a.at([k, l]), b.at([l, k])])),
        ),
    }
    frobenius_norm(a: [2, 3]) {
        f: a.square().sum(..).sqrt(), shape: [],
        element: |_| polynomial(a.all().into_iter().map(|e| (1.0, vec![e, e])))
            .then(|s| [s.sqrt(), 0.5 * s.powf(-0.5), -0.25 * s.powf(-1.5)]),
    }
    determinant_2x2(a: [2, 2]) {
        f: {
            let at = |i: usize, j: usize| a.index(0, i).index(0, j);
            at(0, 0) * at(1, 1) - at(0, 1) * at(1, 0)
        },
        shape: [],
        element: |_| polynomial([
            (1.0, vec![a.at([0, 0]), a.at([1, 1])]),
            (-1.0, vec![a.at([0, 1]), a.at([1, 0])]),
        ]),
    }
    determinant_3x3(a: [3, 3]) {
        f: {
            // By the triple product: row₀ · (row₁ × row₂)
            let row = |i: usize| a.index(0, i);
            let turn = |v: &T, by: usize| T::concat(&[v.slice(0, by..3), v.slice(0, 0..by)], 0);
            let cross = turn(&row(1), 1) * turn(&row(2), 2) - turn(&row(1), 2) * turn(&row(2), 1);
            row(0).matmul(&cross)
        },
        shape: [],
        element: |_| polynomial(
            PERMUTATIONS.map(|(sign, [p, q, r])| (sign, vec![a.at([0, p]), a.at([1, q]), a.at([2, r])])),
        ),
    }
    log_determinant_2x2(a: [2, 2] = [2.0, -0.5, 0.7, 1.5]) {
        f: {
            let rows = a.split(&[1, 1], 0);
            let [x, y] = [&rows[0], &rows[1]].map(|row| row.reshape(&[2]));
            let turned = T::concat(&[y.slice(0, 1..2), -y.slice(0, 0..1)], 0);
            x.matmul(&turned).log()
        },
        shape: [],
        element: |_| polynomial([
            (1.0, vec![a.at([0, 0]), a.at([1, 1])]),
            (-1.0, vec![a.at([0, 1]), a.at([1, 0])]),
        ]).then(|d| [d.ln(), 1.0 / d, -1.0 / (d * d)]),
    }
    kronecker_product(a: [2, 2], b: [2, 3]) {
        f: (a.reshape(&[2, 1, 2, 1]) * b.reshape(&[1, 2, 1, 3])).reshape(&[4, 6]), shape: [4, 6],
        element: |i| polynomial([(1.0, vec![a.at([i[0] / 2, i[1] / 3]), b.at([i[0] % 2, i[1] % 3])])]),
    }
    matrix_power_by_a_loop(a: [2, 2], x: [2]) {
        f: {
            let three = T::from_elements(&[], &[2.5]).expect("one element");
            T::while_loop(
                (T::zeros(&[]), x),
                |(i, _)| i.less(&three),
                |(i, x)| (i + 1.0, a.matmul(&x)),
            ).1
        },
        shape: [2],
        element: |i| polynomial(tuples(2).map(|[k, l, m]| {
            (1.0, vec![a.at([i[0], k]), a.at([k, l]), a.at([l, m]), x.at([m])])
        })),
    }
    matrix_vector_by_rows(a: [3, 2], x: [2]) {
        f: {
            let row = |i: usize| (a.index(0, i) * &x).sum(..);
            T::stack(&[row(0), row(1), row(2)], 0)
        },
        shape: [3],
        element: |i| polynomial((0..2).map(|k| (1.0, vec![a.at([i[0], k]), x.at([k])]))),
    }
    kron(a: [2, 2], b: [2, 3]) {
        f: a.kron(&b), shape: [4, 6],
        element: |i| polynomial([(1.0, vec![a.at([i[0] / 2, i[1] / 3]), b.at([i[0] % 2, i[1] % 3])])]),
    }
    trace_by_its_name(a: [2, 3], b: [3, 2]) {
        f: a.matmul(&b).trace(), shape: [],
        element: |_| polynomial((0..6).map(|k| (1.0, vec![a.at([k / 3, k % 3]), b.at([k % 3, k / 3])]))),
    }
    triangle_of_a_matrix(a: [3, 3]) {
        f: a.tril(-1) + a.triu(0).square(), shape: [3, 3],
        element: |i| if i[0] > i[1] { polynomial([(1.0, vec![a.at(i)])]) } else {
            polynomial([(1.0, vec![a.at(i), a.at(i)])])
        },
    }
    einsum_of_three(a: [2, 3], b: [3, 2], c: [2]) {
        f: einsum("ij,jk,k->ki", &[&a, &b, &c]), shape: [2, 2],
        element: |i| polynomial((0..3).map(|j| (1.0, vec![a.at([i[1], j]), b.at([j, i[0]]), c.at([i[0]])]))),
    }
    tensordot_of_a_matrix(a: [2, 3], b: [3, 2, 2]) {
        f: a.tensordot(&b, &[1, 0], &[0, 2]), shape: [2],
        element: |i| polynomial((0..6).map(|k| (1.0, vec![a.at([k / 3, k % 3]), b.at([k % 3, i[0], k / 3])]))),
    }
}
