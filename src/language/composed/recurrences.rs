//! Sums, products and extrema that are cumulative along an axis, and what their derivatives are made of: the recurrence
//! `y_i = a_i·y_{i−1} + b_i`. The host computes them, in one pass over the elements.

use crate::language::host::{ArrayViewD, ArrayViewMutD, HostElement, HostOperator};
use crate::language::shape::Padding;
use crate::language::tensor::Tensor;

/// An associative operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Associative {
    Sum,
    Product,
    Maximum,
    Minimum,
}

/// Two elements in their order.
#[track_caller]
pub fn combined<T: Tensor>(operator: Associative, a: &T, b: &T) -> T {
    match operator {
        Associative::Sum => a.clone() + b,
        Associative::Product => a.clone() * b,
        Associative::Maximum => a.maximum(b),
        Associative::Minimum => a.minimum(b),
    }
}

/// `y_i = x_0 ∘ … ∘ x_i` of arrays `[.., n, columns]`; of a sum also from the other end.
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// What errors call it.
    op: &'static str,
    operator: Associative,
    from_end: bool,
}

impl Along {
    pub fn of(op: &'static str, operator: Associative) -> Along {
        Along { op, operator, from_end: false }
    }
}

/// `y_i = a_i·y_{i−1} + b_i`, `y_0 = b_0`, of arrays `[.., n, columns]` each; or from the other end,
/// `y_i = a_i·y_{i+1} + b_i`.
#[derive(Clone, Copy, Debug)]
struct Recurrence {
    from_end: bool,
}

/// The rows that come before: `y_i = x_{i−1}`, and zeros first. Or those that come after.
fn shifted<T: Tensor>(x: &T, before: bool) -> T {
    let n = x.shape()[x.rank() - 2];
    let (kept, padding) = match before {
        true => (0..n - 1, Padding { before: 1, ..Padding::default() }),
        false => (1..n, Padding { after: 1, ..Padding::default() }),
    };
    x.slice(-2, kept).pad(-2, padding)
}

/// The first row, or the last one, of ones, and zeros.
fn first<T: Tensor>(x: &T) -> T {
    shifted(&x.ones_like(), true).scale(-1.0).offset(1.0)
}

/// The matrices of an operand, by rows.
fn matrices<'a, E>(x: &'a ArrayViewD<'_, E>) -> impl Iterator<Item = &'a [E]> {
    let size = x.shape()[1] * x.shape()[2];
    x.as_slice().expect("operands of the host are in row-major order").chunks_exact(size.max(1))
}

/// Those of a result.
fn matrices_mut<'a, E>(y: &'a mut ArrayViewMutD<'_, E>) -> impl Iterator<Item = &'a mut [E]> {
    let size = y.shape()[1] * y.shape()[2];
    y.as_slice_mut().expect("results of the host are in row-major order").chunks_exact_mut(size.max(1))
}

/// Rows of a result and of operands with so many columns, in the order in which they are computed.
fn in_order<E: Copy>(
    from_end: bool,
    n: usize,
    columns: usize,
    y: &mut [E],
    mut row: impl FnMut(std::ops::Range<usize>, Option<std::ops::Range<usize>>, &mut [E]),
) {
    let range = |i: usize| i * columns..(i + 1) * columns;
    for step in 0..n {
        let i = if from_end { n - 1 - step } else { step };
        let last = (step > 0).then(|| range(if from_end { i + 1 } else { i - 1 }));
        row(range(i), last, y);
    }
}

/// How many elements are added up before their sum is added to the one so far.
const BLOCK: usize = 64;

/// Sums: of each block one after the other, and with what rounding has cost, of the blocks (Kahan 1965). So the error
/// does not grow with their number.
fn sums<E: HostElement>(x: &[E], columns: usize, from_end: bool, y: &mut [E]) {
    let n = x.len() / columns;
    let (mut local, mut sum, mut lost) =
        (vec![E::zero(); columns], vec![E::zero(); columns], vec![E::zero(); columns]);
    let mut count = 0;
    in_order(from_end, n, columns, y, |at, _, y| {
        if count > 0 && count % BLOCK == 0 {
            for ((local, sum), lost) in local.iter_mut().zip(&mut sum).zip(&mut lost) {
                let corrected = *local - *lost;
                let next = *sum + corrected;
                *lost = if next.is_finite() { (next - *sum) - corrected } else { E::zero() };
                (*sum, *local) = (next, E::zero());
            }
        }
        let of_block = local.iter_mut().zip(&x[at.clone()]).zip(&mut y[at]).zip(&sum);
        // The first block has no sum before it, and its first element is itself: −0 stays −0.
        match count {
            0 => of_block.for_each(|(((local, &x), y), _)| (*local, *y) = (x, x)),
            1..BLOCK => of_block.for_each(|(((local, &x), y), _)| {
                *local += x;
                *y = *local;
            }),
            _ => of_block.for_each(|(((local, &x), y), &sum)| {
                *local += x;
                *y = sum + *local;
            }),
        }
        count += 1;
    });
}

