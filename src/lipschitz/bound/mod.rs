//! Lipschitz constants: [`Bound`], the interpretation that runs a model on all points of a domain at once, with the
//! range of each value and how fast it can change, and [`auto_lip`], which enters it.
//!
//! An operator of a value `x` whose Lipschitz constant is `L` has the constant `L·max ‖∂g‖` over the range of `x`; one
//! of several values the sum of these (AutoLip; Virmaux & Scaman 2018, algorithm 2). Norms are Euclidean, of all
//! elements of an array.

mod control;
mod elementwise;
mod entry;
mod integer;
mod linear;
mod operators;
mod range;
mod real;
mod spectral;
mod steps;
mod tensor;

use std::fmt;
use std::rc::Rc;

use crate::continuation::unwinding::blame;
use crate::error::At;
use crate::language::real::Mask;
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;
use crate::scalar::Slot;

use self::elementwise::Elementwise;
use self::range::Range;
use self::steps::{Factor, Joint, Steps};

pub use entry::{Contribution, Domain, LipschitzBound, auto_lip, lipschitz_bound};
pub use integer::{BoundBool, BoundInt};
pub use spectral::{limit_spectral_norm, spectral_norm};

/// All values that an array may have while the input moves in its domain, over the interpretation `T`, with an upper
/// bound of its Lipschitz constant: what a model sees under [`auto_lip`].
///
/// What comes from around the model is constant, and enters with [`lift`](Bound::lift). Truth values may be undecided:
/// then both arms of a [`cond`](crate::Control::cond) are run, and the result may be either's. Where a value would jump
/// as the condition changes, its constant is infinite.
#[derive(Clone)]
pub struct Bound<T>(Content<T>);

#[derive(Clone)]
enum Content<T> {
    Constant(T),
    Varying(Rc<Varying<T>>),
}

/// A value that moves with the input.
struct Varying<T> {
    shape: Shape,
    /// Where its elements lie, if that is known.
    range: Option<Range<T>>,
    /// Its Lipschitz constant, a number.
    lip: T,
    /// Whether none of its elements is NaN for any input: if it may be, comparisons with it may not hold whatever its
    /// range is.
    is_number: bool,
    /// The number of the step that computed it.
    step: usize,
    /// What it is as an elementwise function of another value, if it is one.
    of: Option<Rc<Elementwise<T>>>,
    steps: Rc<Steps<T>>,
}

impl<T: Tensor> Varying<T> {
    fn copy(&self) -> Varying<T> {
        Varying {
            shape: self.shape.clone(),
            range: self.range.clone(),
            lip: self.lip.clone(),
            is_number: self.is_number,
            step: self.step,
            of: self.of.clone(),
            steps: self.steps.clone(),
        }
    }
}

impl<T: Tensor> Bound<T> {
    /// A constant.
    pub fn lift(value: &T) -> Bound<T> {
        Bound(Content::Constant(value.clone()))
    }

    /// The value, if it is the same for all inputs.
    pub fn constant_value(&self) -> Option<&T> {
        match &self.0 {
            Content::Constant(value) => Some(value),
            Content::Varying(_) => None,
        }
    }

    /// The Lipschitz constant, a number: 0 of a constant.
    #[must_use]
    pub fn lipschitz(&self) -> T {
        match &self.0 {
            Content::Constant(_) => T::constant(0.0),
            Content::Varying(x) => x.lip.clone(),
        }
    }

    /// The least and the largest value of each element, where they are known.
    pub fn range(&self) -> Option<(T, T)> {
        match &self.0 {
            Content::Constant(value) => Some((value.clone(), value.clone())),
            Content::Varying(x) => x.range.as_ref().map(|range| (range.low.clone(), range.high.clone())),
        }
    }

    fn extent(&self) -> Shape {
        match &self.0 {
            Content::Constant(value) => value.shape(),
            Content::Varying(x) => x.shape.clone(),
        }
    }

    /// Where its elements lie.
    fn known_range(&self) -> Option<Range<T>> {
        match &self.0 {
            Content::Constant(value) => Some(Range::point(value)),
            Content::Varying(x) => x.range.clone(),
        }
    }

    fn varying(&self) -> Option<&Rc<Varying<T>>> {
        match &self.0 {
            Content::Constant(_) => None,
            Content::Varying(x) => Some(x),
        }
    }

    /// The result of an operator whose derivatives by its operands have norms of at most these factors.
    #[track_caller]
    fn result(
        call: Call,
        shape: Shape,
        range: Option<Range<T>>,
        joint: Joint,
        operands: &[(Factor<T>, &Bound<T>)],
    ) -> Bound<T> {
        // Of an operator that is composed of others, the line is the user's.
        let call = Call { at: blame(call.at), ..call };
        let mut varying: Vec<(&Factor<T>, &Rc<Varying<T>>)> =
            operands.iter().filter_map(|(factor, x)| Some((factor, x.varying()?))).collect();
        let constants = operands.iter().filter_map(|(_, x)| x.constant_value());
        let odd: Vec<&T> = constants.filter(|x| range::is_rounded::<T>() && !x.all_finite()).collect();
        let call = match odd.iter().any(|x| x.is_nan().any().known() == Some(true)) {
            true => {
                varying.iter_mut().for_each(|(factor, _)| *factor = &Factor::INFINITE);
                Call { why: "a constant that it takes is not a number", ..call }
            }
            false => call,
        };
        let mut result = steps::add(call, shape, range, joint, &varying);
        result.is_number &= odd.is_empty();
        Bound(Content::Varying(Rc::new(result)))
    }

    /// A value that jumps.
    #[track_caller]
    fn unbounded(call: Call, shape: Shape, range: Option<Range<T>>, operands: &[&Bound<T>]) -> Bound<T> {
        let factors: Vec<(Factor<T>, &Bound<T>)> = operands.iter().map(|&x| (Factor::INFINITE, x)).collect();
        let result = Bound::result(call, shape, range, Joint::Sum, &factors);
        result.also_number(operands.iter().all(|x| x.is_number()))
    }

    /// Whether none of its elements is NaN for any input.
    fn is_number(&self) -> bool {
        match &self.0 {
            Content::Constant(value) => !range::is_rounded::<T>() || value.all_finite(),
            Content::Varying(x) => x.is_number,
        }
    }

    /// The same, which jumps, and so has no constant, but is a number all the same.
    fn also_number(self, is_number: bool) -> Bound<T> {
        match self.0 {
            Content::Varying(x) if is_number && !x.is_number => {
                Bound(Content::Varying(Rc::new(Varying { is_number, ..x.copy() })))
            }
            content => Bound(content),
        }
    }
}

/// A call of an operator: its name, the user's line, and what makes its derivative infinite where it is.
#[derive(Clone, Copy, Debug)]
struct Call {
    op: &'static str,
    at: At,
    why: &'static str,
}

impl<T: fmt::Debug> fmt::Debug for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Constant(value) => f.debug_tuple("Bound").field(value).finish(),
            Content::Varying(x) => {
                let range = x.range.as_ref().map(|range| (&range.low, &range.high));
                f.debug_struct("Bound").field("range", &range).field("lipschitz", &x.lip).finish()
            }
        }
    }
}

/// The adjoint of a [`Bound`].
pub struct BoundAdjoint<T>(Slot<Bound<T>>);

impl<T> fmt::Debug for BoundAdjoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundAdjoint").finish_non_exhaustive()
    }
}
