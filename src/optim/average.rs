//! Averages of parameters, and sums of gradients.

use super::{OptState, Optimizer, unlike};
use crate::continuation::unwinding::catch;
use crate::error::{Error, Result};
use crate::language::params::{Params, Path};
use crate::language::real::Real;

/// An exponential moving average of parameters, `a ← decay·a + (1 − decay)·w` after each update (Polyak & Juditsky,
/// *Acceleration of stochastic approximation by averaging*, 1992; PyTorch's `get_ema_multi_avg_fn`). The average is a
/// structure like the parameters, which begins as a copy of them and is a part of the training's state.
///
/// ```
/// use antiphon::optim::Ema;
/// let mut average = 1.0;
/// Ema { decay: 0.75 }.update(&mut average, &3.0)?;
/// assert_eq!(average, 1.5);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ema {
    /// How much of the average stays.
    pub decay: f64,
}

impl Ema {
    /// Brings the average up to date.
    ///
    /// # Errors
    /// [`Error::Structure`] if it is not of the parameters' structure and shapes. Nothing is changed then.
    pub fn update<P: Params, Q: Params<Leaf = P::Leaf>>(&self, average: &mut P, params: &Q) -> Result<()> {
        each(average, params, |a, w| a.scale(self.decay) + w.clone().scale(1.0 - self.decay))
    }
}

/// `sum ← sum + weight·gradients`: what several batches contribute to one update, as a mean where each has the weight
/// one over their number. The sum begins as zeros of the parameters' structure, [`zeros`].
///
/// A step may add up the gradients of all parts of its data, or the sum is in its state and [`update_when`] says when
/// the parameters are updated.
///
/// # Errors
/// [`Error::Structure`] if the gradients are not of the sum's structure and shapes. Nothing is changed then.
pub fn accumulate<P: Params, G: Params<Leaf = P::Leaf>>(
    sum: &mut P,
    gradients: &G,
    weight: f64,
) -> Result<()> {
    each(sum, gradients, |sum, g| sum + g.clone().scale(weight))
}

/// Zeros of the parameters' structure and shapes.
pub fn zeros<P: Params + Clone>(params: &P) -> P {
    let mut zeros = params.clone();
    zeros.visit_mut(&mut Path::default(), &mut |_, leaf| *leaf = leaf.zeros_like());
    zeros
}

/// Updates parameters with a [sum of gradients](accumulate), and makes that zeros again, where a condition holds;
/// elsewhere everything stays. The condition is data, so that one compiled step does both.
///
/// ```
/// use antiphon::optim::{self, Optimizer, Sgd};
/// let (mut w, mut sum) = (1.0, 0.0);
/// let mut state = Sgd::default().init(&w);
/// for (batch, gradient) in [2.0, 4.0, 1.0].into_iter().enumerate() {
///     optim::accumulate(&mut sum, &gradient, 0.5)?;
///     let due = batch % 2 == 1;
///     optim::update_when(&due, &Sgd::default(), &mut state, &mut w, &mut sum, &0.1)?;
/// }
/// // One update by the mean of the first two, and the third waits.
/// assert_eq!((w, sum), (1.0 - 0.1 * 3.0, 0.5));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`Optimizer::update`], and [`Error::Structure`] if the condition is no single truth value. Nothing is changed
/// then.
pub fn update_when<O: Optimizer, P: Params + Clone>(
    due: &<P::Leaf as Real>::Bool,
    optimizer: &O,
    state: &mut OptState<P>,
    params: &mut P,
    sum: &mut P,
    lr: &P::Leaf,
) -> Result<()> {
    let (mut next_state, mut next) = (state.clone(), params.clone());
    optimizer.update(&mut next_state, &mut next, sum, lr)?;
    let zeros = zeros(sum);
    let [of_state, of_params, of_sum] = catch::<_, Error>(|| {
        Ok([chosen(due, &*state, &next_state)?, chosen(due, &*params, &next)?, chosen(due, &*sum, &zeros)?])
    })?;
    put(state, of_state);
    put(params, of_params);
    put(sum, of_sum);
    Ok(())
}

/// The leaves of one of two structures, which are alike.
fn chosen<P: Params>(due: &<P::Leaf as Real>::Bool, old: &P, new: &P) -> Result<Vec<P::Leaf>> {
    let mut leaves = Vec::new();
    for (old, new) in old.leaves().into_iter().zip(new.leaves()) {
        let leaf = P::Leaf::select(due, &new, &old);
        if !P::Leaf::same_shape(&leaf, &old) {
            return Err(Error::Structure("whether an update is due is one truth value".into()));
        }
        leaves.push(leaf);
    }
    Ok(leaves)
}

/// Puts leaves where they belong, in order.
fn put<P: Params>(params: &mut P, leaves: Vec<P::Leaf>) {
    let mut leaves = leaves.into_iter();
    params.visit_mut(&mut Path::default(), &mut |_, leaf| {
        *leaf = leaves.next().expect("as many leaves as before");
    });
}

/// `x ← f(x, y)` for each leaf and that of another structure which is alike.
fn each<P: Params, Q: Params<Leaf = P::Leaf>>(
    params: &mut P,
    others: &Q,
    f: impl Fn(P::Leaf, &P::Leaf) -> P::Leaf,
) -> Result<()> {
    let (mine, theirs) = (params.names(), others.names());
    if mine != theirs {
        return Err(Error::Structure(format!("{mine:?} and {theirs:?}")));
    }
    if let Some(name) = unlike(params, others) {
        return Err(Error::Structure(format!("{name} has another shape in the two structures")));
    }
    catch(|| {
        let mut others = others.leaves().into_iter();
        params.visit_mut(&mut Path::default(), &mut |_, leaf| {
            let other = others.next().expect("as many leaves as names");
            let old = std::mem::replace(leaf, P::Leaf::constant(0.0));
            *leaf = f(old, &other);
        });
        Ok(())
    })
}
