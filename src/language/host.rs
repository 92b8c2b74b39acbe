//! Operators of your own that a function of the host computes: [`HostOperator`].

use std::fmt;

pub use ndarray::{ArrayViewD, ArrayViewMutD};
use ndarray::{IxDyn, NdFloat};
use smallvec::SmallVec;

use crate::continuation::unwinding::{OrRaise, blame, operator as operator_at};
use crate::error::{At, Error, Result};
use crate::language::control::rows;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;

/// An operator on arrays of real numbers whose value a function of yours computes, array in, array out, eagerly and in
/// compiled code, which calls it; with its derivative, written over [`Tensor`], it runs in every interpretation and
/// nesting. [`Tensor::host`] applies it.
///
/// What it is defined for are the last axes of its operands, as many as [`RANKS`](HostOperator::RANKS) says. Axes
/// before these are of a batch, and broadcast: its value is computed for each element of the batch, and a row of
/// [`vmap`](crate::vmap) is one.
///
/// ```
/// use antiphon::host::{ArrayViewD, ArrayViewMutD, HostElement, HostOperator};
/// use antiphon::{NdArray, Real, Tensor, grad};
///
/// /// The cumulative sum of a vector.
/// #[derive(Clone, Debug)]
/// struct Cumsum;
///
/// impl HostOperator for Cumsum {
///     const NAME: &'static str = "cumsum";
///     const RANKS: &'static [usize] = &[1];
///     fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
///         Ok(operands[0].to_vec())
///     }
///     fn value<E: HostElement>(
///         &self,
///         operands: &[ArrayViewD<'_, E>],
///         mut result: ArrayViewMutD<'_, E>,
///     ) -> Result<(), String> {
///         let mut sum = E::zero();
///         for (y, &x) in result.iter_mut().zip(&operands[0]) {
///             sum += x;
///             *y = sum;
///         }
///         Ok(())
///     }
///     fn pull<T: Tensor>(&self, _x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
///         // From the other end.
///         vec![Some(T::host(&Cumsum, &[&y_bar.flip(-1)]).flip(-1))]
///     }
///     fn push<T: Tensor>(&self, _x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
///         tangents[0].as_ref().map(|dx| T::host(&Cumsum, &[dx]))
///     }
/// }
///
/// let x = NdArray::from(vec![1.0, 2.0, 3.0]);
/// assert_eq!(NdArray::host(&Cumsum, &[&x]), NdArray::from(vec![1.0, 3.0, 6.0]));
/// let slope = grad(|x| Tensor::host(&Cumsum, &[&x]).square().sum(..), &x)?;
/// assert_eq!(slope, NdArray::from(vec![20.0, 18.0, 12.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
pub trait HostOperator: Clone + fmt::Debug + Send + Sync + 'static {
    /// What it is called in errors and in programs.
    const NAME: &'static str;
    /// Changes with what it computes: compiled code that was kept for another version is not used. What the operator
    /// has as fields counts as well, by its `Debug`.
    const VERSION: u32 = 1;
    /// Whether it acts on something outside, as one does that talks to another process. A run of compiled code that
    /// begins again because it needs more memory then takes over the results that it had, and does not act twice.
    /// Compiled code may do without a call whose result nothing depends on, and with one call for two of the same
    /// operands; it calls the others in the order in which they were recorded.
    const ACTS: bool = false;
    /// How many axes it is defined for, of each operand.
    const RANKS: &'static [usize];

    /// What errors call it: [`NAME`](HostOperator::NAME), if it does not say otherwise, as an operator does that is a
    /// part of several functions, each of which is to be named.
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// The shape of the result, from those of the operands, without the axes of a batch.
    ///
    /// # Errors
    /// Why the operator is not defined for such operands.
    fn shape(&self, operands: &[&[usize]]) -> std::result::Result<Vec<usize>, String>;

    /// Writes the result, which is zeros, from the operands, all without the axes of a batch.
    ///
    /// # Errors
    /// Why there is none: it becomes [`Error::Argument`](crate::Error::Argument) with the line that calls the operator,
    /// and the place in the batch.
    fn value<E: HostElement>(
        &self,
        operands: &[ArrayViewD<'_, E>],
        result: ArrayViewMutD<'_, E>,
    ) -> std::result::Result<(), String>;

    /// The same of elements in row-major order, where the operator has no need of their shapes: `None` if it has.
    #[doc(hidden)]
    fn value_of_elements<E: HostElement>(
        &self,
        _operands: &[&[E]],
        _result: &mut [E],
    ) -> Option<std::result::Result<(), String>> {
        None
    }

    /// Whether it has one operand and is elementwise: then [`value_of_elements`](HostOperator::value_of_elements) of
    /// all of a batch is asked for in one call.
    #[doc(hidden)]
    fn is_elementwise(&self) -> bool {
        false
    }

    /// The elements of an operand, by its number, of this shape, for which there is a result and derivatives are
    /// finite. In an arm of a branch of a batch it takes the operand's place in the rows that do not take the arm.
    /// Ones, if an operator does not say otherwise; the identity, say, for a matrix that has to have an inverse.
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        vec![1.0; shape.iter().product()]
    }

    /// The same, made of other operators, where there is such a thing. An interpretation that has no operators of the
    /// host computes this, and a [pattern](crate::jacobian_sparsity) is that of it, where else each element of the
    /// result depends on all of the operands.
    fn composed<T: Tensor>(&self, _operands: &[T]) -> Option<T> {
        None
    }

    /// Reverse: the adjoints of those operands `x` that are wanted, for the adjoint `y_bar` of the result `y`; `None`
    /// is zero. All have the axes of the batch. An adjoint of an operand that is the same for several elements of the
    /// batch may be one of each: it is summed up.
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>>;

    /// Forward: the tangent of the result `y`, from those of the operands `x` that have any; `None` is zero.
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T>;
}

