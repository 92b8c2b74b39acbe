//! [`vmap`]: from a function of one row to one of all rows.

use super::{Batch, BatchBool, BatchInt};
use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator, raise};
use crate::error::{At, Error, Result};
use crate::language::control::rows;
use crate::language::params::Path;
use crate::language::shape::{self, Shape};
use crate::language::state::Leaf;
use crate::language::structure::Structure;
use crate::language::tensor::{IntTensor, MaskTensor, Tensor};

/// Runs `f`, a function of one row, on all rows of `xs` at once: every array in `xs` has the batch as its first axis,
/// and so has every array of the result.
///
/// `xs` and the result are any [`Structure`]: arrays, integers, tuples, models. What `f` takes from around it is the
/// same for all rows, and enters with [`Batch::lift`]. It nests with derivatives in any order; the gradient of each
/// sample, say, is `vmap` of `grad`:
/// ```
/// use antiphon::{Batch, NdArray, OrRaise, Real, Tensor, Var, grad, vmap};
/// /// Squared error of a linear model for one sample.
/// fn loss<T: Tensor>(weights: &T, x: &T, y: &T) -> T {
///     (x.matmul(weights) - y).square()
/// }
/// let weights = NdArray::from(vec![1.0, 2.0]);
/// let xs = NdArray::from_elements(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])?;
/// let ys = NdArray::from(vec![0.0, 2.0, 1.0]);
/// let gradients = vmap(
///     |(x, y)| grad(|weights| loss(&weights, &Var::lift(&x), &Var::lift(&y)), &Batch::lift(&weights)).or_raise(),
///     &(xs, ys),
/// )?;
/// assert_eq!(gradients, NdArray::from_elements(&[3, 2], &[2.0, 0.0, 0.0, 0.0, 4.0, 4.0])?);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// Control flow follows each row: both arms of a [`cond`](crate::Control::cond) on a condition that differs from row to
/// row are run, and each row takes its own; a [`while_loop`](crate::Control::while_loop) runs until no row goes on,
/// and those that have come to their end keep their state.
///
/// # Errors
/// What `f` raises; [`Error::Argument`] if `xs` has no array, its arrays have different numbers of rows, or one has no
/// axis.
#[track_caller]
pub fn vmap<T, P, Q>(f: impl FnOnce(P::With<Batch<T>>) -> Q, xs: &P) -> Result<Q::With<T>>
where
    T: Tensor,
    P: Structure<T>,
    Q: Structure<Batch<T>>,
{
    map(At::caller(), f, xs, &[Some(0)], &[Some(0)])
}

/// [`vmap`] with the axis of the batch for each part of `xs`, and of the result: the elements of a tuple or a list, the
/// fields of a struct. Parts whose axis is `None` are the same for all rows. A single axis is for all parts.
///
/// ```
/// use antiphon::{NdArray, Tensor, vmap_axes};
/// let matrix = NdArray::from_elements(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let vector = NdArray::from(vec![1.0, 10.0]);
/// // The columns' products with the vector, which is the same for all.
/// let dots = vmap_axes(|(column, vector)| column.matmul(&vector), &(matrix, vector), &[Some(1), None], &[Some(0)])?;
/// assert_eq!(dots, NdArray::from(vec![41.0, 52.0, 63.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`vmap`]; [`Error::Argument`] if there are more or fewer axes than parts, all are `None`, or a part of the result
/// whose axis is `None` differs from row to row; [`Error::Operand`] if an array has no such axis.
#[track_caller]
pub fn vmap_axes<T, P, Q>(
    f: impl FnOnce(P::With<Batch<T>>) -> Q,
    xs: &P,
    in_axes: &[Option<isize>],
    out_axes: &[Option<isize>],
) -> Result<Q::With<T>>
where
    T: Tensor,
    P: Structure<T>,
    Q: Structure<Batch<T>>,
{
    map(At::caller(), f, xs, in_axes, out_axes)
}

/// The axes of a structure's parts, to be asked for in order.
struct AxesOf<'a> {
    what: &'static str,
    axes: &'a [Option<isize>],
    /// The part that was asked for last, and its number.
    part: Option<(String, usize)>,
    at: At,
}

