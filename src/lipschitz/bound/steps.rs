//! The steps of a model that runs on [`Bound`](super::Bound)s: which operator gave which constant.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::elementwise::Elementwise;
use super::range::{self, Range};
use super::{Call, Varying};
use crate::error::At;
use crate::language::real::Mask;
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;

/// A bound of an operator's derivative by one of its operands.
#[derive(Clone)]
pub(super) enum Factor<T> {
    /// That is known before the model runs.
    Number(f64),
    /// A number.
    Value(T),
}

impl<T: Tensor> Factor<T> {
    /// 1.
    pub const ONE: Factor<T> = Factor::Number(1.0);
    /// ∞.
    pub const INFINITE: Factor<T> = Factor::Number(f64::INFINITY);

    /// The constant of what changes at most so much as something of the constant `lip` does.
    fn times(&self, lip: &T) -> T {
        match self {
            Factor::Number(1.0) => lip.clone(),
            Factor::Number(0.0) => T::constant(0.0),
            Factor::Number(factor) => product(&T::constant(factor.max(T::least(INTERNAL))), lip),
            Factor::Value(factor) => product(factor, lip),
        }
    }

    pub fn value(&self) -> T {
        match self {
            Factor::Number(factor) => T::constant(*factor),
            Factor::Value(factor) => factor.clone(),
        }
    }
}

/// The product of two numbers that are not negative; where rounding is counted, it is zero only if one of them is.
fn product<T: Tensor>(a: &T, b: &T) -> T {
    let product = a.clone() * b;
    if !range::is_rounded::<T>()
        || product.greater(&T::constant(T::least(INTERNAL))).all_known() == Some(true)
    {
        return product;
    }
    let zero = T::constant(0.0);
    let is_zero = a.equal(&zero).or(&b.equal(&zero));
    T::select(&is_zero, &product, &range::not_below_least(product.clone()))
}

/// How changes of several operands add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    /// Each may add to the same element.
    Sum,
    /// An element changes by the root of the sum of their squares.
    Root,
    /// An element changes with one of them.
    Apart,
    /// It is a single element, and changes no more than the one that changes most.
    Largest,
}

/// What an operator did to the constant.
#[derive(Clone)]
pub(super) struct Step<T> {
    pub number: usize,
    pub call: Call,
    pub operands: Vec<(T, usize)>,
    pub lip: T,
    /// The least and the largest number of the operands' ranges.
    pub range: Option<Range<T>>,
}

/// Both sides of a comparison, as functions.
pub(super) type Sides<T> = [Option<Rc<Elementwise<T>>>; 2];

/// All steps of a model's run.
pub(super) struct Steps<T> {
    /// What has taken over all of these, if anything has.
    taken: RefCell<Option<Rc<Steps<T>>>>,
    list: RefCell<Vec<Step<T>>>,
    /// The sides of comparisons whose outcome depends on the input, by number.
    comparisons: RefCell<Vec<(usize, Sides<T>)>>,
}

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// A number that no step or comparison has yet.
pub(super) fn fresh() -> usize {
    NUMBER.replace(NUMBER.get() + 1)
}

impl<T: Tensor> Steps<T> {
    pub fn new() -> Rc<Steps<T>> {
        Rc::new(Steps {
            taken: RefCell::new(None),
            list: RefCell::new(Vec::new()),
            comparisons: RefCell::new(Vec::new()),
        })
    }

    /// Where the steps of this run are now.
    fn now(self: &Rc<Self>) -> Rc<Self> {
        let mut steps = self.clone();
        loop {
            let Some(next) = steps.taken.borrow().clone() else { return steps };
            steps = next;
        }
    }

    pub fn list(self: &Rc<Self>) -> Vec<Step<T>> {
        let mut list = self.now().list.borrow().clone();
        list.sort_by_key(|step| step.number);
        list
    }

    /// Takes over what another run has.
    pub fn absorb(self: &Rc<Self>, other: &Rc<Self>) {
        let (own, other) = (self.now(), other.now());
        if !Rc::ptr_eq(&own, &other) {
            own.list.borrow_mut().append(&mut other.list.borrow_mut());
            own.comparisons.borrow_mut().append(&mut other.comparisons.borrow_mut());
            *other.taken.borrow_mut() = Some(own);
        }
    }

