//! [`einsum`]: products of arrays with sums over axes that have one name.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::{in_order, refuse};
use crate::continuation::unwinding::OrRaise;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;

/// The name of an axis. Those of `...` are numbered from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Ellipsis(usize),
    Letter(char),
}

type Names = SmallVec<[Name; 6]>;

/// Up to so many operands all orders of products are tried.
const TRIED: usize = 6;

/// Einstein's summation convention, as `numpy.einsum` and `torch.einsum` have it: `"ij,jk->ik"` is the product of two
/// matrices, `∑ⱼ aᵢⱼ·bⱼₖ`. A letter names an axis of each operand; axes of one name run together, and what the result
/// does not name is summed over. Twice in one operand it is a diagonal: `"ii->i"`. `...` stands for any leading axes,
/// which broadcast, and are summed over if the result does not have it. Without `->`, the result has `...` and then the
/// letters that occur once, in the order of the alphabet.
///
/// Products are made two at a time, in the order that takes the fewest multiplications (of more than six operands, each
/// time the pair that takes the fewest), as matrix products where something is summed over.
///
/// ```
/// use antiphon::{NdArray, Tensor, einsum};
/// let a = NdArray::<f64>::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(einsum("ij,jk->ik", &[&a, &a]), a.matmul(&a));
/// assert_eq!(einsum("ii", &[&a]).item(), 5.0);
/// assert_eq!(einsum("...i->...", &[&a]), a.sum(-1));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// Raises [`Error::Argument`](crate::Error::Argument) for subscripts that are none, with the character; if they are not
/// as many as the operands, or as an operand has axes; if axes of one name have different lengths; and if the result
/// names an axis twice, or one that no operand has.
#[track_caller]
pub fn einsum<T: Tensor>(subscripts: &str, operands: &[&T]) -> T {
    let (inputs, output) = match parse(subscripts, operands) {
        Ok(parsed) => parsed,
        Err(reason) => refuse("einsum", format!("{reason}, in {subscripts:?}")),
    };
    let lengths = match lengths(&inputs, operands) {
        Ok(lengths) => lengths,
        Err(reason) => refuse("einsum", format!("{reason}, in {subscripts:?}")),
    };
    let mut terms = Vec::with_capacity(operands.len());
    for (names, &x) in inputs.into_iter().zip(operands) {
        let term = Term { names, x: x.clone() }.without_repetitions();
        terms.push(term.without_stretched(&lengths));
    }
    while terms.len() > 1 {
        let [i, j] = cheapest(&terms, &output, &lengths);
        let right = terms.remove(j);
        let left = terms.remove(i);
        let outside =
            |name: &Name| output.contains(name) || terms.iter().any(|term| term.names.contains(name));
        let needed: Names = left.names.iter().chain(&right.names).copied().filter(outside).collect();
        terms.insert(i, left.times(right, &needed));
    }
    terms.remove(0).arranged(&output)
}

/// The names of the operands' axes and of the result's.
fn parse<T: Tensor>(subscripts: &str, operands: &[&T]) -> Result<(Vec<Names>, Names), String> {
    let (inputs, output) = match subscripts.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (subscripts, None),
    };
    let inputs: Vec<&str> = inputs.split(',').collect();
    if inputs.len() != operands.len() || operands.is_empty() {
        return Err(format!("{} operands for {} subscripts", operands.len(), inputs.len()));
    }
    let mut names = Vec::with_capacity(inputs.len());
    for (number, (text, x)) in inputs.iter().zip(operands).enumerate() {
        let rank = x.rank();
        let of = named(text, |letters| rank.checked_sub(letters))?;
        if of.len() != rank {
            let has = x.shape();
            return Err(format!(
                "{:?} names {} axes of operand {number}, which is {has:?}",
                text.trim(),
                of.len()
            ));
        }
        names.push(of);
    }
    let stretched = |name: &&Name| matches!(name, Name::Ellipsis(_));
    let leading = names.iter().map(|names| names.iter().filter(stretched).count()).max().unwrap_or(0);
    let output = match output {
        Some(text) => named(text, |_| Some(leading))?,
        None => {
            let mut times = BTreeMap::new();
            names.iter().flatten().for_each(|&name| *times.entry(name).or_insert(0) += 1);
            let once = times.into_iter().filter(|&(name, n)| n == 1 && matches!(name, Name::Letter(_)));
            (0..leading).rev().map(Name::Ellipsis).chain(once.map(|(name, _)| name)).collect()
        }
    };
    for (i, name) in output.iter().enumerate() {
        let Name::Letter(letter) = name else { continue };
        if output[..i].contains(name) {
            return Err(format!("the result names '{letter}' twice"));
        }
        if !names.iter().any(|of| of.contains(name)) {
            return Err(format!("the result has '{letter}', which no operand has"));
        }
    }
    Ok((names, output))
}

