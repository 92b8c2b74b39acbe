//! Linear algebra: factorizations, systems of equations, determinants, eigenvalues, and functions of matrices.
//!
//! All are functions over [`Tensor`](crate::Tensor) and run in every interpretation and nesting, and compiled, where
//! the code calls the same functions of faer, by which they are computed. A matrix is the last two axes of an array;
//! the axes before them are of a batch, and broadcast. Derivatives are those of the whole factorization, by published
//! formulas, which the pages name, and not of the steps that compute it.
//!
//! A matrix for which there is no result, as a singular one, is an error with its place in the batch and the line that
//! asked for it. Arms of a branch that a row of a batch does not take are computed for the identity there, and cannot
//! fail.
//!
//! Where digits are lost nothing says so: to matrices that are nearly singular or far from normal (of [`logm`] and
//! [`sqrtm`], and of second derivatives of these), to eigenvalues that are nearly equal, and to pivots and determinants
//! that are not within the range of normal numbers: of subnormal ones, results may be NaN.
//!
//! ```
//! use antiphon::linalg::{cholesky, solve_triangular, Triangle};
//! use antiphon::{NdArray, Tensor, grad};
//!
//! /// The density of a normal distribution, as a logarithm, up to a constant: −½·xᵀΣ⁻¹x − ½·ln det Σ.
//! fn log_density<T: Tensor>(covariance: &T, x: &T) -> T {
//!     let factor = cholesky(covariance);
//!     let whitened = solve_triangular(&factor, x, Triangle::LOWER);
//!     let diagonal = (factor * T::from_elements(&[2, 2], &[1.0, 0.0, 0.0, 1.0]).unwrap()).sum(-1);
//!     -whitened.square().sum(..).scale(0.5) - diagonal.log().sum(..)
//! }
//!
//! let covariance = NdArray::from_elements(&[2, 2], &[4.0, 0.0, 0.0, 1.0])?;
//! let x = NdArray::from(vec![2.0, 1.0]);
//! let slope = grad(|(covariance, x)| log_density(&covariance, &x), &(covariance, x))?;
//! assert_eq!(slope.1, NdArray::from(vec![-0.5, -1.0]));
//! # Ok::<(), antiphon::Error>(())
//! ```

mod cholesky;
mod determinant;
mod eigen;
mod functions;
mod kept;
mod kernel;
mod lu;
mod parts;
mod qr;
mod right;
mod svd;
mod triangular;

pub use cholesky::{cholesky, cholesky_solve};
pub use determinant::{det, slogdet};
pub use eigen::{eigh, eigvalsh};
pub use functions::{expm, logm, matrix_power, sqrtm};
pub(crate) use kept::Factors;
pub use lu::{inv, lu, solve};
pub use qr::qr;
pub use svd::{lstsq, pinv, svd, svdvals};
pub use triangular::{Triangle, solve_triangular};
