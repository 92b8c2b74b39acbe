//! [`Partial`]: an interpretation that computes what is known and keeps the rest as a program, to be run again and
//! again.
//!
//! A derivative is linear in its direction, or in the adjoint it begins with. Run with all else known and that alone
//! unknown, a model leaves behind the linear program of its derivative: what [`linearize`](crate::linearize) and
//! [`pullback`](crate::pullback) give.

mod adjoint;
mod control;
mod operators;
mod program;
mod real;
mod tensor;

pub use adjoint::PartialAdjoint;
pub(crate) use program::{Linear, Program};

use std::fmt;
use std::rc::Rc;

use program::{Apply, Args, Operand};
use smallvec::SmallVec;

use crate::continuation::unwinding::{part_of_operator, raise};
use crate::error::{At, Error};
use crate::language::real::Real;
use crate::language::shape::Shape;
use crate::language::state::Leaf;
use crate::sealed::INTERNAL;

/// A value of the interpretation `T` that is known, or one that a program computes later.
///
/// Models meet it in [`linearize`](crate::linearize) and [`pullback`](crate::pullback), under a derivative: there
/// values are known, and tangents and adjoints are not.
pub struct Partial<T: Real>(Kind<T>);

enum Kind<T: Real> {
    Known(T),
    Unknown(Unknown<T>),
}

/// A value of a program.
struct Unknown<T: Real> {
    program: Rc<Program<T>>,
    slot: usize,
    shape: Shape,
}

impl<T: Real> Clone for Unknown<T> {
    fn clone(&self) -> Self {
        Unknown { program: Rc::clone(&self.program), slot: self.slot, shape: self.shape.clone() }
    }
}

impl<T: Real> Clone for Partial<T> {
    #[inline]
    fn clone(&self) -> Self {
        Partial(match &self.0 {
            Kind::Known(value) => Kind::Known(value.clone()),
            Kind::Unknown(unknown) => Kind::Unknown(unknown.clone()),
        })
    }
}

impl<T: Real + fmt::Debug> fmt::Debug for Partial<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Known(value) => f.debug_tuple("Known").field(value).finish(),
            Kind::Unknown(unknown) => f.debug_tuple("Unknown").field(&unknown.shape).finish(),
        }
    }
}

/// That a decision is wanted of a direction or an adjoint.
#[cold]
fn unknown(op: &'static str, at: At) -> Error {
    let reason = "a tangent or adjoint of `linearize` or `pullback` is not known yet while the model runs: take what \
                  decides from the value";
    Error::Argument { op, reason: reason.into(), at }
}

impl<T: Real> Partial<T> {
    /// A value that is known.
    pub fn lift(value: &T) -> Self {
        Partial(Kind::Known(value.clone()))
    }

    pub(crate) fn from_value(value: T) -> Self {
        Partial(Kind::Known(value))
    }

    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match &self.0 {
            Kind::Known(value) => Some(value),
            Kind::Unknown(_) => None,
        }
    }

    /// The value, which an operator needs to know.
    #[track_caller]
    pub(crate) fn demand(&self, op: &'static str) -> &T {
        match &self.0 {
            Kind::Known(value) => value,
            Kind::Unknown(_) => raise(unknown(op, At::caller())),
        }
    }

    fn dims(&self) -> Shape {
        match &self.0 {
            Kind::Known(value) => value.lengths(INTERNAL),
            Kind::Unknown(unknown) => unknown.shape.clone(),
        }
    }

    fn program(&self) -> Option<&Rc<Program<T>>> {
        match &self.0 {
            Kind::Known(_) => None,
            Kind::Unknown(unknown) => Some(&unknown.program),
        }
    }

    /// As what a step takes.
    fn operand(&self) -> Operand<T> {
        match &self.0 {
            Kind::Known(value) => Operand::Known(Leaf::Real(value.clone())),
            Kind::Unknown(unknown) => Operand::unknown(unknown.slot),
        }
    }

    /// A step with results of these shapes, of operands some of which are unknown.
    #[track_caller]
    fn steps(
        operands: SmallVec<[Operand<T>; 2]>,
        program: &Rc<Program<T>>,
        shapes: &[Shape],
        apply: impl Fn(&mut Args<'_, T>) -> Vec<T> + 'static,
    ) -> Vec<Partial<T>> {
        let first = program.push(operands, shapes.len(), At::caller(), Apply::Several(Box::new(apply)));
        let result = |(i, shape): (usize, &Shape)| {
            let unknown = Unknown { program: Rc::clone(program), slot: first + i, shape: shape.clone() };
            Partial(Kind::Unknown(unknown))
        };
        shapes.iter().enumerate().map(result).collect()
    }

    /// [`steps`](Partial::steps) of one result.
    #[track_caller]
    fn step(
        operands: SmallVec<[Operand<T>; 2]>,
        program: &Rc<Program<T>>,
        shape: Shape,
        apply: impl Fn(&mut Args<'_, T>) -> T + 'static,
    ) -> Partial<T> {
        let slot = program.push(operands, 1, At::caller(), Apply::One(Box::new(apply)));
        Partial(Kind::Unknown(Unknown { program: Rc::clone(program), slot, shape }))
    }

    /// An operator of one operand.
    #[inline]
    #[track_caller]
    fn map(&self, shape: impl FnOnce() -> Shape, f: impl Fn(&T) -> T + 'static) -> Partial<T> {
        match &self.0 {
            Kind::Known(x) => part_of_operator(T::ALLOCATES, At::caller(), || Partial::from_value(f(x))),
            Kind::Unknown(unknown) => {
                let operands = SmallVec::from_iter([self.operand()]);
                Partial::step(operands, &unknown.program, shape(), move |args| f(&args.real()))
            }
        }
    }

    /// An operator of one operand whose result has its shape.
    #[inline]
    #[track_caller]
    fn alike(&self, f: impl Fn(&T) -> T + 'static) -> Partial<T> {
        self.map(|| self.dims(), f)
    }

    /// An operator of one operand and integers or truth values.
    #[inline]
    #[track_caller]
    fn map_with(
        &self,
        other: Leaf<T>,
        shape: impl FnOnce() -> Shape,
        f: impl Fn(&T, Leaf<T>) -> T + 'static,
    ) -> Partial<T> {
        match &self.0 {
            Kind::Known(x) => {
                part_of_operator(T::ALLOCATES, At::caller(), || Partial::from_value(f(x, other)))
            }
            Kind::Unknown(unknown) => {
                let operands = SmallVec::from_buf([self.operand(), Operand::Known(other)]);
                Partial::step(operands, &unknown.program, shape(), move |args| {
                    let x = args.real();
                    f(&x, args.leaf())
                })
            }
        }
    }

    /// An operator of two operands.
    #[inline]
    #[track_caller]
    fn zip(
        &self,
        other: &Self,
        shape: impl FnOnce() -> Shape,
        f: impl Fn(T, &T) -> T + 'static,
    ) -> Partial<T> {
        let at = At::caller();
        if let (Kind::Known(a), Kind::Known(b)) = (&self.0, &other.0) {
            return part_of_operator(T::ALLOCATES, at, || Partial::from_value(f(a.clone(), b)));
        }
        let program = Program::common([self, other].into_iter().filter_map(Partial::program), at);
        let program = program.expect("one of them is unknown");
        Partial::step(SmallVec::from_buf([self.operand(), other.operand()]), &program, shape(), move |args| {
            let a = args.real();
            f(a, &args.real())
        })
    }
}
