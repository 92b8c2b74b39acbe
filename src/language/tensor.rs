//! [`Tensor`]: the array part of the calculus.

use std::ops::Range;

use crate::continuation::unwinding::{OrRaise, operator, raise};
use crate::error::{At, Error, Result};
use crate::language::at::{Part, Position, Write};
use crate::language::composed::convolutions::{self, Convolution, Pooled};
use crate::language::composed::cumulative::cumulative;
use crate::language::composed::norms::{self, Norm};
use crate::language::composed::orders::{self, Side};
use crate::language::composed::recurrences::Associative;
use crate::language::composed::{masks, reductions, shapes};
use crate::language::control::continuation_passing::{self, Fill, Leaves, Site};
use crate::language::control::{
    Checkpoints, Order, TreeArrays, checkpointed_scan, fold_arrays, rows_in_order,
};
use crate::language::custom::CustomOperator;
use crate::language::host::HostOperator;
use crate::language::number::Number;
use crate::language::real::{Int, Mask, Real};
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::state::{Confined, State};
use crate::sealed::Internal;

/// Arrays of truth values.
pub trait MaskTensor: Mask {
    /// Lengths of the axes.
    fn shape(&self) -> Shape;
    /// The same elements in another shape.
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self;
    /// Elements `range` of an axis (negative: counted from the end).
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self;
    /// Element `i` of an axis, which goes.
    #[track_caller]
    fn index(&self, axis: isize, i: usize) -> Self {
        let (shape, at) = (self.shape(), At::caller());
        operator(at, || self.slice(axis, i..i.saturating_add(1)).reshape(&without("index", &shape, axis)))
    }
}

/// Arrays of integers: token ids, labels, children of tree nodes.
pub trait IntTensor: Int {
    /// Lengths of the axes.
    fn shape(&self) -> Shape;
    /// An array from its elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] if their number is not the shape's.
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[i64]) -> Result<Self>;
    /// The elements in row-major order, where they are known while the model runs; see [`Mask::known`].
    fn elements(&self) -> Option<Vec<i64>>;
    /// The same elements in another shape.
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self;
    /// `[rows, rest..]` by indices of any shape gives `[indices.., rest..]`.
    #[track_caller]
    fn gather_rows(&self, indices: &Self) -> Self;
    /// Elements `range` of an axis (negative: counted from the end).
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self;
    /// Element `i` of an axis, which goes.
    #[track_caller]
    fn index(&self, axis: isize, i: usize) -> Self {
        let (shape, at) = (self.shape(), At::caller());
        operator(at, || self.slice(axis, i..i.saturating_add(1)).reshape(&without("index", &shape, axis)))
    }
}

/// A shape without one of its axes.
#[track_caller]
fn without(op: &'static str, shape: &[usize], axis: isize) -> Shape {
    let axis = shape::axis(op, shape, axis).or_raise();
    let mut rest = Shape::from_slice(shape);
    rest.remove(axis);
    rest
}

/// Arrays of reals of an interpretation: the language that array models are written in.
///
/// Shapes are written `[rows, columns]`; leading axes are batches; a negative axis counts from the end.
/// Elementwise operators broadcast as NumPy's do, and take plain `f64` numbers on the right.
///
/// # Errors
/// An operator whose operands do not fit *raises* (see [`error`](crate::error)): the enclosing entry point
/// returns [`Error::Shape`] with both shapes and the line of the call.
///
/// # Conventions
/// The adjoint of `max` is shared equally by all elements that attain it. The sum over nothing is 0; the maximum
/// of nothing is an error. `argmax` is the first of equals, and NaN counts as the largest.
pub trait Tensor: Number + Real<Int: IntTensor, Bool: MaskTensor> {
    // ---- what every interpretation provides

    /// Lengths of the axes; a scalar has none.
    #[track_caller]
    fn shape(&self) -> Shape;
    /// A constant array filled with one value.
    #[track_caller]
    fn full(shape: &[usize], value: f64) -> Self;
    /// A constant array from its elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] if their number is not the shape's.
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self>;
    /// One where the mask holds, zero elsewhere; constant.
    #[track_caller]
    fn from_mask(mask: &Self::Bool) -> Self;
    /// Independent samples of the uniform distribution on `[0, 1)`, a function of `seed` and the position alone:
    /// the same in every interpretation. Constant.
    #[track_caller]
    fn uniform(shape: &[usize], seed: &Self::Int) -> Self;

