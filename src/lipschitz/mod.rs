//! Lipschitz constants: of any program, by an interpretation, [`Bound`]; and of networks, by methods that use what
//! these are.
//!
//! To compute the constant exactly is NP-hard already for two layers (Virmaux & Scaman, *Lipschitz regularity of deep
//! neural networks: analysis and efficient estimation*, 2018): so a [`LipschitzConstant`] says whether it is an upper
//! bound, a lower bound or an estimate, and by which method. All norms are Euclidean. Upper bounds hold in spite of
//! rounding: they end with a certificate that counts it.

mod affine;
mod bound;
mod bounds;
mod branch;
mod certificate;
mod chain;
mod constant;
mod convolution;
mod descent;
mod gram;
mod lanczos;
mod limit;
mod local;
mod lower;
mod matrix;
mod network;
mod pair;
mod patterns;
mod power;
mod reduced;
mod regions;
mod search;
mod semidefinite;
mod sequence;

pub use affine::AffineProgram;
pub use bound::{
    Bound, BoundAdjoint, BoundBool, BoundInt, Contribution, Domain, LipschitzBound, auto_lip,
    limit_spectral_norm, lipschitz_bound, spectral_norm,
};
pub use constant::{Kind, LipschitzConstant};
pub use convolution::{circular_convolution_norm, convolution_norm, convolution_norm_bound};
pub use gram::{gram_bound, spectral_norm_bound};
pub use network::{Network, Slopes};
pub use power::{SingularValue, power_method, singular_values};
pub use search::{lower_bound_by_annealing, lower_bound_by_ascent, lower_bound_on, lower_bound_on_grid};
pub use sequence::AffineChain;
