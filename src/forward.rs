//! Forward mode: [`Dual`], a value with its tangent.

mod control;

use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use crate::elementwise::{self, for_each_binary, for_each_unary};
use crate::error::{At, Result, operator, part_of_operator};
use crate::real::Real;
use crate::recorded::PutRow;
use crate::sealed::Internal;
use crate::shape::{self, Axes, Padding, Shape, Window2d};
use crate::tensor::Tensor;

/// A value and its derivative in one direction, over the interpretation `T`.
///
/// An absent tangent means zero, so that constants cost nothing.
#[derive(Clone)]
pub struct Dual<T> {
    primal: T,
    tangent: Option<T>,
}

impl<T: Real> Dual<T> {
    /// A value with a tangent of the same shape.
    ///
    /// # Errors
    /// Raises [`Error::Shape`](crate::Error::Shape) if the tangent does not broadcast to the value's shape.
    #[track_caller]
    pub fn new(primal: T, tangent: T) -> Dual<T> {
        let tangent = tangent.broadcast_like(&primal);
        Dual { primal, tangent: Some(tangent) }
    }

    /// A value whose derivative is zero.
    pub fn lift(primal: &T) -> Dual<T> {
        Dual::constant_of(primal.clone())
    }

    /// The value.
    pub fn primal(&self) -> &T {
        &self.primal
    }

    /// The derivative; zeros if the value is constant.
    pub fn tangent(&self) -> T {
        self.tangent.clone().unwrap_or_else(|| self.primal.zeros_like())
    }

    /// The value and its derivative, which is absent if the value is constant.
    pub fn into_parts(self) -> (T, Option<T>) {
        (self.primal, self.tangent)
    }

    fn constant_of(primal: T) -> Dual<T> {
        Dual { primal, tangent: None }
    }

    /// A linear operator: applied to the value and to the tangent.
    #[inline]
    #[track_caller]
    fn linear(&self, f: impl Fn(&T) -> T) -> Dual<T> {
        operator(At::caller(), || Dual { primal: f(&self.primal), tangent: self.tangent.as_ref().map(f) })
    }

    /// A bilinear operator: the product rule.
    #[inline]
    #[track_caller]
    fn bilinear(&self, rhs: &Dual<T>, f: impl Fn(&T, &T) -> T) -> Dual<T> {
        operator(At::caller(), || {
            let primal = f(&self.primal, &rhs.primal);
            let left = self.tangent.as_ref().map(|dx| f(dx, &rhs.primal));
            let right = rhs.tangent.as_ref().map(|dy| f(&self.primal, dy));
            Dual { primal, tangent: plus(left, right) }
        })
    }
}

/// The sum of two tangents, absent ones being zero.
fn plus<T: Real>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl<T: fmt::Debug> fmt::Debug for Dual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dual").field(&self.primal).field(&self.tangent).finish()
    }
}

/// The adjoint of a [`Dual`]: the adjoints of its two components.
pub struct DualAdjoint<T: Real> {
    primal: T::Adjoint,
    tangent: T::Adjoint,
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident($x:ident) -> $y:ident, $dy:ident: $rule:expr;)*) => {
        $(unary_methods!(@method $name $x $y $dy $rule);)*
    };
    (@method neg $x:ident $y:ident $dy:ident $rule:expr) => {};
    (@method $name:ident $x:ident $y:ident $dy:ident $rule:expr) => {
        #[inline]
        #[track_caller]
        #[allow(unused_variables)] // not every rule needs operand and result
        fn $name(&self) -> Self {
            part_of_operator::<T, _>(At::caller(), || {
                let $x = &self.primal;
                let y = T::$name($x);
                let tangent = self.tangent.clone().map(|$dy| {
                    let $y = &y;
                    $rule
                });
                Dual { primal: y, tangent }
            })
        }
    };
}

