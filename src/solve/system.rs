//! Equations `g(x, θ) = 0` of a vector, and the products with their derivatives that solvers and rules take.

use std::fmt;

use crate::batch::Batch;
use crate::continuation::unwinding::{OrRaise, catch, raise};
use crate::error::{At, Error, Result};
use crate::forward::Dual;
use crate::jacobian::{hessian, jacobian};
use crate::language::params::Params;
use crate::language::shape::Shape;
use crate::language::tensor::Tensor;
use crate::linalg::{Asked, Factors, symmetric_in_step};
use crate::linearize::{linearize, pullback};
use crate::partial::Partial;
use crate::reverse::Var;
use crate::solve::options::{Info, Solution};
use crate::solve::problem::{Layout, Over, Problem};
use crate::transforms::{grad, jvp, vjp};

/// Equations `g(x, θ) = 0` for a vector `x`; `θ` are the leaves of the parameters.
pub(super) trait System: Clone + fmt::Debug + 'static {
    /// Whether `∂g/∂x` is symmetric.
    const SYMMETRIC: bool = false;

    /// `g(x, θ)`: `[n]` gives `[n]`.
    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T;

    /// `∂g/∂x` as a matrix, if there is a faster way to it than one direction after the other.
    fn matrix<T: Tensor>(&self, _x: &T, _theta: &[T]) -> Option<T> {
        None
    }

    /// `∂g/∂x` as a matrix.
    fn jacobian<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        let by_batch = || jacobian(|x| self.residual(&x, &constants_of_batch(theta)), x).or_raise();
        self.matrix(x, theta).unwrap_or_else(by_batch)
    }

    /// What solves equations with `∂g/∂x` quickly: factors of the matrix, as a vector. No derivative is taken of it.
    fn factors<T: Tensor>(&self, kind: Factors, asked: &Asked<T>, x: &T, theta: &[T]) -> T {
        let matrix = self.jacobian(x, theta);
        match kind {
            Factors::Cholesky if !Self::SYMMETRIC => kind.of(&symmetric_in_step(&matrix, asked), asked),
            _ => kind.of(&matrix, asked),
        }
    }

    /// How many numbers these are, of so many unknowns.
    fn factors_size(&self, kind: Factors, unknowns: usize) -> usize {
        kind.size(unknowns)
    }

    /// The solution `z` of `∂g/∂x·z = b`, or with the transposed matrix, by [`factors`](System::factors), for these
    /// parameters.
    fn solve_factored<T: Tensor>(
        &self,
        kind: Factors,
        factors: &T,
        _theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        kind.solve(factors, b, transposed)
    }

    /// The same, nearly, where that is cheaper: for methods that find out what is missing themselves.
    fn nearly_solve_factored<T: Tensor>(
        &self,
        kind: Factors,
        factors: &T,
        theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        self.solve_factored(kind, factors, theta, transposed, b)
    }

    /// `g(x, θ) + ∂g/∂x·v`.
    fn linearized<T: Tensor>(&self, x: &T, theta: &[T], v: &T) -> T {
        let (value, change) = jvp(|x| self.residual(&x, &duals(theta)), x, v).or_raise();
        value + change
    }

    /// What `f` makes of products with `∂g/∂x`, or with the transposed matrix: the function is run once for all of
    /// them.
    fn with_products<T: Tensor, R>(
        &self,
        transposed: bool,
        x: &T,
        theta: &[T],
        f: impl FnOnce(&dyn Fn(&T) -> T) -> R,
    ) -> R {
        if transposed {
            let (_, back) = pullback::<_, T>(|x| self.residual(&x, &constants(&known(theta))), x).or_raise();
            return f(&|u| back.apply(u).or_raise());
        }
        let (_, derivative) = linearize(|x| self.residual(&x, &duals(&known(theta))), x).or_raise();
        f(&|v| derivative.apply(v).or_raise())
    }

    /// `∂g/∂x·v`, of the transposed matrix if it is said so.
    fn product<T: Tensor>(&self, transposed: bool, x: &T, theta: &[T], v: &T) -> T {
        if transposed && !Self::SYMMETRIC {
            return vjp(|x| self.residual(&x, &constants(theta)), x, v).or_raise().1;
        }
        jvp(|x| self.residual(&x, &duals(theta)), x, v).or_raise().1
    }
}

