//! The operators: which function evaluates which.

use std::cell::RefCell;

use super::call::{Call, Operand};
use super::graph::{Node, described};
use super::known::Outcome;
use super::ops::{
    activations, convolution, elementwise, indices, layouts, loss, normalization, padding, pooling, products,
    recurrent, reductions, resize, shapes,
};
use super::table::Op;
use crate::array::NdArray;
use crate::continuation::unwinding::{self, catch};
use crate::error::{At, Error, Result};
use crate::language::tensor::Tensor;

/// What holds for all nodes of an evaluation.
pub struct Settings<'a, T: Tensor> {
    /// The version of the operators.
    pub opset: i64,
    /// The most elements that a value may have.
    pub limit: usize,
    /// What is different in training.
    pub training: Option<&'a Training<T>>,
}

impl<'a, T: Tensor> Settings<'a, T> {
    /// The same for another node.
    fn again(&self) -> Settings<'a, T> {
        Settings { opset: self.opset, limit: self.limit, training: self.training }
    }
}

/// What evaluating a network in training takes and leaves.
pub struct Training<T: Tensor> {
    /// Decides what is dropped.
    pub seed: T::Int,
    /// Running averages as they are after this step, by the place of the value that they replace.
    pub averages: RefCell<Vec<(usize, T)>>,
}

/// Evaluates a node, for the user's line `at`. What has known operands only is known.
///
/// # Errors
/// [`Error::Argument`] that names operator, node and opset, if an operand is not what it should be.
pub fn node<T: Tensor>(
    node: &Node,
    operands: Vec<Option<Operand<T>>>,
    settings: &Settings<'_, T>,
    at: At,
) -> Result<Vec<Operand<T>>> {
    let refused = |reason: String| {
        let reason = described(node.op.name(), &node.name, settings.opset, &reason);
        Error::Argument { op: "onnx", reason, at }
    };
    let evaluated = catch(|| -> Result<_> {
        let known = |operand: &Option<Operand<T>>| match operand {
            None => Some(None),
            Some(Operand::Known(known)) => Some(Some(Operand::Known(known.clone()))),
            Some(_) => None,
        };
        let outcome = match operands.iter().map(known).collect::<Option<Vec<_>>>() {
            Some(operands) if node.op != Op::Dropout => {
                let settings = Settings { opset: settings.opset, limit: settings.limit, training: None };
                let call = Call::<NdArray<f64>> { node, operands, settings };
                let of = |result: Operand<NdArray<f64>>| result.known().map(Operand::Known);
                unwinding::operator(at, || operator(&call))
                    .and_then(|results| results.into_iter().map(of).collect())
            }
            _ => unwinding::operator(at, || operator(&Call { node, operands, settings: settings.again() })),
        };
        outcome.map_err(refused)
    });
    // An operator of the calculus names itself, and not the node.
    evaluated.map_err(|error| match error {
        Error::Argument { op: "onnx", .. } => error,
        Error::Shape { .. } | Error::Operand { .. } | Error::Argument { .. } | Error::Index { .. } => {
            refused(error.to_string())
        }
        error => error,
    })
}

/// The results of a node's operator.
fn operator<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    use Op::*;
    if call.settings.opset < 7 && call.node.attributes.contains_key("broadcast") {
        return elementwise::aligned(call).and_then(|call| operator(&call));
    }
    let one = |result: Outcome<Operand<T>>| result.map(|result| vec![result]);
    match call.node.op {
        Abs | Neg | Exp | Log | Sqrt | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh | Tanh | Asinh
        | Acosh | Atanh | Erf | Floor | Ceil | Round | Sign | Reciprocal | IsNaN | IsInf | Not => {
            one(elementwise::unary(call))
        }
        Sigmoid | Softplus | Softsign | Relu | LeakyRelu | Elu | Selu | Celu | ThresholdedRelu
        | HardSigmoid | HardSwish | Gelu | Mish | Swish | Shrink | PRelu => {
            one(activations::activation(call))
        }
        Clip => one(activations::clip(call)),
        Dropout => activations::dropout(call),
        Softmax | LogSoftmax | Hardmax => one(activations::softmax(call)),
        Add | Sub | Mul | Div | Pow | Mod => one(elementwise::arithmetic(call)),
        Max | Min | Mean | Sum => one(elementwise::variadic(call)),
        And | Or | Xor | Equal | Less | LessOrEqual | Greater | GreaterOrEqual => {
            one(elementwise::comparison(call))
        }
        Where => one(elementwise::choose(call)),
        ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd | ReduceL1 | ReduceL2 | ReduceLogSum
        | ReduceLogSumExp | ReduceSumSquare => one(reductions::reduce(call)),
        ArgMax | ArgMin => one(reductions::arg(call)),
        CumSum => one(reductions::cumulative(call)),
        TopK => reductions::top(call),
        Identity => Ok(vec![call.operand(0)?.clone()]),
        Constant => one(shapes::constant(call)),
        ConstantOfShape => one(shapes::constant_of_shape(call)),
        Shape => one(shapes::shape(call)),
        Size => one(shapes::size(call)),
        Range => one(shapes::range(call)),
        EyeLike => one(shapes::eye(call)),
        Cast | CastLike => one(shapes::cast(call)),
        Reshape => one(shapes::reshape(call)),
        Flatten => one(shapes::flatten(call)),
        Squeeze => one(shapes::squeeze(call)),
        Unsqueeze => one(shapes::unsqueeze(call)),
        Transpose => one(layouts::transpose(call)),
        Concat => one(layouts::concat(call)),
        Split => layouts::split(call),
        Slice => one(layouts::slice(call)),
        Expand => one(layouts::expand(call)),
        Tile => one(layouts::tile(call)),
        Pad => one(padding::pad(call)),
        Trilu => one(layouts::triangle(call)),
        DepthToSpace | SpaceToDepth => one(layouts::depth(call)),
        Resize | Upsample => one(resize::resize(call)),
        Gather => one(indices::gather(call)),
        GatherElements => one(indices::gather_elements(call)),
        GatherND => one(indices::gather_nd(call)),
        ScatterND => one(indices::scatter_nd(call)),
        OneHot => one(indices::one_hot(call)),
        MatMul => one(products::matmul(call)),
        Gemm => one(products::gemm(call)),
        Einsum => one(products::einsum(call)),
        Conv => one(convolution::conv(call)),
        ConvTranspose => one(convolution::transposed(call)),
        MaxPool | AveragePool | LpPool => one(pooling::pool(call)),
        GlobalAveragePool | GlobalMaxPool => one(pooling::global(call)),
        BatchNormalization => normalization::batch(call),
        InstanceNormalization => one(normalization::instance(call)),
        LayerNormalization | RMSNormalization => normalization::layer(call),
        GroupNormalization => one(normalization::group(call)),
        MeanVarianceNormalization => one(normalization::mean_variance(call)),
        LpNormalization => one(normalization::lp(call)),
        LRN => one(normalization::local_response(call)),
        RNN | GRU | LSTM => recurrent::layer(call),
        NegativeLogLikelihoodLoss | SoftmaxCrossEntropyLoss => loss::loss(call),
    }
}
