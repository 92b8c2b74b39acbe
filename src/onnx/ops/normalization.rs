//! Normalisation by means and variances.

use super::reductions::mean_over;
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, axes, axis, count};
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// `x/√(variance + ε)`, where `x` has no mean.
fn divided<T: Tensor>(x: T, variance: T, epsilon: f64) -> T {
    x / (variance + epsilon).sqrt()
}

/// `(x − mean)/√(variance + ε)` over axes.
fn standardized<T: Tensor>(x: &T, along: &[usize], epsilon: f64) -> T {
    let centred = x.clone() - mean_over(x, along);
    let variance = mean_over(&centred.square(), along);
    divided(centred, variance, epsilon)
}

/// A vector of a number for each channel, beside an image.
fn of_channels<T: Tensor>(call: &Call<'_, T>, i: usize, whole: &[usize]) -> Outcome<T> {
    let x = call.real(i)?;
    let given = x.shape();
    if whole.len() < 2 || given.as_slice() != [whole[1]] {
        return Err(format!(
            "operand {i} is {given:?} beside {whole:?}, and one number for each channel is wanted"
        ));
    }
    let mut lengths = vec![1; whole.len() - 1];
    lengths[0] = whole[1];
    Ok(x.reshape(&lengths))
}

/// By running averages, or, in training, by the batch; then the next averages, `momentum` of the old ones and the rest
/// of the batch's mean and (biased) variance, are results as well.
pub fn batch<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let x = call.real(0)?;
    let whole = x.shape();
    if call.int_attribute("spatial", 1)? != 1 {
        return Err("spatial = 0 is not supported".into());
    }
    let of = |i: usize| of_channels(call, i, &whole);
    let (gain, bias, mean, variance) = (of(1)?, of(2)?, of(3)?, of(4)?);
    let epsilon = call.float_attribute("epsilon", 1e-5)?;
    let momentum = call.float_attribute("momentum", 0.9)?;
    let asked = match call.settings.opset {
        14.. => call.flag("training_mode", false)?,
        7.. => call.node.outputs.len() > 1,
        _ => !call.flag("is_test", false)?,
    };
    if !asked && call.settings.training.is_none() {
        let scale = gain / (variance + epsilon).sqrt();
        let offset = bias - mean * &scale;
        return Ok(vec![Operand::Real(x * scale + offset)]);
    }
    let along: Vec<usize> = (0..whole.len()).filter(|&i| i != 1).collect();
    if along.iter().any(|&i| whole[i] == 0) {
        return Err(format!("{whole:?} has no elements to take means of"));
    }
    let batch_mean = x.mean(along.as_slice());
    let mut lengths = vec![1; whole.len() - 1];
    lengths[0] = whole[1];
    let centred = x - batch_mean.reshape(&lengths);
    let batch_variance = centred.square().mean(along.as_slice());
    let y = divided(centred, batch_variance.reshape(&lengths), epsilon) * gain + bias;
    let next = |i: usize, new: &T| -> Outcome<T> {
        Ok((call.real(i)?.detach() * momentum) + new.detach() * (1.0 - momentum))
    };
    let (mean, variance) = (next(3, &batch_mean)?, next(4, &batch_variance)?);
    if let Some(training) = call.settings.training {
        let mut averages = training.averages.borrow_mut();
        for (i, next) in [(3, &mean), (4, &variance)] {
            averages.extend(call.node.inputs[i].map(|place| (place, next.clone())));
        }
    }
    let mut results = vec![y, mean.clone(), variance.clone()];
    if call.settings.opset < 14 {
        results.extend([mean, variance]);
    }
    results.truncate(call.node.outputs.len());
    Ok(results.into_iter().map(Operand::Real).collect())
}

/// Each channel of each image by its own.
pub fn instance<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let whole = x.shape();
    let (gain, bias) = (of_channels(call, 1, &whole)?, of_channels(call, 2, &whole)?);
    let along: Vec<usize> = (2..whole.len()).collect();
    Ok(Operand::Real(standardized(&x, &along, call.float_attribute("epsilon", 1e-5)?) * gain + bias))
}

