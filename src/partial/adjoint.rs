//! [`PartialAdjoint`]: what collects the adjoint of a [`Partial`].

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use smallvec::SmallVec;

use super::program::{Apply, Args, Operand, Program};
use super::{Kind, Partial, Unknown};
use crate::continuation::unwinding::operator;
use crate::error::At;
use crate::language::real::Real;
use crate::language::shape::Shape;
use crate::sealed::INTERNAL;

/// The adjoint of a [`Partial`]: what was added to it, in order, to be added up in one step.
pub struct PartialAdjoint<T: Real> {
    /// The value that it belongs to.
    of: Partial<T>,
    /// Axes that were inserted, and their lengths.
    widened: RefCell<SmallVec<[(usize, usize); 1]>>,
    parts: RefCell<Vec<Part<T>>>,
    /// A value that was left at another place.
    left: Option<T::Adjoint>,
}

/// Adds operands to an accumulator for values like the one that is given, without making an array of its size.
pub(super) type AddInPlace<T> = Box<dyn Fn(&<T as Real>::Adjoint, &T, &mut Args<'_, T>)>;

enum Part<T: Real> {
    Whole(Partial<T>),
    InPlace(InPlace<T>),
}

/// Part of an array.
struct InPlace<T: Real> {
    operands: SmallVec<[Operand<T>; 2]>,
    /// The programs of the unknown ones.
    programs: SmallVec<[Rc<Program<T>>; 1]>,
    add: AddInPlace<T>,
    zeros: OfShape<T>,
}

impl<T: Real> fmt::Debug for PartialAdjoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialAdjoint").finish_non_exhaustive()
    }
}

/// What makes zeros of a shape.
type OfShape<T> = fn(&[usize]) -> T;

impl<T: Real> PartialAdjoint<T> {
    pub(super) fn empty(of: &Partial<T>) -> PartialAdjoint<T> {
        let (widened, parts) = Default::default();
        PartialAdjoint { of: of.clone(), widened, parts, left: None }
    }

    pub(super) fn left_for(value: Partial<T>, place: usize) -> PartialAdjoint<T> {
        let adjoint = PartialAdjoint::empty(&value);
        match value.known() {
            Some(known) => PartialAdjoint { left: Some(known.clone().leave_for(place)), ..adjoint },
            None => {
                adjoint.add(value);
                adjoint
            }
        }
    }

    pub(super) fn widen(&self, axis: usize, length: usize) {
        self.widened.borrow_mut().push((axis, length));
    }

    pub(super) fn add(&self, g: Partial<T>) {
        self.parts.borrow_mut().push(Part::Whole(g));
    }

    /// Adds what `add` adds of these values; `others` are operands besides, and `zeros` makes an array.
    pub(super) fn add_in_place(
        &self,
        values: &[&Partial<T>],
        others: impl IntoIterator<Item = Operand<T>>,
        zeros: OfShape<T>,
        add: impl Fn(&T::Adjoint, &T, &mut Args<'_, T>) + 'static,
    ) {
        let operands = values.iter().map(|x| x.operand()).chain(others).collect();
        let programs = values.iter().filter_map(|x| x.program().cloned()).collect();
        self.parts.borrow_mut().push(Part::InPlace(InPlace {
            operands,
            programs,
            add: Box::new(add),
            zeros,
        }));
    }

    fn dims(&self) -> Shape {
        let mut shape = self.of.dims();
        self.widened.borrow().iter().for_each(|&(axis, length)| shape.insert(axis, length));
        shape
    }

    /// What was added.
    #[track_caller]
    pub(super) fn take(&self) -> Option<Partial<T>> {
        if let Some(left) = &self.left {
            return T::take_adjoint(left).map(Partial::from_value);
        }
        let parts = self.parts.take();
        if let [Part::Whole(g)] = &parts[..] {
            return Some(g.clone());
        }
        let at = At::caller();
        let shape = self.dims();
        let mut operands = SmallVec::new();
        let mut programs = Vec::new();
        let mut adds: Vec<Option<AddInPlace<T>>> = Vec::with_capacity(parts.len());
        let like = match parts.first()? {
            Part::Whole(_) => Like::First,
            // Of a recorded value only the shape is wanted, which is no reason to save it.
            Part::InPlace(part) if T::is_recorded(INTERNAL) => Like::Zeros(part.zeros, shape.clone()),
            Part::InPlace(_) => {
                operands.push(self.of.operand());
                programs.extend(self.of.program().cloned());
                Like::Value(self.widened.take())
            }
        };
        for part in parts {
            match part {
                Part::Whole(g) => {
                    operands.push(g.operand());
                    programs.extend(g.program().cloned());
                    adds.push(None);
                }
                Part::InPlace(part) => {
                    operands.extend(part.operands);
                    programs.extend(part.programs);
                    adds.push(Some(part.add));
                }
            }
        }
        let sum = Sum { like, adds };
        match Program::common(programs.iter(), at) {
            Some(program) => {
                let slot = program.push(operands, 1, at, Apply::Sum(sum));
                Some(Partial(Kind::Unknown(Unknown { program, slot, shape })))
            }
            None => Some(operator(at, || Partial::from_value(sum.run(&mut Args::of(&operands))))),
        }
    }
}

/// A step that adds operands up: whole ones, and others in place.
pub(super) struct Sum<T: Real> {
    like: Like<T>,
    adds: Vec<Option<AddInPlace<T>>>,
}

/// What the accumulator of a sum is made for.
enum Like<T> {
    /// The first part.
    First,
    /// The first operand, with axes inserted.
    Value(SmallVec<[(usize, usize); 1]>),
    Zeros(OfShape<T>, Shape),
}

impl<T: Real> Sum<T> {
    pub(super) fn run(&self, args: &mut Args<'_, T>) -> T {
        let mut first = None;
        let (like, sum) = match &self.like {
            Like::First => {
                let g = first.insert(args.real());
                (g.clone(), g.adjoint())
            }
            Like::Value(widened) => {
                let value = args.real();
                let sum = value.adjoint();
                widened.iter().for_each(|&(axis, length)| T::widen_adjoint(&sum, axis, length));
                (value, sum)
            }
            Like::Zeros(zeros, shape) => {
                let zeros = zeros(shape);
                let sum = zeros.adjoint();
                (zeros, sum)
            }
        };
        for add in &self.adds {
            match add {
                Some(add) => add(&sum, &like, args),
                None => T::accumulate(&sum, first.take().unwrap_or_else(|| args.real())),
            }
        }
        T::take_adjoint(&sum).expect("something was added")
    }
}
