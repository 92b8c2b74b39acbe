//! [`scan`]: a loop over the rows of arrays.

use std::iter;

use crate::continuation::is_trial;
use crate::continuation::unwinding::{OrRaise, operator, raise};
use crate::error::{At, Error, Result};
use crate::language::control::continuation_passing::{self, Leaves, Site, leaves};
use crate::language::control::rows;
use crate::language::real::{Int, Real};
use crate::language::shape::{self, Shape};
use crate::language::state::{Index, Leaf, State};
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::INTERNAL;

/// `(carry, y_i) = step(carry, x_i)` over the first axis of `xs`; returns the last carry and the `y_i`, stacked along
/// a new first axis.
///
/// ```
/// use antiphon::{NdArray, Tensor, control::scan};
/// // Running sums.
/// let xs = NdArray::from(vec![1.0, 2.0, 3.0]);
/// let (total, sums) = scan(NdArray::scalar(0.0), &xs, |sum: NdArray<f64>, x| {
///     let sum = sum + x;
///     (sum.clone(), sum)
/// })?;
/// assert_eq!((total.item(), sums), (6.0, NdArray::from(vec![1.0, 3.0, 6.0])));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// When it is recorded it is a loop, and not unrolled: the program does not grow with the number of rows. Its results
/// and the adjoints of `xs` are written row by row in place.
///
/// For several arrays, and results of any structure, see [`Tensor::scan_rows`]; from the last row to the first,
/// [`Tensor::scan_rows_back`].
///
/// # Errors
/// [`Error::Operand`] if `xs` is a scalar. Raises [`Error::Shape`] if the `y_i` have different shapes.
#[track_caller]
pub fn scan<T: Tensor, S: State<T>>(init: S, xs: &T, step: impl Fn(S, T) -> (S, T)) -> Result<(S, T)> {
    rows_in_order(Order::Forward, init, xs, step)
}

/// From which end the rows are taken.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Forward,
    Back,
}

/// The arrays of a structure that is scanned, row by row.
struct Rows<'x, X> {
    xs: &'x X,
    order: Order,
    count: usize,
}

