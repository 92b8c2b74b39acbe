//! Linear algebra at the ends of the numbers' range, at bad conditions and at equal eigenvalues; and whom errors name.

use antiphon::linalg::{
    Triangle, cholesky, cholesky_solve, det, eigh, eigvalsh, inv, logm, lstsq, matrix_power, pinv, slogdet,
    solve, solve_triangular, sqrtm, svd, svdvals,
};
use antiphon::{Dual, Error, NdArray, OrRaise, Real, Result, Tensor, Var, grad, jvp};

type Array = NdArray<f64>;

fn matrix<const M: usize, const N: usize>(rows: [[f64; N]; M]) -> Array {
    Array::from_elements(&[M, N], rows.as_flattened()).unwrap()
}

fn diagonal(elements: &[f64]) -> Array {
    Array::from(elements.to_vec()).diag(0)
}

fn at(x: &Array, i: usize, j: usize) -> f64 {
    x.index(0, i).index(0, j).item()
}

#[track_caller]
fn assert_relative(found: f64, expected: f64, bound: f64) {
    assert!((found - expected).abs() <= bound * expected.abs(), "{found:e} instead of {expected:e}");
}

/// Irregular numbers.
fn numbers(shape: &[usize], seed: usize) -> Array {
    let count: usize = shape.iter().product();
    let elements: Vec<f64> =
        (0..count).map(|i| (((i * 97 + seed * 1009 + 1) as f64).sin() * 437.58).fract() * 1.7).collect();
    Array::from_elements(shape, &elements).unwrap()
}

