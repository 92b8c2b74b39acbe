//! Elements in other places. Integers and truth values are moved by the numbers of their places, which are the same
//! operator on numbers that are known.

use crate::array::NdArray;
use crate::language::real::{Int, Mask};
use crate::language::shape::{self, Shape};
use crate::language::tensor::{IntTensor, Tensor};
use crate::onnx::call::{Call, Operand, Type, axis, bools, count, ints};
use crate::onnx::known::{Elements, Known, Outcome};
use crate::onnx::table::Op;

/// A function of an array that moves elements, of any interpretation.
pub trait Layout {
    fn apply<T: Tensor>(&self, x: &T) -> T;
}

/// Moves elements of any kind.
pub fn moved<T: Tensor>(x: &Operand<T>, layout: &impl Layout) -> Operand<T> {
    match x {
        Operand::Real(x) => Operand::Real(layout.apply(x)),
        Operand::Int(x) => Operand::Int(gathered::<T>(x, &sources(&IntTensor::shape(x), layout))),
        Operand::Bool(x) => {
            let numbers = T::Int::select(x, &T::Int::constant(1), &T::Int::constant(0));
            let places = sources(&IntTensor::shape(&numbers), layout);
            Operand::Bool(gathered::<T>(&numbers, &places).not_equal(&T::Int::constant(0)))
        }
        Operand::Known(known) => {
            let places = sources(&known.shape, layout);
            let from = |places: &NdArray<f64>| -> Vec<usize> {
                places.view().iter().map(|&place| place as usize).collect()
            };
            let places_list = from(&places);
            let elements = match &known.elements {
                Elements::Reals(x) => Elements::Reals(places_list.iter().map(|&i| x[i]).collect()),
                Elements::Ints(x) => Elements::Ints(places_list.iter().map(|&i| x[i]).collect()),
                Elements::Bools(x) => Elements::Bools(places_list.iter().map(|&i| x[i]).collect()),
            };
            Operand::Known(Known { shape: Tensor::shape(&places), elements })
        }
    }
}

/// The numbers of the places that elements come from.
fn sources(lengths: &[usize], layout: &impl Layout) -> NdArray<f64> {
    let numbers: Vec<f64> = (0..shape::size(lengths)).map(|i| i as f64).collect();
    layout.apply(&crate::onnx::call::reals::<NdArray<f64>>(lengths, &numbers))
}

/// Integers by their places.
fn gathered<T: Tensor>(x: &T::Int, places: &NdArray<f64>) -> T::Int {
    let flat = x.reshape(&[shape::size(&IntTensor::shape(x))]);
    let indices: Vec<i64> = places.view().iter().map(|&place| place as i64).collect();
    flat.gather_rows(&ints::<T>(&Tensor::shape(places), &indices))
}

struct Permuted(Shape);
impl Layout for Permuted {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        x.permute(&self.0)
    }
}

/// Another order of axes; the reversed one by default.
pub fn transpose<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let rank = operand.shape().len();
    let order: Shape = match call.ints_attribute("perm")? {
        None => (0..rank).rev().collect(),
        Some(list) if list.len() == rank => {
            list.iter().map(|&one| axis(one, rank)).collect::<Outcome<Shape>>()?
        }
        Some(list) => return Err(format!("an order {list:?} of {rank} axes")),
    };
    Ok(moved(operand, &Permuted(order)))
}

/// Joins arrays along an axis.
pub fn concat<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let first = call.operand(0)?;
    let along = axis(call.int_attribute("axis", 1)?, first.shape().len())?;
    let parts = (0..call.operands.len()).map(|i| call.operand(i)).collect::<Outcome<Vec<_>>>()?;
    if let Some(other) = parts.iter().find(|part| part.ty() != first.ty()) {
        return Err(format!("operands of {:?} and of {:?}", first.ty(), other.ty()));
    }
    let shapes: Vec<Shape> = parts.iter().map(|part| part.shape()).collect();
    let whole = shape::concat(shapes.iter().map(|lengths| lengths.as_slice()), along);
    let whole = whole.map_err(|error| error.to_string())?;
    call.room(&whole)?;
    if first.ty() == Type::Real {
        let parts = parts.iter().map(|part| part.real()).collect::<Outcome<Vec<_>>>()?;
        return Ok(Operand::Real(T::concat(&parts, along as isize)));
    }
    // Each part, repeated at its end up to the whole's length, where it is, and what was joined before elsewhere.
    let (mut start, mut joined) = (0, None::<T::Int>);
    for (part, lengths) in parts.iter().zip(&shapes) {
        let n = lengths[along];
        if n == 0 {
            continue;
        }
        let part = part.as_int()?;
        let stretched =
            gathered::<T>(&part, &sources(lengths, &Stretched { along, start, total: whole[along] }));
        joined = Some(match joined {
            None => stretched,
            Some(before) => {
                let mut single = Shape::from_elem(1, whole.len());
                single[along] = whole[along];
                let later: Vec<bool> = (0..whole[along]).map(|i| i >= start).collect();
                T::Int::select(&bools::<T>(&single, &later), &stretched, &before)
            }
        });
        start += n;
    }
    let joined = match joined {
        Some(joined) => joined,
        None => ints::<T>(&whole, &[]),
    };
    Ok(if first.ty() == Type::Int {
        Operand::Int(joined)
    } else {
        Operand::Bool(joined.not_equal(&T::Int::constant(0)))
    })
}

