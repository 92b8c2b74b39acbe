//! Array operators: linear ones apply to tangents as they are, the others have a line each.

use std::ops::Range;

use super::control::{components, duals};
use super::{Dual, DualAdjoint};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Fill, Leaves, Site};
use crate::language::custom::{CustomOperator, assert_linear, tangent_of};
use crate::language::derivative_rules;
use crate::language::host::HostOperator;
use crate::language::shape::{self, Axes, Padding, Shape, Window2d};
use crate::language::state::Leaf;
use crate::language::tensor::Tensor;
use crate::sealed::{INTERNAL, Internal};

impl<T: Tensor> Tensor for Dual<T> {
    #[track_caller]
    fn record_rows(
        internal: Internal,
        at: Site,
        shape: &[usize],
        fill: Fill<'_, Self>,
    ) -> (Self, Leaves<Self>) {
        // The array of the tangents goes out with the rest.
        let (primal, rest) = T::record_rows(internal, at, shape, &mut |put_primal| {
            let (tangent, mut rest) = T::record_rows(internal, at, shape, &mut |put_tangent| {
                components(fill(&|index, row: Self| {
                    put_tangent(index, row.tangent());
                    put_primal(index, row.primal);
                }))
            });
            rest.insert(0, Leaf::Real(tangent));
            rest
        });
        let mut rest = rest.into_iter();
        let tangent = rest.next().map(Leaf::real);
        (Dual { primal, tangent }, duals(rest.collect()))
    }
    fn with_adjoint_row(adjoint: &DualAdjoint<T>, index: &T::Int, pull: impl FnOnce(Self)) {
        T::with_adjoint_row(&adjoint.primal, index, |primal| {
            pull(Dual { primal, tangent: Some(T::adjoint_row(&adjoint.tangent, index)) });
        });
    }
    fn adjoint_row(adjoint: &DualAdjoint<T>, index: &T::Int) -> Self {
        let tangent = Some(T::adjoint_row(&adjoint.tangent, index));
        Dual { primal: T::adjoint_row(&adjoint.primal, index), tangent }
    }
    fn open_adjoint(shape: &[usize]) -> DualAdjoint<T> {
        DualAdjoint { primal: T::open_adjoint(shape), tangent: T::open_adjoint(shape) }
    }
    fn accumulate_parts(adjoint: &DualAdjoint<T>, operand: &Self, axes: usize, indices: &T::Int, g: Self) {
        T::accumulate_parts(&adjoint.primal, &operand.primal, axes, indices, g.primal);
        if let Some(tangent) = g.tangent {
            T::accumulate_parts(&adjoint.tangent, &operand.primal, axes, indices, tangent);
        }
    }
    fn accumulate_rows(adjoint: &DualAdjoint<T>, operand: &Self, indices: &T::Int, g: Self) {
        T::accumulate_rows(&adjoint.primal, &operand.primal, indices, g.primal);
        if let Some(tangent) = g.tangent {
            T::accumulate_rows(&adjoint.tangent, &operand.primal, indices, tangent);
        }
    }
    fn shape(&self) -> Shape {
        self.primal.shape()
    }
    fn full(shape: &[usize], value: f64) -> Self {
        Self::constant_of(T::full(shape, value))
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[f64]) -> Result<Self> {
        T::from_elements(shape, elements).map(Self::constant_of)
    }
    fn from_mask(mask: &T::Bool) -> Self {
        Self::constant_of(T::from_mask(mask))
    }
    fn uniform(shape: &[usize], seed: &T::Int) -> Self {
        Self::constant_of(T::uniform(shape, seed))
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        self.linear(|x| x.reshape(shape))
    }
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        self.linear(|x| x.permute(order))
    }
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        self.linear(|x| x.broadcast_to(shape))
    }
    #[track_caller]
    fn sum(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        self.linear(|x| x.sum(axes.clone()))
    }
    /// The tangent is the mean over the elements that attain the maximum.
    #[track_caller]
    fn max(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        operator(At::caller(), || {
            let y = self.primal.max(axes.clone());
            let tangent = self.tangent.as_ref().map(|dx| {
                let attains = T::from_mask(&self.primal.equal(&y.reshape(&self.kept("max", &axes))));
                (attains.clone() * dx).sum(axes.clone()) / attains.sum(axes)
            });
            Dual { primal: y, tangent }
        })
    }
    /// The tangent is the mean weighted by `e^(x−y)`.
    #[track_caller]
    fn logsumexp(&self, axes: impl Into<Axes>) -> Self {
        let axes = axes.into();
        operator(At::caller(), || {
            let y = self.primal.logsumexp(axes.clone());
            let tangent = self.tangent.as_ref().map(|dx| {
                let keep = self.kept("logsumexp", &axes);
                (derivative_rules::shares(&self.primal, y.reshape(&keep)) * dx).sum(axes)
            });
            Dual { primal: y, tangent }
        })
    }
    #[track_caller]
    fn argmax(&self, axis: isize) -> T::Int {
        self.primal.argmax(axis)
    }
    #[track_caller]
    fn batch_matmul(&self, rhs: &Self) -> Self {
        self.bilinear(rhs, |a, b| a.batch_matmul(b))
    }
    #[track_caller]
    fn concat(parts: &[Self], axis: isize) -> Self {
        operator(At::caller(), || {
            let primals: Vec<T> = parts.iter().map(|part| part.primal.clone()).collect();
            let primal = T::concat(&primals, axis);
            let moves = parts.iter().any(|part| part.tangent.is_some());
            let tangent =
                moves.then(|| T::concat(&parts.iter().map(Dual::tangent).collect::<Vec<T>>(), axis));
            Dual { primal, tangent }
        })
    }
    #[track_caller]
    fn slice_step(&self, axis: isize, range: Range<usize>, step: usize) -> Self {
        self.linear(|x| x.slice_step(axis, range.clone(), step))
    }
    #[track_caller]
    fn pad(&self, axis: isize, padding: Padding) -> Self {
        self.linear(|x| x.pad(axis, padding))
    }
    #[track_caller]
    fn host<O: HostOperator>(op: &O, operands: &[&Self]) -> Self {
        operator(At::caller(), || {
            let primals: Vec<T> = operands.iter().map(|x| x.primal.clone()).collect();
            let primal = T::host(op, &primals.iter().collect::<Vec<_>>());
            let tangents: Vec<Option<T>> = operands.iter().map(|x| x.tangent.clone()).collect();
            let tangent = match tangents.iter().any(Option::is_some) {
                true => op.push(&primals, &primal, &tangents).map(|dy| tangent_of(op.name(), &primal, dy)),
                false => None,
            };
            Dual { primal, tangent }
        })
    }
    #[track_caller]
    fn custom<O: CustomOperator>(op: &O, operands: &[&Self]) -> Self {
        let moves = operands.iter().any(|x| x.tangent.is_some());
        assert_linear(O::NAME, O::LINEAR || !moves || !T::is_in_region(INTERNAL));
        operator(At::caller(), || {
            let primals: Vec<T> = operands.iter().map(|x| x.primal.clone()).collect();
            let primal = T::custom(op, &primals.iter().collect::<Vec<_>>());
            let tangents: Vec<Option<T>> = operands.iter().map(|x| x.tangent.clone()).collect();
            let tangent = match tangents.iter().any(Option::is_some) {
                true => op.push(&primals, &primal, &tangents).map(|dy| tangent_of(O::NAME, &primal, dy)),
                false => None,
            };
            Dual { primal, tangent }
        })
    }
    #[track_caller]
    fn flip(&self, axis: isize) -> Self {
        self.linear(|x| x.flip(axis))
    }
    #[track_caller]
    fn gather_rows(&self, indices: &T::Int) -> Self {
        self.linear(|x| x.gather_rows(indices))
    }
    #[track_caller]
    fn scatter_rows(&self, indices: &T::Int, rows: usize) -> Self {
        self.linear(|x| x.scatter_rows(indices, rows))
    }
    #[track_caller]
    fn write_rows(self, write: Write, axes: usize, indices: &T::Int, rows: &Self) -> Self {
        operator(At::caller(), || {
            let tangent = match (self.tangent, &rows.tangent, write) {
                (None, None, _) => None,
                (Some(x), None, Write::Add) => Some(x),
                (Some(x), None, Write::Set { .. }) => {
                    Some(x.write_rows(write, axes, indices, &rows.primal.zeros_like()))
                }
                (x, Some(rows), _) => {
                    let x = x.unwrap_or_else(|| self.primal.zeros_like());
                    Some(x.write_rows(write, axes, indices, rows))
                }
            };
            Dual { primal: self.primal.write_rows(write, axes, indices, &rows.primal), tangent }
        })
    }
    #[track_caller]
    fn read_rows(&self, axes: usize, indices: &T::Int) -> Self {
        self.linear(|x| x.read_rows(axes, indices))
    }
    fn stays_alike(&self, internal: Internal, rows: &Self) -> bool {
        self.primal.stays_alike(internal, &rows.primal)
            && match (&self.tangent, &rows.tangent) {
                (Some(x), Some(rows)) => x.stays_alike(internal, rows),
                (x, rows) => x.is_some() || rows.is_none(),
            }
    }
    #[track_caller]
    fn gather_last(&self, indices: &T::Int) -> Self {
        self.linear(|x| x.gather_last(indices))
    }
    #[track_caller]
    fn scatter_last(&self, indices: &T::Int, n: usize) -> Self {
        self.linear(|x| x.scatter_last(indices, n))
    }
    #[track_caller]
    fn conv2d(&self, kernel: &Self, window: Window2d) -> Self {
        self.bilinear(kernel, |x, w| x.conv2d(w, window))
    }
    #[track_caller]
    fn conv2d_image(&self, kernel: &Self, size: [usize; 2], window: Window2d) -> Self {
        self.bilinear(kernel, |g, w| g.conv2d_image(w, size, window))
    }
    #[track_caller]
    fn conv2d_kernel(&self, y_bar: &Self, size: [usize; 2], window: Window2d) -> Self {
        self.bilinear(y_bar, |x, g| x.conv2d_kernel(g, size, window))
    }
    #[track_caller]
    fn unfold2d(&self, kernel: [usize; 2], window: Window2d) -> Self {
        self.linear(|x| x.unfold2d(kernel, window))
    }
    #[track_caller]
    fn fold2d(&self, size: [usize; 2], kernel: [usize; 2], window: Window2d) -> Self {
        self.linear(|x| x.fold2d(size, kernel, window))
    }
}

impl<T: Tensor> Dual<T> {
    /// The shape with the reduced axes kept at length one.
    #[track_caller]
    fn kept(&self, op: &'static str, axes: &Axes) -> Shape {
        let shape = self.shape();
        shape::reduce_keep(&shape, &shape::axes(op, axes, &shape).or_raise())
    }
}
