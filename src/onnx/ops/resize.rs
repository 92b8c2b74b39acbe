//! Images of other sizes, by interpolation along one axis after the other.

use super::layouts::take;
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, axis, count, ints, reals};
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// How places of the result are places of the operand.
struct Coordinates<'a> {
    mode: &'a str,
    scale: f64,
    from: usize,
    to: usize,
}

impl Coordinates<'_> {
    fn at(&self, i: usize) -> Outcome<f64> {
        let (x, from, to) = (i as f64, self.from as f64, self.to as f64);
        Ok(match self.mode {
            "half_pixel" => (x + 0.5) / self.scale - 0.5,
            "pytorch_half_pixel" if self.to <= 1 => 0.0,
            "pytorch_half_pixel" => (x + 0.5) / self.scale - 0.5,
            "half_pixel_symmetric" => {
                let adjusted = to / (self.scale * from);
                let offset = from / 2.0 * (1.0 - adjusted);
                offset + (x + 0.5) / self.scale - 0.5
            }
            "align_corners" if self.to <= 1 => 0.0,
            "align_corners" => x * (from - 1.0) / (to - 1.0),
            "asymmetric" => x / self.scale,
            other => return Err(format!("coordinate_transformation_mode = {other:?} is not supported")),
        })
    }
}

/// The place that is taken for one between two.
fn nearest(mode: &str, x: f64) -> Outcome<f64> {
    Ok(match mode {
        "round_prefer_floor" => (x - 0.5).ceil(),
        "round_prefer_ceil" => (x + 0.5).floor(),
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        other => return Err(format!("nearest_mode = {other:?} is not supported")),
    })
}

/// What the elements around a place count: the first of them, and the factors (Keys, *Cubic convolution interpolation*,
/// 1981).
fn factors(mode: &str, a: f64, x: f64) -> (f64, Vec<f64>) {
    let (first, t) = (x.floor(), x - x.floor());
    if mode == "linear" {
        return (first, vec![1.0 - t, t]);
    }
    let near = |s: f64| ((a + 2.0) * s - (a + 3.0)) * s * s + 1.0;
    let far = |s: f64| ((a * s - 5.0 * a) * s + 8.0 * a) * s - 4.0 * a;
    (first - 1.0, vec![far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)])
}

/// An axis of another length.
fn along<T: Tensor>(call: &Call<'_, T>, x: &T, axis: usize, scale: f64, to: usize) -> Outcome<T> {
    let mut lengths = x.shape();
    let from = lengths[axis];
    if from == to && (scale - 1.0).abs() < 1e-12 {
        return Ok(x.clone());
    }
    lengths[axis] = to;
    call.room(&lengths)?;
    if from == 0 || !(scale.is_finite() && scale > 0.0) {
        return Err(format!("{from} elements scaled by {scale}"));
    }
    // Version 10 had no choice of coordinates.
    let default = if call.settings.opset < 11 { "asymmetric" } else { "half_pixel" };
    let mode = call.text("coordinate_transformation_mode", default)?;
    let coordinates = Coordinates { mode, scale, from, to };
    let inside = |place: f64| place.clamp(0.0, (from - 1) as f64) as usize;
    let kind = call.text("mode", "nearest")?;
    if kind == "nearest" {
        let default = if call.settings.opset < 11 { "floor" } else { "round_prefer_floor" };
        let rounding = call.text("nearest_mode", default)?;
        let place = |i: usize| Ok(inside(nearest(rounding, coordinates.at(i)?)?) as i64);
        let places = (0..to).map(place).collect::<Outcome<Vec<i64>>>()?;
        return Ok(take(x, axis, &ints::<T>(&[to], &places)));
    }
    if !matches!(kind, "linear" | "cubic") {
        return Err(format!("mode = {kind:?} is not supported"));
    }
    call.room(&[to, from])?;
    let (a, outside) = (call.float_attribute("cubic_coeff_a", -0.75)?, call.flag("exclude_outside", false)?);
    let mut matrix = vec![0.0; to * from];
    for i in 0..to {
        let place = coordinates.at(i)?;
        // Linear interpolation ends at the first and the last element.
        let place = if kind == "linear" { place.clamp(0.0, (from - 1) as f64) } else { place };
        let (first, mut weights) = factors(kind, a, place);
        if outside && kind == "cubic" {
            for (j, weight) in weights.iter_mut().enumerate() {
                let at = first + j as f64;
                if at < 0.0 || at >= from as f64 {
                    *weight = 0.0;
                }
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        for (j, weight) in weights.into_iter().enumerate() {
            matrix[i * from + inside(first + j as f64)] += weight;
        }
    }
    let matrix: T = reals(&[to, from], &matrix);
    // The axis last, and back.
    let rank = x.rank();
    let mut order: Shape = (0..rank).collect();
    order.swap(axis, rank - 1);
    Ok(x.permute(&order).matmul(&matrix.transpose()).permute(&order))
}

/// Another size, by factors or by lengths.
pub fn resize<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let mut x = call.real(0)?;
    let whole = x.shape();
    call.demand("antialias", 0)?;
    if call.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err("keep_aspect_ratio_policy is not supported".into());
    }
    let axes: Vec<usize> = match call.ints_attribute("axes")? {
        None => (0..whole.len()).collect(),
        Some(list) => list.iter().map(|&one| axis(one, whole.len())).collect::<Outcome<_>>()?,
    };
    let listed = |name: &str| match call.node.attributes.get(name) {
        Some(crate::onnx::graph::Attribute::Floats(x)) => Some(x.clone()),
        _ => None,
    };
    let operand = match call.node.op {
        Op::Resize if call.settings.opset >= 11 => 2,
        _ => 1,
    };
    let scales = match (listed("scales"), call.optional(operand)) {
        (Some(scales), _) => Some(scales),
        (None, Some(operand_of)) if operand_of.shape().iter().product::<usize>() > 0 => {
            Some(call.known_reals(operand)?)
        }
        _ => None,
    };
    let sizes = match (&scales, call.optional(3)) {
        (None, Some(_)) => call.known_ints(3)?.iter().map(|&n| count(n)).collect::<Outcome<Vec<_>>>()?,
        (Some(scales), _) if scales.len() == axes.len() => {
            let scaled = |(&axis, &scale): (&usize, &f64)| (whole[axis] as f64 * scale).floor() as usize;
            axes.iter().zip(scales).map(scaled).collect()
        }
        _ => return Err("neither factors nor lengths for each axis".into()),
    };
    if sizes.len() != axes.len() {
        return Err(format!("{} lengths for {} axes", sizes.len(), axes.len()));
    }
    for (i, &axis) in axes.iter().enumerate() {
        let scale = match &scales {
            Some(scales) => scales[i],
            None => sizes[i] as f64 / whole[axis] as f64,
        };
        x = along(call, &x, axis, scale, sizes[i])?;
    }
    Ok(Operand::Real(x))
}
