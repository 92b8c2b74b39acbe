//! Functions of matrices in formulas, and the shapes that they are checked for.

use antiphon::check::RunsOn;
use antiphon::linalg::{
    Triangle, cholesky, cholesky_solve, det, eigh, eigvalsh, expm, inv, logm, lstsq, lu, matrix_power, pinv,
    qr, slogdet, solve, solve_triangular, sqrtm, svd, svdvals,
};
use antiphon::{OrRaise, Tensor};

use super::Case;

/// One program for all cases, picked by the text of the formula.
pub struct Formula(pub &'static str);

macro_rules! formulas {
    ($($shapes:expr => |$x:ident| $body:expr;)*) => {
        impl<T: Tensor> RunsOn<T> for Formula {
            fn call(&self, x: &[T]) -> T {
                $(
                    if self.0 == stringify!($body) {
                        let $x = x;
                        return $body;
                    }
                )*
                unreachable!("{}", self.0)
            }
        }
        pub const LINEAR_ALGEBRA: &[Case] = &[$((stringify!($body), $shapes)),*];
    };
}

/// A matrix with numbers added to its diagonal, each another one: it has full rank, and its eigenvalues differ.
fn regular<T: Tensor>(x: &T) -> T {
    let &[.., m, n] = x.shape().as_slice() else { panic!("a matrix") };
    let element = |at| if at / n == at % n { 3.0 + 1.7 * (at % n) as f64 } else { 0.0 };
    let elements: Vec<f64> = (0..m * n).map(element).collect();
    x.clone() + T::from_elements(&[m, n], &elements).or_raise()
}

/// A symmetric positive definite matrix.
fn positive<T: Tensor>(x: &T) -> T {
    regular(&x.matmul(&x.transpose()))
}

/// What does not depend on signs of vectors that are columns: the projections on them, each with its weight.
fn projections<T: Tensor>(v: &T) -> T {
    let k = *v.shape().last().unwrap();
    let weights = T::from_elements(&[k], &(1..=k).map(|i| i as f64).collect::<Vec<_>>()).or_raise();
    (v.clone() * weights).matmul(&v.transpose())
}

const SQUARE: &[&[&[usize]]] =
    &[&[&[3, 3]], &[&[1, 1]], &[&[0, 0]], &[&[2, 3, 3]], &[&[2, 1, 2, 2]], &[&[0, 3, 3]]];
const SYSTEMS: &[&[&[usize]]] = &[
    &[&[3, 3], &[3]],
    &[&[3, 3], &[3, 2]],
    &[&[1, 1], &[1, 1]],
    &[&[0, 0], &[0]],
    &[&[3, 3], &[3, 0]],
    &[&[2, 3, 3], &[3]],
    &[&[2, 3, 3], &[2, 3, 2]],
    &[&[3, 3], &[2, 3, 2]],
    &[&[2, 1, 2, 2], &[3, 2, 1]],
];
const ANY: &[&[&[usize]]] = &[&[&[3, 3]], &[&[4, 2]], &[&[2, 4]], &[&[2, 3, 2]], &[&[1, 3]], &[&[3, 1]]];

formulas! {
    SYSTEMS => |x| solve(&regular(&x[0]), &x[1]);
    SYSTEMS => |x| solve_triangular(&regular(&x[0]), &x[1], Triangle::LOWER);
    &[&[&[3, 3], &[3, 2]]] => |x| solve_triangular(&regular(&x[0]), &x[1], Triangle::UPPER);
    &[&[&[3, 3], &[3, 2]]] => |x| solve_triangular(&regular(&x[0]), &x[1], Triangle::LOWER.t());
    &[&[&[3, 3], &[3]]] => |x| solve_triangular(&regular(&x[0]), &x[1], Triangle::UPPER.t().unit());
    &[&[&[2, 3, 3], &[3]]] => |x| solve_triangular(&regular(&x[0]), &x[1], Triangle::LOWER.unit());
    SYSTEMS => |x| cholesky_solve(&cholesky(&positive(&x[0])), &x[1]);
    SQUARE => |x| cholesky(&positive(&x[0]));
    SQUARE => |x| inv(&regular(&x[0]));
    SQUARE => |x| det(&regular(&x[0]));
    SQUARE => |x| {
        let (sign, log) = slogdet(&-regular(&x[0]));
        sign * log
    };
    &[&[&[3, 3]], &[&[4, 2]], &[&[2, 4]], &[&[2, 3, 2]], &[&[1, 1]]] => |x| {
        let (p, l, u) = lu(&regular(&x[0]));
        l.sin().sum([-1, -2]) + u.square().sum([-1, -2]) + p.matmul(&l).index(-2, 0).sum(-1)
    };
    ANY => |x| {
        let (q, r) = qr(&regular(&x[0]));
        q.sin().sum(..) + r.square()
    };
    SQUARE => |x| eigvalsh(&regular(&x[0]));
    SQUARE => |x| {
        let (w, v) = eigh(&regular(&x[0]));
        projections(&v) * w.unsqueeze(-1)
    };
    ANY => |x| svdvals(&regular(&x[0]));
    ANY => |x| {
        let (u, s, vt) = svd(&regular(&x[0]));
        projections(&u).sum([-1, -2]) + projections(&vt.transpose()).square().sum([-1, -2]) + s.sum(-1)
    };
    &[&[&[4, 2]], &[&[2, 4]], &[&[2, 3, 2]], &[&[1, 3]], &[&[3, 1]], &[&[0, 2]], &[&[2, 0]]] => |x| pinv(&x[0], None);
    SQUARE => |x| pinv(&regular(&x[0]), None);
    // Of rank one.
    &[&[&[3, 1], &[1, 2]]] => |x| pinv(&x[0].matmul(&x[1]), Some(1e-6)).tanh();
    &[&[&[4, 2], &[4]], &[&[2, 4], &[2, 3]], &[&[2, 4, 2], &[4, 1]]] => |x| lstsq(&x[0], &x[1], None);
    &[&[&[3, 3]], &[&[2, 2, 2]]] => |x| matrix_power(&x[0], 5) + matrix_power(&regular(&x[0]), -2);
    &[&[&[2, 2]]] => |x| matrix_power(&x[0], 0) + matrix_power(&x[0], 1);
    SQUARE => |x| expm(&x[0]);
    SQUARE => |x| logm(&positive(&x[0]));
    SQUARE => |x| logm(&regular(&x[0]));
    SQUARE => |x| sqrtm(&positive(&x[0]));
    SQUARE => |x| sqrtm(&regular(&x[0]));
}
