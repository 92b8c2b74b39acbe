//! Integers and truth values that may depend on the input.

use std::fmt;
use std::ops::{Add, Mul, Neg, Range, Sub};
use std::rc::Rc;

use crate::error::{At, Result};
use crate::language::params::Path;
use crate::language::real::{Int, Mask, Real};
use crate::language::shape::Shape;
use crate::language::state::{Confined, Leaf, State};
use crate::language::structure::{MapComponent, Structure};
use crate::language::tensor::{IntTensor, MaskTensor};

/// An integer under [`auto_lip`](crate::lipschitz::auto_lip): the same for all inputs, or not known; the companion of
/// [`Bound`](crate::lipschitz::Bound).
#[derive(Clone)]
pub struct BoundInt<I> {
    /// If it is not known, another one of its shape.
    value: I,
    exact: bool,
    /// Its value, if it is a single one that is known even where programs are recorded.
    number: Option<i64>,
}

/// A truth value under [`auto_lip`](crate::lipschitz::auto_lip): the same for all inputs, or undecided; what
/// comparisons of [`Bound`](crate::lipschitz::Bound)s give.
#[derive(Clone)]
pub struct BoundBool<B>(Truth<B>);

#[derive(Clone)]
enum Truth<B> {
    Known(B),
    Undecided {
        /// Where it holds for all inputs.
        surely: B,
        /// Where it holds for some.
        possibly: B,
        /// The comparisons that it is made of, by number.
        keys: Rc<[usize]>,
    },
}

impl<I: IntTensor> BoundInt<I> {
    /// One that is the same for all inputs.
    pub fn lift(value: &I) -> BoundInt<I> {
        BoundInt { value: value.clone(), exact: true, number: None }
    }
    /// One that is not known, of the shape of another.
    pub(super) fn unknown(like: I) -> BoundInt<I> {
        BoundInt { value: like, exact: false, number: None }
    }
    /// The integer, if it is the same for all inputs.
    pub(super) fn exact(&self) -> Option<&I> {
        self.exact.then_some(&self.value)
    }
    #[track_caller]
    fn zip(&self, other: &Self, f: impl FnOnce(I, &I) -> I, g: impl FnOnce(i64, i64) -> i64) -> Self {
        let number = self.number.zip(other.number).map(|(a, b)| g(a, b));
        BoundInt { value: f(self.value.clone(), &other.value), exact: self.exact && other.exact, number }
    }
    #[track_caller]
    fn compare(&self, other: &Self, f: impl FnOnce(&I, &I) -> I::Bool) -> BoundBool<I::Bool>
    where
        I::Bool: MaskTensor,
    {
        let known = f(&self.value, &other.value);
        if self.exact && other.exact { BoundBool::lift(&known) } else { BoundBool::unknown(&known) }
    }
}

