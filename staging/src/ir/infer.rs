//! The type of every expression, from the types of its operands.

use antiphon_shape::{self as shape, LARGEST};

use crate::ir::Update;
use crate::ir::error::{Error, Result};
use crate::ir::expr::{Binary, Comparison, Expr, Reduction, Unary, Window2d};
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Shape, Type};

/// Whether there are values of so many axes and elements.
pub(crate) fn is_possible(shape: &[usize]) -> bool {
    shape::elements(shape).is_ok()
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
    rows(cell, index, 1)
}

/// Type of the rows of a cell at indices, where its first `axes` axes count as one.
///
/// # Errors
/// [`Error::Operands`] if it has fewer, or none are to count, or the indices are no integers.
pub fn rows(cell: &Type, index: &Type, axes: usize) -> Result<Type> {
    match cell.shape.get(axes..) {
        Some(row) if index.dtype == Dtype::I64 && axes > 0 => {
            let shape: Shape = index.shape.iter().chain(row).copied().collect();
            Ok(Type { dtype: cell.dtype, shape })
        }
        _ => Err(Error::Operands {
            op: "row",
            operands: vec![cell.clone(), index.clone()],
            reason: "rows are of a cell of some, at integers".into(),
        }),
    }
}

/// Whether a cell accepts an update.
///
/// # Errors
/// [`Error::Operands`] if it does not; the cell's type is the first operand.
pub fn check_update<'a>(cell: &'a Type, update: &Update, ty: impl Fn(Value) -> &'a Type) -> Result<()> {
    let fits = match *update {
        Update::Add(g) | Update::Replace(g) => ty(g) == cell,
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
        Update::Write { indices, g, axes, .. } => {
            let (indices, g) = (ty(indices), ty(g));
            let rows = shape::write_rows(&cell.shape, axes, &indices.shape, &g.shape);
            indices.dtype == Dtype::I64 && g.dtype == cell.dtype && rows.is_ok()
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
    // The place after the last element.
    let end = |n: usize| start.checked_add(n.saturating_sub(1).checked_mul(step)?)?.checked_add(n.min(1));
    alike
        && (1..=LARGEST).contains(&step)
        && g.get(axis).is_some_and(|&n| end(n).is_some_and(|end| end <= cell[axis]))
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
        Expr::Fill { .. }
        | Expr::Array(_)
        | Expr::Unary(..)
        | Expr::Powi(..)
        | Expr::Clamp { .. }
        | Expr::Convert(..)
        | Expr::Permute(..)
        | Expr::Argmax(..)
        | Expr::Concat(..)
        | Expr::Pad { .. }
        | Expr::Flip(..)
        | Expr::GatherRows { .. }
        | Expr::ScatterRows { .. }
        | Expr::WriteRows { .. }
        | Expr::GatherLast { .. }
        | Expr::ScatterLast { .. }
        | Expr::Conv2d { .. }
        | Expr::Conv2dImage { .. }
        | Expr::Conv2dKernel { .. }
        | Expr::Unfold2d { .. }
        | Expr::Fold2d { .. }
        | Expr::Uniform { .. }
        | Expr::After(..)
        | Expr::Host { .. } => "the operator is not defined for these".into(),
    }
}

fn require(condition: bool) -> Checked<()> {
    condition.then_some(())
}

