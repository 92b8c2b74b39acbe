//! Matrix products: `A·Bᵀ` with long rows by dot products, all others by the `gemm` crate.

use std::mem::MaybeUninit;

use antiphon_system::threads;
use gemm::Parallelism;

use super::NdArray;
use super::buffer::{Storage, from_vec, memory, write_vec};
use super::dot::Rows;
use super::float::Float;
use super::layout::Loops;
use crate::continuation::unwinding::OrRaise;
use crate::language::shape;

/// A matrix in memory: element `[i, j]` is at `i·row_stride + j·column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, E> {
    pub data: &'a [E],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// A row-major matrix.
    pub fn row_major(data: &'a [E], rows: usize, columns: usize) -> Matrix<'a, E> {
        Matrix { data, rows, columns, row_stride: columns, column_stride: 1 }
    }
    /// The matrix transposed.
    pub fn transposed(self) -> Matrix<'a, E> {
        Matrix {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
    /// Offset of the last element.
    fn last(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
    }
}

/// What becomes of the destination of a product.
#[derive(Clone, Copy, PartialEq)]
enum Destination {
    /// It is overwritten, and may be uninitialised.
    Replaced,
    /// The product is added to it.
    AddedTo,
}

/// Rows that a thread takes of a product are a multiple of that, so that kernels add the same terms in the same order.
const BLOCK: usize = 8;
/// Multiplications that a thread takes of a product at least: some twenty microseconds.
const LEAST: usize = 1 << 19;

/// `dst = a × b` or `dst += a × b`, `dst` row-major: rows of it on several threads, if they take so much.
fn product<E: Float>(destination: Destination, dst: &mut [MaybeUninit<E>], a: Matrix<E>, b: Matrix<E>) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert!(k == b.rows && dst.len() == m * n, "shapes of a product");
    if dst.is_empty() {
        return;
    }
    let mut rows = threads::piece(m, BLOCK, LEAST.div_ceil(n.saturating_mul(k).max(1)));
    // A few rows are another kind of product.
    while rows < m && (1..BLOCK).contains(&(m % rows)) {
        rows += BLOCK;
    }
    if rows >= m || k == 0 {
        return product_here(destination, dst, a, b);
    }
    threads::pieces(dst, rows * n, |from, dst| {
        let first = from / n;
        let a = Matrix { data: &a.data[first * a.row_stride..], rows: dst.len() / n, ..a };
        product_here(destination, dst, a, b);
    });
}

fn product_here<E: Float>(destination: Destination, dst: &mut [MaybeUninit<E>], a: Matrix<E>, b: Matrix<E>) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    if k == 0 {
        if destination == Destination::Replaced {
            dst.fill(MaybeUninit::new(E::ZERO));
        }
        return;
    }
    assert!(a.last() < a.data.len() && b.last() < b.data.len(), "strides of a product");
    // Neither kernel reads a destination that is replaced.
    if k >= E::WORTHWHILE && a.column_stride == 1 && b.row_stride == 1 && m > 1 {
        let rows = Rows { data: a.data, count: m, stride: a.row_stride };
        let columns = Rows { data: b.data, count: n, stride: b.column_stride };
        return match destination {
            Destination::Replaced => E::dot_rows(rows, columns, k, |i, x| {
                dst[i].write(x);
            }),
            // SAFETY: who adds to the destination hands it over initialised: `add_product` below.
            Destination::AddedTo => E::dot_rows(rows, columns, k, |i, x| unsafe {
                *dst[i].assume_init_mut() = *dst[i].assume_init_ref() + x;
            }),
        };
    }
    // SAFETY: the operands' last elements lie in their slices, hence (strides not being negative) all do; `dst` has
    // `m·n` elements and is exclusively borrowed, so it overlaps neither. It is read only if the caller of the two
    // functions below handed it over initialised. `E` is f32 or f64, which `gemm` knows.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr().cast::<E>(),
            1,
            n as isize,
            destination == Destination::AddedTo,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            E::ONE,
            E::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `dst += a × b`, `dst` row-major.
pub(super) fn add_product<E: Float>(dst: &mut [E], a: Matrix<E>, b: Matrix<E>) {
    // SAFETY: the same elements, initialised, and `product` writes initialised ones only.
    let dst = unsafe { &mut *(std::ptr::from_mut(dst) as *mut [MaybeUninit<E>]) };
    product(Destination::AddedTo, dst, a, b);
}