impl<B: MaskTensor> BoundBool<B> {
    /// One that is the same for all inputs.
    pub fn lift(value: &B) -> BoundBool<B> {
        BoundBool(Truth::Known(value.clone()))
    }
    /// One that is not known, of the shape of another.
    fn unknown(like: &B) -> BoundBool<B> {
        let (none, all) = (like.and(&like.not()), like.or(&like.not()));
        BoundBool(Truth::Undecided { surely: none, possibly: all, keys: Rc::from([usize::MAX]) })
    }
    /// The outcome of a comparison.
    pub(super) fn open(surely: B, possibly: B, key: usize) -> BoundBool<B> {
        BoundBool(Truth::Undecided { surely, possibly, keys: Rc::from([key]) })
    }
    /// The truth value, if it is the same for all inputs.
    pub(super) fn exact(&self) -> Option<&B> {
        match &self.0 {
            Truth::Known(value) => Some(value),
            Truth::Undecided { .. } => None,
        }
    }
    /// Where it holds for all inputs and where for some, and the comparisons that decide, if it is undecided.
    pub(super) fn parts(&self) -> Option<(&B, &B, &[usize])> {
        match &self.0 {
            Truth::Known(_) => None,
            Truth::Undecided { surely, possibly, keys } => Some((surely, possibly, keys)),
        }
    }
    fn surely(&self) -> &B {
        match &self.0 {
            Truth::Known(value) => value,
            Truth::Undecided { surely, .. } => surely,
        }
    }
    fn possibly(&self) -> &B {
        match &self.0 {
            Truth::Known(value) => value,
            Truth::Undecided { possibly, .. } => possibly,
        }
    }
    fn keys(&self) -> &[usize] {
        match &self.0 {
            Truth::Known(_) => &[],
            Truth::Undecided { keys, .. } => keys,
        }
    }
    #[track_caller]
    fn connective(&self, other: &Self, f: impl Fn(&B, &B) -> B) -> Self {
        if let (Truth::Known(a), Truth::Known(b)) = (&self.0, &other.0) {
            return BoundBool::lift(&f(a, b));
        }
        let keys = self.keys().iter().chain(other.keys()).copied().collect();
        BoundBool(Truth::Undecided {
            surely: f(self.surely(), other.surely()),
            possibly: f(self.possibly(), other.possibly()),
            keys,
        })
    }
    #[track_caller]
    fn map(&self, f: impl Fn(&B) -> B) -> Self {
        BoundBool(match &self.0 {
            Truth::Known(value) => Truth::Known(f(value)),
            Truth::Undecided { surely, possibly, keys } => {
                Truth::Undecided { surely: f(surely), possibly: f(possibly), keys: keys.clone() }
            }
        })
    }
    /// The same of other elements, whose comparisons are not those that it is made of.
    #[track_caller]
    fn moved(&self, f: impl Fn(&B) -> B) -> Self {
        match self.map(f).0 {
            Truth::Undecided { surely, possibly, .. } => BoundBool::open(surely, possibly, usize::MAX),
            known @ Truth::Known(_) => BoundBool(known),
        }
    }
}

impl<B: MaskTensor> Mask for BoundBool<B> {
    #[track_caller]
    fn and(&self, other: &Self) -> Self {
        self.connective(other, B::and)
    }
    #[track_caller]
    fn or(&self, other: &Self) -> Self {
        self.connective(other, B::or)
    }
    #[track_caller]
    fn not(&self) -> Self {
        BoundBool(match &self.0 {
            Truth::Known(value) => Truth::Known(value.not()),
            Truth::Undecided { surely, possibly, keys } => {
                Truth::Undecided { surely: possibly.not(), possibly: surely.not(), keys: keys.clone() }
            }
        })
    }
    fn known(&self) -> Option<bool> {
        match &self.0 {
            Truth::Known(value) => value.known(),
            Truth::Undecided { surely, possibly, .. } => {
                match (surely.all_known(), possibly.not().all_known()) {
                    (Some(true), _) => Some(true),
                    (_, Some(true)) => Some(false),
                    _ => None,
                }
            }
        }
    }
    fn all_known(&self) -> Option<bool> {
        self.all().known()
    }
    fn lengths(&self) -> Shape {
        self.surely().lengths()
    }
    #[track_caller]
    fn any(&self) -> Self {
        self.moved(B::any)
    }
}

impl<B: MaskTensor> MaskTensor for BoundBool<B> {
    fn shape(&self) -> Shape {
        self.surely().shape()
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        self.moved(|mask| mask.reshape(shape))
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        self.moved(|mask| mask.slice(axis, range.clone()))
    }
}

macro_rules! operators {
    ($($Trait:ident $name:ident $wrapping:ident;)*) => { $(
        impl<I: IntTensor<Bool: MaskTensor>> $Trait<&BoundInt<I>> for BoundInt<I> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                self.zip(rhs, |a, b| $Trait::$name(a, b), i64::$wrapping)
            }
        }
        impl<I: IntTensor<Bool: MaskTensor>> $Trait for BoundInt<I> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        impl<I: IntTensor<Bool: MaskTensor>> $Trait<i64> for BoundInt<I> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: i64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    )* };
}
operators! { Add add wrapping_add; Sub sub wrapping_sub; Mul mul wrapping_mul; }

impl<I: IntTensor<Bool: MaskTensor>> Neg for BoundInt<I> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        BoundInt { value: -self.value, exact: self.exact, number: self.number.map(i64::wrapping_neg) }
    }
}