/// The body of a binary operator: each operand's tangent through its partial derivative.
macro_rules! binary_body {
    ($lhs:expr, $rhs:expr, |$a:ident, $b:ident, $y:ident, $dy:ident| $value:expr, $da:expr, $db:expr) => {{
        let (lhs, rhs): (&Dual<T>, &Dual<T>) = ($lhs, $rhs);
        part_of_operator::<T, _>(At::caller(), || {
            let ($a, $b) = (&lhs.primal, &rhs.primal);
            let y: T = $value;
            let $y = &y;
            let from_a = lhs.tangent.clone().map(|$dy| $da.broadcast_like($y));
            let from_b = rhs.tangent.clone().map(|$dy| $db.broadcast_like($y));
            let tangent = plus(from_a, from_b);
            Dual { primal: y, tangent }
        })
    }};
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => {
        $(binary_methods!(@method $name $a $b $y $dy [$da] [$db]);)*
    };
    (@method add $($rest:tt)*) => {};
    (@method sub $($rest:tt)*) => {};
    (@method mul $($rest:tt)*) => {};
    (@method div $($rest:tt)*) => {};
    (@method $name:ident $a:ident $b:ident $y:ident $dy:ident [$da:expr] [$db:expr]) => {
        #[inline]
        #[track_caller]
        #[allow(unused_variables)] // not every rule needs operands and result
        fn $name(&self, other: &Self) -> Self {
            binary_body!(self, other, |$a, $b, $y, $dy| T::$name($a, $b), $da, $db)
        }
    };
}

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => {
        $(operators!(@operator $name $a $b $y $dy [$da] [$db]);)*
    };
    (@operator add $($rest:tt)*) => { operators!(@implement Add add $($rest)*); };
    (@operator sub $($rest:tt)*) => { operators!(@implement Sub sub $($rest)*); };
    (@operator mul $($rest:tt)*) => { operators!(@implement Mul mul $($rest)*); };
    (@operator div $($rest:tt)*) => { operators!(@implement Div div $($rest)*); };
    (@operator $name:ident $($rest:tt)*) => {};
    (@implement $Trait:ident $name:ident $a:ident $b:ident $y:ident $dy:ident [$da:expr] [$db:expr]) => {
        impl<T: Real> $Trait<&Dual<T>> for Dual<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            #[allow(unused_variables)] // not every rule needs operands and result
            fn $name(self, rhs: &Self) -> Self {
                binary_body!(&self, rhs, |$a, $b, $y, $dy| $Trait::$name($a.clone(), $b), $da, $db)
            }
        }
        impl<T: Real> $Trait for Dual<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        /// On arrays: with a plain number.
        impl<T: Tensor> $Trait<f64> for Dual<T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    };
}
for_each_binary!(operators);

impl<T: Real> Neg for Dual<T> {
    type Output = Self;
    #[inline]
    #[track_caller]
    fn neg(self) -> Self {
        part_of_operator::<T, _>(At::caller(), || Dual {
            primal: -self.primal,
            tangent: self.tangent.map(|dx| -dx),
        })
    }
}

impl<T: Real> Real for Dual<T> {
    type Bool = T::Bool;
    type Int = T::Int;
    type Adjoint = DualAdjoint<T>;
    type Node<V: Real> = T::Node<V>;
    const NESTING: u64 = T::NESTING << 2 | 2;
    const ALLOCATES: bool = T::ALLOCATES;

    for_each_unary!(unary_methods);
    for_each_binary!(binary_methods);

