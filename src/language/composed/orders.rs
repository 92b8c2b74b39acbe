//! Orders: sorting, and what follows from the order of elements.
//!
//! Which element stands where is computed by the host, from values that have no derivative, and elements are taken by
//! it: the derivative of a sorted array is that of the elements where they were.

use std::cmp::Ordering;

use ndarray::{ArrayViewD, ArrayViewMutD};

use super::{exchanged, in_order, merged, refuse};
use crate::continuation::unwinding::OrRaise;
use crate::language::host::{HostElement, HostOperator};
use crate::language::real::Mask;
use crate::language::shape::{self, Axes};
use crate::language::tensor::{IntTensor, Tensor};

/// Which of the places that keep an array sorted [`Tensor::searchsorted`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first: as many elements are smaller.
    Left,
    /// The last: as many elements are smaller or equal.
    Right,
}

/// Numbers in their order, NaN after all others and equal to itself.
fn ascending<E: HostElement>(a: E, b: E) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Integers that the elements of an array can hold, of which `count` are needed.
fn representable<E: HostElement>(count: usize) -> Result<(), String> {
    // The number after the last one that has all digits is itself still exact.
    let most = (2.0 / E::epsilon().to_f64().unwrap_or(1.0)) as usize;
    if count > most {
        return Err(format!(
            "an axis of {count} elements; places of {most} can be told apart in this precision"
        ));
    }
    Ok(())
}

/// The places of the first elements of a vector in its order, as real numbers.
#[derive(Clone, Copy, Debug)]
struct Places {
    descending: bool,
    count: usize,
}

impl HostOperator for Places {
    const NAME: &'static str = "argsort";
    const RANKS: &'static [usize] = &[1];

    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![self.count])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let x: Vec<E> = x[0].iter().copied().collect();
        representable::<E>(x.len())?;
        let mut places: Vec<usize> = (0..x.len()).collect();
        if self.descending {
            places.sort_by(|&i, &j| ascending(x[j], x[i]));
        } else {
            places.sort_by(|&i, &j| ascending(x[i], x[j]));
        }
        for (y, place) in y.iter_mut().zip(places) {
            *y = E::nearest(place as f64);
        }
        Ok(())
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// Elements of a vector by their places, which are another one. (Not [`Tensor::gather_rows`]: which elements a result
/// may depend on is not to depend on where they were this time.)
#[derive(Clone, Copy, Debug)]
struct Take;

impl HostOperator for Take {
    const NAME: &'static str = "take";
    const RANKS: &'static [usize] = &[1, 1];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[1].to_vec())
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        for (y, &place) in y.iter_mut().zip(&x[1]) {
            *y = x[0][at(place)];
        }
        Ok(())
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        harmless(operand, shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        let count = x[0].shape()[x[0].rank() - 1];
        vec![Some(T::host(&Put { count }, &[y_bar, &x[1]])), None]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|dx| T::host(&Take, &[dx, &x[1]]))
    }
}

/// The adjoint of [`Take`]: each element is added to its place in a vector of so many zeros.
#[derive(Clone, Copy, Debug)]
struct Put {
    count: usize,
}

impl HostOperator for Put {
    const NAME: &'static str = "put";
    const RANKS: &'static [usize] = &[1, 1];

    fn shape(&self, _operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![self.count])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        for (&x, &place) in x[0].iter().zip(&x[1]) {
            y[at(place)] += x;
        }
        Ok(())
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        harmless(operand, shape)
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(T::host(&Take, &[y_bar, &x[1]])), None]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|dx| T::host(self, &[dx, &x[1]]))
    }
}

/// A place, which [`Places`] gave.
fn at<E: HostElement>(place: E) -> usize {
    place.to_usize().expect("a place in the vector")
}

/// Elements, and places that there are.
fn harmless(operand: usize, shape: &[usize]) -> Vec<f64> {
    vec![if operand == 0 { 1.0 } else { 0.0 }; shape.iter().product()]
}

/// Where numbers belong in a sorted vector, as real numbers.
#[derive(Clone, Copy, Debug)]
struct Search {
    side: Side,
}

impl HostOperator for Search {
    const NAME: &'static str = "searchsorted";
    const RANKS: &'static [usize] = &[1, 1];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[1].to_vec())
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let sorted: Vec<E> = x[0].iter().copied().collect();
        representable::<E>(sorted.len())?;
        for (y, &x) in y.iter_mut().zip(&x[1]) {
            let place = sorted.partition_point(|&s| match ascending(s, x) {
                Ordering::Less => true,
                Ordering::Equal => self.side == Side::Right,
                Ordering::Greater => false,
            });
            *y = E::nearest(place as f64);
        }
        Ok(())
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None, None]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// Elements along the last axis, by their places there: `[.., n]` and `[.., k]` give `[.., k]`.
#[track_caller]
fn taken<T: Tensor>(x: &T, places: &T) -> T {
    T::host(&Take, &[x, places])
}

