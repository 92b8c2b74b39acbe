//! Operators on each element, with broadcasting.

use crate::language::real::{Int, Mask};
use crate::language::shape::Shape;
use crate::language::tensor::{IntTensor, Tensor};
use crate::onnx::call::{Call, Operand, Type, axis};
use crate::onnx::evaluate::Settings;
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// A node of version 6, in which the second operand is aligned with an axis of the first one, as one of version 7,
/// where it has axes of length 1 after that.
pub fn aligned<'a, T: Tensor>(call: &Call<'a, T>) -> Outcome<Call<'a, T>> {
    let mut operands = call.operands.clone();
    let rank = call.operand(0)?.shape().len();
    if call.flag("broadcast", false)? && call.node.attributes.contains_key("axis") {
        let second = call.operand(1)?;
        let mut lengths = second.shape();
        let from = axis(call.int_attribute("axis", 0)?, rank)?;
        let after = rank.checked_sub(from + lengths.len()).ok_or("the second operand has too many axes")?;
        lengths.extend(std::iter::repeat_n(1, after));
        operands[1] = Some(second.reshape(&lengths));
    }
    let settings = Settings { opset: 7, limit: call.settings.limit, training: call.settings.training };
    Ok(Call { node: call.node, operands, settings })
}

/// An operator of one operand.
pub fn unary<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    if operand.ty() == Type::Int {
        let x = operand.int()?;
        let zero = T::Int::constant(0);
        return Ok(Operand::Int(match call.node.op {
            Op::Abs => x.abs(),
            Op::Neg => -x,
            Op::Sign => {
                let [one, minus] = [1, -1].map(T::Int::constant);
                T::Int::select(&x.less(&zero), &minus, &T::Int::select(&x.equal(&zero), &zero, &one))
            }
            _ => return Err("integers are not supported".into()),
        }));
    }
    if call.node.op == Op::Not {
        return Ok(Operand::Bool(call.mask(0)?.not()));
    }
    let x = call.real(0)?;
    Ok(Operand::Real(match call.node.op {
        Op::Abs => x.abs(),
        Op::Neg => -x,
        Op::Exp => x.exp(),
        Op::Log => x.log(),
        Op::Sqrt => x.sqrt(),
        Op::Sin => x.sin(),
        Op::Cos => x.cos(),
        Op::Tan => x.tan(),
        Op::Asin => x.asin(),
        Op::Acos => x.acos(),
        Op::Atan => x.atan(),
        Op::Sinh => x.sinh(),
        Op::Cosh => x.cosh(),
        Op::Tanh => x.tanh(),
        Op::Asinh => x.asinh(),
        Op::Acosh => x.acosh(),
        Op::Atanh => x.atanh(),
        Op::Erf => x.erf(),
        Op::Floor => x.floor(),
        Op::Ceil => x.ceil(),
        Op::Round => x.round(),
        Op::Sign => x.sign(),
        Op::Reciprocal => x.recip(),
        Op::IsNaN => return Ok(Operand::Bool(x.is_nan())),
        Op::IsInf => {
            let [negative, positive] =
                ["detect_negative", "detect_positive"].map(|name| call.flag(name, true));
            let x = match (negative?, positive?) {
                (true, true) => return Ok(Operand::Bool(x.is_infinite())),
                (true, false) => x.equal(&T::constant(f64::NEG_INFINITY)),
                (false, true) => x.equal(&T::constant(f64::INFINITY)),
                (false, false) => x.is_infinite().and(&x.is_nan()),
            };
            return Ok(Operand::Bool(x));
        }
        other => return Err(format!("{} is no operator of one operand", other.name())),
    }))
}

/// Checks that operands broadcast, and that there may be room for the result.
fn together<T: Tensor>(call: &Call<'_, T>) -> Outcome<Shape> {
    let shapes: Vec<Shape> = call.operands.iter().flatten().map(Operand::shape).collect();
    call.broadcast(&shapes)
}

/// The kind of all operands, which has to be the same.
fn common<T: Tensor>(call: &Call<'_, T>, from: usize) -> Outcome<Type> {
    let ty = call.operand(from)?.ty();
    for (i, operand) in call.operands.iter().enumerate().skip(from) {
        let other = operand.as_ref().ok_or_else(|| format!("operand {i} is missing"))?.ty();
        if other != ty {
            return Err(format!("operands of {ty:?} and of {other:?}"));
        }
    }
    Ok(ty)
}

/// `x/y` of integers, towards zero.
fn quotient<I: Int>(x: &I, y: &I) -> I {
    let zero = I::constant(0);
    let size = x.abs().floor_divide(&y.abs());
    let same = x.less(&zero).and(&y.less(&zero)).or(&x.less(&zero).not().and(&y.less(&zero).not()));
    I::select(&same, &size, &-size.clone())
}

