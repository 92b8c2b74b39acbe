//! Elements by index, and elements written to places.

use super::layouts::{Layout, moved, take};
use crate::language::at::Write;
use crate::language::real::Int;
use crate::language::shape::{self, Shape};
use crate::language::tensor::{IntTensor, Tensor};
use crate::onnx::call::{Call, Operand, Type, axis, count, ints};
use crate::onnx::known::{Elements, Known, Outcome};

/// Indices of an axis of so many elements, of which negative ones count from the end.
fn positions<T: Tensor>(operand: &Operand<T>, n: usize) -> Outcome<T::Int> {
    if let Operand::Known(Known { shape, elements: Elements::Ints(elements) }) = operand {
        let from_end = |&i: &i64| match i {
            _ if i < 0 => i.saturating_add(n as i64),
            _ => i,
        };
        let elements: Vec<i64> = elements.iter().map(from_end).collect();
        if let Some(i) = elements.iter().find(|&&i| i < 0 || i >= n as i64) {
            return Err(format!("index {i} of {n}"));
        }
        return Ok(ints::<T>(shape, &elements));
    }
    let i = operand.int()?;
    let turned = i.clone() + n as i64;
    Ok(T::Int::select(&i.less(&T::Int::constant(0)), &turned, &i))
}

struct Taken<'i> {
    along: usize,
    shape: &'i [usize],
    indices: &'i [i64],
}
impl Layout for Taken<'_> {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        take(x, self.along, &ints::<T>(self.shape, self.indices))
    }
}

/// Elements of an axis by index.
pub fn gather<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let along = axis(call.int_attribute("axis", 0)?, whole.len())?;
    let indices = positions(call.operand(1)?, whole[along])?;
    let of_indices = IntTensor::shape(&indices);
    let result: Shape =
        whole[..along].iter().chain(&of_indices).chain(&whole[along + 1..]).copied().collect();
    call.lengths(&result.iter().map(|&n| n as i64).collect::<Vec<_>>())?;
    if let Operand::Real(x) = operand {
        return Ok(Operand::Real(take(x, along, &indices)));
    }
    if let (Some(known), Type::Real | Type::Int | Type::Bool) = (indices.elements(), operand.ty()) {
        if let Some(i) = known.iter().find(|&&i| i < 0 || i >= whole[along] as i64) {
            return Err(format!("index {i} of {}", whole[along]));
        }
        return Ok(moved(operand, &Taken { along, shape: &of_indices, indices: &known }));
    }
    match operand.ty() {
        Type::Real => Ok(Operand::Real(take(&operand.real()?, along, &indices))),
        Type::Int if along == 0 => Ok(Operand::Int(operand.int()?.gather_rows(&indices))),
        _ => Err("integers by indices that are computed are supported along axis 0 only".into()),
    }
}

/// One element for each index, along an axis.
pub fn gather_elements<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let whole = x.shape();
    let along = axis(call.int_attribute("axis", 0)?, whole.len())?;
    let indices = positions(call.operand(1)?, whole[along])?;
    let wanted = IntTensor::shape(&indices);
    if wanted.len() != whole.len() {
        return Err(format!("indices {wanted:?} of {whole:?}"));
    }
    // The number of each element in the flat array: its own place, with the index along the axis.
    let strides = strides(&whole);
    let mut base = vec![0i64; 1];
    for (i, &n) in wanted.iter().enumerate() {
        if i != along && n > whole[i] {
            return Err(format!("indices {wanted:?} of {whole:?}"));
        }
        let stride = if i == along { 0 } else { strides[i] as i64 };
        base = base.iter().flat_map(|&b| (0..n as i64).map(move |j| b + j * stride)).collect();
    }
    let flat = indices * strides[along] as i64 + ints::<T>(&wanted, &base);
    Ok(Operand::Real(x.reshape(&[shape::size(&whole)]).gather_rows(&flat)))
}

/// How far apart neighbours along each axis are.
fn strides(lengths: &[usize]) -> Vec<usize> {
    (0..lengths.len()).map(|i| shape::size(&lengths[i + 1..])).collect()
}