/// An array from a place on along a longer axis, with copies of its first and last elements around it.
pub struct Stretched {
    pub along: usize,
    pub start: usize,
    pub total: usize,
}
impl Layout for Stretched {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        let n = x.shape()[self.along];
        let places: Vec<i64> =
            (0..self.total).map(|i| i.saturating_sub(self.start).min(n - 1) as i64).collect();
        take(x, self.along, &ints::<T>(&[self.total], &places))
    }
}

/// Elements of an axis by index: `[.., n, ..]` by `[i..]` gives `[.., i.., ..]`.
pub fn take<T: Tensor>(x: &T, along: usize, indices: &T::Int) -> T {
    if along == 0 {
        return x.gather_rows(indices);
    }
    let rank = x.rank();
    let to_front: Shape = std::iter::once(along).chain((0..rank).filter(|&i| i != along)).collect();
    let rows = x.permute(&to_front).gather_rows(indices);
    // The axes of the indices come first, then those before the axis, then those after it.
    let extra = IntTensor::shape(indices).len();
    let back: Shape = (extra..extra + along).chain(0..extra).chain(extra + along..extra + rank - 1).collect();
    rows.permute(&back)
}

/// Every so many elements of a range along an axis, forward or back.
pub struct Part {
    pub along: usize,
    pub first: usize,
    pub end: usize,
    pub step: usize,
    pub reversed: bool,
}
impl Layout for Part {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        let part = x.slice_step(self.along as isize, self.first..self.end, self.step);
        if self.reversed { part.flip(self.along as isize) } else { part }
    }
}

/// Parts along an axis.
pub fn split<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let along = axis(call.int_attribute("axis", 0)?, whole.len())?;
    let n = whole[along];
    let parts = call.node.outputs.len();
    let lengths = match call.listed("split", 1)? {
        Some(list) => list.iter().map(|&one| count(one)).collect::<Outcome<Vec<_>>>()?,
        None => {
            if call.int_attribute("num_outputs", parts as i64)? != parts as i64 {
                return Err(format!("num_outputs is not {parts}, as many as it has"));
            }
            let longest = n.div_ceil(parts);
            (0..parts).map(|i| longest.min(n.saturating_sub(i * longest))).collect()
        }
    };
    let total = lengths.iter().try_fold(0usize, |sum, &length| sum.checked_add(length));
    if total != Some(n) || lengths.len() != parts {
        return Err(format!("{parts} parts of lengths {lengths:?} of an axis of {n}"));
    }
    let mut first = 0;
    let part = |length: usize| {
        let part = Part { along, first, end: first + length, step: 1, reversed: false };
        first += length;
        moved(operand, &part)
    };
    Ok(lengths.into_iter().map(part).collect())
}

/// Every so many elements between two places of axes; by operands since version 10.
pub fn slice<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let mut x = call.operand(0)?.clone();
    let rank = x.shape().len();
    let starts = call.listed("starts", 1)?.ok_or("it does not say where to start")?;
    let ends = call.listed("ends", 2)?.ok_or("it does not say where to end")?;
    let along = match call.listed("axes", 3)? {
        Some(list) => list,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.optional(4) {
        Some(_) => call.known_ints(4)?,
        None => vec![1; starts.len()],
    };
    if ends.len() != starts.len() || along.len() != starts.len() || steps.len() != starts.len() {
        return Err("starts, ends, axes and steps are not equally many".into());
    }
    crate::onnx::call::axes(&along, rank)?;
    for i in 0..starts.len() {
        let along = axis(along[i], rank)?;
        let n = x.shape()[along] as i64;
        let step = steps[i];
        let from_end = |place: i64| if place < 0 { place.saturating_add(n) } else { place };
        let part = if step > 0 {
            let (first, end) = (from_end(starts[i]).clamp(0, n), from_end(ends[i]).clamp(0, n));
            Part {
                along,
                first: first as usize,
                end: end.max(first) as usize,
                step: step as usize,
                reversed: false,
            }
        } else if step < 0 {
            let (first, end) = (from_end(starts[i]).clamp(-1, n - 1), from_end(ends[i]).clamp(-1, n - 1));
            let size = step.unsigned_abs() as usize;
            let taken = if first > end { ((first - end - 1) as usize) / size + 1 } else { 0 };
            let last = if taken == 0 { 0 } else { first as usize - (taken - 1) * size };
            let end = if taken == 0 { 0 } else { first as usize + 1 };
            Part { along, first: last, end, step: size, reversed: true }
        } else {
            return Err("a step of 0".into());
        };
        x = moved(&x, &part);
    }
    Ok(x)
}