/// `+ − × ÷`, powers and remainders.
pub fn arithmetic<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    together(call)?;
    if call.node.op == Op::Pow {
        return power(call);
    }
    if common(call, 0)? == Type::Int {
        let (x, y) = (call.int(0)?, call.int(1)?);
        return Ok(Operand::Int(match call.node.op {
            Op::Add => x + &y,
            Op::Sub => x - &y,
            Op::Mul => x * &y,
            Op::Div => quotient(&x, &y),
            // With the sign of the divisor, or as C has it.
            _ if call.flag("fmod", false)? => x.clone() - quotient(&x, &y) * &y,
            _ => x.remainder(&y),
        }));
    }
    let (x, y) = (call.real(0)?, call.real(1)?);
    Ok(Operand::Real(match call.node.op {
        Op::Add => x + &y,
        Op::Sub => x - &y,
        Op::Mul => x * &y,
        Op::Div => x / &y,
        _ if call.flag("fmod", false)? => x.fmod(&y),
        _ => x.remainder(&y),
    }))
}

/// `xʸ`, with few multiplications where `y` is a small integer that is known.
fn power<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    if let (Type::Real, Ok(exponent)) = (call.operand(0)?.ty(), call.known_real(1))
        && exponent.fract() == 0.0
        && exponent.abs() <= 16.0
        && call.operand(1)?.shape().is_empty()
    {
        return Ok(Operand::Real(call.real(0)?.powi(exponent as i32)));
    }
    let is_int = call.operand(0)?.ty() == Type::Int;
    let [x, y] = [0, 1].map(|i| call.operand(i).and_then(Operand::as_real));
    let power = x?.pow(&y?);
    Ok(if is_int { Operand::Int(power.to_int()) } else { Operand::Real(power) })
}

/// Maxima, minima, sums and means of any number of operands.
pub fn variadic<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    together(call)?;
    let op = call.node.op;
    let count = call.operands.len();
    if common(call, 0)? == Type::Int {
        let mut whole = call.int(0)?;
        for i in 1..count {
            let next = call.int(i)?;
            whole = match op {
                Op::Max => whole.maximum(&next),
                Op::Min => whole.minimum(&next),
                _ => return Err("integers are not supported".into()),
            };
        }
        return Ok(Operand::Int(whole));
    }
    let mut whole = call.real(0)?;
    for i in 1..count {
        let next = call.real(i)?;
        whole = match op {
            Op::Max => whole.maximum(&next),
            Op::Min => whole.minimum(&next),
            _ => whole + &next,
        };
    }
    Ok(Operand::Real(if op == Op::Mean { whole * (1.0 / count as f64) } else { whole }))
}

/// Comparisons, and operators of truth values.
pub fn comparison<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    together(call)?;
    let op = call.node.op;
    let of = |less: T::Bool, equal: T::Bool| match op {
        Op::Less => less,
        Op::LessOrEqual => less.or(&equal),
        _ => equal,
    };
    Ok(Operand::Bool(match common(call, 0)? {
        Type::Bool => {
            let (x, y) = (call.mask(0)?, call.mask(1)?);
            let both = x.and(&y);
            match op {
                Op::And => both,
                Op::Or => x.or(&y),
                Op::Xor => x.or(&y).and(&both.not()),
                Op::Equal => both.or(&x.or(&y).not()),
                _ => return Err("truth values are not supported".into()),
            }
        }
        _ if matches!(op, Op::And | Op::Or | Op::Xor) => {
            return Err("its operands are no truth values".into());
        }
        Type::Int => {
            let (x, y) = (call.int(0)?, call.int(1)?);
            match op {
                Op::Greater => y.less(&x),
                Op::GreaterOrEqual => y.less_equal(&x),
                _ => of(x.less(&y), x.equal(&y)),
            }
        }
        Type::Real => {
            let (x, y) = (call.real(0)?, call.real(1)?);
            match op {
                Op::Greater => x.greater(&y),
                Op::GreaterOrEqual => x.greater_equal(&y),
                Op::LessOrEqual => x.less_equal(&y),
                Op::Less => x.less(&y),
                _ => x.equal(&y),
            }
        }
    }))
}

/// `Where`: one of two by a condition.
pub fn choose<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let whole = together(call)?;
    let mask = call.mask(0)?;
    Ok(match common(call, 1)? {
        Type::Real => Operand::Real(T::select(&mask, &call.real(1)?, &call.real(2)?)),
        Type::Int => Operand::Int(T::Int::select(&mask, &call.int(1)?, &call.int(2)?)),
        Type::Bool => {
            let (x, y) = (call.mask(1)?, call.mask(2)?);
            let chosen = mask.and(&x).or(&mask.not().and(&y));
            debug_assert_eq!(crate::language::tensor::MaskTensor::shape(&chosen), whole);
            Operand::Bool(chosen)
        }
    })
}

/// An array of integers of a shape, all of which are the same.
pub fn filled<T: Tensor>(lengths: &[usize], value: i64) -> T::Int {
    let size = lengths.iter().product();
    crate::onnx::call::ints::<T>(lengths, &vec![value; size]).reshape(lengths)
}
