//! Matrix products.

use std::collections::BTreeMap;

use crate::language::composed::einsum as calculus;
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand};
use crate::onnx::known::Outcome;

/// NumPy's `matmul`.
pub fn matmul<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let (a, b) = (call.real(0)?, call.real(1)?);
    let (of_a, of_b) = (a.shape(), b.shape());
    let mut result = call.broadcast(&[
        of_a[..of_a.len().saturating_sub(2)].into(),
        of_b[..of_b.len().saturating_sub(2)].into(),
    ])?;
    result.extend(of_a.iter().rev().nth(1).copied());
    result.extend(of_b.last().copied());
    call.room(&result)?;
    Ok(Operand::Real(a.matmul(&b)))
}

/// `α·A·B + β·C`, of matrices that may be transposed.
pub fn gemm<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let matrix = |i: usize, name: &str| -> Outcome<T> {
        let x = call.real(i)?;
        if x.rank() != 2 {
            return Err(format!("operand {i} is {:?}, and a matrix is wanted", x.shape()));
        }
        Ok(if call.flag(name, false)? { x.transpose() } else { x })
    };
    let (a, b) = (matrix(0, "transA")?, matrix(1, "transB")?);
    let result = [a.shape()[0], b.shape()[1]];
    call.room(&result)?;
    let scaled = |x: T, factor: f64| if factor == 1.0 { x } else { x * factor };
    let product = scaled(a.matmul(&b), call.float_attribute("alpha", 1.0)?);
    let Some(c) = call.optional_real(2)? else { return Ok(Operand::Real(product)) };
    let whole = call.broadcast(&[result.as_slice().into(), c.shape()])?;
    if whole.as_slice() != result {
        return Err(format!("{:?} does not broadcast to {result:?}", c.shape()));
    }
    Ok(Operand::Real(product + scaled(c, call.float_attribute("beta", 1.0)?)))
}

/// Einstein's summation convention.
pub fn einsum<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let equation: String = call.text("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let operands = (0..call.operands.len()).map(|i| call.real(i)).collect::<Outcome<Vec<_>>>()?;
    let (inputs, output) = equation.split_once("->").map_or((equation.as_str(), None), |(i, o)| (i, Some(o)));
    let (mut lengths, mut batch) = (BTreeMap::new(), 1usize);
    for (names, x) in inputs.split(',').zip(&operands) {
        let whole = x.shape();
        let named = names.chars().filter(|&c| c != '.').count();
        let extra = whole.len().saturating_sub(named);
        let start = names.find('.').unwrap_or(0).min(whole.len() - extra);
        batch = batch.max(whole[start..start + extra].iter().product());
        let rest = whole[..start].iter().chain(&whole[start + extra..]);
        for (name, &n) in names.chars().filter(|&c| c != '.').zip(rest) {
            let length = lengths.entry(name).or_insert(n);
            *length = n.max(*length);
        }
    }
    // The product of two is as large as the result; on the way from more, nothing is larger than all axes together.
    let counts = |name: &char| operands.len() > 2 || output.is_none_or(|output| output.contains(*name));
    let mut together = vec![batch];
    together.extend(lengths.iter().filter(|(name, _)| counts(name)).map(|(_, &n)| n));
    call.room(&together)?;
    Ok(Operand::Real(calculus::einsum(&equation, &operands.iter().collect::<Vec<_>>())))
}
