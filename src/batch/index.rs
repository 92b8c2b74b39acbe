//! Indices of rows that each row of a batch has its own of.

use super::BatchInt;
use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::shape::Shape;
use crate::language::tensor::{IntTensor, MaskTensor};

/// Indices `0..n` of each row of a batch as indices of an array in which the rows' `n` follow each other:
/// `[rows, indices..]`.
#[track_caller]
pub(super) fn offset<I: IntTensor<Bool: MaskTensor>>(
    op: &'static str,
    indices: &BatchInt<I>,
    rows: usize,
    n: usize,
) -> I {
    let rank = indices.row_shape().len();
    let shape: Shape = std::iter::once(rows).chain(std::iter::repeat_n(1, rank)).collect();
    shifted(op, &indices.value, &shape, rows, n)
}

/// `indices + (0, n, 2n, ..)`, the latter in a shape: indices `0..n` of one part each of `parts·n`. Others stay outside
/// of the whole.
#[track_caller]
pub(super) fn shifted<I: IntTensor<Bool: MaskTensor>>(
    op: &'static str,
    indices: &I,
    shape: &[usize],
    parts: usize,
    n: usize,
) -> I {
    let starts: Vec<i64> = (0..parts).map(|part| (part * n) as i64).collect();
    let starts = I::from_elements(shape, &starts).expect("as many elements as parts");
    if let Some(known) = indices.elements() {
        if let Some(&index) = known.iter().find(|&&index| index < 0 || index as usize >= n) {
            raise(Error::Index { op, index, len: n, at: At::caller() });
        }
        return starts + indices;
    }
    let [zero, after, whole] = [0, n, parts * n].map(|i| I::constant(i as i64));
    let too_small = indices.less(&zero);
    let starts = I::select(&indices.less(&after), &starts, &whole);
    I::select(&too_small, indices, &(starts + indices))
}
