//! An iteration, its loop, and its four derivatives.

use std::marker::PhantomData;

use crate::continuation::unwinding::{operator, raise};
use crate::error::{At, Error};
use crate::language::control::Checkpoints;
use crate::language::custom::CustomOperator;
use crate::language::real::{Int, Mask};
use crate::language::state::Index;
use crate::language::tensor::Tensor;
use crate::solve::bound;
use crate::solve::converged::{Converged, Named};
use crate::solve::linear::{LinearMethod, LinearSystem};
use crate::solve::options::{Derivative, Info, NotConverged, Options};
use crate::solve::system::{System, along, gradient_by, norm};

/// An iterative algorithm for [equations](System).
pub(super) trait Iteration: Named + System {
    /// What a step changes: `x`, the norm of the residual there, and what else the next step takes.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T>;

    /// A step.
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T>;

    /// A step that is differentiated: from `x` alone, and undamped.
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T;
}

/// When an iteration ends.
#[derive(Clone, Debug)]
struct Limits {
    absolute: f64,
    relative: f64,
    steps: usize,
    not_converged: NotConverged,
}

impl Limits {
    /// Those of so many steps fewer.
    fn of(options: &Options, fewer: usize) -> Limits {
        Limits {
            absolute: options.absolute,
            relative: options.relative,
            steps: options.max_steps - fewer,
            not_converged: options.not_converged,
        }
    }
    fn is_fixed(&self) -> bool {
        self.absolute == 0.0 && self.relative == 0.0
    }
    /// The largest residual that will do at `x`.
    fn enough<T: Tensor>(&self, x: &T) -> T {
        match self.relative {
            0.0 => T::constant(self.absolute),
            relative => norm(x) * relative + self.absolute,
        }
    }
    /// Whether there is another step.
    fn goes_on<T: Tensor>(&self, number: &T::Int, state: &[T]) -> T::Bool {
        let left = number.less(&T::Int::constant(self.steps as i64));
        if self.is_fixed() {
            return left;
        }
        let residual = state[1].detach();
        let finite = residual.less(&T::constant(f64::INFINITY));
        left.and(&finite).and(&residual.greater(&self.enough(&state[0].detach())))
    }
    /// `x` and three numbers of how it went: the steps, the residual, and the largest one that will do.
    fn report<T: Tensor, I: Iteration>(&self, number: &T::Int, state: &[T]) -> T {
        let x = &state[0];
        let number = T::from_int(number).reshape(&[1]);
        let residual = state[1].detach().reshape(&[1]);
        let enough = self.enough(&x.detach()).reshape(&[1]);
        let report = T::concat(&[x.clone(), number, residual, enough], 0);
        match self.not_converged {
            NotConverged::Flagged => report,
            NotConverged::Error => {
                T::host(&Converged::<I> { fixed: self.is_fixed(), of: PhantomData }, &[&report])
            }
        }
    }
}

/// Runs the steps.
fn run<I: Iteration, T: Tensor>(iteration: &I, limits: &Limits, x: &T, theta: &[T]) -> T {
    let begin = (Index::<T>(T::Int::constant(0)), iteration.start(x, theta));
    let (number, state) = T::while_loop(
        begin,
        |(number, state)| limits.goes_on(&number.0, state),
        |(number, state)| {
            let state = iteration.step(state, theta, &number.0);
            (Index(number.0 + T::Int::constant(1)), state)
        },
    );
    limits.report::<T, I>(&number.0, &state)
}

/// The steps whose states count as constants: an operator without a derivative, so that nothing of them is kept, and
/// nothing of them is recorded for the way back. Its operands are where it begins and the parameters.
#[derive(Clone, Debug)]
struct Detached<I> {
    iteration: I,
    limits: Limits,
}

impl<I: Iteration> CustomOperator for Detached<I> {
    const NAME: &'static str = I::NAME;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        run(&self.iteration, &self.limits, &x[0], &x[1..])
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None; x.len()]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// All steps, with the derivative of the implicit function: `∂g/∂x·ẋ = −∂g/∂θ·θ̇`.
#[derive(Clone, Debug)]
struct Implicit<I> {
    iteration: I,
    limits: Limits,
    method: LinearMethod,
}

impl<I: Iteration> Implicit<I> {
    fn solved<T: Tensor>(&self, transposed: bool, b: &T, x: &T, theta: &[T]) -> T {
        let system = LinearSystem { system: self.iteration.clone(), transposed, method: self.method.clone() };
        system.solve(b, x, theta)
    }
}

