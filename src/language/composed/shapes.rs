//! Other arrangements of elements, and products of all pairs.

use super::refuse;
use crate::continuation::unwinding::OrRaise;
use crate::language::real::Int;
use crate::language::shape::{self, Padding, Shape};
use crate::language::tensor::{IntTensor, Tensor};
use crate::memory::collected;

/// [`Tensor::tile`].
#[track_caller]
pub fn tile<T: Tensor>(x: &T, counts: &[usize]) -> T {
    let whole = x.shape();
    let rank = whole.len().max(counts.len());
    let aligned = |lengths: &[usize]| -> Shape {
        std::iter::repeat_n(1, rank - lengths.len()).chain(lengths.iter().copied()).collect()
    };
    let (lengths, counts) = (aligned(&whole), aligned(counts));
    // An axis of copies before each, and the two merged.
    let (mut apart, mut copies, mut result) = (Shape::new(), Shape::new(), Shape::new());
    for (&length, &count) in lengths.iter().zip(&counts) {
        let Some(together) = length.checked_mul(count) else {
            refuse("tile", format!("{count} copies of {length} elements are more than an array can have"));
        };
        result.push(together);
        if count == 1 {
            apart.push(length);
            copies.push(length);
        } else {
            apart.extend([1, length]);
            copies.extend([count, length]);
        }
    }
    shape::elements("tile", &result).or_raise();
    x.reshape(&apart).broadcast_to(&copies).reshape(&result)
}

/// [`Tensor::repeat`].
#[track_caller]
pub fn repeat<T: Tensor>(x: &T, count: usize, axis: isize) -> T {
    let whole = x.shape();
    let axis = shape::axis("repeat", &whole, axis).or_raise();
    let mut result = whole.clone();
    result[axis] = match whole[axis].checked_mul(count) {
        Some(together) => together,
        None => {
            refuse("repeat", format!("{count} times {} elements are more than an array has", whole[axis]))
        }
    };
    shape::elements("repeat", &result).or_raise();
    let mut copies = whole;
    copies.insert(axis + 1, count);
    x.unsqueeze(axis as isize + 1).broadcast_to(&copies).reshape(&result)
}

/// [`Tensor::roll`].
#[track_caller]
pub fn roll<T: Tensor>(x: &T, shift: isize, axis: isize) -> T {
    let whole = x.shape();
    let n = whole[shape::axis("roll", &whole, axis).or_raise()];
    if n == 0 {
        return x.clone();
    }
    match n - shift.rem_euclid(n as isize) as usize {
        first if first == n => x.clone(),
        first => T::concat(&[x.slice(axis, first..n), x.slice(axis, 0..first)], axis),
    }
}

/// The lengths of the last two axes.
#[track_caller]
fn sides<T: Tensor>(op: &'static str, x: &T) -> [usize; 2] {
    let whole = x.shape();
    match whole.as_slice() {
        [.., m, n] => [*m, *n],
        _ => refuse(op, format!("an array {whole:?}, which has to have two axes or more, as a matrix has")),
    }
}

/// Where a diagonal begins, as a row and a column.
fn start(offset: isize) -> [usize; 2] {
    if offset < 0 { [offset.unsigned_abs(), 0] } else { [0, offset.unsigned_abs()] }
}

/// [`Tensor::diagonal`]: every `n + 1`-th element.
#[track_caller]
pub fn diagonal<T: Tensor>(x: &T, offset: isize) -> T {
    let [m, n] = sides("diagonal", x);
    let [row, column] = start(offset);
    let count = m.saturating_sub(row).min(n.saturating_sub(column));
    let mut flat = x.shape();
    flat.truncate(flat.len() - 2);
    flat.push(m * n);
    let first = if count == 0 { 0 } else { row * n + column };
    let end = if count == 0 { 0 } else { first + (count - 1) * (n + 1) + 1 };
    x.reshape(&flat).slice_step(-1, first..end, n + 1)
}

/// [`Tensor::diag`]: zeros between the elements.
#[track_caller]
pub fn diag<T: Tensor>(x: &T, offset: isize) -> T {
    let whole = x.shape();
    let count = whole[shape::axis("diag", &whole, -1).or_raise()];
    let [row, column] = start(offset);
    let side = count.saturating_add(row + column);
    let mut square = whole;
    square.pop();
    square.extend([side, side]);
    shape::elements("diag", &square).or_raise();
    if count == 0 {
        return T::zeros(&square);
    }
    let before = row * side + column;
    let after = side * side - before - (count - 1) * (side + 1) - 1;
    x.pad(-1, Padding { before, after, interior: side }).reshape(&square)
}

