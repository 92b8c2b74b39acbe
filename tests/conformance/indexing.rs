//! Moving elements about: shapes, slices, joins, padding, gathering and scattering.

use antiphon::at::Write;
use antiphon::{IntTensor, Padding};

use crate::array_case::{array_cases, constant, linear, moved, polynomial};

/// An array of integers of the calculus.
fn ints<T: antiphon::Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).expect("an element for each place")
}

array_cases! {
    reshape(x: [2, 3]) {
        f: x.reshape(&[3, 2]), shape: [3, 2],
        element: |i| { let p = i[0] * 2 + i[1]; moved(x.at([p / 3, p % 3])) },
    }
    reshape_of_a_transpose(x: [2, 3]) {
        f: x.transpose().reshape(&[2, 3]), shape: [2, 3],
        element: |i| { let p = i[0] * 3 + i[1]; moved(x.at([p % 2, p / 2])) },
    }
    scalar_from_one_element(x: [1, 1]) { f: x.reshape(&[]).square(), shape: [],
        element: |_| polynomial([(1.0, vec![x.at([0, 0]), x.at([0, 0])])]), }
    permute(x: [2, 3, 4]) { f: x.permute(&[2, 0, 1]), shape: [4, 2, 3], element: |i| moved(x.at([i[1], i[2], i[0]])), }
    transpose(x: [2, 3]) { f: x.transpose(), shape: [3, 2], element: |i| moved(x.at([i[1], i[0]])), }
    transpose_of_a_batch(x: [2, 3, 2]) { f: x.transpose(), shape: [2, 2, 3], element: |i| moved(x.at([i[0], i[2], i[1]])), }
    symmetrised(x: [2, 2]) {
        f: (x.clone() + x.transpose()) * 0.5, shape: [2, 2],
        element: |i| linear([(0.5, x.at(i)), (0.5, x.at([i[1], i[0]]))]),
    }
    unsqueeze(x: [3]) { f: x.unsqueeze(0) * x.unsqueeze(-1), shape: [3, 3],
        element: |i| polynomial([(1.0, vec![x.at([i[1]]), x.at([i[0]])])]), }
    broadcast_to(x: [2, 1]) { f: x.broadcast_to(&[3, 2, 2]), shape: [3, 2, 2], element: |i| moved(x.at([i[1], 0])), }
    broadcast_of_a_scalar(x: []) { f: x.broadcast_to(&[2, 3]), shape: [2, 3], element: |_| moved(x.at([])), }
    slice(x: [5]) { f: x.slice(0, 1..4), shape: [3], element: |i| moved(x.at([i[0] + 1])), }
    slice_of_columns(x: [2, 5]) { f: x.slice(-1, 2..4), shape: [2, 2], element: |i| moved(x.at([i[0], i[1] + 2])), }
    slice_of_nothing(x: [3]) { f: x.slice(0, 2..2).sum(..) + x.sum(..), shape: [],
        element: |_| linear((0..3).map(|k| (1.0, x.at([k])))), }
    slice_by_steps(x: [2, 7]) { f: x.slice_step(1, 1..6, 2), shape: [2, 3], element: |i| moved(x.at([i[0], 1 + 2 * i[1]])), }
    slice_by_steps_up_to_the_end(x: [6]) { f: x.slice_step(0, 0..6, 4), shape: [2], element: |i| moved(x.at([4 * i[0]])), }
    overlapping_slices(x: [4]) {
        f: x.slice(0, 0..3) * x.slice(0, 1..4), shape: [3],
        element: |i| polynomial([(1.0, vec![x.at([i[0]]), x.at([i[0] + 1])])]),
    }
    index(x: [3, 2]) { f: x.index(0, 2) * x.index(0, 0), shape: [2],
        element: |i| polynomial([(1.0, vec![x.at([2, i[0]]), x.at([0, i[0]])])]), }
    flip(x: [2, 3]) { f: x.flip(1), shape: [2, 3], element: |i| moved(x.at([i[0], 2 - i[1]])), }
    flip_of_the_first_axis(x: [3, 2]) { f: x.flip(0) * x, shape: [3, 2],
        element: |i| polynomial([(1.0, vec![x.at([2 - i[0], i[1]]), x.at(i)])]), }
    pad(x: [3]) {
        f: x.pad(0, Padding { before: 1, after: 2, interior: 0 }), shape: [6],
        element: |i| if (1..4).contains(&i[0]) { moved(x.at([i[0] - 1])) } else { constant(0.0) },
    }
    pad_between(x: [2, 3]) {
        f: x.pad(1, Padding { before: 0, after: 1, interior: 2 }), shape: [2, 8],
        element: |i| if i[1] % 3 == 0 && i[1] < 7 { moved(x.at([i[0], i[1] / 3])) } else { constant(0.0) },
    }
    concat(a: [2], b: [3]) {
        f: T::concat(&[a, b], 0), shape: [5], element: |i| moved(if i[0] < 2 { a.at(i) } else { b.at([i[0] - 2]) }),
    }
    concat_of_columns(a: [2, 1], b: [2, 2]) {
        f: T::concat(&[a, b], -1), shape: [2, 3],
        element: |i| moved(if i[1] < 1 { a.at(i) } else { b.at([i[0], i[1] - 1]) }),
    }
    concat_with_itself(x: [2]) {
        f: T::concat(&[x.clone(), x.clone(), x], 0), shape: [6], element: |i| moved(x.at([i[0] % 2])),
    }
    concat_with_a_constant_and_nothing(x: [2]) {
        f: T::concat(&[T::zeros(&[0]), x.clone(), T::ones(&[1])], 0) * T::concat(&[x, T::ones(&[1])], 0), shape: [3],
        element: |i| if i[0] < 2 { polynomial([(1.0, vec![x.at(i), x.at(i)])]) } else { constant(1.0) },
    }
    stack(a: [2], b: [2]) { f: T::stack(&[a, b], 0), shape: [2, 2],
        element: |i| moved([a, b][i[0]].at([i[1]])), }
    stack_along_the_last(a: [2], b: [2], s: [2]) { f: T::stack(&[a, b, s], -1), shape: [2, 3],
        element: |i| moved([a, b, s][i[1]].at([i[0]])), }
    split(x: [6]) {
        f: { let parts = x.split(&[1, 3, 2], 0); parts[1].sum(..) * &parts[0] + parts[2].index(0, 1) }, shape: [1],
        element: |_| polynomial(
            (1..4).map(|k| (1.0, vec![x.at([k]), x.at([0])])).chain([(1.0, vec![x.at([5])])]),
        ),
    }
    split_and_swapped(x: [2, 4]) {
        f: { let parts = x.split(&[2, 2], 1); T::concat(&[parts[1].clone(), parts[0].clone()], 1) }, shape: [2, 4],
        element: |i| moved(x.at([i[0], (i[1] + 2) % 4])),
    }
    gather_rows(x: [4, 2]) {
        f: x.gather_rows(&ints::<T>(&[3], &[2, 0, 3])), shape: [3, 2], element: |i| moved(x.at([[2, 0, 3][i[0]], i[1]])),
    }
    gather_the_same_row(x: [3, 2]) {
        f: x.gather_rows(&ints::<T>(&[4], &[1, 1, 0, 1])).square(), shape: [4, 2],
        element: |i| { let e = x.at([[1, 1, 0, 1][i[0]], i[1]]); polynomial([(1.0, vec![e, e])]) },
    }
    gather_by_a_matrix(x: [3, 2]) {
        f: x.gather_rows(&ints::<T>(&[2, 2], &[0, 2, 2, 1])), shape: [2, 2, 2],
        element: |i| moved(x.at([[0, 2, 2, 1][i[0] * 2 + i[1]], i[2]])),
    }
    gather_one_row(x: [3, 2]) { f: x.gather_rows(&ints::<T>(&[], &[1])), shape: [2], element: |i| moved(x.at([1, i[0]])), }
    gather_numbers(x: [3]) { f: x.gather_rows(&ints::<T>(&[2], &[2, 0])), shape: [2], element: |i| moved(x.at([[2, 0][i[0]]])), }
    gather_nothing(x: [3, 2]) { f: x.gather_rows(&ints::<T>(&[0], &[])).sum(0) + x.index(0, 1), shape: [2],
        element: |i| moved(x.at([1, i[0]])), }
    scatter_rows(x: [3, 2]) {
        f: x.scatter_rows(&ints::<T>(&[3], &[1, 3, 1]), 4), shape: [4, 2],
        element: |i| match i[0] {
            1 => linear([(1.0, x.at([0, i[1]])), (1.0, x.at([2, i[1]]))]),
            3 => moved(x.at([1, i[1]])),
            _ => constant(0.0),
        },
    }
    scatter_undoes_gather(x: [3, 2]) {
        // Each row is multiplied by how often it was taken.
        f: { let rows = ints::<T>(&[4], &[2, 0, 2, 2]); x.gather_rows(&rows).scatter_rows(&rows, 3) }, shape: [3, 2],
        element: |i| linear([([1.0, 0.0, 3.0][i[0]], x.at(i))]),
    }
    set_rows(x: [3, 2], g: [2, 2]) {
        f: x.write_rows(Write::Set { distinct: true }, 1, &ints::<T>(&[2], &[2, 0]), &g), shape: [3, 2],
        element: |i| moved(match i[0] { 0 => g.at([1, i[1]]), 2 => g.at([0, i[1]]), _ => x.at(i) }),
    }
    set_the_same_row(x: [3, 2], g: [4, 2]) {
        // The last one stays, and the others have no derivative.
        f: x.at(&ints::<T>(&[4], &[1, 2, 1, 1])).set(&g).square(), shape: [3, 2],
        element: |i| {
            let e = match i[0] { 1 => g.at([3, i[1]]), 2 => g.at([1, i[1]]), _ => x.at(i) };
            polynomial([(1.0, vec![e, e])])
        },
    }
    set_products_of_ones_own_rows(x: [3, 2]) {
        f: { let product = x.clone().at(0).get() * x.clone().at(1).get(); x.at(0).set(&product) }, shape: [3, 2],
        element: |i| if i[0] == 0 {
            polynomial([(1.0, vec![x.at([0, i[1]]), x.at([1, i[1]])])])
        } else {
            moved(x.at(i))
        },
    }
    set_an_element(x: [2, 3], g: []) {
        f: x.at((1, &ints::<T>(&[], &[2]))).set(&g), shape: [2, 3],
        element: |i| moved(if i[..] == [1, 2] { g.at([]) } else { x.at(i) }),
    }
    set_a_part_of_all_but_one_axis(x: [2, 3, 2], g: [2, 1]) {
        f: x.at((.., 1..3, 1)).set(&g), shape: [2, 3, 2],
        element: |i| moved(if i[1] > 0 && i[2] == 1 { g.at([i[0], 0]) } else { x.at(i) }),
    }
    set_and_read_before_and_after(x: [3], g: []) {
        // What is written is not seen by what was read before, and what was there not by what is read after.
        f: {
            let before = x.clone().at(1).get();
            let y = x.clone().at(1).set(&g);
            let old = x.sum(..);
            y.clone().at(1).get() * before + y.at(2).get() * old
        }, shape: [],
        element: |_| polynomial(
            [(1.0, vec![g.at([]), x.at([1])])].into_iter().chain((0..3).map(|k| (1.0, vec![x.at([2]), x.at([k])]))),
        ),
    }
    set_nothing(x: [2, 2], g: [0, 2]) {
        f: x.at(1..1).set(&g).square(), shape: [2, 2], element: |i| polynomial([(1.0, vec![x.at(i), x.at(i)])]),
    }
    add_to_rows(x: [3, 2], g: [3, 2]) {
        f: x.at(&ints::<T>(&[3], &[2, 0, 2])).add(&g).square(), shape: [3, 2],
        element: |i| {
            let rows = [2, 0, 2].into_iter().enumerate().filter(|&(_, row)| row == i[0]);
            let terms: Vec<_> = rows.map(|(k, _)| g.at([k, i[1]])).chain([x.at(i)]).collect();
            polynomial(terms.iter().flat_map(|&a| terms.iter().map(move |&b| (1.0, vec![a, b]))))
        },
    }
    add_to_elements(x: [2, 3], g: [2]) {
        f: x.at((&ints::<T>(&[2], &[1, 0]), 2)).add(&g), shape: [2, 3],
        element: |i| if i[1] == 2 { linear([(1.0, x.at(i)), (1.0, g.at([1 - i[0]]))]) } else { moved(x.at(i)) },
    }
    part_updated(x: [4]) {
        f: x.at(1..3).update(|part| part.square()), shape: [4],
        element: |i| if (1..3).contains(&i[0]) { polynomial([(1.0, vec![x.at(i), x.at(i)])]) } else { moved(x.at(i)) },
    }
    gather_last(x: [3, 4]) {
        f: x.gather_last(&ints::<T>(&[3], &[3, 0, 1])), shape: [3], element: |i| moved(x.at([i[0], [3, 0, 1][i[0]]])),
    }
    gather_last_of_a_batch(x: [2, 2, 3]) {
        f: x.gather_last(&ints::<T>(&[2, 2], &[2, 0, 1, 1])).square(), shape: [2, 2],
        element: |i| {
            let e = x.at([i[0], i[1], [2, 0, 1, 1][i[0] * 2 + i[1]]]);
            polynomial([(1.0, vec![e, e])])
        },
    }
    scatter_last(x: [3]) {
        f: x.scatter_last(&ints::<T>(&[3], &[1, 0, 1]), 2), shape: [3, 2],
        element: |i| if [1, 0, 1][i[0]] == i[1] { moved(x.at([i[0]])) } else { constant(0.0) },
    }
    rolled_by_one(x: [4]) {
        f: T::concat(&[x.slice(0, 3..4), x.slice(0, 0..3)], 0) * &x, shape: [4],
        element: |i| polynomial([(1.0, vec![x.at([(i[0] + 3) % 4]), x.at(i)])]),
    }
    finite_differences(x: [5]) {
        f: x.slice(0, 1..5) - x.slice(0, 0..4), shape: [4],
        element: |i| linear([(1.0, x.at([i[0] + 1])), (-1.0, x.at(i))]),
    }
    gates_of_one_product(x: [2], w: [2, 6]) {
        // As an LSTM slices one product into its gates.
        f: { let g = x.matmul(&w).split(&[2, 2, 2], 0); g[0].clone() * &g[1] + &g[2] }, shape: [2],
        element: |i| {
            let gate = |n: usize, k: usize| [x.at([k]), w.at([k, 2 * n + i[0]])];
            let product = (0..4).map(|k| (1.0, [gate(0, k / 2), gate(1, k % 2)].concat()));
            polynomial(product.chain((0..2).map(|k| (1.0, gate(2, k).to_vec()))))
        },
    }
}
