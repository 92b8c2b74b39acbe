//! Patterns and matrices as they are used: made by hand, nested, compiled once for many points, refused.

use antiphon::{
    Batch, Dual, Error, NdArray, NdInt, Number, OrRaise, Padding, Real, SparseMatrix, Sparsity, Tensor,
    Traced, Var, grad, hessian_sparsity, jacobian, jacobian_sparsity, sparse_hessian, sparse_jacobian, vmap,
};

use crate::case::{Array, assert_near, numbers, weighted};

/// A chain's forces, `sin(xᵢ₊₁ − xᵢ) − sin(xᵢ − xᵢ₋₁)` with ends that are held.
fn forces<T: Tensor>(x: &T) -> T {
    let n = x.size();
    let all = x.pad(0, Padding { before: 1, after: 1, interior: 0 });
    let steps = (all.slice(0, 1..n + 2) - all.slice(0, 0..n + 1)).sin();
    steps.slice(0, 1..n + 1) - steps.slice(0, 0..n)
}

/// Its energy.
fn energy<T: Tensor>(x: &T) -> T {
    let n = x.size();
    let all = x.pad(0, Padding { before: 1, after: 1, interior: 0 });
    (all.slice(0, 1..n + 2) - all.slice(0, 0..n + 1)).cos().sum(..)
}

fn tridiagonal(n: usize) -> Sparsity {
    let entries = (0..n).flat_map(|i| (0..n).filter(move |j| i.abs_diff(*j) <= 1).map(move |j| (i, j)));
    Sparsity::from_entries([n, n], entries).unwrap()
}

#[test]
fn patterns_can_be_made_of_entries_and_of_row_pointers() {
    let pattern = Sparsity::from_entries([3, 4], [(2, 3), (0, 1), (2, 0), (0, 1)]).unwrap();
    assert_eq!((pattern.shape(), pattern.nnz()), ([3, 4], 3));
    assert_eq!(pattern.row_pointers(), [0, 1, 1, 3]);
    assert_eq!(pattern.column_indices(), [1, 0, 3]);
    assert_eq!(pattern, Sparsity::from_csr([3, 4], vec![0, 1, 1, 3], vec![1, 0, 3]).unwrap());
    assert_ne!(pattern, Sparsity::from_csr([3, 5], vec![0, 1, 1, 3], vec![1, 0, 3]).unwrap());
    let matrix = SparseMatrix::new(&pattern, Array::from(vec![1.0, 2.0, 3.0])).unwrap();
    let dense = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0];
    assert_eq!(matrix.to_dense().unwrap(), Array::from_elements(&[3, 4], &dense).unwrap());
    assert_eq!((matrix.shape(), matrix.pattern()), ([3, 4], &pattern));
    let none = SparseMatrix::new(&Sparsity::from_entries([0, 2], []).unwrap(), Array::zeros(&[0])).unwrap();
    assert_eq!(none.to_dense().unwrap().shape().as_slice(), [0, 2]);
}

#[test]
fn a_pattern_that_is_known_need_not_be_found() {
    let x = numbers(&[10], 1);
    let pattern = tridiagonal(10);
    assert_eq!(pattern, jacobian_sparsity(|x| forces(&x), &x).unwrap());
    assert_eq!(pattern, hessian_sparsity(|x| energy(&x), &x).unwrap());
    for seed in 1..4 {
        let x = numbers(&[10], seed);
        let found = sparse_jacobian(|x| forces(&x), &x, &pattern).unwrap();
        assert_near("forces", &found.to_dense().unwrap(), &jacobian(|x| forces(&x), &x).unwrap());
        let found = sparse_hessian(|x| energy(&x), &x, &pattern).unwrap();
        assert_near("energy", &found.to_dense().unwrap(), &jacobian(|x| forces(&x), &x).unwrap());
    }
    // What the pattern has too much is zero.
    let entries = (0..100).map(|i| (i / 10, i % 10));
    let dense = Sparsity::from_entries([10, 10], entries).unwrap();
    let found = sparse_jacobian(|x| forces(&x), &x, &dense).unwrap();
    assert_near("dense", &found.to_dense().unwrap(), &jacobian(|x| forces(&x), &x).unwrap());
}

