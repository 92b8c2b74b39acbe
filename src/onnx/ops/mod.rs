//! The operators, by subject. Each is a function of a [`Call`](super::call::Call) over any interpretation, composed of
//! operators of the calculus; formulas are those of ONNX's operator reference.

pub mod activations;
pub mod convolution;
pub mod elementwise;
pub mod indices;
pub mod layouts;
pub mod loss;
pub mod normalization;
pub mod padding;
pub mod pooling;
pub mod products;
pub mod recurrent;
pub mod reductions;
pub mod resize;
pub mod shapes;