/// Values as constants of a derivative in reverse.
pub(super) fn constants<'r, T: Tensor>(values: &[T]) -> Vec<Var<'r, T>> {
    values.iter().map(Var::lift).collect()
}

/// Values as constants of a forward derivative.
pub(super) fn duals<T: Tensor>(values: &[T]) -> Vec<Dual<T>> {
    values.iter().map(Dual::lift).collect()
}

/// Values as constants of a batch of derivatives.
fn constants_of_batch<'r, T: Tensor>(values: &[T]) -> Vec<Var<'r, Dual<Batch<T>>>> {
    values.iter().map(|value| Var::lift(&Dual::lift(&Batch::lift(value)))).collect()
}

/// Values as such that are known when a derivative is linearized.
fn known<T: Tensor>(values: &[T]) -> Vec<Partial<T>> {
    values.iter().map(Partial::lift).collect()
}

/// The derivative by the values that are wanted of `f`, a number; none if none are.
pub(super) fn gradient_by<T: Tensor>(
    values: &[T],
    wanted: &[bool],
    f: impl for<'r> FnOnce(&[Var<'r, T>]) -> Var<'r, T>,
) -> Vec<Option<T>> {
    let chosen: Vec<T> = chosen(values, wanted).cloned().collect();
    if chosen.is_empty() {
        return vec![None; values.len()];
    }
    let slopes = grad(|variables| f(&spread(values, wanted, variables, Var::lift)), &chosen).or_raise();
    let mut slopes = slopes.into_iter();
    wanted.iter().map(|&wanted| if wanted { slopes.next() } else { None }).collect()
}

/// The derivative of `f` along the tangents that there are; none if there are none.
pub(super) fn along<T: Tensor>(
    values: &[T],
    tangents: &[Option<T>],
    f: impl FnOnce(&[Dual<T>]) -> Dual<T>,
) -> Option<T> {
    let directions: Vec<T> = tangents.iter().flatten().cloned().collect();
    if directions.is_empty() {
        return None;
    }
    let wanted: Vec<bool> = tangents.iter().map(Option::is_some).collect();
    let chosen: Vec<T> = chosen(values, &wanted).cloned().collect();
    Some(jvp(|duals| f(&spread(values, &wanted, duals, Dual::lift)), &chosen, &directions).or_raise().1)
}

/// The shapes of those that are wanted.
pub(super) fn chosen_shapes<T: Tensor>(values: &[T], wanted: &[bool]) -> Vec<Shape> {
    chosen(values, wanted).map(Tensor::shape).collect()
}

fn chosen<'v, T>(values: &'v [T], wanted: &'v [bool]) -> impl Iterator<Item = &'v T> {
    values.iter().zip(wanted).filter_map(|(value, &wanted)| wanted.then_some(value))
}

/// Variables in the places of the values that are wanted, and constants in the others.
fn spread<T, V>(values: &[T], wanted: &[bool], variables: Vec<V>, lift: impl Fn(&T) -> V) -> Vec<V> {
    let mut variables = variables.into_iter();
    let one = |(value, &wanted): (&T, &bool)| match wanted {
        true => variables.next().expect("one of each that is wanted"),
        false => lift(value),
    };
    values.iter().zip(wanted).map(one).collect()
}

/// `√Σx²`, of which no derivative is taken.
pub(super) fn norm<T: Tensor>(x: &T) -> T {
    x.detach().square().sum(..).sqrt()
}

