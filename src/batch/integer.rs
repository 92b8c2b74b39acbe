//! Integers and truth values of all rows at once.

use std::ops::{Add, Mul, Neg, Range, Sub};

use super::index::offset;
use super::real::common_rank;
use super::{BatchBool, BatchInt, with_rows};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::control::rows;
use crate::language::params::Path;
use crate::language::real::{Int, Mask, Real};
use crate::language::shape::{self, Shape};
use crate::language::state::{Confined, Leaf, State};
use crate::language::structure::{MapComponent, Structure};
use crate::language::tensor::{IntTensor, MaskTensor};

impl<B: MaskTensor> BatchBool<B> {
    #[track_caller]
    fn connective(&self, op: &'static str, other: &Self, f: impl FnOnce(&B, &B) -> B) -> Self {
        let rank = common_rank(op, &self.row_shape(), &other.row_shape());
        operator(At::caller(), || BatchBool {
            value: f(&self.aligned(rank), &other.aligned(rank)),
            batched: self.batched || other.batched,
        })
    }
}

impl<B: MaskTensor> Mask for BatchBool<B> {
    const BATCHES: bool = true;

    #[track_caller]
    fn and(&self, other: &Self) -> Self {
        self.connective("and", other, B::and)
    }
    #[track_caller]
    fn or(&self, other: &Self) -> Self {
        self.connective("or", other, B::or)
    }
    #[track_caller]
    fn not(&self) -> Self {
        BatchBool { value: self.value.not(), batched: self.batched }
    }
    fn known(&self) -> Option<bool> {
        if self.batched { None } else { self.value.known() }
    }
    fn lengths(&self) -> Shape {
        self.row_shape()
    }
    #[track_caller]
    fn any(&self) -> Self {
        Self::lift(&self.value.any())
    }
    fn is_batched(&self) -> bool {
        self.batched || self.value.is_batched()
    }
    #[track_caller]
    fn single(&self) -> Self {
        match self.rows() {
            Some(rows) => BatchBool::of_rows(self.value.reshape(&[rows])),
            None => Self::lift(&self.value.single()),
        }
    }
}

impl<B: MaskTensor> MaskTensor for BatchBool<B> {
    fn shape(&self) -> Shape {
        self.row_shape()
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&self.row_shape(), shape).or_raise();
        operator(At::caller(), || match self.rows() {
            Some(rows) => BatchBool::of_rows(self.value.reshape(&with_rows(rows, shape))),
            None => Self::lift(&self.value.reshape(shape)),
        })
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        let axis = shape::axis("slice", &self.row_shape(), axis).or_raise();
        let along = (axis + usize::from(self.batched)) as isize;
        operator(At::caller(), || BatchBool { value: self.value.slice(along, range), batched: self.batched })
    }
}

impl<I: IntTensor<Bool: MaskTensor>> BatchInt<I> {
    #[track_caller]
    fn zip(&self, op: &'static str, other: &Self, f: impl FnOnce(I, &I) -> I) -> Self {
        let rank = common_rank(op, &self.row_shape(), &other.row_shape());
        operator(At::caller(), || BatchInt {
            value: f(self.aligned(rank), &other.aligned(rank)),
            batched: self.batched || other.batched,
        })
    }
    #[track_caller]
    fn compare(
        &self,
        op: &'static str,
        other: &Self,
        f: impl FnOnce(&I, &I) -> I::Bool,
    ) -> BatchBool<I::Bool> {
        let rank = common_rank(op, &self.row_shape(), &other.row_shape());
        operator(At::caller(), || BatchBool {
            value: f(&self.aligned(rank), &other.aligned(rank)),
            batched: self.batched || other.batched,
        })
    }
}

macro_rules! operators {
    ($($Trait:ident $name:ident;)*) => { $(
        impl<I: IntTensor<Bool: MaskTensor>> $Trait<&BatchInt<I>> for BatchInt<I> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                self.zip(stringify!($name), rhs, |a, b| $Trait::$name(a, b))
            }
        }
        impl<I: IntTensor<Bool: MaskTensor>> $Trait for BatchInt<I> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        impl<I: IntTensor<Bool: MaskTensor>> $Trait<i64> for BatchInt<I> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: i64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    )* };
}
operators! { Add add; Sub sub; Mul mul; }

impl<I: IntTensor<Bool: MaskTensor>> Neg for BatchInt<I> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        BatchInt { value: -self.value, batched: self.batched }
    }
}

