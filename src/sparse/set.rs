//! Sets of numbers of input elements, and arrays of them.

use std::rc::Rc;

use crate::array::NdArray;

/// The input elements that something may have a derivative by: their numbers, ascending. Without any list it is a
/// constant; an empty list is that of what may change with the input and has no derivative, as a sign.
pub(super) type Set = Option<Rc<[usize]>>;

/// A set for each element of an array, in row-major order. Without any all elements are constants.
pub(super) type Sets = Option<Rc<[Set]>>;

/// The elements that are in any of the sets.
pub(super) fn union<'a>(sets: impl IntoIterator<Item = &'a Set>) -> Set {
    let mut parts: Vec<&Rc<[usize]>> = Vec::new();
    for set in sets.into_iter().flatten() {
        match parts.last() {
            Some(last) if Rc::ptr_eq(last, set) || set.is_empty() => {}
            _ => parts.push(set),
        }
    }
    let largest = *parts.iter().max_by_key(|set| set.len())?;
    if parts.len() == 1 {
        return Some(largest.clone());
    }
    let mut union = parts.iter().map(|set| &set[..]).collect::<Vec<_>>().concat();
    // Of runs that ascend, which a stable sort merges.
    union.sort();
    union.dedup();
    Some(if union.len() == largest.len() { largest.clone() } else { union.into() })
}

/// The array of sets, none of them if all are constants.
pub(super) fn sets_of(sets: Vec<Set>) -> Sets {
    sets.iter().any(Option::is_some).then(|| sets.into())
}

/// The numbers 1, 2, … of the elements of an array of this shape: what operators that only move elements are applied
/// to, to find where each element of their result comes from. Where they put zeros in, it comes from nowhere.
pub(super) fn numbered(shape: &[usize], size: usize) -> NdArray<f64> {
    let numbers = ndarray::Array::from_iter((1..=size).map(|i| i as f64));
    NdArray::from(numbers.into_dyn().into_shape_with_order(shape).expect("a number for each element"))
}

/// What a number of [`numbered`] stands for.
pub(super) fn place(number: f64) -> Option<usize> {
    (number as usize).checked_sub(1)
}

/// The sets of what has been moved: each element from the place whose number is there.
pub(super) fn moved(sets: &[Set], from: &NdArray<f64>) -> Sets {
    sets_of(from.view().iter().map(|&number| place(number).and_then(|place| sets[place].clone())).collect())
}

/// The sets of `size` sums, each of the elements that have its number.
pub(super) fn united(sets: &[Set], into: &NdArray<f64>, size: usize) -> Sets {
    let mut terms: Vec<Vec<&Set>> = vec![Vec::new(); size];
    for (set, &number) in sets.iter().zip(into.view().iter()) {
        if let (Some(_), Some(place)) = (set, place(number)) {
            terms[place].push(set);
        }
    }
    sets_of(terms.into_iter().map(union).collect())
}