/// The same of one column, in a loop that keeps its sums in registers.
fn sums_of_one<E: HostElement>(x: &[E], from_end: bool, y: &mut [E]) {
    let (mut sum, mut lost) = (E::zero(), E::zero());
    let blocks = x.len().div_ceil(BLOCK);
    for step in 0..blocks {
        // From the end, the last block is whole.
        let range = match from_end {
            false => step * BLOCK..x.len().min((step + 1) * BLOCK),
            true => x.len().saturating_sub((step + 1) * BLOCK)..x.len() - step * BLOCK,
        };
        let (x, y) = (&x[range.clone()], &mut y[range]);
        let mut local = if step == 0 { -E::zero() } else { E::zero() };
        let mut add = |x: E, y: &mut E| {
            local += x;
            *y = if step == 0 { local } else { sum + local };
        };
        match from_end {
            false => x.iter().zip(y).for_each(|(&x, y)| add(x, y)),
            true => x.iter().zip(y).rev().for_each(|(&x, y)| add(x, y)),
        }
        let corrected = local - lost;
        let next = sum + corrected;
        lost = if next.is_finite() { (next - sum) - corrected } else { E::zero() };
        sum = next;
    }
}

/// The greater of two, and NaN if one is.
fn maximum<E: HostElement>(a: E, b: E) -> E {
    if a.is_nan() || a > b { a } else { b }
}

fn fold<E: HostElement>(x: &[E], columns: usize, y: &mut [E], f: impl Fn(E, E) -> E) {
    if columns == 1 {
        let mut last = None;
        for (&x, y) in x.iter().zip(y) {
            let next = last.map_or(x, |last| f(last, x));
            (*y, last) = (next, Some(next));
        }
        return;
    }
    in_order(false, x.len() / columns, columns, y, |at, last, y| {
        let Some(last) = last else { return y[at.clone()].copy_from_slice(&x[at]) };
        let (before, here) = y.split_at_mut(at.start);
        let here = here[..columns].iter_mut().zip(&before[last]).zip(&x[at]);
        here.for_each(|((y, &last), &x)| *y = f(last, x));
    });
}

impl HostOperator for Along {
    const NAME: &'static str = "cumulative";
    const RANKS: &'static [usize] = &[3];

    fn name(&self) -> &'static str {
        self.op
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let columns = x[0].shape()[2];
        for (x, y) in matrices(&x[0]).zip(matrices_mut(&mut y)) {
            match self.operator {
                Associative::Sum if columns == 1 => sums_of_one(x, self.from_end, y),
                Associative::Sum => sums(x, columns, self.from_end, y),
                Associative::Product => fold(x, columns, y, |a, b| a * b),
                Associative::Maximum => fold(x, columns, y, maximum),
                Associative::Minimum => fold(x, columns, y, |a, b| -maximum(-a, -b)),
            }
        }
        Ok(())
    }
    // Of a product, `ds_i = x_i·ds_{i−1} + s_{i−1}·dx_i`; of an extremum, the same with the shares that the two have in
    // it.
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        if self.operator == Associative::Sum {
            return vec![Some(T::host(&Along { from_end: !self.from_end, ..*self }, &[y_bar]))];
        }
        let (of_last, of_x) = self.slopes(&x[0], y);
        let later = T::host(&Recurrence { from_end: true }, &[&shifted(&of_last, false), y_bar]);
        vec![Some(of_x * later)]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let dx = tangents[0].as_ref()?;
        if self.operator == Associative::Sum {
            return Some(T::host(self, &[dx]));
        }
        let (of_last, of_x) = self.slopes(&x[0], y);
        Some(T::host(&Recurrence { from_end: false }, &[&of_last, &(of_x * dx)]))
    }
    fn composed<T: Tensor>(&self, x: &[T]) -> Option<T> {
        let x = if self.from_end { x[0].flip(-2) } else { x[0].clone() };
        let [y] = through([x], &|[a], [b]| [combined(self.operator, &a, &b)]);
        Some(if self.from_end { y.flip(-2) } else { y })
    }
}

