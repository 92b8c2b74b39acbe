//! Shapes as values, constants, types, and other shapes of the same elements.

use super::elementwise::filled;
use crate::language::real::Int;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, Type, axes, axis};
use crate::onnx::graph::Attribute;
use crate::onnx::known::{self, Elements, Kind, Known, Outcome};
use crate::onnx::table::Op;

/// A constant of the file.
pub fn constant<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let mut values = call.node.attributes.values();
    let known = match (values.next(), values.next()) {
        (Some(Attribute::Tensor(known)), None) => known.clone(),
        (Some(Attribute::Int(x)), None) => Known::int(*x),
        (Some(Attribute::Float(x)), None) => Known::real(*x),
        (Some(Attribute::Ints(x)), None) => Known::vector(x.iter().copied()),
        (Some(Attribute::Floats(x)), None) => {
            Known { shape: Shape::from_slice(&[x.len()]), elements: Elements::Reals(x.as_slice().into()) }
        }
        _ => return Err("it has to have one attribute, its value".into()),
    };
    Ok(Operand::Known(known))
}

/// An array of one value, 0 by default.
pub fn constant_of_shape<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let lengths = call.lengths(&call.known_ints(0)?)?;
    let value = match call.node.attributes.get("value") {
        None => Known::real(0.0),
        Some(Attribute::Tensor(known)) if known.len() == 1 => known.clone(),
        Some(_) => return Err("its value is no single number".into()),
    };
    Ok(match &value.elements {
        Elements::Reals(x) => Operand::Real(T::full(&lengths, x[0])),
        Elements::Ints(x) => Operand::Int(filled::<T>(&lengths, x[0])),
        Elements::Bools(x) => {
            Operand::Bool(filled::<T>(&lengths, x[0].into()).not_equal(&T::Int::constant(0)))
        }
    })
}

/// The lengths of an array's axes, which are known while the network is evaluated.
pub fn shape<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let whole = call.operand(0)?.shape();
    let rank = whole.len() as i64;
    let place = |name: &str, default: i64| -> Outcome<usize> {
        let at = call.int_attribute(name, default)?;
        Ok((if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize)
    };
    let (start, end) = (place("start", 0)?, place("end", rank)?);
    let part = whole.get(start..end).unwrap_or_default();
    Ok(Operand::Known(Known::vector(part.iter().map(|&n| n as i64))))
}

/// How many elements an array has.
pub fn size<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    Ok(Operand::Known(Known::int(shape::size(&call.operand(0)?.shape()) as i64)))
}

/// Numbers from a first one on.
pub fn range<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let of_ints = call.operand(0)?.ty() == Type::Int;
    if of_ints {
        let (start, limit, step) = (call.known_int(0)?, call.known_int(1)?, call.known_int(2)?);
        if step == 0 {
            return Err("a step of 0".into());
        }
        let (distance, step_wide) = (i128::from(limit) - i128::from(start), i128::from(step));
        // Rounded up.
        let count = match distance.signum() == step_wide.signum() {
            true => (distance.abs() + step_wide.abs() - 1) / step_wide.abs(),
            false => 0,
        };
        let count = i64::try_from(count).map_err(|_| "too many numbers".to_string())?;
        let lengths = call.lengths(&[count])?;
        let numbers = (0..lengths[0] as i64).map(|i| start.wrapping_add(i.wrapping_mul(step)));
        return Ok(Operand::Known(Known::vector(numbers)));
    }
    let (start, limit, step) = (call.known_real(0)?, call.known_real(1)?, call.known_real(2)?);
    let count = ((limit - start) / step).ceil().max(0.0);
    if step == 0.0 || !count.is_finite() {
        return Err(format!("from {start} to {limit} by {step}"));
    }
    let lengths = call.lengths(&[count as i64])?;
    let elements = (0..lengths[0]).map(|i| start + i as f64 * step).collect();
    Ok(Operand::Known(Known { shape: lengths, elements: Elements::Reals(elements) }))
}

