//! The first and the second derivative of determinants, of singular matrices as well.

use faer::Mat;
use ndarray::{ArrayViewD, ArrayViewMutD};

use super::kernel::{Factorization, Field, rows, rows_mut, run, side};
use super::lu::{Factors, Unpacked, packed_identity};
use super::parts::{eye, identity, last};
use super::product::Product;
use super::svd;
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The matrix of cofactors `C = det A·A⁻ᵀ`, times a number `[..]`; from the matrix, its factors, and that.
pub(super) fn scaled<T: Tensor>(a: &T, packed: &T, s: &T) -> T {
    T::host(&Scaled, &[a, packed, s])
}

/// The derivative of the determinant in a direction: `Σ C∘E`, `[..]`.
pub(super) fn along<T: Tensor>(a: &T, packed: &T, direction: &T) -> T {
    T::host(&Along, &[a, packed, direction])
}

/// The derivative of the cofactors in a direction.
fn moved<T: Tensor>(a: &T, packed: &T, direction: &T) -> T {
    T::host(&Moved, &[a, packed, direction])
}

/// `s·x` of a number and a matrix.
fn times<T: Tensor>(s: &T, x: &T) -> T {
    x.clone() * s.unsqueeze(-1).unsqueeze(-1)
}

/// `Σ X∘Y`.
fn inner<T: Tensor>(x: &T, y: &T) -> T {
    (x.clone() * y).sum([-2, -1])
}

/// A matrix as singular value decompositions have it: `U`, the singular values, `V`, and `det U·det V`.
struct Decomposed<F> {
    u: Mat<F>,
    s: Vec<F>,
    v: Mat<F>,
    sign: F,
}

impl<F: Field> Decomposed<F> {
    fn of(a: &[F]) -> Result<Decomposed<F>, String> {
        let n = side(a.len());
        let (u, s, v) = svd::decompose(a, [n, n])?;
        let sign = (u.determinant() * v.determinant()).signum();
        Ok(Decomposed { u, s, v, sign })
    }
    /// The product of the sign and the singular values but one or two of them.
    fn without(&self, i: usize, j: usize) -> F {
        let others = (0..self.s.len()).filter(|&k| k != i && k != j);
        others.fold(Product::of(self.sign), |product, k| product.times(self.s[k])).by(F::one())
    }
    /// All products without two, in a number of steps that is the square of the side's.
    fn without_two(&self) -> Mat<F> {
        let n = self.s.len();
        let zeros = self.s.iter().filter(|&&s| s == F::zero()).count();
        let other = self.s.iter().filter(|&&s| s != F::zero());
        let product = other.fold(Product::of(self.sign), |product, &s| product.times(s));
        Mat::from_fn(n, n, |i, j| {
            let left_out = [self.s[i], self.s[j]];
            if left_out.iter().filter(|&&s| s == F::zero()).count() < zeros {
                return F::zero();
            }
            let left_out = left_out.into_iter().filter(|&s| s != F::zero());
            left_out.fold(product, |product, s| product.without(s)).by(F::one())
        })
    }
    /// `U·X·Vᵀ`.
    fn back(&self, x: &Mat<F>, result: &mut [F]) {
        let n = self.s.len();
        rows_mut(result, [n, n]).copy_from(&self.u * x * self.v.transpose());
    }
    /// The cofactors.
    fn cofactors(&self, result: &mut [F]) {
        let n = self.s.len();
        // `without` twice the same is without one.
        let diagonal = Mat::from_fn(n, n, |i, j| if i == j { self.without(i, i) } else { F::zero() });
        self.back(&diagonal, result);
    }
}

/// `A⁻ᵀ`.
fn inverse_transposed<F: Field>(factors: &Unpacked<'_, F>, n: usize, result: &mut [F]) {
    let unit: Vec<F> = identity(&[n, n]).into_iter().map(F::nearest).collect();
    factors.solve(true, &unit, result);
}

#[derive(Clone, Copy, Debug)]
struct Scaled;

impl Factorization for Scaled {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let n = side(operands[0].len());
        if n == 0 {
            return Ok(());
        }
        let (factors, s) = (Unpacked::of(operands[1], n), operands[2][0]);
        if factors.zero().is_some() {
            Decomposed::of(operands[0])?.cofactors(result);
            result.iter_mut().for_each(|x| *x *= s);
            return Ok(());
        }
        inverse_transposed(&factors, n, result);
        let product = factors.determinant().times(s);
        result.iter_mut().for_each(|x| *x = product.by(*x));
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct Along;

impl Factorization for Along {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let n = side(operands[0].len());
        if n == 0 {
            return Ok(());
        }
        let (factors, direction) = (Unpacked::of(operands[1], n), operands[2]);
        let mut slope = vec![F::zero(); n * n];
        let singular = factors.zero().is_some();
        match singular {
            true => Decomposed::of(operands[0])?.cofactors(&mut slope),
            false => inverse_transposed(&factors, n, &mut slope),
        }
        let sum = slope.iter().zip(direction).fold(F::zero(), |sum, (&c, &e)| sum + c * e);
        result[0] = if singular { sum } else { factors.determinant().by(sum) };
        Ok(())
    }
}

