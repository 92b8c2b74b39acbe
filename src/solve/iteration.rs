//! An iteration, its loop, and its four derivatives.

use std::marker::PhantomData;

use crate::continuation::unwinding::{operator, raise};
use crate::error::{At, Error};
use crate::forward::Dual;
use crate::language::control::Checkpoints;
use crate::language::custom::CustomOperator;
use crate::language::real::{Int, Mask};
use crate::language::state::Index;
use crate::language::tensor::Tensor;
use crate::linalg::Factors;
use crate::reverse::Var;
use crate::solve::bound;
use crate::solve::converged::{Converged, Named};
use crate::solve::linear::{LinearLimit, LinearMethod, LinearSystem};
use crate::solve::options::{Derivative, Info, NotConverged, Options};
use crate::solve::system::{System, along, dot, gradient_by, norm};

/// An iterative algorithm for [equations](System).
pub(super) trait Iteration: Named + System {
    /// Whether its states have a derivative by the parameters.
    const UNROLLS: bool = true;

    /// What a step changes: `x`, the norm of the residual there, and what else the next step takes.
    fn start<T: Tensor>(&self, x: &T, theta: &[T]) -> Vec<T>;

    /// A step.
    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T>;

    /// A step that is differentiated: from `x` alone, and undamped.
    fn attached<T: Tensor>(&self, x: &T, theta: &[T]) -> T;

    /// How equations with the matrix are solved in a step of Newton's method, if it is one: then the state's last parts
    /// are where the last step began, and the factors of the matrix there if it has any.
    fn newton(&self) -> Option<Newtonian> {
        None
    }
}

/// What the one-step derivative of Newton's method takes.
#[derive(Clone, Debug)]
pub(super) struct Newtonian {
    pub(super) method: LinearMethod,
    /// The part of Newton's step that was made.
    pub(super) damping: f64,
    /// Whether its steps are that, and nothing else.
    pub(super) plain: bool,
}

/// How many numbers say how an iteration went.
const REPORT: usize = 3;

/// When an iteration ends.
#[derive(Clone, Debug)]
struct Limits {
    absolute: f64,
    relative: f64,
    steps: usize,
    /// At least so many are made.
    least: usize,
    not_converged: NotConverged,
}

impl Limits {
    /// Those of so many steps fewer.
    fn of(options: &Options, fewer: usize) -> Limits {
        Limits {
            absolute: options.absolute,
            relative: options.relative,
            steps: options.max_steps - fewer,
            least: 0,
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
        let left = number.less(&T::Int::constant(i64::try_from(self.steps).unwrap_or(i64::MAX)));
        if self.is_fixed() {
            return left;
        }
        let residual = state[1].detach();
        let finite = residual.less(&T::constant(f64::INFINITY));
        let too_large = residual.greater(&self.enough(&state[0].detach()));
        let more = match self.least {
            0 => too_large,
            least => too_large.or(&number.less(&T::Int::constant(least as i64))),
        };
        left.and(&finite).and(&more)
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
    let (number, state) = rounds(iteration, limits, x, theta);
    limits.report::<T, I>(&number.0, &state)
}

/// The number of steps, and the last state.
fn rounds<I: Iteration, T: Tensor>(iteration: &I, limits: &Limits, x: &T, theta: &[T]) -> (Index<T>, Vec<T>) {
    let begin = (Index::<T>(T::Int::constant(0)), iteration.start(x, theta));
    T::while_loop(
        begin,
        |(number, state)| limits.goes_on(&number.0, state),
        |(number, state)| {
            let state = iteration.step(state, theta, &number.0);
            (Index(number.0 + T::Int::constant(1)), state)
        },
    )
}

/// The steps whose states count as constants: an operator without a derivative, so that nothing of them is kept, and
/// nothing of them is recorded for the way back. Its operands are where it begins and the parameters.
#[derive(Clone, Debug)]
struct Detached<I> {
    iteration: I,
    limits: Limits,
    /// Whether the state that Newton's method keeps is given as well.
    keeps: bool,
}

impl<I: Iteration> CustomOperator for Detached<I> {
    const NAME: &'static str = I::NAME;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        match self.keeps {
            true => run_and_keep(&self.iteration, &self.limits, &x[0], &x[1..]),
            false => run(&self.iteration, &self.limits, &x[0], &x[1..]),
        }
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None; x.len()]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// All steps, and the state that Newton's method keeps.
fn run_and_keep<I: Iteration, T: Tensor>(iteration: &I, limits: &Limits, x: &T, theta: &[T]) -> T {
    let (number, state) = rounds(iteration, limits, x, theta);
    let report = limits.report::<T, I>(&number.0, &state);
    let kept = iteration.newton().map_or(0, |newton| 1 + newton.method.factors().iter().count());
    let parts: Vec<T> = std::iter::once(report).chain(state[state.len() - kept..].iter().cloned()).collect();
    T::concat(&parts, 0)
}

/// What [`run_and_keep`] gave: the last state, where the last step began, and the factors there.
struct Kept<T> {
    x: T,
    before: T,
    factors: Option<T>,
}

impl<T: Tensor> Kept<T> {
    fn of(y: &T, n: usize) -> Kept<T> {
        let (start, size) = (n + REPORT, y.size());
        let factors = (size > start + n).then(|| y.slice(0, start + n..size));
        Kept { x: y.slice(0, 0..n), before: y.slice(0, start..start + n), factors }
    }
}

/// The steps of Newton's method `x ← x − M⁻¹g` of which the last one is differentiated, without computing it again:
/// with `s` for what it has added, the derivative of what it gives is `−M⁻¹·∂/∂θ(g + ∂g/∂x·s)`, of the state before it
/// as a constant.
#[derive(Clone, Debug)]
struct LastStep<I> {
    iteration: I,
    limits: Limits,
    newton: Newtonian,
}

impl<I: Iteration> LastStep<I> {
    fn solved<T: Tensor>(&self, transposed: bool, b: &T, kept: &Kept<T>, theta: &[T]) -> T {
        let (system, method, solver) = (self.iteration.clone(), self.newton.method.clone(), I::NAME);
        let system = LinearSystem { system, kept: method.factors(), method, transposed, solver };
        let operands: Vec<&T> = std::iter::once(&kept.before).chain(theta).chain(&kept.factors).collect();
        system.solve(b, &operands)
    }
    /// What Newton's step, undamped, has added.
    fn added<T: Tensor>(&self, kept: &Kept<T>) -> T {
        (kept.x.clone() - &kept.before) * (1.0 / self.newton.damping)
    }
}

impl<I: Iteration> CustomOperator for LastStep<I> {
    const NAME: &'static str = I::NAME;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        run_and_keep(&self.iteration, &self.limits, &x[0], &x[1..])
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let (n, theta) = (x[0].size(), &x[1..]);
        let kept = Kept::of(y, n);
        let u = self.solved(true, &-y_bar.slice(0, 0..n), &kept, theta);
        let added = self.added(&kept);
        let by_theta = gradient_by(theta, &wanted[1..], |theta| {
            let [before, added, u] = [&kept.before, &added, &u].map(Var::lift);
            dot(&self.iteration.linearized(&before, theta, &added), &u)
        });
        std::iter::once(None).chain(by_theta).collect()
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let (n, theta) = (x[0].size(), &x[1..]);
        let kept = Kept::of(y, n);
        let added = self.added(&kept);
        let change = along(theta, &tangents[1..], |theta| {
            let [before, added] = [&kept.before, &added].map(Dual::lift);
            self.iteration.linearized(&before, theta, &added)
        })?;
        let tangent = self.solved(false, &-change, &kept, theta);
        Some(T::concat(&[tangent, T::zeros(&[y.size() - n])], 0))
    }
}

