//! What [`Partial`](super::Partial) keeps of a model: steps, each with the operands that are known and the places of
//! those that are not.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use smallvec::SmallVec;

use super::adjoint::Sum;
use super::{Kind, Partial, Unknown};
use crate::continuation::unwinding::{blame, operator, part_of_operator, raise};
use crate::error::{At, Error};
use crate::finite;
use crate::language::control::Control;
use crate::language::control::continuation_passing::{Leaves, Region, Site};
use crate::language::real::Real;
use crate::language::shape::Shape;
use crate::language::state::Leaf;
use crate::sealed::INTERNAL;

/// What a step takes.
pub(crate) enum Operand<T: Real> {
    Known(Leaf<T>),
    Unknown {
        slot: usize,
        /// Whether nothing after this step takes it.
        last: Cell<bool>,
    },
}

impl<T: Real> Operand<T> {
    pub(super) fn unknown(slot: usize) -> Operand<T> {
        Operand::Unknown { slot, last: Cell::new(false) }
    }
}

/// The operands of a step that runs, in their order.
pub(crate) struct Args<'a, T: Real> {
    operands: std::slice::Iter<'a, Operand<T>>,
    slots: &'a mut [Option<T>],
}

impl<'a, T: Real> Args<'a, T> {
    /// Operands that are all known.
    pub(super) fn of(operands: &'a [Operand<T>]) -> Args<'a, T> {
        Args { operands: operands.iter(), slots: &mut [] }
    }
}

const IN_ORDER: &str =
    "a step runs after those that it takes something of, and takes as many operands as it has";

impl<T: Real> Args<'_, T> {
    pub(super) fn leaf(&mut self) -> Leaf<T> {
        match self.operands.next().expect(IN_ORDER) {
            Operand::Known(leaf) => leaf.clone(),
            Operand::Unknown { slot, last } => {
                let slot = &mut self.slots[*slot];
                let value = if last.get() { slot.take() } else { slot.clone() };
                Leaf::Real(value.expect(IN_ORDER))
            }
        }
    }

    #[inline]
    pub(super) fn real(&mut self) -> T {
        self.leaf().real()
    }

    pub(super) fn int(&mut self) -> T::Int {
        self.leaf().int()
    }
}

/// Computes something of operands. It captures nothing of the interpretation.
type Computes<T, R> = Box<dyn Fn(&mut Args<'_, T>) -> R>;

/// What a step computes.
pub(super) enum Apply<T: Real> {
    One(Computes<T, T>),
    Several(Computes<T, Vec<T>>),
    Sum(Sum<T>),
}

struct Step<T: Real> {
    operands: SmallVec<[Operand<T>; 2]>,
    /// Where the first of its results is put; the others follow.
    first: usize,
    at: At,
    /// The operator whose backward half it is part of, if what is not finite is looked for.
    pass: Option<&'static str>,
    apply: Apply<T>,
}

/// A program of the unknown values of a model, the first of which are its inputs.
pub(crate) struct Program<T: Real> {
    steps: RefCell<Vec<Step<T>>>,
    /// How many values there are, inputs and results of steps.
    slots: Cell<usize>,
    /// Whether it is finished.
    sealed: Cell<bool>,
    /// Whether a value of it was wanted in recorded control flow.
    wanted_in_control_flow: Cell<bool>,
}

impl<T: Real> Program<T> {
    /// Notes that a value of it was wanted in recorded control flow.
    pub(super) fn want_in_control_flow(&self) {
        self.wanted_in_control_flow.set(true);
    }

    /// Whether a value of it was wanted in recorded control flow.
    pub(crate) fn is_wanted_in_control_flow(&self) -> bool {
        self.wanted_in_control_flow.get()
    }

    /// The program that unknown values belong to.
    pub(super) fn common<'a>(
        programs: impl Iterator<Item = &'a Rc<Program<T>>>,
        at: At,
    ) -> Option<Rc<Program<T>>>
    where
        T: 'a,
    {
        let mut common: Option<&Rc<Program<T>>> = None;
        for program in programs {
            match common {
                Some(other) if !Rc::ptr_eq(other, program) => raise(foreign(at)),
                _ => common = Some(program),
            }
        }
        common.cloned()
    }

    /// Appends a step; the place of its first result.
    pub(super) fn push(
        &self,
        operands: SmallVec<[Operand<T>; 2]>,
        results: usize,
        at: At,
        apply: Apply<T>,
    ) -> usize {
        if self.sealed.get() {
            raise(foreign(at));
        }
        let first = self.slots.get();
        self.slots.set(first + results);
        self.steps.borrow_mut().push(Step { operands, first, at: blame(at), pass: finite::pass(), apply });
        first
    }

    /// Ends the program, of which these values are wanted: what only other ones take is given up, and all that it
    /// holds.
    fn seal(&self, wanted: &[usize]) {
        self.sealed.set(true);
        let mut taken = vec![false; self.slots.get()];
        wanted.iter().for_each(|&slot| taken[slot] = true);
        let mut steps = self.steps.take();
        let mut end = self.slots.get();
        let mut kept = Vec::with_capacity(steps.len());
        while let Some(step) = steps.pop() {
            let results = step.first..std::mem::replace(&mut end, step.first);
            if !taken[results].contains(&true) {
                continue;
            }
            for operand in step.operands.iter().rev() {
                if let Operand::Unknown { slot, last } = operand {
                    last.set(!std::mem::replace(&mut taken[*slot], true));
                }
            }
            kept.push(step);
        }
        kept.reverse();
        self.steps.replace(kept);
    }

    /// Runs the program; `wanted` are values that it was [sealed](Program::seal) with.
    fn run(&self, inputs: Vec<T>, wanted: &[usize]) -> Vec<T> {
        let mut slots: Vec<Option<T>> = inputs.into_iter().map(Some).collect();
        slots.resize_with(self.slots.get(), || None);
        for step in &*self.steps.borrow() {
            let mut args = Args { operands: step.operands.iter(), slots: &mut slots };
            let one = |args: &mut Args<'_, T>| match &step.apply {
                Apply::One(f) => Some(f(args)),
                Apply::Sum(sum) => Some(sum.run(args)),
                Apply::Several(_) => None,
            };
            let one =
                part_of_operator(T::ALLOCATES, step.at, || finite::in_pass(step.pass, || one(&mut args)));
            match (one, &step.apply) {
                (None, Apply::Several(f)) => {
                    let results = operator(step.at, || f(&mut args));
                    slots[step.first..].iter_mut().zip(results).for_each(|(slot, y)| *slot = Some(y));
                }
                (one, _) => slots[step.first] = one,
            }
        }
        wanted.iter().map(|&slot| slots[slot].clone().expect("what is wanted is not given up")).collect()
    }
}