impl AxesOf<'_> {
    /// The axis of the component of this name.
    fn of(&mut self, path: &Path) -> Option<isize> {
        let name = path.to_string();
        let name = name.split('.').next().unwrap_or_default();
        let number = match (&self.part, name.parse()) {
            // Of a tuple or a list, of which parts without arrays do not come by.
            (_, Ok(number)) => number,
            (None, _) => 0,
            (Some((last, number)), _) if last == name => *number,
            (Some((_, number)), _) => number + 1,
        };
        self.part = Some((name.to_owned(), number));
        match self.axes {
            [axis] => *axis,
            axes => *axes.get(number).unwrap_or_else(|| raise(self.refused("more"))),
        }
    }

    /// That there were as many parts as axes.
    fn finish(&self) {
        let parts = self.part.as_ref().map_or(0, |(_, number)| number + 1);
        if self.axes.len() > 1 && parts != self.axes.len() {
            raise(self.refused(&parts.to_string()));
        }
    }

    fn refused(&self, parts: &str) -> Error {
        let (axes, what) = (self.axes.len(), self.what);
        let reason =
            format!("{axes} axes for {parts} parts of the {what}: give one for each, or one for all");
        Error::Argument { op: "vmap", reason, at: self.at }
    }
}

fn map<T, P, Q>(
    at: At,
    f: impl FnOnce(P::With<Batch<T>>) -> Q,
    xs: &P,
    in_axes: &[Option<isize>],
    out_axes: &[Option<isize>],
) -> Result<Q::With<T>>
where
    T: Tensor,
    P: Structure<T>,
    Q: Structure<Batch<T>>,
{
    let refuse = |reason: String| -> ! { raise(Error::Argument { op: "vmap", reason, at }) };
    catch(|| {
        stack::on_reserved(|| {
            let mut axes = AxesOf { what: "arguments", axes: in_axes, part: None, at };
            let mut first: Option<(String, usize)> = None;
            let inputs = operator(at, || {
                xs.map_components(&mut Path::default(), &mut |path, leaf: Leaf<T>| {
                    let Some(axis) = axes.of(path) else { return same_for_all(leaf) };
                    let (leaf, count) = rows_first(leaf, axis);
                    let name = path.to_string();
                    let (other, expected) = first.get_or_insert_with(|| (name.clone(), count));
                    if *expected != count {
                        refuse(format!("argument {name:?} has {count} rows, and {other:?} has {expected}"));
                    }
                    leaf
                })
            });
            axes.finish();
            let Some((_, count)) = first else { refuse("no argument has rows".into()) };
            let result = rows::over::<BatchBool<T::Bool>, _>(count, || f(inputs));
            let mut axes = AxesOf { what: "results", axes: out_axes, part: None, at };
            let result = operator(at, || {
                result.map_components(&mut Path::default(), &mut |path, leaf: Leaf<Batch<T>>| match axes
                    .of(path)
                {
                    Some(axis) => rows_at(spread(leaf, count), axis),
                    None => whole(leaf).unwrap_or_else(|| {
                        refuse(format!(
                            "result {:?} differs from row to row: it has no axis None",
                            path.to_string()
                        ))
                    }),
                })
            });
            axes.finish();
            Ok(result)
        })
    })
}

pub(super) fn same_for_all<T: Tensor>(leaf: Leaf<T>) -> Leaf<Batch<T>> {
    match leaf {
        Leaf::Real(x) => Leaf::Real(Batch::lift(&x)),
        Leaf::Int(i) => Leaf::Int(BatchInt::lift(&i)),
        Leaf::Bool(b) => Leaf::Bool(BatchBool::lift(&b)),
    }
}

/// The component without rows, if it is the same for all.
pub(super) fn whole<T: Tensor>(leaf: Leaf<Batch<T>>) -> Option<Leaf<T>> {
    match leaf {
        Leaf::Real(x) => (!x.batched).then_some(Leaf::Real(x.value)),
        Leaf::Int(i) => (!i.batched).then_some(Leaf::Int(i.value)),
        Leaf::Bool(b) => (!b.batched).then_some(Leaf::Bool(b.value)),
    }
}

/// Components as they are, and which are the same for all rows.
pub(super) fn parts<T: Tensor>(leaves: Vec<Leaf<Batch<T>>>) -> (Vec<Leaf<T>>, Vec<bool>) {
    let part = |leaf: Leaf<Batch<T>>| match leaf {
        Leaf::Real(x) => (Leaf::Real(x.value), !x.batched),
        Leaf::Int(i) => (Leaf::Int(i.value), !i.batched),
        Leaf::Bool(b) => (Leaf::Bool(b.value), !b.batched),
    };
    leaves.into_iter().map(part).unzip()
}