impl<I: IntTensor<Bool: MaskTensor>> Int for BatchInt<I> {
    type Bool = BatchBool<I::Bool>;
    #[track_caller]
    fn constant(value: i64) -> Self {
        Self::lift(&I::constant(value))
    }
    #[track_caller]
    fn less(&self, other: &Self) -> BatchBool<I::Bool> {
        self.compare("less", other, I::less)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> BatchBool<I::Bool> {
        self.compare("equal", other, I::equal)
    }
    #[track_caller]
    fn floor_divide(&self, divisor: &Self) -> Self {
        self.zip("floor_divide", divisor, |a, b| a.floor_divide(b))
    }
    #[track_caller]
    fn select(mask: &BatchBool<I::Bool>, then: &Self, otherwise: &Self) -> Self {
        let values = shape::broadcast("select", &then.row_shape(), &otherwise.row_shape()).or_raise();
        let rank = shape::broadcast("select", &mask.row_shape(), &values).or_raise().len();
        operator(At::caller(), || BatchInt {
            value: I::select(&mask.aligned(rank), &then.aligned(rank), &otherwise.aligned(rank)),
            batched: mask.batched || then.batched || otherwise.batched,
        })
    }
    fn known(&self) -> Option<i64> {
        if self.batched { None } else { self.value.known() }
    }
    #[track_caller]
    fn guarded(&self) -> Self {
        match rows::live::<BatchBool<I::Bool>>() {
            Some(live) => Self::select(&live, self, &Self::constant(0)),
            None => self.clone(),
        }
    }
    #[track_caller]
    fn named(self, name: &str) -> Self {
        BatchInt { value: self.value.named(name), batched: self.batched }
    }
    fn print(&self, name: &str, at: At) {
        self.value.print(name, at);
    }
}

impl<I: IntTensor<Bool: MaskTensor>> IntTensor for BatchInt<I> {
    fn shape(&self) -> Shape {
        self.row_shape()
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[i64]) -> Result<Self> {
        I::from_elements(shape, elements).map(|value| Self::lift(&value))
    }
    fn elements(&self) -> Option<Vec<i64>> {
        if self.batched { None } else { self.value.elements() }
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(&self.row_shape(), shape).or_raise();
        operator(At::caller(), || match self.rows() {
            Some(rows) => BatchInt::of_rows(self.value.reshape(&with_rows(rows, shape))),
            None => Self::lift(&self.value.reshape(shape)),
        })
    }
    #[track_caller]
    fn gather_rows(&self, indices: &Self) -> Self {
        let shape = self.row_shape();
        shape::gather_rows(&shape, &indices.row_shape()).or_raise();
        operator(At::caller(), || {
            let indices = indices.guarded();
            let Some(rows) = self.rows() else {
                return BatchInt { value: self.value.gather_rows(&indices.value), batched: indices.batched };
            };
            let mut flat = Shape::from_slice(&[rows * shape[0]]);
            flat.extend_from_slice(&shape[1..]);
            let flat = self.value.reshape(&flat);
            BatchInt::of_rows(flat.gather_rows(&offset("gather_rows", &indices, rows, shape[0])))
        })
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        let axis = shape::axis("slice", &self.row_shape(), axis).or_raise();
        let along = (axis + usize::from(self.batched)) as isize;
        operator(At::caller(), || BatchInt { value: self.value.slice(along, range), batched: self.batched })
    }
}

macro_rules! component {
    ($($Rows:ident $Value:ident: $Trait:ident, $Kind:ident $kind:ident $Associated:ident;)*) => { $(
        impl<$Value: $Trait, R: Real<$Associated = $Rows<$Value>>> State<R> for $Rows<$Value> {
            fn flatten(&self, leaves: &mut Vec<Leaf<R>>) {
                leaves.push(Leaf::$Kind(self.clone()));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<R>>) -> Self {
                Leaf::next(leaves).$kind()
            }
        }
        // SAFETY: components are moved or cloned, and kept nowhere.
        unsafe impl<$Value: $Trait, R: Real<$Associated = $Rows<$Value>>> Confined<R> for $Rows<$Value> {}
        impl<$Value: $Trait, R: Real<$Associated = $Rows<$Value>>> Structure<R> for $Rows<$Value> {
            type With<U: Real> = U::$Associated;
            fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, R, U>) -> U::$Associated {
                f(path, Leaf::$Kind(self.clone())).$kind()
            }
        }
    )* };
}
component! { BatchInt I: IntTensor, Int int Int; BatchBool B: MaskTensor, Bool bool Bool; }