struct Broadcast(Shape);
impl Layout for Broadcast {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        x.broadcast_to(&self.0)
    }
}

/// Broadcasting with a shape, both ways.
pub fn expand<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let wanted = call.lengths(&call.known_ints(1)?)?;
    let whole = call.broadcast(&[operand.shape(), wanted])?;
    Ok(moved(operand, &Broadcast(whole)))
}

struct Tiled(Vec<usize>);
impl Layout for Tiled {
    fn apply<T: Tensor>(&self, x: &T) -> T {
        x.tile(&self.0)
    }
}

/// Copies side by side along each axis.
pub fn tile<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let counts = call.known_ints(1)?.iter().map(|&one| count(one)).collect::<Outcome<Vec<_>>>()?;
    if counts.len() != whole.len() {
        return Err(format!("{} counts for {} axes", counts.len(), whole.len()));
    }
    let tiled: Shape = whole.iter().zip(&counts).map(|(&n, &count)| n.saturating_mul(count)).collect();
    call.room(&tiled)?;
    Ok(moved(operand, &Tiled(counts)))
}

/// Zeros on one side of a diagonal.
pub fn triangle<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let k = if call.optional(1).is_some() { call.known_int(1)? } else { 0 };
    let offset = k.clamp(-(1 << 41), 1 << 41) as isize;
    let upper = call.flag("upper", true)?;
    let cut = |x: &T| if upper { x.triu(offset) } else { x.tril(offset) };
    let whole = operand.shape();
    match operand.ty() {
        Type::Real => Ok(Operand::Real(cut(&operand.real()?))),
        _ if whole.len() < 2 => Err(format!("a shape {whole:?}, which has to have two axes or more")),
        ty => {
            let ones = T::ones(&whole[whole.len() - 2..]);
            let kept = cut(&ones).greater(&T::constant(0.5));
            match ty {
                Type::Int => Ok(Operand::Int(T::Int::select(&kept, &operand.int()?, &T::Int::constant(0)))),
                _ => Ok(Operand::Bool(kept.and(&operand.mask()?))),
            }
        }
    }
}

/// Channels as blocks of places, and back.
pub fn depth<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let operand = call.operand(0)?;
    let whole = operand.shape();
    let &[n, c, h, w] = whole.as_slice() else {
        return Err(format!("a shape {whole:?}, and four axes are wanted"));
    };
    let b = count(call.int_attribute("blocksize", 0)?)?;
    let square = b.checked_mul(b).filter(|&square| square > 0).ok_or("a block without elements")?;
    if call.node.op == Op::SpaceToDepth {
        if h % b != 0 || w % b != 0 {
            return Err(format!("{h} × {w} places do not divide into blocks of {b}"));
        }
        let apart = operand.reshape(&[n, c, h / b, b, w / b, b]);
        let order = match call.text("mode", "DCR")? {
            "DCR" => [0, 3, 5, 1, 2, 4],
            "CRD" => [0, 1, 3, 5, 2, 4],
            other => return Err(format!("mode = {other:?} is not supported")),
        };
        let moved = moved(&apart, &Permuted(Shape::from_slice(&order)));
        return Ok(moved.reshape(&[n, c.saturating_mul(square), h / b, w / b]));
    }
    if c % square != 0 {
        return Err(format!("{c} channels do not divide into blocks of {square}"));
    }
    let rest = c / square;
    let (apart, order): ([usize; 6], [usize; 6]) = match call.text("mode", "DCR")? {
        "DCR" => ([n, b, b, rest, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, rest, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(format!("mode = {other:?} is not supported")),
    };
    let moved = moved(&operand.reshape(&apart), &Permuted(Shape::from_slice(&order)));
    Ok(moved.reshape(&[n, rest, h.saturating_mul(b), w.saturating_mul(b)]))
}
