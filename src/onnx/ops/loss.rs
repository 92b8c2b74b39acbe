//! Losses of class scores with integer targets.

use crate::language::real::Int;
use crate::language::shape::Shape;
use crate::language::tensor::{IntTensor, Tensor};
use crate::onnx::call::{Call, Operand};
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// Minus the score of the target, weighted by its class; of logarithms of a softmax, which the second loss takes first.
pub fn loss<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let (scores, targets) = (call.real(0)?, call.int(1)?);
    let whole = scores.shape();
    if whole.len() < 2 {
        return Err(format!("scores {whole:?}, and [batch, classes, ..] is wanted"));
    }
    let classes = whole[1];
    let mut rest: Shape = whole.clone();
    rest.remove(1);
    if IntTensor::shape(&targets) != rest {
        return Err(format!("targets {:?} of scores {whole:?}", IntTensor::shape(&targets)));
    }
    let scores = if call.node.op == Op::SoftmaxCrossEntropyLoss { scores.log_softmax(1) } else { scores };
    // Classes last.
    let order: Shape = std::iter::once(0).chain(2..whole.len()).chain([1]).collect();
    let last = scores.permute(&order);
    let (targets, kept) = match call.node.attributes.contains_key("ignore_index") {
        true => {
            let ignored = targets.equal(&T::Int::constant(call.int_attribute("ignore_index", 0)?));
            let zero = T::Int::constant(0);
            let kept = T::select(&ignored, &T::constant(0.0), &T::constant(1.0));
            (T::Int::select(&ignored, &zero, &targets), Some(kept))
        }
        false => (targets, None),
    };
    let weights = match call.optional_real(2)? {
        Some(weights) if weights.shape()[..] == [classes] => Some(weights.gather_rows(&targets)),
        Some(weights) => return Err(format!("weights {:?} of {classes} classes", weights.shape())),
        None => None,
    };
    let weights = match (weights, kept) {
        (Some(weights), Some(kept)) => Some(weights * kept),
        (weights, kept) => weights.or(kept),
    };
    let mut losses = -last.gather_last(&targets);
    if let Some(weights) = &weights {
        losses *= weights;
    }
    let result = match call.text("reduction", "mean")? {
        "none" => losses,
        "sum" => losses.sum(..),
        "mean" => match weights {
            Some(weights) => losses.sum(..) / weights.sum(..),
            None => losses.mean(..),
        },
        other => return Err(format!("reduction = {other:?} is not supported")),
    };
    Ok([result, scores].into_iter().take(call.node.outputs.len()).map(Operand::Real).collect())
}
