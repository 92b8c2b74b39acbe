//! Optimisers: from gradients to the next parameters.
//!
//! An optimiser is a value with its settings and a rule for one parameter, written over any interpretation. What
//! it remembers is an [`OptState`]: itself a structure of parameters, so it is saved with the model, and the
//! update can be recorded as a part of a training step. The learning rate is an argument of each update and the
//! count of steps lives in the state, as run-time values of the interpretation.
//!
//! ```
//! use antiphon::optim::{Optimizer, Sgd};
//!
//! // Minimise (x − 3)², whose derivative is 2(x − 3).
//! let mut x = 0.0;
//! let sgd = Sgd::default();
//! let mut state = sgd.init(&x);
//! for _ in 0..100 {
//!     let gradient = 2.0 * (x - 3.0);
//!     sgd.update(&mut state, &mut x, &gradient, &0.1)?;
//! }
//! assert!((x - 3.0f64).abs() < 1e-9);
//! # Ok::<(), antiphon::Error>(())
//! ```
//!
//! The formulas are those of PyTorch 2.x (`torch.optim`, the "Algorithm" boxes of its documentation), and so are
//! the names of what is remembered.

mod adagrad;
mod adam;
mod any;
mod average;
mod clip;
mod early_stopping;
mod groups;
mod lamb;
mod lbfgs;
mod lbfgs_steps;
mod line_search;
mod lion;
pub mod metrics;
mod rmsprop;
pub mod schedule;
mod sgd;
mod state;

pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use any::AnyOptimizer;
pub use average::{Ema, accumulate, update_when, zeros};
pub use clip::{clip_by_global_norm, clip_by_value, global_norm};
pub use early_stopping::EarlyStopping;
pub use groups::Groups;
pub use lamb::Lamb;
pub use lbfgs::{Lbfgs, Minimum, Stopped};
pub use lbfgs_steps::LbfgsState;
pub use lion::Lion;
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub use sgd::{Momentum, Sgd};
pub use state::OptState;

use crate::continuation::unwinding::catch;
use crate::error::{Error, Result};
use crate::language::params::{Params, Path};
use crate::language::real::Real;

/// What a rule is given besides the parameter: scalars of the interpretation.
#[derive(Debug)]
pub struct Step<'a, T> {
    /// The learning rate.
    pub lr: &'a T,
    /// How many updates there have been, this one included: 1, 2, ….
    pub count: &'a T,
}

/// A rule to improve parameters by their gradients.
///
/// Implement [`slots`](Optimizer::slots) and [`rule`](Optimizer::rule) for one of your own.
pub trait Optimizer {
    /// What is remembered of each parameter: a name for each value, all of which start as zeros.
    fn slots(&self) -> Vec<&'static str>;

    /// The parameter `w` after a step against its gradient `g`. `slots` holds what is remembered of it, in the
    /// order of [`slots`](Optimizer::slots), to be brought up to date.
    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T;

    /// [`rule`](Optimizer::rule) for a parameter of this name, on which it may depend.
    fn named_rule<T: Real>(&self, _name: &str, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        self.rule(w, g, slots, step)
    }

    /// Whether this is for parameters of these names.
    ///
    /// # Errors
    /// [`Error::Structure`] if it is not.
    fn check_names(&self, _names: &[String]) -> Result<()> {
        Ok(())
    }

    /// The state before the first update.
    fn init<P: Params + Clone>(&self, params: &P) -> OptState<P> {
        OptState::new(&self.slots(), params)
    }

    /// Improves the parameters.
    ///
    /// `grads` is what [`grad`](crate::grad) gives: of the parameters' structure and shapes. `lr` is a scalar of
    /// the interpretation: `T::constant(0.1)`, or a run-time input.
    ///
    /// # Errors
    /// [`Error::Structure`] if the gradients or the state belong to other parameters, or are not of their shapes;
    /// [`Error::Operand`] if the learning rate is not a single number. Nothing is changed then.
    fn update<P: Params + Clone, G: Params<Leaf = P::Leaf>>(
        &self,
        state: &mut OptState<P>,
        params: &mut P,
        grads: &G,
        lr: &P::Leaf,
    ) -> Result<()> {
        let names = params.names();
        if names != grads.names() {
            return Err(Error::Structure(format!(
                "the parameters are {names:?}, the gradients are of {:?}",
                grads.names()
            )));
        }
        self.check_names(&names)?;
        state.check(&self.slots(), params, &names)?;
        if let Some(name) = unlike(params, grads) {
            return Err(Error::Structure(format!("the gradient of {name} is not of the parameter's shape")));
        }
        lr.check_scalar("update")?;
        catch(|| {
            state.count = state.count.clone().offset(1.0);
            let count = state.count.clone();
            let step = Step { lr, count: &count };
            let mut slots = state.take_leaves();
            let mut rows = slots.chunks_mut(self.slots().len().max(1));
            let mut gradients = grads.leaves().into_iter().zip(&names);
            params.visit_mut(&mut Path::default(), &mut |_, w| {
                let (g, name) = gradients.next().expect("as many gradients as names");
                // Taken out, so that an array that nobody else holds is updated in place.
                let old = std::mem::replace(w, P::Leaf::constant(0.0));
                *w = self.named_rule(name, old, g, rows.next().unwrap_or(&mut []), &step);
            });
            drop(rows);
            state.put_leaves(slots);
            Ok(())
        })
    }
}

/// The first parameter whose counterpart in another structure with the same names has another shape.
fn unlike<P: Params, Q: Params<Leaf = P::Leaf>>(params: &P, other: &Q) -> Option<String> {
    let mut others = other.leaves().into_iter();
    let mut unlike = None;
    params.visit(&mut |name, w| {
        let other = others.next().expect("as many leaves as names");
        if unlike.is_none() && !P::Leaf::same_shape(w, &other) {
            unlike = Some(name.to_string());
        }
    });
    unlike
}

/// `x ← f(x)`.
fn replace<T: Real>(x: &mut T, f: impl FnOnce(T) -> T) {
    let old = std::mem::replace(x, T::constant(0.0));
    *x = f(old);
}

/// Adds the gradient of `½·decay·‖w‖²`.
fn with_decay<T: Real>(g: T, w: &T, decay: f64) -> T {
    if decay == 0.0 { g } else { g + w.clone().scale(decay) }
}