impl<'x, X> Rows<'x, X> {
    #[track_caller]
    fn of<T: Tensor>(xs: &'x X, order: Order) -> Result<Rows<'x, X>>
    where
        X: State<T>,
    {
        let at = At::caller();
        let mut first: Option<Shape> = None;
        for leaf in leaves::<T, X>(xs) {
            let shape = match leaf {
                Leaf::Real(x) => x.shape(),
                Leaf::Int(i) => i.shape(),
                Leaf::Bool(_) => {
                    let reason = "truth values have no rows: compare in the step".into();
                    return Err(Error::Argument { op: "scan", reason, at });
                }
            };
            if shape.is_empty() {
                let reason = "a scalar has no rows to scan".into();
                return Err(Error::Operand { op: "scan", shape: shape.to_vec(), reason, at });
            }
            match &first {
                Some(other) if other[0] != shape[0] => {
                    return Err(Error::Shape { op: "scan", lhs: other.to_vec(), rhs: shape.to_vec(), at });
                }
                Some(_) => {}
                None => first = Some(shape),
            }
        }
        match first {
            Some(shape) => Ok(Rows { xs, order, count: shape[0] }),
            None => {
                let reason = "there is no array whose rows could be scanned".into();
                Err(Error::Argument { op: "scan", reason, at })
            }
        }
    }

    fn map<T: Tensor>(&self, real: impl Fn(&T) -> T, int: impl Fn(&T::Int) -> T::Int) -> X
    where
        X: State<T>,
    {
        let row = |leaf| match leaf {
            Leaf::Real(x) => Leaf::Real(real(&x)),
            Leaf::Int(i) => Leaf::Int(int(&i)),
            Leaf::Bool(_) => unreachable!("there are none, or `of` had failed"),
        };
        let rows: Vec<Leaf<T>> = leaves(self.xs).into_iter().map(row).collect();
        self.xs.rebuild(&mut rows.into_iter())
    }

    /// The row of a number that is known.
    fn known<T: Tensor>(&self, i: usize) -> X
    where
        X: State<T>,
    {
        let int = |x: &T::Int| x.slice(0, i..i + 1).reshape(&x.shape()[1..]);
        self.map(|x: &T| x.index(0, i), int)
    }

    /// The row of a number that is data.
    fn at<T: Tensor>(&self, i: &T::Int) -> X
    where
        X: State<T>,
    {
        self.map(|x: &T| x.gather_rows(i), |x| x.gather_rows(i))
    }

    /// A row of zeros, which there need not be any of.
    fn zeros<T: Tensor>(&self) -> X
    where
        X: State<T>,
    {
        let zeros = |shape: &[usize]| T::Int::from_elements(shape, &vec![0; shape::size(shape)]).or_raise();
        self.map(|x: &T| T::zeros(&x.shape()[1..]), |x| zeros(&x.shape()[1..]))
    }
}

/// The real components, as all of what a step of a scan gives has to be.
fn reals<T: Tensor, Y: State<T>>(at: At, y: &Y) -> Vec<T> {
    let real = |leaf| match leaf {
        Leaf::Real(y) => y,
        Leaf::Int(_) | Leaf::Bool(_) => {
            let reason =
                "the results of the steps are reals: give integers as reals (from_int), or carry them";
            raise(Error::Argument { op: "scan", reason: reason.into(), at })
        }
    };
    leaves(y).into_iter().map(real).collect()
}

fn shapes<T: Tensor>(ys: &[T]) -> Vec<Shape> {
    ys.iter().map(T::shape).collect()
}

fn same_shapes(at: At, expected: &[Shape], found: &[Shape]) {
    if expected.len() != found.len() {
        let reason = "the steps give lists of different lengths".into();
        raise(Error::Argument { op: "scan", reason, at });
    }
    if let Some((lhs, rhs)) = expected.iter().zip(found).find(|(a, b)| a != b) {
        raise(Error::Shape { op: "scan", lhs: lhs.to_vec(), rhs: rhs.to_vec(), at });
    }
}

/// [`Tensor::scan_rows`] in an order.
#[track_caller]
pub(crate) fn rows_in_order<T: Tensor, S: State<T>, X: State<T>, Y: State<T>>(
    order: Order,
    init: S,
    xs: &X,
    step: impl Fn(S, X) -> (S, Y),
) -> Result<(S, Y)> {
    let site = Site::caller("scan");
    let at = site.at;
    let rows = Rows::of::<T>(xs, order)?;
    let stacked =
        |count: usize, row: &Shape| -> Shape { iter::once(count).chain(row.iter().copied()).collect() };
    if rows.count == 0 {
        // The step says what its results are like; none is computed.
        let y = continuation_passing::tried::<T, _>(site, || step(init.clone(), rows.zeros::<T>()).1);
        let none = reals::<T, Y>(at, &y).into_iter().map(|y| Leaf::Real(T::zeros(&stacked(0, &y.shape()))));
        return Ok((init, y.rebuild(&mut none.into_iter())));
    }
    if T::RECORDS {
        return Ok(record(site, &rows, init, step, stacked));
    }
    let mut carry = init;
    let mut results: Vec<Vec<T>> = Vec::new();
    let mut like = None;
    for i in 0..rows.count {
        let i = match order {
            Order::Forward => i,
            Order::Back => rows.count - 1 - i,
        };
        let (next, y) = step(carry, operator(at, || rows.known::<T>(i)));
        carry = next;
        let ys = reals::<T, Y>(at, &y);
        match results.first() {
            Some(first) => same_shapes(at, &shapes(first), &shapes(&ys)),
            None => like = Some(y),
        }
        results.push(ys);
    }
    if let Order::Back = order {
        results.reverse();
    }
    let like = like.expect("there are rows");
    let column = |i: usize| {
        let rows: Vec<T> = results.iter().map(|ys| ys[i].clone()).collect();
        Leaf::Real(T::stack(&rows, 0))
    };
    let ys: Vec<Leaf<T>> = operator(at, || (0..results[0].len()).map(column).collect());
    Ok((carry, like.rebuild(&mut ys.into_iter())))
}

/// What writes a row of each of several arrays.
type PutRows<'a, T> = &'a dyn Fn(&<T as Real>::Int, &[T]);

/// Arrays of which `fill` records the writing of each row; and what it gives.
fn record_all<T: Tensor>(
    site: Site,
    shapes: &[Shape],
    fill: &mut dyn FnMut(PutRows<'_, T>) -> Leaves<T>,
) -> (Vec<T>, Leaves<T>) {
    let [shape, others @ ..] = shapes else { return (Vec::new(), fill(&|_, _| ())) };
    let (first, rest) = T::record_rows(INTERNAL, site, shape, &mut |put| {
        let (others, rest) = record_all::<T>(site, others, &mut |put_others| {
            fill(&|i, rows| {
                put(i, rows[0].clone());
                put_others(i, &rows[1..]);
            })
        });
        others.into_iter().map(Leaf::Real).chain(rest).collect()
    });
    let mut rest = rest.into_iter();
    let ys = iter::once(first).chain(rest.by_ref().take(others.len()).map(Leaf::real)).collect();
    (ys, rest.collect())
}

/// A loop over the row's number.
fn record<T: Tensor, S: State<T>, X: State<T>, Y: State<T>>(
    site: Site,
    rows: &Rows<'_, X>,
    init: S,
    step: impl Fn(S, X) -> (S, Y),
    stacked: impl Fn(usize, &Shape) -> Shape,
) -> (S, Y) {
    let (at, count) = (site.at, rows.count);
    let number = |i: usize| T::Int::constant(i as i64);
    let row_of = |i: &T::Int| operator(at, || rows.at::<T>(i));
    let like = continuation_passing::tried::<T, _>(site, || step(init.clone(), row_of(&number(0))).1);
    let row = shapes(&reals::<T, Y>(at, &like));
    let arrays: Vec<Shape> = row.iter().map(|row| stacked(count, row)).collect();
    let init = rows::spread_discrete::<T, S>(site, init);
    let rebuilt = |ys: Vec<T>| like.rebuild(&mut ys.into_iter().map(Leaf::Real));
    if is_trial() {
        return rows::spread::<T, _>(
            site,
            (init, rebuilt(arrays.iter().map(|shape| T::zeros(shape)).collect())),
        );
    }
    let (ys, last) = record_all::<T>(site, &arrays, &mut |put| {
        let start = (Index::<T>(number(0)), init.clone());
        let (_, carry) = continuation_passing::while_loop::<T, _>(
            site,
            start,
            |(i, _)| operator(at, || i.0.less(&number(count))),
            |(Index(i), carry)| {
                let i = i.named("i");
                let place = match rows.order {
                    Order::Forward => i.clone(),
                    Order::Back => operator(at, || number(count - 1) - &i),
                };
                let (carry, y) = step(carry, row_of(&place));
                let ys = reals::<T, Y>(at, &y);
                same_shapes(at, &row, &shapes(&ys));
                operator(at, || put(&place, &ys));
                (Index(operator(at, || i + number(1))), carry)
            },
        );
        leaves(&carry)
    });
    (init.rebuild(&mut last.into_iter()), rebuilt(ys))
}