/// `a × b`, row-major.
pub(super) fn set_product<E: Float>(dst: &mut [MaybeUninit<E>], a: Matrix<E>, b: Matrix<E>) {
    product(Destination::Replaced, dst, a, b);
}

/// Runs `f` on each pair of matrices of two arrays whose leading axes broadcast to `batch`, in row-major order.
fn for_each_pair<E: Float>(
    batch: &[usize],
    a: &Storage<E>,
    b: &Storage<E>,
    mut f: impl FnMut(Matrix<E>, Matrix<E>),
) {
    fn split<E>(x: &Storage<E>) -> (usize, [usize; 2], [usize; 2]) {
        let lead = x.ndim() - 2;
        let (shape, strides) = (x.shape(), x.strides());
        (lead, [shape[lead], shape[lead + 1]], [strides[lead] as usize, strides[lead + 1] as usize])
    }
    let (lead_a, [m, k], [ra, ca]) = split(a);
    let (lead_b, [_, n], [rb, cb]) = split(b);
    let (da, db) = (memory(a), memory(b));
    let mut run = |oa: usize, ob: usize| {
        f(
            Matrix { data: &da[oa.min(da.len())..], rows: m, columns: k, row_stride: ra, column_stride: ca },
            Matrix { data: &db[ob.min(db.len())..], rows: k, columns: n, row_stride: rb, column_stride: cb },
        )
    };
    if lead_a == 0 && lead_b == 0 {
        return run(0, 0);
    }
    let operands =
        [(&a.shape()[..lead_a], &a.strides()[..lead_a]), (&b.shape()[..lead_b], &b.strides()[..lead_b])];
    let loops = Loops::new(batch, operands);
    let ((rows, row), (columns, column)) = (loops.rows, loops.columns);
    loops.for_each(|[oa, ob]| {
        for r in 0..rows {
            for c in 0..columns {
                run(oa + r * row[0] + c * column[0], ob + r * row[1] + c * column[1]);
            }
        }
    });
}

/// The left operand's batch as more rows of one matrix, where the right operand is the same for all of it.
fn flattened<E: Float>(a: &Storage<E>, b: &Storage<E>) -> Option<Storage<E>> {
    if a.ndim() <= 2 || b.ndim() != 2 || !a.is_standard_layout() {
        return None;
    }
    let (rows, k) = (shape::size(&a.shape()[..a.ndim() - 1]), a.shape()[a.ndim() - 1]);
    Some(super::buffer::reshape(a, &[rows, k]))
}

/// `[.., m, k] × [.., k, n]`.
#[track_caller]
pub(super) fn batch_matmul<E: Float>(a: &NdArray<E>, b: &NdArray<E>) -> NdArray<E> {
    let shape = shape::matmul(a.0.shape(), b.0.shape()).or_raise();
    let flat = flattened(&a.0, &b.0);
    let a = flat.as_ref().unwrap_or(&a.0);
    let size = shape::size(&shape);
    if size == 0 {
        return NdArray(from_vec(&shape, Vec::new()));
    }
    let batch: &[usize] = if flat.is_some() { &[] } else { &shape[..shape.len() - 2] };
    // SAFETY: each of the `size / (m·n)` products takes its part off the destination and writes all of it.
    let elements = unsafe {
        write_vec(size, |mut rest| {
            for_each_pair(batch, a, &b.0, |a, b| {
                let (dst, tail) = std::mem::take(&mut rest).split_at_mut(a.rows * b.columns);
                rest = tail;
                set_product(dst, a, b);
            });
            assert!(rest.is_empty());
        })
    };
    NdArray::from_vec(&shape, elements)
}

/// `dst += a × b`, where `dst` is row-major of the product's shape.
#[track_caller]
pub(super) fn add_batch_matmul<E: Float>(dst: &mut [E], a: &NdArray<E>, b: &NdArray<E>) {
    let shape = shape::matmul(a.0.shape(), b.0.shape()).or_raise();
    assert!(dst.len() == shape::size(&shape), "a product of shape {shape:?} into {} elements", dst.len());
    if dst.is_empty() {
        return;
    }
    let flat = flattened(&a.0, &b.0);
    let a = flat.as_ref().unwrap_or(&a.0);
    let batch: &[usize] = if flat.is_some() { &[] } else { &shape[..shape.len() - 2] };
    let mut rest = dst;
    for_each_pair(batch, a, &b.0, |a, b| {
        let (dst, tail) = std::mem::take(&mut rest).split_at_mut(a.rows * b.columns);
        rest = tail;
        add_product(dst, a, b);
    });
}