/// The difference of 1 and the next number, of the precision there is.
pub(super) fn epsilon<T: Tensor>() -> T {
    let is_single = T::constant(1.0 + 1e-10).equal(&T::constant(1.0));
    T::select(&is_single, &T::constant(f64::from(f32::EPSILON)), &T::constant(f64::EPSILON))
}

/// `⟨a, b⟩` of two vectors.
pub(super) fn dot<T: Tensor>(a: &T, b: &T) -> T {
    (a.clone() * b).sum(..)
}

/// A problem with the structures of its unknown and its parameters: what makes it a function of vectors.
#[derive(Clone, Debug)]
pub(super) struct Packed<P: Problem> {
    pub(super) problem: P,
    pub(super) unknown: Layout<P::Unknown>,
    pub(super) theta: Layout<P::Parameters>,
    /// What asks for it, and where: for errors.
    pub(super) op: &'static str,
    pub(super) at: At,
}

impl<P: Problem> Packed<P> {
    /// Of a problem that was called with such an unknown and such parameters.
    pub(super) fn of<T: Tensor>(
        op: &'static str,
        at: At,
        problem: &P,
        x: &Over<P::Unknown, T>,
        theta: &Over<P::Parameters, T>,
    ) -> Packed<P> {
        let (unknown, theta) = (Layout::of::<T>(x), Layout::of::<T>(theta));
        if unknown.size() == 0 {
            raise(Error::Argument { op, reason: "an unknown without elements".into(), at });
        }
        Packed { problem: problem.clone(), unknown, theta, op, at }
    }

    /// The unknown as a vector, and the leaves of the parameters.
    pub(super) fn operands<T: Tensor>(
        &self,
        x: &Over<P::Unknown, T>,
        theta: &Over<P::Parameters, T>,
    ) -> (T, Vec<T>) {
        (self.unknown.pack(x), theta.leaves())
    }

    /// The problem's value, all of its elements in one vector.
    pub(super) fn value<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        let value = self.problem.value::<T>(&self.unknown.unpack(x), &self.theta.with(theta));
        Layout::<P::Value>::of::<T>(&value).pack(&value)
    }

    /// The problem's value, which has to be like the unknown.
    pub(super) fn value_like_unknown<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        let value = self.problem.value::<T>(&self.unknown.unpack(x), &self.theta.with(theta));
        let layout = Layout::<P::Value>::of::<T>(&value);
        self.unknown.assert_like(self.op, self.at, &layout);
        layout.pack(&value)
    }

    /// The problem's value, which has to be a single number.
    pub(super) fn number<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        let value = self.problem.value::<T>(&self.unknown.unpack(x), &self.theta.with(theta));
        match value.leaves().as_slice() {
            [one] if one.shape().is_empty() => one.clone(),
            leaves => {
                let shapes: Vec<_> = leaves.iter().map(Tensor::shape).collect();
                let reason = format!("what is to be least is {shapes:?}, and has to be a single number");
                raise(Error::Argument { op: self.op, reason, at: self.at })
            }
        }
    }

    /// The matrix that the problem knows, of so many rows.
    pub(super) fn matrix<T: Tensor>(&self, x: &T, theta: &[T], rows: impl FnOnce() -> usize) -> Option<T> {
        let matrix = self.problem.matrix::<T>(&self.unknown.unpack(x), &self.theta.with(theta))?;
        let (shape, expected) = (matrix.shape(), [rows(), self.unknown.size()]);
        if shape.as_slice() != expected {
            let reason =
                format!("the matrix that the problem gives is {shape:?}, and has to be {expected:?}");
            raise(Error::Argument { op: self.op, reason, at: self.at });
        }
        Some(matrix)
    }

    /// The square one of equations.
    pub(super) fn square_matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        self.matrix(x, theta, || self.unknown.size())
    }
}

