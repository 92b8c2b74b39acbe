//! [`compile_derivative`]: a function and its derivative as two pieces of compiled code, with what the second takes of
//! the first between them.

use std::fmt;

use antiphon_staging::OptimiseOptions;
use antiphon_staging::jit::{CompileOptions, Stop};

use crate::compiled::components::take_components;
use crate::compiled::model::{CompiledFunction, no_updates};
use crate::error::{At, Error, Result};
use crate::language::linear::LinearFunction;
use crate::language::params::Path;
use crate::language::state::{Leaf, State};
use crate::language::structure::{MapComponent, Structure};
use crate::recording::{Plain, Recorded, Saved, Traced, TracedPair, trace_pair};

/// A function of inputs `P` to values `Y`, and its derivative of arguments `A` to results `B`, compiled.
pub struct CompiledDerivative<T: Plain, P, Y, A, B> {
    value: CompiledFunction<T, P, Y>,
    derivative: CompiledFunction<T, A, B>,
    /// Where the derivative finds what it takes besides its argument.
    saved: Vec<Saved>,
    /// What it takes at the last point.
    held: Option<Vec<Leaf<T>>>,
}

impl<T: Plain, P, Y, A, B> fmt::Debug for CompiledDerivative<T, P, Y, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledDerivative").field("saved", &self.saved).finish_non_exhaustive()
    }
}

/// [`CompiledDerivative`] of a function of inputs `P` that gives a value `Q` and its derivative `D`.
pub type CompiledDerivativeOf<T, P, Q, D> = CompiledDerivative<
    T,
    P,
    <Q as Structure<Recorded>>::With<T>,
    <<D as LinearFunction>::Argument as Structure<Recorded>>::With<T>,
    <<D as LinearFunction>::Result as Structure<Recorded>>::With<T>,
>;

/// Compiles a function together with its derivative at a point: `f` calls [`linearize`](crate::linearize) or
/// [`pullback`](crate::pullback) and returns what that gives.
///
/// [`linearize`](CompiledDerivative::linearize) runs the function and keeps what its derivative takes of it;
/// [`apply`](CompiledDerivative::apply) runs the derivative there, as often as is wanted, and nothing of the function
/// again but the branches, loops and recursion that are recorded: their way back begins with their way there.
///
/// ```
/// use antiphon::{NdArray, Partial, Real, Tensor, Var, compile_derivative, pullback, recording::Recorded};
/// fn model<T: Tensor>(w: &T, x: &T) -> T {
///     x.matmul(w).tanh()
/// }
/// let w = NdArray::from(vec![0.5, -0.5]);
/// let x = NdArray::from_elements(&[3, 2], &[1.0, 1.0, 2.0, 0.0, 0.0, 2.0])?;
/// let mut model = compile_derivative(
///     "model",
///     |(w, x)| pullback::<_, Recorded>(|w| model(&w, &Var::lift(&Partial::lift(&x))), &w),
///     &(w.clone(), x.clone()),
/// )?;
/// let y: NdArray<f64> = model.linearize(&(w, x))?;
/// assert_eq!(y.size(), 3);
/// let row = model.apply(&NdArray::from(vec![1.0, 0.0, 0.0]))?;
/// assert_eq!(row, NdArray::from(vec![1.0, 1.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`compile`](crate::compile).
#[track_caller]
pub fn compile_derivative<T, P, Q, D>(
    name: &str,
    f: impl FnMut(P::With<Recorded>) -> Result<(Q, D)>,
    example: &P,
) -> Result<CompiledDerivativeOf<T, P, Q, D>>
where
    T: Plain,
    P: Structure<T>,
    Q: Structure<Recorded>,
    D: LinearFunction<Leaf = Recorded>,
    D::Result: Structure<Recorded>,
{
    let options = CompileOptions { optimise: Some(OptimiseOptions::default()), ..CompileOptions::default() };
    compile_derivative_with(name, f, example, &options)
}

/// [`compile_derivative`] with options, as [`compile_with`](crate::compile_with).
///
/// # Errors
/// As [`compile_with`](crate::compile_with).
#[track_caller]
pub fn compile_derivative_with<T, P, Q, D>(
    name: &str,
    mut f: impl FnMut(P::With<Recorded>) -> Result<(Q, D)>,
    example: &P,
    options: &CompileOptions,
) -> Result<CompiledDerivativeOf<T, P, Q, D>>
where
    T: Plain,
    P: Structure<T>,
    Q: Structure<Recorded>,
    D: LinearFunction<Leaf = Recorded>,
    D::Result: Structure<Recorded>,
{
    let at = At::caller();
    no_updates(options, at)?;
    let stop = Stop::of(options);
    let mut trace = || {
        trace_pair(name, options, &stop, |input: MapComponent<'_, T, Recorded>| {
            f(example.map_components(&mut Path::default(), input))
        })
    };
    let TracedPair { value, derivative, argument_types, saved, .. }: TracedPair<Q, D> = trace()?;
    let again: TracedPair<Q, D> = trace()?;
    let whole = format!("`{name}`");
    value.transcript().check(&whole, &again.value, at)?;
    derivative.transcript().check(&whole, &again.derivative, at)?;
    let (mut component_types, mut inputs) = (Vec::new(), Vec::new());
    take_components(example, &mut component_types, &mut inputs);
    let Traced { program, result, .. } = value;
    let value = CompiledFunction::of(program, &result, component_types, options, &stop, at)?;
    let Traced { program, result, .. } = derivative;
    let derivative = CompiledFunction::of(program, &result, argument_types, options, &stop, at)?;
    Ok(CompiledDerivative { value, derivative, saved, held: None })
}

impl<T: Plain, P: Structure<T>, Y: State<T>, A: Structure<T>, B: State<T>> CompiledDerivative<T, P, Y, A, B> {
    /// The value at `x`, where [`apply`](CompiledDerivative::apply) has the derivative from now on.
    ///
    /// # Errors
    /// As [`CompiledFunction::call`].
    #[track_caller]
    pub fn linearize(&mut self, x: &P) -> Result<Y> {
        // The memory can be written over.
        self.held = None;
        let saved = &self.saved;
        let (y, held) = self.value.call_with(x, &[], |inputs, outputs| {
            let leaf = |saved: &Saved| match *saved {
                Saved::Input(i) => inputs[i].clone(),
                Saved::Output(i) => outputs[i].clone(),
            };
            saved.iter().map(leaf).collect()
        })?;
        self.held = Some(held);
        Ok(y)
    }

    /// The derivative at the last point, of an argument: a direction, or an adjoint of the value.
    ///
    /// # Errors
    /// As [`CompiledFunction::call`]; [`Error::Argument`] before [`linearize`](CompiledDerivative::linearize).
    #[track_caller]
    pub fn apply(&mut self, argument: &A) -> Result<B> {
        let Some(held) = &self.held else {
            let reason = "there is no point yet: call `linearize` first".into();
            return Err(Error::Argument { op: "apply", reason, at: At::caller() });
        };
        Ok(self.derivative.call_with(argument, held, |_, _| ())?.0)
    }
}

impl<T: Plain, P, Y, A, B> CompiledDerivative<T, P, Y, A, B> {
    /// The function.
    pub fn value(&self) -> &CompiledFunction<T, P, Y> {
        &self.value
    }
    /// The derivative.
    pub fn derivative(&self) -> &CompiledFunction<T, A, B> {
        &self.derivative
    }
}
