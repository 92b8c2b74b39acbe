//! Elements around those of an array.

use super::layouts::{Layout, Part, Stretched, moved, take};
use crate::language::real::Int;
use crate::language::shape::{Padding, Shape};
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, Type, axis, bools, ints};
use crate::onnx::known::Outcome;

/// So many elements of a value before and after those of an axis.
pub fn around<T: Tensor>(x: &T, along: usize, before: usize, after: usize, value: f64) -> T {
    if before == 0 && after == 0 {
        return x.clone();
    }
    if value == 0.0 {
        return x.pad(along as isize, Padding { before, after, interior: 0 });
    }
    let mut parts = Vec::new();
    for (count, inside) in [(before, true), (after, false)] {
        let mut lengths = x.shape();
        lengths[along] = count;
        if count > 0 {
            parts.push(T::full(&lengths, value));
        }
        if inside {
            parts.push(x.clone());
        }
    }
    T::concat(&parts, along as isize)
}

/// How places outside of an axis are those of elements inside.
struct Folded {
    along: usize,
    places: Vec<i64>,
}
impl Layout for Folded {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        take(x, self.along, &ints::<T>(&[self.places.len()], &self.places))
    }
}

/// Elements around those of an array: a constant, or elements of its own. Negative numbers take some away.
pub fn pad<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let mut x = call.operand(0)?.clone();
    let rank = x.shape().len();
    let pads = call.listed("pads", 1)?.ok_or("it does not say how many")?;
    let along: Vec<usize> = match call.optional(3) {
        Some(_) => call.known_ints(3)?.iter().map(|&one| axis(one, rank)).collect::<Outcome<_>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * along.len() {
        return Err(format!("{} numbers for {} axes", pads.len(), along.len()));
    }
    let mode = call.text("mode", "constant")?.to_string();
    for (i, &along_axis) in along.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + along.len()]);
        let mut lengths = x.shape();
        let n = lengths[along_axis] as i64;
        let total = i128::from(n) + i128::from(before) + i128::from(after);
        let too_many = |count: i64| count < 0 && count.unsigned_abs() > n as u64;
        if total < 0 || too_many(before) || too_many(after) {
            return Err(format!("{before} and {after} elements around {n}"));
        }
        lengths[along_axis] = usize::try_from(total).unwrap_or(usize::MAX);
        call.room(&lengths)?;
        x = match mode.as_str() {
            "constant" => constant_border(call, &x, along_axis, before, after)?,
            _ if before == 0 && after == 0 => x,
            _ if n == 0 => return Err("there is nothing to repeat".into()),
            mode => {
                let of = |place: i64| match mode {
                    "edge" => Ok(place.clamp(0, n - 1)),
                    "wrap" => Ok(place.rem_euclid(n)),
                    "reflect" => {
                        let period = (2 * (n - 1)).max(1);
                        let at = place.rem_euclid(period);
                        Ok(at.min(period - at).clamp(0, n - 1))
                    }
                    other => Err(format!("mode = {other:?} is not supported")),
                };
                let places = (-before..n + after).map(of).collect::<Outcome<Vec<_>>>()?;
                moved(&x, &Folded { along: along_axis, places })
            }
        };
    }
    Ok(x)
}

fn constant_border<T: Tensor>(
    call: &Call<'_, T>,
    x: &Operand<T>,
    along: usize,
    before: i64,
    after: i64,
) -> Outcome<Operand<T>> {
    let n = x.shape()[along];
    let first = before.min(0).unsigned_abs() as usize;
    let end = n - after.min(0).unsigned_abs() as usize;
    if first > end {
        return Err(format!("{before} and {after} elements around {n}"));
    }
    let part = moved(x, &Part { along, first, end, step: 1, reversed: false });
    let (before, after) = (before.max(0) as usize, after.max(0) as usize);
    match x.ty() {
        Type::Real => {
            let value = match call.optional(2) {
                Some(_) => call.known_real(2)?,
                None => call.float_attribute("value", 0.0)?,
            };
            Ok(Operand::Real(around(&part.real()?, along, before, after, value)))
        }
        Type::Int => {
            let value = if call.optional(2).is_some() { call.known_int(2)? } else { 0 };
            let length = end - first;
            if before == 0 && after == 0 {
                return Ok(part);
            }
            if length == 0 {
                return Err("integers around nothing are not supported".into());
            }
            let total = before + length + after;
            let stretched = moved(&part, &Stretched { along, start: before, total }).int()?;
            let mut single = Shape::from_elem(1, x.shape().len());
            single[along] = total;
            let inside: Vec<bool> = (0..total).map(|i| i >= before && i < before + length).collect();
            let inside = bools::<T>(&single, &inside);
            Ok(Operand::Int(T::Int::select(&inside, &stretched, &T::Int::constant(value))))
        }
        Type::Bool => Err("truth values are not supported".into()),
    }
}