impl Along {
    /// The derivatives of `y_i = y_{i−1} ∘ x_i` by both; the first row is `x`'s.
    fn slopes<T: Tensor>(self, x: &T, y: &T) -> (T, T) {
        let (last, first) = (shifted(y, true), first(x));
        if self.operator == Associative::Product {
            return (x.clone(), last + first);
        }
        let (one, half, zero) = (T::constant(1.0), T::constant(0.5), T::constant(0.0));
        let (greater, less) = (last.greater(x), last.less(x));
        let (kept, new) = match self.operator {
            Associative::Minimum => (less, greater),
            _ => (greater, less),
        };
        let share = T::select(&kept, &one, &T::select(&new, &zero, &half)).broadcast_to(&x.shape());
        let is_first = first.greater(&half);
        let of_last = T::select(&is_first, &zero, &share);
        (of_last.clone(), -of_last + 1.0)
    }
}

impl HostOperator for Recurrence {
    const NAME: &'static str = "recurrence";
    const RANKS: &'static [usize] = &[3, 3];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[1].to_vec())
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let columns = x[1].shape()[2];
        for ((a, b), y) in matrices(&x[0]).zip(matrices(&x[1])).zip(matrices_mut(&mut y)) {
            if columns == 1 {
                // What is before the first element counts for nothing, whatever its factor.
                let mut last = None;
                let mut step = |((&a, &b), y): ((&E, &E), &mut E)| {
                    let next = last.map_or(b, |last| a * last + b);
                    (*y, last) = (next, Some(next));
                };
                match self.from_end {
                    false => a.iter().zip(b).zip(y).for_each(&mut step),
                    true => a.iter().zip(b).zip(y).rev().for_each(&mut step),
                }
                continue;
            }
            in_order(self.from_end, b.len() / columns, columns, y, |at, last, y| {
                let Some(last) = last else { return y[at.clone()].copy_from_slice(&b[at]) };
                for (here, last) in at.zip(last) {
                    y[here] = a[here] * y[last] + b[here];
                }
            });
        }
        Ok(())
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let before = !self.from_end;
        let back = Recurrence { from_end: !self.from_end };
        let b_bar = T::host(&back, &[&shifted(&x[0], !before), y_bar]);
        let a_bar = wanted[0].then(|| shifted(y, before) * &b_bar);
        vec![a_bar, Some(b_bar)]
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let of_a = tangents[0].as_ref().map(|da| shifted(y, !self.from_end) * da);
        let moved = [of_a, tangents[1].clone()].into_iter().flatten().reduce(|a, b| a + b);
        moved.map(|b| T::host(self, &[&x[0], &b]))
    }
    fn composed<T: Tensor>(&self, x: &[T]) -> Option<T> {
        let turned = |x: &T| if self.from_end { x.flip(-2) } else { x.clone() };
        let [_, y] = through([turned(&x[0]), turned(&x[1])], &|[a, b], [c, d]| {
            let moved = c.clone() * b + d;
            [a * c, moved]
        });
        Some(turned(&y))
    }
}

/// The same of an associative operator on structures, by operators on whole arrays: of pairs of neighbours first, which
/// is every other element of the result, and the others are one step from these (Blelloch 1990, "Prefix sums and their
/// applications"). It is some 2n operations in 2·log₂ n operators.
fn through<T: Tensor, const N: usize>(x: [T; N], combine: &impl Fn([T; N], [T; N]) -> [T; N]) -> [T; N] {
    let whole = x[0].shape();
    let along = whole.len() - 2;
    let n = whole[along];
    if n < 2 {
        return x;
    }
    let (pairs, odd) = (n / 2, n % 2);
    let all = |x: &[T; N], f: &dyn Fn(&T) -> T| -> [T; N] { std::array::from_fn(|i| f(&x[i])) };
    let (first, second) = (all(&x, &|x| x.slice_step(-2, 0..n, 2)), all(&x, &|x| x.slice_step(-2, 1..n, 2)));
    let to_second = through(combine(all(&first, &|x| x.slice(-2, 0..pairs)), second), combine);
    let mut to_first = all(&first, &|x| x.slice(-2, 0..1));
    if pairs + odd > 1 {
        let before = all(&to_second, &|x| x.slice(-2, 0..pairs + odd - 1));
        let others = combine(before, all(&first, &|x| x.slice(-2, 1..pairs + odd)));
        to_first = std::array::from_fn(|i| T::concat(&[to_first[i].clone(), others[i].clone()], -2));
    }
    std::array::from_fn(|i| {
        let mut even = to_first[i].shape();
        even[along] = 2 * pairs;
        let both = T::stack(&[to_first[i].slice(-2, 0..pairs), to_second[i].clone()], along as isize + 1);
        let both = both.reshape(&even);
        if odd == 0 { both } else { T::concat(&[both, to_first[i].slice(-2, pairs..pairs + 1)], -2) }
    })
}