/// The names in one subscript; `leading` says for how many axes `...` stands beside so many letters.
fn named(text: &str, leading: impl Fn(usize) -> Option<usize>) -> Result<Names, String> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    let (before, after) = match text.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (text.as_str(), None),
    };
    let letters = |part: &str| -> Result<Names, String> {
        let letter = |c: char| match c.is_alphabetic() {
            true => Ok(Name::Letter(c)),
            false => Err(format!("{c:?} is no letter")),
        };
        part.chars().map(letter).collect()
    };
    let mut names = letters(before)?;
    if let Some(after) = after {
        let after = letters(after)?;
        // Too many letters are said to be so by the caller.
        let count = leading(names.len() + after.len()).unwrap_or(0);
        names.extend((0..count).rev().map(Name::Ellipsis));
        names.extend(after);
    }
    Ok(names)
}

/// The lengths of the axes, by name.
fn lengths<T: Tensor>(inputs: &[Names], operands: &[&T]) -> Result<BTreeMap<Name, usize>, String> {
    let mut lengths = BTreeMap::new();
    for (number, (names, x)) in inputs.iter().zip(operands).enumerate() {
        for (&name, &length) in names.iter().zip(&x.shape()) {
            let known = lengths.entry(name).or_insert(length);
            match name {
                _ if *known == length => {}
                Name::Ellipsis(_) if *known == 1 => *known = length,
                Name::Ellipsis(_) if length == 1 => {}
                Name::Ellipsis(_) => {
                    return Err(format!(
                        "\"...\" has length {length} in operand {number}, and {known} before"
                    ));
                }
                Name::Letter(letter) => {
                    return Err(format!(
                        "'{letter}' has length {length} in operand {number}, and {known} before"
                    ));
                }
            }
        }
    }
    Ok(lengths)
}

/// How many multiplications a product of terms with these names takes.
fn cost(names: impl Iterator<Item = Name>, lengths: &BTreeMap<Name, usize>) -> f64 {
    let names: std::collections::BTreeSet<Name> = names.collect();
    names.iter().map(|name| lengths[name] as f64).product()
}

/// The two terms, by number, to be multiplied next.
fn cheapest<T>(terms: &[Term<T>], output: &Names, lengths: &BTreeMap<Name, usize>) -> [usize; 2] {
    let names: Vec<Names> = terms.iter().map(|term| term.names.clone()).collect();
    let depth = if terms.len() <= TRIED { terms.len() } else { 1 };
    best(&names, output, lengths, depth).1
}

/// The lowest cost of so many products, and the first of them.
fn best(terms: &[Names], output: &Names, lengths: &BTreeMap<Name, usize>, depth: usize) -> (f64, [usize; 2]) {
    let mut least = (f64::INFINITY, [0, 1]);
    if terms.len() < 2 || depth == 0 {
        return (0.0, [0, 1]);
    }
    for i in 0..terms.len() {
        for j in i + 1..terms.len() {
            let both = terms[i].iter().chain(&terms[j]);
            let own = cost(both.clone().copied(), lengths);
            if own >= least.0 {
                continue;
            }
            let mut rest: Vec<Names> = terms
                .iter()
                .enumerate()
                .filter(|(k, _)| *k != i && *k != j)
                .map(|(_, t)| t.clone())
                .collect();
            let mut product = Names::new();
            for name in both {
                let needed = output.contains(name) || rest.iter().any(|term| term.contains(name));
                if needed && !product.contains(name) {
                    product.push(*name);
                }
            }
            rest.push(product);
            let whole = own + best(&rest, output, lengths, depth - 1).0;
            if whole < least.0 {
                least = (whole, [i, j]);
            }
        }
    }
    least
}

/// An array with names of its axes.
struct Term<T> {
    names: Names,
    x: T,
}

