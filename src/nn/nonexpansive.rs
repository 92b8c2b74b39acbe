//! Layers whose Lipschitz constant is at most 1, whatever their parameters are: two results are no farther apart than
//! their inputs, in the Euclidean norm.

use std::f64::consts::SQRT_2;

use crate::Params;
use crate::language::composed::norms::Norm;
use crate::language::tensor::Tensor;
use crate::linalg::solve;
use crate::nn::init::{Init, Rng};

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
    if rows == columns {
        return above;
    }
    T::concat(&[above, v.matmul(&inverse) * -2.0], 0)
}

#[track_caller]
fn bjorck<T: Tensor>(w: T, rounds: usize) -> T {
    // Singular values below √3 converge; the geometric mean of both norms is no less than the largest one.
    let rows = w.norm(Norm::One, 1).max(0);
    let columns = w.norm(Norm::One, 0).max(0);
    let mut w = w / ((rows * columns).sqrt() + f64::MIN_POSITIVE);
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
        let sums = row_sums(&self.w.matmul(&self.w.transpose()));
        T::lipschitz_at_most(x, 1.0, |x| (x.clone() * sums.sqrt().recip()).matmul(&self.w) + &self.b)
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
        let q = self.log_q.exp();
        let gram = self.w.transpose().matmul(&self.w);
        let sums = row_sums(&(gram * &q)) / q;
        T::lipschitz_at_most(x, 1.0, |x| {
            let hidden = (x.matmul(&self.w) + &self.b).relu() * (sums.recip() * 2.0);
            x.clone() - hidden.matmul(&self.w.transpose())
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
            let hidden = (x.matmul(&bt) * psi.recip() * SQRT_2 + &self.b).relu();
            (hidden * &psi * SQRT_2).matmul(&at.transpose())
        })
    }
}