/// Of `U·diag(s)·Vᵀ`, with `G = UᵀE·V` and `pᵢⱼ` for the product of the `s` but the `i`-th and the `j`-th:
/// `U·R·Vᵀ`, `Rᵢᵢ = Σ pᵢⱼGⱼⱼ` over the `j ≠ i`, `Rᵢⱼ = −pᵢⱼGⱼᵢ`, with the sign of `U` and `V`.
#[derive(Clone, Copy, Debug)]
struct Moved;

impl Factorization for Moved {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let n = side(operands[0].len());
        if n < 2 {
            return Ok(());
        }
        let matrix = Decomposed::of(operands[0])?;
        let g = matrix.u.transpose() * rows(operands[2], [n, n]) * &matrix.v;
        let p = matrix.without_two();
        let inner = Mat::from_fn(n, n, |i, j| match i == j {
            true => (0..n).filter(|&k| k != i).fold(F::zero(), |sum, k| sum + p[(i, k)] * g[(k, k)]),
            false => -p[(i, j)] * g[(j, i)],
        });
        matrix.back(&inner, result);
        Ok(())
    }
}

/// What the three operators share: a matrix, its factors, and something else.
macro_rules! operator {
    ($Operator:ident, $rank:literal, |$operands:ident| $shape:expr, { $($rules:item)* }) => {
        impl HostOperator for $Operator {
            const NAME: &'static str = "det";
            const RANKS: &'static [usize] = &[2, 1, $rank];

            fn shape(&self, $operands: &[&[usize]]) -> Result<Vec<usize>, String> {
                Ok($shape)
            }
            fn value<E: HostElement>(
                &self,
                x: &[ArrayViewD<'_, E>],
                y: ArrayViewMutD<'_, E>,
            ) -> Result<(), String> {
                run(*self, x, y)
            }
            fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
                match operand {
                    0 => identity(shape),
                    1 => packed_identity(shape[0]),
                    _ => vec![1.0; shape.iter().product()],
                }
            }
            $($rules)*
        }
    };
}

operator!(Scaled, 0, |operands| operands[0].to_vec(), {
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let [a, packed, s] = x else { unreachable!("three operands") };
        let a_bar = wanted[0].then(|| moved(a, packed, &times(s, y_bar)));
        vec![a_bar, None, wanted[2].then(|| along(a, packed, y_bar))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        let [a, packed, s] = x else { unreachable!("three operands") };
        let of_a = tangents[0].as_ref().map(|da| moved(a, packed, &times(s, da)));
        let of_s = tangents[2].as_ref().map(|ds| scaled(a, packed, ds));
        super::parts::sum([of_a, of_s])
    }
});

operator!(Along, 2, |_operands| Vec::new(), {
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let [a, packed, direction] = x else { unreachable!("three operands") };
        let a_bar = wanted[0].then(|| times(y_bar, &moved(a, packed, direction)));
        vec![a_bar, None, wanted[2].then(|| scaled(a, packed, y_bar))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        let [a, packed, direction] = x else { unreachable!("three operands") };
        let of_a = tangents[0].as_ref().map(|da| inner(&moved(a, packed, direction), da));
        let of_direction = tangents[2].as_ref().map(|de| along(a, packed, de));
        super::parts::sum([of_a, of_direction])
    }
});

operator!(Moved, 2, |operands| operands[0].to_vec(), {
    // The second derivative is symmetric in its two directions, and the third in its three.
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let a_bar = wanted[0].then(|| third(x, y_bar));
        vec![a_bar, None, wanted[2].then(|| moved(&x[0], &x[1], y_bar))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        let of_a = tangents[0].as_ref().map(|da| third(x, da));
        let of_direction = tangents[2].as_ref().map(|de| moved(&x[0], &x[1], de));
        super::parts::sum([of_a, of_direction])
    }
});

/// The derivative in a direction `E` of that of the cofactors in a direction `G`, of a matrix with an inverse `X`: of
/// `det A·(tr(X·G)·Xᵀ − (X·G·X)ᵀ)`.
fn third<T: Tensor>(x: &[T], e: &T) -> T {
    let [a, packed, g] = x else { unreachable!("three operands") };
    let factors = Factors { op: Moved::NAME, a, packed: packed.clone() };
    let inverse = factors.solve(&eye(last(a)), false);
    let (of_g, of_e) = (inverse.matmul(g), inverse.matmul(e));
    let trace = |x: &T| inner(x, &eye(last(a)));
    let (trace_g, trace_e) = (trace(&of_g), trace(&of_e));
    let both = of_e.matmul(&of_g);
    let plain = trace_e.clone() * &trace_g - trace(&both);
    let products = both.matmul(&inverse) + of_g.matmul(&of_e.matmul(&inverse));
    let inner = times(&plain, &inverse)
        - times(&trace_e, &of_g.matmul(&inverse))
        - times(&trace_g, &of_e.matmul(&inverse))
        + products;
    times(&super::determinant::of_factors(a, packed), &inner.transpose())
}
