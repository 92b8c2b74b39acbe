//! The type of every expression, from the types of its operands.

use crate::error::{Error, Result};
use crate::expr::{Binary, Comparison, Expr, Reduction, Unary, Window2d};
use crate::ids::Value;
use crate::ir::Update;
use crate::types::{Dtype, Shape, Type, size};

/// More elements than this are not computed, so that numbers of elements, bytes and operations do not overflow. Axes of
/// length zero are left out of account, since strides are products of the others; and no step, stride or padding is
/// longer.
const LARGEST: usize = 1 << 40;

/// The most axes that a value can have: sets of axes are the bits of a word, in the lowering.
const MOST_AXES: usize = 32;

/// Whether there are values of so many axes and elements.
pub(crate) fn is_possible(shape: &[usize]) -> bool {
    shape.len() <= MOST_AXES
        && shape.iter().fold(1, |n: usize, &length| n.saturating_mul(length.max(1))) <= LARGEST
}

/// The sum of lengths, if there is an axis of that length.
fn sum(lengths: impl IntoIterator<Item = usize>) -> Checked<usize> {
    lengths.into_iter().try_fold(0, |sum: usize, n| sum.checked_add(n)).filter(|&sum| sum <= LARGEST)
}

/// The product of lengths, if there is an axis of that length.
fn product(lengths: [usize; 2]) -> Checked<usize> {
    lengths[0].checked_mul(lengths[1]).filter(|&product| product <= LARGEST)
}

/// Requirement of an operator: `None` is a violation.
type Checked<T> = Option<T>;

/// Type of an expression.
///
/// # Errors
/// [`Error::Operands`] if the operator does not accept its operands.
pub fn infer<'a>(expr: &Expr, ty: impl Fn(Value) -> &'a Type) -> Result<Type> {
    let types: Vec<&Type> = expr.operands().into_iter().map(ty).collect();
    let refused = |reason| {
        let operands = types.iter().copied().cloned().collect();
        Err(Error::Operands { op: expr.name(), operands, reason })
    };
    match check(expr, &types) {
        Some(ty) if is_possible(&ty.shape) => Ok(ty),
        Some(ty) => refused(format!("their result, {ty}, is more than any memory holds")),
        None => refused(requirement(expr)),
    }
}

/// Type of a row of a cell.
///
/// # Errors
/// [`Error::Operands`] if the cell has no rows or the index is no integer.
pub fn row(cell: &Type, index: &Type) -> Result<Type> {
    match &cell.shape[..] {
        [_, row @ ..] if *index == Type::scalar(Dtype::I64) => Ok(Type::new(cell.dtype, row)),
        _ => Err(Error::Operands {
            op: "row",
            operands: vec![cell.clone(), index.clone()],
            reason: "a row is of a cell of some, at an integer".into(),
        }),
    }
}

/// Whether a cell accepts an update.
///
/// # Errors
/// [`Error::Operands`] if it does not; the cell's type is the first operand.
pub fn check_update<'a>(cell: &'a Type, update: &Update, ty: impl Fn(Value) -> &'a Type) -> Result<()> {
    let fits = match *update {
        Update::Add(g) => ty(g) == cell,
        Update::Matmul(a, b) => check(&Expr::Matmul(a, b), &[ty(a), ty(b)]).as_ref() == Some(cell),
        Update::Slice { axis, start, step, count, g } => {
            let fits = ty(g).shape.get(axis) == Some(&count) && ty(g).dtype == cell.dtype;
            fits && slice_fits(&cell.shape, &ty(g).shape, axis, start, step)
        }
        Update::Rows { indices, g } => {
            let rows = cell.shape.first().copied().unwrap_or(0);
            let scatter = Expr::ScatterRows { x: g, indices, rows };
            check(&scatter, &[ty(g), ty(indices)]).as_ref() == Some(cell)
        }
    };
    if fits && cell.dtype.is_float() {
        return Ok(());
    }
    let operands = std::iter::once(cell).chain(update.operands().map(ty)).cloned().collect();
    let reason = "a cell holds reals, and takes what has its type or fits into it".into();
    Err(Error::Operands { op: "accumulate", operands, reason })
}

fn slice_fits(cell: &[usize], g: &[usize], axis: usize, start: usize, step: usize) -> bool {
    let alike = cell.len() == g.len() && (0..g.len()).all(|i| i == axis || g[i] == cell[i]);
    let end = |n: usize| sum([start, n.saturating_sub(1).checked_mul(step)?, n.min(1)]);
    alike
        && (1..=LARGEST).contains(&step)
        && g.get(axis).is_some_and(|&n| end(n).is_some_and(|end| end <= cell[axis]))
}

