//! Factors that are kept as an array, without a derivative: for those who know that of what they solve.

use ndarray::{ArrayViewD, ArrayViewMutD};

use super::cholesky::{cholesky_in_step, cholesky_solution};
use super::kernel::{Factorization, Field, run, side};
use super::lu::{Factor, Unpacked, packed_identity};
use super::parts::identity;
use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// Who asks for factors, for errors: a solver, which step of it, and the residual where that begins.
#[derive(Clone, Debug)]
pub(crate) struct Asked<T> {
    pub(crate) solver: &'static str,
    /// From 1 on; 0 where the iteration begins, and less for its derivative.
    step: T,
    residual: T,
}

impl<T: Tensor> Asked<T> {
    /// The step after so many.
    pub(crate) fn by_step(solver: &'static str, number: &T::Int, residual: &T) -> Asked<T> {
        Asked { solver, step: T::from_int(number) + 1.0, residual: residual.detach() }
    }
    /// What an iteration begins with.
    pub(crate) fn at_the_start(solver: &'static str) -> Asked<T> {
        Asked { solver, step: T::constant(0.0), residual: T::constant(0.0) }
    }
    /// The derivative of what it finds.
    pub(crate) fn by_derivative(solver: &'static str) -> Asked<T> {
        Asked { solver, step: T::constant(-1.0), residual: T::constant(0.0) }
    }
    /// The operands of an operator that computes factors.
    pub(super) fn operands<'a>(&'a self, a: &'a T) -> [&'a T; 3] {
        [a, &self.step, &self.residual]
    }
}

/// The reason why there are no factors, with the step and the residual.
pub(super) fn in_step<E: HostElement>(reason: String, x: &[ArrayViewD<'_, E>]) -> String {
    let number = |x: &ArrayViewD<'_, E>| x.iter().next().copied().unwrap_or_else(E::zero);
    let (step, residual) = (number(&x[1]), number(&x[2]));
    match step {
        step if step < E::zero() => format!("{reason} (in the derivative)"),
        step if step == E::zero() => format!("{reason} (where it begins)"),
        step => format!("{reason} (in step {step}, from a residual of {residual:e})"),
    }
}

/// Which factors they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factors {
    /// Of elimination with row exchanges.
    Lu,
    /// Cholesky's, of a symmetric positive definite matrix.
    Cholesky,
}

impl Factors {
    /// How many numbers the factors of a matrix of `n` rows are.
    pub(crate) fn size(self, n: usize) -> usize {
        match self {
            Factors::Lu => n * n + n,
            Factors::Cholesky => n * n,
        }
    }
    /// The factors of a matrix `[n, n]`, as a vector.
    pub(crate) fn of<T: Tensor>(self, a: &T, asked: &Asked<T>) -> T {
        let a = a.detach();
        match self {
            Factors::Lu => T::host(&FactorInStep { solver: asked.solver }, &asked.operands(&a)),
            Factors::Cholesky => cholesky_in_step(&a, asked).reshape(&[a.size()]),
        }
    }
    /// The same for all columns of `[n, k]`.
    pub(crate) fn solve_columns<T: Tensor>(self, factors: &T, b: &T) -> T {
        T::host(&SolveKept { kind: self, transposed: false }, &[factors, b])
    }
    /// The solution of a system of equations with the matrix, or the transposed one, of these factors: `[n]`. It is
    /// linear in `b`, and knows no derivative by the factors.
    pub(crate) fn solve<T: Tensor>(self, factors: &T, b: &T, transposed: bool) -> T {
        T::host(&SolveKept { kind: self, transposed }, &[factors, &b.unsqueeze(-1)]).reshape(&[b.size()])
    }
}

/// A square matrix itself, if it is symmetric but for rounding.
pub(crate) fn symmetric_in_step<T: Tensor>(a: &T, asked: &Asked<T>) -> T {
    T::host(&SymmetricInStep { solver: asked.solver }, &asked.operands(&a.detach()))
}

