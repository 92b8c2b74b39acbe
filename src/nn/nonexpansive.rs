//! Layers whose Lipschitz constant is at most 1, whatever their parameters are: two results are no farther apart than
//! their inputs, in the Euclidean norm.

use std::f64::consts::SQRT_2;

use crate::Params;
use crate::language::composed::norms::Norm;
use crate::language::tensor::Tensor;
use crate::linalg::solve;
use crate::nn::init::{Init, Rng};
use crate::sealed::INTERNAL;

/// How a matrix is made one with orthonormal rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orthogonal {
    /// Cayley's transform, exactly (Trockman & Kolter, *Orthogonalizing convolutional layers with the Cayley
    /// transform*, 2021, §4): of a square matrix `(I − A)(I + A)⁻¹` with `A = W − Wᵀ`.
    Cayley,
    /// So many rounds of `W ← W·(3I − WᵀW)/2`, which converge to the nearest such matrix (Björck & Bowie 1971; Anil,
    /// Lucas & Grosse, *Sorting out Lipschitz function approximation*, 2019, §4.2). Before they do, singular values are
    /// less than 1.
    Bjorck(usize),
}

impl Orthogonal {
    /// A matrix of this shape, `[m, n]`, whose columns, or rows if there are fewer, are orthonormal.
    ///
    /// # Errors
    /// Raises [`Error::Argument`](crate::Error::Argument) if an element is not finite.
    #[track_caller]
    pub fn of<T: Tensor>(self, w: &T) -> T {
        let shape = w.shape();
        let wide = shape.last() > shape.first();
        let tall = if wide { w.transpose() } else { w.clone() };
        let orthogonal = match self {
            Orthogonal::Cayley => cayley(&tall),
            Orthogonal::Bjorck(rounds) => bjorck(tall, rounds),
        };
        if wide { orthogonal.transpose() } else { orthogonal }
    }
}

/// Of a matrix with no more columns than rows: with `W = [U; V]` and `A = U − Uᵀ + VᵀV`, it is
/// `[(I − A)(I + A)⁻¹; −2V(I + A)⁻¹]`.
#[track_caller]
fn cayley<T: Tensor>(w: &T) -> T {
    let shape = w.shape();
    let (rows, columns) = (shape[0], shape[1]);
    let (u, v) = (w.slice(0, 0..columns), w.slice(0, columns..rows));
    let eye = T::ones(&[columns]).diag(0);
    let a = u.clone() - u.transpose() + v.transpose().matmul(&v);
    let inverse = solve(&(eye.clone() + &a), &eye);
    let above = (eye - a).matmul(&inverse);
    not_longer(if rows == columns { above } else { T::concat(&[above, v.matmul(&inverse) * -2.0], 0) })
}

/// A matrix that is orthogonal but for rounding, divided by what its norm is above 1, at most: `√maxᵢ Σⱼ |QᵀQ|ᵢⱼ`. Of a
/// skew matrix that is large and singular, `I + A` has lost the identity, and so its inverse all digits.
#[track_caller]
fn not_longer<T: Tensor>(q: T) -> T {
    if q.size() == 0 {
        return q;
    }
    let square = q.transpose().matmul(&q).abs().sum(1).max(0);
    // (It is 1, whatever the matrix was made of.)
    let norm = square.sqrt().maximum(&T::constant(1.0)).detach();
    q / norm
}

/// Divided by its largest element, if that is above a number, so that squares are numbers.
#[track_caller]
fn within<T: Tensor>(w: &T, most: f64) -> (T, T) {
    let most = T::constant(most);
    let size = if w.size() == 0 { most } else { w.abs().max(..).maximum(&most).detach() };
    (w.clone() / &size, size)
}

#[track_caller]
fn bjorck<T: Tensor>(w: T, rounds: usize) -> T {
    // Singular values below √3 converge; the geometric mean of both norms is no less than the largest one.
    let (w, _) = within(&w, T::least(INTERNAL));
    let rows = w.norm(Norm::One, 1).max(0);
    let columns = w.norm(Norm::One, 0).max(0);
    let mut w = w / ((rows * columns).sqrt() + T::least(INTERNAL));
    for _ in 0..rounds {
        let square = w.transpose().matmul(&w);
        w = w.clone() * 1.5 - w.matmul(&square) * 0.5;
    }
    w
}

/// `y = x·Q + b` with an orthogonal matrix, or one with orthonormal rows or columns: `[.., in]` to `[.., out]`.
#[derive(Clone, Debug, Params)]
pub struct OrthogonalLinear<T> {
    /// What the matrix is made of, `[in, out]`.
    pub w: T,
    /// `[out]`.
    pub b: T,
    /// How.
    pub by: Orthogonal,
}

impl<T: Tensor> OrthogonalLinear<T> {
    /// Weights by [`Init::GlorotUniform`], bias zero.
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, outputs: usize, by: Orthogonal) -> OrthogonalLinear<T> {
        OrthogonalLinear {
            w: Init::GlorotUniform.sample(&[inputs, outputs], rng),
            b: T::zeros(&[outputs]),
            by,
        }
    }

    /// `[.., in]` to `[.., out]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the last axis of `x` is not `in`.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let q = self.by.of(&self.w);
        T::lipschitz_at_most(x, 1.0, |x| x.matmul(&q) + &self.b)
    }
}

