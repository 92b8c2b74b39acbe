//! Array operators: linear ones with their norms, and those of several operands.

use std::f64::consts::SQRT_2;
use std::ops;

use super::linear::{Repeated, multiplicity};
use super::range::{Range, largest};
use super::{Bound, Call, Content, Factor, Joint, linear, spectral};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::at::Write;
use crate::language::composed::norms::Norm;
use crate::language::custom::CustomOperator;
use crate::language::host::{Call as HostCall, HostOperator, shapes};
use crate::language::real::Real;
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::INTERNAL;

use super::integer::{BoundBool, BoundInt};

const OPERAND: &str = "its operand's is";

/// What a sum of so many terms may be wrong by, relative to what it is of.
fn rounding<T: Tensor>(terms: usize) -> f64 {
    (64.0 + terms as f64) * T::precision(INTERNAL)
}

/// The norm of a product as a function of one operand, by the other one.
type NormOf<'a, T> = &'a dyn Fn(&T) -> Factor<T>;

impl<T: Tensor> Bound<T> {
    /// An operator that moves elements, or is linear with coefficients that are not negative: it works on both ends of
    /// a range. Its norm is the factor.
    #[track_caller]
    fn moved(&self, op: &'static str, factor: f64, f: impl Fn(&T) -> T) -> Bound<T> {
        let at = At::caller();
        operator(at, || match &self.0 {
            Content::Constant(x) => Bound::lift(&f(x)),
            Content::Varying(x) => {
                // Of numbers that are all alike, where no range is known: for the shape.
                let shape = match &x.range {
                    Some(range) => f(&range.low).shape(),
                    None => f(&T::zeros(&x.shape)).shape(),
                };
                let range = x.range.as_ref().map(|range| range.map(&f));
                let call = Call { op, at, why: OPERAND };
                Bound::result(call, shape, range, Joint::Sum, &[(Factor::Number(factor), self)])
            }
        })
    }

    /// An operator that adds up so many numbers at most, with coefficients that are not negative.
    #[track_caller]
    fn added(&self, op: &'static str, factor: f64, terms: usize, f: impl Fn(&T) -> T) -> Bound<T> {
        let at = At::caller();
        match &self.0 {
            Content::Constant(x) => operator(at, || Bound::lift(&f(x))),
            Content::Varying(x) => {
                let moved = self.moved_at(at, op, factor, &f);
                let Some(range) = &x.range else { return moved };
                let error = f(&range.magnitude()).scale(terms as f64 * 2.0 * T::precision(INTERNAL));
                moved.with_range(|range| {
                    Range::within(range.low, range.high, range.bounded, || (error.clone(), error.clone()))
                })
            }
        }
    }

    /// An operator that gives means of two elements of axes, and grows with each.
    #[track_caller]
    fn averaged(&self, op: &'static str, axes: &Axes, f: impl Fn(&T) -> T) -> Bound<T> {
        let at = At::caller();
        let moved = self.moved_at(at, op, 1.0, &f);
        operator(at, || {
            moved.with_range(|range| {
                let size = self.known_range().expect("its result's is known").magnitude().max(axes.clone());
                let error = size.scale(8.0 * T::precision(INTERNAL));
                Range::within(range.low, range.high, range.bounded, || (error.clone(), error.clone()))
            })
        })
    }

    fn moved_at(&self, at: At, op: &'static str, factor: f64, f: &impl Fn(&T) -> T) -> Bound<T> {
        operator(at, || self.moved(op, factor, f))
    }

    /// The same with another range.
    pub(super) fn with_range(self, f: impl FnOnce(Range<T>) -> Range<T>) -> Bound<T> {
        match self.0 {
            Content::Varying(x) => Bound(Content::Varying(std::rc::Rc::new(super::Varying {
                range: x.range.clone().map(f),
                ..x.copy()
            }))),
            constant @ Content::Constant(_) => Bound(constant),
        }
    }

    /// A function of a whole array whose constant is known, and the range of its results.
    #[track_caller]
    fn whole(
        &self,
        op: &'static str,
        factor: f64,
        f: impl Fn(&T) -> T,
        range: impl FnOnce(Option<&Range<T>>, &[usize]) -> Option<Range<T>>,
    ) -> Bound<T> {
        let at = At::caller();
        operator(at, || match &self.0 {
            Content::Constant(x) => Bound::lift(&f(x)),
            Content::Varying(x) => {
                let shape = f(&T::zeros(&x.shape)).shape();
                let range = range(x.range.as_ref(), &shape);
                let call = Call { op, at, why: OPERAND };
                Bound::result(call, shape, range, Joint::Sum, &[(Factor::Number(factor), self)])
            }
        })
    }