/// What is asked for Cholesky's factors of a matrix that may have none: they would be those of its symmetric part.
#[derive(Clone, Copy, Debug)]
struct SymmetricInStep {
    solver: &'static str,
}

impl HostOperator for SymmetricInStep {
    const NAME: &'static str = "symmetric";
    const RANKS: &'static [usize] = &[2, 0, 0];

    fn name(&self) -> &'static str {
        self.solver
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(
        &self,
        operands: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let a = &operands[0];
        let largest = a.iter().fold(E::zero(), |largest, x| largest.max(x.abs()));
        let most = largest * E::epsilon().sqrt();
        for (place, &x) in a.indexed_iter() {
            let (i, j) = (place[0], place[1]);
            let other = a[[j, i]];
            if i < j && (x - other).abs() > most {
                let reason = format!(
                    "the matrix is not symmetric, as Cholesky's factors take it: [{i}, {j}] is {x:e}, \
                     [{j}, {i}] {other:e}"
                );
                return Err(in_step(reason, operands));
            }
        }
        y.assign(a);
        Ok(())
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        if operand == 0 { identity(shape) } else { vec![1.0] }
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None; 3]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// Both factors and the exchanges of rows in one vector, as [`Unpacked`] reads them, of a matrix that is not singular.
#[derive(Clone, Copy, Debug)]
struct FactorInStep {
    solver: &'static str,
}

impl Factorization for FactorInStep {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let a = operands[0];
        Factor { op: self.solver, of_columns: true }.compute(&[a], result)?;
        match Unpacked::of(result, side(a.len())).zero() {
            Some(i) => Err(format!("the matrix is singular: pivot {i} is 0")),
            None => Ok(()),
        }
    }
}

impl HostOperator for FactorInStep {
    const NAME: &'static str = "lu_factor";
    const RANKS: &'static [usize] = &[2, 0, 0];

    fn name(&self) -> &'static str {
        self.solver
    }
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Factor { op: self.solver, of_columns: true }.shape(&operands[..1])
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, &x[..1], y).map_err(|reason| in_step(reason, x))
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        if operand == 0 { identity(shape) } else { vec![1.0] }
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None; 3]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

/// `X` of `A·X = B`, or `Aᵀ·X = B`, from the factors and `B`.
#[derive(Clone, Copy, Debug)]
struct SolveKept {
    kind: Factors,
    transposed: bool,
}

impl Factorization for SolveKept {
    fn compute<F: Field>(self, operands: &[&[F]], result: &mut [F]) -> Result<(), String> {
        let [packed, b] = operands else { unreachable!("two operands") };
        if packed.is_empty() {
            return Ok(());
        }
        if self.kind == Factors::Cholesky {
            return cholesky_solution(packed, b, result);
        }
        let factors = Unpacked::of(packed, side(packed.len()));
        if let Some(i) = factors.zero() {
            return Err(format!("the matrix is singular: pivot {i} is 0"));
        }
        factors.solve(self.transposed, b, result);
        Ok(())
    }
}

impl HostOperator for SolveKept {
    const NAME: &'static str = "solve";
    const RANKS: &'static [usize] = &[1, 2];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[1].to_vec())
    }
    fn value<E: HostElement>(&self, x: &[ArrayViewD<'_, E>], y: ArrayViewMutD<'_, E>) -> Result<(), String> {
        run(*self, x, y)
    }
    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        match operand {
            0 if self.kind == Factors::Cholesky => {
                let n = side(shape[0]);
                identity(&[n, n])
            }
            0 => packed_identity(shape[0]),
            _ => vec![1.0; shape.iter().product()],
        }
    }
    fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None, Some(T::host(&SolveKept { transposed: !self.transposed, ..*self }, &[&x[0], y_bar]))]
    }
    fn push<T: Tensor>(&self, x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[1].as_ref().map(|b| T::host(self, &[&x[0], b]))
    }
}