/// All steps, with the derivative of the implicit function: `∂g/∂x·ẋ = −∂g/∂θ·θ̇`.
#[derive(Clone, Debug)]
struct Implicit<I> {
    iteration: I,
    limits: Limits,
    method: LinearMethod,
    /// Which factors of another matrix are kept, if they are wanted.
    kept: Option<Factors>,
}

impl<I: Iteration> Implicit<I> {
    fn solved<T: Tensor>(&self, transposed: bool, b: &T, y: &T, x: &T, theta: &[T]) -> T {
        let (system, method) = (self.iteration.clone(), self.method.clone());
        let system = LinearSystem { system, method, kept: self.kept, transposed, solver: I::NAME };
        let factors = self.kept.and_then(|_| Kept::of(y, x.size()).factors);
        let operands: Vec<&T> = std::iter::once(x).chain(theta).chain(&factors).collect();
        system.solve(b, &operands)
    }
}

impl<I: Iteration> CustomOperator for Implicit<I> {
    const NAME: &'static str = I::NAME;

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        match self.kept {
            Some(_) => run_and_keep(&self.iteration, &self.limits, &x[0], &x[1..]),
            None => run(&self.iteration, &self.limits, &x[0], &x[1..]),
        }
    }
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let (n, theta) = (x[0].size(), &x[1..]);
        let solution = y.slice(0, 0..n);
        let u = self.solved(true, &-y_bar.slice(0, 0..n), y, &solution, theta);
        let by_theta = gradient_by(theta, &wanted[1..], |theta| {
            dot(&self.iteration.residual(&Var::lift(&solution), theta), &Var::lift(&u))
        });
        std::iter::once(None).chain(by_theta).collect()
    }
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let (n, theta) = (x[0].size(), &x[1..]);
        let solution = y.slice(0, 0..n);
        let change =
            along(theta, &tangents[1..], |theta| self.iteration.residual(&Dual::lift(&solution), theta))?;
        let tangent = self.solved(false, &-change, y, &solution, theta);
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
    let is_tolerance = |x: f64| x >= 0.0 && x.is_finite();
    if !is_tolerance(options.absolute) || !is_tolerance(options.relative) {
        let (absolute, relative) = (options.absolute, options.relative);
        refuse(format!("the tolerances {absolute} and {relative} have to be finite numbers from 0 on"));
    }
    let fixed = options.absolute == 0.0 && options.relative == 0.0;
    if fixed && options.max_steps == 0 {
        refuse("a fixed number of 0 steps, which solve nothing".into());
    }
    let last = match options.derivative {
        Derivative::OneStep => 1,
        Derivative::KSteps(0) => refuse("the derivative of the last 0 steps, of which there is none".into()),
        Derivative::Unrolled { .. } if !I::UNROLLS => refuse(
            "its steps do not change with the parameters: they have no derivative to be unrolled".into(),
        ),
        Derivative::KSteps(steps) => steps,
        _ => 0,
    };
    if last > options.max_steps {
        let most = options.max_steps;
        refuse(format!("a limit of {most} steps, and the derivative is that of the last {last}"));
    }
    let n = x.size();
    let newton = iteration.newton();
    // Of a fixed number of Newton's steps the last one is differentiated where it is made. Else it is one from where
    // the others have converged, by the factors of the last of these.
    let within = last == 1 && fixed && newton.as_ref().is_some_and(|newton| newton.plain);
    let kind = newton.as_ref().and_then(|newton| newton.method.factors());
    // (If it may make one at all.)
    let once_more = kind.filter(|_| last == 1 && !within && options.max_steps > 1);
    let mut limits = Limits::of(options, if within { 0 } else { last });
    limits.least = usize::from(within || once_more.is_some());
    let operands: Vec<&T> = std::iter::once(x).chain(theta).collect();
    let reported = operator(at, || match (&options.derivative, newton) {
        (Derivative::Unrolled { checkpoints }, _) => unrolled(iteration, &limits, *checkpoints, x, theta),
        (Derivative::Implicit(method), _) => {
            let mut kept = None;
            if let LinearMethod::LastFactors(_) = method {
                kept = kind;
                if kept.is_none() {
                    refuse("LastFactors, of which this method keeps none".into());
                }
                if limits.steps == 0 {
                    refuse("LastFactors, of which a limit of 0 steps leaves none".into());
                }
                limits.least = 1;
            }
            let (iteration, method) = (iteration.clone(), method.clone());
            T::custom(&Implicit { iteration, limits, method, kept }, &operands)
        }
        (_, Some(newton)) if within => {
            T::custom(&LastStep { iteration: iteration.clone(), limits, newton }, &operands)
        }
        _ => {
            let keeps = once_more.is_some();
            T::custom(&Detached { iteration: iteration.clone(), limits, keeps }, &operands)
        }
    });
    let before = reported.slice(0, 0..n);
    let number = |i: usize| reported.index(0, n + i).detach();
    let (steps, residual) = (number(0), number(1));
    let converged = T::from_mask(&residual.less_equal(&number(2)));
    // Where the step begins that the bound is of.
    let bounded = if within { &Kept::of(&reported, n).before } else { &before };
    let bounds = options.estimate.map(|estimate| bound::estimate(iteration, estimate, at, bounded, theta));
    let (rho, one_step_error_bound) = bounds.unzip();
    let still = if within { 0 } else { last };
    let info = Info { steps: steps + still as f64, residual, converged, rho, one_step_error_bound };
    let Some(kind) = once_more else {
        let x = operator(at, || {
            let x = attached_steps(iteration, still, before, theta);
            match options.not_converged {
                NotConverged::Error if still > 0 => finite::<I, T>(&x, &info.steps),
                _ => x,
            }
        });
        return (x, info);
    };
    let method = LinearMethod::LastFactors(LinearLimit::default());
    let (system, kept) = (iteration.clone(), Some(kind));
    let system = LinearSystem { system, method, kept, transposed: false, solver: I::NAME };
    let kept = Kept::of(&reported, n);
    let operands: Vec<&T> = std::iter::once(&before).chain(theta).chain(&kept.factors).collect();
    let x = operator(at, || before.clone() - system.solve(&iteration.residual(&before, theta), &operands));
    (x, info)
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