#[cold]
fn foreign(at: At) -> Error {
    let reason = "a tangent or adjoint of one `linearize` or `pullback` was used in another one, or after it";
    Error::OutsideReset { reason, at }
}

/// A function that is linear in its arguments.
pub(crate) struct Linear<T: Real>(How<T>);

enum How<T: Real> {
    /// A finished program, what is given of it, or of what else, and its values that are given.
    Program { program: Rc<Program<T>>, results: Vec<Given<T>>, slots: Vec<usize> },
    /// The derivative of a region of recorded control flow: of these inputs, and then the arguments. The last ones of
    /// its results are given.
    Region { forward: Region, inputs: Leaves<T>, results: usize, apply: ApplyRegion<T> },
}

/// [`Control::apply_region`](crate::Control::apply_region).
type ApplyRegion<T> = fn(&Region, Leaves<T>) -> Leaves<T>;

enum Given<T> {
    Known(T),
    /// The next of the program's.
    Computed,
}

impl<T: Real> Linear<T> {
    /// A new program, and its inputs, of these shapes.
    pub(crate) fn inputs(shapes: Vec<Shape>) -> (Rc<Program<T>>, Vec<Partial<T>>) {
        let program = Rc::new(Program {
            steps: RefCell::default(),
            slots: Cell::new(shapes.len()),
            sealed: Cell::new(false),
            wanted_in_control_flow: Cell::new(false),
        });
        let input =
            |(slot, shape)| Partial(Kind::Unknown(Unknown { program: Rc::clone(&program), slot, shape }));
        let inputs = shapes.into_iter().enumerate().map(input).collect();
        (program, inputs)
    }

    /// The function that gives these results.
    pub(crate) fn of(program: Rc<Program<T>>, results: Vec<Partial<T>>) -> Linear<T> {
        let mut slots = Vec::new();
        let given = |result: Partial<T>| match result.0 {
            Kind::Known(value) => Given::Known(value),
            Kind::Unknown(unknown) => {
                slots.push(unknown.slot);
                Given::Computed
            }
        };
        let results = results.into_iter().map(given).collect();
        program.seal(&slots);
        Linear(How::Program { program, results, slots })
    }

    /// The derivative of a region at these inputs, in directions of those that are `wanted`: the tangents of its
    /// results, of which so many are real.
    pub(crate) fn of_region(
        at: Site,
        region: &Region,
        inputs: Leaves<T>,
        wanted: &[bool],
        results: usize,
    ) -> Linear<T>
    where
        T: Control,
    {
        let forward = T::forward_region(INTERNAL, at, region, inputs.clone(), wanted);
        let apply =
            |region: &Region, inputs| T::apply_region(INTERNAL, Site::caller("linearize"), region, inputs);
        Linear(How::Region { forward, inputs, results, apply })
    }

    /// Its results for these arguments.
    pub(crate) fn run(&self, arguments: Vec<T>) -> Vec<T> {
        match &self.0 {
            How::Program { program, results, slots } => {
                let mut computed = program.run(arguments, slots).into_iter();
                let result = |given: &Given<T>| match given {
                    Given::Known(value) => value.clone(),
                    Given::Computed => computed.next().expect("as many as were sealed"),
                };
                results.iter().map(result).collect()
            }
            How::Region { forward, inputs, results, apply } => {
                let arguments = arguments.into_iter().map(Leaf::Real);
                let mut found = apply(forward, inputs.iter().cloned().chain(arguments).collect());
                found.split_off(found.len() - results).into_iter().map(Leaf::real).collect()
            }
        }
    }

    /// How many steps it has.
    pub(crate) fn steps(&self) -> usize {
        match &self.0 {
            How::Program { program, .. } => program.steps.borrow().len(),
            How::Region { .. } => 1,
        }
    }
}
