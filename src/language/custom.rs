//! Derivatives that a model says itself: [`Hook`] changes an adjoint on its way back, [`CustomOperator`] has a rule of
//! its own for a function that is composed of operators.

use std::fmt;

use crate::continuation::unwinding::{blame, raise};
use crate::error::{At, Error};
use crate::language::real::Real;
use crate::language::tensor::Tensor;

/// What becomes of an adjoint at a point of a model; see [`Real::hook`]. It is elementwise: what looks at several
/// elements, as a norm, is a [`CustomOperator`].
///
/// ```
/// use antiphon::custom::Hook;
/// use antiphon::{Real, grad};
/// /// Adjoints without their sign.
/// #[derive(Clone, Debug)]
/// struct Magnitude;
/// impl Hook for Magnitude {
///     fn adjoint<T: Real>(&self, g: T) -> T {
///         g.abs()
///     }
/// }
/// assert_eq!(grad(|x| -(x.hook(&Magnitude) * 3.0), &1.0)?, 3.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
pub trait Hook: Clone + fmt::Debug + 'static {
    /// Whether [`adjoint`](Hook::adjoint) is linear. One that is not may not be in compiled control flow that is
    /// differentiated twice in reverse, nor in a compiled checkpoint that is differentiated twice: that is an error
    /// with the line.
    const LINEAR: bool = false;

    /// What goes on, of what has come.
    fn adjoint<T: Real>(&self, g: T) -> T;
}

/// Scales adjoints by a number.
#[derive(Clone, Copy, Debug)]
pub struct Scale(pub f64);

impl Hook for Scale {
    const LINEAR: bool = true;

    fn adjoint<T: Real>(&self, g: T) -> T {
        g.scale(self.0)
    }
}

/// Reverses adjoints and scales them: the layer between features and the classifier of domains (Ganin & Lempitsky
/// 2015).
#[derive(Clone, Copy, Debug)]
pub struct Reverse(pub f64);

impl Hook for Reverse {
    const LINEAR: bool = true;

    fn adjoint<T: Real>(&self, g: T) -> T {
        g.scale(-self.0)
    }
}

/// Limits each element of an adjoint to `−limit ..= limit`.
#[derive(Clone, Copy, Debug)]
pub struct Clip(pub f64);

impl Hook for Clip {
    fn adjoint<T: Real>(&self, g: T) -> T {
        g.clamp(-self.0, self.0)
    }
}

/// Prints adjoints by a name, as [`Real::printed`] does values, and lets them be.
#[derive(Clone, Debug)]
pub struct Inspect(pub String);

impl Hook for Inspect {
    const LINEAR: bool = true;

    fn adjoint<T: Real>(&self, g: T) -> T {
        g.printed(&self.0)
    }
}

/// A function of arrays, composed of operators, that has a derivative of its own: one that is simpler, steadier, or
/// another one than its composition's. [`Tensor::custom`] applies it. It is the derivative in every mode and order,
/// eagerly and compiled; an outer derivative differentiates the rule.
///
/// ```
/// use antiphon::custom::{CustomOperator, transposed};
/// use antiphon::{NdArray, Real, Tensor, grad, jvp};
///
/// /// The sign, with the derivative of `x` where `|x| ≤ 1`: a straight-through estimator (Bengio et al. 2013).
/// #[derive(Clone, Debug)]
/// struct Binarize;
///
/// impl CustomOperator for Binarize {
///     const NAME: &'static str = "binarize";
///     fn value<T: Tensor>(&self, x: &[T]) -> T {
///         x[0].sign()
///     }
///     fn pull<T: Tensor>(&self, x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
///         let inside = x[0].abs().less_equal(&T::constant(1.0));
///         vec![Some(T::select(&inside, y_bar, &T::constant(0.0)))]
///     }
///     fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
///         transposed(self, x, y, tangents)
///     }
/// }
///
/// let x = NdArray::from(vec![-2.0, -0.5, 0.5]);
/// let slope = grad(|x| Tensor::custom(&Binarize, &[&x]).sum(..), &x)?;
/// assert_eq!(slope, NdArray::from(vec![0.0, 1.0, 1.0]));
/// let along = NdArray::from(vec![1.0, 2.0, 3.0]);
/// assert_eq!(jvp(|x| Tensor::custom(&Binarize, &[&x]), &x, &along)?.1, NdArray::from(vec![0.0, 2.0, 3.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
pub trait CustomOperator: Clone + fmt::Debug + 'static {
    /// What it is called in errors.
    const NAME: &'static str;
    /// Whether [`pull`](CustomOperator::pull) is linear in `y_bar` and [`push`](CustomOperator::push) its transpose, as
    /// those of a derivative are. One of which they are not may not be in compiled control flow that is differentiated
    /// twice in reverse, nor in a compiled checkpoint that is differentiated twice: that is an error with the line.
    const LINEAR: bool = true;

    /// The result.
    fn value<T: Tensor>(&self, x: &[T]) -> T;

    /// Reverse: the adjoints of those operands `x` that are wanted, for the adjoint `y_bar` of the result `y`, of the
    /// operands' shapes or broadcast from them; `None` is no adjoint.
    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>>;

    /// Forward: the tangent of the result `y`, from those of the operands `x` that have any; `None` is zero. It follows
    /// from [`pull`](CustomOperator::pull) by [`transposed`](crate::custom::transposed), where that is linear in
    /// `y_bar`.
    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T>;
}

