//! Initial values of parameters, drawn from an explicit seed.

use std::f64::consts::TAU;

use rand::rngs::ChaCha12Rng;
use rand::{Rng as _, SeedableRng};

use crate::continuation::unwinding::OrRaise;
use crate::language::shape;
use crate::language::tensor::Tensor;
use crate::memory;

/// A reproducible source of random numbers: ChaCha with 12 rounds, whose stream is fixed by its specification.
///
/// The same seed gives the same numbers on every machine and in every version of this crate: the steps from the
/// stream to a sample are written out here and use no function of the platform's.
#[derive(Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The source that belongs to this seed.
    pub fn new(seed: u64) -> Rng {
        Rng(ChaCha12Rng::seed_from_u64(seed))
    }

    /// Uniform on `[0, 1)`: 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, `√(−2 ln u)·cos 2πv` (Box & Muller, *A note on the generation of random normal deviates*,
    /// 1958).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * libm::log(u)).sqrt() * libm::cos(TAU * v)
    }

    /// So many, uniform on `[low, high)`.
    fn uniforms(&mut self, n: usize, low: f64, high: f64) -> impl Iterator<Item = f64> {
        (0..n).map(move |_| low + (high - low) * self.uniform())
    }

    /// So many, normal.
    fn normals(&mut self, n: usize, mean: f64, std: f64) -> impl Iterator<Item = f64> {
        (0..n).map(move |_| mean + std * self.normal())
    }
}

/// How a parameter's initial values are chosen.
///
/// The scaled ones depend on how many inputs each output sees (`fan_in`) and on how many outputs each input
/// reaches (`fan_out`): of `[in, out]` these are `in` and `out`, of a convolution's `[out, in, kh, kw]` they are
/// `in·kh·kw` and `out·kh·kw`. An array of rank one or zero counts as square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros.
    Zeros,
    /// The same value everywhere.
    Constant(f64),
    /// Uniform on `[low, high)`.
    Uniform {
        /// Smallest value.
        low: f64,
        /// Where the values end.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform on `±√(6/(fan_in + fan_out))` (Glorot & Bengio, *Understanding the difficulty of training deep
    /// feedforward neural networks*, 2010, eq. 16); also called Xavier.
    GlorotUniform,
    /// Normal of variance `2/(fan_in + fan_out)` (there, eq. 12).
    GlorotNormal,
    /// Uniform on `±√(6/fan_in)`, for layers before a `relu` (He et al., *Delving deep into rectifiers*, 2015,
    /// §2.2); also called Kaiming.
    HeUniform,
    /// Normal of variance `2/fan_in` (there, eq. 10).
    HeNormal,
    /// Orthonormal rows or columns, whichever are fewer, of the array seen as a matrix `[n, rest]` (Saxe et al.,
    /// *Exact solutions to the nonlinear dynamics of learning in deep linear neural networks*, 2014): a normal
    /// matrix, orthogonalised.
    Orthogonal,
}

impl Init {
    /// A constant array of this shape with such values, drawn in row-major order.
    ///
    /// # Errors
    /// Raises [`Error::Operand`](crate::Error::Operand) if no array can have the shape, and
    /// [`Error::Memory`](crate::Error::Memory) if there is no memory for one. So does whatever makes a layer.
    #[track_caller]
    pub fn sample<T: Tensor>(self, shape: &[usize], rng: &mut Rng) -> T {
        T::from_elements(shape, &self.elements(shape, rng)).or_raise()
    }

    /// The elements of [`sample`](Init::sample), in row-major order. Errors as there.
    #[track_caller]
    pub fn elements(self, shape: &[usize], rng: &mut Rng) -> Vec<f64> {
        let n = shape::elements("sample", shape).or_raise();
        let mut elements = memory::room(n);
        let (fan_in, fan_out) = fans(shape);
        match self {
            Init::Zeros => elements.resize(n, 0.0),
            Init::Constant(value) => elements.resize(n, value),
            Init::Uniform { low, high } => elements.extend(rng.uniforms(n, low, high)),
            Init::GlorotUniform => {
                let limit = (6.0 / (fan_in + fan_out)).sqrt();
                elements.extend(rng.uniforms(n, -limit, limit));
            }
            Init::HeUniform => {
                let limit = (6.0 / fan_in).sqrt();
                elements.extend(rng.uniforms(n, -limit, limit));
            }
            Init::Normal { mean, std } => elements.extend(rng.normals(n, mean, std)),
            Init::GlorotNormal => elements.extend(rng.normals(n, 0.0, (2.0 / (fan_in + fan_out)).sqrt())),
            Init::HeNormal => elements.extend(rng.normals(n, 0.0, (2.0 / fan_in).sqrt())),
            Init::Orthogonal => orthogonal(&mut elements, shape, rng),
        }
        elements
    }
}

/// `(fan_in, fan_out)`, as documented at [`Init`].
fn fans(shape: &[usize]) -> (f64, f64) {
    match *shape {
        [] => (1.0, 1.0),
        [n] => (n as f64, n as f64),
        [fan_in, fan_out] => (fan_in as f64, fan_out as f64),
        [out, channels, ref kernel @ ..] => {
            let area: usize = kernel.iter().product();
            ((channels * area) as f64, (out * area) as f64)
        }
    }
}

/// `m` vectors of dimension `d ≥ m`, each made orthogonal to those before it (Gram–Schmidt, done twice, which
/// is enough for working precision) and normalised.
///
/// The vectors together are as large as `elements`, for which there was memory.
fn orthogonal(elements: &mut Vec<f64>, shape: &[usize], rng: &mut Rng) {
    let n = shape::size(shape);
    let rows = shape.first().copied().unwrap_or(1);
    let columns = n.checked_div(rows).unwrap_or(0);
    let (m, d) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(m);
    while basis.len() < m {
        let mut v: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        for _ in 0..2 {
            for b in &basis {
                let along: f64 = b.iter().zip(&v).map(|(b, v)| b * v).sum();
                v.iter_mut().zip(b).for_each(|(v, b)| *v -= along * b);
            }
        }
        let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        // A draw that lies in the span of the earlier ones has probability zero; draw again.
        if norm > 1e-6 {
            v.iter_mut().for_each(|v| *v /= norm);
            basis.push(v);
        }
    }
    let by_rows = rows <= columns;
    let positions = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
    elements.extend(positions.map(|(i, j)| if by_rows { basis[i][j] } else { basis[j][i] }));
}
