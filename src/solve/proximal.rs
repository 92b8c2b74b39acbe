//! Minima of a smooth function and a sum of absolute values, by proximal gradients.

use crate::array::NdArray;
use crate::continuation::unwinding::{catch, raise};
use crate::error::{At, Error, Result};
use crate::language::real::Mask;
use crate::language::tensor::Tensor;
use crate::sealed::INTERNAL;
use crate::solve::fixed_point::{FixedPointMethod, fixed_point};
use crate::solve::options::{Options, Solution};
use crate::solve::problem::{Over, Problem};
use crate::solve::system::{GradientOf, Packed, System};

/// The point nearest to `x` but for a weight times `Σ|z|`: `sign(x)·max(|x| − weight, 0)`, with derivative 0 where it
/// is 0.
pub fn soft_threshold<T: Tensor>(x: &T, weight: &T) -> T {
    let size = x.abs() - weight;
    let outside = size.greater(&T::constant(0.0));
    T::select(&outside, &(x.sign() * size), &T::constant(0.0))
}

/// The `x` where `f(x, θ) + weight·Σ|x|` is least (the lasso, for squares), by the iteration `x ← soft(x − length·∇f,
/// length·weight)` (Daubechies, Defrise & De Mol 2004), whose step is the one that is differentiated: the implicit
/// derivative is that of the elements that are not zero.
///
/// # Errors
/// As [`minimize`](crate::solve::minimize); [`Error::Ensure`] if the weight is negative.
#[track_caller]
pub fn proximal_gradient<P: Problem, T: Tensor>(
    problem: &P,
    length: f64,
    x: &Over<P::Unknown, T>,
    theta: &Over<P::Parameters, T>,
    weight: &T,
    options: &Options,
) -> Result<Solution<Over<P::Unknown, T>, T>>
where
    Over<P::Parameters, T>: Clone,
{
    if !(length > 0.0 && length.is_finite()) {
        let reason = format!("a step of length {length}, which has to be a positive number");
        return Err(Error::Argument { op: "proximal_gradient", reason, at: At::caller() });
    }
    let at = At::caller();
    catch::<_, Error>(|| {
        let falls = T::any(&weight.less(&T::constant(0.0)), ..);
        T::ensure_at(INTERNAL, at, &falls.not(), "proximal_gradient: the weight of Σ|x| has to be 0 or more");
        Ok(())
    })?;
    let step = Step { problem: problem.clone(), length, at };
    fixed_point(&step, FixedPointMethod::PICARD, x, &(theta.clone(), weight.clone()), options)
}

/// One step, as a map.
#[derive(Clone, Debug)]
struct Step<P> {
    problem: P,
    length: f64,
    at: At,
}

impl<P: Problem> Problem for Step<P> {
    type Unknown = P::Unknown;
    type Parameters = (P::Parameters, NdArray<f64>);
    type Value = P::Unknown;
    fn value<T: Tensor>(
        &self,
        x: &Over<P::Unknown, T>,
        (theta, weight): &Over<(P::Parameters, NdArray<f64>), T>,
    ) -> Over<P::Unknown, T> {
        if !weight.shape().is_empty() {
            let reason = format!("a weight {:?}, which has to be a single number", weight.shape());
            raise(Error::Argument { op: "proximal_gradient", reason, at: self.at });
        }
        let packed = Packed::of("proximal_gradient", self.at, &self.problem, x, theta);
        let unknown = packed.unknown.clone();
        let (x, theta) = packed.operands(x, theta);
        let gradient = GradientOf(packed).residual(&x, &theta);
        unknown.unpack(&soft_threshold(&(x - gradient * self.length), &(weight.clone() * self.length)))
    }
}
