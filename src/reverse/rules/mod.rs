//! The rules of the array operators; [`cps`](super::cps) has them all.

mod contract;
mod host;
mod image;
mod index;
mod layout;
mod reduce;
mod write;

pub use contract::batch_matmul;
pub use host::{custom_operator, host};
pub use image::{conv2d, conv2d_image, conv2d_kernel, fold2d, unfold2d};
pub use index::{gather_last, gather_rows, read_rows, scatter_last, scatter_rows};
pub use layout::{broadcast_to, concat, flip, pad, permute, reshape, slice_step};
pub use reduce::{logsumexp, max, sum};
pub use write::write_rows;
