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
//! Where digits are lost nothing says so: to matrices that are nearly singular, or far from normal (of [`logm`] and
//! [`sqrtm`]), and to eigenvectors of eigenvalues that are nearly equal. Elements and pivots may be of any size that
//! numbers have: what would overflow or vanish on the way is scaled, or divided by and not multiplied by a reciprocal.
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
mod cofactors;
mod definite;
mod determinant;
mod division;
mod eigen;
mod exponential;
mod functions;
mod kept;
mod kernel;
mod lu;
mod parts;
mod product;
mod qr;
mod right;
mod schur;
mod small;
mod svd;
mod triangular;
mod triangularize;

pub(crate) use cholesky::cholesky_in_step;
pub use cholesky::{cholesky, cholesky_solve};
pub use determinant::{det, slogdet};
pub use eigen::{eigh, eigvalsh};
pub use functions::{expm, logm, matrix_power, sqrtm};
pub(crate) use kept::{Asked, Factors, symmetric_in_step};
pub(crate) use kernel::{ONE, scratch};
pub use lu::{inv, lu, solve};
pub use qr::qr;
pub use svd::{lstsq, pinv, svd, svdvals};
pub use triangular::{Triangle, solve_triangular};