/// The common shape of operands that broadcast.
pub fn broadcast(lhs: &[usize], rhs: &[usize]) -> Option<Shape> {
    let rank = lhs.len().max(rhs.len());
    let dim = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |j| shape[j]);
    (0..rank)
        .map(|i| match (dim(lhs, i), dim(rhs, i)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

/// Number of windows on each axis of an image, padded on both sides.
pub(crate) fn windows(image: [usize; 2], kernel: [usize; 2], window: Window2d) -> Option<[usize; 2]> {
    let mut counts = [0; 2];
    for i in 0..2 {
        let n = sum([image[i], window.padding[i], window.padding[i]])?;
        let (k, stride) = (kernel[i], window.stride[i]);
        counts[i] = (k > 0 && k <= n && (1..=LARGEST).contains(&stride)).then(|| (n - k) / stride + 1)?;
    }
    Some(counts)
}

fn requirement(expr: &Expr) -> String {
    match expr {
        Expr::Binary(..) | Expr::Compare(..) => "they must broadcast and have one fitting dtype".into(),
        Expr::Matmul(..) => "they must be reals [.., m, k] and [.., k, n]".into(),
        Expr::Reshape(_, shape) => format!("the number of elements must be that of {shape:?}"),
        Expr::Broadcast(_, shape) => format!("it must stretch to {shape:?}"),
        Expr::Reduce(_, _, axes) => {
            format!("axes {axes:?} must be ascending axes of reals, not empty for max")
        }
        Expr::Slice { axis, start, end, step, .. } => {
            format!("{start}..{end} by {step} must fit axis {axis}")
        }
        Expr::Select { .. } => "a mask and two values of one dtype must broadcast".into(),
        _ => "the operator is not defined for these".into(),
    }
}

fn require(condition: bool) -> Checked<()> {
    condition.then_some(())
}

fn check(expr: &Expr, types: &[&Type]) -> Checked<Type> {
    let dtype = types.first().map(|ty| ty.dtype);
    let shape = types.first().map_or(&[][..], |ty| &ty.shape);
    let with = |shape: Shape| dtype.map(|dtype| Type { dtype, shape });
    let real = || require(types.iter().all(|ty| Some(ty.dtype) == dtype && ty.dtype.is_float()));
    match expr {
        Expr::Fill { value, shape } => Some(Type { dtype: value.dtype(), shape: shape.clone() }),
        Expr::Array(tensor) => Some(tensor.ty()),
        Expr::Unary(op, _) => {
            require(match (op, dtype?) {
                (Unary::Not, d) => d == Dtype::Bool,
                (Unary::Neg, d) => d != Dtype::Bool,
                (_, d) => d.is_float(),
            })?;
            with(shape.into())
        }
        Expr::Powi(..) => real().and(with(shape.into())),
        Expr::Clamp { low, high, .. } => {
            real()?;
            require(Some(low.dtype()) == dtype && Some(high.dtype()) == dtype)?;
            with(shape.into())
        }
        Expr::Binary(op, ..) => {
            require(types[0].dtype == types[1].dtype)?;
            require(match (op, dtype?) {
                (Binary::And | Binary::Or, d) => d == Dtype::Bool,
                (Binary::Add | Binary::Sub | Binary::Mul, d) => d != Dtype::Bool,
                (_, d) => d.is_float(),
            })?;
            with(broadcast(shape, &types[1].shape)?)
        }
        Expr::Compare(Comparison::Less | Comparison::LessEqual | Comparison::Equal, ..) => {
            require(types[0].dtype == types[1].dtype && dtype != Some(Dtype::Bool))?;
            Some(Type { dtype: Dtype::Bool, shape: broadcast(shape, &types[1].shape)? })
        }
        Expr::Select { .. } => {
            require(dtype == Some(Dtype::Bool) && types[1].dtype == types[2].dtype)?;
            let shape = broadcast(&broadcast(shape, &types[1].shape)?, &types[2].shape)?;
            Some(Type { dtype: types[1].dtype, shape })
        }
        Expr::Convert(_, to) => {
            require(to.is_float() && !dtype?.is_float())?;
            Some(Type { dtype: *to, shape: shape.into() })
        }
        Expr::Reshape(_, to) => require(size(shape) == size(to)).and(with(to.clone())),
        Expr::Permute(_, order) => {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            require(sorted.iter().copied().eq(0..shape.len()))?;
            with(order.iter().map(|&axis| shape[axis]).collect())
        }
        Expr::Broadcast(_, to) => require(broadcast(shape, to)? == *to).and(with(to.clone())),
        Expr::Reduce(op, _, axes) => {
            real()?;
            require(axes.windows(2).all(|pair| pair[0] < pair[1]))?;
            require(
                axes.iter().all(|&axis| axis < shape.len() && (*op != Reduction::Max || shape[axis] > 0)),
            )?;
            with(without(shape, axes))
        }
        Expr::Argmax(_, axis) => {
            real()?;
            require(shape.get(*axis).is_some_and(|&n| n > 0))?;
            Some(Type { dtype: Dtype::I64, shape: without(shape, &[*axis]) })
        }
        Expr::Uniform { dtype: to, shape: out, .. } => {
            require(dtype == Some(Dtype::I64) && shape.is_empty() && to.is_float())?;
            Some(Type { dtype: *to, shape: out.clone() })
        }
        _ => with(structural(expr, types)?),
    }
}

fn without(shape: &[usize], axes: &[usize]) -> Shape {
    shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &n)| n).collect()
}

