//! Methods for linear equations that only take products with the matrix. No derivative goes through them.

use crate::language::real::{Int, Mask};
use crate::language::state::Index;
use crate::language::tensor::Tensor;
use crate::solve::converged::Named;
use crate::solve::linear::{LinearLimit, converged};
use crate::solve::system::{dot, norm};

macro_rules! named {
    ($($Method:ident $name:literal;)*) => { $(
        struct $Method;
        impl Named for $Method {
            const NAME: &'static str = $name;
        }
    )* };
}
named! {
    ConjugateGradients "conjugate gradients";
    BiCgStab "bicgstab";
    Gmres "gmres";
    Neumann "neumann";
}

/// Products with a matrix.
type Product<'a, T> = &'a dyn Fn(&T) -> T;

/// `a/b`, and 0 where `b` is: what a method does that has nowhere to go on to.
fn quotient<T: Tensor>(a: T, b: &T) -> T {
    let zero = b.equal(&T::constant(0.0));
    T::select(&zero, &T::constant(0.0), &(a / T::select(&zero, &T::constant(1.0), b)))
}

/// A tolerance, or in single precision what can be had there.
fn attainable<T: Tensor>(tolerance: f64) -> T {
    let one = T::constant(1.0);
    let is_single = T::constant(1.0 + 1e-10).equal(&one);
    T::select(&is_single, &T::constant(tolerance.max(2e-6)), &T::constant(tolerance))
}

/// Steps from `z = 0` until the residual, a number that is the second part of the state, is small beside `b`.
fn repeat<N: Named, T: Tensor>(
    b: &T,
    limit: LinearLimit,
    rest: Vec<T>,
    step: impl Fn(&T, &[T]) -> (T, T, Vec<T>),
) -> T {
    let enough = norm(b) * attainable::<T>(limit.tolerance);
    let most = T::Int::constant(i64::try_from(limit.steps).unwrap_or(i64::MAX));
    let (steps, (z, residual, _)) = T::while_loop(
        (Index::<T>(T::Int::constant(0)), (b.zeros_like(), norm(b), rest)),
        |(steps, (_, residual, _))| {
            let finite = residual.less(&T::constant(f64::INFINITY));
            steps.0.less(&most).and(&finite).and(&residual.greater(&enough))
        },
        |(steps, (z, _, rest))| (Index(steps.0 + T::Int::constant(1)), step(&z, &rest)),
    );
    converged::<N, T>(z, &T::from_int(&steps.0), &residual, &enough)
}

/// Conjugate gradients (Hestenes & Stiefel 1952): the rest of the state is the residual and the direction.
pub(super) fn conjugate_gradients<T: Tensor>(product: Product<'_, T>, b: &T, limit: LinearLimit) -> T {
    repeat::<ConjugateGradients, T>(b, limit, vec![b.clone(), b.clone()], |z, rest| {
        let [r, p] = rest else { unreachable!("a state of two") };
        let q = product(p);
        let before = dot(r, r);
        let length = quotient(before.clone(), &dot(p, &q));
        let z = z.clone() + length.clone() * p;
        let r = r.clone() - length * q;
        let p = r.clone() + quotient(dot(&r, &r), &before) * p;
        (z, norm(&r), vec![r, p])
    })
}

/// Stabilised biconjugate gradients (van der Vorst 1992), with what nearly solves such equations in front, from the
/// right: the rest of the state is the residual and the direction; the shadow residual is `b`.
pub(super) fn bi_cg_stab<T: Tensor>(
    product: Product<'_, T>,
    nearly: Product<'_, T>,
    b: &T,
    limit: LinearLimit,
) -> T {
    repeat::<BiCgStab, T>(b, limit, vec![b.clone(), b.clone()], |z, rest| {
        let [r, p] = rest else { unreachable!("a state of two") };
        let along_p = nearly(p);
        let v = product(&along_p);
        let rho = dot(b, r);
        let alpha = quotient(rho.clone(), &dot(b, &v));
        let s = r.clone() - alpha.clone() * &v;
        let along_s = nearly(&s);
        let t = product(&along_s);
        let omega = quotient(dot(&t, &s), &dot(&t, &t));
        let z = z.clone() + alpha.clone() * along_p + omega.clone() * along_s;
        let r = s - omega.clone() * t;
        let beta = quotient(dot(b, &r), &rho) * quotient(alpha, &omega);
        let p = r.clone() + beta * (p.clone() - omega * v);
        (z, norm(&r), vec![r, p])
    })
}

/// `z ← z + (b − M·z)`: the rest of the state is the residual.
pub(super) fn neumann<T: Tensor>(product: Product<'_, T>, b: &T, limit: LinearLimit) -> T {
    repeat::<Neumann, T>(b, limit, vec![b.clone()], |z, rest| {
        let z = z.clone() + &rest[0];
        let r = b.clone() - product(&z);
        (z, norm(&r), vec![r])
    })
}

/// Generalised minimal residuals (Saad & Schultz 1986), a step being a round of so many products; orthogonal by
/// Gram and Schmidt's method, applied twice (Giraud, Langou & Rozložník 2005).
pub(super) fn gmres<T: Tensor>(product: Product<'_, T>, b: &T, restart: usize, limit: LinearLimit) -> T {
    let (n, restart) = (b.size(), restart.clamp(1, b.size().max(1)));
    let number = |i: usize| T::Int::constant(i as i64);
    repeat::<Gmres, T>(b, limit, vec![b.clone()], |z, rest| {
        let r = &rest[0];
        let length = norm(r);
        // Rows of an orthonormal basis, and the images of these.
        let first = quotient(r.clone(), &length).reshape(&[1, n]);
        let basis = T::concat(&[first, T::zeros(&[restart - 1, n])], 0);
        let begin = (Index::<T>(number(0)), (basis, T::zeros(&[restart, n])));
        let (_, (basis, images)) = T::while_loop(
            begin,
            |(i, _)| i.0.less(&number(restart)),
            |(Index(i), (basis, images))| {
                let w = product(&basis.gather_rows(&i));
                let row = |i: &T::Int| T::one_hot(i, restart).unsqueeze(-1);
                let images = images + row(&i) * w.unsqueeze(0);
                let before = norm(&w);
                let orthogonal = |w: T| w.clone() - basis.matmul(&w).matmul(&basis);
                let w = orthogonal(orthogonal(w));
                // What is left of a vector that the basis has already is rounding.
                let left = norm(&w);
                let is_new = left.greater(&(before * 1e-14));
                let w = T::select(&is_new, &quotient(w, &left), &T::constant(0.0));
                // No row has the number `restart`: of the last vector, nothing is put down.
                let next = i + number(1);
                let last = number(restart - 1);
                let inside = T::from_mask(&next.less_equal(&last));
                let basis = basis + row(&next.minimum(&last)) * w.unsqueeze(0) * inside;
                (Index(next), (basis, images))
            },
        );
        // The combination of the basis whose image is nearest to the residual.
        let shares = crate::linalg::lstsq(&images.transpose(), r, None);
        let z = z.clone() + shares.matmul(&basis);
        let r = b.clone() - product(&z);
        (z, norm(&r), vec![r])
    })
}
