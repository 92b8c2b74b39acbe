//! Values as elementwise functions of one other value: whether two arms of a branch meet where its condition changes.

use std::rc::Rc;

use super::range::up;
use super::steps::{Factor, Sides};
use super::{Bound, Content, Varying};
use crate::language::real::Mask;
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;

/// How large a function may be: what is larger is a value of its own.
const LARGEST: usize = 24;

/// An elementwise function of one value.
pub(super) enum Expression<T> {
    /// The value.
    Base,
    Constant(T),
    Negative(Rc<Expression<T>>),
    Unary(fn(&T) -> T, Rc<Expression<T>>),
    Binary(Operation<T>, Rc<Expression<T>>, Rc<Expression<T>>),
    Powi(Rc<Expression<T>>, i32),
    Clamp(Rc<Expression<T>>, f64, f64),
}

/// An operator of two numbers.
pub(super) struct Operation<T> {
    pub name: &'static str,
    pub f: fn(&T, &T) -> T,
}

/// A number that was computed, and how far it may be from what it stands for.
struct About<T> {
    value: T,
    error: T,
}

/// `slope·x + offset`.
struct Line<T> {
    slope: About<T>,
    offset: About<T>,
}

/// How far a value is from others; NaN if it is no number.
fn farthest<T: Tensor>(value: &T, others: impl IntoIterator<Item = T>) -> T {
    let distances = others.into_iter().map(|other| (other - value).abs());
    distances.reduce(|a, b| a.maximum(&b)).unwrap_or_else(|| T::constant(0.0))
}

impl<T: Tensor> About<T> {
    fn exact(value: T) -> About<T> {
        About { value, error: T::constant(0.0) }
    }
    fn ends(&self) -> [T; 2] {
        [self.value.clone() - &self.error, self.value.clone() + &self.error]
    }
    /// Of a function that is monotone nearby, and wrong by a few units in the last place.
    fn map(&self, f: impl Fn(&T) -> T) -> About<T> {
        let value = f(&self.value);
        let rounding = value.abs().scale(16.0 * T::precision(INTERNAL));
        About { error: farthest(&value, self.ends().iter().map(f)) + rounding, value }
    }
    fn zip(&self, other: &Self, f: impl Fn(&T, &T) -> T) -> About<T> {
        let value = f(&self.value, &other.value);
        let rounding = value.abs().scale(16.0 * T::precision(INTERNAL));
        let ends = other.ends();
        let corners = self.ends().into_iter().flat_map(|a| ends.each_ref().map(|b| f(&a, b)));
        About { error: farthest(&value, corners) + rounding, value }
    }
}

impl<T: Tensor> Expression<T> {
    fn at(&self, x: &About<T>) -> About<T> {
        match self {
            Expression::Base => About { value: x.value.clone(), error: x.error.clone() },
            Expression::Constant(value) => About::exact(value.clone()),
            Expression::Negative(a) => a.at(x).map(|a| -a.clone()),
            Expression::Unary(f, a) => a.at(x).map(f),
            Expression::Binary(operation, a, b) => a.at(x).zip(&b.at(x), operation.f),
            Expression::Powi(a, n) => a.at(x).map(|a| a.powi(*n)),
            Expression::Clamp(a, low, high) => a.at(x).map(|a| a.clamp(*low, *high)),
        }
    }

    /// What it is as an affine function; nothing if it is none that is known.
    fn line(&self) -> Option<Line<T>> {
        let number = |x: f64| About::exact(T::constant(x));
        let add = |a: &T, b: &T| a.clone() + b;
        let mul = |a: &T, b: &T| a.clone() * b;
        Some(match self {
            Expression::Base => Line { slope: number(1.0), offset: number(0.0) },
            Expression::Constant(value) => Line { slope: number(0.0), offset: About::exact(value.clone()) },
            Expression::Negative(a) => {
                let Line { slope, offset } = a.line()?;
                let negative = |x: About<T>| About { value: -x.value, error: x.error };
                Line { slope: negative(slope), offset: negative(offset) }
            }
            Expression::Powi(a, 1) => a.line()?,
            Expression::Binary(operation, a, b) => {
                let (f, a, b) = (operation.f, a.line()?, b.line()?);
                match operation.name {
                    "add" | "sub" => {
                        Line { slope: a.slope.zip(&b.slope, f), offset: a.offset.zip(&b.offset, f) }
                    }
                    // One of both is a constant.
                    "mul" => Line {
                        slope: a.slope.zip(&b.offset, mul).zip(&a.offset.zip(&b.slope, mul), add),
                        offset: a.offset.zip(&b.offset, mul),
                    },
                    "div" => Line { slope: a.slope.zip(&b.offset, f), offset: a.offset.zip(&b.offset, f) },
                    _ => return None,
                }
            }
            _ => return None,
        })
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
    fn root(&self) -> Option<About<T>> {
        if !self.affine {
            return None;
        }
        let Line { slope, offset } = self.expression.line()?;
        Some(offset.zip(&slope, |a, b| -a.clone() / b))
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
            let x = Rc::try_unwrap(x).unwrap_or_else(|x| x.copy());
            Bound(Content::Varying(Rc::new(Varying { of: Some(Rc::new(function)), ..x })))
        }
        constant @ Content::Constant(_) => Bound(constant),
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
        slope: up(factor.value() * &inner.slope, 68.0),
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
    operation: Operation<T>,
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
        expression: Rc::new(Expression::Binary(operation, x.expression.clone(), y.expression.clone())),
        slope,
        affine: x.affine && y.affine && is_affine(x.moves(), y.moves()),
        size: x.size + y.size + 1,
    };
    with(result, function)
}

/// Two arms of a branch whose condition compares two values.
pub(super) struct Arms<T: Tensor> {
    /// The constant of the value that all are functions of.
    pub lip: T,
    /// A bound of the derivatives of both.
    pub slope: T,
    /// Whether they meet.
    pub meet: T::Bool,
}

/// The two arms, if they are functions of one value, and may be equal where the sides of each comparison are.
///
/// Equal is what differs by no more than its own rounding; and that place has to be known to a few units in the last
/// one.
pub(super) fn meeting<T: Tensor>(
    comparisons: &[Sides<T>],
    arms: [&Bound<T>; 2],
    open: &T::Bool,
) -> Option<Arms<T>> {
    let [yes, no] = arms.map(of);
    if !yes.has_base_of(&no) {
        return None;
    }
    let mut meet = None;
    for sides in comparisons {
        let [Some(a), Some(b)] = sides else { return None };
        let difference = Elementwise {
            base: if a.moves() { a.base } else { b.base },
            lip: T::constant(0.0),
            expression: Rc::new(Expression::Binary(
                Operation { name: "sub", f: |a, b| a.clone() - b },
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
        let most = boundary.value.abs().scale(1024.0 * T::precision(INTERNAL));
        let is_known = boundary.error.less_equal(&most);
        let [yes, no] = [&yes, &no].map(|arm| arm.expression.at(&boundary));
        let meets = (yes.value - no.value).abs().less_equal(&(yes.error + no.error));
        let meets = meets.and(&is_known).or(&open.not());
        if meets.all_known() == Some(false) {
            return None;
        }
        meet = Some(meet.map_or_else(|| meets.all(), |before: T::Bool| before.and(&meets.all())));
    }
    let moving = if yes.moves() { &yes } else { &no };
    Some(Arms { lip: moving.lip.clone(), slope: yes.slope.maximum(&no.slope), meet: meet? })
}