/// What a function of the host computes with, `f32` or `f64`: numbers as `ndarray` has them, with their functions and
/// arithmetic.
pub trait HostElement: NdFloat {
    /// The nearest number of this type.
    fn nearest(x: f64) -> Self;
    /// Runs what is there for each of the two types.
    #[doc(hidden)]
    fn run<K: Kernel>(
        kernel: K,
        operands: &[&[Self]],
        result: &mut [Self],
    ) -> std::result::Result<(), String>;
}

/// A function on elements of each of the two types: of a library that has a trait of its own for them.
#[doc(hidden)]
pub trait Kernel {
    /// Of `f32`.
    fn single(self, operands: &[&[f32]], result: &mut [f32]) -> std::result::Result<(), String>;
    /// Of `f64`.
    fn double(self, operands: &[&[f64]], result: &mut [f64]) -> std::result::Result<(), String>;
}

impl HostElement for f32 {
    fn nearest(x: f64) -> f32 {
        x as f32
    }
    fn run<K: Kernel>(kernel: K, operands: &[&[f32]], result: &mut [f32]) -> std::result::Result<(), String> {
        kernel.single(operands, result)
    }
}

impl HostElement for f64 {
    fn nearest(x: f64) -> f64 {
        x
    }
    fn run<K: Kernel>(kernel: K, operands: &[&[f64]], result: &mut [f64]) -> std::result::Result<(), String> {
        kernel.double(operands, result)
    }
}

/// The shapes of a call of an operator.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Call {
    /// The axes of the batch.
    pub(crate) batch: Shape,
    /// Those of each operand, and then its own.
    operands: Vec<(Shape, Shape)>,
    /// Its result's own axes.
    own: Shape,
}

impl Call {
    /// Of operands of these shapes.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are not as many, have too few axes, or the operator is not defined for them;
    /// [`Error::Shape`] if their batches do not broadcast.
    #[track_caller]
    pub(crate) fn of<O: HostOperator>(operator: &O, shapes: &[Shape]) -> Result<Call> {
        let (op, at) = (operator.name(), blame(At::caller()));
        let refuse = |reason: String| Error::Argument { op, reason, at };
        if shapes.len() != O::RANKS.len() {
            return Err(refuse(format!("{} operands, and it takes {}", shapes.len(), O::RANKS.len())));
        }
        let mut operands = Vec::with_capacity(shapes.len());
        let mut batch = Shape::new();
        for (shape, &rank) in shapes.iter().zip(O::RANKS) {
            let Some(leading) = shape.len().checked_sub(rank) else {
                return Err(refuse(format!("an operand {shape:?}, which has to have {rank} axes or more")));
            };
            let (leading, own) = shape.split_at(leading);
            batch = shape::broadcast(op, &batch, leading)?;
            operands.push((Shape::from_slice(leading), Shape::from_slice(own)));
        }
        let own: Vec<&[usize]> = operands.iter().map(|(_, own)| own.as_slice()).collect();
        let own = operator.shape(&own).map_err(refuse)?;
        let call = Call { batch, operands, own: Shape::from_slice(&own) };
        shape::elements(op, &call.result())?;
        Ok(call)
    }

