//! Activations, and what is done to all elements between layers.

use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

use crate::language::real::Int;
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, Type, axis, bools};
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// `max(0, x) + α·min(0, eˣᐟᵝ − 1)`, with one derivative at 0 and none that is infinite.
fn exponential<T: Tensor>(x: &T, alpha: f64, beta: f64) -> T {
    let below = x.minimum(&T::constant(0.0));
    x.relu() + (below * (1.0 / beta)).expm1() * alpha
}

/// A function of each element.
pub fn activation<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    if let (Op::Relu, Type::Int) = (call.node.op, call.operand(0)?.ty()) {
        return Ok(Operand::Int(call.int(0)?.maximum(&T::Int::constant(0))));
    }
    let x = call.real(0)?;
    let alpha = |default: f64| call.float_attribute("alpha", default);
    let zero = T::constant(0.0);
    Ok(Operand::Real(match call.node.op {
        Op::Sigmoid => x.sigmoid(),
        Op::Softplus => x.softplus(),
        Op::Softsign => x.clone() / (x.abs() + 1.0),
        Op::Relu => x.relu(),
        Op::LeakyRelu => T::select(&x.less(&zero), &(x.clone() * alpha(0.01)?), &x),
        Op::PRelu => {
            let mut slope = call.real(1)?;
            let (rank, given) = (x.rank(), slope.shape());
            if call.settings.opset < 7 && rank > 2 && given.len() == 1 {
                // One for each channel.
                let mut lengths = vec![1; rank - 1];
                lengths[0] = given[0];
                slope = slope.reshape(&lengths);
            }
            call.broadcast(&[x.shape(), slope.shape()])?;
            T::select(&x.less(&zero), &(x.clone() * &slope), &x)
        }
        Op::Elu => exponential(&x, alpha(1.0)?, 1.0),
        Op::Celu => {
            let alpha = alpha(1.0)?;
            exponential(&x, alpha, alpha)
        }
        Op::Selu => {
            let (alpha, gamma) =
                (alpha(1.673_263_192_176_818_8)?, call.float_attribute("gamma", 1.050_700_902_938_842_8)?);
            exponential(&x, alpha, 1.0) * gamma
        }
        Op::ThresholdedRelu => T::select(&x.greater(&T::constant(alpha(1.0)?)), &x, &zero),
        Op::HardSigmoid => (x * alpha(0.2)? + call.float_attribute("beta", 0.5)?).clamp(0.0, 1.0),
        Op::HardSwish => x.clone() * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0),
        Op::Gelu => match call.text("approximate", "none")? {
            "none" => x.gelu(),
            "tanh" => {
                let inner = (x.clone() + x.powi(3) * 0.044_715) * (FRAC_2_SQRT_PI / SQRT_2);
                x * (inner.tanh() + 1.0) * 0.5
            }
            other => return Err(format!("approximate = {other:?} is not supported")),
        },
        Op::Mish => x.clone() * x.softplus().tanh(),
        Op::Swish => x.clone() * (x * alpha(1.0)?).sigmoid(),
        Op::Shrink => {
            let (bias, limit) = (call.float_attribute("bias", 0.0)?, call.float_attribute("lambd", 0.5)?);
            let below = T::select(&x.less(&T::constant(-limit)), &(x.clone() + bias), &zero);
            T::select(&x.greater(&T::constant(limit)), &(x - bias), &below)
        }
        other => return Err(format!("{} is no activation", other.name())),
    }))
}

/// Limits, which are operands since version 11.
pub fn clip<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    if call.operand(0)?.ty() == Type::Int {
        let mut x = call.int(0)?;
        if call.optional(1).is_some() {
            x = x.maximum(&call.int(1)?);
        }
        if call.optional(2).is_some() {
            x = x.minimum(&call.int(2)?);
        }
        return Ok(Operand::Int(x));
    }
    let x = call.real(0)?;
    let bound = |i: usize, name: &str, default: f64| match call.optional(i) {
        Some(_) => call.known_real(i),
        None => call.float_attribute(name, default),
    };
    match (bound(1, "min", f64::NEG_INFINITY), bound(2, "max", f64::INFINITY)) {
        (Ok(low), Ok(high)) if low <= high => Ok(Operand::Real(x.clamp(low, high))),
        (Ok(low), Ok(high)) if !low.is_nan() && !high.is_nan() => Ok(Operand::Real(x.full_like(high))),
        // Bounds that are computed.
        _ => {
            let of = |i: usize, default: f64| match call.optional(i) {
                Some(_) => call.real(i),
                None => Ok(T::constant(default)),
            };
            Ok(Operand::Real(x.clip(&of(1, f64::NEG_INFINITY)?, &of(2, f64::INFINITY)?)))
        }
    }
}

/// In training each element is dropped with a probability; else nothing is.
pub fn dropout<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let x = call.real(0)?;
    let lengths = x.shape();
    let rate = match call.optional(1) {
        Some(_) => call.known_real(1)?,
        None => call.float_attribute("ratio", 0.5)?,
    };
    let asked = match call.optional(2) {
        Some(Operand::Known(_)) => {
            let mask = call.mask(2)?;
            crate::language::real::Mask::known(&mask).unwrap_or(true)
        }
        Some(_) => true,
        None => false,
    };
    let size = lengths.iter().product();
    match (call.settings.training, asked) {
        (None, true) => {
            Err("training_mode is true outside of training: evaluate the network by `train`".into())
        }
        (None, false) => Ok(vec![Operand::Real(x), Operand::Bool(bools::<T>(&lengths, &vec![true; size]))]),
        (Some(training), _) => {
            if !(0.0..1.0).contains(&rate) {
                return Err(format!("the rate {rate} is not from 0 to below 1"));
            }
            // Each node has numbers of its own.
            let place = call.node.outputs.iter().flatten().next().copied().unwrap_or(0);
            let seed = training.seed.clone() + (place as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
            let kept = T::uniform(&lengths, &seed).greater_equal(&T::constant(rate));
            Ok(vec![Operand::Real(x * T::from_mask(&kept) * (1.0 / (1.0 - rate))), Operand::Bool(kept)])
        }
    }
}

/// Softmax, its logarithm, and the one-hot of the maximum. Before version 13 all axes from `axis` on are one.
pub fn softmax<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let lengths = x.shape();
    let flattened = call.settings.opset < 13;
    let along = axis(call.int_attribute("axis", if flattened { 1 } else { -1 })?, lengths.len())?;
    if lengths.contains(&0) {
        return Ok(Operand::Real(x));
    }
    let (rows, along) = if flattened {
        let outer = lengths[..along].iter().product();
        let inner: usize = lengths[along..].iter().product();
        (x.reshape(&[outer, inner]), 1)
    } else {
        (x, along as isize)
    };
    let result = match call.node.op {
        Op::Softmax => rows.softmax(along),
        Op::LogSoftmax => rows.log_softmax(along),
        _ => {
            let n = rows.shape()[along as usize];
            let hot = T::one_hot(&rows.argmax(along), n);
            // The new axis is the last one.
            let rank = rows.rank();
            let mut order: Vec<usize> = (0..rank - 1).collect();
            order.insert(along as usize, rank - 1);
            hot.permute(&order)
        }
    };
    Ok(Operand::Real(result.reshape(&lengths)))
}