/// The rows that tuples of indices name, along the first axes, as numbers of rows where these axes are one.
fn rows<T: Tensor>(operand: &Operand<T>, whole: &[usize], from: usize) -> Outcome<(T::Int, usize)> {
    let lengths = operand.shape();
    let Some((&depth, outer)) = lengths.split_last() else { return Err("indices without axes".into()) };
    if depth == 0 || from + depth > whole.len() {
        return Err(format!("tuples of {depth} indices of {} axes", whole.len()));
    }
    let named = &whole[from..from + depth];
    let all = operand.int()?;
    let mut flat = None;
    for (i, &n) in named.iter().enumerate() {
        let one = all.slice(-1, i..i + 1).reshape(outer);
        let one = positions::<T>(&Operand::Int(one), n)?;
        let scaled = one * strides(named)[i] as i64;
        flat = Some(match flat {
            None => scaled,
            Some(sum) => scaled + sum,
        });
    }
    Ok((flat.ok_or("no index")?, depth))
}

/// Parts that tuples of indices name.
pub fn gather_nd<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.operand(0)?;
    let whole = x.shape();
    if count(call.int_attribute("batch_dims", 0)?)? != 0 {
        return Err("batch_dims is not supported".into());
    }
    let (flat, depth) = rows::<T>(call.operand(1)?, &whole, 0)?;
    let mut merged = Shape::from_slice(&[shape::size(&whole[..depth])]);
    merged.extend_from_slice(&whole[depth..]);
    match x.reshape(&merged) {
        Operand::Bool(_) => Err("truth values are not supported".into()),
        x if x.ty() == Type::Int => Ok(Operand::Int(x.int()?.gather_rows(&flat))),
        x => Ok(Operand::Real(x.real()?.gather_rows(&flat))),
    }
}

/// An array with parts that tuples of indices name replaced, or added to.
pub fn scatter_nd<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let (x, updates) = (call.real(0)?, call.real(2)?);
    let whole = x.shape();
    let write = match call.text("reduction", "none")? {
        "none" => Write::Set { distinct: false },
        "add" => Write::Add,
        other => return Err(format!("reduction = {other:?} is not supported")),
    };
    let (flat, depth) = rows::<T>(call.operand(1)?, &whole, 0)?;
    Ok(Operand::Real(x.write_rows(write, depth, &flat, &updates)))
}

/// One of two values, the second at each index along a new axis.
pub fn one_hot<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let depth = call
        .known_ints(1)
        .or_else(|_| Ok::<_, String>(call.known_reals(1)?.iter().map(|&x| x as i64).collect()))?;
    let &[depth] = depth.as_slice() else { return Err("a depth that is no single number".into()) };
    let n = count(depth)?;
    let indices = positions::<T>(&Operand::Int(call.operand(0)?.as_int()?), n)?;
    let lengths = IntTensor::shape(&indices);
    let rank = lengths.len() + 1;
    let along = axis(call.int_attribute("axis", -1)?, rank)?;
    let mut last = lengths.clone();
    last.push(n);
    call.lengths(&last.iter().map(|&n| n as i64).collect::<Vec<_>>())?;
    let mut single = Shape::from_elem(1, rank);
    single[along] = n;
    let mut open = lengths;
    open.insert(along, 1);
    let places: Vec<i64> = (0..n as i64).collect();
    // An index that is out of range is nowhere.
    let hot = indices.reshape(&open).equal(&ints::<T>(&single, &places));
    let values = call.operand(2)?;
    if values.shape().as_slice() != [2] {
        return Err(format!("values {:?}, which have to be two", values.shape()));
    }
    Ok(match values.ty() {
        Type::Real => {
            let values = values.real()?;
            Operand::Real(T::select(&hot, &values.index(0, 1), &values.index(0, 0)))
        }
        Type::Int => {
            let values = values.int()?;
            Operand::Int(T::Int::select(&hot, &values.index(0, 1), &values.index(0, 0)))
        }
        Type::Bool => return Err("truth values are not supported".into()),
    })
}