fn check(expr: &Expr, types: &[&Type]) -> Checked<Type> {
    let dtype = types.first().map(|ty| ty.dtype);
    let first = types.first().map_or(&[][..], |ty| &ty.shape);
    let with = |shape: Shape| dtype.map(|dtype| Type { dtype, shape });
    let real = || require(types.iter().all(|ty| Some(ty.dtype) == dtype && ty.dtype.is_float()));
    let second = || types[1].shape.as_slice();
    let same = || require(types.iter().all(|ty| Some(ty.dtype) == dtype));
    let indexed = || require(types[1].dtype == Dtype::I64);
    let has = |axis: usize| require(axis < first.len());
    // Besides what the rules require, no step or stride is longer than any axis: they are numbers in what is generated.
    let possible = |n: usize| require((1..=LARGEST).contains(&n));
    let strides = |window: Window2d| possible(window.stride[0]).and(possible(window.stride[1]));
    match expr {
        Expr::Fill { value, shape } => Some(Type { dtype: value.dtype(), shape: shape.clone() }),
        Expr::Array(tensor) => Some(tensor.ty()),
        Expr::Host { ty, .. } => Some(ty.clone()),
        Expr::Unary(op, _) => {
            require(match (op, dtype?) {
                (Unary::Not, d) => d == Dtype::Bool,
                (Unary::Neg, d) => d != Dtype::Bool,
                (
                    Unary::Recip
                    | Unary::Abs
                    | Unary::Sign
                    | Unary::Exp
                    | Unary::Expm1
                    | Unary::Log
                    | Unary::Log1p
                    | Unary::Sqrt
                    | Unary::Sin
                    | Unary::Cos
                    | Unary::Tan
                    | Unary::Tanh
                    | Unary::Sigmoid
                    | Unary::Softplus
                    | Unary::Relu
                    | Unary::Erf
                    | Unary::Erfc
                    | Unary::Exp2
                    | Unary::Log2
                    | Unary::Log10
                    | Unary::Cbrt
                    | Unary::Sinh
                    | Unary::Cosh
                    | Unary::Asin
                    | Unary::Acos
                    | Unary::Atan
                    | Unary::Asinh
                    | Unary::Acosh
                    | Unary::Atanh
                    | Unary::Lgamma
                    | Unary::I0
                    | Unary::I1
                    | Unary::Floor
                    | Unary::Ceil
                    | Unary::Round
                    | Unary::Trunc,
                    d,
                ) => d.is_float(),
            })?;
            with(first.into())
        }
        Expr::Powi(..) => real().and(with(first.into())),
        Expr::Clamp { low, high, .. } => {
            real()?;
            require(Some(low.dtype()) == dtype && Some(high.dtype()) == dtype)?;
            with(first.into())
        }
        Expr::Binary(op, ..) => {
            require(types[0].dtype == types[1].dtype)?;
            require(match (op, dtype?) {
                (Binary::And | Binary::Or, d) => d == Dtype::Bool,
                (Binary::Add | Binary::Sub | Binary::Mul, d) => d != Dtype::Bool,
                (Binary::FloorDivide, d) => d == Dtype::I64,
                (
                    Binary::Div
                    | Binary::Pow
                    | Binary::Atan2
                    | Binary::Hypot
                    | Binary::Fmod
                    | Binary::Maximum
                    | Binary::Minimum,
                    d,
                ) => d.is_float(),
            })?;
            with(shape::broadcast(first, &types[1].shape).ok()?)
        }
        Expr::Compare(Comparison::Less | Comparison::LessEqual | Comparison::Equal, ..) => {
            require(types[0].dtype == types[1].dtype && dtype != Some(Dtype::Bool))?;
            Some(Type { dtype: Dtype::Bool, shape: shape::broadcast(first, &types[1].shape).ok()? })
        }
        Expr::Select { .. } => {
            require(dtype == Some(Dtype::Bool) && types[1].dtype == types[2].dtype)?;
            let masked = shape::broadcast(first, &types[1].shape).ok()?;
            let shape = shape::broadcast(&masked, &types[2].shape).ok()?;
            Some(Type { dtype: types[1].dtype, shape })
        }
        Expr::Convert(_, to) => {
            require(to.is_float() != dtype?.is_float() && *to != Dtype::Bool)?;
            Some(Type { dtype: *to, shape: first.into() })
        }
        Expr::After(..) => with(first.into()),
        Expr::Reshape(_, to) => with(shape::reshape(first, to).ok()?),
        Expr::Permute(_, order) => with(shape::permute(first, order).ok()?),
        Expr::Broadcast(_, to) => with(shape::broadcast_to(first, to).ok()?),
        Expr::Reduce(op, _, axes) => {
            real()?;
            require(axes.windows(2).all(|pair| pair[0] < pair[1]))?;
            require(axes.iter().all(|&axis| axis < first.len()))?;
            match op {
                Reduction::Max => with(shape::reduce_nonempty("max", first, axes).ok()?),
                Reduction::Sum | Reduction::LogSumExp => with(shape::reduce(first, axes)),
            }
        }
        Expr::Argmax(_, axis) => {
            real()?;
            require(*axis < first.len())?;
            Some(Type { dtype: Dtype::I64, shape: shape::reduce_nonempty("argmax", first, &[*axis]).ok()? })
        }
        Expr::Uniform { dtype: to, shape: out, .. } => {
            require(dtype == Some(Dtype::I64) && first.is_empty() && to.is_float())?;
            Some(Type { dtype: *to, shape: out.clone() })
        }
        Expr::Matmul(..) => {
            real()?;
            with(shape::matmul(first, second()).ok()?)
        }
        Expr::Concat(_, axis) => {
            same().and(has(*axis))?;
            with(shape::concat(types.iter().map(|part| part.shape.as_slice()), *axis).ok()?)
        }
        Expr::Slice { axis, start, end, step, .. } => {
            has(*axis).and(possible(*step))?;
            with(shape::slice(first, *axis, &(*start..*end), *step).ok()?)
        }
        Expr::Pad { axis, padding, .. } => {
            real().and(has(*axis)).and(require(padding.interior < LARGEST))?;
            with(shape::pad(first, *axis, *padding).ok()?)
        }
        Expr::Flip(_, axis) => has(*axis).and(with(first.into())),
        Expr::GatherRows { .. } => {
            indexed()?;
            with(shape::gather_rows(first, second()).ok()?)
        }
        Expr::ScatterRows { rows, .. } => {
            require(dtype?.is_float()).and(indexed())?;
            with(shape::scatter_rows(first, second(), *rows).ok()?)
        }
        Expr::WriteRows { axes, add, .. } => {
            let (indices, rows) = (types.get(1)?, types.get(2)?);
            require(indices.dtype == Dtype::I64 && Some(rows.dtype) == dtype)?;
            require(!add || dtype != Some(Dtype::Bool))?;
            with(shape::write_rows(first, *axes, &indices.shape, &rows.shape).ok()?)
        }
        Expr::GatherLast { .. } => {
            indexed()?;
            with(shape::gather_last(first, second()).ok()?)
        }
        Expr::ScatterLast { length, .. } => {
            require(dtype?.is_float()).and(indexed())?;
            with(shape::scatter_last(first, second(), *length).ok()?)
        }
        Expr::Conv2d { window, .. } => {
            real().and(strides(*window))?;
            with(shape::conv2d(first, second(), *window).ok()?)
        }
        Expr::Conv2dImage { size, window, .. } => {
            real().and(strides(*window))?;
            with(shape::conv2d_image(first, second(), *size, *window).ok()?)
        }
        Expr::Conv2dKernel { size, window, .. } => {
            real().and(strides(*window))?;
            with(shape::conv2d_kernel(first, second(), *size, *window).ok()?)
        }
        Expr::Unfold2d { kernel, window, .. } => {
            real().and(strides(*window))?;
            with(shape::unfold2d(first, *kernel, *window).ok()?)
        }
        Expr::Fold2d { size, kernel, window, .. } => {
            real().and(strides(*window))?;
            with(shape::fold2d(first, *size, *kernel, *window).ok()?)
        }
    }
}