impl<I: Iteration> CustomOperator for Implicit<I> {
    const NAME: &'static str = I::NAME;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        run(&self.iteration, &self.limits, &x[0], &x[1..])
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let (n, theta) = (x[0].size(), &x[1..]);
        let solution = y.slice(0, 0..n);
        let u = self.solved(true, &-y_bar.slice(0, 0..n), &solution, theta);
        let by_theta = gradient_by(theta, &wanted[1..], |theta| {
            use crate::reverse::Var;
            (self.iteration.residual(&Var::lift(&solution), theta) * Var::lift(&u)).sum(..)
        });
        std::iter::once(None).chain(by_theta).collect()
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let (n, theta) = (x[0].size(), &x[1..]);
        let solution = y.slice(0, 0..n);
        let change = along(theta, &tangents[1..], |theta| {
            use crate::forward::Dual;
            self.iteration.residual(&Dual::lift(&solution), theta)
        })?;
        let tangent = self.solved(false, &-change, &solution, theta);
        Some(T::concat(&[tangent, T::zeros(&[y.size() - n])], 0))
    }
}

/// The last state of an iteration from `x`, with the derivative that the options say.
pub(super) fn iterate<I: Iteration, T: Tensor>(
    iteration: &I,
    options: &Options,
    at: At,
    x: &T,
    theta: &[T],
) -> (T, Info<T>) {
    let refuse = |reason: String| raise(Error::Argument { op: I::NAME, reason, at });
    let not_negative = |x: f64| x >= 0.0;
    if !not_negative(options.absolute) || !not_negative(options.relative) {
        let (absolute, relative) = (options.absolute, options.relative);
        refuse(format!("the tolerances {absolute} and {relative} have to be numbers from 0 on"));
    }
    let last = match options.derivative {
        Derivative::OneStep => 1,
        Derivative::KSteps(steps) => steps,
        _ => 0,
    };
    if last > options.max_steps {
        let most = options.max_steps;
        refuse(format!("a limit of {most} steps, and the derivative is that of the last {last}"));
    }
    let n = x.size();
    let limits = Limits::of(options, last);
    let operands: Vec<&T> = std::iter::once(x).chain(theta).collect();
    let reported = operator(at, || match &options.derivative {
        Derivative::Unrolled { checkpoints } => unrolled(iteration, &limits, *checkpoints, at, x, theta),
        Derivative::Implicit(method) => {
            let (iteration, method) = (iteration.clone(), method.clone());
            T::custom(&Implicit { iteration, limits, method }, &operands)
        }
        Derivative::OneStep | Derivative::KSteps(_) => {
            T::custom(&Detached { iteration: iteration.clone(), limits }, &operands)
        }
    });
    let before = reported.slice(0, 0..n);
    let number = |i: usize| reported.index(0, n + i).detach();
    let (steps, residual) = (number(0), number(1));
    let converged = T::from_mask(&residual.less_equal(&number(2)));
    let bounds = options.estimate.map(|estimate| bound::estimate(iteration, estimate, at, &before, theta));
    let (rho, one_step_error_bound) = bounds.unzip();
    let info = Info { steps: steps + last as f64, residual, converged, rho, one_step_error_bound };
    (attached_steps(iteration, last, before, theta), info)
}

/// So many steps, all of which are differentiated.
fn attached_steps<I: Iteration, T: Tensor>(iteration: &I, steps: usize, x: T, theta: &[T]) -> T {
    // More of them are a loop of the program.
    if T::RECORDS && steps > 4 {
        let begin = (Index::<T>(T::Int::constant(0)), x);
        let end = T::Int::constant(steps as i64);
        let step = |(number, x): (Index<T>, T)| {
            (Index(number.0 + T::Int::constant(1)), iteration.attached(&x, theta))
        };
        return T::while_loop(begin, |(number, _)| number.0.less(&end), step).1;
    }
    (0..steps).fold(x, |x, _| iteration.attached(&x, theta))
}

/// All steps, all of which are differentiated.
fn unrolled<I: Iteration, T: Tensor>(
    iteration: &I,
    limits: &Limits,
    checkpoints: Option<Checkpoints>,
    at: At,
    x: &T,
    theta: &[T],
) -> T {
    let Some(checkpoints) = checkpoints else { return run(iteration, limits, x, theta) };
    let (stepped, theta) = (iteration.clone(), theta.to_vec());
    let state = iteration.start(x, &theta);
    if limits.is_fixed() {
        let state =
            T::checkpointed_loop(limits.steps, &theta, state, checkpoints, move |number, theta, state| {
                stepped.step(state, theta, number)
            });
        return limits.report::<T, I>(&T::Int::constant(limits.steps as i64), &state);
    }
    if checkpoints != Checkpoints::SquareRoot {
        let reason = format!(
            "{checkpoints:?} for an iteration whose number of steps is not known before it ends: it takes \
             Checkpoints::SquareRoot"
        );
        raise(Error::Argument { op: I::NAME, reason, at });
    }
    let begin = (Index::<T>(T::Int::constant(0)), state);
    let limits_inside = limits.clone();
    let (number, state) = T::checkpointed_while(
        &theta,
        begin,
        move |_, (number, state): &(Index<T>, Vec<T>)| limits_inside.goes_on(&number.0, state),
        move |theta, (number, state): (Index<T>, Vec<T>)| {
            let state = stepped.step(state, theta, &number.0);
            (Index(number.0 + T::Int::constant(1)), state)
        },
    );
    limits.report::<T, I>(&number.0, &state)
}
