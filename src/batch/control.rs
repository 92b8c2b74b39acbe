//! Control flow of all rows.

use super::Batch;
use crate::language::control::Control;
use crate::language::tensor::Tensor;

impl<T: Tensor> Control for Batch<T> {}
