//! Parts of arrays by index, to be read and written: [`Tensor::at`].

use std::collections::HashMap;
use std::fmt;
use std::ops::{Range, RangeFull};

use crate::continuation::unwinding::{operator, raise};
use crate::error::{At as Line, Error, NOWHERE};
use crate::language::real::{Int, Mask};
use crate::language::shape::Shape;
use crate::language::tensor::{IntTensor, MaskTensor, Tensor};

/// What is done with rows of an array: see [`Tensor::write_rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Others take their place, one after the other: where an index occurs more than once, the last one stays.
    Set {
        /// Whether the caller knows that no index occurs twice. Then nobody looks for the rows that others have
        /// overwritten, which have no derivative; if one does occur twice, they have that of the row that stayed.
        distinct: bool,
    },
    /// Others are added to them.
    Add,
}

impl Write {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Write::Set { .. } => "set_rows",
            Write::Add => "add_rows",
        }
    }
    /// What [`Part`] calls it.
    fn of_a_part(self) -> &'static str {
        match self {
            Write::Set { .. } => "at(…).set",
            Write::Add => "at(…).add",
        }
    }
}

/// Positions along one axis.
#[derive(Clone)]
pub enum Along<I> {
    /// One, and the part does not have the axis.
    One(usize),
    /// Those of a range.
    Range(Range<usize>),
    /// All.
    All,
    /// Those that are data: the part has the axes of these integers in place of the axis.
    Data(I),
}

impl<I> fmt::Debug for Along<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Along::One(i) => f.debug_tuple("One").field(i).finish(),
            Along::Range(range) => f.debug_tuple("Range").field(range).finish(),
            Along::All => f.write_str("All"),
            Along::Data(_) => f.debug_tuple("Data").finish_non_exhaustive(),
        }
    }
}

/// What [`Tensor::at`] takes: a position, a range, `..`, or integers of the model, along the first axis; or a tuple of
/// these, along as many of the first axes. A part has all combinations of what the positions of a tuple name, as
/// `numpy.ix_` has.
pub trait Position<T: Tensor> {
    /// Along each of the first axes, in order.
    fn along(self, to: &mut Vec<Along<T::Int>>);
}

impl<T: Tensor> Position<T> for usize {
    fn along(self, to: &mut Vec<Along<T::Int>>) {
        to.push(Along::One(self));
    }
}
impl<T: Tensor> Position<T> for Range<usize> {
    fn along(self, to: &mut Vec<Along<T::Int>>) {
        to.push(Along::Range(self));
    }
}
impl<T: Tensor> Position<T> for RangeFull {
    fn along(self, to: &mut Vec<Along<T::Int>>) {
        to.push(Along::All);
    }
}
impl<T: Tensor> Position<T> for &T::Int {
    fn along(self, to: &mut Vec<Along<T::Int>>) {
        to.push(Along::Data(self.clone()));
    }
}

macro_rules! tuples {
    ($(($($Axis:ident)*))*) => { $(
        impl<T: Tensor, $($Axis: Position<T>),*> Position<T> for ($($Axis,)*) {
            #[allow(non_snake_case, reason = "each is called as its type")]
            fn along(self, to: &mut Vec<Along<T::Int>>) {
                let ($($Axis,)*) = self;
                $($Axis.along(to);)*
            }
        }
    )* };
}
tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

/// A part of an array, that [`Tensor::at`] names.
///
/// The array is given by value: an operator that writes has it then, and writes in place if nobody else holds it.
pub struct Part<T: Tensor> {
    array: T,
    /// The array's axes that the indices count through, as one.
    axes: usize,
    indices: T::Int,
    /// Of the part.
    shape: Shape,
    distinct: bool,
}

impl<T: Tensor> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl<T: Tensor> Part<T> {
    /// See [`Tensor::at`].
    #[track_caller]
    pub(crate) fn of(array: T, position: impl Position<T>) -> Part<T> {
        let line = Line::caller();
        let mut along = Vec::new();
        position.along(&mut along);
        // What is wanted whole is part of the rows.
        while along.len() > 1 && matches!(along.last(), Some(Along::All)) {
            along.pop();
        }
        operator(line, || {
            let lengths = array.shape();
            if along.is_empty() || along.len() > lengths.len() {
                let reason =
                    format!("{} positions are not along axes of {:?}", along.len(), lengths.as_slice());
                raise(Error::Argument { op: "at", reason, at: line });
            }
            let rest = &lengths[along.len()..];
            let (indices, distinct) = merged::<T>(&along, &lengths, line);
            let shape = indices.shape().iter().chain(rest).copied().collect();
            Part { array, axes: along.len(), indices, shape, distinct }
        })
    }

