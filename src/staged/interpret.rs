//! Running recorded programs in the reference interpreter; arrays as its tensors, and back.

use antiphon_staging::{self as staging, Data, Dtype, Program};

use super::recording_error;
use crate::array::{Float, NdArray};
use crate::error::Result;
use crate::params::Params;
use crate::tensor::Tensor;

/// Runs a recorded program in the reference interpreter: slow and obvious. Returns its results in order.
///
/// # Errors
/// [`Error::Recording`] if `inputs` do not have the shapes that the program was recorded for, or an index is out of
/// range.
pub fn interpret<P, E>(program: &Program, inputs: &P) -> Result<Vec<NdArray<E>>>
where
    E: Float,
    P: Params<Leaf = NdArray<E>>,
{
    let inputs: Vec<staging::Tensor> = inputs.leaves().iter().map(to_tensor).collect();
    let outputs = staging::interpret(program, &inputs).map_err(recording_error)?;
    outputs.iter().map(from_tensor).collect()
}

pub(super) fn dtype<E: Float>() -> Dtype {
    if size_of::<E>() == 4 { Dtype::F32 } else { Dtype::F64 }
}

pub(crate) fn to_tensor<E: Float>(x: &NdArray<E>) -> staging::Tensor {
    let elements = x.view();
    let elements = elements.iter().map(|x| x.to_f64());
    let data: Data = match dtype::<E>() {
        Dtype::F32 => elements.map(|x| x as f32).collect::<Vec<_>>().into(),
        _ => elements.collect::<Vec<_>>().into(),
    };
    staging::Tensor::new(&x.shape(), data).expect("as many elements as the shape has")
}

pub(crate) fn from_tensor<E: Float>(x: &staging::Tensor) -> Result<NdArray<E>> {
    let elements: Vec<f64> = match x.data() {
        Data::F32(x) => x.iter().map(|&x| x.into()).collect(),
        Data::F64(x) => x.clone(),
        Data::I64(x) => x.iter().map(|&x| x as f64).collect(),
        Data::Bool(x) => x.iter().map(|&x| x.into()).collect(),
    };
    NdArray::from_elements(x.shape(), &elements)
}