    /// The number of elements of axes.
    #[track_caller]
    fn count(&self, op: &'static str, axes: &Axes) -> usize {
        let shape = self.extent();
        shape::axes(op, axes, &shape).or_raise().iter().map(|&axis| shape[axis]).product()
    }

    /// A product that is linear in both operands: the range, and the norms as a function of each.
    #[track_caller]
    fn bilinear(
        op: &'static str,
        operands: [&Bound<T>; 2],
        f: impl Fn(&T, &T) -> T,
        terms: usize,
        norms: [NormOf<'_, T>; 2],
    ) -> Bound<T> {
        let at = At::caller();
        let [a, b] = operands;
        operator(at, || {
            if let (Content::Constant(a), Content::Constant(b)) = (&a.0, &b.0) {
                return Bound::lift(&f(a, b));
            }
            let shape = f(&T::zeros(&a.extent()), &T::zeros(&b.extent())).shape();
            let known = a.known_range().zip(b.known_range()).filter(|(a, b)| a.bounded && b.bounded);
            let range = known.map(|(x, y)| linear::product(&x, &y, &f, terms));
            // The norm by an operand is that of the other one, or of the largest absolute values that this has.
            let factor = |of: &Bound<T>, by: &Bound<T>, norm: NormOf<'_, T>| match (&of.0, &by.0) {
                (Content::Constant(_), _) => Factor::Number(0.0),
                (_, Content::Constant(x)) => norm(x),
                (_, Content::Varying(x)) => match &x.range {
                    Some(range) if range.bounded => norm(&range.magnitude()),
                    _ => Factor::Number(f64::INFINITY),
                },
            };
            let factors = [factor(a, b, norms[0]), factor(b, a, norms[1])];
            let call = Call { op, at, why: "the range of the other operand is not bounded" };
            let [left, right] = factors;
            Bound::result(call, shape, range, Joint::Sum, &[(left, a), (right, b)])
        })
    }
}