    /// An operand of which the rows of a batch that are of no account are [harmless](HostOperator::harmless).
    #[track_caller]
    pub(crate) fn of_account<O: HostOperator, T: Tensor>(&self, operator: &O, number: usize, x: &T) -> T {
        let at = At::caller();
        let harmless = || {
            operator_at(at, || {
                let shape = &self.operands[number].1;
                T::from_elements(shape, &operator.harmless(number, shape)).or_raise()
            })
        };
        rows::of_account_or(x, harmless).unwrap_or_else(|| x.clone())
    }

    /// The shape of the result.
    pub(crate) fn result(&self) -> Shape {
        self.batch.iter().chain(&self.own).copied().collect()
    }

    /// Computes the value, of operands in row-major order.
    ///
    /// # Errors
    /// The operator's reason, with the place in the batch.
    pub(crate) fn run<O: HostOperator, E: HostElement>(
        &self,
        operator: &O,
        operands: &[&[E]],
        result: &mut [E],
    ) -> std::result::Result<(), String> {
        fn own<'a, E>(elements: &'a [E], shape: &Shape) -> ArrayViewD<'a, E> {
            ArrayViewD::from_shape(IxDyn(shape), elements).expect("as many elements as the shape has")
        }
        if operator.is_elementwise() && operands[0].len() == result.len() {
            let found = operator.value_of_elements(operands, result);
            return found.unwrap_or_else(|| unreachable!("{} is elementwise", O::NAME));
        }
        let (length, count) = (shape::size(&self.own), shape::size(&self.batch));
        for number in 0..count {
            let parts = operands.iter().zip(&self.operands).map(|(elements, (leading, shape))| {
                let length = shape::size(shape);
                let start = match elements.len() {
                    // One for all of the batch, or one for each.
                    all if all == length => 0,
                    all if all == length * count => number,
                    _ => number_of(&place(number, &self.batch), leading),
                };
                &elements[start * length..(start + 1) * length]
            });
            let parts: SmallVec<[&[E]; 4]> = parts.collect();
            let result = &mut result[number * length..(number + 1) * length];
            let found = match operator.value_of_elements(&parts, result) {
                Some(found) => found,
                None => {
                    let shapes = parts.iter().zip(&self.operands);
                    let views: Vec<ArrayViewD<'_, E>> =
                        shapes.map(|(elements, (_, shape))| own(elements, shape)).collect();
                    let result = ArrayViewMutD::from_shape(IxDyn(&self.own), result)
                        .expect("as many elements as the shape has");
                    operator.value(&views, result)
                }
            };
            found.map_err(|reason| match place(number, &self.batch).as_slice() {
                [] => reason,
                place => format!("{reason}, at {place:?} of the batch"),
            })?;
        }
        Ok(())
    }
}

/// The place of an element in a batch.
fn place(mut number: usize, batch: &[usize]) -> Shape {
    let mut place: Shape = batch
        .iter()
        .rev()
        .map(|&length| {
            let along = number % length;
            number /= length;
            along
        })
        .collect();
    place.reverse();
    place
}

/// The number of what an operand with these axes of a batch has at a place of all of it.
fn number_of(place: &[usize], leading: &[usize]) -> usize {
    let along = &place[place.len() - leading.len()..];
    leading
        .iter()
        .zip(along)
        .fold(0, |number, (&length, &i)| number * length + if length == 1 { 0 } else { i })
}

/// What an operator is, in words: its name alone may be another one's.
#[cfg(feature = "staging")]
pub(crate) fn identity<O: HostOperator>(operator: &O) -> String {
    format!("{} {operator:?}", std::any::type_name::<O>())
}

/// Shapes of operands.
pub(crate) fn shapes<T: Tensor>(operands: &[&T]) -> Vec<Shape> {
    operands.iter().map(|x| x.shape()).collect()
}