    /// The same elements, in row-major order, in another shape.
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self;
    /// Axis `i` of the result is axis `order[i]` of this.
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self;
    /// Repeats axes of length one, and adds leading ones, up to the given shape.
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self;
    /// Sum over axes, which disappear.
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self;
    /// Maximum over axes, which disappear.
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self;
    /// `ln Σ eˣ` over axes, which disappear; without overflow.
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self;
    /// Index of the maximum along one axis, which disappears.
    #[track_caller]
    fn argmax(&self, axis: isize) -> Self::Int;
    /// `[.., m, k] × [.., k, n] → [.., m, n]` for ranks of at least two; leading axes broadcast.
    /// [`matmul`](Tensor::matmul) takes vectors as well.
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self;
    /// Joins arrays that differ in one axis only, along it.
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self;
    /// Every `step`-th element of `range` along an axis.
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self;
    /// Zeros before, after and between the elements of an axis.
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self;
    /// Reverses the order along an axis.
    #[track_caller]
    fn flip(&self, axis: isize) -> Self;
    /// Rows by index, as an embedding does: `[rows, rest..]` by `[indices..]` gives `[indices.., rest..]`.
    #[track_caller]
    fn gather_rows(&self, indices: &Self::Int) -> Self;
    /// Adds each `self[indices..]` to the row that its index names, in an array of `rows` rows that is zero
    /// elsewhere: the adjoint of [`gather_rows`](Tensor::gather_rows).
    #[track_caller]
    fn scatter_rows(&self, indices: &Self::Int, rows: usize) -> Self;
    /// This array with rows in place of those that indices name, or added to them. Its first `axes` axes count as one:
    /// `[n.., rest..]` by `[indices..]` and `[indices.., rest..]`. What is written costs its own size if nobody else
    /// holds the array; [`at`](Tensor::at) says it more plainly.
    ///
    /// With `y` the result, `x` this array and `g` the rows: `ḡ = ȳ[indices]`, and `x̄ = ȳ`, which is zero in the rows
    /// that are set. Rows that others have overwritten have no derivative.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if there are no such axes, [`Error::Shape`] if the rows are not of this shape,
    /// [`Error::Index`] if an index is out of range.
    #[must_use]
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &Self::Int, rows: &Self) -> Self;
    /// Rows by index, where the first `axes` axes count as one: what [`write_rows`](Tensor::write_rows) writes to.
    ///
    /// # Errors
    /// As [`write_rows`](Tensor::write_rows).
    #[track_caller]
    fn read_rows(&self, axes: usize, indices: &Self::Int) -> Self {
        let shape = self.shape();
        let part: Shape =
            indices.shape().iter().chain(shape.get(axes..).unwrap_or_default()).copied().collect();
        shape::write_rows(&shape, axes, &indices.shape(), &part).or_raise();
        if axes == 1 {
            return self.gather_rows(indices);
        }
        let merged: Shape =
            std::iter::once(shape[..axes].iter().product()).chain(shape[axes..].iter().copied()).collect();
        self.reshape(&merged).gather_rows(indices)
    }
    /// Whether this array can be given back as it was after rows were written to it in place: it is what it would be
    /// as the result, with its derivatives.
    #[doc(hidden)]
    fn stays_alike(&self, _: Internal, _rows: &Self) -> bool {
        false
    }
    /// One element of each row: `[.., n]` by `[..]` gives `[..]`.
    #[track_caller]
    fn gather_last(&self, indices: &Self::Int) -> Self;
    /// Each element at its index in a row of `n` that is zero elsewhere: `[..]` gives `[.., n]`; the adjoint of
    /// [`gather_last`](Tensor::gather_last).
    #[track_caller]
    fn scatter_last(&self, indices: &Self::Int, n: usize) -> Self;
    /// What a function of the host computes: see [`HostOperator`].
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if the operator is not defined for the operands, or an interpretation of your own for
    /// operators of the host.
    #[track_caller]
    fn host<O: HostOperator>(operator: &O, operands: &[&Self]) -> Self {
        let operands: Vec<Self> = operands.iter().map(|&x| x.clone()).collect();
        let reason = || "this interpretation has no operators of the host".into();
        let refuse = || raise(Error::Argument { op: operator.name(), reason: reason(), at: At::caller() });
        operator.composed(&operands).unwrap_or_else(refuse)
    }
    /// A function with a derivative of its own: see [`CustomOperator`].
    #[track_caller]
    fn custom<O: CustomOperator>(operator: &O, operands: &[&Self]) -> Self {
        let operands: Vec<Self> = operands.iter().map(|&x| x.clone()).collect();
        operator.value(&operands)
    }
    /// Cross-correlation of `[batch, channels, h, w]` with `[out, channels, kh, kw]`, as in every neural-network
    /// library: `y[b,o,r,c] = Σ x[b,i, r·s₀+u−p₀, c·s₁+v−p₁]·kernel[o,i,u,v]`. The sum is over places inside of the
    /// image: those of the padding are left out, so that an infinite or NaN element of the kernel does not count there
    /// (where zeros were multiplied, as other libraries do it, they would make NaN). So it is in the derivatives.
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self;
    /// The image's adjoint in [`conv2d`](Tensor::conv2d): `self` is the result's adjoint, `[h, w]` the image's size.
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self;
    /// The kernel's adjoint in [`conv2d`](Tensor::conv2d): `self` is the image, `[kh, kw]` the kernel's size.
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self;
    /// All windows of an image: `[batch, channels, h, w]` gives `[batch, channels, kh·kw, rows, columns]`.
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self;
    /// Adds windows back up to an image of `[h, w]`: the adjoint of [`unfold2d`](Tensor::unfold2d).
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self;

    // ---- accumulations that an interpretation may do in place

    /// `adjoint += a × b`.
    #[track_caller]
    fn accumulate_matmul(adjoint: &Self::Adjoint, a: &Self, b: &Self) {
        Self::accumulate(adjoint, a.batch_matmul(b));
    }
    /// `adjoint[.., start + i·step, ..] += g[.., i, ..]`, where `operand` is the value that the adjoint belongs to.
    #[track_caller]
    fn accumulate_slice(
        adjoint: &Self::Adjoint,
        operand: &Self,
        axis: usize,
        range: Range<usize>,
        step: usize,
        g: Self,
    ) {
        let n = operand.shape()[axis];
        let count = g.shape()[axis];
        let step = shape::shorter_step(&range, step);
        let covered = if count == 0 { 0 } else { (count - 1) * step + 1 };
        let padding = Padding { before: range.start, after: n - range.start - covered, interior: step - 1 };
        Self::accumulate(adjoint, g.pad(axis as isize, padding));
    }
    /// `adjoint[indices[i]] += g[i]`, where `operand` is the value that the adjoint belongs to.
    #[track_caller]
    fn accumulate_rows(adjoint: &Self::Adjoint, operand: &Self, indices: &Self::Int, g: Self) {
        Self::accumulate(adjoint, g.scatter_rows(indices, operand.shape()[0]));
    }

    /// [`accumulate_rows`](Tensor::accumulate_rows), where the first `axes` axes count as one.
    #[track_caller]
    fn accumulate_parts(adjoint: &Self::Adjoint, operand: &Self, axes: usize, indices: &Self::Int, g: Self) {
        let shape = operand.shape();
        let n = shape[..axes].iter().product();
        Self::accumulate(adjoint, g.scatter_rows(indices, n).reshape(&shape));
    }

    // ---- loops that are recorded; see `control::scan`

    /// An array of which `fill` records the writing of each row, once, in loops that it records; and what `fill` gives.
    #[doc(hidden)]
    #[track_caller]
    fn record_rows(_: Internal, at: Site, _shape: &[usize], _fill: Fill<'_, Self>) -> (Self, Leaves<Self>) {
        raise(continuation_passing::unsupported(at))
    }
    /// An accumulator that a loop may read which is recorded before what adds to it.
    #[doc(hidden)]
    #[track_caller]
    fn open_adjoint(_shape: &[usize]) -> Self::Adjoint {
        raise(continuation_passing::unsupported(Site::caller("scan")))
    }
    /// Calls `pull` with a row of what was accumulated, if anything was; the accumulator keeps it.
    #[doc(hidden)]
    #[track_caller]
    fn with_adjoint_row(adjoint: &Self::Adjoint, index: &Self::Int, pull: impl FnOnce(Self)) {
        pull(Self::adjoint_row(adjoint, index));
    }
    /// A row of what was accumulated, zeros if nothing was.
    #[doc(hidden)]
    #[track_caller]
    fn adjoint_row(_adjoint: &Self::Adjoint, _index: &Self::Int) -> Self {
        raise(continuation_passing::unsupported(Site::caller("scan")))
    }

    // ---- compositions

    /// Constant zeros.
    #[track_caller]
    fn zeros(shape: &[usize]) -> Self {
        Self::full(shape, 0.0)
    }
    /// Constant ones.
    #[track_caller]
    fn ones(shape: &[usize]) -> Self {
        Self::full(shape, 1.0)
    }
    /// Number of axes.
    fn rank(&self) -> usize {
        self.shape().len()
    }
    /// Number of elements.
    fn size(&self) -> usize {
        shape::size(&self.shape())
    }
    /// Matrix product for every combination of ranks: `[k]·[k] → []`, `[m,k]·[k] → [m]`, `[k]·[k,n] → [n]`,
    /// `[.., m, k] × [.., k, n] → [.., m, n]` with broadcasting batches.
    #[track_caller]
    fn matmul(&self, rhs: &Self) -> Self {
        let (a, b) = (self.shape(), rhs.shape());
        match (a.len(), b.len()) {
            (0, _) | (_, 0) => shape::matmul(&a, &b).map(|_| self.clone()).or_raise(),
            (1, _) | (_, 1) => {
                let row = |s: &Shape| Shape::from_slice(&[1, s[0]]);
                let column = |s: &Shape| Shape::from_slice(&[s[0], 1]);
                let (ra, rb) = (
                    if a.len() == 1 { row(&a) } else { a.clone() },
                    if b.len() == 1 { column(&b) } else { b.clone() },
                );
                let mut out = match shape::matmul(&ra, &rb) {
                    Ok(out) => out,
                    Err(_) => shape::mismatch_matmul(&a, &b).or_raise(),
                };
                if b.len() == 1 {
                    out.pop();
                }
                if a.len() == 1 {
                    out.remove(out.len() - if b.len() == 1 { 1 } else { 2 });
                }
                self.reshape(&ra).batch_matmul(&rhs.reshape(&rb)).reshape(&out)
            }
            // One product with all rows instead of a batch of small ones.
            (3.., 2) if a[a.len() - 1] == b[0] => {
                let [batch @ .., k] = &a[..] else { unreachable!("rank of at least three") };
                let mut out = Shape::from_slice(batch);
                out.push(b[1]);
                self.reshape(&[shape::size(batch), *k]).batch_matmul(rhs).reshape(&out)
            }
            _ => self.batch_matmul(rhs),
        }
    }
    /// The last two axes exchanged.
    #[track_caller]
    fn transpose(&self) -> Self {
        let rank = self.rank();
        let mut order: Shape = (0..rank).collect();
        if rank >= 2 {
            order.swap(rank - 2, rank - 1);
        }
        self.permute(&order)
    }
    /// Inserts an axis of length one before the given position (`-1`: after the last).
    #[track_caller]
    fn unsqueeze(&self, axis: isize) -> Self {
        let mut shape = self.shape();
        let position = if axis < 0 { axis + shape.len() as isize + 1 } else { axis };
        if !(0..=shape.len() as isize).contains(&position) {
            shape::axis("unsqueeze", &shape, axis).map(drop).or_raise();
        }
        shape.insert(position as usize, 1);
        self.reshape(&shape)
    }
    /// Minimum over axes, which disappear.
    #[track_caller]
    fn min(&self, axes: impl Into<Axes>) -> Self {
        let (axes, shape) = (axes.into(), self.shape());
        let resolved = shape::axes("min", &axes, &shape).or_raise();
        shape::reduce_nonempty("min", &shape, &resolved).or_raise();
        -(-self.clone()).max(axes)
    }
    /// Arithmetic mean over axes, which disappear.
    #[track_caller]
    fn mean(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let shape = self.shape();
        let lengths: Shape =
            shape::axes("mean", &axes, &shape).or_raise().iter().map(|&axis| shape[axis]).collect();
        let count = shape::size(&lengths);
        self.sum(axes) * (1.0 / count as f64)
    }
    /// Variance over axes (divided by the number of elements), which disappear.
    #[track_caller]
    fn var(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let keep = shape::reduce_keep(&self.shape(), &shape::axes("var", &axes, &self.shape()).or_raise());
        (self.clone() - self.mean(axes.clone()).reshape(&keep)).square().mean(axes)
    }
    /// [`var`](Tensor::var) divided by the number of elements less `ddof`: 1 makes it the estimate without bias.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if `ddof` is not 0 and not less than the number of elements.
    #[track_caller]
    fn var_ddof(&self, axes: impl Into<Axes>, ddof: usize) -> Self {
        reductions::var("var", self, &axes.into(), ddof)
    }
    /// Standard deviation over axes, which disappear: the root of [`var`](Tensor::var), with derivative 0 where it is
    /// 0.
    #[track_caller]
    fn std(&self, axes: impl Into<Axes>) -> Self {
        reductions::std(self, &axes.into(), 0)
    }
    /// [`std`](Tensor::std), the root of [`var_ddof`](Tensor::var_ddof).
    ///
    /// # Errors
    /// As [`var_ddof`](Tensor::var_ddof).
    #[track_caller]
    fn std_ddof(&self, axes: impl Into<Axes>, ddof: usize) -> Self {
        reductions::std(self, &axes.into(), ddof)
    }
    /// Product over axes, which disappear; 1 of nothing. Its derivative, the product of the others, is right at any
    /// number of zeros and to every order. It is of pairs, and of pairs of these, any of which may overflow.
    ///
    /// ```
    /// use antiphon::{NdArray, Tensor, grad};
    /// let x = NdArray::from(vec![2.0, 0.0, 5.0]);
    /// assert_eq!(grad(|x| x.prod(..), &x)?, NdArray::from(vec![0.0, 10.0, 0.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[track_caller]
    fn prod(&self, axes: impl Into<Axes>) -> Self {
        reductions::prod(self, &axes.into())
    }
    /// Norm over axes, which disappear: `Σ |x|`, `√Σ x²` (over the two axes of a matrix the Frobenius norm) or
    /// `max |x|`. The derivative is 0 where it is 0; the sum of squares may overflow where the norm would not, as
    /// NumPy's.
    ///
    /// ```
    /// use antiphon::{NdArray, Norm, Tensor, grad};
    /// assert_eq!(NdArray::from(vec![3.0, -4.0]).norm(Norm::Two, ..).item(), 5.0);
    /// let x = NdArray::from(vec![0.0, -2.0]);
    /// assert_eq!(grad(|x| x.norm(Norm::Two, ..), &x)?, NdArray::from(vec![0.0, -1.0]));
    /// assert_eq!(grad(|x| x.norm(Norm::Two, ..), &NdArray::zeros(&[2]))?, NdArray::<f64>::zeros(&[2]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[track_caller]
    fn norm(&self, norm: Norm, axes: impl Into<Axes>) -> Self {
        norms::norm(self, norm, &axes.into())
    }
    /// Sums of the elements up to each along an axis, that one included. Sums of 64 elements are added up with what
    /// rounding takes of them, so the error does not grow with the number of elements.
    #[track_caller]
    fn cumsum(&self, axis: isize) -> Self {
        cumulative("cumsum", self, axis, Associative::Sum)
    }
    /// Products of the elements up to each along an axis; the derivative is right at zeros, as
    /// [`prod`](Tensor::prod)'s.
    #[track_caller]
    fn cumprod(&self, axis: isize) -> Self {
        cumulative("cumprod", self, axis, Associative::Product)
    }
    /// The largest of the elements up to each along an axis; NaN from the first NaN on. An element that equals the
    /// largest before it shares the derivative with that one, as two operands of [`maximum`](Real::maximum).
    #[track_caller]
    fn cummax(&self, axis: isize) -> Self {
        cumulative("cummax", self, axis, Associative::Maximum)
    }
    /// The smallest of the elements up to each along an axis; as [`cummax`](Tensor::cummax).
    #[track_caller]
    fn cummin(&self, axis: isize) -> Self {
        cumulative("cummin", self, axis, Associative::Minimum)
    }
    /// Index of the minimum along one axis, which disappears: the first of equals; NaN counts as the smallest, as NumPy
    /// has it.
    #[track_caller]
    fn argmin(&self, axis: isize) -> Self::Int {
        (-self.detach()).argmax(axis)
    }
    /// Whether a mask holds anywhere over axes, which disappear; nowhere in nothing.
    #[track_caller]
    fn any(mask: &Self::Bool, axes: impl Into<Axes>) -> Self::Bool {
        masks::any::<Self>(mask, &axes.into())
    }
    /// Whether a mask holds everywhere over axes, which disappear; everywhere in nothing.
    #[track_caller]
    fn all(mask: &Self::Bool, axes: impl Into<Axes>) -> Self::Bool {
        masks::all::<Self>(mask, &axes.into())
    }
    /// How often a mask holds over axes, which disappear; constant.
    #[track_caller]
    fn count_nonzero(mask: &Self::Bool, axes: impl Into<Axes>) -> Self {
        masks::count(mask, &axes.into())
    }
    /// The elements along an axis in ascending order, those that are equal in the order that they had, NaN after all
    /// others. The derivative of each is that of the element that it was.
    ///
    /// ```
    /// use antiphon::{NdArray, Tensor, grad};
    /// let x = NdArray::from(vec![3.0, 1.0, 2.0]);
    /// assert_eq!(x.sort(0), NdArray::from(vec![1.0, 2.0, 3.0]));
    /// let weights = NdArray::from(vec![0.0, 10.0, 20.0]);
    /// assert_eq!(grad(|x| (x.sort(0) * &weights).sum(..), &x)?, NdArray::from(vec![20.0, 0.0, 10.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// Raises [`Error::Argument`] in single precision, of which places are computed, for more than 2²⁴ elements.
    #[track_caller]
    fn sort(&self, axis: isize) -> Self {
        orders::sort(self, axis)
    }
    /// The indices that [`sort`](Tensor::sort) takes elements from, along an axis.
    ///
    /// # Errors
    /// As [`sort`](Tensor::sort).
    #[track_caller]
    fn argsort(&self, axis: isize) -> Self::Int {
        orders::argsort(self, axis)
    }
    /// The `k` largest elements along an axis, which gets that length, from the largest on, and their indices; of equal
    /// ones the first. NaN counts as the largest.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if there are fewer, and as [`sort`](Tensor::sort).
    #[track_caller]
    fn topk(&self, k: usize, axis: isize) -> (Self, Self::Int) {
        orders::topk(self, k, axis)
    }
    /// Median over axes, which disappear: the mean of the two in the middle if the number is even. NaN if any is.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if there is nothing to reduce, and as [`sort`](Tensor::sort).
    #[track_caller]
    fn median(&self, axes: impl Into<Axes>) -> Self {
        orders::quantile("median", self, 0.5, &axes.into())
    }
    /// What is not less than a part `q` of the elements over axes, which disappear, with linear interpolation, as
    /// `numpy.quantile`: of `n` sorted elements what is at `q·(n − 1)`. NaN if any is.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if `q` is not from 0 to 1; [`Error::Operand`] if there is nothing to reduce; and as
    /// [`sort`](Tensor::sort).
    #[track_caller]
    fn quantile(&self, q: f64, axes: impl Into<Axes>) -> Self {
        orders::quantile("quantile", self, q, &axes.into())
    }
    /// Where numbers belong among these, which are in ascending order: how many are less, or, on the right side, less
    /// or equal. `[n]` by any shape gives that shape; `[.., n]` by `[.., m]` of the same leading axes gives `[.., m]`.
    ///
    /// ```
    /// use antiphon::{IntTensor, NdArray, Side, Tensor};
    /// let edges = NdArray::from(vec![0.0, 1.0, 2.0]);
    /// let x = NdArray::from(vec![-1.0, 1.0, 1.5]);
    /// assert_eq!(edges.searchsorted(&x, Side::Left).elements(), Some(vec![0, 1, 2]));
    /// assert_eq!(edges.searchsorted(&x, Side::Right).elements(), Some(vec![0, 2, 2]));
    /// ```
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if leading axes differ, and as [`sort`](Tensor::sort).
    #[track_caller]
    fn searchsorted(&self, x: &Self, side: Side) -> Self::Int {
        orders::searchsorted(self, x, side)
    }
    /// One at each index, in a row of `n` that is zero elsewhere: `[..]` gives `[.., n]`; constant.
    ///
    /// # Errors
    /// Raises [`Error::Index`] for an index that is not from 0 to `n − 1`.
    #[track_caller]
    fn one_hot(indices: &Self::Int, n: usize) -> Self {
        orders::one_hot(indices, n)
    }
    /// [`clamp`](Real::clamp) between arrays, all of which broadcast: `low` where `x < low`, `high` where that is more
    /// than `high`. The derivative is that of what is taken; where `x` is equal to a bound it is `x`.
    #[track_caller]
    fn clip(&self, low: &Self, high: &Self) -> Self {
        orders::clip(self, low, high)
    }
    /// `eˣ / Σ eˣ` along an axis.
    #[track_caller]
    fn softmax(&self, axis: isize) -> Self {
        self.log_softmax(axis).exp()
    }
    /// `x − ln Σ eˣ` along an axis, without overflow.
    #[track_caller]
    fn log_softmax(&self, axis: isize) -> Self {
        let shape = self.shape();
        let keep = shape::reduce_keep(&shape, &[shape::axis("log_softmax", &shape, axis).or_raise()]);
        let whole = self.logsumexp(axis).reshape(&keep);
        let least = Self::constant(f64::NEG_INFINITY);
        if whole.all_finite() {
            return self.clone() - whole;
        }
        let nothing = whole.equal(&least);
        Self::select(&nothing, &least, &(self.clone() - Self::select(&nothing, &Self::constant(0.0), &whole)))
    }
    /// Cross-entropy of logits `[.., classes]` with integer targets `[..]`: `ln Σ eˣ − x[target]`, one per row. Of a
    /// row of nothing but −∞ it is ∞, with derivative 0, as `log_softmax` of it is −∞.
    #[track_caller]
    fn cross_entropy(&self, targets: &Self::Int) -> Self {
        let (whole, target) = (self.logsumexp(-1), self.gather_last(targets));
        if whole.all_finite() {
            return whole - target;
        }
        let nothing = whole.equal(&Self::constant(f64::NEG_INFINITY));
        let infinite = Self::constant(f64::INFINITY);
        Self::select(&nothing, &infinite, &(Self::select(&nothing, &Self::constant(0.0), &whole) - target))
    }
    /// Joins arrays of one shape along a new axis.
    #[track_caller]
    fn stack(parts: &[Self], axis: isize) -> Self {
        let mut longer = Vec::with_capacity(parts.len());
        // Not in a closure: it would not know its caller.
        for part in parts {
            longer.push(part.unsqueeze(axis));
        }
        Self::concat(&longer, axis)
    }
    /// Cuts an axis into parts of the given lengths.
    #[track_caller]
    fn split(&self, lengths: &[usize], axis: isize) -> Vec<Self> {
        let shape = self.shape();
        let position = shape::axis("split", &shape, axis).or_raise();
        shape::split(&shape, position, lengths).or_raise();
        let mut start = 0;
        let mut parts = Vec::with_capacity(lengths.len());
        for &length in lengths {
            parts.push(self.slice(axis, start..start + length));
            start += length;
        }
        parts
    }
    /// Elements `range` along an axis.
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        self.slice_step(axis, range, 1)
    }
    /// A part of this array, to be read or written: elements, rows, ranges, at positions that may be data.
    ///
    /// ```
    /// use antiphon::{Int, NdArray, NdInt, Tensor, grad};
    /// let x = NdArray::from(vec![1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(x.clone().at(1).set(&NdArray::scalar(9.0)), NdArray::from(vec![1.0, 9.0, 3.0, 4.0]));
    /// assert_eq!(x.clone().at(0..2).add(&NdArray::scalar(1.0)), NdArray::from(vec![2.0, 3.0, 3.0, 4.0]));
    /// let table = NdArray::<f64>::zeros(&[2, 3]);
    /// let column = NdInt::constant(2);
    /// assert_eq!(table.at((1, &column)).set(&NdArray::scalar(5.0)).sum(..).item(), 5.0);
    /// // x₀ := x₀·x₁. What was overwritten has no derivative but by what came of it.
    /// let slope = grad(|x| {
    ///     let product = x.get(0) * x.get(1);
    ///     x.at(0).set(&product).sum(..)
    /// }, &x)?;
    /// assert_eq!(slope, NdArray::from(vec![2.0, 2.0, 1.0, 1.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// The array is given by value, and moved: an array that nobody else holds is written in place, in evaluation, in
    /// derivatives, whose backward pass writes adjoints in place, and in compiled code. So a loop that writes an
    /// element a round takes time in proportion to its rounds. What holds an array is a clone, a slice or another view
    /// of it, and in derivatives an operator that needs all of it.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if there are fewer axes than positions, [`Error::Index`] or [`Error::Operand`] for
    /// positions outside.
    #[track_caller]
    fn at(self, position: impl Position<Self>) -> Part<Self> {
        Part::of(self, position)
    }
    /// The part of this array that [`at`](Tensor::at) names, as an array of its own.
    ///
    /// # Errors
    /// As [`at`](Tensor::at); [`Error::Index`] if an integer of the model is out of range.
    #[track_caller]
    fn get(&self, position: impl Position<Self>) -> Self {
        self.clone().at(position).get()
    }
    /// Element `i` along an axis, which disappears.
    #[track_caller]
    fn index(&self, axis: isize, i: usize) -> Self {
        let shape = self.shape();
        let position = shape::axis("index", &shape, axis).or_raise();
        if i >= shape[position] {
            let index = i64::try_from(i).unwrap_or(i64::MAX);
            raise(Error::Index { op: "index", index, len: shape[position], at: At::caller() });
        }
        let rest = shape::reduce(&shape, &[position]);
        self.slice(axis, i..i + 1).reshape(&rest)
    }
    /// Copies side by side, as many as are said for each of the last axes: `numpy.tile`. `[2, 3]` by `[2]` gives `[2,
    /// 6]`.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] or [`Error::Operand`] if no array can be so large.
    #[track_caller]
    fn tile(&self, counts: &[usize]) -> Self {
        shapes::tile(self, counts)
    }
    /// Each element along an axis so many times in a row: `numpy.repeat`, `torch.repeat_interleave`.
    ///
    /// # Errors
    /// As [`tile`](Tensor::tile).
    #[track_caller]
    fn repeat(&self, count: usize, axis: isize) -> Self {
        shapes::repeat(self, count, axis)
    }
    /// Moves elements on along an axis, and those at its end to its beginning: `numpy.roll`. A negative shift moves
    /// them back.
    #[track_caller]
    fn roll(&self, shift: isize, axis: isize) -> Self {
        shapes::roll(self, shift, axis)
    }
    /// Matrices with the elements of the last axis on their diagonal and zeros elsewhere: `[.., n]` gives
    /// `[.., n + |k|, n + |k|]`, where `k` is how far above the main one the diagonal is: `torch.diag_embed`.
    ///
    /// ```
    /// use antiphon::{NdArray, Tensor};
    /// let x = NdArray::from(vec![1.0, 2.0]);
    /// assert_eq!(x.diag(0), NdArray::from_elements(&[2, 2], &[1.0, 0.0, 0.0, 2.0])?);
    /// assert_eq!(x.diag(-1).diagonal(-1), x);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[track_caller]
    fn diag(&self, offset: isize) -> Self {
        shapes::diag(self, offset)
    }
    /// The diagonal of matrices, `offset` above the main one: `[.., m, n]` gives `[.., l]`. `torch.diagonal` of the
    /// last two axes.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if it has fewer than two axes.
    #[track_caller]
    fn diagonal(&self, offset: isize) -> Self {
        shapes::diagonal(self, offset)
    }
    /// The sum of the diagonal: `[.., m, n]` gives `[..]`.
    ///
    /// # Errors
    /// As [`diagonal`](Tensor::diagonal).
    #[track_caller]
    fn trace(&self) -> Self {
        self.diagonal(0).sum(-1)
    }
    /// Matrices with zeros above the diagonal that is `offset` above the main one, whatever was there.
    ///
    /// # Errors
    /// As [`diagonal`](Tensor::diagonal).
    #[track_caller]
    fn tril(&self, offset: isize) -> Self {
        shapes::triangle("tril", self, offset, true)
    }
    /// Matrices with zeros below the diagonal that is `offset` above the main one, whatever was there.
    ///
    /// # Errors
    /// As [`diagonal`](Tensor::diagonal).
    #[track_caller]
    fn triu(&self, offset: isize) -> Self {
        shapes::triangle("triu", self, offset, false)
    }
    /// `aᵢ·bⱼ` of all elements of two arrays: `[m, n]`.
    #[track_caller]
    fn outer(&self, rhs: &Self) -> Self {
        shapes::outer(self, rhs)
    }
    /// Kronecker's product, in which each element stands for itself times the other array: `[.., m, n]` and `[.., p,
    /// q]` give `[.., m·p, n·q]`. As `numpy.kron`, it is of all axes, and there is no batch.
    #[track_caller]
    fn kron(&self, rhs: &Self) -> Self {
        shapes::kron(self, rhs)
    }
    /// The sum of products over pairs of axes, one of this array and one of the other: of the result, the other axes of
    /// this one come first. `numpy.tensordot`; [`einsum`](crate::einsum) names axes.
    ///
    /// ```
    /// use antiphon::{NdArray, Tensor};
    /// let a = NdArray::<f64>::ones(&[2, 3, 4]);
    /// assert_eq!(a.tensordot(&NdArray::ones(&[4, 5, 2]), &[2, 0], &[0, 2]), NdArray::full(&[3, 5], 8.0));
    /// ```
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if the axes of a pair have different lengths, or the lists do; [`Error::Operand`] for
    /// an axis that is none.
    #[track_caller]
    fn tensordot(&self, rhs: &Self, axes: &[isize], rhs_axes: &[isize]) -> Self {
        shapes::tensordot(self, rhs, axes, rhs_axes)
    }
    /// Maximum of each window of `[batch, channels, h, w]`; the padding never wins.
    #[track_caller]
    fn max_pool2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        let windows = self.unfold2d(kernel, window);
        if window.padding == [0, 0] {
            return windows.max(2);
        }
        let inside = self.ones_like().unfold2d(kernel, window).greater(&Self::constant(0.5));
        Self::select(&inside, &windows, &Self::constant(f64::NEG_INFINITY)).max(2)
    }
    /// Mean of each window of `[batch, channels, h, w]`; padding counts as zeros.
    #[track_caller]
    fn avg_pool2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        self.unfold2d(kernel, window).mean(2)
    }
    /// Means of as many windows as are wanted: `[batch, channels, h, w]` gives `[batch, channels, rows, columns]`.
    /// Window `i` of `n` along an axis goes from `⌊i·h/n⌋` to before `⌈(i + 1)·h/n⌉`, as in
    /// `torch.nn.AdaptiveAvgPool2d`.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if it has not four axes, or there are no windows or more than elements along an axis.
    #[track_caller]
    fn adaptive_avg_pool2d(&self, size: [usize; 2]) -> Self {
        convolutions::adaptive_pool2d("adaptive_avg_pool2d", self, size, Pooled::Mean)
    }
    /// Maxima of the windows of [`adaptive_avg_pool2d`](Tensor::adaptive_avg_pool2d).
    ///
    /// # Errors
    /// As [`adaptive_avg_pool2d`](Tensor::adaptive_avg_pool2d).
    #[track_caller]
    fn adaptive_max_pool2d(&self, size: [usize; 2]) -> Self {
        convolutions::adaptive_pool2d("adaptive_max_pool2d", self, size, Pooled::Largest)
    }
    /// Cross-correlation along one axis: `[batch, channels, w]` with `[out, channels/groups, k]` gives
    /// `[batch, out, columns]`. As [`convolve2d`](Tensor::convolve2d).
    ///
    /// ```
    /// use antiphon::{Border, Convolution, NdArray, Tensor};
    /// let x = NdArray::from_elements(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0])?;
    /// let sums = NdArray::<f64>::ones(&[1, 1, 3]);
    /// let same = Convolution { border: Border::Same, ..Convolution::default() };
    /// assert_eq!(x.conv1d(&sums, &same).reshape(&[4]), NdArray::from(vec![3.0, 6.0, 9.0, 7.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`convolve2d`](Tensor::convolve2d).
    #[track_caller]
    fn conv1d(&self, kernel: &Self, options: &Convolution<1>) -> Self {
        convolutions::conv1d(self, kernel, options)
    }
    /// [`conv_transpose2d`](Tensor::conv_transpose2d) along one axis: `[batch, channels, w]` with
    /// `[channels, out/groups, k]` gives `[batch, out, columns]`, as `torch.nn.functional.conv_transpose1d` with
    /// `output_padding = further`.
    ///
    /// ```
    /// use antiphon::{Convolution, NdArray, Tensor};
    /// let x = NdArray::from_elements(&[1, 1, 2], &[1.0, 10.0])?;
    /// let kernel = NdArray::from_elements(&[1, 1, 3], &[1.0, 2.0, 3.0])?;
    /// let wide = Convolution { stride: [2], ..Convolution::default() };
    /// let y = x.conv_transpose1d(&kernel, &wide, 0);
    /// assert_eq!(y.reshape(&[5]), NdArray::from(vec![1.0, 2.0, 13.0, 20.0, 30.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`conv_transpose2d`](Tensor::conv_transpose2d).
    #[track_caller]
    fn conv_transpose1d(&self, kernel: &Self, options: &Convolution<1>, further: usize) -> Self {
        convolutions::conv_transpose1d(self, kernel, options, further)
    }
    /// [`conv2d`](Tensor::conv2d) with dilation, groups, and borders of each side: `[batch, channels, h, w]` with
    /// `[out, channels/groups, kh, kw]` gives `[batch, out, rows, columns]`, as `torch.nn.functional.conv2d`:
    /// `y[b,o,r,c] = Σ x[b,i, r·s₀+u·d₀−p₀, c·s₁+v·d₁−p₁]·kernel[o,i,u,v]` over the channels `i` of the group of `o`.
    /// Zeros of a border that [`conv2d`](Tensor::conv2d) does not have (with dilation, and where one side has more) are
    /// multiplied.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if the axes are not four, the channels do not fit the groups or the kernel, a stride
    /// or dilation is 0, or the window does not fit.
    #[track_caller]
    fn convolve2d(&self, kernel: &Self, options: &Convolution<2>) -> Self {
        convolutions::convolve2d(self, kernel, options)
    }
    /// The adjoint of [`convolve2d`](Tensor::convolve2d) by its image, as an operator: `[batch, channels, h, w]` with
    /// `[channels, out/groups, kh, kw]` gives `[batch, out, rows, columns]`, as `torch.nn.functional.conv_transpose2d`
    /// with `output_padding = further`. The number of rows is `(h − 1)·s₀ + (kh − 1)·d₀ + 1 + further₀`, less the
    /// border, which is cut off.
    ///
    /// # Errors
    /// As [`convolve2d`](Tensor::convolve2d), and if `further` is not less than stride or dilation, the border is
    /// [`Border::Same`](crate::Border::Same), or nothing is left.
    #[track_caller]
    fn conv_transpose2d(&self, kernel: &Self, options: &Convolution<2>, further: [usize; 2]) -> Self {
        convolutions::conv_transpose2d(self, kernel, options, further)
    }
    /// Zeroes each element with probability `rate`, from 0 to 1, and scales the others by `1/(1 − rate)`; which ones
    /// is a function of `seed`.
    #[track_caller]
    fn dropout(&self, rate: f64, seed: &Self::Int) -> Self {
        if !(0.0..=1.0).contains(&rate) {
            let reason = format!("the rate {rate} is not between 0 and 1");
            raise(Error::Argument { op: "dropout", reason, at: At::caller() });
        }
        if rate == 1.0 {
            return self.zeros_like();
        }
        let kept = Self::uniform(&self.shape(), seed).greater_equal(&Self::constant(rate));
        self.clone() * Self::from_mask(&kept) * (1.0 / (1.0 - rate))
    }
    /// `leaf(node)` of the leaves and `inner(node, left, right)`, given the results of its children, of the other
    /// nodes, from the leaves of a tree up to its root: [`fold`](crate::language::control::fold) where the shape of the
    /// tree is data.
    ///
    /// It is [`fix`](crate::Control::fix) of a function of the node's number: recursion in every interpretation,
    /// recorded as one local function. Under [`vmap`](crate::vmap) over the roots of many trees in the same arrays
    /// ([`NumberedTree::forest`](crate::control::NumberedTree::forest)), it is loops in which the two functions take as
    /// many nodes at a time as are ready.
    ///
    /// ```
    /// use antiphon::{Int, NdArray, NdInt, Tensor, control::TreeArrays, grad};
    /// // Leaves are weights; inner nodes multiply.
    /// fn product<T: Tensor>(tree: &TreeArrays<T::Int>, weights: &T) -> T {
    ///     T::fold_tree(tree, |node| weights.gather_rows(node), |_, left: T, right| left * right)
    /// }
    /// // ((node 2) · (node 3)) · (node 4)
    /// let ints = |x: [i64; 5]| NdInt::from(x.to_vec());
    /// let (left, right) = (ints([1, 2, -1, -1, -1]), ints([4, 3, -1, -1, -1]));
    /// let tree = TreeArrays { left, right, root: NdInt::constant(0) };
    /// let weights = NdArray::from(vec![0.0, 0.0, 2.0, 3.0, 5.0]);
    /// assert_eq!(product(&tree, &weights).item(), 30.0);
    /// let slope = grad(|w| product(&tree, &w), &weights)?;
    /// assert_eq!(slope, NdArray::from(vec![0.0, 0.0, 15.0, 10.0, 6.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// Raises [`Error::Index`] for a child or root that is no node, and [`Error::StackExhausted`] if the tree is too
    /// deep for the stack, or its arrays go round in circles; [`Error::Argument`] for both of them where many
    /// trees are folded at once. Where a model is compiled, running its code returns them.
    #[track_caller]
    fn fold_tree<S: State<Self>>(
        tree: &TreeArrays<Self::Int>,
        leaf: impl Fn(&Self::Int) -> S,
        inner: impl Fn(&Self::Int, S, S) -> S,
    ) -> S {
        fold_arrays(Site::caller("fold_tree"), tree, leaf, inner)
    }
    /// `(carry, y_i) = step(carry, x_i)` over the first axis of all arrays of a structure; returns the last carry and
    /// the `y_i`, each array of theirs stacked along a new first axis. As [`scan`](crate::control::scan), it is
    /// recorded as a loop.
    ///
    /// Where there is no row, the step is run on zeros once, for the shapes of its results, and the carry is `init`.
    ///
    /// ```
    /// use antiphon::{NdArray, Tensor};
    /// type Array = NdArray<f64>;
    /// let xs = (Array::from(vec![1.0, 2.0, 3.0]), Array::from(vec![0.5, 1.0, 2.0]));
    /// let (total, (products, sums)) = Array::scan_rows(Array::scalar(0.0), &xs, |sum: Array, (x, w): (Array, Array)| {
    ///     let product = x * w;
    ///     let sum = sum + &product;
    ///     (sum.clone(), (product, sum))
    /// })?;
    /// assert_eq!(total.item(), 8.5);
    /// assert_eq!((products, sums), (Array::from(vec![0.5, 2.0, 6.0]), Array::from(vec![0.5, 2.5, 8.5])));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Operand`] for a scalar; [`Error::Shape`] for arrays of different numbers of rows; [`Error::Argument`]
    /// for truth values, and if there is no array. Raises [`Error::Shape`] if the `y_i` have different shapes, and
    /// [`Error::Argument`] if they have integers.
    #[track_caller]
    fn scan_rows<S: State<Self>, X: State<Self>, Y: State<Self>>(
        init: S,
        xs: &X,
        step: impl Fn(S, X) -> (S, Y),
    ) -> Result<(S, Y)> {
        rows_in_order::<Self, S, X, Y>(Order::Forward, init, xs, step)
    }
    /// [`scan_rows`](Tensor::scan_rows) from the last row to the first; the `y_i` stand where their rows do.
    ///
    /// # Errors
    /// As [`scan_rows`](Tensor::scan_rows).
    #[track_caller]
    fn scan_rows_back<S: State<Self>, X: State<Self>, Y: State<Self>>(
        init: S,
        xs: &X,
        step: impl Fn(S, X) -> (S, Y),
    ) -> Result<(S, Y)> {
        rows_in_order::<Self, S, X, Y>(Order::Back, init, xs, step)
    }
    /// [`scan_rows`](Tensor::scan_rows), of which reverse mode keeps a limited number of carries, and computes the
    /// others again: loops in loops, of which each is a [`checkpoint`](crate::Control::checkpoint), as those of
    /// [`checkpointed_loop`](crate::Control::checkpointed_loop) are in compiled code. The results of the steps are
    /// kept, being results. What the step uses of a derivative's variables besides carry and row is `shared`.
    ///
    /// ```
    /// use antiphon::control::Checkpoints;
    /// use antiphon::{NdArray, OrRaise, Tensor, grad};
    /// /// The squares of states that a weight draws towards inputs.
    /// fn energy<T: Tensor>((w, xs): (T, T), checkpoints: Checkpoints) -> T {
    ///     let begin = T::constant(0.0);
    ///     let step = |w: &T, h: T, x: T| {
    ///         let h = (h * w + x).tanh();
    ///         (h.clone(), h.square())
    ///     };
    ///     let (_, squares): (T, T) = T::checkpointed_scan(&w, begin, &xs, checkpoints, step).or_raise();
    ///     squares.sum(..)
    /// }
    /// let inputs = (NdArray::scalar(0.9), NdArray::<f64>::full(&[1000], 0.1));
    /// let (by_w, _) = grad(|x| energy(x, Checkpoints::Count(20)), &inputs)?;
    /// let (kept, _) = grad(|x| energy(x, Checkpoints::Count(1000)), &inputs)?;
    /// assert!((by_w.item() - kept.item()).abs() < 1e-9);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`scan_rows`](Tensor::scan_rows). Raises [`Error::Argument`] if no carry is to be kept.
    #[track_caller]
    fn checkpointed_scan<C, S, X, Y>(
        shared: &C,
        init: S,
        xs: &X,
        checkpoints: Checkpoints,
        step: impl Fn(&C, S, X) -> (S, Y) + 'static,
    ) -> Result<(S, Y)>
    where
        C: Confined<Self>,
        S: Confined<Self>,
        X: Confined<Self>,
        Y: Confined<Self>,
    {
        checkpointed_scan::<Self, C, S, X, Y, _>(shared, init, xs, checkpoints, step)
    }
    /// `(x − mean)/√(variance + ε)` along an axis, of which the variance is divided by the number of elements (Ba,
    /// Kiros & Hinton 2016): what [`LayerNorm`](crate::nn::LayerNorm) multiplies by its gain.
    #[must_use]
    #[track_caller]
    fn standardize(&self, axis: isize, epsilon: f64) -> Self {
        norms::standardize(self, axis, epsilon)
    }
    /// `x/√(mean x² + ε)` along an axis (Zhang & Sennrich 2019): what [`RmsNorm`](crate::nn::RmsNorm) multiplies by its
    /// gain.
    #[must_use]
    #[track_caller]
    fn divide_by_rms(&self, axis: isize, epsilon: f64) -> Self {
        norms::divide_by_rms(self, axis, epsilon)
    }
    /// `f(x)`, of which it is known that its Lipschitz constant is at most this: under
    /// [`auto_lip`](crate::lipschitz::auto_lip) it is taken for it, and not what is found for the operators of `f`.
    /// Everywhere else it is `f(x)`.
    ///
    /// ```
    /// use antiphon::lipschitz::{Bound, Domain, auto_lip};
    /// use antiphon::{NdArray, Real, Tensor};
    /// // What is left of a vector without its mean.
    /// fn projection<T: Tensor>(x: &T) -> T {
    ///     T::lipschitz_at_most(x, 1.0, |x| x.clone() - x.mean(0))
    /// }
    /// let everywhere = Domain::Everywhere(NdArray::<f64>::zeros(&[4]));
    /// let bound = auto_lip(|x: Bound<NdArray<f64>>| projection(&x), &everywhere)?;
    /// assert!((bound.value - 1.0).abs() < 1e-12, "and not 2, that of a difference of two");
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[track_caller]
    fn lipschitz_at_most(x: &Self, _constant: f64, f: impl FnOnce(&Self) -> Self) -> Self {
        f(x)
    }
    /// Gaussian error linear unit, `x·½(1 + erf(x/√2))` (Hendrycks & Gimpel 2016).
    #[track_caller]
    fn gelu(&self) -> Self {
        self.clone() * ((self.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5
    }
}
