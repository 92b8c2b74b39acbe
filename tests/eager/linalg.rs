//! Linear algebra: values and residuals, derivatives in closed form, special matrices, and errors.

use antiphon::linalg::{
    Triangle, cholesky, cholesky_solve, det, eigh, eigvalsh, expm, inv, logm, lstsq, lu, matrix_power, pinv,
    qr, slogdet, solve, solve_triangular, sqrtm, svd, svdvals,
};
use antiphon::{Batch, Error, NdArray, OrRaise, Real, Result, Tensor, Var, grad, jvp, vmap};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

type Array = NdArray<f64>;

fn matrix<const M: usize, const N: usize>(rows: [[f64; N]; M]) -> Array {
    Array::from_elements(&[M, N], rows.as_flattened()).unwrap()
}

fn random(shape: &[usize], seed: u64) -> Array {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let elements: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Array::from_elements(shape, &elements).unwrap()
}

fn eye(n: usize) -> Array {
    let elements: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
    Array::from_elements(&[n, n], &elements).unwrap()
}

/// The largest absolute value of an element.
fn largest(x: &Array) -> f64 {
    x.view().iter().fold(0.0, |most, x| if x.is_nan() { f64::NAN } else { most.max(x.abs()) })
}

#[track_caller]
fn assert_near(found: &Array, expected: &Array, bound: f64) {
    assert_eq!(found.shape(), expected.shape());
    let apart = largest(&(found.clone() - expected));
    assert!(apart <= bound * (1.0 + largest(expected)), "{found} and {expected}: {apart}");
}

/// What is exact to so many times the precision, for a size.
fn precision(n: usize) -> f64 {
    f64::EPSILON * (10 * n) as f64
}

#[test]
fn residuals_of_all_sizes() {
    for n in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 127, 129, 200] {
        let bound = precision(n);
        let (a, b) = (random(&[n, n], n as u64), random(&[n, 3], 1000 + n as u64));
        let dominant = a.clone() + eye(n) * n as f64;
        assert_near(&dominant.matmul(&solve(&dominant, &b)), &b, bound);
        assert_near(&dominant.matmul(&inv(&dominant)), &eye(n), bound);
        let (p, l, u) = lu(&a);
        assert_near(&p.matmul(&l).matmul(&u), &a, bound);
        let positive = a.matmul(&a.transpose()) + eye(n);
        let factor = cholesky(&positive);
        assert_near(&factor.matmul(&factor.transpose()), &positive, bound);
        assert_near(&positive.matmul(&cholesky_solve(&factor, &b)), &b, bound * 10.0);
        assert_near(&factor.matmul(&solve_triangular(&factor, &b, Triangle::LOWER)), &b, bound);
        for shape in [[n, n], [2 * n, n], [n, 2 * n], [n + 1, n]] {
            let a = random(&shape, 7);
            let (q, r) = qr(&a);
            assert_near(&q.matmul(&r), &a, bound);
            assert_near(&q.transpose().matmul(&q), &eye(q.shape()[1]), bound);
            let (u, s, vt) = svd(&a);
            assert_near(&(u.clone() * &s).matmul(&vt), &a, bound);
            assert_near(&u.transpose().matmul(&u), &eye(s.size()), bound);
            assert_near(&vt.matmul(&vt.transpose()), &eye(s.size()), bound);
            assert!(s.view().iter().zip(s.view().iter().skip(1)).all(|(a, b)| a >= b && *b >= 0.0), "{s}");
        }
        let symmetric = a.clone() + a.transpose();
        let (w, v) = eigh(&symmetric);
        assert_near(&(v.clone() * &w).matmul(&v.transpose()), &symmetric, bound);
        assert_near(&v.transpose().matmul(&v), &eye(n), bound);
        assert!(w.view().iter().zip(w.view().iter().skip(1)).all(|(a, b)| a <= b), "{w}");
        let (sign, log) = slogdet(&a);
        if n < 100 {
            assert!((det(&a).item() - sign.item() * log.item().exp()).abs() <= 1e-11 * log.item().exp());
        }
        let root = sqrtm(&positive);
        assert_near(&root.matmul(&root), &positive, bound);
        assert_near(&expm(&logm(&positive)), &positive, bound * 10.0);
    }
}