/// `y = (d∘x)·W + b` with `dᵢ = (Σⱼ |WWᵀ|ᵢⱼ)^(−½)`, an almost orthogonal layer (Prach & Lampert, *Almost-orthogonal
/// layers for efficient general-purpose Lipschitz networks*, 2022, theorem 1): `[.., in]` to `[.., out]`.
#[derive(Clone, Debug, Params)]
pub struct AlmostOrthogonal<T> {
    /// `[in, out]`.
    pub w: T,
    /// `[out]`.
    pub b: T,
}

impl<T: Tensor> AlmostOrthogonal<T> {
    /// Weights by [`Init::GlorotUniform`], bias zero.
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, outputs: usize) -> AlmostOrthogonal<T> {
        AlmostOrthogonal { w: Init::GlorotUniform.sample(&[inputs, outputs], rng), b: T::zeros(&[outputs]) }
    }

    /// `[.., in]` to `[.., out]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the last axis of `x` is not `in`.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let (w, _) = within(&self.w, 1.0);
        let sums = row_sums(&w.matmul(&w.transpose()));
        T::lipschitz_at_most(x, 1.0, |x| (x.clone() * sums.sqrt().recip()).matmul(&w) + &self.b)
    }
}

/// `Σⱼ |aᵢⱼ|`, and what divides by it is finite.
#[track_caller]
fn row_sums<T: Tensor>(a: &T) -> T {
    a.abs().sum(1) + 1e-30
}

/// `y = x − 2·σ(x·W + b)·T⁻¹·Wᵀ` with the ReLU σ and `Tᵢᵢ = Σⱼ |WᵀW|ᵢⱼ·qⱼ/qᵢ`, a residual layer from a semidefinite
/// programme (Araujo, Havens, Delattre, Allauzen & Hu, *A unified algebraic perspective on Lipschitz neural networks*,
/// 2023, theorem 3): `[.., n]` to the same shape.
#[derive(Clone, Debug, Params)]
pub struct SdpResidual<T> {
    /// `[n, hidden]`.
    pub w: T,
    /// `[hidden]`.
    pub b: T,
    /// The logarithms of `q`, `[hidden]`.
    pub log_q: T,
}

impl<T: Tensor> SdpResidual<T> {
    /// Weights by [`Init::GlorotUniform`], bias zero, `q` one.
    #[track_caller]
    pub fn new(rng: &mut Rng, width: usize, hidden: usize) -> SdpResidual<T> {
        SdpResidual {
            w: Init::GlorotUniform.sample(&[width, hidden], rng),
            b: T::zeros(&[hidden]),
            log_q: T::zeros(&[hidden]),
        }
    }

    /// `[.., n]` to the same shape.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the last axis of `x` is not `n`.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        if self.log_q.size() == 0 {
            return x.clone();
        }
        // Only their ratios matter; and `W` and `b` by the same number are the same layer.
        let q = (self.log_q.clone() - self.log_q.max(..).detach()).exp();
        let (w, size) = within(&self.w, 1.0);
        let b = self.b.clone() / size;
        let sums = row_sums(&(w.transpose().matmul(&w) * &q)) / q;
        T::lipschitz_at_most(x, 1.0, |x| {
            let hidden = (x.matmul(&w) + &b).relu() * (sums.recip() * 2.0);
            x.clone() - hidden.matmul(&w.transpose())
        })
    }
}

/// `y = √2·σ(√2·x·Bᵀ·Ψ⁻¹ + b)·Ψ·A` with the ReLU σ, positive diagonal `Ψ` and `AAᵀ + BBᵀ = I` (Wang & Manchester,
/// *Direct parameterization of Lipschitz-bounded deep networks*, 2023, theorem 3.1): `[.., in]` to `[.., out]`.
#[derive(Clone, Debug, Params)]
pub struct Sandwich<T> {
    /// What `[Aᵀ; Bᵀ]` is made of by Cayley's transform, `[out + in, out]`.
    pub w: T,
    /// `[out]`.
    pub b: T,
    /// The logarithms of `Ψ`, `[out]`.
    pub log_psi: T,
}

impl<T: Tensor> Sandwich<T> {
    /// Weights by [`Init::GlorotUniform`], bias zero, `Ψ` one.
    #[track_caller]
    pub fn new(rng: &mut Rng, inputs: usize, outputs: usize) -> Sandwich<T> {
        Sandwich {
            w: Init::GlorotUniform.sample(&[outputs + inputs, outputs], rng),
            b: T::zeros(&[outputs]),
            log_psi: T::zeros(&[outputs]),
        }
    }

    /// `[.., in]` to `[.., out]`.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the last axis of `x` is not `in`.
    #[track_caller]
    pub fn apply(&self, x: &T) -> T {
        let both = Orthogonal::Cayley.of(&self.w);
        let shape = both.shape();
        let (at, bt) = (both.slice(0, 0..shape[1]), both.slice(0, shape[1]..shape[0]));
        let psi = self.log_psi.exp();
        T::lipschitz_at_most(x, 1.0, |x| {
            // The ReLU of a positive multiple is that multiple of it, so that no number divides by Ψ.
            let hidden = (x.matmul(&bt) * SQRT_2 + self.b.clone() * &psi).relu();
            (hidden * SQRT_2).matmul(&at.transpose())
        })
    }
}