/// The places of the first `count` elements along the last axis in their order, as real numbers.
#[track_caller]
fn places<T: Tensor>(x: &T, descending: bool, count: usize) -> T {
    T::host(&Places { descending, count }, &[&x.detach()])
}

/// The first `count` elements along an axis in their order, and their places.
#[track_caller]
fn first<T: Tensor>(op: &'static str, x: &T, axis: isize, descending: bool, count: usize) -> (T, T::Int) {
    let whole = x.shape();
    let axis = shape::axis(op, &whole, axis).or_raise();
    let n = whole[axis];
    if count > n {
        refuse(op, format!("{count} elements of an axis of {n}"));
    }
    let order = exchanged(whole.len(), axis);
    let x = in_order(x, &order);
    let places = places(&x, descending, count);
    let values = in_order(&taken(&x, &places), &order);
    (values, in_order(&places, &order).to_int())
}

/// [`Tensor::sort`].
#[track_caller]
pub fn sort<T: Tensor>(x: &T, axis: isize) -> T {
    let whole = x.shape();
    let axis = shape::axis("sort", &whole, axis).or_raise();
    let order = exchanged(whole.len(), axis);
    let x = in_order(x, &order);
    let places = places(&x, false, whole[axis]);
    in_order(&taken(&x, &places), &order)
}

/// [`Tensor::argsort`].
#[track_caller]
pub fn argsort<T: Tensor>(x: &T, axis: isize) -> T::Int {
    let whole = x.shape();
    let axis = shape::axis("argsort", &whole, axis).or_raise();
    let order = exchanged(whole.len(), axis);
    let places = places(&in_order(x, &order), false, whole[axis]);
    in_order(&places, &order).to_int()
}

/// [`Tensor::topk`].
#[track_caller]
pub fn topk<T: Tensor>(x: &T, k: usize, axis: isize) -> (T, T::Int) {
    first("topk", x, axis, true, k)
}

/// [`Tensor::quantile`].
#[track_caller]
pub fn quantile<T: Tensor>(op: &'static str, x: &T, q: f64, axes: &Axes) -> T {
    if !(0.0..=1.0).contains(&q) {
        refuse(op, format!("{q} is not between 0 and 1"));
    }
    let resolved = shape::axes(op, axes, &x.shape()).or_raise();
    shape::reduce_nonempty(op, &x.shape(), &resolved).or_raise();
    let (x, _) = merged(op, x, axes);
    let n = x.shape()[x.rank() - 1];
    let place = q * (n - 1) as f64;
    let lower = (place.floor() as usize).min(n - 1);
    let upper = (lower + 1).min(n - 1);
    let places = places(&x, false, n);
    let three = taken(&x, &T::concat(&[lower, upper, n - 1].map(|i| places.slice(-1, i..i + 1)), -1));
    let (low, high, last) = (three.index(-1, 0), three.index(-1, 1), three.index(-1, 2));
    let weight = place - lower as f64;
    // What is not between two elements is one of them, also where the other one is infinite.
    let value = if weight == 0.0 { low } else { low * (1.0 - weight) + high * weight };
    // A NaN comes last, and makes one of the whole.
    T::select(&last.equal(&last), &value, &last)
}

/// [`Tensor::searchsorted`].
#[track_caller]
pub fn searchsorted<T: Tensor>(sorted: &T, x: &T, side: Side) -> T::Int {
    let whole = sorted.shape();
    shape::axis("searchsorted", &whole, -1).or_raise();
    let shape = x.shape();
    if whole.len() > 1 && (shape.len() != whole.len() || shape[..shape.len() - 1] != whole[..whole.len() - 1])
    {
        let reason = format!("{shape:?} differs from the sorted {whole:?} in more than the last axis");
        refuse("searchsorted", reason);
    }
    let search = Search { side };
    let places = match whole.len() {
        1 => {
            let flat = x.detach().reshape(&[shape::size(&shape)]);
            T::host(&search, &[&sorted.detach(), &flat]).reshape(&shape)
        }
        _ => T::host(&search, &[&sorted.detach(), &x.detach()]),
    };
    places.to_int()
}

/// [`Tensor::one_hot`].
#[track_caller]
pub fn one_hot<T: Tensor>(indices: &T::Int, n: usize) -> T {
    T::ones(&indices.shape()).scatter_last(indices, n)
}

/// [`Tensor::clip`].
#[track_caller]
pub fn clip<T: Tensor>(x: &T, low: &T, high: &T) -> T {
    T::check_broadcast("clip", x, low).or_raise();
    T::check_broadcast("clip", x, high).or_raise();
    // A bound that is NaN makes one, as one of two operands of `maximum` does.
    let taken = |beyond: T::Bool, bound: &T| beyond.or(&bound.not_equal(bound));
    let raised = T::select(&taken(x.less(low), low), low, x);
    T::select(&taken(high.less(&raised), high), high, &raised)
}