/// Gives `x`, unless an element of it is infinite or no number.
fn finite<I: Iteration, T: Tensor>(x: &T, steps: &T) -> T {
    let residual = (x.detach() * 0.0).sum(..);
    let report = [steps, &residual, &residual].map(|number| number.reshape(&[1]));
    let [steps, residual, enough] = report;
    let check = Converged::<I> { fixed: true, of: PhantomData };
    let report = T::concat(&[x.clone(), steps, residual, enough], 0);
    T::host(&check, &[&report]).slice(0, 0..x.size())
}

/// All steps, all of which are differentiated.
fn unrolled<I: Iteration, T: Tensor>(
    iteration: &I,
    limits: &Limits,
    checkpoints: Option<Checkpoints>,
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
    let begin = (Index::<T>(T::Int::constant(0)), state);
    let limits_inside = limits.clone();
    let (number, state) = T::checkpointed_while(
        &theta,
        begin,
        checkpoints,
        move |_, (number, state): &(Index<T>, Vec<T>)| limits_inside.goes_on(&number.0, state),
        move |theta, (number, state): (Index<T>, Vec<T>)| {
            let state = stepped.step(state, theta, &number.0);
            (Index(number.0 + T::Int::constant(1)), state)
        },
    );
    limits.report::<T, I>(&number.0, &state)
}