/// Zeros that are not constant are no constant zeros, and neither are masks that are made of arguments.
#[test]
fn patterns_at_zero_hold_elsewhere() {
    fn products<T: Tensor>(x: &T) -> T {
        let matrix = x.reshape(&[2, 2]);
        let product = matrix.matmul(&matrix.transpose()).reshape(&[4]);
        product * x.flip(0) + x.clone() / (x.clone() + 2.0)
    }
    fn masked<T: Tensor>(x: &T) -> T {
        let positive = T::from_mask(&x.greater(&T::constant(0.5)));
        positive * x.square() + x.abs() * x.relu() + T::from_int(&x.argmax(0)) * x.flip(0).exp()
    }
    let (zero, x) = (Array::zeros(&[4]), numbers(&[4], 1));
    let at = |x: &Array| jacobian_sparsity(|x| products(&x), x).unwrap();
    assert_eq!(at(&zero), at(&x));
    let at = |x: &Array| hessian_sparsity(|x| products(&x).sum(..), x).unwrap();
    assert_eq!(at(&zero), at(&x));
    let at = |x: &Array| jacobian_sparsity(|x| masked(&x), x).unwrap();
    assert_eq!(at(&zero), at(&x));
    assert_eq!(at(&zero).nnz(), 8);
    let at = |x: &Array| hessian_sparsity(|x| masked(&x).sum(..), x).unwrap();
    assert_eq!(at(&zero), at(&x));
    assert_eq!(at(&zero).nnz(), 4);
}

#[test]
fn numbers_may_be_single() {
    let x = NdArray::<f32>::from(vec![0.5, 1.0, 1.5]);
    let pattern = jacobian_sparsity(|x| forces(&x), &x).unwrap();
    let found = sparse_jacobian(|x| forces(&x), &x, &pattern).unwrap();
    assert_eq!(found.to_dense().unwrap(), jacobian(|x| forces(&x), &x).unwrap());
    let pattern = hessian_sparsity(|x| energy(&x), &x).unwrap();
    assert_eq!(pattern, tridiagonal(3));
}

#[test]
fn what_comes_from_around_is_constant() {
    let (x, weights) = (numbers(&[4], 1), Array::from(vec![1.0, 0.0, 2.0, 0.0]));
    // An exact zero makes no entry.
    let pattern = jacobian_sparsity(|x| x.sin() * &weights, &x).unwrap();
    assert!(pattern.entries().eq([(0, 0), (2, 2)]));
    let lifted = Dual::lift(&Batch::lift(&weights));
    let found = sparse_jacobian(|x| x.sin() * &lifted, &x, &pattern).unwrap();
    let dense = jacobian(|x| x.sin() * &lifted, &x).unwrap();
    assert_near("weights", &found.to_dense().unwrap(), &dense);
    let pattern = hessian_sparsity(|x| (x.sin() * Var::lift(&Traced::lift(&weights))).sum(..), &x).unwrap();
    assert!(pattern.entries().eq([(0, 0), (2, 2)]));
}

#[test]
fn formulas_may_have_numbers_in_them() {
    fn formula<T: Number>(x: T) -> T {
        let mut y = x * 2.0 / 3.0 - 1.0;
        y += 0.5;
        y
    }
    let x = numbers(&[2], 1);
    let pattern = jacobian_sparsity(|x: Traced<f64>| 2.0 * &formula(x.clone()) - &x, &x).unwrap();
    assert!(pattern.entries().eq([(0, 0), (1, 1)]));
    assert_eq!(jacobian_sparsity(|x| x * 0.0, &x).unwrap().nnz(), 0);
    assert_eq!(jacobian_sparsity(|x| x.sum(..) * Traced::from(&numbers(&[3], 1)), &x).unwrap().nnz(), 6);
}

#[test]
fn values_are_known() {
    let x = numbers(&[4], 1);
    let seen = jacobian_sparsity(
        |traced| {
            assert_eq!(traced.value(), &x);
            assert_eq!(traced.sin().value(), &x.sin());
            traced
        },
        &x,
    );
    assert_eq!(seen.unwrap().nnz(), 4);
}