impl<T: Tensor> Tensor for Bound<T> {
    fn shape(&self) -> Shape {
        self.extent()
    }
    #[track_caller]
    fn full(shape: &[usize], value: f64) -> Self {
        Self::lift(&T::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        T::from_elements(shape, elements).map(|value| Self::lift(&value))
    }
    #[track_caller]
    fn from_mask(mask: &BoundBool<T::Bool>) -> Self {
        match mask.exact() {
            Some(mask) => operator(At::caller(), || Self::lift(&T::from_mask(mask))),
            None => Self::select(mask, &Self::constant(1.0), &Self::constant(0.0)),
        }
    }
    #[track_caller]
    fn uniform(shape: &[usize], seed: &BoundInt<T::Int>) -> Self {
        let at = At::caller();
        operator(at, || match seed.exact() {
            Some(seed) => Self::lift(&T::uniform(shape, seed)),
            None => {
                let call = Call { op: "uniform", at, why: "its seed depends on the input" };
                Bound::unbounded(call, Shape::from_slice(shape), Some(Range::all(shape, 0.0, 1.0)), &[])
            }
        })
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        self.moved("reshape", 1.0, |x| x.reshape(shape))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        self.moved("permute", 1.0, |x| x.permute(order))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        let (from, to) = (shape::size(&self.extent()), shape::size(shape));
        let factor = if from == 0 { 1.0 } else { ((to as f64) / (from as f64)).sqrt() };
        self.moved("broadcast_to", factor, |x| x.broadcast_to(shape))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let count = self.count("sum", &axes);
        self.added("sum", (count as f64).sqrt(), count, |x| x.sum(axes.clone()))
    }
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        self.moved("max", 1.0, |x| x.max(axes.clone()))
    }
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let f = |x: &T| x.logsumexp(axes.clone());
        let terms = self.count("logsumexp", &axes);
        self.whole("logsumexp", 1.0, f, |range, _| {
            range.map(|range| {
                // It may be near zero where what it is of is not.
                let error = |x: &T| match terms {
                    0 => T::zeros(&f(x).shape()),
                    _ => x
                        .abs()
                        .max(axes.clone())
                        .offset(1.0 + (terms as f64).ln())
                        .scale(rounding::<T>(terms)),
                };
                let ends = (f(&range.low), f(&range.high));
                Range::within(ends.0, ends.1, range.bounded, || (error(&range.low), error(&range.high)))
            })
        })
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> BoundInt<T::Int> {
        operator(At::caller(), || match &self.0 {
            Content::Constant(x) => BoundInt::lift(&x.argmax(axis)),
            Content::Varying(x) => BoundInt::unknown(T::zeros(&x.shape).argmax(axis)),
        })
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        let terms = self.extent().last().copied().unwrap_or(1);
        let batch = |x: &Self| shape::size(&x.extent()[..x.extent().len().saturating_sub(2)]);
        let shape = T::zeros(&self.extent()).batch_matmul(&T::zeros(&rhs.extent())).shape();
        let all = shape::size(&shape[..shape.len() - 2]);
        // Matrices that are repeated along a batch count as often.
        let left = Repeated { times: all / batch(self).max(1) };
        let right = Repeated { times: all / batch(rhs).max(1) };
        Self::bilinear(
            "batch_matmul",
            [self, rhs],
            |a, b| a.batch_matmul(b),
            terms,
            [&|b| left.norm(b), &|a| right.norm(a)],
        )
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        let at = At::caller();
        operator(at, || {
            let constants: Option<Vec<T>> = parts.iter().map(|x| x.constant_value().cloned()).collect();
            if let Some(constants) = constants {
                return Self::lift(&T::concat(&constants, axis));
            }
            let like: Vec<T> = parts.iter().map(|x| T::zeros(&x.extent())).collect();
            let shape = T::concat(&like, axis).shape();
            let ranges: Option<Vec<Range<T>>> = parts.iter().map(Bound::known_range).collect();
            let range = ranges.map(|ranges| {
                let end =
                    |end: fn(&Range<T>) -> T| T::concat(&ranges.iter().map(end).collect::<Vec<T>>(), axis);
                Range {
                    low: end(|range| range.low.clone()),
                    high: end(|range| range.high.clone()),
                    bounded: ranges.iter().all(|range| range.bounded),
                }
            });
            let operands: Vec<(Factor<T>, &Self)> = parts.iter().map(|x| (Factor::ONE, x)).collect();
            let call = Call { op: "concat", at, why: OPERAND };
            Bound::result(call, shape, range, Joint::Apart, &operands)
        })
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: ops::Range<usize>, step: usize) -> Self {
        self.moved("slice_step", 1.0, |x| x.slice_step(axis, range.clone(), step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        self.moved("pad", 1.0, |x| x.pad(axis, padding))
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        self.moved("flip", 1.0, |x| x.flip(axis))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &BoundInt<T::Int>) -> Self {
        let at = At::caller();
        match indices.exact() {
            Some(indices) => operator(at, || {
                self.moved("gather_rows", multiplicity(indices).sqrt(), |x| x.gather_rows(indices))
            }),
            None => operator(at, || {
                let like =
                    T::zeros(&self.extent()).gather_rows(&T::zeros(&IntTensor::shape(indices)).to_int());
                let shape = like.shape();
                // Any of the rows.
                let range = self.known_range().map(|range| Range {
                    low: range.low.min(0).broadcast_to(&shape),
                    high: range.high.max(0).broadcast_to(&shape),
                    bounded: range.bounded,
                });
                let call = Call { op: "gather_rows", at, why: "an index depends on the input" };
                Bound::unbounded(call, shape, range, &[self])
            }),
        }
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &BoundInt<T::Int>, rows: usize) -> Self {
        let at = At::caller();
        operator(at, || match indices.exact() {
            Some(indices) => {
                let most = multiplicity(indices);
                self.added("scatter_rows", most.sqrt(), most as usize, |x| x.scatter_rows(indices, rows))
            }
            None => {
                let like = T::zeros(&IntTensor::shape(indices)).to_int();
                let shape = T::zeros(&self.extent()).scatter_rows(&like, rows).shape();
                let call = Call { op: "scatter_rows", at, why: "an index depends on the input" };
                Bound::unbounded(call, shape, None, &[self])
            }
        })
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &BoundInt<T::Int>, rows: &Self) -> Self {
        let at = At::caller();
        operator(at, || {
            let Some(indices) = indices.exact() else {
                let call = Call { op: "write_rows", at, why: "an index depends on the input" };
                return Bound::unbounded(call, self.extent(), None, &[&self, rows]);
            };
            if let (Content::Constant(x), Content::Constant(rows)) = (&self.0, &rows.0) {
                return Bound::lift(&x.clone().write_rows(write, axes, indices, rows));
            }
            let shape = self.extent();
            let range = self.known_range().zip(rows.known_range()).map(|(x, rows)| {
                let end = |x: T, rows: &T| x.write_rows(write, axes, indices, rows);
                let (low, high) = (end(x.low, &rows.low), end(x.high, &rows.high));
                let most = if write == Write::Add { 2.0 * (multiplicity(indices) + 1.0) } else { 0.0 };
                Range::rounded(low, high, x.bounded && rows.bounded, most)
            });
            let call = Call { op: "write_rows", at, why: OPERAND };
            let (joint, factor) = match write {
                Write::Add => (Joint::Sum, multiplicity(indices).sqrt()),
                Write::Set { .. } => (Joint::Apart, 1.0),
            };
            let operands = [(Factor::ONE, &self), (Factor::Number(factor), rows)];
            Bound::result(call, shape, range, joint, &operands)
        })
    }
    #[track_caller]
    fn gather_last(&self, indices: &BoundInt<T::Int>) -> Self {
        let at = At::caller();
        operator(at, || match indices.exact() {
            Some(indices) => self.moved("gather_last", 1.0, |x| x.gather_last(indices)),
            None => {
                let range = self.known_range().map(|range| Range {
                    low: range.low.min(-1),
                    high: range.high.max(-1),
                    bounded: range.bounded,
                });
                let call = Call { op: "gather_last", at, why: "an index depends on the input" };
                Bound::unbounded(call, IntTensor::shape(indices), range, &[self])
            }
        })
    }
    #[track_caller]
    fn scatter_last(&self, indices: &BoundInt<T::Int>, n: usize) -> Self {
        let at = At::caller();
        operator(at, || match indices.exact() {
            Some(indices) => self.moved("scatter_last", 1.0, |x| x.scatter_last(indices, n)),
            None => {
                let mut shape = self.extent();
                shape.push(n);
                let call = Call { op: "scatter_last", at, why: "an index depends on the input" };
                Bound::unbounded(call, shape, None, &[self])
            }
        })
    }
    #[track_caller]
    fn host<O: HostOperator>(op: &O, operands: &[&Self]) -> Self {
        let at = At::caller();
        operator(at, || {
            let constants: Option<Vec<&T>> = operands.iter().map(|x| x.constant_value()).collect();
            if let Some(constants) = constants {
                return Self::lift(&T::host(op, &constants));
            }
            let values: Vec<Self> = operands.iter().map(|&x| x.clone()).collect();
            if let Some(composed) = op.composed(&values) {
                return composed;
            }
            let shape = HostCall::of(op, &shapes(operands)).or_raise().result();
            let call = Call { op: op.name(), at, why: "an operator of the host, of which no bound is known" };
            let factors: Vec<(Factor<T>, &Self)> = operands.iter().map(|&x| (Factor::INFINITE, x)).collect();
            Bound::result(call, shape, None, Joint::Sum, &factors)
        })
    }
    #[track_caller]
    fn custom<O: CustomOperator>(op: &O, operands: &[&Self]) -> Self {
        operator(At::caller(), || {
            let values: Vec<Self> = operands.iter().map(|&x| x.clone()).collect();
            op.value(&values)
        })
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        let [image, kernels] = [self, kernel].map(Bound::extent);
        shape::conv2d(&image, &kernels, window).or_raise();
        let terms = kernels[1..].iter().product();
        let size = [image[2], image[3]];
        Self::bilinear(
            "conv2d",
            [self, kernel],
            |x, w| x.conv2d(w, window),
            terms,
            [
                &|w| linear::convolution(w, size, window),
                // Each element of the kernel meets each place once.
                &|x| linear::of_kernel(x, [kernels[2], kernels[3]], window),
            ],
        )
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        let [y_bar, kernels] = [self, kernel].map(Bound::extent);
        let terms =
            kernels.first().copied().unwrap_or(1) * kernels.get(2..).map_or(1, |rest| rest.iter().product());
        let image = T::zeros(&y_bar).conv2d_image(&T::zeros(&kernels), size, window).shape();
        Self::bilinear(
            "conv2d_image",
            [self, kernel],
            |g, w| g.conv2d_image(w, size, window),
            terms,
            [&|w| linear::convolution(w, size, window), &|g| linear::by_kernel(g, &kernels, &image, window)],
        )
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        let [image, results] = [self, y_bar].map(Bound::extent);
        let terms =
            results.first().copied().unwrap_or(1) * results.get(2..).map_or(1, |rest| rest.iter().product());
        let kernels = T::zeros(&image).conv2d_kernel(&T::zeros(&results), size, window).shape();
        Self::bilinear(
            "conv2d_kernel",
            [self, y_bar],
            |x, g| x.conv2d_kernel(g, size, window),
            terms,
            [&|g| linear::by_kernel(g, &kernels, &image, window), &|x| linear::of_kernel(x, size, window)],
        )
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        let most = linear::overlap(&self.extent(), kernel, window);
        self.moved("unfold2d", most.sqrt(), |x| x.unfold2d(kernel, window))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        let shape = [1, 1, size[0], size[1]];
        let most = linear::overlap(&shape, kernel, window);
        self.added("fold2d", most.sqrt(), most as usize, |x| x.fold2d(size, kernel, window))
    }

    // ---- compositions whose constant is known and smaller than that of their parts

    /// ½: the largest eigenvalue of its derivative, `diag(p) − ppᵀ` (Gao & Pavel 2017).
    #[track_caller]
    fn softmax(&self, axis: isize) -> Self {
        self.whole("softmax", 0.5, |x| x.softmax(axis), |_, shape| Some(Range::all(shape, 0.0, 1.0)))
    }
    /// `√n` over n classes: the norm of `I − 1pᵀ` is largest where one probability is 1.
    #[track_caller]
    fn log_softmax(&self, axis: isize) -> Self {
        let shape = self.extent();
        let axis_at = shape::axis("log_softmax", &shape, axis).or_raise();
        let classes = shape[axis_at];
        let factor = if classes < 2 { 0.0 } else { (classes as f64).sqrt() };
        self.whole(
            "log_softmax",
            factor,
            |x| x.log_softmax(axis),
            |range, shape| match range {
                // The least is that of the least logit where all others are the largest.
                Some(range) if range.bounded => {
                    let spread = range.high.max(axis) - range.low.min(axis);
                    let mut keep = Shape::from_slice(shape);
                    keep[axis_at] = 1;
                    let least = -(spread.reshape(&keep).broadcast_to(shape) + (classes as f64).ln());
                    let zeros = T::zeros(shape);
                    Some(Range::rounded(least, zeros, true, 64.0))
                }
                _ => Some(Range::all(shape, f64::NEG_INFINITY, 0.0)),
            },
        )
    }
    /// `√2` of each row: `|p − e_target|`.
    #[track_caller]
    fn cross_entropy(&self, targets: &BoundInt<T::Int>) -> Self {
        let Some(targets) = targets.exact() else { return self.logsumexp(-1) - self.gather_last(targets) };
        self.whole(
            "cross_entropy",
            SQRT_2,
            |x| x.cross_entropy(targets),
            |range, shape| match range {
                Some(range) if range.bounded => {
                    let classes = range.low.shape().last().copied().unwrap_or(1);
                    let spread = range.high.max(-1) - range.low.min(-1) + (classes as f64).ln();
                    Some(Range::rounded(T::zeros(shape), spread, true, 64.0))
                }
                _ => Some(Range::all(shape, 0.0, f64::INFINITY)),
            },
        )
    }
    #[track_caller]
    fn norm(&self, norm: Norm, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let count = self.count("norm", &axes);
        let factor = if matches!(norm, Norm::One) { (count as f64).sqrt() } else { 1.0 };
        let f = |x: &T| x.norm(norm, axes.clone());
        self.whole("norm", factor, f, |range, shape| match range {
            Some(range) if range.bounded => {
                let (low, high) = (f(&range.nearest_to_zero()), f(&range.magnitude()));
                Some(Range::rounded(low, high, true, 4.0 * count as f64))
            }
            _ => Some(Range::all(shape, 0.0, f64::INFINITY)),
        })
    }
    /// 1: two arrays are no farther apart when both are sorted.
    #[track_caller]
    fn sort(&self, axis: isize) -> Self {
        self.moved("sort", 1.0, |x| x.sort(axis))
    }
    #[track_caller]
    fn argsort(&self, axis: isize) -> BoundInt<T::Int> {
        operator(At::caller(), || match &self.0 {
            Content::Constant(x) => BoundInt::lift(&x.argsort(axis)),
            Content::Varying(x) => BoundInt::unknown(T::zeros(&x.shape).argsort(axis)),
        })
    }
    #[track_caller]
    fn topk(&self, k: usize, axis: isize) -> (Self, BoundInt<T::Int>) {
        let values = self.moved("topk", 1.0, |x| x.topk(k, axis).0);
        let indices = operator(At::caller(), || match &self.0 {
            Content::Constant(x) => BoundInt::lift(&x.topk(k, axis).1),
            Content::Varying(x) => BoundInt::unknown(T::zeros(&x.shape).topk(k, axis).1),
        });
        (values, indices)
    }
    #[track_caller]
    fn median(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        // A mean of two elements, whose size is that of one of all at most.
        self.averaged("median", &axes, |x| x.median(axes.clone()))
    }
    #[track_caller]
    fn quantile(&self, q: f64, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        self.averaged("quantile", &axes, |x| x.quantile(q, axes.clone()))
    }
    #[track_caller]
    fn searchsorted(&self, x: &Self, side: crate::Side) -> BoundInt<T::Int> {
        operator(At::caller(), || match (&self.0, &x.0) {
            (Content::Constant(edges), Content::Constant(x)) => BoundInt::lift(&edges.searchsorted(x, side)),
            _ => BoundInt::unknown(T::zeros(&self.extent()).searchsorted(&T::zeros(&x.extent()), side)),
        })
    }
    /// `√(1 − 1/n)/√n`… at most `1/√n`: the deviation from the mean is a projection.
    #[track_caller]
    fn std(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        let count = self.count("std", &axes).max(1) as f64;
        let f = |x: &T| x.std(axes.clone());
        self.whole("std", 1.0 / count.sqrt(), f, |range, shape| match range {
            Some(range) if range.bounded => {
                let most = (range.high.max(axes.clone()) - range.low.min(axes.clone())) * 0.5;
                Some(Range::rounded(T::zeros(shape), most, true, 16.0))
            }
            _ => Some(Range::all(shape, 0.0, f64::INFINITY)),
        })
    }
    #[track_caller]
    fn standardize(&self, axis: isize, epsilon: f64) -> Self {
        let count = self.count("standardize", &axis.into()).max(1) as f64;
        // Its derivative is a projection divided by the deviation, of which √ε is the least.
        let f = |x: &T| x.standardize(axis, epsilon);
        self.whole("standardize", 1.0 / epsilon.sqrt(), f, |_, shape| {
            Some(Range::all(shape, -count.sqrt(), count.sqrt()))
        })
    }
    #[track_caller]
    fn divide_by_rms(&self, axis: isize, epsilon: f64) -> Self {
        let count = self.count("divide_by_rms", &axis.into()).max(1) as f64;
        let f = |x: &T| x.divide_by_rms(axis, epsilon);
        self.whole("divide_by_rms", 1.0 / epsilon.sqrt(), f, |_, shape| {
            Some(Range::all(shape, -count.sqrt(), count.sqrt()))
        })
    }
    #[track_caller]
    fn lipschitz_at_most(x: &Self, constant: f64, f: impl FnOnce(&Self) -> Self) -> Self {
        let at = At::caller();
        let y = f(x);
        let (Content::Varying(_), Content::Varying(_)) = (&x.0, &y.0) else { return y };
        let call = Call { op: "lipschitz_at_most", at, why: OPERAND };
        // With what rounding adds to a function's value, and to what it is made of.
        let terms = x.extent().last().max(y.extent().last()).copied().unwrap_or(1);
        let rounding = (4.0 * terms as f64 * T::precision(INTERNAL)).max(1e-13);
        let factor = Factor::Number(constant * (1.0 + rounding));
        let range = y.known_range();
        Bound::result(call, y.extent(), range, Joint::Sum, &[(factor, x)])
    }
    #[track_caller]
    fn gelu(&self) -> Self {
        // The derivative is largest at √2, and the value least at −0.7517915….
        let least = -0.169_971_211_5;
        self.whole(
            "gelu",
            1.128_904_145_185_16,
            |x| x.gelu(),
            |range, shape| {
                let upper = range.map(|range| range.high.relu());
                let high = upper.unwrap_or_else(|| T::full(shape, f64::INFINITY));
                let bounded = range.is_some_and(|range| range.bounded);
                Some(Range::rounded(T::full(shape, least), high, bounded, 4.0))
            },
        )
    }
}

/// The largest singular value of matrices, of all of a batch.
pub(super) fn largest_norm<T: Tensor>(x: &T) -> T {
    largest(&spectral::spectral_norm(x))
}