/// What a rule has given for these operands: an adjoint for each, or none, which is made to have the operand's shape.
/// The sum over what broadcasting has repeated is taken where it has more elements.
///
/// # Errors
/// Raises [`Error::Argument`], with the operator's name, if there are more or fewer, or one of another shape.
#[track_caller]
pub(crate) fn adjoints_of<T: Tensor>(
    op: &'static str,
    operands: &[T],
    given: Vec<Option<T>>,
) -> Vec<Option<T>> {
    if given.len() != operands.len() {
        let (adjoints, operands) = (given.len(), operands.len());
        let reason = format!(
            "its rule gives {adjoints} adjoints for {operands} operands, and has to give one for each"
        );
        raise(Error::Argument { op, reason, at: blame(At::caller()) });
    }
    let like = |(i, (given, operand)): (usize, (Option<T>, &T))| {
        let what = || format!("the adjoint of operand {i}");
        given.map(|given| of_a_rule(op, what, given, operand).unbroadcast(operand))
    };
    given.into_iter().zip(operands).enumerate().map(like).collect()
}

/// The tangent that a rule has given of this result, of its shape. Errors as of [`adjoints_of`].
#[track_caller]
pub(crate) fn tangent_of<T: Tensor>(op: &'static str, y: &T, given: T) -> T {
    let shape = given.shape();
    let tangent = of_a_rule(op, || "the tangent of the result".into(), given, y);
    if !T::same_shape(&tangent, y) {
        wrong_shape(op, "the tangent of the result", &shape, &y.shape());
    }
    tangent
}

/// What a rule has given, broadcast together with what it has to be like.
#[track_caller]
fn of_a_rule<T: Tensor>(op: &'static str, what: impl Fn() -> String, given: T, like: &T) -> T {
    if T::same_shape(&given, like) {
        return given;
    }
    let (from, to) = (given.shape(), like.shape());
    match antiphon_shape::broadcast(&from, &to) {
        Ok(joined) if joined == from => given,
        Ok(joined) => given.broadcast_to(&joined),
        Err(_) => wrong_shape(op, &what(), &from, &to),
    }
}

#[track_caller]
fn wrong_shape(op: &'static str, what: &str, from: &[usize], to: &[usize]) -> ! {
    let reason = format!("its rule gives {from:?} as {what}, which has the shape {to:?}");
    raise(Error::Argument { op, reason, at: blame(At::caller()) })
}

/// That a rule is linear, where a second derivative of recorded control flow is made of a forward derivative.
#[track_caller]
pub(crate) fn assert_linear(op: &'static str, linear: bool) {
    if !linear {
        let reason = "its rule is not that of a linear function, and it is in control flow or a checkpoint that is \
                      compiled and differentiated twice, where a forward derivative stands for one in reverse: \
                      differentiate control flow forward the second time (`hvp`), leave the checkpoint out, put the \
                      operator behind the loop, or run this eagerly";
        raise(Error::Argument { op, reason: reason.into(), at: blame(At::caller()) });
    }
}
