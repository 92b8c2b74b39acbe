//! Adjoints of a function's intermediate values, by name.

use std::collections::BTreeMap;

use crate::continuation::unwinding::operator;
use crate::error::{At, Error, Result};
use crate::language::params::Params;
use crate::language::real::Real;
use crate::reverse::names::Sink;
use crate::transforms::{Function, Gradient, not_ended, pull_named};

/// Adjoints of intermediate values, by their names.
pub type Adjoints<P> = BTreeMap<String, <P as Params>::Leaf>;

/// Value and gradient of a scalar function at `x`, and the adjoints of intermediate values: `∂y/∂h`, of the shape of
/// `h`, for each of these names that the function gives a value `h` with [`Real::named`].
///
/// It is what hooks on tensors are for in PyTorch (`retain_grad`, `register_hook`), and `perturb` in Flax, whose
/// definition this has: the adjoint of a name is that of zeros which are added to each value of the name. So of values
/// that share a name, in the rounds of a loop or because a layer is called twice, it is the sum, and they have one
/// shape; names like `format!("h{i}")` tell them apart where Rust's own loop makes them. A name that nobody asks for
/// costs nothing, and names of several layers may then be the same.
///
/// A name is asked for by one derivative, and found at its own variables, whether these are values of an inner
/// derivative, of a batch or of a checkpoint, and in recorded control flow. Of a derivative that is computed with
/// [`vmap`](crate::vmap), each row has adjoints of its own.
/// ```
/// use antiphon::{NdArray, Real, Tensor, value_and_grad_named};
/// /// Two layers of a perceptron, and a loss.
/// fn loss<T: Tensor>((w, v): (T, T), x: &T) -> T {
///     let hidden = x.matmul(&w).tanh().named("hidden");
///     hidden.matmul(&v).square().sum(..)
/// }
/// let x = NdArray::from_elements(&[1, 2], &[0.5, -1.0])?;
/// let parameters = (NdArray::full(&[2, 3], 0.3), NdArray::<f64>::from_elements(&[3, 1], &[1.0, 2.0, 3.0])?);
/// let (loss, _, adjoints) =
///     value_and_grad_named(|p| loss(p, &antiphon::Var::lift(&x)), &parameters, &["hidden"])?;
/// // ∂ (h·v)²/∂h = 2·(h·v)·v
/// let expected = parameters.1.transpose() * (-2.0 * loss.sqrt());
/// assert!((adjoints["hidden"].clone() - expected).abs().max(..).item() < 1e-12);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// A name whose variables are in a branch that is not taken, or in a loop of no rounds, has an adjoint of zeros where
/// control flow is recorded; evaluated, where nobody has met such a variable, it is as a name that no value has.
///
/// As [`grad`](crate::grad). [`Error::Argument`](crate::Error::Argument), with the names that there are, for a name
/// that no value has; with the line, for one of a constant, which does not depend on `x` (make it one of the
/// parameters), for values of one name and several shapes, and for a name that is asked for twice.
#[track_caller]
pub fn value_and_grad_named<P: Params>(
    f: impl for<'r> Function<'r, P, P::Leaf>,
    x: &P,
    names: &[&str],
) -> Result<(P::Leaf, Gradient<P>, Adjoints<P>)> {
    let (op, at) = ("value_and_grad_named", At::caller());
    if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(Error::Argument { op, reason: format!("the name {name:?} is asked for twice"), at });
    }
    let sink = Sink::new(names);
    let mut value = None;
    let (adjoints, named) = pull_named(op, at, x, x.leaves(), Some(&sink), |variables| {
        let place = P::Leaf::place();
        let y = f(variables);
        y.primal().check_scalar(op).map_err(|error| error.relocate(at))?;
        y.accumulate(operator(at, || y.primal().ones_like()));
        value = Some(y.primal().clone().leave_for(place));
        Ok(())
    })?;
    let value = value.and_then(|value| P::Leaf::take_adjoint(&value)).ok_or_else(|| not_ended(op, at))?;
    let named = sink.by_name(op, at, named)?.into_iter().collect();
    Ok((value, x.with_leaves(adjoints)?, named))
}