/// Values that LAPACK has, by NumPy 2.
#[test]
fn values_and_signs() {
    let a = matrix([[2.0, 1.0], [1.0, 3.0]]);
    assert_eq!(det(&a).item(), 5.0);
    assert_near(&solve(&a, &Array::from(vec![3.0, 5.0])), &Array::from(vec![0.8, 1.4]), 1e-15);
    let (q, r) = qr(&a);
    let root = 5f64.sqrt();
    assert_near(&q, &(matrix([[-2.0, -1.0], [-1.0, 2.0]]) * (1.0 / root)), 1e-15);
    assert_near(&r, &matrix([[-root, -root], [0.0, root]]), 1e-15);
    let (sign, log) = slogdet(&matrix([[0.0, 2.0], [3.0, 0.0]]));
    assert_eq!((sign.item(), log.item()), (-1.0, 2f64.ln() + 3f64.ln()));
    let (sign, log) = slogdet(&matrix([[1.0, 2.0], [2.0, 4.0]]));
    assert_eq!((sign.item(), log.item()), (0.0, f64::NEG_INFINITY));
    assert_eq!(det(&Array::zeros(&[0, 0])).item(), 1.0);
    assert_eq!(det(&random(&[2, 0, 0], 1)), Array::ones(&[2]));
    assert_near(
        &svdvals(&matrix([[3.0, 0.0], [4.0, 5.0]])),
        &Array::from(vec![45f64.sqrt(), 5f64.sqrt()]),
        1e-15,
    );
    assert_near(&eigvalsh(&a), &Array::from(vec![2.5 - 1.25f64.sqrt(), 2.5 + 1.25f64.sqrt()]), 1e-15);
    let third = matrix([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let inverse = matrix([[-17.0, 8.0], [-2.0, 2.0], [13.0, -4.0]]) * (1.0 / 18.0);
    assert_near(&pinv(&third, None), &inverse, 1e-14);
    assert_near(
        &lstsq(&third, &Array::from(vec![1.0, 2.0]), None),
        &Array::from(vec![-1.0 / 18.0, 1.0 / 9.0, 5.0 / 18.0]),
        1e-14,
    );
    assert_eq!(matrix_power(&matrix([[1.0, 1.0], [0.0, 1.0]]), 10), matrix([[1.0, 10.0], [0.0, 1.0]]));
    // A rotation by a large angle, and a nilpotent matrix.
    let turn = matrix([[0.0, -100.0], [100.0, 0.0]]);
    let (sine, cosine) = 100f64.sin_cos();
    assert_near(&expm(&turn), &matrix([[cosine, -sine], [sine, cosine]]), 1e-13);
    assert_near(&expm(&matrix([[0.0, 1e6], [0.0, 0.0]])), &matrix([[1.0, 1e6], [0.0, 1.0]]), 1e-15);
    // Far from normal: its powers are too small for the numbers.
    for d in [1e10, 1e44, 1e60] {
        let found = expm(&matrix([[20.0, d], [0.0, -20.0]]));
        let near = |i, j, expected: f64| {
            let x = found.index(0, i).index(0, j).item();
            assert!((x / expected - 1.0).abs() < 1e-12, "{x} {expected}");
        };
        near(0, 0, 20f64.exp());
        near(0, 1, d * 20f64.sinh() / 20.0);
    }
    assert_near(&logm(&expm(&matrix([[0.1, 0.7], [-0.4, 0.2]]))), &matrix([[0.1, 0.7], [-0.4, 0.2]]), 1e-14);
    assert_near(&sqrtm(&matrix([[7.0, 10.0], [15.0, 22.0]])), &sqrt_of_integers(), 1e-14);
}

/// `X·X = [[7, 10], [15, 22]]`, the square root whose eigenvalues are positive: of a matrix of two rows,
/// `(A + √det·1)/√(tr + 2·√det)`.
fn sqrt_of_integers() -> Array {
    let root = 4f64.sqrt();
    (matrix([[7.0, 10.0], [15.0, 22.0]]) + eye(2) * root) * (1.0 / (29.0 + 2.0 * root).sqrt())
}

/// Single precision.
#[test]
fn in_single_precision() {
    let a = NdArray::<f32>::from_elements(&[2, 2], &[4.0, 2.0, 2.0, 10.0]).unwrap();
    assert_eq!(cholesky(&a), NdArray::from_elements(&[2, 2], &[2.0, 0.0, 1.0, 3.0]).unwrap());
    let slope = grad(|a| det(&a), &a).unwrap();
    for (found, expected) in slope.view().iter().zip([10.0f32, -2.0, -2.0, 4.0]) {
        assert!((found - expected).abs() < 1e-5, "{slope}");
    }
    let (w, v) = eigh(&a);
    let back = (v.clone() * &w).matmul(&v.transpose()) - &a;
    assert!(back.view().iter().all(|x| x.abs() < 1e-5));
    assert!(
        (expm(&(a.clone() * 0.0)) - NdArray::from_elements(&[2, 2], &[1.0, 0.0, 0.0, 1.0]).unwrap())
            .view()
            .iter()
            .all(|x| *x == 0.0)
    );
}

#[test]
fn derivatives_in_closed_form() {
    let n = 6;
    let a = random(&[n, n], 3) + eye(n) * 2.0;
    let inverse = inv(&a);
    let expected = inverse.transpose() * det(&a).item();
    assert_near(&grad(|a| det(&a), &a).unwrap(), &expected, 1e-13);
    let da = random(&[n, n], 4);
    let tangent = jvp(|a| inv(&a), &a, &da).unwrap().1;
    assert_near(&tangent, &-inverse.matmul(&da).matmul(&inverse), 1e-13);
    let positive = a.matmul(&a.transpose());
    assert_near(
        &grad(|a| (cholesky(&a) * Var::lift(&eye(n))).sum(-1).log().sum(..) * 2.0, &positive).unwrap(),
        &inv(&positive),
        1e-12,
    );
    assert_near(&grad(|a| slogdet(&a).1, &positive).unwrap(), &inv(&positive), 1e-12);
    // Of an eigenvalue: its projection.
    let (_, v) = eigh(&positive);
    for i in 0..n {
        let v = v.slice(1, i..i + 1);
        let slope = grad(|a| eigvalsh(&a).index(0, i), &positive).unwrap();
        assert_near(&slope, &v.matmul(&v.transpose()), 1e-12);
    }
    let slope = grad(|a| svdvals(&a).sum(..), &a).unwrap();
    let (u, _, vt) = svd(&a);
    assert_near(&slope, &u.matmul(&vt), 1e-13);
}

/// Where there is no inverse, the derivative of the determinant is that of the polynomial that it is.
#[test]
fn determinants_of_singular_matrices() {
    let rank_one = matrix([[1.0, 2.0], [2.0, 4.0]]);
    assert_eq!(det(&rank_one).item(), 0.0);
    assert_near(&grad(|a| det(&a), &rank_one).unwrap(), &matrix([[4.0, -2.0], [-2.0, 1.0]]), 1e-14);
    let rank_two = matrix([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]);
    let cofactors = matrix([[-3.0, 6.0, -3.0], [6.0, -12.0, 6.0], [-3.0, 6.0, -3.0]]);
    assert_near(&grad(|a| det(&a), &rank_two).unwrap(), &cofactors, 1e-13);
    assert_eq!(grad(|a| det(&a), &Array::zeros(&[3, 3])).unwrap(), Array::zeros(&[3, 3]));
    assert_eq!(grad(|a| det(&a), &Array::zeros(&[1, 1])).unwrap(), Array::ones(&[1, 1]));
}

/// Functions that do not depend on which vectors of equal values were chosen.
#[test]
fn equal_eigenvalues_and_singular_values() {
    let twice = matrix([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 5.0]]);
    assert_near(&grad(|a| eigvalsh(&a).sum(..), &twice).unwrap(), &eye(3), 1e-14);
    let slope = grad(|a| eigvalsh(&a).log().sum(..), &twice).unwrap();
    assert_near(&slope, &inv(&twice), 1e-14);
    let slope = grad(|a| svdvals(&a).square().sum(..), &twice).unwrap();
    assert_near(&slope, &(twice.clone() * 2.0), 1e-14);
    let rank_one = matrix([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]);
    assert_near(
        &grad(|a| svdvals(&a).square().sum(..), &rank_one).unwrap(),
        &(rank_one.clone() * 2.0),
        1e-14,
    );
    // Functions of matrices are smooth there.
    let slope = grad(|a| logm(&a).sum(..), &twice).unwrap();
    let step = 1e-5;
    let moved = |h: f64| logm(&(twice.clone() + matrix([[0.0, h, 0.0], [0.0; 3], [0.0; 3]]))).sum(..).item();
    let numeric = (moved(step) - moved(-step)) / (2.0 * step);
    assert!((slope.index(0, 0).index(0, 1).item() - numeric).abs() < 1e-9);
}

fn message<T>(result: Result<T>) -> String {
    match result {
        Err(error @ (Error::Argument { .. } | Error::Shape { .. })) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no error"),
    }
}

/// What there is no result for: the reason, the place in the batch, and the line.
#[test]
fn errors() {
    let batch = Array::stack(&[eye(2), matrix([[1.0, 2.0], [2.0, 4.0]])], 0);
    let line = line!() + 1;
    let said = message(grad(|a| solve(&a, &Var::lift(&Array::ones(&[2]))).sum(..), &batch));
    assert!(said.contains("singular") && said.contains("[1] of the batch"), "{said}");
    assert!(said.contains(&format!("linalg.rs:{line}")), "{said}");
    let said = message(grad(|a| cholesky(&-a).sum(..), &eye(2)));
    assert!(said.contains("cholesky: the matrix is not positive definite"), "{said}");
    let said = message(grad(
        |a| solve_triangular(&(a * 0.0), &Var::lift(&Array::ones(&[2])), Triangle::LOWER).sum(..),
        &eye(2),
    ));
    assert!(said.contains("element 0 of its diagonal is 0"), "{said}");
    let said = message(grad(|a| logm(&-a).sum(..), &eye(2)));
    assert!(said.contains("logm: the matrix is not positive definite"), "{said}");
    let said = message(grad(
        |a| sqrtm(&a).sum(..),
        &matrix([[0.0, 1.0], [-1.0, 0.0]]).matmul(&matrix([[0.0, 1.0], [-1.0, 1e-9]])),
    ));
    assert!(said.contains("sqrtm: the matrix has no principal square root"), "{said}");
    let said = message(grad(|a| eigh(&(a * f64::NAN)).0.sum(..), &eye(2)));
    assert!(said.contains("eigh: an element of the matrix is not finite"), "{said}");
    let said = message(grad(|a| inv(&a).sum(..), &Array::ones(&[2, 3])));
    assert!(said.contains("inv: a matrix [2, 3], which has to be square"), "{said}");
    let said = message(grad(|a| svd(&a).1.sum(..), &Array::ones(&[3])));
    assert!(said.contains("svd: an array [3], which has to have two axes or more"), "{said}");
    let said = message(grad(|a| solve(&a, &Var::lift(&Array::ones(&[3]))).sum(..), &eye(2)));
    assert!(said.contains("solve: cannot"), "{said}");
    let said = message(grad(|a| solve(&a, &Var::lift(&Array::ones(&[]))).sum(..), &eye(2)));
    assert!(said.contains("the right side is a scalar"), "{said}");
    let said = message(grad(|a| slogdet(&(a * 0.0)).1, &eye(2)));
    assert!(said.contains("singular"), "{said}");
}

/// The third derivative of a determinant wants an inverse, and says so.
#[test]
fn third_derivatives_of_singular_matrices() {
    fn squares<T: Tensor>(a: T) -> T {
        a.square().sum(..)
    }
    let of =
        |a: &Array| grad(|a| squares(grad(|a| squares(grad(|a| det(&a), &a).or_raise()), &a).or_raise()), a);
    // Of three rows and columns, the cofactors of (1 + h)·1 are (1 + h)²·1.
    assert_near(&of(&eye(3)).unwrap(), &(eye(3) * 96.0), 1e-13);
    assert!(message(of(&Array::zeros(&[2, 2]))).contains("det: the matrix is singular"));
}

/// Rows of a batch are leading axes, and rows that do not take an arm cannot fail in it.
#[test]
fn batches() {
    let matrices = random(&[4, 3, 3], 1) + eye(3) * 3.0;
    let b = random(&[3], 2);
    let rows = vmap(|a: Batch<Array>| solve(&a, &Batch::lift(&b)), &matrices).unwrap();
    assert_eq!(rows, solve(&matrices, &b));
    let slopes = vmap(|a: Batch<Array>| grad(|a| slogdet(&a).1, &a).or_raise(), &matrices).unwrap();
    assert_near(&slopes, &inv(&matrices).transpose(), 1e-14);
    fn guarded<T: Tensor>(a: &T) -> T {
        let safe = T::constant(0.5).less(&det(a).abs());
        T::cond(&safe, || inv(a).sum(..), || a.sum(..))
    }
    let some = Array::stack(&[eye(2), Array::ones(&[2, 2]), eye(2) * 4.0], 0);
    let slopes = vmap(|a: Batch<Array>| grad(|a| guarded(&a), &a).or_raise(), &some).unwrap();
    let each: Vec<Array> = (0..3).map(|i| grad(|a| guarded(&a), &some.index(0, i)).unwrap()).collect();
    assert_eq!(slopes, Array::stack(&each, 0));
}

/// Nearly equal eigenvalues give finite derivatives of what is well defined.
#[test]
fn close_eigenvalues() {
    let a = matrix([[1.0, 1e-14], [1e-14, 1.0]]);
    let slope = grad(|a| eigvalsh(&a).square().sum(..), &a).unwrap();
    assert_near(&slope, &(eye(2) * 2.0), 1e-12);
}