impl<T: Tensor> Term<T> {
    /// Diagonals instead of axes of one name.
    #[track_caller]
    fn without_repetitions(mut self) -> Self {
        while let Some((i, j)) = self.repeated() {
            let rank = self.names.len();
            let order: Shape = (0..rank).filter(|&axis| axis != i && axis != j).chain([i, j]).collect();
            let name = self.names.remove(j);
            self.names.remove(i);
            self.names.push(name);
            self.x = self.x.permute(&order).diagonal(0);
        }
        self
    }
    fn repeated(&self) -> Option<(usize, usize)> {
        let first = |j: usize| self.names[..j].iter().position(|name| *name == self.names[j]);
        (0..self.names.len()).find_map(|j| first(j).map(|i| (i, j)))
    }
    /// Without axes of length one that others stretch: what has such an axis has its length.
    #[track_caller]
    fn without_stretched(self, lengths: &BTreeMap<Name, usize>) -> Self {
        let whole = self.x.shape();
        let own = |i: &usize| whole[*i] == lengths[&self.names[*i]];
        let kept: Shape = (0..whole.len()).filter(own).collect();
        if kept.len() == whole.len() {
            return self;
        }
        let names = kept.iter().map(|&i| self.names[i]).collect();
        Term { names, x: self.x.reshape(&kept.iter().map(|&i| whole[i]).collect::<Shape>()) }
    }
    /// Only the axes that are needed, summed over the others.
    #[track_caller]
    fn summed(self, needed: impl Fn(&Name) -> bool) -> Self {
        let over: Vec<usize> = (0..self.names.len()).filter(|&i| !needed(&self.names[i])).collect();
        if over.is_empty() {
            return self;
        }
        Term { names: self.names.into_iter().filter(needed).collect(), x: self.x.sum(&over[..]) }
    }
    /// The axes of these names, in this order, merged into as many as there are lists.
    #[track_caller]
    fn merged(&self, lists: [&Names; 3]) -> T {
        let whole = self.x.shape();
        let places = lists.map(|list| list.iter().map(|name| self.place(name)).collect::<Shape>());
        let merged = |i: usize| places[i].iter().map(|&axis| whole[axis]).product();
        // Where the lists lie side by side, they are merged before they change places, which copies nothing.
        let mut lying = [0, 1, 2];
        lying.sort_by_key(|&i| places[i].first().copied());
        if lying.iter().flat_map(|&i| &places[i]).is_sorted() {
            let mut order = [0; 3];
            for (from, &to) in lying.iter().enumerate() {
                order[to] = from;
            }
            return in_order(&self.x.reshape(&lying.map(merged)), &order);
        }
        let order: Shape = places.iter().flatten().copied().collect();
        in_order(&self.x, &order).reshape(&[0, 1, 2].map(merged))
    }
    /// The axis of this name.
    fn place(&self, name: &Name) -> usize {
        self.names.iter().position(|own| own == name).expect("an axis of this name")
    }
    /// The product with another term, of the axes that are needed after it.
    #[track_caller]
    fn times(self, other: Term<T>, needed: &Names) -> Term<T> {
        // What only one of the two has is summed over before.
        let left = self.summed(|name| needed.contains(name) || other.names.contains(name));
        let right = other.summed(|name| needed.contains(name) || left.names.contains(name));
        let both = |name: &&Name| right.names.contains(name);
        let (mut batch, mut inner) = (Names::new(), Names::new());
        for name in left.names.iter().filter(both) {
            if needed.contains(name) { batch.push(*name) } else { inner.push(*name) }
        }
        let rows: Names = left.names.iter().filter(|name| !both(name)).copied().collect();
        let columns: Names = right.names.iter().filter(|name| !left.names.contains(name)).copied().collect();
        let names: Names = batch.iter().chain(&rows).chain(&columns).copied().collect();
        let of = |term: &Term<T>, list: &Names| -> Shape {
            let whole = term.x.shape();
            list.iter().map(|name| whole[term.place(name)]).collect()
        };
        let shape: Shape =
            of(&left, &batch).into_iter().chain(of(&left, &rows)).chain(of(&right, &columns)).collect();
        shape::elements("einsum", &shape).or_raise();
        let x = if inner.is_empty() {
            // No sums: products of elements.
            let [b, m] = [shape::size(&of(&left, &batch)), shape::size(&of(&left, &rows))];
            let n = shape::size(&of(&right, &columns));
            left.merged([&batch, &rows, &inner]).reshape(&[b, m, 1])
                * right.merged([&batch, &inner, &columns]).reshape(&[b, 1, n])
        } else {
            left.merged([&batch, &rows, &inner]).batch_matmul(&right.merged([&batch, &inner, &columns]))
        };
        Term { names, x: x.reshape(&shape) }
    }
    /// The result: the axes of these names, in this order.
    #[track_caller]
    fn arranged(self, output: &Names) -> T {
        let term = self.summed(|name| output.contains(name));
        let order: Shape = output.iter().map(|name| term.place(name)).collect();
        in_order(&term.x, &order)
    }
}
