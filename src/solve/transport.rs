//! Optimal transport with entropy, by Sinkhorn's iteration.

use crate::array::NdArray;
use crate::continuation::unwinding::catch;
use crate::error::{At, Error, Result};
use crate::language::real::{Mask, Real};
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;
use crate::solve::fixed_point::{FixedPointMethod, fixed_point};
use crate::solve::options::{Info, Options};
use crate::solve::problem::Problem;
use crate::solve::system::epsilon as rounding;

/// What [`sinkhorn`] gives.
#[derive(Clone, Debug)]
pub struct Transport<T: Real> {
    /// How much goes from each place to each: `[n, m]`, whose rows sum up to `a` and whose columns to `b`.
    pub plan: T,
    /// The potentials `f` of where it comes from, `[n]`, of mean zero.
    pub sources: T,
    /// The potentials `g` of where it goes: `[m]`.
    pub targets: T,
    /// `Σ plan·cost`.
    pub cost: T,
    /// How it was found.
    pub info: Info<T>,
}

/// The plan `P ≥ 0` with row sums `a` and column sums `b` for which `⟨P, C⟩ + ε·Σ P(ln P − 1)` is least (Cuturi,
/// *Sinkhorn distances*, 2013), from costs `[n, m]`, `[n]` and `[m]` of the same positive sum, and `ε`. The iteration
/// is that of the potentials, of logarithms, so that nothing overflows: `P = exp((f + g − C)/ε)`.
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, and where the iteration does not converge; [`Error::Ensure`] if a mass
/// or `ε` is not positive, or `a` and `b` have different sums.
#[track_caller]
pub fn sinkhorn<T: Tensor>(
    cost: &T,
    a: &T,
    b: &T,
    epsilon: &T,
    method: FixedPointMethod,
    options: &Options,
) -> Result<Transport<T>> {
    let (shape, n, m) = (cost.shape(), a.shape(), b.shape());
    if shape.len() != 2 || n.as_slice() != [shape[0]] || m.as_slice() != [shape[1]] {
        let reason = format!("costs {shape:?} of {n:?} and {m:?}");
        return Err(Error::Argument { op: "sinkhorn", reason, at: At::caller() });
    }
    if !epsilon.shape().is_empty() {
        let reason = format!("an ε {:?}, which has to be a single number", epsilon.shape());
        return Err(Error::Argument { op: "sinkhorn", reason, at: At::caller() });
    }
    let at = At::caller();
    catch::<_, Error>(|| {
        let positive = |x: &T| T::all(&x.greater(&T::constant(0.0)), ..);
        T::ensure_at(INTERNAL, at, &positive(epsilon), "sinkhorn: ε has to be positive");
        let masses = positive(a).and(&positive(b));
        T::ensure_at(INTERNAL, at, &masses, "sinkhorn: what goes from and to each place has to be positive");
        let [all_a, all_b] = [a, b].map(|mass| mass.detach().sum(..));
        let most = (all_a.clone() + &all_b) * rounding::<T>().sqrt();
        let same = (all_a - all_b).abs().less_equal(&most);
        T::ensure_at(
            INTERNAL,
            at,
            &same,
            "sinkhorn: what goes from all places and to all has to be the same",
        );
        Ok(())
    })?;
    let parameters = ((cost.clone(), a.clone()), (b.clone(), epsilon.clone()));
    let begin = T::zeros(&n);
    let found = fixed_point(&Potentials, method, &begin, &parameters, options)?;
    catch(|| {
        let sources = found.x;
        let targets = toward(&cost.transpose(), &sources, b, epsilon);
        let plan = ((sources.unsqueeze(-1) + &targets - cost) / epsilon).exp();
        let cost = (plan.clone() * cost).sum(..);
        Ok(Transport { plan, sources, targets, cost, info: found.info })
    })
}

/// `ε·(ln b − ln Σ exp((f − C)/ε))`, the sum being over the last axis.
fn toward<T: Tensor>(cost: &T, from: &T, to: &T, epsilon: &T) -> T {
    let exponents = (from.clone() - cost) / epsilon;
    (to.log() - exponents.logsumexp(-1)) * epsilon
}

/// One round, from the sources' potentials to themselves, of which a constant more is a constant more: it is taken off.
#[derive(Clone, Debug)]
struct Potentials;

impl Problem for Potentials {
    type Unknown = NdArray<f64>;
    type Parameters = ((NdArray<f64>, NdArray<f64>), (NdArray<f64>, NdArray<f64>));
    type Value = NdArray<f64>;
    fn value<T: Tensor>(&self, f: &T, ((cost, a), (b, epsilon)): &((T, T), (T, T))) -> T {
        let g = toward(&cost.transpose(), f, b, epsilon);
        let f = toward(cost, &g, a, epsilon);
        f.clone() - f.mean(..)
    }
}

/// The inverse of a matrix by Newton and Schulz's iteration `X ← X(2I − AX)`, which is products of matrices alone
/// (Schulz 1933), from `Aᵀ/(‖A‖₁‖A‖∞)`. The one-step derivative is exact at the solution: `−A⁻¹·dA·A⁻¹`.
///
/// # Errors
/// [`Error::Argument`] if the matrix is not square, and where the iteration does not converge. (Of a singular one it
/// finds the pseudo-inverse, if it converges.)
#[track_caller]
pub fn newton_schulz<T: Tensor>(a: &T, options: &Options) -> Result<(T, Info<T>)> {
    let at = At::caller();
    let shape = a.shape();
    let [n, columns] = shape[..] else {
        return Err(Error::Argument { op: "newton_schulz", reason: format!("a matrix {shape:?}"), at });
    };
    if n != columns || n == 0 {
        let reason = format!("a matrix {shape:?}, which has to be square");
        return Err(Error::Argument { op: "newton_schulz", reason, at });
    }
    let begin = catch::<_, Error>(|| {
        let known = a.detach();
        let scale = known.abs().sum(0).max(..) * known.abs().sum(1).max(..);
        let is_zero = scale.equal(&T::constant(0.0));
        T::ensure_at(INTERNAL, at, &is_zero.not(), "newton_schulz: a matrix of zeros has no inverse");
        Ok(known.transpose() / scale)
    })?;
    let found = fixed_point(&Schulz, FixedPointMethod::PICARD, &begin, a, options)?;
    Ok((found.x, found.info))
}

#[derive(Clone, Debug)]
struct Schulz;

impl Problem for Schulz {
    type Unknown = NdArray<f64>;
    type Parameters = NdArray<f64>;
    type Value = NdArray<f64>;
    fn value<T: Tensor>(&self, x: &T, a: &T) -> T {
        x.clone() * 2.0 - x.matmul(&a.matmul(x))
    }
}
