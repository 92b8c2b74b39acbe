//! Reductions over axes.

use crate::interpret::elementwise::Float;
use crate::interpret::index::{each_index, position, strides};
use crate::ir::expr::{Binary, Reduction};
use crate::ir::tensor::{ConcreteTensor, Data};
use crate::ir::types::Type;

/// Value of a reduction over axes.
pub fn reduce(op: Reduction, x: &ConcreteTensor, axes: &[usize], ty: &Type) -> ConcreteTensor {
    let data = match x.data() {
        Data::F32(xs) => {
            Data::F32(rows(xs, x.shape(), axes, ty).iter().map(|row| reduced(op, row)).collect())
        }
        Data::F64(xs) => {
            Data::F64(rows(xs, x.shape(), axes, ty).iter().map(|row| reduced(op, row)).collect())
        }
        Data::I64(_) | Data::Bool(_) => unreachable!("reductions are of reals, in a verified program"),
    };
    ConcreteTensor::new(&ty.shape, data).expect("one element for each row")
}

/// Indices of the first of the largest elements along an axis.
pub fn argmax(x: &ConcreteTensor, axis: usize, ty: &Type) -> ConcreteTensor {
    let data = match x.data() {
        Data::F32(xs) => rows(xs, x.shape(), &[axis], ty).iter().map(|row| first_largest(row)).collect(),
        Data::F64(xs) => rows(xs, x.shape(), &[axis], ty).iter().map(|row| first_largest(row)).collect(),
        Data::I64(_) | Data::Bool(_) => unreachable!("reductions are of reals, in a verified program"),
    };
    ConcreteTensor::new(&ty.shape, Data::I64(data)).expect("one element for each row")
}

/// What is reduced to each element of the result, in row-major order.
fn rows<T: Copy>(xs: &[T], shape: &[usize], axes: &[usize], ty: &Type) -> Vec<Vec<T>> {
    let mut rows = vec![Vec::new(); ty.size()];
    let strides = strides(&ty.shape);
    let mut elements = xs.iter();
    each_index(shape, |index| {
        let kept: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).map(|i| index[i]).collect();
        rows[position(&kept, &strides)].extend(elements.next());
    });
    rows
}

fn reduced<T: Float>(op: Reduction, row: &[T]) -> T {
    match op {
        // Not `Sum::sum`, which starts from −0.
        Reduction::Sum => row.iter().fold(T::from(0.0), |mut sum, &x| {
            sum += x;
            sum
        }),
        Reduction::Max => {
            row.iter().copied().reduce(|a, b| a.binary(Binary::Maximum, b)).expect("no axis is empty")
        }
        Reduction::LogSumExp => T::logsumexp(row),
    }
}

/// The first of the largest; NaN counts as the largest.
fn first_largest<T: Float>(row: &[T]) -> i64 {
    let nan = |x: T| x.partial_cmp(&x).is_none();
    let mut best = 0;
    for i in 1..row.len() {
        if !nan(row[best]) && (row[i] > row[best] || nan(row[i])) {
            best = i;
        }
    }
    best as i64
}