    /// Keeps the sides of a comparison.
    pub fn compare(self: &Rc<Self>, sides: Sides<T>) -> usize {
        let number = fresh();
        self.now().comparisons.borrow_mut().push((number, sides));
        number
    }

    /// The sides of a comparison.
    pub fn comparison(self: &Rc<Self>, number: usize) -> Option<Sides<T>> {
        let steps = self.now();
        let comparisons = steps.comparisons.borrow();
        comparisons.iter().rev().find(|(kept, _)| *kept == number).map(|(_, sides)| sides.clone())
    }
}

/// What an input is.
pub(super) fn input<T: Tensor>(shape: Shape, range: Option<Range<T>>, steps: &Rc<Steps<T>>) -> Varying<T> {
    let lip = T::constant(1.0);
    Varying { shape, range, lip, is_number: true, step: fresh(), of: None, steps: steps.clone() }
}

/// The value that an operator gives, whose operands that move are these.
pub(super) fn add<T: Tensor>(
    call: Call,
    shape: Shape,
    range: Option<Range<T>>,
    joint: Joint,
    operands: &[(&Factor<T>, &Rc<Varying<T>>)],
) -> Varying<T> {
    let constants: Vec<T> = operands.iter().map(|(factor, x)| factor.times(&x.lip)).collect();
    let largest = |a: T, b: &T| a.maximum(b);
    let mut terms = constants.iter();
    let first = terms.next().cloned();
    let lip = match (first, joint) {
        (None, _) => T::constant(f64::INFINITY),
        (Some(only), _) if constants.len() == 1 => only,
        (Some(first), Joint::Sum) => terms.fold(first, |sum, x| sum + x),
        (Some(first), Joint::Largest) => terms.fold(first, largest),
        (Some(first), Joint::Root | Joint::Apart) => terms.fold(first, |root, x| root.hypot(x)),
    };
    // Operators whose bound is exact for a number that is known do not round.
    let exact = operands.len() == 1 && matches!(operands[0].0, Factor::Number(1.0));
    // Slopes are wrong by a few dozen units in the last place at most.
    let units =
        if operands.iter().any(|(factor, _)| matches!(factor, Factor::Value(_))) { 64.0 } else { 4.0 };
    let lip = match shape.contains(&0) {
        // What has no elements does not move.
        true => T::constant(0.0),
        false if exact => lip,
        false => range::up(lip, units + 4.0 * operands.len() as f64),
    };
    let number = fresh();
    let steps = operands.first().map_or_else(Steps::new, |(_, x)| x.steps.clone());
    for (_, x) in operands {
        steps.absorb(&x.steps);
    }
    let ranges = operands.iter().filter_map(|(_, x)| x.range.as_ref());
    // It is for reports, which are of values that are computed at once.
    let ranges = match operands.len() {
        1 if range::is_rounded::<T>() => ranges.map(Range::hull).next(),
        _ => None,
    };
    let step = Step {
        number,
        call,
        operands: operands.iter().map(|(factor, x)| (factor.value(), x.step)).collect(),
        lip: lip.clone(),
        range: ranges,
    };
    steps.now().list.borrow_mut().push(step);
    let is_number = is_number(&lip, range.as_ref(), operands);
    Varying { shape, range, lip, is_number, step: number, of: None, steps }
}

/// Whether a result is never NaN: its operands are not, its constant is not infinite, as that of an operator at the end
/// of its domain is, and it does not overflow.
fn is_number<T: Tensor>(
    lip: &T,
    range: Option<&Range<T>>,
    operands: &[(&Factor<T>, &Rc<Varying<T>>)],
) -> bool {
    let infinite = |factor: &Factor<T>| matches!(factor, Factor::Number(x) if !x.is_finite());
    if operands.iter().any(|(factor, x)| !x.is_number || infinite(factor)) {
        return false;
    }
    if !range::is_rounded::<T>() {
        return true;
    }
    let overflows = range.is_some_and(|range| !(range.low.all_finite() && range.high.all_finite()))
        && operands.iter().all(|(_, x)| x.range.as_ref().is_some_and(|range| range.bounded));
    lip.all_finite() && !overflows
}

impl<T> Step<T> {
    pub fn at(&self) -> At {
        self.call.at
    }
}