/// Over the last axes, from one on.
pub fn layer<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let (x, gain) = (call.real(0)?, call.real(1)?);
    let whole = x.shape();
    let from = axis(call.int_attribute("axis", -1)?, whole.len())?;
    let along: Vec<usize> = (from..whole.len()).collect();
    let epsilon = call.float_attribute("epsilon", 1e-5)?;
    let (centred, mean) = match call.node.op {
        Op::RMSNormalization => (x, None),
        _ => {
            let mean = mean_over(&x, &along);
            (x - &mean, Some(mean))
        }
    };
    let inverse = (mean_over(&centred.square(), &along) + epsilon).sqrt().recip();
    call.broadcast(&[whole, gain.shape()])?;
    let mut y = centred * &inverse * gain;
    if let Some(bias) = call.optional_real(2)? {
        call.broadcast(&[y.shape(), bias.shape()])?;
        y += bias;
    }
    let results = std::iter::once(y).chain(mean).chain([inverse]);
    Ok(results.take(call.node.outputs.len()).map(Operand::Real).collect())
}

/// Groups of channels of each image. Gain and bias are of channels since version 21, and of groups before it.
pub fn group<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let whole = x.shape();
    let groups = count(call.int_attribute("num_groups", 0)?)?;
    if whole.len() < 2 || groups == 0 || whole[1] % groups != 0 {
        return Err(format!("{groups} groups of the channels of {whole:?}"));
    }
    let size = whole[1] / groups;
    let mut apart: Shape = [whole[0], groups, size].into_iter().collect();
    apart.extend_from_slice(&whole[2..]);
    let along: Vec<usize> = (2..apart.len()).collect();
    let normal = standardized(&x.reshape(&apart), &along, call.float_attribute("epsilon", 1e-5)?);
    let scale = |i: usize| -> Outcome<T> {
        let x = call.real(i)?;
        let mut lengths = vec![1; apart.len() - 1];
        lengths[0] = groups;
        if call.settings.opset >= 21 {
            lengths[1] = size;
        }
        match x.shape()[..] == [lengths.iter().product::<usize>()] {
            true => Ok(x.reshape(&lengths)),
            false => Err(format!("operand {i} is {:?}", x.shape())),
        }
    };
    Ok(Operand::Real((normal * scale(1)? + scale(2)?).reshape(&whole)))
}

/// Without mean and with variance 1, over axes.
pub fn mean_variance<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let list = call.ints_attribute("axes")?.unwrap_or(&[0, 2, 3]);
    let along = axes(list, x.rank())?;
    Ok(Operand::Real(standardized(&x, &along, 1e-9)))
}

/// Divided by the sum of absolute values or the root of that of squares along an axis.
pub fn lp<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let mut kept = x.shape();
    let along = axis(call.int_attribute("axis", -1)?, kept.len())?;
    kept[along] = 1;
    let norm = match call.int_attribute("p", 2)? {
        1 => x.abs().sum(along as isize),
        2 => x.square().sum(along as isize).sqrt(),
        p => return Err(format!("p = {p} is not supported")),
    };
    let norm = norm.reshape(&kept);
    let zero = norm.equal(&T::constant(0.0));
    Ok(Operand::Real(x / T::select(&zero, &T::constant(1.0), &norm)))
}

/// `x/(bias + α/size·Σ x²)^β`, of which the sum is over neighbouring channels.
pub fn local_response<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let whole = x.shape();
    let size = count(call.int_attribute("size", 0)?)?;
    if whole.len() < 2 || size == 0 {
        return Err(format!("{size} channels of {whole:?}"));
    }
    let channels = whole[1];
    let (before, after) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let (alpha, beta) = (call.float_attribute("alpha", 1e-4)?, call.float_attribute("beta", 0.75)?);
    let bias = call.float_attribute("bias", 1.0)?;
    // Which channels are neighbours of which, as a matrix.
    call.room(&[channels, channels])?;
    let near = |i: usize, j: usize| f64::from(j + before >= i && j <= i.saturating_add(after));
    let matrix: Vec<f64> = (0..channels).flat_map(|i| (0..channels).map(move |j| near(i, j))).collect();
    let matrix: T = crate::onnx::call::reals(&[channels, channels], &matrix);
    let places = whole[2..].iter().product();
    let sums = matrix.matmul(&x.square().reshape(&[whole[0], channels, places])).reshape(&whole);
    Ok(Operand::Real(x / (sums * (alpha / size as f64) + bias).pow(&T::constant(beta))))
}
