//! The adjoint of an array: a sum, and products that are yet to be added to it.
//!
//! The gradient of a weight that is used again and again, at every time step or node of a tree, is a sum of products
//! `xᵀ·ȳ` with few terms each. Adding one goes through the whole gradient, which costs far more than its arithmetic. So
//! the factors are collected, and many are multiplied at once.

use std::cell::Cell;
use std::fmt;

use super::buffer::memory;
use super::float::Float;
use super::{NdArray, NdInt, contract, index};
use crate::language::tensor::Tensor;
use crate::scalar::Slot;

/// Products of so many terms are collected; of more, they are worth a pass over the sum.
const FEW: usize = 8;
/// When so many terms are collected, they are added.
const MANY: usize = 256;
/// A sum of fewer elements is added to at once.
const LARGE: usize = 1024;

/// Collects an adjoint. Absent means zero.
pub struct Accumulator<E> {
    sum: Slot<NdArray<E>>,
    products: Cell<Option<Box<Products<E>>>>,
}

impl<E> fmt::Debug for Accumulator<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accumulator").finish_non_exhaustive()
    }
}

/// `Σ left[t, ..]ᵀ · right[t, ..]` over the terms `t`.
struct Products<E> {
    terms: usize,
    left: Vec<E>,
    right: Vec<E>,
}

impl<E: Float> Accumulator<E> {
    /// An empty one.
    #[inline]
    pub(super) fn new() -> Accumulator<E> {
        Accumulator { sum: Slot::new(), products: Cell::new(None) }
    }

    /// Adds `g`.
    #[inline]
    #[track_caller]
    pub(super) fn add(&self, g: NdArray<E>) {
        self.sum.accumulate(g);
    }

    /// Changes the sum, of this shape, in place.
    #[track_caller]
    fn update(&self, shape: &[usize], change: impl FnOnce(&mut [E])) {
        let mut sum = self.sum.take().unwrap_or_else(|| NdArray::zeros(shape));
        change(sum.elements_mut());
        self.sum.set(sum);
    }

    /// Adds `g` to a slice of the sum, of this shape; see [`index::add_slice`].
    #[track_caller]
    pub(super) fn add_slice(&self, shape: &[usize], axis: usize, start: usize, step: usize, g: &NdArray<E>) {
        self.update(shape, |sum| index::add_slice(sum, shape, axis, start, step, g));
    }

    /// Adds `g` to rows of the sum, of this shape; see [`index::add_rows`].
    #[track_caller]
    pub(super) fn add_rows(&self, shape: &[usize], indices: &NdInt, g: &NdArray<E>) {
        self.update(shape, |sum| index::add_rows(sum, shape, indices, g));
    }

    /// Adds `a × b`, perhaps later.
    #[track_caller]
    pub(super) fn add_product(&self, a: &NdArray<E>, b: &NdArray<E>) {
        let (&[rows, terms], &[inner, columns]) = (a.0.shape(), b.0.shape()) else {
            return self.add_product_now(a, b);
        };
        // A weight's adjoint has `xᵀ` for its left factor; that of `x`, which is used once, has `Wᵀ` for its right one.
        let (left, right) = (a.transpose(), b);
        let other = terms != inner || !left.0.is_standard_layout() || !right.0.is_standard_layout();
        if other || terms == 0 || terms > FEW || rows * columns < LARGE {
            return self.add_product_now(a, b);
        }
        let none = || Box::new(Products { terms: 0, left: Vec::new(), right: Vec::new() });
        let mut products = self.products.take().unwrap_or_else(none);
        let (left, right) = (memory(&left.0), memory(&right.0));
        let full = products.left.try_reserve(left.len()).is_err()
            || products.right.try_reserve(right.len()).is_err();
        if full {
            // Without memory for the factors, there may be some for the products, which are as large as the sum.
            self.products.set(Some(products));
            self.add_collected();
            return self.add_product_now(a, b);
        }
        products.terms += terms;
        products.left.extend_from_slice(left);
        products.right.extend_from_slice(right);
        let many = products.terms >= MANY;
        self.products.set(Some(products));
        if many {
            self.add_collected();
        }
    }

    #[track_caller]
    fn add_product_now(&self, a: &NdArray<E>, b: &NdArray<E>) {
        match self.sum.take() {
            None => self.sum.set(a.batch_matmul(b)),
            Some(mut sum) => {
                contract::add_batch_matmul(sum.elements_mut(), a, b);
                self.sum.set(sum);
            }
        }
    }

    #[track_caller]
    fn add_collected(&self) {
        if let Some(products) = self.products.take()
            && products.terms > 0
        {
            let Products { terms, left, right } = *products;
            let factor = |elements: Vec<E>| NdArray::from_vec(&[terms, elements.len() / terms], elements);
            self.add_product_now(&factor(left).transpose(), &factor(right));
        }
    }

    /// Takes out what was added, if anything was.
    #[inline]
    #[track_caller]
    pub(super) fn take(&self) -> Option<NdArray<E>> {
        self.add_collected();
        self.sum.take()
    }
}