/// The components whose [`parts`] these are.
pub(super) fn of_parts<T: Tensor>(parts: Vec<Leaf<T>>, same: &[bool]) -> Vec<Leaf<Batch<T>>> {
    let whole = |(part, &same): (Leaf<T>, &bool)| if same { same_for_all(part) } else { of_rows(part) };
    parts.into_iter().zip(same).map(whole).collect()
}

pub(super) fn of_rows<T: Tensor>(leaf: Leaf<T>) -> Leaf<Batch<T>> {
    match leaf {
        Leaf::Real(x) => Leaf::Real(Batch::of_rows(x)),
        Leaf::Int(i) => Leaf::Int(BatchInt::of_rows(i)),
        Leaf::Bool(b) => Leaf::Bool(BatchBool::of_rows(b)),
    }
}

/// With all rows, as the first axis.
pub(super) fn spread<T: Tensor>(leaf: Leaf<Batch<T>>, rows: usize) -> Leaf<T> {
    match leaf {
        Leaf::Real(x) => Leaf::Real(x.spread(rows)),
        Leaf::Int(i) => Leaf::Int(i.spread(rows)),
        Leaf::Bool(b) => Leaf::Bool(b.spread::<T>(rows)),
    }
}

/// With the rows, which are an axis, as the first one; and their number.
fn rows_first<T: Tensor>(leaf: Leaf<T>, axis: isize) -> (Leaf<Batch<T>>, usize) {
    let order = |shape: &Shape| {
        let axis = shape::axis("vmap", shape, axis).unwrap_or_else(|error| raise(error));
        let rest = (0..shape.len()).filter(|&other| other != axis);
        (std::iter::once(axis).chain(rest).collect::<Shape>(), shape[axis])
    };
    match leaf {
        Leaf::Real(x) => {
            let (order, rows) = order(&x.shape());
            (Leaf::Real(Batch::of_rows(reordered(x, &order))), rows)
        }
        Leaf::Int(i) => {
            let (order, rows) = order(&i.shape());
            (Leaf::Int(BatchInt::of_rows(reordered_ints(i, &order))), rows)
        }
        Leaf::Bool(b) => {
            let (order, rows) = order(&b.shape());
            (Leaf::Bool(BatchBool::of_rows(reordered_flags::<T>(b, &order))), rows)
        }
    }
}

/// With the rows, which are the first axis, as another one.
fn rows_at<T: Tensor>(leaf: Leaf<T>, axis: isize) -> Leaf<T> {
    let order = |shape: &Shape| {
        let axis = shape::axis("vmap", shape, axis).unwrap_or_else(|error| raise(error));
        (1..=axis).chain(std::iter::once(0)).chain(axis + 1..shape.len()).collect::<Shape>()
    };
    match leaf {
        Leaf::Real(x) => {
            let order = order(&x.shape());
            Leaf::Real(reordered(x, &order))
        }
        Leaf::Int(i) => {
            let order = order(&i.shape());
            Leaf::Int(reordered_ints(i, &order))
        }
        Leaf::Bool(b) => {
            let order = order(&b.shape());
            Leaf::Bool(reordered_flags::<T>(b, &order))
        }
    }
}

fn is_identity(order: &[usize]) -> bool {
    order.iter().enumerate().all(|(i, &axis)| i == axis)
}

fn reordered<T: Tensor>(x: T, order: &[usize]) -> T {
    if is_identity(order) { x } else { x.permute(order) }
}

/// Integers have no permutation: their elements are picked from where they were.
fn reordered_ints<I: IntTensor>(x: I, order: &[usize]) -> I {
    if is_identity(order) {
        return x;
    }
    let shape = x.shape();
    let to: Shape = order.iter().map(|&axis| shape[axis]).collect();
    let strides: Shape = (0..shape.len()).map(|axis| shape::size(&shape[axis + 1..])).collect();
    let places: Vec<i64> = (0..shape::size(&to))
        .map(|mut i| {
            let mut place = 0;
            for (&axis, &length) in order.iter().zip(&to).rev() {
                place += i % length * strides[axis];
                i /= length;
            }
            place as i64
        })
        .collect();
    let places = I::from_elements(&to, &places).expect("as many elements as the shape has");
    x.reshape(&[places.shape().iter().product()]).gather_rows(&places)
}

fn reordered_flags<T: Tensor>(x: T::Bool, order: &[usize]) -> T::Bool {
    if is_identity(order) {
        return x;
    }
    T::from_mask(&x).permute(order).greater(&T::constant(0.5))
}