#[test]
fn matrices_of_each_row_of_a_batch() {
    let (xs, pattern) = (numbers(&[3, 6], 1), tridiagonal(6));
    let values = vmap(|x| sparse_jacobian(|x| forces(&x), &x, &pattern).or_raise().into_values(), &xs);
    let hessians = vmap(|x| sparse_hessian(|x| energy(&x), &x, &pattern).or_raise().into_values(), &xs);
    for (values, row) in
        [values.unwrap(), hessians.unwrap()].iter().flat_map(|all| (0..3).map(move |row| (all, row)))
    {
        let expected = jacobian(|x| forces(&x), &xs.index(0, row)).unwrap();
        let found = SparseMatrix::new(&pattern, values.index(0, row)).unwrap();
        assert_near("row", &found.to_dense().unwrap(), &expected);
    }
}

#[test]
fn derivatives_of_the_entries() {
    let (x, pattern) = (numbers(&[6], 1), tridiagonal(6));
    let by_entries = grad(
        |x| {
            let matrix = sparse_jacobian(|x| forces(&x), &x, &pattern).or_raise();
            weighted(matrix.to_dense().or_raise())
        },
        &x,
    );
    let dense = grad(|x| weighted(jacobian(|x| forces(&x), &x).or_raise()), &x);
    assert_near("gradient", &by_entries.unwrap(), &dense.unwrap());
}

#[cfg(feature = "staging")]
#[test]
fn matrices_are_compiled_once_for_many_points() {
    use antiphon::compile;
    use antiphon::recording::Recorded;
    let pattern = tridiagonal(8);
    let newton = |x: Recorded| {
        let jacobian = sparse_jacobian(|x| forces(&x), &x, &pattern).or_raise();
        let hessian = sparse_hessian(|x| energy(&x), &x, &pattern).or_raise();
        (jacobian.into_values(), hessian.to_dense().or_raise())
    };
    let all = |xs: Recorded| {
        vmap(|x| sparse_jacobian(|x| forces(&x), &x, &pattern).or_raise().into_values(), &xs).or_raise()
    };
    let mut newton = compile("newton", newton, &numbers(&[8], 1)).unwrap();
    for seed in 1..4 {
        let x = numbers(&[8], seed);
        let (values, hessian) = newton.call(&x).unwrap();
        let expected = jacobian(|x| forces(&x), &x).unwrap();
        assert_near("hessian", &hessian, &expected);
        let found = SparseMatrix::new(&pattern, values).unwrap();
        assert_near("jacobian", &found.to_dense().unwrap(), &expected);
    }
    let xs = numbers(&[3, 8], 1);
    let values = compile("all", all, &xs).unwrap().call(&xs).unwrap();
    let each = |row| sparse_jacobian(|x| forces(&x), &xs.index(0, row), &pattern).unwrap().into_values();
    assert_near("all", &values, &Array::stack(&[each(0), each(1), each(2)], 0));
}

#[track_caller]
fn assert_refused<R: std::fmt::Debug>(message: &str, result: antiphon::Result<R>) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains(message), "{error}\ninstead of\n{message}");
    assert!(error.contains("tests/sparse/usage.rs:"), "the user's line: {error}");
}

#[test]
fn patterns_that_are_none_are_refused() {
    assert_refused("row 3 is out of range for a matrix of 3 rows", Sparsity::from_entries([3, 4], [(3, 0)]));
    assert_refused(
        "column 4 is out of range for a matrix of 4 columns",
        Sparsity::from_entries([3, 4], [(0, 4)]),
    );
    let csr = |pointers: &[usize], columns: &[usize]| {
        Sparsity::from_csr([2, 3], pointers.to_vec(), columns.to_vec())
    };
    assert_refused("2 row pointers for 2 rows: there is one more than rows", csr(&[0, 1], &[0]));
    let ends = "the row pointers do not ascend from 0 to the number of entries, 2";
    assert_refused(ends, csr(&[0, 1, 1], &[0, 1]));
    assert_refused(ends, csr(&[0, 3, 2], &[0, 1]));
    assert_refused(ends, csr(&[1, 1, 2], &[0, 1]));
    assert_refused("column 3 is out of range for a matrix of 3 columns", csr(&[0, 1, 2], &[0, 3]));
    assert_refused("the columns of row 1 do not ascend: [2, 1]", csr(&[0, 1, 3], &[0, 2, 1]));
    assert_refused("the columns of row 0 do not ascend: [1, 1]", csr(&[0, 2, 2], &[1, 1]));
    assert_refused("0 row pointers for", Sparsity::from_csr([usize::MAX, 3], vec![], vec![]));
}

