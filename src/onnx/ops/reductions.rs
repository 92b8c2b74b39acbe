//! Sums, means, maxima and others over axes; the largest, and where it is.

use super::padding::around;
use crate::continuation::unwinding::OrRaise;
use crate::language::real::Int;
use crate::language::shape::{self, Axes, Shape};
use crate::language::tensor::{IntTensor, Tensor};
use crate::onnx::call::{Call, Operand, Type, axes, axis, count};
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// Axes of the calculus.
fn positions(list: &[usize]) -> Axes {
    list.into()
}

/// A reduction over axes, which are all by default.
pub fn reduce<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let list = call.listed("axes", 1)?.unwrap_or_default();
    if list.is_empty() && call.flag("noop_with_empty_axes", false)? {
        return match call.node.op {
            Op::ReduceL1 | Op::ReduceL2 | Op::ReduceLogSum | Op::ReduceLogSumExp | Op::ReduceSumSquare => {
                Err("noop_with_empty_axes of this operator is not supported".into())
            }
            _ => Ok(operand.clone()),
        };
    }
    let along = if list.is_empty() { (0..whole.len()).collect() } else { axes(&list, whole.len())? };
    let kept: Shape = if call.flag("keepdims", true)? {
        shape::reduce_keep(&whole, &along)
    } else {
        shape::reduce(&whole, &along)
    };
    let over = || positions(&along);
    let x = operand.as_real()?;
    let nothing = along.iter().any(|&axis| whole[axis] == 0);
    let result = match call.node.op {
        Op::ReduceSum => x.sum(over()),
        Op::ReduceMean => x.mean(over()),
        Op::ReduceMax if nothing && operand.ty() == Type::Bool => T::zeros(&kept),
        Op::ReduceMin if nothing && operand.ty() == Type::Bool => T::ones(&kept),
        Op::ReduceMax if nothing => T::full(&kept, f64::NEG_INFINITY),
        Op::ReduceMax => x.max(over()),
        Op::ReduceMin if nothing => T::full(&kept, f64::INFINITY),
        Op::ReduceMin => x.min(over()),
        Op::ReduceProd => x.prod(over()),
        Op::ReduceL1 => x.abs().sum(over()),
        Op::ReduceL2 => {
            let squares = x.square().sum(over());
            // The derivative of the root is infinite at 0, and that of the norm is taken as 0.
            let zero = squares.equal(&T::constant(0.0));
            let safe = T::select(&zero, &T::constant(1.0), &squares).sqrt();
            T::select(&zero, &T::constant(0.0), &safe)
        }
        Op::ReduceLogSum => x.sum(over()).log(),
        Op::ReduceLogSumExp => x.logsumexp(over()),
        Op::ReduceSumSquare => x.square().sum(over()),
        other => return Err(format!("{} is no reduction", other.name())),
    };
    let result = result.reshape(&kept);
    Ok(match operand.ty() {
        Type::Real => Operand::Real(result),
        Type::Int => Operand::Int(match call.node.op {
            // Rounded towards zero, as a quotient of integers.
            Op::ReduceMean => {
                (x.sum(over()).reshape(&kept) / T::constant(size_along(&whole, &along) as f64)).to_int()
            }
            _ => result.to_int(),
        }),
        Type::Bool => match call.node.op {
            Op::ReduceMax | Op::ReduceMin => Operand::Bool(result.not_equal(&T::constant(0.0))),
            _ => return Err("truth values are not supported".into()),
        },
    })
}

fn size_along(whole: &[usize], along: &[usize]) -> usize {
    along.iter().map(|&axis| whole[axis]).product::<usize>().max(1)
}

/// Where the largest or smallest element along an axis is.
pub fn arg<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.operand(0)?.as_real()?;
    let whole = x.shape();
    let along = axis(call.int_attribute("axis", 0)?, whole.len())?;
    let last = call.flag("select_last_index", false)?;
    let x = if last { x.flip(along as isize) } else { x };
    let x = if call.node.op == Op::ArgMin { -x.detach() } else { x };
    let mut places = x.argmax(along as isize);
    if last {
        places = T::Int::constant(whole[along] as i64 - 1) - &places;
    }
    let keep = call.flag("keepdims", true)?;
    Ok(Operand::Int(if keep { places.reshape(&shape::reduce_keep(&whole, &[along])) } else { places }))
}

/// Sums of the elements up to each.
pub fn cumulative<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let x = operand.as_real()?;
    let along = axis(call.known_int(1)?, x.rank())? as isize;
    let reverse = call.flag("reverse", false)?;
    let turned = if reverse { x.flip(along) } else { x };
    let n = turned.shape()[along as usize];
    let sums = if call.flag("exclusive", false)? && n > 0 {
        // Of those before each, of which the first has none.
        around(&turned.slice(along, 0..n - 1).cumsum(along), along as usize, 1, 0, 0.0)
    } else {
        turned.cumsum(along)
    };
    let sums = if reverse { sums.flip(along) } else { sums };
    Ok(if operand.ty() == Type::Int { Operand::Int(sums.to_int()) } else { Operand::Real(sums) })
}

/// The largest or smallest elements along an axis, in order, and where they are.
pub fn top<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let operand = call.operand(0)?;
    let x = operand.as_real()?;
    let along = axis(call.int_attribute("axis", -1)?, x.rank())?;
    let k = match call.optional(1) {
        Some(_) => count(call.known_int(1)?)?,
        None => count(call.int_attribute("k", -1)?)?,
    };
    let n = x.shape()[along];
    if k > n {
        return Err(format!("{k} elements of {n}"));
    }
    let along = along as isize;
    let (values, places) = match call.flag("largest", true)? {
        true => x.topk(k, along),
        false => {
            let (values, places) = (-x).topk(k, along);
            (-values, places)
        }
    };
    let values =
        if operand.ty() == Type::Int { Operand::Int(values.to_int()) } else { Operand::Real(values) };
    Ok(vec![values, Operand::Int(places)])
}

/// A number of elements that a network says, as it is used in formulas.
pub fn mean_over<T: Tensor>(x: &T, along: &[usize]) -> T {
    let whole = x.shape();
    let kept = shape::reduce_keep(&whole, along);
    shape::elements("mean", &kept).or_raise();
    x.mean(positions(along)).reshape(&kept)
}