    #[inline]
    fn constant(value: f64) -> Self {
        Self::constant_of(T::constant(value))
    }
    fn detach(&self) -> Self {
        Self::constant_of(self.primal.detach())
    }
    #[inline]
    fn name_with(&self, name: &dyn Fn() -> String) {
        self.primal.name_with(name);
        if let Some(tangent) = &self.tangent {
            tangent.name_with(&|| name() + "_dot");
        }
    }
    fn adjoint(&self) -> DualAdjoint<T> {
        DualAdjoint { primal: self.primal.adjoint(), tangent: self.primal.adjoint() }
    }
    fn accumulate(adjoint: &DualAdjoint<T>, g: Self) {
        T::accumulate(&adjoint.primal, g.primal);
        if let Some(tangent) = g.tangent {
            T::accumulate(&adjoint.tangent, tangent);
        }
    }
    fn accumulate_quiet(adjoint: &DualAdjoint<T>, g: Self) {
        T::accumulate_quiet(&adjoint.primal, g.primal);
        if let Some(tangent) = g.tangent {
            T::accumulate_quiet(&adjoint.tangent, tangent);
        }
    }
    fn quiet(self) -> Self {
        Dual { primal: self.primal.quiet(), tangent: self.tangent.map(T::quiet) }
    }
    fn take_adjoint(adjoint: &DualAdjoint<T>) -> Option<Self> {
        let primal = T::take_adjoint(&adjoint.primal);
        let tangent = T::take_adjoint(&adjoint.tangent);
        primal.map(|primal| Dual { primal, tangent })
    }
    fn accumulate_all(adjoint: &DualAdjoint<T>, from: DualAdjoint<T>) {
        T::accumulate_all(&adjoint.primal, from.primal);
        T::accumulate_all(&adjoint.tangent, from.tangent);
    }
    fn with_adjoint(adjoint: &DualAdjoint<T>, pull: impl FnOnce(Self)) {
        T::with_adjoint(&adjoint.primal, |primal| {
            pull(Dual { primal, tangent: T::take_adjoint(&adjoint.tangent) })
        });
    }
    fn place() -> usize {
        T::place()
    }
    fn leave_for(self, place: usize) -> DualAdjoint<T> {
        let tangent = match self.tangent {
            Some(tangent) => tangent.leave_for(place),
            None => self.primal.adjoint(),
        };
        DualAdjoint { primal: self.primal.leave_for(place), tangent }
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        T::check_broadcast(op, &lhs.primal, &rhs.primal)
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        T::same_shape(&a.primal, &b.primal)
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        self.primal.check_scalar(op)
    }
    fn broadcast_like(&self, like: &Self) -> Self {
        self.linear(|x| x.broadcast_like(&like.primal))
    }
    fn unbroadcast(self, like: &Self) -> Self {
        self.linear(|x| x.clone().unbroadcast(&like.primal))
    }
    fn full_like(&self, value: f64) -> Self {
        Self::constant_of(self.primal.full_like(value))
    }
    fn sign(&self) -> Self {
        Self::constant_of(self.primal.sign())
    }
    fn powi(&self, n: i32) -> Self {
        part_of_operator::<T, _>(At::caller(), || {
            let tangent = self.tangent.clone().map(|dx| elementwise::powi(&self.primal, n, dx));
            Dual { primal: self.primal.powi(n), tangent }
        })
    }
    fn clamp(&self, low: f64, high: f64) -> Self {
        part_of_operator::<T, _>(At::caller(), || {
            let tangent = self.tangent.clone().map(|dx| elementwise::clamp(&self.primal, low, high, dx));
            Dual { primal: self.primal.clamp(low, high), tangent }
        })
    }
    #[track_caller]
    fn less(&self, other: &Self) -> T::Bool {
        self.primal.less(&other.primal)
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> T::Bool {
        self.primal.less_equal(&other.primal)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> T::Bool {
        self.primal.equal(&other.primal)
    }
    #[track_caller]
    fn select(mask: &T::Bool, then: &Self, otherwise: &Self) -> Self {
        let primal = T::select(mask, &then.primal, &otherwise.primal);
        let tangent = match (&then.tangent, &otherwise.tangent) {
            (None, None) => None,
            (a, b) => {
                let zero = T::constant(0.0);
                let chosen = T::select(mask, a.as_ref().unwrap_or(&zero), b.as_ref().unwrap_or(&zero));
                Some(chosen.broadcast_like(&primal))
            }
        };
        Dual { primal, tangent }
    }
    fn from_int(value: &T::Int) -> Self {
        Self::constant_of(T::from_int(value))
    }
}

impl<T: Tensor> Tensor for Dual<T> {
    fn record_rows(internal: Internal, shape: &[usize], fill: &mut dyn FnMut(PutRow<'_, Self>)) -> Self {
        let mut tangent = None;
        let primal = T::record_rows(internal, shape, &mut |put_primal| {
            tangent = Some(T::record_rows(internal, shape, &mut |put_tangent| {
                fill(&|index, row: Self| {
                    put_tangent(index, row.tangent());
                    put_primal(index, row.primal);
                });
            }));
        });
        Dual { primal, tangent }
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
                ((self.primal.clone() - y.reshape(&keep)).exp() * dx).sum(axes)
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
        use crate::error::OrRaise;
        let shape = self.shape();
        shape::reduce_keep(&shape, &axes.resolve(op, &shape).or_raise())
    }
}