    /// The part, as an array of its own. (A [`slice`](Tensor::slice) shares the memory of the array that it is of, and
    /// what is written to that afterwards goes to a copy.)
    #[must_use]
    #[track_caller]
    pub fn get(self) -> T {
        operator(Line::caller(), || self.array.read_rows(self.axes, &self.indices))
    }

    /// The array with other elements in this part, which broadcast to it. Where integers name a position more than
    /// once, the last element stays.
    ///
    /// # Errors
    /// Raises [`Error::Shape`] if they do not broadcast; [`Error::Index`] if an integer is out of range.
    #[must_use]
    #[track_caller]
    pub fn set(self, elements: &T) -> T {
        let write = Write::Set { distinct: self.distinct };
        self.write(write, elements)
    }

    /// The array with something added to this part, that broadcasts to it: where integers name a position more than
    /// once, all of it.
    ///
    /// # Errors
    /// As [`set`](Part::set).
    #[must_use]
    #[track_caller]
    #[expect(
        clippy::should_implement_trait,
        reason = "it is the write that JAX calls so, and gives the whole array"
    )]
    pub fn add(self, elements: &T) -> T {
        self.write(Write::Add, elements)
    }

    /// The array with a function of this part in its place.
    ///
    /// ```
    /// use antiphon::{NdArray, Tensor};
    /// let x = NdArray::from(vec![1.0, 2.0, 3.0]);
    /// assert_eq!(x.at(1..3).update(|part| part * 10.0), NdArray::from(vec![1.0, 20.0, 30.0]));
    /// ```
    ///
    /// # Errors
    /// As [`set`](Part::set).
    #[must_use]
    #[track_caller]
    pub fn update(self, f: impl FnOnce(T) -> T) -> T {
        let part = operator(Line::caller(), || self.array.read_rows(self.axes, &self.indices));
        self.set(&f(part))
    }

    #[track_caller]
    fn write(self, write: Write, elements: &T) -> T {
        let line = Line::caller();
        operator(line, || {
            let Part { array, axes, indices, shape, .. } = self;
            let given = elements.shape();
            if given == shape {
                return array.write_rows(write, axes, &indices, elements);
            }
            if !antiphon_shape::broadcast(&given, &shape).is_ok_and(|joined| joined == shape) {
                raise(Error::Shape {
                    op: write.of_a_part(),
                    lhs: shape.to_vec(),
                    rhs: given.to_vec(),
                    at: line,
                });
            }
            array.write_rows(write, axes, &indices, &elements.broadcast_to(&shape))
        })
    }
}

/// The positions as indices of elements in which the first axes of the array are one, and whether no two can be equal.
fn merged<T: Tensor>(along: &[Along<T::Int>], lengths: &[usize], line: Line) -> (T::Int, bool) {
    for (positions, &length) in along.iter().zip(lengths) {
        match positions {
            Along::One(i) if *i >= length => {
                raise(Error::Index { op: "at", index: *i as i64, len: length, at: line });
            }
            Along::Range(range) if range.start > range.end || range.end > length => {
                let reason = format!("the range {range:?} of an axis of length {length}");
                raise(Error::Operand { op: "at", shape: lengths.into(), reason, at: line });
            }
            _ => {}
        }
    }
    let is_data = |positions: &Along<T::Int>| matches!(positions, Along::Data(_));
    let data = along.iter().position(is_data).unwrap_or(along.len());
    // What is known is one constant.
    let (mut flat, mut dims) = (vec![0i64], Shape::new());
    for (positions, &length) in along[..data].iter().zip(lengths) {
        let range = match positions {
            Along::One(i) => *i..i + 1,
            Along::Range(range) => {
                dims.push(range.len());
                range.clone()
            }
            _ => {
                dims.push(length);
                0..length
            }
        };
        flat = flat
            .iter()
            .flat_map(|&start| range.clone().map(move |i| start * length as i64 + i as i64))
            .collect();
    }
    let known = T::Int::from_elements(&dims, &flat).expect("as many elements as positions");
    let mut indices = (data > 0).then_some(known);
    let mut distinct = true;
    for (axis, positions) in along.iter().enumerate().skip(data) {
        let length = lengths[axis];
        let next = match positions {
            Along::One(i) => T::Int::constant(*i as i64),
            Along::Range(range) => counted::<T::Int>(range.clone()),
            Along::All => counted::<T::Int>(0..length),
            Along::Data(data) => {
                distinct &= data.shape().iter().product::<usize>() <= 1;
                if along.len() == 1 {
                    data.clone()
                } else {
                    within::<T::Int>(data, length, &lengths[axis + 1..along.len()], line)
                }
            }
        };
        indices = Some(match indices {
            None => next,
            Some(before) => {
                let apart: Shape = before
                    .shape()
                    .iter()
                    .copied()
                    .chain(std::iter::repeat_n(1, next.shape().len()))
                    .collect();
                before.reshape(&apart) * T::Int::constant(length as i64) + next
            }
        });
    }
    (indices.expect("there is at least one axis"), distinct)
}

