//! [`Problem`]: what is to be solved, and how its unknown and its parameters become arrays.

use std::fmt;

use crate::array::NdArray;
use crate::continuation::unwinding::{OrRaise, raise};
use crate::error::{At, Error};
use crate::language::params::Params;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;

/// A structure that stands for itself over every interpretation: `NdArray<f64>`, tuples and lists of it, or a struct
/// `Model<NdArray<f64>>` with `#[derive(Params)]`.
pub trait Structured: Params<Leaf = NdArray<f64>> + Clone + fmt::Debug + 'static {}

impl<P: Params<Leaf = NdArray<f64>> + Clone + fmt::Debug + 'static> Structured for P {}

/// The structure `P` over the interpretation `T`: `T` itself for `NdArray<f64>`, `(T, T)` for a pair of these.
pub type Over<P, T> = <P as Params>::With<T>;

/// A function of an unknown and of parameters, over any interpretation. What it means is said by what solves it: a map
/// whose fixed point is sought ([`fixed_point`](crate::solve::fixed_point)), equations
/// ([`root`](crate::solve::root)), a value that is to be least ([`minimize`](crate::solve::minimize)), or residuals
/// whose squares are ([`least_squares`](crate::solve::least_squares)).
///
/// Everything that the result is to be differentiated by, and every array that differs from call to call, is a
/// parameter. What the problem has as fields is a constant of compiled code.
///
/// ```
/// use antiphon::solve::Problem;
/// use antiphon::{NdArray, Tensor};
///
/// /// Newton's (and the Babylonians') iteration for a square root.
/// #[derive(Clone, Debug)]
/// struct Root;
///
/// impl Problem for Root {
///     type Unknown = NdArray<f64>;
///     type Parameters = NdArray<f64>;
///     type Value = NdArray<f64>;
///     fn value<T: Tensor>(&self, x: &T, theta: &T) -> T {
///         (x.clone() + theta.clone() / x) * 0.5
///     }
/// }
/// ```
pub trait Problem: Clone + fmt::Debug + 'static {
    /// The structure of what is sought.
    type Unknown: Structured;
    /// The structure of what it depends on.
    type Parameters: Structured;
    /// The structure of what the function gives: that of the unknown for a fixed point.
    type Value: Structured;

    /// The function.
    fn value<T: Tensor>(
        &self,
        x: &Over<Self::Unknown, T>,
        theta: &Over<Self::Parameters, T>,
    ) -> Over<Self::Value, T>;

    /// Its derivative by the unknown as a matrix `[values, unknowns]`, all elements in the order of the leaves, or, of
    /// a value that is to be least, the second derivative `[unknowns, unknowns]`: for problems that know a faster way
    /// than one direction after the other. Solvers that need the matrix use it.
    fn matrix<T: Tensor>(
        &self,
        _x: &Over<Self::Unknown, T>,
        _theta: &Over<Self::Parameters, T>,
    ) -> Option<T> {
        None
    }
}

/// What a structure is like: its leaves' names and shapes.
#[derive(Clone, Debug)]
pub(super) struct Layout<P> {
    like: P,
    shapes: Vec<Shape>,
}

impl<P: Structured> Layout<P> {
    pub(super) fn of<T: Tensor>(x: &Over<P, T>) -> Layout<P> {
        Layout { like: x.map_leaves(|_| NdArray::scalar(0.0)), shapes: x.shapes() }
    }

    /// How many numbers there are.
    pub(super) fn size(&self) -> usize {
        self.shapes.iter().map(|shape| shape::size(shape)).sum()
    }

    /// A structure like this one of other leaves.
    pub(super) fn with<T: Tensor>(&self, leaves: &[T]) -> Over<P, T> {
        self.like.with_leaves(leaves.to_vec()).or_raise()
    }

    /// All elements in one vector.
    pub(super) fn pack<T: Tensor>(&self, x: &Over<P, T>) -> T {
        let flat: Vec<T> = x.leaves().iter().map(|leaf| leaf.reshape(&[leaf.size()])).collect();
        match flat.as_slice() {
            [one] => one.clone(),
            _ => T::concat(&flat, 0),
        }
    }

    /// The structure of such a vector.
    pub(super) fn unpack<T: Tensor>(&self, x: &T) -> Over<P, T> {
        if let [shape] = self.shapes.as_slice() {
            return self.with(&[x.reshape(shape)]);
        }
        let mut start = 0;
        let mut leaves = Vec::with_capacity(self.shapes.len());
        for shape in &self.shapes {
            let end = start + shape::size(shape);
            leaves.push(x.slice(0, start..end).reshape(shape));
            start = end;
        }
        self.with(&leaves)
    }

    /// The structure of such vectors as rows, whose leaves have one more axis, the first.
    pub(super) fn unpack_rows<T: Tensor>(&self, rows: &T) -> Over<P, T> {
        let count = rows.shape()[0];
        let mut start = 0;
        let mut leaves = Vec::with_capacity(self.shapes.len());
        for shape in &self.shapes {
            let end = start + shape::size(shape);
            let whole: Shape = std::iter::once(count).chain(shape.iter().copied()).collect();
            leaves.push(rows.slice(1, start..end).reshape(&whole));
            start = end;
        }
        self.with(&leaves)
    }

    /// Raises unless a structure is like this one.
    pub(super) fn assert_like<Q: Structured>(&self, op: &'static str, at: At, other: &Layout<Q>) {
        let (mine, theirs) = (self.like.names(), other.like.names());
        if mine != theirs {
            let reason =
                format!("the unknown consists of {mine:?}, and what the function gives of {theirs:?}");
            raise(Error::Argument { op, reason, at });
        }
        for ((name, lhs), rhs) in mine.iter().zip(&self.shapes).zip(&other.shapes) {
            if lhs != rhs {
                let name = if name.is_empty() { String::new() } else { format!(" {name:?}") };
                let reason =
                    format!("the unknown{name} is {lhs:?}, and what the function gives for it {rhs:?}");
                raise(Error::Argument { op, reason, at });
            }
        }
    }
}