impl<I: IntTensor<Bool: MaskTensor>> Int for BoundInt<I> {
    type Bool = BoundBool<I::Bool>;
    #[track_caller]
    fn constant(value: i64) -> Self {
        BoundInt { value: I::constant(value), exact: true, number: Some(value) }
    }
    #[track_caller]
    fn less(&self, other: &Self) -> BoundBool<I::Bool> {
        self.compare(other, I::less)
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> BoundBool<I::Bool> {
        self.compare(other, I::equal)
    }
    #[track_caller]
    fn floor_divide(&self, divisor: &Self) -> Self {
        self.zip(divisor, |a, b| a.floor_divide(b), |a, b| Int::floor_divide(&a, &b))
    }
    #[track_caller]
    fn select(mask: &BoundBool<I::Bool>, then: &Self, otherwise: &Self) -> Self {
        match mask.exact() {
            Some(mask) => BoundInt {
                value: I::select(mask, &then.value, &otherwise.value),
                exact: then.exact && otherwise.exact,
                number: None,
            },
            None => BoundInt::unknown(I::select(mask.surely(), &then.value, &otherwise.value)),
        }
    }
    fn known(&self) -> Option<i64> {
        self.number.or_else(|| if self.exact { self.value.known() } else { None })
    }
    fn print(&self, name: &str, at: At) {
        if self.exact {
            self.value.print(name, at);
        }
    }
}

impl<I: IntTensor<Bool: MaskTensor>> IntTensor for BoundInt<I> {
    fn shape(&self) -> Shape {
        self.value.shape()
    }
    #[track_caller]
    fn from_elements(shape: &[usize], elements: &[i64]) -> Result<Self> {
        I::from_elements(shape, elements).map(|value| Self::lift(&value))
    }
    fn elements(&self) -> Option<Vec<i64>> {
        if self.exact { self.value.elements() } else { None }
    }
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        BoundInt { value: self.value.reshape(shape), exact: self.exact, number: self.number }
    }
    #[track_caller]
    fn gather_rows(&self, indices: &Self) -> Self {
        let exact = self.exact && indices.exact;
        BoundInt { value: self.value.gather_rows(&indices.value), exact, number: None }
    }
    #[track_caller]
    fn slice(&self, axis: isize, range: Range<usize>) -> Self {
        BoundInt { value: self.value.slice(axis, range), exact: self.exact, number: self.number }
    }
}

impl<I: fmt::Debug> fmt::Debug for BoundInt<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exact {
            true => f.debug_tuple("BoundInt").field(&self.value).finish(),
            false => f.write_str("BoundInt(unknown)"),
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for BoundBool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Truth::Known(value) => f.debug_tuple("BoundBool").field(value).finish(),
            Truth::Undecided { surely, possibly, .. } => {
                f.debug_struct("BoundBool").field("surely", surely).field("possibly", possibly).finish()
            }
        }
    }
}

macro_rules! component {
    ($($Value:ident $V:ident: $Trait:ident, $Kind:ident $kind:ident $Associated:ident;)*) => { $(
        impl<$V: $Trait, R: Real<$Associated = $Value<$V>>> State<R> for $Value<$V> {
            fn flatten(&self, leaves: &mut Vec<Leaf<R>>) {
                leaves.push(Leaf::$Kind(self.clone()));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<R>>) -> Self {
                Leaf::next(leaves).$kind()
            }
        }
        // SAFETY: components are moved or cloned, and kept nowhere.
        unsafe impl<$V: $Trait, R: Real<$Associated = $Value<$V>>> Confined<R> for $Value<$V> {}
        impl<$V: $Trait, R: Real<$Associated = $Value<$V>>> Structure<R> for $Value<$V> {
            type With<U: Real> = U::$Associated;
            fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, R, U>) -> U::$Associated {
                f(path, Leaf::$Kind(self.clone())).$kind()
            }
        }
    )* };
}
component! { BoundInt I: IntTensor, Int int Int; BoundBool B: MaskTensor, Bool bool Bool; }
