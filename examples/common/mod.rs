//! What the examples that train share: exit codes, the training loop, progress, report and picture.
#![allow(dead_code, reason = "every example uses its part")]

pub mod char_model;
pub mod cli;
pub mod comparison;
pub mod convolutional;
pub mod corpus;
pub mod curve;
pub mod deep_speech;
pub mod files;
pub mod memory;
pub mod mode;
pub mod network;
pub mod perceptron;
pub mod pictures;
pub mod ranks;
pub mod report;
pub mod sentiment;
pub mod session;
pub mod speech;
pub mod training;
pub mod transformer;
pub mod trees;