fn message<T>(result: Result<T>) -> String {
    match result {
        Err(error @ Error::Argument { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn errors_name_the_function_that_was_called() {
    let singular = Array::zeros(&[2, 2]);
    let ones = Array::ones(&[2]);
    let said = |f: fn(&Array) -> Array, a: &Array| {
        message(grad(
            |a| {
                let value = f(a.value());
                (a * Var::lift(&value)).sum(..)
            },
            a,
        ))
    };
    assert!(said(|a| inv(a), &singular).starts_with("inv: the matrix is singular"));
    assert!(said(|a| matrix_power(a, -2), &singular).starts_with("matrix_power: the matrix is singular"));
    assert!(said(|a| solve(a, &Array::ones(&[2])), &singular).starts_with("solve: the matrix is singular"));
    assert!(
        said(|a| cholesky_solve(a, &Array::ones(&[2])), &singular)
            .starts_with("cholesky_solve: the matrix is")
    );
    assert!(message(grad(|a| slogdet(&a).1, &singular)).starts_with("slogdet: the matrix is singular"));
    let infinite = singular.clone() + f64::INFINITY;
    assert!(said(|a| eigvalsh(a), &infinite).starts_with("eigvalsh: an element"));
    assert!(said(|a| svdvals(a), &infinite).starts_with("svdvals: an element"));
    assert!(said(|a| pinv(a, None), &infinite).starts_with("pinv: an element"));
    assert!(said(|a| lstsq(a, &Array::ones(&[2]), None), &infinite).starts_with("lstsq: an element"));
    for rcond in [-1e-300, f64::NAN, f64::NEG_INFINITY] {
        let found = message(grad(|a| pinv(&a, Some(rcond)).sum(..), &singular));
        assert!(found.starts_with("pinv: singular values of at most"), "{found}");
        let found = message(grad(|a| lstsq(&a, &Var::lift(&ones), Some(rcond)).sum(..), &singular));
        assert!(found.starts_with("lstsq: singular values of at most"), "{found}");
    }
    // Of a derivative as well.
    let twice = |a: &Array| grad(|a| grad(|a| inv(&a).sum(..), &a).or_raise().sum(..), a);
    assert!(message(twice(&singular)).starts_with("inv: the matrix is singular"));
}

#[test]
fn elements_near_the_largest_and_the_least_number() {
    for scale in [8e307, 1e200, 1e-200, 1e-300, 3e-310] {
        let a = matrix([[1.0, 0.5], [0.5, 1.0]]) * scale;
        let bound = if scale < 1e-307 { 1e-12 } else { 1e-15 };
        let (w, v) = eigh(&a);
        assert_relative(w.index(0, 0).item() / scale, 0.5, bound);
        assert_relative(w.index(0, 1).item() / scale, 1.5, bound);
        assert_relative(at(&v, 0, 0).abs(), 0.5f64.sqrt(), bound);
        let (u, s, _) = svd(&a);
        assert_relative(s.index(0, 0).item() / scale, 1.5, bound);
        assert_relative(at(&u, 0, 0).abs(), 0.5f64.sqrt(), bound);
        let x = solve(&a, &(Array::from(vec![1.0, 2.0]) * scale));
        assert!((x.index(0, 0).item()).abs() < 1e-12 && (x.index(0, 1).item() - 2.0).abs() < 1e-12, "{x}");
        assert_relative(slogdet(&a).1.item(), 2.0 * scale.ln() + 0.75f64.ln(), 1e-12);
        assert!(sqrtm(&a).view().iter().all(|x| x.is_finite()));
        assert_relative(
            at(&sqrtm(&a), 0, 1) / scale.sqrt(),
            0.5 * (1.5f64.sqrt() - 0.5f64.sqrt()),
            bound * 10.0,
        );
    }
    let single = NdArray::<f32>::from_elements(&[2, 2], &[1e38, 5e37, 5e37, 1e38]).unwrap();
    assert!(eigvalsh(&single).view().iter().zip([5e37f32, 1.5e38]).all(|(a, b)| (a / b - 1.0).abs() < 1e-6));
}

/// Pivots whose reciprocals are no numbers.
#[test]
fn pivots_of_every_size() {
    for least in [1e-300, 1e-308, 4e-310, 1e-320, 1e308, 1.7e308] {
        let a = matrix([[1.0, 2.0], [0.0, least]]);
        for (what, x) in [
            ("solve", solve(&a, &Array::from(vec![5.0, 2.0 * least.min(8e307)]))),
            (
                "triangular",
                solve_triangular(&a, &Array::from(vec![5.0, 2.0 * least.min(8e307)]), Triangle::UPPER),
            ),
        ] {
            let second = 2.0 * least.min(8e307) / least;
            assert_relative(x.index(0, 1).item(), second, 1e-15);
            assert_relative(x.index(0, 0).item(), 5.0 - 2.0 * second, 1e-15);
            assert!(!x.index(0, 0).item().is_nan(), "{what}");
        }
        // The other way, and several columns.
        let exchanged = matrix([[0.0, least], [1.0, 2.0]]);
        let b = matrix([[least, 0.0], [5.0, 1.0]]);
        let x = solve(&exchanged, &b);
        for ((i, j), expected) in [((1, 0), 1.0), ((0, 0), 3.0), ((0, 1), 1.0)] {
            assert_relative(at(&x, i, j), expected, 1e-15);
        }
        let x = solve(&exchanged.transpose(), &matrix([[1.0], [2.0]]));
        assert!(x.view().iter().all(|x| x.is_finite()), "{x} for {least:e}");
    }
}

#[test]
fn determinants_beyond_the_numbers() {
    // Factors that overflow, of a product that does not.
    assert_relative(det(&diagonal(&[1e200, 1e200, 1e-300, 3.0])).item(), 3e100, 1e-14);
    assert_relative(det(&diagonal(&[1e-200, 1e-200, 1e300, 3.0])).item(), 3e-100, 1e-14);
    // Cofactors that overflow, times an adjoint that is as small.
    let a = diagonal(&[1e150, 1e150, 1e-10]);
    let slope = grad(|a| det(&a).log(), &a).unwrap();
    for (i, expected) in [1e-150, 1e-150, 1e10].into_iter().enumerate() {
        assert_relative(at(&slope, i, i), expected, 1e-14);
    }
    let large = numbers(&[200, 200], 1) * 2.0;
    let (sign, log) = slogdet(&large);
    assert!(log.item() > 300.0 && sign.item().abs() == 1.0);
    let scaled = large.clone() * (2.0 * (-log.item() / 200.0).exp());
    let found = grad(|a| det(&a).square().log().scale(0.5), &scaled).unwrap();
    let expected = grad(|a| slogdet(&a).1, &scaled).unwrap();
    let apart = (found - &expected).abs().max(..).item() / expected.abs().max(..).item();
    assert!(apart < 1e-9, "{apart:e}");
    let tangent = jvp(|a| det(&a).log(), &a, &diagonal(&[0.0, 0.0, 1.0])).unwrap().1;
    assert_relative(tangent.item(), 1e10, 1e-14);
}

/// The Hessian of a determinant of three rows is linear: that of the polynomial, whatever the rank.
#[test]
fn second_derivatives_of_determinants_of_all_ranks() {
    let minors = |a: &Array, e: &Array| {
        let moved = |h: f64| {
            let a = a.clone() + e * h;
            let cofactor = |i: usize, j: usize| {
                let [p, q] = [(i + 1) % 3, (i + 2) % 3];
                let [r, s] = [(j + 1) % 3, (j + 2) % 3];
                at(&a, p, r) * at(&a, q, s) - at(&a, p, s) * at(&a, q, r)
            };
            Array::from_elements(&[3, 3], &(0..9).map(|at| cofactor(at / 3, at % 3)).collect::<Vec<_>>())
                .unwrap()
        };
        (moved(0.5) - moved(-0.5)).clone()
    };
    let (column, row) = (matrix([[1.0], [2.0], [-1.0]]), matrix([[3.0, 1.0, 0.5]]));
    let one = column.matmul(&row);
    let two = one.clone() + matrix([[0.5], [1.0], [3.0]]).matmul(&matrix([[1.0, -1.0, 2.0]]));
    let e = numbers(&[3, 3], 7);
    for a in
        [Array::zeros(&[3, 3]), one, two.clone(), two + diagonal(&[0.0, 1e-13, 0.0]), numbers(&[3, 3], 3)]
    {
        let expected = minors(&a, &e);
        let forward = jvp(|a: Dual<Array>| grad(|a| det(&a), &a).or_raise(), &a, &e).unwrap().1;
        let reverse = grad(|a| (grad(|a| det(&a), &a).or_raise() * Var::lift(&e)).sum(..), &a).unwrap();
        for found in [forward, reverse] {
            let apart = (found.clone() - &expected).abs().max(..).item();
            assert!(apart < 1e-13, "{found} instead of {expected}");
        }
    }
}

/// `Q·diag(w)·Qᵀ` for a rotation `Q` of two rows.
fn turned(w: [f64; 2], angle: f64) -> (Array, Array) {
    let (sine, cosine) = angle.sin_cos();
    let q = matrix([[cosine, -sine], [sine, cosine]]);
    let w = matrix([[w[0], 0.0], [0.0, w[1]]]);
    (q.matmul(&w).matmul(&q.transpose()), q)
}

#[test]
fn square_roots_and_logarithms_of_small_eigenvalues() {
    for least in [1e-10, 1e-16, 1e-30, 1e-300] {
        let a = diagonal(&[1.0, least]);
        assert_relative(at(&sqrtm(&a), 1, 1), least.sqrt(), 1e-15);
        assert_relative(at(&logm(&a), 1, 1), least.ln(), 1e-15);
        // What the scaling of rows and columns makes of a matrix of a good condition.
        let graded = matrix([[1.0, 0.5 * least.sqrt()], [0.5 * least.sqrt(), least]]);
        let root = sqrtm(&graded);
        let back = root.matmul(&root);
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            assert_relative(at(&back, i, j), at(&graded, i, j), 1e-14);
        }
        // Not symmetric.
        let upper = matrix([[1.0, 2.0], [0.0, least]]);
        assert_relative(at(&sqrtm(&upper), 0, 1), 2.0 / (1.0 + least.sqrt()), 1e-14);
        assert_relative(at(&logm(&upper), 0, 1), -2.0 * least.ln() / (1.0 - least), 1e-13);
    }
    let said = message(grad(|a| sqrtm(&a).sum(..), &diagonal(&[1.0, 0.0])));
    assert!(said.starts_with("sqrtm: the matrix is not positive definite"), "{said}");
    let said = message(grad(|a| logm(&a).sum(..), &diagonal(&[1.0, -1e-30])));
    assert!(said.starts_with("logm: the matrix is not positive definite"), "{said}");
}

/// First and second derivatives against divided differences: of eigenvalues far apart, near to each other, and equal.
#[test]
fn derivatives_of_square_roots_and_logarithms() {
    let sqrt1 = |a: f64, b: f64| 1.0 / (a.sqrt() + b.sqrt());
    let sqrt2 = |a: f64, b: f64, c: f64| -sqrt1(a, b) * sqrt1(b, c) * sqrt1(a, c);
    let log1 = |a: f64, b: f64| {
        let x = (a - b) / (a + b);
        if x.abs() < 1e-4 { 2.0 * (1.0 + x * x / 3.0) / (a + b) } else { (a / b).ln() / (a - b) }
    };
    let e = matrix([[0.3, -1.1], [0.7, 0.4]]);
    for w in [[1.0, 1e-10], [3.0, 3.0], [2.0, 2.0 + 1e-9], [5.0, 0.1]] {
        for angle in [0.0, 0.3] {
            // Rounding of the turned matrix moves its least eigenvalue.
            let bound = if angle != 0.0 && w[1] < 1e-5 { 1e-4 } else { 1e-13 };
            let (a, q) = turned(w, angle);
            let inner = q.transpose().matmul(&e).matmul(&q);
            let first = |f: &dyn Fn(f64, f64) -> f64| {
                let of = |at: usize| f(w[at / 2], w[at % 2]);
                let f = Array::from_elements(&[2, 2], &(0..4).map(of).collect::<Vec<_>>()).unwrap();
                q.matmul(&(f * &inner)).matmul(&q.transpose())
            };
            let close = |found: &Array, expected: &Array, what: &str| {
                let apart = (found.clone() - expected).abs().max(..).item() / expected.abs().max(..).item();
                assert!(apart <= bound, "{what} of {w:?}, {angle}: {found} instead of {expected}: {apart:e}");
            };
            close(&jvp(|a| sqrtm(&a), &a, &e).unwrap().1, &first(&sqrt1), "sqrtm");
            close(&jvp(|a| logm(&a), &a, &e).unwrap().1, &first(&log1), "logm");
            // L(A, E)ᵀ = L(Aᵀ, Eᵀ): the adjoint of a direction is the derivative in it.
            let reverse = grad(|a| (sqrtm(&a) * Var::lift(&e)).sum(..), &a).unwrap();
            close(&reverse, &first(&sqrt1), "sqrtm in reverse");
            let reverse = grad(|a| (logm(&a) * Var::lift(&e)).sum(..), &a).unwrap();
            close(&reverse, &first(&log1), "logm in reverse");
            let second = |i: usize, j: usize| -> f64 {
                let term = |k: usize| sqrt2(w[i], w[k], w[j]) * at(&inner, i, k) * at(&inner, k, j);
                2.0 * (term(0) + term(1))
            };
            let second =
                Array::from_elements(&[2, 2], &(0..4).map(|at| second(at / 2, at % 2)).collect::<Vec<_>>());
            let expected = q.matmul(&second.unwrap()).matmul(&q.transpose());
            let slope = |a: Dual<Array>| jvp(|a| sqrtm(&a), &a, &Dual::lift(&e)).or_raise().1;
            close(&jvp(slope, &a, &e).unwrap().1, &expected, "second of sqrtm");
            // In reverse of reverse: Σ W∘L²(A; E, E) moves by what its own derivative says, of W = E as well.
            let of = |a: &Array| (jvp(|a| sqrtm(&a), a, &e).unwrap().1 * &e).sum(..).item();
            let twice = grad(
                |a| {
                    let v = Var::lift(&e);
                    (grad(|a| (sqrtm(&a) * Var::lift(&Var::lift(&e))).sum(..), &a).or_raise() * v).sum(..)
                },
                &a,
            )
            .unwrap();
            let along = (twice * &e).sum(..).item();
            assert!(
                (along - (expected * &e).sum(..).item()).abs() <= bound * along.abs() * 10.0,
                "{}",
                of(&a)
            );
        }
    }
}

/// A matrix far from normal.
#[test]
fn logarithms_far_from_normal() {
    for beside in [1.0, 1e3, 1e8, 1e14] {
        let a = matrix([[1.0, beside, 0.3], [0.0, 2.0, beside], [0.0, 0.0, 4.0]]);
        let log = logm(&a);
        let expected = beside * 2f64.ln();
        assert_relative(at(&log, 0, 1), expected, 1e-13);
        assert_relative(at(&log, 1, 2), 0.5 * expected, 1e-13);
        // f[1, 2, 4] = (ln 2/2 − ln 2)/3.
        let corner = 0.3 * 4f64.ln() / 3.0 - beside * beside * 2f64.ln() / 6.0;
        assert_relative(at(&log, 0, 2), corner, 1e-12);
        let root = sqrtm(&a);
        assert_relative(at(&root, 0, 1), beside / (1.0 + 2f64.sqrt()), 1e-14);
    }
    // Complex eigenvalues, a size that is no power of two, and one that is.
    for n in [5, 8, 17] {
        let a = numbers(&[n, n], n).matmul(&numbers(&[n, n], n + 1)) * 0.02 + diagonal(&vec![3.0; n]);
        let root = sqrtm(&a);
        let apart = (root.matmul(&root) - &a).abs().max(..).item();
        assert!(apart < 1e-12, "{n}: {apart:e}");
        let back = antiphon::linalg::expm(&logm(&a));
        let apart = (back - &a).abs().max(..).item();
        assert!(apart < 1e-11, "{n}: {apart:e}");
    }
}

#[test]
fn cholesky_of_small_and_large_matrices() {
    for scale in [1e-300, 1e300] {
        let a = matrix([[4.0, 2.0], [2.0, 10.0]]) * scale;
        let factor = cholesky(&a);
        assert_relative(at(&factor, 1, 1), 3.0 * scale.sqrt(), 1e-15);
    }
}