/// Ones on a diagonal.
pub fn eye<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let &[rows, columns] = whole.as_slice() else {
        return Err(format!("a shape {whole:?}, and two axes are wanted"));
    };
    let k = call.int_attribute("k", 0)?;
    let own = |ty| match ty {
        Type::Real => Kind::Real,
        Type::Int => Kind::Int,
        Type::Bool => Kind::Bool,
    };
    let kind = match call.node.attributes.contains_key("dtype") {
        true => element_type(call.int_attribute("dtype", 0)?)?,
        false => own(operand.ty()),
    };
    call.room(&whole)?;
    let on = |i: usize, j: usize| i128::from(i as i64) + i128::from(k) == i128::from(j as i64);
    let elements: Vec<i64> = (0..rows).flat_map(|i| (0..columns).map(move |j| i64::from(on(i, j)))).collect();
    let known = Known { shape: whole, elements: Elements::Ints(elements.into()) };
    convert(&Operand::Known(known), kind)
}

/// The kind of an ONNX type that an attribute names.
fn element_type(number: i64) -> Outcome<Kind> {
    known::kind(i32::try_from(number).unwrap_or(-1))
}

/// The same values as another kind.
fn convert<T: Tensor>(operand: &Operand<T>, to: Kind) -> Outcome<Operand<T>> {
    Ok(match (to, operand.ty()) {
        (Kind::Real, Type::Real) | (Kind::Int, Type::Int) | (Kind::Bool, Type::Bool) => operand.clone(),
        (Kind::Real, _) => Operand::Real(operand.as_real()?),
        (Kind::Int, _) => Operand::Int(operand.as_int()?),
        (Kind::Bool, _) => Operand::Bool(operand.as_mask()?),
    })
}

/// The same values as another kind. All reals have the network's precision, and all integers 64 bits.
pub fn cast<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let kind = match call.node.op {
        Op::CastLike => match call.operand(1)?.ty() {
            Type::Real => Kind::Real,
            Type::Int => Kind::Int,
            Type::Bool => Kind::Bool,
        },
        _ => element_type(call.int_attribute("to", 0)?)?,
    };
    convert(call.operand(0)?, kind)
}

/// Another shape, in which 0 is the length that was there and −1 what is left.
pub fn reshape<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let mut dims = call.known_ints(1)?;
    if !call.flag("allowzero", false)? {
        for (i, dim) in dims.iter_mut().enumerate().filter(|(_, dim)| **dim == 0) {
            *dim = *whole.get(i).ok_or_else(|| format!("no axis {i} of {whole:?} to keep"))? as i64;
        }
    }
    let open: Vec<usize> = (0..dims.len()).filter(|&i| dims[i] == -1).collect();
    if let &[at, ref rest @ ..] = open.as_slice() {
        if !rest.is_empty() {
            return Err(format!("{dims:?} leaves two lengths open"));
        }
        dims[at] = 1;
        let others = shape::size(&known::lengths(&dims)?);
        let size = shape::size(&whole);
        if others == 0 || !size.is_multiple_of(others) {
            return Err(format!("{size} elements do not divide into {others}"));
        }
        dims[at] = (size / others) as i64;
    }
    let lengths = known::lengths(&dims)?;
    if shape::size(&lengths) != shape::size(&whole) {
        return Err(format!("{whole:?} does not become {lengths:?}"));
    }
    Ok(operand.reshape(&lengths))
}

/// A matrix: the axes before one, and those from it on.
pub fn flatten<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let at = match call.int_attribute("axis", 1)? {
        at if at == whole.len() as i64 => whole.len(),
        at => axis(at, whole.len())?,
    };
    Ok(operand.reshape(&[shape::size(&whole[..at]), shape::size(&whole[at..])]))
}

/// Without axes of length 1.
pub fn squeeze<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let gone = match call.listed("axes", 1)? {
        Some(list) => axes(&list, whole.len())?,
        None => (0..whole.len()).filter(|&i| whole[i] == 1).collect(),
    };
    if let Some(&long) = gone.iter().find(|&&i| whole[i] != 1) {
        return Err(format!("axis {long} of {whole:?} has more than one element"));
    }
    Ok(operand.reshape(&shape::reduce(&whole, &gone)))
}

/// With more axes of length 1.
pub fn unsqueeze<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let mut lengths = operand.shape();
    let list = call.listed("axes", 1)?.ok_or("it does not say which axes")?;
    let rank = lengths.len() + list.len();
    if rank > shape::MOST_AXES {
        return Err(format!("{rank} axes"));
    }
    for at in axes(&list, rank)? {
        lengths.insert(at, 1);
    }
    Ok(operand.reshape(&lengths))
}