/// [`Tensor::tril`] and [`Tensor::triu`]: zero where they say, whatever was there.
#[track_caller]
pub fn triangle<T: Tensor>(op: &'static str, x: &T, offset: isize, lower: bool) -> T {
    let [m, n] = sides(op, x);
    if m * n == 0 {
        return x.clone();
    }
    // What is beyond the matrix makes no difference, and no sum that overflows.
    let offset = offset.clamp(-(m as isize), n as isize);
    // Numbers of rows and of columns, and not a constant as large as the matrix.
    let rows = collected((0..m).map(|i| (i as isize + offset) as i64));
    let columns = collected((0..n).map(|j| j as i64));
    let rows = T::Int::from_elements(&[m, 1], &rows).or_raise();
    let columns = T::Int::from_elements(&[1, n], &columns).or_raise();
    let cut = if lower { rows.less(&columns) } else { columns.less(&rows) };
    T::select(&cut, &T::constant(0.0), x)
}

/// [`Tensor::outer`].
#[track_caller]
pub fn outer<T: Tensor>(a: &T, b: &T) -> T {
    a.reshape(&[a.size(), 1]) * b.reshape(&[1, b.size()])
}

/// [`Tensor::kron`]: axes of the one and of the other in turns, and then merged.
#[track_caller]
pub fn kron<T: Tensor>(a: &T, b: &T) -> T {
    let (of_a, of_b) = (a.shape(), b.shape());
    let rank = of_a.len().max(of_b.len());
    let aligned = |lengths: &Shape| -> Shape {
        std::iter::repeat_n(1, rank - lengths.len()).chain(lengths.iter().copied()).collect()
    };
    let (of_a, of_b) = (aligned(&of_a), aligned(&of_b));
    let left: Shape = of_a.iter().flat_map(|&n| [n, 1]).collect();
    let right: Shape = of_b.iter().flat_map(|&n| [1, n]).collect();
    let result: Shape = of_a.iter().zip(&of_b).map(|(&m, &n)| m.saturating_mul(n)).collect();
    shape::elements("kron", &result).or_raise();
    (a.reshape(&left) * b.reshape(&right)).reshape(&result)
}

/// [`Tensor::tensordot`].
#[track_caller]
pub fn tensordot<T: Tensor>(a: &T, b: &T, of_a: &[isize], of_b: &[isize]) -> T {
    let op = "tensordot";
    if of_a.len() != of_b.len() {
        refuse(op, format!("{} axes of the left operand with {} of the right one", of_a.len(), of_b.len()));
    }
    let left = Summed::of(op, a, of_a);
    let right = Summed::of(op, b, of_b);
    for (i, (m, n)) in left.lengths.iter().zip(&right.lengths).enumerate() {
        if m != n {
            let (a, b) = (a.shape(), b.shape());
            refuse(
                op,
                format!("axis {} of {a:?} has length {m}, and axis {} of {b:?} {n}", of_a[i], of_b[i]),
            );
        }
    }
    let inner = shape::size(&left.lengths);
    let rows = a.permute(&left.kept.iter().chain(&left.summed).copied().collect::<Shape>());
    let columns = b.permute(&right.summed.iter().chain(&right.kept).copied().collect::<Shape>());
    let result: Shape = left.outer.iter().chain(&right.outer).copied().collect();
    let [m, n] = [shape::size(&left.outer), shape::size(&right.outer)];
    rows.reshape(&[m, inner]).matmul(&columns.reshape(&[inner, n])).reshape(&result)
}

/// The axes of an operand that are summed over, and the others, with their lengths.
struct Summed {
    summed: Shape,
    lengths: Shape,
    kept: Shape,
    outer: Shape,
}

impl Summed {
    #[track_caller]
    fn of<T: Tensor>(op: &'static str, x: &T, axes: &[isize]) -> Summed {
        let whole = x.shape();
        // For its errors: here the order matters.
        shape::axes(op, &axes.into(), &whole).or_raise();
        let mut summed = Shape::new();
        for &axis in axes {
            summed.push(shape::axis(op, &whole, axis).or_raise());
        }
        let kept: Shape = (0..whole.len()).filter(|axis| !summed.contains(axis)).collect();
        let lengths = |axes: &Shape| axes.iter().map(|&axis| whole[axis]).collect();
        Summed { lengths: lengths(&summed), outer: lengths(&kept), summed, kept }
    }
}
