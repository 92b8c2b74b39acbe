//! [`Tensor`]: the array part of the calculus.

use std::ops::Range;

use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error, Result};
use crate::language::control::continuation_passing::{self, Fill, Leaves, Site};
use crate::language::control::{Order, TreeArrays, fold_arrays, rows_in_order};
use crate::language::custom::CustomOperator;
use crate::language::host::HostOperator;
use crate::language::number::Number;
use crate::language::real::{Int, Mask, Real};
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::state::State;
use crate::sealed::Internal;

/// Arrays of truth values.
pub trait MaskTensor: Mask {
    /// Lengths of the axes.
    fn shape(&self) -> Shape;
    /// The same elements in another shape.
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self;
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
    fn host<O: HostOperator>(_operator: &O, _operands: &[&Self]) -> Self {
        let reason = "this interpretation has no operators of the host".into();
        raise(Error::Argument { op: O::NAME, reason, at: At::caller() })
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
    /// recorded as one local function.
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
    /// deep for the stack, or its arrays go round in circles. Where a model is compiled, running its code
    /// returns them.
    #[track_caller]
    fn fold_tree<S: State<Self>>(
        tree: &TreeArrays<Self::Int>,
        leaf: impl Fn(&Self::Int) -> S,
        inner: impl Fn(&Self::Int, S, S) -> S,
    ) -> S {
        fold_arrays(tree, leaf, inner)
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
    /// Gaussian error linear unit, `x·½(1 + erf(x/√2))` (Hendrycks & Gimpel 2016).
    #[track_caller]
    fn gelu(&self) -> Self {
        self.clone() * ((self.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5
    }
}
