//! Writing a network: the messages that it was read from, with other parameters.

use std::collections::BTreeMap;

use half::{bf16, f16};

use super::known::{Elements, Known};
use super::proto::{ModelProto, TensorProto, data_type};
use crate::array::{Float, NdArray};
use crate::language::tensor::Tensor;

/// A network's messages with its parameters' elements, in the types of the file.
pub fn rewritten<'w, E: Float>(
    source: &ModelProto,
    weights: impl Iterator<Item = (&'w str, &'w NdArray<E>)>,
    frozen: &BTreeMap<String, Known>,
) -> ModelProto {
    let weights: BTreeMap<&str, &NdArray<E>> = weights.collect();
    let mut model = source.clone();
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if let Some(x) = weights.get(tensor.name.as_str()) {
            tensor.dims = x.shape().iter().map(|&n| n as i64).collect();
            tensor.raw_data = Some(raw(tensor, x.view().iter().map(|&x| x.to_f64())).into());
        } else if let Some(Known { shape, elements: Elements::Reals(x) }) = frozen.get(&tensor.name) {
            tensor.dims = shape.iter().map(|&n| n as i64).collect();
            tensor.raw_data = Some(raw(tensor, x.iter().copied()).into());
        }
    }
    model
}

/// The bytes of elements of a tensor's type.
fn raw(tensor: &TensorProto, elements: impl Iterator<Item = f64>) -> Vec<u8> {
    match tensor.data_type {
        data_type::DOUBLE => elements.flat_map(f64::to_le_bytes).collect(),
        data_type::FLOAT16 => elements.flat_map(|x| f16::from_f64(x).to_le_bytes()).collect(),
        data_type::BFLOAT16 => elements.flat_map(|x| bf16::from_f64(x).to_le_bytes()).collect(),
        _ => elements.flat_map(|x| (x as f32).to_le_bytes()).collect(),
    }
}
