//! [`TrainingStep`]: a step of training together with the state that it changes, run eagerly or compiled.

#[cfg(feature = "staging")]
mod variants;

use std::fmt;
use std::time::Duration;

use crate::continuation::unwinding::catch;
use crate::error::{At, Result};

/// A step of training, with the state `S` that it changes, on data `D`, with a result `R`: the loss, say.
///
/// The step is a function over any interpretation. [`eager`](TrainingStep::eager) runs it as it is; with the feature
/// `staging`, `compiled` in its place compiles it. The rest of the program stays as it is:
///
/// ```
/// use antiphon::optim::{Adam, OptState, Optimizer};
/// use antiphon::{NdArray, Real, Result, Tensor, TrainingStep, value_and_grad};
///
/// type Training<T> = (T, OptState<T>);
///
/// /// Moves `x` towards the target; the learning rate is data too.
/// fn step<T: Tensor>((x, adam): &mut Training<T>, (target, lr): &(T, T)) -> Result<T> {
///     let (loss, gradient) =
///         value_and_grad(|x| (x - &antiphon::Var::lift(target)).square().sum(..), x)?;
///     Adam::default().update(adam, x, &gradient, lr)?;
///     Ok(loss)
/// }
///
/// let x = NdArray::from(vec![3.0f64, -1.0]);
/// let start = (x.clone(), Adam::default().init(&x));
/// let mut training = TrainingStep::eager(start, |training, data| step(training, data));
/// let target = NdArray::from(vec![1.0, 2.0]);
/// let first = training.call(&(target.clone(), NdArray::scalar(0.1)))?;
/// for _ in 0..200 {
///     training.call(&(target.clone(), NdArray::scalar(0.1)))?;
/// }
/// assert_eq!(first.item(), 13.0);
/// assert!((training.state().0 - target).abs().max(..).item() < 1e-3);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// It can be moved to another thread. Several threads that train at once have one each.
pub struct TrainingStep<'f, S, D, R> {
    mode: Box<dyn Mode<S, D, R> + Send + 'f>,
    /// What becomes of errors.
    #[cfg(feature = "mpi")]
    error: Option<Box<dyn Fn(crate::Error) -> crate::Error + Send + 'f>>,
}

impl<S, D, R> fmt::Debug for TrainingStep<'_, S, D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingStep")
            .field("compilations", &self.mode.compilations())
            .finish_non_exhaustive()
    }
}

/// A way to run a step.
trait Mode<S, D, R> {
    fn call(&mut self, data: &D, at: At) -> Result<R>;
    fn state(&self) -> S;
    fn set_state(&mut self, state: &S, at: At) -> Result<()>;
    fn compilations(&self) -> usize {
        0
    }
    fn evictions(&self) -> usize {
        0
    }
    fn compile_time(&self) -> Duration {
        Duration::ZERO
    }
    #[cfg(feature = "staging")]
    fn keep_variants(&mut self, _: usize) {}
    #[cfg(feature = "staging")]
    fn options(&mut self) -> Option<&mut crate::recording::CompileOptions> {
        None
    }
    #[cfg(feature = "staging")]
    fn program(&self) -> Option<&crate::recording::CompiledProgram> {
        None
    }
}

impl<'f, S, D, R> TrainingStep<'f, S, D, R>
where
    S: Clone + Send + 'f,
{
    /// A step that is run as it is, from `state` on.
    pub fn eager(
        state: S,
        step: impl FnMut(&mut S, &D) -> Result<R> + Send + 'f,
    ) -> TrainingStep<'f, S, D, R> {
        TrainingStep::of(Box::new(Eager { state, step }))
    }
}

impl<'f, S, D, R> TrainingStep<'f, S, D, R> {
    fn of(mode: Box<dyn Mode<S, D, R> + Send + 'f>) -> Self {
        TrainingStep {
            mode,
            #[cfg(feature = "mpi")]
            error: None,
        }
    }

    /// The same, whose errors are replaced.
    #[cfg(feature = "mpi")]
    pub(crate) fn with_errors(mut self, error: impl Fn(crate::Error) -> crate::Error + Send + 'f) -> Self {
        self.error = Some(Box::new(error));
        self
    }

    /// Makes a step.
    ///
    /// A compiled step is compiled when data of new shapes comes; code for all shapes shares the state. Afterwards it
    /// asks for no memory, as long as the caller keeps no results, but at the second call and now and then later, when
    /// it is recorded again: what it captures is a constant, and a change of it an error.
    ///
    /// # Errors
    /// What the step returns or raises. A compiled one: while it is recorded;
    /// [`Error::Recording`](crate::Error::Recording) if it records something else than was compiled; when it runs,
    /// [`Error::Index`](crate::Error::Index) and [`Error::StackExhausted`](crate::Error::StackExhausted). The state is
    /// then what it was before.
    #[track_caller]
    pub fn call(&mut self, data: &D) -> Result<R> {
        let called = self.mode.call(data, At::caller());
        #[cfg(feature = "mpi")]
        let called = called.map_err(|error| match &self.error {
            Some(replace) => replace(error),
            None => error,
        });
        called
    }

    /// The state after the last step: parameters and whatever else it has.
    pub fn state(&self) -> S {
        self.mode.state()
    }

    /// Goes on from another state.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if the step is compiled and the state is not of the structure and
    /// the shapes that it was made with.
    #[track_caller]
    pub fn set_state(&mut self, state: &S) -> Result<()> {
        self.mode.set_state(state, At::caller())
    }

    /// How often the step was compiled: once for each combination of shapes that data had, and once more for each that
    /// comes back after its code was dropped. An eager one never is.
    pub fn compilations(&self) -> usize {
        self.mode.compilations()
    }

    /// How often the code for some shapes was dropped in favour of others. If it grows with each step, data comes in
    /// more shapes than code is kept for, and is compiled again and again.
    pub fn evictions(&self) -> usize {
        self.mode.evictions()
    }

    /// Time that all compilations took, recording and optimising included.
    pub fn compile_time(&self) -> Duration {
        self.mode.compile_time()
    }
}

struct Eager<S, F> {
    state: S,
    step: F,
}

impl<S: Clone, D, R, F: FnMut(&mut S, &D) -> Result<R>> Mode<S, D, R> for Eager<S, F> {
    fn call(&mut self, data: &D, _: At) -> Result<R> {
        catch(|| (self.step)(&mut self.state, data))
    }
    fn state(&self) -> S {
        self.state.clone()
    }
    fn set_state(&mut self, state: &S, _: At) -> Result<()> {
        self.state = state.clone();
        Ok(())
    }
}