fn counted<I: IntTensor>(range: Range<usize>) -> I {
    let elements: Vec<i64> = range.map(|i| i as i64).collect();
    I::from_elements(&[elements.len()], &elements).expect("as many elements as positions")
}

/// Integers that are not positions of their axis made such that they are none of the whole array either.
fn within<I: IntTensor>(data: &I, length: usize, lengths_after: &[usize], line: Line) -> I {
    if let Some(known) = data.elements() {
        if let Some(&index) = known.iter().find(|&&index| index < 0 || index as usize >= length) {
            raise(Error::Index { op: "at", index, len: length, at: line });
        }
        return data.clone();
    }
    let outside = data.less(&I::constant(0)).or(&data.less(&I::constant(length as i64)).not());
    // Further off than the axes before can make up for, and not further than an integer can be after those that follow.
    let whole = I::constant(2 * NOWHERE / lengths_after.iter().product::<usize>().max(1) as i64);
    I::select(&outside, &whole, data)
}

/// The adjoints of rows that were set, `[indices.., rest..]`, with zeros for those that later ones have overwritten.
/// There are `n` rows that the indices can name.
pub(crate) fn of_those_that_stayed<T: Tensor>(g: T, indices: &T::Int, n: usize) -> T {
    let shape = indices.shape();
    let count: usize = shape.iter().product();
    if count <= 1 {
        return g;
    }
    if let Some(known) = indices.elements() {
        let last: HashMap<i64, usize> =
            known.iter().enumerate().map(|(place, &index)| (index, place)).collect();
        let gone = known.iter().enumerate().filter(|(place, index)| last[index] != *place);
        let gone: Vec<i64> = gone.map(|(place, _)| place as i64).collect();
        if gone.is_empty() {
            return g;
        }
        let lengths: Shape =
            std::iter::once(gone.len()).chain(g.shape()[shape.len()..].iter().copied()).collect();
        let places = T::Int::from_elements(&[gone.len()], &gone).expect("one for each row");
        return g.write_rows(Write::Set { distinct: true }, shape.len(), &places, &T::zeros(&lengths));
    }
    let last = if count <= n.div_ceil(count).max(64) {
        // Each compared with all that follow.
        let later: Vec<i64> = (0..count * count).map(|i| i64::from(i % count > i / count)).collect();
        let later = T::Int::from_elements(&[count, count], &later).expect("one for each pair");
        let later = later.greater(&T::Int::constant(0));
        let equal = indices.reshape(&[count, 1]).equal(&indices.reshape(&[1, count]));
        T::any(&later.and(&equal), 1).not()
    } else {
        // Each writes its number, and looks who was last.
        let numbers: Vec<f64> = (0..count).map(|i| i as f64).collect();
        let numbers = T::from_elements(&shape, &numbers).expect("one for each index");
        let written = T::zeros(&[n]).write_rows(Write::Set { distinct: true }, 1, indices, &numbers);
        written.gather_rows(indices).equal(&numbers)
    };
    let lengths: Shape =
        shape.iter().copied().chain(std::iter::repeat_n(1, g.rank() - shape.len())).collect();
    T::select(&last.reshape(&lengths), &g, &g.zeros_like())
}