#[test]
fn matrices_may_be_larger_than_arrays() {
    let wide = Sparsity::from_csr([2, usize::MAX], vec![0, 0, 1], vec![usize::MAX - 1]).unwrap();
    let error = SparseMatrix::new(&wide, Array::ones(&[1])).unwrap().to_dense().unwrap_err();
    assert!(matches!(error, Error::Operand { .. }), "{error:?}");
    assert!(error.to_string().contains("tests/sparse/usage.rs:"), "{error}");
    let x = numbers(&[3], 1);
    assert_refused("columns, and x has 3 elements", sparse_jacobian(|x| x.sin(), &x, &wide));
}

#[test]
fn patterns_of_another_size_are_refused() {
    let (x, wide) = (numbers(&[4], 1), Sparsity::from_entries([4, 5], [(0, 0)]).unwrap());
    let columns = "the pattern has 5 columns, and x has 4 elements";
    assert_refused(columns, sparse_jacobian(|x| forces(&x), &x, &wide));
    // Forward, in reverse, and where there is nothing to compute.
    let entries = [&[(0, 0)][..], &[(0, 0), (0, 1)], &[]];
    for entries in entries {
        let tall = Sparsity::from_entries([5, 4], entries.iter().copied()).unwrap();
        let rows = "the pattern has 5 rows, and the result has 4 elements";
        assert_refused(rows, sparse_jacobian(|x| forces(&x), &x, &tall));
    }
    assert_refused("is square, and this one is [4, 5]", sparse_hessian(|x| energy(&x), &x, &wide));
    assert_refused("is square, and this one is [4, 5]", wide.hessian_colors());
    assert_refused(
        "the pattern has 5 columns, and x has 4",
        sparse_hessian(|x| energy(&x), &x, &tridiagonal(5)),
    );
    let lower = Sparsity::from_entries([4, 4], [(0, 0), (2, 1)]).unwrap();
    assert_refused("has (2, 1) without (1, 2)", sparse_hessian(|x| energy(&x), &x, &lower));
    assert_refused("values [2] for 1 entries", SparseMatrix::new(&wide, numbers(&[2], 1)));
}

#[test]
fn what_the_function_raises_comes_out() {
    let (x, none) = (numbers(&[4], 1), Sparsity::from_entries([4, 4], []).unwrap());
    let not_scalar = |error: Error| {
        assert!(matches!(error, Error::Operand { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("return a scalar") && error.contains("tests/sparse/usage.rs:"), "{error}");
    };
    not_scalar(hessian_sparsity(|x| x.sin(), &x).unwrap_err());
    not_scalar(sparse_hessian(|x| x.sin(), &x, &tridiagonal(4)).unwrap_err());
    not_scalar(sparse_hessian(|x| x.sin(), &x, &none).unwrap_err());
    let raised = |error: Error| {
        assert!(matches!(error, Error::Shape { .. }), "{error:?}");
        assert!(error.to_string().contains("tests/sparse/usage.rs:"), "{error}");
    };
    raised(jacobian_sparsity(|x| x.reshape(&[3]), &x).unwrap_err());
    raised(jacobian_sparsity(|x| x.clone() * x.slice(0, 0..3), &x).unwrap_err());
    raised(jacobian_sparsity(|x| Traced::select(&x.less(&x), &x, &x.slice(0, 0..3)), &x).unwrap_err());
    raised(hessian_sparsity(|x| x.matmul(&x.slice(0, 0..3)), &x).unwrap_err());
    raised(sparse_jacobian(|x| x.reshape(&[3]), &x, &tridiagonal(4)).unwrap_err());
    let index = jacobian_sparsity(|x| x.gather_rows(&NdInt::from(vec![7])), &x).unwrap_err();
    assert!(matches!(index, Error::Index { index: 7, .. }), "{index:?}");
}
