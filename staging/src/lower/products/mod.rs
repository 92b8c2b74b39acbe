//! Kernels of products, each specialised to its static shapes.
//!
//! | module | |
//! |---|---|
//! | [`contract`] | which kernels there are, their plans, and calling them |
//! | [`kernel`] | blocks of sums in registers |
//! | [`dots`] | few rows with a matrix that is stored column by column |
//! | [`pack`] | factors as kernels read them |
//! | [`convolution`] | convolutions with the batch innermost |

pub mod contract;
pub mod convolution;
mod dots;
mod kernel;
#[cfg(test)]
mod kernel_tests;
mod pack;
