//! Values as elementwise functions of one other value: whether two arms of a branch meet where its condition changes.

use std::rc::Rc;

use super::steps::{Factor, Sides};
use super::{Bound, Content, Varying};
use crate::language::real::Mask;
use crate::language::tensor::Tensor;

/// How large a function may be: what is larger is a value of its own.
const LARGEST: usize = 24;

/// An elementwise function of one value.
pub(super) enum Expression<T> {
    /// The value.
    Base,
    Constant(T),
    Unary(fn(&T) -> T, Rc<Expression<T>>),
    Binary(fn(&T, &T) -> T, Rc<Expression<T>>, Rc<Expression<T>>),
    Powi(Rc<Expression<T>>, i32),
    Clamp(Rc<Expression<T>>, f64, f64),
}

impl<T: Tensor> Expression<T> {
    fn at(&self, x: &T) -> T {
        match self {
            Expression::Base => x.clone(),
            Expression::Constant(value) => value.clone(),
            Expression::Unary(f, a) => f(&a.at(x)),
            Expression::Binary(f, a, b) => f(&a.at(x), &b.at(x)),
            Expression::Powi(a, n) => a.at(x).powi(*n),
            Expression::Clamp(a, low, high) => a.at(x).clamp(*low, *high),
        }
    }
}

/// A value as a function of another one's elements.
pub(super) struct Elementwise<T> {
    /// The step of that value.
    base: Option<usize>,
    /// Its constant.
    lip: T,
    expression: Rc<Expression<T>>,
    /// A bound of the function's derivative, a number.
    slope: T,
    affine: bool,
    size: usize,
}

impl<T: Tensor> Elementwise<T> {
    /// A bound of its derivative.
    pub fn slope(&self) -> &T {
        &self.slope
    }
    /// The constant of the value that it is a function of.
    pub fn base_lip(&self) -> &T {
        &self.lip
    }
    /// Whether both are functions of the same value.
    pub fn has_base_of(&self, other: &Elementwise<T>) -> bool {
        match (self.base, other.base) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }
    pub fn moves(&self) -> bool {
        self.base.is_some()
    }

    /// Where an affine function is zero.
    fn root(&self) -> Option<T> {
        if !self.affine {
            return None;
        }
        let [at_zero, at_one] = [0.0, 1.0].map(|x| self.expression.at(&T::constant(x)));
        let slope = at_one - &at_zero;
        Some(-at_zero / slope)
    }
}

/// What a value is as a function; of itself, if it is none.
pub(super) fn of<T: Tensor>(x: &Bound<T>) -> Rc<Elementwise<T>> {
    match &x.0 {
        Content::Constant(value) => Rc::new(Elementwise {
            base: None,
            lip: T::constant(0.0),
            expression: Rc::new(Expression::Constant(value.clone())),
            slope: T::constant(0.0),
            affine: true,
            size: 1,
        }),
        Content::Varying(x) => of_varying(x),
    }
}

fn of_varying<T: Tensor>(x: &Rc<Varying<T>>) -> Rc<Elementwise<T>> {
    x.of.clone().unwrap_or_else(|| {
        Rc::new(Elementwise {
            base: Some(x.step),
            lip: x.lip.clone(),
            expression: Rc::new(Expression::Base),
            slope: T::constant(1.0),
            affine: true,
            size: 1,
        })
    })
}

/// Says of a result what function it is.
fn with<T: Tensor>(result: Bound<T>, function: Elementwise<T>) -> Bound<T> {
    if function.size > LARGEST {
        return result;
    }
    match result.0 {
        Content::Varying(x) => {
            let x = Rc::try_unwrap(x).unwrap_or_else(|x| copy(&x));
            Bound(Content::Varying(Rc::new(Varying { of: Some(Rc::new(function)), ..x })))
        }
        constant @ Content::Constant(_) => Bound(constant),
    }
}

fn copy<T: Tensor>(x: &Varying<T>) -> Varying<T> {
    Varying {
        shape: x.shape.clone(),
        range: x.range.clone(),
        lip: x.lip.clone(),
        step: x.step,
        of: x.of.clone(),
        steps: x.steps.clone(),
    }
}

/// Says that a result is a function of an operand, whose derivative is at most a factor.
pub(super) fn unary<T: Tensor>(
    x: &Bound<T>,
    factor: &Factor<T>,
    result: Bound<T>,
    f: impl FnOnce(Rc<Expression<T>>) -> Expression<T>,
    affine: bool,
) -> Bound<T> {
    let inner = of(x);
    let function = Elementwise {
        base: inner.base,
        lip: inner.lip.clone(),
        expression: Rc::new(f(inner.expression.clone())),
        slope: factor.value() * &inner.slope,
        affine: affine && inner.affine,
        size: inner.size + 1,
    };
    with(result, function)
}

/// Says that a result is a function of two operands, if both are functions of one value, elementwise.
pub(super) fn binary<T: Tensor>(
    [a, b]: [&Bound<T>; 2],
    slope: T,
    result: Bound<T>,
    f: fn(&T, &T) -> T,
    is_affine: impl FnOnce(bool, bool) -> bool,
) -> Bound<T> {
    let shape = result.extent();
    if [a, b].iter().any(|x| x.varying().is_some() && x.extent() != shape) {
        return result;
    }
    let (x, y) = (of(a), of(b));
    if !x.has_base_of(&y) {
        return result;
    }
    let moving = if x.moves() { &x } else { &y };
    let function = Elementwise {
        base: moving.base,
        lip: moving.lip.clone(),
        expression: Rc::new(Expression::Binary(f, x.expression.clone(), y.expression.clone())),
        slope,
        affine: x.affine && y.affine && is_affine(x.moves(), y.moves()),
        size: x.size + y.size + 1,
    };
    with(result, function)
}

/// Two arms of a branch whose condition compares two values.
pub(super) struct Arms<T> {
    /// The constant of the value that all are functions of.
    pub lip: T,
    /// A bound of the derivatives of both.
    pub slope: T,
}

/// The two arms, if they are functions of one value, and are equal where the sides of each comparison are.
///
/// Equal is what differs by rounding.
pub(super) fn meeting<T: Tensor>(
    comparisons: &[Sides<T>],
    arms: [&Bound<T>; 2],
    open: &T::Bool,
) -> Option<Arms<T>> {
    let [yes, no] = arms.map(of);
    if !yes.has_base_of(&no) {
        return None;
    }
    for sides in comparisons {
        let [Some(a), Some(b)] = sides else { return None };
        let difference = Elementwise {
            base: if a.moves() { a.base } else { b.base },
            lip: T::constant(0.0),
            expression: Rc::new(Expression::Binary(
                |a, b| a.clone() - b,
                a.expression.clone(),
                b.expression.clone(),
            )),
            slope: T::constant(0.0),
            affine: a.affine && b.affine,
            size: 1,
        };
        if !a.has_base_of(b) || !difference.has_base_of(&yes) || !difference.has_base_of(&no) {
            return None;
        }
        let boundary = difference.root()?;
        let [yes, no] = [&yes, &no].map(|arm| arm.expression.at(&boundary));
        let size = yes.abs() + no.abs() + 1.0;
        let apart = (yes - no).abs() / size;
        let meets = apart.less_equal(&T::constant(64.0 * T::precision(crate::sealed::INTERNAL)));
        if meets.or(&open.not()).all_known() != Some(true) {
            return None;
        }
    }
    let moving = if yes.moves() { &yes } else { &no };
    Some(Arms { lip: moving.lip.clone(), slope: yes.slope.maximum(&no.slope) })
}