/// What a solver is made of: the problem as one of vectors, what `run` finds, and that in its structure again.
#[track_caller]
pub(super) fn solved<P: Problem, T: Tensor>(
    op: &'static str,
    problem: &P,
    x: &Over<P::Unknown, T>,
    theta: &Over<P::Parameters, T>,
    run: impl FnOnce(Packed<P>, &T, &[T]) -> (T, Info<T>),
) -> Result<Solution<Over<P::Unknown, T>, T>> {
    let at = At::caller();
    catch(|| {
        let packed = Packed::of(op, at, problem, x, theta);
        let (x, theta) = packed.operands(x, theta);
        let unknown = packed.unknown.clone();
        let (x, info) = run(packed, &x, &theta);
        Ok(Solution { x: unknown.unpack(&x), info })
    })
}

/// `x − F(x, θ) = 0`.
#[derive(Clone, Debug)]
pub(super) struct FixedPointOf<P: Problem>(pub(super) Packed<P>);

impl<P: Problem> System for FixedPointOf<P> {
    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        x.clone() - self.0.value_like_unknown(x, theta)
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        self.0.square_matrix(x, theta).map(|matrix| eye::<T>(self.0.unknown.size()) - matrix)
    }
}

/// `g(x, θ) = 0`.
#[derive(Clone, Debug)]
pub(super) struct RootOf<P: Problem>(pub(super) Packed<P>);

impl<P: Problem> System for RootOf<P> {
    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.0.value_like_unknown(x, theta)
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        self.0.square_matrix(x, theta)
    }
}

/// `∇ₓf(x, θ) = 0`.
#[derive(Clone, Debug)]
pub(super) struct GradientOf<P: Problem>(pub(super) Packed<P>);

impl<P: Problem> System for GradientOf<P> {
    const SYMMETRIC: bool = true;

    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        grad(|x| self.0.number(&x, &constants(theta)), x).or_raise()
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        let known = self.0.square_matrix(x, theta);
        let by_batch = || hessian(|x| self.0.number(&x, &constants_of_batch(theta)), x).or_raise();
        Some(known.unwrap_or_else(by_batch))
    }
}

/// A number that is least where the equations, those of its gradient, hold.
pub(super) trait Objective: System {
    /// The number.
    fn objective<T: Tensor>(&self, x: &T, theta: &[T]) -> T;
}

impl<P: Problem> Objective for GradientOf<P> {
    fn objective<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        self.0.number(x, theta)
    }
}

/// `Jᵀr = 0`, for the residuals `r(x, θ)`: the gradient of `½Σr²`.
#[derive(Clone, Debug)]
pub(super) struct SquaresOf<P: Problem>(pub(super) Packed<P>);

impl<P: Problem> SquaresOf<P> {
    /// `J`.
    pub(super) fn residuals_matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        let by_batch = || jacobian(|x| self.0.value(&x, &constants_of_batch(theta)), x).or_raise();
        self.0.matrix(x, theta, || self.0.value(x, theta).size()).unwrap_or_else(by_batch)
    }
}

impl<P: Problem> System for SquaresOf<P> {
    const SYMMETRIC: bool = true;

    fn residual<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        grad(|x| half_of_squares(&self.0.value(&x, &constants(theta))), x).or_raise()
    }
    fn matrix<T: Tensor>(&self, x: &T, theta: &[T]) -> Option<T> {
        Some(hessian(|x| half_of_squares(&self.0.value(&x, &constants_of_batch(theta))), x).or_raise())
    }
}

impl<P: Problem> Objective for SquaresOf<P> {
    fn objective<T: Tensor>(&self, x: &T, theta: &[T]) -> T {
        half_of_squares(&self.0.value(x, theta))
    }
}

fn half_of_squares<T: Tensor>(r: &T) -> T {
    r.square().sum(..) * 0.5
}

/// The identity matrix.
pub(super) fn eye<T: Tensor>(n: usize) -> T {
    T::ones(&[n]).diag(0)
}