/// Shapes of the operators whose result has the first operand's dtype and a shape of its own.
fn structural(expr: &Expr, types: &[&Type]) -> Checked<Shape> {
    let shape: &[usize] = &types.first()?.shape;
    let replace = |axis: usize, n: usize| {
        let mut out: Shape = shape.into();
        *out.get_mut(axis)? = n;
        Some(out)
    };
    let float = require(types[0].dtype.is_float());
    let same = require(types.iter().all(|ty| ty.dtype == types[0].dtype));
    let second = || types[1].shape.as_slice();
    let indexed = || require(types[1].dtype == Dtype::I64);
    match expr {
        Expr::Matmul(..) => {
            float.and(same)?;
            let ([left @ .., m, k], [right @ .., inner, n]) = (shape, second()) else { return None };
            require(k == inner)?;
            let mut out = broadcast(left, right)?;
            out.extend([*m, *n]);
            Some(out)
        }
        Expr::Concat(_, axis) => {
            same?;
            let alike = |part: &&Type| {
                part.shape.len() == shape.len()
                    && (0..shape.len()).all(|i| i == *axis || part.shape[i] == shape[i])
            };
            require(*axis < shape.len() && types.iter().all(alike))?;
            replace(*axis, sum(types.iter().map(|part| part.shape[*axis]))?)
        }
        Expr::Slice { axis, start, end, step, .. } => {
            require((1..=LARGEST).contains(step) && start <= end && *end <= *shape.get(*axis)?)?;
            replace(*axis, (end - start).div_ceil(*step))
        }
        Expr::Pad { axis, padding, .. } => {
            float?;
            let n = *shape.get(*axis)?;
            require(padding.interior < LARGEST)?;
            let interior = n.saturating_sub(1).checked_mul(padding.interior)?;
            replace(*axis, sum([padding.before, n, interior, padding.after])?)
        }
        Expr::Flip(_, axis) => replace(*axis, *shape.get(*axis)?),
        Expr::GatherRows { .. } => {
            indexed()?;
            Some(second().iter().chain(shape.get(1..)?).copied().collect())
        }
        Expr::ScatterRows { rows, .. } => {
            float.and(indexed())?;
            let rest = shape.strip_prefix(second())?;
            Some(std::iter::once(*rows).chain(rest.iter().copied()).collect())
        }
        Expr::GatherLast { .. } => {
            indexed()?;
            let [rows @ .., _] = shape else { return None };
            require(rows == second()).map(|()| rows.into())
        }
        Expr::ScatterLast { length, .. } => {
            float.and(indexed())?;
            require(shape == second()).map(|()| shape.iter().copied().chain([*length]).collect())
        }
        _ => float.and(same).and(convolution(expr, shape, types.get(1).map_or(&[], |ty| &ty.shape))),
    }
}

fn convolution(expr: &Expr, first: &[usize], second: &[usize]) -> Checked<Shape> {
    match expr {
        Expr::Conv2d { window, .. } => {
            let (&[batch, channels, h, w], &[out, inner, kh, kw]) = (first, second) else { return None };
            let [rows, columns] = windows([h, w], [kh, kw], *window)?;
            require(channels == inner).map(|()| [batch, out, rows, columns].into_iter().collect())
        }
        Expr::Conv2dImage { size, window, .. } => {
            let (&[batch, out, rows, columns], &[to, channels, kh, kw]) = (first, second) else {
                return None;
            };
            require(out == to && windows(*size, [kh, kw], *window)? == [rows, columns])?;
            Some([batch, channels, size[0], size[1]].into_iter().collect())
        }
        Expr::Conv2dKernel { size, window, .. } => {
            let (&[batch, channels, h, w], &[also, out, rows, columns]) = (first, second) else {
                return None;
            };
            require(batch == also && windows([h, w], *size, *window)? == [rows, columns])?;
            Some([out, channels, size[0], size[1]].into_iter().collect())
        }
        Expr::Unfold2d { kernel, window, .. } => {
            let &[batch, channels, h, w] = first else { return None };
            let [rows, columns] = windows([h, w], *kernel, *window)?;
            Some([batch, channels, product(*kernel)?, rows, columns].into_iter().collect())
        }
        Expr::Fold2d { size, kernel, window, .. } => {
            let &[batch, channels, taps, rows, columns] = first else { return None };
            require(taps == product(*kernel)? && windows(*size, *kernel, *window)? == [rows, columns])?;
            Some([batch, channels, size[0], size[1]].into_iter().collect())
        }
        _ => None,
    }
}
